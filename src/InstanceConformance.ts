/**
 * What every job store must do about several instances of one job, as checks of `JobStoreConformance`: which of them
 * start, wait, give way or are called off.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import assert from "node:assert/strict"
import {
  add,
  at,
  backfill,
  type Check,
  cancel,
  cancellations,
  cancelled,
  check,
  claim,
  claimed,
  everyMinute,
  executors,
  failed,
  fire,
  get,
  history,
  idOf,
  job,
  make,
  one,
  recover,
  register,
  running,
  seconds,
  settle,
  start,
  states,
  succeeded,
  wakeSeconds
} from "./ConformanceWorld.ts"
import * as Job from "./Job.ts"
import { JobStore } from "./JobStore.ts"
import * as Policy from "./Policy.ts"
import * as Run from "./Run.ts"
import * as Trigger from "./Trigger.ts"

const reason = ({ state }: Run.Run) => ("reason" in state ? state.reason : undefined)

// ---------------------------------------------------------------------------------------------------------------------
// overlap
// ---------------------------------------------------------------------------------------------------------------------

const queueChecks: ReadonlyArray<Check> = [
  check(
    'overlap: "queue" lets due runs wait for their turn, in their order',
    Effect.gen(function* () {
      yield* add(make("a", { overlap: "queue" }))
      const node = yield* register()
      for (const time of [60, 120, 180]) yield* claim(time)
      assert.deepEqual(states(yield* history()), ["180 Queued", "120 Queued", "60 Pending"])
      for (const time of [60, 120, 180]) {
        const run = one(yield* running(node, 180))
        assert.equal(seconds(Option.some(run.scheduledAt)), time)
        yield* settle(run, succeeded, 180)
      }
      assert.deepEqual(states(yield* history()), ["180 Succeeded", "120 Succeeded", "60 Succeeded"])
    })
  ),

  check(
    "a run that finds the queue full is skipped, and says so",
    Effect.gen(function* () {
      yield* add(make("a", { overlap: "queue", queueLimit: 2 }))
      for (const time of [60, 120, 180]) yield* claim(time)
      assert.equal(reason(one(one(yield* claim(240)).skipped)), "queueLimit")
      assert.deepEqual(states(yield* history()), ["240 Skipped", "180 Queued", "120 Queued", "60 Pending"])
    })
  ),

  check(
    "a run that is tried again keeps its place before those in the queue",
    Effect.gen(function* () {
      yield* add(make("a", { overlap: "queue", retry: { times: 1, delay: "10 seconds" } }))
      const node = yield* register()
      yield* claim(60)
      const first = one(yield* running(node, 60))
      yield* claim(120)
      yield* settle(first, failed, 125)
      assert.deepEqual(states(yield* history()), ["120 Queued", "60 Pending"])
      assert.deepEqual(yield* running(node, 134), [])
      yield* settle(one(yield* running(node, 135)), failed, 136)
      assert.deepEqual(states(yield* history()), ["120 Pending", "60 Failed"])
    })
  ),

  check(
    "what is queued may start as soon as an update admits more",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a", { overlap: "queue" }))
      for (const time of [60, 120, 180, 240]) yield* claim(time)
      yield* store.update("a", (job) => ({ ...job, policy: Policy.override(job.policy, { maxInstances: 3 }) }))
      assert.deepEqual(states(yield* history()), ["240 Queued", "180 Pending", "120 Pending", "60 Pending"])
      yield* store.updateAll({}, (job) => ({ ...job, policy: Policy.override(job.policy, { maxInstances: 4 }) }))
      assert.equal((yield* running(yield* register(), 240)).length, 4)
    })
  ),

  check(
    "a catch-up waits in the queue, and runs, as one instance",
    Effect.gen(function* () {
      yield* add(make("a", { overlap: "queue", coalesce: "all" }))
      const node = yield* register()
      yield* claim(60)
      const first = one(yield* running(node, 60))
      yield* claim(180)
      yield* claim(240)
      assert.deepEqual(states(yield* history()), ["240 Queued", "180 Waiting", "120 Queued", "60 Running"])
      yield* settle(first, succeeded, 240)
      for (const time of [120, 180, 240]) {
        const run = one(yield* running(node, 240))
        assert.equal(seconds(Option.some(run.scheduledAt)), time)
        yield* settle(run, failed, 240)
      }
    })
  ),

  check(
    "a run that is missed while it was pending lets the next one in",
    Effect.gen(function* () {
      yield* add(make("a", { overlap: "queue", misfireGraceTime: "90 seconds" }))
      const node = yield* register()
      yield* claim(60)
      yield* claim(120)
      const steps = yield* start(node, 160)
      assert.deepEqual(states(steps.map(({ run }) => run)), ["60 Missed", "120 Running"])
    })
  )
]

const previousChecks: ReadonlyArray<Check> = [
  check(
    'overlap: "cancelPrevious" interrupts the run under way, and starts when it has ended',
    Effect.gen(function* () {
      yield* add(make("a", { overlap: "cancelPrevious" }))
      const [node, other] = [yield* register(60), yield* register(60)]
      yield* claim(60)
      const first = one(yield* running(node, 60))
      const advance = one(yield* claim(120))
      assert.deepEqual([advance.cancelled, states(advance.runs)], [[], ["120 Queued"]])
      assert.deepEqual([yield* cancellations(node), yield* cancellations(other)], [[first.id], []])
      const { run } = one(yield* settle(first, cancelled, 121))
      assert.deepEqual([states([run]), reason(run)], [["60 Cancelled"], "overlap"])
      assert.deepEqual(yield* cancellations(node), [])
      assert.deepEqual(states(yield* running(other, 121)), ["120 Running"])
    })
  ),

  check(
    "of runs that follow each other while one is being interrupted, the last one starts",
    Effect.gen(function* () {
      yield* add(make("a", { overlap: "cancelPrevious" }))
      const node = yield* register()
      yield* claim(60)
      const first = one(yield* running(node, 60))
      yield* claim(120)
      assert.deepEqual(states(one(yield* claim(180)).cancelled), ["120 Cancelled"])
      assert.deepEqual(states(one(yield* claim(240)).cancelled), ["180 Cancelled"])
      assert.deepEqual(yield* cancellations(node), [first.id])
      yield* settle(first, succeeded, 241)
      assert.deepEqual(states(yield* history()), ["240 Pending", "180 Cancelled", "120 Cancelled", "60 Succeeded"])
    })
  ),

  check(
    "a run takes the place of one that has not started",
    Effect.gen(function* () {
      yield* add(make("a", { overlap: "cancelPrevious" }))
      yield* claim(60)
      const advance = one(yield* claim(120))
      assert.deepEqual([states(advance.cancelled), states(advance.runs)], [["60 Cancelled"], ["120 Pending"]])
      assert.equal(one(advance.cancelled.map(reason)), "overlap")
      assert.deepEqual(states(yield* history()), ["120 Pending", "60 Cancelled"])
      assert.deepEqual(states(yield* running(yield* register(), 120)), ["120 Running"])
    })
  ),

  check(
    "only as many instances give way as must, the oldest ones",
    Effect.gen(function* () {
      yield* add(make("a", { overlap: "cancelPrevious", maxInstances: 2 }))
      const node = yield* register()
      yield* claim(60)
      const first = one(yield* running(node, 60))
      yield* claim(120)
      yield* claim(180)
      assert.deepEqual(yield* cancellations(node), [first.id])
      assert.deepEqual(states(yield* history()), ["180 Queued", "120 Pending", "60 Running"])
    })
  ),

  check(
    "an instance that gives way does so with all that follows in it",
    Effect.gen(function* () {
      yield* add(make("a", { overlap: "cancelPrevious", coalesce: "all" }))
      const node = yield* register()
      yield* claim(180)
      const first = one(yield* running(node, 180))
      const advance = one(yield* claim(240))
      assert.deepEqual(states(advance.cancelled).sort(), ["120 Cancelled", "180 Cancelled"])
      assert.deepEqual(yield* cancellations(node), [first.id])
      yield* settle(first, cancelled, 241)
      assert.deepEqual(states(yield* history()), ["240 Pending", "180 Cancelled", "120 Cancelled", "60 Cancelled"])
    })
  ),

  check(
    "a job goes on if its last run gives way to one that was asked for",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a", { overlap: "cancelPrevious", trigger: Trigger.at(at(10)) }))
      yield* claim(10)
      const fired = yield* store.fire("a", at(20))
      assert.deepEqual([states(fired.cancelled), states([fired.run])], [["10 Cancelled"], ["20 Pending"]])
      const step = one(yield* settle(one(yield* running(yield* register(), 20)), succeeded, 21))
      assert.equal(step.isFinished, true)
      assert.ok(Option.isNone(yield* get("a")))
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// when
// ---------------------------------------------------------------------------------------------------------------------

const timeChecks: ReadonlyArray<Check> = [
  check(
    "a job with jitter is due when its jitter is over, and its run keeps the nominal time",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a", { jitter: "30 seconds" }))
      const due = DateTime.unsafeMake(Job.dueAt(yield* job("a")))
      const wake = yield* store.nextWake({ node: yield* register(), tasks: new Set(), executors })
      assert.equal(wakeSeconds(wake), seconds(Option.some(due)))
      const late = seconds(Option.some(due)) ?? 0
      assert.ok(late > 60 && late < 90)
      assert.deepEqual(yield* claim(late - 0.001), [])
      yield* claim(late)
      const run = one(yield* history())
      assert.deepEqual([run.scheduledAt, run.dueAt, run.runAt], [at(60), due, due])
      assert.equal(seconds((yield* job("a")).nextRunTime), 120)
    })
  ),

  check(
    "what is done to a job between a nominal time and its jitter counts for this run, which is made once or not at all",
    Effect.gen(function* () {
      const store = yield* JobStore
      const verbs: Record<string, Effect.Effect<unknown, unknown>> = {
        changed: store.update("changed", (job) => ({ ...job, payload: "new" })),
        declared: store.add([make("declared", { jitter: "50 seconds" })], "replace"),
        paused: store.update("paused", (job) => Job.pause(job, at(60.2))),
        removed: store.remove("removed", at(60.2)),
        rescheduled: store.update("rescheduled", (job) => Job.reschedule(job, everyMinute, at(60.2))),
        resumed: store.update("resumed", (job) => Job.resume(Job.pause(job, at(60.1)), at(60.2))),
        untouched: Effect.void
      }
      const names = Object.keys(verbs)
      yield* add(...names.map((id) => make(id, { jitter: "50 seconds" })))
      assert.ok((yield* Effect.forEach(names, job)).every((_) => Job.dueAt(_) > at(60.2).epochMillis))
      yield* Effect.forEach(names, (id) => verbs[id]!)
      const runs = (yield* claim(112)).flatMap(({ runs }) => runs)
      assert.deepEqual(runs.map(({ jobId }) => jobId).sort(), ["changed", "declared", "resumed", "untouched"])
      assert.deepEqual(new Set(states(runs)), new Set(["60 Pending"]))
      assert.equal(seconds((yield* job("rescheduled")).nextRunTime), 120.2)
      const started = yield* start(yield* register(), 112)
      const changed = started.find(({ run }) => run.jobId === "changed")
      assert.equal(Option.getOrThrow(changed!.job).payload, "new")
    })
  ),

  check(
    "a job is finished when its trigger has made as many runs as its limit; skipped ones do not count",
    Effect.gen(function* () {
      yield* add(make("a", { limit: 2 }))
      const node = yield* register()
      yield* claim(60)
      const first = one(yield* running(node, 60))
      assert.equal(one(yield* claim(120)).skipped.length, 1)
      yield* settle(first, succeeded, 121)
      assert.equal((yield* job("a")).fired, 1)
      yield* claim(180)
      assert.ok(Option.isNone((yield* job("a")).nextRunTime))
      assert.equal(one(yield* settle(one(yield* running(node, 180)), succeeded, 181)).isFinished, true)
      assert.ok(Option.isNone(yield* get("a")))
    })
  ),

  check(
    "a job whose last run ended while it was paused is over when it is resumed",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a", { trigger: Trigger.at(at(10)) }))
      const node = yield* register()
      yield* claim(10)
      const run = one(yield* running(node, 10))
      yield* store.update("a", (job) => Job.pause(job, at(11)))
      assert.equal(one(yield* settle(run, succeeded, 12)).isFinished, false)
      assert.equal(one(yield* store.updateAll({}, (job) => Job.resume(job, at(20)))).id, "a")
      assert.ok((wakeSeconds(yield* store.nextWake({ node, tasks: new Set(), executors })) ?? Infinity) <= 20)
      assert.equal(one(yield* claim(20)).isFinished, true)
      assert.deepEqual([yield* get("a"), yield* claim(21)], [Option.none(), []])
    })
  ),

  check(
    "a spaced job is next due so long after its run has ended",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a", { trigger: Trigger.spaced("1 minute"), retry: { times: 1, delay: "10 seconds" } }))
      const node = yield* register()
      const first = seconds((yield* job("a")).nextRunTime) ?? 0
      yield* claim(first)
      assert.ok(Option.isNone((yield* job("a")).nextRunTime))
      yield* settle(one(yield* running(node, first)), failed, 100)
      assert.ok(Option.isNone((yield* job("a")).nextRunTime))
      const step = one(yield* settle(one(yield* running(node, 110)), failed, 200))
      assert.deepEqual([step.isFinished, seconds((yield* job("a")).nextRunTime)], [false, 260])
      assert.deepEqual((yield* job("a")).anchor, at(200))
      assert.equal(wakeSeconds(yield* store.nextWake({ node, tasks: new Set(), executors })), 260)
      assert.equal((yield* claimed(260)).key, Run.keyOf(at(260)))
    })
  ),

  check(
    "a spaced job goes on after a run that never started",
    Effect.gen(function* () {
      yield* add(make("a", { trigger: Trigger.spaced("1 minute"), misfireGraceTime: "1 minute" }))
      const node = yield* register()
      const next = Effect.map(job("a"), ({ nextRunTime }) => seconds(nextRunTime) ?? Infinity)
      const run = yield* claimed(yield* next)
      assert.equal((yield* cancel(run, 100)).isFinished, false)
      assert.equal(yield* next, 160)
      yield* claim(160)
      assert.deepEqual(states((yield* start(node, 221)).map(({ run }) => run)), ["160 Missed"])
      assert.equal(yield* next, 281)
      assert.deepEqual(states(one(yield* claim(342)).missed), ["281 Missed"])
      assert.equal(yield* next, 402)
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// cancellation
// ---------------------------------------------------------------------------------------------------------------------

const cancelChecks: ReadonlyArray<Check> = [
  check(
    "a run that is not there cannot be cancelled, and one that has ended stays as it is",
    Effect.gen(function* () {
      assert.equal((yield* Effect.flip(cancel({ id: "none" }, 0)))._tag, "RunNotFound")
      yield* add(make("a"))
      yield* claim(60)
      const run = one(yield* running(yield* register(), 60))
      yield* settle(run, succeeded, 61)
      const step = yield* cancel(run, 62)
      assert.deepEqual([states([step.run]), step.isFinished], [["60 Succeeded"], false])
      assert.deepEqual(states(yield* history()), ["60 Succeeded"])
    })
  ),

  check(
    "a pending run that is cancelled never starts, and may be the end of its job",
    Effect.gen(function* () {
      yield* add(make("a", { trigger: Trigger.at(at(60)) }))
      const step = yield* cancel(yield* claimed(60), 61)
      assert.deepEqual(step.run.state, { _tag: "Cancelled", finishedAt: at(61), reason: "requested" })
      assert.equal(step.isFinished, true)
      assert.ok(Option.isNone(yield* get("a")))
      assert.deepEqual(yield* running(yield* register(), 61), [])
    })
  ),

  check(
    "a cancelled run makes way for what waits behind it",
    Effect.gen(function* () {
      yield* add(make("a", { overlap: "queue", coalesce: "all" }))
      yield* claim(120)
      yield* claim(180)
      const [third, second, first] = yield* history()
      assert.deepEqual(states([first!, second!, third!]), ["60 Pending", "120 Waiting", "180 Queued"])
      yield* cancel(first!, 180)
      assert.deepEqual(states(yield* history()), ["180 Queued", "120 Pending", "60 Cancelled"])
      yield* cancel(second!, 180)
      assert.deepEqual(states(yield* history()), ["180 Pending", "120 Cancelled", "60 Cancelled"])
    })
  ),

  check(
    "a queued run that is cancelled leaves the others in their order",
    Effect.gen(function* () {
      yield* add(make("a", { overlap: "queue" }))
      const node = yield* register()
      yield* claim(60)
      const first = one(yield* running(node, 60))
      const second = yield* claimed(120)
      yield* claim(180)
      assert.equal((yield* cancel(second, 181)).isFinished, false)
      assert.deepEqual(states(yield* history()), ["180 Queued", "120 Cancelled", "60 Running"])
      yield* settle(first, succeeded, 182)
      assert.deepEqual(states(yield* history()), ["180 Pending", "120 Cancelled", "60 Succeeded"])
    })
  ),

  check(
    "the run behind a queued one that is cancelled takes its place in the queue",
    Effect.gen(function* () {
      yield* add(make("a", { overlap: "queue", coalesce: "all" }))
      const node = yield* register()
      yield* claim(60)
      const first = one(yield* running(node, 60))
      const [second] = one(yield* claim(180)).runs
      yield* cancel(second!, 181)
      assert.deepEqual(states(yield* history()), ["180 Queued", "120 Cancelled", "60 Running"])
      yield* settle(first, succeeded, 182)
      assert.deepEqual(states(yield* history()), ["180 Pending", "120 Cancelled", "60 Succeeded"])
    })
  ),

  check(
    "a waiting run that is cancelled leaves the others of its catch-up waiting",
    Effect.gen(function* () {
      yield* add(make("a", { coalesce: "all" }))
      const node = yield* register()
      yield* claim(180)
      const first = one(yield* running(node, 180))
      const [, second] = yield* history()
      yield* cancel(second!, 181)
      assert.deepEqual(states(yield* history()), ["180 Waiting", "120 Cancelled", "60 Running"])
      yield* settle(first, succeeded, 182)
      assert.deepEqual(states(yield* history()), ["180 Pending", "120 Cancelled", "60 Succeeded"])
    })
  ),

  check(
    "a running run is cancelled by its node alone",
    Effect.gen(function* () {
      yield* add(make("a"), make("b"))
      const [node, other] = [yield* register(60), yield* register(60)]
      yield* claim(60)
      const [run] = yield* running(node, 60, 1)
      yield* running(other, 60)
      const step = yield* cancel(run!, 61)
      assert.deepEqual(step.run.state, { _tag: "Running", node, startedAt: at(60), cancelled: "requested" })
      assert.deepEqual([yield* cancellations(node), yield* cancellations(other)], [[run!.id], []])
      const ended = one(yield* settle(run!, cancelled, 62)).run.state
      assert.deepEqual(ended, { _tag: "Cancelled", startedAt: at(60), finishedAt: at(62), reason: "requested" })
      assert.deepEqual(yield* cancellations(node), [])
    })
  ),

  check(
    "a run that was faster than its cancellation stays as it ended",
    Effect.gen(function* () {
      yield* add(make("a", { retry: { times: 9 } }))
      const node = yield* register()
      yield* claim(60)
      const run = one(yield* running(node, 60))
      yield* cancel(run, 61)
      assert.deepEqual(states([one(yield* settle(run, succeeded, 62)).run]), ["60 Succeeded"])
      assert.deepEqual(yield* cancellations(node), [])
    })
  ),

  check(
    "a cancelled run is not tried again, and not handed on, whatever becomes of its attempt",
    Effect.gen(function* () {
      const interrupted: Run.Outcome = { _tag: "Interrupted" }
      const outcomes = [failed, interrupted, { _tag: "Crashed" } as const]
      const retry = { times: 9, delay: 0 }
      yield* add(...outcomes.map((_, i) => make(`job-${i}`, { retry })), make("lost", { retry }))
      const node = yield* register(60)
      yield* claim(60)
      const runs = yield* running(node, 60)
      for (const run of runs) yield* cancel(run, 61)
      for (const [i, outcome] of outcomes.entries()) yield* settle(runs.find(ofJob(`job-${i}`))!, outcome, 62)
      assert.deepEqual(states((yield* recover(76)).map(({ run }) => run)), ["60 Cancelled"])
      assert.deepEqual(new Set(states(yield* history())), new Set(["60 Cancelled"]))
      assert.deepEqual(yield* running(yield* register(76), 76), [])
    })
  )
]

const ofJob =
  (id: string) =>
  ({ jobId }: Run.Run): boolean =>
    jobId === id

// ---------------------------------------------------------------------------------------------------------------------
// runs that were asked for
// ---------------------------------------------------------------------------------------------------------------------

const backfillChecks: ReadonlyArray<Check> = [
  check(
    "a backfill runs one at a time, in its order, however late, and behind all others",
    Effect.gen(function* () {
      yield* add(make("a", { maxInstances: 3, misfireGraceTime: "1 second" }), make("b", { priority: -1000 }))
      const node = yield* register()
      const made = yield* backfill("a", [-180, -120, -60], 5)
      assert.deepEqual(states(made), ["-180 Pending", "-120 Queued", "-60 Queued"])
      assert.ok(made.every(Run.isBackfill))
      yield* claim(60)
      const [first, second, third] = yield* running(node, 60)
      assert.deepEqual([first?.jobId, second?.jobId, states([third!])], ["a", "b", ["-180 Running"]])
      yield* settle(third!, failed, 61)
      assert.deepEqual(states(yield* running(node, 61)), ["-120 Running"])
      assert.deepEqual(yield* running(node, 61), [])
    })
  ),

  check(
    "a live run waits for a backfill instead of being skipped, and comes before the next one",
    Effect.gen(function* () {
      yield* add(make("a"))
      const node = yield* register()
      yield* backfill("a", [-120, -60], 5)
      const past = one(yield* running(node, 5))
      assert.deepEqual(states([yield* claimed(60)]), ["60 Queued"])
      assert.deepEqual(states([yield* fire("a", 61)]), ["61 Queued"])
      yield* settle(past, succeeded, 62)
      for (const time of [60, 61, -60]) {
        const run = one(yield* running(node, 62))
        assert.equal(seconds(Option.some(run.scheduledAt)), time)
        yield* settle(run, succeeded, 62)
      }
    })
  ),

  check(
    "a live run does not interrupt a backfill",
    Effect.gen(function* () {
      yield* add(make("a", { overlap: "cancelPrevious" }))
      const node = yield* register()
      yield* backfill("a", [-120, -60], 5)
      yield* running(node, 5)
      assert.deepEqual(states(one(yield* claim(60)).cancelled), [])
      assert.deepEqual(states(one(yield* claim(120)).cancelled), ["60 Cancelled"])
      assert.deepEqual(yield* cancellations(node), [])
      assert.deepEqual(states(yield* history()), ["120 Queued", "60 Cancelled", "-60 Queued", "-120 Running"])
    })
  ),

  check(
    "the same backfill asked for twice runs once",
    Effect.gen(function* () {
      yield* add(make("a"))
      yield* backfill("a", [-120, -60], 5)
      assert.deepEqual(states(yield* backfill("a", [-180, -120, -60], 5)), ["-180 Queued"])
      assert.equal((yield* history()).length, 3)
      assert.equal((yield* backfill("a", [-120], 6)).length, 1)
    })
  ),

  check(
    "a backfill that is cancelled lets the next one in, and its job ends with the last one",
    Effect.gen(function* () {
      yield* add(make("a", { trigger: Trigger.at(at(10)) }))
      yield* cancel(yield* claimed(10), 10).pipe(Effect.zipRight(add(make("b"))))
      const [first, second] = yield* backfill("b", [-120, -60], 11)
      yield* cancel(first!, 12)
      assert.deepEqual(states(yield* history("b")), ["-60 Pending", "-120 Cancelled"])
      assert.equal((yield* cancel(second!, 12)).isFinished, false)
      assert.ok(Option.isSome(yield* get("b")))
    })
  )
]

const fireChecks: ReadonlyArray<Check> = [
  check(
    "a run that was asked for is skipped, waits or interrupts, as the overlap of its job says",
    Effect.gen(function* () {
      const store = yield* JobStore
      const overlaps = ["skip", "queue", "cancelPrevious"] as const
      yield* add(...overlaps.map((overlap) => make(overlap, { overlap, queueLimit: 1 })))
      const node = yield* register()
      yield* claim(60)
      const runs = yield* running(node, 60)
      assert.deepEqual(states([yield* fire("skip", 61)]), ["61 Skipped"])
      assert.deepEqual(states([yield* fire("queue", 61), yield* fire("queue", 62)]), ["61 Queued", "62 Skipped"])
      assert.deepEqual((yield* store.fire("cancelPrevious", at(61))).cancelled, [])
      assert.deepEqual(yield* cancellations(node), [runs.find(ofJob("cancelPrevious"))?.id])
      assert.deepEqual(states((yield* store.fire("cancelPrevious", at(61))).cancelled), ["61 Cancelled"])
      for (const run of runs) yield* settle(run, succeeded, 62)
      const waited = (yield* running(node, 62)).map(({ jobId }) => jobId).sort()
      assert.deepEqual(waited, ["cancelPrevious", "queue"])
    })
  ),

  check(
    "no two runs that were asked for at one instant have one id, whatever history is kept",
    Effect.gen(function* () {
      yield* add(make("a", { retention: { count: 1 } }))
      const fired = yield* Effect.all(Array.from({ length: 12 }, () => fire("a", 5)))
      assert.equal(new Set(fired.map(idOf)).size, 12)
    })
  ),

  check(
    "a run knows who asked for it, and what it stands for",
    Effect.gen(function* () {
      const store = yield* JobStore
      const origin = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" }
      yield* add(make("a", { isPaused: true, origin }), make("b"), make("c", { coalesce: "all", catchUpLimit: 1 }))
      const { run } = yield* store.fire("a", at(5), origin)
      assert.deepEqual(Option.getOrThrow((yield* job("a")).origin), origin)
      yield* claim(180)
      const node = yield* register()
      for (const started of yield* running(node, 180)) yield* settle(started, succeeded, 181)
      const read = Option.getOrThrow(yield* store.run(run.id))
      assert.deepEqual([Option.getOrThrow(read.origin), read.state._tag], [origin, "Succeeded"])
      const covers = Effect.fnUntraced(function* (id: string) {
        return Option.getOrThrow(one(yield* history(id)).covers)
      })
      assert.deepEqual(yield* covers("b"), { first: at(60), last: at(180), as: "coalesced" })
      assert.deepEqual(yield* covers("c"), { first: at(60), last: at(120), as: "dropped" })
    })
  )
]

/**
 * The checks of instances.
 *
 * @since 0.1.0
 * @category conformance
 */
export const checks: ReadonlyArray<Check> = [
  ...queueChecks,
  ...previousChecks,
  ...timeChecks,
  ...cancelChecks,
  ...backfillChecks,
  ...fireChecks
]
