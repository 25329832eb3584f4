import { assert, describe, it } from "@effect/vitest"
import {
  Clock,
  DateTime,
  Deferred,
  Duration,
  Effect,
  Exit,
  FastCheck,
  Fiber,
  Layer,
  Option,
  Schema,
  type Scope,
  Stream,
  Supervisor,
  TestClock
} from "effect"
import * as Executor from "../src/Executor.ts"
import * as JobStore from "../src/JobStore.ts"
import type { PolicyOptions } from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import { RunContext } from "../src/RunContext.ts"
import * as Scheduler from "../src/Scheduler.ts"
import type { SchedulerEvent } from "../src/SchedulerEvent.ts"
import * as Task from "../src/Task.ts"
import * as Trigger from "../src/Trigger.ts"
import * as FaultyJobStore from "./FaultyJobStore.ts"
import { type Dials, inOwnTime, onClock } from "./FaultyJobStore.ts"

type Service = Scheduler.Scheduler["Type"]

/** Every attempt of a handler that began, as `job nominal-time attempt`. */
const begun: Array<string> = []

const note = Effect.map(RunContext, (run) => {
  begun.push(`${run.jobId} ${run.scheduledAt.epochMillis} ${run.attempt}`)
})

const Quick = Task.make("Quick")
const QuickLive = Task.toLayer(Quick, () => note)

const Slow = Task.make("Slow", { payload: Schema.Struct({ seconds: Schema.Number }) })
const SlowLive = Task.toLayer(Slow, ({ seconds }) => Effect.zipRight(note, Effect.sleep(seconds * 1000)))

/** Lets nobody interrupt it for as long as it takes. */
const Stubborn = Task.make("Stubborn", { payload: Schema.Struct({ seconds: Schema.Number }) })
const stubborn = new Set<Deferred.Deferred<void>>()
const StubbornLive = Task.toLayer(Stubborn, ({ seconds }) =>
  Effect.gen(function* () {
    yield* note
    const isOver = yield* Deferred.make<void>()
    stubborn.add(isOver)
    yield* Effect.forkDaemon(Effect.zipRight(Effect.sleep(seconds * 1000), Deferred.succeed(isOver, undefined)))
    yield* Effect.uninterruptible(Deferred.await(isOver))
  })
)

/** Ends the attempts that would keep a test from ending. */
const freed = <A, E, R>(body: Effect.Effect<A, E, R>) =>
  Effect.ensuring(
    body,
    Effect.suspend(() => Effect.forEach(stubborn, (isOver) => Deferred.succeed(isOver, undefined), { discard: true }))
  )

const Never = Task.make("Never")
const NeverLive = Task.toLayer(Never, () => Effect.never)

/** Goes on until it is interrupted, and tells from when to when. */
const Traced = Task.make("Traced")
const spans: Array<{ readonly from: number; until: number }> = []
const TracedLive = Task.toLayer(Traced, () =>
  Effect.gen(function* () {
    const span = { from: yield* Clock.currentTimeMillis, until: Infinity }
    spans.push(span)
    const told = Effect.map(Clock.currentTimeMillis, (now) => {
      span.until = now
    })
    yield* Effect.onInterrupt(Effect.never, () => told)
  })
)

const HandlersLive = Layer.mergeAll(QuickLive, SlowLive, StubbornLive, NeverLive, TracedLive)

const everySecond = Trigger.interval({ seconds: 1 })
const everyMinute = Trigger.interval({ minutes: 1 })

const live = (options?: Scheduler.Options, handlers: Layer.Layer<never> = HandlersLive as Layer.Layer<never>) =>
  Scheduler.layer(options).pipe(Layer.provide(handlers), Layer.provide(Executor.layerFiber({ concurrency: 10 })))

const onFaulty = (options?: Scheduler.Options, isSplit = false) =>
  Layer.provideMerge(live(options), FaultyJobStore.layer({ isSplit }))

const onMemory = (handlers?: Layer.Layer<never>, options?: Scheduler.Options) =>
  Layer.provideMerge(live(options, handlers), JobStore.layerMemory)

const record = (scheduler: Service) =>
  Effect.gen(function* () {
    const seen: Array<SchedulerEvent> = []
    const events = yield* scheduler.subscribe
    yield* Effect.forkScoped(Stream.runForEach(events, (event) => Effect.sync(() => seen.push(event))))
    return seen
  })

const tags = (events: ReadonlyArray<SchedulerEvent>) => events.map(({ _tag }) => _tag)
const count = (events: ReadonlyArray<SchedulerEvent>, tag: SchedulerEvent["_tag"]) =>
  events.filter(({ _tag }) => _tag === tag).length
const about = (events: ReadonlyArray<SchedulerEvent>, jobId: string) =>
  tags(events.filter((event) => "jobId" in event && event.jobId === jobId))
const times = (runs: ReadonlyArray<Run.Run>) => runs.map(({ scheduledAt }) => scheduledAt.epochMillis)
const stateOf = (run: Run.Run | undefined): string | undefined => run?.state._tag
const failureOf = (run: Run.Run | undefined) => (run?.state._tag === "Failed" ? run.state.failure : undefined)

const settled = TestClock.adjust(0)
const all = { limit: 100_000, order: "oldest" } as const

/** The nominal times that a job of every second or minute has from the first to the last, both inclusive. */
const range = (from: number, to: number, step: number) =>
  Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step)

