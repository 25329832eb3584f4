/**
 * The types of stores and executors of this library that need more than `effect`. What a type needs is loaded when a
 * configuration names it, and not before.
 *
 * @since 0.1.0
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Configuration from "./Configuration.ts"
import * as ConfigValue from "./ConfigValue.ts"
import type { Executor } from "./Executor.ts"
import type { JobStore } from "./JobStore.ts"
import { type ExecutorUnavailable, InvalidConfig, StoreError } from "./SchedulerError.ts"
import type * as SqlJobStore from "./SqlJobStore.ts"
import type * as TypeScriptModule from "./TypeScriptModule.ts"

// ---------------------------------------------------------------------------------------------------------------------
// packages
// ---------------------------------------------------------------------------------------------------------------------

/** A layer out of modules that are loaded when it is built, if their packages are installed. */
const loaded = <Modules, Service, E>(
  path: string,
  packages: string,
  load: () => Promise<Modules>,
  make: (modules: Modules) => Layer.Layer<Service, E>
): Layer.Layer<Service, E | InvalidConfig> =>
  Effect.tryPromise({ try: load, catch: (error) => error }).pipe(
    Effect.catchAll((error) => (isMissing(error) ? refuse(path, packages, error) : Effect.die(error))),
    Effect.map(make),
    Layer.unwrapEffect
  )

const isMissing = (error: unknown): error is Error =>
  error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND"

const refuse = (path: string, packages: string, { message }: Error) =>
  new InvalidConfig({
    issues: [{ path: `${path}.type`, message: `needs packages: npm install ${packages} (${message})` }]
  })

const optional = <A, I>(schema: Schema.Schema<A, I>, otherwise: A) =>
  Schema.optionalWith(schema, { default: () => otherwise })

// ---------------------------------------------------------------------------------------------------------------------
// SQL stores
// ---------------------------------------------------------------------------------------------------------------------

const storeFields = {
  prefix: optional(ConfigValue.text, "scheduler_"),
  migrate: optional(ConfigValue.flag, true),
  poll: optional(ConfigValue.positiveDuration, Duration.seconds(5)),
  lease: optional(ConfigValue.positiveDuration, Duration.seconds(15)),
  renewal: Schema.optional(ConfigValue.positiveDuration)
}

const serverFields = {
  host: Schema.optional(ConfigValue.text),
  port: Schema.optional(ConfigValue.count({ most: 65_535 })),
  database: Schema.optional(ConfigValue.text),
  username: Schema.optional(ConfigValue.text),
  password: Schema.optional(ConfigValue.secret),
  maxConnections: Schema.optional(ConfigValue.count()),
  maxClockSkew: Schema.optional(ConfigValue.duration),
  ...storeFields
}

