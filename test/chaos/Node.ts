/** The program of one node: a scheduler on the shared database, whose handlers log what they do as they do it. */
import { NodeRuntime } from "@effect/platform-node"
import { type DateTime, Effect, Layer, Schedule, Stream } from "effect"
import type { DurationInput } from "effect/Duration"
import { openSync, writeSync } from "node:fs"
import process, { argv, pid } from "node:process"
import * as Executor from "../../src/Executor.ts"
import { JobStore } from "../../src/JobStore.ts"
import * as RunContext from "../../src/RunContext.ts"
import * as Scheduler from "../../src/Scheduler.ts"
import * as Task from "../../src/Task.ts"
import { type Address, type StoreTiming, store } from "./Database.ts"
import type { Entry } from "./History.ts"
import type { Line, Notice } from "./Log.ts"
import { Deadly, NewWork, SLICE, Work } from "./Workload.ts"

export interface NodeOptions {
  readonly name: string
  readonly address: Address
  readonly timing: StoreTiming
  readonly log: string
  readonly concurrency: number
  /** Whether it knows the task that the old version does not know. */
  readonly isNew: boolean
  /** How far its wall clock is off when it starts, in milliseconds. Default: not at all. */
  readonly clock?: number
  /** How long it waits for its runs when it is ended. Default: 10 seconds. */
  readonly drain?: DurationInput
}

/** What a node is told while it works. */
export interface Order {
  readonly clock: number
}

const options = JSON.parse(argv[2] ?? "{}") as NodeOptions
/** The time of the world, by which everything is logged. */
const trueTime = Date.now.bind(Date)

/** By how much the wall clock of this process is wrong, as that of a machine may be; time elapses as it should. */
let offset = options.clock ?? 0
Date.now = () => trueTime() + offset

process.on("message", (order: Order) => {
  offset = order.clock
})
// Nobody waits for orders.
process.channel?.unref()

const log = openSync(options.log, "a")
const write = (line: Line): void => {
  writeSync(log, `${JSON.stringify(line)}\n`)
}

const notice = (event: Notice["event"], text: string, from = trueTime()): void =>
  write({ event, pid, node: options.name, from, at: trueTime(), text })

/** Whoever stands still for so long may lose its lease without being stopped from outside, in milliseconds. */
const STALL = 300

const watch = (): void => {
  let last = trueTime()
  setInterval(() => {
    const now = trueTime()
    if (now - last > STALL) notice("stalled", `${now - last} ms`, last)
    last = now
  }, 50).unref()
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
    const slice = Effect.repeatN(Effect.sleep(SLICE), slices - 1)
    const start = Effect.sync(() => write({ ...entry(run, "start"), work: slices * SLICE }))
    const body = Effect.all([start, slices === 0 ? Effect.void : slice, say("end")], { discard: true })
    yield* Effect.onInterrupt(body, () => say("interrupted"))
  })

const die = ({ isForced }: { readonly isForced: boolean }) =>
  Effect.map(RunContext.RunContext, (run) => {
    write(entry(run, "start"))
    if (isForced) process.kill(pid, "SIGKILL")
    process.exit(1)
  })

const HandlersLive = Layer.mergeAll(
  Task.toLayer(Work, work),
  Task.toLayer(Deadly, die),
  options.isNew ? Task.toLayer(NewWork, work) : Layer.empty
)

/** Whose lease holds since when, by the time of the world. */
const sign = (id: string, now: DateTime.Utc): void =>
  write({ event: "sign", pid, id, at: trueTime() - (Date.now() - now.epochMillis) })

/** The store, each of whose leases is logged once it is known to hold. */
const StoreLive = Layer.effect(
  JobStore,
  Effect.map(JobStore, (store) =>
    JobStore.of({
      ...store,
      register: (_) => Effect.tap(store.register(_), (id) => Effect.sync(() => sign(id, _.now))),
      renew: (_) => Effect.tap(store.renew(_), (isKnown) => Effect.sync(() => isKnown && sign(_.node, _.now)))
    })
  )
).pipe(Layer.provide(store(options.address, options.timing)))

const SchedulerLive = Scheduler.layer({
  autoStart: false,
  drain: options.drain ?? "10 seconds",
  watch: "1 second"
}).pipe(
  Layer.provide(HandlersLive),
  Layer.provide(Executor.layerFiber({ concurrency: options.concurrency })),
  Layer.provide(StoreLive)
)

/** What is worth a line besides the attempts. */
const TOLD = new Set([
  "SchedulerStarted",
  "LeaseLost",
  "StoreUnavailable",
  "StoreRecovered",
  "ClockJumped",
  "JobParked",
  "JobMissed"
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