describe("a handler", () => {
  const test = <E>(
    title: string,
    handler: () => Effect.Effect<unknown, unknown>,
    body: (
      scheduler: Service,
      task: Task.Task<"Bad", typeof Schema.Void, typeof Schema.Unknown, typeof Schema.Unknown>
    ) => Effect.Effect<void, E, Scope.Scope>
  ) => {
    const Bad = Task.make("Bad")
    const layer = Layer.merge(QuickLive, Task.toLayer(Bad, handler)) as unknown as Layer.Layer<never>
    it.scoped(title, () =>
      Effect.flatMap(Scheduler.Scheduler, (scheduler) => body(scheduler, Bad)).pipe(Effect.provide(onMemory(layer)))
    )
  }

  /** Runs the bad job, and a good one after it. */
  const outcome = (scheduler: Service, task: Task.Any, options: PolicyOptions = {}) =>
    Effect.gen(function* () {
      yield* scheduler.add(task, { id: "bad", payload: undefined, ...options } as Scheduler.AddOptions<Task.Any>)
      yield* scheduler.add(Quick, { id: "good", trigger: everySecond })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(stateOf((yield* scheduler.runs({ jobId: "good" }))[0]), "Succeeded")
      assert.isTrue((yield* scheduler.health).isStoreAvailable)
      return (yield* scheduler.runs({ jobId: "bad" }))[0]
    })

  test(
    "that dies fails its run with the defect, and no other",
    () => Effect.dieMessage("boom"),
    (scheduler, task) =>
      Effect.map(outcome(scheduler, task), (run) =>
        assert.deepInclude(failureOf(run), { kind: "Defect", message: "boom" })
      )
  )

  test(
    "that throws before it gives an Effect fails its run with the defect",
    () => {
      throw new Error("thrown")
    },
    (scheduler, task) =>
      Effect.map(outcome(scheduler, task), (run) =>
        assert.deepInclude(failureOf(run), { kind: "Defect", message: "thrown" })
      )
  )

  test(
    "that interrupts itself fails its run",
    () => Effect.interrupt,
    (scheduler, task) =>
      Effect.map(outcome(scheduler, task), (run) => assert.strictEqual(failureOf(run)?.kind, "Defect"))
  )

  test(
    "that interrupts itself is tried again as its retry says",
    () => Effect.interrupt,
    (scheduler, task) =>
      Effect.map(outcome(scheduler, task, { retry: { times: 2, delay: "100 millis" } }), (run) =>
        assert.deepStrictEqual([stateOf(run), run?.attempt], ["Failed", 3])
      )
  )

  test(
    "that hangs is interrupted when its run is cancelled",
    () => Effect.never,
    (scheduler, task) =>
      Effect.gen(function* () {
        const run = yield* outcome(scheduler, task)
        assert.strictEqual(stateOf(run), "Running")
        yield* scheduler.cancel(run!.id)
        yield* settled
        assert.deepInclude((yield* scheduler.runs({ jobId: "bad" }))[0]?.state, {
          _tag: "Cancelled",
          reason: "requested"
        })
        assert.strictEqual((yield* scheduler.health).running, 0)
      })
  )

  test(
    "that hangs is interrupted when its timeout is over, and tried again",
    () => Effect.never,
    (scheduler, task) =>
      Effect.map(
        outcome(scheduler, task, { timeout: "300 millis", retry: { times: 1, delay: "100 millis" } }),
        (run) => {
          assert.deepInclude(failureOf(run), { kind: "Timeout" })
          assert.deepStrictEqual([run?.attempt, run?.failures], [2, 2])
        }
      )
  )

  test(
    "that blocks the event loop for some milliseconds delays the others and loses none",
    () =>
      Effect.sync(() => {
        const end = performance.now() + 20
        while (performance.now() < end);
      }),
    (scheduler, task) =>
      Effect.gen(function* () {
        for (let i = 0; i < 10; i++) yield* scheduler.add(task, { id: `block-${i}` } as Scheduler.AddOptions<Task.Any>)
        assert.strictEqual(stateOf(yield* outcome(scheduler, task)), "Succeeded")
        assert.strictEqual((yield* scheduler.runs({ states: ["Succeeded"] })).length, 12)
      })
  )

  const circular: { self?: unknown } = {}
  circular.self = circular
  const hostile = {
    get message() {
      throw new Error("no message either")
    }
  }

  for (const [name, value] of [
    ["a bigint", 12n],
    ["a circular object", circular],
    ["a function", () => 1],
    ["a symbol", Symbol("s")],
    ["nothing", undefined],
    ["an object without a prototype", Object.create(null)],
    ["an object that throws when it is read", hostile],
    ["an error with a circular cause", new Error("outer", { cause: circular })]
  ] as const) {
    test(
      `that fails with ${name} fails its run, with some text`,
      () => Effect.fail(value),
      (scheduler, task) =>
        Effect.map(outcome(scheduler, task), (run) => {
          assert.strictEqual(stateOf(run), "Failed")
          assert.doesNotThrow(() => JSON.stringify(failureOf(run)))
        })
    )

    test(
      `that dies of ${name} fails its run, with some text`,
      () => Effect.die(value),
      (scheduler, task) =>
        Effect.map(outcome(scheduler, task), (run) => {
          assert.strictEqual(stateOf(run), "Failed")
          assert.doesNotThrow(() => JSON.stringify(failureOf(run)))
        })
    )
  }

  it.scoped("whose error or value has no JSON form by its Schema fails its run with a text", () => {
    const Typed = Task.make("Typed", {
      payload: Schema.Struct({ fails: Schema.Boolean }),
      success: Schema.BigIntFromSelf,
      error: Schema.Struct({ of: Schema.BigIntFromSelf })
    })
    const TypedLive = Task.toLayer(Typed, ({ fails }) => (fails ? Effect.fail({ of: 1n }) : Effect.succeed(1n)))
    return Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Typed, { id: "error", payload: { fails: true } })
      yield* scheduler.add(Typed, { id: "value", payload: { fails: false } })
      yield* settled
      const [error] = yield* scheduler.runs({ jobId: "error" })
      assert.strictEqual(failureOf(error)?.kind, "Error")
      assert.notProperty(failureOf(error), "error")
      const [value] = yield* scheduler.runs({ jobId: "value" })
      assert.strictEqual(failureOf(value)?.kind, "Defect")
      assert.match(failureOf(value)!.message, /not JSON/)
    }).pipe(Effect.provide(onMemory(TypedLive as unknown as Layer.Layer<never>)))
  })

  it.scoped("may call the scheduler's verbs, and even shut it down at once", () => {
    const Ends = Task.make("Ends")
    const EndsLive = Task.toLayer(Ends, () =>
      Effect.flatMap(Deferred.await(handle), (_) => _.shutdown({ wait: false }))
    )
    const handle = Deferred.unsafeMake<Service>(Fiber.id(Fiber.void) as never)
    return Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Ends, { id: "ends" })
      yield* Deferred.succeed(handle, scheduler)
      yield* settled
      assert.strictEqual((yield* scheduler.health).mode, "Stopped")
      assert.strictEqual(stateOf((yield* scheduler.runs())[0]), "Pending")
    }).pipe(Effect.provide(onMemory(EndsLive as unknown as Layer.Layer<never>)))
  })
})

