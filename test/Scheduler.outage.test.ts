/** What is logged of a store that is away, and what becomes of jobs while it refuses a node. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, type DateTime, Effect, Layer, Logger, Schema, TestClock } from "effect"
import * as Executor from "../src/Executor.ts"
import * as JobStore from "../src/JobStore.ts"
import * as Scheduler from "../src/Scheduler.ts"
import { StoreError } from "../src/SchedulerError.ts"
import * as Task from "../src/Task.ts"
import * as Trigger from "../src/Trigger.ts"
import * as FaultyJobStore from "./FaultyJobStore.ts"
import { inOwnTime, onClock } from "./FaultyJobStore.ts"

const Slow = Task.make("Slow", { payload: Schema.Struct({ seconds: Schema.Number }) })
const SlowLive = Task.toLayer(Slow, ({ seconds }) => Effect.sleep(seconds * 1000))

const logged: Array<string> = []
const logger = Logger.make(({ logLevel, message }) => logged.push(`${logLevel.label} ${String(message)}`))

const live = Scheduler.layer().pipe(
  Layer.provide(SlowLive),
  Layer.provide(Executor.layerFiber({ concurrency: 100 })),
  Layer.provideMerge(FaultyJobStore.layer()),
  Layer.provide(Logger.replace(Logger.defaultLogger, logger))
)

const test = <E>(
  title: string,
  body: (scheduler: Scheduler.Scheduler["Type"], faults: FaultyJobStore.Faults["Type"]) => Effect.Effect<void, E, never>
) =>
  it.scoped(title, () =>
    Effect.gen(function* () {
      const [scheduler, faults] = yield* Effect.all([Scheduler.Scheduler, FaultyJobStore.Faults])
      yield* TestClock.adjust("1 second")
      logged.length = 0
      yield* body(scheduler, faults)
    }).pipe(Effect.provide(live), inOwnTime)
  )

const count = (level: string) => logged.filter((line) => line.startsWith(level)).length

describe("a store that is away", () => {
  test("is told of at once and then once a minute, however many attempts end meanwhile", (scheduler, faults) =>
    Effect.gen(function* () {
      const seconds = Array.from({ length: 50 }, (_, i) => 2 + i)
      yield* Effect.forEach(seconds, (seconds) => scheduler.add(Slow, { id: `${seconds}`, payload: { seconds } }))
      yield* TestClock.adjust("1 second")
      const all = FaultyJobStore.turnOperations
      yield* faults.inject(...all.map((operation) => ({ operation, how: "fail", when: "before" }) as const))
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual([count("WARN"), count("INFO")], [1, 0])
      yield* TestClock.adjust("9 minutes")
      assert.deepStrictEqual([count("WARN"), count("INFO")], [10, 0])
      yield* faults.heal
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([count("WARN"), count("INFO")], [10, 1])
    }))

  test("now and then is told of no more often than every ten seconds", (scheduler, faults) =>
    Effect.gen(function* () {
      yield* scheduler.add(Slow, {
        id: "slow",
        payload: { seconds: 0 },
        trigger: Trigger.interval({ seconds: 1 })
      })
      for (let i = 0; i < 60; i++) {
        yield* faults.inject({ operation: "claim", how: "fail", when: "before", calls: 1 })
        yield* TestClock.adjust("1 second")
      }
      assert.isAtLeast(faults.met.length, 59)
      assert.deepStrictEqual([count("WARN"), count("INFO")], [6, 6])
    }))

  test("again after it was back is told of again", (_, faults) =>
    Effect.gen(function* () {
      for (let i = 0; i < 3; i++) {
        yield* faults.inject({ operation: "renew", how: "fail", when: "before", during: "8 seconds" })
        yield* TestClock.adjust("20 seconds")
      }
      assert.deepStrictEqual([count("WARN"), count("INFO")], [3, 3])
    }))
})

/** A store that refuses nodes whose clock is wrong by more than a second, as those on servers do. */
const guarded = Effect.map(JobStore.makeMemory(), (sound) => {
  const guard = <A>({ now }: { readonly now: DateTime.Utc }, effect: Effect.Effect<A, StoreError>) =>
    Effect.flatMap(Clock.currentTimeNanos, (elapsed) =>
      Math.abs(now.epochMillis - Number(elapsed) / 1_000_000) < 1000
        ? effect
        : new StoreError({ operation: "compare clocks", cause: "the clock of this node is wrong" })
    )
  const { timing } = FaultyJobStore
  const register: typeof sound.register = (_) => guard(_, sound.register(_))
  const renew: typeof sound.renew = (_) => guard(_, sound.renew(_))
  return JobStore.JobStore.of({ ...sound, timing, register, renew })
})

describe("a clock that is set wrong", () => {
  for (const reading of [0, 1]) {
    it.scoped(`moves no job on before the store has refused it, though it takes ${reading} ms to read it`, () =>
      onClock((dials) =>
        Effect.gen(function* () {
          const scheduler = yield* Scheduler.Scheduler
          yield* scheduler.add(Slow, {
            id: "job",
            payload: { seconds: 0 },
            trigger: Trigger.interval({ seconds: 1 }),
            coalesce: "latest"
          })
          yield* TestClock.adjust("10 seconds")
          Object.assign(dials, { offset: 3_600_000, reading })
          yield* TestClock.adjust("5 seconds")
          Object.assign(dials, { offset: 0, reading: 0 })
          yield* TestClock.adjust("10 seconds")
          const [last] = yield* scheduler.runs({ limit: 1 })
          assert.strictEqual(last?.scheduledAt.epochMillis, 25_000)
        }).pipe(
          Effect.provide(
            Scheduler.layer({ watch: "1 second" }).pipe(
              Layer.provide(SlowLive),
              Layer.provide(Executor.layerFiber()),
              Layer.provide(Layer.effect(JobStore.JobStore, guarded))
            )
          )
        )
      )
    )
  }
})
