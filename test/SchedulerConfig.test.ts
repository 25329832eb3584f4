import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, FastCheck, Schema } from "effect"
import * as Configuration from "../src/Configuration.ts"
import * as ConfigValue from "../src/ConfigValue.ts"
import * as Executor from "../src/Executor.ts"
import * as JobStore from "../src/JobStore.ts"
import * as Policy from "../src/Policy.ts"
import type * as ProcessExecutor from "../src/ProcessExecutor.ts"
import type * as Scheduler from "../src/Scheduler.ts"
import * as SchedulerConfig from "../src/SchedulerConfig.ts"
import * as SqlJobStore from "../src/SqlJobStore.ts"
import type * as WorkerExecutor from "../src/WorkerExecutor.ts"

const issuesOf = (input: unknown): Effect.Effect<ReadonlyArray<string>> =>
  Effect.match(SchedulerConfig.decode(input), {
    onFailure: ({ issues }) => issues.map(({ message, path }) => `${path}: ${message}`),
    onSuccess: () => []
  })

describe("a configuration", () => {
  const memory = { type: "memory" }
  const TOP = "stores, executors, defaults, paused, autoStart, drain, eventBuffer, watch"
  const SQLITE = "type, filename, prefix, migrate, poll, lease, renewal"
  const POOL = "type, url, size, start, recycleAfter, startTimeout, grace, memoryLimit, execArgv"
  const A_DURATION = `a duration such as "30 seconds"`

  const refusals: ReadonlyArray<[input: unknown, issues: ReadonlyArray<string>]> = [
    [undefined, [": expected an object, got undefined"]],
    ["memory", [`: expected an object, got "memory"`]],
    [[], [": expected an object, got a list"]],
    [{ pause: true }, [`pause: unknown key; known: ${TOP}`]],
    [{ stores: "memory" }, [`stores: expected an object, got "memory"`]],
    [{ stores: {} }, ["stores.default: is missing; one must have this name"]],
    [{ stores: { archive: memory } }, ["stores.default: is missing; one must have this name"]],
    [{ executors: { cpu: { type: "fiber" } } }, ["executors.default: is missing; one must have this name"]],
    [{ stores: { default: "memory" } }, [`stores.default: expected an object, got "memory"`]],
    [{ stores: { default: {} } }, ["stores.default.type: is missing"]],
    [
      { stores: { default: { type: "mongo" } } },
      [`stores.default.type: expected "memory", "sqlite", "postgres" or "mysql", got "mongo"`]
    ],
    [
      { stores: { default: memory, archive: { type: "sqlite", filename: "a", urll: "b" } } },
      [`stores.archive.urll: unknown key; known: ${SQLITE}`]
    ],
    [{ stores: { default: { type: "sqlite" } } }, ["stores.default.filename: is missing"]],
    [{ stores: { default: { type: "sqlite", filename: "" } } }, [`stores.default.filename: expected text, got ""`]],
    [{ stores: { default: memory, "": memory } }, ["stores.: expected a name of 1 to 64 characters"]],
    [
      { stores: { default: { ...memory, history: -1 } } },
      ["stores.default.history: expected a whole number of at least 0, got -1"]
    ],
    [
      { stores: { default: { type: "sqlite", filename: "a", lease: 0, poll: "soon", renewal: "infinity" } } },
      [
        `stores.default.poll: expected ${A_DURATION}, or milliseconds, longer than nothing, got "soon"`,
        `stores.default.lease: expected ${A_DURATION}, or milliseconds, longer than nothing, got 0`,
        `stores.default.renewal: expected ${A_DURATION}, or milliseconds, longer than nothing, got "infinity"`
      ]
    ],
    [
      { stores: { default: { type: "postgres", url: "mysql://a@b/c", port: 65_536, ssl: "maybe" } } },
      [
        "stores.default.url: expected a URL such as postgres://user@host/database",
        "stores.default.port: expected a whole number from 1 to 65535, got 65536",
        `stores.default.ssl: expected true or false, got "maybe"`,
        "stores.default.port: is what the url says"
      ]
    ],
    [
      { stores: { default: { type: "mysql", url: "mysql://a@b/c", host: "b", username: "a" } } },
      ["stores.default.host: is what the url says", "stores.default.username: is what the url says"]
    ],
    [
      { executors: { default: { type: "fiber", concurrency: 0 } } },
      [`executors.default.concurrency: expected a whole number of at least 1, or "infinity", got 0`]
    ],
    [
      { executors: { default: { type: "none", concurrency: 1 } } },
      ["executors.default.concurrency: unknown key; known: type"]
    ],
    [{ executors: { default: { type: "worker" } } }, ["executors.default.url: is missing"]],
    [
      {
        executors: {
          default: { type: "fiber" },
          a: { type: "worker", url: "https://host/worker.js", size: 0, start: "cold", recycleAfter: "often" },
          b: { type: "process", url: "", startTimeout: 0, grace: "infinity", memoryLimit: "1 GiB", execArgv: 7 },
          c: { type: "worker", url: "worker.js", cwd: "/tmp" }
        }
      },
      [
        `executors.a.url: expected the path of a module, or a file: URL, got "https://host/worker.js"`,
        "executors.a.size: expected a whole number of at least 1, got 0",
        `executors.a.start: expected "warm" or "lazy", got "cold"`,
        `executors.a.recycleAfter: expected a whole number of at least 1, or "infinity", got "often"`,
        `executors.b.url: expected the path of a module, or a file: URL, got ""`,
        `executors.b.startTimeout: expected ${A_DURATION}, or milliseconds, longer than nothing, got 0`,
        `executors.b.grace: expected ${A_DURATION}, or milliseconds, got "infinity"`,
        `executors.b.memoryLimit: expected a whole number of at least 1, got "1 GiB"`,
        "executors.b.execArgv: expected a list of words, got 7",
        `executors.c.cwd: unknown key; known: ${POOL}`
      ]
    ],
    [
      { defaults: { coalesce: false, maxInstances: "three", misfireGraceTime: "-1 seconds", jitter: "infinity" } },
      [
        `defaults.misfireGraceTime: expected ${A_DURATION}, milliseconds, or "infinity", got "-1 seconds"`,
        `defaults.coalesce: expected "latest", "earliest" or "all", got false`,
        `defaults.maxInstances: expected a whole number of at least 1, got "three"`,
        `defaults.jitter: expected ${A_DURATION}, or milliseconds, got "infinity"`
      ]
    ],
    [
      { defaults: { retry: { times: 1.5, jitter: 2, wait: 1 }, retention: { age: true } } },
      [
        "defaults.retry.wait: unknown key; known: times, backoff, delay, cap, jitter",
        "defaults.retry.times: expected a whole number of at least 0, got 1.5",
        "defaults.retry.jitter: expected a number from 0 to 1, got 2",
        `defaults.retention.age: expected ${A_DURATION}, milliseconds, or "infinity", got true`
      ]
    ],
    [{ defaults: { executor: "cpu" } }, ["defaults.executor: no executor has this name; known: default"]],
    [{ defaults: { executor: "" } }, ["defaults.executor: expected a name of 1 to 64 characters"]],
    [
      { paused: "yes", drain: "a while", eventBuffer: 0 },
      [
        `paused: expected true or false, got "yes"`,
        `drain: expected true, false, or ${A_DURATION}, got "a while"`,
        "eventBuffer: expected a whole number of at least 1, got 0"
      ]
    ]
  ]

  for (const [input, issues] of refusals) {
    it.effect(`is refused where it says ${JSON.stringify(input)}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* issuesOf(input), issues)
      })
    )
  }

  it.effect("is refused with everything that is wrong with it at once, on a line each", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        SchedulerConfig.decode({ stores: { default: { type: "memory", size: 1 } }, drian: true, eventBuffer: "many" })
      )
      assert.strictEqual(
        error.message,
        [
          "Invalid configuration:",
          `drian: unknown key; known: ${TOP}`,
          "stores.default.size: unknown key; known: type, history",
          `eventBuffer: expected a whole number of at least 1, got "many"`
        ].join("\n  ")
      )
    })
  )

  it.effect("tells nothing of a secret that it refuses", () =>
    Effect.gen(function* () {
      const secret = "s3cret"
      const issues = [
        ...(yield* issuesOf({
          stores: { default: { type: "postgres", password: [secret], url: `pg://a:${secret}@b` } }
        })),
        ...(yield* issuesOf({ stores: [{ password: secret }] })),
        ...(yield* issuesOf({ stores: { default: { type: "postgres", passwort: secret } } }))
      ]
      assert.lengthOf(issues, 4)
      assert.notInclude(issues.join("\n"), secret)
    })
  )

  it.scoped("fills in what is not said with what holds without a configuration", () =>
    Effect.gen(function* () {
      const config = yield* SchedulerConfig.decode({})
      assert.deepStrictEqual(config.defaults, Policy.defaults)
      const settings = yield* SchedulerConfig.decode({ stores: { default: { type: "sqlite", filename: ":memory:" } } })
      const layer = Configuration.layer(SchedulerConfig.types, settings)
      const { timing } = yield* Effect.provide(JobStore.JobStore, layer)
      const sqlite = SqliteClient.layer({ filename: ":memory:" })
      assert.deepStrictEqual(timing, (yield* Effect.provide(SqlJobStore.make(), sqlite)).timing)
      const executor = yield* Effect.provide(Executor.Executor, Configuration.layer(SchedulerConfig.types, config))
      const { concurrency } = yield* Effect.provide(Executor.Executor, Executor.layerFiber())
      assert.strictEqual(executor.concurrency, concurrency)
    })
  )

  it.effect("knows every option of threads and processes but their environment", () =>
    Effect.gen(function* () {
      const url = new URL("file:///srv/worker.js")
      const settings = {
        url,
        size: 5,
        start: "lazy",
        recycleAfter: 100,
        startTimeout: "10 seconds",
        grace: "1 second",
        memoryLimit: 512,
        execArgv: "--trace-warnings --no-addons"
      } as const
      const worker = settings satisfies Record<keyof Omit<WorkerExecutor.Options, "env">, unknown>
      const process = { ...settings, outputLimit: 0, cwd: "/tmp" } satisfies Record<
        keyof Omit<ProcessExecutor.Options, "env">,
        unknown
      >
      const { executors } = yield* SchedulerConfig.decode({
        executors: { default: { type: "worker", ...worker }, pool: { type: "process", ...process } }
      })
      const read = {
        url: url.href,
        startTimeout: Duration.seconds(10),
        grace: Duration.seconds(1),
        execArgv: ["--trace-warnings", "--no-addons"]
      }
      assert.deepStrictEqual<unknown>(executors, {
        default: { type: "worker", ...worker, ...read },
        pool: { type: "process", ...process, ...read }
      })
    })
  )

  it.effect("knows every option of a scheduler and every policy", () =>
    Effect.gen(function* () {
      const policy = {
        misfireGraceTime: "1 minute",
        coalesce: "earliest",
        catchUpLimit: 1,
        maxInstances: 2,
        overlap: "queue",
        queueLimit: 3,
        jitter: "1 second",
        limit: 4,
        onCrash: "abandon",
        crashLimit: 0,
        retry: { times: 5, backoff: "exponential", delay: 6, cap: 7, jitter: 0.5 },
        timeout: "1 hour",
        retention: { age: "2 days", count: 8, finishedJobs: "keep" },
        priority: -1,
        executor: "default"
      } as const satisfies Record<keyof Policy.PolicyOptions, unknown>
      const options = {
        paused: true,
        autoStart: "false",
        drain: "10 seconds",
        eventBuffer: "10",
        watch: 1000,
        defaults: policy
      } as const satisfies Record<keyof Scheduler.Options, unknown>
      const config: Scheduler.Options = yield* SchedulerConfig.decode(options)
      assert.deepStrictEqual(config.defaults, Policy.override(Policy.defaults, policy))
      assert.deepInclude(config, { paused: true, autoStart: false, eventBuffer: 10 })
      assert.deepStrictEqual([config.drain, config.watch], [Duration.seconds(10), Duration.seconds(1)])
    })
  )
})

