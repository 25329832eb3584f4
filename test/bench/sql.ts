/** The SQL benchmark: our store beside graphile-worker and pg-boss on one PostgreSQL, and alone elsewhere. */
import { inChild, progress } from "./Child.ts"
import { duration, type Goal, grouped, machine, median, ratio, summary, table } from "./Measure.ts"
import { node, versionOf } from "./peers/install.ts"
import { Board } from "./sql-board.ts"
import { type Burst, measureBurst } from "./sql-burst.ts"
import { type Entry, fast, type Place, type Rate, usual } from "./sql-crew.ts"
import { type Latency, measureLatencies } from "./sql-latency.ts"
import { prepare, programOf } from "./sql-member.ts"
import {
  ADDING,
  byProcesses,
  measureAdding,
  measureDraining,
  measureOneOffs,
  measureRound,
  PROCESSES,
  type Size,
  THROUGH
} from "./sql-oneoff.ts"
import type { Probe } from "./sql-probe.ts"
import { type Load, loadText, measureCrons, measureRecurring } from "./sql-recurring.ts"
import { type DatabaseServer, findMysql, startServer, startSqlite } from "./sql-server.ts"

interface Scale {
  readonly oneOffs: Size
  readonly loads: ReadonlyArray<Load>
  /** How long firings are counted, in milliseconds. */
  readonly window: number
  readonly samples: number
  readonly few: number
  readonly many: number
  readonly burst: number
}

const FULL: Scale = {
  oneOffs: { each: 300, bulk: 20_000, most: 4000, rounds: 3 },
  loads: [
    { jobs: 1000, processes: 1 },
    { jobs: 30_000, processes: 1 },
    { jobs: 30_000, processes: 4 }
  ],
  window: 4000,
  samples: 100,
  few: 10_000,
  many: 1_000_000,
  burst: 100_000
}

const QUICK: Scale = {
  oneOffs: { each: 200, bulk: 10_000, most: 3000, rounds: 1 },
  loads: [
    { jobs: 1000, processes: 1 },
    { jobs: 30_000, processes: 4 }
  ],
  window: 3000,
  samples: 50,
  few: 10_000,
  many: 100_000,
  burst: 20_000
}

const MILLISECOND = 1e6

type Somewhere = Omit<Place, "processes">

/** Measures one thing, prints it, and says what had to be reached. */
type Section = (place: Somewhere, scale: Scale) => Promise<ReadonlyArray<Goal>>

// ---------------------------------------------------------------------------------------------------------------------
// one-off jobs
// ---------------------------------------------------------------------------------------------------------------------

const oneOffs: Section = async (place, { oneOffs: size }) => {
  const { adding, draining, through } = await measureOneOffs(place, size)
  const processes = PROCESSES.map(byProcesses)
  console.log("one-off jobs a second, with empty handlers; the median of the rounds in which all take turns\n")
  console.log(`${adding.table("added, nobody works", ADDING)}\n`)
  console.log(`${draining.table(`${grouped(size.bulk)} carried out`, processes)}\n`)
  console.log(`${through.table("added while others work", THROUGH)}\n`)
  return [
    ...ADDING.map((what) => adding.ahead("added", what)),
    ...processes.map((what) => draining.ahead("carried out", what)),
    ...THROUGH.map((what) => through.ahead("added and carried out", what))
  ]
}

// ---------------------------------------------------------------------------------------------------------------------
// recurring jobs
// ---------------------------------------------------------------------------------------------------------------------

/** So many jobs a second should be no load at all. */
const LIGHT = 1000

/** All of them fire. */
const onTime = (board: Board, load: Load): Goal => {
  const share = (board.of(fast[0]!, loadText(load)) ?? 0) / load.jobs
  return {
    what: `firings, ${loadText(load)}: ours to what is due`,
    value: `${(100 * share).toFixed(1)} %`,
    goal: ">= 99 %",
    isMet: share >= 0.99
  }
}

const recurring: Section = async (place, { loads, window }) => {
  const board = new Board()
  await measureRecurring(place, { board, entries: fast, loads, window })
  const columns = loads.map(loadText)
  console.log(
    `firings a second of jobs that are each due every second, counted for ${window / 1000} s after a warm-up;`
  )
  console.log(
    "ours by an interval; the others' crons know minutes, so that each of their jobs adds itself anew, which is"
  )
  console.log("lost or done twice in a crash: that of graphile-worker by addJob, a batch of pg-boss by one insert\n")
  console.log(`${board.table("firings a second", columns)}\n`)
  return loads.map((load) => (load.jobs === LIGHT ? onTime(board, load) : board.ahead("firings", loadText(load))))
}

