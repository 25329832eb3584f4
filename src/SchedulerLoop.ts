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
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type * as Runtime from "effect/Runtime"
import * as AttemptFiber from "./AttemptFiber.ts"
import { Executor } from "./Executor.ts"
import type * as Job from "./Job.ts"
import { type Claim, JobStore, type Step } from "./JobStore.ts"
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
  | { readonly _tag: "RunSettled"; readonly run: Run.Running; readonly outcome: Run.Outcome }
  | { readonly _tag: "Pause" }
  | { readonly _tag: "Resume" }
  | { readonly _tag: "Shutdown"; readonly wait: Wait }
  | { readonly _tag: "InterruptAll" }

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

/** An attempt under way, and whether somebody called its run off. */
interface Attempt {
  readonly run: Run.Running
  readonly fiber: Fiber.RuntimeFiber<Run.Outcome>
  isCancelled: boolean
}

/** What the loop's fiber owns; nobody else writes it. All times are epoch milliseconds. */
interface State {
  mode: Mode
  node: string | undefined
  /** Until when the node may believe that it holds what it holds. */
  trustedUntil: number
  renewAt: number
  /** Until when a node that lost its lease waits for what it held to end, before it comes back. */
  returnAt: number
  wakeAt: number
  cleanAt: number
  /** The wall clock and the elapsed time, when they were last compared. */
  wall: number
  elapsed: number
  lastTurn: Option.Option<DateTime.Utc>
  storeFailures: number
  readonly ended: Array<Settlement>
}

interface Actor {
  readonly store: JobStore["Type"]
  readonly executor: Executor["Type"]
  readonly handlers: ReadonlyMap<string, Task.Handler>
  readonly tasks: ReadonlySet<string>
  readonly hub: SchedulerEvent.Hub
  /** How long the loop sleeps at most, so that it notices a clock that was set, in milliseconds. */
  readonly watch: number
  readonly attempts: Map<string, Attempt>
  /** Tasks without a handler here, each of which was logged once. */
  readonly unhandled: Set<string>
  readonly inbox: Array<Message>
  readonly bell: Effect.Latch
  /** What the fibers of attempts start with. */
  readonly runtime: Runtime.Runtime<never>
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

const SHORTEST_BACKOFF = 100
const LONGEST_BACKOFF = 5000

/**
 * The actor on the store and the executor of its context, for tasks with the given handlers.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly handlers: ReadonlyMap<string, Task.Handler>
  readonly hub: SchedulerEvent.Hub
  readonly isPaused: boolean
  readonly watch: Duration.Duration
}): Effect.Effect<SchedulerLoop, never, JobStore | Executor> =>
  Effect.gen(function* () {
    const self: Actor = {
      store: yield* JobStore,
      executor: yield* Executor,
      handlers: options.handlers,
      tasks: new Set(options.handlers.keys()),
      hub: options.hub,
      watch: Duration.toMillis(options.watch),
      attempts: new Map(),
      unhandled: new Set(),
      inbox: [],
      bell: yield* Effect.makeLatch(false),
      runtime: yield* Effect.runtime<never>(),
      state: yield* makeState(options.isPaused)
    }
    return { send: (message) => send(self, message), health: health(self), run: run(self) }
  })

const makeState = (isPaused: boolean): Effect.Effect<State> =>
  Effect.map(readClocks, (clocks) => ({
    mode: isPaused ? "Paused" : "Running",
    node: undefined,
    trustedUntil: Infinity,
    renewAt: Infinity,
    returnAt: 0,
    wakeAt: 0,
    cleanAt: 0,
    ...clocks,
    lastTurn: Option.none(),
    storeFailures: 0,
    ended: []
  }))

const run = (self: Actor): Effect.Effect<void> =>
  Effect.gen(function* () {
    while (self.state.mode !== "Stopped") {
      const now = yield* DateTime.now
      yield* turn(self, now).pipe(
        Effect.tap(() => recovered(self, now)),
        Effect.catchAllCause((cause) => failed(self, now, cause))
      )
      yield* sleep(self)
    }
  }).pipe(Effect.ensuring(endAttempts(self)))

/** Attempts are nobody's children but the loop's: none outlives it. */
const endAttempts = (self: Actor): Effect.Effect<void> =>
  Effect.suspend(() => Fiber.interruptAll([...self.attempts.values()].map(({ fiber }) => fiber)))

const turn = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.gen(function* () {
    self.state.lastTurn = Option.some(now)
    yield* compareClocks(self, now)
    yield* receive(self, now)
    yield* renew(self, now)
    yield* settleEnded(self, now)
    if (self.state.mode === "Running") {
      yield* recoverDead(self, now)
      yield* claimDue(self, now)
      yield* startReady(self, now)
    }
    yield* interruptCancelled(self)
    SchedulerMetrics.running.unsafeUpdate(self.attempts.size, [])
    yield* clean(self, now)
    if (isDrained(self)) return yield* stop(self, now)
    self.state.wakeAt = yield* nextWake(self, now)
  })

// ---------------------------------------------------------------------------------------------------------------------
// messages
// ---------------------------------------------------------------------------------------------------------------------

const send = (self: Actor, message: Message): void => {
  // Whatever is there already wakes the loop as well: hints do not pile up while the store has no answer.
  if (message._tag !== "Wake" || self.inbox.length === 0) self.inbox.push(message)
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
      return Effect.void
    case "RunSettled":
      return Effect.sync(() => {
        // What was taken for dead may still be ending, while another attempt of the same run goes on.
        if (self.attempts.get(message.run.id)?.run.attempt === message.run.attempt) self.attempts.delete(message.run.id)
        self.state.ended.push(message)
      })
    case "Pause":
      return Effect.sync(() => changeMode(self, "Running", "Paused", { _tag: "SchedulerPaused", at: now }))
    case "Resume":
      return Effect.sync(() => changeMode(self, "Paused", "Running", { _tag: "SchedulerResumed", at: now }))
    case "Shutdown":
      self.state.mode = "Draining"
      return endRuns(self, message.wait)
    case "InterruptAll":
      return Effect.sync(() => interruptAll(self))
  }
}

