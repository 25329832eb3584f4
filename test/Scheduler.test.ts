import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, it } from "@effect/vitest"
import {
  DateTime,
  Deferred,
  Duration,
  Effect,
  Either,
  Exit,
  Layer,
  Option,
  Ref,
  Schema,
  type Scope,
  Stream,
  TestClock
} from "effect"
import * as Executor from "../src/Executor.ts"
import * as JobStore from "../src/JobStore.ts"
import type * as Run from "../src/Run.ts"
import * as Scheduler from "../src/Scheduler.ts"
import { StoreError } from "../src/SchedulerError.ts"
import type { SchedulerEvent } from "../src/SchedulerEvent.ts"
import * as SqlJobStore from "../src/SqlJobStore.ts"
import * as Task from "../src/Task.ts"
import * as Trigger from "../src/Trigger.ts"

const Add = Task.make("Add", {
  payload: Schema.Struct({ a: Schema.Int, of: Schema.Struct({ b: Schema.NumberFromString }) }),
  success: Schema.Number,
  error: Schema.Literal("too big")
})

const AddLive = Task.toLayer(Add, ({ a, of: { b } }) =>
  a + b > 100 ? Effect.fail("too big" as const) : Effect.succeed(a + b)
)

const Slow = Task.make("Slow")
const SlowLive = Task.toLayer(Slow, () => Effect.sleep("90 seconds"))

const Broken = Task.make("Broken")
const BrokenLive = Task.toLayer(Broken, () => Effect.dieMessage("boom"))

const Elsewhere = Task.make("Elsewhere")

const HandlersLive = Layer.mergeAll(AddLive, SlowLive, BrokenLive)

const SqliteLive = SqlJobStore.layer().pipe(Layer.provide(SqliteClient.layer({ filename: ":memory:" })), Layer.orDie)

const live = (options?: Scheduler.Options) =>
  Scheduler.layer(options).pipe(Layer.provide(HandlersLive), Layer.provide(Executor.layerFiber({ concurrency: 5 })))

const payload = { a: 1, of: { b: 2 } }
const everyMinute = Trigger.interval({ minutes: 1 })

/** A list that fills with what a scheduler tells from now on. */
const record = (scheduler: Scheduler.Scheduler["Type"]) =>
  Effect.gen(function* () {
    const seen: Array<SchedulerEvent> = []
    const events = yield* scheduler.subscribe
    yield* Effect.forkScoped(Stream.runForEach(events, (event) => Effect.sync(() => seen.push(event))))
    return seen
  })

const tags = (events: ReadonlyArray<SchedulerEvent>) => events.map(({ _tag }) => _tag)

const state = (run: Run.Run | undefined) => run?.state._tag

const settled = TestClock.adjust(0)

