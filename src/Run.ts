/**
 * One firing of a job, from due to done, and the pure decisions about it: whether it starts, and what it ends as.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Policy from "./Policy.ts"

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
 * Where a run stands. `Waiting` runs follow another run of the same catch-up and become `Pending` when it has ended.
 *
 * @since 0.1.0
 * @category models
 */
export const RunState = Schema.Union(
  Schema.TaggedStruct("Waiting", {}),
  Schema.TaggedStruct("Pending", {}),
  Schema.TaggedStruct("Running", { node: Schema.String, startedAt: Instant }),
  Schema.TaggedStruct("Succeeded", {
    startedAt: Instant,
    finishedAt: Instant,
    value: Schema.optionalWith(Schema.Unknown, { exact: true })
  }),
  Schema.TaggedStruct("Failed", { startedAt: Instant, finishedAt: Instant, failure: Failure }),
  Schema.TaggedStruct("Missed", { finishedAt: Instant }),
  Schema.TaggedStruct("Skipped", { finishedAt: Instant, reason: Schema.Literal("maxInstances") }),
  Schema.TaggedStruct("Cancelled", { finishedAt: Instant }),
  Schema.TaggedStruct("Abandoned", { startedAt: Instant, finishedAt: Instant })
)

/**
 * @since 0.1.0
 * @category models
 */
export type RunState = typeof RunState.Type

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
  /** When it may start: the nominal time, or later after a retry. */
  runAt: Instant,
  /** After this it counts as missed. */
  startBy: Schema.OptionFromNullOr(Instant),
  /** The key of the first run of the same catch-up: all of them count as one instance. */
  instance: Schema.String,
  priority: Schema.Int,
  attempt: Schema.Int,
  failures: Schema.Int,
  crashes: Schema.Int,
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

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly jobId: string
  readonly incarnation: number
  readonly task: string
  readonly policy: Policy.Policy
  readonly scheduledAt: DateTime.Utc
  readonly key?: string
  readonly instance?: string
}): Run => {
  const key = options.key ?? DateTime.formatIso(options.scheduledAt)
  return {
    id: makeId(options.jobId, options.incarnation, key),
    jobId: options.jobId,
    incarnation: options.incarnation,
    key,
    task: options.task,
    scheduledAt: options.scheduledAt,
    runAt: options.scheduledAt,
    startBy: startBy(options.scheduledAt, options.policy.misfireGraceTime),
    instance: options.instance ?? key,
    priority: options.policy.priority,
    attempt: 0,
    failures: 0,
    crashes: 0,
    state: { _tag: "Pending" }
  }
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
export const manual = (
  job: { readonly id: string; readonly incarnation: number; readonly task: string; readonly policy: Policy.Policy },
  now: DateTime.Utc,
  count: number
): Run =>
  make({
    jobId: job.id,
    incarnation: job.incarnation,
    task: job.task,
    policy: job.policy,
    scheduledAt: now,
    key: `manual/${DateTime.formatIso(now)}/${count}`
  })

const startBy = (scheduledAt: DateTime.Utc, grace: Duration.Duration): Option.Option<DateTime.Utc> =>
  Duration.isFinite(grace) ? DateTime.make(scheduledAt.epochMillis + Duration.toMillis(grace)) : Option.none()

/**
 * Whether a run may still start or is under way, and so counts against `maxInstances`.
 *
 * @since 0.1.0
 * @category queries
 */
export const isLive = ({ state }: Run): boolean =>
  state._tag === "Waiting" || state._tag === "Pending" || state._tag === "Running"

/**
 * @since 0.1.0
 * @category guards
 */
export const isRunning = (self: Run): self is Running => self.state._tag === "Running"

/**
 * How long after its nominal time an attempt of the run started, if one did.
 *
 * @since 0.1.0
 * @category queries
 */
export const lateness = (self: Run): Option.Option<Duration.Duration> =>
  "startedAt" in self.state
    ? Option.some(DateTime.distanceDuration(self.scheduledAt, self.state.startedAt))
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
 * What a run is after an attempt: ended, or pending again for a retry, after a crash, or after its node shut down.
 *
 * @since 0.1.0
 * @category decisions
 */
export const settle = (self: Running, policy: Policy.Policy, outcome: Outcome, now: DateTime.Utc): Run => {
  const ended = { startedAt: self.state.startedAt, finishedAt: now }
  switch (outcome._tag) {
    case "Succeeded":
      return { ...self, state: { ...outcome, ...ended } }
    case "Failed":
      return settleFailure(self, policy.retry, outcome.failure, ended)
    case "Interrupted":
      return policy.onCrash === "retry" ? again(self, now) : { ...self, state: { _tag: "Abandoned", ...ended } }
    case "Crashed": {
      const crashed = { ...self, crashes: self.crashes + 1 }
      const isOver = policy.onCrash === "abandon" || crashed.crashes > policy.crashLimit
      return isOver ? { ...crashed, state: { _tag: "Abandoned", ...ended } } : again(crashed, now)
    }
  }
}

const again = (self: Run, runAt: DateTime.Utc): Run => ({ ...self, runAt, state: { _tag: "Pending" } })

const settleFailure = (
  self: Run,
  retry: Policy.Retry,
  failure: Failure,
  ended: { readonly startedAt: DateTime.Utc; readonly finishedAt: DateTime.Utc }
): Run => {
  const failures = self.failures + 1
  if (failures > retry.times) return { ...self, failures, state: { _tag: "Failed", ...ended, failure } }
  return again({ ...self, failures }, DateTime.addDuration(ended.finishedAt, Policy.retryDelay(retry, failures)))
}

/**
 * A run that never started because too many of its job were in flight.
 *
 * @since 0.1.0
 * @category decisions
 */
export const skip = (self: Run, now: DateTime.Utc): Run => ({
  ...self,
  state: { _tag: "Skipped", finishedAt: now, reason: "maxInstances" }
})

/**
 * A run that was too late when it became due.
 *
 * @since 0.1.0
 * @category decisions
 */
export const miss = (self: Run, now: DateTime.Utc): Run => ({ ...self, state: { _tag: "Missed", finishedAt: now } })

/**
 * A live run that is called off.
 *
 * @since 0.1.0
 * @category decisions
 */
export const cancel = (self: Run, now: DateTime.Utc): Run => ({
  ...self,
  state: { _tag: "Cancelled", finishedAt: now }
})
