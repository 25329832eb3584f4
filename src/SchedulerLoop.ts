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
import * as FiberId from "effect/FiberId"
import * as FiberMap from "effect/FiberMap"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { type Attempt, Executor } from "./Executor.ts"
import type * as Job from "./Job.ts"
import { type Claim, JobStore, type Step } from "./JobStore.ts"
import * as Run from "./Run.ts"
import { StoreError } from "./SchedulerError.ts"
import type { Hub, SchedulerEvent } from "./SchedulerEvent.ts"
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

/** What the loop's fiber owns; nobody else writes it. */
interface State {
  mode: Mode
  node: string | undefined
  /** Until when the node may believe that it holds what it holds, in epoch milliseconds. */
  trustedUntil: number
  renewAt: number
  wakeAt: number
  lastTurn: Option.Option<DateTime.Utc>
  storeFailures: number
  readonly ended: Array<Settlement>
}

interface Actor {
  readonly store: JobStore["Type"]
  readonly executor: Executor["Type"]
  readonly handlers: ReadonlyMap<string, Task.Handler>
  readonly tasks: ReadonlySet<string>
  readonly hub: Hub
  readonly attempts: FiberMap.FiberMap<string>
  readonly running: Map<string, Run.Running>
  /** Tasks without a handler here, each of which was logged once. */
  readonly unhandled: Set<string>
  readonly inbox: Array<Message>
  readonly bell: Effect.Latch
  readonly state: State
}

/** At most so many jobs are claimed, or runs recovered, in one transaction. */
const BATCH = 500

/** More runs than any node holds. */
const UNBOUNDED = 1_000_000

// Timers of more than 2³¹ − 1 milliseconds never fire.
const LONGEST_TIMER = 2_147_483_647

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
  readonly hub: Hub
  readonly isPaused: boolean
}): Effect.Effect<SchedulerLoop, never, JobStore | Executor | Scope.Scope> =>
  Effect.gen(function* () {
    const self: Actor = {
      store: yield* JobStore,
      executor: yield* Executor,
      handlers: options.handlers,
      tasks: new Set(options.handlers.keys()),
      hub: options.hub,
      attempts: yield* FiberMap.make<string>(),
      running: new Map(),
      unhandled: new Set(),
      inbox: [],
      bell: yield* Effect.makeLatch(false),
      state: {
        mode: options.isPaused ? "Paused" : "Running",
        node: undefined,
        trustedUntil: Infinity,
        renewAt: Infinity,
        wakeAt: 0,
        lastTurn: Option.none(),
        storeFailures: 0,
        ended: []
      }
    }
    return { send: (message) => send(self, message), health: health(self), run: run(self) }
  })

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
  })

const turn = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.gen(function* () {
    self.state.lastTurn = Option.some(now)
    yield* receive(self, now)
    yield* renew(self, now)
    yield* settleEnded(self, now)
    if (self.state.mode === "Running") {
      yield* recoverDead(self, now)
      yield* claimDue(self, now)
      yield* startReady(self, now)
    }
    if (isDrained(self)) return yield* stop(self, now)
    self.state.wakeAt = yield* nextWake(self, now)
  })

// ---------------------------------------------------------------------------------------------------------------------
// messages
// ---------------------------------------------------------------------------------------------------------------------

