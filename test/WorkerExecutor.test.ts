import { afterAll, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, ManagedRuntime } from "effect"
import * as ExecutorConformance from "../src/ExecutorConformance.ts"
import * as WorkerExecutor from "../src/WorkerExecutor.ts"

const url = new URL("./executors/act.ts", import.meta.url)

describe("WorkerExecutor", () => {
  // One for all checks: what one of them leaves behind is there for the next.
  const runtime = ManagedRuntime.make(
    WorkerExecutor.layer({ url, size: 2, grace: "1 second" }).pipe(Layer.provide(Logger.remove(Logger.defaultLogger)))
  )
  afterAll(() => runtime.dispose())
  const layer = Layer.effectContext(Effect.map(runtime.runtimeEffect, ({ context }) => context))
  for (const { check, name } of ExecutorConformance.checks({ layer, isHosted: true })) it.live(name, () => check)
})
