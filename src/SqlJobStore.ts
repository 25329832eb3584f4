/**
 * The job store on a SQL database, through whichever client of `@effect/sql` is provided.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Job from "./Job.ts"
import * as JobStore from "./JobStore.ts"
import * as Run from "./Run.ts"
import { JobExists, JobNotFound, StoreError } from "./SchedulerError.ts"
import * as SqlMigrations from "./SqlMigrations.ts"

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

/** What every operation works with. */
interface Database {
  readonly sql: SqlClient.SqlClient
  readonly names: SqlMigrations.Tables
  /** One transaction, or a part of the one that the caller has open. */
  readonly transaction: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E | SqlError>
}

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
    const database = makeDatabase(sql, SqlMigrations.tables(prefix))
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

const makeDatabase = (sql: SqlClient.SqlClient, names: SqlMigrations.Tables): Database => {
  // SQLite must take its write lock first: a transaction that reads and then writes is refused if another wrote between.
  const lock = sql.onDialectOrElse({
    sqlite: () => sql`UPDATE ${sql(names.nodes)} SET id = id WHERE id = ''`,
    orElse: () => Effect.void
  })
  return { sql, names, transaction: (effect) => sql.withTransaction(Effect.zipRight(lock, effect)) }
}

const operations = (db: Database, announce: Effect.Effect<void>): Omit<Store, "timing" | "changes"> => {
  const change = <A, E>(operation: string, effect: Effect.Effect<A, E | SqlError>) =>
    Effect.zipLeft(refail(operation, db.transaction(effect)), announce)
  const step = <A, E>(operation: string, effect: Effect.Effect<A, E | SqlError>) =>
    refail(operation, db.transaction(effect))
  return {
    add: (jobs, onConflict) =>
      change(
        "add jobs",
        Effect.forEach(jobs, (job) => declare(db, job, onConflict))
      ),
    get: (id) => refail("read a job", Effect.flatMap(findRow(db, id), Effect.transposeMapOption(readJob))),
    list: (filter) => refail("list jobs", list(db, filter)),
    update: (id, f) =>
      change(
        "update a job",
        Effect.flatMap(findJob(db, id), (job) => writeJob(db, f(job)))
      ),
    remove: (id, now) =>
      step(
        "remove a job",
        Effect.flatMap(findJob(db, id), (job) => remove(db, job, now))
      ),
    reconcile: (options) => change("reconcile a group", reconcile(db, options)),
    runs: (filter) => refail("list runs", listRuns(db, filter)),
    fire: (id, now) =>
      change(
        "fire a job",
        Effect.flatMap(findJob(db, id), (job) => fire(db, job, now))
      ),
    claim: (options) => step("claim due jobs", claim(db, options)),
    start: (options) => step("start runs", start(db, options)),
    settle: (settlements, now) => step("settle runs", settle(db, settlements, now)),
    register: ({ lease, now }) => refail("register a node", register(db, now, lease)),
    renew: ({ lease, node, now }) => step("renew a lease", renew(db, node, now, lease)),
    recover: (options) => step("recover runs", recover(db, options)),
    release: (node) =>
      refail("release a node", Effect.asVoid(db.sql`DELETE FROM ${db.sql(db.names.nodes)} WHERE id = ${node}`)),
    nextWake: (options) => refail("find the next wake", nextWake(db, options))
  }
}