for (const [name, StoreLive] of [
  ["memory", JobStore.layerMemory],
  ["SQLite", SqliteLive]
] as const) {
  /** A test on a fresh store, with a scheduler that is running. */
  const test = <E>(
    title: string,
    body: (scheduler: Scheduler.Scheduler["Type"]) => Effect.Effect<void, E, JobStore.JobStore | Scope.Scope>,
    options?: Scheduler.Options
  ) =>
    it.scoped(title, () =>
      Effect.flatMap(Scheduler.Scheduler, body).pipe(Effect.provide(Layer.provideMerge(live(options), StoreLive)))
    )

  describe(`a scheduler on ${name}: adding`, () => {
    test("runs a job without a trigger at once, records its value, and removes it", (scheduler) =>
      Effect.gen(function* () {
        const seen = yield* record(scheduler)
        yield* scheduler.add(Add, { id: "a", payload })
        yield* settled
        const [run] = yield* scheduler.runs({ jobId: "a" })
        assert.deepInclude(run?.state, { _tag: "Succeeded", value: 3 })
        assert.isTrue(Option.isNone(yield* scheduler.get("a")))
        const own = tags(seen).filter((tag) => tag !== "SchedulerStarted")
        assert.deepStrictEqual(own, ["JobAdded", "RunSubmitted", "RunStarted", "RunSucceeded", "JobRemoved"])
      }))

    test("refuses a payload that does not fit, with the path of the field", (scheduler) =>
      Effect.gen(function* () {
        const wrong = { a: 1, of: { b: "two" } } as unknown as typeof payload
        const error = yield* Effect.flip(scheduler.add(Add, { id: "a", payload: wrong }))
        assert.strictEqual(error._tag, "InvalidPayload")
        if (error._tag === "InvalidPayload")
          assert.deepStrictEqual(
            error.issues.map(({ path }) => path),
            ["of.b"]
          )
        assert.match(error.message, /^Invalid payload for task "Add": of\.b: Expected number/)
        assert.deepStrictEqual(yield* scheduler.list(), [])
      }))

    test("refuses an id that is taken, an empty id, an option out of range and a trigger without an instant", (scheduler) =>
      Effect.gen(function* () {
        yield* scheduler.add(Add, { id: "a", payload, trigger: everyMinute })
        const refusal = (options: Partial<Scheduler.AddOptions<typeof Add>>) =>
          Effect.map(Effect.flip(scheduler.add(Add, { payload, trigger: everyMinute, ...options })), ({ _tag }) => _tag)
        assert.strictEqual(yield* refusal({ id: "a" }), "JobExists")
        assert.strictEqual(yield* refusal({ id: "" }), "InvalidOption")
        assert.strictEqual(yield* refusal({ maxInstances: 0 }), "InvalidOption")
        assert.strictEqual(yield* refusal({ trigger: Trigger.cron({ day: 30, month: 2 }) }), "TriggerExhausted")
      }))

    test('keeps the next run time of an unchanged trigger with onConflict: "replace"', (scheduler) =>
      Effect.gen(function* () {
        yield* scheduler.add(Add, { id: "a", payload, trigger: Trigger.interval({ minutes: 24 }) })
        for (const deploy of [1, 2, 3]) {
          yield* TestClock.adjust("10 minutes")
          yield* scheduler.add(Add, {
            id: "a",
            payload: { a: deploy, of: { b: 0 } },
            trigger: Trigger.interval({ minutes: 24 }),
            onConflict: "replace"
          })
        }
        const [run] = yield* scheduler.runs()
        assert.deepInclude(run?.state, { _tag: "Succeeded", value: 2 })
      }))

    test(
      "takes jobs before it starts",
      (scheduler) =>
        Effect.gen(function* () {
          yield* scheduler.add(Add, { id: "a", payload })
          yield* TestClock.adjust("1 minute")
          assert.deepStrictEqual(yield* scheduler.runs(), [])
          yield* scheduler.start
          yield* settled
          assert.strictEqual(state((yield* scheduler.runs())[0]), "Succeeded")
        }),
      { autoStart: false }
    )

    test("makes an id of its own where none is given", (scheduler) =>
      Effect.gen(function* () {
        const [a, b] = [yield* scheduler.add(Slow), yield* scheduler.add(Slow)]
        assert.match(a.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
        assert.notStrictEqual(a.id, b.id)
      }))

    test(
      "lays the job's policy over the task's, and that over the scheduler's",
      (scheduler) =>
        Effect.gen(function* () {
          const Tuned = Task.make("Tuned", { maxInstances: 2, misfireGraceTime: "1 minute" })
          const job = yield* scheduler.add(Tuned, { id: "a", trigger: everyMinute, misfireGraceTime: "2 minutes" })
          assert.strictEqual(job.policy.coalesce, "all")
          assert.strictEqual(job.policy.maxInstances, 2)
          assert.strictEqual(Duration.toMillis(job.policy.misfireGraceTime), 120_000)
        }),
      { defaults: { coalesce: "all", maxInstances: 9, misfireGraceTime: "9 minutes" } }
    )
  })

  describe(`a scheduler on ${name}: operations`, () => {
    test("pauses a job with a note, and runs it again from the next time after it is resumed", (scheduler) =>
      Effect.gen(function* () {
        yield* scheduler.add(Add, { id: "a", payload, trigger: everyMinute })
        const paused = yield* scheduler.pause("a", "tea")
        assert.deepInclude(paused.state, { _tag: "Paused", note: Option.some("tea") })
        yield* TestClock.adjust("150 seconds")
        assert.deepStrictEqual(yield* scheduler.runs(), [])
        yield* scheduler.resume("a")
        yield* TestClock.adjust("30 seconds")
        const runs = yield* scheduler.runs()
        assert.deepStrictEqual(
          runs.map(({ scheduledAt }) => scheduledAt.epochMillis),
          [180_000]
        )
      }))

    test("adds a job paused", (scheduler) =>
      Effect.gen(function* () {
        yield* scheduler.add(Add, { id: "a", payload, paused: true })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* scheduler.runs(), [])
        yield* scheduler.resume("a")
        yield* settled
        assert.strictEqual(state((yield* scheduler.runs())[0]), "Succeeded")
      }))

    test("modifies payload, name, labels and policy, and leaves the rest", (scheduler) =>
      Effect.gen(function* () {
        yield* scheduler.add(Add, { id: "a", payload, trigger: everyMinute, maxInstances: 3 })
        yield* scheduler.modify("a", {
          payload: { a: 5, of: { b: 6 } },
          name: "sum",
          labels: { x: "y" },
          coalesce: "all"
        })
        const job = Option.getOrThrow(yield* scheduler.get("a"))
        assert.deepInclude(job, { name: "sum", labels: { x: "y" } })
        assert.deepInclude(job.policy, { coalesce: "all", maxInstances: 3 })
        yield* TestClock.adjust("1 minute")
        assert.deepInclude((yield* scheduler.runs())[0]?.state, { value: 11 })
        const failure = (id: string, changes: Scheduler.Modification) =>
          Effect.map(Effect.flip(scheduler.modify(id, changes)), ({ _tag }) => _tag)
        assert.strictEqual(yield* failure("a", { payload: { a: 1 } }), "InvalidPayload")
        assert.strictEqual(yield* failure("a", { catchUpLimit: 0 }), "InvalidOption")
        assert.strictEqual(yield* failure("b", { name: "x" }), "JobNotFound")
        yield* scheduler.add(Elsewhere, { id: "e", trigger: everyMinute })
        assert.strictEqual(yield* failure("e", { payload: 1 }), "TaskNotFound")
      }))

    test("puts a job on another trigger, also on an earlier one while it sleeps", (scheduler) =>
      Effect.gen(function* () {
        yield* scheduler.add(Add, { id: "a", payload, trigger: Trigger.interval({ hours: 5 }) })
        yield* TestClock.adjust("10 seconds")
        yield* scheduler.reschedule("a", everyMinute)
        yield* TestClock.adjust("60 seconds")
        assert.deepStrictEqual(
          (yield* scheduler.runs()).map(({ scheduledAt }) => scheduledAt.epochMillis),
          [70_000]
        )
        const error = yield* Effect.flip(scheduler.reschedule("a", Trigger.cron({ month: 2, day: 30 })))
        assert.strictEqual(error._tag, "TriggerExhausted")
      }))

    test("runs a job now, under its limits, even while it is paused", (scheduler) =>
      Effect.gen(function* () {
        yield* scheduler.add(Slow, { id: "a", trigger: Trigger.interval({ hours: 1 }), paused: true })
        assert.strictEqual(state(yield* scheduler.runNow("a")), "Pending")
        yield* settled
        assert.strictEqual(state(yield* scheduler.runNow("a")), "Skipped")
        yield* TestClock.adjust("90 seconds")
        assert.deepStrictEqual((yield* scheduler.runs()).map(state).sort(), ["Skipped", "Succeeded"])
        const { nextRunTime } = Option.getOrThrow(yield* scheduler.get("a"))
        assert.deepStrictEqual(Option.map(nextRunTime, DateTime.toEpochMillis), Option.some(3_600_000))
      }))

    test("removes a job: what runs goes on, nothing more starts", (scheduler) =>
      Effect.gen(function* () {
        yield* scheduler.add(Slow, { id: "a", trigger: everyMinute })
        yield* TestClock.adjust("1 minute")
        yield* scheduler.remove("a")
        yield* TestClock.adjust("10 minutes")
        assert.deepStrictEqual((yield* scheduler.runs()).map(state), ["Succeeded"])
        assert.strictEqual((yield* Effect.flip(scheduler.remove("a")))._tag, "JobNotFound")
      }))

    test("lists all jobs, or those of a task", (scheduler) =>
      Effect.gen(function* () {
        yield* scheduler.add(Add, { id: "b", payload, trigger: everyMinute })
        yield* scheduler.add(Elsewhere, { id: "a", trigger: everyMinute })
        const ids = Effect.map((jobs: ReadonlyArray<{ readonly id: string }>) => jobs.map(({ id }) => id))
        assert.deepStrictEqual(yield* ids(scheduler.list()), ["a", "b"])
        assert.deepStrictEqual(yield* ids(scheduler.list({ task: "Add" })), ["b"])
      }))

    test("reconciles a group with what is declared at every start", (scheduler) =>
      Effect.gen(function* () {
        const declare = (id: string, a: number, trigger = everyMinute) =>
          Scheduler.job(Add, { id, payload: { a, of: { b: 0 } }, trigger })
        yield* scheduler.reconcile("boot", [declare("same", 1), declare("other payload", 1), declare("gone", 1)])
        yield* TestClock.adjust("30 seconds")
        const declared = [declare("same", 1), declare("other payload", 2), declare("new", 1)]
        const result = yield* scheduler.reconcile("boot", declared)
        assert.deepStrictEqual(result, {
          added: ["new"],
          updated: ["other payload"],
          unchanged: ["same"],
          absent: ["gone"]
        })
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual((yield* scheduler.runs()).map(({ jobId }) => jobId).sort(), ["other payload", "same"])
        const report = yield* scheduler.reconcile("boot", declared.slice(1), { absent: "report" })
        assert.deepStrictEqual(report.absent, ["same"])
        assert.isTrue(Option.isSome(yield* scheduler.get("same")))
      }))
  })

  describe(`a scheduler on ${name}: running`, () => {
    test(
      "starts paused, and catches up by the policy when it is resumed",
      (scheduler) =>
        Effect.gen(function* () {
          const seen = yield* record(scheduler)
          yield* scheduler.add(Add, { id: "a", payload, trigger: everyMinute, coalesce: "all" })
          yield* TestClock.adjust("3 minutes")
          assert.deepStrictEqual(yield* scheduler.runs(), [])
          yield* scheduler.resumeAll
          yield* settled
          assert.strictEqual((yield* scheduler.runs()).length, 3)
          yield* scheduler.pauseAll
          yield* TestClock.adjust("3 minutes")
          assert.strictEqual((yield* scheduler.runs()).length, 3)
          assert.includeMembers(tags(seen), ["SchedulerResumed", "SchedulerPaused"])
        }),
      { paused: true }
    )

    test("records a typed failure, a defect and a timeout, and goes on", (scheduler) =>
      Effect.gen(function* () {
        yield* scheduler.add(Add, { id: "typed", payload: { a: 99, of: { b: 2 } } })
        yield* scheduler.add(Broken, { id: "defect" })
        yield* scheduler.add(Slow, { id: "slow", timeout: "10 seconds" })
        yield* TestClock.adjust("10 seconds")
        const failure = (jobId: string) =>
          Effect.map(scheduler.runs({ jobId }), ([run]) =>
            run?.state._tag === "Failed" ? run.state.failure : undefined
          )
        assert.deepInclude(yield* failure("typed"), { kind: "Error", error: "too big" })
        assert.deepInclude(yield* failure("defect"), { kind: "Defect", message: "boom" })
        assert.deepInclude(yield* failure("slow"), { kind: "Timeout", message: "timed out after 10s" })
      }))

    test("tries a failed run again with the waits that its policy says", (scheduler) =>
      Effect.gen(function* () {
        const seen = yield* record(scheduler)
        const retry = { times: 3, backoff: "exponential", delay: "1 second" } as const
        yield* scheduler.add(Broken, { id: "a", retry })
        yield* TestClock.adjust("1 minute")
        const started = seen.flatMap((event) => (event._tag === "RunStarted" ? [event.at.epochMillis] : []))
        assert.deepStrictEqual(started, [0, 1000, 3000, 7000])
        assert.deepStrictEqual(
          tags(seen).filter((tag) => tag === "RunRetrying" || tag === "RunFailed"),
          ["RunRetrying", "RunRetrying", "RunRetrying", "RunFailed"]
        )
      }))

    test("carries out no more at once than its executor can", (scheduler) =>
      Effect.gen(function* () {
        for (let i = 0; i < 12; i++) yield* scheduler.add(Slow, { id: `job-${i}` })
        yield* settled
        const counts = Effect.gen(function* () {
          const runs = yield* scheduler.runs()
          return ["Running", "Pending", "Succeeded"].map((tag) => runs.filter((run) => state(run) === tag).length)
        })
        assert.deepStrictEqual(yield* counts, [5, 7, 0])
        assert.strictEqual((yield* scheduler.health).running, 5)
        yield* TestClock.adjust("90 seconds")
        assert.deepStrictEqual(yield* counts, [5, 2, 5])
        yield* TestClock.adjust("180 seconds")
        assert.deepStrictEqual(yield* counts, [0, 0, 12])
      }))

    test("leaves a job whose task has no handler here for a node that has one", (scheduler) =>
      Effect.gen(function* () {
        yield* scheduler.add(Elsewhere, { id: "a" })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual((yield* scheduler.runs()).map(state), ["Pending"])
        const ran = yield* Deferred.make<void>()
        const ElsewhereLive = Task.toLayer(Elsewhere, () => Deferred.succeed(ran, undefined))
        yield* Effect.provide(
          Effect.zipRight(TestClock.adjust("10 seconds"), Deferred.await(ran)),
          Scheduler.layer().pipe(Layer.provideMerge(ElsewhereLive), Layer.provide(Executor.layerFiber()))
        )
        assert.deepStrictEqual((yield* scheduler.runs()).map(state), ["Succeeded"])
      }))

    test("shares its store: two schedulers make one run of each occurrence", (scheduler) =>
      Effect.gen(function* () {
        for (let i = 0; i < 10; i++) {
          yield* scheduler.add(Add, { id: `job-${i}`, payload, trigger: everyMinute, coalesce: "all" })
        }
        yield* Effect.provide(TestClock.adjust("3 minutes"), live())
        const runs = yield* scheduler.runs({ limit: 1000 })
        assert.strictEqual(runs.length, 30)
        assert.strictEqual(new Set(runs.map(({ id }) => id)).size, 30)
        assert.deepStrictEqual(new Set(runs.map(({ attempt }) => attempt)), new Set([1]))
      }))
  })

  describe(`a scheduler on ${name}: ending`, () => {
    test("waits for what runs with wait: true, and starts nothing more", (scheduler) =>
      Effect.gen(function* () {
        yield* scheduler.add(Slow, { id: "a" })
        yield* scheduler.add(Add, { id: "b", payload, trigger: everyMinute })
        yield* settled
        const ended = yield* Effect.forkScoped(scheduler.shutdown({ wait: true }))
        yield* TestClock.adjust("5 minutes")
        assert.isTrue(Exit.isSuccess(yield* ended.await))
        assert.deepStrictEqual(
          (yield* scheduler.runs()).map((run) => `${run.jobId} ${state(run)}`),
          ["a Succeeded"]
        )
        assert.strictEqual((yield* scheduler.health).mode, "Stopped")
      }))

    test("interrupts what runs with wait: false and releases it, so that it runs again", (scheduler) =>
      Effect.gen(function* () {
        const seen = yield* record(scheduler)
        yield* scheduler.add(Slow, { id: "a" })
        yield* settled
        yield* scheduler.shutdown({ wait: false })
        yield* settled
        assert.deepStrictEqual(tags(seen).slice(-2), ["RunReleased", "SchedulerShutdown"])
        assert.deepStrictEqual((yield* scheduler.runs()).map(state), ["Pending"])
        yield* Effect.provide(TestClock.adjust("90 seconds"), live())
        const [run] = yield* scheduler.runs()
        assert.deepStrictEqual([state(run), run?.attempt], ["Succeeded", 2])
      }))

    test("waits no longer than it was told to", (scheduler) =>
      Effect.gen(function* () {
        yield* scheduler.add(Slow, { id: "a" })
        yield* settled
        const ended = yield* Effect.forkScoped(scheduler.shutdown({ wait: "10 seconds" }))
        yield* TestClock.adjust("9 seconds")
        assert.isTrue(Option.isNone(yield* ended.poll))
        yield* TestClock.adjust("1 second")
        yield* ended.await
        assert.deepStrictEqual((yield* scheduler.runs()).map(state), ["Pending"])
      }))

    test("takes verbs on jobs after its end, as a client of the store", (scheduler) =>
      Effect.gen(function* () {
        yield* scheduler.shutdown()
        yield* scheduler.shutdown()
        yield* scheduler.add(Add, { id: "a", payload, trigger: everyMinute })
        yield* TestClock.adjust("5 minutes")
        assert.deepStrictEqual(yield* scheduler.runs(), [])
      }))
  })
}

