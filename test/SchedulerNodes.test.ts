/** Several schedulers on one store: what they owe each other. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import {
  DateTime,
  Deferred,
  Duration,
  Effect,
  Exit,
  Layer,
  Option,
  Schedule,
  Schema,
  type Scope,
  Stream,
  TestClock
} from "effect"
import * as Executor from "../src/Executor.ts"
import * as JobStore from "../src/JobStore.ts"
import type * as Run from "../src/Run.ts"
import { RunContext } from "../src/RunContext.ts"
import * as Scheduler from "../src/Scheduler.ts"
import type { SchedulerEvent } from "../src/SchedulerEvent.ts"
import * as SqlJobStore from "../src/SqlJobStore.ts"
import * as Task from "../src/Task.ts"
import * as Trigger from "../src/Trigger.ts"
import * as FaultyJobStore from "./FaultyJobStore.ts"
import { inOwnTime } from "./FaultyJobStore.ts"
import { postgresClient, type Server, startPostgres } from "./Servers.ts"

type Service = Scheduler.Scheduler["Type"]
type Store = JobStore.JobStore["Type"]

/** Every attempt that began: its job, its nominal time and the time at which it did, in seconds. */
const begun: Array<readonly [job: string, scheduledAt: number, at: number]> = []

const Work = Task.make("Work", { payload: Schema.Struct({ seconds: Schema.Number }) })
const WorkLive = Task.toLayer(Work, ({ seconds }) =>
  Effect.gen(function* () {
    const { jobId, scheduledAt } = yield* RunContext
    begun.push([jobId, scheduledAt.epochMillis / 1000, (yield* DateTime.now).epochMillis / 1000])
    yield* Effect.sleep(seconds * 1000)
  })
)

const PATIENCE = Duration.toSeconds(FaultyJobStore.timing.poll)

/** A scheduler on a store that others have too. */
const node = (store: Store, options?: Scheduler.Options, concurrency = 10) =>
  Scheduler.layer(options).pipe(
    Layer.provide(WorkLive),
    Layer.provide(Executor.layerFiber({ concurrency })),
    Layer.provide(Layer.succeed(JobStore.JobStore, store)),
    Layer.build,
    Effect.flatMap((context) => Effect.provide(Scheduler.Scheduler, context))
  )

/** A store as several processes share it. */
const shared = Effect.map(JobStore.makeMemory(), (sound) => FaultyJobStore.make(sound))

const record = (scheduler: Service) =>
  Effect.gen(function* () {
    const seen: Array<SchedulerEvent> = []
    const events = yield* scheduler.subscribe
    yield* Effect.forkScoped(Stream.runForEach(events, (event) => Effect.sync(() => seen.push(event))))
    return seen
  })

const test = <E>(title: string, body: () => Effect.Effect<void, E, Scope.Scope>, timeout = 30_000) =>
  it.scoped(
    title,
    () =>
      Effect.suspend(() => {
        begun.length = 0
        return body()
      }).pipe(inOwnTime),
    timeout
  )

const everySecond = Trigger.interval({ seconds: 1 })
const stateOf = (run: Run.Run | undefined) => run?.state._tag
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

describe("a hint of another node's work", () => {
  const hints: Readonly<Record<string, (changes: Store["changes"]) => Store["changes"]>> = {
    "is lost": () => Stream.empty,
    "comes once": (changes) => changes,
    "comes three times": (changes) => Stream.flatMap(changes, () => Stream.make(undefined, undefined, undefined))
  }

  for (const [name, change] of Object.entries(hints)) {
    test(`that ${name} changes nothing but how soon the work is begun`, () =>
      Effect.gen(function* () {
        const { store } = yield* shared
        const client = yield* node(store, { autoStart: false })
        for (let i = 0; i < 2; i++) yield* node({ ...store, changes: change(store.changes) })
        yield* TestClock.adjust("7 seconds")
        yield* client.add(Work, { id: "once", payload: { seconds: 0 } })
        yield* client.add(Work, { id: "second", payload: { seconds: 0 }, trigger: everySecond, coalesce: "all" })
        yield* TestClock.adjust("33 seconds")
        const late = begun.map(([, scheduledAt, at]) => at - scheduledAt)
        assert.isAtMost(Math.max(...late), name === "is lost" ? PATIENCE : 0)
        assert.deepStrictEqual(begun.map(([job, time]) => `${job} ${time}`).toSorted(), [
          "once 7",
          ...range(8, 40)
            .map((time) => `second ${time}`)
            .toSorted()
        ])
      }))
  }
})

