/**
 * The small world in which the conformance of executors is checked: one task that does as it is told, a scheduler that
 * carries it out, and an ear for its events, logs and spans.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as List from "effect/List"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import assert from "node:assert/strict"
import { Executor } from "./Executor.ts"
import * as JobStore from "./JobStore.ts"
import type { PolicyOptions } from "./Policy.ts"
import type * as Run from "./Run.ts"
import { RunContext } from "./RunContext.ts"
import * as Scheduler from "./Scheduler.ts"
import type { SchedulerEvent } from "./SchedulerEvent.ts"
import * as Task from "./Task.ts"
import * as Trigger from "./Trigger.ts"

// ---------------------------------------------------------------------------------------------------------------------
// the task
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The typed error of `Act`.
 *
 * @since 0.1.0
 * @category task
 */
export class Unwilling extends Schema.TaggedError<Unwilling>()("Unwilling", { until: Schema.DateTimeUtc }) {}

/**
 * What `Act` is told to do.
 *
 * @since 0.1.0
 * @category task
 */
export const Order = Schema.Union(
  /** Succeeds with what it was given. */
  Schema.TaggedStruct("Give", { value: Schema.Unknown }),
  Schema.TaggedStruct("Fail", { until: Schema.DateTimeUtc }),
  Schema.TaggedStruct("Die", { message: Schema.String }),
  /** Succeeds with what is no JSON. */
  Schema.TaggedStruct("GiveUnfit", {}),
  /** Logs "began", sleeps so many milliseconds, and in any case logs "released", after so many more. */
  Schema.TaggedStruct("Hold", {
    millis: Schema.Number,
    release: Schema.optionalWith(Schema.Number, { default: () => 0 })
  }),
  /** Logs "began" and then keeps the processor busy: it cannot be interrupted. */
  Schema.TaggedStruct("Spin", {}),
  /** Ends its thread or process in so many first attempts. */
  Schema.TaggedStruct("Exit", { times: Schema.Number }),
  /** Logs in every way there is. */
  Schema.TaggedStruct("Log", {}),
  /** Gives what it knows of its run. */
  Schema.TaggedStruct("Look", {}),
  /** Tells that all steps up to so many are done, one after the other, and goes on for so many milliseconds. */
  Schema.TaggedStruct("Progress", { done: Schema.Number, millis: Schema.Number })
)

/**
 * @since 0.1.0
 * @category task
 */
export type Order = typeof Order.Type

/**
 * Does as it is told.
 *
 * @since 0.1.0
 * @category task
 */
export const Act = Task.make("Act", {
  payload: Order,
  success: Schema.Any,
  error: Unwilling,
  retry: { times: 0, delay: "10 millis", while: ({ until }) => until.epochMillis > 0 }
})

const hold = ({ millis, release }: Extract<Order, { readonly _tag: "Hold" }>) =>
  Effect.acquireRelease(Effect.log("began"), () => Effect.delay(Effect.log("released"), release)).pipe(
    Effect.zipRight(Effect.sleep(millis)),
    Effect.asVoid
  )

const spin = Effect.sync(() => {
  for (;;);
})

const logAll = Effect.gen(function* () {
  yield* Effect.logDebug("not worth the way")
  yield* Effect.logWarning("two", { parts: 2 }).pipe(
    Effect.annotateLogs({ of: "a handler", deep: { is: [true] } }),
    Effect.withLogSpan("within")
  )
  yield* Effect.logError("a cause", Cause.fail(new Error("it broke")))
})

const look = Effect.gen(function* () {
  const { attempt, jobId, previous, previousSuccess, runId, scheduledAt, task } = yield* RunContext
  const span = yield* Effect.contextWith((context: Context.Context<never>) =>
    Option.getOrNull(Context.getOption(context, Tracer.ParentSpan))
  )
  const earlier = yield* Effect.all([previous, previousSuccess])
  return {
    run: { attempt, jobId, runId, scheduledAt: scheduledAt.epochMillis, task },
    span: span === null ? null : { traceId: span.traceId, spanId: span.spanId },
    earlier: earlier.map(Option.match({ onNone: () => null, onSome: ({ outcome, runId }) => [outcome, runId] }))
  }
})

