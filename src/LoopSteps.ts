/**
 * The steps of a turn that do something in the store: settle, recover, claim, start, and clean up.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Job from "./Job.ts"
import type { Start, Step, Wakes } from "./JobStore.ts"
import { beginOn, withPlaces } from "./LoopAttempts.ts"
import { ask, trust } from "./LoopLease.ts"
import { tellClaimed, tellSettled, tellStep } from "./LoopNews.ts"
import { type Actor, send } from "./LoopState.ts"
import type { ExecutorSlots } from "./NamedExecutors.ts"
import * as Run from "./Run.ts"
import type { StoreError } from "./SchedulerError.ts"
import * as SchedulerMetrics from "./SchedulerMetrics.ts"

/** More runs than any node holds. */
const UNBOUNDED = 1_000_000

/**
 * How often old history is given up and the gauges are set, in milliseconds.
 *
 * @since 0.1.0
 * @category constants
 */
export const CLEANING = 60_000

/**
 * How long the store is not asked at most while there is more than enough to claim, in milliseconds.
 *
 * @since 0.1.0
 * @category constants
 */
export const LONGEST_FLOOD = 100

/**
 * @since 0.1.0
 * @category steps
 */
export const settleEnded = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.suspend(() => {
    const batch = self.state.ended.slice(0, self.state.batch)
    if (batch.length === 0) return Effect.void
    return withPlaces(self, now, othersWait(self, now), (start, begin) =>
      Effect.flatMap(ask(self, "settle runs", self.store.settle(batch, now, start)), (steps) => {
        self.state.ended.splice(0, batch.length)
        const [settled, started] = Arr.partition(steps, ({ run }) => Run.isRunning(run))
        foundEnds(self, settled, started.length, start)
        tellSettled(self, batch, settled, now)
        return Effect.zipRight(Effect.forEach(started, begin, { discard: true }), settleEnded(self, now))
      })
    )
  })

/** Whether runs are known to wait for places, and nothing is due that could come before them. */
const othersWait = ({ state }: Actor, now: DateTime.Utc): boolean =>
  state.mode === "Running" && state.isCrowded && !state.isStale && state.wakes.claim > now.epochMillis

/** What waited for these may start. To ask whether something did costs less than to start nothing. */
const foundEnds = ({ state }: Actor, settled: ReadonlyArray<Step>, started: number, start: Start | undefined): void => {
  state.isBusy = true
  if (start === undefined) {
    state.isStale = true
    return
  }
  const due = settled.map(({ job }) => Option.match(job, { onNone: () => Infinity, onSome: Job.dueAt }))
  state.isCrowded = started >= [...start.room.values()].reduce((sum, count) => sum + count, 0)
  state.isStale = !state.isCrowded
  state.wakes = { ...state.wakes, claim: Math.min(state.wakes.claim, ...due) }
}

/**
 * @since 0.1.0
 * @category steps
 */
export const recoverDead = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.suspend(() => {
    const limit = self.state.batch
    return Effect.flatMap(ask(self, "recover runs", self.store.recover({ now, limit })), (steps) => {
      self.state.isStale = true
      if (steps.length > 0) foundWork(self, { start: -Infinity })
      for (const step of steps) tellStep(self, step, { _tag: "Crashed" }, now)
      return steps.length >= limit ? recoverDead(self, now) : Effect.void
    })
  })

/**
 * One batch, so that what is claimed starts and what has ended is settled between one and the next. What is claimed starts
 * at once if nothing else waits to start before it.
 *
 * @since 0.1.0
 * @category steps
 */
export const claimDue = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  withPlaces(self, now, self.state.wakes.start > now.epochMillis, (start, begin) =>
    Effect.gen(function* () {
      const limit = self.state.batch
      const claim = yield* ask(self, "claim due jobs", self.store.claim({ now, limit, start }))
      const { advances, parked, started } = claim
      self.state.isStale = true
      self.state.isFlooded = advances.length + parked.length >= limit
      for (const { jobId, reason } of parked) self.hub.publish({ _tag: "JobParked", at: now, jobId, reason })
      for (const claimed of advances) tellClaimed(self, claimed, now)
      const made = advances.reduce((sum, { runs }) => sum + runs.length, 0)
      if (advances.length + parked.length > 0) {
        foundWork(self, made > started.length ? { claim: -Infinity, start: -Infinity } : { claim: -Infinity })
      }
      for (const step of started) yield* begin(step)
      yield* logUnhandled(self, advances)
      const hasRoom = [...(start?.room.values() ?? [])].some((count) => count > 0)
      return self.state.isFlooded && hasRoom && started.length === 0
    })
  ).pipe(
    // What comes first is among those that are not claimed yet.
    Effect.flatMap((isBehind) =>
      Effect.flatMap(Clock.currentTimeMillis, (later) =>
        isBehind && later < now.epochMillis + LONGEST_FLOOD ? claimDue(self, now) : Effect.void
      )
    )
  )

