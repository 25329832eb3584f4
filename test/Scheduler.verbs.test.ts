import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Exit, Fiber, Layer, Option, Schema, type Scope, Stream, TestClock } from "effect"
import * as Executor from "../src/Executor.ts"
import * as JobStore from "../src/JobStore.ts"
import type { PolicyOptions } from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import { RunContext } from "../src/RunContext.ts"
import * as Scheduler from "../src/Scheduler.ts"
import { RunUnsuccessful } from "../src/SchedulerError.ts"
import type { SchedulerEvent } from "../src/SchedulerEvent.ts"
import * as Task from "../src/Task.ts"
import * as Trigger from "../src/Trigger.ts"

type Service = Scheduler.Scheduler["Type"]

/** What handlers did, in order. */
const log: Array<string> = []
const say = (text: string) => Effect.sync(() => log.push(text))

const Quick = Task.make("Quick")
const QuickLive = Task.toLayer(Quick, () => Effect.flatMap(RunContext, ({ jobId }) => say(jobId)))

/** Takes a minute, and says when it was cut off. */
const Minute = Task.make("Minute")
const MinuteLive = Task.toLayer(Minute, () =>
  Effect.flatMap(RunContext, ({ jobId }) =>
    Effect.zipRight(
      Effect.addFinalizer((exit) => say(`${jobId} ${Exit.isInterrupted(exit) ? "cut off" : "closed"}`)),
      Effect.sleep("1 minute")
    )
  )
)

class TooBig extends Schema.TaggedError<TooBig>()("TooBig", { by: Schema.Number }) {}

const Add = Task.make("Add", {
  payload: Schema.Struct({ a: Schema.Int, b: Schema.NumberFromString }),
  success: Schema.DateFromNumber,
  error: TooBig,
  maxInstances: 5,
  retry: { times: 4, delay: "2 seconds", while: (error) => error.by < 10 }
})
const AddLive = Task.toLayer(Add, ({ a, b }) =>
  a + b > 100 ? new TooBig({ by: a + b - 100 }) : Effect.succeed(new Date(a + b))
)

const Elsewhere = Task.make("Elsewhere")

const HandlersLive = Layer.mergeAll(QuickLive, MinuteLive, AddLive)

const everyMinute = Trigger.interval({ minutes: 1 })
const everyHour = Trigger.interval({ hours: 1 })
const never = Trigger.at("2100-01-01T00:00:00Z")

const layer = (options?: Scheduler.Options, concurrency = 10) =>
  Scheduler.layer(options).pipe(
    Layer.provide(HandlersLive),
    Layer.provide(Executor.layerFiber({ concurrency })),
    Layer.provideMerge(JobStore.layerMemory)
  )

const test = <E>(
  title: string,
  body: (scheduler: Service, seen: ReadonlyArray<SchedulerEvent>) => Effect.Effect<void, E, Scope.Scope>,
  options: Scheduler.Options & { readonly concurrency?: number } = {}
) =>
  it.scoped(title, () =>
    Effect.gen(function* () {
      log.length = 0
      const scheduler = yield* Scheduler.Scheduler
      const seen: Array<SchedulerEvent> = []
      const events = yield* scheduler.subscribe
      yield* Effect.forkScoped(Stream.runForEach(events, (event) => Effect.sync(() => seen.push(event))))
      yield* settled
      seen.length = 0
      yield* body(scheduler, seen)
    }).pipe(Effect.provide(layer(options, options.concurrency)))
  )

const settled = TestClock.adjust(0)
const tags = (events: ReadonlyArray<SchedulerEvent>) => events.map(({ _tag }) => _tag)
const about = (events: ReadonlyArray<SchedulerEvent>, jobId: string) =>
  tags(events.filter((event) => "jobId" in event && event.jobId === jobId))
const idsOf = (jobs: ReadonlyArray<{ readonly id: string }>) => jobs.map(({ id }) => id)
const stateOf = (run: Run.Run | undefined): string | undefined => run?.state._tag
const times = (runs: ReadonlyArray<Run.Run>) => runs.map(({ scheduledAt }) => scheduledAt.epochMillis)
const oldest = { order: "oldest", limit: 10_000 } as const
const utc = (millis: number) => DateTime.unsafeMake(millis)
const nextOf = (scheduler: Service, id: string) =>
  Effect.map(scheduler.get(id), (job) =>
    Option.getOrNull(
      Option.map(
        Option.flatMap(job, ({ nextRunTime }) => nextRunTime),
        DateTime.toEpochMillis
      )
    )
  )
const MINUTE = 60_000

