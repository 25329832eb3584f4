/**
 * The other side of an executor: carries out, in a thread or a process of its own, the attempts that a scheduling process
 * sends to it.
 *
 * @since 0.1.0
 */
import type { WorkerError } from "@effect/platform/WorkerError"
import { PlatformRunner } from "@effect/platform/WorkerRunner"
import * as NodeWorkerRunner from "@effect/platform-node/NodeWorkerRunner"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as HashSet from "effect/HashSet"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as List from "effect/List"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import type * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import * as AttemptFiber from "./AttemptFiber.ts"
import * as AttemptMessage from "./AttemptMessage.ts"
import * as AttemptProcess from "./AttemptProcess.ts"
import * as Executor from "./Executor.ts"
import type * as Run from "./Run.ts"
import type { Earlier, PreviousRun, Progress, RunContext } from "./RunContext.ts"
import type { StoreError } from "./SchedulerError.ts"
import * as Task from "./Task.ts"

type Command = AttemptMessage.Command
type Execute = Extract<Command, { readonly _tag: "Execute" }>
type Answer = Deferred.Deferred<Option.Option<PreviousRun>, StoreError>

interface Attempt extends AttemptFiber.Interruptible {
  readonly questions: Map<number, Answer>
}

interface Runner {
  readonly handlers: ReadonlyMap<string, Task.Handler>
  readonly runtime: Runtime.Runtime<never>
  readonly send: (report: AttemptMessage.Report) => void
  readonly leave: () => void
  readonly attempts: Map<number, Attempt>
}

/**
 * Carries out attempts of the tasks whose handlers a layer gives, until it is told to stop.
 *
 * @since 0.1.0
 * @category running
 */
export const serve = <A, E>(layer: Layer.Layer<A, E>): Effect.Effect<void, E | WorkerError, PlatformRunner> =>
  Effect.gen(function* () {
    const closed = yield* Deferred.make<void, WorkerError>()
    const backing = yield* (yield* PlatformRunner).start<unknown, unknown>(closed)
    const leave = () => Deferred.unsafeDone(closed, Exit.void)
    const send = (report: AttemptMessage.Report): void => {
      if (AttemptProcess.hasParent()) Effect.runSync(backing.send(0, AttemptMessage.encodeReport(report)))
    }
    yield* AttemptProcess.guard(leave)
    const runtime = yield* Effect.tapErrorCause(Layer.toRuntime(layer), (cause) =>
      Effect.sync(() => send({ _tag: "Unable", reason: Task.describe(cause).trace }))
    )
    const handlers = Task.handlers(runtime.context as Context.Context<never>)
    const self: Runner = { handlers, runtime: runtime as Runtime.Runtime<never>, send, leave, attempts: new Map() }
    yield* Effect.addFinalizer(() => interruptAll(self))
    yield* backing.run<void, never, never>((_, message) => receive(self, AttemptMessage.decodeCommand(message)))
    yield* Deferred.await(closed)
  }).pipe(Effect.scoped)

const interruptAll = ({ attempts }: Runner): Effect.Effect<void> =>
  Effect.suspend(() => {
    for (const attempt of attempts.values()) AttemptFiber.interrupt(attempt)
    return Effect.asVoid(Fiber.awaitAll([...attempts.values()].map(({ fiber }) => fiber)))
  })

const receive = (self: Runner, command: Command): void => {
  switch (command._tag) {
    case "Execute":
      begin(self, command)
      break
    case "Interrupt":
      interrupt(self.attempts.get(command.id))
      break
    case "Answer":
      answer(self, command)
      break
    case "Stop":
      AttemptProcess.setDuty("Free")
      self.leave()
      break
  }
}

const interrupt = (attempt: Attempt | undefined): void => {
  if (attempt === undefined) return
  AttemptProcess.setDuty("Free")
  AttemptFiber.interrupt(attempt)
}

const answer = (self: Runner, { id, previous, question }: Extract<Command, { readonly _tag: "Answer" }>): void => {
  const asked = self.attempts.get(id)?.questions.get(question)
  if (asked !== undefined)
    Deferred.unsafeDone(asked, Either.match(previous, { onLeft: Exit.fail, onRight: Exit.succeed }))
}

// ---------------------------------------------------------------------------------------------------------------------
// attempts
// ---------------------------------------------------------------------------------------------------------------------

const begin = (self: Runner, command: Execute): void => {
  const handler = self.handlers.get(command.run.task)
  if (handler === undefined) self.send({ _tag: "Ended", id: command.id, outcome: unknown(command.run.task) })
  else fork(self, command, handler)
}

const fork = (self: Runner, command: Execute, handler: Task.Handler): void => {
  const { id, payload } = command
  const questions = new Map<number, Answer>()
  const scope = Effect.runSync(Scope.make())
  const context = Executor.surround(handler, scope, toRunContext(self, command, questions))
  const surroundings = Runtime.make({ ...self.runtime, context: withParent(context, command) })
  AttemptProcess.setDuty("Busy")
  const fiber = Runtime.runFork(surroundings, Executor.carryOut(handler, payload, scope), {
    updateRefs: (refs, fiberId) => logTo(self, command, refs, fiberId)
  })
  self.attempts.set(id, { fiber, questions, isInterrupted: false })
  fiber.addObserver((exit) => {
    self.attempts.delete(id)
    AttemptProcess.setDuty("Free")
    AttemptProcess.afterOutput(() => self.send({ _tag: "Ended", id, outcome: toOutcome(exit) }))
  })
}