describe("a store that fails for a while", () => {
  /** A store in memory whose claims fail as long as the reference says so. */
  const failing = (isDown: Ref.Ref<boolean>) =>
    Layer.effect(
      JobStore.JobStore,
      Effect.map(JobStore.makeMemory(), (store) => ({
        ...store,
        claim: (options: Parameters<typeof store.claim>[0]) =>
          Effect.if(Ref.get(isDown), {
            onTrue: () => Effect.fail(new StoreError({ operation: "claim", cause: "down" })),
            onFalse: () => store.claim(options)
          })
      }))
    )

  it.scoped("is asked again until it answers, and nothing is lost", () =>
    Effect.gen(function* () {
      const isDown = yield* Ref.make(false)
      yield* Effect.gen(function* () {
        const scheduler = yield* Scheduler.Scheduler
        const seen = yield* record(scheduler)
        yield* scheduler.add(Add, { id: "a", payload, trigger: everyMinute, coalesce: "all" })
        yield* Ref.set(isDown, true)
        yield* TestClock.adjust("3 minutes")
        assert.isFalse((yield* scheduler.health).isStoreAvailable)
        yield* Ref.set(isDown, false)
        yield* TestClock.adjust("10 seconds")
        assert.isTrue((yield* scheduler.health).isStoreAvailable)
        assert.strictEqual((yield* scheduler.runs({ states: ["Succeeded"] })).length, 3)
        const about = tags(seen).filter((tag) => tag.startsWith("Store"))
        assert.deepStrictEqual(about, ["StoreUnavailable", "StoreRecovered"])
      }).pipe(Effect.provide(Layer.provide(live(), failing(isDown))))
    })
  )
})