// ---------------------------------------------------------------------------------------------------------------------
// crons
// ---------------------------------------------------------------------------------------------------------------------

const CRONS = 1000

const cronText = (rate: Rate | undefined): string => {
  if (rate === undefined) return "-"
  const time = duration(rate.millis * MILLISECOND)
  return rate.count < CRONS ? `${grouped(rate.count)} in ${time}` : time
}

/** Each contestant waits for a minute to begin. */
const crons: Section = async (place) => {
  const rows: Array<ReadonlyArray<string>> = []
  for (const entry of fast) rows.push([entry.label, cronText(await measureCrons(place, entry, CRONS))])
  console.log(
    `${grouped(CRONS)} crons that are due every minute: from a minute's begin until the last handler, 1 process;`
  )
  console.log("pg-boss asks once a second which crons are due\n")
  console.log(`${table([["crons", "all called after"], ...rows], 1)}\n`)
  return []
}

// ---------------------------------------------------------------------------------------------------------------------
// latency
// ---------------------------------------------------------------------------------------------------------------------

const latencyRow = ({ count, entry, most, p50, p99 }: Latency): ReadonlyArray<string> => [
  entry.label,
  ...[p50, p99, most].map((millis) => duration(millis * MILLISECOND)),
  grouped(count)
]

/** Without pg-boss by default, which looks for a job every two seconds. */
const PROMPT = [...usual.filter(({ contestant }) => contestant !== "pg-boss"), ...fast]

const latency: Section = async (place, { samples }) => {
  const latencies = await measureLatencies(place, PROMPT, samples)
  const head = ["from the call that adds until the handler", "p50", "p99", "most", "jobs"]
  console.log("latency when idle: one job every 50 ms from another process, for each of these in turn\n")
  console.log(`${table([head, ...latencies.map(latencyRow)], 1)}\n`)
  return []
}

// ---------------------------------------------------------------------------------------------------------------------
// many stored jobs
// ---------------------------------------------------------------------------------------------------------------------

/** Logarithmic is 1.5x, and what no cache holds any more comes on top; linear is 100x. */
const GROWTH = 3

const probe = async ({ node, server }: Somewhere, count: number): Promise<Probe> => {
  progress(`stored: ${grouped(count)} jobs`)
  const database = await server.create()
  try {
    const args = [database.url, count]
    const answer = await inChild<Probe>({ args, program: programOf("sql-probe"), node, seconds: 300 })
    if (answer === undefined) throw new Error("no answer")
    return answer
  } finally {
    await database.drop()
  }
}

const stored: Section = async (place, scale) => {
  const [few, many] = [await probe(place, scale.few), await probe(place, scale.many)]
  const verbs = { "next wake": "nextWake", "claim 1": "claimOne", "claim 100": "claim" } as const
  const rows = Object.entries(verbs).map(([verb, key]) => ({ verb, few: median(few[key]), many: median(many[key]) }))
  const text = (millis: number) => duration(millis * MILLISECOND)
  const head = ["a call", `${grouped(scale.few)} jobs`, `${grouped(scale.many)} jobs`, "ratio"]
  console.log("our store with few jobs and with many in it: the median of 30 calls\n")
  const cells = rows.map(({ few, many, verb }) => [verb, text(few), text(many), ratio(many / few)])
  console.log(`${table([head, ...cells], 1)}\n`)
  const most = Math.max(...rows.map(({ few, many }) => many / few))
  const what = `next wake and claim at ${grouped(scale.many)} jobs to ${grouped(scale.few)}, the most`
  return [{ what, value: ratio(most), goal: `< ${GROWTH}x`, isMet: most < GROWTH }]
}

// ---------------------------------------------------------------------------------------------------------------------
// a burst
// ---------------------------------------------------------------------------------------------------------------------

const DRAINED = 10_000

const burstText = (burst: Burst | undefined, count: number): string => {
  if (burst?.rate === undefined) return "-"
  const { count: done, millis } = burst.rate
  return done === count ? duration(millis * MILLISECOND) : `${grouped(done)} in ${duration(millis * MILLISECOND)}`
}