const whole = (least: number) =>
  FastCheck.integer({ min: least, max: 2_147_483_647 }).chain((n) => FastCheck.constantFrom<number | string>(n, `${n}`))

const finite = (least: number) =>
  FastCheck.tuple(
    FastCheck.integer({ min: least, max: 100_000 }),
    FastCheck.constantFrom("", " millis", " seconds", " hours")
  ).map(([n, unit]) => (unit === "" ? n : `${n}${unit}`))

const duration = FastCheck.oneof(
  finite(0),
  FastCheck.constantFrom("infinity", "1.5 minutes", "0.5 millis", 0.25, "2500")
)
const flag = FastCheck.constantFrom<boolean | string>(true, false, "true", "false")
const name = FastCheck.stringMatching(/^[a-z]{1,8}$/)
const text = FastCheck.string({ minLength: 1, maxLength: 12 })
const secret = FastCheck.stringMatching(/^s3cret[ -~]{0,8}$/)

/** Any of the keys may be missing. */
const some = <T>(keys: { [K in keyof T]: FastCheck.Arbitrary<T[K]> }) => FastCheck.record(keys, { requiredKeys: [] })

const withType = <Type extends string, T>(type: Type, settings: FastCheck.Arbitrary<T>) =>
  settings.map((settings) => ({ type, ...settings }))

