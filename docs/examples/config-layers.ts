import { SqliteClient } from "@effect/sql-sqlite-node"
import { Effect, Layer } from "effect"
import { Executor, JobStore, Scheduler } from "effect-scheduler"
import * as ProcessExecutor from "effect-scheduler/ProcessExecutor"
import * as SqlJobStore from "effect-scheduler/SqlJobStore"
import { program, TasksLive } from "./configuration/program.ts"

const url = new URL("./executors/worker.ts", import.meta.url)

const SchedulerLive = Scheduler.layer({ defaults: { coalesce: "all", maxInstances: 3 } }).pipe(
  Layer.provide(TasksLive),
  Layer.provide([
    SqlJobStore.layer().pipe(Layer.provide(SqliteClient.layer({ filename: "jobs.sqlite" }))),
    JobStore.named("scratch", JobStore.layerMemory),
    Executor.layerFiber({ concurrency: 20 }),
    Executor.named("cpu", ProcessExecutor.layer({ url, size: 5, start: "lazy" }))
  ])
)

Effect.runPromise(Effect.provide(program, SchedulerLive))
