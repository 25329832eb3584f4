/**
 * Jobs and runs as rows of the tables of the SQL job store: what each column holds, and how it is read and written.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Job from "./Job.ts"
import type { Retention } from "./Policy.ts"
import * as Run from "./Run.ts"
import { StoreError } from "./SchedulerError.ts"

/** A BIGINT: some drivers give it as text. */
type Bigint = number | string

/**
 * What moves when a job moves on: the nominal time of its next run, when that is due, how many there were, its phase.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cursor {
  readonly next_run_at: Bigint | null
  readonly due_at: Bigint | null
  readonly fired: number
  readonly anchor: Bigint
}

/**
 * The columns of a job that this library writes; all times are epoch milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface JobColumns extends Cursor {
  readonly id: string
  readonly task: string
  readonly job_group: string | null
  readonly labels: string
  readonly state: string
  readonly state_detail: string
  /** When a finished job is given up. */
  readonly keep_until: Bigint | null
  readonly definition: string
}

/**
 * A stored job; the database counts the incarnations.
 *
 * @since 0.1.0
 * @category models
 */
export interface JobRow extends JobColumns {
  readonly incarnation: Bigint
}

/**
 * The columns of a run that change with it; all times are epoch milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunColumns {
  readonly id: string
  readonly job_id: string
  readonly incarnation: Bigint
  readonly run_key: string
  readonly task: string
  readonly scheduled_at: Bigint
  readonly due_at: Bigint
  readonly run_at: Bigint
  readonly start_by: Bigint | null
  readonly instance: string
  readonly priority: number
  readonly executor: string
  readonly attempt: number
  readonly failures: number
  readonly crashes: number
  readonly state: string
  readonly node: string | null
  /** The node that has to interrupt it. */
  readonly cancel_node: string | null
  readonly started_at: Bigint | null
  /** Null for as long as the run is live. */
  readonly finished_at: Bigint | null
  /** When an ended run is given up. */
  readonly keep_until: Bigint | null
  /** What has no column of its own, and the state with all that belongs to it. */
  readonly detail: string
}

/**
 * A stored run, and when it was made: those of one instance together.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunRow extends RunColumns {
  readonly made_at: Bigint
}

/**
 * @since 0.1.0
 * @category reading
 */
export const millis = (column: Bigint | null): number | null => (column === null ? null : Number(column))

const decodeJob = Schema.decodeUnknownEither(Job.Job)
const encodeJob = Schema.encodeSync(Job.Job)
const decodeRun = Schema.decodeUnknownEither(Run.Run)
const encodeRun = Schema.encodeSync(Run.Run)

const parse = <A>(what: string, read: () => Either.Either<A, Error>): Either.Either<A, StoreError> =>
  Either.mapLeft(
    Either.flatMap(Either.try({ try: read, catch: (error) => error }), (decoded) => decoded),
    (cause) => new StoreError({ operation: `read ${what}`, cause })
  )

/** The time until which something is kept that ended at `end`; null if it is for ever. */
const keepUntil = (end: number, { age }: Retention): number | null =>
  Duration.isFinite(age) ? Math.min(end + Duration.toMillis(age), Number.MAX_SAFE_INTEGER) : null

// ---------------------------------------------------------------------------------------------------------------------
// jobs
// ---------------------------------------------------------------------------------------------------------------------

/**
 * @since 0.1.0
 * @category reading
 */
export const readJob = (row: JobRow): Either.Either<Job.Job, StoreError> =>
  parse(`job "${row.id}"`, () =>
    decodeJob({
      ...JSON.parse(row.definition),
      id: row.id,
      incarnation: Number(row.incarnation),
      task: row.task,
      group: row.job_group,
      labels: JSON.parse(row.labels),
      state: JSON.parse(row.state_detail),
      nextRunTime: millis(row.next_run_at),
      fired: row.fired,
      anchor: millis(row.anchor)
    })
  )

/**
 * Where a job stands.
 *
 * @since 0.1.0
 * @category writing
 */
export const toCursor = (job: Job.Job): Cursor => {
  const dueAt = Job.dueAt(job)
  return {
    next_run_at: Option.getOrNull(Option.map(job.nextRunTime, DateTime.toEpochMillis)),
    due_at: Number.isFinite(dueAt) ? dueAt : null,
    fired: job.fired,
    anchor: job.anchor.epochMillis
  }
}

/**
 * A job as columns, without its incarnation: that one never changes.
 *
 * @since 0.1.0
 * @category writing
 */
export const toJobColumns = (job: Job.Job): JobColumns => {
  const { anchor, fired, group, id, incarnation, labels, nextRunTime, state, task, ...definition } = encodeJob(job)
  return {
    id,
    task,
    job_group: group,
    labels: JSON.stringify(labels),
    state: state._tag,
    state_detail: JSON.stringify(state),
    ...toCursor(job),
    keep_until: state._tag === "Finished" ? keepUntil(state.at, job.policy.retention) : null,
    definition: JSON.stringify(definition)
  }
}

/**
 * Patterns for `LIKE`, all of which match the `labels` of a job that has these labels; some other jobs may match too.
 *
 * @since 0.1.0
 * @category writing
 */
export const labelPatterns = (labels: Readonly<Record<string, string>> = {}): ReadonlyArray<string> =>
  Object.entries(labels).map(([name, value]) => {
    const text = `${JSON.stringify(name)}:${JSON.stringify(value)}`
    // How these are escaped differs from one database to the next; any one character matches them in all.
    return `%${text.replace(/[\\%_]/g, "_")}%`
  })

// ---------------------------------------------------------------------------------------------------------------------
// runs
// ---------------------------------------------------------------------------------------------------------------------

/**
 * @since 0.1.0
 * @category reading
 */
export const readRun = (row: RunColumns): Either.Either<Run.Run, StoreError> =>
  parse(`run "${row.id}"`, () =>
    decodeRun({
      ...JSON.parse(row.detail),
      id: row.id,
      jobId: row.job_id,
      incarnation: Number(row.incarnation),
      key: row.run_key,
      task: row.task,
      scheduledAt: millis(row.scheduled_at),
      dueAt: millis(row.due_at),
      runAt: millis(row.run_at),
      startBy: millis(row.start_by),
      instance: row.instance,
      priority: row.priority,
      executor: row.executor,
      attempt: row.attempt,
      failures: row.failures,
      crashes: row.crashes
    })
  )

/**
 * A run as columns; once it has ended, it is kept as the retention says.
 *
 * @since 0.1.0
 * @category writing
 */
export const toRunColumns = (run: Run.Run, retention: Retention): RunColumns => {
  const { covers, dueAt, id, incarnation, instance, jobId, key, origin, runAt, scheduledAt, startBy, state, task } =
    encodeRun(run)
  const finishedAt = "finishedAt" in state ? state.finishedAt : null
  return {
    id,
    job_id: jobId,
    incarnation,
    run_key: key,
    task,
    scheduled_at: scheduledAt,
    due_at: dueAt,
    run_at: runAt,
    start_by: startBy,
    instance,
    priority: run.priority,
    executor: run.executor,
    attempt: run.attempt,
    failures: run.failures,
    crashes: run.crashes,
    state: state._tag,
    node: "node" in state ? state.node : null,
    cancel_node: state._tag === "Running" && state.cancelled !== undefined ? state.node : null,
    started_at: "startedAt" in state ? (state.startedAt ?? null) : null,
    finished_at: finishedAt,
    keep_until: finishedAt === null ? null : keepUntil(finishedAt, retention),
    detail: JSON.stringify({ state, covers, origin })
  }
}
