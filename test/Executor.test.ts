import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Context,
  Duration,
  Effect,
  Exit,
  Fiber,
  HashMap,
  Layer,
  Logger,
  Option,
  Ref,
  Schema,
  type Scope,
  TestClock
} from "effect"
import * as AttemptFiber from "../src/AttemptFiber.ts"
import * as Executor from "../src/Executor.ts"
import type * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import { RunContext } from "../src/RunContext.ts"
import { InvalidOption } from "../src/SchedulerError.ts"
import * as Task from "../src/Task.ts"
import { attemptOf, coordinator, scheduledAt, told } from "./Attempts.ts"

type Handle = (payload: unknown) => Effect.Effect<unknown, Task.HandlerFailure, RunContext | Scope.Scope>

const executeHandler = (handler: Task.Handler, options?: Policy.PolicyOptions, payload?: unknown) =>
  Effect.flatMap(Executor.Executor, (executor) => {
    const attempt = attemptOf(handler, options, payload)
    return Effect.provide(executor.execute(attempt), Executor.context(attempt))
  }).pipe(Effect.provide(Executor.layerFiber()))

const execute = (run: Handle, options?: Policy.PolicyOptions, payload?: unknown) =>
  executeHandler({ task: Task.make("Task"), context: Context.empty(), run }, options, payload)

/** Does so while so much time passes, and gives the outcome if there is one by then. */
const executeFor = (time: Duration.DurationInput, run: Handle, options?: Policy.PolicyOptions) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(execute(run, options))
    yield* TestClock.adjust(time)
    const exit = yield* Fiber.poll(fiber)
    if (Option.isNone(exit)) yield* Fiber.interruptFork(fiber)
    return yield* Option.match(exit, { onNone: () => Effect.succeed("still running" as const), onSome: (exit) => exit })
  })

const failureOf = (outcome: Run.Outcome | "still running"): Run.Failure =>
  outcome !== "still running" && outcome._tag === "Failed" ? outcome.failure : assert.fail(JSON.stringify(outcome))

const broken: Task.HandlerFailure = { message: "it broke", trace: "Error: it broke\n    at home", error: { code: 7 } }

describe("Executor.layerFiber", () => {
  const concurrency = (options?: { readonly concurrency?: number | undefined }) =>
    Effect.map(Executor.Executor, (executor) => executor.concurrency).pipe(
      Effect.provide(Executor.layerFiber(options)),
      Effect.runSync
    )

  it("carries out ten attempts at the same time, unless told otherwise", () => {
    assert.deepStrictEqual(
      [concurrency(), concurrency({}), concurrency({ concurrency: undefined }), concurrency({ concurrency: 1 })],
      [10, 10, 10, 1]
    )
    assert.strictEqual(concurrency({ concurrency: Infinity }), Infinity)
  })

  for (const value of [0, -1, NaN, 0.5, 1.5, -Infinity]) {
    it(`refuses concurrency: ${value}`, () => {
      try {
        Executor.layerFiber({ concurrency: value })
      } catch (error) {
        assert.instanceOf(error, InvalidOption)
        return assert.deepInclude(error, { option: "concurrency", value: String(value) })
      }
      assert.fail("it is accepted")
    })
  }
})

