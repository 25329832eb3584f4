/**
 * One attempt of a run as a fiber of its own, which starts with all that the handler needs: to change a fiber's context or
 * its log annotations once it runs takes longer than the rest of a short run.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as HashMap from "effect/HashMap"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Executor from "./Executor.ts"
import type * as Job from "./Job.ts"
import type * as Run from "./Run.ts"
import * as SchedulerTracer from "./SchedulerTracer.ts"
import type * as Task from "./Task.ts"

/**
 * An attempt that may be interrupted once.
 *
 * @since 0.1.0
 * @category models
 */
export interface Interruptible {
  readonly fiber: Fiber.RuntimeFiber<Run.Outcome>
  isInterrupted: boolean
}

/**
 * Interrupts an attempt and does not wait: a second interruption would reach what the handler still releases after the
 * first one.
 *
 * @since 0.1.0
 * @category endings
 */
export const interrupt = (attempt: Interruptible): void => {
  if (!attempt.isInterrupted) attempt.fiber.unsafeInterruptAsFork(FiberId.none)
  attempt.isInterrupted = true
}

/**
 * Starts an attempt. Its logs carry `job`, `run` and `attempt`; its end, by whatever cause, is for the caller to observe,
 * and its interruption for the caller to see to.
 *
 * @since 0.1.0
 * @category constructors
 */
export const start = (
  runtime: Runtime.Runtime<never>,
  executor: Executor.Executor["Type"],
  run: Run.Running,
  job: Job.Job,
  handler: Task.Handler,
  coordinator: Executor.Coordinator
): Effect.Effect<Fiber.RuntimeFiber<Run.Outcome>> =>
  Effect.map(Scope.make(), (scope) => {
    const attempt = { run, job, handler, scope, coordinator }
    const { fiberRefs, runtimeFlags } = runtime
    const surroundings = Runtime.make({ fiberRefs, runtimeFlags, context: Executor.context(attempt) })
    const execute = executor.execute(attempt)
    const effect = SchedulerTracer.isHeard(fiberRefs) ? SchedulerTracer.spanned(execute, run, job) : execute
    return Runtime.runFork(surroundings, effect, {
      // Ten thousand fibers that all wait to begin would outlive the young generation of the heap.
      immediate: true,
      updateRefs: (refs, fiberId) => annotate(refs, fiberId, run)
    })
  })

const annotate = (refs: FiberRefs.FiberRefs, fiberId: FiberId.Runtime, run: Run.Running): FiberRefs.FiberRefs =>
  FiberRefs.updateAs(refs, {
    fiberId,
    fiberRef: FiberRef.currentLogAnnotations,
    value: FiberRefs.getOrDefault(refs, FiberRef.currentLogAnnotations).pipe(
      HashMap.set<string, unknown>("job", run.jobId),
      HashMap.set<string, unknown>("run", run.id),
      HashMap.set<string, unknown>("attempt", run.attempt)
    )
  })
