import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Ref, TestClock } from "effect"
import { Executor, Scheduler, Task, Trigger } from "effect-scheduler"
import * as SqlJobStore from "effect-scheduler/SqlJobStore"

const Backup = Task.make("Backup")

it.effect("a backup that was missed while nobody was there is made up for once", () =>
  Effect.gen(function* () {
    // First the time, then the layers: the store and the scheduler begin to live when they are built.
    yield* TestClock.setTime(Date.UTC(2026, 2, 2))

    const backups = yield* Ref.make(0)
    const SchedulerLive = Scheduler.layer().pipe(
      Layer.provide(Task.toLayer(Backup, () => Ref.update(backups, (n) => n + 1))),
      Layer.provide(Executor.layerFiber())
    )

    yield* Effect.gen(function* () {
      const firstLife = Effect.gen(function* () {
        const scheduler = yield* Scheduler.Scheduler
        yield* scheduler.add(Backup, { id: "backup", trigger: Trigger.interval({ minutes: 1 }) })
        yield* TestClock.adjust("90 seconds")
      })
      yield* Effect.provide(firstLife, SchedulerLive)
      assert.strictEqual(yield* Ref.get(backups), 1)

      // No scheduler is there: however far the clock is set, nothing has to be done on the way.
      yield* TestClock.adjust("7 days")

      const secondLife = Effect.gen(function* () {
        const scheduler = yield* Scheduler.Scheduler
        yield* TestClock.adjust("1 second")
        const [run] = yield* scheduler.runs({ jobId: "backup", limit: 1 })
        assert.strictEqual(run?.covers._tag, "Some")
      })
      yield* Effect.provide(secondLife, SchedulerLive)
      assert.strictEqual(yield* Ref.get(backups), 2)
    }).pipe(Effect.provide(SqlJobStore.layer().pipe(Layer.provide(SqliteClient.layer({ filename: ":memory:" })))))
  })
)
