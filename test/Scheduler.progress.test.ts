import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Schema, type Scope, Stream, TestClock } from "effect"
import * as Executor from "../src/Executor.ts"
import * as JobStore from "../src/JobStore.ts"
import type * as Run from "../src/Run.ts"
import { type PreviousRun, type Progress, RunContext } from "../src/RunContext.ts"
import * as Scheduler from "../src/Scheduler.ts"
import type { SchedulerEvent } from "../src/SchedulerEvent.ts"
import * as Task from "../src/Task.ts"
import * as Trigger from "../src/Trigger.ts"
import * as FaultyJobStore from "./FaultyJobStore.ts"

/** Tells once in so many milliseconds, so many times, and then fails. */
const Count = Task.make("Count", {
  payload: Schema.Struct({ every: Schema.Number, times: Schema.Number }),
  retry: { times: 0 }
})
const CountLive = Task.toLayer(Count, ({ every, times }) =>
  Effect.gen(function* () {
    const { progress } = yield* RunContext
    for (let done = 1; done <= times; done++) {
      yield* progress({ done, total: times })
      yield* Effect.sleep(every)
    }
    return yield* Effect.fail("it is over")
  })
)

type Service = Scheduler.Scheduler["Type"]

interface Stage {
  readonly scheduler: Service
  readonly told: ReadonlyArray<SchedulerEvent>
}

const on =
  (stores: Layer.Layer<JobStore.JobStore | FaultyJobStore.Faults>) =>
  (body: (stage: Stage) => Effect.Effect<void, unknown, Scope.Scope | FaultyJobStore.Faults>) =>
    Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const told: Array<SchedulerEvent> = []
      const events = yield* scheduler.subscribe
      yield* Effect.forkScoped(Stream.runForEach(events, (event) => Effect.sync(() => told.push(event))))
      yield* body({ scheduler, told })
    }).pipe(
      Effect.provide(
        Layer.provideMerge(
          Scheduler.layer().pipe(Layer.provide(CountLive), Layer.provide(Executor.layerFiber())),
          stores
        )
      )
    )

const inMemory = on(FaultyJobStore.layer({ timing: FaultyJobStore.endless }))

const progressOf = ({ state }: Run.Run): Progress | undefined => (state._tag === "Running" ? state.progress : undefined)

const gist = (event: SchedulerEvent) =>
  event._tag === "RunProgress" ? [[event.at.epochMillis, progressOf(event.run)?.done]] : []

describe("progress", () => {
  it.scoped("is told at once, and after that no more than once a second, by its last word", () =>
    inMemory(({ scheduler, told }) =>
      Effect.gen(function* () {
        yield* scheduler.add(Count, { id: "a", payload: { every: 300, times: 20 } })
        yield* TestClock.adjust("3500 millis")
        assert.deepStrictEqual(told.flatMap(gist), [
          [0, 1],
          [1000, 4],
          [2000, 7],
          [3000, 11]
        ])
        const [run] = yield* scheduler.runs({ jobId: "a" })
        assert.deepStrictEqual(progressOf(run!), { done: 11, total: 20 })
      })
    )
  )

  it.scoped("of several runs is written together, and none is where there is nothing to tell", () =>
    inMemory(({ scheduler, told }) =>
      Effect.gen(function* () {
        const { calls } = yield* FaultyJobStore.Faults
        yield* scheduler.add(Count, { id: "silent", payload: { every: 1, times: 0 } })
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(calls.get("report"), undefined)
        for (const id of ["a", "b", "c"]) {
          yield* scheduler.add(Count, { id, payload: { every: 3_600_000, times: 2 } })
        }
        yield* TestClock.adjust("10 seconds")
        assert.isAtMost(calls.get("report") ?? 0, 2)
        assert.strictEqual(told.flatMap(gist).length, 3)
      })
    )
  )

  it.scoped("is not told after the end of its run", () =>
    inMemory(({ scheduler, told }) =>
      Effect.gen(function* () {
        const { inject } = yield* FaultyJobStore.Faults
        yield* inject({ operation: "report", how: "delay", when: "after", by: "2 seconds" })
        yield* scheduler.add(Count, { id: "a", payload: { every: 100, times: 3 } })
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(told.at(-1)?._tag, "JobRemoved")
        assert.deepStrictEqual(told.flatMap(gist), [])
      })
    )
  )

  for (const how of ["fail", "die", "hang"] as const) {
    it.scoped(`holds up nothing when the store does not take it, but: ${how}`, () =>
      inMemory(({ scheduler, told }) =>
        Effect.gen(function* () {
          const { inject, met } = yield* FaultyJobStore.Faults
          yield* inject({ operation: "report", how, when: "before", calls: 1 })
          yield* scheduler.add(Count, { id: "a", payload: { every: 1000, times: 20 } })
          yield* TestClock.adjust("10 seconds")
          assert.strictEqual(met.length, 1)
          assert.isTrue((yield* scheduler.health).isStoreAvailable)
          // What is told later is written all the same.
          assert.isAbove(told.flatMap(gist).length, 1)
          const ending = yield* Effect.fork(scheduler.shutdown({ wait: false }))
          yield* TestClock.adjust(0)
          yield* Fiber.join(ending)
        })
      )
    )
  }
})

describe("the run before", () => {
  it.scoped("is the last one of its job that ended, and the last one that succeeded", () => {
    const seen: Array<readonly [minute: number, ended: string, succeeded: string]> = []
    const minute = ({ epochMillis }: { readonly epochMillis: number }) => epochMillis / 60_000
    const Look = Task.make("Look", { success: Schema.Number })
    const LookLive = Task.toLayer(Look, () =>
      Effect.gen(function* () {
        const { jobId, previous, previousSuccess, scheduledAt } = yield* RunContext
        const told = (earlier: Option.Option<PreviousRun>) =>
          Option.match(earlier, {
            onNone: () => "none",
            onSome: ({ outcome, scheduledAt, value }) => `${minute(scheduledAt)} ${outcome} ${value}`
          })
        if (jobId === "a") seen.push([minute(scheduledAt), told(yield* previous), told(yield* previousSuccess)])
        if (minute(scheduledAt) === 2) return yield* Effect.fail("no")
        return minute(scheduledAt) * 10
      })
    )
    const live = Scheduler.layer().pipe(Layer.provide(Layer.merge(LookLive, Executor.layerFiber())))
    return Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      const trigger = Trigger.interval({ minutes: 1 })
      yield* scheduler.add(Look, { id: "other", trigger })
      yield* scheduler.add(Look, { id: "a", trigger, retry: { times: 0 } })
      yield* TestClock.adjust("4 minutes")
      assert.deepStrictEqual(seen, [
        [1, "none", "none"],
        [2, "1 Succeeded 10", "1 Succeeded 10"],
        [3, "2 Failed undefined", "1 Succeeded 10"],
        [4, "3 Succeeded 30", "3 Succeeded 30"]
      ])
    }).pipe(Effect.provide(Layer.provideMerge(live, JobStore.layerMemory)))
  })
})
