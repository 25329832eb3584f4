import * as FileSystem from "@effect/platform/FileSystem"
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Duration, Effect, Either, Layer, Logger, LogLevel, Option, TestClock } from "effect"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import * as ConfigFile from "../src/ConfigFile.ts"
import * as Configuration from "../src/Configuration.ts"
import * as ConfigValue from "../src/ConfigValue.ts"
import * as Executor from "../src/Executor.ts"
import * as JobStore from "../src/JobStore.ts"
import * as Scheduler from "../src/Scheduler.ts"
import * as SchedulerConfig from "../src/SchedulerConfig.ts"
import * as Task from "../src/Task.ts"
import * as Trigger from "../src/Trigger.ts"
import { Probe } from "./executors/Probe.ts"

const Work = Task.make("Work")
const minute = Trigger.interval({ minutes: 1 })

/** The configuration by which people know APScheduler. */
const BestKnown: SchedulerConfig.Input = {
  stores: {
    default: { type: "memory" },
    mongo: { type: "sqlite", filename: ":memory:" }
  },
  executors: {
    default: { type: "fiber", concurrency: 20 },
    pool: { type: "fiber", concurrency: 5 }
  },
  defaults: { coalesce: "all", maxInstances: 3 }
}

/** The same as an application finds it in its environment. */
const Environment = {
  SCHEDULER_STORES_DEFAULT_TYPE: "memory",
  SCHEDULER_STORES_MONGO_TYPE: "sqlite",
  SCHEDULER_STORES_MONGO_FILENAME: ":memory:",
  SCHEDULER_EXECUTORS_DEFAULT_TYPE: "fiber",
  SCHEDULER_EXECUTORS_DEFAULT_CONCURRENCY: "20",
  SCHEDULER_EXECUTORS_POOL_TYPE: "fiber",
  SCHEDULER_EXECUTORS_POOL_CONCURRENCY: "5",
  SCHEDULER_DEFAULTS_COALESCE: "all",
  SCHEDULER_DEFAULTS_MAX_INSTANCES: "3"
}

const withVariables = (variables: Readonly<Record<string, string>>) =>
  Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)), { pathDelim: "_" }))

const styles: ReadonlyArray<readonly [string, Layer.Layer<Scheduler.Scheduler, unknown>]> = [
  ["an object", Scheduler.fromConfig(BestKnown, SchedulerConfig.types)],
  [
    "a configuration that was read",
    Layer.unwrapEffect(Effect.map(SchedulerConfig.decode(BestKnown), SchedulerConfig.layer))
  ],
  [
    "the environment",
    Layer.provide(
      Scheduler.layerConfig(SchedulerConfig.environment("SCHEDULER"), SchedulerConfig.types),
      withVariables(Environment)
    )
  ]
]

describe("a scheduler of two stores and two executors", () => {
  for (const [style, layer] of styles) {
    it.scoped(`from ${style} runs jobs from both on both, with its defaults`, () =>
      Effect.gen(function* () {
        const scheduler = yield* Scheduler.Scheduler
        const { executors, stores } = yield* scheduler.health
        assert.deepStrictEqual(Object.keys(stores), ["default", "mongo"])
        assert.deepStrictEqual(executors, {
          default: { concurrency: 20, running: 0 },
          pool: { concurrency: 5, running: 0 }
        })
        const job = yield* scheduler.add(Work, { id: "here", trigger: minute })
        assert.deepInclude(job.policy, { coalesce: "all", maxInstances: 3, executor: "default" })
        yield* scheduler.add(Work, { id: "there", trigger: minute, store: "mongo", executor: "pool" })
        assert.deepStrictEqual(yield* scheduler.storeOf("there"), Option.some("mongo"))
        yield* TestClock.adjust("2 minutes")
        const runs = yield* scheduler.runs()
        assert.deepStrictEqual(
          runs.map(({ executor, jobId, state }) => `${jobId} ${executor} ${state._tag}`).toSorted(),
          ["here default Succeeded", "here default Succeeded", "there pool Succeeded", "there pool Succeeded"]
        )
      }).pipe(
        Effect.provide(
          Layer.provide(
            layer,
            Task.toLayer(Work, () => Effect.void)
          )
        )
      )
    )
  }

  it.scoped("refuses jobs for others", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const refused = yield* Effect.flip(scheduler.add(Work, { store: "redis" }))
      assert.include(refused.message, "a store of this scheduler: default, mongo")
    }).pipe(Effect.provide(Scheduler.fromConfig(BestKnown, SchedulerConfig.types)))
  )
})