describe("a job that another node puts on an earlier time while the store is slow to say what comes next", () => {
  // So long that nothing but the hint, or the poll, can be what finds it.
  const timing = { poll: Duration.seconds(30), lease: Duration.seconds(300), renewal: Duration.seconds(100) }
  const hourly = { payload: { seconds: 0 }, trigger: Trigger.interval({ hours: 1 }) }

  /** When it is begun, if the store is asked at 30 s, answers 3 s later, and the job is put on second 32 at second 31. */
  const begunAt = (change: (changes: Store["changes"]) => Store["changes"]) =>
    Effect.gen(function* () {
      const { faults, store } = FaultyJobStore.make(yield* JobStore.makeMemory(), { timing })
      const client = yield* node(store, { autoStart: false })
      yield* client.add(Work, { id: "late", ...hourly })
      yield* node({ ...store, changes: change(store.changes) })
      yield* TestClock.adjust("29 seconds")
      yield* faults.inject({ operation: "nextWake", how: "delay", when: "after", by: "3 seconds", calls: 1 })
      yield* TestClock.adjust("1 second")
      yield* client.add(Work, { id: "other", ...hourly })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(faults.met, ["nextWake delay after"])
      yield* client.reschedule("late", Trigger.at(DateTime.unsafeMake(32_000)))
      yield* TestClock.adjust("1 minute")
      return begun.map(([, , at]) => at)
    })

  test("is begun as soon as it has, since there was a hint", () =>
    Effect.map(
      begunAt((changes) => changes),
      (at) => assert.deepStrictEqual(at, [33])
    ))

  test("is begun with the next poll, without a hint", () =>
    Effect.map(
      begunAt(() => Stream.empty),
      (at) => assert.deepStrictEqual(at, [60])
    ))
})

describe("a hint that comes while the loop has other news", () => {
  it.scoped("is heard: a run that is called off by one that ends is interrupted, however many wait for its slot", () =>
    Effect.gen(function* () {
      const handle = yield* Deferred.make<Service>()
      const Chain = Task.make("Chain")
      const ChainLive = Task.toLayer(Chain, () =>
        Effect.gen(function* () {
          const { jobId } = yield* RunContext
          yield* Effect.sleep(jobId === "long" ? "10 hours" : "1 second")
          const scheduler = yield* Deferred.await(handle)
          if (jobId !== "chain-5") return
          const [long] = yield* scheduler.runs({ jobId: "long" })
          yield* scheduler.cancel(long!.id)
        })
      )
      const scheduler = yield* Scheduler.layer().pipe(
        Layer.provide(ChainLive),
        Layer.provide(Executor.layerFiber({ concurrency: 3 })),
        Layer.provide(JobStore.layerMemory),
        Layer.build,
        Effect.flatMap((context) => Effect.provide(Scheduler.Scheduler, context))
      )
      yield* Deferred.succeed(handle, scheduler)
      yield* scheduler.add(Chain, { id: "long" })
      yield* TestClock.adjust("1 second")
      yield* scheduler.addAll(range(1, 100).map((i) => Scheduler.job(Chain, { id: `chain-${i}` })))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual((yield* scheduler.runs({ jobId: "long" })).map(stateOf), ["Cancelled"])
    })
  )
})

