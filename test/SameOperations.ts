/** The differential test of stores: random operations, done to several stores, after each of which all must look alike. */
import { assert } from "@effect/vitest"
import { DateTime, Duration, Effect, FastCheck as fc, Schema } from "effect"
import * as Audit from "../src/Audit.ts"
import * as Job from "../src/Job.ts"
import * as JobStore from "../src/JobStore.ts"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import * as Trigger from "../src/Trigger.ts"

const executor = Policy.DEFAULT_EXECUTOR

type Store = JobStore.JobStore["Type"]
type Perform = (store: Store, node: string) => Effect.Effect<unknown, unknown>

/** Something that is done to a store. */
export interface Operation {
  readonly name: string
  readonly arguments: unknown
  readonly now: DateTime.Utc
  readonly perform: Perform
}

const T0 = 1_767_225_600_000
const jobIds = ["a", "b", "c", "d"]
const tasks = new Set(["Work"])

const policies = fc.record({
  overlap: fc.constantFrom("skip", "queue", "cancelPrevious"),
  coalesce: fc.constantFrom("latest", "earliest", "all"),
  maxInstances: fc.integer({ min: 1, max: 2 }),
  queueLimit: fc.integer({ min: 1, max: 3 }),
  limit: fc.constantFrom(Infinity, Infinity, 3),
  jitter: fc.constantFrom(0, 20_000),
  misfireGraceTime: fc.constantFrom(Infinity, 90_000),
  retry: fc.record({ times: fc.integer({ min: 0, max: 1 }) }),
  retention: fc.record({ finishedJobs: fc.constantFrom("remove", "keep") })
}) satisfies fc.Arbitrary<Policy.PolicyOptions>

const triggers = fc.constantFrom(
  Trigger.interval({ minutes: 1 }),
  Trigger.interval({ minutes: 3 }),
  Trigger.spaced("1 minute"),
  Trigger.at(DateTime.unsafeMake(T0 + 100_000))
)

const outcomes = fc.constantFrom<Run.Outcome>(
  { _tag: "Succeeded" },
  { _tag: "Failed", failure: { kind: "Error", message: "no" } },
  { _tag: "Interrupted" },
  { _tag: "Cancelled" },
  { _tag: "Crashed" },
  { _tag: "Refused", reason: "no thread" }
)

const inOrder = { order: "oldest", limit: 10_000 } as const

/** Does something to the nth of the runs that are stored, if there are any in these states. */
const withRun =
  (
    n: number,
    states: JobStore.RunFilter["states"],
    f: (store: Store, run: Run.Run) => Effect.Effect<unknown, unknown>
  ): Perform =>
  (store) =>
    Effect.flatMap(store.runs({ ...inOrder, states }), (runs) =>
      runs.length === 0 ? Effect.void : f(store, runs[n % runs.length]!)
    )

const settle = (now: DateTime.Utc, n: number, outcome: Run.Outcome) =>
  withRun(n, ["Running"], (store, run) => (Run.isRunning(run) ? store.settle([{ run, outcome }], now) : Effect.void))

const report = (n: number) =>
  withRun(n, ["Running"], (store, run) =>
    Run.isRunning(run) ? store.report([{ run, progress: { done: n, note: "so far" } }]) : Effect.void
  )

const cancel = (now: DateTime.Utc, n: number) =>
  withRun(n, ["Waiting", "Queued", "Pending", "Running"], (store, run) => store.cancel(run.id, now))

const backfill =
  (now: DateTime.Utc, id: string): Perform =>
  (store) =>
    store.backfill(id, (job) =>
      [300, 200, 100].map((seconds) => Run.backfill(job, DateTime.subtract(now, { seconds }), now))
    )

const add =
  (now: DateTime.Utc, id: string, trigger: Trigger.Trigger, options: Policy.PolicyOptions): Perform =>
  (store) => {
    const policy = Policy.override(Policy.defaults, options)
    return store.add([Job.make({ id, task: "Work", now, trigger, policy })], "replace")
  }

