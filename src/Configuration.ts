/**
 * A whole scheduler as one plain object: stores and executors by name, each of a type, and the options of the scheduler.
 * Which types there are is for the caller to say, so that nothing is loaded that nobody asked for.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Simplify } from "effect/Types"
import * as ConfigIssue from "./ConfigIssue.ts"
import * as ConfigValue from "./ConfigValue.ts"
import * as Executor from "./Executor.ts"
import * as JobStore from "./JobStore.ts"
import * as Policy from "./Policy.ts"
import { InvalidConfig } from "./SchedulerError.ts"
import { DEFAULT_STORE } from "./StoreAnswer.ts"

// ---------------------------------------------------------------------------------------------------------------------
// types of services
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A type of store or executor: what a configuration may say of one, and the layer that this stands for.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServiceType<Service, Fields extends Schema.Struct.Fields, E = never> {
  readonly fields: Fields
  /** `path` is where the settings stand, such as `stores.archive`. */
  readonly layer: (settings: Schema.Struct.Type<Fields>, path: string) => Layer.Layer<Service, E>
  /** What is wrong with settings as they were written though each of them is right: by key. */
  readonly check?: (settings: Readonly<Record<string, unknown>>) => Readonly<Record<string, string>>
}

/** What all types of one service have in common. */
interface AnyType<Service> {
  readonly fields: Schema.Struct.Fields
  readonly layer: (settings: never, path: string) => Layer.Layer<Service, unknown>
  readonly check?: (settings: Readonly<Record<string, unknown>>) => Readonly<Record<string, string>>
}

type Kinds = Readonly<Record<string, AnyType<never>>>

/**
 * The types that a configuration may name besides those that are built in, by these names.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServiceTypes {
  readonly stores: Readonly<Record<string, AnyType<JobStore.JobStore>>>
  readonly executors: Readonly<Record<string, AnyType<Executor.Executor>>>
}

/**
 * A type of store, for the `types` of a configuration.
 *
 * @since 0.1.0
 * @category constructors
 */
export const storeType = <Fields extends Schema.Struct.Fields, E = never>(
  type: ServiceType<JobStore.JobStore, Fields, E>
): ServiceType<JobStore.JobStore, Fields, E> => type

/**
 * A type of executor, for the `types` of a configuration.
 *
 * @since 0.1.0
 * @category constructors
 */
export const executorType = <Fields extends Schema.Struct.Fields, E = never>(
  type: ServiceType<Executor.Executor, Fields, E>
): ServiceType<Executor.Executor, Fields, E> => type

const optional = <A, I>(schema: Schema.Schema<A, I>, otherwise: A) =>
  Schema.optionalWith(schema, { default: () => otherwise })

/** What there is where nothing is said. */
const MEMORY = { type: "memory", history: 10_000 } as const
const FIBERS = { type: "fiber", concurrency: 10 } as const

/** The types that need no other package. */
const builtIn = {
  stores: {
    memory: storeType({
      fields: { history: optional(ConfigValue.count({ least: 0 }), MEMORY.history) },
      layer: ({ history }) => Layer.effect(JobStore.JobStore, JobStore.makeMemory({ history }))
    })
  },
  executors: {
    fiber: executorType({
      fields: { concurrency: optional(ConfigValue.countOrInfinity(1), FIBERS.concurrency as number) },
      layer: Executor.layerFiber
    }),
    none: executorType({ fields: {}, layer: () => Executor.layerNone })
  }
}

/**
 * No types besides those that are built in: `memory` stores; `fiber` executors, and `none`, which carries out nothing.
 *
 * @since 0.1.0
 * @category types
 */
export interface NoTypes {
  readonly stores: Readonly<Record<never, never>>
  readonly executors: Readonly<Record<never, never>>
}

/**
 * @since 0.1.0
 * @category types
 */
export const noTypes: NoTypes = { stores: {}, executors: {} }

/** The settings of one service, of any of some types. */
type Settings<K extends Kinds> = {
  [Name in keyof K & string]: Simplify<{ readonly type: Name } & Schema.Struct.Type<K[Name]["fields"]>>
}[keyof K & string]

