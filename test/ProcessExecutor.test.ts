import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { setTimeout } from "node:timers/promises"
import * as ExecutorConformance from "../src/ExecutorConformance.ts"
import * as ProcessExecutor from "../src/ProcessExecutor.ts"
import type * as Run from "../src/Run.ts"
import { hasEnded, keep, module, perform } from "./executors/Hosts.ts"
import type { Deed } from "./executors/Probe.ts"
import * as Script from "./executors/Script.ts"

describe("ProcessExecutor", () => {
  // One for all checks: what one of them leaves behind is there for the next.
  const runtime = keep(ProcessExecutor.layer({ url: module("act-main"), size: 2, grace: "1 second" }))
  afterAll(() => runtime.dispose())
  const layer = Layer.effectContext(Effect.map(runtime.runtimeEffect, ({ context }) => context))
  for (const { check, name } of ExecutorConformance.checks({ layer, isHosted: true })) it.live(name, () => check)
})

const until = async <A>(what: string, find: () => A | undefined | false): Promise<A> => {
  for (let i = 0; i < 1000; i++) {
    const found = find()
    if (found !== undefined && found !== false) return found
    await setTimeout(20)
  }
  return assert.fail(`It did not come about that ${what}`)
}

const lines = (stream: "out" | "err", from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => `${stream} ${from + i}${stream === "out" ? " ü" : ""}\n`).join("")

describe("the output of a process", () => {
  const runtime = keep(
    ProcessExecutor.layer({ url: module("probe-main"), size: 1, grace: "1 second", outputLimit: 1000 })
  )
  afterAll(() => runtime.dispose())

  const short = { stdout: lines("out", 1, 3), stderr: lines("err", 1, 3), truncated: false }
  const outputOf = (outcome: Run.Outcome) => ("output" in outcome ? outcome.output : undefined)

  it("is kept with what the attempt ended as", async () => {
    for (const [end, tag] of [
      ["well", "Succeeded"],
      ["fail", "Failed"]
    ] as const) {
      const outcome = await runtime.runPromise(perform({ _tag: "Write", lines: 3, end }))
      assert.deepStrictEqual([outcome._tag, outputOf(outcome)], [tag, short])
    }
  })

  it("is kept when the process dies", async () => {
    const outcome = await runtime.runPromise(perform({ _tag: "Write", lines: 3, end: "exit" }))
    assert.deepStrictEqual([outcome._tag, outputOf(outcome)], ["Crashed", short])
  })

  it("is kept when the attempt takes too long", async () => {
    const outcome = await runtime.runPromise(perform({ _tag: "Write", lines: 3, end: "sleep" }, { timeout: 500 }))
    assert.deepStrictEqual([outcome._tag, outputOf(outcome)], ["Failed", short])
  })

  it("is told when the attempt is interrupted", async () => {
    const wrote: Array<Run.Output> = []
    const attempt = perform({ _tag: "Write", lines: 3, end: "sleep" }, {}, { wrote: (_, output) => wrote.push(output) })
    const fiber = runtime.runFork(attempt)
    await setTimeout(500)
    await Effect.runPromise(Fiber.interrupt(fiber))
    assert.deepStrictEqual(wrote, [short])
  })

  it("is none where nothing was written, and none of the attempt before", async () => {
    await runtime.runPromise(perform({ _tag: "Write", lines: 3, end: "well" }))
    assert.notProperty(await runtime.runPromise(perform({ _tag: "Where" })), "output")
  })

  it("is its end where it is more than is kept", async () => {
    const outcome = await runtime.runPromise(perform({ _tag: "Write", lines: 20_000, end: "well" }))
    const output = outputOf(outcome)!
    assert.isTrue(output.truncated)
    assert.deepStrictEqual([output.stdout.length, output.stderr.length], [1000, 1000])
    assert.isTrue(lines("out", 19_000, 20_000).endsWith(output.stdout))
    assert.isTrue(lines("err", 19_000, 20_000).endsWith(output.stderr))
  })
})

describe("the memory of a process", () => {
  const runtime = keep(
    ProcessExecutor.layer({ url: module("probe-main"), size: 1, grace: "1 second", memoryLimit: 300 })
  )
  afterAll(() => runtime.dispose())

  for (const what of ["heap", "buffers"] as const) {
    it(`ends it when it is more than its limit: ${what}`, async () => {
      const outcome = await runtime.runPromise(perform({ _tag: "Eat", what }))
      assert.strictEqual(outcome._tag, "Crashed")
      assert.match(
        outcome._tag === "Crashed" ? outcome.reason! : "",
        /ran out of heap|more than the 300 MiB of memoryLimit/
      )
      assert.strictEqual((await runtime.runPromise(perform({ _tag: "Where" })))._tag, "Succeeded")
    })
  }
})

describe("a process", () => {
  const runtime = keep(ProcessExecutor.layer({ url: module("probe-main"), size: 1, grace: "1 second" }))
  afterAll(() => runtime.dispose())

  const pid = Effect.map(perform({ _tag: "Where" }), (outcome) =>
    outcome._tag === "Succeeded" ? (outcome.value as { readonly pid: number }).pid : assert.fail(outcome._tag)
  )

  it("that somebody kills is replaced, and its attempt says by what", async () => {
    const victim = await runtime.runPromise(pid)
    const fiber = runtime.runFork(perform({ _tag: "Sleep", millis: 60_000 }))
    await setTimeout(200)
    process.kill(victim, "SIGKILL")
    const outcome = await Effect.runPromise(Fiber.join(fiber))
    assert.deepStrictEqual(outcome, { _tag: "Crashed", reason: "it was ended by SIGKILL" })
    assert.notStrictEqual(await runtime.runPromise(pid), victim)
  })

  it("leaves it to its parent to heed the signals that both receive", async () => {
    const self = await runtime.runPromise(pid)
    const fiber = runtime.runFork(perform({ _tag: "Sleep", millis: 1000 }))
    await setTimeout(200)
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.kill(self, signal)
    assert.strictEqual((await Effect.runPromise(Fiber.join(fiber)))._tag, "Succeeded")
  })

  it("is ended with the processes that its handler has started", async () => {
    const wrote: Array<Run.Output> = []
    const attempt = perform({ _tag: "Breed" }, {}, { wrote: (_, output) => wrote.push(output) })
    const fiber = runtime.runFork(attempt)
    await setTimeout(1000)
    await Effect.runPromise(Fiber.interrupt(fiber))
    const child = Number(wrote[0]?.stdout)
    assert.isAbove(child, 0)
    await until("the child ended", () => hasEnded(child))
  })

  const deeds: Record<string, typeof Deed.Type> = {
    "is idle": { _tag: "Where" },
    "carries out an attempt": { _tag: "Sleep", millis: 3_600_000 },
    "is busy": { _tag: "Spin" }
  }
  for (const [what, deed] of Object.entries(deeds)) {
    it(`ends when its parent is killed while it ${what}`, async () => {
      const parent = Script.run("parent", JSON.stringify(deed))
      const outcome = JSON.parse(await until("it is there", () => parent.lines()[0]))
      await setTimeout(500)
      assert.isFalse(hasEnded(outcome.value.pid))
      parent.child.kill("SIGKILL")
      await until("the child ended", () => hasEnded(outcome.value.pid))
    })
  }
})