describe("many jobs at once", () => {
  const declare = (i: number) =>
    Scheduler.job(Quick, { id: `job-${String(i).padStart(5, "0")}`, trigger: everyHour, labels: { half: `${i % 2}` } })
  const many = Array.from({ length: 10_000 }, (_, i) => declare(i))

  test("are added in one transaction, which tells how far it is", (scheduler, seen) =>
    Effect.gen(function* () {
      const told: Array<readonly [number, number]> = []
      const onProgress = (stored: number, total: number) => Effect.sync(() => void told.push([stored, total]))
      const jobs = yield* scheduler.addAll(many, { onProgress })
      assert.strictEqual(jobs.length, 10_000)
      assert.deepStrictEqual(told.at(-1), [10_000, 10_000])
      for (const [i, [stored]] of told.entries()) assert.isAbove(stored, told[i - 1]?.[0] ?? 0)
      yield* settled
      assert.strictEqual(tags(seen).filter((tag) => tag === "JobAdded").length, 10_000)
      assert.strictEqual((yield* scheduler.list()).length, 10_000)
    }))

  test("are added all or none: one id that is taken refuses them all", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "job-00777", trigger: everyHour })
      const error = yield* Effect.flip(scheduler.addAll(many))
      assert.deepInclude(error, { _tag: "JobExists", jobId: "job-00777" })
      assert.deepStrictEqual(idsOf(yield* scheduler.list()), ["job-00777"])
      const twice = yield* Effect.flip(scheduler.addAll([declare(1), declare(2), declare(1)]))
      assert.deepInclude(twice, { _tag: "JobExists", jobId: "job-00001" })
      yield* settled
      assert.deepStrictEqual(tags(seen), ["JobAdded"])
    }))

  test("are added all or none: one that is refused refuses them all", (scheduler) =>
    Effect.gen(function* () {
      const wrong = Scheduler.job(Add, { id: "wrong", payload: { a: 0.5, b: 1 } })
      const error = yield* Effect.flip(scheduler.addAll([declare(1), wrong, declare(2)]))
      assert.strictEqual(error._tag, "InvalidPayload")
      const impossible = Scheduler.job(Quick, { id: "x", trigger: Trigger.cron({ month: 2, day: 30 }) })
      assert.strictEqual((yield* Effect.flip(scheduler.addAll([declare(1), impossible])))._tag, "TriggerExhausted")
      assert.deepStrictEqual(yield* scheduler.list(), [])
    }))

  test("are replaced or kept where their ids are taken, if that is asked for", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* scheduler.addAll([declare(1), declare(2)])
      yield* settled
      yield* scheduler.addAll([declare(2), declare(3)], { onConflict: "keep" })
      yield* scheduler.addAll([declare(3), declare(4)], { onConflict: "replace" })
      yield* settled
      assert.deepStrictEqual(tags(seen), ["JobAdded", "JobAdded", "JobAdded", "JobModified", "JobAdded"])
      assert.strictEqual((yield* scheduler.list()).length, 4)
    }))

  test("are listed page by page in the order of their ids, each once", (scheduler) =>
    Effect.gen(function* () {
      yield* scheduler.addAll(many.slice(0, 1234).reverse())
      const found: Array<string> = []
      for (;;) {
        const page = yield* scheduler.list({ limit: 100, ...(found.length > 0 ? { after: found.at(-1)! } : {}) })
        if (page.length === 0) break
        found.push(...idsOf(page))
      }
      assert.deepStrictEqual(found, [...new Set(found)].sort())
      assert.strictEqual(found.length, 1234)
      assert.strictEqual((yield* scheduler.list({ labels: { half: "1" }, limit: 10 })).length, 10)
    }))
})

describe("jobs by what they are", () => {
  /** Four jobs of two teams, tasks and groups. */
  const world = (scheduler: Service) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "a", trigger: everyMinute, labels: { team: "x", tier: "1" } })
      yield* scheduler.add(Quick, { id: "b", trigger: everyMinute, labels: { team: "x", tier: "2" } })
      yield* scheduler.add(Minute, { id: "c", trigger: everyMinute, labels: { team: "y" } })
      yield* scheduler.reconcile("boot", [
        Scheduler.job(Quick, { id: "d", trigger: everyMinute, labels: { team: "y" } })
      ])
    })

  test("are listed by label, group, task and state", (scheduler) =>
    Effect.gen(function* () {
      yield* world(scheduler)
      const ids = (filter: JobStore.JobFilter) => Effect.map(scheduler.list(filter), idsOf)
      assert.deepStrictEqual(yield* ids({ labels: { team: "x" } }), ["a", "b"])
      assert.deepStrictEqual(yield* ids({ labels: { team: "x", tier: "2" } }), ["b"])
      assert.deepStrictEqual(yield* ids({ labels: { team: "z" } }), [])
      assert.deepStrictEqual(yield* ids({ group: "boot" }), ["d"])
      assert.deepStrictEqual(yield* ids({ task: "Quick", labels: { team: "y" } }), ["d"])
      yield* scheduler.pause("b")
      assert.deepStrictEqual(yield* ids({ states: ["Paused"] }), ["b"])
      assert.deepStrictEqual(yield* ids({ states: ["Active"], task: "Quick" }), ["a", "d"])
      assert.deepStrictEqual(yield* ids({ states: [] }), [])
    }))

  test("are paused and resumed, with one event for each", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* world(scheduler)
      assert.deepStrictEqual(idsOf(yield* scheduler.pause({ labels: { team: "x" } }, { note: "tea", by: "me" })), [
        "a",
        "b"
      ])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(log, ["d"])
      assert.deepStrictEqual(idsOf(yield* scheduler.resume({ task: "Quick", states: ["Paused"] })), ["a", "b"])
      yield* settled
      for (const id of ["a", "b"]) assert.includeMembers(about(seen, id), ["JobPaused", "JobResumed"])
      yield* TestClock.adjust("1 minute")
      assert.sameMembers(log.slice(0, 4), ["d", "a", "b", "d"])
      assert.deepStrictEqual(yield* scheduler.pause({ labels: { team: "nobody" } }), [])
    }))

  test("tell of no resumption where nothing was paused", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* world(scheduler)
      yield* scheduler.pause("a")
      yield* settled
      const before = seen.length
      assert.deepStrictEqual(idsOf(yield* scheduler.resume({})), ["a"])
      yield* settled
      assert.deepStrictEqual(tags(seen.slice(before)), ["JobResumed"])
    }))

  test("are modified and rescheduled together", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* world(scheduler)
      const changed = yield* scheduler.modify({ labels: { team: "y" } }, { priority: 7, labels: { team: "z" } })
      assert.deepStrictEqual(
        changed.map(({ id, labels, policy }) => [id, labels, policy.priority]),
        [
          ["c", { team: "z" }, 7],
          ["d", { team: "z" }, 7]
        ]
      )
      assert.strictEqual((yield* Effect.flip(scheduler.modify({}, { maxInstances: 0 })))._tag, "InvalidOption")
      yield* TestClock.adjust("10 seconds")
      const moved = yield* scheduler.reschedule({ task: "Quick" }, everyHour)
      assert.deepStrictEqual(idsOf(moved), ["a", "b", "d"])
      assert.strictEqual(yield* nextOf(scheduler, "a"), 10_000 + 60 * MINUTE)
      assert.strictEqual(yield* nextOf(scheduler, "c"), MINUTE)
      const error = yield* Effect.flip(scheduler.reschedule({}, Trigger.cron({ month: 2, day: 30 })))
      assert.strictEqual(error._tag, "TriggerExhausted")
      yield* settled
      assert.strictEqual(about(seen, "d").filter((tag) => tag === "JobModified").length, 2)
    }))

  test("are removed together; what of them had not started is cancelled, what runs goes on", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* world(scheduler)
      yield* scheduler.modify("c", { overlap: "queue" })
      yield* TestClock.adjust("90 seconds")
      yield* scheduler.runNow("c")
      assert.deepStrictEqual(idsOf(yield* scheduler.remove({ labels: { team: "y" } })), ["c", "d"])
      yield* TestClock.adjust("5 minutes")
      const runs = yield* scheduler.runs({ jobId: "c", ...oldest })
      assert.deepStrictEqual(runs.map(stateOf), ["Succeeded", "Cancelled"])
      assert.deepInclude(runs[1]?.state, { reason: "removed" })
      assert.deepStrictEqual(about(seen, "c").slice(-3), ["RunCancelled", "JobRemoved", "RunSucceeded"])
      assert.deepStrictEqual(idsOf(yield* scheduler.list()), ["a", "b"])
    }))

  test("are all removed with one event that counts them", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* world(scheduler)
      yield* settled
      const before = seen.length
      assert.strictEqual(yield* scheduler.removeAll, 4)
      assert.strictEqual(yield* scheduler.removeAll, 0)
      yield* settled
      const own = seen.slice(before).map((event) => (event._tag === "AllJobsRemoved" ? event.count : event._tag))
      assert.deepStrictEqual(own, [4, 0])
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(log, [])
    }))

  test("are a new life under an id that was removed and added again", (scheduler) =>
    Effect.gen(function* () {
      for (let i = 0; i < 3; i++) {
        yield* scheduler.add(Minute, { id: "again" })
        yield* settled
        yield* scheduler.remove("again")
      }
      const job = yield* scheduler.add(Minute, { id: "again" })
      yield* TestClock.adjust("2 minutes")
      const runs = yield* scheduler.runs({ jobId: "again" })
      assert.deepStrictEqual(runs.map(stateOf), ["Succeeded", "Succeeded", "Succeeded", "Succeeded"])
      assert.strictEqual(new Set(idsOf(runs)).size, 4)
      assert.strictEqual(job.incarnation, Math.max(...runs.map(({ incarnation }) => incarnation)))
    }))
})

