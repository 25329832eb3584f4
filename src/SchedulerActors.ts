/**
 * The actors of one scheduler, a loop for each of its stores, on executors that they share: how they start, pause and end
 * together, and how stores and executors are added and removed while they run.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Executor } from "./Executor.ts"
import { JobStore } from "./JobStore.ts"
import type { Engine } from "./JobVerbs.ts"
import type * as LoopState from "./LoopState.ts"
import { DEFAULT_EXECUTOR } from "./Policy.ts"
import { InvalidOption } from "./SchedulerError.ts"
import * as SchedulerLoop from "./SchedulerLoop.ts"
import { DEFAULT_STORE } from "./StoreAnswer.ts"

/**
 * How a scheduler is: as its loop on the store without a name, with what holds of all of them (`running` on all stores,
 * `isStoreAvailable` if all are), and its stores and executors by name.
 *
 * @since 0.1.0
 * @category models
 */
export interface Health extends SchedulerLoop.Health {
  readonly stores: Readonly<Record<string, SchedulerLoop.Health>>
  readonly executors: Readonly<Record<string, { readonly concurrency: number; readonly running: number }>>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Actors {
  readonly pauseAll: Effect.Effect<void>
  readonly resumeAll: Effect.Effect<void>
  readonly start: Effect.Effect<void>
  readonly shutdown: (wait: LoopState.Wait) => Effect.Effect<void>
  readonly runDue: (atMost: Duration.Duration) => Effect.Effect<number>
  readonly health: Effect.Effect<Health>
  readonly addStore: <E, R>(
    name: string,
    store: Layer.Layer<JobStore, E, R>
  ) => Effect.Effect<void, E | InvalidOption, R>
  readonly removeStore: (name: string, wait: LoopState.Wait) => Effect.Effect<void, InvalidOption>
  readonly addExecutor: <E, R>(
    name: string,
    executor: Layer.Layer<Executor, E, R>
  ) => Effect.Effect<void, E | InvalidOption, R>
  readonly removeExecutor: (name: string, wait: LoopState.Wait) => Effect.Effect<void, InvalidOption>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly isStarted: boolean
  readonly isPaused: boolean
  readonly drain: LoopState.Wait
  readonly watch: Duration.Duration
}

/** A loop under way on a store, or about to be, and what ends with it. */
interface Actor {
  readonly loop: SchedulerLoop.SchedulerLoop
  readonly fiber: Fiber.RuntimeFiber<void>
  readonly scope: Scope.CloseableScope
}

interface Theatre {
  readonly engine: Engine
  readonly options: Options
  readonly started: Effect.Latch
  readonly listening: Effect.Latch
  readonly actors: Map<string, Actor>
  /** What ends with an executor that was added while the scheduler runs. */
  readonly scopes: Map<string, Scope.CloseableScope>
  isStarted: boolean
  isOver: boolean
}

/**
 * Actors on all stores of an engine. They end with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (engine: Engine, options: Options): Effect.Effect<Actors, never, Scope.Scope> =>
  Effect.gen(function* () {
    const self: Theatre = {
      ...{ engine, options, actors: new Map(), scopes: new Map(), isStarted: options.isStarted, isOver: false },
      started: yield* Effect.makeLatch(options.isStarted),
      listening: yield* Effect.makeLatch(options.isStarted)
    }
    yield* Effect.addFinalizer(() => Effect.zipRight(shutdown(self, options.drain), closeAll(self)))
    for (const name of engine.stores.names) yield* engage(self, name, yield* Scope.make())
    return {
      pauseAll: send(self, { _tag: "Pause" }),
      resumeAll: send(self, { _tag: "Resume" }),
      start: Effect.zipRight(self.listening.open, start(self)),
      shutdown: (wait) => shutdown(self, wait),
      runDue: (atMost) => runDue(self, atMost),
      health: health(self),
      addStore: (name, store) => addStore(self, name, store),
      removeStore: (name, wait) => removeStore(self, name, wait),
      addExecutor: (name, executor) => addExecutor(self, name, executor),
      removeExecutor: (name, wait) => removeExecutor(self, name, wait)
    }
  })

const makeLoop = ({ engine, options }: Theatre, name: string, isFirst: boolean, isPaused: boolean) =>
  Effect.gen(function* () {
    const { executors, handlers, hub, stores } = engine
    const store = yield* Effect.orDie(stores.named(name))
    const { watch } = options
    return yield* SchedulerLoop.make({ executors, handlers, hub, isFirst, isPaused, name, store, watch })
  })

/** Starts the loop of a store, as soon as the scheduler starts. */
const engage = (self: Theatre, name: string, scope: Scope.CloseableScope): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { actors, engine, options, started } = self
    const isFirst = name === DEFAULT_STORE
    const isPaused = isFirst ? options.isPaused : (yield* modeOf(self)) === "Paused"
    const loop = yield* makeLoop(self, name, isFirst, isPaused)
    const store = yield* Effect.orDie(engine.stores.named(name))
    const fiber = yield* Effect.forkIn(Effect.zipRight(started.await, loop.run), scope)
    const wake = Stream.runForEach(store.changes, () => Effect.sync(() => loop.send({ _tag: "Wake" })))
    // A mere client does not listen, not even for its end: to PostgreSQL that would be a connection of its own.
    yield* Effect.forkIn(Effect.zipRight(self.listening.await, wake), scope)
    actors.set(name, { loop, fiber, scope })
  })

