/**
 * Runs in the tables of the SQL job store: how they are found, written and given up, and how those of one job wait for
 * each other, which `Ledger` does in memory.
 *
 * @since 0.1.0
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import * as Arr from "effect/Array"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Option from "effect/Option"
import type * as Job from "./Job.ts"
import * as Policy from "./Policy.ts"
import * as Run from "./Run.ts"
import type { StoreError } from "./SchedulerError.ts"
import {
  byIndex,
  type Database,
  inPages,
  insertNew,
  isOneOf,
  limitTo,
  overwrite,
  overwriteHeld,
  PAGE,
  thenJoin
} from "./SqlDatabase.ts"
import * as SqlRows from "./SqlRows.ts"
import { orphanPolicy, type RunFilter } from "./StoreAnswer.ts"

type Failure = StoreError | SqlError

/**
 * @since 0.1.0
 * @category statements
 */
export const find = ({ names, sql }: Database, runId: string): Effect.Effect<Option.Option<Run.Run>, Failure> =>
  Effect.flatMap(sql<SqlRows.RunRow>`SELECT * FROM ${sql(names.runs)} WHERE id = ${runId}`, (rows) =>
    Effect.transposeMapOption(Arr.head(rows), SqlRows.readRun)
  )

/**
 * Holds a run, and gives it as it then is.
 *
 * @since 0.1.0
 * @category holding
 */
export const holdOne = (db: Database, runId: string): Effect.Effect<Option.Option<Run.Run>, Failure> =>
  Effect.flatMap(
    db.sql<SqlRows.RunRow>`SELECT * FROM ${db.sql(db.names.runs)} WHERE id = ${runId} ${db.hold}`,
    (rows) => Effect.transposeMapOption(Arr.head(rows), SqlRows.readRun)
  )

/**
 * Holds those of some runs that are under way.
 *
 * @since 0.1.0
 * @category holding
 */
