/**
 * The actor: one fiber that owns the scheduler's state, takes messages, and turn by turn settles what ended, claims what
 * is due, starts what fits, renews its lease, and sleeps until the next wake or message.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type * as Runtime from "effect/Runtime"
import * as AttemptCoordinator from "./AttemptCoordinator.ts"
import * as AttemptFiber from "./AttemptFiber.ts"
import * as Job from "./Job.ts"
import { type Claim, type JobStore, type Start, type Step, soonest, type Wakes } from "./JobStore.ts"
import type { ExecutorSlots, NamedExecutors } from "./NamedExecutors.ts"
import * as Run from "./Run.ts"
import { StoreError } from "./SchedulerError.ts"
import * as SchedulerEvent from "./SchedulerEvent.ts"
import * as SchedulerMetrics from "./SchedulerMetrics.ts"
import * as Task from "./Task.ts"

/**
 * How long a shutdown waits for runs under way before it interrupts them: for ever, not at all, or so long.
 *
 * @since 0.1.0
 * @category models
 */
export type Wait = boolean | Duration.DurationInput

/**
 * What the actor is told. `Wake` says only that there may be something new in the store.
 *
 * @since 0.1.0
 * @category models
 */
export type Message =
  | { readonly _tag: "Wake" }
  /** An executor has places again that another loop had taken. */
  | { readonly _tag: "Room" }
  /** With the place that the attempt had, if it had one. */
  | {
      readonly _tag: "RunSettled"
      readonly run: Run.Running
      readonly outcome: Run.Outcome
      readonly slots?: ExecutorSlots
    }
  | { readonly _tag: "Pause" }
  | { readonly _tag: "Resume" }
  | { readonly _tag: "Shutdown"; readonly wait: Wait }
  /** To end by itself as soon as nothing is due or under way. */
  | { readonly _tag: "FinishDue" }
  /** Of one executor, or of all. */
  | { readonly _tag: "InterruptAll"; readonly executor?: string | undefined }

/**
 * What the actor is doing: `Draining` ones start nothing more and wait for what runs.
 *
 * @since 0.1.0
 * @category models
 */
export type Mode = "Running" | "Paused" | "Draining" | "Stopped"

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

interface Settlement {
  readonly run: Run.Running
  readonly outcome: Run.Outcome
}

/** An attempt under way, whether it was interrupted, and whether somebody called its run off. */
interface Attempt {
  readonly run: Run.Running
  readonly fiber: Fiber.RuntimeFiber<Run.Outcome>
  isInterrupted: boolean
  isCancelled: boolean
}

/** What the loop's fiber owns; nobody else writes it. All times are epoch milliseconds. */
interface State {
  mode: Mode
  /** It ends by itself as soon as nothing is due or under way. */
  isFinishing: boolean
  attempted: number
  node: string | undefined
  /** Until when the node may believe that it holds what it holds. */
  trustedUntil: number
  renewAt: number
  /** Until when a node that lost its lease waits for what it held to end, before it comes back. */
  returnAt: number
  /** What the store said last of when there is something to do, and whether that may hold no longer. */
  wakes: Wakes
  isStale: boolean
  /** When the store was asked last, and when it is asked anew, whatever it said. */
  askedAt: number
  pollAt: number
  /** Whether this turn has found something to do, and how many before it have not, although something was due. */
  isBusy: boolean
  vainTurns: number
  /** Whether there was more to claim than one transaction takes, and more to start than there was room for. */
  isFlooded: boolean
  isCrowded: boolean
  wakeAt: number
  cleanAt: number
  /** The wall clock and the elapsed time, when they were last compared. */
  wall: number
  elapsed: number
  lastTurn: Option.Option<DateTime.Utc>
  storeFailures: number
  /** When it was last logged that the store failed, and whether it is yet to be logged that it has recovered. */
  warnedAt: number
  isWarned: boolean
  /** How much is asked of the store at a time: a slow one that answers only small questions in time still gets on. */
  batch: number
  readonly ended: Array<Settlement>
}

interface Actor {
  readonly name: string
  readonly store: JobStore["Type"]
  readonly executors: NamedExecutors
  readonly handlers: ReadonlyMap<string, Task.Handler>
  readonly tasks: ReadonlySet<string>
  readonly hub: SchedulerEvent.Hub
  /** How long the loop sleeps at most, so that it notices a clock that was set, in milliseconds. */
  readonly watch: number
  readonly attempts: Map<string, Attempt>
  /** Whether it tells of what concerns the scheduler as a whole. */
  readonly isFirst: boolean
  /** Tasks without a handler here, and executors that are not here, each of which was logged once. */
  readonly unhandled: Set<string>
  readonly inbox: Array<Message>
  readonly bell: Effect.Latch
  /** What the fibers of attempts start with. */
  readonly runtime: Runtime.Runtime<never>
  readonly coordinator: AttemptCoordinator.AttemptCoordinator
  readonly state: State
}

/**
 * At most so many jobs are claimed, or runs started or recovered, in one transaction.
 *
 * @since 0.1.0
 * @category constants
 */
export const BATCH = 500

