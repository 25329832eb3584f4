/**
 * The actor: one fiber that owns the scheduler's state, takes messages, and turn by turn settles what ended, claims what
 * is due, starts what fits, renews its lease, and sleeps until the next wake or message.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as AttemptCoordinator from "./AttemptCoordinator.ts"
import { type JobStore, soonest } from "./JobStore.ts"
import { endAttempts, interruptAll, interruptCancelled } from "./LoopAttempts.ts"
import { ask, compareClocks, evict, isLeaving, renew, trust } from "./LoopLease.ts"
import {
  type Actor,
  type Attempt,
  BATCH,
  type Clocks,
  type Message,
  type Mode,
  makeState,
  readClocks,
  type State,
  send,
  type Wait
} from "./LoopState.ts"
import { claimDue, clean, LONGEST_FLOOD, recoverDead, releaseUnknown, settleEnded, startReady } from "./LoopSteps.ts"
import type { NamedExecutors } from "./NamedExecutors.ts"
import type { StoreError } from "./SchedulerError.ts"
import type * as SchedulerEvent from "./SchedulerEvent.ts"
import * as SchedulerMetrics from "./SchedulerMetrics.ts"
import type * as Task from "./Task.ts"

/**
 * How the scheduler is: its mode, its id in the store once it has one, how many runs it carries out, whether the store
 * answered last time, and when it last looked.
 *
 * @since 0.1.0
 * @category models
 */