describe("a store that starts runs and then fails to say so", () => {
  /** A store in memory whose first start takes place, but does not answer. */
  const failingAfterCommit = Layer.effect(
    JobStore.JobStore,
    Effect.gen(function* () {
      const store = yield* JobStore.makeMemory()
      const hasFailed = yield* Ref.make(false)
      const fail = new StoreError({ operation: "start", cause: "connection lost" })
      const failOnce = <A>(answer: A, steps: ReadonlyArray<unknown>) =>
        Effect.if(steps.length > 0 ? Ref.getAndSet(hasFailed, true) : Effect.succeed(true), {
          onTrue: () => Effect.succeed(answer),
          onFalse: () => Effect.fail(fail)
        })
      return {
        ...store,
        claim: (options: Parameters<typeof store.claim>[0]) =>
          Effect.flatMap(store.claim(options), (claim) => failOnce(claim, claim.started)),
        start: (options: Parameters<typeof store.start>[0]) =>
          Effect.flatMap(store.start(options), (steps) => failOnce(steps, steps))
      }
    })
  )

  it.scoped("gets them back and hands them out again", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Add, { id: "a", payload })
      yield* TestClock.adjust("10 seconds")
      const [run] = yield* scheduler.runs()
      assert.deepStrictEqual([state(run), run?.attempt], ["Succeeded", 2])
    }).pipe(Effect.provide(Layer.provide(live(), failingAfterCommit)))
  )
})

