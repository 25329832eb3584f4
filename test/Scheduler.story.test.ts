import { assert, describe, it } from "@effect/vitest"
import { Chunk, DateTime, Effect, Layer, Option, Schema, Stream, TestClock } from "effect"
import * as Executor from "../src/Executor.ts"
import * as JobStore from "../src/JobStore.ts"
import type { PolicyOptions } from "../src/Policy.ts"
import { RunContext } from "../src/RunContext.ts"
import * as Scheduler from "../src/Scheduler.ts"
import type { SchedulerEvent } from "../src/SchedulerEvent.ts"
import * as Task from "../src/Task.ts"
import * as Trigger from "../src/Trigger.ts"

/** Works for as long as its payload says, in virtual time. */
const Work = Task.make("Work", { payload: Schema.Struct({ seconds: Schema.Number }) })

const WorkLive = Task.toLayer(Work, ({ seconds }) =>
  Effect.zipRight(
    RunContext,
    Effect.when(Effect.sleep(seconds * 1000), () => seconds > 0)
  )
)

const SchedulerLive = Scheduler.layer().pipe(
  Layer.provide(WorkLive),
  Layer.provide(Executor.layerFiber({ concurrency: 10 }))
)

/** Lets a scheduler live for some minutes of virtual time, and gives what it told. */
const live = (minutes: number, before: Effect.Effect<unknown, unknown, Scheduler.Scheduler> = Effect.void) =>
  Effect.gen(function* () {
    const scheduler = yield* Scheduler.Scheduler
    const events = yield* scheduler.subscribe
    yield* before
    yield* TestClock.adjust(`${minutes} minutes`)
    yield* scheduler.shutdown({ wait: false })
    return Chunk.toReadonlyArray(
      yield* Stream.runCollect(Stream.takeUntil(events, (e) => e._tag === "SchedulerShutdown"))
    )
  }).pipe(Effect.provide(SchedulerLive), Effect.scoped)

const everyMinute = Trigger.cron({ minute: "*", timezone: "UTC" })

/** The scheduler is down for five minutes; a job runs every minute. */
const downForFiveMinutes = (policy: PolicyOptions, seconds = 0, minutesAfter = 0) =>
  Effect.gen(function* () {
    yield* live(
      0,
      Effect.flatMap(Scheduler.Scheduler, (_) =>
        _.add(Work, { id: "minutely", payload: { seconds }, trigger: everyMinute, ...policy })
      )
    )
    yield* TestClock.adjust("5 minutes")
    return yield* live(minutesAfter)
  }).pipe(Effect.provide(JobStore.layerMemory))

const clock = (at: DateTime.Utc) => DateTime.formatIso(at).slice(14, 19)

const line = (event: SchedulerEvent): string =>
  "run" in event ? `${clock(event.at)} ${event._tag} ${clock(event.run.scheduledAt)}` : event._tag

const lines = (events: ReadonlyArray<SchedulerEvent>, ...tags: ReadonlyArray<SchedulerEvent["_tag"]>) =>
  events.filter(({ _tag }) => tags.includes(_tag)).map(line)

describe("a scheduler that was down for five minutes", () => {
  it.effect('runs a job of every minute once with coalesce: "latest"', () =>
    Effect.gen(function* () {
      const events = yield* downForFiveMinutes({ coalesce: "latest" })
      assert.deepStrictEqual(lines(events, "RunStarted", "RunMissed", "RunSkipped"), ["05:00 RunStarted 05:00"])
    })
  )

  it.effect('runs it once, for the first time due, with coalesce: "earliest"', () =>
    Effect.gen(function* () {
      const events = yield* downForFiveMinutes({ coalesce: "earliest" })
      assert.deepStrictEqual(lines(events, "RunStarted", "RunMissed", "RunSkipped"), ["05:00 RunStarted 01:00"])
    })
  )

  it.effect('runs it five times, oldest first, one after the other, with coalesce: "all"', () =>
    Effect.gen(function* () {
      const events = yield* downForFiveMinutes({ coalesce: "all" })
      assert.deepStrictEqual(lines(events, "RunStarted", "RunSucceeded"), [
        "05:00 RunStarted 01:00",
        "05:00 RunSucceeded 01:00",
        "05:00 RunStarted 02:00",
        "05:00 RunSucceeded 02:00",
        "05:00 RunStarted 03:00",
        "05:00 RunSucceeded 03:00",
        "05:00 RunStarted 04:00",
        "05:00 RunSucceeded 04:00",
        "05:00 RunStarted 05:00",
        "05:00 RunSucceeded 05:00"
      ])
    })
  )

  it.effect("runs what is at most 90 seconds late, and records the rest as missed", () =>
    Effect.gen(function* () {
      const events = yield* downForFiveMinutes({ coalesce: "all", misfireGraceTime: "90 seconds" })
      assert.deepStrictEqual(lines(events, "RunMissed", "RunStarted"), [
        "05:00 RunMissed 01:00",
        "05:00 RunMissed 02:00",
        "05:00 RunMissed 03:00",
        "05:00 RunStarted 04:00",
        "05:00 RunStarted 05:00"
      ])
    })
  )

  it.effect("makes up for the most recent times within catchUpLimit, and counts the others", () =>
    Effect.gen(function* () {
      const events = yield* downForFiveMinutes({ coalesce: "all", catchUpLimit: 2 })
      assert.deepStrictEqual(lines(events, "RunStarted"), ["05:00 RunStarted 04:00", "05:00 RunStarted 05:00"])
      const missed = events.find((event) => event._tag === "JobMissed")
      assert.deepInclude(missed?.dropped, { count: 3, isExact: true })
    })
  )
})