const operation = (now: DateTime.Utc): fc.Arbitrary<Operation> => {
  const id = fc.constantFrom(...jobIds)
  const nth = fc.nat(100)
  const one = <A>(weight: number, name: string, arguments_: fc.Arbitrary<A>, perform: (a: A) => Perform) => ({
    weight,
    arbitrary: arguments_.map((a): Operation => ({ name, arguments: a, now, perform: perform(a) }))
  })
  const nothing = fc.constant(undefined)
  return fc.oneof(
    one(6, "claim", nothing, () => (store) => store.claim({ now, limit: 100 })),
    one(4, "start", nothing, () => (store, node) => store.start({ node, now, limit: 100, tasks, executor })),
    one(6, "settle", fc.tuple(nth, outcomes), ([n, outcome]) => settle(now, n, outcome)),
    one(1, "report", nth, report),
    one(2, "cancel", nth, (n) => cancel(now, n)),
    one(2, "add", fc.tuple(id, triggers, policies), ([id, trigger, policy]) => add(now, id, trigger, policy)),
    one(2, "fire", id, (id) => (store) => store.fire(id, now)),
    one(1, "backfill", id, (id) => backfill(now, id)),
    one(1, "remove", id, (id) => (store) => store.remove(id, now)),
    one(1, "pause", id, (id) => (store) => store.update(id, (job) => Job.pause(job, now))),
    one(2, "resume", nothing, () => (store) => store.updateAll({}, (job) => Job.resume(job, now, "pause")))
  )
}

/** Operations on a store, at times that go on. */
export const operations = fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 10, maxLength: 80 }).chain((gaps) => {
  let seconds = 0
  const times = gaps.map((gap) => DateTime.unsafeMake(T0 + 1000 * (seconds += gap)))
  return fc.tuple(...times.map(operation))
})

const encodeRun = Schema.encodeSync(Run.Run)
const encodeJob = Schema.encodeSync(Job.Job)

const look = (store: Store, node: string, now: DateTime.Utc) =>
  Effect.gen(function* () {
    const wakes = yield* store.nextWake({ node, tasks, executors: new Set([executor]) })
    const runs = (yield* store.runs(inOrder)).map((run) => encodeRun(run))
    return JSON.parse(
      JSON.stringify({
        jobs: (yield* store.list({})).map((job) => encodeJob(job)),
        runs,
        counts: yield* store.counts,
        cancellations: wakes.cancelled.toSorted(),
        wake: Math.max(JobStore.soonest(wakes), now.epochMillis)
      }).replaceAll(node, "node")
    ) as unknown
  })

/** Audits a store, but for what a job exceeds whose limits were lowered, and for the end that its next claim makes. */
const audit = (store: Store, node: string, now: DateTime.Utc) =>
  Effect.gen(function* () {
    const [jobs, runs] = [yield* store.list({}), yield* store.runs(inOrder)]
    const found = Audit.check({ jobs, runs, now, nodes: new Set([node]), patience: Duration.infinity })
    return found.filter(({ _tag }) => _tag !== "TooManyActive" && _tag !== "JobStranded")
  })

/** Does the same to all stores; dies where one of them then looks different from the first, or does not stand an audit. */
export const compare = (stores: ReadonlyArray<Store>, operations: ReadonlyArray<Operation>) =>
  Effect.gen(function* () {
    const nodes = yield* Effect.forEach(stores, (store) =>
      store.register({ now: DateTime.unsafeMake(T0), lease: Duration.days(1) })
    )
    for (const operation of operations) {
      const seen = yield* Effect.forEach(stores, (store, i) =>
        Effect.zipRight(Effect.ignore(operation.perform(store, nodes[i]!)), look(store, nodes[i]!, operation.now))
      )
      for (const other of seen.slice(1)) assert.deepStrictEqual(other, seen[0])
      for (const [i, store] of stores.entries())
        assert.deepStrictEqual(yield* audit(store, nodes[i]!, operation.now), [])
    }
  })
