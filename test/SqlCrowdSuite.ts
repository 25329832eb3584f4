/** What operations of the SQL job store read when a job has a great many runs in its queue: no more than without them. */
import type { SqlError } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { at, make, succeeded, work } from "../src/ConformanceWorld.ts"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import * as Trigger from "../src/Trigger.ts"
import type { World } from "./SqlStoreSuite.ts"

const executor = Policy.DEFAULT_EXECUTOR

/** How many rows the tables of the store gave to the statements of an effect. */
const rowsRead = <A, E>({ sql }: World, effect: Effect.Effect<A, E>): Effect.Effect<number, E | SqlError.SqlError> => {
  const read = sql.onDialectOrElse({
    mysql: () =>
      sql<{ n: string }>`SELECT SUM(VARIABLE_VALUE) AS n FROM information_schema.SESSION_STATUS
        WHERE VARIABLE_NAME LIKE 'HANDLER_READ%' AND VARIABLE_NAME NOT LIKE '%RND_NEXT'`,
    orElse: () =>
      sql<{
        n: string
      }>`SELECT SUM(seq_tup_read + idx_tup_fetch) AS n FROM pg_stat_xact_user_tables WHERE relname LIKE 'scheduler_%'`
  })
  const total = Effect.map(read, ([row]) => Number(row?.n))
  // Both count by connection: one transaction has one.
  return sql.withTransaction(
    Effect.gen(function* () {
      const before = yield* total
      yield* effect
      return (yield* total) - before
    })
  )
}

const DIGITS = `(${Array.from({ length: 10 }, (_, d) => `SELECT ${d} AS d`).join(" UNION ALL ")})`

/** Copies the queued run of a job 100 000 times. */
const multiply = ({ sql }: World, jobId: string) =>
  Effect.gen(function* () {
    const where = `WHERE r.job_id = '${jobId}' AND r.state = 'Queued'`
    const [row] = yield* sql.unsafe<Record<string, unknown>>(`SELECT r.* FROM scheduler_runs r ${where}`)
    const columns = Object.keys(row!).filter((column) => column !== "id" && column !== "run_key")
    const places = ["a", "b", "c", "d", "e"]
    const named = (column: string) => `CONCAT(r.${column}, '-', ${places.map((place) => `${place}.d`).join(", ")})`
    yield* sql.unsafe(`INSERT INTO scheduler_runs (id, run_key, ${columns.join(", ")})
      SELECT ${named("id")}, ${named("run_key")}, ${columns.map((column) => `r.${column}`).join(", ")}
      FROM scheduler_runs r, ${places.map((place) => `${DIGITS} ${place}`).join(", ")} ${where}`)
    yield* sql.onDialectOrElse({
      mysql: () => sql`ANALYZE TABLE scheduler_jobs, scheduler_runs`,
      orElse: () => sql`ANALYZE`
    })
  })

export const crowdChecks = (world: World): void => {
  describe(`a job with 100 000 runs in its queue on ${world.backend.name}`, () => {
    it.effect(
      "costs others nothing: whatever is done for them reads a few rows",
      () =>
        Effect.gen(function* () {
          const store = yield* world.store
          const full = make("full", { overlap: "queue", trigger: Trigger.interval({ hours: 1 }) })
          yield* store.add([full, ...Array.from({ length: 5 }, (_, i) => make(`other-${i}`))], "fail")
          const node = yield* store.register({ now: at(0), lease: Duration.hours(1) })
          const start = (seconds: number) =>
            Effect.map(store.start({ node, now: at(seconds), limit: 9, tasks: work, executor }), (steps) =>
              steps.map(({ run }) => run).filter(Run.isRunning)
            )
          yield* store.fire("full", at(1))
          yield* start(1)
          yield* store.fire("full", at(2))
          yield* multiply(world, "full")
          assert.strictEqual((yield* store.counts).queued, 100_001)
          const reads = (effect: Effect.Effect<unknown, unknown>) => rowsRead(world, effect)
          let begun: ReadonlyArray<Run.Running> = []
          const read = {
            claim: yield* reads(store.claim({ now: at(60), limit: 9 })),
            start: yield* reads(Effect.map(start(60), (runs) => (begun = runs))),
            settle: yield* reads(
              Effect.suspend(() =>
                store.settle(
                  begun.map((run) => ({ run, outcome: succeeded })),
                  at(61)
                )
              )
            ),
            recover: yield* reads(store.recover({ now: at(61), limit: 9 })),
            renew: yield* reads(store.renew({ node, now: at(61), lease: Duration.hours(1) })),
            nextWake: yield* reads(store.nextWake({ node, tasks: work, executors: new Set([executor]) })),
            prune: yield* reads(store.prune(at(61)))
          }
          assert.lengthOf(begun, 5)
          for (const [operation, rows] of Object.entries(read)) assert.isAtMost(rows, 100, operation)
          assert.isAbove(read.claim + read.settle, 10, "nothing is counted")
        }),
      120_000
    )
  })
}
