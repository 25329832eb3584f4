/**
 * The job store on a SQL database, through whichever client of `@effect/sql` is provided.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import * as Arr from "effect/Array"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import * as Job from "./Job.ts"
import * as JobStore from "./JobStore.ts"
import * as Run from "./Run.ts"
import { JobExists, JobNotFound, RunNotFound, type StoreError } from "./SchedulerError.ts"
import * as SqlDatabase from "./SqlDatabase.ts"
import { type Database, type Failure, inPages, isOneOf, PAGE, refail } from "./SqlDatabase.ts"
import * as SqlMigrations from "./SqlMigrations.ts"
import * as SqlRows from "./SqlRows.ts"
import * as SqlRuns from "./SqlRuns.ts"
import { isMatch } from "./StoreAnswer.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What the names of the tables begin with. Default: `"scheduler_"`. */
  readonly prefix?: string | undefined
  /** Whether the tables are made and brought up to date when the layer is built. Default: true. */
  readonly migrate?: boolean | undefined
  /** How long a scheduler sleeps at most before it looks whether another process has added work. Default: 5 seconds. */
  readonly poll?: Duration.DurationInput | undefined
  /** How long a node that gives no sign of life keeps what it holds. Default: 15 seconds. */
  readonly lease?: Duration.DurationInput | undefined
  /** How often a node gives a sign of life. Default: a third of the lease. */
  readonly renewal?: Duration.DurationInput | undefined
}

type Store = JobStore.JobStore["Type"]

/**
 * A store on the `SqlClient` of the context.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Store, StoreError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const prefix = options.prefix ?? "scheduler_"
    const lease = Duration.decode(options.lease ?? "15 seconds")
    if (options.migrate ?? true) yield* refail("bring its tables up to date", SqlMigrations.run(prefix))
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const database = SqlDatabase.make(sql, SqlMigrations.tables(prefix))
    const hub = yield* PubSub.sliding<void>(1)
    return {
      ...operations(database, Effect.asVoid(hub.publish(undefined))),
      timing: {
        poll: Duration.decode(options.poll ?? "5 seconds"),
        lease,
        renewal: options.renewal === undefined ? Duration.times(lease, 1 / 3) : Duration.decode(options.renewal)
      },
      changes: Stream.fromPubSub(hub)
    }
  })

const operations = (db: Database, announce: Effect.Effect<void>): Omit<Store, "timing" | "changes"> => {
  const perform: Perform = (operation, effect) => refail(operation, db.transaction(effect))
  const change: Perform = (operation, effect) => Effect.zipLeft(perform(operation, effect), announce)
  return {
    ...jobOperations(db, change, perform),
    ...runOperations(db, change, perform),
    ...tickOperations(db, perform),
    ...nodeOperations(db, perform)
  }
}

/** One operation of the port as one transaction. */
type Perform = <A, E>(operation: string, effect: Effect.Effect<A, E | SqlError>) => Effect.Effect<A, Failure<E>>

const jobOperations = (db: Database, change: Perform, perform: Perform) =>
  ({
    add: (jobs, onConflict, onProgress) => change("add jobs", declareAll(db, jobs, onConflict, onProgress)),
    get: (id) => refail("read a job", Effect.flatMap(findRow(db, id), Effect.transposeMapOption(SqlRows.readJob))),
    list: (filter) => refail("list jobs", list(db, filter)),
    update: (id, f) =>
      change(
        "update a job",
        Effect.flatMap(findJob(db, id), (job) => update(db, f(job)))
      ),
    updateAll: (filter, f) => change("update jobs", updateAll(db, filter, f)),
    remove: (id, now) =>
      perform(
        "remove a job",
        Effect.flatMap(findJob(db, id), (job) => remove(db, job, now))
      ),
    removeAll: (filter, now) =>
      perform(
        "remove jobs",
        Effect.flatMap(list(db, filter), (jobs) => removeAll(db, jobs, now))
      ),
    reconcile: (options) => change("reconcile a group", reconcile(db, options))
  }) satisfies Partial<Store>

