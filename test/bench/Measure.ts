/** How the benchmarks measure and print: races in interleaved rounds, medians, heap, and one aligned table. */
import { availableParallelism } from "node:os"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/** One way to do a thing: so many calls in a row. */
export type Runner = (calls: number) => void

export interface Measured {
  /** Nanoseconds a call: the median of the rounds. */
  readonly nanos: number
  /** Nanoseconds a call in each round. */
  readonly rounds: ReadonlyArray<number>
  /** How many calls a round has. */
  readonly calls: number
}

export interface RaceOptions {
  readonly rounds: number
  /** How long one runner's part of a round takes. */
  readonly millis: number
}

/** Milliseconds of CPU time that something takes once: what other processes take does not count. */
export const spent = (run: () => unknown): number => {
  const start = process.cpuUsage()
  run()
  const { system, user } = process.cpuUsage(start)
  return (system + user) / 1000
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[sorted.length >> 1]!
}

/** Warms a runner up, and says how many calls take about so long. */
export const calibrate = (run: Runner, millis: number): number => {
  for (let calls = 1; ; calls *= 2) {
    const millisOfCalls = spent(() => run(calls))
    if (millisOfCalls >= millis / 2) return Math.max(1, Math.round((calls * millis) / millisOfCalls))
  }
}

/** Measures runners against each other: in every round each has its turn, so that noise of the machine hits them all. */
export const race = (runners: ReadonlyArray<Runner>, { millis, rounds }: RaceOptions): ReadonlyArray<Measured> => {
  const entries = runners.map((run) => ({ run, calls: calibrate(run, millis), rounds: [] as number[] }))
  for (let round = 0; round < rounds; round++) {
    for (const entry of entries) entry.rounds.push((spent(() => entry.run(entry.calls)) / entry.calls) * 1e6)
  }
  return entries.map(({ calls, rounds }) => ({ nanos: median(rounds), rounds, calls }))
}

/** How often slower a runner was than another one of its race: the median of the rounds, each by itself. */
export const slowness = (self: Measured, that: Measured): number =>
  median(self.rounds.map((nanos, round) => nanos / that.rounds[round]!))

/** Measures one runner. */
export const time = (run: Runner, options: RaceOptions): Measured => race([run], options)[0]!

const collectGarbage = (): void => {
  setFlagsFromString("--expose-gc")
  runInNewContext("gc")()
}

/** Bytes of heap in use once what is not needed is gone. */
export const heapInUse = (): number => {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

/** Bytes of heap that each of many things keeps. */
export const heapOf = (make: () => unknown, count: number): number => {
  const kept: Array<unknown> = Array.from({ length: count }, make)
  kept.fill(undefined)
  const before = heapInUse()
  for (let i = 0; i < count; i++) kept[i] = make()
  return (heapInUse() - before) / kept.length
}

// ---------------------------------------------------------------------------------------------------------------------
// text
// ---------------------------------------------------------------------------------------------------------------------

/** Three digits, and no more after the point than they need. */
const digits = (value: number): string =>
  value >= 99.95 ? String(Math.round(value)) : value.toFixed(value >= 9.995 ? 1 : 2)

export const duration = (nanos: number): string => {
  if (nanos < 1e3) return `${digits(nanos)} ns`
  if (nanos < 1e6) return `${digits(nanos / 1e3)} µs`
  return nanos < 1e9 ? `${digits(nanos / 1e6)} ms` : `${digits(nanos / 1e9)} s`
}

export const ratio = (value: number): string => {
  if (value < 0.095) return `${value.toPrecision(1)}x`
  return `${value >= 9.95 ? Math.round(value) : value.toFixed(1)}x`
}

/** A whole number with its thousands apart. */
export const grouped = (count: number): string => String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, " ")

/** Rows in columns as wide as their widest text, the first so many of them to the left. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string>>, left: number): string => {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  const cell = (text: string, i: number) => (i < left ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))
  return rows.map((row) => row.map(cell).join("  ").trimEnd()).join("\n")
}

/** What a benchmark has to reach, and whether it did. */
export interface Goal {
  readonly what: string
  readonly value: string
  readonly goal: string
  readonly isMet: boolean
}

export const summary = (goals: ReadonlyArray<Goal>): string => {
  const rows = goals.map(({ goal, isMet, value, what }) => [what, value, goal, isMet ? "met" : "MISSED"])
  return table([["summary", "", "goal", ""], ...rows], 1)
}

/** What a benchmark ran on. */
export const machine = (): string =>
  `Node ${process.versions.node}, ${process.platform} ${process.arch}, ${availableParallelism()} cores`