type Written<K extends Kinds> = {
  [Name in keyof K & string]: Simplify<{ readonly type: Name } & Schema.Struct.Encoded<K[Name]["fields"]>>
}[keyof K & string]

type Failure<K extends Kinds> = { [Name in keyof K]: Layer.Layer.Error<ReturnType<K[Name]["layer"]>> }[keyof K]

type Stores<T extends ServiceTypes> = typeof builtIn.stores & T["stores"]

type Executors<T extends ServiceTypes> = typeof builtIn.executors & T["executors"]

/**
 * How services of some types may fail to be there.
 *
 * @since 0.1.0
 * @category errors
 */
export type Unbuilt<T extends ServiceTypes> = Failure<T["stores"]> | Failure<T["executors"]>

// ---------------------------------------------------------------------------------------------------------------------
// defaults of jobs
// ---------------------------------------------------------------------------------------------------------------------

const A_NAME = `a name of 1 to ${Policy.LONGEST_NAME} characters`

const isName = (text: string): boolean => text.length > 0 && text.length <= Policy.LONGEST_NAME

const name = Schema.String.pipe(
  Schema.filter(isName),
  Schema.annotations({ message: () => ({ message: `expected ${A_NAME}`, override: true }) })
)

const PolicyWritten = Schema.Struct({
  misfireGraceTime: Schema.optional(ConfigValue.duration),
  coalesce: Schema.optional(ConfigValue.choice(...Policy.Policy.fields.coalesce.literals)),
  catchUpLimit: Schema.optional(ConfigValue.count()),
  maxInstances: Schema.optional(ConfigValue.count()),
  overlap: Schema.optional(ConfigValue.choice(...Policy.Policy.fields.overlap.literals)),
  queueLimit: Schema.optional(ConfigValue.count()),
  jitter: Schema.optional(ConfigValue.finiteDuration),
  limit: Schema.optional(ConfigValue.countOrInfinity(1)),
  onCrash: Schema.optional(ConfigValue.choice(...Policy.Policy.fields.onCrash.literals)),
  crashLimit: Schema.optional(ConfigValue.count({ least: 0 })),
  retry: Schema.optional(
    Schema.Struct({
      times: Schema.optional(ConfigValue.count({ least: 0 })),
      backoff: Schema.optional(ConfigValue.choice(...Policy.Retry.fields.backoff.literals)),
      delay: Schema.optional(ConfigValue.finiteDuration),
      cap: Schema.optional(ConfigValue.finiteDuration),
      jitter: Schema.optional(ConfigValue.share)
    })
  ),
  timeout: Schema.optional(ConfigValue.duration),
  retention: Schema.optional(
    Schema.Struct({
      age: Schema.optional(ConfigValue.duration),
      count: Schema.optional(ConfigValue.countOrInfinity(0)),
      finishedJobs: Schema.optional(ConfigValue.choice(...Policy.Retention.fields.finishedJobs.literals))
    })
  ),
  priority: Schema.optional(ConfigValue.count({ least: Policy.LEAST_PRIORITY + 1 })),
  executor: Schema.optional(name)
} satisfies Record<keyof Policy.PolicyOptions, unknown>)

/** What is not said is what it is for a scheduler without options. */
const Defaults = Schema.transform(PolicyWritten, Schema.typeSchema(Policy.Policy), {
  strict: true,
  decode: (options) => Policy.override(Policy.defaults, options),
  encode: (policy) => policy
})

// ---------------------------------------------------------------------------------------------------------------------
// the configuration
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A configuration with all that was not said filled in.
 *
 * @since 0.1.0
 * @category models
 */
export interface Configuration<T extends ServiceTypes = NoTypes> {
  readonly stores: Readonly<Record<string, Settings<Stores<T>>>>
  readonly executors: Readonly<Record<string, Settings<Executors<T>>>>
  readonly defaults: Policy.Policy
  readonly paused: boolean
  readonly autoStart: boolean
  readonly drain: boolean | Duration.Duration
  readonly eventBuffer: number
  readonly watch?: Duration.Duration | undefined
}

