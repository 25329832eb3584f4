/** Travels in time, with the test kit and with a clock of its own. */
import { Effect, Layer, Ref, TestClock, TestContext } from "effect"
import { Executor, JobStore, Scheduler, Task, Trigger } from "effect-scheduler"
import * as TestScheduler from "effect-scheduler/TestScheduler"
import assert from "node:assert/strict"
import { carryOut } from "./Checks.ts"

const Backup = Task.make("Backup")

const nightly = Trigger.cron({ hour: 2, minute: 30, timezone: "Europe/Berlin" })

const byTestScheduler = Effect.gen(function* () {
  const test = yield* TestScheduler.TestScheduler
  yield* (yield* Scheduler.Scheduler).add(Backup, { id: "backup", trigger: nightly })
  yield* test.advanceTo("2026-03-30T12:00:00Z")
  // At the second night the clocks go from 02:00 to 03:00.
  yield* test.expectFired("backup", ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"])
}).pipe(
  Effect.provide(TestScheduler.layer({ startAt: "2026-03-27T12:00:00Z" })),
  Effect.provide(Task.toLayer(Backup, () => Effect.sleep("2 minutes"))),
  Effect.provide(TestContext.TestContext)
)

const byTestClock = Effect.gen(function* () {
  const runs = yield* Ref.make(0)
  const live = Scheduler.layer().pipe(
    Layer.provide(Task.toLayer(Backup, () => Ref.update(runs, (n) => n + 1))),
    Layer.provide([Executor.layerFiber(), JobStore.layerMemory])
  )
  const nights = Effect.gen(function* () {
    yield* (yield* Scheduler.Scheduler).add(Backup, { id: "backup", trigger: nightly })
    for (let night = 1; night <= 365; night++) {
      yield* TestClock.adjust("1 day")
      assert.equal(yield* Ref.get(runs), night)
    }
  })
  yield* TestClock.setTime(Date.UTC(2026, 2, 1))
  yield* Effect.provide(nights, live)
}).pipe(Effect.provide(TestContext.TestContext))

await carryOut([
  { name: "a TestScheduler goes through the night of the clock change", check: byTestScheduler },
  { name: "a scheduler goes through a year under a TestClock", check: byTestClock }
])