const sqlSettings = { prefix: text, migrate: flag, poll: finite(1), lease: finite(1), renewal: finite(1) }

const stores = FastCheck.oneof(
  withType("memory", some({ history: whole(0) })),
  FastCheck.tuple(text, some(sqlSettings)).map(([filename, some]) => ({ type: "sqlite" as const, filename, ...some })),
  withType(
    "postgres",
    some({ ...sqlSettings, host: text, port: FastCheck.constant(5432), password: secret, ssl: flag })
  ),
  FastCheck.tuple(secret, some({ ...sqlSettings, password: secret, maxClockSkew: duration })).map(
    ([password, some]) => ({
      type: "mysql" as const,
      url: `mysql://app:${encodeURIComponent(password)}@db/jobs?ssl=${encodeURIComponent(password)}`,
      ...some
    })
  )
)

const countOrInfinity = FastCheck.oneof(whole(1), FastCheck.constant("infinity"))
const words = FastCheck.array(FastCheck.stringMatching(/^--[a-z]{1,8}$/), { minLength: 1, maxLength: 3 })

const poolSettings = {
  size: whole(1),
  start: FastCheck.constantFrom("warm" as const, "lazy" as const),
  recycleAfter: countOrInfinity,
  startTimeout: finite(1),
  grace: finite(0),
  memoryLimit: whole(1),
  execArgv: FastCheck.oneof(
    words,
    words.map((words) => words.join(" "))
  )
}