describe("a node that was taken for dead", () => {
  it.scoped("interrupts what it holds, tells so, and comes back as another one", () =>
    Effect.gen(function* () {
      const store = yield* JobStore.JobStore
      const scheduler = yield* Scheduler.Scheduler
      const seen = yield* record(scheduler)
      yield* scheduler.add(Slow, { id: "a" })
      yield* settled
      const node = Option.getOrThrow((yield* scheduler.health).node)
      yield* store.release(node)
      yield* TestClock.adjust("5 seconds")
      assert.includeMembers(tags(seen), ["LeaseLost"])
      const after = Option.getOrThrow((yield* scheduler.health).node)
      assert.notStrictEqual(after, node)
    }).pipe(Effect.provide(Layer.provideMerge(live(), SqliteLive)))
  )
})

describe("wrong options", () => {
  it.effect("of a scheduler are a defect that names them", () =>
    Effect.gen(function* () {
      const layer = Layer.provide(live({ defaults: { maxInstances: -1 } }), JobStore.layerMemory)
      const exit = yield* Effect.exit(Effect.provide(Effect.void, layer))
      assert.match(
        Either.getOrThrow(
          Exit.match(exit, { onSuccess: () => Either.right(""), onFailure: (c) => Either.right(String(c)) })
        ),
        /maxInstances: -1; expected a whole number of at least 1/
      )
    })
  )
})
