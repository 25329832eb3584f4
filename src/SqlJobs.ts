/**
 * Jobs in the tables of the SQL job store: how they are found, held, declared, written and removed.
 *
 * @since 0.1.0
 */
import type { SqlError } from "@effect/sql/SqlError"
import * as Arr from "effect/Array"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Option from "effect/Option"
import * as Job from "./Job.ts"
import * as Run from "./Run.ts"
import { JobExists, JobNotFound, type StoreError } from "./SchedulerError.ts"
import {
  byIndex,
  type Database,
  inPages,
  insertNew,
  isOneOf,
  limitTo,
  overwrite,
  PAGE,
  storedMeanwhile
} from "./SqlDatabase.ts"
import * as SqlRows from "./SqlRows.ts"
import * as SqlRuns from "./SqlRuns.ts"
import { type Change, isMatch, type JobFilter, type OnConflict, type Removal } from "./StoreAnswer.ts"

type Failure = StoreError | SqlError

// ---------------------------------------------------------------------------------------------------------------------
// reading
// ---------------------------------------------------------------------------------------------------------------------

/**
 * @since 0.1.0
 * @category reading
 */
export const find = ({ names, sql }: Database, id: string): Effect.Effect<Option.Option<SqlRows.JobRow>, SqlError> =>
  Effect.map(sql<SqlRows.JobRow>`SELECT * FROM ${sql(names.jobs)} WHERE id = ${id}`, Arr.head)

/**
 * The jobs that match, in the order of their ids; those that cannot be read are left out with a warning.
 *
 * @since 0.1.0
 * @category reading
 */
export const list = (db: Database, filter: JobFilter): Effect.Effect<ReadonlyArray<Job.Job>, SqlError> =>
  Effect.gen(function* () {
    const { limit = Infinity } = filter
    const found: Array<Job.Job> = []
    let after = filter.after
    for (let isLast = false; !isLast && found.length < limit; ) {
      const size = Math.min(PAGE, limit - found.length)
      const rows = yield* listPage(db, { ...filter, after, limit: size })
      // What SQL says of labels is not the last word.
      found.push(...(yield* readable(rows)).filter((job) => isMatch(filter, job)))
      after = rows.at(-1)?.id
      isLast = rows.length < size
    }
    return found.slice(0, limit)
  })

const listPage = (db: Database, { after, group, labels, limit = PAGE, states, task }: JobFilter) => {
  const { names, sql } = db
  const where = [
    ...(after === undefined ? [] : [sql`id > ${after}`]),
    ...(group === undefined ? [] : [sql`job_group = ${group}`]),
    ...(task === undefined ? [] : [sql`task = ${task}`]),
    ...(states === undefined ? [] : [isOneOf(db, "state", states)]),
    ...SqlRows.labelPatterns(labels).map((pattern) => sql`labels LIKE ${pattern}`)
  ]
  return sql<SqlRows.JobRow>`SELECT * FROM ${sql(names.jobs)} WHERE ${sql.and(where)} ORDER BY id ${limitTo(db, limit)}`
}

const readable = (rows: ReadonlyArray<SqlRows.JobRow>): Effect.Effect<ReadonlyArray<Job.Job>> =>
  Effect.gen(function* () {
    const [unread, jobs] = Arr.separate(rows.map(readOrTell))
    for (const error of unread) yield* Effect.logWarning("A job cannot be read", error)
    return jobs
  })

/**
 * A job, or which one cannot be read and why.
 *
 * @since 0.1.0
 * @category reading
 */
export const readOrTell = (row: SqlRows.JobRow) =>
  Either.mapLeft(SqlRows.readJob(row), (error) => ({ jobId: row.id, reason: String(error.cause) }))

// ---------------------------------------------------------------------------------------------------------------------
// holding
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Holds the jobs of some ids until the transaction ends. Whoever changes a job or runs of it holds its row; all take
 * several in one order, so that nobody waits for somebody who waits for them.
 *
 * @since 0.1.0
 * @category holding
 */
export const hold = (db: Database, ids: Iterable<string>): Effect.Effect<ReadonlyArray<SqlRows.JobRow>, SqlError> => {
  const { names, sql } = db
  return inPages(
    [...new Set(ids)].sort(),
    (page) => sql<SqlRows.JobRow>`SELECT * FROM ${sql(names.jobs)} WHERE ${isOneOf(db, "id", page)}
      ORDER BY id ${db.hold}`
  )
}

