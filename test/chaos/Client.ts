/** The application that adds jobs while its nodes are disturbed, and asks the store in the end what became of them. */
import { Effect, Layer, ManagedRuntime, Option, Schedule } from "effect"
import * as Executor from "../../src/Executor.ts"
import { JobStore } from "../../src/JobStore.ts"
import type * as Run from "../../src/Run.ts"
import * as Scheduler from "../../src/Scheduler.ts"
import { type Address, store } from "./Database.ts"
import type { JobSpec, Recorded } from "./History.ts"
import * as Workload from "./Workload.ts"

/** How long before the first job is due all of them are to be stored, in milliseconds. */
const LEAD = 5000

export class Client {
  private readonly runtime: ManagedRuntime.ManagedRuntime<Scheduler.Scheduler | JobStore, never>

  constructor(address: Address) {
    const scheduler = Scheduler.layer({ autoStart: false }).pipe(Layer.provide(Executor.layerFiber()))
    this.runtime = ManagedRuntime.make(Layer.provideMerge(scheduler, store(address)))
  }

  async declare(options: {
    readonly jobs: number
    readonly seconds: number
    readonly hasNew: boolean
    readonly deadly: number
  }): Promise<ReadonlyArray<JobSpec>> {
    const { deadly, hasNew, jobs: count, seconds } = options
    const from = Date.now() + LEAD
    const jobs = [...Workload.recurring({ count, seconds, from, hasNew }), ...Workload.deadly(deadly, from)]
    const add = Effect.flatMap(Scheduler.Scheduler, (scheduler) => scheduler.addAll(jobs.map((job) => job.declaration)))
    await this.runtime.runPromise(add)
    if (Date.now() > from) throw new Error(`It took more than ${LEAD} ms to add ${count} jobs`)
    return jobs.map(({ spec }) => spec)
  }

  /** Adds jobs that are due half a second later, each one exactly once, as long as there is time. */
  addOneByOne(options: {
    readonly once: number
    readonly seconds: number
    readonly until: number
  }): Promise<ReadonlyArray<JobSpec>> {
    const { once, seconds, until } = options
    const indices = Array.from({ length: once }, (_, index) => index)
    const pause = Effect.sleep((seconds * 1000) / once)
    const add = (index: number) => Effect.zipRight(pause, Date.now() > until ? Effect.succeed([]) : addOne(index))
    return this.runtime.runPromise(Effect.map(Effect.forEach(indices, add), (specs) => specs.flat()))
  }

  /** Whether nothing is left to be done. */
  isOver(): Promise<boolean> {
    const isOver = Effect.gen(function* () {
      const jobs = yield* JobStore
      const { pending, queued, running } = yield* jobs.counts
      const going = yield* jobs.list({ states: ["Active"], limit: 1 })
      return pending + queued + running + going.length === 0
    })
    return this.runtime.runPromise(Effect.orElseSucceed(isOver, () => false))
  }

  records(): Promise<ReadonlyArray<Recorded>> {
    const runs = Effect.flatMap(Scheduler.Scheduler, (scheduler) => scheduler.runs({ limit: 1_000_000 }))
    return this.runtime.runPromise(Effect.map(runs, (runs) => runs.map(toRecord)))
  }

  close(): Promise<void> {
    return this.runtime.dispose()
  }
}

/** As an application does that has had no answer: it adds the same job once more, which changes nothing if it is there. */
const addOne = (index: number) =>
  Effect.gen(function* () {
    const scheduler = yield* Scheduler.Scheduler
    const { declaration, spec } = Workload.oneOff(index, Date.now() + 500)
    const add = scheduler.addAll([declaration], { onConflict: "keep" })
    const isAdded = yield* Effect.isSuccess(Effect.retry(add, { times: 100, schedule: Schedule.spaced("100 millis") }))
    return [isAdded ? spec : { ...spec, isUnsure: true }]
  })

const toRecord = ({ attempt, covers, id, jobId, scheduledAt, state }: Run.Run): Recorded => ({
  ...{ runId: id, job: jobId, scheduledAt: scheduledAt.epochMillis, attempt, state: state._tag },
  ...("finishedAt" in state ? { finishedAt: state.finishedAt.epochMillis } : {}),
  ...Option.match(covers, {
    onNone: () => ({}),
    onSome: ({ as, first, last }) => ({ covers: { as, first: first.epochMillis, last: last.epochMillis } })
  })
})
