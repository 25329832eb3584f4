/**
 * The configuration of a scheduler with every type of store and executor of this library, from an object, a file or the
 * environment.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import * as ConfigEnvironment from "./ConfigEnvironment.ts"
import * as ConfigTypes from "./ConfigTypes.ts"
import * as Configuration from "./Configuration.ts"
import * as Scheduler from "./Scheduler.ts"
import type { InvalidConfig } from "./SchedulerError.ts"

type All = typeof ConfigTypes.types

/**
 * What `Scheduler.fromConfig` and `Scheduler.layerConfig` need to know the stores `sqlite`, `postgres` and `mysql`, and
 * the executors `worker` and `process`. Their packages are loaded when a configuration names them.
 *
 * @since 0.1.0
 * @category types
 */
export const types: All = ConfigTypes.types

/**
 * A configuration with all that was not said filled in, and secrets that do not show themselves.
 *
 * @since 0.1.0
 * @category models
 */
export interface SchedulerConfig extends Configuration.Configuration<All> {}

/**
 * A configuration as it is written.
 *
 * @since 0.1.0
 * @category models
 */
export interface Input extends Configuration.Input<All> {}

/**
 * @since 0.1.0
 * @category schemas
 */
export const SchedulerConfig: Schema.Schema<SchedulerConfig, Input> = Configuration.schema(types)

/**
 * Reads a configuration of whatever origin; fails with everything that is wrong with it, unknown keys included.
 *
 * @since 0.1.0
 * @category reading
 */
export const decode = (input: unknown): Effect.Effect<SchedulerConfig, InvalidConfig> =>
  Configuration.decode(types, input)

/** What a command finds around it that the command line runs. */
const OF_RUNS = ["JOB_ID", "RUN_ID", "SCHEDULED_AT", "ATTEMPT"]

/**
 * What the environment says, in variables whose names are a prefix and the path to a value: with `SCHEDULER`,
 * `SCHEDULER_DEFAULTS_MAX_INSTANCES` and `SCHEDULER_STORES_ARCHIVE_FILENAME`. Names of stores and executors are read in
 * small letters, and have no underscore.
 *
 * @since 0.1.0
 * @category reading
 */
export const environment = (prefix: string): Config.Config<Input> =>
  // Whether it is one is found out by whoever reads it: all at once.
  ConfigEnvironment.read(SchedulerConfig, prefix, OF_RUNS) as Config.Config<Input>

/**
 * A configuration, as it was written, with another one laid over it, such as the environment over a file: what the one
 * above says holds, key by key. The environment knows no capitals: names are spelt as they are below.
 *
 * @since 0.1.0
 * @category reading
 */
export const overlay = (below: unknown, above: unknown): unknown =>
  isKeyed(below) && isKeyed(above) ? merge(below, above) : below

type Keyed = Readonly<Record<string, unknown>>

const isKeyed = (value: unknown): value is Keyed => typeof value === "object" && value !== null && !Array.isArray(value)

const merge = (below: Keyed, above: Keyed): Keyed => {
  const merged: Record<string, unknown> = { ...below }
  for (const [key, value] of Object.entries(above)) {
    const known = Object.keys(below).find((name) => name.toLowerCase() === key.toLowerCase()) ?? key
    const was = below[known]
    merged[known] = isKeyed(was) && isKeyed(value) ? merge(was, value) : value
  }
  return merged
}

/**
 * The scheduler that a configuration stands for, with stores, executors and connections of its own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  config: SchedulerConfig
): Layer.Layer<Scheduler.Scheduler, InvalidConfig | Configuration.Unbuilt<All>> =>
  Layer.provide(Scheduler.layer(config), Configuration.layer(types, config))

/**
 * A configuration as plain values that may be printed: all that holds, whoever said it, without the secrets.
 *
 * @since 0.1.0
 * @category formatting
 */
export const describe = (config: SchedulerConfig): unknown => Configuration.describe(types, config)
