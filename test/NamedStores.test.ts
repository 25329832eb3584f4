import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, DateTime, Deferred, Duration, Effect, Exit, Layer, Option, Stream, TestClock } from "effect"
import * as Executor from "../src/Executor.ts"
import * as JobStore from "../src/JobStore.ts"
import * as Scheduler from "../src/Scheduler.ts"
import type { SchedulerEvent } from "../src/SchedulerEvent.ts"
import * as Task from "../src/Task.ts"
import * as Trigger from "../src/Trigger.ts"
import * as FaultyJobStore from "./FaultyJobStore.ts"

const Work = Task.make("Work")
const Slow = Task.make("Slow")
const minute = Trigger.interval({ minutes: 1 })

const TasksLive = Layer.mergeAll(
  Task.toLayer(Work, () => Effect.void),
  Task.toLayer(Slow, () => Effect.sleep("90 seconds"))
)

const StoresLive = Layer.mergeAll(
  JobStore.layerMemory,
  JobStore.named("archive", JobStore.layerMemory),
  Executor.layerFiber({ concurrency: 5 }),
  Executor.named("cpu", Executor.layerFiber({ concurrency: 1 }))
)

const layer = (options: Scheduler.Options = {}) =>
  Scheduler.layer(options).pipe(Layer.provide(TasksLive), Layer.provideMerge(StoresLive))

const ids = (jobs: ReadonlyArray<{ readonly id: string }>) => jobs.map(({ id }) => id)
const jobIds = (runs: ReadonlyArray<{ readonly jobId: string }>) => runs.map(({ jobId }) => jobId)

/** What is told from now on. */
const listen = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler
  const told: Array<SchedulerEvent> = []
  const events = yield* scheduler.subscribe
  yield* Effect.forkScoped(Stream.runForEach(events, (event) => Effect.sync(() => told.push(event))))
  return told
})

const named = (told: ReadonlyArray<SchedulerEvent>) =>
  told.flatMap((event) =>
    event._tag.startsWith("JobStore") || event._tag.startsWith("Executor")
      ? [`${event._tag} ${"store" in event ? event.store : "executor" in event ? event.executor : ""}`]
      : []
  )