describe("the outcome of an attempt", () => {
  it.effect("that ends with a value is Succeeded with it", () =>
    Effect.gen(function* () {
      for (const value of [{ a: [1] }, null, 0, "", false]) {
        assert.deepStrictEqual(yield* execute(() => Effect.succeed(value)), { _tag: "Succeeded", value })
      }
    })
  )

  it.effect("that ends without a value is Succeeded without one", () =>
    Effect.gen(function* () {
      const outcome = yield* execute(() => Effect.void)
      assert.deepStrictEqual(outcome, { _tag: "Succeeded" })
      assert.notProperty(outcome, "value")
    })
  )

  it.effect("that fails is Failed, with its error as it is", () =>
    Effect.gen(function* () {
      const { error: _, ...untyped } = broken
      for (const failure of [broken, untyped, { ...broken, error: null }]) {
        assert.deepStrictEqual(yield* execute(() => Effect.fail(failure)), {
          _tag: "Failed",
          failure: { kind: "Error", ...failure }
        })
      }
    })
  )

  const defects: ReadonlyArray<readonly [name: string, handle: Handle, message: string]> = [
    ["dies of an Error", () => Effect.die(new TypeError("no such field")), "no such field"],
    ["dies of text", () => Effect.die("no such field"), "no such field"],
    ["throws", () => Effect.sync(() => assert.fail("no such field")), "no such field"],
    ["dies of what has no text form", () => Effect.die({ left: 7n }), ""],
    [
      "throws before it gives an Effect",
      () => {
        throw new Error("no such field")
      },
      "no such field"
    ]
  ]
  for (const [name, handle, message] of defects) {
    it.effect(`that ${name} is Failed with a defect`, () =>
      Effect.gen(function* () {
        const failure = failureOf(yield* execute(handle))
        assert.deepStrictEqual([failure.kind, "error" in failure], ["Defect", false])
        assert.include(failure.message, message)
        assert.isNotEmpty(failure.message)
      })
    )
  }

  it.effect("that both fails and dies in a finalizer is Failed with its error", () =>
    Effect.gen(function* () {
      const outcome = yield* execute(() => Effect.ensuring(Effect.fail(broken), Effect.die("in the finalizer")))
      assert.deepStrictEqual(failureOf(outcome), { kind: "Error", ...broken })
    })
  )

  it.effect("that ends with a value but dies in the finalizer of its Scope is Failed", () =>
    Effect.gen(function* () {
      const outcome = yield* execute(() => Effect.addFinalizer(() => Effect.die(new Error("in the finalizer"))))
      assert.strictEqual(failureOf(outcome).kind, "Defect")
      assert.include(failureOf(outcome).message, "in the finalizer")
    })
  )

  it.effect("is plain JSON, as a store keeps it", () =>
    Effect.gen(function* () {
      const handles: ReadonlyArray<Handle> = [
        () => Effect.succeed({ a: 1 }),
        () => Effect.void,
        () => Effect.fail(broken),
        () => Effect.die(new Error("no such field"))
      ]
      for (const handle of handles) {
        const outcome = yield* execute(handle)
        const json = JSON.parse(JSON.stringify(Schema.encodeSync(Run.Outcome)(outcome)))
        assert.deepStrictEqual(Schema.decodeUnknownSync(Run.Outcome)(json), outcome)
      }
    })
  )

  const interruptions: Record<string, Handle> = {
    "interrupts itself": () => Effect.interrupt,
    "interrupts itself after a while": () => Effect.zipRight(Effect.sleep("1 second"), Effect.interrupt),
    "joins a fiber that was interrupted": () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.fork(Effect.never)
        yield* Fiber.interrupt(fiber)
        return yield* Fiber.join(fiber)
      })
  }
  for (const [name, handle] of Object.entries(interruptions)) {
    for (const timeout of [Duration.infinity, Duration.minutes(1)]) {
      it.effect(`that ${name}, with a timeout of ${Duration.format(timeout)}, is Failed with a defect`, () =>
        Effect.gen(function* () {
          const failure = failureOf(yield* executeFor("2 seconds", handle, { timeout }))
          assert.strictEqual(failure.kind, "Defect")
          assert.include(failure.message.toLowerCase(), "interrupt")
        })
      )
    }
  }
})

