/**
 * The lease of a loop's node: how long it trusts itself, how long it waits for answers, and how it comes and goes.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { interruptAll } from "./LoopAttempts.ts"
import type { Actor, Clocks, State } from "./LoopState.ts"
import { StoreError } from "./SchedulerError.ts"

/** Clocks that differ by less are only imprecise, in milliseconds. */
const JUMP = 1000

/**
 * A node trusts itself for a shorter time than others wait before they take over what it holds.
 *
 * @since 0.1.0
 * @category lease
 */
export const trust = (self: Actor): number => Duration.toMillis(self.store.timing.lease) * 0.8

/**
 * A question that is not answered may not cost the lease: the next renewal still comes in time, and what the node holds is
 * interrupted in time. Nor is its interruption waited for: a connection that leads nowhere does not answer that either.
 *
 * @since 0.1.0
 * @category lease
 */
export const ask = <A>(
  self: Actor,
  operation: string,
  effect: Effect.Effect<A, StoreError>
): Effect.Effect<A, StoreError> => {
  if (!Number.isFinite(trust(self))) return effect
  return Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const duration = patience(self, now)
    const onTimeout = () => {
      self.state.batch = Math.max(1, self.state.batch >> 1)
      return new StoreError({ operation, cause: new Error(`no answer within ${duration} ms`) })
    }
    return Effect.timeoutFail(Effect.disconnect(effect), { duration, onTimeout })
  })
}

/** One that stood still is no longer trusted, and has yet to ask whether it was taken for dead. */
const patience = (self: Actor, now: number): number => {
  const { lease, renewal } = self.store.timing
  const left = self.state.trustedUntil - now
  return Math.min(Duration.toMillis(renewal), left > 0 ? left : Duration.toMillis(lease) - trust(self))
}

/**
 * @since 0.1.0
 * @category lease
 */
export const renew = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.gen(function* () {
    const { state, store } = self
    const { lease } = store.timing
    const { mode, node, renewAt } = state
    // One that ends before it began needs no place in the store.
    if (node === undefined ? mode === "Draining" || isLeaving(self, now) : now.epochMillis < renewAt) return
    if (node === undefined) yield* register(self, now)
    else if (!(yield* ask(self, "renew the lease", store.renew({ node, now, lease })))) return evict(self, now)
    state.trustedUntil = now.epochMillis + trust(self)
    state.renewAt = now.epochMillis + Duration.toMillis(store.timing.renewal)
  })

const register = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.map(ask(self, "register the node", self.store.register({ now, lease: self.store.timing.lease })), (node) => {
    self.state.node = node
    self.state.isStale = true
    self.hub.publish({ _tag: "SchedulerStarted", at: now, node, store: self.name })
  })

/**
 * The node is no longer who it was: what it holds is interrupted, and once that has ended, or four leases later, it comes
 * back under another id.
 *
 * @since 0.1.0
 * @category lease
 */
export const evict = (self: Actor, now: DateTime.Utc): void => {
  const { state, store } = self
  if (state.node !== undefined) self.hub.publish({ _tag: "LeaseLost", at: now, node: state.node, store: self.name })
  state.node = undefined
  state.trustedUntil = Infinity
  state.returnAt = now.epochMillis + 4 * Duration.toMillis(store.timing.lease)
  interruptAll(self)
}

/**
 * @since 0.1.0
 * @category lease
 */
export const isLeaving = ({ attempts, state }: Actor, now: DateTime.Utc): boolean =>
  attempts.size > 0 && now.epochMillis < state.returnAt

/**
 * Times that were meant as so much later stay so, and the lease is renewed, for others go by the wall clock. Only trust is
 * never prolonged: while the machine slept, others may have taken over.
 */
const adjust = (state: State, wall: number, millis: number): void => {
  state.isStale = true
  if (state.node !== undefined) state.renewAt = wall
  state.cleanAt = wall
  state.returnAt += millis
  state.trustedUntil += Math.min(millis, 0)
}

/**
 * A wall clock that has not gone as far as time has was set, or the machine slept: what was known of leases is void. It is
 * the reading that the turn goes by: with a later one, the lease would be renewed only after the turn.
 *
 * @since 0.1.0
 * @category lease
 */
export const compareClocks = (self: Actor, now: DateTime.Utc, { elapsed, wall }: Clocks): void => {
  const millis = wall - self.state.wall - (elapsed - self.state.elapsed)
  Object.assign(self.state, { wall, elapsed })
  if (Math.abs(millis) < JUMP) return
  adjust(self.state, wall, millis)
  if (self.isFirst) self.hub.publish({ _tag: "ClockJumped", at: now, millis })
}
