/** The databases of the SQL benchmark: PostgreSQL as safe as it is by default, MariaDB and SQLite; one for each entry. */
import { SqlClient } from "@effect/sql/SqlClient"
import { Effect, ManagedRuntime } from "effect"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { findMariadb, startPostgres } from "../Servers.ts"
import { clientOf } from "./sql-client.ts"

/** A database that no other entry has used. */
export interface Database {
  readonly url: string
  readonly query: (statement: string) => Promise<unknown>
  /** The number that a query gives. */
  readonly ask: (query: string) => Promise<number>
  /** Holds a snapshot of it until it is dropped, as a long report or a backup does. */
  readonly keepSnapshot: () => Promise<void>
  readonly drop: () => Promise<void>
}

export interface DatabaseServer {
  readonly name: string
  readonly create: () => Promise<Database>
  readonly stop: () => Promise<void>
}

interface Connection {
  readonly query: (statement: string) => Promise<ReadonlyArray<Readonly<Record<string, unknown>>>>
  readonly close: () => Promise<void>
}

const connect = async (url: string): Promise<Connection> => {
  const runtime = ManagedRuntime.make(await clientOf(url, 1))
  return {
    query: (statement) => runtime.runPromise(Effect.flatMap(SqlClient, (sql) => sql.unsafe(statement))),
    close: () => runtime.dispose()
  }
}

const valueOf = async ({ query }: Connection, statement: string) => Object.values((await query(statement))[0] ?? {})[0]

const makeDatabase = async (url: string, drop: () => Promise<unknown>): Promise<Database> => {
  const own = await connect(url)
  const open = [own]
  return {
    url,
    query: own.query,
    ask: async (query) => Number(await valueOf(own, query)),
    keepSnapshot: async () => {
      const reader = await connect(url)
      open.push(reader)
      await reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
      await reader.query("SELECT COUNT(*) FROM pg_class")
    },
    drop: async () => {
      await Promise.all(open.map(({ close }) => close()))
      await drop()
    }
  }
}

/** A PostgreSQL with the settings of its package; only more connections are let in, and what `flags` say. */
export const startServer = async (flags: ReadonlyArray<string> = []): Promise<DatabaseServer> => {
  const { stop, url } = await startPostgres(["-c", "max_connections=300", ...flags])
  const admin = await connect(url)
  let count = 0
  return {
    name: `PostgreSQL ${await valueOf(admin, "SHOW server_version")}`,
    create: async () => {
      const name = `bench_${count++}`
      await admin.query(`CREATE DATABASE ${name}`)
      const own = new URL(url)
      own.pathname = name
      return makeDatabase(own.href, () => admin.query(`DROP DATABASE ${name} WITH (FORCE)`))
    },
    stop: async () => {
      await admin.close()
      await stop()
    }
  }
}

/** The MariaDB (or MySQL) of this machine, if one answers. */
export const findMysql = async (): Promise<DatabaseServer | undefined> => {
  const found = await findMariadb()
  if (found === undefined) return undefined
  const probe = await connect(found.url)
  const name = String(await valueOf(probe, "SELECT VERSION() AS version"))
  await probe.close()
  await found.stop()
  return {
    name: name.includes("MariaDB") ? `MariaDB ${name.split("-")[0]}` : `MySQL ${name}`,
    create: async () => {
      const { stop, url } = (await findMariadb())!
      return makeDatabase(url, stop)
    },
    stop: async () => {}
  }
}

/** Files in a directory of their own. */
export const startSqlite = async (): Promise<DatabaseServer> => {
  const directory = await mkdtemp(join(tmpdir(), "scheduler-bench-"))
  let count = 0
  return {
    name: "SQLite",
    create: () => makeDatabase(`sqlite:${join(directory, `${count++}.sqlite`)}`, async () => {}),
    stop: () => rm(directory, { recursive: true, force: true })
  }
}
