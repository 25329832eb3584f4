import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as ExecutorConformance from "../src/ExecutorConformance.ts"
import * as WorkerExecutor from "../src/WorkerExecutor.ts"
import { keep, module, perform } from "./executors/Hosts.ts"

describe("WorkerExecutor", () => {
  // One for all checks: what one of them leaves behind is there for the next.
  const runtime = keep(WorkerExecutor.layer({ url: module("act-main"), size: 2, grace: "1 second" }))
  afterAll(() => runtime.dispose())
  const layer = Layer.effectContext(Effect.map(runtime.runtimeEffect, ({ context }) => context))
  for (const { check, name } of ExecutorConformance.checks({ layer, isHosted: true })) it.live(name, () => check)
})

describe("the memory of a thread", () => {
  it("ends it when its heap is more than its limit", async () => {
    const runtime = keep(WorkerExecutor.layer({ url: module("probe-main"), size: 1, memoryLimit: 100 }))
    const outcome = await runtime.runPromise(perform({ _tag: "Eat", what: "heap" }))
    assert.strictEqual(outcome._tag, "Crashed")
    assert.match(outcome._tag === "Crashed" ? outcome.reason! : "", /memory limit/)
    assert.strictEqual((await runtime.runPromise(perform({ _tag: "Where" })))._tag, "Succeeded")
    await runtime.dispose()
  })
})
