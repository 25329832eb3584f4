import { describe, it } from "@effect/vitest"
import * as Executor from "../src/Executor.ts"
import * as ExecutorConformance from "../src/ExecutorConformance.ts"

describe("Executor.layerFiber", () => {
  const layer = Executor.layerFiber({ concurrency: 2 })
  for (const { check, name } of ExecutorConformance.checks({ layer, isHosted: false })) it.live(name, () => check)
})