const url = FastCheck.constantFrom("worker.js", "/srv/app/worker.ts", "C:\\app\\worker.js", "file:///srv/worker.mjs")

const executors = FastCheck.oneof(
  withType("fiber", some({ concurrency: countOrInfinity })),
  withType("none", FastCheck.constant({})),
  FastCheck.tuple(url, some(poolSettings)).map(([url, some]) => ({ type: "worker" as const, url, ...some })),
  FastCheck.tuple(url, some({ ...poolSettings, outputLimit: whole(0), cwd: text })).map(([url, some]) => ({
    type: "process" as const,
    url,
    ...some
  }))
)

const defaults = some({
  misfireGraceTime: duration,
  coalesce: FastCheck.constantFrom("latest" as const, "earliest" as const, "all" as const),
  maxInstances: whole(1),
  limit: FastCheck.oneof(whole(1), FastCheck.constant("infinity")),
  retry: some({ times: whole(0), delay: finite(0), jitter: FastCheck.double({ min: 0, max: 1, noNaN: true }) }),
  retention: some({ age: duration, count: whole(0) }),
  priority: FastCheck.integer({ min: -100, max: 100 })
})

/** Configurations as people might write them. */
const inputs: FastCheck.Arbitrary<SchedulerConfig.Input> = FastCheck.record({
  stores: FastCheck.tuple(FastCheck.dictionary(name, stores), stores).map(([all, one]) => ({ ...all, default: one })),
  executors: FastCheck.tuple(FastCheck.dictionary(name, executors), executors).map(([all, one]) => ({
    ...all,
    default: one
  })),
  defaults,
  paused: flag,
  drain: FastCheck.oneof(flag, duration),
  eventBuffer: whole(1)
})

