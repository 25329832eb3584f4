import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, FastCheck, Layer } from "effect"
import { at, lease, make, succeeded, work } from "../src/ConformanceWorld.ts"
import type * as JobStore from "../src/JobStore.ts"
import * as PgArray from "../src/PgArray.ts"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import * as SqlJobStore from "../src/SqlJobStore.ts"
import * as Trigger from "../src/Trigger.ts"
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

const BATCH = 500

/** How many entries of the indexes of the runs were read, counted by a client with one connection. */
const entriesRead = <A, E>(sql: SqlClient.SqlClient, effect: Effect.Effect<A, E>) => {
  const total = Effect.gen(function* () {
    yield* sql`SELECT pg_stat_force_next_flush()`
    const [row] = yield* sql<{
      n: string
    }>`SELECT SUM(idx_tup_read) AS n FROM pg_stat_user_indexes WHERE relname = 'scheduler_runs'`
    return Number(row?.n)
  })
  return Effect.gen(function* () {
    const before = yield* total
    yield* effect
    return (yield* total) - before
  })
}

/** Carries out jobs that are due once, all that one claim takes. */
const carryOut = (store: JobStore.JobStore["Type"], node: string) =>
  Effect.gen(function* () {
    const room = new Map([[Policy.DEFAULT_EXECUTOR, BATCH]])
    const { started } = yield* store.claim({ now: at(2), limit: BATCH, start: { node, tasks: work, room } })
    const ended = started.map(({ run }) => run).filter(Run.isRunning)
    const settled = yield* store.settle(
      ended.map((run) => ({ run, outcome: succeeded })),
      at(2)
    )
    assert.lengthOf(settled, BATCH)
  })

const pastChecks = (world: World) =>
  describe("runs that have ended while another client reads", () => {
    it.live(
      "are not read again by what starts and ends later",
      () =>
        Effect.gen(function* () {
          yield* world.clear
          const sql = yield* Effect.map(
            Layer.build(postgresClient(world.server.url, 1)),
            Context.get(SqlClient.SqlClient)
          )
          const reader = yield* world.sql.reserve
          yield* reader.executeUnprepared("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1", [], undefined)
          const store = yield* Effect.provideService(
            SqlJobStore.make({ maxClockSkew: Infinity }),
            SqlClient.SqlClient,
            sql
          )
          const jobs = Array.from({ length: 6 * BATCH }, (_, i) => make(`job-${i}`, { trigger: Trigger.at(at(1)) }))
          yield* store.add(jobs, "fail")
          const node = yield* store.register({ now: at(0), lease })
          const batches: Array<number> = []
          for (let i = 0; i < 6; i++) batches.push(yield* entriesRead(sql, carryOut(store, node)))
          yield* reader.executeUnprepared("ROLLBACK", [], undefined)

          assert.isAtLeast(batches[0]!, BATCH)
          assert.isAtMost(batches[5]!, 2 * batches[0]!)
        }).pipe(Effect.scoped),
      60_000
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
  pastChecks(world)
})