describe("a listener", () => {
  const busy = (scheduler: Service) =>
    Effect.zipRight(scheduler.add(Quick, { id: "a", trigger: everySecond }), TestClock.adjust("20 seconds"))

  it.scoped("that is slow never slows the loop: it loses events, and is told how many", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const every = yield* record(scheduler)
      const slow: Array<SchedulerEvent> = []
      const events = yield* scheduler.subscribe
      yield* Effect.forkScoped(
        Stream.runForEach(events, (event) =>
          Effect.delay(
            Effect.sync(() => slow.push(event)),
            "3 seconds"
          )
        )
      )
      yield* busy(scheduler)
      assert.strictEqual((yield* scheduler.runs({ states: ["Succeeded"] })).length, 20)
      assert.strictEqual(count(every, "RunSucceeded"), 20)
      assert.strictEqual(count(every, "EventsDropped"), 0)
      yield* scheduler.shutdown()
      yield* TestClock.adjust("10 minutes")
      const dropped = slow.flatMap((event) => (event._tag === "EventsDropped" ? [event.count] : []))
      assert.isNotEmpty(dropped)
      const told = slow.length - dropped.length
      const lost = dropped.reduce((sum, n) => sum + n, 0)
      // What is lost at the very end is told when the stream ends, with the layer.
      assert.isAtMost(told + lost, every.length)
      assert.isAbove(told, 5)
    }).pipe(Effect.provide(onMemory(undefined, { eventBuffer: 5 })))
  )

  it.scoped("gets each event once, in order, or is told of its loss: together they are all that happened", () =>
    Effect.gen(function* () {
      const slow: Array<SchedulerEvent> = []
      const every: Array<SchedulerEvent> = []
      const fibers = yield* Effect.gen(function* () {
        const scheduler = yield* Scheduler.Scheduler
        const [own, others] = yield* Effect.all([scheduler.subscribe, scheduler.subscribe])
        const collect = (stream: Stream.Stream<SchedulerEvent>, into: Array<SchedulerEvent>, wait: number) =>
          Effect.forkDaemon(
            Stream.runForEach(stream, (event) =>
              Effect.delay(
                Effect.sync(() => into.push(event)),
                wait
              )
            )
          )
        const made = [yield* collect(own, slow, 2500), yield* collect(others, every, 0)]
        yield* busy(scheduler)
        return made
      }).pipe(Effect.scoped, Effect.provide(onMemory(undefined, { eventBuffer: 4 })))
      yield* TestClock.adjust("10 minutes")
      yield* Fiber.awaitAll(fibers)
      const lost = slow.reduce((sum, event) => sum + (event._tag === "EventsDropped" ? event.count - 1 : 0), 0)
      const gone = every.reduce((sum, event) => sum + (event._tag === "EventsDropped" ? event.count - 1 : 0), 0)
      assert.strictEqual(slow.length + lost, every.length + gone)
    })
  )

  for (const [name, end] of [
    ["dies", Effect.dieMessage("listener")],
    ["fails", Effect.fail("listener")],
    ["goes away", Effect.interrupt]
  ] as const) {
    it.scoped(`that ${name} leaves the loop and the other listeners alone`, () =>
      Effect.gen(function* () {
        const scheduler = yield* Scheduler.Scheduler
        const seen = yield* record(scheduler)
        const fiber = yield* Effect.forkScoped(Stream.runForEach(scheduler.events, () => end))
        yield* settled
        yield* busy(scheduler)
        assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
        assert.strictEqual(count(seen, "RunSucceeded"), 20)
      }).pipe(Effect.provide(onMemory()))
    )
  }
})

describe("a store that goes wrong", () => {
  /** A quick job every five seconds and one of three seconds every ten, in a store that goes wrong in its second minute. */
  const story = (fault: FaultyJobStore.Fault) =>
    Effect.gen(function* () {
      begun.length = 0
      const scheduler = yield* Scheduler.Scheduler
      const { inject, met, sound } = yield* FaultyJobStore.Faults
      const seen = yield* record(scheduler)
      const catchUp = { coalesce: "all", overlap: "queue" } as const
      yield* scheduler.add(Quick, { id: "quick", trigger: Trigger.interval({ seconds: 5 }), ...catchUp })
      yield* scheduler.add(Slow, {
        id: "slow",
        payload: { seconds: 3 },
        trigger: Trigger.interval({ seconds: 10 }),
        ...catchUp
      })
      if (fault.operation === "register") yield* inject(fault)
      yield* scheduler.start
      yield* TestClock.adjust("51 seconds")
      if (fault.operation !== "register") yield* inject(fault)
      yield* TestClock.adjust("69 seconds")
      yield* TestClock.adjust("5 seconds")
      return { scheduler, seen, met, runs: yield* sound.runs(all) }
    })

  const ofJob = (runs: ReadonlyArray<Run.Run>, id: string) => runs.filter(({ jobId }) => jobId === id)

  /** Every occurrence is one run, and none of them is left over. */
  const nothingLost = (runs: ReadonlyArray<Run.Run>) => {
    assert.deepStrictEqual(times(ofJob(runs, "quick")), range(5000, 125_000, 5000))
    assert.deepStrictEqual(times(ofJob(runs, "slow")), range(10_000, 120_000, 10_000))
    assert.deepStrictEqual(new Set(runs.map(stateOf)), new Set(["Succeeded"]))
  }

  const twice = (id: string) => {
    const runs = begun.filter((line) => line.startsWith(`${id} `)).map((line) => line.split(" ")[1])
    return runs.length - new Set(runs).size
  }

  for (const operation of FaultyJobStore.turnOperations) {
    for (const how of ["fail", "die", "hang"] as const) {
      // To die afterwards is as to fail afterwards.
      for (const when of how === "die" ? (["before"] as const) : (["before", "after"] as const)) {
        it.scoped(`(${operation}: ${how} ${when}) is asked again until it answers: nothing is lost or run twice`, () =>
          Effect.gen(function* () {
            const { met, runs, scheduler, seen } = yield* story({ operation, how, when, during: "20 seconds" })
            assert.isNotEmpty(met)
            nothingLost(runs)
            assert.strictEqual(count(seen, "StoreUnavailable"), count(seen, "StoreRecovered"))
            // A node that cannot renew registers anew: the store seems to have recovered in between.
            if (operation !== "renew") assert.strictEqual(count(seen, "StoreUnavailable"), 1)
            assert.isTrue((yield* scheduler.health).isStoreAvailable)
            assert.strictEqual((yield* scheduler.health).running, 0)
            assert.strictEqual(twice("quick"), 0)
            // A handler that was interrupted because the lease was lost begins again: nothing else does.
            if (count(seen, "LeaseLost") === 0) assert.strictEqual(twice("slow"), 0)
          }).pipe(Effect.provide(onFaulty({ autoStart: false }, operation === "start")), inOwnTime)
        )
      }
    }
  }
})

describe("a store that answers in time only if little is asked of it", () => {
  const MOST = 20

  /** As a database that is slow, or has much to catch up with, does not answer large questions before they are given up. */
  const onSlow = Layer.effect(
    JobStore.JobStore,
    Effect.map(JobStore.makeMemory(), (sound) => {
      const { store } = FaultyJobStore.make(sound)
      const upTo = <A, E>(count: number, effect: Effect.Effect<A, E>) => (count > MOST ? Effect.never : effect)
      return JobStore.JobStore.of({
        ...store,
        claim: (_) => upTo(_.limit, store.claim(_)),
        start: (_) => upTo(_.limit, store.start(_)),
        recover: (_) => upTo(_.limit, store.recover(_)),
        settle: (settlements, now) => upTo(settlements.length, store.settle(settlements, now))
      })
    })
  )

  it.scoped("is asked less at a time, until all is done", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const jobs = Array.from({ length: 200 }, (_, i) => Scheduler.job(Quick, { id: `job-${i}`, trigger: Trigger.now }))
      yield* scheduler.addAll(jobs)
      yield* scheduler.start
      yield* TestClock.adjust("5 minutes")
      assert.lengthOf(
        (yield* scheduler.runs({ limit: 1000 })).filter((run) => stateOf(run) === "Succeeded"),
        200
      )
    }).pipe(
      Effect.provide(
        Scheduler.layer({ autoStart: false }).pipe(
          Layer.provide(HandlersLive),
          Layer.provide(Executor.layerFiber({ concurrency: 100 })),
          Layer.provide(onSlow)
        )
      ),
      inOwnTime
    )
  )
})