const encode = Schema.encodeSync(SchedulerConfig.SchedulerConfig)

describe("a configuration that is written down and read again", () => {
  it.effect.prop(
    "is the same, and is written the same again",
    [inputs],
    ([input]) =>
      Effect.gen(function* () {
        const config = yield* SchedulerConfig.decode(input)
        const written = encode(config)
        const again = yield* SchedulerConfig.decode(JSON.parse(JSON.stringify(written)))
        assert.deepStrictEqual(again, config)
        assert.deepStrictEqual(encode(again), written)
      }),
    { fastCheck: { numRuns: 100 } }
  )

  it.effect.prop(
    "can be read from the environment as well",
    [inputs],
    ([input]) =>
      Effect.gen(function* () {
        const written = encode(yield* SchedulerConfig.decode(input))
        const provider = ConfigProvider.fromMap(new Map(variablesOf(["APP"], written)), { pathDelim: "_" })
        const read = yield* Effect.withConfigProvider(SchedulerConfig.environment("APP"), provider)
        assert.deepStrictEqual(encode(yield* SchedulerConfig.decode(read)), written)
      }),
    { fastCheck: { numRuns: 100 } }
  )

  it.effect.prop(
    "shows no secret when it is described",
    [inputs],
    ([input]) =>
      Effect.gen(function* () {
        const config = yield* SchedulerConfig.decode(input)
        const shown = JSON.stringify([SchedulerConfig.describe(config), config])
        assert.notInclude(shown, "s3cret")
      }),
    { fastCheck: { numRuns: 100 } }
  )
})

/** A configuration as variables, as documented. */
const variablesOf = (path: ReadonlyArray<string>, value: unknown): ReadonlyArray<[string, string]> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.entries(value).flatMap(([key, part]) => {
        const words = key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
        return variablesOf([...path, words], part)
      })
    : [[path.join("_"), Array.isArray(value) ? value.join(" ") : String(value)]]

describe("a configuration that is described", () => {
  it.effect("has all that holds, with passwords left out", () =>
    Effect.gen(function* () {
      const config = yield* SchedulerConfig.decode({
        stores: {
          default: { type: "memory" },
          archive: { type: "postgres", url: "postgres://app:s3cret@db/jobs?sslkey=s3cret", lease: 90_000 },
          other: { type: "mysql", host: "db", password: "mysql://s3cret" }
        },
        drain: "10 seconds"
      })
      const shown = SchedulerConfig.describe(config) as SchedulerConfig.Input
      const sql = { prefix: "scheduler_", migrate: true, poll: "5 seconds", lease: "15 seconds" }
      assert.deepStrictEqual(shown.stores, {
        default: { type: "memory", history: 10_000 },
        archive: {
          type: "postgres",
          ...sql,
          url: "postgres://app:<redacted>@db/jobs?sslkey=<redacted>",
          lease: "90 seconds"
        },
        other: { type: "mysql", ...sql, host: "db", password: "<redacted>" }
      })
      assert.deepStrictEqual(shown.executors, { default: { type: "fiber", concurrency: 10 } })
      assert.deepInclude(shown, { paused: false, autoStart: true, drain: "10 seconds", eventBuffer: 16_384 })
      assert.deepInclude(shown.defaults, { coalesce: "latest", maxInstances: 1, timeout: "infinity" })
      assert.deepInclude(shown.defaults?.retention, { age: "7 days", count: "infinity" })
    })
  )
})