describe("cancel", () => {
  test("interrupts a handler under way, whose finalizers run", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* scheduler.add(Minute, { id: "a", trigger: everyHour })
      const { id } = yield* scheduler.runNow("a")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(stateOf(yield* scheduler.cancel(id)), "Running")
      yield* settled
      assert.deepStrictEqual(log, ["a cut off"])
      assert.deepInclude((yield* scheduler.runs())[0]?.state, { _tag: "Cancelled", reason: "requested" })
      assert.strictEqual(about(seen, "a").at(-1), "RunCancelled")
      assert.strictEqual((yield* scheduler.health).running, 0)
    }))

  test(
    "calls off a run that is pending, queued or waits, which never starts",
    (scheduler, seen) =>
      Effect.gen(function* () {
        yield* scheduler.add(Minute, { id: "busy", trigger: everyMinute, overlap: "queue" })
        yield* scheduler.add(Quick, { id: "pending", trigger: everyHour })
        yield* TestClock.adjust("1 minute")
        const pending = yield* scheduler.runNow("pending")
        const queued = yield* scheduler.runNow("busy")
        assert.deepStrictEqual([stateOf(pending), stateOf(queued)], ["Pending", "Queued"])
        for (const run of [pending, queued]) assert.strictEqual(stateOf(yield* scheduler.cancel(run.id)), "Cancelled")
        yield* TestClock.adjust("59 seconds")
        assert.deepStrictEqual(log, [])
        assert.deepStrictEqual(about(seen, "pending"), ["JobAdded", "RunSubmitted", "RunCancelled"])
      }),
    { concurrency: 1 }
  )

  test(
    "calls off one run of a catch-up, and those after it go on",
    (scheduler) =>
      Effect.gen(function* () {
        yield* scheduler.add(Minute, { id: "a", trigger: everyMinute, coalesce: "all", maxInstances: 2 })
        yield* TestClock.adjust("3 minutes")
        yield* scheduler.resumeAll
        yield* settled
        const waiting = yield* scheduler.runs({ states: ["Waiting"], ...oldest })
        assert.deepStrictEqual(times(waiting), [2 * MINUTE, 3 * MINUTE])
        yield* scheduler.cancel(waiting[0]!.id)
        yield* scheduler.pause("a")
        yield* TestClock.adjust("3 minutes")
        const runs = yield* scheduler.runs(oldest)
        assert.deepStrictEqual(runs.map(stateOf), ["Succeeded", "Cancelled", "Succeeded"])
      }),
    { paused: true }
  )

  test("keeps a run from its next attempt", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* scheduler.add(Add, { id: "a", payload: { a: 100, b: 1 } })
      yield* settled
      const [run] = yield* scheduler.runs()
      assert.deepInclude(run, { attempt: 1, failures: 1 })
      yield* scheduler.cancel(run!.id)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(stateOf((yield* scheduler.runs())[0]), "Cancelled")
      assert.deepStrictEqual(about(seen, "a").slice(-3), ["RunRetrying", "RunCancelled", "JobRemoved"])
    }))

  test("leaves a run that has ended as it is, without an event, twice as well", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "a" })
      yield* settled
      const [run] = yield* scheduler.runs()
      const before = seen.length
      assert.strictEqual(stateOf(yield* scheduler.cancel(run!.id)), "Succeeded")
      assert.strictEqual(stateOf(yield* scheduler.cancel(run!.id)), "Succeeded")
      yield* settled
      assert.strictEqual(seen.length, before)
    }))

  test("ends a one-off job whose run it calls off, and knows no run that never was", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* scheduler.add(Elsewhere, { id: "a" })
      yield* settled
      const [run] = yield* scheduler.runs()
      yield* scheduler.cancel(run!.id)
      yield* settled
      assert.isTrue(Option.isNone(yield* scheduler.get("a")))
      assert.deepStrictEqual(about(seen, "a").slice(-2), ["RunCancelled", "JobRemoved"])
      const error = yield* Effect.flip(scheduler.cancel("a/1/nonsense"))
      assert.deepInclude(error, { _tag: "RunNotFound", runId: "a/1/nonsense" })
    }))
})