/** More runs than any node holds. */
const UNBOUNDED = 1_000_000

// Timers of more than 2³¹ − 1 milliseconds never fire.
const LONGEST_TIMER = 2_147_483_647

/**
 * How often old history is given up and the gauges are set, in milliseconds.
 *
 * @since 0.1.0
 * @category constants
 */
export const CLEANING = 60_000

/** Clocks that differ by less are only imprecise, in milliseconds. */
const JUMP = 1000

const NEVER: Wakes = { claim: Infinity, start: Infinity, recover: Infinity, cancelled: [] }

/** How long the store is not asked at most while there is more than enough to claim, in milliseconds. */
const LONGEST_FLOOD = 100

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

const makeState = (isPaused: boolean): Effect.Effect<State> =>
  Effect.map(readClocks, (clocks) => ({
    mode: isPaused ? "Paused" : "Running",
    isFinishing: false,
    attempted: 0,
    node: undefined,
    trustedUntil: Infinity,
    renewAt: Infinity,
    returnAt: 0,
    wakes: NEVER,
    isStale: true,
    askedAt: 0,
    pollAt: 0,
    isBusy: false,
    vainTurns: 0,
    isFlooded: false,
    isCrowded: false,
    wakeAt: 0,
    cleanAt: 0,
    ...clocks,
    lastTurn: Option.none(),
    storeFailures: 0,
    warnedAt: -Infinity,
    isWarned: false,
    batch: BATCH,
    ended: []
  }))

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

