/**
 * What every job store must do for several nodes and executors, as checks of `JobStoreConformance`: leases, fences,
 * recovery, and who starts what where.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import assert from "node:assert/strict"
import {
  add,
  at,
  backfill,
  type Check,
  cancel,
  check,
  claim,
  executors,
  failed,
  history,
  lease,
  make,
  one,
  recover,
  register,
  running,
  settle,
  start,
  states,
  succeeded,
  wakeSeconds,
  work
} from "./ConformanceWorld.ts"
import { JobStore, type Step } from "./JobStore.ts"
import * as Run from "./Run.ts"
import * as Trigger from "./Trigger.ts"

const nodeChecks: ReadonlyArray<Check> = [
  check(
    "no two nodes have one id",
    Effect.gen(function* () {
      const nodes = yield* Effect.all(Array.from({ length: 20 }, () => register()))
      assert.equal(new Set(nodes).size, 20)
    })
  ),

  check(
    "nodes that start at one instant are different ones: the end of one takes nothing from the other",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a"), make("b"))
      const [here, there] = [yield* register(60), yield* register(60)]
      yield* claim(60)
      const own = one(yield* running(here, 60, 1))
      yield* running(there, 60, 1)
      yield* store.release(there)
      assert.deepEqual(states((yield* recover(61)).map(({ run }) => run)), ["60 Pending"])
      assert.equal(yield* store.renew({ node: here, now: at(62), lease }), true)
      assert.equal(yield* store.renew({ node: there, now: at(62), lease }), false)
      assert.equal((yield* settle(own, succeeded, 62)).length, 1)
    })
  ),

  check(
    "a node keeps what it holds to the end of its lease, and as long as it renews",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a"))
      const node = yield* register(60)
      yield* claim(60)
      yield* running(node, 60)
      assert.deepEqual(yield* recover(75), [])
      assert.equal(yield* store.renew({ node, now: at(75), lease }), true)
      assert.deepEqual(yield* recover(90), [])
      assert.deepEqual(states((yield* recover(90.001)).map(({ run }) => run)), ["60 Pending"])
    })
  ),

  check(
    "what a dead node held is run again, and the dead node can neither end it nor come back",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a"))
      const [zombie, heir] = [yield* register(60), yield* register(76)]
      yield* claim(60)
      const held = one(yield* running(zombie, 60))
      assert.equal(one(yield* recover(76)).run.crashes, 1)
      assert.equal(yield* store.renew({ node: zombie, now: at(76), lease }), false)
      assert.deepEqual(yield* settle(held, succeeded, 76), [])
      const again = one(yield* running(heir, 77))
      assert.equal(again.attempt, 2)
      assert.deepEqual(yield* settle(held, succeeded, 77), [])
      assert.equal((yield* settle(again, succeeded, 78)).length, 1)
    })
  ),

  check(
    'onCrash: "abandon" ends what a dead node held',
    Effect.gen(function* () {
      yield* add(make("a", { onCrash: "abandon" }))
      yield* claim(60)
      yield* running(yield* register(60), 60)
      assert.deepEqual(states((yield* recover(76)).map(({ run }) => run)), ["60 Abandoned"])
    })
  ),

  check(
    "a run that outlives more nodes than crashLimit is abandoned",
    Effect.gen(function* () {
      yield* add(make("a", { crashLimit: 1 }))
      yield* claim(60)
      yield* running(yield* register(60), 60)
      yield* recover(76)
      yield* running(yield* register(76), 76)
      assert.deepEqual(states((yield* recover(92)).map(({ run }) => run)), ["60 Abandoned"])
    })
  ),

  check(
    "what a node held that is not known any more is run again",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a"))
      const node = yield* register(60)
      yield* claim(60)
      yield* running(node, 60)
      yield* store.release(node)
      assert.deepEqual(states((yield* recover(60)).map(({ run }) => run)), ["60 Pending"])
    })
  ),

  check(
    "a node that ended in order leaves nothing to recover",
    Effect.gen(function* () {
      const store = yield* JobStore
      const node = yield* register()
      yield* store.release(node)
      assert.equal(yield* store.renew({ node, now: at(1), lease }), false)
      assert.deepEqual(yield* recover(100), [])
    })
  ),

  check(
    "the next wake is never a time past at which there is nothing to do",
    Effect.gen(function* () {
      const store = yield* JobStore
      const node = yield* register(0)
      yield* register(0)
      yield* add(
        make("paused", { isPaused: true }),
        make("once", { trigger: Trigger.at(at(10)), retention: { finishedJobs: "keep" } }),
        make("queue", { overlap: "queue", jitter: "50 seconds" }),
        make("previous", { overlap: "cancelPrevious", limit: 3 }),
        make("all", { coalesce: "all", misfireGraceTime: "2 minutes" }),
        make("spaced", { trigger: Trigger.spaced("1 minute"), misfireGraceTime: "1 minute" }),
        make("other", { task: "Other" }),
        make("gone", { maxInstances: 9 })
      )
      for (let time = 10; time <= 600; time += 35) {
        yield* recover(time)
        while ((yield* claim(time)).length > 0);
        if (time === 150) yield* backfill("paused", [-120, -60], time)
        if (time === 185) yield* store.remove("gone", at(time))
        const runs = time % 3 === 0 ? yield* running(node, time, 2) : []
        if (runs[0] !== undefined) yield* cancel(runs[0], time)
        for (const run of runs.slice(1)) yield* settle(run, failed, time)
        while ((yield* start(node, time)).length > 0);
        const wake = yield* store.nextWake({ node, tasks: work, executors })
        assert.ok((wakeSeconds(wake) ?? Infinity) > time)
      }
    })
  ),

  check(
    "the next wake is the earliest of a due job, a pending run and the end of another's lease",
    Effect.gen(function* () {
      const store = yield* JobStore
      const node = yield* register(0)
      const wake = (tasks: ReadonlySet<string> = work) =>
        Effect.map(store.nextWake({ node, tasks, executors }), wakeSeconds)
      assert.equal(yield* wake(), undefined)
      yield* add(make("a", { retry: { times: 1, delay: "10 seconds" } }), make("paused", { isPaused: true }))
      assert.equal(yield* wake(), 60)
      yield* claim(60)
      assert.equal(yield* wake(), 60)
      assert.equal(yield* wake(new Set()), 120)
      yield* settle(one(yield* running(node, 60)), failed, 61)
      assert.equal(yield* wake(), 71)
      assert.equal(yield* wake(new Set(["Other"])), 120)
      yield* register(50)
      assert.equal(yield* wake(), 65.001)
    })
  )
]

/** Room for so many on each of some executors. */
const roomFor = (node: string, room: Readonly<Record<string, number>>) => ({
  node,
  tasks: work,
  room: new Map(Object.entries(room))
})