const unknown = (task: string): Run.Outcome => ({
  _tag: "Failed",
  failure: {
    kind: "Defect",
    message: `Task "${task}" has no handler in the module of the executor: give the layer of its Task.toLayer to runMain`
  }
})

const toOutcome = (exit: Exit.Exit<Run.Outcome>): Run.Outcome => {
  if (Exit.isSuccess(exit)) return exit.value
  if (Cause.isInterruptedOnly(exit.cause)) return { _tag: "Interrupted" }
  return { _tag: "Failed", failure: { kind: "Defect", ...Task.describe(exit.cause) } }
}

const toRunContext = (self: Runner, { id, run }: Execute, questions: Map<number, Answer>): RunContext["Type"] => {
  const ask = (which: Earlier) =>
    Effect.suspend(() => {
      const question = questions.size
      const answer = Deferred.unsafeMake<Option.Option<PreviousRun>, StoreError>(FiberId.none)
      questions.set(question, answer)
      self.send({ _tag: "Asked", id, question, which })
      return Deferred.await(answer)
    })
  return {
    ...run,
    previous: ask("ended"),
    previousSuccess: ask("succeeded"),
    progress: throttle((progress) => self.send({ _tag: "Progressed", id, progress }))
  }
}

/** How long it is at least from one message of progress to the next, in milliseconds. */
const PAUSE = 100

/** Tells at once what comes after a pause, and of all that comes within one only the last, when it is over. */
const throttle = (tell: (progress: Progress) => void) => {
  let toldAt = -Infinity
  let pending: Progress | undefined
  const flush = () => {
    if (pending !== undefined) tell(pending)
    pending = undefined
  }
  return (progress: Progress): Effect.Effect<void> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      if (pending === undefined && now < toldAt + PAUSE) setTimeout(flush, PAUSE).unref()
      pending = progress
      // A handler that keeps the processor busy lets no timer fire.
      if (now < toldAt + PAUSE) return
      toldAt = now
      flush()
    })
}

const withParent = <R>(context: Context.Context<R>, { parent }: Execute): Context.Context<R> =>
  parent === undefined ? context : Context.add(context, Tracer.ParentSpan, Tracer.externalSpan(parent))

// ---------------------------------------------------------------------------------------------------------------------
// logs
// ---------------------------------------------------------------------------------------------------------------------

/** What a handler logs is for the loggers of the scheduling process, and for nobody here. */
const logTo = (
  self: Runner,
  { id, level }: Execute,
  refs: FiberRefs.FiberRefs,
  fiberId: FiberId.Runtime
): FiberRefs.FiberRefs =>
  refs.pipe(
    FiberRefs.updateAs({
      fiberId,
      fiberRef: FiberRef.currentLoggers,
      value: HashSet.make(forward((entry) => self.send({ _tag: "Logged", id, entry })))
    }),
    FiberRefs.updateAs({
      fiberId,
      fiberRef: FiberRef.currentMinimumLogLevel,
      value: LogLevel.fromLiteral(level)
    })
  )

const forward = (send: (entry: AttemptMessage.Entry) => void): Logger.Logger<unknown, void> =>
  Logger.make(({ annotations, cause, logLevel, message, spans }) => {
    send({
      level: logLevel._tag,
      message: (Array.isArray(message) ? message : [message]).map(toJson),
      ...(Cause.isEmpty(cause) ? {} : { cause: Task.describe(cause).trace }),
      annotations: Object.fromEntries([...annotations].map(([key, value]) => [key, toJson(value)])),
      spans: List.toArray(spans).map(({ label, startTime }) => ({ label, startTime }))
    })
  })

const toJson = (value: unknown): unknown => {
  if (value instanceof Error) return value.stack ?? String(value)
  try {
    return JSON.parse(Inspectable.stringifyCircular(value))
  } catch {
    // It has no form in JSON: a function, a bigint, undefined.
    return String(value)
  }
}

/**
 * The main program of a module that an executor loads, in a thread or a process of its own: carries out attempts until
 * the scheduling process has no more use for it, or is gone.
 *
 * @since 0.1.0
 * @category running
 */
export const runMain = <A, E>(layer: Layer.Layer<A, E>): void => {
  const fiber = Effect.runFork(Effect.provide(serve(layer), NodeWorkerRunner.layer))
  // A layer that is being built may wait for what holds no handle.
  const keepAlive = setInterval(() => {}, 2 ** 31 - 1)
  fiber.addObserver((exit) => {
    clearInterval(keepAlive)
    if (Exit.isSuccess(exit)) process.exit(0)
    if (!AttemptProcess.isHosted()) {
      console.error(ALONE)
      process.exit(1)
    }
    setTimeout(() => process.exit(1), LAST_MESSAGE)
  })
}

/** How long the last message may be on its way, in milliseconds; who hears why this is unable to do anything ends it. */
const LAST_MESSAGE = 1000

const ALONE =
  "This module carries out attempts for a scheduler, which starts it: give its URL to WorkerExecutor.layer or ProcessExecutor.layer."