/** What stands in the way of a layer. */
const failure = <A, E>(layer: Layer.Layer<A, E>) => Effect.flip(Effect.scoped(Layer.build(layer)))

describe("Scheduler.fromConfig", () => {
  it.scoped("has one store in memory and ten fibers where it is told nothing", () =>
    Effect.gen(function* () {
      const { executors, stores } = yield* Effect.flatMap(Scheduler.Scheduler, ({ health }) => health)
      assert.deepStrictEqual(
        [Object.keys(stores), executors],
        [["default"], { default: { concurrency: 10, running: 0 } }]
      )
    }).pipe(Effect.provide(Scheduler.fromConfig({})))
  )

  it.effect("knows no types that it was not given", () =>
    Effect.gen(function* () {
      const error = yield* failure(Scheduler.fromConfig(BestKnown as Configuration.Input))
      assert.include(
        error.message,
        `stores.mongo.type: expected "memory", got "sqlite"; other types have to be given, such as SchedulerConfig.types`
      )
    })
  )

  it.scoped("knows types of yours", () => {
    const leased = Configuration.storeType({
      fields: { lease: ConfigValue.positiveDuration },
      layer: ({ lease }, path) =>
        path === "stores.default" && Duration.toMinutes(lease) === 1
          ? JobStore.layerMemory
          : Layer.die(new Error(`${path} with a lease of ${lease}`))
    })
    const types = { stores: { leased }, executors: {} }
    return Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Work, { id: "a", trigger: minute })
      assert.strictEqual((yield* scheduler.list()).length, 1)
    }).pipe(Effect.provide(Scheduler.fromConfig({ stores: { default: { type: "leased", lease: "1 minute" } } }, types)))
  })

  it.effect("gives each scheduler stores of its own", () =>
    Effect.gen(function* () {
      const add = Effect.flatMap(Scheduler.Scheduler, (scheduler) => scheduler.add(Work, { id: "a", trigger: minute }))
      const both = Layer.merge(
        Layer.effectDiscard(add).pipe(Layer.provide(Scheduler.fromConfig({ paused: true }))),
        Layer.effectDiscard(add).pipe(Layer.provide(Scheduler.fromConfig({ paused: true })))
      )
      yield* Effect.scoped(Layer.build(both))
    })
  )

  it.effect("says which store cannot be opened", () =>
    Effect.gen(function* () {
      const error = yield* failure(
        Scheduler.fromConfig(
          {
            stores: { default: { type: "memory" }, archive: { type: "sqlite", filename: "/no/such/folder/a.sqlite" } }
          },
          SchedulerConfig.types
        )
      )
      assert.match(error.message, /^The job store failed to open stores\.archive: .*directory does not exist/)
    })
  )

  it.effect("says so where a server does not answer", () =>
    Effect.gen(function* () {
      const refusing = (type: "postgres" | "mysql") =>
        failure(
          Scheduler.fromConfig({ stores: { default: { type, host: "127.0.0.1", port: 1 } } }, SchedulerConfig.types)
        )
      assert.match((yield* refusing("postgres")).message, /failed to open stores\.default: .*ECONNREFUSED/)
      assert.match((yield* refusing("mysql")).message, /failed to open stores\.default: .*ECONNREFUSED/)
    })
  )

  const packages: ReadonlyArray<[config: SchedulerConfig.Input, without: string, message: RegExp]> = [
    [
      { stores: { default: { type: "postgres" } } },
      "@effect/sql-pg",
      /stores\.default\.type: needs packages: npm install @effect\/sql @effect\/sql-pg .*\(Cannot find package/
    ],
    [
      { executors: { default: { type: "process", url: "test/executors/probe-main.ts" } } },
      "@effect/platform-node",
      /executors\.default\.type: needs packages: npm install @effect\/platform @effect\/platform-node \(Cannot find/
    ]
  ]

  for (const [config, without, message] of packages) {
    it(`says which packages to install for a type, such as ${without}`, () => {
      const options = ["--import", "tsx", "--import", withoutPackage(without), "-e", open(config)]
      const { stderr } = spawnSync(process.execPath, options, {
        encoding: "utf8",
        cwd: new URL("..", import.meta.url)
      })
      assert.match(stderr, message)
    })
  }
})

const inUrl = (program: string) => `data:text/javascript,${encodeURIComponent(program)}`

/** What makes Node do without a package that is optional. */
const withoutPackage = (name: string) =>
  inUrl(`
  import { register } from "node:module"
  register(${JSON.stringify(
    inUrl(`export const resolve = (specifier, context, next) => {
      if (!specifier.startsWith("${name}")) return next(specifier, context)
      throw Object.assign(new Error("Cannot find package " + specifier), { code: "ERR_MODULE_NOT_FOUND" })
    }`)
  )})
`)