describe("a node that carries out a run for long", () => {
  test("without a timeout keeps it for forty leases, and no other takes it over", () =>
    Effect.gen(function* () {
      const { store } = yield* shared
      const a = yield* node(store)
      yield* a.add(Work, { id: "long", payload: { seconds: 600 } })
      yield* TestClock.adjust("1 second")
      const told = yield* record(yield* node(store))
      yield* TestClock.adjust("10 minutes")
      assert.lengthOf(begun, 1)
      assert.deepStrictEqual(
        (yield* a.runs()).map((run) => [stateOf(run), run.attempt]),
        [["Succeeded", 1]]
      )
      assert.notInclude(
        told.map(({ _tag }) => _tag),
        "RunReleased"
      )
    }))

  test("keeps its lease while it drains, and no other takes it over", () =>
    Effect.gen(function* () {
      const { store } = yield* shared
      const a = yield* node(store)
      const told = yield* record(a)
      yield* a.add(Work, { id: "long", payload: { seconds: 120 } })
      yield* TestClock.adjust("1 second")
      yield* node(store)
      const ended = yield* Effect.forkScoped(a.shutdown({ wait: true }))
      yield* TestClock.adjust("118 seconds")
      assert.isTrue(Option.isNone(yield* ended.poll))
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isSuccess(yield* ended.await))
      assert.lengthOf(begun, 1)
      assert.deepStrictEqual(
        (yield* a.runs()).map((run) => [stateOf(run), run.attempt]),
        [["Succeeded", 1]]
      )
      assert.notInclude(
        told.map(({ _tag }) => _tag),
        "LeaseLost"
      )
    }))
})

describe("a crowd", () => {
  const SLOTS = 20
  let running = 0
  let most = 0
  const order: Array<string> = []

  const Brief = Task.make("Brief", { payload: Schema.Struct({ isHalf: Schema.Boolean }) })

  /** Takes no time, but several turns of the event loop; halfway through, somebody has something urgent. */
  const briefly = (add: Effect.Effect<unknown, unknown>) =>
    Task.toLayer(Brief, ({ isHalf }) =>
      Effect.gen(function* () {
        order.push((yield* RunContext).jobId)
        most = Math.max(most, ++running)
        for (let i = 0; i < 3; i++) yield* Effect.yieldNow()
        if (isHalf) yield* add
        running--
      })
    )

  it.scoped(
    "of 20 000 jobs at one instant is worked off in its order within the slots, and what is urgent comes before the rest",
    () =>
      Effect.gen(function* () {
        const count = 20_000
        const handle = yield* Deferred.make<Service>()
        const urgent = Effect.flatMap(Deferred.await(handle), (_) =>
          _.add(Brief, { id: "urgent", payload: { isHalf: false }, priority: 1 })
        )
        const scheduler = yield* Scheduler.layer().pipe(
          Layer.provide(briefly(urgent)),
          Layer.provide(Executor.layerFiber({ concurrency: SLOTS })),
          Layer.provide(JobStore.layerMemory),
          Layer.build,
          Effect.flatMap((context) => Effect.provide(Scheduler.Scheduler, context))
        )
        yield* Deferred.succeed(handle, scheduler)
        const trigger = Trigger.at(DateTime.unsafeMake(60_000))
        const ids = range(1, count).map((i) => `job-${String(i).padStart(6, "0")}`)
        yield* scheduler.addAll(
          ids.map((id, i) => Scheduler.job(Brief, { id, trigger, payload: { isHalf: i === count / 2 } }))
        )
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(
          order.filter((id) => id !== "urgent"),
          ids
        )
        assert.strictEqual(most, SLOTS)
        assert.isAtMost(order.indexOf("urgent") - count / 2, 3 * SLOTS)
      }),
    60_000
  )

  test(
    "of 100 000 runs for past times keeps no due run waiting, of its own job or of another",
    () =>
      Effect.gen(function* () {
        const a = yield* node(yield* JobStore.makeMemory(), {}, 2)
        const past = { trigger: everySecond, payload: { seconds: 0.2 }, maxInstances: 2 }
        yield* a.add(Work, { id: "own", ...past, paused: true })
        yield* TestClock.adjust("28 hours")
        const to = DateTime.unsafeMake(100_000_000)
        assert.lengthOf(yield* a.backfill("own", { from: DateTime.unsafeMake(0), to, limit: 100_000 }), 100_000)
        yield* a.resume("own")
        yield* a.add(Work, { id: "other", payload: { seconds: 0 }, trigger: everySecond })
        const from = (yield* DateTime.now).epochMillis / 1000
        yield* TestClock.adjust("20 seconds")
        const live = begun.filter(([, scheduledAt]) => scheduledAt > from)
        assert.lengthOf(live, 40)
        assert.isAtMost(Math.max(...live.map(([, scheduledAt, at]) => at - scheduledAt)), 0.2)
        assert.isAbove(begun.length - live.length, 50)
      }),
    60_000
  )
})