const burstGoal = (count: number, burst: Burst): Goal => {
  const { isRead, processes, rate } = burst
  return {
    what: `${grouped(count)} at one instant, ${byProcesses(processes)}${isRead ? ", a long reader" : ""}`,
    value: burstText(burst, count),
    goal: "< 10 s",
    isMet: rate !== undefined && rate.count === count && rate.millis < DRAINED
  }
}

const burst: Section = async (place, { burst: count }) => {
  const bursts: Array<Burst> = []
  const columns = PROCESSES.flatMap((processes) => [false, true].map((isRead) => ({ processes, isRead })))
  for (const { isRead, processes } of columns) {
    const entries = processes === 1 ? fast.slice(0, 1) : fast
    for (const entry of entries) bursts.push(await measureBurst({ ...place, processes }, entry, count, isRead))
  }
  const find = (entry: Entry, { isRead, processes }: (typeof columns)[number]) =>
    bursts.find((burst) => burst.entry === entry && burst.processes === processes && burst.isRead === isRead)
  const head = columns.map(({ isRead, processes }) => byProcesses(processes) + (isRead ? ", long reader" : ""))
  const rows = fast.map((entry) => [entry.label, ...columns.map((column) => burstText(find(entry, column), count))])
  console.log(`${grouped(count)} jobs due at one instant, until all are recorded as done; also while another client`)
  console.log(
    "holds a snapshot of the database open, so that no dead row can be removed; the others by 4 processes only\n"
  )
  console.log(`${table([["until done", ...head], ...rows], 1)}\n`)
  return bursts.filter(({ entry }) => entry.contestant === "ours").map((one) => burstGoal(count, one))
}

// ---------------------------------------------------------------------------------------------------------------------
// elsewhere
// ---------------------------------------------------------------------------------------------------------------------

const elsewhere = async (scale: Scale): Promise<void> => {
  const size = { ...scale.oneOffs, most: 3 * scale.oneOffs.most }
  const boards = { adding: new Board(), draining: new Board(), firings: new Board() }
  const loads = PROCESSES.map((processes) => ({ jobs: 1000, processes }))
  for (const server of [await startSqlite(), await findMysql()]) {
    if (server === undefined) continue
    progress(`${server.name}, ours alone`)
    // The SQLite driver was built for this Node.
    const place = { server, node: process.execPath }
    const entries = [{ ...fast[0]!, label: server.name }]
    await measureRound(place, { board: boards.adding, measure: measureAdding, processes: 0, entries }, size)
    for (const processes of PROCESSES) {
      await measureRound(place, { board: boards.draining, measure: measureDraining, processes, entries }, size)
    }
    await measureRecurring(place, { board: boards.firings, entries, loads, window: scale.window })
    await server.stop()
  }
  console.log(`elsewhere: ours alone, concurrency 500, as above; on Node ${process.versions.node}\n`)
  console.log(`${boards.adding.table("added a second", ADDING)}\n`)
  console.log(`${boards.draining.table("carried out a second", PROCESSES.map(byProcesses))}\n`)
  console.log(`${boards.firings.table("firings a second", loads.map(loadText))}\n`)
}

// ---------------------------------------------------------------------------------------------------------------------
// the report
// ---------------------------------------------------------------------------------------------------------------------

const intro = ({ name }: DatabaseServer): string =>
  [
    `sql: ${machine()}; ${name}, durable; all on Node ${versionOf("node")} beside it on one machine`,
    `graphile-worker ${versionOf("graphile-worker")} and pg-boss ${versionOf("pg-boss")}, each by default and as its`,
    "documentation says for throughput; ours keeps jobs' runs as history, pg-boss keeps jobs that are done,",
    "graphile-worker deletes them; a batch of pg-boss is one call of a handler, and ends as one\n"
  ].join("\n")

/** Measures and prints it all; `--quick` measures less, `--crons` also what each does every minute, which takes minutes. */
export const run = async (flags: ReadonlySet<string>): Promise<void> => {
  prepare()
  const scale = flags.has("--quick") ? QUICK : FULL
  const server = await startServer()
  const place = { server, node: node() }
  const goals: Array<Goal> = []
  try {
    console.log(intro(server))
    const sections = [oneOffs, recurring, ...(flags.has("--crons") ? [crons] : []), latency, stored, burst]
    for (const section of sections) goals.push(...(await section(place, scale)))
  } finally {
    await server.stop()
  }
  await elsewhere(scale)
  console.log(summary(goals))
}