/**
 * Holds a job that must be there.
 *
 * @since 0.1.0
 * @category holding
 */
export const holdOne = (db: Database, id: string): Effect.Effect<Job.Job, JobNotFound | Failure> =>
  Effect.gen(function* () {
    const [row] = yield* hold(db, [id])
    return yield* row === undefined ? new JobNotFound({ jobId: id }) : SqlRows.readJob(row)
  })

/**
 * Holds all jobs that match.
 *
 * @since 0.1.0
 * @category holding
 */
export const holdMatching = (db: Database, filter: JobFilter): Effect.Effect<ReadonlyArray<Job.Job>, SqlError> =>
  Effect.gen(function* () {
    const jobs = yield* list(db, filter)
    if (db.isAlone) return jobs
    const rows = yield* hold(
      db,
      jobs.map(({ id }) => id)
    )
    return (yield* readable(rows)).filter((job) => isMatch(filter, job))
  })

/**
 * Holds jobs that are due and that nobody else holds, the longest due first.
 *
 * @since 0.1.0
 * @category holding
 */
export const holdDue = (db: Database, now: DateTime.Utc, limit: number) => {
  const { names, sql } = db
  return sql<SqlRows.JobRow>`SELECT * FROM ${sql(names.jobs)} ${byIndex(db, names.due)}
    WHERE due_at <= ${now.epochMillis} ORDER BY due_at, id ${limitTo(db, limit)} ${db.holdFree}`
}

/**
 * The jobs of some runs by id, and the ids of those that cannot be read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Held {
  readonly jobs: ReadonlyMap<string, Job.Job>
  readonly unread: ReadonlySet<string>
}

/**
 * Whether a job is due that comes before those of no priority, and is not among these.
 *
 * @since 0.1.0
 * @category reading
 */
export const isUrgencyLeft = (
  { names, sql }: Database,
  now: DateTime.Utc,
  claimed: ReadonlyArray<Job.Job>
): Effect.Effect<boolean, SqlError> =>
  Effect.map(
    sql<{ n: number | string }>`SELECT COUNT(*) AS n FROM ${sql(names.jobs)}
      WHERE priority > 0 AND due_at <= ${now.epochMillis}`,
    ([row]) => Number(row?.n) > claimed.filter(({ policy }) => policy.priority > 0).length
  )

/**
 * Holds the jobs of some runs, and reads them as `readHeld` does.
 *
 * @since 0.1.0
 * @category holding
 */
export const holdOf = (db: Database, runs: ReadonlyArray<Pick<Run.Run, "jobId">>): Effect.Effect<Held, SqlError> => {
  const ids = runs.map(({ jobId }) => jobId)
  return Effect.flatMap(hold(db, ids), (rows) => readHeld(db, rows))
}

/**
 * Reads jobs that are held. Those that cannot be read are due at once: the next claim parks them, and tells of it.
 *
 * @since 0.1.0
 * @category holding
 */
export const readHeld = (db: Database, rows: ReadonlyArray<SqlRows.JobRow>): Effect.Effect<Held, SqlError> =>
  Effect.gen(function* () {
    const { names, sql } = db
    const [unread, jobs] = Arr.separate(rows.map(readOrTell))
    const ids = unread.map(({ jobId }) => jobId)
    yield* inPages(
      ids,
      (page) => sql`UPDATE ${sql(names.jobs)} SET due_at = 0 WHERE ${isOneOf(db, "id", page)} AND state <> 'Parked'`
    )
    return { jobs: new Map(jobs.map((job) => [job.id, job])), unread: new Set(ids) }
  })

// ---------------------------------------------------------------------------------------------------------------------
// writing what is held
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Takes a job that cannot go on out of the way.
 *
 * @since 0.1.0
 * @category writing
 */
export const park = ({ names, sql }: Database, id: string, reason: string, now: DateTime.Utc) => {
  const detail = JSON.stringify({ _tag: "Parked", at: now.epochMillis, reason })
  return sql`UPDATE ${sql(names.jobs)} SET state = 'Parked', state_detail = ${detail}, due_at = NULL WHERE id = ${id}`
}

/**
 * @since 0.1.0
 * @category writing
 */
export const write = (db: Database, jobs: ReadonlyArray<Job.Job>): Effect.Effect<unknown, SqlError> =>
  inPages(jobs, (page) => {
    const rows = page.map((job) => ({ incarnation: job.incarnation, ...SqlRows.toJobColumns(job) }))
    const columns = Object.keys(rows[0] as object).filter((column) => column !== "incarnation" && column !== "id")
    return overwrite(db, db.names.jobs, "incarnation", columns, rows)
  })

