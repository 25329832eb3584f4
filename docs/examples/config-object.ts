import { Effect } from "effect"
import { Scheduler } from "effect-scheduler"
import * as SchedulerConfig from "effect-scheduler/SchedulerConfig"
import { program, TasksLive } from "./configuration/program.ts"

const SchedulerLive = Scheduler.fromConfig(
  {
    stores: {
      default: { type: "sqlite", filename: "jobs.sqlite" },
      scratch: { type: "memory" }
    },
    executors: {
      default: { type: "fiber", concurrency: 20 },
      cpu: { type: "process", url: new URL("./executors/worker.ts", import.meta.url), size: 5, start: "lazy" }
    },
    defaults: { coalesce: "all", maxInstances: 3 }
  },
  SchedulerConfig.types
)

Effect.runPromise(program.pipe(Effect.provide(SchedulerLive), Effect.provide(TasksLive)))
