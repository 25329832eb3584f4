/** The databases that nodes share, and how each process gets to them. */
import { SqlClient } from "@effect/sql"
import { MysqlClient } from "@effect/sql-mysql2"
import { PgClient } from "@effect/sql-pg"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Effect, Layer, Redacted } from "effect"
import { connect, Socket } from "node:net"
import type * as JobStore from "../../src/JobStore.ts"
import * as SqlJobStore from "../../src/SqlJobStore.ts"

export const KINDS = ["sqlite", "postgres", "mariadb"] as const

export type Kind = (typeof KINDS)[number]

/** Where a database is, as it is passed to a process. */
export type Address =
  | { readonly kind: "sqlite"; readonly filename: string }
  | { readonly kind: "postgres" | "mariadb"; readonly url: string }

/** A database server that scenarios share, each with a database of its own. */
export interface Server {
  readonly database: () => Promise<Address>
  /** Ends all connections, is away for so long, and comes back; only where the server is ours. */
  readonly restart: ((away: number) => Promise<void>) | undefined
  readonly stop: () => Promise<void>
}

/** The same database through another port of this machine. */
export const through = (address: Address, port: number): Address => {
  if (address.kind === "sqlite") return address
  const url = new URL(address.url)
  url.port = String(port)
  return { ...address, url: url.href }
}

export const portOf = (address: Address): number => (address.kind === "sqlite" ? 0 : Number(new URL(address.url).port))

/** In milliseconds. */
export interface StoreTiming {
  readonly lease: number
  readonly renewal: number
  readonly poll: number
  readonly maxClockSkew?: number
}

export const TIMING: StoreTiming = { lease: 3000, renewal: 1000, poll: 500 }

/** A connection to which nobody has said anything for so long is given up, as docs/nodes.md advises. */
const giveUp = (socket: Socket, millis: number): Socket =>
  socket.setTimeout(millis, () => socket.destroy(new Error(`The database was silent for ${millis} ms`)))

/** Clients that lose patience with silent connections after so many milliseconds. */
export const patientClient = (address: Address, millis: number) => {
  switch (address.kind) {
    case "sqlite":
      return client(address)
    case "postgres": {
      const stream = () => giveUp(new Socket(), millis)
      const url = Redacted.make(address.url)
      return Layer.orDie(PgClient.layer({ url, maxConnections: 5, applicationName: "chaos", stream }))
    }
    case "mariadb": {
      const { hostname, password, pathname, port, username } = new URL(address.url)
      const stream = () => giveUp(connect(Number(port), hostname), millis)
      return Layer.orDie(
        MysqlClient.layer({
          ...{ username, password: Redacted.make(password), database: pathname.slice(1), maxConnections: 5 },
          poolConfig: { stream, maxIdle: 5 }
        })
      )
    }
  }
}

export const client = (address: Address) => {
  switch (address.kind) {
    case "sqlite":
      return Layer.orDie(SqliteClient.layer({ filename: address.filename }))
    case "postgres":
      return Layer.orDie(
        PgClient.layer({ url: Redacted.make(address.url), maxConnections: 5, applicationName: "chaos" })
      )
    case "mariadb":
      return Layer.orDie(MysqlClient.layer({ url: Redacted.make(address.url), maxConnections: 5 }))
  }
}

export const store = (address: Address, timing: StoreTiming = TIMING): Layer.Layer<JobStore.JobStore> =>
  Layer.orDie(SqlJobStore.layer(timing)).pipe(Layer.provide(patientClient(address, 2 * timing.lease)))

/** Has a transaction open for so long, in which everything stays as it was and nothing is locked. */
export const holdSnapshot = (address: Address, millis: number): Promise<void> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const isolate = sql.onDialectOrElse({
      pg: () => sql`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`,
      // It is so by default.
      orElse: () => Effect.void
    })
    const look = sql`SELECT COUNT(*) FROM scheduler_runs`
    yield* sql.withTransaction(Effect.all([isolate, look, Effect.sleep(millis), look]))
  }).pipe(Effect.provide(client(address)), Effect.runPromise)