describe("a store that did what it was asked and failed to say so", () => {
  const test = <E>(
    title: string,
    body: (scheduler: Service, faults: FaultyJobStore.Faults["Type"]) => Effect.Effect<void, E, Scope.Scope>,
    options?: Scheduler.Options,
    isSplit = true
  ) =>
    it.scoped(title, () =>
      Effect.gen(function* () {
        begun.length = 0
        yield* body(yield* Scheduler.Scheduler, yield* FaultyJobStore.Faults)
      }).pipe(Effect.provide(onFaulty(options, isSplit)), inOwnTime)
    )

  const once = { how: "fail", when: "after", calls: 1 } as const

  test("(claim) has the run carried out; only that it was submitted is not told", (scheduler, { inject }) =>
    Effect.gen(function* () {
      const seen = yield* record(scheduler)
      yield* settled
      yield* inject({ operation: "claim", ...once })
      yield* scheduler.add(Quick, { id: "a" })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(about(seen, "a"), ["JobAdded", "RunStarted", "RunSucceeded", "JobRemoved"])
      assert.deepStrictEqual(begun, ["a 0 1"])
    }))

  test(
    "(claim) gets back what it started with it, and begins it in its second attempt, once",
    (scheduler, { inject }) =>
      Effect.gen(function* () {
        const seen = yield* record(scheduler)
        yield* settled
        yield* inject({ operation: "claim", ...once })
        yield* scheduler.add(Quick, { id: "a" })
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(about(seen, "a"), [
          "JobAdded",
          "RunReleased",
          "RunStarted",
          "RunSucceeded",
          "JobRemoved"
        ])
        assert.deepStrictEqual(begun, ["a 0 2"])
      }),
    undefined,
    false
  )

  test("(start) gets the run back and begins it in its second attempt, once", (scheduler, { inject }) =>
    Effect.gen(function* () {
      const seen = yield* record(scheduler)
      yield* settled
      yield* inject({ operation: "start", ...once })
      yield* scheduler.add(Quick, { id: "a" })
      yield* TestClock.adjust("1 second")
      const own = ["JobAdded", "RunSubmitted", "RunReleased", "RunStarted", "RunSucceeded", "JobRemoved"]
      assert.deepStrictEqual(about(seen, "a"), own)
      assert.deepStrictEqual(begun, ["a 0 2"])
    }))

  test("(start) never begins a run that must not be tried again", (scheduler, { inject }) =>
    Effect.gen(function* () {
      yield* settled
      yield* inject({ operation: "start", ...once })
      yield* scheduler.add(Quick, { id: "a", onCrash: "abandon" })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual((yield* scheduler.runs()).map(stateOf), ["Abandoned"])
      assert.deepStrictEqual(begun, [])
    }))

  test("(settle) keeps the result; only that the run succeeded is not told", (scheduler, { inject }) =>
    Effect.gen(function* () {
      const seen = yield* record(scheduler)
      yield* settled
      yield* inject({ operation: "settle", ...once })
      const run = yield* Effect.flatMap(scheduler.add(Quick, { id: "a", trigger: everyMinute }), ({ id }) =>
        scheduler.runNow(id)
      )
      const waiter = yield* Effect.forkScoped(scheduler.awaitRun(run.id))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(stateOf(yield* Fiber.join(waiter)), "Succeeded")
      assert.deepStrictEqual(about(seen, "a"), ["JobAdded", "RunSubmitted", "RunStarted"])
      assert.deepStrictEqual(begun, ["a 0 1"])
    }))

  test("(add) tells its caller, and the job runs", (scheduler, { inject }) =>
    Effect.gen(function* () {
      yield* settled
      yield* inject({ operation: "add", ...once })
      const error = yield* Effect.flip(scheduler.add(Quick, { id: "a" }))
      assert.strictEqual(error._tag, "StoreError")
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual(begun, ["a 0 1"])
    }))

  test("(release) ends the scheduler all the same", (scheduler, { inject }) =>
    Effect.gen(function* () {
      const seen = yield* record(scheduler)
      yield* inject({ operation: "release", how: "fail", when: "before" })
      yield* scheduler.shutdown()
      yield* settled
      assert.strictEqual((yield* scheduler.health).mode, "Stopped")
      assert.strictEqual(tags(seen).at(-1), "SchedulerShutdown")
    }))

  test("(release) ends the scheduler all the same when it dies", (scheduler, { inject }) =>
    Effect.gen(function* () {
      const seen = yield* record(scheduler)
      yield* inject({ operation: "release", how: "die", when: "before" })
      yield* scheduler.shutdown()
      yield* settled
      assert.strictEqual((yield* scheduler.health).mode, "Stopped")
      assert.deepStrictEqual(tags(seen).slice(-1), ["SchedulerShutdown"])
    }))

  test("(start) after the loop has given up waiting leaves no run that nobody carries out", (scheduler, {
    inject,
    sound
  }) =>
    Effect.gen(function* () {
      yield* settled
      yield* inject({ operation: "start", how: "late", when: "after", calls: 1, by: "25 seconds" })
      // As many as there are slots are taken by the retry of the loop, and as many more by the late statement.
      for (let i = 0; i < 20; i++) yield* scheduler.add(Slow, { id: `slow-${i}`, payload: { seconds: 60 } })
      yield* TestClock.adjust("10 minutes")
      const states = (yield* sound.runs(all)).map(stateOf)
      assert.deepStrictEqual(
        states,
        Array.from({ length: 20 }, () => "Succeeded")
      )
    }))

  test("never answers while the scheduler is shut down: it ends once its patience is over", (scheduler, { inject }) =>
    Effect.gen(function* () {
      const seen = yield* record(scheduler)
      yield* scheduler.add(Never, { id: "a" })
      yield* settled
      for (const operation of FaultyJobStore.turnOperations) yield* inject({ operation, how: "hang", when: "before" })
      yield* inject({ operation: "release", how: "hang", when: "before" })
      const ended = yield* Effect.forkScoped(scheduler.shutdown({ wait: false }))
      yield* TestClock.adjust("1 minute")
      assert.isTrue(Exit.isSuccess(yield* ended.await))
      assert.strictEqual(tags(seen).at(-1), "SchedulerShutdown")
    }))
})

