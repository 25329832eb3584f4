/**
 * What a handler may know about the run that it carries out, and what it may tell of it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { StoreError } from "./SchedulerError.ts"

/** JSON has no −0: none is made up where values are. */
const Amount = Schema.Finite.annotations({
  arbitrary: () => (fc) => fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n + 0)
})

/**
 * How far an attempt is: so much done, of so much if that is known, and a note for people.
 *
 * @since 0.1.0
 * @category models
 */
export const Progress = Schema.Struct({
  done: Amount,
  total: Schema.optionalWith(Amount, { exact: true }),
  note: Schema.optionalWith(Schema.String, { exact: true })
})

/**
 * @since 0.1.0
 * @category models
 */
export type Progress = typeof Progress.Type

/**
 * An earlier run of the same job that has ended: how, and with what value if its task declares one.
 *
 * @since 0.1.0
 * @category models
 */
export const PreviousRun = Schema.Struct({
  runId: Schema.String,
  scheduledAt: Schema.DateTimeUtcFromNumber,
  finishedAt: Schema.DateTimeUtcFromNumber,
  outcome: Schema.Literal("Succeeded", "Failed", "Missed", "Skipped", "Cancelled", "Abandoned"),
  /** In its encoded form. */
  value: Schema.optionalWith(Schema.Unknown, { exact: true })
})

/**
 * @since 0.1.0
 * @category models
 */
export type PreviousRun = typeof PreviousRun.Type

/**
 * Which earlier run is meant: the last one that ended, however it did, or the last one that succeeded.
 *
 * @since 0.1.0
 * @category models
 */
export const Earlier = Schema.Literal("ended", "succeeded")

/**
 * @since 0.1.0
 * @category models
 */
export type Earlier = typeof Earlier.Type

/**
 * Provided to every handler: `yield* RunContext` inside it.
 *
 * @since 0.1.0
 * @category context
 */
export class RunContext extends Context.Tag("effect-scheduler/RunContext")<
  RunContext,
  {
    readonly jobId: string
    /** Unique for each run, and the same for all its attempts: a good idempotency key. */
    readonly runId: string
    readonly task: string
    /** The nominal time of the run, not the time at which it happened to start. */
    readonly scheduledAt: DateTime.Utc
    /** Which try this is, from 1; it only grows, so it can fence writes to other systems. */
    readonly attempt: number
    /** The run of the job before this one, by nominal time, that has ended; the store is asked only if it is run. */
    readonly previous: Effect.Effect<Option.Option<PreviousRun>, StoreError>
    /** The last run of the job before this one, by nominal time, that succeeded: where incremental work goes on. */
    readonly previousSuccess: Effect.Effect<Option.Option<PreviousRun>, StoreError>
    /** Tells how far the attempt is. It never waits; what follows within a second may take the place of what was told. */
    readonly progress: (progress: Progress) => Effect.Effect<void>
  }
>() {}
