/** A SQL client that breaks at a statement of the test's choice: what the tests of crashes between statements break. */
import { Reactivity } from "@effect/experimental"
import { SqlClient, type SqlConnection, SqlError, Statement } from "@effect/sql"
import { MysqlClient } from "@effect/sql-mysql2"
import { PgClient } from "@effect/sql-pg"
import { Context, Effect } from "effect"

/**
 * How a statement goes wrong: the database refuses it, or carries it out and the connection is cut before the answer, with
 * which everything is rolled back that is not committed.
 */
export type How = "refused" | "cut off"

export const HOWS: ReadonlyArray<How> = ["refused", "cut off"]

/** A client on the connections of another one, and what breaks it. */
export interface Faulty {
  readonly sql: SqlClient.SqlClient
  /** Breaks the nth statement from now on, counted from 1, whichever connection it is on. */
  readonly arm: (nth: number, how: How) => void
  /** Breaks nothing any more; says whether the statement was met. */
  readonly disarm: () => boolean
}

interface State {
  nth: number
  how: How
  sent: number
}

const NEVER = Number.POSITIVE_INFINITY

export const make = (sound: SqlClient.SqlClient): Effect.Effect<Faulty> =>
  Effect.gen(function* () {
    const state: State = { nth: NEVER, how: "refused", sent: 0 }
    const acquirer = Effect.map(sound.reserve, (connection) => wrap(sound, connection, state))
    const compiler = sound.onDialectOrElse({
      mysql: () => MysqlClient.makeCompiler(),
      pg: () => PgClient.makeCompiler(),
      orElse: () => Statement.makeCompilerSqlite()
    })
    const client = yield* SqlClient.make({ acquirer, compiler, spanAttributes: [] })
    const listening = "listen" in sound ? { listen: sound.listen } : {}
    return {
      sql: Object.assign(client, listening),
      arm: (nth: number, how: How) => void Object.assign(state, { nth, how, sent: 0 }),
      disarm: () => {
        const isMet = state.sent >= state.nth
        Object.assign(state, { nth: NEVER, sent: 0 })
        return isMet
      }
    }
  }).pipe(Effect.provide(Reactivity.layer))

const lost = (text: string) => new SqlError.SqlError({ cause: new Error(text), message: text })

const wrap = (
  sound: SqlClient.SqlClient,
  connection: SqlConnection.Connection,
  state: State
): SqlConnection.Connection => {
  let isCut = false
  const through = <A>(text: string, run: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A, SqlError.SqlError> =>
    Effect.suspend(() => {
      // A hint to others comes after all is done, and may be lost.
      if (text.includes("pg_notify")) return run
      if (isCut) return lost("the connection is gone")
      if (++state.sent !== state.nth) return run
      if (state.how === "refused") return lost("refused")
      const end = Effect.zipRight(
        cut(sound, connection),
        Effect.sync(() => (isCut = true))
      )
      return Effect.zipRight(run, Effect.zipRight(end, lost("cut off")))
    })
  return {
    execute: (...args) => through(args[0], connection.execute(...args)),
    executeRaw: (...args) => through(args[0], connection.executeRaw(...args)),
    executeValues: (...args) => through(args[0], connection.executeValues(...args)),
    executeUnprepared: (...args) =>
      through(
        args[0],
        Effect.suspend(() => connection.executeUnprepared(...args))
      ),
    executeStream: (...args) => connection.executeStream(...args)
  }
}

/** Ends a connection as the death of its process does, and waits until the database and the client have noticed. */
const cut = (sound: SqlClient.SqlClient, connection: SqlConnection.Connection): Effect.Effect<unknown> => {
  const send = (text: string) => Effect.suspend(() => connection.executeUnprepared(text, [], undefined))
  const end = (ask: string, kill: string, find: string) =>
    Effect.gen(function* () {
      const [row] = yield* send(`SELECT ${ask} AS id`)
      yield* sound.unsafe(`${kill}(${row.id})`)
      yield* Effect.repeat(sound.unsafe(`${find} = ${row.id}`), { until: (rows) => rows.length === 0 })
      // The first one is told of the end, the second one comes after it.
      yield* Effect.ignore(send("SELECT 1"))
      yield* Effect.ignore(send("SELECT 1"))
    })
  const ended: Effect.Effect<void, SqlError.SqlError> = sound.onDialectOrElse({
    pg: () => end("pg_backend_pid()", "SELECT pg_terminate_backend", "SELECT pid FROM pg_stat_activity WHERE pid"),
    mysql: () => end("CONNECTION_ID()", "KILL ", "SELECT ID FROM information_schema.PROCESSLIST WHERE ID"),
    // A file has no server: what is left of a process that died is rolled back by the next one.
    orElse: () => Effect.ignore(send("ROLLBACK"))
  })
  return Effect.orDie(outside(ended))
}

/** The clients of one program take their statements to the transaction that is open, whichever client opened it. */
const outside = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.mapInputContext(effect, (context: Context.Context<never>) =>
    Context.omit(SqlClient.TransactionConnection)(context)
  )