export const holdRunning = (
  db: Database,
  ids: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Run.Run>, Failure> => {
  if (ids.length === 0) return Effect.succeed([])
  const { hold, names, sql } = db
  const rows = sql<SqlRows.RunRow>`SELECT * FROM ${sql(names.runs)} WHERE ${isOneOf(db, "id", ids)}
    AND state = 'Running' ORDER BY id ${hold}`
  return Effect.flatMap(rows, read)
}

/**
 * Runs that are held with their jobs.
 *
 * @since 0.1.0
 * @category models
 */
export interface HeldRuns {
  readonly runs: ReadonlyArray<Run.Run>
  readonly jobs: ReadonlyArray<SqlRows.JobRow>
}

/**
 * Holds runs that may start, with their jobs, if nobody else holds either.
 *
 * @since 0.1.0
 * @category holding
 */
export const holdPending = (
  db: Database,
  {
    executor,
    limit,
    now,
    tasks
  }: {
    readonly executor: string
    readonly limit: number
    readonly now: DateTime.Utc
    readonly tasks: ReadonlySet<string>
  }
): Effect.Effect<HeldRuns, Failure> => {
  const { names, sql } = db
  const job = sql.csv(SqlRows.JOB_COLUMNS.map((column) => sql`${sql(`j.${column}`)} AS ${sql(`j_${column}`)}`))
  const rows = sql<
    SqlRows.RunRow & SqlRows.JoinedJobRow
  >`SELECT r.*, ${job} FROM ${sql(names.runs)} r ${byIndex(db, names.pending)}
    ${thenJoin(db)} ${sql(names.jobs)} j
      ON j.incarnation = r.incarnation
    WHERE r.state = 'Pending' AND r.executor = ${executor} AND r.run_at <= ${now.epochMillis} AND ${isOneOf(db, "r.task", [...tasks])}
      AND j.state <> 'Parked'
    ORDER BY r.priority DESC, r.run_at, r.id ${limitTo(db, limit)} ${db.holdFreeBoth}`
  return Effect.flatMap(rows, (rows) => {
    const jobs = new Map(rows.map((row) => [row.job_id, row]))
    return Either.map(read(rows), (runs) => ({ runs, jobs: [...jobs.values()].map(SqlRows.toJobRow) }))
  })
}

/**
 * @since 0.1.0
 * @category statements
 */
export const read = (rows: ReadonlyArray<SqlRows.RunRow>): Either.Either<ReadonlyArray<Run.Run>, StoreError> => {
  const runs: Array<Run.Run> = []
  for (const row of rows) {
    const run = SqlRows.readRun(row)
    if (Either.isLeft(run)) return Either.left(run.left)
    runs.push(run.right)
  }
  return Either.right(runs)
}

/**
 * Writes one run as `writeAll` does.
 *
 * @since 0.1.0
 * @category statements
 */
export const write = <R extends Run.Run>(db: Database, run: R, job?: Owner): Effect.Effect<R, SqlError> =>
  Effect.as(
    writeAll(db, [run], () => job),
    run
  )

/** What decides how long a run is kept. */
type Owner = Pick<Job.Job, "policy">

/** What changes of a run that is stored. */
const CHANGING = [
  "run_at",
  "attempt",
  "failures",
  "crashes",
  "state",
  "node",
  "cancel_node",
  "started_at",
  "finished_at",
  "keep_until",
  "detail"
]

/**
 * Writes runs that are there and that nobody else can write: their jobs are held, or they themselves are.
 *
 * @since 0.1.0
 * @category statements
 */
export const writeAll = (
  db: Database,
  runs: ReadonlyArray<Run.Run>,
  ownerOf: (run: Run.Run) => Owner | undefined
): Effect.Effect<unknown, SqlError> =>
  inPages(runs, (page) => {
    const rows = page.map((run) => toRow(run, ownerOf(run) ?? ORPHAN, 0))
    return overwrite(db, db.names.runs, "id", CHANGING, rows)
  })

/** A run as a row, with columns for whichever statement writes it. */
type Row = SqlRows.RunRow & Record<string, unknown>

const toRow = (run: Run.Run, { policy }: Owner, madeAt: number): Row =>
  SqlRows.toRunRow(run, policy.retention, madeAt) as Row

/** What became of an attempt that held a run. */
interface Held {
  readonly run: Run.Run
  readonly attempt: number
  readonly owner: Owner
}

/**
 * Writes what became of attempts that still hold their runs, and that nobody has called off, without reading the runs;
 * gives the ids of those. On databases that cannot do so, none are.
 *
 * @since 0.1.0
 * @category statements
 */
export const writeHeld = (db: Database, all: ReadonlyArray<Held>): Effect.Effect<ReadonlySet<string>, SqlError> => {
  if (db.dialect !== "pg" || all.length === 0) return Effect.succeed(new Set())
  // In a form that PostgreSQL does not look into: it would take these for few, and compare each with all that are written.
  const isHeld = (held: Fragment) =>
    db.sql`CASE WHEN t.attempt = ${held} AND t.state = 'Running' AND t.cancel_node IS NULL THEN true ELSE false END`
  const rows = all.map(({ attempt, owner, run }) => Object.assign(toRow(run, owner, 0), { held: attempt }))
  return Effect.map(
    overwriteHeld(db, db.names.runs, CHANGING, rows, isHeld),
    (written) => new Set(written.map(({ id }) => id))
  )
}

/**
 * A run whose job is gone, or in another life.
 *
 * @since 0.1.0
 * @category constants
 */
export const ORPHAN = { policy: orphanPolicy }

/**
 * A run whose job cannot be read: it goes on when that has been mended.
 *
 * @since 0.1.0
 * @category constants
 */
export const UNREAD = { policy: Policy.defaults }

/**
 * The job that a run belongs to, if it still leads the same life.
 *
 * @since 0.1.0
 * @category queries
 */
export const ownJob = (jobs: ReadonlyMap<string, Job.Job>, { incarnation, jobId }: Run.Run): Job.Job | undefined => {
  const job = jobs.get(jobId)
  return job?.incarnation === incarnation ? job : undefined
}

/**
 * Stores new runs and gives their ids; a run whose key is taken has been made before, and stays as it is.
 *
 * @since 0.1.0
 * @category statements
 */
export const insert = (
  db: Database,
  rows: ReadonlyArray<SqlRows.RunRow>
): Effect.Effect<ReadonlySet<string>, SqlError> =>
  Effect.map(
    inPages(rows, (page) => insertNew(db, db.names.runs, page as ReadonlyArray<Row>, { isAlone: true })),
    (made) => new Set(made.map(({ id }) => id))
  )

/**
 * The rows of new runs of one job.
 *
 * @since 0.1.0
 * @category statements
 */
export const toRows = (runs: ReadonlyArray<Run.Run>, job: Owner, madeAt: number): ReadonlyArray<SqlRows.RunRow> =>
  runs.map((run) => toRow(run, job, madeAt))

/**
 * @since 0.1.0
 * @category statements
 */
export const list = (db: Database, filter: RunFilter): Effect.Effect<ReadonlyArray<Run.Run>, SqlError> => {
  const { names, sql } = db
  const { after, from, jobId, limit = 100, order, states, task, to } = filter
  const [direction, beyond] = order === "oldest" ? [sql`ASC`, sql`>`] : [sql`DESC`, sql`<`]
  const where = [
    ...(jobId === undefined ? [] : [sql`job_id = ${jobId}`]),
    ...(task === undefined ? [] : [sql`task = ${task}`]),
    ...(states === undefined ? [] : [isOneOf(db, "state", states)]),
    ...(from === undefined ? [] : [sql`scheduled_at >= ${from.epochMillis}`]),
    ...(to === undefined ? [] : [sql`scheduled_at <= ${to.epochMillis}`]),
    ...(after === undefined ? [] : [isBeyond(sql, beyond, after)])
  ]
  const rows = sql<SqlRows.RunRow>`SELECT * FROM ${sql(names.runs)} WHERE ${sql.and(where)}
    ORDER BY scheduled_at ${direction}, id ${direction} ${limitTo(db, limit)}`
  return Effect.flatMap(rows, readable)
}

/** A newer version may know states that this one does not; such runs are left out with a warning. */
const readable = (rows: ReadonlyArray<SqlRows.RunRow>): Effect.Effect<ReadonlyArray<Run.Run>> =>
  Effect.gen(function* () {
    const [unread, runs] = Arr.separate(rows.map((row) => SqlRows.readRun(row)))
    for (const error of unread) yield* Effect.logWarning("A run cannot be read", error)
    return runs
  })

const isBeyond = (
  sql: SqlClient.SqlClient,
  beyond: Fragment,
  { id, scheduledAt: { epochMillis: at } }: NonNullable<RunFilter["after"]>
): Fragment => sql`(scheduled_at ${beyond} ${at} OR (scheduled_at = ${at} AND id ${beyond} ${id}))`

/**
 * What a job has in flight, and what waits behind that.
 *
 * @since 0.1.0
 * @category models
 */
export interface Load extends Job.Load {
  readonly backlogged: number
  readonly waiting: number
}

/**
 * @since 0.1.0
 * @category constants
 */
export const IDLE: Load = { active: 0, backfilling: 0, queued: 0, backlogged: 0, waiting: 0 }

/**
 * @since 0.1.0
 * @category queries
 */
export const isIdle = (load: Load): boolean => load.active + load.queued + load.backlogged + load.waiting === 0

interface LoadRow {
  readonly job_id: string
  readonly incarnation: number | string
  readonly state: string
  readonly is_backfill: number | string
  readonly n: number | string
}

/**
 * The loads of some jobs, by id; those that have none are left out.
 *
 * @since 0.1.0
 * @category loads
 */
export const loadsOf = (db: Database, jobs: ReadonlyArray<Job.Job>): Effect.Effect<Map<string, Load>, SqlError> =>
  Effect.map(
    inPages(jobs, (page) => loadRows(db, page)),
    (rows) => {
      const lives = new Map(jobs.map(({ id, incarnation }) => [id, incarnation]))
      const loads = new Map<string, Load>()
      for (const row of rows) {
        if (lives.get(row.job_id) !== Number(row.incarnation)) continue
        loads.set(row.job_id, addTo(loads.get(row.job_id) ?? IDLE, row))
      }
      return loads
    }
  )

const loadRows = (db: Database, jobs: ReadonlyArray<Job.Job>) => {
  const { names, sql } = db
  const ids = jobs.map(({ id }) => id)
  const isBackfill = sql`CASE WHEN priority = ${Policy.LEAST_PRIORITY} THEN 1 ELSE 0 END`
  return sql<LoadRow>`SELECT job_id, incarnation, state, is_backfill, COUNT(*) AS n
    FROM (SELECT job_id, incarnation, state, ${isBackfill} AS is_backfill FROM ${sql(names.runs)}
      WHERE ${isOneOf(db, "job_id", ids)} AND finished_at IS NULL) live
    GROUP BY job_id, incarnation, state, is_backfill`
}

const addTo = (load: Load, row: LoadRow): Load => {
  const n = Number(row.n)
  const isBackfill = Number(row.is_backfill) === 1
  switch (row.state) {
    case "Waiting":
      return { ...load, waiting: load.waiting + n }
    case "Queued":
      return isBackfill ? { ...load, backlogged: load.backlogged + n } : { ...load, queued: load.queued + n }
    default:
      return { ...load, active: load.active + n, backfilling: load.backfilling + (isBackfill ? n : 0) }
  }
}

/**
 * The condition that a run is one of this life of a job.
 *
 * @since 0.1.0
 * @category statements
 */
export const ofJob = ({ sql }: Database, { id, incarnation }: Job.Job): Fragment =>
  sql`job_id = ${id} AND incarnation = ${incarnation}`

/** The order in which runs of one job were made: of one instant, one that was asked for after one that was due. */
const inOrder = (sql: SqlClient.SqlClient): Fragment => sql`made_at, scheduled_at, LENGTH(run_key), run_key`

/**
 * Lets in what is queued, of jobs that may have room for it; gives the runs that are pending now, by id.
 *
 * @since 0.1.0
 * @category loads
 */
export const letIn = (
  db: Database,
  jobs: ReadonlyArray<Job.Job>
): Effect.Effect<ReadonlyMap<string, Run.Run>, Failure> =>
  Effect.gen(function* () {
    const loads = yield* loadsOf(db, jobs)
    const pending = yield* Effect.forEach(jobs, (job) => promote(db, job, loads.get(job.id) ?? IDLE))
    return new Map(pending.flat().map((run) => [run.id, run]))
  })

/**
 * Lets in what is queued, backfills last and one at a time, while there is room.
 *
 * @since 0.1.0
 * @category loads
 */
export const promote = (db: Database, job: Job.Job, load: Load): Effect.Effect<ReadonlyArray<Run.Run>, Failure> => {
  const room = Math.max(0, job.policy.maxInstances - load.active)
  const live = Math.min(room, load.queued)
  const past = Math.min(room - live, load.backlogged, load.backfilling === 0 ? 1 : 0)
  if (live + past === 0) return Effect.succeed([])
  return Effect.gen(function* () {
    const { names, sql } = db
    const rows = yield* sql<SqlRows.RunRow>`SELECT * FROM ${sql(names.runs)} WHERE ${ofJob(db, job)}
      AND state = 'Queued' ORDER BY CASE WHEN priority = ${Policy.LEAST_PRIORITY} THEN 1 ELSE 0 END, made_at,
      CASE WHEN priority = ${Policy.LEAST_PRIORITY} THEN 0 ELSE scheduled_at END, LENGTH(run_key), run_key
      ${limitTo(db, live + past)}`
    const promoted = (yield* read(rows)).map((run) => Run.promote(run))
    yield* writeAll(db, promoted, () => job)
    return promoted
  })
}

/**
 * Cancels the oldest instances of a job to make room for newer ones; gives those that had not started.
 *
 * @since 0.1.0
 * @category loads
 */
export const makeRoom = (
  db: Database,
  job: Job.Job,
  count: number,
  now: DateTime.Utc
): Effect.Effect<ReadonlyArray<Run.Run>, Failure> => {
  if (count <= 0) return Effect.succeed([])
  return Effect.gen(function* () {
    const { names, sql } = db
    const oldest = yield* sql<SqlRows.RunRow>`SELECT * FROM ${sql(names.runs)} WHERE ${ofJob(db, job)}
      AND finished_at IS NULL AND state <> 'Waiting' AND priority <> ${Policy.LEAST_PRIORITY}
      ORDER BY CASE WHEN state = 'Queued' THEN 1 ELSE 0 END, ${inOrder(sql)} ${limitTo(db, count)}`
    const instances = oldest.map(({ instance }) => instance)
    const followers = yield* sql<SqlRows.RunRow>`SELECT * FROM ${sql(names.runs)} WHERE ${ofJob(db, job)}
      AND state = 'Waiting' AND ${isOneOf(db, "instance", instances)} ORDER BY ${inOrder(sql)}`
    const runs = yield* read([...oldest, ...followers])
    const called = runs.map((run) => callOff(run, now, "overlap"))
    yield* writeAll(db, called, () => job)
    return called.filter((run) => !Run.isLive(run))
  })
}

/**
 * Cancels a run, or asks for it if the run is under way.
 *
 * @since 0.1.0
 * @category loads
 */
export const callOff = (run: Run.Run, now: DateTime.Utc, reason: Run.CancelReason): Run.Run =>
  Run.isRunning(run) ? Run.requestCancel(run, reason) : Run.cancel(run, now, reason)

/**
 * The next run of an instance takes the place of the one that was first.
 *
 * @since 0.1.0
 * @category loads
 */
export const inherit = (db: Database, was: Run.Run, job: Job.Job): Effect.Effect<ReadonlyArray<Run.Run>, Failure> => {
  if (was.state._tag === "Waiting") return Effect.succeed([])
  return Effect.gen(function* () {
    const { names, sql } = db
    const rows = yield* sql<SqlRows.RunRow>`SELECT * FROM ${sql(names.runs)} WHERE ${ofJob(db, job)}
      AND instance = ${was.instance} AND state = 'Waiting' ORDER BY scheduled_at ${limitTo(db, 1)}`
    const heirs = (yield* read(rows)).map((run) =>
      was.state._tag === "Queued" ? Run.hold(run, "Queued") : Run.promote(run)
    )
    return yield* Effect.forEach(heirs, (run) => write(db, run, job))
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// the end of history
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Gives up the oldest ended runs of those jobs that limit their number.
 *
 * @since 0.1.0
 * @category history
 */
export const forget = (db: Database, jobs: ReadonlyArray<Job.Job>): Effect.Effect<void, SqlError> =>
  Effect.forEach(
    jobs.filter(({ policy }) => Number.isFinite(policy.retention.count)),
    (job) => forgetOldest(db, job),
    { discard: true }
  )

const forgetOldest = (db: Database, { id, policy }: Job.Job) =>
  Effect.gen(function* () {
    const { names, sql } = db
    // The rest of a history that is much too long is given up when the next runs end.
    const rows = yield* sql<Named>`SELECT id FROM ${sql(names.runs)} WHERE job_id = ${id}
      AND finished_at IS NOT NULL ORDER BY finished_at DESC, scheduled_at DESC, LENGTH(run_key) DESC, run_key DESC
      ${limitTo(db, 10 * PAGE, policy.retention.count)}`
    yield* drop(db, rows)
  })

type Named = Pick<SqlRows.RunRow, "id">

const drop = (db: Database, rows: ReadonlyArray<Named>) =>
  inPages(
    rows.map(({ id }) => id),
    (page) => db.sql`DELETE FROM ${db.sql(db.names.runs)} WHERE ${isOneOf(db, "id", page)}`
  )

/**
 * Gives up ended runs, and finished jobs, that have been kept long enough and that nobody else holds; says how many runs.
 *
 * @since 0.1.0
 * @category history
 */
export const prune = (db: Database, { epochMillis: now }: DateTime.Utc): Effect.Effect<number, SqlError> =>
  Effect.gen(function* () {
    const { names, sql } = db
    const batch = 10 * PAGE
    let pruned = 0
    for (let isLast = false; !isLast; ) {
      const old = yield* sql<Named>`SELECT id FROM ${sql(names.runs)} WHERE keep_until <= ${now}
        ${limitTo(db, batch)} ${db.holdFree}`
      yield* drop(db, old)
      pruned += old.length
      isLast = old.length < batch
    }
    yield* pruneJobs(db, now)
    return pruned
  })

const pruneJobs = (db: Database, now: number) =>
  Effect.gen(function* () {
    const { names, sql } = db
    const over = yield* sql<Named>`SELECT id FROM ${sql(names.jobs)} WHERE keep_until <= ${now} ${db.holdFree}`
    yield* inPages(
      over.map(({ id }) => id),
      // Finished jobs may still be fired.
      (page) => sql`DELETE FROM ${sql(names.jobs)} WHERE ${isOneOf(db, "id", page)} AND id NOT IN
        (SELECT job_id FROM ${sql(names.runs)} WHERE ${isOneOf(db, "job_id", page)} AND finished_at IS NULL)`
    )
  })