describe("the timeout of an attempt", () => {
  const timeout = { timeout: "90 seconds" } as const

  it.effect("lets it run until then", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* executeFor("89999 millis", () => Effect.never, timeout), "still running")
      assert.deepStrictEqual(
        yield* executeFor("90 seconds", () => Effect.delay(Effect.succeed(1), "89999 millis"), timeout),
        { _tag: "Succeeded", value: 1 }
      )
    })
  )

  it.effect("makes it Failed then, and says after how long", () =>
    Effect.gen(function* () {
      const failure = failureOf(yield* executeFor("90 seconds", () => Effect.never, timeout))
      assert.deepInclude(failure, { kind: "Timeout", message: "timed out after 1m 30s" })
      assert.notProperty(failure, "error")
    })
  )

  it.effect("is none by default", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* executeFor("3650 days", () => Effect.never), "still running")
    })
  )

  it.effect("interrupts the handler, closes its Scope, and waits for both", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      const tell = (text: string) =>
        Effect.delay(
          Effect.sync(() => told.push(text)),
          "10 seconds"
        )
      const handle = () =>
        Effect.addFinalizer(() => tell("Scope closed")).pipe(
          Effect.zipRight(Effect.never),
          Effect.onInterrupt(() => tell("interrupted"))
        )
      const fiber = yield* Effect.fork(execute(handle, timeout))
      yield* TestClock.adjust("109 seconds")
      assert.deepStrictEqual([told, yield* Fiber.poll(fiber)], [["interrupted"], Option.none()])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(failureOf(yield* Fiber.join(fiber)).kind, "Timeout")
      assert.deepStrictEqual(told, ["interrupted", "Scope closed"])
    })
  )

  it.effect("leaves an error of the handler that came before it", () =>
    Effect.gen(function* () {
      const outcome = yield* executeFor("2 minutes", () => Effect.delay(Effect.fail(broken), "89 seconds"), timeout)
      assert.deepStrictEqual(failureOf(outcome), { kind: "Error", ...broken })
    })
  )
})

describe("a handler", () => {
  it.effect("is given the encoded payload of the job", () =>
    Effect.gen(function* () {
      const outcome = yield* execute((payload) => Effect.succeed(payload), {}, { user: "42" })
      assert.deepStrictEqual(outcome, { _tag: "Succeeded", value: { user: "42" } })
    })
  )

  it.effect("knows its run from RunContext", () =>
    Effect.gen(function* () {
      const seen = yield* Ref.make(Option.none<RunContext["Type"]>())
      yield* execute(() => Effect.flatMap(RunContext, (context) => Ref.set(seen, Option.some(context))))
      assert.deepInclude(Option.getOrThrow(yield* seen), {
        jobId: "job",
        runId: "job/3/2026-01-01T00:05:00.000Z",
        task: "Task",
        scheduledAt,
        attempt: 2
      })
    })
  )

  it.effect("asks for earlier runs of its job, and tells how far it is", () =>
    Effect.gen(function* () {
      told.length = 0
      const outcome = yield* execute(() =>
        Effect.gen(function* () {
          const run = yield* RunContext
          yield* run.progress({ done: 3, total: 10, note: "a third" })
          const earlier = [yield* Effect.orDie(run.previous), yield* Effect.orDie(run.previousSuccess)]
          return earlier.map(Option.map(({ outcome, runId }) => `${runId} ${outcome}`)).map(Option.getOrNull)
        })
      )
      assert.deepStrictEqual(outcome, { _tag: "Succeeded", value: ["job/ended Failed", "job/succeeded Succeeded"] })
      assert.deepStrictEqual(told, [["job/3/2026-01-01T00:05:00.000Z", { done: 3, total: 10, note: "a third" }]])
    })
  )

  it.effect("logs with the job, the run and the attempt", () =>
    Effect.gen(function* () {
      const logged: Array<unknown> = []
      const logger = Logger.make(({ annotations }) => {
        logged.push(Object.fromEntries(HashMap.toEntries(annotations)))
      })
      const handler = { task: Task.make("Task"), context: Context.empty(), run: () => Effect.log("here") }
      const { job, run } = attemptOf(handler)
      yield* Effect.gen(function* () {
        const [runtime, executor] = yield* Effect.all([Effect.runtime<never>(), Executor.Executor])
        yield* Effect.flatMap(AttemptFiber.start(runtime, executor, run, job, handler, coordinator), Fiber.join)
      }).pipe(Effect.provide([Executor.layerFiber(), Logger.replace(Logger.defaultLogger, logger)]))
      assert.deepStrictEqual(logged, [{ job: "job", run: "job/3/2026-01-01T00:05:00.000Z", attempt: 2 }])
    })
  )

  const ends: Record<string, Effect.Effect<unknown, Task.HandlerFailure>> = {
    "a value": Effect.succeed(1),
    "an error": Effect.fail(broken),
    "a defect": Effect.die("no such field")
  }
  for (const [name, end] of Object.entries(ends)) {
    it.effect(`has a Scope that is closed once, before its outcome is told, when it ends with ${name}`, () =>
      Effect.gen(function* () {
        const told: Array<string> = []
        const tell = (text: string) => Effect.sync(() => told.push(text))
        yield* execute(() =>
          Effect.gen(function* () {
            yield* Effect.addFinalizer(({ _tag }) => tell(`closed: ${_tag}`))
            yield* tell("running")
            return yield* end
          })
        )
        yield* tell("told")
        assert.deepStrictEqual(told, ["running", `closed: ${name === "a value" ? "Success" : "Failure"}`, "told"])
      })
    )
  }

  it.effect("has a Scope of its own in each attempt", () =>
    Effect.gen(function* () {
      const open = yield* Ref.make(0)
      const most = yield* Ref.make(0)
      const handle = () =>
        Effect.gen(function* () {
          yield* Effect.acquireRelease(
            Ref.updateAndGet(open, (n) => n + 1),
            () => Ref.update(open, (n) => n - 1)
          )
          yield* Effect.sleep("1 minute")
          const now = yield* open
          yield* Ref.update(most, (n) => Math.max(n, now))
        })
      const first = yield* Effect.fork(execute(handle))
      yield* TestClock.adjust("30 seconds")
      const second = yield* Effect.fork(execute(handle))
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(first)
      assert.deepStrictEqual([yield* open, yield* most], [1, 2])
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(second)
      assert.strictEqual(yield* open, 0)
    })
  )
})

