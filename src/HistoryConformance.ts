/**
 * What every job store must do about what it remembers, as checks of `JobStoreConformance`: how runs are found, counted
 * and given up, and finished jobs with them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import assert from "node:assert/strict"
import {
  add,
  at,
  type Check,
  cancel,
  cancellations,
  cancelled,
  check,
  claim,
  fire,
  history,
  ids,
  job,
  lease,
  make,
  one,
  recover,
  register,
  running,
  settle,
  states,
  succeeded
} from "./ConformanceWorld.ts"
import * as Job from "./Job.ts"
import { JobStore, type RunFilter } from "./JobStore.ts"
import type * as Run from "./Run.ts"
import * as Trigger from "./Trigger.ts"

const runPages = (filter: RunFilter, limit: number) =>
  Effect.gen(function* () {
    const store = yield* JobStore
    const found: Array<Run.Run> = []
    for (let page = yield* store.runs({ ...filter, limit }); page.length > 0; ) {
      assert.ok(page.length <= limit)
      found.push(...page)
      page = yield* store.runs({ ...filter, limit, after: page.at(-1) })
    }
    return found.map(({ id }) => id)
  })

const progressOf = ({ state }: Run.Run) => (state._tag === "Running" ? state.progress : undefined)

type Told = ReturnType<typeof progressOf>

const byDone = (a: Told, b: Told): number => (a?.done ?? 0) - (b?.done ?? 0)

/**
 * The checks of what is remembered.
 *
 * @since 0.1.0
 * @category conformance
 */
