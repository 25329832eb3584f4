/**
 * What: the definition of a piece of work in code, with Schemas for what goes in and comes out, and the Layer that
 * attaches a handler to it.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type * as ParseResult from "effect/ParseResult"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Policy from "./Policy.ts"
import type { RunContext } from "./RunContext.ts"
import { InvalidPayload, issuesOf } from "./SchedulerError.ts"

/**
 * @since 0.1.0
 * @category symbols
 */
export const TypeId = "~effect-scheduler/Task" as const

/**
 * A definition: a name that the store knows it by, Schemas for payload, success and error, and policy defaults for its
 * jobs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Task<
  in out Name extends string,
  in out Payload extends Schema.Schema.AnyNoContext,
  in out Success extends Schema.Schema.AnyNoContext,
  in out Error extends Schema.Schema.AnyNoContext
> {
  readonly [TypeId]: typeof TypeId
  readonly name: Name
  readonly payload: Payload
  readonly success: Success
  readonly error: Error
  readonly defaults: Policy.PolicyOptions
  /** Whether a failed run may be tried again, from the `while` of its retry. */
  readonly isRetryable: (error: Schema.Schema.Type<Error>) => boolean
}

/**
 * Any task, whatever its Schemas.
 *
 * @since 0.1.0
 * @category models
 */
export interface Any {
  readonly [TypeId]: typeof TypeId
  readonly name: string
  readonly payload: Schema.Schema.AnyNoContext
  readonly success: Schema.Schema.AnyNoContext
  readonly error: Schema.Schema.AnyNoContext
  readonly defaults: Policy.PolicyOptions
  readonly isRetryable: (error: never) => boolean
}

/**
 * The payload type of a task.
 *
 * @since 0.1.0
 * @category models
 */
export type Payload<T extends Any> = Schema.Schema.Type<T["payload"]>

/**
 * The success type of a task.
 *
 * @since 0.1.0
 * @category models
 */
export type Success<T extends Any> = Schema.Schema.Type<T["success"]>

/**
 * The error type of a task.
 *
 * @since 0.1.0
 * @category models
 */
export type Failure<T extends Any> = Schema.Schema.Type<T["error"]>

/**
 * The policy defaults of a task; `while` says of which typed errors another attempt may be of use (default: all).
 *
 * @since 0.1.0
 * @category models
 */
export interface TaskOptions<Error> extends Omit<Policy.PolicyOptions, "retry"> {
  readonly retry?: (Policy.RetryOptions & { readonly while?: ((error: Error) => boolean) | undefined }) | undefined
}

/**
 * Defines a task. Without `payload` it takes none; without `success` or `error` its handler may be any Effect, whose
 * value is not recorded and whose error is recorded as text. Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <
  const Name extends string,
  Payload extends Schema.Schema.AnyNoContext = typeof Schema.Void,
  Success extends Schema.Schema.AnyNoContext = typeof Schema.Unknown,
  Error extends Schema.Schema.AnyNoContext = typeof Schema.Unknown
>(
  name: Name,
  options: TaskOptions<Schema.Schema.Type<Error>> & {
    readonly payload?: Payload | undefined
    readonly success?: Success | undefined
    readonly error?: Error | undefined
  } = {}
): Task<Name, Payload, Success, Error> => {
  const { error, payload, retry, success, ...policy } = options
  const { while: isRetryable = () => true, ...ownRetry } = retry ?? {}
  const defaults: Policy.PolicyOptions = retry === undefined ? policy : { ...policy, retry: ownRetry }
  Policy.override(Policy.defaults, defaults)
  return {
    [TypeId]: TypeId,
    name,
    payload: (payload ?? Schema.Void) as Payload,
    success: (success ?? Schema.Unknown) as Success,
    error: (error ?? Schema.Unknown) as Error,
    defaults,
    isRetryable
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// payloads
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The payload in its encoded form, which is JSON; or why not, with the path of each field at fault.
 *
 * @since 0.1.0
 * @category payloads
 */
