import { assert, describe, it } from "@effect/vitest"
import { Cause, DateTime, Effect, Exit, Layer, Option } from "effect"
import * as Scheduler from "../src/Scheduler.ts"
import * as Task from "../src/Task.ts"
import * as TestScheduler from "../src/TestScheduler.ts"
import * as Trigger from "../src/Trigger.ts"

const Digest = Task.make("Digest")
const DigestLive = Task.toLayer(Digest, () => Effect.sleep("2 minutes"))

const TestLive = TestScheduler.layer({ startAt: "2026-11-23T00:00:00Z" }).pipe(Layer.provide(DigestLive))

const weekdays = Trigger.cron({ dayOfWeek: "mon-fri", hour: 5, minute: 30, timezone: "Europe/Berlin" })

const test = (name: string, body: Effect.Effect<void, unknown, TestScheduler.TestScheduler | Scheduler.Scheduler>) =>
  it.effect(name, () => Effect.provide(body, TestLive))

const failure = (exit: Exit.Exit<unknown, unknown>): string =>
  Option.match(Exit.causeOption(exit), { onNone: () => "", onSome: Cause.pretty })

describe("a TestScheduler", () => {
  test(
    "travels to an instant, and everything due until then has happened",
    Effect.gen(function* () {
      const test = yield* TestScheduler.TestScheduler
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Digest, { id: "digest", trigger: weekdays })
      yield* test.advanceTo("2026-11-25T12:00:00Z")
      const times = ["2026-11-23T04:30:00Z", "2026-11-24T04:30:00Z", "2026-11-25T04:30:00Z"]
      yield* test.expectFired("digest", times)
      assert.deepStrictEqual(
        (yield* test.runs("digest")).map(
          ({ scheduledAt, state }) => `${DateTime.formatIso(scheduledAt)} ${state._tag}`
        ),
        times.map((time) => `${time.replace("Z", ".000Z")} Succeeded`)
      )
      assert.strictEqual(DateTime.formatIso(yield* DateTime.now), "2026-11-25T12:00:00.000Z")
    })
  )

  test(
    "stands where a run is under way",
    Effect.gen(function* () {
      const test = yield* TestScheduler.TestScheduler
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Digest, { id: "digest", trigger: weekdays })
      yield* test.advanceTo("2026-11-23T04:31:00Z")
      assert.deepStrictEqual(
        (yield* test.runs()).map(({ state }) => state._tag),
        ["Running"]
      )
      yield* test.advance("1 minute")
      assert.deepStrictEqual(
        (yield* test.runs()).map(({ state }) => state._tag),
        ["Succeeded"]
      )
    })
  )

  test(
    "remembers the events of each job",
    Effect.gen(function* () {
      const test = yield* TestScheduler.TestScheduler
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Digest, { id: "a", trigger: Trigger.at("2026-11-23T01:00:00Z") })
      yield* scheduler.add(Digest, { id: "b", trigger: Trigger.at("2026-11-23T02:00:00Z") })
      yield* test.advance("90 minutes")
      assert.deepStrictEqual(
        (yield* test.eventsOf("a")).map(({ _tag }) => _tag),
        ["JobAdded", "RunSubmitted", "RunStarted", "RunSucceeded", "JobRemoved"]
      )
      assert.deepStrictEqual(
        (yield* test.eventsOf("b")).map(({ _tag }) => _tag),
        ["JobAdded"]
      )
      assert.strictEqual((yield* test.events)[0]?._tag, "SchedulerStarted")
    })
  )

  test(
    "says what is different when a job has not fired as expected",
    Effect.gen(function* () {
      const test = yield* TestScheduler.TestScheduler
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Digest, { id: "digest", trigger: weekdays })
      yield* test.advanceTo("2026-11-24T00:00:00Z")
      const exit = yield* Effect.exit(test.expectFired("digest", ["2026-11-23T05:30:00Z"]))
      assert.match(failure(exit), /the times of job "digest"/)
      yield* test.expectFired("nobody", [])
    })
  )

  test(
    "does not travel into the past",
    Effect.gen(function* () {
      const test = yield* TestScheduler.TestScheduler
      const exit = yield* Effect.exit(test.advanceTo("2026-11-22T00:00:00Z"))
      assert.match(failure(exit), /2026-11-22T00:00:00.000Z is past: it is 2026-11-23T00:00:00.000Z/)
    })
  )
})
