/**
 * The claim of the SQL job store: jobs that are due are advanced, and what comes of it is written.
 *
 * @since 0.1.0
 */
import type { SqlError } from "@effect/sql/SqlError"
import * as Arr from "effect/Array"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Job from "./Job.ts"
import type { Claim, ClaimedJob, JobStore, Start, Step } from "./JobStore.ts"
import * as Run from "./Run.ts"
import type { StoreError } from "./SchedulerError.ts"
import type { Database } from "./SqlDatabase.ts"
import * as SqlJobs from "./SqlJobs.ts"
import * as SqlRuns from "./SqlRuns.ts"
import * as SqlSuccession from "./SqlSuccession.ts"

type ClaimOptions = Parameters<JobStore["Type"]["claim"]>[0]

/**
 * Advances due jobs, and starts what there is room for at once.
 *
 * @since 0.1.0
 * @category steps
 */
export const claim = (db: Database, { limit, now, start }: ClaimOptions): Effect.Effect<Claim, StoreError | SqlError> =>
  Effect.gen(function* () {
    const [unread, jobs] = Arr.separate((yield* SqlJobs.holdDue(db, now, limit)).map(SqlJobs.readOrTell))
    const loads = yield* SqlRuns.loadsOf(db, jobs)
    const [failed, advances] = Arr.separate(jobs.map((job) => advance(job, now, loads.get(job.id) ?? SqlRuns.IDLE)))
    const parked = [...unread, ...failed]
    yield* Effect.forEach(parked, ({ jobId, reason }) => SqlJobs.park(db, jobId, reason, now))
    const isFull = jobs.length + unread.length >= limit
    const begun = start === undefined ? NONE : choose(advances, yield* whatMayBegin(db, jobs, now, isFull), start, now)
    const claimed = yield* record(db, advances, begun, now)
    return { advances: claimed, parked, started: claimed.flatMap(({ next, runs }) => toStarted(runs, next, begun)) }
  })

const advance = (job: Job.Job, now: DateTime.Utc, load: SqlRuns.Load) =>
  Either.mapLeft(Job.tryAdvance(job, now, load), (reason) => ({ jobId: job.id, reason }))

const NONE: ReadonlyMap<string, Run.Run> = new Map()

/** Where more is due than was claimed, what starts at once must not come after what is left. */
const whatMayBegin = (
  db: Database,
  claimed: ReadonlyArray<Job.Job>,
  now: DateTime.Utc,
  isFull: boolean
): Effect.Effect<(run: Run.Run) => boolean, SqlError> => {
  if (!isFull) return Effect.succeed(() => true)
  return Effect.map(SqlJobs.isUrgencyLeft(db, now, claimed), (isLeft) => (run) => !isLeft && run.priority >= 0)
}

/** The runs that start with the claim that makes them, by priority and then by time, as far as there is room. */
const choose = (
  advances: ReadonlyArray<Job.Advance>,
  mayBegin: (run: Run.Run) => boolean,
  { node, room, tasks }: Start,
  now: DateTime.Utc
): ReadonlyMap<string, Run.Run> => {
  const left = new Map(room)
  const begun = new Map<string, Run.Run>()
  // What others have to go for is still in their queue.
  const ready = advances.filter(({ cancels }) => cancels === 0).flatMap(({ runs }) => runs.filter(Run.isActive))
  const mine = ready.filter(({ runAt, task }) => tasks.has(task) && runAt.epochMillis <= now.epochMillis)
  for (const run of mine.filter(mayBegin).sort(inStartOrder)) {
    const places = left.get(run.executor) ?? 0
    if (places <= 0) continue
    left.set(run.executor, places - 1)
    begun.set(run.id, Run.start(run, node, now))
  }
  return begun
}

const inStartOrder = (a: Run.Run, b: Run.Run): number =>
  b.priority - a.priority || a.runAt.epochMillis - b.runAt.epochMillis || (a.id < b.id ? -1 : 1)

const toStarted = (
  runs: ReadonlyArray<Run.Run>,
  job: Job.Job,
  begun: ReadonlyMap<string, Run.Run>
): ReadonlyArray<Step> =>
  runs.flatMap(({ id }) => {
    const run = begun.get(id)
    return run === undefined ? [] : [{ run, job: Option.some(job), isFinished: false }]
  })

/** Writes what became of due jobs. */
const record = (
  db: Database,
  advances: ReadonlyArray<Job.Advance>,
  begun: ReadonlyMap<string, Run.Run>,
  now: DateTime.Utc
): Effect.Effect<ReadonlyArray<ClaimedJob>, StoreError | SqlError> =>
  Effect.gen(function* () {
    const cancelled = yield* Effect.forEach(advances, ({ cancels, next }) => SqlRuns.makeRoom(db, next, cancels, now))
    const made = yield* SqlRuns.insert(
      db,
      advances.flatMap(({ missed, next, runs, skipped }) => {
        const made = runs.map((run) => begun.get(run.id) ?? run)
        return SqlRuns.toRows([...missed, ...made, ...skipped], next, now.epochMillis)
      })
    )
    yield* SqlJobs.moveOn(
      db,
      advances.map(({ next }) => next)
    )
    const crowded = advances.filter(({ cancels }) => cancels > 0)
    const pending = yield* SqlRuns.letIn(
      db,
      crowded.map(({ next }) => next)
    )
    const claimed = advances.map((advance, index) => toClaimed(advance, cancelled[index] ?? [], made, pending))
    yield* SqlRuns.forget(
      db,
      claimed.filter(hasEnded).map(({ next }) => next)
    )
    return yield* restAll(db, claimed, now)
  })

const toClaimed = (
  advance: Job.Advance,
  cancelled: ReadonlyArray<Run.Run>,
  made: ReadonlySet<string>,
  pending: ReadonlyMap<string, Run.Run>
): ClaimedJob => {
  const stored = (runs: ReadonlyArray<Run.Run>) =>
    runs.filter(({ id }) => made.has(id)).map((run) => pending.get(run.id) ?? run)
  const { missed, runs, skipped } = advance
  return {
    ...advance,
    missed: stored(missed),
    runs: stored(runs),
    skipped: stored(skipped),
    cancelled,
    isFinished: false
  }
}

const hasEnded = ({ cancelled, missed, skipped }: ClaimedJob): boolean =>
  cancelled.length + missed.length + skipped.length > 0

/** Jobs that were due for the last time are over if nothing came of it. */
const restAll = (
  db: Database,
  claimed: ReadonlyArray<ClaimedJob>,
  now: DateTime.Utc
): Effect.Effect<ReadonlyArray<ClaimedJob>, SqlError> =>
  Effect.gen(function* () {
    const idle = claimed.filter(({ runs }) => !runs.some(Run.isLive))
    const jobs = idle.map(({ next }) => next).filter(Job.isFinished)
    const loads = yield* SqlRuns.loadsOf(db, jobs)
    const rests = new Map(jobs.filter(({ id }) => !loads.has(id)).map((job) => [job.id, SqlSuccession.rest(job, now)]))
    yield* SqlSuccession.layToRest(db, [...rests.values()], now)
    return claimed.map((one) => {
      const rest = rests.get(one.next.id)
      return rest === undefined ? one : { ...one, next: rest.job, isFinished: rest.isFinished }
    })
  })
