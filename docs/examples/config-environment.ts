import { Effect } from "effect"
import { Scheduler } from "effect-scheduler"
import * as SchedulerConfig from "effect-scheduler/SchedulerConfig"
import { program, TasksLive } from "./configuration/program.ts"

// Here the program says its environment itself, so that it can be run as it is.
const variables = {
  SCHEDULER_STORES_DEFAULT_TYPE: "sqlite",
  SCHEDULER_STORES_DEFAULT_FILENAME: "jobs.sqlite",
  SCHEDULER_STORES_SCRATCH_TYPE: "memory",
  SCHEDULER_EXECUTORS_DEFAULT_TYPE: "fiber",
  SCHEDULER_EXECUTORS_DEFAULT_CONCURRENCY: "20",
  SCHEDULER_EXECUTORS_CPU_TYPE: "process",
  SCHEDULER_EXECUTORS_CPU_URL: new URL("./executors/worker.ts", import.meta.url).href,
  SCHEDULER_EXECUTORS_CPU_SIZE: "5",
  SCHEDULER_EXECUTORS_CPU_START: "lazy",
  SCHEDULER_DEFAULTS_COALESCE: "all",
  SCHEDULER_DEFAULTS_MAX_INSTANCES: "3"
}
Object.assign(process.env, variables)

const SchedulerLive = Scheduler.layerConfig(SchedulerConfig.environment("SCHEDULER"), SchedulerConfig.types)

Effect.runPromise(program.pipe(Effect.provide(SchedulerLive), Effect.provide(TasksLive)))
