/**
 * What a handler may know about the run that it carries out.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"

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
  }
>() {}
