/** One fault on one database, from the first job to the verdict. */
import { Effect, Option } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Executor from "../../src/Executor.ts"
import { JobStore } from "../../src/JobStore.ts"
import type * as Run from "../../src/Run.ts"
import * as Scheduler from "../../src/Scheduler.ts"
import type { SchedulerEvent } from "../../src/SchedulerEvent.ts"
import { Cluster, sleep, until } from "./Cluster.ts"
import { type Address, type Server, type StoreTiming, store, TIMING } from "./Database.ts"
import type { FaultPlan } from "./Faults.ts"
import * as History from "./History.ts"
import { check } from "./HistoryChecker.ts"
import type { Notice } from "./Log.ts"
import { type TakeOver, takeOvers } from "./TakeOver.ts"
import type { Violation } from "./Violation.ts"
import * as Workload from "./Workload.ts"

export interface Options {
  readonly plan: FaultPlan
  /** The server on which it gets a database of its own; none for a SQLite file. */
  readonly server: Server | undefined
  /** How many recurring jobs, for how long they are due, and how many one-off jobs. */
  readonly jobs: number
  readonly seconds: number
  readonly once: number
}

export interface Report {
  readonly plan: FaultPlan
  readonly database: string
  readonly occurrences: number
  readonly runs: number
  readonly attempts: number
  readonly isSettled: boolean
  readonly violations: ReadonlyArray<Violation>
  readonly takeOvers: ReadonlyArray<TakeOver>
  /** How often a process stood still, lost its lease or its store. */
  readonly notices: Readonly<Record<string, number>>
  readonly outputs: string
}

/** How long the rest may take once nothing is disturbed any more, in milliseconds. */
const PATIENCE = 90_000

/** What is to be done by whoever has to end everything at once. */
export const leftovers = new Set<() => void>()

export const run = async (options: Options): Promise<Report> => {
  const folder = mkdtempSync(join(tmpdir(), "effect-scheduler-chaos-"))
  const address = await makeAddress(options, folder)
  const cluster = new Cluster({ folder, address, timing: timingOf(options), concurrency: 40 })
  const clear = () => {
    cluster.destroy()
    rmSync(folder, { recursive: true, force: true })
  }
  leftovers.add(clear)
  try {
    return await judge(options, cluster, address)
  } finally {
    clear()
    leftovers.delete(clear)
  }
}

const makeAddress = async ({ server }: Options, folder: string): Promise<Address> =>
  server === undefined ? { kind: "sqlite", filename: join(folder, "jobs.sqlite") } : server.database()

const timingOf = ({ plan }: Options): StoreTiming => plan.timing ?? TIMING

const judge = async (options: Options, cluster: Cluster, address: Address): Promise<Report> => {
  const { plan, server } = options
  await startAll(plan, cluster)
  const jobs = await declare(options, address)
  const end = Math.max(...jobs.map(({ times }) => times.last))
  const [once] = await Promise.all([
    addOneByOne(options, address, end),
    plan.disturb({ cluster, server, address, until: end - 2000 })
  ])
  await sleep(end - Date.now())
  const isSettled = await until(() => isOver(address), PATIENCE)
  const records = await recorded(address)
  await cluster.close(20_000)
  return toReport(options, cluster, address, isSettled, {
    jobs: [...jobs, ...once],
    log: cluster.entries(),
    signs: cluster.signs(),
    faults: cluster.allFaults(),
    timing: toCheck(timingOf(options)),
    records,
    drops: cluster.notices().flatMap(toDrops)
  })
}

const startAll = async (plan: FaultPlan, cluster: Cluster): Promise<void> => {
  for (const [index, setup] of plan.nodes.entries()) {
    const name = `n${index + 1}`
    if (plan.isProxied === true) await cluster.putProxyBefore(name)
    cluster.start(name, setup)
  }
  await cluster.ready(60_000)
}

const toCheck = ({ lease }: StoreTiming): History.Timing => ({ lease, skew: 0, notice: 2000, patience: 2 * lease })