/** Attempts are nobody's children but the loop's: none outlives it. */
const endAttempts = (self: Actor): Effect.Effect<void> =>
  Effect.suspend(() => {
    interruptAll(self)
    return Effect.asVoid(Fiber.awaitAll([...self.attempts.values()].map(({ fiber }) => fiber)))
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

// ---------------------------------------------------------------------------------------------------------------------
// messages
// ---------------------------------------------------------------------------------------------------------------------

const send = (self: Actor, message: Message): void => {
  // Other news wakes the loop as well, but only a hint says to ask; many do not pile up while the store has no answer.
  if (message._tag !== "Wake" || self.inbox.at(-1)?._tag !== "Wake") self.inbox.push(message)
  self.bell.unsafeOpen()
}

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

// Does not wait: each attempt reports its end by a message, in its own time.
const interruptAll = (self: Actor, executor?: string): void => {
  for (const attempt of self.attempts.values()) {
    if (executor === undefined || attempt.run.executor === executor) interrupt(attempt)
  }
}

/** Once: a second interruption would reach what the handler still releases after the first one. */
const interrupt = (attempt: Attempt): void => {
  if (!attempt.isInterrupted) attempt.fiber.unsafeInterruptAsFork(FiberId.none)
  attempt.isInterrupted = true
}

/** Runs that were called off, here or on another node, while they are under way here. */
const interruptCancelled = ({ attempts }: Actor, runIds: ReadonlyArray<string>): void => {
  for (const attempt of runIds.flatMap((id) => attempts.get(id) ?? [])) {
    attempt.isCancelled = true
    interrupt(attempt)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// steps of a turn
// ---------------------------------------------------------------------------------------------------------------------

/** A node trusts itself for a shorter time than others wait before they take over what it holds. */
const trust = (self: Actor): number => Duration.toMillis(self.store.timing.lease) * 0.8

/**
 * A question that is not answered may not cost the lease: the next renewal still comes in time, and what the node holds is
 * interrupted in time. Nor is its interruption waited for: a connection that leads nowhere does not answer that either.
 */
const ask = <A>(self: Actor, operation: string, effect: Effect.Effect<A, StoreError>): Effect.Effect<A, StoreError> => {
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

const renew = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
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
 */
const evict = (self: Actor, now: DateTime.Utc): void => {
  const { state, store } = self
  if (state.node !== undefined) self.hub.publish({ _tag: "LeaseLost", at: now, node: state.node, store: self.name })
  state.node = undefined
  state.trustedUntil = Infinity
  state.returnAt = now.epochMillis + 4 * Duration.toMillis(store.timing.lease)
  interruptAll(self)
}

const isLeaving = ({ attempts, state }: Actor, now: DateTime.Utc): boolean =>
  attempts.size > 0 && now.epochMillis < state.returnAt

const settleEnded = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
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

const tellSettled = (
  self: Actor,
  batch: ReadonlyArray<Settlement>,
  settled: ReadonlyArray<Step>,
  now: DateTime.Utc
): void => {
  const settlements = new Map(batch.map((settlement) => [settlement.run.id, settlement]))
  for (const step of settled) {
    const settlement = settlements.get(step.run.id)
    if (settlement !== undefined) SchedulerMetrics.observeAttempt(settlement.run, now)
    tellStep(self, step, settlement?.outcome, now)
  }
}

const recoverDead = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
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
 */
const claimDue = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
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

type Begin = (step: Step) => Effect.Effect<void>

/** Takes all places for what a step of the turn may start besides, if it may, and gives back those that are left. */
const withPlaces = <A>(
  self: Actor,
  now: DateTime.Utc,
  mayStart: boolean,
  step: (start: Start | undefined, begin: Begin) => Effect.Effect<A, StoreError>
): Effect.Effect<A, StoreError> =>
  Effect.suspend(() => {
    const { executors, state, tasks } = self
    if (state.node === undefined || !mayStart) return step(undefined, () => Effect.void)
    const reserve = (slots: ExecutorSlots) => ({ slots, count: slots.reserve(state.batch) })
    const places = new Map([...executors.all].map((slots) => [slots.name, reserve(slots)]))
    const room = new Map([...places].map(([name, { count }]) => [name, count]))
    const begin: Begin = (step) => beginOn(self, step, places.get(step.run.executor)!, now)
    const giveBack = Effect.sync(() => {
      for (const { count, slots } of places.values()) slots.release(count)
    })
    return Effect.ensuring(step({ node: state.node, tasks, room }, begin), giveBack)
  })

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

const startReady = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
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

/** Places of an executor that were taken for attempts which have not begun yet. */
interface Places {
  readonly slots: ExecutorSlots
  count: number
}

const beginOn = (self: Actor, step: Step, places: Places, now: DateTime.Utc): Effect.Effect<void> => {
  const { job, run } = step
  self.state.isBusy = true
  tellStep(self, step, undefined, now)
  const handler = self.handlers.get(run.task)
  if (!Run.isRunning(run) || Option.isNone(job) || handler === undefined) return Effect.void
  places.count--
  self.state.attempted++
  const { executor } = places.slots
  const start = AttemptFiber.start(self.runtime, executor, run, job.value, handler, self.coordinator)
  return Effect.map(start, (fiber) => {
    const attempt: Attempt = { run, fiber, isInterrupted: false, isCancelled: false }
    self.attempts.set(run.id, attempt)
    fiber.addObserver((exit) =>
      send(self, { _tag: "RunSettled", run, outcome: toOutcome(self, exit, attempt), slots: places.slots })
    )
  })
}

const toOutcome = (self: Actor, exit: Exit.Exit<Run.Outcome>, { isCancelled, run }: Attempt): Run.Outcome => {
  if (Exit.isSuccess(exit)) return exit.value
  const output = self.coordinator.takeOutput(run)
  const written = output === undefined ? {} : { output }
  if (Cause.isInterruptedOnly(exit.cause)) return { _tag: isCancelled ? "Cancelled" : "Interrupted", ...written }
  return { _tag: "Failed", failure: { kind: "Defect", ...Task.describe(exit.cause) } }
}

/** Gives up what its retention no longer keeps, and sets the gauges. */
const clean = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
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

// ---------------------------------------------------------------------------------------------------------------------
// events
// ---------------------------------------------------------------------------------------------------------------------

const tellClaimed = (self: Actor, claimed: Claim["advances"][number], now: DateTime.Utc): void => {
  for (const runs of [claimed.missed, claimed.skipped, claimed.cancelled]) {
    for (const run of runs) SchedulerMetrics.observe(run, undefined)
  }
  if (Option.isSome(claimed.dropped)) SchedulerMetrics.dropped.unsafeUpdate(claimed.dropped.value.count, [])
  if (self.hub.isHeard()) for (const event of SchedulerEvent.ofClaimed(claimed, now)) self.hub.publish(event)
}

const tellStep = (self: Actor, step: Step, outcome: Run.Outcome | undefined, now: DateTime.Utc): void => {
  SchedulerMetrics.observe(step.run, outcome)
  if (self.hub.isHeard()) for (const event of SchedulerEvent.ofStep(step, outcome, now)) self.hub.publish(event)
}

// ---------------------------------------------------------------------------------------------------------------------
// sleep, failure and the end
// ---------------------------------------------------------------------------------------------------------------------

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

type Clocks = Pick<State, "wall" | "elapsed">

const readClocks: Effect.Effect<Clocks> = Effect.map(
  Effect.all([Clock.currentTimeMillis, Clock.currentTimeNanos]),
  ([wall, nanos]) => ({
    wall,
    elapsed: Number(nanos / 1_000_000n)
  })
)

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
 */
const compareClocks = (self: Actor, now: DateTime.Utc, { elapsed, wall }: Clocks): void => {
  const millis = wall - self.state.wall - (elapsed - self.state.elapsed)
  Object.assign(self.state, { wall, elapsed })
  if (Math.abs(millis) < JUMP) return
  adjust(self.state, wall, millis)
  if (self.isFirst) self.hub.publish({ _tag: "ClockJumped", at: now, millis })
}

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

/** A start that failed may have taken place all the same, even later: what the node holds unknowingly is given back. */
const releaseUnknown = (self: Actor): Effect.Effect<void, StoreError> =>
  Effect.map(ask(self, "list runs", self.store.runs({ states: ["Running"], limit: UNBOUNDED })), (runs) => {
    const { ended, node } = self.state
    const known = new Set([...self.attempts.keys(), ...ended.map(({ run }) => run.id)])
    const unknown = runs.filter(Run.isRunning).filter((run) => run.state.node === node && !known.has(run.id))
    for (const run of unknown) send(self, { _tag: "RunSettled", run, outcome: { _tag: "Interrupted" } })
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