const tell = ({ done, millis }: Extract<Order, { readonly _tag: "Progress" }>) =>
  Effect.gen(function* () {
    const { progress } = yield* RunContext
    for (let i = 1; i <= done; i++) yield* progress({ done: i, total: done, note: `step ${i}` })
    yield* Effect.sleep(millis)
  })

const act = (order: Order): Effect.Effect<unknown, Unwilling, RunContext | Scope.Scope> => {
  switch (order._tag) {
    case "Give":
      return Effect.succeed(order.value)
    case "Fail":
      return Effect.fail(new Unwilling({ until: order.until }))
    case "Die":
      return Effect.die(new Error(order.message))
    case "GiveUnfit":
      return Effect.succeed({ deep: [1n] })
    case "Hold":
      return hold(order)
    case "Spin":
      return Effect.zipRight(Effect.log("began"), Effect.delay(spin, 1))
    case "Exit":
      return Effect.flatMap(RunContext, ({ attempt }) =>
        attempt > order.times ? Effect.succeed(attempt) : Effect.sync(() => process.exit(7))
      )
    case "Log":
      return logAll
    case "Look":
      return Effect.orDie(look)
    case "Progress":
      return tell(order)
  }
}

/**
 * The handler of `Act`.
 *
 * @since 0.1.0
 * @category task
 */
export const ActLive: Layer.Layer<Task.Handler<"Act">> = Task.toLayer(Act, act)

