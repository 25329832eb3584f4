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
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import * as Policy from "./Policy.ts"
import { RunContext } from "./RunContext.ts"
import { InvalidPayload } from "./SchedulerError.ts"

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
}

/**
 * The payload type of a task.
 *
 * @since 0.1.0
 * @category models
 */
export type Payload<T extends Any> = Schema.Schema.Type<T["payload"]>

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
  options: Policy.PolicyOptions & {
    readonly payload?: Payload | undefined
    readonly success?: Success | undefined
    readonly error?: Error | undefined
  } = {}
): Task<Name, Payload, Success, Error> => {
  const { error, payload, success, ...defaults } = options
  Policy.override(Policy.defaults, defaults)
  return {
    [TypeId]: TypeId,
    name,
    payload: (payload ?? Schema.Void) as Payload,
    success: (success ?? Schema.Unknown) as Success,
    error: (error ?? Schema.Unknown) as Error,
    defaults
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
    issues: ParseResult.ArrayFormatter.formatErrorSync(error).map(({ message, path }) => ({
      path: path.map(String).join("."),
      message
    }))
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
 * cannot be decoded is a defect.
 *
 * @since 0.1.0
 * @category handlers
 */
export interface Handler<Name extends string = string> {
  readonly task: Any & { readonly name: Name }
  readonly run: (payload: unknown) => Effect.Effect<unknown, HandlerFailure, RunContext | Scope.Scope>
}

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
      return makeHandler(self, (payload) => Effect.mapInputContext(handle(payload), withContext<R>(context)))
    })
  )

const withContext =
  <R>(context: Context.Context<Exclude<R, RunContext | Scope.Scope>>) =>
  (own: Context.Context<RunContext | Scope.Scope>): Context.Context<R> =>
    // What surrounds the attempt gives way to what the layer was given, but for what belongs to the attempt alone.
    Context.mergeAll(own, context, ofAttempt(own)) as Context.Context<R>

const ofAttempt = (own: Context.Context<RunContext | Scope.Scope>): Context.Context<RunContext | Scope.Scope> => {
  const attempt = Context.pick(RunContext, Scope.Scope)(own)
  return Option.match(Context.getOption(own, Tracer.ParentSpan), {
    onNone: () => attempt,
    onSome: (span) => Context.add(attempt, Tracer.ParentSpan, span)
  })
}

const makeHandler = <T extends Any>(
  self: T,
  handle: HandlerFunction<T, RunContext | Scope.Scope>
): Handler<T["name"]> => {
  const decode = Schema.decodeUnknown(self.payload)
  // JSON has no undefined: a payload that is absent is stored as null.
  const isVoid = self.payload === Schema.Void
  const isNullable = Schema.is(Schema.encodedSchema(self.payload))(null)
  const run = (payload: unknown) =>
    Effect.suspend(() => decode(isVoid || (payload === null && !isNullable) ? undefined : payload)).pipe(
      Effect.orDie,
      Effect.flatMap((decoded) => Effect.mapError(handle(decoded), encodeError(self))),
      Effect.flatMap(encodeSuccess(self))
    )
  return { task: self, run } as Handler<T["name"]>
}

const encodeSuccess = (self: Any) => (value: unknown) =>
  self.success === Schema.Unknown
    ? Effect.void
    : Effect.orDie(Effect.tap(Schema.encodeUnknown(self.success)(value), checkJson))

const checkJson = (encoded: unknown): Effect.Effect<void> => {
  const [fault] = encoded === undefined ? [] : findNonJson(encoded, [])
  return fault === undefined ? Effect.void : Effect.dieMessage(`${fault.path}: ${fault.message}`)
}

const encodeError =
  (self: Any) =>
  (error: unknown): HandlerFailure => {
    const failure = describe(Cause.fail(error))
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
