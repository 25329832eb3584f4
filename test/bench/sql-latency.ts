/** How long it takes in the SQL benchmark from the call that adds a job until its handler is called, when all is idle. */
import { setTimeout as sleep } from "node:timers/promises"
import { progress } from "./Child.ts"
import { type Crew, type Entry, type Place, startWork, withCrew } from "./sql-crew.ts"

/** Milliseconds. */
export interface Latency {
  readonly entry: Entry
  readonly p50: number
  readonly p99: number
  readonly most: number
  readonly count: number
}

/** Long enough for the job before to be over. */
const EVERY = 50

/** One worker each, all on the one server; each in turn is given a job by a process of its own, whatever became of the last. */
export const measureLatencies = async (
  place: Omit<Place, "processes">,
  entries: ReadonlyArray<Entry>,
  samples: number
): Promise<ReadonlyArray<Latency>> => {
  progress(`latency: ${samples} jobs each, one every ${EVERY} ms, in turn`)
  const crews: Array<readonly [Entry, Crew]> = []
  const measure = async () => {
    await sleep(1000)
    for (let i = 0; i < samples; i++) await giveToEach(crews)
    await sleep(1000)
    return Promise.all(crews.map(([entry, crew]) => latencyOf(entry, crew)))
  }
  return (await withAll({ ...place, processes: 1 }, entries, crews, measure)) ?? []
}

/** Each crew in its own database, for as long as all of them are measured. */
const withAll = <A>(
  place: Place,
  [entry, ...others]: ReadonlyArray<Entry>,
  crews: Array<readonly [Entry, Crew]>,
  measure: () => Promise<A>
): Promise<A | undefined> =>
  entry === undefined
    ? measure()
    : withCrew(place, entry, async (crew) => {
        await startWork(crew)
        crews.push([entry, crew])
        return withAll(place, others, crews, measure)
      })

const giveToEach = async (crews: ReadonlyArray<readonly [Entry, Crew]>): Promise<void> => {
  for (const [, { producer }] of crews) {
    producer.order({ _tag: "AddEach", count: 1, inFlight: 1 }).catch((error) => progress(`  ${error}`))
    await sleep(EVERY)
  }
}

const latencyOf = async (entry: Entry, { workers }: Crew): Promise<Latency> => {
  const found = (await Promise.all(workers.map((member) => member.latencies()))).flat()
  const millis = found.map((micros) => micros / 1000).toSorted((a, b) => a - b)
  const at = (share: number) => millis[Math.min(millis.length - 1, Math.floor(share * millis.length))] ?? Infinity
  return { entry, p50: at(0.5), p99: at(0.99), most: at(1), count: millis.length }
}