describe("awaitRun", () => {
  const fire = (scheduler: Service, a: number, b: number, options: PolicyOptions = {}) =>
    Effect.zipRight(
      scheduler.add(Add, { id: "sum", payload: { a, b }, trigger: never, onConflict: "replace", ...options }),
      scheduler.runNow("sum")
    )

  test("gives the typed value of a run, also of one that ends while it is waited for", (scheduler) =>
    Effect.gen(function* () {
      const { id } = yield* fire(scheduler, 1, 2)
      const value = yield* scheduler.awaitRun(id, Add)
      assert.deepStrictEqual(value, new Date(3))
      assert.deepStrictEqual(yield* scheduler.awaitRun(id, Add), new Date(3))
      yield* scheduler.add(Minute, { id: "slow", trigger: never })
      const slow = yield* scheduler.runNow("slow")
      const fiber = yield* Effect.fork(Effect.all([scheduler.awaitRun(slow.id), scheduler.awaitRun(slow.id, Minute)]))
      yield* TestClock.adjust("59 seconds")
      assert.isTrue(Option.isNone(yield* fiber.poll))
      yield* TestClock.adjust("1 second")
      const [run, nothing] = yield* Fiber.join(fiber)
      assert.strictEqual(stateOf(run), "Succeeded")
      assert.isUndefined(nothing)
    }))

  test("fails with the typed error of a run, once it is not tried again", (scheduler) =>
    Effect.gen(function* () {
      const { id } = yield* fire(scheduler, 100, 50)
      const error = yield* Effect.flip(scheduler.awaitRun(id, Add))
      assert.instanceOf(error, TooBig)
      if (error._tag === "TooBig") assert.strictEqual(error.by, 50)
      assert.strictEqual(stateOf(yield* scheduler.awaitRun(id)), "Failed")
      const retried = yield* fire(scheduler, 100, 1)
      const fiber = yield* Effect.fork(Effect.flip(scheduler.awaitRun(retried.id, Add)))
      yield* TestClock.adjust("7 seconds")
      assert.isTrue(Option.isNone(yield* fiber.poll))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "TooBig")
    }))

  test("fails with how a run ended that gave no value", (scheduler) =>
    Effect.gen(function* () {
      const ended = (id: string) =>
        Effect.map(Effect.flip(scheduler.awaitRun(id, Minute)), (error) =>
          error instanceof RunUnsuccessful ? `${error.outcome}: ${error.reason}` : String(error)
        )
      yield* scheduler.add(Minute, { id: "m", trigger: everyMinute, misfireGraceTime: "5 seconds" })
      yield* scheduler.pauseAll
      yield* TestClock.adjust("1 minute")
      yield* TestClock.adjust("30 seconds")
      yield* scheduler.resumeAll
      yield* settled
      const [missed] = yield* scheduler.runs({ states: ["Missed"] })
      assert.strictEqual(yield* ended(missed!.id), "Missed: it was too late")
      const running = yield* scheduler.runNow("m")
      yield* settled
      const skipped = yield* scheduler.runNow("m")
      assert.strictEqual(yield* ended(skipped.id), "Skipped: maxInstances")
      yield* scheduler.cancel(running.id)
      assert.strictEqual(yield* ended(running.id), "Cancelled: requested")
      assert.strictEqual((yield* ended("nonsense")).slice(0, 11), "RunNotFound")
    }))

  test("fails once the run is forgotten while it is waited for", (scheduler) =>
    Effect.gen(function* () {
      yield* scheduler.add(Minute, { id: "a", trigger: never, retention: { count: 0 } })
      const { id } = yield* scheduler.runNow("a")
      const fiber = yield* Effect.fork(Effect.either(scheduler.awaitRun(id)))
      yield* TestClock.adjust("62 seconds")
      assert.isTrue(Option.isSome(yield* fiber.poll))
    }))

  test("may be interrupted without any harm to the run", (scheduler) =>
    Effect.gen(function* () {
      yield* scheduler.add(Minute, { id: "a", trigger: never })
      const { id } = yield* scheduler.runNow("a")
      const waiters = yield* Effect.forEach([1, 2, 3], () => Effect.fork(scheduler.awaitRun(id)))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.interrupt(waiters[0]!)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(waiters[0]!)))
      yield* TestClock.adjust("50 seconds")
      for (const waiter of waiters.slice(1)) assert.strictEqual(stateOf(yield* Fiber.join(waiter)), "Succeeded")
    }))
})

describe("a preview", () => {
  it.effect("of any number of times ends", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const times = yield* scheduler.preview(Trigger.interval({ millis: 1 }), Infinity)
      assert.strictEqual(times.length, 10_000)
    }).pipe(Effect.provide(Layer.provide(Scheduler.layer(), [Executor.layerFiber(), JobStore.layerMemory])))
  )
})