/**
 * Moves jobs on to where they now stand.
 *
 * @since 0.1.0
 * @category writing
 */
export const moveOn = (db: Database, jobs: ReadonlyArray<Job.Job>): Effect.Effect<unknown, SqlError> =>
  inPages(jobs, (page) => {
    // The rows are there, so that what must not be empty is never written.
    const unwritten = { task: "", priority: 0, labels: "", state: "", state_detail: "", policy: "", definition: "" }
    const cursors = page.map((job) => SqlRows.toCursor(job))
    const rows = page.map(({ id, incarnation }, index) => ({ incarnation, id, ...unwritten, ...cursors[index] }))
    return overwrite(db, db.names.jobs, "incarnation", Object.keys(cursors[0] as object), rows)
  })

/**
 * @since 0.1.0
 * @category writing
 */
export const forget = (db: Database, ids: ReadonlyArray<string>): Effect.Effect<unknown, SqlError> =>
  inPages(ids, (page) => db.sql`DELETE FROM ${db.sql(db.names.jobs)} WHERE ${isOneOf(db, "id", page)}`)

/**
 * After jobs have changed: what is queued may start, and one with nothing left is due at once: a claim ends it.
 *
 * @since 0.1.0
 * @category writing
 */
export const goOn = (db: Database, jobs: ReadonlyArray<Job.Job>): Effect.Effect<void, Failure> =>
  Effect.gen(function* () {
    const { names, sql } = db
    yield* SqlRuns.letIn(db, jobs)
    const last = jobs.filter(Job.isFinished)
    const loads = yield* SqlRuns.loadsOf(db, last)
    const over = last.map(({ id }) => id).filter((id) => !loads.has(id))
    yield* inPages(over, (page) => sql`UPDATE ${sql(names.jobs)} SET due_at = 0 WHERE ${isOneOf(db, "id", page)}`)
  })

/**
 * Writes jobs that have changed, with what follows from it.
 *
 * @since 0.1.0
 * @category writing
 */
export const change = (db: Database, jobs: ReadonlyArray<Job.Job>): Effect.Effect<void, Failure> =>
  Effect.zipRight(write(db, jobs), goOn(db, jobs))

// ---------------------------------------------------------------------------------------------------------------------
// declaring
// ---------------------------------------------------------------------------------------------------------------------

/** Jobs in pages in which no id comes twice: the second one meets the first one in the store. */
const toPages = (jobs: ReadonlyArray<Job.Job>): ReadonlyArray<ReadonlyMap<string, Job.Job>> => {
  const pages: Array<Map<string, Job.Job>> = []
  for (const job of jobs) {
    const last = pages.at(-1)
    if (last !== undefined && last.size < PAGE && !last.has(job.id)) last.set(job.id, job)
    else pages.push(new Map([[job.id, job]]))
  }
  return pages
}

/**
 * What becomes of an id that is taken; the last one replaces what is declared otherwise.
 *
 * @since 0.1.0
 * @category declaring
 */
export type Conflict = OnConflict | "reconcile"

/**
 * Stores jobs in the order given; `held` are those of the store that the transaction holds already, if it holds any. Fails
 * with the database's own error if another node stores one of these ids at the same moment: begun anew, the transaction
 * meets that job.
 *
 * @since 0.1.0
 * @category declaring
 */
export const declare = (
  db: Database,
  jobs: ReadonlyArray<Job.Job>,
  onConflict: Conflict,
  { held, onProgress = () => Effect.void }: DeclareOptions = {}
): Effect.Effect<ReadonlyArray<Change>, JobExists | Failure> =>
  Effect.gen(function* () {
    const changes: Array<Change> = []
    const isNew = onConflict === "fail"
    const ids = jobs.map(({ id }) => id)
    const known = toMap(held ?? (isNew ? [] : yield* hold(db, ids)))
    const seen = new Set<string>()
    for (const page of toPages(jobs)) {
      const again = isNew ? [] : [...page.keys()].filter((id) => seen.has(id))
      for (const row of yield* hold(db, again)) known.set(row.id, row)
      changes.push(...(yield* declarePage(db, page, known, onConflict)))
      for (const id of page.keys()) seen.add(id)
      yield* onProgress(changes.length)
    }
    return changes
  })