const open = (config: SchedulerConfig.Input) => `
  const { Effect, Layer } = await import("effect")
  const Scheduler = await import("./src/Scheduler.ts")
  const { types } = await import("./src/SchedulerConfig.ts")
  const layer = Scheduler.fromConfig(${JSON.stringify(config)}, types)
  await Effect.runPromise(Effect.scoped(Layer.build(layer))).catch((error) => console.error(error.message))
`

describe("a store from a configuration", () => {
  it.effect("keeps out of transactions on the application's own database", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const scheduler = yield* Scheduler.Scheduler
      const add = scheduler.add(Work, { id: "a", store: "mongo", trigger: minute })
      const outcome = yield* Effect.either(sql.withTransaction(Effect.zipRight(add, Effect.fail("rolled back"))))
      assert.deepStrictEqual(outcome, Either.left("rolled back"))
      assert.strictEqual((yield* scheduler.list({ store: "mongo" })).length, 1)
    }).pipe(
      Effect.provide(Scheduler.fromConfig(BestKnown, SchedulerConfig.types)),
      Effect.provide(SqliteClient.layer({ filename: ":memory:" }))
    )
  )

  it.scoped("is there again when the next scheduler is built from the same configuration", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-scheduler-"))),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
      )
      const filename = join(folder, "jobs.sqlite")
      const life = <A, E>(use: Effect.Effect<A, E, Scheduler.Scheduler>) =>
        Effect.provide(
          use,
          Scheduler.fromConfig({ stores: { default: { type: "sqlite", filename } } }, SchedulerConfig.types)
        )
      yield* life(Effect.flatMap(Scheduler.Scheduler, (_) => _.add(Work, { id: "a", trigger: minute })))
      const jobs = yield* life(Effect.flatMap(Scheduler.Scheduler, (_) => _.list()))
      assert.deepStrictEqual(
        jobs.map(({ id }) => id),
        ["a"]
      )
    })
  )
})

