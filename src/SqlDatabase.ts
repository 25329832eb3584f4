/**
 * A database as the SQL job store uses it: a client, the names of its tables, transactions, and what fails in them.
 *
 * @since 0.1.0
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
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
  /** One transaction, or a part of the one that the caller has open. */
  readonly transaction: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E | SqlError>
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (sql: SqlClient.SqlClient, names: SqlMigrations.Tables): Database => {
  // SQLite must take its write lock first: one that reads and then writes is refused if another wrote in between.
  const lock = sql.onDialectOrElse({
    sqlite: () => sql`UPDATE ${sql(names.nodes)} SET id = id WHERE id = ''`,
    orElse: () => Effect.void
  })
  return { sql, names, transaction: (effect) => sql.withTransaction(Effect.zipRight(lock, effect)) }
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

/**
 * The condition that a column has one of some values, also if there are none: `IN ()` is no SQL.
 *
 * @since 0.1.0
 * @category statements
 */
export const isOneOf = (sql: SqlClient.SqlClient, column: string, values: ReadonlyArray<string>): Fragment =>
  values.length === 0 ? sql`1 = 0` : sql`${sql.in(column, values)}`