export const encodePayload = (self: Any, payload: unknown): Either.Either<unknown, InvalidPayload> =>
  Schema.encodeUnknownEither(self.payload, { errors: "all" })(payload).pipe(
    Either.mapLeft((error) => refusal(self, error)),
    Either.flatMap((encoded) => {
      const issues = findNonJson(encoded ?? null, [])
      return issues.length === 0
        ? Either.right(encoded ?? null)
        : Either.left(new InvalidPayload({ task: self.name, issues }))
    })
  )

const refusal = (self: Any, error: ParseResult.ParseError): InvalidPayload =>
  new InvalidPayload({
    task: self.name,
    issues: issuesOf(error)
  })

type Issue = { readonly path: string; readonly message: string }

const findNonJson = (
  value: unknown,
  path: ReadonlyArray<string>,
  within: ReadonlyArray<unknown> = []
): ReadonlyArray<Issue> => {
  if (value === null || typeof value === "string" || typeof value === "boolean") return []
  if (typeof value === "number" && Number.isFinite(value)) return []
  if (isPlain(value) && !within.includes(value)) {
    // A field that is undefined is left out of JSON, which is what its absence means.
    const entries = Array.isArray(value)
      ? [...value].map((inner, i) => [String(i), inner] as const)
      : Object.entries(value).filter(([, inner]) => inner !== undefined)
    return entries.flatMap(([key, inner]) => findNonJson(inner, [...path, key], [...within, value]))
  }
  return [{ path: path.join("."), message: "its encoded form is not JSON; give the field a Schema that encodes it" }]
}

const isPlain = (value: unknown): value is object =>
  Array.isArray(value) || (Predicate.isRecord(value) && [Object.prototype, null].includes(Object.getPrototypeOf(value)))

// ---------------------------------------------------------------------------------------------------------------------
// handlers
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A handler attached to a task, as an executor calls it: encoded payload in, encoded value or error out. A payload that
 * cannot be decoded is a defect. `run` takes what its layer was given from the fiber that it runs in: `context` has it.
 *
 * @since 0.1.0
 * @category handlers
 */
export interface Handler<Name extends string = string> {
  readonly task: Any & { readonly name: Name }
  readonly context: Context.Context<never>
  readonly run: (payload: unknown) => Effect.Effect<unknown, HandlerFailure, RunContext | Scope.Scope>
}

/**
 * Lets a scheduler know tasks whose code is elsewhere: in the module that a thread or a process loads. An attempt that
 * is carried out in this process all the same ends with a defect.
 *
 * @since 0.1.0
 * @category handlers
 */
export const remote = <Tasks extends ReadonlyArray<Any>>(
  ...tasks: Tasks
): Layer.Layer<{ [I in keyof Tasks]: Handler<Tasks[I]["name"]> }[number]> =>
  Layer.succeedContext(
    Context.unsafeMake(
      new Map(
        tasks.map((task): [string, Handler] => [
          KEY + task.name,
          { task, context: Context.empty(), run: () => Effect.dieMessage(elsewhere(task.name)) }
        ])
      )
    )
  )

const elsewhere = (name: string): string =>
  `Task "${name}" was declared by Task.remote: its code is not in this process, so it needs WorkerExecutor or ProcessExecutor`

/**
 * The typed error of a handler: text for people and, where the task declares a Schema, the encoded error.
 *
 * @since 0.1.0
 * @category handlers
 */
export interface HandlerFailure {
  readonly message: string
  readonly trace: string
  readonly error?: unknown
  readonly isFinal?: boolean
}

const KEY = "effect-scheduler/Task/"

const tag = <Name extends string>(name: Name) => Context.GenericTag<Handler<Name>>(`${KEY}${name}`)

type HandlerFunction<T extends Any, R> = (
  payload: Schema.Schema.Type<T["payload"]>
) => Effect.Effect<Schema.Schema.Type<T["success"]>, Schema.Schema.Type<T["error"]>, R>

/**
 * Attaches a handler to a task, given as a function or as an Effect that makes one. What the handler needs becomes the
 * requirement of the layer, but for `RunContext` and `Scope`, which every attempt gets anew.
 *
 * @since 0.1.0
 * @category handlers
 */