describe("a scheduler with two stores", () => {
  it.scoped("puts each job where it is told to, and runs them all", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Work, { id: "here", trigger: minute })
      yield* scheduler.add(Work, { id: "there", trigger: minute, store: "archive" })
      assert.deepStrictEqual(ids(yield* (yield* JobStore.JobStore).list({})), ["here"])
      assert.deepStrictEqual(ids(yield* scheduler.list({ store: "archive" })), ["there"])
      assert.deepStrictEqual(ids(yield* scheduler.list()), ["here", "there"])
      assert.deepStrictEqual(yield* scheduler.storeOf("there"), Option.some("archive"))
      assert.deepStrictEqual(yield* scheduler.storeOf("nowhere"), Option.none())
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(jobIds(yield* scheduler.runs()).toSorted(), ["here", "here", "there", "there"])
      assert.deepStrictEqual(jobIds(yield* scheduler.runs({ store: "archive" })), ["there", "there"])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("finds a job by its id wherever it is", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Slow, { id: "there", trigger: minute, store: "archive" })
      assert.isTrue(Option.isSome(yield* scheduler.get("there")))
      yield* scheduler.pause("there")
      yield* scheduler.resume("there")
      yield* scheduler.modify("there", { priority: 3 })
      yield* scheduler.reschedule("there", Trigger.interval({ hours: 1 }))
      const run = yield* scheduler.runNow("there")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* scheduler.cancel(run.id)).state._tag, "Running")
      assert.strictEqual((yield* scheduler.awaitRun(run.id)).state._tag, "Cancelled")
      assert.isNotEmpty(yield* scheduler.preview("there"))
      yield* scheduler.remove("there")
      const refused = yield* Effect.flip(scheduler.remove("there"))
      assert.strictEqual(refused._tag, "JobNotFound")
      assert.strictEqual((yield* Effect.flip(scheduler.cancel("no/1/such")))._tag, "RunNotFound")
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("pages through the jobs and the runs of both in one order", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const jobs = ["d", "a", "c", "b"].map((id, index) =>
        Scheduler.job(Work, { id, trigger: minute, store: index % 2 === 0 ? "default" : "archive" })
      )
      const progress: Array<string> = []
      const added = yield* scheduler.addAll(jobs, {
        onProgress: (stored, total) => Effect.sync(() => progress.push(`${stored}/${total}`))
      })
      assert.deepStrictEqual(ids(added), ["d", "a", "c", "b"])
      assert.strictEqual(progress.at(-1), "4/4")
      const first = yield* scheduler.list({ limit: 3 })
      assert.deepStrictEqual(ids(first), ["a", "b", "c"])
      assert.deepStrictEqual(ids(yield* scheduler.list({ limit: 3, after: "c" })), ["d"])
      yield* TestClock.adjust("1 minute")
      const runs = yield* scheduler.runs({ limit: 3 })
      assert.lengthOf(runs, 3)
      assert.lengthOf(yield* scheduler.runs({ after: runs[2] }), 1)
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("refuses names that it does not know, and says which ones it does", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const store = yield* Effect.flip(scheduler.add(Work, { store: "mongo" }))
      assert.strictEqual(
        store.message,
        "Invalid option store: mongo; expected a store of this scheduler: default, archive"
      )
      const executor = yield* Effect.flip(scheduler.add(Work, { executor: "gpu" }))
      assert.strictEqual(
        executor.message,
        "Invalid option executor: gpu; expected an executor of this scheduler: default, cpu"
      )
      yield* scheduler.add(Work, { id: "job", trigger: minute })
      assert.strictEqual((yield* Effect.flip(scheduler.modify("job", { executor: "gpu" })))._tag, "InvalidOption")
      assert.strictEqual((yield* Effect.flip(scheduler.move("job", "mongo")))._tag, "InvalidOption")
      assert.strictEqual((yield* Effect.flip(scheduler.list({ store: "mongo" })))._tag, "StoreError")
      const all = [Scheduler.job(Work, { id: "x" }), Scheduler.job(Work, { id: "y", store: "mongo" })]
      assert.strictEqual((yield* Effect.flip(scheduler.addAll(all)))._tag, "InvalidOption")
      assert.deepStrictEqual(ids(yield* scheduler.list()), ["job"])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("declares a group across both, and moves what is declared elsewhere", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const declare = (...jobs: ReadonlyArray<readonly [string, string]>) =>
        scheduler.reconcile(
          "group",
          jobs.map(([id, store]) => Scheduler.job(Work, { id, store, trigger: minute }))
        )
      yield* declare(["a", "default"], ["b", "archive"])
      yield* declare(["a", "archive"], ["c", "default"])
      assert.deepStrictEqual(ids(yield* scheduler.list({ store: "archive" })), ["a"])
      assert.deepStrictEqual(ids(yield* scheduler.list({ store: "default" })), ["c"])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("tells once that it is paused, goes on, and ends", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const told = yield* listen
      yield* scheduler.add(Work, { id: "there", trigger: minute, store: "archive" })
      yield* scheduler.pauseAll
      yield* TestClock.adjust("5 minutes")
      assert.isEmpty(yield* scheduler.runs())
      yield* scheduler.resumeAll
      yield* TestClock.adjust("1 second")
      assert.isNotEmpty(yield* scheduler.runs())
      yield* scheduler.shutdown()
      yield* scheduler.shutdown()
      yield* TestClock.adjust("1 second")
      for (const tag of ["SchedulerPaused", "SchedulerResumed", "SchedulerShutdown"]) {
        assert.lengthOf(
          Arr.filter(told, ({ _tag }) => _tag === tag),
          1,
          tag
        )
      }
      const health = yield* scheduler.health
      assert.deepStrictEqual(
        [health.mode, ...Object.values(health.stores).map(({ mode }) => mode)],
        ["Stopped", "Stopped", "Stopped"]
      )
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("goes on with one while the other has no answer", () =>
    Effect.gen(function* () {
      const { faults, store } = FaultyJobStore.make(yield* JobStore.makeMemory())
      const Broken = JobStore.named("broken", Layer.succeed(JobStore.JobStore, store))
      yield* Effect.gen(function* () {
        const scheduler = yield* Scheduler.Scheduler
        yield* scheduler.add(Work, { id: "here", trigger: minute })
        yield* scheduler.add(Work, { id: "there", trigger: minute, store: "broken" })
        yield* faults.inject({ operation: "claim", how: "hang", when: "before" })
        yield* TestClock.adjust("3 minutes")
        assert.lengthOf(yield* scheduler.runs({ jobId: "here", store: "default" }), 3)
        const health = yield* scheduler.health
        assert.deepStrictEqual(
          [health.isStoreAvailable, health.stores.default?.isStoreAvailable, health.stores.broken?.isStoreAvailable],
          [false, true, false]
        )
        yield* faults.heal
        yield* TestClock.adjust("1 minute")
        assert.isNotEmpty(yield* scheduler.runs({ store: "broken" }))
      }).pipe(Effect.provide(Scheduler.layer().pipe(Layer.provide([TasksLive, StoresLive, Broken]))))
    })
  )
})

describe("a job that is moved to another store", () => {
  it.scoped("goes on there where it stood", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Work, { id: "job", trigger: Trigger.interval({ minutes: 10 }), limit: 3 })
      yield* TestClock.adjust("15 minutes")
      const before = Option.getOrThrow(yield* scheduler.get("job"))
      const moved = yield* scheduler.move("job", "archive")
      assert.deepStrictEqual([moved.nextRunTime, moved.fired, moved.state], [before.nextRunTime, 1, { _tag: "Active" }])
      assert.deepStrictEqual(yield* scheduler.storeOf("job"), Option.some("archive"))
      assert.isEmpty(yield* scheduler.list({ store: "default" }))
      yield* TestClock.adjust("5 minutes")
      assert.lengthOf(yield* scheduler.runs({ store: "archive" }), 1)
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("stays paused if it was, and moves back", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Work, { id: "job", trigger: minute, paused: true })
      assert.strictEqual((yield* scheduler.move("job", "archive")).state._tag, "Paused")
      assert.strictEqual((yield* scheduler.move("job", "archive")).state._tag, "Paused")
      yield* scheduler.move("job", "default")
      assert.deepStrictEqual(yield* scheduler.storeOf("job"), Option.some("default"))
      assert.strictEqual((yield* Effect.flip(scheduler.move("none", "archive")))._tag, "JobNotFound")
    }).pipe(Effect.provide(layer()))
  )

  for (const operation of ["remove", "update"] as const) {
    it.scoped(`fires once, in one store, if the ${operation} of its move fails, and the move is made again`, () =>
      Effect.gen(function* () {
        const first = FaultyJobStore.make(yield* JobStore.makeMemory())
        const other = FaultyJobStore.make(yield* JobStore.makeMemory())
        const Stores = Layer.mergeAll(
          Layer.succeed(JobStore.JobStore, first.store),
          JobStore.named("other", Layer.succeed(JobStore.JobStore, other.store)),
          Executor.layerFiber()
        )
        yield* Effect.gen(function* () {
          const scheduler = yield* Scheduler.Scheduler
          yield* scheduler.add(Work, { id: "job", trigger: minute })
          yield* (operation === "remove" ? first : other).faults.inject({
            operation,
            how: "fail",
            when: "before",
            calls: 1
          })
          assert.isTrue(Exit.isFailure(yield* Effect.exit(scheduler.move("job", "other"))))
          yield* TestClock.adjust("1 minute")
          const before = yield* scheduler.runs()
          assert.lengthOf(before, operation === "remove" ? 1 : 0)
          yield* scheduler.move("job", "other")
          yield* TestClock.adjust("1 minute")
          const times = (yield* scheduler.runs()).map(({ key }) => key)
          assert.strictEqual(new Set(times).size, times.length)
          assert.isEmpty(yield* scheduler.list({ store: "default" }))
          assert.strictEqual(Option.getOrThrow(yield* scheduler.get("job")).state._tag, "Active")
        }).pipe(Effect.provide(Scheduler.layer().pipe(Layer.provide([TasksLive, Stores]))))
      })
    )
  }

  it.scoped("is refused where another job has its id", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Work, { id: "job", trigger: minute })
      yield* scheduler.add(Work, { id: "job", trigger: minute, store: "archive" })
      assert.strictEqual((yield* Effect.flip(scheduler.move("job", "archive")))._tag, "JobExists")
      assert.lengthOf(yield* scheduler.list(), 2)
    }).pipe(Effect.provide(layer()))
  )
})