// ---------------------------------------------------------------------------------------------------------------------
// the world
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A promise of the port, and an Effect that fails or dies where an executor breaks it; it takes real time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Check {
  readonly name: string
  readonly check: Effect.Effect<void, unknown>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Logged {
  readonly level: string
  readonly message: unknown
  readonly cause: string
  readonly annotations: Readonly<Record<string, unknown>>
  readonly spans: ReadonlyArray<string>
}

/**
 * A scheduler that has just started on the executor, what it told, and what was logged and traced since.
 *
 * @since 0.1.0
 * @category models
 */
export interface World {
  readonly scheduler: Scheduler.Scheduler["Type"]
  readonly concurrency: number
  readonly events: ReadonlyArray<SchedulerEvent>
  readonly logs: ReadonlyArray<Logged>
  readonly spans: ReadonlyArray<Tracer.Span>
}

const makeLogger = (logs: Array<Logged>): Logger.Logger<unknown, void> =>
  Logger.make(({ annotations, cause, logLevel, message, spans }) => {
    logs.push({
      level: logLevel.label,
      message: Array.isArray(message) && message.length === 1 ? message[0] : message,
      cause: Cause.isEmpty(cause) ? "" : Cause.pretty(cause),
      annotations: Object.fromEntries(HashMap.toEntries(annotations)),
      spans: List.toArray(spans).map(({ label }) => label)
    })
  })

let spanCount = 0

const makeTracer = (spans: Array<Tracer.Span>): Tracer.Tracer =>
  Tracer.make({
    context: (run) => run(),
    span: (name, parent, context, links, startTime, kind) => {
      const spanId = (++spanCount).toString(16).padStart(16, "0")
      const traceId = Option.match(parent, { onNone: () => spanId.padStart(32, "0"), onSome: (_) => _.traceId })
      const span: Tracer.Span = {
        _tag: "Span",
        ...{ name, parent, context, links, kind, spanId, traceId },
        status: { _tag: "Started", startTime },
        attributes: new Map(),
        sampled: true,
        end: () => {},
        attribute: () => {},
        event: () => {},
        addLinks: () => {}
      }
      spans.push(span)
      return span
    }
  })

/**
 * Does something in a world of its own, which ends with it.
 *
 * @since 0.1.0
 * @category world
 */
export const inWorld = <E>(
  executor: Layer.Layer<Executor, E>,
  body: (world: World) => Effect.Effect<void, unknown, Scope.Scope>
): Effect.Effect<void, unknown> => {
  const logs: Array<Logged> = []
  const spans: Array<Tracer.Span> = []
  const events: Array<SchedulerEvent> = []
  const ears = Layer.mergeAll(
    Logger.replace(Logger.defaultLogger, makeLogger(logs)),
    Layer.setTracer(makeTracer(spans))
  )
  const layer = Scheduler.layer().pipe(
    Layer.provide(ActLive),
    Layer.provideMerge(Layer.merge(executor, JobStore.layerMemory)),
    Layer.provide(ears)
  )
  return Effect.gen(function* () {
    const scheduler = yield* Scheduler.Scheduler
    const { concurrency } = yield* Executor
    const told = yield* scheduler.subscribe
    yield* Effect.forkScoped(Stream.runForEach(told, (event) => Effect.sync(() => events.push(event))))
    yield* body({ scheduler, concurrency, events, logs, spans })
  }).pipe(Effect.scoped, Effect.provide(layer))
}

/** It is never due by itself. */
const LATER = Trigger.at("2999-01-01T00:00:00Z")

/**
 * Has the task do something, now, as a job of that id.
 *
 * @since 0.1.0
 * @category runs
 */
export const order = (
  { scheduler }: World,
  id: string,
  payload: Order,
  policy: PolicyOptions = {}
): Effect.Effect<Run.Run, unknown> =>
  Effect.zipRight(
    scheduler.add(Act, { id, payload, trigger: LATER, onConflict: "replace", ...policy }),
    scheduler.runNow(id)
  )

/**
 * The same, and waits for its end.
 *
 * @since 0.1.0
 * @category runs
 */
export const carryOut = (
  world: World,
  id: string,
  payload: Order,
  policy: PolicyOptions = {}
): Effect.Effect<Run.Run, unknown> =>
  Effect.flatMap(order(world, id, payload, policy), ({ id }) => world.scheduler.awaitRun(id))

/**
 * The state of a run, which is the one that is expected.
 *
 * @since 0.1.0
 * @category runs
 */
export const stateOf = <Tag extends Run.RunState["_tag"]>(
  { state }: Run.Run,
  tag: Tag
): Extract<Run.RunState, { readonly _tag: Tag }> => {
  assert.equal(state._tag, tag, JSON.stringify(state))
  return state as Extract<Run.RunState, { readonly _tag: Tag }>
}

/**
 * Waits until something is so, for at most twenty seconds of real time.
 *
 * @since 0.1.0
 * @category runs
 */
export const until = (what: string, isSo: () => boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (let i = 0; !isSo(); i++) {
      if (i === 2000) return yield* Effect.dieMessage(`It did not come about that ${what}`)
      yield* Effect.sleep(10)
    }
  })

/**
 * How often something was logged by a job.
 *
 * @since 0.1.0
 * @category runs
 */
export const logged = ({ logs }: World, jobId: string, message: string): number =>
  logs.filter((_) => _.annotations.job === jobId && _.message === message).length

/**
 * Has the task hold for a long time, and release after so many milliseconds; waits until it holds.
 *
 * @since 0.1.0
 * @category runs
 */
export const holding = (world: World, id: string, release = 0): Effect.Effect<Run.Run, unknown> =>
  Effect.tap(order(world, id, { _tag: "Hold", millis: 60_000, release }), () =>
    until(`${id} began`, () => logged(world, id, "began") > 0)
  )

/**
 * @since 0.1.0
 * @category runs
 */
export const find = ({ scheduler }: World, runId: string): Effect.Effect<Run.Run, unknown> =>
  Effect.flatMap(scheduler.runs({ limit: 1000 }), (runs) => Option.fromNullable(runs.find(({ id }) => id === runId)))
