import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import * as SchedulerConfig from "../src/SchedulerConfig.ts"

/** Keeps docs/configuration.md true: its tables have every key there is, with its default and its variable. */
const page = readFileSync(new URL("../docs/configuration.md", import.meta.url), "utf8")

type Row = readonly [key: string, otherwise: string, variable: string]

const bare = (cell: string): string => cell.trim().replace(/^`(.*)`$/, "$1")

/** The rows of the tables in all sections whose heading a pattern matches. */
const rowsUnder = (heading: RegExp): ReadonlyArray<Row> =>
  page
    .split(/^(?=#+ )/m)
    .filter((section) => heading.test(section.split("\n")[0]!))
    .flatMap((section) => section.split("\n").filter((line) => line.startsWith("| `")))
    .map((line) => line.split("|").map(bare))
    .map(([, key = "", , otherwise = "", variable = ""]) => [key, otherwise, variable])

const asVariable = (...path: ReadonlyArray<string>): string =>
  ["SCHEDULER", ...path.map((key) => key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase())].join("_")

const asDefault = (value: unknown): string => (value === undefined ? "–" : JSON.stringify(value))

const byKey = ([a]: Row, [b]: Row): number => (a < b ? -1 : 1)

type Keyed = Readonly<Record<string, unknown>>

const holds = (input: SchedulerConfig.Input) =>
  Effect.map(SchedulerConfig.decode(input), (config) => SchedulerConfig.describe(config) as Keyed)

const leaves = (value: unknown, path: ReadonlyArray<string>): ReadonlyArray<Row> =>
  typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([key, part]) => leaves(part, [...path, key]))
    : [[path.join("."), asDefault(value), asVariable(...path)]]

describe("docs/configuration.md", () => {
  it.effect("has every key of a scheduler", () =>
    Effect.gen(function* () {
      const described: Keyed = { watch: undefined, ...(yield* holds({})) }
      const expected = Object.entries(described).map(([key, value]): Row => {
        if (key === "stores" || key === "executors") return [key, asDefault(value), `${asVariable(key)}_NAME_…`]
        return key === "defaults"
          ? [key, "[below](#defaults-of-jobs)", `${asVariable(key)}_…`]
          : [key, asDefault(value), asVariable(key)]
      })
      assert.deepStrictEqual(rowsUnder(/^### The scheduler$/).toSorted(byKey), expected.toSorted(byKey))
    })
  )

  it.effect("has every policy", () =>
    Effect.gen(function* () {
      const { defaults } = yield* holds({})
      assert.deepStrictEqual(rowsUnder(/^### Defaults of jobs$/), leaves(defaults, ["defaults"]))
    })
  )

  const { executors, stores } = SchedulerConfig.types
  const kinds: ReadonlyArray<[section: "stores" | "executors", needed: Keyed, keys: ReadonlyArray<string>]> = [
    ["stores", { type: "memory" }, ["history"]],
    ["stores", { type: "sqlite", filename: "jobs.sqlite" }, Object.keys(stores.sqlite.fields)],
    ["stores", { type: "postgres" }, Object.keys(stores.postgres.fields)],
    ["stores", { type: "mysql" }, Object.keys(stores.mysql.fields)],
    ["executors", { type: "fiber" }, ["concurrency"]],
    ["executors", { type: "worker", url: "worker.js" }, Object.keys(executors.worker.fields)],
    ["executors", { type: "process", url: "worker.js" }, Object.keys(executors.process.fields)]
  ]

  for (const [section, needed, keys] of kinds) {
    it.effect(`has every key of ${section} of the type ${needed.type}`, () =>
      Effect.gen(function* () {
        const described = yield* holds({ [section]: { default: needed } } as SchedulerConfig.Input)
        const settings = (described[section] as { readonly default: Keyed }).default
        const expected = keys.map((key): Row => {
          const otherwise = key in needed ? "**needed**" : asDefault(settings[key])
          return [key, otherwise, asVariable(section, "name", key)]
        })
        const shown = rowsUnder(new RegExp(`^#### .*\`${needed.type}\``))
        assert.deepStrictEqual(shown.toSorted(byKey), expected.toSorted(byKey))
      })
    )
  }

  it.effect("shows what is refused as it is told", () =>
    Effect.gen(function* () {
      const [, shown] = /# What is refused[\s\S]*?```text\n([\s\S]*?)\n```/.exec(page)!
      const error = yield* Effect.flip(
        SchedulerConfig.decode({
          stores: { default: { type: "sqlite" } },
          executors: { default: { type: "fiber" }, cpu: { type: "process", url: "worker.js", size: "many" } },
          defaults: { coalesce: false },
          drian: true
        })
      )
      assert.strictEqual(error.message, shown)
    })
  )
})