describe("executors with names", () => {
  it.scoped("carry out their own jobs, each within its own limit", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const jobs = Arr.makeBy(3, (i) =>
        Scheduler.job(Slow, { id: `cpu-${i}`, executor: "cpu", store: i === 0 ? "default" : "archive" })
      )
      yield* scheduler.addAll(jobs)
      yield* scheduler.add(Slow, { id: "io" })
      yield* TestClock.adjust("1 second")
      const health = yield* scheduler.health
      assert.deepStrictEqual(health.executors, {
        default: { concurrency: 5, running: 1 },
        cpu: { concurrency: 1, running: 1 }
      })
      assert.lengthOf(yield* scheduler.runs({ states: ["Pending"] }), 2)
      yield* TestClock.adjust("5 minutes")
      const runs = yield* scheduler.runs()
      assert.deepStrictEqual(runs.map(({ executor, state }) => `${executor} ${state._tag}`).toSorted(), [
        "cpu Succeeded",
        "cpu Succeeded",
        "cpu Succeeded",
        "default Succeeded"
      ])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("are defaulted by the task and by the scheduler", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const OnDefault = Task.make("OnDefault", { executor: "default" })
      assert.strictEqual((yield* scheduler.add(Work, { paused: true })).policy.executor, "cpu")
      assert.strictEqual((yield* scheduler.add(OnDefault, { paused: true })).policy.executor, "default")
    }).pipe(Effect.provide(layer({ defaults: { executor: "cpu" } })))
  )

  it.scoped("come and go while the scheduler runs", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const told = yield* listen
      const closed = yield* Deferred.make<void>()
      const Gpu = Layer.scopedDiscard(Effect.addFinalizer(() => Deferred.succeed(closed, undefined)))
      yield* scheduler.addExecutor("gpu", Layer.provideMerge(Executor.layerFiber({ concurrency: 1 }), Gpu))
      assert.strictEqual(
        (yield* Effect.flip(scheduler.addExecutor("gpu", Executor.layerFiber())))._tag,
        "InvalidOption"
      )
      yield* scheduler.add(Slow, { id: "job", executor: "gpu" })
      yield* scheduler.add(Slow, { id: "next", executor: "gpu" })
      yield* TestClock.adjust("1 second")
      const removal = yield* Effect.fork(scheduler.removeExecutor("gpu", { wait: "10 minutes" }))
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* Deferred.isDone(closed))
      yield* TestClock.adjust("1 minute")
      yield* removal.await
      assert.isTrue(yield* Deferred.isDone(closed))
      assert.deepStrictEqual(named(told), ["ExecutorAdded gpu", "ExecutorRemoved gpu"])
      const states = (yield* scheduler.runs()).map(({ jobId, state }) => `${jobId} ${state._tag}`)
      // What nobody here can carry out is kept for whoever can.
      assert.deepStrictEqual(states.toSorted(), ["job Succeeded", "next Pending"])
      yield* scheduler.addExecutor("gpu", Executor.layerFiber())
      yield* TestClock.adjust("2 minutes")
      assert.isTrue((yield* scheduler.runs()).every(({ state }) => state._tag === "Succeeded"))
      assert.strictEqual((yield* Effect.flip(scheduler.removeExecutor("default")))._tag, "InvalidOption")
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("interrupt what they carry out if they are not to wait, and it is run again elsewhere", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Slow, { id: "job", executor: "cpu" })
      yield* TestClock.adjust("1 second")
      yield* scheduler.removeExecutor("cpu", { wait: false })
      yield* TestClock.adjust("1 second")
      const [run] = yield* scheduler.runs()
      assert.strictEqual(run?.state._tag, "Pending")
    }).pipe(Effect.provide(layer()))
  )
})