/** What a URL says is not said twice; its password may be said apart from it, and kept somewhere else. */
const check = (settings: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> => {
  const twice = ["host", "port", "database", "username"].filter((key) => settings[key] !== undefined)
  return settings.url === undefined ? {} : Object.fromEntries(twice.map((key) => [key, "is what the url says"]))
}

const withPassword = (
  url: Redacted.Redacted<URL> | undefined,
  password: Redacted.Redacted<string> | undefined
): Redacted.Redacted<string> | undefined => {
  if (url === undefined) return undefined
  const address = new URL(Redacted.value(url))
  if (password !== undefined) address.password = Redacted.value(password)
  return Redacted.make(address.href)
}

/** A store on a client of its own, which is not the one of whoever has a transaction open. */
const onClient = <E>(
  path: string,
  { layer }: typeof SqlJobStore,
  options: SqlJobStore.Options,
  client: Layer.Layer<SqlClient.SqlClient, E>
): Layer.Layer<JobStore, StoreError> =>
  layer({ ...options, joinTransactions: false }).pipe(Layer.provide(toStoreError(path, client)))

const toStoreError = <A, E>(path: string, client: Layer.Layer<A, E>): Layer.Layer<A, StoreError> =>
  Layer.catchAllCause(client, (cause) =>
    Cause.isInterruptedOnly(cause)
      ? Layer.failCause(cause as Cause.Cause<never>)
      : Layer.fail(new StoreError({ operation: `open ${path}`, cause: reasonOf(Cause.squash(cause)) }))
  )

/** What the database says, and not that a client says that it said something. */
const reasonOf = (error: unknown): unknown =>
  error instanceof Error && error.cause instanceof Error ? reasonOf(error.cause) : error

const sqlite = Configuration.storeType({
  fields: { filename: ConfigValue.text, ...storeFields },
  layer: ({ filename, ...options }, path) =>
    loaded(
      path,
      "@effect/sql @effect/sql-sqlite-node @effect/platform @effect/experimental",
      () => Promise.all([import("@effect/sql-sqlite-node/SqliteClient"), import("./SqlJobStore.ts")]),
      ([SqliteClient, SqlJobStore]) => onClient(path, SqlJobStore, options, SqliteClient.layer({ filename }))
    )
})

const postgres = Configuration.storeType({
  fields: {
    url: Schema.optional(ConfigValue.secretUrl("postgres", "postgresql")),
    ...serverFields,
    ssl: Schema.optional(ConfigValue.flag),
    applicationName: Schema.optional(ConfigValue.text),
    schema: Schema.optional(ConfigValue.text)
  },
  check,
  layer: (settings, path) =>
    loaded(
      path,
      "@effect/sql @effect/sql-pg @effect/platform @effect/experimental",
      () => Promise.all([import("@effect/sql-pg/PgClient"), import("./SqlJobStore.ts")]),
      ([PgClient, SqlJobStore]) => {
        const url = withPassword(settings.url, settings.password)
        return onClient(path, SqlJobStore, settings, PgClient.layer({ ...settings, url }))
      }
    )
})

const mysql = Configuration.storeType({
  fields: { url: Schema.optional(ConfigValue.secretUrl("mysql", "mariadb")), ...serverFields },
  check,
  layer: (settings, path) =>
    loaded(
      path,
      "@effect/sql @effect/sql-mysql2 @effect/platform @effect/experimental",
      () => Promise.all([import("@effect/sql-mysql2/MysqlClient"), import("./SqlJobStore.ts")]),
      ([MysqlClient, SqlJobStore]) => {
        const url = withPassword(settings.url, settings.password)
        return onClient(path, SqlJobStore, settings, MysqlClient.layer({ ...settings, url }))
      }
    )
})

// ---------------------------------------------------------------------------------------------------------------------
// threads and processes
// ---------------------------------------------------------------------------------------------------------------------

/** How many there are where nothing is said is known where they run. */
const poolFields = {
  url: ConfigValue.module,
  size: Schema.optional(ConfigValue.count()),
  start: optional(ConfigValue.choice("warm", "lazy"), "warm"),
  recycleAfter: optional(ConfigValue.countOrInfinity(1), Infinity),
  startTimeout: optional(ConfigValue.positiveDuration, Duration.seconds(30)),
  grace: optional(ConfigValue.finiteDuration, Duration.seconds(5)),
  memoryLimit: Schema.optional(ConfigValue.count()),
  execArgv: Schema.optional(ConfigValue.words)
}

const FOR_POOLS = "@effect/platform @effect/platform-node"

/** A pool of what loads a module, if that is there. */
const ofModule = (
  path: string,
  { locate }: typeof TypeScriptModule,
  module: string,
  make: (url: URL) => Layer.Layer<Executor, ExecutorUnavailable>
): Layer.Layer<Executor, ExecutorUnavailable | InvalidConfig> => {
  const url = locate(module)
  if (url !== undefined) return make(url)
  const message = `there is no file ${ConfigValue.show(module)}`
  return Layer.fail(new InvalidConfig({ issues: [{ path: `${path}.url`, message }] }))
}

const worker = Configuration.executorType({
  fields: poolFields,
  layer: (settings, path) =>
    loaded(
      path,
      FOR_POOLS,
      () => Promise.all([import("./WorkerExecutor.ts"), import("./TypeScriptModule.ts")]),
      ([{ layer }, modules]) => ofModule(path, modules, settings.url, (url) => layer({ ...settings, url }))
    )
})

const process = Configuration.executorType({
  fields: {
    ...poolFields,
    outputLimit: optional(ConfigValue.count({ least: 0 }), 16_384),
    cwd: Schema.optional(ConfigValue.text)
  },
  layer: (settings, path) =>
    loaded(
      path,
      FOR_POOLS,
      () => Promise.all([import("./ProcessExecutor.ts"), import("./TypeScriptModule.ts")]),
      ([{ layer }, modules]) => ofModule(path, modules, settings.url, (url) => layer({ ...settings, url }))
    )
})

/**
 * Every type of store and executor of this library that is not built in.
 *
 * @since 0.1.0
 * @category types
 */
export const types = {
  stores: { sqlite, postgres, mysql },
  executors: { worker, process }
}
