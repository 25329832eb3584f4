/** Holds a store to what it promises: `stores.ts memory`, or `sqlite FILE`, `postgres URL`, `mariadb URL`. */
import { SqlClient } from "@effect/sql"
import { MysqlClient } from "@effect/sql-mysql2"
import { PgClient } from "@effect/sql-pg"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Effect, Layer, ManagedRuntime, Redacted, TestContext } from "effect"
import { JobStore } from "effect-scheduler"
import * as JobStoreConformance from "effect-scheduler/JobStoreConformance"
import * as SqlJobStore from "effect-scheduler/SqlJobStore"
import { carryOut } from "./Checks.ts"

const [kind = "memory", where = ""] = process.argv.slice(2)
const prefix = `runtimes_${process.pid}_`
// The clock of the checks is not that of a server.
const options = { prefix, maxClockSkew: Infinity } as const

const clients: Record<string, () => Layer.Layer<SqlClient.SqlClient, unknown>> = {
  sqlite: () => SqliteClient.layer({ filename: where }),
  postgres: () => PgClient.layer({ url: Redacted.make(where) }),
  mariadb: () => MysqlClient.layer({ url: Redacted.make(where) })
}

const onStore = (store: Layer.Layer<JobStore.JobStore, unknown>) =>
  carryOut(
    JobStoreConformance.checks.map(({ check, name }) => ({
      name,
      check: check.pipe(Effect.provide(store), Effect.provide(TestContext.TestContext))
    }))
  )

/** All tables that the store has made. */
const drop = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const like = sql.literal(`LIKE '${prefix}%'`)
  const tables = yield* sql.onDialectOrElse({
    sqlite: () => sql<{ name: string }>`SELECT name FROM sqlite_master WHERE type = 'table' AND name ${like}`,
    orElse: () =>
      sql<{ name: string }>`SELECT table_name AS name FROM information_schema.tables WHERE table_name ${like}`
  })
  for (const { name } of tables) yield* sql`DROP TABLE ${sql(name)}`
})

const onDatabase = async (client: Layer.Layer<SqlClient.SqlClient, unknown>) => {
  const runtime = ManagedRuntime.make(client)
  const shared = Layer.effectContext(Effect.map(runtime.runtimeEffect, ({ context }) => context))
  const store = Layer.scoped(JobStore.JobStore, Effect.zipRight(drop, SqlJobStore.make(options)))
  await onStore(Layer.provide(store, shared))
  await runtime.runPromise(drop)
  await runtime.dispose()
}

const client = clients[kind]
await (client === undefined ? onStore(JobStore.layerMemory) : onDatabase(client()))
