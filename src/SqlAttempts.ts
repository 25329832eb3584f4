/**
 * Attempts in the SQL job store: how they are started, how it is noted how far they are, and how they end.
 *
 * @since 0.1.0
 */
import type { SqlError } from "@effect/sql/SqlError"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type { JobStore, Start, Step } from "./JobStore.ts"
import * as Run from "./Run.ts"
import type { StoreError } from "./SchedulerError.ts"
import { type Database, inPages, PAGE } from "./SqlDatabase.ts"
import * as SqlJobs from "./SqlJobs.ts"
import * as SqlRuns from "./SqlRuns.ts"
import * as SqlSuccession from "./SqlSuccession.ts"
import { settleOrphan } from "./StoreAnswer.ts"

type StartOptions = Parameters<JobStore["Type"]["start"]>[0]
type Settlements = Parameters<JobStore["Type"]["settle"]>[0]
type Reports = Parameters<JobStore["Type"]["report"]>[0]

/**
 * Starts runs that may start, page by page, until there is no more room for them.
 *
 * @since 0.1.0
 * @category steps
 */
export const start = (db: Database, options: StartOptions): Effect.Effect<ReadonlyArray<Step>, StoreError | SqlError> =>
  Effect.gen(function* () {
    const steps: Array<Step> = []
    let room = options.tasks.size === 0 ? 0 : options.limit
    while (room > 0) {
      const batch = yield* startBatch(db, { ...options, limit: Math.min(room, PAGE) })
      const started = batch.filter(({ run }) => Run.isRunning(run)).length
      steps.push(...batch)
      // What came too late left its place to others.
      room = started === batch.length && batch.length < PAGE ? 0 : room - started
    }
    return steps
  })

const startBatch = (db: Database, options: StartOptions) =>
  Effect.gen(function* () {
    const { node, now } = options
    const held = yield* SqlRuns.holdPending(db, options)
    const { jobs } = yield* SqlJobs.readHeld(db, held.jobs)
    const begun = held.runs
      .filter(({ jobId }) => jobs.has(jobId))
      .map((was): SqlSuccession.Transition => ({ was, run: Run.start(was, node, now) }))
    yield* SqlSuccession.writeTransitions(db, begun, jobs)
    return yield* SqlSuccession.follow(db, begun, jobs, now)
  })

/**
 * Two steps of a turn in one transaction: where few runs end at a time, its end costs more than either of them.
 *
 * @since 0.1.0
 * @category steps
 */
export const settleAndStart = (
  db: Database,
  settlements: Settlements,
  now: DateTime.Utc,
  begin: Start | undefined
): Effect.Effect<ReadonlyArray<Step>, StoreError | SqlError> =>
  Effect.gen(function* () {
    const steps = [...(yield* settle(db, settlements, now))]
    for (const [executor, limit] of begin?.room ?? []) {
      steps.push(...(yield* start(db, { ...begin!, now, executor, limit })))
    }
    return steps
  })

/**
 * Ends attempts that still hold their runs.
 *
 * @since 0.1.0
 * @category steps
 */
export const settle = (
  db: Database,
  settlements: Settlements,
  now: DateTime.Utc
): Effect.Effect<ReadonlyArray<Step>, StoreError | SqlError> =>
  Effect.gen(function* () {
    const ids = settlements.map(({ run }) => run.jobId)
    // All at once, so that the pages of several nodes do not cross.
    if (ids.length > PAGE) yield* SqlJobs.hold(db, ids)
    return yield* inPages(settlements, (page) => settlePage(db, page, now))
  })

const settlePage = (db: Database, settlements: Settlements, now: DateTime.Utc) =>
  Effect.gen(function* () {
    const held = yield* SqlJobs.holdOf(
      db,
      settlements.map(({ run }) => run)
    )
    const ends = endsOf(settlements, held, now)
    const written = yield* SqlRuns.writeHeld(db, ends)
    const others = settlements.filter(({ run }) => !written.has(run.id))
    const settled = (yield* stillHeld(db, others)).map(({ outcome, run }) => endOf(run, outcome, held, now))
    yield* SqlSuccession.writeTransitions(db, settled, held.jobs)
    return yield* SqlSuccession.follow(
      db,
      [...ends.filter(({ run }) => written.has(run.id)), ...settled],
      held.jobs,
      now
    )
  })

/** What becomes of attempts if they still hold their runs, once for each run, but for those that were called off. */
const endsOf = (settlements: Settlements, held: SqlJobs.Held, now: DateTime.Utc) =>
  [...new Map(settlements.toReversed().map((settlement) => [settlement.run.id, settlement])).values()]
    .toReversed()
    .filter(({ run }) => run.state.cancelled === undefined)
    .map(({ outcome, run }) => endOf(run, outcome, held, now))

const endOf = (was: Run.Running, outcome: Run.Outcome, { jobs, unread }: SqlJobs.Held, now: DateTime.Utc) => {
  const owner = SqlRuns.ownJob(jobs, was) ?? (unread.has(was.jobId) ? SqlRuns.UNREAD : SqlRuns.ORPHAN)
  const run = owner === SqlRuns.ORPHAN ? settleOrphan(was, outcome, now) : Run.settle(was, owner.policy, outcome, now)
  return { was, run, attempt: was.attempt, owner }
}

/** The settlements of attempts that still hold their runs, once each, with the runs as they are stored. */
const stillHeld = (db: Database, settlements: Settlements) =>
  Effect.gen(function* () {
    const ids = settlements.map(({ run }) => run.id)
    const held = new Map((yield* SqlRuns.holdRunning(db, ids)).filter(Run.isRunning).map((run) => [run.id, run]))
    return settlements.flatMap(({ outcome, run: { attempt, id } }) => {
      const run = held.get(id)
      if (run?.attempt !== attempt) return []
      held.delete(id)
      return [{ run, outcome }]
    })
  })

/**
 * Notes how far attempts are that still hold their runs.
 *
 * @since 0.1.0
 * @category steps
 */
export const report = (
  db: Database,
  reports: Reports
): Effect.Effect<ReadonlyArray<Run.Running>, StoreError | SqlError> =>
  inPages(reports, (page) =>
    Effect.gen(function* () {
      const told = new Map(page.map((report) => [report.run.id, report]))
      const held = (yield* SqlRuns.holdRunning(db, [...told.keys()])).filter(Run.isRunning)
      const reported = held.flatMap((run) => {
        const report = told.get(run.id)
        return report?.run.attempt === run.attempt ? [Run.report(run, report.progress)] : []
      })
      yield* SqlRuns.writeAll(db, reported, () => undefined)
      return reported
    })
  )