const changeMode = (self: Actor, from: Mode, to: Mode, event: SchedulerEvent.SchedulerEvent): void => {
  if (self.state.mode !== from) return
  self.state.mode = to
  self.hub.publish(event)
}

const endRuns = (self: Actor, wait: Wait): Effect.Effect<void> => {
  if (wait === true) return Effect.void
  const patience = wait === false ? Duration.zero : Duration.decode(wait)
  if (Duration.toMillis(patience) <= 0) return Effect.sync(() => interruptAll(self))
  const later = Effect.sync(() => send(self, { _tag: "InterruptAll" })).pipe(Effect.delay(patience))
  return Effect.asVoid(Effect.fork(later))
}

// Does not wait: each attempt reports its end by a message, in its own time.
const interruptAll = (self: Actor): void => {
  for (const { fiber } of self.attempts.values()) fiber.unsafeInterruptAsFork(FiberId.none)
}

/** Runs that were called off, here or on another node, while they are under way here. */
const interruptCancelled = (self: Actor): Effect.Effect<void, StoreError> => {
  const { attempts, state, store } = self
  if (state.node === undefined || attempts.size === 0) return Effect.void
  return Effect.map(ask(self, "list cancellations", store.cancellations(state.node)), (runIds) => {
    for (const attempt of runIds.flatMap((id) => attempts.get(id) ?? [])) {
      if (!attempt.isCancelled) attempt.fiber.unsafeInterruptAsFork(FiberId.none)
      attempt.isCancelled = true
    }
  })
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
    const onTimeout = () => new StoreError({ operation, cause: new Error(`no answer within ${duration} ms`) })
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
    self.hub.publish({ _tag: "SchedulerStarted", at: now, node })
  })