interface DeclareOptions {
  /** All of these jobs that are there, if the transaction holds them already: to hold more of them later could meet others. */
  readonly held?: ReadonlyArray<SqlRows.JobRow> | undefined
  readonly onProgress?: ((stored: number) => Effect.Effect<void>) | undefined
}

const toMap = (rows: ReadonlyArray<SqlRows.JobRow>) => new Map(rows.map((row) => [row.id, row]))

const declarePage = (
  db: Database,
  page: ReadonlyMap<string, Job.Job>,
  known: ReadonlyMap<string, SqlRows.JobRow>,
  onConflict: Conflict
) =>
  Effect.gen(function* () {
    const jobs = [...page.values()]
    const added = jobs.filter(({ id }) => !known.has(id))
    const lives = yield* insert(db, added)
    const taken = added.find(({ id }) => !lives.has(id))
    if (taken !== undefined) {
      return yield* onConflict === "fail" ? new JobExists({ jobId: taken.id }) : storedMeanwhile(taken.id)
    }
    const changes = yield* Effect.forEach(jobs, (job): Either.Either<Change, StoreError> => {
      const row = known.get(job.id)
      if (row !== undefined) return declareAgain(row, job, onConflict)
      return Either.right({ _tag: "Added", job: { ...job, incarnation: lives.get(job.id) ?? job.incarnation } })
    })
    const replaced = changes.filter(({ _tag }) => _tag === "Replaced").map(({ job }) => job)
    yield* change(db, replaced)
    return changes
  })

/** Stores new jobs, and gives the incarnations that the database has counted for those whose ids were free. */
const insert = (db: Database, jobs: ReadonlyArray<Job.Job>) =>
  Effect.gen(function* () {
    if (jobs.length === 0) return new Map<string, number>()
    // In one order, since each new id waits for others who store it.
    const rows = jobs.map((job) => ({ ...SqlRows.toJobColumns(job) })).sort((a, b) => (a.id < b.id ? -1 : 1))
    const lives = yield* insertNew<Pick<SqlRows.JobRow, "incarnation">>(db, db.names.jobs, rows, {
      returning: "id, incarnation"
    })
    return new Map(lives.map(({ id, incarnation }) => [id, Number(incarnation)]))
  })

const declareAgain = (row: SqlRows.JobRow, job: Job.Job, onConflict: Conflict): Either.Either<Change, StoreError> => {
  const known = SqlRows.readJob(row)
  const isSame = () => Either.isRight(known) && Job.isSameDeclaration(known.right, job)
  if (onConflict === "keep" || (onConflict === "reconcile" && isSame())) {
    return Either.map(known, (job) => ({ _tag: "Kept", job }))
  }
  // What cannot be read any more is replaced as a whole, but its history keeps its place.
  const replaced = Either.match(known, {
    onLeft: () => ({ ...job, incarnation: Number(row.incarnation) }),
    onRight: (stored) => Job.replace(stored, job)
  })
  return Either.right({ _tag: "Replaced", job: replaced })
}

// ---------------------------------------------------------------------------------------------------------------------
// removing
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Removes jobs that are held, and cancels their runs that have not started.
 *
 * @since 0.1.0
 * @category removing
 */
export const remove = (
  db: Database,
  jobs: ReadonlyArray<Job.Job>,
  now: DateTime.Utc
): Effect.Effect<ReadonlyArray<Removal>, Failure> => inPages(jobs, (page) => removePage(db, page, now))

const removePage = (db: Database, jobs: ReadonlyArray<Job.Job>, now: DateTime.Utc) =>
  Effect.gen(function* () {
    const { names, sql } = db
    const ids = jobs.map(({ id }) => id)
    const rows = yield* sql<SqlRows.RunRow>`SELECT * FROM ${sql(names.runs)} WHERE ${isOneOf(db, "job_id", ids)}
      AND finished_at IS NULL AND state <> 'Running' ORDER BY scheduled_at, id`
    const byId = new Map(jobs.map((job) => [job.id, job]))
    const cancelled = (yield* SqlRuns.read(rows)).map((run) => Run.cancel(run, now, "removed"))
    yield* SqlRuns.writeAll(db, cancelled, (run) => SqlRuns.ownJob(byId, run))
    yield* forget(db, ids)
    yield* SqlRuns.forget(db, jobs)
    return jobs.map((job) => ({ job, cancelled: cancelled.filter(({ jobId }) => jobId === job.id) }))
  })
