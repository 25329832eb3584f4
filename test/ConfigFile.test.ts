import * as FileSystem from "@effect/platform/FileSystem"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Layer, Option } from "effect"
import * as ConfigFile from "../src/ConfigFile.ts"
import * as SchedulerConfig from "../src/SchedulerConfig.ts"

/** A disk with one file on it. */
const disk = (name: string, text: string) =>
  FileSystem.layerNoop({
    readFileString: (path) => (path === name ? Effect.succeed(text) : Effect.dieMessage(`${path} is not there`))
  })

const load = (name: string, text: string, variables: Readonly<Record<string, string>> = {}) =>
  ConfigFile.load({
    file: Option.some(name),
    prefix: Object.keys(variables).length === 0 ? Option.none() : Option.some("APP")
  }).pipe(
    Effect.provide(
      Layer.merge(
        disk(name, text),
        Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)), { pathDelim: "_" }))
      )
    )
  )

const YAML = `
stores:
  default: &sqlite
    type: sqlite
    filename: jobs.sqlite
  Archive:
    type: postgres
    url: postgres://app@db/jobs # the password is for the environment to say
defaults:
  coalesce: all
  maxInstances: 3
`

const JSON_TEXT = `{
  "stores": {
    "default": { "type": "sqlite", "filename": "jobs.sqlite" },
    "Archive": { "type": "postgres", "url": "postgres://app@db/jobs" }
  },
  "defaults": { "coalesce": "all", "maxInstances": 3 }
}`

describe("a configuration file", () => {
  it.effect("says the same in YAML and in JSON", () =>
    Effect.gen(function* () {
      const [yaml, json] = [yield* load("a.yaml", YAML), yield* load("a.json", JSON_TEXT)]
      assert.deepStrictEqual(SchedulerConfig.describe(yaml), SchedulerConfig.describe(json))
      assert.deepInclude(yaml.defaults, { coalesce: "all", maxInstances: 3 })
      assert.deepStrictEqual(Object.keys(yaml.stores), ["default", "Archive"])
    })
  )

  it.effect("is read as YAML whatever the letters of its ending, and otherwise as JSON", () =>
    Effect.gen(function* () {
      for (const name of ["a.yml", "a.YAML", "etc/b.Yml"]) yield* load(name, "paused: true")
      for (const name of ["a.json", "a", "yaml", "a.yaml.bak"]) yield* load(name, `{ "paused": true }`)
    })
  )

  it.effect("may say nothing", () =>
    Effect.gen(function* () {
      const config = yield* load("a.yaml", "# nothing\n")
      assert.deepStrictEqual(config.stores, { default: { type: "memory", history: 10_000 } })
    })
  )

  it.effect("gets ten seconds for what is under way at the end, unless it says something else", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* load("a.yaml", "paused: true")).drain, Duration.seconds(10))
      assert.strictEqual((yield* load("a.yaml", "drain: false")).drain, false)
      assert.deepStrictEqual((yield* load("a.yaml", "drain: 1 minute")).drain, Duration.minutes(1))
    })
  )

  it.effect("gives way to the environment, key by key, with the names as the file spells them", () =>
    Effect.gen(function* () {
      const variables = {
        APP_STORES_ARCHIVE_PASSWORD: "s3cret",
        APP_STORES_OTHER_TYPE: "memory",
        APP_DEFAULTS_MAX_INSTANCES: "5",
        APP_PAUSED: "true"
      }
      const config = yield* load("a.yaml", YAML, variables)
      assert.deepStrictEqual(Object.keys(config.stores), ["default", "Archive", "other"])
      assert.deepInclude(SchedulerConfig.describe(config), { paused: true })
      assert.deepInclude(config.defaults, { coalesce: "all", maxInstances: 5 })
      const { Archive } = (SchedulerConfig.describe(config) as SchedulerConfig.Input).stores ?? {}
      assert.deepInclude(Archive, { url: "postgres://app@db/jobs", password: "<redacted>" })
    })
  )

  it.effect("is not needed where the environment says it all", () =>
    Effect.gen(function* () {
      const config = yield* ConfigFile.load({ file: Option.none(), prefix: Option.some("APP") })
      assert.strictEqual(config.eventBuffer, 7)
    }).pipe(
      Effect.provide(disk("none", "")),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["APP_EVENT_BUFFER", "7"]]), { pathDelim: "_" }))
    )
  )

  const refusals: ReadonlyArray<[name: string, text: string, message: RegExp]> = [
    ["a.yaml", "stores:\n  a: 1\n  a: 2\n", /^a\.yaml: it cannot be read: Map keys must be unique at line 3, column 3/],
    ["a.yaml", "stores: {", /^a\.yaml: it cannot be read: .*at line 1/],
    ["a.json", "{ stores }", /^a\.json: it cannot be read: .*JSON/],
    ["a.json", "", /^a\.json: it cannot be read: .*JSON/],
    ["a.json", "[]", /^a\.json: Invalid configuration:\n {2}expected an object, got a list$/],
    ["a.yaml", "text", /^a\.yaml: Invalid configuration:\n {2}expected an object, got "text"$/],
    ["a.yaml", "stores:", /^a\.yaml: Invalid configuration:\n {2}stores: expected an object, got null$/],
    [
      "a.yaml",
      "stores:\n  default: { type: memory, size: 1 }\ndrian: true\ndefaults: { coalesce: off }\n",
      /^a\.yaml: Invalid configuration:\n {2}drian: unknown key; .*\n {2}stores\.default\.size: unknown key; .*\n {2}defaults\.coalesce: expected/
    ]
  ]

  for (const [name, text, message] of refusals) {
    it.effect(`is refused as a person can act on it: ${JSON.stringify(text)}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(load(name, text))
        assert.match(error.message, message)
      })
    )
  }
})
