import { assert, it } from "@effect/vitest"
import { Effect, Layer, Ref, TestClock } from "effect"
import { Executor, JobStore, Scheduler, Task, Trigger } from "effect-scheduler"

const Backup = Task.make("Backup")

it.effect("the backup runs once every night, on the night of the clock change too", () =>
  Effect.gen(function* () {
    const runs = yield* Ref.make(0)
    const BackupLive = Task.toLayer(Backup, () => Ref.update(runs, (n) => n + 1))
    const SchedulerLive = Scheduler.layer().pipe(
      Layer.provideMerge(BackupLive),
      Layer.provide(Executor.layerFiber()),
      Layer.provide(JobStore.layerMemory)
    )

    yield* Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2026, 2, 27)) // two days before 02:30 is skipped in Berlin
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Backup, {
        id: "backup",
        trigger: Trigger.cron({ hour: 2, minute: 30, timezone: "Europe/Berlin" })
      })
      for (const night of [1, 2, 3, 4, 5]) {
        yield* TestClock.adjust("1 day")
        assert.strictEqual(yield* Ref.get(runs), night)
      }
    }).pipe(Effect.provide(SchedulerLive))
  })
)
