/**
 * Nodes in the SQL job store: their leases, and what becomes of what a dead one held.
 *
 * @since 0.1.0
 */
import type { SqlError } from "@effect/sql/SqlError"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { JobStore, Step } from "./JobStore.ts"
import * as Run from "./Run.ts"
import type { StoreError } from "./SchedulerError.ts"
import * as SqlAttempts from "./SqlAttempts.ts"
import { type Database, limitTo } from "./SqlDatabase.ts"
import type * as SqlRows from "./SqlRows.ts"
import * as SqlRuns from "./SqlRuns.ts"

type RecoverOptions = Parameters<JobStore["Type"]["recover"]>[0]

const leaseEnd = (now: DateTime.Utc, lease: Duration.Duration): number =>
  Math.min(now.epochMillis + Duration.toMillis(lease), Number.MAX_SAFE_INTEGER - 1)

/**
 * Gives a node an identity that nobody has had before.
 *
 * @since 0.1.0
 * @category nodes
 */
export const register = ({ names, sql }: Database, now: DateTime.Utc, lease: Duration.Duration) =>
  Effect.gen(function* () {
    const id = crypto.randomUUID()
    const expires_at = leaseEnd(now, lease)
    yield* sql`INSERT INTO ${sql(names.nodes)} ${sql.insert({ id, registered_at: now.epochMillis, expires_at })}`
    return id
  })

/**
 * Prolongs the lease of a node, if nobody has taken it for dead. Each statement for itself: a node that falls silent in a
 * transaction would hold its row against those who bury it.
 *
 * @since 0.1.0
 * @category nodes
 */
export const renew = ({ isMysql, names, sql }: Database, node: string, now: DateTime.Utc, lease: Duration.Duration) =>
  Effect.gen(function* () {
    const update = sql`UPDATE ${sql(names.nodes)} SET expires_at = ${leaseEnd(now, lease)} WHERE id = ${node}`
    if (!isMysql) return (yield* sql`${update} RETURNING id`).length > 0
    yield* update
    // Afterwards: the write waits for others, who may be about to forget the node.
    return (yield* sql`SELECT id FROM ${sql(names.nodes)} WHERE id = ${node}`).length > 0
  })

/**
 * Forgets nodes whose leases are over, and ends what they had under way.
 *
 * @since 0.1.0
 * @category nodes
 */
export const recover = (
  db: Database,
  { limit, now }: RecoverOptions
): Effect.Effect<ReadonlyArray<Step>, StoreError | SqlError> =>
  Effect.gen(function* () {
    const { names, sql } = db
    yield* sql`DELETE FROM ${sql(names.nodes)} WHERE expires_at < ${now.epochMillis}`
    const rows = yield* sql<SqlRows.RunRow>`SELECT * FROM ${sql(names.runs)} WHERE state = 'Running'
      AND node NOT IN (SELECT id FROM ${sql(names.nodes)}) ORDER BY scheduled_at, id ${limitTo(db, limit)}`
    const lost = (yield* SqlRuns.read(rows)).filter(Run.isRunning)
    return yield* SqlAttempts.settle(
      db,
      lost.map((run) => ({ run, outcome: { _tag: "Crashed" } })),
      now
    )
  })