/** Something came of this turn, and something more may come of it. */
const foundWork = ({ state }: Actor, wakes: Partial<Wakes>): void => {
  state.isBusy = true
  state.wakes = { ...state.wakes, ...wakes }
}

const logUnhandled = (self: Actor, advances: ReadonlyArray<Job.Advance>): Effect.Effect<void> => {
  const missing = advances.flatMap(({ next: { policy, task } }) => [
    ...(self.tasks.has(task) ? [] : [`Task "${task}" has no handler on this node`]),
    ...(self.executors.get(policy.executor) === undefined
      ? [`There is no executor "${policy.executor}" on this node`]
      : [])
  ])
  const news = new Set(missing.filter((text) => !self.unhandled.has(text)))
  return Effect.forEach(
    news,
    (text) => {
      self.unhandled.add(text)
      return Effect.logWarning(`${text}: its runs are left for a node that has one`)
    },
    { discard: true }
  )
}

/**
 * @since 0.1.0
 * @category steps
 */
export const startReady = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.forEach(self.executors.all, (slots) => startOn(self, slots, now), { discard: true })

/** Places are taken before the store is asked, so that the loops of several stores do not give one of them twice. */
const startOn = (self: Actor, slots: ExecutorSlots, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.suspend(() => {
    const { state, store, tasks } = self
    const places = { slots, count: state.node === undefined ? 0 : slots.reserve(self.state.batch) }
    const limit = places.count
    if (state.node === undefined || limit === 0) return Effect.void
    const start = store.start({ node: state.node, now, limit, tasks, executor: slots.name })
    return ask(self, "start runs", start).pipe(
      Effect.tap((steps) => Effect.forEach(steps, (step) => beginOn(self, step, places, now), { discard: true })),
      Effect.ensuring(Effect.sync(() => slots.release(places.count))),
      Effect.flatMap((steps) => {
        state.isCrowded = steps.length >= limit
        if (self.executors.withRoom().size > 0) state.isStale = true
        // Where there is no room, nothing starts before something ends.
        else state.wakes = { ...state.wakes, start: Infinity }
        return state.isCrowded ? startOn(self, slots, now) : Effect.void
      })
    )
  })

/**
 * Gives up what its retention no longer keeps, and sets the gauges.
 *
 * @since 0.1.0
 * @category steps
 */
export const clean = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.gen(function* () {
    const { state, store } = self
    if (state.node === undefined || state.mode === "Draining" || now.epochMillis < state.cleanAt) return
    state.cleanAt = now.epochMillis + CLEANING
    const count = yield* ask(self, "prune the history", store.prune(now))
    if (count > 0) self.hub.publish({ _tag: "HistoryPruned", at: now, count })
    if (Number.isFinite(trust(self))) yield* Effect.zipRight(recoverDead(self, now), releaseUnknown(self))
    SchedulerMetrics.pruned.unsafeUpdate(count, [])
    SchedulerMetrics.sample(yield* ask(self, "count", store.counts))
  })

/**
 * A start that failed may have taken place all the same, even later: what the node holds unknowingly is given back.
 *
 * @since 0.1.0
 * @category steps
 */
export const releaseUnknown = (self: Actor): Effect.Effect<void, StoreError> =>
  Effect.map(ask(self, "list runs", self.store.runs({ states: ["Running"], limit: UNBOUNDED })), (runs) => {
    const { ended, node } = self.state
    const known = new Set([...self.attempts.keys(), ...ended.map(({ run }) => run.id)])
    const unknown = runs.filter(Run.isRunning).filter((run) => run.state.node === node && !known.has(run.id))
    for (const run of unknown) send(self, { _tag: "RunSettled", run, outcome: { _tag: "Interrupted" } })
  })
