/** Runs a job on an executor, ends its scheduler, and says what is left of it. */
import { Effect, Layer } from "effect"
import { setTimeout } from "node:timers/promises"
import * as Executor from "../../src/Executor.ts"
import * as JobStore from "../../src/JobStore.ts"
import * as ProcessExecutor from "../../src/ProcessExecutor.ts"
import * as Scheduler from "../../src/Scheduler.ts"
import * as Trigger from "../../src/Trigger.ts"
import * as WorkerExecutor from "../../src/WorkerExecutor.ts"
import { module } from "./Hosts.ts"
import { Probe, ProbeLive } from "./Probe.ts"

const url = module("probe-main")
const layers: Record<string, Layer.Layer<Executor.Executor, unknown>> = {
  fiber: Executor.layerFiber(),
  thread: WorkerExecutor.layer({ url, size: 2, grace: "1 second" }),
  process: ProcessExecutor.layer({ url, size: 2, grace: "1 second" })
}

/** One run ends, one is under way, and one waits to be tried again. */
const program = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler
  yield* scheduler.add(Probe, { id: "a", payload: { _tag: "Where" }, trigger: Trigger.at("2999-01-01") })
  yield* scheduler.awaitRun((yield* scheduler.runNow("a")).id)
  yield* scheduler.add(Probe, { id: "b", payload: { _tag: "Sleep", millis: 3_600_000 }, timeout: "2 hours" })
  const retry = { times: 9, delay: "1 hour" } as const
  yield* scheduler.add(Probe, { id: "c", payload: { _tag: "Write", lines: 1, end: "fail" }, retry })
  const state = (jobId: string) =>
    Effect.map(scheduler.runs({ jobId }), (runs) => runs.map((run) => `${jobId} ${run.state._tag} ${run.attempt}`))
  const states = Effect.map(Effect.forEach(["a", "b", "c"], state), (states) => states.flat().join(", "))
  yield* Effect.repeat(Effect.delay(states, 50), {
    until: (states) => states === "a Succeeded 1, b Running 1, c Pending 1"
  })
  console.log(yield* states)
})

const name = process.argv[2]!
const live = Scheduler.layer().pipe(Layer.provide(Layer.mergeAll(layers[name]!, JobStore.layerMemory, ProbeLive)))
await Effect.runPromise(Effect.provide(program, live))
// A handle is closed some turns after its end is told, and what loads modules may still read one. What stays is left.
const left = () => process.getActiveResourcesInfo().filter((resource) => resource !== "Timeout")
for (let i = 0; i < 100 && left().some((resource) => resource !== "PipeWrap"); i++) await setTimeout(20)
console.log(JSON.stringify(process.getActiveResourcesInfo()))
