/** One-off jobs in the SQL benchmark: how fast they are added, carried out, and both at once. */
import { setTimeout as sleep } from "node:timers/promises"
import { progress } from "./Child.ts"
import { grouped } from "./Measure.ts"
import { Board } from "./sql-board.ts"
import {
  type Crew,
  type Entry,
  fast,
  type Place,
  perSecond,
  type Rate,
  startWork,
  until,
  usual,
  withCrew
} from "./sql-crew.ts"

export interface Size {
  /** How many are added one after the other, and five times as many ten at a time. */
  readonly each: number
  /** How many are added at once, and carried out. */
  readonly bulk: number
  /** How long something that is not done is measured, in milliseconds. */
  readonly most: number
  readonly rounds: number
}

/** Rates by what was measured. */
type Rates = Readonly<Record<string, Rate>>

type Measurement = (place: Place, entry: Entry, size: Size) => Promise<Rates | undefined>

const ROWS = 10

export const ADDING = ["one by one", "ten at a time", "in bulk"]

/** Nobody works. */
export const measureAdding: Measurement = (place, entry, { bulk, each }) =>
  withCrew({ ...place, processes: 0 }, entry, async ({ producer }) => {
    const add = async (count: number, inFlight: number): Promise<Rate> => ({
      count,
      millis: await producer.order({ _tag: "AddEach", count, inFlight })
    })
    await add(20 * ROWS, ROWS)
    const [one, ten] = [await add(each, 1), await add(5 * each, ROWS)]
    const millis = await producer.order({ _tag: "AddAll", count: bulk })
    return { "one by one": one, "ten at a time": ten, "in bulk": { count: bulk, millis } }
  })

export const byProcesses = (processes: number): string => (processes === 1 ? "1 process" : `${processes} processes`)

/** All are there before anybody works. */
export const measureDraining: Measurement = (place, entry, { bulk, most }) =>
  withCrew(place, entry, async (crew) => {
    await crew.producer.order({ _tag: "AddAll", count: bulk })
    const start = performance.now()
    const started = startWork(crew)
    const rate = await until(crew, entry, { count: bulk, start, most })
    await started
    if (rate.count === bulk) await checkHistory(crew, entry, bulk)
    return { [byProcesses(place.processes)]: rate }
  })

/** What is said to be kept is kept. */
const checkHistory = async ({ database }: Crew, { kept }: Entry, count: number): Promise<void> => {
  const found = kept === undefined ? count : await database.ask(kept)
  if (found !== count) throw new Error(`keeps ${found} of ${count}`)
}

/** Some wait for what another one adds, one by one or in bulk. */
const measureThrough =
  (isBulk: boolean): Measurement =>
  (place, entry, { bulk, each, most }) =>
    withCrew(place, entry, async (crew) => {
      await startWork(crew)
      await sleep(500)
      const count = isBulk ? bulk : 5 * each
      const start = performance.now()
      const adding = crew.producer.order(
        isBulk ? { _tag: "AddAll", count } : { _tag: "AddEach", count, inFlight: ROWS }
      )
      // It is ended with the others if they do not come so far.
      adding.catch(() => {})
      return { [throughBy(isBulk, place.processes)]: await until(crew, entry, { count, start, most }) }
    })

const throughBy = (isBulk: boolean, processes: number): string =>
  `${isBulk ? "in bulk" : "ten at a time"}, ${byProcesses(processes)}`

export const PROCESSES = [1, 4]

interface Section {
  readonly board: Board
  readonly measure: Measurement
  readonly processes: number
  readonly entries: ReadonlyArray<Entry>
}

const describe = (rates: Rates): string =>
  Object.entries(rates)
    .map(([what, rate]) => `${what} ${grouped(perSecond(rate))}`)
    .join(", ")

/** Everybody in turn. */
export const measureRound = async (place: Omit<Place, "processes">, section: Section, size: Size): Promise<void> => {
  for (const entry of section.entries) {
    const rates = await section.measure({ ...place, processes: section.processes }, entry, size)
    if (rates === undefined) continue
    progress(`  ${entry.label}: ${describe(rates)}`)
    for (const [what, rate] of Object.entries(rates)) section.board.add(entry, what, rate)
  }
}

export interface OneOffs {
  readonly adding: Board
  readonly draining: Board
  readonly through: Board
}

export const THROUGH = [false, true].flatMap((isBulk) => PROCESSES.map((processes) => throughBy(isBulk, processes)))

/** By default once, for it may take long; then in rounds; and in the end both at once. */
export const measureOneOffs = async (place: Omit<Place, "processes">, size: Size): Promise<OneOffs> => {
  const boards = { adding: new Board(), draining: new Board(), through: new Board() }
  const measure = (board: Board, measure: Measurement, processes: number, entries: ReadonlyArray<Entry>) =>
    measureRound(place, { board, measure, processes, entries }, size)
  progress(`one-off jobs by default: ${grouped(size.bulk)}, for at most ${size.most / 1000} s`)
  await measure(boards.adding, measureAdding, 0, usual)
  for (const processes of PROCESSES) await measure(boards.draining, measureDraining, processes, usual)
  for (let round = 1; round <= size.rounds; round++) {
    progress(`one-off jobs, round ${round} of ${size.rounds}: ${grouped(size.bulk)}, for at most ${size.most / 1000} s`)
    await measure(boards.adding, measureAdding, 0, fast)
    for (const processes of PROCESSES) await measure(boards.draining, measureDraining, processes, fast)
  }
  progress("one-off jobs, added while others work")
  for (const isBulk of [false, true]) {
    for (const processes of PROCESSES) await measure(boards.through, measureThrough(isBulk), processes, fast)
  }
  return boards
}
