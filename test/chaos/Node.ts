/** The program of one node: a scheduler on the shared database, whose handlers log what they do as they do it. */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Schedule, Stream } from "effect"
import { openSync, writeSync } from "node:fs"
import { argv, pid } from "node:process"
import * as Executor from "../../src/Executor.ts"
import * as RunContext from "../../src/RunContext.ts"
import * as Scheduler from "../../src/Scheduler.ts"
import * as Task from "../../src/Task.ts"
import { type Address, store } from "./Database.ts"
import type { Entry } from "./HistoryChecker.ts"
import { NewWork, SLICE, Work } from "./Workload.ts"

export interface NodeOptions {
  readonly name: string
  readonly address: Address
  readonly log: string
  readonly concurrency: number
  /** Whether it knows the task that the old version does not know. */
  readonly isNew: boolean
  /** How far its wall clock is off, and by how much it is set back, every so often, in milliseconds. */
  readonly clock?: { readonly offset: number; readonly step: number; readonly every: number }
}

/** Something that befell the process, as it noticed it itself. */
export interface Notice {
  readonly event: "stalled" | "told"
  readonly pid: number
  readonly node: string
  readonly from: number
  readonly at: number
  readonly text: string
}

const options = JSON.parse(argv[2] ?? "{}") as NodeOptions
/** The time of the world, by which everything is logged. */
const trueTime = Date.now.bind(Date)

/** Makes the wall clock of this process wrong, as that of a machine may be; time elapses as it should. */
const setClock = ({ every, offset, step }: NonNullable<NodeOptions["clock"]>): void => {
  const begun = trueTime()
  Date.now = () => trueTime() + offset - step * Math.floor((trueTime() - begun) / every)
}

if (options.clock !== undefined) setClock(options.clock)

const log = openSync(options.log, "a")
const write = (line: Entry | Notice): void => {
  writeSync(log, `${JSON.stringify(line)}\n`)
}

const notice = (event: Notice["event"], text: string, from = trueTime()): void =>
  write({ event, pid, node: options.name, from, at: trueTime(), text })

/** Whoever stands still for so long may lose its lease without being stopped from outside, in milliseconds. */
const STALL = 700

const watch = (): void => {
  let last = trueTime()
  setInterval(() => {
    const now = trueTime()
    if (now - last > STALL) notice("stalled", `${now - last} ms`, last)
    last = now
  }, 100).unref()
}

const entry = (run: RunContext.RunContext["Type"], event: Entry["event"]): Entry => ({
  event,
  job: run.jobId,
  incarnation: Number(run.runId.split("/")[1]),
  scheduledAt: run.scheduledAt.epochMillis,
  runId: run.runId,
  attempt: run.attempt,
  node: options.name,
  pid,
  at: trueTime()
})

const work = ({ slices }: { readonly slices: number }) =>
  Effect.gen(function* () {
    const run = yield* RunContext.RunContext
    const say = (event: Entry["event"]) => Effect.sync(() => write(entry(run, event)))
    const cut = Effect.sleep(SLICE).pipe(
      Effect.repeatN(slices - 1),
      Effect.onInterrupt(() => say("interrupted"))
    )
    yield* Effect.zipRight(say("start"), slices === 0 ? Effect.void : cut)
    yield* say("end")
  })

const HandlersLive = Layer.merge(Task.toLayer(Work, work), options.isNew ? Task.toLayer(NewWork, work) : Layer.empty)

const SchedulerLive = Scheduler.layer({ autoStart: false, drain: "10 seconds", watch: "1 second" }).pipe(
  Layer.provide(HandlersLive),
  Layer.provide(Executor.layerFiber({ concurrency: options.concurrency })),
  Layer.provide(store(options.address))
)

/** What is worth a line besides the attempts. */
const TOLD = new Set([
  "SchedulerStarted",
  "LeaseLost",
  "StoreUnavailable",
  "StoreRecovered",
  "ClockJumped",
  "JobParked"
])

const main = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler
  const events = yield* scheduler.subscribe
  yield* scheduler.start
  yield* Stream.runForEach(events, (event) =>
    Effect.sync(() => TOLD.has(event._tag) && notice("told", JSON.stringify(event)))
  )
}).pipe(Effect.scoped, Effect.provide(SchedulerLive))

watch()
// A node that finds no database waits for it, as its supervisor would start it again.
NodeRuntime.runMain(Effect.retry(Effect.sandbox(main), Schedule.spaced("300 millis")))