describe("stores with names", () => {
  it.scoped("come and go while the scheduler runs, and keep their jobs", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const told = yield* listen
      const memory = yield* JobStore.makeMemory()
      const Extra = Layer.succeed(JobStore.JobStore, memory)
      yield* scheduler.addStore("extra", Extra)
      yield* scheduler.add(Slow, { id: "job", store: "extra", trigger: minute })
      yield* TestClock.adjust("1 minute")
      const removal = yield* Effect.fork(scheduler.removeStore("extra"))
      yield* TestClock.adjust("3 minutes")
      yield* removal.await
      assert.deepStrictEqual(named(told), ["JobStoreAdded extra", "JobStoreRemoved extra"])
      assert.deepStrictEqual(ids(yield* memory.list({})), ["job"])
      assert.isTrue(Option.isNone(yield* scheduler.get("job")))
      assert.strictEqual((yield* memory.counts).running, 0)
      yield* scheduler.addStore("extra", Extra)
      yield* TestClock.adjust("1 second")
      assert.isAbove((yield* scheduler.runs({ store: "extra" })).length, 1)
      assert.strictEqual((yield* Effect.flip(scheduler.removeStore("default")))._tag, "InvalidOption")
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("can be removed before the scheduler has started", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.removeStore("archive")
      yield* scheduler.start
      yield* scheduler.add(Work, { id: "job" })
      yield* TestClock.adjust("1 second")
      assert.lengthOf(yield* scheduler.runs(), 1)
    }).pipe(Effect.provide(layer({ autoStart: false })))
  )
})