describe("a node that loses its lease", () => {
  /** Two schedulers on one store, the first of which may be cut off from it. */
  const twoNodes = <E>(
    body: (
      a: Service,
      b: Service,
      cut: Effect.Effect<void>,
      heal: Effect.Effect<void>
    ) => Effect.Effect<void, E, Scope.Scope>,
    how: FaultyJobStore.Fault["how"] = "hang"
  ) =>
    Effect.gen(function* () {
      begun.length = 0
      const sound = yield* JobStore.makeMemory()
      const [first, second] = [FaultyJobStore.make(sound), FaultyJobStore.make(sound)]
      const on = (store: JobStore.JobStore["Type"], options?: Scheduler.Options) =>
        Layer.build(live(options).pipe(Layer.provide(Layer.succeed(JobStore.JobStore, store)))).pipe(
          Effect.flatMap((context) => Effect.provide(Scheduler.Scheduler, context))
        )
      const a = yield* on(first.store)
      const b = yield* on(second.store, { autoStart: false })
      const spoil = FaultyJobStore.turnOperations.map((operation) => ({ operation, how, when: "before" }) as const)
      const { heal, inject } = first.faults
      yield* freed(Effect.ensuring(body(a, b, inject(...spoil), heal), heal))
    }).pipe(inOwnTime)

  it.scoped("has interrupted what it holds before another node takes it over, and comes back", () =>
    twoNodes((a, b, cut, heal) =>
      Effect.gen(function* () {
        const [first, second] = [yield* record(a), yield* record(b)]
        yield* a.add(Slow, { id: "slow", payload: { seconds: 100 } })
        yield* TestClock.adjust("6 seconds")
        yield* b.start
        yield* cut
        yield* TestClock.adjust("30 seconds")
        const lost = first.find(({ _tag }) => _tag === "LeaseLost")
        const taken = second.find(({ _tag }) => _tag === "RunStarted")
        if (lost?._tag !== "LeaseLost" || taken?._tag !== "RunStarted") return assert.fail("nobody took over")
        assert.isAtMost(lost.at.epochMillis, taken.at.epochMillis)
        assert.strictEqual((yield* a.health).running, 0)
        // With the defaults a dead node's runs are taken over within fifteen seconds of its last sign of life.
        assert.isAtMost(taken.at.epochMillis, 5000 + 16_000)
        assert.deepStrictEqual(begun, ["slow 0 1", "slow 0 2"])
        yield* heal
        yield* TestClock.adjust("10 seconds")
        assert.isTrue((yield* a.health).isStoreAvailable)
        assert.isTrue(Option.isSome((yield* a.health).node))
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual((yield* b.runs()).map(stateOf), ["Succeeded"])
        assert.deepStrictEqual(begun, ["slow 0 1", "slow 0 2"])
      })
    )
  )

  for (const how of ["fail", "hang", "stuck"] as const) {
    it.scoped(`interrupts what it holds before its lease is over when every operation does this: ${how}`, () =>
      twoNodes(
        (a, b, cut, heal) =>
          Effect.gen(function* () {
            spans.length = 0
            yield* a.add(Traced, { id: "traced" })
            yield* TestClock.adjust("6 seconds")
            yield* b.start
            yield* cut
            yield* TestClock.adjust("30 seconds")
            const [first, second] = spans
            // The last sign of life was given after five seconds.
            assert.isAtMost(first!.until, 5000 + 15_000)
            assert.isAtLeast(second!.from, first!.until)
            assert.isAtMost(second!.from, 5000 + 15_000 + 1)
            yield* heal
            yield* TestClock.adjust("10 seconds")
          }),
        how
      )
    )
  }

  it.scoped("does not count the end of an attempt that another node has taken over", () =>
    twoNodes((a, b, cut, heal) =>
      Effect.gen(function* () {
        yield* a.add(Stubborn, { id: "stubborn", payload: { seconds: 40 } })
        yield* TestClock.adjust("6 seconds")
        yield* b.start
        yield* cut
        yield* TestClock.adjust("36 seconds")
        yield* heal
        // The first attempt has ended at 40 s, on a node that had lost it; the second one runs from about 20 s on.
        assert.deepStrictEqual((yield* b.runs()).map(stateOf), ["Running"])
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(
          (yield* b.runs()).map((run) => [stateOf(run), run.attempt]),
          [["Succeeded", 2]]
        )
        // At least once: this is the one case in which two attempts overlap.
        assert.deepStrictEqual(begun, ["stubborn 0 1", "stubborn 0 2"])
      })
    )
  )

  it.scoped("does not begin a run again while its own attempt of it goes on against its interruption", () =>
    Effect.gen(function* () {
      begun.length = 0
      const scheduler = yield* Scheduler.Scheduler
      const { sound } = yield* FaultyJobStore.Faults
      yield* scheduler.add(Stubborn, { id: "stubborn", payload: { seconds: 60 } })
      yield* settled
      yield* sound.release(Option.getOrThrow((yield* scheduler.health).node))
      yield* TestClock.adjust("50 seconds")
      assert.deepStrictEqual(begun, ["stubborn 0 1"])
      assert.strictEqual((yield* scheduler.health).running, 1)
    }).pipe(freed, Effect.provide(onFaulty()), inOwnTime)
  )

  it.scoped("knows of every attempt that goes on in it, so that its shutdown waits for all of them", () =>
    Effect.gen(function* () {
      begun.length = 0
      const scheduler = yield* Scheduler.Scheduler
      const { sound } = yield* FaultyJobStore.Faults
      yield* scheduler.add(Stubborn, { id: "stubborn", payload: { seconds: 60 } })
      yield* settled
      yield* sound.release(Option.getOrThrow((yield* scheduler.health).node))
      // The first attempt has ended at 60 s; if there is a second one, it goes on until 65 s.
      yield* TestClock.adjust("62 seconds")
      assert.strictEqual((yield* scheduler.health).running, 1)
      assert.deepStrictEqual((yield* sound.runs(all)).map(stateOf), ["Running"])
      const ended = yield* Effect.forkScoped(scheduler.shutdown({ wait: true }))
      yield* TestClock.adjust("1 second")
      assert.isTrue(Option.isNone(yield* ended.poll))
    }).pipe(freed, Effect.provide(onFaulty()), inOwnTime)
  )
})