describe("backfill", () => {
  const past = { from: utc(MINUTE), to: utc(5 * MINUTE) }

  test("runs a job for its past times, both ends included, one at a time", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* scheduler.add(Minute, { id: "a", trigger: everyMinute, maxInstances: 3, paused: true })
      yield* TestClock.adjust("1 hour")
      const runs = yield* scheduler.backfill("a", past)
      assert.deepStrictEqual(
        times(runs),
        [1, 2, 3, 4, 5].map((n) => n * MINUTE)
      )
      yield* TestClock.adjust("30 seconds")
      const states = Effect.map(scheduler.runs({ jobId: "a", ...oldest }), (found) => found.map(stateOf))
      assert.deepStrictEqual(yield* states, ["Running", "Queued", "Queued", "Queued", "Queued"])
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(new Set(yield* states), new Set(["Succeeded"]))
      assert.strictEqual(about(seen, "a").filter((tag) => tag === "RunSubmitted").length, 5)
    }))

  test("never makes a live run wait longer than for the slot, and never has it skipped", (scheduler) =>
    Effect.gen(function* () {
      yield* scheduler.add(Minute, { id: "a", trigger: Trigger.interval({ minutes: 3 }) })
      yield* TestClock.adjust("10 minutes")
      yield* scheduler.backfill("a", { from: utc(1), to: utc(9 * MINUTE) })
      yield* TestClock.adjust("20 minutes")
      const runs = yield* scheduler.runs(oldest)
      const done = runs.filter(({ key }) => !key.startsWith("backfill"))
      assert.deepStrictEqual(
        times(done),
        [3, 6, 9, 12, 15, 18, 21, 24, 27, 30].map((n) => n * MINUTE)
      )
      assert.notInclude(runs.map(stateOf), "Skipped")
      assert.deepStrictEqual(new Set(runs.slice(0, -1).map(stateOf)), new Set(["Succeeded"]))
      for (const run of done.slice(0, -1)) {
        assert.isAtMost(Duration.toMillis(Option.getOrThrow(Run.lateness(run))), MINUTE)
      }
    }))

  test("refuses more times than its limit, and makes none then", (scheduler) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "a", trigger: everyMinute, paused: true })
      yield* TestClock.adjust("1 day")
      const refused = yield* Effect.flip(scheduler.backfill("a", { from: utc(0), to: utc(1e12) }))
      assert.deepInclude(refused, { _tag: "InvalidOption", option: "to" })
      assert.strictEqual((yield* Effect.flip(scheduler.backfill("a", { ...past, limit: 4 })))._tag, "InvalidOption")
      assert.deepStrictEqual(yield* scheduler.runs(), [])
      for (const limit of [0, 1.5, Number.NaN, Infinity]) {
        assert.strictEqual((yield* Effect.flip(scheduler.backfill("a", { ...past, limit })))._tag, "InvalidOption")
      }
      assert.strictEqual((yield* scheduler.backfill("a", { ...past, limit: 5 })).length, 5)
      assert.strictEqual((yield* Effect.flip(scheduler.backfill("b", past)))._tag, "JobNotFound")
    }))

  test("goes no further than the present, and finds nothing in a range without a time", (scheduler) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "a", trigger: everyMinute, paused: true })
      yield* TestClock.adjust("150 seconds")
      assert.deepStrictEqual(times(yield* scheduler.backfill("a", { from: utc(1), to: utc(1e10) })), [
        MINUTE,
        2 * MINUTE
      ])
      assert.deepStrictEqual(yield* scheduler.backfill("a", { from: utc(61_000), to: utc(119_000) }), [])
      assert.deepStrictEqual(yield* scheduler.backfill("a", { from: utc(5 * MINUTE), to: utc(0) }), [])
    }))
})

describe("preview", () => {
  test("gives the next times of a job as it stands, or of a trigger if it were added now", (scheduler) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "a", trigger: everyMinute, limit: 4 })
      yield* TestClock.adjust("90 seconds")
      const millis = Effect.map((found: ReadonlyArray<DateTime.Utc>) => found.map(DateTime.toEpochMillis))
      assert.deepStrictEqual(yield* millis(scheduler.preview("a")), [2 * MINUTE, 3 * MINUTE, 4 * MINUTE])
      assert.deepStrictEqual(yield* millis(scheduler.preview("a", 1)), [2 * MINUTE])
      assert.deepStrictEqual(yield* millis(scheduler.preview(everyMinute, 2)), [150_000, 210_000])
      assert.deepStrictEqual(yield* millis(scheduler.preview(Trigger.now)), [90_000])
      assert.deepStrictEqual(yield* millis(scheduler.preview(Trigger.cron({ month: 2, day: 30 }))), [])
      assert.deepStrictEqual(yield* millis(scheduler.preview(everyMinute, 0)), [])
      assert.strictEqual((yield* Effect.flip(scheduler.preview("b")))._tag, "JobNotFound")
      assert.deepStrictEqual(log, ["a"])
    }))
})

