/**
 * Carries out one attempt of a run: the port, and the executor that does so in a fiber of this process.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Job from "./Job.ts"
import * as NamedService from "./NamedService.ts"
import type * as Run from "./Run.ts"
import { type Earlier, type PreviousRun, type Progress, RunContext } from "./RunContext.ts"
import { InvalidOption, type StoreError } from "./SchedulerError.ts"
import * as Task from "./Task.ts"

/**
 * A run that this node holds, with all that is needed to carry it out.
 *
 * @since 0.1.0
 * @category models
 */
export interface Attempt {
  readonly run: Run.Running
  readonly job: Job.Job
  readonly handler: Task.Handler
  /** The scope of the handler, which the executor closes. */
  readonly scope: Scope.CloseableScope
  readonly coordinator: Coordinator
}

/**
 * What an attempt may ask, and tell, whoever began it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Coordinator {
  readonly previous: (run: Run.Running, which: Earlier) => Effect.Effect<Option.Option<PreviousRun>, StoreError>
  /** Never waits and never fails. */
  readonly progress: (run: Run.Running, progress: Progress) => void
  /** What an attempt wrote that is interrupted, and so has no outcome that it could be told with. */
  readonly wrote: (run: Run.Running, output: Run.Output) => void
}

/**
 * @since 0.1.0
 * @category context
 */
export class Executor extends Context.Tag("effect-scheduler/Executor")<
  Executor,
  {
    /** How many attempts it carries out at the same time; whoever has more of them waits. */
    readonly concurrency: number
    /**
     * Carries out an attempt and says how it ended. Its interruption reaches the handler and waits for it. It runs in a
     * fiber with the context that `context` makes. An attempt that it cannot begin is `Refused`.
     */
    readonly execute: (attempt: Attempt) => Effect.Effect<Run.Outcome, never, RunContext | Scope.Scope>
  }
>() {}

/**
 * What a handler finds around it: what its layer was given, its `RunContext`, and a scope that closes with the attempt.
 *
 * @since 0.1.0
 * @category context
 */
export const context = ({ coordinator, handler, run, scope }: Attempt): Context.Context<RunContext | Scope.Scope> =>
  surround(handler, scope, {
    jobId: run.jobId,
    runId: run.id,
    task: run.task,
    scheduledAt: run.scheduledAt,
    attempt: run.attempt,
    previous: Effect.suspend(() => coordinator.previous(run, "ended")),
    previousSuccess: Effect.suspend(() => coordinator.previous(run, "succeeded")),
    progress: (progress) => Effect.sync(() => coordinator.progress(run, progress))
  })

/**
 * The same, for a handler that knows its run from somewhere else.
 *
 * @since 0.1.0
 * @category context
 */
export const surround = (
  handler: Task.Handler,
  scope: Scope.CloseableScope,
  run: RunContext["Type"]
): Context.Context<RunContext | Scope.Scope> => {
  // One copy of the map: each `Context.add` would make another.
  const services = new Map<string, unknown>(handler.context.unsafeMap)
  services.set(Scope.Scope.key, scope)
  services.set(RunContext.key, run)
  return Context.unsafeMake(services)
}

/**
 * Runs a handler and closes its scope; its value, error or defect becomes the outcome.
 *
 * @since 0.1.0
 * @category execution
 */
export const carryOut = (
  handler: Task.Handler,
  payload: unknown,
  scope: Scope.CloseableScope
): Effect.Effect<Run.Outcome, never, RunContext | Scope.Scope> =>
  Effect.suspend(() => handler.run(payload)).pipe(
    Effect.onExit((exit) => Scope.close(scope, exit)),
    Effect.matchCause({ onSuccess: toSuccess, onFailure: toFailed })
  )

/**
 * Interrupts an attempt that takes longer, waits for its end, and says so. Who interrupts it meanwhile does not do so twice.
 *
 * @since 0.1.0
 * @category execution
 */
export const withTimeout =
  (timeout: Duration.Duration) =>
  <R>(attempt: Effect.Effect<Run.Outcome, never, R>): Effect.Effect<Run.Outcome, never, R> =>
    Duration.isFinite(timeout) ? interruptedAfter(timeout, attempt) : attempt

/** Nobody's child: Effect interrupts children together with their parent, also while they release what they have. */
const interruptedAfter = <R>(timeout: Duration.Duration, attempt: Effect.Effect<Run.Outcome, never, R>) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkDaemon(restore(attempt)), (fiber) =>
      restore(Effect.timeoutOption(Fiber.await(fiber), timeout)).pipe(
        Effect.onInterrupt(() => Fiber.interrupt(fiber)),
        Effect.flatMap(Option.getOrElse(() => Effect.as(Fiber.interrupt(fiber), timedOut(timeout))))
      )
    )
  )

const timedOut = (after: Duration.Duration): Run.Outcome => ({
  _tag: "Failed",
  failure: { kind: "Timeout", message: `timed out after ${Duration.format(after)}` }
})

const execute = ({ handler, job, scope }: Attempt): Effect.Effect<Run.Outcome, never, RunContext | Scope.Scope> =>
  withTimeout(job.policy.timeout)(carryOut(handler, job.payload, scope))

const SUCCEEDED: Run.Outcome = { _tag: "Succeeded" }

const toSuccess = (value: unknown): Run.Outcome => (value === undefined ? SUCCEEDED : { _tag: "Succeeded", value })

const toFailed = (cause: Cause.Cause<Task.HandlerFailure>): Run.Outcome => ({
  _tag: "Failed",
  failure: toFailure(cause)
})

const toFailure = (cause: Cause.Cause<Task.HandlerFailure>): Run.Failure => {
  const failure = Cause.failureOrCause(cause)
  // An interruption from outside never gets here: it ends the whole attempt.
  return failure._tag === "Left" ? { kind: "Error", ...failure.left } : { kind: "Defect", ...Task.describe(cause) }
}

/**
 * Attempts as fibers of this process, `concurrency` (default 10) at the same time. Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFiber = (options?: { readonly concurrency?: number | undefined }): Layer.Layer<Executor> => {
  const concurrency = options?.concurrency ?? 10
  if (!(concurrency === Infinity || (Number.isSafeInteger(concurrency) && concurrency >= 1))) {
    const expected = "a whole number of at least 1, or Infinity"
    throw new InvalidOption({ option: "concurrency", value: String(concurrency), expected })
  }
  return Layer.succeed(Executor, { concurrency, execute })
}

/**
 * Carries out nothing: for processes that only add jobs, which other nodes carry out.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNone: Layer.Layer<Executor> = Layer.succeed(Executor, { concurrency: 0, execute })

/**
 * Gives an executor a name, by which jobs choose it: `add(task, { executor: "cpu" })`. A scheduler has any number of such
 * executors beside the one without a name: `Executor.named("cpu", Executor.layerFiber({ concurrency: 2 }))`.
 *
 * @since 0.1.0
 * @category layers
 */
export const named = <Name extends string, E, R>(
  name: Name,
  executor: Layer.Layer<Executor, E, R>
): Layer.Layer<NamedService.Named<Executor, Name>, E, R> => NamedService.layer(Executor, name, executor)
