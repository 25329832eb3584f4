/** Our executors and others' pools under one interface. */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { fileURLToPath } from "node:url"
import { Executor, Job, JobStore, Policy, Run, Scheduler, type SchedulerEvent, Task } from "../../src/index.ts"
import * as ProcessExecutor from "../../src/ProcessExecutor.ts"
import * as WorkerExecutor from "../../src/WorkerExecutor.ts"
import { Compute } from "./executors-task.ts"
import { compute } from "./executors-work.ts"

/** So many workers that have started. */
export interface Pool {
  /** Done when so many units of work have been carried out. */
  readonly run: (units: number) => Promise<unknown>
  readonly stop: () => Promise<void>
}

export interface Contender {
  readonly name: string
  /** Whether it starts a thread for each run: fewer of them are enough, and there is no time for more. */
  readonly isSlow?: boolean
  readonly start: (size: number) => Promise<Pool>
}

// ---------------------------------------------------------------------------------------------------------------------
// ours
// ---------------------------------------------------------------------------------------------------------------------

const url = new URL("./executors-worker.ts", import.meta.url)

const handler = Task.toLayer(Compute, (units) => Effect.sync(() => compute(units)))

type Make = (size: number) => Layer.Layer<Executor.Executor, unknown>

const executors: Record<string, Make> = {
  fibers: (size) => Executor.layerFiber({ concurrency: size }),
  threads: (size) => WorkerExecutor.layer({ url, size }),
  processes: (size) => ProcessExecutor.layer({ url, size })
}

const NEVER = DateTime.unsafeMake("2999-01-01T00:00:00Z")

const toAttempt = (handler: Task.Handler, payload: number): Executor.Attempt => {
  const job = Job.make({ id: "job", task: handler.task.name, now: NEVER, payload, policy: Policy.defaults })
  const run = Run.start(Run.make(job, NEVER), "node", NEVER) as Run.Running
  const coordinator = { previous: () => Effect.succeedNone, progress: () => {}, wrote: () => {} }
  return { job, run, handler, scope: Effect.runSync(Scope.make()), coordinator }
}

/** The executor by itself: a run is a call of its port. */
const ofAttempts = (name: string, make: Make): Contender => ({
  name: `ours, ${name}: an attempt`,
  start: async (size) => {
    const runtime = ManagedRuntime.make(Layer.merge(make(size), handler))
    const { context } = await runtime.runtime()
    const executor = Context.unsafeGet(context, Executor.Executor)
    const ofTask = Task.handlers(context as Context.Context<never>).get(Compute.name)!
    const run = (units: number) =>
      runtime.runPromise(
        Effect.suspend(() => {
          const attempt = toAttempt(ofTask, units)
          return Effect.provide(executor.execute(attempt), Executor.context(attempt))
        })
      )
    return { run, stop: () => runtime.dispose() }
  }
})

/** All of it: each run is that of a job of its own, from the store to its history. */
const ofRuns = (name: string, make: Make): Contender => ({
  name: `ours, ${name}: a run`,
  start: async (size) => {
    const runtime = ManagedRuntime.make(
      Scheduler.layer().pipe(Layer.provide(Layer.mergeAll(handler, make(size), JobStore.layerMemory)))
    )
    const scheduler = await runtime.runPromise(Scheduler.Scheduler)
    const waiting = new Map<string, () => void>()
    const hear = (event: SchedulerEvent.SchedulerEvent) => {
      if ("run" in event && !Run.isLive(event.run)) waiting.get(event.jobId)?.()
    }
    runtime.runFork(Stream.runForEach(scheduler.events, (event) => Effect.sync(() => hear(event))))
    let count = 0
    const run = (units: number) => {
      const id = `job-${count++}`
      const ended = new Promise<void>((resolve) => waiting.set(id, resolve))
      return runtime.runPromise(scheduler.add(Compute, { id, payload: units })).then(() => ended)
    }
    return { run, stop: () => runtime.dispose() }
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// others
// ---------------------------------------------------------------------------------------------------------------------

const piscina: Contender = {
  name: "piscina",
  start: async (size) => {
    const { Piscina } = await import("piscina")
    const filename = new URL("./executors-piscina.js", import.meta.url).href
    const pool = new Piscina({ filename, minThreads: size, maxThreads: size })
    return { run: (units) => pool.run(units), stop: () => pool.destroy() }
  }
}

const bree: Contender = {
  name: "bree",
  isSlow: true,
  start: async (size) => {
    const { default: Bree } = await import("bree")
    const path = fileURLToPath(new URL("./executors-bree.js", import.meta.url))
    const instance = new Bree({ root: false, logger: false })
    const waiting = new Map<string, () => void>()
    instance.on("worker deleted", (name: string) => waiting.get(name)?.())
    let count = 0
    const runOne = async (units: number) => {
      const name = `job-${count++}`
      const ended = new Promise<void>((resolve) => waiting.set(name, resolve))
      await instance.add({ name, path })
      await instance.run(name)
      instance.workers.get(name)!.postMessage(units)
      await ended
    }
    return { run: bounded(size, runOne), stop: () => instance.stop() }
  }
}

/** No more than so many at a time, in their order. */
const bounded = (size: number, run: (units: number) => Promise<void>) => {
  const ends: Array<Promise<void>> = Array.from({ length: size }, () => Promise.resolve())
  return (units: number): Promise<void> => {
    const end = ends.shift()!.then(() => run(units))
    ends.push(end)
    return end
  }
}

const others: ReadonlyArray<Contender> = [piscina, bree]

/** What a call of a pool costs. */
export const pools: ReadonlyArray<Contender> = [
  ...Object.entries(executors).map(([name, make]) => ofAttempts(name, make)),
  ...others
]

/** What a whole scheduler does with it. */
export const wholes: ReadonlyArray<Contender> = [
  ...Object.entries(executors).map(([name, make]) => ofRuns(name, make)),
  ...others
]

/** All of them, once. */
export const contenders: ReadonlyArray<Contender> = [...new Set([...pools, ...wholes])]
