/**
 * The tables of the SQL job store, as versioned migrations that run by themselves or under the user's own migrator.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/**
 * The names of the tables under a prefix, and of some of their indexes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tables {
  readonly jobs: string
  readonly runs: string
  readonly nodes: string
  readonly migrations: string
  /** The index of the jobs that are due. */
  readonly due: string
  /** The index of the runs that may start, in the order in which they do. */
  readonly pending: string
  /** The same in the order of their times. */
  readonly waiting: string
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const tables = (prefix: string, schema?: string): Tables => {
  const place = schema === undefined ? prefix : `${schema}.${prefix}`
  return {
    jobs: `${place}jobs`,
    runs: `${place}runs`,
    nodes: `${place}nodes`,
    migrations: `${place}migrations`,
    due: `${prefix}jobs_due`,
    pending: `${prefix}runs_pending`,
    waiting: `${prefix}runs_waiting`
  }
}

/**
 * The migrations by `<number>_<name>`, for `Migrator.fromRecord` of `@effect/sql` or any other runner; `prefix` defaults
 * to `"scheduler_"`. Each may be run again after it has failed half-way. All times are epoch milliseconds.
 *
 * @since 0.1.0
 * @category migrations
 */
export const migrations = (
  prefix = "scheduler_",
  schema?: string
): Record<string, Effect.Effect<void, SqlError, SqlClient.SqlClient>> => ({
  "0001_tables": createTables(prefix, tables(prefix, schema))
})

/**
 * Tables that a newer version of this library has made: this one must not touch them.
 *
 * @since 0.1.0
 * @category errors
 */
export class SchemaTooNew extends Data.TaggedError("SchemaTooNew")<{
  readonly table: string
  readonly found: number
  readonly known: number
}> {
  override get message(): string {
    const { found, known, table } = this
    return `The tables are of a newer version: migration ${found} in ${table}, this version knows ${known}; update it`
  }
}

/**
 * Brings the tables under a prefix to this version of the library; several nodes may do so at once.
 *
 * @since 0.1.0
 * @category migrations
 */
export const run = (
  prefix: string,
  schema?: string
): Effect.Effect<void, SqlError | SchemaTooNew, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const names = tables(prefix, schema)
    const migrated = migrateAll(sql, names, prefix, schema)
    // SQLite refuses one who reads and then writes if another wrote in between; by then that one has migrated.
    yield* Effect.retry(sql.withTransaction(lockedBy(sql, names.migrations, migrated)), {
      times: 3,
      while: ({ _tag }) => _tag === "SqlError"
    })
  })

/** Lets one node migrate at a time. In MySQL each change of a table ends the transaction, but not the connection. */
const lockedBy = <A, E, R>(sql: SqlClient.SqlClient, name: string, effect: Effect.Effect<A, E, R>) =>
  sql.onDialectOrElse({
    sqlite: () => effect,
    mysql: () =>
      Effect.acquireUseRelease(
        sql`SELECT GET_LOCK(${name}, 60)`,
        () => effect,
        () => Effect.ignore(sql`SELECT RELEASE_LOCK(${name})`)
      ),
    orElse: () => Effect.zipRight(sql`SELECT pg_advisory_xact_lock(hashtext(${name}))`, effect)
  })

const migrateAll = (sql: SqlClient.SqlClient, names: Tables, prefix: string, schema: string | undefined) =>
  Effect.gen(function* () {
    const table = sql(names.migrations)
    if (schema !== undefined) yield* createSchema(sql, schema)
    yield* sql`CREATE TABLE IF NOT EXISTS ${table} (
      migration_id INTEGER NOT NULL PRIMARY KEY,
      created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
      name VARCHAR(255) NOT NULL
    )`
    const [last] = yield* sql<{ id: number | null }>`SELECT MAX(migration_id) AS id FROM ${table}`
    const found = Number(last?.id ?? 0)
    const all = Object.entries(migrations(prefix, schema)).map(([key, migrate]) => {
      const [id, ...name] = key.split("_")
      return { id: Number(id), name: name.join("_"), migrate }
    })
    const known = Math.max(...all.map(({ id }) => id))
    if (found > known) return yield* new SchemaTooNew({ table: names.migrations, found, known })
    for (const { id, migrate, name } of all) {
      if (id <= found) continue
      yield* migrate
      // Not before: where changes of tables are no part of a transaction, half a migration must be run again.
      yield* sql`INSERT INTO ${table} ${sql.insert({ migration_id: id, name })}`
    }
  })