describe("the environment", () => {
  const read = (variables: Readonly<Record<string, string>>, prefix = "SCHEDULER") =>
    SchedulerConfig.environment(prefix).pipe(
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)), { pathDelim: "_" }))
    )

  it.effect("is read by prefix, with names in small letters and keys as they are spelt", () =>
    Effect.gen(function* () {
      const input = yield* read({
        SCHEDULER_STORES_DEFAULT_TYPE: "memory",
        SCHEDULER_STORES_ARCHIVE_TYPE: "postgres",
        SCHEDULER_STORES_ARCHIVE_URL: "postgres://db/jobs",
        SCHEDULER_STORES_ARCHIVE_MAX_CONNECTIONS: "5",
        SCHEDULER_DEFAULTS_MISFIRE_GRACE_TIME: "10 minutes",
        SCHEDULER_DEFAULTS_RETRY_TIMES: "3",
        SCHEDULER_AUTO_START: "false",
        SCHEDULERS_OTHER: "not ours",
        OTHER_STORES_DEFAULT_TYPE: "not ours"
      })
      assert.deepStrictEqual<unknown>(input, {
        stores: {
          default: { type: "memory" },
          archive: { type: "postgres", url: "postgres://db/jobs", maxConnections: "5" }
        },
        defaults: { misfireGraceTime: "10 minutes", retry: { times: "3" } },
        autoStart: "false"
      })
    })
  )

  it.effect("may have a prefix of several words, and none of its variables set", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual<unknown>(yield* read({ MY_APP_PAUSED: "true" }, "MY_APP"), { paused: "true" })
      assert.deepStrictEqual<unknown>(yield* read({ MY_APP_PAUSED: "true" }, "YOUR_APP"), {})
    })
  )

  it.effect("has variables that nobody knows refused, as in a file", () =>
    Effect.gen(function* () {
      const input = yield* read({
        SCHEDULER_STORES_DEFAULT_TYPE: "memory",
        SCHEDULER_STORES_DEFAULT_MAX_SIZE: "5",
        SCHEDULER_PAUSED_NOW: "true",
        SCHEDULER_DEFAULTS_RETRY_TIEMS: "3"
      })
      assert.deepStrictEqual(
        (yield* issuesOf(input)).map((issue) => issue.split(";")[0]),
        ["pausedNow: unknown key", "stores.default.maxSize: unknown key", "defaults.retry.tiems: unknown key"]
      )
    })
  )

  it.effect("has nothing in it of what the command line tells the commands that it runs", () =>
    Effect.gen(function* () {
      const told = { SCHEDULER_JOB_ID: "a", SCHEDULER_RUN_ID: "b", SCHEDULER_SCHEDULED_AT: "c", SCHEDULER_ATTEMPT: "1" }
      assert.deepStrictEqual(yield* read(told), {})
    })
  )

  it.effect("of the process is read too", () =>
    Effect.gen(function* () {
      process.env.EFFECT_SCHEDULER_TEST_EVENT_BUFFER = "7"
      const input = yield* SchedulerConfig.environment("EFFECT_SCHEDULER_TEST")
      delete process.env.EFFECT_SCHEDULER_TEST_EVENT_BUFFER
      assert.deepStrictEqual<unknown>(input, { eventBuffer: "7" })
    })
  )
})

describe("a URL that is shown", () => {
  const hide = (text: string) => ConfigValue.hide(Schema.decodeSync(ConfigValue.secretUrl("postgres", "mysql"))(text))

  it("keeps what is no secret", () => {
    assert.strictEqual(hide("postgres://db.example:5433/jobs"), "postgres://db.example:5433/jobs")
    assert.strictEqual(hide("mysql://app@db"), "mysql://app@db")
    assert.strictEqual(hide("postgres:///jobs?host=/run"), "postgres:///jobs?host=<redacted>")
    assert.strictEqual(hide("postgres://:s3cret@db"), "postgres://:<redacted>@db")
  })
})