describe("an interruption from outside", () => {
  it.effect("reaches the handler, waits for it, and ends the attempt without an outcome", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      const started = yield* Effect.makeLatch()
      const tell = (text: string) =>
        Effect.delay(
          Effect.sync(() => told.push(text)),
          "10 seconds"
        )
      const handle = () =>
        Effect.addFinalizer(() => tell("Scope closed")).pipe(
          Effect.zipRight(started.open),
          Effect.zipRight(Effect.never),
          Effect.onInterrupt(() => tell("interrupted"))
        )
      for (const timeout of [Duration.infinity, Duration.minutes(5)]) {
        told.length = 0
        yield* started.close
        const fiber = yield* Effect.fork(execute(handle, { timeout }))
        yield* started.await
        yield* Fiber.interruptFork(fiber)
        yield* TestClock.adjust("19 seconds")
        assert.deepStrictEqual([told, yield* Fiber.poll(fiber)], [["interrupted"], Option.none()])
        yield* TestClock.adjust("1 second")
        const exit = yield* Fiber.await(fiber)
        assert.isTrue(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause))
        assert.deepStrictEqual(told, ["interrupted", "Scope closed"])
      }
    })
  )
})

describe("a handler that Task.toLayer made", () => {
  it.effect("carries a value and a typed error to the outcome in their encoded forms", () =>
    Effect.gen(function* () {
      const Divide = Task.make("Divide", {
        payload: Schema.Struct({ by: Schema.NumberFromString }),
        success: Schema.Struct({ quotient: Schema.NumberFromString }),
        error: Schema.Struct({ refused: Schema.NumberFromString })
      })
      const DivideLive = Task.toLayer(Divide, ({ by }) =>
        by === 0 ? Effect.fail({ refused: by }) : Effect.succeed({ quotient: 12 / by })
      )
      const handler = Task.handlers(yield* Layer.build(DivideLive)).get("Divide")!
      assert.deepStrictEqual(yield* executeHandler(handler, {}, { by: "4" }), {
        _tag: "Succeeded",
        value: { quotient: "3" }
      })
      assert.deepInclude(failureOf(yield* executeHandler(handler, {}, { by: "0" })), {
        kind: "Error",
        error: { refused: "0" }
      })
      assert.strictEqual(failureOf(yield* executeHandler(handler, {}, { by: 0 })).kind, "Defect")
    }).pipe(Effect.scoped)
  )
})