describe("runDue", () => {
  it.scoped("carries out what is due on all stores, and no more", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Work, { id: "here", trigger: minute })
      yield* scheduler.add(Work, { id: "there", trigger: minute, store: "archive", coalesce: "all" })
      yield* TestClock.adjust("3 minutes")
      assert.isEmpty(yield* scheduler.runs())
      assert.strictEqual(yield* scheduler.runDue(), 4)
      assert.strictEqual(yield* scheduler.runDue(), 0)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* scheduler.runDue(), 2)
      assert.isTrue((yield* scheduler.runs()).every(({ state }) => state._tag === "Succeeded"))
    }).pipe(Effect.provide(layer({ autoStart: false })))
  )

  it.scoped("gives back what is still under way when its time is over", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Slow, { id: "job" })
      const call = yield* Effect.fork(scheduler.runDue({ atMost: "30 seconds" }))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* call, 1)
      const [run] = yield* scheduler.runs()
      assert.deepStrictEqual([run?.state._tag, run?.attempt], ["Pending", 1])
      const again = yield* Effect.fork(scheduler.runDue())
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* again, 1)
      assert.strictEqual((yield* scheduler.runs())[0]?.state._tag, "Succeeded")
    }).pipe(Effect.provide(layer({ autoStart: false })))
  )

  it.scoped("takes over what a call had under way that was killed, once its lease is over", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const store = yield* JobStore.JobStore
      const { id } = yield* scheduler.add(Work, { id: "job", retention: { finishedJobs: "keep" } })
      const now = yield* DateTime.now
      const node = yield* store.register({ now, lease: Duration.seconds(15) })
      const start = { node, tasks: new Set(["Work"]), room: new Map([["default", 1]]) }
      yield* store.claim({ now, limit: 1, start })
      const stateOf = Effect.map(store.runs({ jobId: id }), ([run]) => [run?.state._tag, run?.attempt])
      assert.deepStrictEqual(yield* stateOf, ["Running", 1])
      yield* TestClock.adjust("14 seconds")
      assert.strictEqual(yield* scheduler.runDue(), 0)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* scheduler.runDue(), 1)
      assert.deepStrictEqual(yield* stateOf, ["Succeeded", 2])
    }).pipe(Effect.provide(layer({ autoStart: false })))
  )
})