/** Asks first: who may not make schemas may not ask for one to be made if it is not there, either. */
const createSchema = (sql: SqlClient.SqlClient, schema: string) =>
  Effect.gen(function* () {
    if (sql.onDialectOrElse({ sqlite: () => true, orElse: () => false })) return
    const found = yield* sql`SELECT 1 AS found FROM information_schema.schemata WHERE schema_name = ${schema}`
    if (found.length === 0) yield* sql`CREATE SCHEMA IF NOT EXISTS ${sql(schema)}`
  })

/** What tables look like in a dialect. */
interface Dialect {
  /** The columns of a job that the database counts, and by which it is named. */
  readonly counted: string
  readonly identifier: (length: number) => string
  readonly text: string
  /** What follows the columns of a table. */
  readonly end: string
}

const dialectOf = (sql: SqlClient.SqlClient): Effect.Effect<Dialect, SqlError> =>
  sql.onDialectOrElse({
    sqlite: () =>
      Effect.succeed({
        counted: "incarnation INTEGER PRIMARY KEY AUTOINCREMENT, id VARCHAR(255) NOT NULL UNIQUE",
        identifier: (length: number) => `VARCHAR(${length})`,
        text: "TEXT",
        end: ""
      }),
    mysql: () => mysqlDialect(sql),
    // Ids are compared by their bytes, whatever the language of the database.
    orElse: () =>
      Effect.succeed({
        counted: `incarnation BIGSERIAL PRIMARY KEY, id VARCHAR(255) COLLATE "C" NOT NULL UNIQUE`,
        identifier: (length: number) => `VARCHAR(${length}) COLLATE "C"`,
        text: "TEXT",
        end: ""
      })
  })

/** Ids differ by case and by trailing spaces; MySQL and MariaDB have different names for that. */
const mysqlDialect = (sql: SqlClient.SqlClient): Effect.Effect<Dialect, SqlError> =>
  Effect.map(sql<{ version: string }>`SELECT VERSION() AS version`, ([row]) => ({
    // Rows lie in the order of the ids, so that they are held in this order.
    counted: "incarnation BIGINT NOT NULL AUTO_INCREMENT UNIQUE, id VARCHAR(255) NOT NULL PRIMARY KEY",
    identifier: (length) => `VARCHAR(${length})`,
    text: "LONGTEXT",
    end: `ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE ${
      row?.version.includes("MariaDB") === true ? "utf8mb4_nopad_bin" : "utf8mb4_0900_bin"
    }`
  }))

const createTables = (prefix: string, names: Tables): Effect.Effect<void, SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    // As the store does, so that both mean the same tables whatever the client does to names.
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const dialect = yield* dialectOf(sql)
    yield* createTable(sql, dialect, names.jobs, jobColumns(dialect), indexes(`${prefix}jobs`, JOB_INDEXES))
    yield* createTable(sql, dialect, names.runs, runColumns(dialect), indexes(`${prefix}runs`, RUN_INDEXES))
    yield* createTable(sql, dialect, names.nodes, nodeColumns, [])
  })

/** The columns of an index, and of which rows: MySQL, which has all of them, needs what tells them apart as its first column. */
interface Index {
  readonly columns: string
  readonly of?: string
  readonly first?: string
}

interface NamedIndex extends Index {
  readonly name: string
}

const indexes = (table: string, all: Readonly<Record<string, Index>>): ReadonlyArray<NamedIndex> =>
  Object.entries(all).map(([name, index]) => ({ ...index, name: `${table}_${name}` }))

