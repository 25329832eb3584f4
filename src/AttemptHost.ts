/**
 * A thread or a process that carries out one attempt at a time, as the scheduling process sees it: how it is started,
 * given an attempt, and ended, by force if need be.
 *
 * @since 0.1.0
 */
import * as Worker from "@effect/platform/Worker"
import type { WorkerError } from "@effect/platform/WorkerError"
import * as NodeWorker from "@effect/platform-node/NodeWorker"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as List from "effect/List"
import * as LogLevel from "effect/LogLevel"
import * as LogSpan from "effect/LogSpan"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type { ChildProcess } from "node:child_process"
import type { Worker as Thread } from "node:worker_threads"
import * as AttemptMessage from "./AttemptMessage.ts"
import { type Attempt, withTimeout } from "./Executor.ts"
import type * as Run from "./Run.ts"
import { RunContext } from "./RunContext.ts"

/**
 * A thread or process that was started, and what can be done with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handle {
  readonly worker: Thread | ChildProcess
  /** What ends one that does not end by itself: the gentlest first, the last one surely. */
  readonly force: ReadonlyArray<() => void>
  /** Called once it is ready. */
  readonly onReady: () => void
  /** Keeps what is written from now on, as that of an attempt. */
  readonly beginOutput: () => void
  /** What was written since, if it is kept. */
  readonly endOutput: Effect.Effect<Option.Option<Run.Output>>
}

/**
 * How a host is started. `spawn` may throw; it calls `onEnd` once, later, when the host is gone, with the reason.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly spawn: (onEnd: (reason: string) => void) => Handle
  /** How long it may take to be ready. */
  readonly startTimeout: Duration.Duration
  /** How long it may take to do what it is asked, before each step of force. */
  readonly grace: Duration.Duration
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Host {
  /** Carries out an attempt. Its interruption reaches the handler, and waits for it as long as the grace allows. */
  readonly execute: (attempt: Attempt) => Effect.Effect<Run.Outcome, never, RunContext>
  /** Waits until it is gone, and says why. */
  readonly ended: Effect.Effect<string>
  readonly isGone: () => boolean
  /** Whether it was made to end, by force or in order. */
  readonly isDismissed: () => boolean
}

/** The reports on one attempt. */
interface Line {
  readonly id: number
  readonly reports: Mailbox.Mailbox<AttemptMessage.Report>
}

interface Life {
  readonly ready: Deferred.Deferred<void, string>
  readonly ended: Deferred.Deferred<string>
  isReady: boolean
  isDismissed: boolean
  end: string | undefined
  attempts: number
  line: Line | undefined
  timer: NodeJS.Timeout | undefined
}

interface Self {
  readonly handle: Handle
  readonly grace: Duration.Duration
  readonly life: Life
  readonly send: (command: AttemptMessage.Command) => Effect.Effect<void, WorkerError>
}

// ---------------------------------------------------------------------------------------------------------------------
// beginning and end
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Starts a host and waits until it is ready; fails with the reason if it is not. It ends with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const start = (options: Options): Effect.Effect<Host, string, Scope.Scope> =>
  Effect.gen(function* () {
    const self = yield* Effect.uninterruptible(spawn(options))
    const { life } = self
    const onTimeout = () => `it was not ready within ${Duration.format(options.startTimeout)}`
    yield* Effect.timeoutFail(Deferred.await(life.ready), { duration: options.startTimeout, onTimeout })
    return {
      execute: (attempt) => execute(self, attempt),
      ended: Deferred.await(life.ended),
      isGone: () => life.end !== undefined,
      isDismissed: () => life.isDismissed
    }
  })

