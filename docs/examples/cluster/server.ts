import { HttpRouter, HttpServer, HttpServerResponse } from "@effect/platform"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { DateTime, Effect, Layer } from "effect"
import { Executor, RunContext, Scheduler, Task, Trigger } from "effect-scheduler"
import * as SqlJobStore from "effect-scheduler/SqlJobStore"
import { createServer } from "node:http"

const Sync = Task.make("Sync")

const SyncLive = Task.toLayer(Sync, () =>
  Effect.gen(function* () {
    const { jobId, scheduledAt } = yield* RunContext.RunContext
    yield* Effect.sleep("20 millis")
    process.send?.({ jobId, scheduledAt: DateTime.formatIso(scheduledAt) })
  })
)

const SchedulerLive = Scheduler.layer({
  // A server that starts late is to find jobs that have made all their runs, and not to add them anew.
  defaults: { coalesce: "all", maxInstances: 3, retention: { finishedJobs: "keep" } },
  drain: "5 seconds"
}).pipe(
  Layer.provide(SyncLive),
  Layer.provide(Executor.layerFiber({ concurrency: 2 })),
  Layer.provide(SqlJobStore.layer()),
  Layer.provide(SqliteClient.layer({ filename: process.env.DATABASE ?? "jobs.sqlite" }))
)

// Each server declares all jobs when it starts, as if it were the only one: each of them is to run three times.
const jobs = Array.from({ length: 8 }, (_, i) =>
  Scheduler.job(Sync, { id: `sync/${i}`, trigger: Trigger.interval({ seconds: 1 }), limit: 3 })
)

const JobsLive = Layer.effectDiscard(
  Effect.flatMap(Scheduler.Scheduler, (scheduler) => scheduler.reconcile("server", jobs))
)

const router = HttpRouter.empty.pipe(
  HttpRouter.get(
    "/runs",
    Effect.gen(function* () {
      const runs = yield* Effect.flatMap(Scheduler.Scheduler, (scheduler) => scheduler.runs())
      return yield* HttpServerResponse.json(runs.map(({ id, state }) => ({ id, state: state._tag })))
    })
  )
)

const ServerLive = router.pipe(
  HttpServer.serve(),
  Layer.provide(JobsLive),
  Layer.provide(SchedulerLive),
  Layer.provide(NodeHttpServer.layer(createServer, { port: Number(process.env.PORT ?? 3000) }))
)

NodeRuntime.runMain(Layer.launch(ServerLive))
