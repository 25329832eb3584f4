/**
 * The attempts of a loop: how they take their places, begin, are interrupted and end.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as AttemptFiber from "./AttemptFiber.ts"
import type { Start, Step } from "./JobStore.ts"
import { tellStep } from "./LoopNews.ts"
import { type Actor, type Attempt, send } from "./LoopState.ts"
import type { ExecutorSlots } from "./NamedExecutors.ts"
import * as Run from "./Run.ts"
import type { StoreError } from "./SchedulerError.ts"
import * as Task from "./Task.ts"

/**
 * Attempts are nobody's children but the loop's: none outlives it.
 *
 * @since 0.1.0
 * @category attempts
 */
export const endAttempts = (self: Actor): Effect.Effect<void> =>
  Effect.suspend(() => {
    interruptAll(self)
    return Effect.asVoid(Fiber.awaitAll([...self.attempts.values()].map(({ fiber }) => fiber)))
  })

/**
 * Does not wait: each attempt reports its end by a message, in its own time.
 *
 * @since 0.1.0
 * @category attempts
 */
export const interruptAll = (self: Actor, executor?: string): void => {
  for (const attempt of self.attempts.values()) {
    if (executor === undefined || attempt.run.executor === executor) AttemptFiber.interrupt(attempt)
  }
}

/**
 * Runs that were called off, here or on another node, while they are under way here.
 *
 * @since 0.1.0
 * @category attempts
 */
export const interruptCancelled = ({ attempts }: Actor, runIds: ReadonlyArray<string>): void => {
  for (const attempt of runIds.flatMap((id) => attempts.get(id) ?? [])) {
    attempt.isCancelled = true
    AttemptFiber.interrupt(attempt)
  }
}

type Begin = (step: Step) => Effect.Effect<void>

/**
 * Takes all places for what a step of the turn may start besides, if it may, and gives back those that are left.
 *
 * @since 0.1.0
 * @category attempts
 */
export const withPlaces = <A>(
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

/** Places of an executor that were taken for attempts which have not begun yet. */
interface Places {
  readonly slots: ExecutorSlots
  count: number
}

/**
 * @since 0.1.0
 * @category attempts
 */
export const beginOn = (self: Actor, step: Step, places: Places, now: DateTime.Utc): Effect.Effect<void> => {
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