const spawn = ({ grace, spawn }: Options): Effect.Effect<Self, string, Scope.Scope> =>
  Effect.gen(function* () {
    const life = makeLife()
    const handle = yield* Effect.try({ try: () => spawn((reason) => onEnd(life, reason)), catch: String })
    const platform = yield* Effect.provide(Worker.PlatformWorker, NodeWorker.layerWorker)
    const backing = yield* platform.spawn<unknown, unknown>(0).pipe(
      Effect.provideService(Worker.Spawner, () => handle.worker),
      Effect.orDie
    )
    yield* backing
      .run((message) =>
        message[0] === 0 ? onReady(life, handle) : onReport(life, AttemptMessage.decodeReport(message[1]))
      )
      .pipe(
        // One that cannot be understood, or heard, is of no use.
        Effect.catchAllCause(() => Effect.sync(() => handle.force.at(-1)?.())),
        Effect.forkScoped
      )
    const send = (command: AttemptMessage.Command) => backing.send(AttemptMessage.encodeCommand(command))
    const self: Self = { handle, grace, life, send }
    yield* Effect.addFinalizer(() => close(self))
    return self
  })

const makeLife = (): Life => ({
  ready: Deferred.unsafeMake(FiberId.none),
  ended: Deferred.unsafeMake(FiberId.none),
  isReady: false,
  isDismissed: false,
  end: undefined,
  attempts: 0,
  line: undefined,
  timer: undefined
})

const onReady = (life: Life, handle: Handle): Effect.Effect<void> =>
  Effect.sync(() => {
    life.isReady = true
    handle.onReady()
    Deferred.unsafeDone(life.ready, Exit.void)
  })

const onReport = ({ line, ready }: Life, report: AttemptMessage.Report): Effect.Effect<void> => {
  if (report._tag === "Unable") return Deferred.fail(ready, report.reason)
  if (report.id === line?.id) return Effect.sync(() => line.reports.unsafeOffer(report))
  // A fiber that outlived its attempt.
  return report._tag === "Logged" ? log(report.entry) : Effect.void
}

const onEnd = (life: Life, reason: string): void => {
  if (life.end !== undefined) return
  life.end = reason
  clearTimeout(life.timer)
  Deferred.unsafeDone(life.ready, Exit.fail(reason))
  Deferred.unsafeDone(life.ended, Exit.succeed(reason))
  life.line?.reports.unsafeDone(Exit.void)
}

/** Asks it to end, and waits until it has. */
const close = (self: Self): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { handle, life } = self
    if (!life.isDismissed) {
      // One that is not ready does not listen yet.
      if (life.isReady) escalateLater(self, handle.force)
      else escalate(self, handle.force)
      life.isDismissed = true
    }
    const stop = life.isReady ? Effect.ignore(self.send({ _tag: "Stop" })) : Effect.void
    return Effect.zipRight(stop, Deferred.await(life.ended))
  })

type Steps = Handle["force"]

/**
 * Takes one step after the other until it is gone, each of them a grace after the one before. This goes by real time,
 * and needs no fiber that an interruption could reach: what it is about lives outside of both.
 */
const escalate = (self: Self, [step, ...steps]: Steps): void => {
  const { life } = self
  if (life.end !== undefined) return
  life.isDismissed = true
  step?.()
  if (step === undefined) onEnd(life, "it could not be ended")
  else escalateLater(self, steps)
}

const escalateLater = (self: Self, steps: Steps): void => {
  const { grace, life } = self
  clearTimeout(life.timer)
  if (life.end === undefined) life.timer = setTimeout(() => escalate(self, steps), Duration.toMillis(grace))
}

// ---------------------------------------------------------------------------------------------------------------------
// attempts
// ---------------------------------------------------------------------------------------------------------------------

const execute = (self: Self, attempt: Attempt): Effect.Effect<Run.Outcome, never, RunContext> => {
  const { coordinator, job, run } = attempt
  const { beginOutput, endOutput } = self.handle
  return Effect.sync(beginOutput).pipe(
    Effect.zipRight(withTimeout(job.policy.timeout)(converse(self, attempt))),
    Effect.onInterrupt(() =>
      Effect.map(
        endOutput,
        Option.map((output) => coordinator.wrote(run, output))
      )
    ),
    Effect.flatMap((outcome) =>
      Effect.map(endOutput, Option.match({ onNone: () => outcome, onSome: (output) => ({ ...outcome, output }) }))
    )
  )
}

