/**
 * What happens to runs that are late, too many, failed or cut off: the options of tasks and jobs, and their defaults.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as Jitter from "./Jitter.ts"
import { InvalidOption } from "./SchedulerError.ts"

/** A duration as milliseconds, and infinity as null. */
const DurationMillis = Schema.transform(Schema.NullOr(Schema.NonNegative), Schema.DurationFromSelf, {
  strict: true,
  decode: (millis) => (millis === null ? Duration.infinity : Duration.millis(millis)),
  encode: (duration) => (Duration.isFinite(duration) ? Duration.toMillis(duration) : null)
})

/** A number of things, and infinity as null. */
const Count = Schema.transform(Schema.NullOr(Schema.NonNegativeInt), Schema.Number, {
  strict: true,
  decode: (count) => count ?? Infinity,
  encode: (count) => (Number.isFinite(count) ? count : null)
})

/**
 * How often a failed run is tried again, and how long it waits before each try.
 *
 * @since 0.1.0
 * @category models
 */
export const Retry = Schema.Struct({
  times: Schema.NonNegativeInt,
  backoff: Schema.Literal("fixed", "exponential"),
  delay: DurationMillis,
  cap: DurationMillis,
  jitter: Schema.Number.pipe(Schema.between(0, 1))
})

/**
 * @since 0.1.0
 * @category models
 */
export type Retry = typeof Retry.Type

/**
 * How long ended runs are remembered, how many of each job, and whether a finished job is kept with them.
 *
 * @since 0.1.0
 * @category models
 */
export const Retention = Schema.Struct({
  age: DurationMillis,
  count: Count,
  finishedJobs: Schema.Literal("remove", "keep")
})

/**
 * @since 0.1.0
 * @category models
 */
export type Retention = typeof Retention.Type

/**
 * The name of the executor of runs for which nobody named another one.
 *
 * @since 0.1.0
 * @category constants
 */
export const DEFAULT_EXECUTOR = "default"

/**
 * The policy of a job, every field filled in.
 *
 * @since 0.1.0
 * @category models
 */
export const Policy = Schema.Struct({
  misfireGraceTime: DurationMillis,
  coalesce: Schema.Literal("latest", "earliest", "all"),
  catchUpLimit: Schema.Int,
  maxInstances: Schema.Int,
  overlap: Schema.Literal("skip", "queue", "cancelPrevious"),
  queueLimit: Schema.Int,
  jitter: DurationMillis,
  limit: Count,
  onCrash: Schema.Literal("retry", "abandon"),
  crashLimit: Schema.Int,
  retry: Retry,
  timeout: DurationMillis,
  retention: Retention,
  priority: Schema.Int,
  executor: Schema.optionalWith(Schema.String, { default: () => DEFAULT_EXECUTOR })
})

/**
 * @since 0.1.0
 * @category models
 */
export type Policy = typeof Policy.Type

/**
 * The options as users write them, on the scheduler, a task or a job; each field falls back to the one before.
 *
 * @since 0.1.0
 * @category models
 */