describe("five schedulers on one PostgreSQL", () => {
  let server: Server
  beforeAll(async () => {
    server = await startPostgres()
  }, 60_000)
  afterAll(() => server.stop())

  const Tick = Task.make("Tick")

  /** A scheduler with connections of its own, which counts what it carries out. */
  const onPostgres = (ticks: Map<string, number>, migrate: boolean) =>
    Scheduler.layer({ autoStart: false }).pipe(
      Layer.provide(
        Task.toLayer(Tick, () =>
          Effect.map(RunContext, ({ runId }) => void ticks.set(runId, (ticks.get(runId) ?? 0) + 1))
        )
      ),
      Layer.provide(Executor.layerFiber({ concurrency: 20 })),
      Layer.provide(SqlJobStore.layer({ migrate, poll: "200 millis" })),
      Layer.provide(postgresClient(server.url, 3)),
      Layer.build,
      Effect.flatMap((context) => Effect.provide(Scheduler.Scheduler, context))
    )

  it.scopedLive(
    "carry out each of 1 000 occurrences, by one run, once",
    () =>
      Effect.gen(function* () {
        const ticks = range(1, 5).map(() => new Map<string, number>())
        const nodes = yield* Effect.forEach(ticks, (own, i) => onPostgres(own, i === 0))
        const start = Math.ceil((Date.now() + 500) / 100) * 100
        const trigger = Trigger.interval({ millis: 100, start: new Date(start), end: new Date(start + 1900) })
        const catchUp = { coalesce: "all", overlap: "queue", catchUpLimit: 1000, queueLimit: 1000 } as const
        yield* nodes[0]!.addAll(range(1, 50).map((i) => Scheduler.job(Tick, { id: `job-${i}`, trigger, ...catchUp })))
        yield* Effect.forEach(nodes, (scheduler) => scheduler.start)
        yield* Effect.repeat(nodes[0]!.list(), { until: (jobs) => jobs.length === 0, schedule: Schedule.spaced(100) })
        const counts = new Map(ticks.flatMap((own) => [...own]))
        assert.strictEqual(
          ticks.reduce((sum, { size }) => sum + size, 0),
          1000
        )
        assert.deepStrictEqual(new Set(counts.values()), new Set([1]))
        const wanted = range(1, 50).flatMap((i) => range(0, 19).map((n) => `job-${i} ${start + n * 100}`))
        const runs = yield* nodes[0]!.runs({ limit: 10_000 })
        assert.deepStrictEqual(
          runs.map(({ jobId, scheduledAt }) => `${jobId} ${scheduledAt.epochMillis}`).toSorted(),
          wanted.toSorted()
        )
        assert.deepStrictEqual(new Set(runs.map((run) => `${stateOf(run)} ${run.attempt}`)), new Set(["Succeeded 1"]))
        for (const own of ticks) assert.isAbove(own.size, 0, "a node had nothing to do")
      }),
    60_000
  )
})