const startedIds = (steps: ReadonlyArray<Step>) =>
  steps.map(({ run }) => `${run.jobId} ${run.state._tag} ${run.attempt}`)

const executorChecks: ReadonlyArray<Check> = [
  check(
    "runs of each executor are handed out by themselves",
    Effect.gen(function* () {
      const store = yield* JobStore
      const node = yield* register()
      yield* add(make("a", { executor: "cpu" }), make("b", { executor: "cpu", priority: 1 }), make("c"))
      yield* claim(60)
      const soonestOn = (...names: ReadonlyArray<string>) =>
        Effect.map(store.nextWake({ node, tasks: work, executors: new Set(names) }), (wakes) => wakes.start)
      assert.deepEqual(
        [yield* soonestOn("cpu"), yield* soonestOn("gpu"), yield* soonestOn("gpu", "default")],
        [at(60).epochMillis, Infinity, at(60).epochMillis]
      )
      assert.deepEqual(startedIds(yield* start(node, 60, 100, work, "gpu")), [])
      assert.deepEqual(startedIds(yield* start(node, 60, 1, work, "cpu")), ["b Running 1"])
      assert.deepEqual(startedIds(yield* start(node, 60)), ["c Running 1"])
      assert.deepEqual(startedIds(yield* start(node, 60, 100, work, "cpu")), ["a Running 1"])
    })
  ),

  check(
    "a claim starts what it makes if it is asked to, by priority, as far as there is room, and only what may start",
    Effect.gen(function* () {
      const store = yield* JobStore
      const node = yield* register()
      yield* add(
        make("cpu", { executor: "cpu" }),
        make("first", { priority: 2 }),
        make("full"),
        make("other", { task: "Other", priority: 9 }),
        make("second", { priority: 1 })
      )
      const claimed = yield* store.claim({ now: at(60), limit: 100, start: roomFor(node, { default: 2, cpu: 0 }) })
      assert.deepEqual(startedIds(claimed.started).sort(), ["first Running 1", "second Running 1"])
      assert.equal(claimed.advances.length, 5)
      assert.ok(claimed.advances.every(({ runs }) => runs.every(({ state }) => state._tag === "Pending")))
      const held = (yield* history()).map(({ jobId, state }) => `${jobId} ${state._tag}`)
      assert.deepEqual(held.sort(), ["cpu Pending", "first Running", "full Pending", "other Pending", "second Running"])
      for (const { run } of claimed.started) {
        assert.ok(Run.isRunning(run) && run.state.node === node)
        if (Run.isRunning(run)) assert.equal(one(yield* settle(run, succeeded, 61)).run.state._tag, "Succeeded")
      }
      assert.deepEqual(startedIds(yield* start(node, 61)), ["full Running 1"])
    })
  ),

  check(
    "a claim starts nothing that what is due beyond its limit would come before",
    Effect.gen(function* () {
      const store = yield* JobStore
      const node = yield* register()
      yield* add(make("a"), make("b"), make("c", { priority: 5 }))
      const claimed = yield* store.claim({ now: at(60), limit: 2, start: roomFor(node, { default: 5 }) })
      assert.deepEqual([claimed.advances.length, startedIds(claimed.started)], [2, []])
      yield* claim(60)
      assert.deepEqual(startedIds(yield* start(node, 60, 1)), ["c Running 1"])
    })
  ),

  check(
    "a claim that starts what it makes counts it, as any run in flight, against maxInstances and the catch-up",
    Effect.gen(function* () {
      const store = yield* JobStore
      const node = yield* register()
      yield* add(make("all", { coalesce: "all" }), make("skip"))
      const room = roomFor(node, { default: 10 })
      const first = yield* store.claim({ now: at(180), limit: 100, start: room })
      assert.deepEqual(startedIds(first.started).sort(), ["all Running 1", "skip Running 1"])
      assert.deepEqual(states(yield* history("all")), ["180 Waiting", "120 Waiting", "60 Running"])
      yield* store.claim({ now: at(240), limit: 100, start: room })
      assert.deepEqual(states(yield* history("skip")), ["240 Skipped", "180 Running"])
    })
  ),

  check(
    "a settlement starts what waits for its place if it is asked to",
    Effect.gen(function* () {
      const store = yield* JobStore
      const node = yield* register()
      yield* add(make("a"), make("b"), make("c", { priority: 1 }), make("retried", { retry: { times: 1, delay: 0 } }))
      yield* claim(60)
      const runs = yield* running(node, 60, 2)
      assert.deepEqual(
        runs.map(({ jobId }) => jobId),
        ["c", "a"]
      )
      const settlements = runs.map((run) => ({ run, outcome: succeeded }))
      const steps = yield* store.settle(settlements, at(61), roomFor(node, { default: 1 }))
      assert.deepEqual(startedIds(steps), ["c Succeeded 1", "a Succeeded 1", "b Running 1"])
      assert.deepEqual(startedIds(yield* store.settle(settlements, at(61), roomFor(node, { default: 1 }))), [
        "retried Running 1"
      ])
      const [last] = (yield* history("retried")).filter(Run.isRunning)
      const again = yield* store.settle([{ run: last!, outcome: failed }], at(62), roomFor(node, { default: 5 }))
      assert.deepEqual(startedIds(again), ["retried Pending 1", "retried Running 2"])
    })
  )
]

/**
 * @since 0.1.0
 * @category conformance
 */
export const checks: ReadonlyArray<Check> = [...nodeChecks, ...executorChecks]
