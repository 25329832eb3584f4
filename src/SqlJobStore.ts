/**
 * The job store on a SQL database, through whichever client of `@effect/sql` is provided.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Job from "./Job.ts"
import * as JobStore from "./JobStore.ts"
import * as Run from "./Run.ts"
import { RunNotFound, type StoreError } from "./SchedulerError.ts"
import * as SqlAttempts from "./SqlAttempts.ts"
import * as SqlClaim from "./SqlClaim.ts"
import * as SqlClock from "./SqlClock.ts"
import * as SqlDatabase from "./SqlDatabase.ts"
import { byIndex, type Database, type Failure, isOneOf, refail, thenJoin } from "./SqlDatabase.ts"
import * as SqlJobs from "./SqlJobs.ts"
import * as SqlMigrations from "./SqlMigrations.ts"
import * as SqlNodes from "./SqlNodes.ts"
import * as SqlRows from "./SqlRows.ts"
import * as SqlRuns from "./SqlRuns.ts"
import * as SqlSignal from "./SqlSignal.ts"
import * as SqlSuccession from "./SqlSuccession.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What the names of the tables begin with. Default: `"scheduler_"`. */
  readonly prefix?: string | undefined
  /** The schema of the tables in PostgreSQL, made if it is not there. Default: the first one of the search path. */
  readonly schema?: string | undefined
  /** Whether the tables are made and brought up to date when the layer is built. Default: true. */
  readonly migrate?: boolean | undefined
  /**
   * How far the clock of a node may differ from the one of the database server; beyond it the node cannot register, nor
   * prolong its lease. It is not looked at under a test clock, nor on SQLite. Two nodes may be apart by twice as much:
   * with more than a tenth of the lease, one may take over what the other has not yet let go. Default: a fifteenth of the
   * lease, 1 second.
   */
  readonly maxClockSkew?: Duration.DurationInput | undefined
  /** How long a scheduler sleeps at most before it looks whether another process has added work. Default: 5 seconds. */
  readonly poll?: Duration.DurationInput | undefined
  /** How long a node that gives no sign of life keeps what it holds. Default: 15 seconds. */
  readonly lease?: Duration.DurationInput | undefined
  /** How often a node gives a sign of life. Default: a third of the lease. */
  readonly renewal?: Duration.DurationInput | undefined
  /**
   * Whether what callers write is part of the transaction that they have open. `@effect/sql` knows of one open transaction
   * for all clients: say false for a store whose client is not the one of its callers, or its statements go to their
   * database; and only then, since SQLite would wait for them. Default: true.
   */
  readonly joinTransactions?: boolean | undefined
}

type Store = JobStore.JobStore["Type"]

/**
 * A store on the `SqlClient` of the context.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Store, StoreError, SqlClient.SqlClient | Scope.Scope> =>
  Effect.gen(function* () {
    const prefix = options.prefix ?? "scheduler_"
    const lease = Duration.decode(options.lease ?? "15 seconds")
    const renewal = options.renewal === undefined ? Duration.times(lease, 1 / 3) : Duration.decode(options.renewal)
    const maxClockSkew = Duration.decode(options.maxClockSkew ?? Duration.times(lease, 1 / 15))
    const isJoining = options.joinTransactions ?? true
    const migrate = refail("bring its tables up to date", SqlMigrations.run(prefix, options.schema))
    if (options.migrate ?? true) yield* isJoining ? migrate : outside(migrate)
    const client = yield* SqlClient.SqlClient
    const names = SqlMigrations.tables(prefix, options.schema)
    const database = SqlDatabase.make(client.withoutTransforms(), names, { any: lease, step: renewal })
    const signal = yield* SqlSignal.make(client, names.jobs)
    const hub = yield* PubSub.sliding<void>(1)
    const own = Stream.fromPubSub(hub)
    const all = operations(database, Effect.asVoid(hub.publish(undefined)), signal, maxClockSkew)
    return {
      ...(isJoining ? all : apart(all)),
      timing: {
        poll: Duration.decode(options.poll ?? "5 seconds"),
        lease,
        renewal
      },
      changes: signal === undefined ? own : Stream.merge(own, signal.received)
    }
  })

type Operations = Omit<Store, "timing" | "changes">

/** The same operations, for callers whose transactions are those of another client. */
const apart = (operations: Operations): Operations => {
  const all: Record<string, unknown> = {}
  for (const [name, operation] of Object.entries(operations) as ReadonlyArray<[string, Operation]>) {
    all[name] = Effect.isEffect(operation) ? outside(operation) : (...args: Array<never>) => outside(operation(...args))
  }
  return all as unknown as Operations
}

type Operation = Effect.Effect<unknown, unknown> | ((...args: Array<never>) => Effect.Effect<unknown, unknown>)

