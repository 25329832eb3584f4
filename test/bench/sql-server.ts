/** The PostgreSQL of the SQL benchmark: one server, as safe as it is by default, and a new database for each entry. */
import { PgClient } from "@effect/sql-pg"
import { Effect, ManagedRuntime, Redacted } from "effect"
import { startPostgres } from "../Servers.ts"

/** A database that no other entry has used. */
export interface Database {
  readonly url: string
  /** The number that a query gives. */
  readonly ask: (query: string) => Promise<number>
  readonly drop: () => Promise<void>
}

export interface DatabaseServer {
  readonly version: string
  readonly create: () => Promise<Database>
  readonly stop: () => Promise<void>
}

const clientOf = (url: string) =>
  ManagedRuntime.make(PgClient.layer({ url: Redacted.make(url), maxConnections: 1, idleTimeout: "1 hour" }))

type Client = ReturnType<typeof clientOf>

const query = (client: Client, text: string) =>
  client.runPromise(
    Effect.flatMap(PgClient.PgClient, (sql) => sql.unsafe<Readonly<Record<string, number | string>>>(text))
  )

const valueOf = async (client: Client, text: string) => Object.values((await query(client, text))[0] ?? {})[0]

const makeDatabase = (client: Client, admin: Client, url: string, name: string): Database => ({
  url,
  ask: async (text) => Number(await valueOf(client, text)),
  drop: async () => {
    await client.dispose()
    await query(admin, `DROP DATABASE ${name} WITH (FORCE)`)
  }
})

/** Settings are those of the package's PostgreSQL; only more connections are let in. */
export const startServer = async (flags: ReadonlyArray<string> = []): Promise<DatabaseServer> => {
  const { stop, url } = await startPostgres(["-c", "max_connections=300", ...flags])
  const admin = clientOf(url)
  let count = 0
  return {
    version: String(await valueOf(admin, "SHOW server_version")),
    create: async () => {
      const name = `bench_${count++}`
      await query(admin, `CREATE DATABASE ${name}`)
      const own = new URL(url)
      own.pathname = name
      return makeDatabase(clientOf(own.href), admin, own.href, name)
    },
    stop: async () => {
      await admin.dispose()
      await stop()
    }
  }
}