const runOperations = (db: Database, change: Perform, perform: Perform) =>
  ({
    run: (runId) => refail("read a run", SqlRuns.find(db, runId)),
    runs: (filter) => refail("list runs", SqlRuns.list(db, filter)),
    fire: (id, now, origin) =>
      change(
        "fire a job",
        Effect.flatMap(findJob(db, id), (job) => fire(db, job, now, origin))
      ),
    backfill: (id, runs) =>
      change(
        "backfill a job",
        Effect.flatMap(findJob(db, id), (job) => backfill(db, job, runs(job)))
      ),
    cancel: (runId, now) => change("cancel a run", cancel(db, runId, now)),
    cancellations: (node) => refail("list cancellations", SqlRuns.cancellations(db, node)),
    prune: (now) => perform("prune the history", SqlRuns.prune(db, now)),
    counts: refail("count", counts(db))
  }) satisfies Partial<Store>

const tickOperations = (db: Database, perform: Perform) =>
  ({
    claim: (options) => perform("claim due jobs", claim(db, options)),
    start: (options) => perform("start runs", start(db, options)),
    settle: (settlements, now) => perform("settle runs", settle(db, settlements, now)),
    nextWake: (options) => refail("find the next wake", nextWake(db, options))
  }) satisfies Partial<Store>

const nodeOperations = (db: Database, perform: Perform) =>
  ({
    register: ({ lease, now }) => refail("register a node", register(db, now, lease)),
    renew: ({ lease, node, now }) => perform("renew a lease", renew(db, node, now, lease)),
    recover: (options) => perform("recover runs", recover(db, options)),
    release: (node) =>
      refail("release a node", Effect.asVoid(db.sql`DELETE FROM ${db.sql(db.names.nodes)} WHERE id = ${node}`))
  }) satisfies Partial<Store>

// ---------------------------------------------------------------------------------------------------------------------
// jobs
// ---------------------------------------------------------------------------------------------------------------------

const findRow = ({ names, sql }: Database, id: string): Effect.Effect<Option.Option<SqlRows.JobRow>, SqlError> =>
  Effect.map(sql<SqlRows.JobRow>`SELECT * FROM ${sql(names.jobs)} WHERE id = ${id}`, Arr.head)

const findRows = ({ names, sql }: Database, ids: Iterable<string>) =>
  inPages([...ids], (page) => sql<SqlRows.JobRow>`SELECT * FROM ${sql(names.jobs)} WHERE ${sql.in("id", page)}`)

const findJob = (db: Database, id: string): Effect.Effect<Job.Job, JobNotFound | StoreError | SqlError> =>
  Effect.gen(function* () {
    const row = yield* findRow(db, id)
    return yield* Option.isSome(row) ? SqlRows.readJob(row.value) : new JobNotFound({ jobId: id })
  })

const writeJob = ({ names, sql }: Database, job: Job.Job): Effect.Effect<Job.Job, SqlError> => {
  const { id, ...columns } = SqlRows.toJobColumns(job)
  return Effect.as(sql`UPDATE ${sql(names.jobs)} SET ${sql.update({ ...columns })} WHERE id = ${id}`, job)
}

const deleteJobs = ({ names, sql }: Database, ids: ReadonlyArray<string>) =>
  sql`DELETE FROM ${sql(names.jobs)} WHERE ${sql.in("id", ids)}`

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

/** What becomes of an id that is taken; the last one replaces what is declared otherwise. */
type Conflict = JobStore.OnConflict | "reconcile"

const declareAll = (
  db: Database,
  jobs: ReadonlyArray<Job.Job>,
  onConflict: Conflict,
  onProgress: (stored: number) => Effect.Effect<void> = () => Effect.void
): Effect.Effect<ReadonlyArray<JobStore.Change>, JobExists | StoreError | SqlError> =>
  Effect.gen(function* () {
    const changes: Array<JobStore.Change> = []
    for (const page of toPages(jobs)) {
      changes.push(...(yield* declarePage(db, page, onConflict)))
      yield* onProgress(changes.length)
    }
    return changes
  })

