/** What a handler releases when it is interrupted, while somebody else wants its end as well. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope, TestClock } from "effect"
import * as Executor from "../src/Executor.ts"
import type { PolicyOptions } from "../src/Policy.ts"
import * as Scheduler from "../src/Scheduler.ts"
import * as Task from "../src/Task.ts"
import * as FaultyJobStore from "./FaultyJobStore.ts"
import { inOwnTime } from "./FaultyJobStore.ts"

interface World {
  readonly scheduler: Scheduler.Scheduler["Type"]
  readonly faults: FaultyJobStore.Faults["Type"]
  readonly closeLayer: Effect.Effect<void>
}

const Careful = Task.make("Careful")
const released: Array<"wholly" | "partly"> = []

/** As clients of databases end: with an answer that may be interrupted, for no longer than so long. */
const release = Effect.sleep("10 seconds").pipe(
  Effect.interruptible,
  Effect.timeoutOption("1 minute"),
  Effect.onExit((exit) => Effect.sync(() => released.push(exit._tag === "Success" ? "wholly" : "partly")))
)

const CarefulLive = Task.toLayer(Careful, () => Effect.ensuring(Effect.never, release))

const live = Scheduler.layer().pipe(Layer.provide(CarefulLive), Layer.provide(Executor.layerFiber()))

const onFaulty = Layer.provideMerge(live, FaultyJobStore.layer())

const makeWorld: Effect.Effect<World, never, Scope.Scope> = Effect.gen(function* () {
  const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
  const context = yield* Layer.buildWithScope(onFaulty, scope)
  const all = Effect.all({ scheduler: Scheduler.Scheduler, faults: FaultyJobStore.Faults })
  return { ...(yield* Effect.provide(all, context)), closeLayer: Scope.close(scope, Exit.void) }
})

type End = (world: World) => Effect.Effect<unknown, unknown, Scope.Scope>

const cancel: End = ({ scheduler }) => Effect.flatMap(scheduler.runs(), ([run]) => scheduler.cancel(run!.id))

const shutdown: End = ({ scheduler }) => Effect.forkScoped(scheduler.shutdown({ wait: false }))

const endOfLayer: End = ({ closeLayer }) => Effect.forkScoped(closeLayer)

const timeout: End = () => TestClock.adjust("10 seconds")

const loseLease: End = ({ faults }) =>
  Effect.zipRight(
    faults.inject(
      { operation: "renew", how: "fail", when: "before" },
      { operation: "nextWake", how: "fail", when: "before" }
    ),
    TestClock.adjust("13 seconds")
  )

describe("a handler that is interrupted releases wholly what it has", () => {
  const test = (title: string, ends: ReadonlyArray<End>, options: PolicyOptions = {}) =>
    it.scoped(title, () =>
      Effect.gen(function* () {
        released.length = 0
        const world = yield* makeWorld
        yield* world.scheduler.add(Careful, { id: "careful", ...options })
        yield* TestClock.adjust("1 second")
        for (const end of ends) {
          yield* end(world)
          yield* TestClock.adjust("1 second")
          assert.deepStrictEqual(released, [])
        }
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(released, ["wholly"])
      }).pipe(inOwnTime)
    )

  test("by one shutdown", [shutdown])
  test("by two shutdowns", [shutdown, shutdown])
  test("by a cancel and a shutdown", [cancel, shutdown])
  test("by a cancel and the end of the layer", [cancel, endOfLayer])
  test("by a shutdown and a cancel", [shutdown, cancel])
  test("by the loss of its lease and a shutdown", [loseLease, shutdown])
  test("by its timeout and a shutdown", [timeout, shutdown], { timeout: "10 seconds" })
  test("by its timeout and a cancel", [timeout, cancel], { timeout: "10 seconds" })
  test("by a cancel and a shutdown, though it has a timeout", [cancel, shutdown], { timeout: "1 hour" })
})