const outside = <A, E, R>(operation: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(
    operation,
    (context: Context.Context<R>) => Context.omit(SqlClient.TransactionConnection)(context) as Context.Context<R>
  )

const operations = (
  db: Database,
  announce: Effect.Effect<void>,
  signal: SqlSignal.Signal | undefined,
  maxClockSkew: Duration.Duration
): Operations => {
  const perform: Perform = (operation, effect) => refail(operation, db.transaction(effect))
  const step: Perform = (operation, effect) => refail(operation, db.step(effect))
  const [sendWithin, send] = [signal?.sendWithin ?? Effect.void, signal?.send ?? Effect.void]
  const changeBy =
    (perform: Perform): Perform =>
    (operation, effect) =>
      Effect.flatMap(Effect.serviceOption(SqlClient.TransactionConnection), (open) =>
        Option.isSome(open)
          ? Effect.zipLeft(perform(operation, Effect.zipLeft(effect, sendWithin)), announce)
          : perform(operation, effect).pipe(Effect.zipLeft(announce), Effect.zipLeft(send))
      )
  const change = changeBy(perform)
  return {
    ...jobOperations(db, { perform, change, changeOnce: changeBy(refail) }),
    ...runOperations(db, change, perform),
    ...tickOperations(db, step),
    ...nodeOperations(db, step, maxClockSkew)
  }
}

/** One operation of the port as one transaction. */
type Perform = <A, E>(operation: string, effect: Effect.Effect<A, E | SqlError>) => Effect.Effect<A, Failure<E>>

/** How operations are performed: `change` tells others, and `changeOnce` does so for a single statement. */
interface Performers {
  readonly perform: Perform
  readonly change: Perform
  readonly changeOnce: Perform
}

const jobOperations = (db: Database, { change, changeOnce, perform }: Performers) =>
  ({
    add: (jobs, onConflict, onProgress) => {
      // One statement is a transaction by itself. MySQL needs more of them.
      const isOne = jobs.length === 1 && onConflict === "fail" && !db.isMysql
      return (isOne ? changeOnce : change)("add jobs", SqlJobs.declare(db, jobs, onConflict, { onProgress }))
    },
    get: (id) => refail("read a job", Effect.flatMap(SqlJobs.find(db, id), Effect.transposeMapOption(SqlRows.readJob))),
    list: (filter) => refail("list jobs", SqlJobs.list(db, filter)),
    update: (id, f) => change("update a job", update(db, id, f)),
    updateAll: (filter, f) => change("update jobs", updateAll(db, filter, f)),
    remove: (id, now) => perform("remove a job", remove(db, id, now)),
    removeAll: (filter, now) =>
      perform(
        "remove jobs",
        Effect.flatMap(SqlJobs.holdMatching(db, filter), (jobs) => SqlJobs.remove(db, jobs, now))
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
        Effect.flatMap(SqlJobs.holdOne(db, id), (job) => fire(db, job, now, origin))
      ),
    backfill: (id, runs) =>
      change(
        "backfill a job",
        Effect.flatMap(SqlJobs.holdOne(db, id), (job) => backfill(db, job, runs(job)))
      ),
    cancel: (runId, now) => change("cancel a run", cancel(db, runId, now)),
    prune: (now) => perform("prune the history", SqlRuns.prune(db, now)),
    counts: refail("count", counts(db))
  }) satisfies Partial<Store>

const tickOperations = (db: Database, step: Perform) =>
  ({
    claim: (options) => step("claim due jobs", SqlClaim.claim(db, options)),
    start: (options) => step("start runs", SqlAttempts.start(db, options)),
    settle: (settlements, now, start) => step("settle runs", SqlAttempts.settleAndStart(db, settlements, now, start)),
    report: (reports) => step("report progress", SqlAttempts.report(db, reports)),
    nextWake: (options) => refail("find the next wake", nextWake(db, options))
  }) satisfies Partial<Store>

const nodeOperations = (db: Database, step: Perform, maxClockSkew: Duration.Duration) =>
  ({
    register: ({ lease, now }) =>
      refail(
        "register a node",
        Effect.zipRight(SqlClock.guard(db, now, maxClockSkew), SqlNodes.register(db, now, lease))
      ),
    renew: ({ lease, node, now }) =>
      refail(
        "renew a lease",
        Effect.zipRight(SqlClock.guard(db, now, maxClockSkew), SqlNodes.renew(db, node, now, lease))
      ),
    recover: (options) => step("recover runs", SqlNodes.recover(db, options)),
    release: (node) =>
      refail("release a node", Effect.asVoid(db.sql`DELETE FROM ${db.sql(db.names.nodes)} WHERE id = ${node}`))
  }) satisfies Partial<Store>

// ---------------------------------------------------------------------------------------------------------------------
// jobs
// ---------------------------------------------------------------------------------------------------------------------

const updateAll = (db: Database, filter: JobStore.JobFilter, f: (job: Job.Job) => Job.Job) =>
  Effect.gen(function* () {
    const jobs = yield* SqlJobs.holdMatching(db, filter)
    const changed = jobs.flatMap((job) => {
      const changed = f(job)
      return changed === job ? [] : [changed]
    })
    yield* SqlJobs.change(db, changed)
    return changed
  })

const update = (db: Database, id: string, f: (job: Job.Job) => Job.Job) =>
  Effect.gen(function* () {
    const job = f(yield* SqlJobs.holdOne(db, id))
    yield* SqlJobs.change(db, [job])
    return job
  })

const remove = (db: Database, id: string, now: DateTime.Utc) =>
  Effect.gen(function* () {
    const job = yield* SqlJobs.holdOne(db, id)
    const [removal] = yield* SqlJobs.remove(db, [job], now)
    return removal ?? { job, cancelled: [] }
  })

const reconcile = (
  db: Database,
  { absent, group, jobs, now }: Parameters<Store["reconcile"]>[0]
): Effect.Effect<JobStore.Reconciliation, StoreError | SqlError> =>
  Effect.gen(function* () {
    const declared = new Set(jobs.map(({ id }) => id))
    // Those that go and those that stay are held at once, in one order.
    const held = yield* SqlJobs.hold(db, [...declared, ...(yield* SqlJobs.list(db, { group })).map(({ id }) => id)])
    const changes = yield* SqlJobs.declare(db, jobs, "reconcile", { held })
    const known = new Set(held.map(({ id }) => id))
    const gone = (yield* SqlJobs.list(db, { group })).filter(({ id }) => !declared.has(id) && known.has(id))
    if (absent === "remove") return { changes, absent: yield* SqlJobs.remove(db, gone, now) }
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
    const seen = yield* SqlRuns.find(db, runId)
    if (Option.isNone(seen)) return yield* new RunNotFound({ runId })
    const { jobs } = yield* SqlJobs.holdOf(db, [seen.value])
    // It may be another one by the time its job is held.
    const run = Option.getOrElse(yield* SqlRuns.holdOne(db, runId), () => seen.value)
    const called = Run.isLive(run)
      ? yield* SqlRuns.write(db, SqlRuns.callOff(run, now, "requested"), SqlRuns.ownJob(jobs, run))
      : run
    const ends = Run.isLive(called) || called === run ? [] : [{ was: run, run: called }]
    const [step] = yield* SqlSuccession.follow(db, ends, jobs, now)
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
// the next wake
// ---------------------------------------------------------------------------------------------------------------------

const nextWake = (
  db: Database,
  { executors, node, tasks }: Parameters<Store["nextWake"]>[0]
): Effect.Effect<JobStore.Wakes, SqlError> => {
  const { names, sql } = db
  // One for each executor: their first run is the first one of an index, whatever the database knows of its tables.
  const pending = [...executors].map(
    (executor) => sql`UNION ALL SELECT 'start' AS kind, (SELECT r.run_at
      FROM ${sql(names.runs)} r ${byIndex(db, names.waiting)}
      ${thenJoin(db)} ${sql(names.jobs)} j ON j.incarnation = r.incarnation
      WHERE r.state = 'Pending' AND r.executor = ${executor}
        AND ${isOneOf(db, "r.task", [...tasks])} AND j.state <> 'Parked' ORDER BY r.run_at LIMIT 1) AS at, NULL AS id`
  )
  // The lease holds to its last millisecond.
  const rows = sql<WakeRow>`SELECT 'claim' AS kind, MIN(due_at) AS at, NULL AS id FROM ${sql(names.jobs)}
      WHERE due_at IS NOT NULL
    UNION ALL SELECT 'recover' AS kind, MIN(expires_at) + 1 AS at, NULL AS id FROM ${sql(names.nodes)} WHERE id <> ${node}
    UNION ALL SELECT 'cancel' AS kind, NULL AS at, id FROM ${sql(names.runs)} WHERE cancel_node = ${node}
    ${sql.join(" ", false)(tasks.size === 0 ? [] : pending)}`
  return Effect.map(rows, toWakes)
}

interface WakeRow {
  readonly kind: "claim" | "start" | "recover" | "cancel"
  readonly at: number | string | null
  readonly id: string | null
}

const toWakes = (rows: ReadonlyArray<WakeRow>): JobStore.Wakes => {
  const least = (kind: WakeRow["kind"]) =>
    Math.min(...rows.flatMap((row) => (row.kind === kind ? (SqlRows.millis(row.at) ?? Infinity) : [])))
  const cancelled = rows.flatMap(({ id }) => id ?? [])
  return { claim: least("claim"), start: least("start"), recover: least("recover"), cancelled }
}

/**
 * The store as a Layer: SQLite, PostgreSQL or MySQL/MariaDB, whichever client is provided.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<JobStore.JobStore, StoreError, SqlClient.SqlClient> =>
  Layer.scoped(JobStore.JobStore, make(options))
