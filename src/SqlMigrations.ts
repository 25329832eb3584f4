/**
 * The tables of the SQL job store, as versioned migrations that run by themselves or under the user's own migrator.
 *
 * @since 0.1.0
 */
import * as Migrator from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"

/**
 * The names of the tables under a prefix.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tables {
  readonly jobs: string
  readonly runs: string
  readonly nodes: string
  readonly migrations: string
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const tables = (prefix: string): Tables => ({
  jobs: `${prefix}jobs`,
  runs: `${prefix}runs`,
  nodes: `${prefix}nodes`,
  migrations: `${prefix}migrations`
})

/**
 * The migrations by `<number>_<name>`, for `Migrator.fromRecord` of `@effect/sql` or any other runner; `prefix` defaults
 * to `"scheduler_"`. All times are epoch milliseconds.
 *
 * @since 0.1.0
 * @category migrations
 */
export const migrations = (
  prefix = "scheduler_"
): Record<string, Effect.Effect<void, SqlError, SqlClient.SqlClient>> => ({
  "0001_tables": createTables(tables(prefix))
})

/**
 * Brings the tables under a prefix to this version of the library.
 *
 * @since 0.1.0
 * @category migrations
 */
export const run = (prefix: string): Effect.Effect<void, SqlError | Migrator.MigrationError, SqlClient.SqlClient> =>
  Effect.asVoid(
    Migrator.make({})({ loader: Migrator.fromRecord(migrations(prefix)), table: tables(prefix).migrations })
  )

const createTables = (names: Tables): Effect.Effect<void, SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    // As the store does, so that both mean the same tables whatever the client does to names.
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const [jobs, runs, nodes] = [sql(names.jobs), sql(names.runs), sql(names.nodes)]
    const index = (table: string, name: string) => sql(`${table}_${name}`)
    // The database counts the lives of all jobs, so that none repeats when the history of an id has been given up.
    const counted = sql.onDialectOrElse({
      sqlite: () => sql`INTEGER PRIMARY KEY AUTOINCREMENT`,
      mysql: () => sql`BIGINT AUTO_INCREMENT PRIMARY KEY`,
      orElse: () => sql`BIGSERIAL PRIMARY KEY`
    })

    // `definition` holds what only changes when somebody declares the job anew; the cursor has columns of its own.
    yield* sql`CREATE TABLE ${jobs} (
      incarnation ${counted},
      id VARCHAR(255) NOT NULL UNIQUE,
      task VARCHAR(255) NOT NULL,
      job_group VARCHAR(255),
      labels TEXT NOT NULL,
      state VARCHAR(16) NOT NULL,
      state_detail TEXT NOT NULL,
      next_run_at BIGINT,
      due_at BIGINT,
      fired INTEGER NOT NULL,
      anchor BIGINT NOT NULL,
      keep_until BIGINT,
      definition TEXT NOT NULL
    )`
    yield* sql`CREATE INDEX ${index(names.jobs, "due")} ON ${jobs} (due_at, id)`
    yield* sql`CREATE INDEX ${index(names.jobs, "group")} ON ${jobs} (job_group)`
    yield* sql`CREATE INDEX ${index(names.jobs, "keep")} ON ${jobs} (keep_until)`

    // The id is made of job, incarnation and key, so that one of each is stored.
    yield* sql`CREATE TABLE ${runs} (
      id VARCHAR(350) NOT NULL PRIMARY KEY,
      job_id VARCHAR(255) NOT NULL,
      incarnation BIGINT NOT NULL,
      run_key VARCHAR(64) NOT NULL,
      task VARCHAR(255) NOT NULL,
      scheduled_at BIGINT NOT NULL,
      due_at BIGINT NOT NULL,
      run_at BIGINT NOT NULL,
      start_by BIGINT,
      instance VARCHAR(64) NOT NULL,
      priority INTEGER NOT NULL,
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
      detail TEXT NOT NULL
    )`
    yield* sql`CREATE INDEX ${index(names.runs, "pending")} ON ${runs} (state, priority, run_at)`
    yield* sql`CREATE INDEX ${index(names.runs, "live")} ON ${runs} (job_id, finished_at)`
    yield* sql`CREATE INDEX ${index(names.runs, "job")} ON ${runs} (job_id, scheduled_at)`
    yield* sql`CREATE INDEX ${index(names.runs, "history")} ON ${runs} (scheduled_at)`
    yield* sql`CREATE INDEX ${index(names.runs, "keep")} ON ${runs} (keep_until)`
    yield* sql`CREATE INDEX ${index(names.runs, "cancel")} ON ${runs} (cancel_node)`

    yield* sql`CREATE TABLE ${nodes} (
      id VARCHAR(64) NOT NULL PRIMARY KEY,
      registered_at BIGINT NOT NULL,
      expires_at BIGINT NOT NULL
    )`
  })
