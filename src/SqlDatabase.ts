/**
 * A database as the SQL job store uses it: a client, the names of its tables, transactions, how rows are held against
 * other nodes, and what fails in all this.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as PgArray from "./PgArray.ts"
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
  readonly dialect: "sqlite" | "mysql" | "pg"
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
  const dialect = sql.onDialectOrElse({
    sqlite: () => "sqlite" as const,
    mysql: () => "mysql" as const,
    orElse: () => "pg" as const
  })
  const free = sql.literal("FOR UPDATE SKIP LOCKED")
  const shared = { sql, names, isAlone: false, hold: sql.literal("FOR UPDATE"), holdFree: free }
  const bounded = (any: Brackets, step: Brackets) => {
    const within = (brackets: Brackets): Transact => {
      const transact = withTransaction(sql, brackets)
      return (effect) => persist(transact(effect))
    }
    return { transaction: within(any), step: within(step) }
  }
  switch (dialect) {
    case "sqlite":
      return alone(sql, names)
    case "mysql":
      // MariaDB has no OF.
      return {
        ...shared,
        dialect,
        isMysql: true,
        holdFreeBoth: free,
        ...bounded(readCommitted(patience.any), readCommitted(patience.step))
      }
    default:
      return {
        ...shared,
        dialect,
        isMysql: false,
        holdFreeBoth: sql.literal("FOR UPDATE OF r, j SKIP LOCKED"),
        ...bounded(neverIdle(patience.any), byIndices(neverIdle(patience.step)))
      }
  }
}

const alone = (sql: SqlClient.SqlClient, names: SqlMigrations.Tables): Database => {
  const nothing = { hold: NOTHING(sql), holdFree: NOTHING(sql), holdFreeBoth: NOTHING(sql) }
  const transact = withTransaction(sql, PLAIN)
  const transaction: Transact = (effect) => failing(transact(lockAndDo(sql, names, effect)))
  return { sql, names, dialect: "sqlite", isMysql: false, isAlone: true, ...nothing, transaction, step: transaction }
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

const PLAIN: Brackets = { begin: "BEGIN", commit: "COMMIT", rollback: "ROLLBACK" }

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
 * The rows of a queue come and go faster than PostgreSQL counts them: by what it believes it would read a table, or all rows
 * that an index once had, where it has to find a few. Reading by index, it also forgets those that are gone.
 */
const byIndices = (brackets: Brackets): Brackets => {
  const others = ["seqscan", "bitmapscan"]
  return { ...brackets, begin: [brackets.begin, ...others.map((name) => `SET LOCAL enable_${name} = off`)].join("; ") }
}

/** As PostgreSQL's; by default they read what was there at their first read, and lock the gaps between rows. */
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

/**
 * Transactions of which nothing is left when their COMMIT fails: the client's own would leave them open on a connection
 * that others get next.
 */
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
    begin: (_) => send(_, begin),
    savepoint: (_, id) => send(_, `SAVEPOINT effect_sql_${id}`),
    commit: (_) => Effect.tapError(send(_, commit), () => Effect.ignore(send(_, rollback))),
    rollback: (_) => send(_, rollback),
    rollbackSavepoint: (_, id) => send(_, `ROLLBACK TO SAVEPOINT effect_sql_${id}`)
  })

const send = (_: SqlConnection.Connection, text: string) => _.executeUnprepared(text, [], undefined)

/** A COMMIT or a ROLLBACK that fails is a defect of the client's. */
const failing = <A, E>(transaction: Effect.Effect<A, E>): Effect.Effect<A, E | SqlError> =>
  Effect.catchAllDefect(transaction, (defect) =>
    defect instanceof SqlError ? Effect.fail(defect) : Effect.die(defect)
  )

const TRIES = 10

/** Another node stored the same id first. */
const TAKEN = new Set<unknown>(["23505", 1062])
/** The database gave up one of several transactions that wait for each other, or read what has changed since. */
const GIVEN_UP = new Set<unknown>(["40P01", "40001", 1213, 1020])

