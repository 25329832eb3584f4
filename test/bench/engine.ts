/** The engine benchmark: firings beside five other schedulers, a million jobs, a burst of runs, and lateness. */
import { compile, inChild, progress } from "./Child.ts"
import type { Firings } from "./engine-firings.ts"
import type { Drain, Heap, Many } from "./engine-jobs.ts"
import type { Lateness, Percentiles } from "./engine-lateness.ts"
import { duration, type Goal, grouped, machine, median, ratio, summary, table } from "./Measure.ts"
import { idle, type Scheduler, schedulers } from "./schedulers.ts"

const MICROSECOND = 1e3
const MILLISECOND = 1e6

// ---------------------------------------------------------------------------------------------------------------------
// firings
// ---------------------------------------------------------------------------------------------------------------------

const SIZES = [10, 1000, 10_000] as const
const GOAL_SIZES = [1000, 10_000]
const ZONE = "Europe/Berlin"
const BOUND = 40
const TIMES = 6

// V8 collects garbage once, seconds after a process has grown idle: nothing that a firing costs.
const FLAGS = ["--no-memory-reducer"]

/** One scheduler with so many jobs, and what became of it: nothing if it had to be killed. */
interface Entry {
  readonly scheduler: Scheduler
  readonly zone: string | undefined
  readonly jobs: number
  readonly firings: Firings | undefined
  /** Microseconds of CPU time a firing that happened. */
  readonly cost: number
}

const runFirings = async (scheduler: Scheduler, jobs: number, zone: string | undefined, unused = 0): Promise<Entry> => {
  const args = ["firings", scheduler.name, jobs, ...(zone === undefined ? [] : [zone])]
  const firings = await inChild<Firings>({ args, seconds: BOUND, flags: FLAGS })
  const cost = firings === undefined ? Infinity : Math.max(0, firings.cpu - unused) / firings.counted
  const entry = { scheduler, zone, jobs, firings, cost }
  if (jobs > 0)
    progress(`  ${grouped(jobs)} jobs${zone === undefined ? "" : `, ${zone}`}: ${scheduler.name} ${costText(entry)}`)
  return entry
}

const costText = ({ cost, firings }: Entry): string => {
  if (firings === undefined) return "killed"
  return Number.isFinite(cost) ? duration(cost * MICROSECOND) : "none"
}

const runAllFirings = async (): Promise<ReadonlyArray<Entry>> => {
  const entries: Array<Entry> = []
  progress(`firings: a process each, for at most ${BOUND} s`)
  const unused = (await runFirings(idle, 0, undefined)).firings?.cpu
  for (const jobs of SIZES) {
    for (const scheduler of schedulers) entries.push(await runFirings(scheduler, jobs, undefined, unused))
  }
  const crons = schedulers.filter(({ kind }) => kind === "cron")
  for (const scheduler of crons) entries.push(await runFirings(scheduler, 1000, ZONE, unused))
  return entries
}

/** What ours costs with as many jobs, by an expression in the same zone or by an interval. */
const oursFor = (entries: ReadonlyArray<Entry>, { jobs, scheduler, zone }: Entry): Entry =>
  entries.find((ours) => ours.jobs === jobs && ours.zone === zone && ours.scheduler.kind === scheduler.kind)!

const lostText = ({ firings, jobs }: Entry): string => {
  if (firings === undefined) return "-"
  const { lost, repeated, times } = firings
  const share = lost === 0 ? "" : ` (${((100 * lost) / (times * jobs)).toFixed(1)} %)`
  return grouped(lost) + share + (repeated === 0 ? "" : `, ${grouped(repeated)} twice`)
}

const sizeCells = (entries: ReadonlyArray<Entry>, entry: Entry | undefined): ReadonlyArray<string> => {
  if (entry === undefined) return ["", "", ""]
  const ours = oursFor(entries, entry)
  const isComparable = ours !== entry && Number.isFinite(entry.cost) && Number.isFinite(ours.cost)
  return [costText(entry), isComparable ? ratio(entry.cost / ours.cost) : "-", lostText(entry)]
}

const firingRow = (entries: ReadonlyArray<Entry>, scheduler: Scheduler, zone: string | undefined) => [
  scheduler.name,
  scheduler.kind === "interval" ? "" : (zone ?? "default"),
  ...SIZES.flatMap((jobs) =>
    sizeCells(
      entries,
      entries.find((entry) => entry.scheduler === scheduler && entry.jobs === jobs && entry.zone === zone)
    )
  )
]

