/**
 * For tests of users: a scheduler in memory that travels in time with Effect's `TestClock`, and remembers what it told.
 *
 * ```ts
 * it.scoped("the digest is sent at half past five", () =>
 *   Effect.gen(function* () {
 *     const test = yield* TestScheduler.TestScheduler
 *     yield* test.advanceTo("2026-11-24T00:00:00Z")
 *     yield* test.expectFired("digest", ["2026-11-23T05:30:00Z"])
 *   }).pipe(Effect.provide(TestScheduler.layer({ startAt: "2026-11-23T00:00:00Z" })))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import assert from "node:assert/strict"
import * as Executor from "./Executor.ts"
import * as JobStore from "./JobStore.ts"
import * as Run from "./Run.ts"
import * as Scheduler from "./Scheduler.ts"
import type { SchedulerEvent } from "./SchedulerEvent.ts"

/**
 * What a test asks. Instants are whatever `DateTime.make` takes: text in ISO 8601, a Date, milliseconds since 1970.
 *
 * @since 0.1.0
 * @category context
 */
export class TestScheduler extends Context.Tag("effect-scheduler/TestScheduler")<
  TestScheduler,
  {
    /** Lets everything happen that is due up to an instant, and stands there; an instant that is past is a defect. */
    readonly advanceTo: (instant: DateTime.DateTime.Input) => Effect.Effect<void>
    /** Lets everything happen that is due in a stretch of time. */
    readonly advance: (duration: Duration.DurationInput) => Effect.Effect<void>
    /** All runs that the store remembers, or those of a job, oldest nominal time first. */
    readonly runs: (jobId?: string) => Effect.Effect<ReadonlyArray<Run.Run>>
    /** All events since the layer was built, in their order. */
    readonly events: Effect.Effect<ReadonlyArray<SchedulerEvent>>
    /** The events of one job. */
    readonly eventsOf: (jobId: string) => Effect.Effect<ReadonlyArray<SchedulerEvent>>
    /** Dies with the difference unless attempts of a job's runs have started for exactly these nominal times, in order. */
    readonly expectFired: (jobId: string, times: ReadonlyArray<DateTime.DateTime.Input>) => Effect.Effect<void>
  }
>() {}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends Scheduler.Options {
  /** Where the clock is set before the scheduler starts. Default: where it is. */
  readonly startAt?: DateTime.DateTime.Input | undefined
  /** How many runs are carried out at a time. Default: any number. */
  readonly concurrency?: number | undefined
}

/**
 * A scheduler, its store in memory and the `TestScheduler` on it, for the task handlers of the context.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<TestScheduler | Scheduler.Scheduler | JobStore.JobStore> => {
  const { autoStart = true, concurrency = Infinity, startAt, ...ofScheduler } = options
  const set = startAt === undefined ? Effect.void : TestClock.setTime(millisOf(startAt))
  return Layer.scoped(TestScheduler, make(autoStart)).pipe(
    // It starts when its events are listened to, so that none is lost.
    Layer.provideMerge(Scheduler.layer({ ...ofScheduler, autoStart: false })),
    Layer.provide(Executor.layerFiber({ concurrency })),
    Layer.provideMerge(JobStore.layerMemory),
    Layer.provide(Layer.effectDiscard(set))
  )
}

const millisOf = (instant: DateTime.DateTime.Input): number => DateTime.toEpochMillis(DateTime.unsafeMake(instant))

const make = (autoStart: boolean) =>
  Effect.gen(function* () {
    const scheduler = yield* Scheduler.Scheduler
    const told: Array<SchedulerEvent> = []
    const events = yield* scheduler.subscribe
    yield* Effect.forkScoped(Stream.runForEach(events, (event) => Effect.sync(() => told.push(event))))
    if (autoStart) yield* Effect.zipRight(scheduler.start, TestClock.adjust(0))
    const eventsOf = (jobId: string) => told.filter((event) => "jobId" in event && event.jobId === jobId)
    return TestScheduler.of({
      advanceTo,
      // To stand still for a moment lets what was just told be heard.
      advance: (duration) => Effect.zipRight(TestClock.adjust(duration), TestClock.adjust(0)),
      runs: (jobId) => Effect.orDie(scheduler.runs({ jobId, order: "oldest", limit: Number.MAX_SAFE_INTEGER })),
      events: Effect.zipRight(
        TestClock.adjust(0),
        Effect.sync(() => [...told])
      ),
      eventsOf: (jobId) =>
        Effect.zipRight(
          TestClock.adjust(0),
          Effect.sync(() => eventsOf(jobId))
        ),
      expectFired: (jobId, times) =>
        Effect.zipRight(
          TestClock.adjust(0),
          Effect.sync(() =>
            assert.deepEqual(firedTimes(eventsOf(jobId)), times.map(timeOf), `the times of job "${jobId}"`)
          )
        )
    })
  })

const timeOf = (instant: DateTime.DateTime.Input): string => Run.keyOf(DateTime.toUtc(DateTime.unsafeMake(instant)))

/** The first attempt of each run counts, whatever became of it. */
const firedTimes = (events: ReadonlyArray<SchedulerEvent>): ReadonlyArray<string> =>
  events.flatMap((event) =>
    event._tag === "RunStarted" && event.run.attempt === 1 ? [Run.keyOf(event.run.scheduledAt)] : []
  )

const advanceTo = (instant: DateTime.DateTime.Input): Effect.Effect<void> =>
  Effect.gen(function* () {
    const [now, to] = [yield* DateTime.now, DateTime.toUtc(DateTime.unsafeMake(instant))]
    if (DateTime.lessThan(to, now)) return yield* Effect.dieMessage(`${Run.keyOf(to)} is past: it is ${Run.keyOf(now)}`)
    yield* TestClock.setTime(to.epochMillis)
    yield* TestClock.adjust(0)
  })