export interface Health {
  readonly mode: Mode
  readonly node: Option.Option<string>
  readonly running: number
  readonly isStoreAvailable: boolean
  readonly lastTurn: Option.Option<DateTime.Utc>
  /** How many attempts it has begun. */
  readonly attempted: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface SchedulerLoop {
  /** Never waits and never fails. */
  readonly send: (message: Message) => void
  readonly health: Effect.Effect<Health>
  /** Turns until a `Shutdown` is done; survives whatever fails. */
  readonly run: Effect.Effect<void>
}

// Timers of more than 2³¹ − 1 milliseconds never fire.
const LONGEST_TIMER = 2_147_483_647

const NOBODY: ReadonlySet<string> = new Set()

/** How long something that is due and held by others waits at most before it is looked for again, in milliseconds. */
const LONGEST_VAIN = 500

const SHORTEST_BACKOFF = 100

const LONGEST_BACKOFF = 5000

/** How long nothing more is logged of a store that goes on to fail, and of one that comes and goes, in milliseconds. */
const REMINDER = 60_000

const RELAPSE = 10_000

/**
 * @since 0.1.0
 * @category models
 */
export interface LoopOptions {
  /** The name of the store among those of the scheduler. */
  readonly name: string
  readonly store: JobStore["Type"]
  readonly executors: NamedExecutors
  readonly handlers: ReadonlyMap<string, Task.Handler>
  readonly hub: SchedulerEvent.Hub
  readonly isPaused: boolean
  /** Whether it tells that the scheduler is paused, goes on, or that its clock was set, which all loops notice. */
  readonly isFirst: boolean
  readonly watch: Duration.Duration
}

/**
 * The actor of one store, for tasks with the given handlers, on the executors of its scheduler.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: LoopOptions): Effect.Effect<SchedulerLoop> =>
  Effect.gen(function* () {
    const { executors, handlers, hub, isFirst, name, store } = options
    const attempts = new Map<string, Attempt>()
    const self: Actor = {
      ...{ name, store, executors, handlers, hub, isFirst },
      tasks: new Set(handlers.keys()),
      watch: Duration.toMillis(options.watch),
      attempts,
      unhandled: new Set(),
      inbox: [],
      bell: yield* Effect.makeLatch(false),
      runtime: yield* Effect.runtime<never>(),
      coordinator: yield* AttemptCoordinator.make({
        ...{ store, hub },
        isUnderWay: ({ attempt, id }) => attempts.get(id)?.run.attempt === attempt
      }),
      state: yield* makeState(options.isPaused)
    }
    return { send: (message) => send(self, message), health: health(self), run: run(self) }
  })

const run = (self: Actor): Effect.Effect<void> =>
  Effect.suspend(() => {
    const forget = self.executors.onRoom(() => send(self, { _tag: "Room" }))
    const end = Effect.zipRight(Effect.sync(forget), endAttempts(self))
    // A fiber of its own, so that no turn waits for what is only told.
    return Effect.forkScoped(self.coordinator.run).pipe(
      Effect.zipRight(Effect.ensuring(turns(self), end)),
      Effect.scoped
    )
  })

const turns = (self: Actor): Effect.Effect<void> =>
  Effect.gen(function* () {
    while (self.state.mode !== "Stopped") {
      const clocks = yield* readClocks
      const now = DateTime.unsafeMake(clocks.wall)
      yield* turn(self, now, clocks).pipe(
        Effect.tap(() => recovered(self, now)),
        Effect.catchAllCause((cause) => failed(self, now, cause))
      )
      yield* sleep(self)
    }
  })

const turn = (self: Actor, now: DateTime.Utc, clocks: Clocks): Effect.Effect<void, StoreError> =>
  Effect.gen(function* () {
    const { state } = self
    state.lastTurn = Option.some(now)
    state.isBusy = false
    if (state.pollAt <= now.epochMillis) state.isStale = true
    compareClocks(self, now, clocks)
    yield* receive(self, now)
    yield* renew(self, now)
    const isClaiming = mayOverlap(self)
    yield* isClaiming ? together(settleEnded(self, now), claimDue(self, now)) : settleEnded(self, now)
    if (mustAsk(self, now)) yield* lookAhead(self, now)
    if (state.mode === "Running") yield* carryOut(self, now, isClaiming)
    SchedulerMetrics.running.unsafeUpdate(self.attempts.size, [])
    yield* clean(self, now)
    if (isDrained(self)) return yield* stop(self)
    if (mustAsk(self, now) && self.inbox.length === 0) yield* lookAhead(self, now)
    decideWake(self, now)
  })

/**
 * In a flood the store settles what ended while it claims what comes next: one of them waits for the database while the other
 * one computes. They meet as two nodes would. A store in memory has nothing to wait for.
 */
const mayOverlap = (self: Actor): boolean => {
  const { ended, isFlooded, mode, node } = self.state
  return isFlooded && mode === "Running" && node !== undefined && ended.length > 0 && Number.isFinite(trust(self))
}

/** Both come to their ends, also where one of them fails. */
const together = (...steps: ReadonlyArray<Effect.Effect<void, StoreError>>): Effect.Effect<void, StoreError> =>
  Effect.flatMap(Effect.all(steps.map(Effect.exit), { concurrency: "unbounded" }), (exits) =>
    Effect.all(exits, { discard: true })
  )

const carryOut = (self: Actor, now: DateTime.Utc, hasClaimed: boolean): Effect.Effect<void, StoreError> =>
  Effect.gen(function* () {
    const { node, storeFailures, wakes } = self.state
    if (node === undefined) return
    // A store that failed has recovered when it has done all that it is for, also where nothing is due.
    const isDue = (at: number) => at <= now.epochMillis || storeFailures > 0
    if (isDue(wakes.recover)) yield* recoverDead(self, now)
    if (!hasClaimed && isDue(wakes.claim)) yield* claimDue(self, now)
    if (isDue(self.state.wakes.start)) yield* startReady(self, now)
  })

const receive = (self: Actor, now: DateTime.Utc): Effect.Effect<void> =>
  Effect.suspend(() => {
    self.bell.unsafeClose()
    return Effect.forEach(self.inbox.splice(0), (message) => handle(self, message, now), { discard: true })
  })

const handle = (self: Actor, message: Message, now: DateTime.Utc): Effect.Effect<void> => {
  switch (message._tag) {
    case "Wake":
    case "Room":
      return Effect.sync(() => {
        self.state.isStale = true
      })
    case "RunSettled":
      return Effect.sync(() => {
        message.slots?.release(1)
        // What was taken for dead may still be ending, while another attempt of the same run goes on.
        if (self.attempts.get(message.run.id)?.run.attempt === message.run.attempt) self.attempts.delete(message.run.id)
        self.state.ended.push(message)
      })
    case "Pause":
      return Effect.sync(() => changeMode(self, "Running", "Paused", { _tag: "SchedulerPaused", at: now }))
    case "Resume":
      self.state.isStale = true
      return Effect.sync(() => changeMode(self, "Paused", "Running", { _tag: "SchedulerResumed", at: now }))
    case "Shutdown":
      self.state.mode = "Draining"
      return endRuns(self, message.wait)
    case "FinishDue":
      self.state.isFinishing = true
      return Effect.void
    case "InterruptAll":
      return Effect.sync(() => interruptAll(self, message.executor))
  }
}

const changeMode = (self: Actor, from: Mode, to: Mode, event: SchedulerEvent.SchedulerEvent): void => {
  if (self.state.mode !== from) return
  self.state.mode = to
  if (self.isFirst) self.hub.publish(event)
}

const endRuns = (self: Actor, wait: Wait): Effect.Effect<void> => {
  if (wait === true) return Effect.void
  const patience = wait === false ? Duration.zero : Duration.decode(wait)
  if (Duration.toMillis(patience) <= 0) return Effect.sync(() => interruptAll(self))
  const later = Effect.sync(() => send(self, { _tag: "InterruptAll" })).pipe(Effect.delay(patience))
  return Effect.asVoid(Effect.fork(later))
}

/** While there is more to claim than one turn does, that is the next thing, and what else there is can wait a little. */
const mustAsk = ({ state }: Actor, now: DateTime.Utc): boolean =>
  state.isStale && !(state.isFlooded && state.mode === "Running" && now.epochMillis < state.askedAt + LONGEST_FLOOD)

/** Asks the store what comes next. */
const lookAhead = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.gen(function* () {
    const { state, store } = self
    const { node } = state
    if (node === undefined) return
    const [tasks, executors] = state.mode === "Running" ? [self.tasks, self.executors.withRoom()] : [NOBODY, NOBODY]
    state.wakes = yield* ask(self, "find the next wake", store.nextWake({ node, tasks, executors }))
    state.isStale = false
    state.askedAt = now.epochMillis
    state.pollAt = now.epochMillis + Duration.toMillis(store.timing.poll)
    interruptCancelled(self, state.wakes.cancelled)
  })

const decideWake = (self: Actor, now: DateTime.Utc): void => {
  const { state } = self
  const { mode, node, renewAt } = state
  if (node === undefined) {
    state.wakeAt = mode === "Draining" ? Infinity : isLeaving(self, now) ? state.returnAt : 0
  } else if (mode !== "Running") {
    state.wakeAt = renewAt
  } else if (hasFinished(self, now)) {
    send(self, { _tag: "Shutdown", wait: true })
  } else {
    state.wakeAt = state.isStale ? 0 : Math.min(renewAt, state.pollAt, due(state, now))
  }
}

const hasFinished = ({ attempts, state }: Actor, now: DateTime.Utc): boolean =>
  state.isFinishing &&
  attempts.size + state.ended.length === 0 &&
  !state.isStale &&
  soonest(state.wakes) > now.epochMillis

/** What is due and was not found, since others hold it, is looked for less and less often. */
const due = (state: State, now: DateTime.Utc): number => {
  const at = soonest(state.wakes)
  state.vainTurns = state.isBusy || at > now.epochMillis ? 0 : state.vainTurns + 1
  return state.vainTurns < 2 ? at : now.epochMillis + Math.min(5 * 2 ** Math.min(state.vainTurns, 10), LONGEST_VAIN)
}

const sleep = (self: Actor): Effect.Effect<void> =>
  Effect.gen(function* () {
    if (self.state.mode === "Stopped" || self.inbox.length > 0) return
    const millis = self.state.wakeAt - (yield* Clock.currentTimeMillis)
    // Something fell due during the turn: whoever else is ready to run comes first.
    if (millis <= 0) return yield* Effect.yieldNow()
    const longest = Math.min(millis, self.watch)
    if (longest === Infinity) return yield* self.bell.await
    yield* Effect.raceFirst(self.bell.await, Effect.sleep(Math.min(longest, LONGEST_TIMER)))
  })

const failed = (self: Actor, now: DateTime.Utc, cause: Cause.Cause<StoreError>): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { state } = self
    if (state.storeFailures++ === 0) {
      self.hub.publish({ _tag: "StoreUnavailable", at: now, message: Cause.pretty(cause), store: self.name })
    }
    state.isStale = true
    const later = yield* Clock.currentTimeMillis
    yield* warn(state, cause, later)
    if (later >= state.trustedUntil) evict(self, now)
    if (state.mode === "Draining" && self.attempts.size === 0) return yield* stop(self)
    const backoff = Math.min(SHORTEST_BACKOFF * 2 ** Math.min(state.storeFailures - 1, 10), LONGEST_BACKOFF)
    state.wakeAt = Math.min(later + backoff, state.trustedUntil)
  })