const firingTable = (entries: ReadonlyArray<Entry>): string => {
  const head = ["CPU a firing", "zone", ...SIZES.flatMap((jobs) => [`${grouped(jobs)} jobs`, "ratio", "lost"])]
  const rows = schedulers.flatMap((scheduler) =>
    [undefined, ZONE]
      .filter((zone) => entries.some((entry) => entry.scheduler === scheduler && entry.zone === zone))
      .map((zone) => firingRow(entries, scheduler, zone))
  )
  return table([head, ...rows], 2)
}

/** Those that were too busy to end the window in time, or at all. */
const firingNotes = (entries: ReadonlyArray<Entry>): ReadonlyArray<string> =>
  entries.flatMap(({ firings, jobs, scheduler }) => {
    const who = `${scheduler.name}, ${grouped(jobs)} jobs`
    if (firings === undefined) return [`${who}: killed after ${BOUND} s`]
    if (firings.times === TIMES) return []
    return [`${who}: too busy to end the window in time, which had ${firings.times} s`]
  })

const cronGoal = (entries: ReadonlyArray<Entry>, jobs: number, zone: string | undefined): Goal => {
  const [ours, ...others] = entries.filter((_) => _.jobs === jobs && _.zone === zone && _.scheduler.kind === "cron")
  const cheapest = others.reduce((a, b) => (b.cost < a.cost ? b : a))
  const times = cheapest.cost / ours!.cost
  return {
    what: `${grouped(jobs)} jobs, ${zone ?? "default zone"}: the cheapest cron library, ${cheapest.scheduler.name}, to ours`,
    value: ratio(times),
    goal: ">= 10x",
    isMet: times >= 10
  }
}

const timerGoals = (entries: ReadonlyArray<Entry>, jobs: number): ReadonlyArray<Goal> => {
  const [ours, ...others] = entries.filter((_) => _.jobs === jobs && _.scheduler.kind === "interval")
  return others.map(({ cost, scheduler }) => ({
    what: `${grouped(jobs)} jobs: ours to ${scheduler.name}`,
    value: ratio(ours!.cost / cost),
    goal: "<= 5x",
    isMet: ours!.cost <= 5 * cost
  }))
}

const lostGoal = (entries: ReadonlyArray<Entry>): Goal => {
  const ours = entries.filter(({ scheduler }) => scheduler.isCountedAsOne === true)
  const lost = ours.reduce((sum, { firings }) => sum + (firings?.lost ?? Infinity) + (firings?.repeated ?? 0), 0)
  return { what: "firings of ours lost or repeated", value: grouped(lost), goal: "none", isMet: lost === 0 }
}

const firings = async (): Promise<ReadonlyArray<Goal>> => {
  const entries = await runAllFirings()
  console.log(
    `jobs that fire every second: CPU time a firing over ${TIMES} s after a warm-up, without what an empty process`
  )
  console.log("takes; ratio: to ours by a crontab expression in the same zone, or to ours by an interval\n")
  console.log([firingTable(entries), ...firingNotes(entries), ""].join("\n"))
  return [
    ...GOAL_SIZES.map((jobs) => cronGoal(entries, jobs, undefined)),
    cronGoal(entries, 1000, ZONE),
    lostGoal(entries),
    ...GOAL_SIZES.flatMap((jobs) => timerGoals(entries, jobs))
  ]
}

// ---------------------------------------------------------------------------------------------------------------------
// many jobs
// ---------------------------------------------------------------------------------------------------------------------

const FEW = 10_000
const MANY = 1_000_000
const OWN = 100_000
const VERBS = ["remove", "add", "pause", "resume", "next wake"]

/** Logarithmic is 1.5x, and what a processor's caches no longer hold comes on top; linear is 100x. */
const GROWTH = 5

const ask = async <A>(args: ReadonlyArray<string | number>): Promise<A> => {
  progress(`jobs: ${args.map((arg) => (typeof arg === "number" ? grouped(arg) : arg)).join(" ")}`)
  const answer = await inChild<A>({ args, seconds: 180, flags: ["--max-old-space-size=8000"] })
  if (answer === undefined) throw new Error(`${args.join(" ")}: no answer`)
  return answer
}

interface Growth {
  readonly verb: string
  readonly few: number
  readonly many: number
  readonly slowest: number
}

const growths = (few: Many, many: Many): ReadonlyArray<Growth> =>
  VERBS.map((verb, i) => {
    const [a, b] = [few, many].map(({ rounds }) => rounds.map((round) => round[i]!))
    return { verb, few: median(a!), many: median(b!), slowest: Math.max(...b!) }
  })

