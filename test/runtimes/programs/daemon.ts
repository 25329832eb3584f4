/**
 * A service that lives until it is told to end: jobs by the clock on all three executors. It says which processes it has
 * for them, and when it ends what became of its runs: `daemon.ts FILE`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Console, Effect, Layer } from "effect"
import { Executor, Scheduler, Task, Trigger } from "effect-scheduler"
import * as ProcessExecutor from "effect-scheduler/ProcessExecutor"
import * as SqlJobStore from "effect-scheduler/SqlJobStore"
import * as WorkerExecutor from "effect-scheduler/WorkerExecutor"
import { Deed } from "./tasks.ts"

const options = { url: new URL("./worker.ts", import.meta.url), size: 2, grace: "1 second" } as const

const SchedulerLive = Scheduler.layer({ drain: "2 seconds" }).pipe(
  Layer.provide(Task.remote(Deed)),
  Layer.provide([
    Executor.named("thread", WorkerExecutor.layer(options)),
    Executor.named("process", ProcessExecutor.layer(options)),
    Executor.layerNone,
    SqlJobStore.layer().pipe(Layer.provide(SqliteClient.layer({ filename: process.argv[2]! })))
  ])
)

const program = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler
  const trigger = Trigger.interval({ millis: 200 })
  for (const executor of ["thread", "process"]) {
    const options = { executor, onConflict: "keep" } as const
    yield* scheduler.add(Deed, { id: `${executor} often`, payload: { what: "where" }, trigger, ...options })
    yield* scheduler.add(Deed, { id: `${executor} long`, payload: { what: "sleep" }, ...options })
  }
  const ended = Effect.map(scheduler.runs({ states: ["Succeeded"] }), (runs) => runs.length >= 10)
  yield* Effect.repeat(Effect.delay(ended, 50), { until: (isSo) => isSo })
  const runs = yield* scheduler.runs({ jobId: "process often", states: ["Succeeded"] })
  const pids = runs.flatMap(({ state }) => (state._tag === "Succeeded" ? [state.value] : []))
  yield* Console.log("ready", ...new Set(pids))
  yield* Effect.never
}).pipe(Effect.ensuring(Console.log("ends")))

NodeRuntime.runMain(Effect.provide(program, SchedulerLive))