describe("an executor from a configuration", () => {
  const module = new URL("./executors/probe-main.ts", import.meta.url)
  const fromHere = relative(process.cwd(), fileURLToPath(module))

  /** Threads by the URL of their module, processes by a path. */
  const Pools: SchedulerConfig.Input = {
    executors: {
      default: { type: "fiber" },
      threads: { type: "worker", url: module, size: 2 },
      processes: { type: "process", url: fromHere, size: 1, recycleAfter: 1, execArgv: ["--no-addons"] }
    }
  }

  const Variables = {
    APP_EXECUTORS_DEFAULT_TYPE: "fiber",
    APP_EXECUTORS_THREADS_TYPE: "worker",
    APP_EXECUTORS_THREADS_URL: module.href,
    APP_EXECUTORS_THREADS_SIZE: "2",
    APP_EXECUTORS_PROCESSES_TYPE: "process",
    APP_EXECUTORS_PROCESSES_URL: fromHere,
    APP_EXECUTORS_PROCESSES_SIZE: "1",
    APP_EXECUTORS_PROCESSES_RECYCLE_AFTER: "1",
    APP_EXECUTORS_PROCESSES_EXEC_ARGV: "--no-addons"
  }

  const fromFile = ConfigFile.load({ file: Option.some("pools.json"), prefix: Option.none() }).pipe(
    Effect.map(SchedulerConfig.layer),
    Layer.unwrapEffect,
    Layer.provide(FileSystem.layerNoop({ readFileString: () => Effect.succeed(JSON.stringify(Pools)) }))
  )

  const styles: ReadonlyArray<readonly [string, Layer.Layer<Scheduler.Scheduler, unknown>]> = [
    ["an object", Scheduler.fromConfig(Pools, SchedulerConfig.types)],
    ["a file", fromFile],
    [
      "the environment",
      Layer.provide(
        Scheduler.layerConfig(SchedulerConfig.environment("APP"), SchedulerConfig.types),
        withVariables(Variables)
      )
    ]
  ]

  for (const [style, layer] of styles) {
    it.live(`from ${style} is a pool of threads, or of processes`, () =>
      Effect.gen(function* () {
        const scheduler = yield* Scheduler.Scheduler
        const { executors } = yield* scheduler.health
        assert.deepStrictEqual([executors.threads?.concurrency, executors.processes?.concurrency], [2, 1])
        const whereIs = (id: string, executor: string) =>
          Effect.gen(function* () {
            yield* scheduler.add(Probe, { id, executor, payload: { _tag: "Where" }, trigger: minute })
            const run = yield* scheduler.runNow(id)
            return (yield* scheduler.awaitRun(run.id, Probe)) as unknown as Where
          })
        const thread = yield* whereIs("a", "threads")
        assert.strictEqual(thread.pid, process.pid)
        assert.isAbove(thread.thread, 0)
        const [first, second] = [yield* whereIs("b", "processes"), yield* whereIs("c", "processes")]
        assert.strictEqual(new Set([process.pid, first.pid, second.pid]).size, 3)
        assert.include(first.execArgv, "--no-addons")
      }).pipe(Effect.provide(Layer.provide(layer, Task.remote(Probe))))
    )
  }

  it.effect("is refused where there is no such module", () =>
    Effect.gen(function* () {
      const refused = (type: "worker" | "process", url: string) => {
        const executors = { default: { type, url, start: "lazy" as const } }
        return Effect.map(failure(Scheduler.fromConfig({ executors }, SchedulerConfig.types)), ({ message }) => message)
      }
      assert.strictEqual(
        yield* refused("worker", "no/such.ts"),
        `Invalid configuration:\n  executors.default.url: there is no file "no/such.ts"`
      )
      assert.include(yield* refused("process", "file:///no/such.js"), `there is no file "file:///no/such.js"`)
    })
  )

  it.live("says so where its module is none", () =>
    Effect.gen(function* () {
      const url = new URL("./executors/broken-import.ts", import.meta.url)
      const executors = { default: { type: "worker" as const, url, size: 1 } }
      const error = yield* failure(Scheduler.fromConfig({ executors }, SchedulerConfig.types))
      assert.strictEqual(error._tag, "ExecutorUnavailable")
      assert.include(error.message, "broken-import.ts")
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )
})

/** Where an attempt was carried out. */
interface Where {
  readonly pid: number
  readonly thread: number
  readonly execArgv: ReadonlyArray<string>
}

describe("Scheduler.layerConfig", () => {
  const Live = Scheduler.layerConfig({
    defaults: { maxInstances: Config.integer("MAX"), misfireGraceTime: Config.duration("GRACE") },
    paused: Config.withDefault(Config.boolean("PAUSED"), true)
  }).pipe(Layer.provide(Executor.layerFiber()), Layer.provide(JobStore.layerMemory))

  it.scoped("takes the options of Scheduler.layer from where the application keeps them", () =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const { policy } = yield* scheduler.add(Work, { trigger: minute })
      assert.strictEqual(policy.maxInstances, 7)
      assert.deepStrictEqual(policy.misfireGraceTime, Duration.seconds(90))
      assert.strictEqual((yield* scheduler.health).mode, "Paused")
    }).pipe(Effect.provide(Layer.provide(Live, withVariables({ MAX: "7", GRACE: "90 seconds" }))))
  )

  it.effect("fails where a variable is missing, is none, or means nothing", () =>
    Effect.gen(function* () {
      const fails = (variables: Readonly<Record<string, string>>) =>
        Effect.map(failure(Layer.provide(Live, withVariables(variables))), String)
      assert.include(yield* fails({ MAX: "7" }), "Expected GRACE to exist")
      assert.include(yield* fails({ MAX: "many", GRACE: "1 second" }), "MAX")
      assert.include(yield* fails({ MAX: "0", GRACE: "1 second" }), "0; expected a whole number of at least 1")
    })
  )

  it.scoped("takes a whole configuration with each of its values from somewhere else", () =>
    Effect.gen(function* () {
      const { executors } = yield* Effect.flatMap(Scheduler.Scheduler, ({ health }) => health)
      assert.strictEqual(executors.default?.concurrency, 4)
    }).pipe(
      Effect.provide(
        Scheduler.layerConfig(
          {
            stores: { default: { type: Config.succeed("sqlite" as const), filename: Config.string("FILE") } },
            executors: { default: { type: Config.succeed("fiber" as const), concurrency: Config.integer("PLACES") } }
          },
          SchedulerConfig.types
        ).pipe(Layer.provide(withVariables({ FILE: ":memory:", PLACES: "4" })))
      )
    )
  )

  it.effect("fails with everything that is wrong with the environment", () =>
    Effect.gen(function* () {
      const { SCHEDULER_STORES_MONGO_FILENAME: _, ...variables } = { ...Environment, SCHEDULER_DRIAN: "true" }
      const layer = Scheduler.layerConfig(SchedulerConfig.environment("SCHEDULER"), SchedulerConfig.types)
      const error = yield* failure(Layer.provide(layer, withVariables(variables)))
      assert.include(String(error), "drian: unknown key")
      assert.include(String(error), "stores.mongo.filename: is missing")
    })
  )
})
