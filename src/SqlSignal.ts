/**
 * The hint between nodes that something has changed, where the database carries such: LISTEN and NOTIFY of PostgreSQL.
 *
 * @since 0.1.0
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
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

/** After how long without news it is asked whether they still come, and for how long an answer is waited for. */
const WATCH = Duration.seconds(3)

/** How long after one connection was lost the next one is tried. */
const PAUSE = Duration.seconds(1)

/** Mostly long enough for a connection to have been made, and for the server to have answered. */
const SETTLED = Duration.millis(100)

/** What is told only to see whether it is heard. */
const PROBE = "?"

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
    received: listen(client.listen(channel), self, notify(PROBE)).pipe(
      Stream.catchAllCause(() => Stream.empty),
      Stream.repeat(Schedule.spaced(PAUSE)),
      Stream.buffer({ capacity: 1, strategy: "sliding" })
    )
  }))
}

type Told = Stream.Stream<string, SqlError>
type Probe = Effect.Effect<void, SqlError>

/** What others tell, until nothing is heard any more; once it is there is a hint, for what was told before. */
const listen = (told: Told, self: string, probe: Probe): Stream.Stream<void, SqlError> =>
  Stream.unwrap(
    Effect.map(Queue.sliding<void>(1), (heard) => {
      const all = Stream.tap(told, () => Queue.offer(heard, undefined))
      const others = Stream.filter(all, (sender) => sender !== self && sender !== PROBE)
      return Stream.merge(Stream.as(others, undefined), watch(heard, probe), { haltStrategy: "either" })
    })
  )

/**
 * The connection that listens is asked for nothing: it does one thing at a time, and those who use it do not know of each
 * other. What is told on another one shows whether it still hears, unless others have shown it.
 */
const watch = (heard: Queue.Dequeue<void>, probe: Probe): Stream.Stream<void, SqlError> => {
  const hears = (within: Duration.Duration) =>
    Effect.map(Effect.timeoutOption(Queue.take(heard), within), Option.isSome)
  const isTold = Effect.isSuccess(Effect.timeout(Effect.disconnect(probe), WATCH))
  const begun = Effect.repeat(Effect.zipRight(isTold, hears(SETTLED)), {
    until: (is) => is,
    schedule: Schedule.union(Schedule.exponential(SETTLED), Schedule.spaced(WATCH))
  })
  const isLost = Effect.gen(function* () {
    // Where nothing can be told there is nothing to be heard.
    return !(yield* hears(WATCH)) && (yield* isTold) && !(yield* hears(WATCH))
  })
  const untilLost = Effect.repeat(isLost, { until: (is) => is })
  return Stream.concat(
    Stream.fromEffect(Effect.asVoid(Effect.delay(begun, SETTLED))),
    Stream.fromEffect(Effect.zipRight(untilLost, lost))
  )
}

const lost = new SqlError({ cause: new Error("nothing is heard any more"), message: "The database is not heard" })

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
    // Nobody's child: Effect interrupts children together with their parent, also where that one goes on.
    const bounded = Effect.forkDaemon(Effect.interruptible(Effect.timeout(Effect.disconnect(notify), TELLING)))
    const tell = Effect.flatMap(bounded, Fiber.await)
    yield* Effect.addFinalizer(() => Effect.whenEffect(tell, Queue.isFull(wanted)))
    const tellNext = Effect.uninterruptibleMask((restore) => Effect.zipRight(restore(Queue.take(wanted)), tell))
    yield* Effect.forkScoped(Effect.forever(tellNext))
    return Effect.asVoid(Queue.offer(wanted, undefined))
  })
