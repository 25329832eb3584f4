/**
 * What follows from the end of a run in the tables of the SQL job store: which run goes on, and when a job is over.
 *
 * @since 0.1.0
 */
import type { SqlError } from "@effect/sql/SqlError"
import * as Arr from "effect/Array"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Job from "./Job.ts"
import type { Step } from "./JobStore.ts"
import * as Run from "./Run.ts"
import type { StoreError } from "./SchedulerError.ts"
import type { Database } from "./SqlDatabase.ts"
import * as SqlJobs from "./SqlJobs.ts"
import * as SqlRuns from "./SqlRuns.ts"

/**
 * A run that has gone from one state to another.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transition {
  readonly was: Run.Run
  readonly run: Run.Run
}

/**
 * A job before and after the last of some runs has ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rest {
  readonly was: Job.Job
  readonly job: Job.Job
  readonly isFinished: boolean
  readonly last: Run.Run | undefined
}

/**
 * After runs have ended: the next one of an instance goes on, or of its job; a job with nothing left ends.
 *
 * @since 0.1.0
 * @category succession
 */
export const follow = (
  db: Database,
  transitions: ReadonlyArray<Transition>,
  jobs: ReadonlyMap<string, Job.Job>,
  now: DateTime.Utc
): Effect.Effect<ReadonlyArray<Step>, StoreError | SqlError> =>
  Effect.gen(function* () {
    const ended = endsByJob(transitions, jobs)
    const loads = yield* SqlRuns.loadsOf(db, [...ended.keys()])
    const rests = new Map<string, Rest>()
    for (const [job, ends] of ended) {
      const load = loads.get(job.id) ?? SqlRuns.IDLE
      if (!SqlRuns.isIdle(load)) yield* succeed(db, job, ends, load)
      const { isFinished, job: rested } = SqlRuns.isIdle(load) ? rest(job, now) : { job, isFinished: false }
      rests.set(job.id, { was: job, job: rested, isFinished, last: ends.at(-1)?.run })
    }
    yield* layToRest(db, [...rests.values()], now)
    yield* SqlRuns.forget(db, [...ended.keys()])
    return transitions.map(({ run }) => {
      const rest = rests.get(run.jobId)
      const isFinished = rest?.last === run && rest.isFinished
      return { run, job: Option.fromNullable(rest?.job ?? jobs.get(run.jobId)), isFinished }
    })
  })

const endsByJob = (transitions: ReadonlyArray<Transition>, jobs: ReadonlyMap<string, Job.Job>) => {
  const ended = new Map<Job.Job, Array<Transition>>()
  for (const transition of transitions) {
    const job = SqlRuns.ownJob(jobs, transition.run)
    if (job === undefined || Run.isLive(transition.run)) continue
    const ends = ended.get(job)
    if (ends === undefined) ended.set(job, [transition])
    else ends.push(transition)
  }
  return ended
}

/** What waits behind runs that have ended goes on. */
const succeed = (db: Database, job: Job.Job, ends: ReadonlyArray<Transition>, load: SqlRuns.Load) =>
  Effect.gen(function* () {
    const heirs = load.waiting === 0 ? [] : yield* Effect.forEach(ends, ({ was }) => SqlRuns.inherit(db, was, job))
    yield* SqlRuns.promote(db, job, { ...load, active: load.active + heirs.flat().filter(Run.isActive).length })
  })

/**
 * A job with nothing in flight goes on, or is finished.
 *
 * @since 0.1.0
 * @category succession
 */
export const rest = (was: Job.Job, now: DateTime.Utc): Rest => {
  const job = Job.rearm(was, now)
  return { was, job, isFinished: Job.isFinished(job), last: undefined }
}

/**
 * Writes what became of jobs with nothing in flight.
 *
 * @since 0.1.0
 * @category succession
 */
export const layToRest = (db: Database, rests: ReadonlyArray<Rest>, now: DateTime.Utc): Effect.Effect<void, SqlError> =>
  Effect.gen(function* () {
    const [going, finished] = Arr.partition(rests, ({ isFinished }) => isFinished)
    const moved = going.filter(({ job, was }) => job !== was).map(({ job }) => job)
    const kept = finished.flatMap(({ job }) => Option.toArray(Job.finish(job, now)))
    const gone = finished.filter(({ job }) => Option.isNone(Job.finish(job, now))).map(({ job }) => job.id)
    yield* SqlJobs.moveOn(db, moved)
    yield* SqlJobs.write(db, kept)
    yield* SqlJobs.forget(db, gone)
  })

/**
 * Writes runs in the state to which they have gone.
 *
 * @since 0.1.0
 * @category succession
 */
export const writeTransitions = (
  db: Database,
  transitions: ReadonlyArray<Transition>,
  jobs: ReadonlyMap<string, Job.Job>
): Effect.Effect<unknown, SqlError> => {
  const runs = transitions.map(({ run }) => run)
  return SqlRuns.writeAll(db, runs, (run) => SqlRuns.ownJob(jobs, run))
}