/**
 * A configuration as it is written in code, in JSON or in YAML. Every value may be text, as environment variables are.
 *
 * @since 0.1.0
 * @category models
 */
export interface Input<T extends ServiceTypes = NoTypes> {
  /** The stores by name, with one named `default`. Default: one in memory. */
  readonly stores?: Readonly<Record<string, Written<Stores<T>>>> | undefined
  /** The executors by name, with one named `default`. Default: one of ten fibers. */
  readonly executors?: Readonly<Record<string, Written<Executors<T>>>> | undefined
  /** Policy for jobs whose task and settings say nothing else. */
  readonly defaults?: typeof Defaults.Encoded | undefined
  /** Starts paused. Default: false. */
  readonly paused?: boolean | string | undefined
  /** Whether the actor starts with the layer. Default: true. */
  readonly autoStart?: boolean | string | undefined
  /** How long the end of the layer waits for runs under way before it interrupts them. Default: not at all. */
  readonly drain?: boolean | number | string | undefined
  /** How many events a listener may be behind before it loses some. Default: 16 384. */
  readonly eventBuffer?: number | string | undefined
  /** How often the actor looks whether the wall clock jumped. Default: every 10 seconds on the live clock. */
  readonly watch?: number | string | undefined
}

/** Services by name, of any of some types; without any, the one that is given. */
const anyOf = (kinds: Kinds, otherwise: Readonly<Record<string, Typed>>) => {
  const settings = Object.entries(kinds).map(([type, { fields }]) =>
    Schema.Struct({ type: Schema.Literal(type), ...fields })
  )
  return optional(Schema.Record({ key: Schema.String, value: Schema.Union(...settings) }), otherwise)
}

const withBuiltIn = ({ executors, stores }: ServiceTypes): ServiceTypes => ({
  stores: { ...builtIn.stores, ...stores },
  executors: { ...builtIn.executors, ...executors }
})

/**
 * The Schema of configurations that may name some types.
 *
 * @since 0.1.0
 * @category schemas
 */
export const schema = <T extends ServiceTypes>(types: T): Schema.Schema<Configuration<T>, Input<T>> => {
  const { executors, stores } = withBuiltIn(types)
  return Schema.Struct({
    stores: anyOf(stores, { [DEFAULT_STORE]: MEMORY }),
    executors: anyOf(executors, { [Policy.DEFAULT_EXECUTOR]: FIBERS }),
    defaults: optional(Defaults, Policy.defaults),
    paused: optional(ConfigValue.flag, false),
    autoStart: optional(ConfigValue.flag, true),
    drain: optional(ConfigValue.wait, false),
    eventBuffer: optional(ConfigValue.count(), 16_384),
    watch: Schema.optional(ConfigValue.duration)
    // Which types there are is known to the compiler, but not how they came into the Schema.
  }) as unknown as Schema.Schema<Configuration<T>, Input<T>>
}

// ---------------------------------------------------------------------------------------------------------------------
// reading
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Reads a configuration; fails with everything that is wrong with it, unknown keys included.
 *
 * @since 0.1.0
 * @category reading
 */
export const decode = <T extends ServiceTypes>(
  types: T,
  input: unknown
): Effect.Effect<Configuration<T>, InvalidConfig> => {
  const read = Schema.decodeUnknownEither(schema(types), { errors: "all", onExcessProperty: "error" })(input)
  const refused = Either.isLeft(read) ? ConfigIssue.fromParseError(read.left) : []
  const told = (types as ServiceTypes) === noTypes ? refused.map(withHint) : refused
  const issues = [...told, ...contradictions(withBuiltIn(types), input)]
  return Either.isRight(read) && issues.length === 0 ? Effect.succeed(read.right) : new InvalidConfig({ issues })
}

/** A type that is refused may be one that nobody gave. */
const withHint = ({ message, path }: ConfigIssue.Issue): ConfigIssue.Issue =>
  /^(stores|executors)\.[^.]*\.type$/.test(path)
    ? { path, message: `${message}; other types have to be given, such as SchedulerConfig.types` }
    : { path, message }

type Keyed = Readonly<Record<string, unknown>>