export const toLayer = <T extends Any, R, EX = never, RX = never>(
  self: T,
  build: HandlerFunction<T, R> | Effect.Effect<HandlerFunction<T, R>, EX, RX>
): Layer.Layer<Handler<T["name"]>, EX, RX | Exclude<R, RunContext | Scope.Scope>> =>
  Layer.effect(
    tag<T["name"]>(self.name),
    Effect.gen(function* () {
      const handle = Effect.isEffect(build) ? yield* build : build
      const context = yield* Effect.context<Exclude<R, RunContext | Scope.Scope>>()
      return makeHandler(self, handle, context)
    })
  )

const makeHandler = <T extends Any, R>(
  self: T,
  handle: HandlerFunction<T, R>,
  context: Context.Context<Exclude<R, RunContext | Scope.Scope>>
): Handler<T["name"]> => {
  const decode = makeDecode(self)
  const toFailure = encodeError(self)
  const toValue = encodeSuccess(self)
  const attempt = (payload: Payload<T>) => toValue(Effect.mapError(handle(payload), toFailure))
  const run = (payload: unknown) => Effect.flatMap(decode(payload) as Effect.Effect<Payload<T>>, attempt)
  return { task: self, context, run } as unknown as Handler<T["name"]>
}

const makeDecode = (self: Any): ((payload: unknown) => Effect.Effect<unknown>) => {
  const decode = Schema.decodeUnknown(self.payload)
  if (self.payload === Schema.Void) return () => Effect.void
  // JSON has no undefined: a payload that is absent is stored as null.
  const isNullable = Schema.is(Schema.encodedSchema(self.payload))(null)
  return (payload) => Effect.orDie(decode(payload === null && !isNullable ? undefined : payload))
}

const encodeSuccess = (self: Any): (<E, R>(value: Effect.Effect<unknown, E, R>) => Effect.Effect<unknown, E, R>) => {
  if (self.success === Schema.Unknown) return Effect.asVoid
  const encode = Schema.encodeUnknown(self.success)
  return Effect.flatMap((value) => Effect.orDie(Effect.tap(encode(value), checkJson)))
}

const checkJson = (encoded: unknown): Effect.Effect<void> => {
  const [fault] = encoded === undefined ? [] : findNonJson(encoded, [])
  return fault === undefined ? Effect.void : Effect.dieMessage(`${fault.path}: ${fault.message}`)
}

const encodeError =
  (self: Any) =>
  (error: unknown): HandlerFailure => {
    const isFinal = !(self.isRetryable as (error: unknown) => boolean)(error)
    const failure = { ...describe(Cause.fail(error)), ...(isFinal ? { isFinal } : {}) }
    if (self.error === Schema.Unknown) return failure
    return Either.match(Schema.encodeUnknownEither(self.error)(error), {
      onLeft: () => failure,
      onRight: (encoded) => (findNonJson(encoded, []).length > 0 ? failure : { ...failure, error: encoded })
    })
  }

/**
 * A cause in words: the message of its first error, and the whole of it with its traces.
 *
 * @since 0.1.0
 * @category handlers
 */
export const describe = (cause: Cause.Cause<unknown>): { readonly message: string; readonly trace: string } => {
  try {
    const trace = Cause.pretty(cause)
    return { message: Cause.prettyErrors(cause)[0]?.message ?? trace, trace }
  } catch {
    // It has no form in JSON, in which Cause prints what is no Error.
    const message = String(Cause.squash(cause))
    return { message, trace: message }
  }
}

/**
 * The handlers that a context holds, by the names of their tasks.
 *
 * @since 0.1.0
 * @category handlers
 */
export const handlers = (context: Context.Context<never>): ReadonlyMap<string, Handler> =>
  new Map(
    [...context.unsafeMap].flatMap(([key, handler]) =>
      key.startsWith(KEY) ? [[key.slice(KEY.length), handler as Handler]] : []
    )
  )