describe("explain", () => {
  test("says why a job ran, was late, was skipped or did not run", (scheduler) =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 minute")
      yield* scheduler.add(Minute, {
        id: "a",
        trigger: Trigger.interval({ seconds: 40 }),
        misfireGraceTime: "90 seconds"
      })
      yield* TestClock.adjust("100 seconds")
      const at = (seconds: number) => Effect.map(scheduler.explain("a", utc(seconds * 1000)), ({ verdict }) => verdict)
      assert.strictEqual(yield* at(100), "Ran")
      assert.strictEqual(yield* at(140), "Skipped")
      assert.strictEqual(yield* at(50), "NotYetAdded")
      assert.strictEqual(yield* at(111), "NotDue")
      assert.strictEqual(yield* at(220), "Ahead")
      yield* scheduler.pause("a", { note: "tea", by: "me" })
      yield* TestClock.adjust("100 seconds")
      assert.match((yield* scheduler.explain("a", utc(220_000))).message, /paused since .* by me: tea/)
      yield* scheduler.resume("a")
      assert.strictEqual(yield* at(220), "Paused")
      yield* scheduler.pauseAll
      yield* TestClock.adjust("170 seconds")
      yield* scheduler.resumeAll
      yield* settled
      // The times from 300 to 420 are one run, 10 seconds late.
      assert.strictEqual(yield* at(420), "RanLate")
      assert.strictEqual(yield* at(380), "Coalesced")
      const { id } = yield* scheduler.runNow("a")
      assert.strictEqual(stateOf(yield* scheduler.awaitRun(id)), "Skipped")
      assert.strictEqual(Option.getOrThrow((yield* scheduler.explain("a", utc(430_000))).run).id, id)
      yield* scheduler.remove("a")
      assert.strictEqual(yield* at(9999), "Unknown")
    }))
})

describe("exportJobs and importJobs", () => {
  const world = (scheduler: Service) =>
    Effect.gen(function* () {
      yield* scheduler.add(Add, {
        id: "sum",
        payload: { a: 1, b: 2 },
        trigger: everyMinute,
        coalesce: "all",
        name: "Sum"
      })
      yield* scheduler.add(Quick, { id: "quick", trigger: Trigger.crontab("0 5 * * *", { timezone: "Europe/Berlin" }) })
      yield* scheduler.add(Quick, { id: "spaced", trigger: Trigger.spaced("10 minutes"), labels: { x: "y" } })
      yield* TestClock.adjust("150 seconds")
      yield* scheduler.pause("quick", { note: "tea", by: "me" })
    })

  test("carry jobs over as JSON, where their cursors stood: what fell due since is caught up", (scheduler) =>
    Effect.gen(function* () {
      yield* world(scheduler)
      const before = yield* scheduler.list()
      const archive = JSON.parse(JSON.stringify(yield* scheduler.exportJobs()))
      const other = yield* Effect.provide(
        Effect.gen(function* () {
          const scheduler = yield* Scheduler.Scheduler
          yield* TestClock.adjust("2 minutes")
          yield* scheduler.importJobs(archive)
          const jobs = yield* scheduler.list()
          yield* settled
          return { jobs, runs: yield* scheduler.runs({ jobId: "sum", ...oldest }) }
        }),
        layer()
      )
      const bare = (jobs: typeof before) => jobs.map(({ incarnation, ...job }) => job)
      assert.deepStrictEqual(bare(other.jobs), bare(before))
      assert.deepStrictEqual(times(other.runs), [3 * MINUTE, 4 * MINUTE])
    }))

  test("carry over only what matches, all or none, and replace or keep what is there if asked", (scheduler) =>
    Effect.gen(function* () {
      yield* world(scheduler)
      const archive = yield* scheduler.exportJobs({ labels: { x: "y" } })
      assert.deepStrictEqual(idsOf(archive.jobs), ["spaced"])
      const all = yield* scheduler.exportJobs()
      yield* scheduler.remove("quick")
      assert.deepInclude(yield* Effect.flip(scheduler.importJobs(all)), { _tag: "JobExists" })
      assert.deepStrictEqual(idsOf(yield* scheduler.list()), ["spaced", "sum"])
      yield* scheduler.modify("sum", { name: "changed" })
      yield* scheduler.importJobs(all, { onConflict: "keep" })
      assert.strictEqual(Option.getOrThrow(yield* scheduler.get("sum")).name, "changed")
      yield* scheduler.importJobs(all, { onConflict: "replace" })
      assert.strictEqual(Option.getOrThrow(yield* scheduler.get("sum")).name, "Sum")
      assert.strictEqual((yield* scheduler.list()).length, 3)
    }))

  test("refuse what is no archive, with the path of every fault", (scheduler) =>
    Effect.gen(function* () {
      yield* world(scheduler)
      const archive = JSON.parse(JSON.stringify(yield* scheduler.exportJobs()))
      const paths = (value: unknown) =>
        Effect.map(Effect.flip(scheduler.importJobs(value)), (error) =>
          error._tag === "InvalidArchive" ? error.issues.map(({ path }) => path) : [error._tag]
        )
      for (const value of [undefined, null, 1, "x", [], {}]) assert.isNotEmpty(yield* paths(value))
      assert.deepStrictEqual(yield* paths({ ...archive, version: 2 }), ["version"])
      archive.jobs[0].fired = "many"
      archive.jobs[2].nextRunTime = "soon"
      archive.jobs[2].policy.overlap = "perhaps"
      const found = yield* paths(archive)
      assert.includeMembers([...found], ["jobs.0.fired", "jobs.2.nextRunTime", "jobs.2.policy.overlap"])
      const trigger = { ...archive, jobs: [{ ...archive.jobs[1], trigger: { kind: "sometimes" } }] }
      assert.match((yield* paths(trigger))[0]!, /^jobs\.0\.trigger/)
      assert.strictEqual((yield* scheduler.list()).length, 3)
    }))
})

