/** What is said of a thread or process that takes too much memory, or cannot begin. */
import { Effect, Layer, Logger } from "effect"
import { type Executor, JobStore, Scheduler, type SchedulerError, Task, Trigger } from "effect-scheduler"
import * as ProcessExecutor from "effect-scheduler/ProcessExecutor"
import * as WorkerExecutor from "effect-scheduler/WorkerExecutor"
import assert from "node:assert/strict"
import { type Check, carryOut } from "./Checks.ts"
import { Deed } from "./tasks.ts"

type Pool = Layer.Layer<Executor.Executor, SchedulerError.ExecutorUnavailable>

const url = new URL("./worker.ts", import.meta.url)
const broken = { url: new URL("./broken.ts", import.meta.url), size: 1 }
const memory = { url, size: 1, grace: "1 second", memoryLimit: 300 } as const

const isNode = !("bun" in process.versions) && !("deno" in process.versions)

const on = (pool: Pool) =>
  Scheduler.layer().pipe(
    Layer.provide(Task.remote(Deed)),
    Layer.provide([pool, JobStore.layerMemory]),
    Layer.provide(Logger.remove(Logger.defaultLogger))
  )

/** Why the run was given up. */
const eat = (what: "heap" | "buffers") =>
  Effect.gen(function* () {
    const scheduler = yield* Scheduler.Scheduler
    const trigger = Trigger.at("2999-01-01")
    yield* scheduler.add(Deed, { id: what, payload: { what }, trigger, onCrash: "abandon" })
    const { state } = yield* scheduler.awaitRun((yield* scheduler.runNow(what)).id)
    return state._tag === "Abandoned" ? (state.reason ?? "") : state._tag
  })

const isEnded = (pool: Pool, what: "heap" | "buffers", reason: RegExp): Effect.Effect<void, unknown> =>
  eat(what).pipe(
    Effect.map((text) => assert.match(text, reason)),
    Effect.provide(on(pool))
  )

const isRefused = (pool: Pool, reason: RegExp): Effect.Effect<void, unknown> =>
  Layer.build(pool).pipe(
    Effect.flip,
    Effect.map(({ message }) => assert.match(message, reason)),
    Effect.scoped,
    Effect.provide(Logger.remove(Logger.defaultLogger))
  )

const inThread: Check = isNode
  ? { name: "a thread ends by its limit", check: isEnded(WorkerExecutor.layer(memory), "heap", /memory limit/) }
  : { name: "a limit is refused for threads", check: isRefused(WorkerExecutor.layer(memory), /only Node can/) }

const inProcess = (["heap", "buffers"] as const).map((what) => ({
  name: `a process ends by its limit: ${what}`,
  check: isEnded(ProcessExecutor.layer(memory), what, /ran out of heap|more than the 300 MiB of memoryLimit/)
}))

const cannotBegin = [WorkerExecutor.layer(broken), ProcessExecutor.layer(broken)].map((pool) => ({
  name: "what fails in the module of a pool is said",
  check: isRefused(pool, /no database/)
}))

await carryOut([inThread, ...inProcess, ...cannotBegin])