export const checks: ReadonlyArray<Check> = [
  check(
    "runs are listed newest first, by job and state, within the limit",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a", { maxInstances: 9 }), make("b"))
      for (const time of [60, 120, 180]) yield* claim(time)
      assert.deepEqual(states(yield* store.runs({ jobId: "a", limit: 2 })), ["180 Pending", "120 Pending"])
      assert.deepEqual(states(yield* store.runs({ states: ["Skipped"] })), ["180 Skipped", "120 Skipped"])
      assert.equal((yield* store.runs({})).length, 6)
    })
  ),

  check(
    "runs are found by task, state and time, in both orders",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a", { maxInstances: 9 }), make("b", { task: "Other" }))
      for (const time of [60, 120, 180, 240]) yield* claim(time)
      const find = (filter: RunFilter) => Effect.map(store.runs(filter), states)
      assert.deepEqual(yield* find({ task: "Work", from: at(120), to: at(180) }), ["180 Pending", "120 Pending"])
      assert.deepEqual(yield* find({ task: "Work", order: "oldest", limit: 2 }), ["60 Pending", "120 Pending"])
      assert.deepEqual(yield* find({ task: "Other", states: ["Skipped"], to: at(120) }), ["120 Skipped"])
      assert.deepEqual(yield* find({ states: [] }), [])
      assert.deepEqual(yield* store.run("none"), Option.none())
    })
  ),

  check(
    "pages of runs leave none out and give none twice, though many have one time",
    Effect.gen(function* () {
      const names = Array.from({ length: 5 }, (_, i) => `job-${i}`)
      yield* add(...names.map((id) => make(id, { maxInstances: 9 })))
      for (const time of [60, 120, 180]) yield* claim(time)
      const newest = yield* runPages({}, 4)
      assert.equal(new Set(newest).size, 15)
      assert.deepEqual(yield* runPages({ order: "oldest" }, 2), newest.toReversed())
      assert.equal((yield* runPages({ jobId: "job-3", from: at(120) }, 1)).length, 2)
    })
  ),

  check(
    "an ended run is remembered for as long as its job's retention says, a live one as long as it lives",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(
        make("a", { retention: { age: "1 minute" } }),
        make("ever", { retention: { age: Infinity } }),
        make("live", { retention: { age: 0 } })
      )
      const node = yield* register()
      yield* claim(60)
      for (const run of yield* running(node, 60)) if (run.jobId !== "live") yield* settle(run, succeeded, 100)
      assert.equal(yield* store.prune(at(159.999)), 0)
      assert.equal((yield* history()).length, 3)
      assert.equal(yield* store.prune(at(160)), 1)
      assert.equal(yield* store.prune(at(1e9)), 0)
      assert.deepEqual((yield* history()).map(({ jobId }) => jobId).sort(), ["ever", "live"])
    })
  ),

  check(
    "of a job that limits them, only the last ended runs are remembered",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a", { retention: { count: 2 } }), make("all"))
      const node = yield* register()
      for (const time of [60, 120, 180, 240]) {
        yield* claim(time)
        if (time < 240) for (const run of yield* running(node, time)) yield* settle(run, succeeded, time + 1)
      }
      yield* store.prune(at(241))
      assert.deepEqual(states(yield* history("a")), ["240 Pending", "180 Succeeded", "120 Succeeded"])
      assert.equal((yield* history("all")).length, 4)
    })
  ),

  check(
    "a finished job is kept if its retention says so, can be fired, and goes on if it is declared anew",
    Effect.gen(function* () {
      const store = yield* JobStore
      const kept = make("a", { trigger: Trigger.at(at(10)), retention: { finishedJobs: "keep" } })
      yield* add(kept)
      const node = yield* register()
      yield* claim(10)
      assert.equal(one(yield* settle(one(yield* running(node, 10)), succeeded, 11)).isFinished, true)
      assert.deepEqual((yield* job("a")).state, { _tag: "Finished", at: at(11) })
      assert.deepEqual([yield* ids({ states: ["Finished"] }), yield* ids({ states: ["Active"] })], [["a"], []])
      yield* fire("a", 20)
      assert.equal(one(yield* settle(one(yield* running(node, 20)), succeeded, 21)).isFinished, false)
      assert.deepEqual([yield* claim(1000), (yield* history()).length], [[], 2])
      yield* store.add([make("a", { now: at(1000), trigger: Trigger.at(at(1010)) })], "replace")
      assert.equal(one(yield* claim(1010)).runs.length, 1)
    })
  ),

  check(
    "a finished job that was never run is kept, and given up with its history",
    Effect.gen(function* () {
      const store = yield* JobStore
      const retention = { finishedJobs: "keep", age: "1 minute" } as const
      yield* add(make("a", { trigger: Trigger.at(at(10)), misfireGraceTime: "5 seconds", retention }))
      assert.equal(one(yield* claim(16)).isFinished, true)
      yield* store.prune(at(75.999))
      assert.equal((yield* job("a")).state._tag, "Finished")
      assert.equal(yield* store.prune(at(76)), 1)
      assert.deepEqual([yield* ids({}), yield* history()], [[], []])
    })
  ),

  check(
    "a finished job is not given up while a run of it is live",
    Effect.gen(function* () {
      const store = yield* JobStore
      const retention = { finishedJobs: "keep", age: "1 minute" } as const
      yield* add(make("a", { trigger: Trigger.at(at(10)), retention }))
      const node = yield* register()
      yield* claim(10)
      yield* settle(one(yield* running(node, 10)), succeeded, 11)
      yield* fire("a", 70)
      yield* store.prune(at(100))
      assert.deepEqual(yield* ids({}), ["a"])
      yield* settle(one(yield* running(node, 100)), succeeded, 101)
      yield* store.prune(at(200))
      assert.deepEqual(yield* ids({}), [])
    })
  ),

  check(
    "what an attempt wrote, and what it died of, is read back",
    Effect.gen(function* () {
      const store = yield* JobStore
      const output = { stdout: "ü\u0000 \ud800 '\"\\\n".repeat(1000), stderr: "", truncated: true }
      const outcomes: ReadonlyArray<Run.Outcome> = [
        { _tag: "Succeeded", value: { deep: [1] }, output },
        { _tag: "Failed", failure: { kind: "Defect", message: "no" }, output },
        { _tag: "Cancelled", output },
        { _tag: "Crashed", reason: "it was ended by SIGKILL", output }
      ]
      yield* add(make("a", { maxInstances: outcomes.length, onCrash: "abandon" }))
      const node = yield* register()
      for (const _ of outcomes) yield* fire("a", 5)
      for (const [i, run] of (yield* running(node, 5)).entries()) {
        const { state } = one(yield* settle(run, outcomes[i]!, 6)).run
        assert.deepEqual(
          Option.map(yield* store.run(run.id), (run) => run.state),
          Option.some(state)
        )
        assert.deepEqual("output" in state ? state.output : undefined, output)
      }
    })
  ),

  check(
    "how far an attempt is, is known until it ends",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a"), make("b"))
      const node = yield* register()
      yield* claim(60)
      const [a, b] = yield* running(node, 60)
      const far = (done: number) => ({ done, total: 10, note: "so far" })
      const told = yield* store.report([
        { run: a!, progress: far(1) },
        { run: b!, progress: { done: 0.5 } }
      ])
      assert.deepEqual(told.map(progressOf).toSorted(byDone), [{ done: 0.5 }, far(1)])
      yield* store.report([{ run: a!, progress: far(2) }])
      assert.deepEqual((yield* history()).map(progressOf).toSorted(byDone), [{ done: 0.5 }, far(2)])
      const ended = one(yield* settle(a!, succeeded, 70)).run
      assert.deepEqual([ended.state._tag, progressOf(ended)], ["Succeeded", undefined])
    })
  ),

  check(
    "an attempt that no longer holds its run cannot tell how far it is",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a"))
      const [lost, node] = [yield* register(), yield* register(20)]
      yield* claim(60)
      const first = one(yield* running(lost, 60))
      yield* store.renew({ node, now: at(60), lease })
      yield* recover(80)
      const progress = { done: 1 }
      assert.deepEqual(yield* store.report([{ run: first, progress }]), [])
      const second = one(yield* running(node, 80))
      assert.deepEqual(yield* store.report([{ run: first, progress }]), [])
      assert.equal(progressOf(one(yield* history())), undefined)
      yield* settle(second, succeeded, 81)
      assert.deepEqual(yield* store.report([{ run: second, progress }]), [])
      assert.deepEqual(states(yield* history()), ["60 Succeeded"])
    })
  ),

  check(
    "an attempt that is called off may tell how far it is, and stays called off",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a"))
      const node = yield* register()
      yield* claim(60)
      const run = one(yield* running(node, 60))
      yield* store.report([{ run, progress: { done: 1 } }])
      yield* cancel(run, 61)
      const told = one(yield* store.report([{ run, progress: { done: 2 } }]))
      assert.deepEqual([told.state.cancelled, progressOf(told)], ["requested", { done: 2 }])
      assert.deepEqual(yield* cancellations(node), [run.id])
      yield* settle(run, cancelled, 62)
      assert.deepEqual(states(yield* history()), ["60 Cancelled"])
    })
  ),

  check(
    "what is stored is counted by what it waits for",
    Effect.gen(function* () {
      const store = yield* JobStore
      assert.deepEqual(yield* store.counts, { jobs: 0, queued: 0, pending: 0, running: 0 })
      yield* add(make("a", { overlap: "queue", priority: 1 }), make("b"), make("gone", { priority: 2 }), make("later"))
      const node = yield* register()
      yield* store.update("later", (job) => Job.pause(job, at(1)))
      yield* claim(60)
      const [gone] = yield* running(node, 60, 2)
      yield* claim(120)
      yield* store.remove("gone", at(121))
      assert.deepEqual(yield* store.counts, { jobs: 3, queued: 1, pending: 1, running: 2 })
      yield* settle(gone!, succeeded, 122)
      assert.deepEqual(yield* store.counts, { jobs: 3, queued: 1, pending: 1, running: 1 })
    })
  )
]
