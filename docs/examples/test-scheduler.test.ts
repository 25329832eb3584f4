import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import { RunContext, Scheduler, Task, Trigger } from "effect-scheduler"
import * as TestScheduler from "effect-scheduler/TestScheduler"

// What is to be tested: the first attempt of each run fails, and it takes a minute.
const Digest = Task.make("Digest", { retry: { times: 1, delay: "5 minutes" } })
const DigestLive = Task.toLayer(Digest, () =>
  Effect.gen(function* () {
    const { attempt } = yield* RunContext.RunContext
    yield* Effect.sleep("1 minute")
    if (attempt === 1) return yield* Effect.fail("no mailer")
  })
)

const TestLive = TestScheduler.layer({ startAt: "2026-11-23T00:00:00Z" }).pipe(Layer.provide(DigestLive))

const addDigest = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler
  const trigger = Trigger.cron({ dayOfWeek: "mon-fri", hour: 5, minute: 30, timezone: "Europe/Berlin" })
  yield* scheduler.add(Digest, { id: "digest", trigger })
})

describe("the digest", () => {
  it.effect("is sent on working days, at half past five in Berlin", () =>
    Effect.gen(function* () {
      const test = yield* TestScheduler.TestScheduler
      yield* addDigest
      yield* test.advanceTo("2026-11-30T00:00:00Z")
      const days = [23, 24, 25, 26, 27]
      yield* test.expectFired(
        "digest",
        days.map((day) => `2026-11-${day}T04:30:00Z`)
      )
    }).pipe(Effect.provide(TestLive))
  )

  it.effect("is tried again once, five minutes after it failed", () =>
    Effect.gen(function* () {
      const test = yield* TestScheduler.TestScheduler
      yield* addDigest
      yield* test.advanceTo("2026-11-23T05:00:00Z")
      const told = (yield* test.eventsOf("digest")).flatMap((event) =>
        "at" in event ? [`${DateTime.formatIso(event.at).slice(11, 16)} ${event._tag}`] : []
      )
      assert.deepStrictEqual(told, [
        "00:00 JobAdded",
        "04:30 RunSubmitted",
        "04:30 RunStarted",
        "04:31 RunRetrying",
        "04:36 RunStarted",
        "04:37 RunSucceeded"
      ])
    }).pipe(Effect.provide(TestLive))
  )

  it.effect("is under way in between", () =>
    Effect.gen(function* () {
      const test = yield* TestScheduler.TestScheduler
      yield* addDigest
      yield* test.advance("4 hours")
      yield* test.advance("30 minutes")
      assert.strictEqual((yield* test.runs("digest"))[0]?.state._tag, "Running")
    }).pipe(Effect.provide(TestLive))
  )
})
