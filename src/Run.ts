/**
 * One firing of a job, from due to done, and the pure decisions about it: whether it starts, and what it ends as.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Policy from "./Policy.ts"
import { type PreviousRun, Progress } from "./RunContext.ts"
import { RunUnsuccessful } from "./SchedulerError.ts"
import type * as Task from "./Task.ts"

/**
 * Why an attempt failed: text for people, where it came from, and the typed error in its encoded form where the task
 * declares one.
 *
 * @since 0.1.0
 * @category models
 */
export const Failure = Schema.Struct({
  message: Schema.String,
  trace: Schema.optionalWith(Schema.String, { exact: true }),
  error: Schema.optionalWith(Schema.Unknown, { exact: true }),
  /** The `while` of the task's retry says that another attempt is of no use. */
  isFinal: Schema.optionalWith(Schema.Boolean, { exact: true }),
  kind: Schema.Literal("Error", "Defect", "Timeout")
})

/**
 * @since 0.1.0
 * @category models
 */
export type Failure = typeof Failure.Type

/**
 * What an attempt in a process of its own wrote: the end of each, if it was `truncated` because it was more than is kept.
 *
 * @since 0.1.0
 * @category models
 */
export const Output = Schema.Struct({ stdout: Schema.String, stderr: Schema.String, truncated: Schema.Boolean })

/**
 * @since 0.1.0
 * @category models
 */
export type Output = typeof Output.Type

const Written = { output: Schema.optionalWith(Output, { exact: true }) }

/**
 * How one attempt ended, as the executor saw it.
 *
 * @since 0.1.0
 * @category models
 */
export const Outcome = Schema.Union(
  Schema.TaggedStruct("Succeeded", { ...Written, value: Schema.optionalWith(Schema.Unknown, { exact: true }) }),
  Schema.TaggedStruct("Failed", { ...Written, failure: Failure }),
  /** Cut off by the scheduler's own end: the run goes on elsewhere. */
  Schema.TaggedStruct("Interrupted", Written),
  /** Cut off because somebody called the run off. */
  Schema.TaggedStruct("Cancelled", Written),
  /** Its node died, or the thread or process that carried it out, for a reason that is told then. */
  Schema.TaggedStruct("Crashed", { ...Written, reason: Schema.optionalWith(Schema.String, { exact: true }) }),
  /** The executor could not begin it: nothing happened, and the run goes on elsewhere, or later. */
  Schema.TaggedStruct("Refused", { reason: Schema.String })
)

/**
 * @since 0.1.0
 * @category models
 */
export type Outcome = typeof Outcome.Type

const Instant = Schema.DateTimeUtcFromNumber

/**
 * Who called a run off: somebody, a later run of its job (`overlap: "cancelPrevious"`), or whoever removed the job.
 *
 * @since 0.1.0
 * @category models
 */
export const CancelReason = Schema.Literal("requested", "overlap", "removed")

/**
 * @since 0.1.0
 * @category models
 */
export type CancelReason = typeof CancelReason.Type

/**
 * Where a run stands. `Waiting` runs follow another run of the same catch-up and become `Pending` when it has ended;
 * `Queued` ones follow any other instance of their job; `Pending` ones start as soon as their time and a slot has come.
 *
 * @since 0.1.0
 * @category models
 */
export const RunState = Schema.Union(
  Schema.TaggedStruct("Waiting", {}),
  Schema.TaggedStruct("Queued", {}),
  Schema.TaggedStruct("Pending", {}),
  Schema.TaggedStruct("Running", {
    node: Schema.String,
    startedAt: Instant,
    /** Somebody called it off: its node interrupts it. */
    cancelled: Schema.optionalWith(CancelReason, { exact: true }),
    /** How far it is, as its handler told it last. */
    progress: Schema.optionalWith(Progress, { exact: true })
  }),
  Schema.TaggedStruct("Succeeded", {
    startedAt: Instant,
    finishedAt: Instant,
    value: Schema.optionalWith(Schema.Unknown, { exact: true }),
    ...Written
  }),
  Schema.TaggedStruct("Failed", { startedAt: Instant, finishedAt: Instant, failure: Failure, ...Written }),
  Schema.TaggedStruct("Missed", { finishedAt: Instant }),
  Schema.TaggedStruct("Skipped", { finishedAt: Instant, reason: Schema.Literal("maxInstances", "queueLimit") }),
  Schema.TaggedStruct("Cancelled", {
    startedAt: Schema.optionalWith(Instant, { exact: true }),
    finishedAt: Instant,
    reason: CancelReason,
    ...Written
  }),
  Schema.TaggedStruct("Abandoned", {
    startedAt: Instant,
    finishedAt: Instant,
    /** What its thread or process died of, where that is known. */
    reason: Schema.optionalWith(Schema.String, { exact: true }),
    ...Written
  })
)

