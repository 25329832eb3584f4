/**
 * The hint between nodes that something has changed, where the database carries such: LISTEN and NOTIFY of PostgreSQL.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"

/**
 * What a node tells all others with the transaction it is in, and what it is told by them. It says that there is
 * something, never what; much at once is one hint, and one that is lost costs no more than the wait for the next poll.
 *
 * @since 0.1.0
 * @category models
 */
export interface Signal {
  readonly send: Effect.Effect<void, SqlError>
  readonly received: Stream.Stream<void>
}

/** What `PgClient` of `@effect/sql-pg` is besides a client; users of other databases do not have that package. */
interface Listener {
  readonly listen: (channel: string) => Stream.Stream<string, SqlError>
}

const isListener = (client: object): client is Listener => "listen" in client && typeof client.listen === "function"

/** PostgreSQL refuses longer names. */
const LONGEST = 63

/**
 * The signal on a channel, if the client can listen.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (client: SqlClient.SqlClient, channel: string): Signal | undefined => {
  if (!isListener(client) || channel.length > LONGEST) return undefined
  const self = crypto.randomUUID()
  const others = Stream.filter(client.listen(channel), (sender) => sender !== self)
  return {
    send: Effect.flatMap(Effect.serviceOption(SqlClient.TransactionConnection), (open) => {
      // A node that changes something knows of it, but not when the caller's own transaction ends.
      const isOwn = Option.exists(open, ([, depth]) => depth === 0)
      return Effect.asVoid(client`SELECT pg_notify(${channel}, ${isOwn ? self : "anyone"})`)
    }),
    received: others.pipe(
      Stream.retry(Schedule.spaced("5 seconds")),
      Stream.catchAll(() => Stream.empty),
      Stream.as(undefined),
      Stream.buffer({ capacity: 1, strategy: "sliding" })
    )
  }
}