const modeOf = ({ actors }: Theatre): Effect.Effect<LoopState.Mode> => {
  const first = actors.get(DEFAULT_STORE)
  return first === undefined ? Effect.succeed("Running") : Effect.map(first.loop.health, ({ mode }) => mode)
}

const send = ({ actors }: Theatre, message: LoopState.Message): Effect.Effect<void> =>
  Effect.sync(() => {
    for (const { loop } of actors.values()) loop.send(message)
  })

const start = (self: Theatre): Effect.Effect<void> =>
  Effect.suspend(() => {
    self.isStarted = true
    return Effect.asVoid(self.started.open)
  })

/** Ends all loops together, and tells so once. */
const shutdown = (self: Theatre, wait: LoopState.Wait): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* send(self, { _tag: "Shutdown", wait })
    yield* start(self)
    yield* Effect.forEach(self.actors.values(), ({ fiber }) => Fiber.await(fiber), { discard: true })
    if (self.isOver) return
    self.isOver = true
    self.engine.hub.publish({ _tag: "SchedulerShutdown", at: yield* DateTime.now })
  })

const closeAll = ({ actors, scopes }: Theatre): Effect.Effect<void> =>
  Effect.forEach(
    [...[...actors.values()].map(({ scope }) => scope), ...scopes.values()],
    (scope) => Scope.close(scope, Exit.void),
    { discard: true }
  )

const health = ({ actors, engine }: Theatre): Effect.Effect<Health> =>
  Effect.gen(function* () {
    const all = yield* Effect.forEach(actors, ([name, { loop }]) => Effect.map(loop.health, (_) => [name, _] as const))
    const healths = all.map(([, health]) => health)
    const executors = [...engine.executors.all].map(
      ({ executor: { concurrency }, name, taken }) => [name, { concurrency, running: taken }] as const
    )
    return {
      ...(healths[0] as SchedulerLoop.Health),
      running: healths.reduce((sum, { running }) => sum + running, 0),
      isStoreAvailable: healths.every(({ isStoreAvailable }) => isStoreAvailable),
      stores: Object.fromEntries(all),
      executors: Object.fromEntries(executors)
    }
  })

/**
 * Loops of their own that end as soon as nothing is due, so that whoever has no process that stays can call this from time
 * to time. What is still under way when its time is over is interrupted and given back.
 */