const declarePage = (db: Database, page: ReadonlyMap<string, Job.Job>, onConflict: Conflict) =>
  Effect.gen(function* () {
    const known = new Map((yield* findRows(db, page.keys())).map((row) => [row.id, row]))
    const jobs = [...page.values()]
    const taken = onConflict === "fail" ? jobs.find(({ id }) => known.has(id)) : undefined
    if (taken !== undefined) return yield* new JobExists({ jobId: taken.id })
    const lives = yield* insertJobs(
      db,
      jobs.filter(({ id }) => !known.has(id))
    )
    const changes = yield* Effect.forEach(jobs, (job): Effect.Effect<JobStore.Change, StoreError | SqlError> => {
      const row = known.get(job.id)
      if (row !== undefined) return declareAgain(db, row, job, onConflict)
      return Effect.succeed({ _tag: "Added", job: { ...job, incarnation: lives.get(job.id) ?? job.incarnation } })
    })
    yield* goOn(
      db,
      changes.filter(({ _tag }) => _tag === "Replaced").map(({ job }) => job)
    )
    return changes
  })

/** Stores new jobs, and gives the incarnations that the database has counted for them. */
const insertJobs = ({ names, sql }: Database, jobs: ReadonlyArray<Job.Job>) =>
  Effect.gen(function* () {
    if (jobs.length === 0) return new Map<string, number>()
    const rows = jobs.map((job) => ({ ...SqlRows.toJobColumns(job) }))
    yield* sql`INSERT INTO ${sql(names.jobs)} ${sql.insert(rows)}`
    const ids = jobs.map(({ id }) => id)
    const lives = yield* sql<Pick<SqlRows.JobRow, "id" | "incarnation">>`SELECT id, incarnation
      FROM ${sql(names.jobs)} WHERE ${sql.in("id", ids)}`
    return new Map(lives.map(({ id, incarnation }) => [id, Number(incarnation)]))
  })

const declareAgain = (
  db: Database,
  row: SqlRows.JobRow,
  job: Job.Job,
  onConflict: Conflict
): Effect.Effect<JobStore.Change, StoreError | SqlError> => {
  const known = SqlRows.readJob(row)
  const isSame = () => Either.isRight(known) && Job.isSameDeclaration(known.right, job)
  if (onConflict === "keep" || (onConflict === "reconcile" && isSame())) {
    return Effect.map(known, (job) => ({ _tag: "Kept", job }))
  }
  // What cannot be read any more is replaced as a whole, but its history keeps its place.
  const replaced = Either.match(known, {
    onLeft: () => ({ ...job, incarnation: Number(row.incarnation) }),
    onRight: (stored) => Job.replace(stored, job)
  })
  return Effect.map(writeJob(db, replaced), (job) => ({ _tag: "Replaced", job }))
}

const list = (db: Database, filter: JobStore.JobFilter): Effect.Effect<ReadonlyArray<Job.Job>, SqlError> =>
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

const listPage = (
  { names, sql }: Database,
  { after, group, labels, limit = PAGE, states, task }: JobStore.JobFilter
) => {
  const where = [
    ...(after === undefined ? [] : [sql`id > ${after}`]),
    ...(group === undefined ? [] : [sql`job_group = ${group}`]),
    ...(task === undefined ? [] : [sql`task = ${task}`]),
    ...(states === undefined ? [] : [isOneOf(sql, "state", states)]),
    ...SqlRows.labelPatterns(labels).map((pattern) => sql`labels LIKE ${pattern}`)
  ]
  return sql<SqlRows.JobRow>`SELECT * FROM ${sql(names.jobs)} WHERE ${sql.and(where)} ORDER BY id LIMIT ${limit}`
}

const readable = (rows: ReadonlyArray<SqlRows.JobRow>): Effect.Effect<ReadonlyArray<Job.Job>> =>
  Effect.gen(function* () {
    const [unread, jobs] = Arr.separate(rows.map(readOrTell))
    for (const error of unread) yield* Effect.logWarning("A job cannot be read", error)
    return jobs
  })

const readOrTell = (row: SqlRows.JobRow) =>
  Either.mapLeft(SqlRows.readJob(row), (error) => ({ jobId: row.id, reason: String(error.cause) }))

const update = (db: Database, job: Job.Job): Effect.Effect<Job.Job, StoreError | SqlError> =>
  Effect.zipLeft(writeJob(db, job), goOn(db, [job]))

