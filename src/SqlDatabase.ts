/**
 * A database as the SQL job store uses it: a client, the names of its tables, transactions, how rows are held against
 * other nodes, and what fails in all this.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { JobExists, JobNotFound, RunNotFound, StoreError } from "./SchedulerError.ts"
import type * as SqlMigrations from "./SqlMigrations.ts"

/**
 * What every operation works with.
 *
 * @since 0.1.0
 * @category models
 */
export interface Database {
  readonly sql: SqlClient.SqlClient
  readonly names: SqlMigrations.Tables
  readonly isMysql: boolean
  /** Whether nobody else can write while a transaction is open. */
  readonly isAlone: boolean
  /** Ends a SELECT that holds its rows until the transaction ends, and waits for those that others hold. */
  readonly hold: Fragment
  /** Ends a SELECT that holds its rows, and leaves out those that others hold. */
  readonly holdFree: Fragment
  /** The same for runs `r` and jobs `j` together. */
  readonly holdFreeBoth: Fragment
  /** One transaction, or a part of the one that the caller has open. It is begun anew if it collides with another. */
  readonly transaction: Transact
  /** The same for a step of a turn, which its node soon gives up. */
  readonly step: Transact
}

type Transact = <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E | SqlError>

/**
 * For how long a node may be silent in the middle of a transaction before the server ends it: in any one, and in a step of
 * a turn. What stands still, or what the network has cut off, must not hold rows against all others for longer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Patience {
  readonly any: Duration.Duration
  readonly step: Duration.Duration
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (sql: SqlClient.SqlClient, names: SqlMigrations.Tables, patience: Patience): Database => {
  const dialect = sql.onDialectOrElse({ sqlite: () => "sqlite", mysql: () => "mysql", orElse: () => "pg" })
  const free = sql.literal("FOR UPDATE SKIP LOCKED")
  const shared = { sql, names, isAlone: false, hold: sql.literal("FOR UPDATE"), holdFree: free }
  const bounded = (brackets: (patience: Duration.Duration) => Brackets) => {
    const within = (patience: Duration.Duration): Transact => {
      const transact = withTransaction(sql, brackets(patience))
      return (effect) => persist(transact(effect))
    }
    return { transaction: within(patience.any), step: within(patience.step) }
  }
  switch (dialect) {
    case "sqlite":
      return alone(sql, names)
    case "mysql":
      // MariaDB has no OF.
      return { ...shared, isMysql: true, holdFreeBoth: free, ...bounded(readCommitted) }
    default:
      return {
        ...shared,
        isMysql: false,
        holdFreeBoth: sql.literal("FOR UPDATE OF r, j SKIP LOCKED"),
        ...bounded(neverIdle)
      }
  }
}

const alone = (sql: SqlClient.SqlClient, names: SqlMigrations.Tables): Database => {
  const nothing = { hold: NOTHING(sql), holdFree: NOTHING(sql), holdFreeBoth: NOTHING(sql) }
  const transaction: Transact = (effect) => sql.withTransaction(lockAndDo(sql, names, effect))
  return { sql, names, isMysql: false, isAlone: true, ...nothing, transaction, step: transaction }
}

const NOTHING = (sql: SqlClient.SqlClient): Fragment => sql.literal("")

/** SQLite must take its write lock first: one that reads and then writes is refused if another wrote in between. */
const lockAndDo = <A, E>(sql: SqlClient.SqlClient, names: SqlMigrations.Tables, effect: Effect.Effect<A, E>) =>
  Effect.zipRight(sql`UPDATE ${sql(names.nodes)} SET id = id WHERE id = ''`, effect)

/** How transactions begin and end. */
interface Brackets {
  readonly begin: string
  readonly commit: string
  readonly rollback: string
}

/** Nobody waits for so long, and databases take no larger number. */
const LONGEST = 86_400_000

const neverIdle = (patience: Duration.Duration): Brackets => {
  const millis = Math.ceil(Math.min(Duration.toMillis(patience), LONGEST))
  return {
    begin: `BEGIN; SET LOCAL idle_in_transaction_session_timeout = ${millis}`,
    commit: "COMMIT",
    rollback: "ROLLBACK"
  }
}