/** Begins a transaction anew that collided with another one, as far as this is possible within the caller's. */
const persist = <A, E>(transaction: Effect.Effect<A, E | SqlError>): Effect.Effect<A, E | SqlError> =>
  Effect.flatMap(Effect.serviceOption(SqlClient.TransactionConnection), (outer) =>
    Effect.retry(failing(transaction), { times: TRIES, while: (error) => isCollision(error, Option.isSome(outer)) })
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

/**
 * Another node has stored this id since it was looked for: the transaction is begun anew.
 *
 * @since 0.1.0
 * @category errors
 */
export const storedMeanwhile = (id: string): SqlError =>
  new SqlError({ cause: { code: "23505" }, message: `"${id}" was stored meanwhile` })

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
export const isOneOf = (db: Database, column: string, values: ReadonlyArray<string>): Fragment => {
  const { dialect, sql } = db
  if (values.length === 0) return sql`1 = 0`
  return dialect === "pg"
    ? sql`${sql(column)} = ANY(${PgArray.toText(values)}::text[])`
    : sql`${sql.in(column, padded(db, values))}`
}

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
 * Makes a database read a table by an index, where it may choose another one: MySQL then holds no more rows than it gives,
 * and SQLite sorts none.
 *
 * @since 0.1.0
 * @category statements
 */
export const byIndex = ({ dialect, sql }: Database, index: string): Fragment => {
  switch (dialect) {
    case "mysql":
      return sql`FORCE INDEX (${sql(index)})`
    case "sqlite":
      return sql`INDEXED BY ${sql(index)}`
    case "pg":
      return NOTHING(sql)
  }
}

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

/** The columns that are no text, by the names of their types. */
const TYPES: Readonly<Record<string, ReadonlySet<string>>> = {
  bigint: new Set([
    ...["incarnation", "anchor", "scheduled_at", "due_at", "run_at", "start_by", "next_run_at"],
    ...["started_at", "finished_at", "keep_until", "made_at", "held"]
  ]),
  integer: new Set(["fired", "priority", "attempt", "failures", "crashes"])
}

const typeOf = (column: string): string =>
  Object.keys(TYPES).find((type) => TYPES[type]?.has(column) === true) ?? "text"

/** Rows in a statement of PostgreSQL. */
interface Rowset {
  /** What there is a row of for each of them. */
  readonly from: Fragment
  /** Of a column that differs, such as the key, all values as an array. */
  readonly arrayOf: (column: string) => Fragment
  readonly valueOf: (column: string) => Fragment
}

/**
 * Rows as one parameter for each column, however many there are: as an array, or as what is the same in all rows. The key is
 * in `v`.
 */
const toRowset = ({ sql }: Database, key: string, columns: ReadonlyArray<string>, rows: ReadonlyArray<Row>): Rowset => {
  const differing = columns.filter((column) => column === key || rows.some((row) => row[column] !== rows[0]?.[column]))
  const toArray = (column: string) => {
    const text = PgArray.toText(rows.map((row) => row[column] as PgArray.Element))
    return sql`${text}::${sql.literal(`${typeOf(column)}[]`)}`
  }
  const arrays = new Map(differing.map((column) => [column, toArray(column)]))
  return {
    from: sql`unnest(${sql.csv([...arrays.values()])}) AS v (${listed(sql, differing)})`,
    arrayOf: (column) => sql`${arrays.get(column)!}`,
    valueOf: (column) =>
      arrays.has(column)
        ? sql`${sql(`v.${column}`)}`
        : sql`${rows[0]?.[column] as PgArray.Element}::${sql.literal(typeOf(column))}`
  }
}

const listed = (sql: SqlClient.SqlClient, columns: ReadonlyArray<string>): Fragment =>
  sql.csv(columns.map((column) => sql`${sql(column)}`))

/** INSERT of so many rows, up to what becomes of those that are there already. */
const insertInto = (db: Database, table: string, rows: ReadonlyArray<Row>): Fragment => {
  const { dialect, sql } = db
  if (dialect !== "pg") return sql`INSERT INTO ${sql(table)} ${sql.insert([...rows])}`
  const columns = Object.keys(rows[0]!)
  const { from, valueOf } = toRowset(db, "id", columns, rows)
  return sql`INSERT INTO ${sql(table)} (${listed(sql, columns)}) SELECT ${sql.csv(columns.map(valueOf))} FROM ${from}`
}

/**
 * Stores rows, except those whose `id` is there already; gives those that it stored. On MySQL, where another node stores the
 * same id at the same moment, it fails with the database's own error unless `isAlone` says that none can.
 *
 * @since 0.1.0
 * @category statements
 */
export const insertNew = <A extends object = { readonly id: string }>(
  db: Database,
  table: string,
  rows: ReadonlyArray<Row & { readonly id: string }>,
  { isAlone = false, returning = "id" }: { readonly isAlone?: boolean; readonly returning?: string } = {}
): Effect.Effect<ReadonlyArray<A & { readonly id: string }>, SqlError> => {
  const { sql } = db
  const columns = sql.literal(returning)
  if (!db.isMysql) {
    return sql<
      A & { readonly id: string }
    >`${insertInto(db, table, rows)} ON CONFLICT (id) DO NOTHING RETURNING ${columns}`
  }
  return Effect.gen(function* () {
    const ids = rows.map(({ id }) => id)
    const known = yield* sql<{ id: string }>`SELECT id FROM ${sql(table)} WHERE ${isOneOf(db, "id", ids)}`
    const taken = new Set(known.map(({ id }) => id))
    const missing = rows.filter(({ id }) => !taken.has(id))
    if (missing.length === 0) return []
    // INSERT IGNORE would ignore everything else as well.
    yield* isAlone
      ? sql`${insertInto(db, table, padded(db, missing))} ON DUPLICATE KEY UPDATE id = ${sql(table)}.id`
      : sql`${insertInto(db, table, missing)}`
    const made = missing.map(({ id }) => id)
    return yield* sql<
      A & { readonly id: string }
    >`SELECT ${columns} FROM ${sql(table)} WHERE ${isOneOf(db, "id", made)}`
  })
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
): Effect.Effect<ReadonlyArray<unknown>, SqlError> => {
  const { dialect, sql } = db
  if (dialect === "pg") {
    return update(db, table, key, columns, toRowset(db, key, [key, ...columns], rows), sql.literal(""))
  }
  const values = columns.map((column) =>
    db.isMysql ? `${column} = VALUES(${column})` : `${column} = excluded.${column}`
  )
  const otherwise = db.isMysql ? "ON DUPLICATE KEY UPDATE" : `ON CONFLICT (${key}) DO UPDATE SET`
  return sql`${insertInto(db, table, padded(db, rows))} ${sql.literal(`${otherwise} ${values.join(", ")}`)}`
}

const update = (
  { sql }: Database,
  table: string,
  key: string,
  columns: ReadonlyArray<string>,
  { arrayOf, from, valueOf }: Rowset,
  and: Fragment
) => {
  const values = columns.map((column) => sql`${sql(column)} = ${valueOf(column)}`)
  // All keys once more: whatever is joined to what, the rows are found by them.
  return sql<{ readonly id: string }>`UPDATE ${sql(table)} AS t SET ${sql.csv(values)}
    FROM ${from} WHERE ${sql(`t.${key}`)} = ANY(${arrayOf(key)}) AND ${sql(`t.${key}`)} = ${valueOf(key)} ${and}`
}

/**
 * Overwrites rows in one statement where the table `t` is still as a condition says of what each row holds in the column
 * `held`; gives the ids of those that were. In PostgreSQL alone.
 *
 * @since 0.1.0
 * @category statements
 */
export const overwriteHeld = (
  db: Database,
  table: string,
  columns: ReadonlyArray<string>,
  rows: ReadonlyArray<Row>,
  isHeld: (held: Fragment) => Fragment
): Effect.Effect<ReadonlyArray<{ readonly id: string }>, SqlError> => {
  const rowset = toRowset(db, "id", ["id", "held", ...columns], rows)
  return update(db, table, "id", columns, rowset, db.sql`AND ${isHeld(rowset.valueOf("held"))} RETURNING t.id AS id`)
}