/** After jobs have changed: what is queued may start, and one with nothing left is due at once: a claim ends it. */
const goOn = (db: Database, jobs: ReadonlyArray<Job.Job>): Effect.Effect<void, StoreError | SqlError> =>
  Effect.gen(function* () {
    const { names, sql } = db
    yield* SqlRuns.letIn(db, jobs)
    const last = jobs.filter(Job.isFinished)
    const loads = yield* SqlRuns.loadsOf(db, last)
    const over = last.map(({ id }) => id).filter((id) => !loads.has(id))
    yield* inPages(over, (page) => sql`UPDATE ${sql(names.jobs)} SET due_at = 0 WHERE ${sql.in("id", page)}`)
  })

const updateAll = (db: Database, filter: JobStore.JobFilter, change: (job: Job.Job) => Job.Job) =>
  Effect.gen(function* () {
    const jobs = yield* list(db, filter)
    const changed = jobs.flatMap((job) => {
      const changed = change(job)
      return changed === job ? [] : [changed]
    })
    yield* Effect.forEach(changed, (job) => writeJob(db, job), { discard: true })
    yield* goOn(db, changed)
    return changed
  })

const remove = (db: Database, job: Job.Job, now: DateTime.Utc) =>
  Effect.map(removeAll(db, [job], now), ([removal]) => removal ?? { job, cancelled: [] })

const removeAll = (
  db: Database,
  jobs: ReadonlyArray<Job.Job>,
  now: DateTime.Utc
): Effect.Effect<ReadonlyArray<JobStore.Removal>, StoreError | SqlError> =>
  inPages(jobs, (page) => removePage(db, page, now))

const removePage = (db: Database, jobs: ReadonlyArray<Job.Job>, now: DateTime.Utc) =>
  Effect.gen(function* () {
    const { names, sql } = db
    const ids = jobs.map(({ id }) => id)
    const rows = yield* sql<SqlRows.RunRow>`SELECT * FROM ${sql(names.runs)} WHERE ${sql.in("job_id", ids)}
      AND finished_at IS NULL AND state <> 'Running' ORDER BY scheduled_at, id`
    const byId = new Map(jobs.map((job) => [job.id, job]))
    const cancelled = yield* Effect.forEach(yield* SqlRuns.read(rows), (run) =>
      SqlRuns.write(db, Run.cancel(run, now, "removed"), SqlRuns.ownJob(byId, run))
    )
    yield* deleteJobs(db, ids)
    yield* SqlRuns.forget(db, jobs)
    return jobs.map((job) => ({ job, cancelled: cancelled.filter(({ jobId }) => jobId === job.id) }))
  })

const reconcile = (
  db: Database,
  { absent, group, jobs, now }: Parameters<Store["reconcile"]>[0]
): Effect.Effect<JobStore.Reconciliation, StoreError | SqlError> =>
  Effect.gen(function* () {
    const declared = new Set(jobs.map(({ id }) => id))
    const changes = yield* declareAll(db, jobs, "reconcile")
    const gone = (yield* list(db, { group })).filter(({ id }) => !declared.has(id))
    if (absent === "remove") return { changes, absent: yield* removeAll(db, gone, now) }
    return { changes, absent: gone.map((job) => ({ job, cancelled: [] })) }
  }).pipe(Effect.catchTag("JobExists", Effect.die))

// ---------------------------------------------------------------------------------------------------------------------
// runs
// ---------------------------------------------------------------------------------------------------------------------

const fire = (
  db: Database,
  job: Job.Job,
  now: DateTime.Utc,
  origin: Run.Origin | undefined
): Effect.Effect<JobStore.Fired, StoreError | SqlError> =>
  Effect.gen(function* () {
    const loads = yield* SqlRuns.loadsOf(db, [job])
    const asked = Run.manual(job, now, (yield* lastManual(db, job, now)) + 1, origin)
    const admission = Job.admit(job.policy, loads.get(job.id) ?? SqlRuns.IDLE, [asked], now)
    const cancelled = yield* SqlRuns.makeRoom(db, job, admission.cancels, now)
    const [run = asked] = [...admission.runs, ...admission.skipped]
    yield* SqlRuns.insert(db, SqlRuns.toRows([run], job, now.epochMillis))
    const pending = yield* SqlRuns.letIn(db, admission.cancels > 0 ? [job] : [])
    yield* SqlRuns.forget(db, [job])
    return { run: pending.get(run.id) ?? run, cancelled }
  })