/** What a node told when it gave times up. */
const toDrops = ({ event, text }: Notice): ReadonlyArray<History.Drop> => {
  if (event !== "told") return []
  const told = JSON.parse(text) as SchedulerEvent
  if (told._tag !== "JobMissed") return []
  const { count, first, last } = told.dropped
  // As JSON an instant is text.
  return [{ job: told.jobId, first: Date.parse(String(first)), last: Date.parse(String(last)), count }]
}

const toReport = (
  { plan }: Options,
  cluster: Cluster,
  address: Address,
  isSettled: boolean,
  history: History.History
): Report => {
  const attempts = History.toAttempts(history)
  return {
    plan,
    database: address.kind,
    occurrences: history.jobs.reduce((sum, { times }) => sum + History.occurrences(times).length, 0),
    runs: new Set(attempts.map(({ runId }) => runId)).size,
    attempts: attempts.length,
    isSettled,
    violations: check(history),
    takeOvers: takeOvers({ ...history, faults: cluster.faults }),
    notices: countNotices(cluster),
    outputs: cluster.outputs()
  }
}

const countNotices = (cluster: Cluster): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { event, text } of cluster.notices()) {
    const name = event === "told" ? (JSON.parse(text) as { readonly _tag: string })._tag : event
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

// ---------------------------------------------------------------------------------------------------------------------
// the clients
// ---------------------------------------------------------------------------------------------------------------------

const asClient = <A, E>(address: Address, effect: Effect.Effect<A, E, Scheduler.Scheduler | JobStore>): Promise<A> =>
  Effect.gen(function* () {
    const scheduler = yield* Scheduler.make({ autoStart: false })
    return yield* Effect.provideService(effect, Scheduler.Scheduler, scheduler)
  }).pipe(Effect.scoped, Effect.provide(Executor.layerFiber()), Effect.provide(store(address)), Effect.runPromise)

/** How long before the first job is due all of them are to be stored, in milliseconds. */
const LEAD = 1500

const declare = async ({ jobs: count, plan, seconds }: Options, address: Address) => {
  const jobs = Workload.recurring({ count, seconds, from: Date.now() + LEAD, hasNew: plan.hasNew === true })
  const add = Effect.flatMap(Scheduler.Scheduler, (scheduler) => scheduler.addAll(jobs.map((job) => job.declaration)))
  await asClient(address, add)
  return jobs.map(({ spec }) => spec)
}

/** Adds jobs that are due half a second later, as long as there is time. */
const addOneByOne = ({ once, seconds }: Options, address: Address, end: number) => {
  const indices = Array.from({ length: once }, (_, index) => index)
  const pause = (seconds * 1000) / once
  const add = (index: number) =>
    Effect.gen(function* () {
      yield* Effect.sleep(pause)
      if (Date.now() > end) return []
      const scheduler = yield* Scheduler.Scheduler
      const { declaration, spec } = Workload.oneOff(index, Date.now() + 500)
      const isAdded = yield* Effect.isSuccess(scheduler.addAll([declaration]))
      return [isAdded ? spec : { ...spec, isUnsure: true }]
    })
  return asClient(
    address,
    Effect.map(Effect.forEach(indices, add), (specs): ReadonlyArray<History.JobSpec> => specs.flat())
  )
}

const isOver = (address: Address): Promise<boolean> =>
  asClient(
    address,
    Effect.map(
      Effect.flatMap(JobStore, (jobs) => jobs.counts),
      (counts) => Object.values(counts).every((count) => count === 0)
    )
  ).catch(() => false)

const recorded = (address: Address): Promise<ReadonlyArray<History.Recorded>> =>
  asClient(
    address,
    Effect.map(
      Effect.flatMap(Scheduler.Scheduler, (scheduler) => scheduler.runs({ limit: 1_000_000 })),
      (runs) => runs.map(toRecord)
    )
  )

const toRecord = ({ attempt, covers, id, jobId, scheduledAt, state }: Run.Run): History.Recorded => ({
  ...{ runId: id, job: jobId, scheduledAt: scheduledAt.epochMillis, attempt, state: state._tag },
  ...Option.match(covers, {
    onNone: () => ({}),
    onSome: ({ as, first, last }) => ({ covers: { as, first: first.epochMillis, last: last.epochMillis } })
  })
})
