/** Many jobs that are all due at one instant, in the SQL benchmark: how long until all have been carried out. */
import { setTimeout as sleep } from "node:timers/promises"
import { progress } from "./Child.ts"
import { duration, grouped } from "./Measure.ts"
import { type Crew, type Entry, type Place, type Rate, startWork, until, withCrew } from "./sql-crew.ts"

export interface Burst {
  readonly entry: Entry
  readonly processes: number
  /** Whether another client held a snapshot of the database all the time, as a long report or a backup does. */
  readonly isRead: boolean
  readonly rate: Rate | undefined
}

const SAMPLE = 1000
const CALL = 10_000

const addTimed = async ({ producer }: Crew, count: number, instant: number) =>
  producer.order({ _tag: "AddAll", count, instant })

/** Adds them all before the instant, which is as far away as a sample says that it has to be. */
const addBefore = async (crew: Crew, count: number): Promise<number> => {
  const later = Date.now() + 24 * 3_600_000
  const millis = (await addTimed(crew, SAMPLE, later)) / SAMPLE
  const instant = Math.ceil(Date.now() + 3000 + 1.6 * millis * count)
  for (let added = 0; added < count; added += CALL) await addTimed(crew, Math.min(CALL, count - added), instant)
  if (Date.now() > instant - 1000) throw new Error("could not be added in time")
  return instant
}

export const measureBurst = async (place: Place, entry: Entry, count: number, isRead: boolean): Promise<Burst> => {
  const { processes } = place
  progress(`${grouped(count)} at one instant: ${entry.label}, ${processes}${isRead ? ", with a long reader" : ""}`)
  const rate = await withCrew(place, entry, async (crew) => {
    const instant = await addBefore(crew, count)
    if (isRead) await crew.database.keepSnapshot()
    await startWork(crew)
    await sleep(instant - Date.now())
    // Those of the sample are left.
    const left = `SELECT (${entry.left}) - ${SAMPLE} AS n`
    return until(crew, { ...entry, left }, { count, start: performance.now(), most: MOST })
  })
  if (rate !== undefined) progress(`  ${duration(1e6 * rate.millis)}`)
  return { entry, processes, isRead, rate }
}

const MOST = 60_000