/** The number of the last run that was asked for at an instant; some before it may have been forgotten. */
const lastManual = (db: Database, job: Job.Job, now: DateTime.Utc): Effect.Effect<number, SqlError> => {
  const { names, sql } = db
  const keys = sql<{ run_key: string }>`SELECT run_key FROM ${sql(names.runs)} WHERE ${SqlRuns.ofJob(db, job)}
    AND scheduled_at = ${now.epochMillis} AND run_key LIKE 'manual/%'`
  return Effect.map(keys, (rows) => Math.max(0, ...rows.map(({ run_key }) => Number(run_key.split("/").at(-1)))))
}

const backfill = (
  db: Database,
  job: Job.Job,
  runs: ReadonlyArray<Run.Run>
): Effect.Effect<ReadonlyArray<Run.Run>, StoreError | SqlError> =>
  Effect.gen(function* () {
    const queued = runs.map((run) => Run.hold(run, "Queued"))
    // They come after all others whenever they were made, and among themselves by their keys, which say when.
    const made = yield* SqlRuns.insert(db, SqlRuns.toRows(queued, job, 0))
    const pending = yield* SqlRuns.letIn(db, [job])
    return queued.filter(({ id }) => made.has(id)).map((run) => pending.get(run.id) ?? run)
  })

const cancel = (
  db: Database,
  runId: string,
  now: DateTime.Utc
): Effect.Effect<JobStore.Step, RunNotFound | StoreError | SqlError> =>
  Effect.gen(function* () {
    const found = yield* SqlRuns.find(db, runId)
    if (Option.isNone(found)) return yield* new RunNotFound({ runId })
    const run = found.value
    const jobs = yield* readJobs(db, [run], now)
    const called = Run.isLive(run)
      ? yield* SqlRuns.write(db, SqlRuns.callOff(run, now, "requested"), SqlRuns.ownJob(jobs, run))
      : run
    const ends = Run.isLive(called) || called === run ? [] : [{ was: run, run: called }]
    const [step] = yield* follow(db, ends, jobs, now)
    return step ?? { run: called, job: Option.fromNullable(jobs.get(run.jobId)), isFinished: false }
  })

const counts = ({ names, sql }: Database): Effect.Effect<JobStore.Counts, SqlError> =>
  Effect.gen(function* () {
    const jobs = yield* sql<{ n: number | string }>`SELECT COUNT(*) AS n FROM ${sql(names.jobs)}`
    const live = yield* sql<{ state: string; n: number | string }>`SELECT state, COUNT(*) AS n
      FROM ${sql(names.runs)} WHERE state IN ('Queued', 'Pending', 'Running') GROUP BY state`
    const count = (state: Run.RunState["_tag"]) => Number(live.find((row) => row.state === state)?.n ?? 0)
    return {
      jobs: Number(jobs[0]?.n ?? 0),
      queued: count("Queued"),
      pending: count("Pending"),
      running: count("Running")
    }
  })

// ---------------------------------------------------------------------------------------------------------------------
// what follows
// ---------------------------------------------------------------------------------------------------------------------

/** A run that has gone from one state to another. */
interface Transition {
  readonly was: Run.Run
  readonly run: Run.Run
}

/** A job after the last of some runs has ended. */
interface Rest {
  readonly job: Job.Job
  readonly isFinished: boolean
  readonly last: Run.Run | undefined
}