const growthRow = ({ few, many, slowest, verb }: Growth): ReadonlyArray<string> => [
  verb,
  duration(few * MICROSECOND),
  duration(many * MICROSECOND),
  ratio(many / few),
  duration(slowest * MICROSECOND)
]

const bytes = ({ bytesPerJob }: Heap): string => `${grouped(Math.round(bytesPerJob))} B`

const heapTable = (few: Many, many: Many, own: Heap): string => {
  const row = (what: string, heap: Heap) => [what, bytes(heap), duration(heap.cpuPerJob * MICROSECOND)]
  return table(
    [
      ["", "heap a job", "to add them all, each"],
      row(`${grouped(FEW)} jobs on one interval`, few),
      row(`${grouped(MANY)} jobs on one interval`, many),
      row(`${grouped(OWN)} jobs, each on a cron trigger of its own`, own)
    ],
    1
  )
}

const jobs = async (): Promise<ReadonlyArray<Goal>> => {
  const few = await ask<Many>(["many", FEW])
  const many = await ask<Many>(["many", MANY])
  const own = await ask<Heap>(["heap", OWN])
  const grown = growths(few, many)
  const head = ["CPU a call", `${grouped(FEW)} jobs`, `${grouped(MANY)} jobs`, "ratio", "slowest round"]
  console.log("the memory store: CPU time of a verb, the median of 25 rounds of 400 calls\n")
  console.log(`${table([head, ...grown.map(growthRow)], 1)}\n\n${heapTable(few, many, own)}\n`)
  const most = Math.max(...grown.map(({ few, many }) => many / few))
  return [
    { what: "verbs at 1 000 000 jobs to 10 000, the most", value: ratio(most), goal: "< 5x", isMet: most < GROWTH },
    { what: "heap a job at 1 000 000", value: bytes(many), goal: "<= 1 024 B", isMet: many.bytesPerJob <= 1024 }
  ]
}

// ---------------------------------------------------------------------------------------------------------------------
// a burst
// ---------------------------------------------------------------------------------------------------------------------

const BURST = 100_000

const burst = async (): Promise<ReadonlyArray<Goal>> => {
  const { cpu, left, runs, wall } = await ask<Drain>(["drain", BURST, 100])
  console.log(`${grouped(BURST)} jobs due once, all at one instant, concurrency 100\n`)
  const row = [grouped(runs), grouped(left), duration(wall * MILLISECOND), duration(cpu * MILLISECOND)]
  const head = ["runs", "jobs left", "until all had ended", "CPU", "CPU a run"]
  console.log(`${table([head, [...row, duration((cpu * MILLISECOND) / runs)]], 0)}\n`)
  return []
}

// ---------------------------------------------------------------------------------------------------------------------
// lateness
// ---------------------------------------------------------------------------------------------------------------------

const LATEST = 15

const lateRow = (who: string, load: number, late: Percentiles): ReadonlyArray<string> => [
  who,
  `${Math.round(100 * load)} %`,
  ...[late.p50, late.p99, late.max].map((millis) => duration(millis * MILLISECOND)),
  grouped(late.count)
]

const lateness = async (): Promise<ReadonlyArray<Goal>> => {
  const idle = await ask<Lateness>(["lateness", "idle"])
  const busy = await ask<Lateness>(["lateness", "busy"])
  const rows = [
    ["200 jobs", "load", "p50", "p99", "max", "runs"],
    ...[idle, busy].flatMap(({ load, ours, timers }) => [
      lateRow("ours", load, ours),
      lateRow("Node's own timers", load, timers)
    ])
  ]
  console.log("lateness: start less nominal time, every second for 10 s; bare timers beside them in the same process\n")
  console.log(`${table(rows, 1)}\n`)
  const p99 = idle.ours.p99
  return [{ what: "lateness, idle, p99", value: duration(p99 * MILLISECOND), goal: "< 15 ms", isMet: p99 < LATEST }]
}

// ---------------------------------------------------------------------------------------------------------------------
// the report
// ---------------------------------------------------------------------------------------------------------------------

/** Measures and prints it all. */
export const run = async (): Promise<void> => {
  compile()
  console.log(`engine: ${machine()}; each measurement in a process of its own, one after the other\n`)
  const goals: Array<Goal> = []
  for (const section of [firings, jobs, burst, lateness]) goals.push(...(await section()))
  console.log(summary(goals))
}
