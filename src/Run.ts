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
 * How one attempt ended, as the executor saw it.
 *
 * @since 0.1.0
 * @category models
 */
export const Outcome = Schema.Union(
  Schema.TaggedStruct("Succeeded", { value: Schema.optionalWith(Schema.Unknown, { exact: true }) }),
  Schema.TaggedStruct("Failed", { failure: Failure }),
  /** Cut off by the scheduler's own end: the run goes on elsewhere. */
  Schema.TaggedStruct("Interrupted", {}),
  /** Cut off because somebody called the run off. */
  Schema.TaggedStruct("Cancelled", {}),
  /** Its node died. */
  Schema.TaggedStruct("Crashed", {})
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
    cancelled: Schema.optionalWith(CancelReason, { exact: true })
  }),
  Schema.TaggedStruct("Succeeded", {
    startedAt: Instant,
    finishedAt: Instant,
    value: Schema.optionalWith(Schema.Unknown, { exact: true })
  }),
  Schema.TaggedStruct("Failed", { startedAt: Instant, finishedAt: Instant, failure: Failure }),
  Schema.TaggedStruct("Missed", { finishedAt: Instant }),
  Schema.TaggedStruct("Skipped", { finishedAt: Instant, reason: Schema.Literal("maxInstances", "queueLimit") }),
  Schema.TaggedStruct("Cancelled", {
    startedAt: Schema.optionalWith(Instant, { exact: true }),
    finishedAt: Instant,
    reason: CancelReason
  }),
  Schema.TaggedStruct("Abandoned", { startedAt: Instant, finishedAt: Instant })
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
  const isLate = Option.exists(self.startBy, (deadline) => DateTime.greaterThan(now, deadline))
  // A retry keeps the right to run that its first attempt had.
  if (isLate && self.attempt === 0) return { ...self, state: { _tag: "Missed", finishedAt: now } }
  return { ...self, attempt: self.attempt + 1, state: { _tag: "Running", node, startedAt: now } }
}

/**
 * What a run is after an attempt: ended, or pending again for a retry, after a crash, or after its node shut down. One
 * that was called off never starts again.
 *
 * @since 0.1.0
 * @category decisions
 */
export const settle = (self: Running, policy: Policy.Policy, outcome: Outcome, now: DateTime.Utc): Run => {
  const settled = settleOutcome(self, policy, outcome, now)
  return isLive(settled) && self.state.cancelled !== undefined ? cancel(self, now, self.state.cancelled) : settled
}

const settleOutcome = (self: Running, policy: Policy.Policy, outcome: Outcome, now: DateTime.Utc): Run => {
  const ended = { startedAt: self.state.startedAt, finishedAt: now }
  switch (outcome._tag) {
    case "Succeeded":
      // One object written out: to merge two takes longer than all the rest.
      return "value" in outcome
        ? { ...self, state: { _tag: "Succeeded", ...ended, value: outcome.value } }
        : { ...self, state: { _tag: "Succeeded", startedAt: self.state.startedAt, finishedAt: now } }
    case "Failed":
      return settleFailure(self, policy.retry, outcome.failure, ended)
    case "Cancelled":
      return cancel(self, now, self.state.cancelled)
    case "Interrupted":
      return policy.onCrash === "retry" ? again(self, now) : { ...self, state: { _tag: "Abandoned", ...ended } }
    case "Crashed": {
      const crashed = { ...self, crashes: self.crashes + 1 }
      const isOver = policy.onCrash === "abandon" || crashed.crashes > policy.crashLimit
      return isOver ? { ...crashed, state: { _tag: "Abandoned", ...ended } } : again(crashed, now)
    }
  }
}

const again = (self: Run, runAt: DateTime.Utc): Run => ({ ...self, runAt, state: PENDING })

const settleFailure = (
  self: Run,
  retry: Policy.Retry,
  failure: Failure,
  ended: { readonly startedAt: DateTime.Utc; readonly finishedAt: DateTime.Utc }
): Run => {
  const failures = self.failures + 1
  if (failures > retry.times || failure.isFinal === true) {
    return { ...self, failures, state: { _tag: "Failed", ...ended, failure } }
  }
  const delay = Policy.retryDelay(retry, failures, self.id)
  return again({ ...self, failures }, DateTime.addDuration(ended.finishedAt, delay))
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
      return unsuccessful(run, "Abandoned", "its node died or was shut down")
    default:
      return Effect.dieMessage(`Run "${run.id}" has not ended`)
  }
}

const unsuccessful = ({ id }: Run, outcome: RunUnsuccessful["outcome"], reason: string) =>
  new RunUnsuccessful({ runId: id, outcome, reason })