/** After runs have ended: the next one of an instance goes on, or of its job; a job with nothing left ends. */
const follow = (
  db: Database,
  transitions: ReadonlyArray<Transition>,
  jobs: ReadonlyMap<string, Job.Job>,
  now: DateTime.Utc
): Effect.Effect<ReadonlyArray<JobStore.Step>, StoreError | SqlError> =>
  Effect.gen(function* () {
    const ended = endsByJob(transitions, jobs)
    const loads = yield* SqlRuns.loadsOf(db, [...ended.keys()])
    const rests = new Map<string, Rest>()
    for (const [job, ends] of ended) {
      rests.set(job.id, yield* followOne(db, job, ends, loads.get(job.id) ?? SqlRuns.IDLE, now))
    }
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

const followOne = (
  db: Database,
  job: Job.Job,
  ends: ReadonlyArray<Transition>,
  load: SqlRuns.Load,
  now: DateTime.Utc
): Effect.Effect<Rest, StoreError | SqlError> =>
  Effect.gen(function* () {
    const last = ends.at(-1)?.run
    if (SqlRuns.isIdle(load)) return { ...(yield* rest(db, job, now)), last }
    const heirs = load.waiting === 0 ? [] : yield* Effect.forEach(ends, ({ was }) => SqlRuns.inherit(db, was, job))
    yield* SqlRuns.promote(db, job, { ...load, active: load.active + heirs.flat().filter(Run.isActive).length })
    return { job, isFinished: false, last }
  })

/** A job with nothing in flight goes on, or is finished. */
const rest = (db: Database, job: Job.Job, now: DateTime.Utc) =>
  Effect.gen(function* () {
    const armed = Job.rearm(job, now)
    const isFinished = Job.isFinished(armed)
    if (isFinished) yield* finish(db, armed, now)
    else if (armed !== job) yield* moveOn(db, armed)
    return { job: armed, isFinished }
  })

const finish = (db: Database, job: Job.Job, now: DateTime.Utc): Effect.Effect<void, SqlError> => {
  const kept = Job.finish(job, now)
  return Option.isSome(kept) ? Effect.asVoid(writeJob(db, kept.value)) : Effect.asVoid(deleteJobs(db, [job.id]))
}

const moveOn = (db: Database, job: Job.Job) => {
  const { names, sql } = db
  return sql`UPDATE ${sql(names.jobs)} SET ${sql.update({ ...SqlRows.toCursor(job) })} WHERE ${sql.and([
    sql`id = ${job.id}`,
    sql`incarnation = ${job.incarnation}`
  ])}`
}

// ---------------------------------------------------------------------------------------------------------------------
// the tick
// ---------------------------------------------------------------------------------------------------------------------

const claim = (
  db: Database,
  { limit, now }: Parameters<Store["claim"]>[0]
): Effect.Effect<JobStore.Claim, StoreError | SqlError> =>
  Effect.gen(function* () {
    const { names, sql } = db
    const rows = yield* sql<SqlRows.JobRow>`SELECT * FROM ${sql(names.jobs)} WHERE due_at <= ${now.epochMillis}
      ORDER BY due_at, id LIMIT ${limit}`
    const [unread, jobs] = Arr.separate(rows.map(readOrTell))
    const loads = yield* SqlRuns.loadsOf(db, jobs)
    const [failed, advances] = Arr.separate(jobs.map((job) => advance(job, now, loads.get(job.id) ?? SqlRuns.IDLE)))
    const parked = [...unread, ...failed]
    yield* Effect.forEach(parked, ({ jobId, reason }) => park(db, jobId, reason, now))
    return { advances: yield* record(db, advances, now), parked }
  })

/** A trigger of another module may do anything. */
const advance = (job: Job.Job, now: DateTime.Utc, load: SqlRuns.Load) =>
  Either.try({
    try: () => Job.advance(job, now, load),
    catch: (error) => ({ jobId: job.id, reason: String(error) })
  })

const park = ({ names, sql }: Database, id: string, reason: string, now: DateTime.Utc) => {
  const detail = JSON.stringify({ _tag: "Parked", at: now.epochMillis, reason })
  return sql`UPDATE ${sql(names.jobs)} SET state = 'Parked', state_detail = ${detail}, due_at = NULL WHERE id = ${id}`
}

/** Writes what became of due jobs. */
const record = (
  db: Database,
  advances: ReadonlyArray<Job.Advance>,
  now: DateTime.Utc
): Effect.Effect<ReadonlyArray<JobStore.ClaimedJob>, StoreError | SqlError> =>
  Effect.gen(function* () {
    const cancelled = yield* Effect.forEach(advances, ({ cancels, next }) => SqlRuns.makeRoom(db, next, cancels, now))
    const made = yield* SqlRuns.insert(
      db,
      advances.flatMap(({ missed, next, runs, skipped }) =>
        SqlRuns.toRows([...missed, ...runs, ...skipped], next, now.epochMillis)
      )
    )
    yield* Effect.forEach(advances, ({ next }) => moveOn(db, next), { discard: true })
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
): JobStore.ClaimedJob => {
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

const hasEnded = ({ cancelled, missed, skipped }: JobStore.ClaimedJob): boolean =>
  cancelled.length + missed.length + skipped.length > 0

/** Jobs that were due for the last time are over if nothing came of it. */
const restAll = (
  db: Database,
  claimed: ReadonlyArray<JobStore.ClaimedJob>,
  now: DateTime.Utc
): Effect.Effect<ReadonlyArray<JobStore.ClaimedJob>, SqlError> =>
  Effect.gen(function* () {
    const jobs = claimed.map(({ next }) => next).filter(Job.isFinished)
    const loads = yield* SqlRuns.loadsOf(db, jobs)
    const idle = new Set(jobs.filter(({ id }) => !loads.has(id)))
    return yield* Effect.forEach(claimed, (one) => {
      if (!idle.has(one.next)) return Effect.succeed(one)
      return Effect.map(rest(db, one.next, now), ({ isFinished, job }) => ({ ...one, next: job, isFinished }))
    })
  })

const start = (
  db: Database,
  { limit, node, now, tasks }: Parameters<Store["start"]>[0]
): Effect.Effect<ReadonlyArray<JobStore.Step>, StoreError | SqlError> =>
  Effect.gen(function* () {
    const steps: Array<JobStore.Step> = []
    let room = tasks.size === 0 ? 0 : limit
    while (room > 0) {
      const batch = yield* startBatch(db, { limit: Math.min(room, PAGE), node, now, tasks })
      const started = batch.filter(({ run }) => Run.isRunning(run)).length
      steps.push(...batch)
      // What came too late left its place to others.
      room = started === batch.length && batch.length < PAGE ? 0 : room - started
    }
    return steps
  })

const startBatch = (db: Database, { limit, node, now, tasks }: Parameters<Store["start"]>[0]) =>
  Effect.gen(function* () {
    const { names, sql } = db
    const rows = yield* sql<SqlRows.RunRow>`SELECT r.* FROM ${sql(names.runs)} r
      INNER JOIN ${sql(names.jobs)} j ON j.id = r.job_id AND j.incarnation = r.incarnation
      WHERE r.state = 'Pending' AND r.run_at <= ${now.epochMillis} AND ${sql.in("r.task", [...tasks])}
      AND j.state <> 'Parked' ORDER BY r.priority DESC, r.run_at, r.id LIMIT ${limit}`
    const runs = yield* SqlRuns.read(rows)
    const jobs = yield* readJobs(db, runs, now)
    const begun = yield* Effect.forEach(
      runs.filter(({ jobId }) => jobs.has(jobId)),
      (was) =>
        Effect.map(
          SqlRuns.write(db, Run.start(was, node, now), jobs.get(was.jobId)),
          (run): Transition => ({ was, run })
        )
    )
    return yield* follow(db, begun, jobs, now)
  })

/** The jobs of some runs, by id; those that cannot be read are parked. */
const readJobs = (db: Database, runs: ReadonlyArray<Run.Run>, now: DateTime.Utc) =>
  Effect.gen(function* () {
    const jobs = new Map<string, Job.Job>()
    for (const row of yield* findRows(db, new Set(runs.map(({ jobId }) => jobId)))) {
      const job = readOrTell(row)
      if (Either.isRight(job)) jobs.set(row.id, job.right)
      else yield* park(db, row.id, job.left.reason, now)
    }
    return jobs
  })

type Settlements = Parameters<Store["settle"]>[0]

const settle = (
  db: Database,
  settlements: Settlements,
  now: DateTime.Utc
): Effect.Effect<ReadonlyArray<JobStore.Step>, StoreError | SqlError> =>
  inPages(settlements, (page) => settlePage(db, page, now))

const settlePage = (db: Database, settlements: Settlements, now: DateTime.Utc) =>
  Effect.gen(function* () {
    const own = yield* stillHeld(db, settlements)
    const jobs = yield* readJobs(
      db,
      own.map(({ run }) => run),
      now
    )
    const settled = yield* Effect.forEach(own, ({ outcome, run: was }) => {
      const job = SqlRuns.ownJob(jobs, was)
      const run = Run.settle(was, (job ?? SqlRuns.ORPHAN).policy, outcome, now)
      return Effect.map(SqlRuns.write(db, run, job), (run): Transition => ({ was, run }))
    })
    return yield* follow(db, settled, jobs, now)
  })

/** The settlements of attempts that still hold their runs, once each, with the runs as they are stored. */
const stillHeld = ({ names, sql }: Database, settlements: Settlements) =>
  Effect.gen(function* () {
    const ids = settlements.map(({ run }) => run.id)
    const rows = yield* sql<SqlRows.RunRow>`SELECT * FROM ${sql(names.runs)}
      WHERE ${sql.in("id", ids)} AND state = 'Running'`
    const held = new Map((yield* SqlRuns.read(rows)).filter(Run.isRunning).map((run) => [run.id, run]))
    return settlements.flatMap(({ outcome, run: { attempt, id } }) => {
      const run = held.get(id)
      if (run?.attempt !== attempt) return []
      held.delete(id)
      return [{ run, outcome }]
    })
  })

const nextWake = (
  { names, sql }: Database,
  { node, tasks }: Parameters<Store["nextWake"]>[0]
): Effect.Effect<Option.Option<DateTime.Utc>, SqlError> => {
  const least = (query: Fragment) =>
    Effect.map(sql<{ at: number | string | null }>`${query}`, ([row]) => SqlRows.millis(row?.at ?? null) ?? Infinity)
  const queries = [
    least(sql`SELECT MIN(due_at) AS at FROM ${sql(names.jobs)}`),
    // The lease holds to its last millisecond.
    least(sql`SELECT MIN(expires_at) + 1 AS at FROM ${sql(names.nodes)} WHERE id <> ${node}`)
  ]
  const pending = () =>
    least(sql`SELECT MIN(r.run_at) AS at FROM ${sql(names.runs)} r
      INNER JOIN ${sql(names.jobs)} j ON j.id = r.job_id AND j.incarnation = r.incarnation
      WHERE r.state = 'Pending' AND ${sql.in("r.task", [...tasks])} AND j.state <> 'Parked'`)
  return Effect.map(Effect.all(tasks.size === 0 ? queries : [...queries, pending()]), (times) => {
    const wake = Math.min(...times)
    return Number.isFinite(wake) ? Option.some(DateTime.unsafeMake(wake)) : Option.none()
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// nodes
// ---------------------------------------------------------------------------------------------------------------------

const register = ({ names, sql }: Database, now: DateTime.Utc, lease: Duration.Duration) =>
  Effect.gen(function* () {
    const id = crypto.randomUUID()
    const expires_at = now.epochMillis + Duration.toMillis(lease)
    yield* sql`INSERT INTO ${sql(names.nodes)} ${sql.insert({ id, registered_at: now.epochMillis, expires_at })}`
    return id
  })

const renew = ({ names, sql }: Database, node: string, now: DateTime.Utc, lease: Duration.Duration) =>
  Effect.gen(function* () {
    const known = yield* sql`SELECT 1 FROM ${sql(names.nodes)} WHERE id = ${node}`
    const until = now.epochMillis + Duration.toMillis(lease)
    yield* sql`UPDATE ${sql(names.nodes)} SET expires_at = ${until} WHERE id = ${node}`
    return known.length > 0
  })

const recover = (
  db: Database,
  { limit, now }: Parameters<Store["recover"]>[0]
): Effect.Effect<ReadonlyArray<JobStore.Step>, StoreError | SqlError> =>
  Effect.gen(function* () {
    const { names, sql } = db
    yield* sql`DELETE FROM ${sql(names.nodes)} WHERE expires_at < ${now.epochMillis}`
    const rows = yield* sql<SqlRows.RunRow>`SELECT * FROM ${sql(names.runs)} WHERE state = 'Running'
      AND node NOT IN (SELECT id FROM ${sql(names.nodes)}) ORDER BY scheduled_at, id LIMIT ${limit}`
    const lost = (yield* SqlRuns.read(rows)).filter(Run.isRunning)
    return yield* settle(
      db,
      lost.map((run) => ({ run, outcome: { _tag: "Crashed" } })),
      now
    )
  })

/**
 * The store as a Layer: SQLite, PostgreSQL or MySQL/MariaDB, whichever client is provided.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<JobStore.JobStore, StoreError, SqlClient.SqlClient> =>
  Layer.effect(JobStore.JobStore, make(options))