const runDue = (self: Theatre, atMost: Duration.Duration): Effect.Effect<number> =>
  Effect.gen(function* () {
    const loops = yield* Effect.forEach(self.engine.stores.names, (name) => makeLoop(self, name, false, false))
    const run = (loop: SchedulerLoop.SchedulerLoop) => {
      const stop = Effect.sync(() => loop.send({ _tag: "Shutdown", wait: false }))
      loop.send({ _tag: "FinishDue" })
      return Effect.raceFirst(loop.run, Effect.zipRight(Effect.delay(stop, atMost), Effect.never))
    }
    yield* Effect.forEach(loops, run, { concurrency: "unbounded", discard: true })
    const healths = yield* Effect.forEach(loops, ({ health }) => health)
    return healths.reduce((sum, { attempted }) => sum + attempted, 0)
  })

// ---------------------------------------------------------------------------------------------------------------------
// while it runs
// ---------------------------------------------------------------------------------------------------------------------

const refuse = (option: "store" | "executor", value: string, expected: string) =>
  Effect.fail(new InvalidOption({ option, value, expected }))

const addStore = <E, R>(self: Theatre, name: string, layer: Layer.Layer<JobStore, E, R>) =>
  Effect.gen(function* () {
    const { hub, stores } = self.engine
    if (stores.names.includes(name)) return yield* refuse("store", name, "a name that no store has")
    const [store, scope] = yield* build(JobStore, layer)
    stores.add(name, store)
    yield* engage(self, name, scope)
    hub.publish({ _tag: "JobStoreAdded", at: yield* DateTime.now, store: name })
  })

/** Builds a layer in a scope of its own, which is closed at once if that fails. */
const build = <I, S, E, R>(tag: { readonly key: string } & Effect.Effect<S, never, I>, layer: Layer.Layer<I, E, R>) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* restore(Layer.buildWithScope(Layer.fresh(layer), scope)).pipe(
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
      return [yield* Effect.provide(tag, context), scope] as const
    })
  )

const removeStore = (self: Theatre, name: string, wait: LoopState.Wait) =>
  Effect.gen(function* () {
    const { hub, stores } = self.engine
    const actor = name === DEFAULT_STORE ? undefined : self.actors.get(name)
    if (actor === undefined) return yield* refuse("store", name, "one that was given a name")
    // No job is put into it any more.
    stores.remove(name)
    actor.loop.send({ _tag: "Shutdown", wait })
    if (self.isStarted) yield* Fiber.await(actor.fiber)
    self.actors.delete(name)
    yield* Scope.close(actor.scope, Exit.void)
    hub.publish({ _tag: "JobStoreRemoved", at: yield* DateTime.now, store: name })
  })

const addExecutor = <E, R>(self: Theatre, name: string, layer: Layer.Layer<Executor, E, R>) =>
  Effect.gen(function* () {
    const { executors, hub } = self.engine
    if (executors.get(name) !== undefined) return yield* refuse("executor", name, "a name that no executor has")
    const [executor, scope] = yield* build(Executor, layer)
    self.scopes.set(name, scope)
    executors.add(name, executor)
    hub.publish({ _tag: "ExecutorAdded", at: yield* DateTime.now, executor: name })
    yield* send(self, { _tag: "Wake" })
  })

const removeExecutor = (self: Theatre, name: string, wait: LoopState.Wait) =>
  Effect.gen(function* () {
    const { executors, hub } = self.engine
    const slots = name === DEFAULT_EXECUTOR ? undefined : executors.get(name)
    if (slots === undefined) return yield* refuse("executor", name, "one that was given a name")
    const empty = yield* Effect.makeLatch(false)
    slots.close(() => empty.unsafeOpen())
    const interrupt = send(self, { _tag: "InterruptAll", executor: name })
    const patience = wait === true ? Duration.infinity : Duration.decode(wait === false ? 0 : wait)
    const isEmpty = yield* Effect.timeoutOption(empty.await, patience)
    if (Option.isNone(isEmpty)) yield* Effect.zipRight(interrupt, empty.await)
    executors.remove(name)
    const scope = self.scopes.get(name)
    self.scopes.delete(name)
    if (scope !== undefined) yield* Scope.close(scope, Exit.void)
    hub.publish({ _tag: "ExecutorRemoved", at: yield* DateTime.now, executor: name })
  })
