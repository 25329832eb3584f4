/** Recurring jobs in the SQL benchmark: how many firings a second there are when each job is due every second. */
import { setTimeout as sleep } from "node:timers/promises"
import { progress } from "./Child.ts"
import { grouped } from "./Measure.ts"
import type { Board } from "./sql-board.ts"
import { type Crew, type Entry, hitsOf, type Place, perSecond, type Rate, startWork, withCrew } from "./sql-crew.ts"
import { byProcesses } from "./sql-oneoff.ts"

export interface Load {
  readonly jobs: number
  readonly processes: number
}

export const loadText = ({ jobs, processes }: Load): string => `${grouped(jobs)} jobs, ${byProcesses(processes)}`

const WARM_UP = 2000

/** All are due at once, so that a window of whole seconds begins and ends between two times if there is a pause. */
const pause = async (crew: Crew): Promise<void> => {
  const end = Date.now() + 1000
  for (let last = -1; last !== hitsOf(crew) && Date.now() < end; await sleep(100)) last = hitsOf(crew)
}

/** Firings in a window of so many milliseconds. */
const measureFirings = (place: Place, entry: Entry, jobs: number, window: number) =>
  withCrew(place, entry, async (crew): Promise<Rate> => {
    await crew.producer.order({ _tag: "Recur", count: jobs })
    await startWork(crew)
    await sleep(WARM_UP)
    await pause(crew)
    const [start, before] = [performance.now(), hitsOf(crew)]
    await sleep(window)
    return { count: hitsOf(crew) - before, millis: performance.now() - start }
  })

const MINUTE = 60_000
/** What all of them need to be ready, and what the last of them is waited for. */
const [AHEAD, BEHIND] = [5000, 30_000]

/** How long after a minute has begun the last of so many crons has called its handler. */
export const measureCrons = (
  place: Omit<Place, "processes">,
  entry: Entry,
  count: number
): Promise<Rate | undefined> => {
  progress(`crons: ${entry.label}`)
  return withCrew({ ...place, processes: 1 }, entry, async (crew) => {
    for (const member of crew.workers) await member.order({ _tag: "Cron", count })
    await startWork(crew)
    const minute = MINUTE * Math.ceil((Date.now() + AHEAD) / MINUTE)
    await sleep(minute - Date.now())
    const before = hitsOf(crew)
    while (hitsOf(crew) - before < count && Date.now() < minute + BEHIND) await sleep(2)
    return { count: hitsOf(crew) - before, millis: Date.now() - minute }
  })
}

export interface Firings {
  readonly board: Board
  readonly entries: ReadonlyArray<Entry>
  readonly loads: ReadonlyArray<Load>
  /** How long they are counted, in milliseconds. */
  readonly window: number
}

export const measureRecurring = async (place: Omit<Place, "processes">, firings: Firings): Promise<void> => {
  const { board, entries, loads, window } = firings
  for (const load of loads) {
    progress(`firings: ${loadText(load)}, each due every second`)
    for (const entry of entries) {
      const rate = await measureFirings({ ...place, processes: load.processes }, entry, load.jobs, window)
      if (rate === undefined) continue
      progress(`  ${entry.label}: ${grouped(perSecond(rate))}`)
      board.add(entry, loadText(load), rate)
    }
  }
}