export interface PolicyOptions {
  /** A run later than this does not start and is recorded as missed. Default: infinity. */
  readonly misfireGraceTime?: Duration.DurationInput | undefined
  /** Which of several due times run: the last (default) or the first within grace, or all of them one by one. */
  readonly coalesce?: Policy["coalesce"] | undefined
  /** How many missed times `coalesce: "all"` makes up for at most, the most recent ones. Default: 100. */
  readonly catchUpLimit?: number | undefined
  /** How many runs of the job may be in flight on all nodes together. Default: 1. */
  readonly maxInstances?: number | undefined
  /**
   * What a due run does when `maxInstances` is reached: it is skipped, with an event (default); waits in the job's queue
   * until an instance has ended; or waits while the oldest instance is interrupted for it.
   */
  readonly overlap?: Policy["overlap"] | undefined
  /** How many runs of the job may wait in its queue before others are skipped. Default: 100. */
  readonly queueLimit?: number | undefined
  /** Each run is due so much later at most, always the same for the same time, never past the next one. Default: 0. */
  readonly jitter?: Duration.DurationInput | undefined
  /** How many runs the trigger makes before the job is finished; skipped and missed ones do not count. Default: none. */
  readonly limit?: number | undefined
  /** What becomes of a run whose node died: it is run again (default) or recorded as abandoned. */
  readonly onCrash?: Policy["onCrash"] | undefined
  /** How many nodes one run may outlive before it is abandoned all the same. Default: 3. */
  readonly crashLimit?: number | undefined
  /** How failed runs are tried again. Default: not at all. */
  readonly retry?: RetryOptions | undefined
  /** How long an attempt may take before it is interrupted and fails. Default: infinity. */
  readonly timeout?: Duration.DurationInput | undefined
  /** How much of the history is kept. */
  readonly retention?: RetentionOptions | undefined
  /** Higher starts first among runs that are due on one executor. Default: 0. */
  readonly priority?: number | undefined
  /** The name of the executor that carries out its runs; one in flight keeps the one it was made for. Default: `"default"`. */
  readonly executor?: string | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface RetryOptions {
  /** How many times more, after the first attempt. Default: 0. */
  readonly times?: number | undefined
  /** The same wait each time (default), or twice as long each time. */
  readonly backoff?: Retry["backoff"] | undefined
  /** The first wait. Default: 1 second. */
  readonly delay?: Duration.DurationInput | undefined
  /** The longest wait. Default: 1 hour, or `delay` if that is longer. */
  readonly cap?: Duration.DurationInput | undefined
  /** By how much of it, at most, each wait is cut short, so that failures part ways: 0 (default) to 1. */
  readonly jitter?: number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface RetentionOptions {
  /** How long an ended run is remembered. Default: 7 days. */
  readonly age?: Duration.DurationInput | undefined
  /** How many ended runs of the job are remembered, the latest. Default: any number. */
  readonly count?: number | undefined
  /** Whether a job whose trigger has no instant left is removed with its last run (default) or kept to be looked at. */
  readonly finishedJobs?: Retention["finishedJobs"] | undefined
}

/**
 * How many characters the name of a store or an executor may have.
 *
 * @since 0.1.0
 * @category constants
 */
export const LONGEST_NAME = 64

/** What a 32-bit column of a database holds. */
const LARGEST = 2_147_483_647

/**
 * The priority of runs that give way to all others: those of a backfill.
 *
 * @since 0.1.0
 * @category constants
 */
export const LEAST_PRIORITY = -LARGEST

/**
 * The policy of a job for which nobody said anything.
 *
 * @since 0.1.0
 * @category constructors
 */
export const defaults: Policy = {
  misfireGraceTime: Duration.infinity,
  coalesce: "latest",
  catchUpLimit: 100,
  maxInstances: 1,
  overlap: "skip",
  queueLimit: 100,
  jitter: Duration.zero,
  limit: Infinity,
  onCrash: "retry",
  crashLimit: 3,
  retry: { times: 0, backoff: "fixed", delay: Duration.seconds(1), cap: Duration.hours(1), jitter: 0 },
  timeout: Duration.infinity,
  retention: { age: Duration.days(7), count: Infinity, finishedJobs: "remove" },
  priority: 0,
  executor: DEFAULT_EXECUTOR
}

/**
 * A policy with the given options laid over it, field by field; throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const override = (self: Policy, options: PolicyOptions): Policy =>
  // Most jobs say nothing of their own: a million of them share one policy.
  Object.values(options).every((value) => value === undefined) ? self : overrideFields(self, options)

const overrideFields = (self: Policy, options: PolicyOptions): Policy => ({
  misfireGraceTime: duration("misfireGraceTime", options.misfireGraceTime, self.misfireGraceTime),
  coalesce: literal("coalesce", options.coalesce, Policy.fields.coalesce, self.coalesce),
  catchUpLimit: atLeast("catchUpLimit", options.catchUpLimit, 1, self.catchUpLimit),
  maxInstances: atLeast("maxInstances", options.maxInstances, 1, self.maxInstances),
  overlap: literal("overlap", options.overlap, Policy.fields.overlap, self.overlap),
  queueLimit: atLeast("queueLimit", options.queueLimit, 1, self.queueLimit),
  jitter: finite("jitter", options.jitter, self.jitter),
  limit: countOf("limit", options.limit, 1, self.limit),
  onCrash: literal("onCrash", options.onCrash, Policy.fields.onCrash, self.onCrash),
  crashLimit: atLeast("crashLimit", options.crashLimit, 0, self.crashLimit),
  retry: overrideRetry(self.retry, options.retry ?? {}),
  timeout: duration("timeout", options.timeout, self.timeout),
  retention: overrideRetention(self.retention, options.retention ?? {}),
  priority: atLeast("priority", options.priority, LEAST_PRIORITY + 1, self.priority),
  executor: name("executor", options.executor, self.executor)
})

const overrideRetry = (self: Retry, options: RetryOptions): Retry => {
  const delay = finite("retry.delay", options.delay, self.delay)
  return {
    times: atLeast("retry.times", options.times, 0, self.times),
    backoff: literal("retry.backoff", options.backoff, Retry.fields.backoff, self.backoff),
    delay,
    cap: finite("retry.cap", options.cap, Duration.max(self.cap, delay)),
    jitter: share("retry.jitter", options.jitter, self.jitter)
  }
}

const overrideRetention = (self: Retention, options: RetentionOptions): Retention => ({
  age: duration("retention.age", options.age, self.age),
  count: countOf("retention.count", options.count, 0, self.count),
  finishedJobs: literal(
    "retention.finishedJobs",
    options.finishedJobs,
    Retention.fields.finishedJobs,
    self.finishedJobs
  )
})

const refuse = (option: string, value: unknown, expected: string): never => {
  throw new InvalidOption({ option, value: String(value), expected })
}

const countOf = (option: string, value: number | undefined, least: number, otherwise: number): number =>
  value === Infinity ? value : atLeast(option, value, least, otherwise)

const share = (option: string, value: number | undefined, otherwise: number): number =>
  value === undefined || (value >= 0 && value <= 1)
    ? (value ?? otherwise)
    : refuse(option, value, "a number from 0 to 1")

const finite = (
  option: string,
  value: Duration.DurationInput | undefined,
  otherwise: Duration.Duration
): Duration.Duration => {
  const decoded = duration(option, value, otherwise)
  return Duration.isFinite(decoded) ? decoded : refuse(option, value, `a finite duration such as "30 seconds"`)
}

const atLeast = (option: string, value: number | undefined, least: number, otherwise: number): number => {
  if (value === undefined) return otherwise
  const isWhole = Number.isSafeInteger(value) && value >= least && value <= LARGEST
  return isWhole ? value : refuse(option, value, `a whole number of at least ${least}`)
}

const duration = (
  option: string,
  value: Duration.DurationInput | undefined,
  otherwise: Duration.Duration
): Duration.Duration => {
  if (value === undefined) return otherwise
  try {
    const decoded = isNegative(value) ? undefined : Duration.decode(value)
    if (decoded !== undefined) return wholeMillis(decoded)
  } catch {
    // Refused below, as what is negative.
  }
  return refuse(option, value, `a duration such as "30 seconds"`)
}

// Duration takes what is negative for nothing at all.
const isNegative = (value: Duration.DurationInput): boolean =>
  typeof value === "number" ? !(value >= 0) : typeof value === "string" && value.startsWith("-")

const wholeMillis = (duration: Duration.Duration): Duration.Duration =>
  Duration.isFinite(duration) ? Duration.millis(Math.ceil(Duration.toMillis(duration))) : duration

/** What the name of a store or an executor may be. */
const name = (option: string, value: string | undefined, otherwise: string): string => {
  if (value === undefined) return otherwise
  return value.length > 0 && value.length <= LONGEST_NAME
    ? value
    : refuse(option, value, `a name of 1 to ${LONGEST_NAME} characters`)
}

const literal = <A extends string>(
  option: string,
  value: A | undefined,
  schema: { readonly literals: ReadonlyArray<A> },
  otherwise: A
): A => {
  if (value === undefined) return otherwise
  return schema.literals.includes(value) ? value : refuse(option, value, schema.literals.join(", "))
}

/**
 * How long a run waits after its nth failure, counted from 1; `key` is what its jitter depends on.
 *
 * @since 0.1.0
 * @category queries
 */
export const retryDelay = (self: Retry, failures: number, key = ""): Duration.Duration => {
  const factor = self.backoff === "exponential" ? 2 ** Math.min(failures - 1, 62) : 1
  const delay = Duration.min(Duration.times(self.delay, factor), self.cap)
  if (self.jitter === 0) return delay
  return wholeMillis(Duration.times(delay, 1 - self.jitter * Jitter.fraction(`${key}/${failures}`)))
}