describe("a store with any faults that heal", () => {
  const operations: ReadonlyArray<FaultyJobStore.Operation> = [...FaultyJobStore.turnOperations, "runs"]
  const fault = FastCheck.record({
    at: FastCheck.integer({ min: 0, max: 30 }),
    fault: FastCheck.record({
      operation: FastCheck.constantFrom(...operations),
      how: FastCheck.constantFrom("fail" as const, "die" as const, "hang" as const, "delay" as const),
      when: FastCheck.constantFrom("before" as const, "after" as const),
      skip: FastCheck.integer({ min: 0, max: 3 }),
      calls: FastCheck.integer({ min: 1, max: 4 })
    })
  })

  it.scoped.prop(
    "leaves exactly one run of every occurrence, none of them held by nobody, and a loop that goes on",
    [FastCheck.array(fault, { minLength: 1, maxLength: 6 })],
    ([plan]) =>
      Effect.gen(function* () {
        begun.length = 0
        const scheduler = yield* Scheduler.Scheduler
        const { heal, inject, sound } = yield* FaultyJobStore.Faults
        const seen = yield* record(scheduler)
        for (const { at, fault } of plan) yield* Effect.forkScoped(Effect.delay(inject(fault), at * 1000))
        const catchUp = { coalesce: "all", overlap: "queue", crashLimit: 100 } as const
        yield* scheduler.add(Quick, { id: "a", trigger: Trigger.interval({ seconds: 3 }), ...catchUp })
        yield* scheduler.add(Quick, { id: "b", trigger: Trigger.interval({ seconds: 7 }), ...catchUp, maxInstances: 3 })
        yield* scheduler.add(Slow, {
          id: "s",
          trigger: Trigger.interval({ seconds: 10 }),
          payload: { seconds: 2 },
          ...catchUp
        })
        yield* scheduler.start
        yield* TestClock.adjust("90 seconds")
        yield* heal
        yield* TestClock.adjust("45 seconds")
        const runs = yield* sound.runs(all)
        const timesOf = (id: string) => times(runs.filter(({ jobId }) => jobId === id))
        assert.deepStrictEqual(timesOf("a"), range(3000, 135_000, 3000))
        assert.deepStrictEqual(timesOf("b"), range(7000, 133_000, 7000))
        assert.deepStrictEqual(timesOf("s"), range(10_000, 130_000, 10_000))
        assert.deepStrictEqual(new Set(runs.map(stateOf)), new Set(["Succeeded"]))
        const health = yield* scheduler.health
        assert.deepStrictEqual([health.mode, health.isStoreAvailable, health.running], ["Running", true, 0])
        assert.strictEqual(count(seen, "StoreUnavailable"), count(seen, "StoreRecovered"))
        const quick = begun.filter((line) => !line.startsWith("s"))
        assert.strictEqual(new Set(quick.map((line) => line.replace(/ \d+$/, ""))).size, quick.length)
      }).pipe(Effect.provide(onFaulty({ autoStart: false })), Effect.scoped, inOwnTime),
    { fastCheck: { numRuns: Number(process.env.FAULT_RUNS ?? 8) }, timeout: 300_000 }
  )
})

describe("a wall clock", () => {
  const test = <E>(
    title: string,
    body: (
      scheduler: Service,
      dials: Dials,
      seen: ReadonlyArray<SchedulerEvent>
    ) => Effect.Effect<void, E, Scope.Scope>,
    options: Scheduler.Options = { watch: "10 seconds" }
  ) =>
    it.scoped(title, () =>
      onClock((dials) =>
        Effect.gen(function* () {
          begun.length = 0
          const scheduler = yield* Scheduler.Scheduler
          const seen = yield* record(scheduler)
          yield* settled
          yield* body(scheduler, dials, seen)
        }).pipe(Effect.provide(onMemory(undefined, options)))
      )
    )

  const jumps = (seen: ReadonlyArray<SchedulerEvent>) =>
    seen.flatMap((event) => (event._tag === "ClockJumped" ? [event.millis] : []))
  const HOUR = 3_600_000

  test("set forward by hours is told once, and what it stepped over is caught up within `watch`", (scheduler, dials, seen) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "a", trigger: Trigger.interval({ hours: 1 }), coalesce: "all" })
      yield* TestClock.adjust("1 minute")
      dials.offset = 5 * HOUR
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(jumps(seen), [5 * HOUR])
      assert.deepStrictEqual(times(yield* scheduler.runs(all)), range(HOUR, 5 * HOUR, HOUR))
      yield* TestClock.adjust("59 minutes")
      assert.deepStrictEqual(times(yield* scheduler.runs(all)), range(HOUR, 6 * HOUR, HOUR))
      assert.deepStrictEqual(jumps(seen), [5 * HOUR])
    }))

  test("set forward over one due time has it run once, late by no more than `watch`", (scheduler, dials, seen) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "a", trigger: everyMinute })
      yield* TestClock.adjust("55 seconds")
      dials.offset = 30_000
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(begun, ["a 60000 1"])
      assert.deepStrictEqual(jumps(seen), [30_000])
      const run = (yield* scheduler.runs())[0]!
      assert.isAtMost(Duration.toMillis(Option.getOrThrow(Run.lateness(run))), 40_000)
    }))

  test(
    "set back by an hour runs nothing twice, and goes on when it comes to the next time",
    (scheduler, dials, seen) =>
      Effect.gen(function* () {
        yield* scheduler.add(Quick, { id: "a", trigger: everyMinute, coalesce: "all" })
        yield* scheduler.add(Quick, { id: "cron", trigger: Trigger.cron({ minute: "*", timezone: "UTC" }) })
        yield* TestClock.adjust("2 hours")
        assert.strictEqual(begun.length, 240)
        dials.offset = -HOUR
        yield* TestClock.adjust("50 minutes")
        assert.deepStrictEqual(jumps(seen), [-HOUR])
        assert.strictEqual(begun.length, 240)
        yield* TestClock.adjust("20 minutes")
        assert.strictEqual(begun.length, 260)
        assert.strictEqual(new Set(begun).size, 260)
        assert.deepStrictEqual(jumps(seen), [-HOUR])
      }),
    { watch: "1 minute" }
  )

  test("set back under a run keeps it, and it ends", (scheduler, dials) =>
    Effect.gen(function* () {
      yield* scheduler.add(Slow, { id: "slow", payload: { seconds: 100 } })
      yield* TestClock.adjust("30 seconds")
      dials.offset = -HOUR
      yield* TestClock.adjust("80 seconds")
      assert.deepStrictEqual((yield* scheduler.runs()).map(stateOf), ["Succeeded"])
      assert.deepStrictEqual(begun, ["slow 0 1"])
    }))

  test("that goes on while the machine sleeps for hours is told once, and the job coalesces", (scheduler, dials, seen) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "a", trigger: everyMinute })
      yield* TestClock.adjust("90 seconds")
      dials.offset += 8 * HOUR
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(jumps(seen), [8 * HOUR])
      assert.deepStrictEqual(
        begun.map((line) => Number(line.split(" ")[1])),
        [60_000, 8 * HOUR + 60_000]
      )
    }))

  test("set there and back is told twice", (scheduler, dials, seen) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "a", trigger: everyMinute })
      dials.offset = 2 * HOUR
      yield* TestClock.adjust("20 seconds")
      dials.offset = 0
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(jumps(seen), [2 * HOUR, -2 * HOUR])
    }))

  test("that drifts by less than a second between two looks is not told", (scheduler, dials, seen) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "a", trigger: everyMinute })
      for (let i = 0; i < 60; i++) {
        dials.offset += 900
        yield* TestClock.adjust("10 seconds")
      }
      assert.deepStrictEqual(jumps(seen), [])
      assert.strictEqual(begun.length, 10)
    }))

  test("that answers the same instant several times runs every time once", (scheduler, dials, seen) =>
    Effect.gen(function* () {
      dials.step = 100
      yield* scheduler.add(Quick, { id: "a", trigger: Trigger.interval({ millis: 40 }), coalesce: "all" })
      const manual = yield* Effect.all([scheduler.runNow("a"), scheduler.runNow("a"), scheduler.runNow("a")])
      assert.strictEqual(new Set(manual.map(({ id }) => id)).size, 3)
      yield* TestClock.adjust("2 seconds")
      const scheduled = (yield* scheduler.runs(all)).filter(({ key }) => !key.startsWith("manual"))
      assert.deepStrictEqual(times(scheduled), range(40, 2000, 40))
      const own = begun.filter((line) => !line.startsWith("a 0 "))
      assert.strictEqual(new Set(own).size, own.length)
      assert.deepStrictEqual(jumps(seen), [])
    }))

  test(
    "set back by hours does not put off for hours that old history is given up",
    (scheduler, dials, seen) =>
      Effect.gen(function* () {
        yield* scheduler.add(Quick, {
          id: "a",
          trigger: Trigger.interval({ hours: 1 }),
          retention: { age: "5 seconds" }
        })
        yield* TestClock.adjust("182 minutes")
        dials.offset = -2 * HOUR
        yield* TestClock.adjust("1 minute")
        yield* scheduler.runNow("a")
        const before = count(seen, "HistoryPruned")
        yield* TestClock.adjust("2 minutes")
        assert.isAbove(count(seen, "HistoryPruned"), before)
      }),
    { watch: "1 minute" }
  )

  test("set while the scheduler is about to be shut down does not keep it from ending", (scheduler, dials) =>
    Effect.gen(function* () {
      yield* scheduler.add(Slow, { id: "slow", payload: { seconds: 100 } })
      yield* settled
      const ended = yield* Effect.forkScoped(scheduler.shutdown({ wait: "30 seconds" }))
      dials.offset = -HOUR
      yield* TestClock.adjust("30 seconds")
      assert.isTrue(Exit.isSuccess(yield* ended.await))
    }))
})

