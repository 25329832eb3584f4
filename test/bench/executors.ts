/** The benchmark of executors: what a run costs on each, and the work that they do on all processors, beside two others. */
import { availableParallelism } from "node:os"
import { compile, inChild, progress } from "./Child.ts"
import { type Contender, contenders, wholes } from "./executors-pools.ts"
import type { Overhead, Throughput } from "./executors-runs.ts"
import { duration, machine, ratio, table } from "./Measure.ts"

const MILLISECOND = 1e6

const ask = async <A>(...args: ReadonlyArray<string>): Promise<A> => {
  progress(`  ${args.join(": ")}`)
  const answer = await inChild<A>({ args, seconds: 180 })
  if (answer === undefined) throw new Error(`${args.join(" ")}: no answer`)
  return answer
}

const askAll = async <A>(what: string, of: ReadonlyArray<Contender>): Promise<ReadonlyMap<string, A>> => {
  const answers = new Map<string, A>()
  for (const { name } of of) answers.set(name, await ask<A>(what, name))
  return answers
}

const overheadTable = (answers: ReadonlyMap<string, Overhead>): string =>
  table(
    [
      ["a run that does nothing", "alone", "of many", "runs"],
      ...[...answers].map(([name, { alone, runs, together }]) => [
        name,
        duration(alone * MILLISECOND),
        duration(together * MILLISECOND),
        String(runs)
      ])
    ],
    1
  )

const throughputTable = (answers: ReadonlyMap<string, Throughput>): string =>
  table(
    [
      ["runs that compute for 20 ms", "to one processor", `of ${availableParallelism()}`, "runs"],
      ...[...answers].map(([name, { rate, runs, single }]) => [
        name,
        ratio(rate / single),
        `${Math.round((100 * rate) / (single * availableParallelism()))} %`,
        String(runs)
      ])
    ],
    1
  )

/** Measures and prints it all. */
export const run = async (): Promise<void> => {
  compile(["engine-child", "executors-worker", "executors-piscina", "executors-bree"])
  console.log(`executors: ${machine()}; each measurement in a process of its own, one after the other\n`)
  console.log(`${overheadTable(await askAll<Overhead>("overhead", contenders))}\n`)
  console.log(throughputTable(await askAll<Throughput>("throughput", wholes)))
}
