import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as JobStore from "../src/JobStore.ts"
import * as JobStoreConformance from "../src/JobStoreConformance.ts"

describe("the store in memory", () => {
  for (const { check, name } of JobStoreConformance.checks) {
    it.effect(name, () => Effect.provide(check, JobStore.layerMemory))
  }
})