const send = (self: Actor, message: Message): void => {
  self.inbox.push(message)
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
        self.running.delete(message.run.id)
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

const changeMode = (self: Actor, from: Mode, to: Mode, event: SchedulerEvent): void => {
  if (self.state.mode !== from) return
  self.state.mode = to
  self.hub.publish(event)
}

const endRuns = (self: Actor, wait: Wait): Effect.Effect<void> => {
  if (wait === true) return Effect.void
  const patience = wait === false ? Duration.zero : Duration.decode(wait)
  if (Duration.toMillis(patience) <= 0) return Effect.sync(() => interruptAll(self))
  const later = Effect.sync(() => send(self, { _tag: "InterruptAll" })).pipe(Effect.delay(patience))
  return Effect.asVoid(FiberMap.run(self.attempts, "shutdown", later))
}

// Does not wait: each attempt reports its end by a message, in its own time.
const interruptAll = (self: Actor): void => {
  for (const [, fiber] of self.attempts) fiber.unsafeInterruptAsFork(FiberId.none)
}

// ---------------------------------------------------------------------------------------------------------------------
// steps of a turn
// ---------------------------------------------------------------------------------------------------------------------

/** A node trusts itself for a shorter time than others wait before they take over what it holds. */
const trust = (self: Actor): number => Duration.toMillis(self.store.timing.lease) * 0.8

const ask = <A>(self: Actor, operation: string, effect: Effect.Effect<A, StoreError>): Effect.Effect<A, StoreError> => {
  const patience = trust(self)
  if (!Number.isFinite(patience)) return effect
  const onTimeout = () => new StoreError({ operation, cause: new Error(`no answer within ${patience} ms`) })
  return Effect.timeoutFail(effect, { duration: patience, onTimeout })
}

const renew = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.gen(function* () {
    const { state, store } = self
    const { lease } = store.timing
    const { mode, node, renewAt } = state
    // One that ends before it began needs no place in the store.
    if (node === undefined ? mode === "Draining" : now.epochMillis < renewAt) return
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

/** The node is no longer who it was: what it holds is interrupted, and it comes back under another id. */
const evict = (self: Actor, now: DateTime.Utc): void => {
  if (self.state.node !== undefined) self.hub.publish({ _tag: "LeaseLost", at: now, node: self.state.node })
  self.state.node = undefined
  interruptAll(self)
}

const settleEnded = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.gen(function* () {
    const batch = [...self.state.ended]
    if (batch.length === 0) return
    const steps = yield* ask(self, "settle runs", self.store.settle(batch, now))
    self.state.ended.splice(0, batch.length)
    const outcomes = new Map(batch.map(({ outcome, run }) => [run.id, outcome]))
    for (const step of steps) publishEnd(self, step, outcomes.get(step.run.id), now)
  })

const recoverDead = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Number.isFinite(trust(self))
    ? Effect.map(ask(self, "recover runs", self.store.recover({ now, limit: BATCH })), (steps) => {
        for (const step of steps) publishEnd(self, step, { _tag: "Crashed" }, now)
      })
    : Effect.void

const claimDue = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.gen(function* () {
    const { advances, parked } = yield* ask(self, "claim due jobs", self.store.claim({ now, limit: BATCH }))
    for (const { jobId, reason } of parked) self.hub.publish({ _tag: "JobParked", at: now, jobId, reason })
    for (const advance of advances) publishAdvance(self, advance, now)
    yield* logUnhandled(self, advances)
    if (advances.length === BATCH) yield* claimDue(self, now)
  })

const logUnhandled = (self: Actor, advances: ReadonlyArray<Job.Advance>): Effect.Effect<void> => {
  const news = advances
    .map(({ next }) => next.task)
    .filter((task) => !self.tasks.has(task) && !self.unhandled.has(task))
  return Effect.forEach(new Set(news), (task) => {
    self.unhandled.add(task)
    return Effect.logWarning(`Task "${task}" has no handler on this node: its runs are left for a node that has one`)
  })
}

const startReady = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.gen(function* () {
    const { node } = self.state
    const limit = Math.min(self.executor.concurrency - self.running.size, BATCH)
    if (node === undefined || limit <= 0) return
    const steps = yield* ask(self, "start runs", self.store.start({ node, now, limit, tasks: self.tasks }))
    for (const step of steps) yield* begin(self, step, now)
    if (steps.length >= limit) yield* startReady(self, now)
  })

const begin = (self: Actor, step: Step, now: DateTime.Utc): Effect.Effect<void> => {
  const { job, run } = step
  const handler = self.handlers.get(run.task)
  if (!Run.isRunning(run) || Option.isNone(job) || handler === undefined) {
    return Effect.sync(() => publishEnd(self, step, undefined, now))
  }
  self.running.set(run.id, run)
  self.hub.publish({ _tag: "RunStarted", at: now, jobId: run.jobId, run })
  return Effect.asVoid(FiberMap.run(self.attempts, run.id, attempt(self, { run, job: job.value, handler })))
}

const attempt = (self: Actor, { handler, job, run }: Attempt): Effect.Effect<void> =>
  self.executor.execute({ run, job, handler }).pipe(
    Effect.onExit((exit) => Effect.sync(() => send(self, { _tag: "RunSettled", run, outcome: toOutcome(exit) }))),
    Effect.asVoid
  )

const toOutcome: (exit: Exit.Exit<Run.Outcome>) => Run.Outcome = Exit.match({
  onSuccess: (outcome) => outcome,
  onFailure: (cause) =>
    Cause.isInterruptedOnly(cause)
      ? { _tag: "Interrupted" }
      : { _tag: "Failed", failure: { kind: "Defect", ...Task.describe(cause) } }
})

// ---------------------------------------------------------------------------------------------------------------------
// events
// ---------------------------------------------------------------------------------------------------------------------

const publishAdvance = (self: Actor, advance: Claim["advances"][number], now: DateTime.Utc): void => {
  const { dropped, isFinished, missed, next, runs, skipped } = advance
  const of = { at: now, jobId: next.id }
  if (Option.isSome(dropped)) self.hub.publish({ _tag: "JobMissed", ...of, dropped: dropped.value })
  for (const run of missed) self.hub.publish({ _tag: "RunMissed", ...of, run })
  for (const run of runs) self.hub.publish({ _tag: "RunSubmitted", ...of, run })
  for (const run of skipped) self.hub.publish({ _tag: "RunSkipped", ...of, run })
  if (isFinished) self.hub.publish({ _tag: "JobRemoved", ...of, finished: true })
}

const publishEnd = (self: Actor, step: Step, outcome: Run.Outcome | undefined, now: DateTime.Utc): void => {
  const { isFinished, run } = step
  const of = { at: now, jobId: run.jobId }
  const event = endEvent({ ...of, run }, outcome)
  if (event !== undefined) self.hub.publish(event)
  if (isFinished) self.hub.publish({ _tag: "JobRemoved", ...of, finished: true })
}

type OfRun = { readonly at: DateTime.Utc; readonly jobId: string; readonly run: Run.Run }

const endEvent = (of: OfRun, outcome: Run.Outcome | undefined): SchedulerEvent | undefined => {
  switch (of.run.state._tag) {
    case "Succeeded":
      return { _tag: "RunSucceeded", ...of }
    case "Failed":
      return { _tag: "RunFailed", ...of }
    case "Missed":
      return { _tag: "RunMissed", ...of }
    case "Skipped":
      return { _tag: "RunSkipped", ...of }
    case "Cancelled":
      return { _tag: "RunCancelled", ...of }
    case "Abandoned":
      return { _tag: "RunAbandoned", ...of }
    case "Pending":
      return outcome?._tag === "Failed"
        ? { _tag: "RunRetrying", ...of, failure: outcome.failure }
        : { _tag: "RunReleased", ...of }
    case "Waiting":
    case "Running":
      return undefined
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// sleep, failure and the end
// ---------------------------------------------------------------------------------------------------------------------

const nextWake = (self: Actor, now: DateTime.Utc): Effect.Effect<number, StoreError> => {
  const { mode, node, renewAt } = self.state
  if (node === undefined) return Effect.succeed(mode === "Draining" ? Infinity : 0)
  if (mode !== "Running") return Effect.succeed(renewAt)
  const poll = now.epochMillis + Duration.toMillis(self.store.timing.poll)
  const hasRoom = self.running.size < self.executor.concurrency
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
    if (millis === Infinity) return yield* self.bell.await
    yield* Effect.raceFirst(self.bell.await, Effect.sleep(Math.min(millis, LONGEST_TIMER)))
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
    if (state.mode === "Draining" && self.running.size === 0) return yield* stop(self, now)
    state.wakeAt = later + Math.min(SHORTEST_BACKOFF * 2 ** Math.min(state.storeFailures - 1, 10), LONGEST_BACKOFF)
  })

const recovered = (self: Actor, now: DateTime.Utc): Effect.Effect<void, StoreError> =>
  Effect.gen(function* () {
    if (self.state.storeFailures === 0) return
    yield* releaseUnknown(self)
    self.state.storeFailures = 0
    self.hub.publish({ _tag: "StoreRecovered", at: now })
  })

/** A start that failed may have taken place all the same: what this node holds without knowing is given back. */
const releaseUnknown = (self: Actor): Effect.Effect<void, StoreError> =>
  Effect.map(ask(self, "list runs", self.store.runs({ states: ["Running"], limit: UNBOUNDED })), (runs) => {
    const { ended, node } = self.state
    const known = new Set([...self.running.keys(), ...ended.map(({ run }) => run.id)])
    const unknown = runs.filter(Run.isRunning).filter((run) => run.state.node === node && !known.has(run.id))
    for (const run of unknown) send(self, { _tag: "RunSettled", run, outcome: { _tag: "Interrupted" } })
  })

const isDrained = ({ inbox, running, state }: Actor): boolean =>
  state.mode === "Draining" && running.size === 0 && state.ended.length === 0 && inbox.length === 0

const stop = (self: Actor, now: DateTime.Utc): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { node } = self.state
    self.state.mode = "Stopped"
    yield* FiberMap.clear(self.attempts)
    // What could not be settled is held until the lease is over, and then taken over.
    const isSettled = self.state.ended.length === 0
    if (node !== undefined && isSettled)
      yield* Effect.ignoreLogged(ask(self, "release the node", self.store.release(node)))
    self.hub.publish({ _tag: "SchedulerShutdown", at: now })
  })

const health = ({ running, state }: Actor): Effect.Effect<Health> =>
  Effect.sync(() => ({
    mode: state.mode,
    node: Option.fromNullable(state.node),
    running: running.size,
    isStoreAvailable: state.storeFailures === 0,
    lastTurn: state.lastTurn
  }))
