/** One fault on one database, from the first job to the verdict. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { SchedulerEvent } from "../../src/SchedulerEvent.ts"
import { Client } from "./Client.ts"
import { Cluster, sleep, until } from "./Cluster.ts"
import { type Address, type Server, type StoreTiming, TIMING } from "./Database.ts"
import type { FaultPlan } from "./Faults.ts"
import * as History from "./History.ts"
import { check } from "./HistoryChecker.ts"
import type { Notice } from "./Log.ts"
import { type TakeOver, takeOvers } from "./TakeOver.ts"
import type { Violation } from "./Violation.ts"

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
  /** Whether all that was to be done was done in time, and whether all nodes ended in time when they were told to. */
  readonly isSettled: boolean
  readonly hasEnded: boolean
  readonly violations: ReadonlyArray<Violation>
  readonly takeOvers: ReadonlyArray<TakeOver>
  /** How often a process stood still, lost its lease or its store. */
  readonly notices: Readonly<Record<string, number>>
  readonly outputs: string
  /** What befell the nodes, and what they told of it, line by line. */
  readonly story: ReadonlyArray<string>
}

/** How long the rest may take once nothing is disturbed any more, in milliseconds. */
const PATIENCE = 90_000

/** How long nodes that have nothing to do may take to end, in milliseconds. */
const FAREWELL = 15_000

/** What is to be done by whoever has to end everything at once. */
export const leftovers = new Set<() => void>()

export const run = async (options: Options): Promise<Report> => {
  const folder = mkdtempSync(join(tmpdir(), "effect-scheduler-chaos-"))
  const address = await makeAddress(options, folder)
  const cluster = new Cluster({ folder, address, timing: timingOf(options), concurrency: 100 })
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
  const client = new Client(cluster.addressOf("client"))
  const jobs = await client.declare({ ...options, hasNew: plan.hasNew === true, deadly: plan.deadly ?? 0 })
  const end = Math.max(...jobs.map(({ times }) => times.last))
  const [once] = await Promise.all([
    client.addOneByOne({ ...options, until: end }),
    plan.disturb({ cluster, server, address, until: end - 2000 })
  ])
  await sleep(end - Date.now())
  const isSettled = await until(() => client.isOver(), PATIENCE)
  const records = await client.records()
  await client.close()
  const hasEnded = await cluster.close(FAREWELL)
  return toReport(
    options,
    cluster,
    address,
    { isSettled, hasEnded },
    {
      jobs: [...jobs, ...once],
      log: cluster.entries(),
      signs: cluster.signs(),
      faults: cluster.allFaults(),
      timing: toCheck(plan, timingOf(options)),
      records,
      drops: cluster.notices().flatMap(toDrops)
    }
  )
}

const startAll = async (plan: FaultPlan, cluster: Cluster): Promise<void> => {
  if (plan.isProxied === true) await cluster.putProxyBefore("client")
  for (const [index, setup] of plan.nodes.entries()) {
    const name = `n${index + 1}`
    if (plan.isProxied === true) await cluster.putProxyBefore(name)
    cluster.start(name, setup)
  }
  await cluster.ready(60_000)
}

const toCheck = ({ skew = 0, takeOver = Infinity }: FaultPlan, { lease }: StoreTiming): History.Timing => ({
  ...{ lease, skew, takeOver, notice: 2000 },
  patience: Math.min(2 * lease, 10_000)
})

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
  end: Pick<Report, "isSettled" | "hasEnded">,
  history: History.History
): Report => {
  const attempts = History.toAttempts(history)
  return {
    plan,
    database: address.kind,
    occurrences: history.jobs.reduce((sum, { times }) => sum + History.occurrences(times).length, 0),
    runs: new Set(attempts.map(({ runId }) => runId)).size,
    attempts: attempts.length,
    ...end,
    violations: check(history),
    takeOvers: takeOvers({ ...history, faults: cluster.faults }),
    notices: countNotices(cluster),
    outputs: cluster.outputs(),
    story: cluster.story()
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
