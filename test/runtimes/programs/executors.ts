/** Holds an executor to what it promises: `executors.ts fiber`, or `thread`, or `process`. */
import { Effect, Layer, Logger, ManagedRuntime } from "effect"
import { Executor } from "effect-scheduler"
import * as ExecutorConformance from "effect-scheduler/ExecutorConformance"
import * as ProcessExecutor from "effect-scheduler/ProcessExecutor"
import * as WorkerExecutor from "effect-scheduler/WorkerExecutor"
import { carryOut } from "./Checks.ts"

const options = { url: new URL("./worker.ts", import.meta.url), size: 2, grace: "1 second" } as const

const kinds: Record<string, Layer.Layer<Executor.Executor, unknown>> = {
  fiber: Executor.layerFiber({ concurrency: 2 }),
  thread: WorkerExecutor.layer(options),
  process: ProcessExecutor.layer(options)
}

const kind = process.argv[2] ?? "fiber"
const runtime = ManagedRuntime.make(Layer.provide(kinds[kind]!, Logger.remove(Logger.defaultLogger)))
// One for all checks: what one of them leaves behind is there for the next.
const layer = Layer.effectContext(Effect.map(runtime.runtimeEffect, ({ context }) => context))
await carryOut(ExecutorConformance.checks({ layer, isHosted: kind !== "fiber" }))
await runtime.dispose()