describe("pause and resume", () => {
  const resumed = (from: "now" | "pause" | DateTime.Utc | undefined) => (scheduler: Service) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "a", trigger: everyMinute, coalesce: "all" })
      yield* TestClock.adjust("90 seconds")
      yield* scheduler.pause("a", { note: "tea", by: "me" })
      yield* TestClock.adjust("3 minutes")
      yield* scheduler.pause("a", "more tea")
      const { state } = Option.getOrThrow(yield* scheduler.get("a"))
      assert.deepInclude(state, { _tag: "Paused", at: utc(90_000), note: Option.some("more tea"), by: Option.none() })
      const job = yield* scheduler.resume("a", { from })
      assert.deepInclude(Option.getOrThrow(job.lastPause), { from: utc(90_000), to: utc(270_000) })
      yield* TestClock.adjust("1 minute")
      return times(yield* scheduler.runs(oldest)).map((time) => time / MINUTE)
    })

  for (const [name, from, expected] of [
    ["now on, which is the default", undefined, [1, 5]],
    ["now on", "now", [1, 5]],
    ["where it was, so that its policy decides about the pause", "pause", [1, 2, 3, 4, 5]],
    ["an instant in the pause", utc(3 * MINUTE), [1, 3, 4, 5]],
    ["an instant in the future", utc(9 * MINUTE), [1]]
  ] as const) {
    test(`goes on from ${name}`, (scheduler) =>
      Effect.map(resumed(from)(scheduler), (found) => assert.deepStrictEqual(found, [...expected])))
  }
})

describe("runNow", () => {
  const world = (scheduler: Service, options: PolicyOptions) =>
    Effect.gen(function* () {
      yield* scheduler.add(Minute, { id: "a", trigger: never, ...options })
      const runs: Array<Run.Run> = []
      for (let i = 0; i < 4; i++) {
        runs.push(yield* scheduler.runNow("a"))
        yield* TestClock.adjust("10 seconds")
      }
      return runs
    })
  const now = (scheduler: Service) => Effect.map(scheduler.runs(oldest), (runs) => runs.map(stateOf))

  test('is skipped when the job is busy, with overlap: "skip"', (scheduler, seen) =>
    Effect.gen(function* () {
      const runs = yield* world(scheduler, { maxInstances: 2 })
      assert.deepStrictEqual(runs.map(stateOf), ["Pending", "Pending", "Skipped", "Skipped"])
      assert.deepStrictEqual(about(seen, "a").filter((tag) => tag === "RunSkipped").length, 2)
    }))

  test('waits in the queue as far as it goes, with overlap: "queue"', (scheduler) =>
    Effect.gen(function* () {
      const runs = yield* world(scheduler, { overlap: "queue", queueLimit: 2 })
      assert.deepStrictEqual(runs.map(stateOf), ["Pending", "Queued", "Queued", "Skipped"])
      assert.deepInclude(runs[3]!.state, { reason: "queueLimit" })
      yield* TestClock.adjust("3 minutes")
      assert.deepStrictEqual(yield* now(scheduler), ["Succeeded", "Succeeded", "Succeeded", "Skipped"])
    }))

  test('takes the place of the run before it, with overlap: "cancelPrevious"', (scheduler) =>
    Effect.gen(function* () {
      yield* world(scheduler, { overlap: "cancelPrevious" })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* now(scheduler), ["Cancelled", "Cancelled", "Cancelled", "Succeeded"])
      assert.deepInclude((yield* scheduler.runs(oldest))[0]?.state, { reason: "overlap" })
      assert.deepStrictEqual(log, ["a cut off", "a cut off", "a cut off", "a closed"])
    }))

  test("does not move the cursor, does not count against the limit, and knows no job that is not there", (scheduler) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "a", trigger: everyMinute, limit: 2 })
      for (let i = 0; i < 5; i++) {
        yield* scheduler.runNow("a")
        yield* settled
      }
      assert.strictEqual(yield* nextOf(scheduler, "a"), MINUTE)
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(log.length, 7)
      assert.strictEqual((yield* Effect.flip(scheduler.runNow("a")))._tag, "JobNotFound")
    }))
})

describe("overlap", () => {
  const story = (scheduler: Service, seen: ReadonlyArray<SchedulerEvent>, options: PolicyOptions) =>
    Effect.gen(function* () {
      yield* scheduler.add(Minute, { id: "a", trigger: Trigger.interval({ seconds: 40 }), ...options })
      yield* TestClock.adjust("3 minutes")
      return seen.flatMap((event) =>
        "run" in event && event._tag !== "RunSubmitted"
          ? [`${event.at.epochMillis / 1000} ${event._tag.slice(3)} ${event.run.scheduledAt.epochMillis / 1000}`]
          : []
      )
    })

  test('"queue" runs everything, one after the other', (scheduler, seen) =>
    Effect.map(story(scheduler, seen, { overlap: "queue" }), (lines) =>
      assert.deepStrictEqual(lines, [
        "40 Started 40",
        "100 Succeeded 40",
        "100 Started 80",
        "160 Succeeded 80",
        "160 Started 120"
      ])
    ))

  test('"cancelPrevious" interrupts what runs and starts the next one at once', (scheduler, seen) =>
    Effect.map(story(scheduler, seen, { overlap: "cancelPrevious" }), (lines) =>
      assert.deepStrictEqual(lines, [
        "40 Started 40",
        "80 Cancelled 40",
        "80 Started 80",
        "120 Cancelled 80",
        "120 Started 120",
        "160 Cancelled 120",
        "160 Started 160"
      ])
    ))

  test("holds up nothing else: behind 5 000 queued runs of one job another one starts at once", (scheduler) =>
    Effect.gen(function* () {
      yield* scheduler.add(Minute, { id: "full", trigger: everyMinute, overlap: "queue", paused: true })
      yield* TestClock.adjust("5000 minutes")
      yield* scheduler.backfill("full", { from: utc(1), to: utc(5000 * MINUTE), limit: 5000 })
      yield* settled
      yield* scheduler.runNow("full")
      yield* scheduler.add(Quick, { id: "other" })
      yield* settled
      assert.deepStrictEqual(log, ["other"])
      assert.deepInclude(yield* scheduler.health, { running: 1 })
    }))

  test("lets any number of runs be asked for at one instant, each under an id of its own", (scheduler) =>
    Effect.gen(function* () {
      yield* scheduler.add(Minute, { id: "full", trigger: never, overlap: "queue", queueLimit: 1000 })
      const runs = yield* Effect.replicateEffect(scheduler.runNow("full"), 500)
      assert.strictEqual(new Set(idsOf(runs)).size, 500)
      assert.deepStrictEqual(new Set(runs.slice(1).map(stateOf)), new Set(["Queued"]))
    }))
})