/**
 * Transactions in which every statement sees what others have committed, as PostgreSQL's do; by default those of MySQL
 * read what was there at their first read, and lock the gaps between rows.
 */
const readCommitted = (patience: Duration.Duration): Brackets => {
  const seconds = Math.ceil(Math.min(Duration.toMillis(patience), LONGEST) / 1000)
  // MySQL has nothing that is for transactions alone, and an idle connection of the pool should stay.
  const relax = "SET SESSION wait_timeout = DEFAULT"
  return {
    begin: `SET SESSION wait_timeout = ${seconds}; SET TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN`,
    commit: `COMMIT; ${relax}`,
    rollback: `ROLLBACK; ${relax}`
  }
}

const withTransaction = (
  sql: SqlClient.SqlClient,
  { begin, commit, rollback }: Brackets
): SqlClient.SqlClient["withTransaction"] =>
  SqlClient.makeWithTransaction({
    transactionTag: SqlClient.TransactionConnection,
    spanAttributes: [],
    acquireConnection: Effect.flatMap(Scope.make(), (scope) =>
      Effect.map(Scope.extend(sql.reserve, scope), (connection) => [scope, connection] as const)
    ),
    begin: (_) => _.executeUnprepared(begin, [], undefined),
    savepoint: (_, id) => _.executeUnprepared(`SAVEPOINT effect_sql_${id}`, [], undefined),
    commit: (_) => _.executeUnprepared(commit, [], undefined),
    rollback: (_) => _.executeUnprepared(rollback, [], undefined),
    rollbackSavepoint: (_, id) => _.executeUnprepared(`ROLLBACK TO SAVEPOINT effect_sql_${id}`, [], undefined)
  })

const TRIES = 10

/** Another node stored the same id first. */
const TAKEN = new Set<unknown>(["23505", 1062])
/** The database gave up one of several transactions that wait for each other, or read what has changed since. */
const GIVEN_UP = new Set<unknown>(["40P01", "40001", 1213, 1020])

/** Begins a transaction anew that collided with another one, as far as this is possible within the caller's. */
const persist = <A, E>(transaction: Effect.Effect<A, E | SqlError>): Effect.Effect<A, E | SqlError> =>
  Effect.flatMap(Effect.serviceOption(SqlClient.TransactionConnection), (outer) =>
    Effect.catchAllDefect(transaction, (defect) =>
      // A COMMIT that fails is a defect of the client's.
      defect instanceof SqlError ? Effect.fail(defect) : Effect.die(defect)
    ).pipe(Effect.retry({ times: TRIES, while: (error) => isCollision(error, Option.isSome(outer)) }))
  )

const isCollision = (error: unknown, isNested: boolean): boolean => {
  const codes = codesOf(error)
  return codes.some((code) => TAKEN.has(code) || (!isNested && GIVEN_UP.has(code)))
}

const codesOf = (error: unknown): ReadonlyArray<unknown> => {
  if (!(error instanceof SqlError)) return []
  const { code, errno } = (error.cause ?? {}) as { readonly code?: unknown; readonly errno?: unknown }
  return [code, errno]
}

/** What the port answers with, besides that it cannot. */
type Refusal = JobExists | JobNotFound | RunNotFound

/**
 * How an operation fails that has failed with `E`.
 *
 * @since 0.1.0
 * @category errors
 */
export type Failure<E> = Extract<E, Refusal> | StoreError

const isAnswer = <E>(error: E): error is E & Failure<E> =>
  error instanceof JobExists ||
  error instanceof JobNotFound ||
  error instanceof RunNotFound ||
  error instanceof StoreError

/**
 * Whatever the database throws is a `StoreError`; the answers of the port stay what they are.
 *
 * @since 0.1.0
 * @category errors
 */
