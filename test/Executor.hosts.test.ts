import { afterAll, assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Option } from "effect"
import { setTimeout } from "node:timers/promises"
import { threadId } from "node:worker_threads"
import type * as AttemptPool from "../src/AttemptPool.ts"
import { Executor } from "../src/Executor.ts"
import * as ProcessExecutor from "../src/ProcessExecutor.ts"
import type * as Run from "../src/Run.ts"
import { InvalidOption } from "../src/SchedulerError.ts"
import * as WorkerExecutor from "../src/WorkerExecutor.ts"
import { type ExecutorLayer, keep, module, perform, record } from "./executors/Hosts.ts"
import * as Script from "./executors/Script.ts"

type Make = (options: Partial<AttemptPool.Settings> & { readonly env?: Record<string, string> }) => ExecutorLayer

interface Where {
  readonly pid: number
  readonly thread: number
  readonly told?: string
}

const valueOf = (outcome: Run.Outcome): Where =>
  outcome._tag === "Succeeded" ? (outcome.value as Where) : assert.fail(JSON.stringify(outcome))

const kinds: Record<string, Make> = {
  WorkerExecutor: (options) =>
    WorkerExecutor.layer({ url: module("probe-main"), size: 1, grace: "1 second", ...options }),
  ProcessExecutor: (options) =>
    ProcessExecutor.layer({ url: module("probe-main"), size: 1, grace: "1 second", ...options })
}

describe("the end of a scheduler", () => {
  for (const name of ["fiber", "thread", "process"]) {
    it(`leaves nothing of its executor: ${name}`, async () => {
      const script = Script.run("leftovers", name)
      assert.strictEqual(await script.ended, 0, script.lines().join("\n"))
      assert.include(script.lines(), "a Succeeded 1, b Running 1, c Pending 1")
      // Its own two streams are pipes.
      assert.deepStrictEqual(JSON.parse(script.lines().at(-1)!), ["PipeWrap", "PipeWrap"])
    })
  }
})

for (const [name, make] of Object.entries(kinds)) {
  describe(name, () => {
    const runtime = keep(make({}))
    afterAll(() => runtime.dispose())

    const idOf = ({ pid, thread }: Where) => `${pid}/${thread}`
    const where = Effect.map(perform({ _tag: "Where" }), valueOf)

    it("carries out attempts elsewhere", async () => {
      assert.notStrictEqual(idOf(await runtime.runPromise(where)), `${process.pid}/${threadId}`)
    })

    it("goes on with the same one, unless told otherwise", async () => {
      const [first, second] = [await runtime.runPromise(where), await runtime.runPromise(where)]
      assert.strictEqual(idOf(first), idOf(second))
    })

    it("fails an attempt of a task that its module does not have", async () => {
      const outcome = await runtime.runPromise(perform({ _tag: "Where" }, {}, {}, "Unknown"))
      assert.include(JSON.stringify(outcome), 'Task \\"Unknown\\" has no handler in the module')
    })

    it("says what it died of when something throws where nobody catches it", async () => {
      const outcome = await runtime.runPromise(perform({ _tag: "Throw", message: "out of the blue" }))
      assert.strictEqual(outcome._tag, "Crashed")
      assert.include(outcome._tag === "Crashed" ? outcome.reason : "", "out of the blue")
    })

    it("lets an attempt that waits be interrupted, and loses nothing by it", async () => {
      const first = runtime.runFork(perform({ _tag: "Sleep", millis: 1000 }))
      const second = runtime.runFork(perform({ _tag: "Where" }))
      const third = runtime.runFork(perform({ _tag: "Where" }))
      await setTimeout(100)
      await Effect.runPromise(Fiber.interrupt(second))
      assert.isTrue(Option.isNone(await Effect.runPromise(Fiber.poll(first))))
      const outcomes = await Effect.runPromise(Fiber.join(Fiber.zip(first, third)))
      assert.deepStrictEqual(
        outcomes.map(({ _tag }) => _tag),
        ["Succeeded", "Succeeded"]
      )
    })

    it("replaces one that has carried out recycleAfter attempts", async () => {
      const all = Effect.all([where, where, where, where, where])
      const ids = (await Effect.runPromise(Effect.provide(all, make({ recycleAfter: 2 })))).map(idOf)
      assert.strictEqual(new Set(ids).size, 3)
      assert.deepStrictEqual([ids[0], ids[2]], [ids[1], ids[3]])
    })

    it("gives its hosts the environment that it is given", async () => {
      const env = { ...process.env, TOLD: "yes" } as Record<string, string>
      assert.strictEqual((await Effect.runPromise(Effect.provide(where, make({ env })))).told, "yes")
    })

    const faults: Record<string, readonly [reason: string, options?: Partial<AttemptPool.Settings>]> = {
      "is-not-there": ["is-not-there"],
      "broken-import": ["this module cannot be loaded"],
      "broken-layer": ["no database"],
      "no-main": ["exited with code 0"],
      "no-end": ["not ready within 2s", { startTimeout: "2 seconds" }]
    }
    for (const [file, [reason, options = {}]] of Object.entries(faults)) {
      it.live(`fails with its layer if its module is of no use: ${file}`, () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(
            Layer.build(Layer.provide(make({ url: module(file), ...options }), record([])))
          )
          assert.strictEqual(error._tag, "ExecutorUnavailable")
          assert.include(error.message, reason)
          assert.include(error.message, module(file).href)
        }).pipe(Effect.scoped)
      )
    }

    it.live("refuses attempts that it cannot begin, less and less often", () => {
      const logs: Array<string> = []
      const layer = Layer.provide(make({ url: module("broken-import"), start: "lazy" }), record(logs))
      return Effect.gen(function* () {
        assert.deepStrictEqual(logs, [])
        for (let i = 1; i <= 3; i++) {
          const outcome = yield* perform({ _tag: "Where" })
          assert.strictEqual(outcome._tag, "Refused")
          assert.include(outcome._tag === "Refused" ? outcome.reason : "", "this module cannot be loaded")
          assert.strictEqual(logs.length, i)
          assert.include(logs[i - 1], "ERROR")
        }
      }).pipe(Effect.provide(layer))
    })

    it.live("refuses attempts once its layer has ended", () =>
      Effect.gen(function* () {
        const executor = yield* Effect.scoped(Effect.map(Layer.build(make({ start: "lazy" })), Context.get(Executor)))
        const outcome = yield* Effect.provideService(perform({ _tag: "Where" }), Executor, executor)
        assert.include(outcome._tag === "Refused" ? outcome.reason : "", "its layer has ended")
      })
    )

    const wrong: ReadonlyArray<Partial<AttemptPool.Settings>> = [
      { size: 0 },
      { size: 1.5 },
      { size: Infinity },
      { recycleAfter: 0 },
      { recycleAfter: NaN }
    ]
    for (const options of wrong) {
      it(`refuses ${Object.entries(options)}`, () => {
        assert.throws(() => make(options), InvalidOption)
      })
    }
  })
}