/**
 * The node is no longer who it was: what it holds is interrupted, and once that has ended, or four leases later, it comes
 * back under another id.
 */
const evict = (self: Actor, now: DateTime.Utc): void => {
  const { state, store } = self
  if (state.node !== undefined) self.hub.publish({ _tag: "LeaseLost", at: now, node: state.node })
  state.node = undefined
  state.trustedUntil = Infinity
  state.returnAt = now.epochMillis + 4 * Duration.toMillis(store.timing.lease)
  interruptAll(self)
}

const isLeaving = ({ attempts, state }: Actor, now: DateTime.Utc): boolean =>
  attempts.size > 0 && now.epochMillis < state.returnAt

const settleEnded = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.suspend(() => {
    const batch = [...self.state.ended]
    if (batch.length === 0) return Effect.void
    return Effect.map(ask(self, "settle runs", self.store.settle(batch, now)), (steps) => {
      self.state.ended.splice(0, batch.length)
      const settlements = new Map(batch.map((settlement) => [settlement.run.id, settlement]))
      for (const step of steps) {
        const settlement = settlements.get(step.run.id)
        if (settlement !== undefined) SchedulerMetrics.observeAttempt(settlement.run, now)
        tellStep(self, step, settlement?.outcome, now)
      }
    })
  })

const recoverDead = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Number.isFinite(trust(self))
    ? Effect.map(ask(self, "recover runs", self.store.recover({ now, limit: BATCH })), (steps) => {
        for (const step of steps) tellStep(self, step, { _tag: "Crashed" }, now)
      })
    : Effect.void

const claimDue = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.gen(function* () {
    const { advances, parked } = yield* ask(self, "claim due jobs", self.store.claim({ now, limit: BATCH }))
    for (const { jobId, reason } of parked) self.hub.publish({ _tag: "JobParked", at: now, jobId, reason })
    for (const claimed of advances) tellClaimed(self, claimed, now)
    yield* logUnhandled(self, advances)
    if (advances.length === BATCH) yield* claimDue(self, now)
  })

const logUnhandled = (self: Actor, advances: ReadonlyArray<Job.Advance>): Effect.Effect<void> => {
  const news = advances.filter(({ next }) => !self.tasks.has(next.task) && !self.unhandled.has(next.task))
  if (news.length === 0) return Effect.void
  return Effect.forEach(new Set(news.map(({ next }) => next.task)), (task) => {
    self.unhandled.add(task)
    return Effect.logWarning(`Task "${task}" has no handler on this node: its runs are left for a node that has one`)
  })
}

const startReady = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.gen(function* () {
    const { node } = self.state
    const limit = Math.min(self.executor.concurrency - self.attempts.size, BATCH)
    if (node === undefined || limit <= 0) return
    const steps = yield* ask(self, "start runs", self.store.start({ node, now, limit, tasks: self.tasks }))
    for (const step of steps) {
      tellStep(self, step, undefined, now)
      if (Run.isRunning(step.run)) yield* begin(self, step.run, step.job)
    }
    if (steps.length >= limit) yield* startReady(self, now)
  })

const begin = (self: Actor, run: Run.Running, job: Option.Option<Job.Job>): Effect.Effect<void> => {
  const handler = self.handlers.get(run.task)
  if (Option.isNone(job) || handler === undefined) return Effect.void
  return Effect.map(AttemptFiber.start(self.runtime, self.executor, run, job.value, handler), (fiber) => {
    const attempt: Attempt = { run, fiber, isCancelled: false }
    self.attempts.set(run.id, attempt)
    fiber.addObserver((exit) => send(self, { _tag: "RunSettled", run, outcome: toOutcome(exit, attempt) }))
  })
}

