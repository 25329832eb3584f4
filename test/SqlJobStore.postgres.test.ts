import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck } from "effect"
import * as PgArray from "../src/PgArray.ts"
import { postgresClient, startPostgres } from "./Servers.ts"
import { auditChecks } from "./SqlAuditSuite.ts"
import { crowdChecks } from "./SqlCrowdSuite.ts"
import { faultChecks } from "./SqlFaultSuite.ts"
import { poisonChecks } from "./SqlPoisonSuite.ts"
import { raceChecks } from "./SqlRaceSuite.ts"
import { signalChecks, suite, type World } from "./SqlStoreSuite.ts"

const words = FastCheck.constantFrom(
  "",
  "NULL",
  "null",
  "\\",
  '"',
  "{}",
  ",",
  " a b ",
  "\n",
  "'",
  '{"a":"\\"b\\""}',
  "é"
)
const elements = FastCheck.array(FastCheck.oneof(words, FastCheck.nat(), FastCheck.constant(null)))

const arrayChecks = (world: World) =>
  describe("an array as text", () => {
    it.effect.prop("is read by the server as what it was made of", [elements], ([all]) =>
      Effect.gen(function* () {
        const rows = yield* world.sql<{ element: string | null }>`
          SELECT element FROM unnest(${PgArray.toText(all)}::text[]) WITH ORDINALITY AS v (element, n) ORDER BY n`
        const read = all.map((element) => (element === null ? null : String(element)))
        assert.deepStrictEqual(
          rows.map(({ element }) => element),
          read
        )
      })
    )
  })

suite({ name: "PostgreSQL", start: startPostgres, client: postgresClient }, (world) => {
  raceChecks(world)
  auditChecks(world)
  crowdChecks(world)
  faultChecks(world)
  poisonChecks(world)
  signalChecks(world)
  arrayChecks(world)
})