const isKeyed = (input: unknown): input is Keyed => typeof input === "object" && input !== null && !Array.isArray(input)

/** What is wrong with values together, each of which is right: whether the others are or not. */
const contradictions = (types: ServiceTypes, input: unknown): ReadonlyArray<ConfigIssue.Issue> => {
  if (!isKeyed(input)) return []
  const { defaults, executors, stores } = input
  return [
    ...ofServices("stores", types.stores, stores),
    ...ofServices("executors", types.executors, executors),
    ...(isKeyed(defaults) ? ofExecutor(defaults, executors) : [])
  ]
}

const ofServices = (section: string, kinds: Kinds, input: unknown): ReadonlyArray<ConfigIssue.Issue> => {
  if (!isKeyed(input)) return []
  const missing =
    "default" in input ? [] : [{ path: `${section}.default`, message: "is missing; one must have this name" }]
  const named = Object.entries(input).flatMap(([name, settings]) => {
    const found = isKeyed(settings) ? kinds[String(settings.type)]?.check?.(settings) : undefined
    const path = `${section}.${name}`
    return [
      ...(isName(name) ? [] : [{ path, message: `expected ${A_NAME}` }]),
      ...Object.entries(found ?? {}).map(([key, message]) => ({ path: `${path}.${key}`, message }))
    ]
  })
  return [...missing, ...named]
}

const ofExecutor = ({ executor }: Keyed, executors: unknown): ReadonlyArray<ConfigIssue.Issue> => {
  const names = isKeyed(executors) ? Object.keys(executors) : [Policy.DEFAULT_EXECUTOR]
  if (typeof executor !== "string" || !isName(executor) || names.includes(executor)) return []
  return [{ path: "defaults.executor", message: `no executor has this name; known: ${names.join(", ")}` }]
}

// ---------------------------------------------------------------------------------------------------------------------
// what it stands for
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The stores and executors of a configuration, with clients, threads and processes of their own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <T extends ServiceTypes>(
  types: T,
  config: Configuration<T>
): Layer.Layer<JobStore.JobStore | Executor.Executor, Unbuilt<T>> => {
  const { executors, stores } = withBuiltIn(types)
  const layers: ReadonlyArray<Layer.Layer<never, unknown>> = [
    ...entriesOf(config.stores).map(([name, settings]) => {
      const store = layerOf(stores, settings, `stores.${name}`)
      return name === DEFAULT_STORE ? store : JobStore.named(name, store)
    }),
    ...entriesOf(config.executors).map(([name, settings]) => {
      const executor = layerOf(executors, settings, `executors.${name}`)
      return name === Policy.DEFAULT_EXECUTOR ? executor : Executor.named(name, executor)
    })
  ]
  return Layer.mergeAll(Layer.empty, ...layers) as Layer.Layer<JobStore.JobStore | Executor.Executor, Unbuilt<T>>
}

/** All settings have their type, which the compiler does not see where it does not know the types. */
const entriesOf = (services: Readonly<Record<string, unknown>>): ReadonlyArray<[string, Typed]> =>
  Object.entries(services as Readonly<Record<string, Typed>>)

interface Typed {
  readonly type: string
}

const layerOf = <Service>(
  kinds: Readonly<Record<string, AnyType<Service>>>,
  settings: Typed,
  path: string
): Layer.Layer<Service, unknown> => kinds[settings.type]!.layer(settings as never, path)

// ---------------------------------------------------------------------------------------------------------------------
// what is shown
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A configuration as plain values that may be printed: all that holds, whoever said it, without the secrets.
 *
 * @since 0.1.0
 * @category formatting
 */
export const describe = <T extends ServiceTypes>(types: T, config: Configuration<T>): unknown =>
  withoutSecrets(config, Schema.encodeSync(schema(types))(config))

/** Puts what may be shown in the place of every secret. */
const withoutSecrets = (value: unknown, written: unknown): unknown => {
  if (Redacted.isRedacted(value)) return ConfigValue.hide(value)
  if (!isKeyed(value) || !isKeyed(written)) return written
  return Object.fromEntries(Object.entries(written).map(([key, part]) => [key, withoutSecrets(value[key], part)]))
}
