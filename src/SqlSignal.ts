/**
 * The hint between nodes that something has changed, where the database carries such: LISTEN and NOTIFY of PostgreSQL.
 *
 * @since 0.1.0
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
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
  /** Tells it with the transaction that the caller has open. */
  readonly sendWithin: Effect.Effect<void, SqlError>
  /** Tells it now; callers at the same time are one hint. Who is told by nobody looks with the next poll. */
  readonly send: Effect.Effect<void>
  readonly received: Stream.Stream<void>
}

/** What `PgClient` of `@effect/sql-pg` is besides a client; users of other databases do not have that package. */
interface Listener {
  readonly listen: (channel: string) => Stream.Stream<string, SqlError>
}

const isListener = (client: object): client is Listener => "listen" in client && typeof client.listen === "function"

/** PostgreSQL refuses longer names. */
const LONGEST = 63

/** How often it is asked whether the connection is still there. */
const WATCH = Duration.seconds(5)

/** How long after one connection was lost the next one is tried. */
const PAUSE = Duration.seconds(1)

/** Long enough for a connection to have been made, and for the server to have answered. */
const SETTLED = Duration.millis(100)

/**
 * The signal on a channel, if the client can listen.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (client: SqlClient.SqlClient, channel: string): Signal | undefined => {
  if (!isListener(client) || channel.length >= LONGEST) return undefined
  const self = crypto.randomUUID()
  const notify = (sender: string) => Effect.asVoid(client`SELECT pg_notify(${channel}, ${sender})`)
  return {
    // A node knows of what it changes, but not of when the caller's own transaction ends.
    sendWithin: notify("anyone"),
    send: onceAtATime(Effect.ignore(notify(self))),
    received: listen(client, channel, self).pipe(
      Stream.catchAllCause(() => Stream.empty),
      Stream.repeat(Schedule.spaced(PAUSE)),
      Stream.buffer({ capacity: 1, strategy: "sliding" })
    )
  }
}

/** What others tell, until the connection is lost; once it stands there is a hint, for what was told before it did. */
const listen = (client: Listener, channel: string, self: string): Stream.Stream<void, SqlError> => {
  const others = Stream.filter(client.listen(channel), (sender) => sender !== self)
  const probe = Stream.runDrain(Stream.interruptAfter(client.listen(`${channel}?`), SETTLED))
  const watch = Effect.forever(Effect.delay(probe, WATCH))
  const begun = Stream.fromEffect(Effect.delay(probe, SETTLED))
  return Stream.merge(Stream.as(others, undefined), Stream.concat(begun, Stream.fromEffect(watch)))
}

/** How often one caller tells it for others who come meanwhile. */
const MOST = 10

/**
 * Whoever comes while it is under way leaves it to do so once more for all of them: a database lets one transaction at a
 * time commit with such a hint in it.
 */
const onceAtATime = (effect: Effect.Effect<void>): Effect.Effect<void> => {
  let isUnderWay = false
  let isWanted = false
  return Effect.suspend(() => {
    isWanted = true
    if (isUnderWay) return Effect.void
    isUnderWay = true
    const again = Effect.suspend(() => {
      isWanted = false
      return effect
    })
    return Effect.repeat(again, { while: () => isWanted, times: MOST }).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          isUnderWay = false
        })
      ),
      Effect.asVoid
    )
  })
}
