/**
 * What happens to runs that are late, too many, failed or cut off: the options of tasks and jobs, and their defaults.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { InvalidOption } from "./SchedulerError.ts"

/** A duration as milliseconds, and infinity as null. */
const DurationMillis = Schema.transform(Schema.NullOr(Schema.NonNegative), Schema.DurationFromSelf, {
  strict: true,
  decode: (millis) => (millis === null ? Duration.infinity : Duration.millis(millis)),
  encode: (duration) => (Duration.isFinite(duration) ? Duration.toMillis(duration) : null)
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
  cap: DurationMillis
})

/**
 * @since 0.1.0
 * @category models
 */
export type Retry = typeof Retry.Type

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
  overlap: Schema.Literal("skip"),
  onCrash: Schema.Literal("retry", "abandon"),
  crashLimit: Schema.Int,
  retry: Retry,
  timeout: DurationMillis,
  priority: Schema.Int
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
  /** What a due run does when `maxInstances` is reached: it is skipped, with an event. */
  readonly overlap?: Policy["overlap"] | undefined
  /** What becomes of a run whose node died: it is run again (default) or recorded as abandoned. */
  readonly onCrash?: Policy["onCrash"] | undefined
  /** How many nodes one run may outlive before it is abandoned all the same. Default: 3. */
  readonly crashLimit?: number | undefined
  /** How failed runs are tried again. Default: not at all. */
  readonly retry?: RetryOptions | undefined
  /** How long an attempt may take before it is interrupted and fails. Default: infinity. */
  readonly timeout?: Duration.DurationInput | undefined
  /** Higher starts first among runs that are due. Default: 0. */
  readonly priority?: number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface RetryOptions {
  /** How many times more, after the first attempt. */
  readonly times: number
  /** The same wait each time (default), or twice as long each time. */
  readonly backoff?: Retry["backoff"] | undefined
  /** The first wait. Default: 1 second. */
  readonly delay?: Duration.DurationInput | undefined
  /** The longest wait. Default: 1 hour. */
  readonly cap?: Duration.DurationInput | undefined
}

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
  onCrash: "retry",
  crashLimit: 3,
  retry: { times: 0, backoff: "fixed", delay: Duration.seconds(1), cap: Duration.hours(1) },
  timeout: Duration.infinity,
  priority: 0
}

/**
 * A policy with the given options laid over it, field by field; throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const override = (self: Policy, options: PolicyOptions): Policy => ({
  misfireGraceTime: duration("misfireGraceTime", options.misfireGraceTime, self.misfireGraceTime),
  coalesce: literal("coalesce", options.coalesce, Policy.fields.coalesce, self.coalesce),
  catchUpLimit: atLeast("catchUpLimit", options.catchUpLimit, 1, self.catchUpLimit),
  maxInstances: atLeast("maxInstances", options.maxInstances, 1, self.maxInstances),
  overlap: literal("overlap", options.overlap, Policy.fields.overlap, self.overlap),
  onCrash: literal("onCrash", options.onCrash, Policy.fields.onCrash, self.onCrash),
  crashLimit: atLeast("crashLimit", options.crashLimit, 0, self.crashLimit),
  retry: options.retry === undefined ? self.retry : overrideRetry(options.retry),
  timeout: duration("timeout", options.timeout, self.timeout),
  priority: atLeast("priority", options.priority, -Infinity, self.priority)
})

const overrideRetry = (options: RetryOptions): Retry => ({
  times: atLeast("retry.times", options.times, 0, 0),
  backoff: literal("retry.backoff", options.backoff, Retry.fields.backoff, defaults.retry.backoff),
  delay: duration("retry.delay", options.delay, defaults.retry.delay),
  cap: duration("retry.cap", options.cap, defaults.retry.cap)
})

const atLeast = (option: string, value: number | undefined, least: number, otherwise: number): number => {
  if (value === undefined) return otherwise
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new InvalidOption({
    option,
    value: String(value),
    expected: least === -Infinity ? "a whole number" : `a whole number of at least ${least}`
  })
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
  throw new InvalidOption({ option, value: String(value), expected: `a duration such as "30 seconds"` })
}

// Duration takes what is negative for nothing at all.
const isNegative = (value: Duration.DurationInput): boolean =>
  typeof value === "number" ? !(value >= 0) : typeof value === "string" && value.startsWith("-")

const wholeMillis = (duration: Duration.Duration): Duration.Duration =>
  Duration.isFinite(duration) ? Duration.millis(Math.ceil(Duration.toMillis(duration))) : duration

const literal = <A extends string>(
  option: string,
  value: A | undefined,
  schema: { readonly literals: ReadonlyArray<A> },
  otherwise: A
): A => {
  if (value === undefined) return otherwise
  if (schema.literals.includes(value)) return value
  throw new InvalidOption({ option, value: String(value), expected: schema.literals.join(", ") })
}

/**
 * How long a run waits after its nth failure, counted from 1.
 *
 * @since 0.1.0
 * @category queries
 */
export const retryDelay = (self: Retry, failures: number): Duration.Duration => {
  const factor = self.backoff === "exponential" ? 2 ** Math.min(failures - 1, 62) : 1
  return Duration.min(Duration.times(self.delay, factor), self.cap)
}