export const refail = <A, E, R>(operation: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, Failure<E>, R> =>
  Effect.mapError(effect, (error) => (isAnswer(error) ? error : new StoreError({ operation, cause: error })))

/**
 * At most so many rows are named or written in one statement: databases limit its parameters.
 *
 * @since 0.1.0
 * @category constants
 */
export const PAGE = 500

/**
 * Does for each page of some items what can be done for so many at once.
 *
 * @since 0.1.0
 * @category combinators
 */
export const inPages = <A, B, E>(
  items: ReadonlyArray<A>,
  f: (page: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<B>, E>
) => Effect.map(Effect.forEach(Arr.chunksOf(items, PAGE), f), Arr.flatten)

/** MySQL keeps each text of a statement prepared and limits their number, so that lists come in few lengths. */
const padded = <A>({ isMysql }: Database, values: ReadonlyArray<A>): ReadonlyArray<A> => {
  if (!isMysql || values.length === 0) return values
  const length = 2 ** Math.ceil(Math.log2(values.length))
  const last = values[values.length - 1] as A
  return [...values, ...Array.from({ length: length - values.length }, () => last)]
}

/**
 * The condition that a column has one of some values, also if there are none: `IN ()` is no SQL.
 *
 * @since 0.1.0
 * @category statements
 */
export const isOneOf = (db: Database, column: string, values: ReadonlyArray<string>): Fragment =>
  values.length === 0 ? db.sql`1 = 0` : db.sql`${db.sql.in(column, padded(db, values))}`

/**
 * The end of a query that gives so many rows at most, from an offset on.
 *
 * @since 0.1.0
 * @category statements
 */
export const limitTo = ({ isMysql, sql }: Database, limit: number, offset = 0): Fragment => {
  const [most, skipped] = [limit, offset].map((n) => Math.min(Math.trunc(n), Number.MAX_SAFE_INTEGER))
  // MySQL takes no parameters here.
  if (isMysql) return sql.literal(`LIMIT ${most} OFFSET ${skipped}`)
  return skipped === 0 ? sql`LIMIT ${most}` : sql`LIMIT ${most} OFFSET ${skipped}`
}

/**
 * Makes MySQL read a table by an index, so that it holds no more rows than it gives.
 *
 * @since 0.1.0
 * @category statements
 */
export const byIndex = ({ isMysql, sql }: Database, index: string): Fragment =>
  isMysql ? sql`FORCE INDEX (${sql(index)})` : NOTHING(sql)

/**
 * Joins a table to those before it, which are read first.
 *
 * @since 0.1.0
 * @category statements
 */
export const thenJoin = ({ isAlone, isMysql, sql }: Database): Fragment =>
  sql.literal(isMysql ? "STRAIGHT_JOIN" : isAlone ? "CROSS JOIN" : "INNER JOIN")

/** A row that is written. */
type Row = Record<string, unknown>

/**
 * Stores rows, except those that are there already.
 *
 * @since 0.1.0
 * @category statements
 */
export const insertNew = (db: Database, table: string, rows: ReadonlyArray<Row>) => {
  const { isMysql, sql } = db
  // INSERT IGNORE would ignore everything else as well.
  const otherwise = isMysql ? sql`ON DUPLICATE KEY UPDATE id = ${sql(table)}.id` : sql`ON CONFLICT DO NOTHING`
  return sql`INSERT INTO ${sql(table)} ${sql.insert([...padded(db, rows)])} ${otherwise}`
}

/**
 * Overwrites some columns of rows that are there and held: all of them in one statement, whatever the database. Columns
 * that may not be empty must be given.
 *
 * @since 0.1.0
 * @category statements
 */
export const overwrite = (
  db: Database,
  table: string,
  key: string,
  columns: ReadonlyArray<string>,
  rows: ReadonlyArray<Row>
) => {
  const { isMysql, sql } = db
  const values = columns.map((column) => (isMysql ? `${column} = VALUES(${column})` : `${column} = excluded.${column}`))
  const otherwise = isMysql ? "ON DUPLICATE KEY UPDATE" : `ON CONFLICT (${key}) DO UPDATE SET`
  return sql`INSERT INTO ${sql(table)} ${sql.insert([...padded(db, rows)])} ${sql.literal(`${otherwise} ${values.join(", ")}`)}`
}