describe("a scheduler that is started anew more often than its job is due", () => {
  /** Starts a scheduler every hour for so many, which each time does something first; gives when the job was carried out. */
  const startHourly = (
    hours: number,
    before: (scheduler: Scheduler.Scheduler["Type"]) => Effect.Effect<unknown, unknown>
  ) =>
    Effect.gen(function* () {
      const told = yield* Effect.forEach(Array.from({ length: hours }), () =>
        live(60, Effect.flatMap(Scheduler.Scheduler, before))
      )
      const started = told
        .flat()
        .flatMap((event) => (event._tag === "RunStarted" ? [event.at.epochMillis / 3_600_000] : []))
      return started
    }).pipe(Effect.provide(JobStore.layerMemory))

  const daily = { id: "daily", payload: { seconds: 0 }, trigger: Trigger.interval({ days: 1 }) }

  it.effect("runs it on time, though it is declared anew at each start", () =>
    Effect.gen(function* () {
      const started = yield* startHourly(75, (_) => _.reconcile("jobs", [Scheduler.job(Work, daily)]))
      assert.deepStrictEqual(started, [24, 48, 72])
    })
  )

  it.effect("runs it on time, though it is added to take the place of the one before", () =>
    Effect.gen(function* () {
      const started = yield* startHourly(50, (_) => _.add(Work, { ...daily, onConflict: "replace" }))
      assert.deepStrictEqual(started, [24, 48])
    })
  )
})

describe("a job slower than its interval", () => {
  it.effect("skips what falls due while it runs, with maxInstances: 1", () =>
    Effect.gen(function* () {
      const events = yield* downForFiveMinutes({ maxInstances: 1 }, 150, 6)
      assert.deepStrictEqual(lines(events, "RunStarted", "RunSkipped", "RunSucceeded"), [
        "05:00 RunStarted 05:00",
        "06:00 RunSkipped 06:00",
        "07:00 RunSkipped 07:00",
        "07:30 RunSucceeded 05:00",
        "08:00 RunStarted 08:00",
        "09:00 RunSkipped 09:00",
        "10:00 RunSkipped 10:00",
        "10:30 RunSucceeded 08:00",
        "11:00 RunStarted 11:00"
      ])
    })
  )

  it.effect("overlaps itself with maxInstances: 3", () =>
    Effect.gen(function* () {
      const events = yield* downForFiveMinutes({ maxInstances: 3 }, 150, 4)
      assert.deepStrictEqual(lines(events, "RunStarted", "RunSkipped", "RunSucceeded"), [
        "05:00 RunStarted 05:00",
        "06:00 RunStarted 06:00",
        "07:00 RunStarted 07:00",
        "07:30 RunSucceeded 05:00",
        "08:00 RunStarted 08:00",
        "08:30 RunSucceeded 06:00",
        "09:00 RunStarted 09:00"
      ])
    })
  )
})

describe("the same test run twice", () => {
  it.effect("gives the same events in the same order", () =>
    Effect.gen(function* () {
      const policy = { coalesce: "all", misfireGraceTime: "150 seconds", maxInstances: 2 } as const
      const [first, ...rest] = yield* Effect.forEach([1, 2, 3], () =>
        Effect.zipRight(TestClock.setTime(0), downForFiveMinutes(policy, 150, 10))
      )
      assert.isAbove(first!.length, 20)
      for (const again of rest) assert.deepStrictEqual(again, first)
    })
  )
})

describe("where a run stands in time", () => {
  it.effect("is told to its handler", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const Tell = Task.make("Tell")
      const TellLive = Task.toLayer(Tell, () =>
        Effect.map(RunContext, (run) => seen.push(`${run.jobId} ${clock(run.scheduledAt)} attempt ${run.attempt}`))
      )
      yield* Effect.gen(function* () {
        const scheduler = yield* Scheduler.Scheduler
        yield* scheduler.add(Tell, { id: "tell", trigger: everyMinute })
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(seen, ["tell 01:00 attempt 1", "tell 02:00 attempt 1"])
        const job = Option.getOrThrow(yield* scheduler.get("tell"))
        assert.deepStrictEqual(Option.map(job.nextRunTime, clock), Option.some("03:00"))
      }).pipe(
        Effect.provide(
          Scheduler.layer().pipe(
            Layer.provideMerge(TellLive),
            Layer.provide(Executor.layerFiber()),
            Layer.provide(JobStore.layerMemory)
          )
        )
      )
    })
  )
})