describe("a timer", () => {
  const MOST = 2 ** 31 - 1

  it.scoped("that fires too early starts nothing before its time", () =>
    onClock((dials) =>
      Effect.gen(function* () {
        begun.length = 0
        dials.sleep = (millis) => Math.max(1, Math.floor(millis / 2))
        const scheduler = yield* Scheduler.Scheduler
        const seen = yield* record(scheduler)
        yield* scheduler.add(Quick, { id: "a", trigger: everyMinute })
        yield* TestClock.adjust("5 minutes")
        const started = seen.flatMap((event) => (event._tag === "RunStarted" ? [event.at.epochMillis] : []))
        assert.deepStrictEqual(started, range(60_000, 300_000, 60_000))
      }).pipe(Effect.provide(onMemory()))
    )
  )

  it.scoped("of 100 days is set in parts that a timer of Node holds, and the job runs on time", () =>
    onClock((dials) =>
      Effect.gen(function* () {
        begun.length = 0
        const asked: Array<number> = []
        dials.sleep = (millis) => {
          asked.push(millis)
          // As setTimeout does.
          return millis > MOST ? 1 : millis
        }
        const scheduler = yield* Scheduler.Scheduler
        const seen = yield* record(scheduler)
        yield* scheduler.add(Quick, { id: "a", trigger: Trigger.interval({ days: 100 }) })
        yield* TestClock.adjust("101 days")
        assert.deepStrictEqual(begun, [`a ${100 * 86_400_000} 1`])
        assert.isAtMost(Math.max(...asked), MOST)
        assert.isAtMost(asked.length, 20)
        assert.deepStrictEqual(
          seen.flatMap((event) => (event._tag === "RunStarted" ? [event.at.epochMillis] : [])),
          [100 * 86_400_000]
        )
      }).pipe(Effect.provide(onMemory()))
    )
  )
})

