/**
 * The guard against nodes whose clock is wrong: what they took for due would not be.
 *
 * @since 0.1.0
 */
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { StoreError } from "./SchedulerError.ts"
import type { Database } from "./SqlDatabase.ts"

/**
 * Fails if a node's time differs from the time of the database server by more than is allowed. It asks only where time
 * comes from the clock of the machine: the time of a test or a simulation differs from that, and SQLite has no server.
 *
 * @since 0.1.0
 * @category guards
 */
export const guard = (
  db: Database,
  now: DateTime.Utc,
  most: Duration.Duration
): Effect.Effect<void, StoreError | SqlError> =>
  Effect.gen(function* () {
    const clock = yield* Effect.clock
    if (db.isAlone || !Duration.isFinite(most) || !isOfMachine(clock)) return
    const asked = clock.unsafeCurrentTimeMillis()
    const ahead = now.epochMillis - (yield* timeOf(db))
    // The answer may have taken its time.
    const taken = clock.unsafeCurrentTimeMillis() - asked
    if (ahead > Duration.toMillis(most) || -ahead > Duration.toMillis(most) + taken) return yield* differs(ahead, most)
  })

const isOfMachine = (clock: Clock.Clock): boolean =>
  Math.abs(clock.unsafeCurrentTimeMillis() - Clock.make().unsafeCurrentTimeMillis()) < 1000

const timeOf = ({ isMysql, sql }: Database): Effect.Effect<number, SqlError> => {
  const query = isMysql
    ? sql<{ at: number | string }>`SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000 AS at`
    : sql<{ at: number | string }>`SELECT FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS at`
  return Effect.map(query, ([row]) => Number(row?.at))
}

const differs = (ahead: number, most: Duration.Duration) => {
  const side = ahead > 0 ? "ahead of" : "behind"
  const by = Duration.format(Duration.millis(Math.abs(ahead)))
  const text = `the clock of this node is ${by} ${side} the database's; at most ${Duration.format(most)} is allowed`
  return new StoreError({ operation: "compare clocks", cause: new Error(`${text} (maxClockSkew)`) })
}