const createTable = (
  sql: SqlClient.SqlClient,
  { end }: Dialect,
  name: string,
  columns: string,
  indexes: ReadonlyArray<NamedIndex>
) => {
  const within = ({ columns, first, name }: NamedIndex) =>
    `, INDEX ${name} (${first === undefined ? "" : `${first}, `}${columns})`
  const create = (more: string) =>
    sql`CREATE TABLE IF NOT EXISTS ${sql(name)} (${sql.literal(columns + more)}) ${sql.literal(end)}`
  return sql.onDialectOrElse({
    // It has no CREATE INDEX IF NOT EXISTS.
    mysql: () => Effect.asVoid(create(indexes.map((index) => within(index)).join(""))),
    orElse: () => Effect.zipRight(create(""), createIndexes(sql, name, indexes))
  })
}

const createIndexes = (sql: SqlClient.SqlClient, table: string, indexes: ReadonlyArray<NamedIndex>) =>
  Effect.forEach(
    indexes,
    ({ columns, name, of }) =>
      sql`CREATE INDEX IF NOT EXISTS ${sql(name)} ON ${sql(table)} (${sql.literal(columns)})
        ${sql.literal(of === undefined ? "" : `WHERE ${of}`)}`,
    { discard: true }
  )

const given = (column: string): Index => ({ columns: column, of: `${column} IS NOT NULL` })

/** Each of them holds only the rows that are looked for by it: most changes of a row touch few. */
const JOB_INDEXES: Readonly<Record<string, Index>> = {
  due: { columns: "due_at, id", of: "due_at IS NOT NULL" },
  urgent: { columns: "due_at", of: "priority > 0", first: "priority" },
  group: given("job_group"),
  keep: given("keep_until")
}

const ofPending = { of: "state = 'Pending'", first: "state" }

const RUN_INDEXES: Readonly<Record<string, Index>> = {
  pending: { columns: "executor, priority DESC, run_at, id", ...ofPending },
  waiting: { columns: "executor, run_at", ...ofPending },
  running: { columns: "node, id", of: "state = 'Running'", first: "state" },
  live: { columns: "job_id", of: "finished_at IS NULL", first: "finished_at" },
  job: { columns: "job_id, scheduled_at" },
  history: { columns: "scheduled_at" },
  keep: given("keep_until"),
  cancel: given("cancel_node")
}

/**
 * The database counts the lives of all jobs, so that none repeats when the history of an id has been given up.
 * `policy` and `definition` hold what only changes when somebody declares the job anew; the cursor has columns of its own.
 */
const jobColumns = ({ counted, text }: Dialect): string => `
  ${counted},
  task VARCHAR(255) NOT NULL,
  job_group VARCHAR(255),
  labels ${text} NOT NULL,
  state VARCHAR(16) NOT NULL,
  state_detail ${text} NOT NULL,
  next_run_at BIGINT,
  due_at BIGINT,
  fired INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  anchor BIGINT NOT NULL,
  keep_until BIGINT,
  policy ${text} NOT NULL,
  definition ${text} NOT NULL`

/** The id is made of job, incarnation and key, so that one of each is stored. */
const runColumns = ({ identifier, text }: Dialect): string => `
  id ${identifier(350)} NOT NULL PRIMARY KEY,
  job_id ${identifier(255)} NOT NULL,
  incarnation BIGINT NOT NULL,
  run_key ${identifier(64)} NOT NULL,
  task VARCHAR(255) NOT NULL,
  scheduled_at BIGINT NOT NULL,
  due_at BIGINT NOT NULL,
  run_at BIGINT NOT NULL,
  start_by BIGINT,
  instance VARCHAR(64) NOT NULL,
  priority INTEGER NOT NULL,
  executor VARCHAR(64) NOT NULL,
  attempt INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  crashes INTEGER NOT NULL,
  state VARCHAR(16) NOT NULL,
  node VARCHAR(64),
  cancel_node VARCHAR(64),
  started_at BIGINT,
  finished_at BIGINT,
  keep_until BIGINT,
  made_at BIGINT NOT NULL,
  detail ${text} NOT NULL`

const nodeColumns = `
  id VARCHAR(64) NOT NULL PRIMARY KEY,
  registered_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL`
