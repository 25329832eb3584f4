/** What one scheduler spends, in this process, on jobs that fire every second; and which firings it loses or repeats. */
import { setTimeout as sleep } from "node:timers/promises"
import { idle, schedulers } from "./schedulers.ts"

export interface Firings {
  /** Microseconds of CPU time in the window. */
  readonly cpu: number
  /** How often each job was due in the window: 6 times, or more if the process was too busy to end the window in time. */
  readonly times: number
  readonly counted: number
  readonly lost: number
  readonly repeated: number
}

const SECOND = 1000
const WARM_UP = 2 * SECOND
const WINDOW = 6 * SECOND

/** The window begins and ends before the whole second by so much: what is due then has the longest time to end. */
const EDGE = 100

const sleepUntil = async (instant: number): Promise<void> => {
  while (Date.now() < instant) await sleep(instant - Date.now())
}

const wholeSecond = (after: number): number => Math.ceil(after / SECOND) * SECOND

interface Mark {
  readonly at: number
  readonly cpu: NodeJS.CpuUsage
  readonly counts: Uint32Array
}

const mark = (counts: Uint32Array): Mark => ({ at: Date.now(), cpu: process.cpuUsage(), counts: counts.slice() })

const compare = (jobs: number, start: Mark, end: Mark): Firings => {
  const times = Math.floor(end.at / SECOND) - Math.floor(start.at / SECOND)
  const due = (times * jobs) / start.counts.length
  const counts = end.counts.map((count, job) => count - start.counts[job]!)
  const sum = (value: (count: number) => number) => counts.reduce((sum, count) => sum + value(count), 0)
  return {
    cpu: end.cpu.user + end.cpu.system - start.cpu.user - start.cpu.system,
    times,
    counted: sum((count) => count),
    lost: sum((count) => Math.max(0, due - count)),
    repeated: sum((count) => Math.max(0, count - due))
  }
}

/** Of a scheduler by its name, with so many jobs, in a zone if one is given. The jobs are added from a whole second on. */
export const measureFirings = async ([name, count, timezone]: ReadonlyArray<string>): Promise<Firings> => {
  const scheduler = [idle, ...schedulers].find((scheduler) => scheduler.name === name)!
  const jobs = Number(count)
  const counts = new Uint32Array(scheduler.isCountedAsOne === true ? 1 : jobs)
  await sleepUntil(wholeSecond(Date.now()))
  const hit = (job: number) => {
    counts[job]!++
  }
  await scheduler.start(jobs, hit, timezone)
  await sleepUntil(wholeSecond(Date.now() + WARM_UP) - EDGE)
  const before = mark(counts)
  // Counted from now, which is far later where the event loop is too busy for its timers.
  await sleepUntil(wholeSecond(before.at) - EDGE + WINDOW)
  return compare(jobs, before, mark(counts))
}