/** Turns fail as often as there is news: not each of them is worth a line. */
const warn = (state: State, cause: Cause.Cause<StoreError>, now: number): Effect.Effect<void> => {
  const text = "The scheduler could not complete a turn; it tries again"
  const pause = state.storeFailures === 1 ? RELAPSE : REMINDER
  if (Math.abs(now - state.warnedAt) < pause) return Effect.logDebug(text, cause)
  Object.assign(state, { warnedAt: now, isWarned: true })
  return Effect.logWarning(text, cause)
}

const recovered = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.gen(function* () {
    const { batch, storeFailures } = self.state
    self.state.batch = Math.min(batch + Math.ceil(batch / 8), BATCH)
    if (storeFailures === 0) return
    yield* releaseUnknown(self)
    if (self.state.isWarned) yield* Effect.logInfo("The store of the scheduler answers again")
    Object.assign(self.state, { storeFailures: 0, isWarned: false })
    self.hub.publish({ _tag: "StoreRecovered", at: now, store: self.name })
  })

const isDrained = ({ attempts, inbox, state }: Actor): boolean =>
  state.mode === "Draining" && attempts.size === 0 && state.ended.length === 0 && inbox.length === 0

const stop = (self: Actor): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { node } = self.state
    self.state.mode = "Stopped"
    // What could not be settled is held until the lease is over, and then taken over.
    const isSettled = self.state.ended.length === 0
    if (node !== undefined && isSettled)
      yield* Effect.ignoreLogged(ask(self, "release the node", self.store.release(node)))
  })

const health = ({ attempts, state }: Actor): Effect.Effect<Health> =>
  Effect.sync(() => ({
    mode: state.mode,
    node: Option.fromNullable(state.node),
    running: attempts.size,
    isStoreAvailable: state.storeFailures === 0,
    lastTurn: state.lastTurn,
    attempted: state.attempted
  }))
