import { SqlClient } from "@effect/sql"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import * as Scheduler from "../src/Scheduler.ts"
import * as SchedulerConfig from "../src/SchedulerConfig.ts"
import * as Task from "../src/Task.ts"
import * as Trigger from "../src/Trigger.ts"
import { findMariadb, mariadbClient, postgresClient, type Server, startPostgres } from "./Servers.ts"

const Work = Task.make("Work")
const yearly = Trigger.cron({ month: 1 })

/** The parts of an address, each as a configuration says it. */
const partsOf = (url: string) => {
  const { hostname, password, pathname, port, username } = new URL(url)
  return { host: hostname, port, database: pathname.slice(1), username, ...(password === "" ? {} : { password }) }
}

/** Two stores, the first of them on a server, and two executors, as APScheduler's users know them. */
const onServer = (settings: { readonly type: "postgres" | "mysql" } & Record<string, unknown>) =>
  ({
    stores: { default: { type: "sqlite", filename: ":memory:" }, mongo: settings },
    executors: {
      default: { type: "fiber", concurrency: 20 },
      pool: { type: "process", url: "test/executors/probe-main.ts", size: 5, start: "lazy" }
    },
    defaults: { coalesce: "all", maxInstances: 3 }
  }) as SchedulerConfig.Input

const schedulerOf = (layer: Layer.Layer<Scheduler.Scheduler, unknown>) =>
  Layer.provide(
    layer,
    Task.toLayer(Work, () => Effect.void)
  )

const fromObject = (input: SchedulerConfig.Input) => schedulerOf(Scheduler.fromConfig(input, SchedulerConfig.types))

const fromEnvironment = (variables: Readonly<Record<string, string>>) =>
  schedulerOf(
    Layer.provide(
      Scheduler.layerConfig(SchedulerConfig.environment("APP"), SchedulerConfig.types),
      Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)), { pathDelim: "_" }))
    )
  )

/** Adds a job to the store on the server, and runs it. */
const work = (id: string) =>
  Effect.gen(function* () {
    const scheduler = yield* Scheduler.Scheduler
    const job = yield* scheduler.add(Work, { id, trigger: yearly, store: "mongo" })
    assert.deepInclude(job.policy, { coalesce: "all", maxInstances: 3 })
    const run = yield* scheduler.runNow(id)
    assert.strictEqual((yield* scheduler.awaitRun(run.id)).state._tag, "Succeeded")
  })

const idsIn = (table: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql<{ id: string }>`SELECT id FROM ${sql.literal(table)} ORDER BY id`
    return rows.map(({ id }) => id)
  })

describe("a configuration with a store on PostgreSQL", () => {
  let server: Server
  beforeAll(async () => {
    server = await startPostgres()
  }, 60_000)
  afterAll(() => server.stop())

  it.live("has it at a URL, with the password apart, in a schema of its own", () =>
    Effect.gen(function* () {
      const url = server.url.replace(":postgres@", "@")
      const input = onServer({ type: "postgres", url, password: "postgres", schema: "jobs", prefix: "a_" })
      yield* Effect.provide(work("a"), fromObject(input))
      assert.deepStrictEqual(yield* Effect.provide(idsIn("jobs.a_jobs"), postgresClient(server.url)), ["a"])
    })
  )

  it.live("has it from the environment, part by part, under a name that the server knows", () =>
    Effect.gen(function* () {
      const { database, host, password, port, username } = partsOf(server.url)
      const names = Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        return yield* sql<{ n: string }>`SELECT DISTINCT application_name AS n FROM pg_stat_activity`
      })
      const layer = fromEnvironment({
        APP_STORES_DEFAULT_TYPE: "memory",
        APP_STORES_MONGO_TYPE: "postgres",
        APP_STORES_MONGO_HOST: host,
        APP_STORES_MONGO_PORT: port,
        APP_STORES_MONGO_DATABASE: database,
        APP_STORES_MONGO_USERNAME: username,
        APP_STORES_MONGO_PASSWORD: password!,
        APP_STORES_MONGO_SSL: "false",
        APP_STORES_MONGO_APPLICATION_NAME: "configured",
        APP_STORES_MONGO_MAX_CONNECTIONS: "2",
        APP_DEFAULTS_COALESCE: "all",
        APP_DEFAULTS_MAX_INSTANCES: "3"
      })
      const both = Effect.zipRight(work("b"), Effect.provide(names, postgresClient(server.url)))
      assert.deepInclude(yield* Effect.provide(both, layer), { n: "configured" })
      assert.deepStrictEqual(yield* Effect.provide(idsIn("scheduler_jobs"), postgresClient(server.url)), ["b"])
    })
  )

  it.live("is refused where the server refuses it, without a word of the password", () =>
    Effect.gen(function* () {
      const layer = fromObject(onServer({ type: "postgres", ...partsOf(server.url), password: "s3cret" }))
      const error = String(yield* Effect.flip(Effect.scoped(Layer.build(layer))))
      assert.match(error, /failed to open stores\.mongo: password authentication failed/)
      assert.notInclude(error, "s3cret")
    })
  )
})

const mariadb = await findMariadb()

describe("a configuration with a store on MariaDB", () => {
  afterAll(() => mariadb?.stop())

  it.live.skipIf(mariadb === undefined)("has it at a URL, or part by part", () =>
    Effect.gen(function* () {
      const { url } = mariadb!
      yield* Effect.provide(work("a"), fromObject(onServer({ type: "mysql", url })))
      yield* Effect.provide(work("b"), fromObject(onServer({ type: "mysql", ...partsOf(url), maxConnections: 2 })))
      assert.deepStrictEqual(yield* Effect.provide(idsIn("scheduler_jobs"), mariadbClient(url)), ["a", "b"])
    })
  )
})
