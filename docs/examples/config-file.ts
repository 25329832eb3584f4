import { Console, Effect, Layer } from "effect"
import * as SchedulerConfig from "effect-scheduler/SchedulerConfig"
import { parse } from "yaml"
import { readFileSync } from "node:fs"
import { program, TasksLive } from "./configuration/program.ts"

const file = new URL("./configuration/scheduler.yaml", import.meta.url)

// On this machine the module of the processes is elsewhere.
process.env.SCHEDULER_EXECUTORS_CPU_URL = new URL("./executors/worker.ts", import.meta.url).href

const SchedulerLive = Effect.gen(function* () {
  const written: unknown = parse(readFileSync(file, "utf8"))
  const variables = yield* SchedulerConfig.environment("SCHEDULER")
  const config = yield* SchedulerConfig.decode(SchedulerConfig.overlay(written, variables))
  yield* Console.log(JSON.stringify(SchedulerConfig.describe(config), null, 2))
  return SchedulerConfig.layer(config)
}).pipe(Layer.unwrapEffect)

Effect.runPromise(program.pipe(Effect.provide(SchedulerLive), Effect.provide(TasksLive)))