describe("starting and stopping", () => {
  it.scoped("500 times at once leaves no fiber and no node behind, and starts nothing after an end", () =>
    Effect.gen(function* () {
      begun.length = 0
      const supervisor = yield* Supervisor.track
      const { faults, store } = FaultyJobStore.make(yield* JobStore.makeMemory(), { timing: FaultyJobStore.endless })
      const shared = Layer.succeed(JobStore.JobStore, store)
      const told: Array<ReadonlyArray<SchedulerEvent>> = []
      const once = (i: number) =>
        Effect.gen(function* () {
          const scheduler = yield* Scheduler.Scheduler
          const seen = yield* record(scheduler)
          told.push(seen)
          if (i === 0) yield* scheduler.add(Quick, { id: "a", trigger: everySecond, coalesce: "all" })
          if (i % 7 === 0) yield* scheduler.add(Slow, { id: `slow-${i}`, payload: { seconds: 2 } })
          yield* Effect.sleep(i % 50)
          if (i % 3 === 0) yield* scheduler.shutdown({ wait: i % 2 === 0 ? "20 millis" : false })
        }).pipe(Effect.provide(Layer.provide(live(), shared)), Effect.scoped)
      const fiber = yield* Effect.fork(
        Effect.supervised(
          Effect.forEach(range(0, 499, 1), (i) => once(i), { concurrency: "unbounded", discard: true }),
          supervisor
        )
      )
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(fiber)
      const left = (yield* supervisor.value).filter((child) => child.unsafePoll() === null)
      assert.strictEqual(left.length, 0)
      assert.strictEqual(faults.calls.get("register"), faults.calls.get("release"))
      assert.strictEqual(faults.nodes.size, 0)
      assert.strictEqual(told.length, 500)
      for (const seen of told) {
        const end = tags(seen).indexOf("SchedulerShutdown")
        if (end >= 0) assert.notInclude(tags(seen).slice(end), "RunStarted")
      }
      const before = begun.length
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(begun.length, before)
      assert.notInclude((yield* faults.sound.runs(all)).map(stateOf), "Running")
      // One scheduler more carries out all that is left.
      yield* Effect.provide(TestClock.adjust("20 seconds"), Layer.provide(live(), shared))
      const runs = yield* faults.sound.runs(all)
      assert.deepStrictEqual(times(runs.filter(({ jobId }) => jobId === "a")), range(1000, times(runs).at(-1)!, 1000))
      assert.strictEqual(runs.filter(({ jobId, state }) => jobId !== "a" && state._tag === "Succeeded").length, 72)
    }).pipe(inOwnTime)
  )

  const test = <E>(
    title: string,
    body: (
      scheduler: Service,
      seen: ReadonlyArray<SchedulerEvent>,
      faults: FaultyJobStore.Faults["Type"]
    ) => Effect.Effect<void, E, Scope.Scope>
  ) =>
    it.scoped(title, () =>
      Effect.gen(function* () {
        begun.length = 0
        const scheduler = yield* Scheduler.Scheduler
        const seen = yield* record(scheduler)
        yield* settled
        yield* body(scheduler, seen, yield* FaultyJobStore.Faults)
      }).pipe(freed, Effect.provide(onFaulty()), inOwnTime)
    )

  const isOver = (fiber: Fiber.RuntimeFiber<void>) => Effect.map(fiber.poll, Option.isSome)

  test("twice, and three times, ends once", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* Effect.all([scheduler.shutdown(), scheduler.shutdown({ wait: false }), scheduler.shutdown()], {
        concurrency: "unbounded"
      })
      yield* scheduler.shutdown({ wait: "1 hour" })
      assert.strictEqual(count(seen, "SchedulerShutdown"), 1)
    }))

  test("in the middle of a claim lets it end, and starts nothing of it", (scheduler, seen, { inject, sound }) =>
    Effect.gen(function* () {
      yield* inject({ operation: "claim", how: "delay", when: "after", by: "3 seconds" })
      yield* scheduler.add(Quick, { id: "a" })
      yield* TestClock.adjust("1 second")
      const ended = yield* Effect.forkScoped(scheduler.shutdown())
      yield* TestClock.adjust("1 second")
      assert.isFalse(yield* isOver(ended))
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* isOver(ended))
      const end = tags(seen).indexOf("SchedulerShutdown")
      assert.notInclude(tags(seen).slice(end), "RunStarted")
      const [run] = yield* sound.runs(all)
      assert.include(["Pending", "Succeeded"], stateOf(run))
      assert.strictEqual(begun.length, stateOf(run) === "Succeeded" ? 1 : 0)
    }))

  test("with wait: true waits for attempts under way as long as they take, but starts no retry", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* scheduler.add(Slow, { id: "slow", payload: { seconds: 90 } })
      yield* scheduler.add(Slow, { id: "late", payload: { seconds: 90 }, timeout: "10 seconds", retry: { times: 3 } })
      yield* settled
      const ended = yield* Effect.forkScoped(scheduler.shutdown({ wait: true }))
      yield* TestClock.adjust("89 seconds")
      assert.isFalse(yield* isOver(ended))
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* isOver(ended))
      assert.deepStrictEqual(about(seen, "slow").slice(-2), ["RunSucceeded", "JobRemoved"])
      assert.strictEqual(about(seen, "late").at(-1), "RunRetrying")
      assert.strictEqual(begun.length, 2)
    }))

  test("with wait: false releases what is under way at once", (scheduler, seen, { nodes, sound }) =>
    Effect.gen(function* () {
      for (let i = 0; i < 5; i++) yield* scheduler.add(Slow, { id: `slow-${i}`, payload: { seconds: 90 } })
      yield* settled
      yield* scheduler.shutdown({ wait: false })
      assert.strictEqual(count(seen, "RunReleased"), 5)
      assert.deepStrictEqual(new Set((yield* sound.runs(all)).map(stateOf)), new Set(["Pending"]))
      assert.strictEqual(nodes.size, 0)
    }))

  test("with a duration interrupts what is under way after it; a second, shorter one counts", (scheduler) =>
    Effect.gen(function* () {
      yield* scheduler.add(Slow, { id: "slow", payload: { seconds: 90 } })
      yield* settled
      const ended = yield* Effect.forkScoped(scheduler.shutdown({ wait: "60 seconds" }))
      yield* TestClock.adjust("10 seconds")
      yield* Effect.forkScoped(scheduler.shutdown({ wait: "5 seconds" }))
      yield* TestClock.adjust("4 seconds")
      assert.isFalse(yield* isOver(ended))
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* isOver(ended))
    }))

  test("waits for an attempt that ignores its interruption, and keeps its lease meanwhile", (scheduler, seen, {
    nodes,
    sound
  }) =>
    Effect.gen(function* () {
      yield* scheduler.add(Stubborn, { id: "stubborn", payload: { seconds: 40 } })
      yield* settled
      const ended = yield* Effect.forkScoped(scheduler.shutdown({ wait: false }))
      yield* TestClock.adjust("39 seconds")
      assert.isFalse(yield* isOver(ended))
      assert.strictEqual((yield* scheduler.health).mode, "Draining")
      const now = yield* DateTime.now
      assert.deepStrictEqual(yield* sound.recover({ now, limit: 10 }), [])
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* isOver(ended))
      assert.strictEqual(count(seen, "LeaseLost"), 0)
      assert.strictEqual(nodes.size, 0)
      assert.deepStrictEqual(begun, ["stubborn 0 1"])
    }))

  test("while the store is away ends as soon as nothing runs any more", (scheduler, seen, { inject }) =>
    Effect.gen(function* () {
      yield* scheduler.add(Slow, { id: "slow", payload: { seconds: 8 } })
      yield* settled
      const operations = [...FaultyJobStore.turnOperations, "release"] as const
      yield* inject(...operations.map((operation) => ({ operation, how: "fail", when: "before" }) as const))
      const ended = yield* Effect.forkScoped(scheduler.shutdown())
      yield* TestClock.adjust("7 seconds")
      assert.isFalse(yield* isOver(ended))
      yield* TestClock.adjust("8 seconds")
      assert.isTrue(yield* isOver(ended))
      assert.strictEqual(tags(seen).at(-1), "SchedulerShutdown")
    }))

  it.scoped(
    "gives somebody who waits for a run after the end of the scheduler an answer or rest, not a busy loop",
    () =>
      Effect.gen(function* () {
        const { faults, store } = FaultyJobStore.make(yield* JobStore.makeMemory(), { timing: FaultyJobStore.endless })
        const layer = Layer.provide(live(), Layer.succeed(JobStore.JobStore, store))
        const [scheduler, run] = yield* Effect.gen(function* () {
          const scheduler = yield* Scheduler.Scheduler
          yield* scheduler.add(Never, { id: "a" })
          yield* settled
          return [scheduler, (yield* scheduler.runs())[0]!] as const
        }).pipe(Effect.provide(layer), Effect.scoped)
        yield* faults.inject({ operation: "run", how: "hang", when: "before", skip: 50 })
        const waiter = yield* Effect.fork(scheduler.awaitRun(run.id))
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.interrupt(waiter)
        assert.isAtMost(faults.calls.get("run") ?? 0, 10)
      }).pipe(inOwnTime)
  )
})

describe("the same faults three times", () => {
  it.effect("give the same events in the same order", () => {
    const once = Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const { inject } = yield* FaultyJobStore.Faults
      const seen = yield* record(scheduler)
      for (let i = 0; i < 5; i++) {
        yield* scheduler.add(Slow, {
          id: `slow-${i}`,
          payload: { seconds: 4 + i },
          trigger: Trigger.interval({ seconds: 3 + i }),
          overlap: i % 2 === 0 ? "queue" : "cancelPrevious",
          timeout: "6 seconds",
          jitter: "1 second"
        })
      }
      yield* inject(
        { operation: "start", how: "fail", when: "after", skip: 2, calls: 2 },
        { operation: "claim", how: "hang", when: "after", skip: 9, calls: 1 },
        { operation: "settle", how: "die", when: "before", skip: 5, calls: 3 }
      )
      yield* TestClock.adjust("1 minute")
      yield* scheduler.shutdown({ wait: false })
      return seen.map((event) => JSON.stringify(event))
    }).pipe(Effect.provide(onFaulty()), Effect.scoped)
    return Effect.gen(function* () {
      const [first, ...rest] = yield* Effect.forEach([1, 2, 3], () => Effect.zipRight(TestClock.setTime(0), once))
      assert.isAbove(first!.length, 100)
      for (const again of rest) assert.deepStrictEqual(again, first)
    }).pipe(inOwnTime)
  })
})