const converse = (self: Self, attempt: Attempt): Effect.Effect<Run.Outcome, never, RunContext> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const line = { id: ++self.life.attempts, reports: yield* Mailbox.make<AttemptMessage.Report>() }
      self.life.line = line
      if (self.life.end !== undefined) line.reports.unsafeDone(Exit.void)
      yield* Effect.orDie(self.send(yield* toCommand(line.id, attempt)))
      return yield* Effect.onInterrupt(restore(listen(self, line)), () => callOff(self, line))
    })
  ).pipe(
    Effect.ensuring(
      Effect.sync(() => {
        self.life.line = undefined
      })
    )
  )

const toCommand = (id: number, { job, run }: Attempt): Effect.Effect<AttemptMessage.Command> =>
  Effect.zipWith(FiberRef.get(FiberRef.currentMinimumLogLevel), parentSpan, ({ _tag: level }, parent) => ({
    _tag: "Execute",
    id,
    run: { jobId: run.jobId, runId: run.id, task: run.task, scheduledAt: run.scheduledAt, attempt: run.attempt },
    payload: job.payload,
    ...Option.match(parent, { onNone: () => ({}), onSome: (parent) => ({ parent }) }),
    level
  }))

const parentSpan: Effect.Effect<Option.Option<AttemptMessage.Parent>> = Effect.contextWith(
  (context: Context.Context<never>) =>
    Option.map(Context.getOption(context, Tracer.ParentSpan), ({ sampled, spanId, traceId }) => ({
      traceId,
      spanId,
      sampled
    }))
)

/** The handler is interrupted and has its time to end; then it ends with its thread or process. */
const callOff = (self: Self, line: Line): Effect.Effect<void, never, RunContext> =>
  Effect.gen(function* () {
    escalateLater(self, self.handle.force)
    yield* Effect.ignore(self.send({ _tag: "Interrupt", id: line.id }))
    yield* listen(self, line)
    if (!self.life.isDismissed) clearTimeout(self.life.timer)
  })

const listen = (self: Self, line: Line): Effect.Effect<Run.Outcome, never, RunContext> =>
  Effect.gen(function* () {
    for (;;) {
      const report = yield* Effect.option(line.reports.take)
      if (Option.isNone(report)) return crashed(self)
      if (report.value._tag === "Ended") return report.value.outcome
      yield* hear(self, line, report.value)
    }
  })

const crashed = ({ life }: Self): Run.Outcome => ({ _tag: "Crashed", reason: life.end ?? "it is gone" })

const hear = (
  self: Self,
  { id }: Line,
  report: Exclude<AttemptMessage.Report, { readonly _tag: "Ended" }>
): Effect.Effect<void, never, RunContext> => {
  switch (report._tag) {
    case "Logged":
      return log(report.entry)
    case "Progressed":
      return Effect.flatMap(RunContext, ({ progress }) => progress(report.progress))
    case "Asked":
      return RunContext.pipe(
        Effect.flatMap((run) => Effect.either(report.which === "succeeded" ? run.previousSuccess : run.previous)),
        Effect.flatMap((previous) => self.send({ _tag: "Answer", id, question: report.question, previous })),
        Effect.ignore
      )
    case "Unable":
      return Effect.void
  }
}

const log = ({ annotations, cause, level, message, spans }: AttemptMessage.Entry): Effect.Effect<void> =>
  Effect.logWithLevel(LogLevel.fromLiteral(level), ...message, ...(cause === undefined ? [] : [toCause(cause)])).pipe(
    Effect.annotateLogs(annotations),
    Effect.locally(
      FiberRef.currentLogSpan,
      List.fromIterable(spans.map(({ label, startTime }) => LogSpan.make(label, startTime)))
    )
  )

/** An error whose trace is the text, of which the first line is its name and its message. */
const toCause = (text: string): Cause.Cause<never> => {
  const [, name = "Error", message = text] = /^(\S+): (.*)/.exec(text) ?? []
  return Cause.die(Object.assign(new Error(message), { name, stack: text }))
}
