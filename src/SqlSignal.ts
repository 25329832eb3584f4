/**
 * The hint between nodes that something has changed, where the database carries such: LISTEN and NOTIFY of PostgreSQL.
 *
 * @since 0.1.0
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
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
  /** Tells it soon, without a wait. Who is told by nobody looks with the next poll. */
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
export const make = (
  client: SqlClient.SqlClient,
  channel: string
): Effect.Effect<Signal | undefined, never, Scope.Scope> => {
  if (!isListener(client) || channel.length >= LONGEST) return Effect.succeed(undefined)
  const self = crypto.randomUUID()
  const notify = (sender: string) => Effect.asVoid(client`SELECT pg_notify(${channel}, ${sender})`)
  return Effect.map(teller(notify(self)), (send) => ({
    // A node knows of what it changes, but not of when the caller's own transaction ends.
    sendWithin: notify("anyone"),
    send,
    received: listen(client, channel, self).pipe(
      Stream.catchAllCause(() => Stream.empty),
      Stream.repeat(Schedule.spaced(PAUSE)),
      Stream.buffer({ capacity: 1, strategy: "sliding" })
    )
  }))
}

/** What others tell, until the connection is lost; once it stands there is a hint, for what was told before it did. */
const listen = (client: Listener, channel: string, self: string): Stream.Stream<void, SqlError> => {
  const others = Stream.filter(client.listen(channel), (sender) => sender !== self)
  const probe = Stream.runDrain(Stream.interruptAfter(client.listen(`${channel}?`), SETTLED))
  const watch = Effect.forever(Effect.delay(probe, WATCH))
  const begun = Stream.fromEffect(Effect.delay(probe, SETTLED))
  return Stream.merge(Stream.as(others, undefined), Stream.concat(begun, Stream.fromEffect(watch)))
}

/** How long a hint may take: one that gets no answer must not keep others from being told of. */
const TELLING = Duration.seconds(1)

/**
 * What tells it in a fiber of its own, so that nobody who changes something waits for that; what is wanted meanwhile is one
 * hint more: a database lets one transaction at a time commit with such a hint in it. The last one is told before the scope
 * ends.
 */
const teller = (notify: Effect.Effect<void, SqlError>): Effect.Effect<Effect.Effect<void>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const wanted = yield* Queue.sliding<void>(1)
    const tell = Effect.ignore(Effect.timeout(Effect.disconnect(notify), TELLING))
    yield* Effect.addFinalizer(() => Effect.whenEffect(tell, Queue.isFull(wanted)))
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Queue.take(wanted), Effect.uninterruptible(tell))))
    return Effect.asVoid(Queue.offer(wanted, undefined))
  })
