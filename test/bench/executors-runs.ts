/** What a run costs on one executor, and how much work it does on all processors. */
import { availableParallelism } from "node:os"
import { type Contender, contenders, type Pool } from "./executors-pools.ts"
import { compute } from "./executors-work.ts"
import { median } from "./Measure.ts"

export interface Overhead {
  /** Milliseconds from one run that does nothing to the next, one after the other: the median. */
  readonly alone: number
  /** Milliseconds a run, of many at the same time. */
  readonly together: number
  readonly runs: number
}

export interface Throughput {
  /** Units of work a second, of all processors. */
  readonly rate: number
  /** The same of one processor that does nothing else, measured just before and after. */
  readonly single: number
  readonly runs: number
}

/** Units of a run that is worth a thread. */
const UNITS = 20

const find = (name: string | undefined): Contender => contenders.find((contender) => contender.name === name)!

const withPool = async <A>(contender: Contender, measure: (pool: Pool) => Promise<A>): Promise<A> => {
  const pool = await contender.start(availableParallelism())
  const answer = await measure(pool)
  await pool.stop()
  return answer
}

const timed = async (run: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await run()
  return performance.now() - start
}

const many = (pool: Pool, count: number, units: number) =>
  Promise.all(Array.from({ length: count }, () => pool.run(units)))

/** Of runs that do nothing. */
export const measureOverhead = ([name]: ReadonlyArray<string>): Promise<Overhead> => {
  const contender = find(name)
  const runs = contender.isSlow === true ? 50 : 2000
  return withPool(contender, async (pool) => {
    await many(pool, runs / 2, 0)
    const times: Array<number> = []
    for (let i = 0; i < runs / 2; i++) times.push(await timed(() => pool.run(0)))
    const together = (await timed(() => many(pool, runs, 0))) / runs
    return { alone: median(times), together, runs }
  })
}

/** Of runs that compute for 20 ms or so. */
export const measureThroughput = ([name]: ReadonlyArray<string>): Promise<Throughput> =>
  withPool(find(name), async (pool) => {
    await many(pool, 20, UNITS)
    const single = () => timed(async () => compute(10 * UNITS))
    const before = await single()
    const runs = 100
    const time = await timed(() => many(pool, runs, UNITS))
    return {
      rate: (runs * UNITS * 1000) / time,
      single: (10 * UNITS * 1000) / Math.min(before, await single()),
      runs
    }
  })
