import { SqliteClient } from "@effect/sql-sqlite-node"
import { Effect, Layer, Schema } from "effect"
import { Executor, JobStore, Scheduler, Task } from "effect-scheduler"
import * as SqlJobStore from "effect-scheduler/SqlJobStore"

const Report = Task.make("Report", { payload: Schema.Struct({ page: Schema.Number }) })
const Render = Task.make("Render", { executor: "cpu" })

const TasksLive = Layer.mergeAll(
  Task.toLayer(Report, ({ page }) => Effect.log(`page ${page}`)),
  Task.toLayer(Render, () => Effect.sleep("50 millis"))
)

// A store and an executor without names, and one of each with a name: in a file, and of two places.
const SchedulerLive = Scheduler.layer({ defaults: { coalesce: "all", maxInstances: 3 } }).pipe(
  Layer.provide(TasksLive),
  Layer.provide([
    JobStore.layerMemory,
    JobStore.named("archive", SqlJobStore.layer()).pipe(
      Layer.provide(SqliteClient.layer({ filename: "archive.sqlite" }))
    ),
    Executor.layerFiber({ concurrency: 20 }),
    Executor.named("cpu", Executor.layerFiber({ concurrency: 2 }))
  ])
)

const program = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler
  yield* scheduler.add(Report, { id: "here", payload: { page: 1 } })
  yield* scheduler.add(Report, { id: "there", payload: { page: 2 }, store: "archive" })
  yield* scheduler.addAll(["a", "b", "c"].map((id) => Scheduler.job(Render, { id, store: "archive" })))
  yield* Effect.sleep("1 second")
  for (const { executor, jobId, state } of yield* scheduler.runs({ store: "archive" })) {
    yield* Effect.log(`${jobId} on ${executor}: ${state._tag}`)
  }
  const refused = yield* Effect.flip(scheduler.add(Report, { payload: { page: 3 }, store: "mongo" }))
  yield* Effect.log(refused.message)
})

Effect.runPromise(Effect.provide(program, SchedulerLive))
