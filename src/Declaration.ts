/**
 * What users say of a job, and the record that is made of it: payloads checked, options merged, ids given.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Job from "./Job.ts"
import * as Policy from "./Policy.ts"
import type * as Run from "./Run.ts"
import { InvalidOption, type InvalidPayload, TriggerExhausted } from "./SchedulerError.ts"
import * as Task from "./Task.ts"
import type * as Trigger from "./Trigger.ts"

/**
 * What a job is made of besides its task. Policy options fall back to the task's, then to the scheduler's.
 *
 * @since 0.1.0
 * @category models
 */
export interface JobSettings extends Policy.PolicyOptions {
  /** Default: a new UUID. */
  readonly id?: string | undefined
  /** For people. Default: the id. */
  readonly name?: string | undefined
  /** When it runs. Default: `Trigger.now`. */
  readonly trigger?: Trigger.Trigger | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  /** The name of the store that it is put into. Default: the one without a name. */
  readonly store?: string | undefined
  /** Adds the job paused. Default: false. */
  readonly paused?: boolean | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export type PayloadOption<T extends Task.Any> =
  undefined extends Task.Payload<T> ? { readonly payload?: Task.Payload<T> } : { readonly payload: Task.Payload<T> }

/**
 * A job that is not stored yet: made by `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Declaration {
  readonly task: Task.Any
  readonly payload: unknown
  readonly settings: JobSettings
}

/**
 * A declaration whose payload the compiler has checked.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <T extends Task.Any>(task: T, options: JobSettings & PayloadOption<T>): Declaration => {
  const { payload, ...settings } = options as JobSettings & { readonly payload?: unknown }
  return { task, payload, settings }
}

/**
 * Why a job is refused.
 *
 * @since 0.1.0
 * @category errors
 */
export type Refusal = InvalidOption | InvalidPayload | TriggerExhausted

/**
 * The record of a declared job as it is added at `now`.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toJob = (
  { payload, settings, task }: Declaration,
  surroundings: {
    readonly defaults: Policy.Policy
    readonly now: DateTime.Utc
    readonly group?: string | undefined
    readonly origin?: Run.Origin | undefined
  }
): Effect.Effect<Job.Job, Refusal> =>
  Effect.gen(function* () {
    const { id, labels, name, paused, store: _, trigger, ...own } = settings
    const { defaults, ...rest } = surroundings
    const job = Job.make({
      ...rest,
      id: yield* checkId(id ?? (yield* uuid)),
      task: task.name,
      payload: yield* Task.encodePayload(task, payload),
      trigger,
      policy: yield* Effect.flatMap(override(defaults, task.defaults), (_) => override(_, own)),
      name,
      labels,
      isPaused: paused
    })
    return Option.isSome(job.nextRunTime) ? job : yield* new TriggerExhausted({ jobId: job.id })
  })

/**
 * A policy with the given options laid over it, or why not.
 *
 * @since 0.1.0
 * @category conversions
 */
export const override = (
  policy: Policy.Policy,
  options: Policy.PolicyOptions
): Effect.Effect<Policy.Policy, InvalidOption> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(Policy.override(policy, options))
    } catch (error) {
      return error instanceof InvalidOption ? Effect.fail(error) : Effect.die(error)
    }
  })

const MAX_ID = 200

const checkId = (id: string): Effect.Effect<string, InvalidOption> =>
  id.length > 0 && id.length <= MAX_ID
    ? Effect.succeed(id)
    : new InvalidOption({ option: "id", value: JSON.stringify(id), expected: `1 to ${MAX_ID} characters` })

// From Effect's own Random, so that a seeded one makes the ids of a test repeatable.
const uuid: Effect.Effect<string> = Effect.gen(function* () {
  const hex = yield* Effect.replicateEffect(Random.nextIntBetween(0, 16), 32)
  const digits = hex.map((digit, i) => (i === 12 ? 4 : i === 16 ? 8 + (digit % 4) : digit).toString(16)).join("")
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
})