/**
 * @since 0.1.0
 * @category models
 */
export type RunState = typeof RunState.Type

/**
 * The due times for which one run stands: it was made instead of them all (`coalesced`), or after those before it had
 * been given up as more than `catchUpLimit` (`dropped`).
 *
 * @since 0.1.0
 * @category models
 */
export const Covers = Schema.Struct({
  first: Instant,
  last: Instant,
  as: Schema.Literal("coalesced", "dropped")
})

/**
 * @since 0.1.0
 * @category models
 */
export type Covers = typeof Covers.Type

/**
 * The span in which somebody asked for a job or a run, so that traces lead back to it.
 *
 * @since 0.1.0
 * @category models
 */
export const Origin = Schema.Struct({ traceId: Schema.String, spanId: Schema.String })

/**
 * @since 0.1.0
 * @category models
 */
export type Origin = typeof Origin.Type

/**
 * One firing: `(jobId, incarnation, key)` names it once and for all, `attempt` fences its holders.
 *
 * @since 0.1.0
 * @category models
 */
export const Run = Schema.Struct({
  id: Schema.String,
  jobId: Schema.String,
  /** Which life of the job it belongs to: a job removed and added again is a new one. */
  incarnation: Schema.Int,
  /** The nominal time for a scheduled run; manual runs have keys of their own. */
  key: Schema.String,
  task: Schema.String,
  /** The nominal time. */
  scheduledAt: Instant,
  /** The actual time: the nominal one and its jitter. */
  dueAt: Instant,
  /** When the next attempt may start: the actual time, or later after a retry. */
  runAt: Instant,
  /** After this it counts as missed. */
  startBy: Schema.OptionFromNullOr(Instant),
  /** The key of the first run of the same catch-up: all of them count as one instance. */
  instance: Schema.String,
  priority: Schema.Int,
  /** The name of the executor that carries it out. */
  executor: Schema.optionalWith(Schema.String, { default: () => Policy.DEFAULT_EXECUTOR }),
  attempt: Schema.Int,
  failures: Schema.Int,
  crashes: Schema.Int,
  covers: Schema.OptionFromNullOr(Covers),
  origin: Schema.OptionFromNullOr(Origin),
  state: RunState
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Run extends Schema.Schema.Type<typeof Run> {}

/**
 * A run whose attempt is under way.
 *
 * @since 0.1.0
 * @category models
 */
export interface Running extends Run {
  readonly state: Extract<RunState, { readonly _tag: "Running" }>
}

/** What a run takes over from its job. */
interface Owner {
  readonly id: string
  readonly incarnation: number
  readonly task: string
  readonly policy: Policy.Policy
}

/**
 * A run of a job for its nominal time. Defaults: due at that time, under its key, an instance of its own.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  job: Owner,
  scheduledAt: DateTime.Utc,
  options: {
    readonly dueAt?: DateTime.Utc | undefined
    readonly key?: string | undefined
    readonly instance?: string | undefined
    readonly covers?: Covers | undefined
    readonly origin?: Origin | undefined
  } = {}
): Run => {
  const key = options.key ?? keyOf(scheduledAt)
  const dueAt = options.dueAt ?? scheduledAt
  return {
    id: makeId(job.id, job.incarnation, key),
    jobId: job.id,
    incarnation: job.incarnation,
    key,
    task: job.task,
    scheduledAt,
    dueAt,
    runAt: dueAt,
    startBy: startBy(dueAt, job.policy.misfireGraceTime),
    instance: options.instance ?? key,
    priority: job.policy.priority,
    executor: job.policy.executor,
    attempt: 0,
    failures: 0,
    crashes: 0,
    covers: Option.fromNullable(options.covers),
    origin: Option.fromNullable(options.origin),
    state: PENDING
  }
}

const PENDING: RunState = { _tag: "Pending" }

let lastKeyed = { millis: 0, text: "1970-01-01T00:00:00.000Z" }

/**
 * The key of the run of a nominal time.
 *
 * @since 0.1.0
 * @category constructors
 */
export const keyOf = (scheduledAt: DateTime.Utc): string => {
  // Many jobs are due at one instant.
  if (lastKeyed.millis !== scheduledAt.epochMillis) {
    lastKeyed = { millis: scheduledAt.epochMillis, text: DateTime.formatIso(scheduledAt) }
  }
  return lastKeyed.text
}

/**
 * The id of a run.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeId = (jobId: string, incarnation: number, key: string): string => `${jobId}/${incarnation}/${key}`

/**
 * The nth run of a job, counted from 1, that somebody asked for at one instant.
 *
 * @since 0.1.0
 * @category constructors
 */
export const manual = (job: Owner, now: DateTime.Utc, count: number, origin?: Origin): Run =>
  make(job, now, { key: `manual/${keyOf(now)}/${count}`, origin })

/**
 * A run for a time that is past, asked for at `now`: it may be as late as it is, and gives way to all others.
 *
 * @since 0.1.0
 * @category constructors
 */
export const backfill = (job: Owner, scheduledAt: DateTime.Utc, now: DateTime.Utc, origin?: Origin): Run => ({
  ...make(job, scheduledAt, { key: `backfill/${keyOf(now)}/${keyOf(scheduledAt)}`, origin }),
  startBy: Option.none(),
  priority: Policy.LEAST_PRIORITY
})

/**
 * @since 0.1.0
 * @category queries
 */
export const isBackfill = (self: Run): boolean => self.priority === Policy.LEAST_PRIORITY

const startBy = (dueAt: DateTime.Utc, grace: Duration.Duration): Option.Option<DateTime.Utc> =>
  Duration.isFinite(grace) ? DateTime.make(dueAt.epochMillis + Duration.toMillis(grace)) : Option.none()

/**
 * Whether a run may still start or is under way, and so counts against `maxInstances`.
 *
 * @since 0.1.0
 * @category queries
 */
export const isLive = ({ state }: Run): boolean =>
  state._tag === "Waiting" || state._tag === "Queued" || state._tag === "Pending" || state._tag === "Running"

/**
 * Whether a run takes one of the `maxInstances` of its job: exactly one run of each instance in flight does.
 *
 * @since 0.1.0
 * @category queries
 */
export const isActive = ({ state }: Run): boolean => state._tag === "Pending" || state._tag === "Running"

/**
 * @since 0.1.0
 * @category guards
 */
export const isRunning = (self: Run): self is Running => self.state._tag === "Running"

/**
 * The states in which nothing more happens to a run.
 *
 * @since 0.1.0
 * @category queries
 */
export const ENDED: ReadonlyArray<PreviousRun["outcome"]> = [
  "Succeeded",
  "Failed",
  "Missed",
  "Skipped",
  "Cancelled",
  "Abandoned"
]

/**
 * A run as later ones of its job see it, if it has ended.
 *
 * @since 0.1.0
 * @category queries
 */
export const toPrevious = ({ id, scheduledAt, state }: Run): Option.Option<PreviousRun> =>
  "finishedAt" in state
    ? Option.some({
        runId: id,
        scheduledAt,
        finishedAt: state.finishedAt,
        outcome: state._tag,
        ...("value" in state ? { value: state.value } : {})
      })
    : Option.none()

/**
 * How long after it was due (its nominal time and jitter) an attempt of the run started, if one did.
 *
 * @since 0.1.0
 * @category queries
 */
export const lateness = (self: Run): Option.Option<Duration.Duration> =>
  "startedAt" in self.state && self.state.startedAt !== undefined
    ? Option.some(DateTime.distanceDuration(self.dueAt, self.state.startedAt))
    : Option.none()

/**
 * What becomes of a pending run for which there is a slot: the next attempt, or `Missed` if its grace is over.
 *
 * @since 0.1.0
 * @category decisions
 */
export const start = (self: Run, node: string, now: DateTime.Utc): Run => {
  // A retry keeps the right to run that its first attempt had.
  if (isLate(self, now) && self.attempt === 0) return { ...self, state: { _tag: "Missed", finishedAt: now } }
  return { ...self, attempt: self.attempt + 1, state: { _tag: "Running", node, startedAt: now } }
}

const isLate = ({ startBy }: Run, now: DateTime.Utc): boolean =>
  Option.exists(startBy, (deadline) => DateTime.greaterThan(now, deadline))

/**
 * How long a run that an executor refused waits at least, in milliseconds, so that one that refuses all it is given is
 * not asked without end.
 *
 * @since 0.1.0
 * @category constants
 */
export const REFUSAL = 1000

/**
 * What a run is after an attempt: ended, or pending again for a retry, after a crash or a refusal, or after its node shut
 * down. One that was called off never starts again.
 *
 * @since 0.1.0
 * @category decisions
 */
export const settle = (self: Running, policy: Policy.Policy, outcome: Outcome, now: DateTime.Utc): Run => {
  const settled = settleOutcome(self, policy, outcome, now)
  return isLive(settled) && self.state.cancelled !== undefined ? calledOff(self, outcome, now) : settled
}

const settleOutcome = (self: Running, policy: Policy.Policy, outcome: Outcome, now: DateTime.Utc): Run => {
  switch (outcome._tag) {
    case "Succeeded":
      return succeed(self, outcome, now)
    case "Failed":
      return settleFailure(self, policy.retry, outcome, now)
    case "Cancelled":
      return calledOff(self, outcome, now)
    case "Interrupted":
      return policy.onCrash === "retry" ? again(self, now) : abandon(self, outcome, now)
    case "Crashed": {
      const crashed = { ...self, crashes: self.crashes + 1 }
      const isOver = policy.onCrash === "abandon" || crashed.crashes > policy.crashLimit
      return isOver ? abandon(crashed, outcome, now) : again(crashed, now)
    }
    case "Refused":
      // It has not begun, so its grace is not over with the attempt; only what it once began to do may be done late.
      return isLate(self, now) && self.failures + self.crashes === 0
        ? miss(self, now)
        : again(self, DateTime.add(now, { millis: REFUSAL }))
  }
}

type Ended = Exclude<Outcome, { readonly _tag: "Refused" }>

const written = (outcome: Outcome): { readonly output?: Output } =>
  "output" in outcome && outcome.output !== undefined ? { output: outcome.output } : {}

const succeed = (self: Running, outcome: Extract<Outcome, { readonly _tag: "Succeeded" }>, now: DateTime.Utc): Run => {
  const { startedAt } = self.state
  // One object written out: to merge two takes longer than all the rest.
  return "value" in outcome || "output" in outcome
    ? { ...self, state: { ...outcome, startedAt, finishedAt: now } }
    : { ...self, state: { _tag: "Succeeded", startedAt, finishedAt: now } }
}

const abandon = (self: Running, outcome: Ended, now: DateTime.Utc): Run => ({
  ...self,
  state: {
    _tag: "Abandoned",
    startedAt: self.state.startedAt,
    finishedAt: now,
    ...("reason" in outcome && outcome.reason !== undefined ? { reason: outcome.reason } : {}),
    ...written(outcome)
  }
})

const calledOff = (self: Running, outcome: Outcome, now: DateTime.Utc): Run => {
  const { cancelled: reason = "requested", startedAt } = self.state
  return { ...self, state: { _tag: "Cancelled", startedAt, finishedAt: now, reason, ...written(outcome) } }
}

const again = (self: Run, runAt: DateTime.Utc): Run => ({ ...self, runAt, state: PENDING })

const settleFailure = (
  self: Running,
  retry: Policy.Retry,
  outcome: Extract<Outcome, { readonly _tag: "Failed" }>,
  now: DateTime.Utc
): Run => {
  const failures = self.failures + 1
  const { failure } = outcome
  if (failures > retry.times || failure.isFinal === true) {
    const { startedAt } = self.state
    return { ...self, failures, state: { _tag: "Failed", startedAt, finishedAt: now, failure, ...written(outcome) } }
  }
  const delay = Policy.retryDelay(retry, failures, self.id)
  return again({ ...self, failures }, DateTime.addDuration(now, delay))
}

/**
 * A run that never started because too many of its job were in flight, or waiting.
 *
 * @since 0.1.0
 * @category decisions
 */
export const skip = (
  self: Run,
  now: DateTime.Utc,
  reason: Extract<RunState, { readonly _tag: "Skipped" }>["reason"] = "maxInstances"
): Run => ({ ...self, state: { _tag: "Skipped", finishedAt: now, reason } })

/**
 * A run that waits for an instance of its job to end, or for the run before it in its own.
 *
 * @since 0.1.0
 * @category decisions
 */
export const hold = (self: Run, state: "Queued" | "Waiting"): Run => ({ ...self, state: { _tag: state } })

/**
 * A run that need not wait any longer for others of its job.
 *
 * @since 0.1.0
 * @category decisions
 */
export const promote = (self: Run): Run => ({ ...self, state: PENDING })

/**
 * A run that was too late when it became due.
 *
 * @since 0.1.0
 * @category decisions
 */
export const miss = (self: Run, now: DateTime.Utc): Run => ({ ...self, state: { _tag: "Missed", finishedAt: now } })

/**
 * A live run that is called off, and not under way.
 *
 * @since 0.1.0
 * @category decisions
 */
export const cancel = (self: Run, now: DateTime.Utc, reason: CancelReason = "requested"): Run => ({
  ...self,
  state: {
    _tag: "Cancelled",
    ...(self.state._tag === "Running" ? { startedAt: self.state.startedAt } : {}),
    finishedAt: now,
    reason
  }
})

/**
 * A run under way of which it is told how far it is.
 *
 * @since 0.1.0
 * @category decisions
 */
export const report = (self: Running, progress: Progress): Running => ({ ...self, state: { ...self.state, progress } })

/**
 * A run under way that its node is asked to interrupt; the first reason stays.
 *
 * @since 0.1.0
 * @category decisions
 */
export const requestCancel = (self: Running, reason: CancelReason): Running => ({
  ...self,
  state: { ...self.state, cancelled: self.state.cancelled ?? reason }
})

/**
 * What a run that has ended gave, as its task declares it: the decoded value, or the decoded error if it failed with one.
 * What cannot be decoded is a defect.
 *
 * @since 0.1.0
 * @category results
 */
export const toResult = (run: Run, task: Task.Any): Effect.Effect<unknown, unknown> => {
  const { state } = run
  switch (state._tag) {
    case "Succeeded":
      return task.success === Schema.Unknown
        ? Effect.void
        : Effect.orDie(Schema.decodeUnknown(task.success)(state.value))
    case "Failed":
      return "error" in state.failure && task.error !== Schema.Unknown
        ? Effect.flatMap(Effect.orDie(Schema.decodeUnknown(task.error)(state.failure.error)), Effect.fail)
        : unsuccessful(run, "Failed", state.failure.message)
    case "Missed":
      return unsuccessful(run, "Missed", "it was too late")
    case "Skipped":
      return unsuccessful(run, "Skipped", state.reason)
    case "Cancelled":
      return unsuccessful(run, "Cancelled", state.reason)
    case "Abandoned":
      return unsuccessful(run, "Abandoned", state.reason ?? "its node died or was shut down")
    default:
      return Effect.dieMessage(`Run "${run.id}" has not ended`)
  }
}

const unsuccessful = ({ id }: Run, outcome: RunUnsuccessful["outcome"], reason: string) =>
  new RunUnsuccessful({ runId: id, outcome, reason })