/** Whatever the database throws is a `StoreError`; the answers of the port stay what they are. */
const refail = <A, E, R>(
  operation: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, Extract<E, JobExists | JobNotFound> | StoreError, R> =>
  Effect.mapError(effect, (error) =>
    error instanceof JobExists || error instanceof JobNotFound || error instanceof StoreError
      ? (error as Extract<E, JobExists | JobNotFound>)
      : new StoreError({ operation, cause: error })
  )

// ---------------------------------------------------------------------------------------------------------------------
// rows
// ---------------------------------------------------------------------------------------------------------------------

interface JobRow {
  readonly id: string
  readonly incarnation: number
  readonly task: string
  readonly job_group: string | null
  readonly state: string
  readonly state_detail: string
  readonly next_run_at: number | string | null
  readonly due_at: number | string | null
  readonly definition: string
}

interface RunRow {
  readonly id: string
  readonly job_id: string
  readonly incarnation: number
  readonly run_key: string
  readonly task: string
  readonly scheduled_at: number | string
  readonly run_at: number | string
  readonly start_by: number | string | null
  readonly instance: string
  readonly priority: number
  readonly attempt: number
  readonly failures: number
  readonly crashes: number
  readonly state: string
  readonly node: string | null
  readonly started_at: number | string | null
  readonly finished_at: number | string | null
  readonly detail: string
}

// Some drivers give a BIGINT as text.
const millis = (column: number | string | null): number | null => (column === null ? null : Number(column))

const decodeJob = Schema.decodeUnknownEither(Job.Job)
const encodeJob = Schema.encodeSync(Job.Job)
const decodeRun = Schema.decodeUnknownEither(Run.Run)
const encodeRun = Schema.encodeSync(Run.Run)

const parse = <A>(what: string, read: () => Either.Either<A, Error>): Either.Either<A, StoreError> =>
  Either.mapLeft(
    Either.flatMap(Either.try({ try: read, catch: (error) => error }), (decoded) => decoded),
    (cause) => new StoreError({ operation: `read ${what}`, cause })
  )

const readJob = (row: JobRow): Either.Either<Job.Job, StoreError> =>
  parse(`job "${row.id}"`, () =>
    decodeJob({
      ...JSON.parse(row.definition),
      id: row.id,
      incarnation: row.incarnation,
      task: row.task,
      group: row.job_group,
      state: JSON.parse(row.state_detail),
      nextRunTime: millis(row.next_run_at)
    })
  )

const toJobRow = (job: Job.Job): JobRow => {
  const { group, id, incarnation, nextRunTime, state, task, ...definition } = encodeJob(job)
  return {
    id,
    incarnation,
    task,
    job_group: group,
    state: state._tag,
    state_detail: JSON.stringify(state),
    next_run_at: nextRunTime,
    due_at: state._tag === "Active" ? nextRunTime : null,
    definition: JSON.stringify(definition)
  }
}

const readRun = (row: RunRow): Either.Either<Run.Run, StoreError> =>
  parse(`run "${row.id}"`, () =>
    decodeRun({
      id: row.id,
      jobId: row.job_id,
      incarnation: row.incarnation,
      key: row.run_key,
      task: row.task,
      scheduledAt: millis(row.scheduled_at),
      runAt: millis(row.run_at),
      startBy: millis(row.start_by),
      instance: row.instance,
      priority: row.priority,
      attempt: row.attempt,
      failures: row.failures,
      crashes: row.crashes,
      state: JSON.parse(row.detail)
    })
  )

const toRunRow = (run: Run.Run): RunRow => {
  const { id, incarnation, instance, jobId, key, runAt, scheduledAt, startBy, state, task, ...counters } =
    encodeRun(run)
  return {
    id,
    job_id: jobId,
    incarnation,
    run_key: key,
    task,
    scheduled_at: scheduledAt,
    run_at: runAt,
    start_by: startBy,
    instance,
    ...counters,
    state: state._tag,
    node: "node" in state ? state.node : null,
    started_at: "startedAt" in state ? state.startedAt : null,
    finished_at: "finishedAt" in state ? state.finishedAt : null,
    detail: JSON.stringify(state)
  }
}

const toError = (row: JobRow, error: StoreError) => ({ jobId: row.id, reason: String(error.cause) })

// ---------------------------------------------------------------------------------------------------------------------
// jobs
// ---------------------------------------------------------------------------------------------------------------------

const findRow = ({ names, sql }: Database, id: string): Effect.Effect<Option.Option<JobRow>, SqlError> =>
  Effect.map(sql<JobRow>`SELECT * FROM ${sql(names.jobs)} WHERE id = ${id}`, ([row]) => Option.fromNullable(row))

const findJob = (db: Database, id: string): Effect.Effect<Job.Job, JobNotFound | StoreError | SqlError> =>
  Effect.gen(function* () {
    const row = yield* findRow(db, id)
    return yield* Option.isSome(row) ? readJob(row.value) : new JobNotFound({ jobId: id })
  })

const writeJob = ({ names, sql }: Database, job: Job.Job): Effect.Effect<Job.Job, SqlError> => {
  const { id, ...columns } = toJobRow(job)
  return Effect.as(sql`UPDATE ${sql(names.jobs)} SET ${sql.update({ ...columns })} WHERE id = ${id}`, job)
}

/** A new job's incarnation is one more than the last one in the history of its id. */
const insertJob = ({ names, sql }: Database, job: Job.Job): Effect.Effect<Job.Job, SqlError> =>
  Effect.gen(function* () {
    const [last] = yield* sql<{ n: number | null }>`
      SELECT MAX(incarnation) AS n FROM ${sql(names.runs)} WHERE job_id = ${job.id}`
    const born = { ...job, incarnation: (last?.n ?? 0) + 1 }
    yield* sql`INSERT INTO ${sql(names.jobs)} ${sql.insert({ ...toJobRow(born) })}`
    return born
  })

const deleteJob = ({ names, sql }: Database, id: string) => sql`DELETE FROM ${sql(names.jobs)} WHERE id = ${id}`

const declare = (
  db: Database,
  job: Job.Job,
  onConflict: JobStore.OnConflict
): Effect.Effect<JobStore.Change, JobExists | StoreError | SqlError> =>
  Effect.gen(function* () {
    const row = yield* findRow(db, job.id)
    if (Option.isNone(row)) return { _tag: "Added", job: yield* insertJob(db, job) }
    if (onConflict === "fail") return yield* new JobExists({ jobId: job.id })
    if (onConflict === "keep") return { _tag: "Kept", job: yield* readJob(row.value) }
    // What cannot be read any more is replaced as a whole, but its history keeps its place.
    const replaced = Either.match(readJob(row.value), {
      onLeft: () => ({ ...job, incarnation: row.value.incarnation }),
      onRight: (known) => Job.replace(known, job)
    })
    return { _tag: "Replaced", job: yield* writeJob(db, replaced) }
  })

const list = ({ names, sql }: Database, filter: JobStore.JobFilter): Effect.Effect<ReadonlyArray<Job.Job>, SqlError> =>
  Effect.gen(function* () {
    const where = [
      ...(filter.group === undefined ? [] : [sql`job_group = ${filter.group}`]),
      ...(filter.task === undefined ? [] : [sql`task = ${filter.task}`])
    ]
    const rows = yield* sql<JobRow>`SELECT * FROM ${sql(names.jobs)} WHERE ${sql.and(where)} ORDER BY id`
    const jobs = rows.map((row) => Either.mapLeft(readJob(row), (error) => toError(row, error)))
    for (const unread of jobs.filter(Either.isLeft)) yield* Effect.logWarning("A job cannot be read", unread.left)
    return jobs.filter(Either.isRight).map(({ right }) => right)
  })

const remove = (
  db: Database,
  job: Job.Job,
  now: DateTime.Utc
): Effect.Effect<JobStore.Removal, StoreError | SqlError> =>
  Effect.gen(function* () {
    const { names, sql } = db
    const rows = yield* sql<RunRow>`SELECT * FROM ${sql(names.runs)} WHERE job_id = ${job.id}
      AND incarnation = ${job.incarnation} AND state IN ('Waiting', 'Pending')`
    const runs = yield* Effect.forEach(rows, readRun)
    const cancelled = yield* Effect.forEach(runs, (run) => writeRun(db, Run.cancel(run, now)))
    yield* deleteJob(db, job.id)
    return { job, cancelled }
  })

const reconcile = (
  db: Database,
  { absent, group, jobs, now }: Parameters<Store["reconcile"]>[0]
): Effect.Effect<JobStore.Reconciliation, StoreError | SqlError> =>
  Effect.gen(function* () {
    const declared = new Set(jobs.map(({ id }) => id))
    const known = new Map((yield* list(db, { group })).map((job) => [job.id, job]))
    const isSame = (job: Job.Job) => {
      const stored = known.get(job.id)
      return stored !== undefined && Job.isSameDeclaration(stored, job)
    }
    const changes = yield* Effect.forEach(jobs, (job) => declare(db, job, isSame(job) ? "keep" : "replace"))
    const gone = [...known.values()].filter(({ id }) => !declared.has(id))
    const report = (job: Job.Job) => Effect.succeed<JobStore.Removal>({ job, cancelled: [] })
    const removals = Effect.forEach(gone, absent === "remove" ? (job) => remove(db, job, now) : report)
    return { changes, absent: yield* removals }
  }).pipe(Effect.catchTag("JobExists", Effect.die))

// ---------------------------------------------------------------------------------------------------------------------
// runs
// ---------------------------------------------------------------------------------------------------------------------

const LIVE = ["Waiting", "Pending", "Running"]

const writeRun = <R extends Run.Run>({ names, sql }: Database, run: R): Effect.Effect<R, SqlError> => {
  const { id, ...columns } = toRunRow(run)
  return Effect.as(sql`UPDATE ${sql(names.runs)} SET ${sql.update({ ...columns })} WHERE id = ${id}`, run)
}

/** A run whose key is taken has been made before, and stays as it is. */
const insertRuns = ({ names, sql }: Database, runs: ReadonlyArray<Run.Run>): Effect.Effect<void, SqlError> => {
  if (runs.length === 0) return Effect.void
  const rows = runs.map((run) => ({ ...toRunRow(run) }))
  return Effect.asVoid(
    sql.onDialectOrElse({
      mysql: () => sql`INSERT IGNORE INTO ${sql(names.runs)} ${sql.insert(rows)}`,
      orElse: () => sql`INSERT INTO ${sql(names.runs)} ${sql.insert(rows)} ON CONFLICT DO NOTHING`
    })
  )
}

const listRuns = ({ names, sql }: Database, filter: JobStore.RunFilter) =>
  Effect.gen(function* () {
    const where = [
      ...(filter.jobId === undefined ? [] : [sql`job_id = ${filter.jobId}`]),
      ...(filter.states === undefined ? [] : [sql.in("state", filter.states)])
    ]
    const rows = yield* sql<RunRow>`SELECT * FROM ${sql(names.runs)} WHERE ${sql.and(where)}
      ORDER BY scheduled_at DESC, id DESC LIMIT ${filter.limit ?? 100}`
    return yield* Effect.forEach(rows, readRun)
  })

/** How many instances of each job are in flight, by job id. */
const instances = ({ names, sql }: Database, jobs: ReadonlyArray<Job.Job>) =>
  Effect.gen(function* () {
    if (jobs.length === 0) return new Map<string, number>()
    const incarnations = new Map(jobs.map(({ id, incarnation }) => [id, incarnation]))
    const rows = yield* sql<{ job_id: string; incarnation: number; n: number | string }>`
      SELECT job_id, incarnation, COUNT(DISTINCT instance) AS n FROM ${sql(names.runs)}
      WHERE ${sql.in("job_id", [...incarnations.keys()])} AND ${sql.in("state", LIVE)} GROUP BY job_id, incarnation`
    const own = rows.filter((row) => incarnations.get(row.job_id) === row.incarnation)
    return new Map(own.map((row) => [row.job_id, Number(row.n)]))
  })

const fire = (db: Database, job: Job.Job, now: DateTime.Utc): Effect.Effect<Run.Run, SqlError> =>
  Effect.gen(function* () {
    const { names, sql } = db
    const running = (yield* instances(db, [job])).get(job.id) ?? 0
    const [taken] = yield* sql<{ n: number | string }>`SELECT COUNT(*) AS n FROM ${sql(names.runs)}
      WHERE job_id = ${job.id} AND incarnation = ${job.incarnation} AND scheduled_at = ${now.epochMillis}
      AND run_key LIKE 'manual/%'`
    const run = Run.manual(job, now, Number(taken?.n ?? 0) + 1)
    const admitted = running >= job.policy.maxInstances ? Run.skip(run, now) : run
    yield* insertRuns(db, [admitted])
    return admitted
  })

// ---------------------------------------------------------------------------------------------------------------------
// the tick
// ---------------------------------------------------------------------------------------------------------------------

const claim = (db: Database, { limit, now }: Parameters<Store["claim"]>[0]): Effect.Effect<JobStore.Claim, SqlError> =>
  Effect.gen(function* () {
    const { names, sql } = db
    const rows = yield* sql<JobRow>`SELECT * FROM ${sql(names.jobs)} WHERE due_at <= ${now.epochMillis}
      ORDER BY due_at, id LIMIT ${limit}`
    const read = rows.map((row) => Either.mapLeft(readJob(row), (error) => toError(row, error)))
    const parked = read.filter(Either.isLeft).map(({ left }) => left)
    const jobs = read.filter(Either.isRight).map(({ right }) => right)
    yield* Effect.forEach(parked, ({ jobId, reason }) => park(db, jobId, reason, now))
    const running = yield* instances(db, jobs)
    const advances = jobs.map((job) => Job.advance(job, now, running.get(job.id) ?? 0))
    yield* insertRuns(
      db,
      advances.flatMap(({ missed, runs, skipped }) => [...missed, ...runs, ...skipped])
    )
    return { advances: yield* Effect.forEach(advances, (advance) => moveOn(db, advance)), parked }
  })

const park = ({ names, sql }: Database, id: string, reason: string, now: DateTime.Utc) => {
  const detail = JSON.stringify({ _tag: "Parked", at: now.epochMillis, reason })
  return sql`UPDATE ${sql(names.jobs)} SET state = 'Parked', state_detail = ${detail}, due_at = NULL WHERE id = ${id}`
}

const moveOn = (db: Database, advance: Job.Advance): Effect.Effect<JobStore.Claim["advances"][number], SqlError> =>
  Effect.gen(function* () {
    const { names, sql } = db
    const { id, incarnation } = advance.next
    if (Job.isFinished(advance.next)) return { ...advance, isFinished: yield* finish(db, advance.next, true) }
    const dueAt = Option.getOrNull(Option.map(advance.next.nextRunTime, DateTime.toEpochMillis))
    yield* sql`UPDATE ${sql(names.jobs)} SET next_run_at = ${dueAt}, due_at = ${dueAt}
      WHERE id = ${id} AND incarnation = ${incarnation}`
    return { ...advance, isFinished: false }
  })

/** Removes a job that will never be due again once no run of it is live; until then it only keeps its cursor at none. */
const finish = (db: Database, job: Job.Job, isNew = false): Effect.Effect<boolean, SqlError> =>
  Effect.gen(function* () {
    const { names, sql } = db
    const live = yield* sql`SELECT 1 FROM ${sql(names.runs)} WHERE job_id = ${job.id}
      AND incarnation = ${job.incarnation} AND ${sql.in("state", LIVE)} LIMIT 1`
    if (live.length === 0) yield* deleteJob(db, job.id)
    else if (isNew) yield* sql`UPDATE ${sql(names.jobs)} SET next_run_at = NULL, due_at = NULL WHERE id = ${job.id}`
    return live.length === 0
  })

const start = (
  db: Database,
  { limit, node, now, tasks }: Parameters<Store["start"]>[0]
): Effect.Effect<ReadonlyArray<JobStore.Step>, StoreError | SqlError> =>
  Effect.gen(function* () {
    const { names, sql } = db
    if (tasks.size === 0) return []
    const rows = yield* sql<RunRow>`SELECT r.* FROM ${sql(names.runs)} r
      INNER JOIN ${sql(names.jobs)} j ON j.id = r.job_id AND j.incarnation = r.incarnation
      WHERE r.state = 'Pending' AND r.run_at <= ${now.epochMillis} AND ${sql.in("r.task", [...tasks])}
      AND j.state <> 'Parked' ORDER BY r.priority DESC, r.run_at, r.id LIMIT ${limit}`
    const runs = yield* Effect.forEach(rows, readRun)
    const jobs = yield* readJobs(db, runs, now)
    const startable = runs.filter(({ jobId }) => jobs.has(jobId))
    const begun = yield* Effect.forEach(startable, (run) => writeRun(db, Run.start(run, node, now)))
    return yield* Effect.forEach(begun, (run) => follow(db, run, jobs.get(run.jobId)))
  })

/** The jobs of some runs, by id; those that cannot be read are parked. */
const readJobs = (db: Database, runs: ReadonlyArray<Run.Run>, now: DateTime.Utc) =>
  Effect.gen(function* () {
    const { names, sql } = db
    const jobs = new Map<string, Job.Job>()
    if (runs.length === 0) return jobs
    const ids = [...new Set(runs.map(({ jobId }) => jobId))]
    for (const row of yield* sql<JobRow>`SELECT * FROM ${sql(names.jobs)} WHERE ${sql.in("id", ids)}`) {
      const job = readJob(row)
      if (Either.isRight(job)) jobs.set(row.id, job.right)
      else yield* park(db, row.id, String(job.left.cause), now)
    }
    return jobs
  })

/** After a run has ended: the next one of its catch-up may start, and a job with nothing left is removed. */
const follow = (db: Database, run: Run.Run, job: Job.Job | undefined): Effect.Effect<JobStore.Step, SqlError> =>
  Effect.gen(function* () {
    const isOwn = job !== undefined && job.incarnation === run.incarnation
    const step = { run, job: Option.fromNullable(job), isFinished: false }
    if (Run.isLive(run) || !isOwn) return step
    yield* promote(db, run)
    return { ...step, isFinished: Job.isFinished(job) && (yield* finish(db, job)) }
  })

const promote = ({ names, sql }: Database, run: Run.Run) =>
  Effect.gen(function* () {
    const ofInstance = sql.and([
      sql`job_id = ${run.jobId}`,
      sql`incarnation = ${run.incarnation}`,
      sql`instance = ${run.instance}`,
      sql`state = 'Waiting'`
    ])
    const [next] = yield* sql<{ id: string }>`SELECT id FROM ${sql(names.runs)} WHERE ${ofInstance}
      ORDER BY scheduled_at LIMIT 1`
    if (next === undefined) return
    const detail = JSON.stringify({ _tag: "Pending" })
    yield* sql`UPDATE ${sql(names.runs)} SET state = 'Pending', detail = ${detail} WHERE id = ${next.id}`
  })

const settle = (
  db: Database,
  settlements: Parameters<Store["settle"]>[0],
  now: DateTime.Utc
): Effect.Effect<ReadonlyArray<JobStore.Step>, StoreError | SqlError> =>
  Effect.gen(function* () {
    const { names, sql } = db
    const ids = settlements.map(({ run }) => run.id)
    if (ids.length === 0) return []
    const held = yield* sql<{ id: string; attempt: number }>`SELECT id, attempt FROM ${sql(names.runs)}
      WHERE ${sql.in("id", ids)} AND state = 'Running'`
    const attempts = new Map(held.map(({ attempt, id }) => [id, attempt]))
    const own = settlements.filter(({ run }) => attempts.get(run.id) === run.attempt)
    const jobs = yield* readJobs(
      db,
      own.map(({ run }) => run),
      now
    )
    return yield* Effect.forEach(own, ({ outcome, run }) => settleOne(db, run, outcome, jobs.get(run.jobId), now))
  })

const settleOne = (
  db: Database,
  run: Run.Running,
  outcome: Run.Outcome,
  job: Job.Job | undefined,
  now: DateTime.Utc
): Effect.Effect<JobStore.Step, SqlError> => {
  const policy = job?.incarnation === run.incarnation ? job.policy : JobStore.orphanPolicy
  return Effect.flatMap(writeRun(db, Run.settle(run, policy, outcome, now)), (settled) => follow(db, settled, job))
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
    const rows = yield* sql<RunRow>`SELECT * FROM ${sql(names.runs)} WHERE state = 'Running'
      AND node NOT IN (SELECT id FROM ${sql(names.nodes)}) ORDER BY scheduled_at, id LIMIT ${limit}`
    const lost = (yield* Effect.forEach(rows, readRun)).filter(Run.isRunning)
    return yield* settle(
      db,
      lost.map((run) => ({ run, outcome: { _tag: "Crashed" } })),
      now
    )
  })

const nextWake = (
  { names, sql }: Database,
  { node, tasks }: Parameters<Store["nextWake"]>[0]
): Effect.Effect<Option.Option<DateTime.Utc>, SqlError> => {
  const least = (query: Fragment) =>
    Effect.map(sql<{ at: number | string | null }>`${query}`, ([row]) => millis(row?.at ?? null) ?? Infinity)
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

/**
 * The store as a Layer: SQLite, PostgreSQL or MySQL/MariaDB, whichever client is provided.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<JobStore.JobStore, StoreError, SqlClient.SqlClient> =>
  Layer.effect(JobStore.JobStore, make(options))