const toOutcome = (exit: Exit.Exit<Run.Outcome>, { isCancelled }: Attempt): Run.Outcome => {
  if (Exit.isSuccess(exit)) return exit.value
  if (Cause.isInterruptedOnly(exit.cause)) return { _tag: isCancelled ? "Cancelled" : "Interrupted" }
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
    if (Number.isFinite(trust(self))) yield* releaseUnknown(self)
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

const nextWake = (self: Actor, now: DateTime.Utc): Effect.Effect<number, StoreError> => {
  const { mode, node, renewAt } = self.state
  if (node === undefined) {
    return Effect.succeed(mode === "Draining" ? Infinity : isLeaving(self, now) ? self.state.returnAt : 0)
  }
  if (mode !== "Running") return Effect.succeed(renewAt)
  const poll = now.epochMillis + Duration.toMillis(self.store.timing.poll)
  const hasRoom = self.attempts.size < self.executor.concurrency
  const tasks: ReadonlySet<string> = hasRoom ? self.tasks : new Set()
  return Effect.map(ask(self, "find the next wake", self.store.nextWake({ node, tasks })), (wake) =>
    Math.min(renewAt, poll, Option.match(wake, { onNone: () => Infinity, onSome: (at) => at.epochMillis }))
  )
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

const readClocks = Effect.map(Effect.all([Clock.currentTimeMillis, Clock.currentTimeNanos]), ([wall, nanos]) => ({
  wall,
  elapsed: Number(nanos / 1_000_000n)
}))

/**
 * Times that were meant as so much later stay so, and the lease is renewed, for others go by the wall clock. Only trust is
 * never prolonged: while the machine slept, others may have taken over.
 */
const adjust = (state: State, wall: number, millis: number): void => {
  if (state.node !== undefined) state.renewAt = wall
  state.cleanAt = wall
  state.returnAt += millis
  state.trustedUntil += Math.min(millis, 0)
}

/** A wall clock that has not gone as far as time has was set, or the machine slept: what was known of leases is void. */
const compareClocks = (self: Actor, now: DateTime.Utc): Effect.Effect<void> =>
  Effect.map(readClocks, ({ elapsed, wall }) => {
    const millis = wall - self.state.wall - (elapsed - self.state.elapsed)
    Object.assign(self.state, { wall, elapsed })
    if (Math.abs(millis) < JUMP) return
    adjust(self.state, wall, millis)
    self.hub.publish({ _tag: "ClockJumped", at: now, millis })
  })

const failed = (self: Actor, now: DateTime.Utc, cause: Cause.Cause<StoreError>): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { state } = self
    if (state.storeFailures++ === 0) {
      self.hub.publish({ _tag: "StoreUnavailable", at: now, message: Cause.pretty(cause) })
    }
    yield* Effect.logWarning("The scheduler could not complete a turn; it tries again", cause)
    const later = yield* Clock.currentTimeMillis
    if (later >= state.trustedUntil) evict(self, now)
    if (state.mode === "Draining" && self.attempts.size === 0) return yield* stop(self, now)
    const backoff = Math.min(SHORTEST_BACKOFF * 2 ** Math.min(state.storeFailures - 1, 10), LONGEST_BACKOFF)
    state.wakeAt = Math.min(later + backoff, state.trustedUntil)
  })

const recovered = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.gen(function* () {
    if (self.state.storeFailures === 0) return
    yield* releaseUnknown(self)
    self.state.storeFailures = 0
    self.hub.publish({ _tag: "StoreRecovered", at: now })
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

const stop = (self: Actor, now: DateTime.Utc): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { node } = self.state
    self.state.mode = "Stopped"
    // What could not be settled is held until the lease is over, and then taken over.
    const isSettled = self.state.ended.length === 0
    if (node !== undefined && isSettled)
      yield* Effect.ignoreLogged(ask(self, "release the node", self.store.release(node)))
    self.hub.publish({ _tag: "SchedulerShutdown", at: now })
  })

const health = ({ attempts, state }: Actor): Effect.Effect<Health> =>
  Effect.sync(() => ({
    mode: state.mode,
    node: Option.fromNullable(state.node),
    running: attempts.size,
    isStoreAvailable: state.storeFailures === 0,
    lastTurn: state.lastTurn
  }))