describe("policies", () => {
  test("space a job by the end of the run before", (scheduler) =>
    Effect.gen(function* () {
      yield* scheduler.add(Minute, { id: "a", trigger: Trigger.spaced("30 seconds") })
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(times(yield* scheduler.runs(oldest)), [30_000, 120_000, 210_000, 300_000])
    }))

  test("limit how often a job runs; its end is told and it is gone", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "a", trigger: everyMinute, limit: 3 })
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(log.length, 3)
      assert.deepInclude(seen.at(-1), { _tag: "JobRemoved", finished: true })
      assert.deepStrictEqual(yield* scheduler.list(), [])
    }))

  test("put each start off by its jitter, the same every time, and keep the nominal time", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "a", trigger: everyMinute, jitter: "20 seconds" })
      yield* TestClock.adjust("10 minutes")
      yield* TestClock.adjust("20 seconds")
      const runs = yield* scheduler.runs(oldest)
      assert.deepStrictEqual(
        times(runs),
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((n) => n * MINUTE)
      )
      const late = runs.map(({ dueAt, scheduledAt }) => dueAt.epochMillis - scheduledAt.epochMillis)
      for (const millis of late) assert.isTrue(millis >= 0 && millis < 20_000)
      assert.isAbove(new Set(late).size, 5)
      const started = seen.flatMap((event) => (event._tag === "RunStarted" ? [event.at.epochMillis] : []))
      assert.deepStrictEqual(
        started,
        runs.map(({ dueAt }) => dueAt.epochMillis)
      )
    }))

  test("try a typed error again only while the task says that it is of use", (scheduler) =>
    Effect.gen(function* () {
      yield* scheduler.add(Add, { id: "useful", payload: { a: 100, b: 9 } })
      yield* scheduler.add(Add, { id: "useless", payload: { a: 100, b: 10 } })
      yield* TestClock.adjust("1 minute")
      const attempts = (jobId: string) => Effect.map(scheduler.runs({ jobId }), ([run]) => [stateOf(run), run?.attempt])
      assert.deepStrictEqual(yield* attempts("useful"), ["Failed", 5])
      assert.deepStrictEqual(yield* attempts("useless"), ["Failed", 1])
    }))

  test("forget runs by age and by number, and tell how many", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "age", trigger: everyMinute, retention: { age: "150 seconds" } })
      yield* scheduler.add(Quick, { id: "count", trigger: everyMinute, retention: { count: 2 } })
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(times(yield* scheduler.runs({ jobId: "count" })), [10 * MINUTE, 9 * MINUTE])
      assert.isAtMost((yield* scheduler.runs({ jobId: "age" })).length, 4)
      const pruned = seen.reduce((sum, event) => sum + (event._tag === "HistoryPruned" ? event.count : 0), 0)
      assert.isAtLeast(pruned, 6)
    }))

  test("keep a finished job as long as its history, and tell of its end", (scheduler, seen) =>
    Effect.gen(function* () {
      yield* scheduler.add(Quick, { id: "a", retention: { finishedJobs: "keep", age: "5 minutes" } })
      yield* settled
      assert.strictEqual(about(seen, "a").at(-1), "JobFinished")
      assert.strictEqual(Option.getOrThrow(yield* scheduler.get("a")).state._tag, "Finished")
      assert.deepStrictEqual(idsOf(yield* scheduler.list({ states: ["Finished"] })), ["a"])
      yield* scheduler.add(Quick, { id: "tick", trigger: everyMinute })
      yield* TestClock.adjust("7 minutes")
      assert.isTrue(Option.isNone(yield* scheduler.get("a")))
    }))

  test(
    "start the run of the highest priority first, and then the one that is due longest",
    (scheduler) =>
      Effect.gen(function* () {
        yield* scheduler.pauseAll
        yield* scheduler.add(Quick, { id: "low", priority: -1 })
        yield* TestClock.adjust("1 second")
        yield* scheduler.add(Quick, { id: "normal-1" })
        yield* TestClock.adjust("1 second")
        yield* scheduler.add(Quick, { id: "high", priority: 5 })
        yield* scheduler.add(Quick, { id: "normal-2" })
        yield* scheduler.resumeAll
        yield* settled
        assert.deepStrictEqual(log, ["high", "normal-1", "normal-2", "low"])
      }),
    { concurrency: 1 }
  )

  test(
    "are merged field by field from the scheduler, the task and the job, inside retry and retention as well",
    (scheduler) =>
      Effect.gen(function* () {
        const Tuned = Task.make("Tuned", { retry: { backoff: "exponential" }, retention: { count: 5 }, priority: 3 })
        yield* scheduler.add(Tuned, { id: "a", trigger: never, retry: { delay: "3 seconds" }, timeout: "1 minute" })
        const { policy } = Option.getOrThrow(yield* scheduler.get("a"))
        assert.deepInclude(policy.retry, { times: 7, backoff: "exponential", jitter: 0 })
        assert.strictEqual(Duration.toSeconds(policy.retry.delay), 3)
        assert.strictEqual(Duration.toSeconds(policy.retry.cap), 60)
        assert.deepInclude(policy.retention, { count: 5, finishedJobs: "keep" })
        assert.deepStrictEqual([policy.priority, policy.maxInstances, policy.overlap], [3, 4, "queue"])
        assert.strictEqual(Duration.toSeconds(policy.timeout), 60)
      }),
    {
      defaults: {
        retry: { times: 7, delay: "1 second", cap: "1 minute" },
        retention: { finishedJobs: "keep" },
        maxInstances: 4,
        overlap: "queue",
        priority: 1
      }
    }
  )
})
