/** The process in which a benchmark measures one thing: answers its parent and ends. */
import { argv } from "node:process"

type Measurement = (args: ReadonlyArray<string>) => Promise<unknown>

// Each loads only what it measures.
const measurements: Record<string, () => Promise<Measurement>> = {
  firings: async () => (await import("./engine-firings.ts")).measureFirings,
  many: async () => (await import("./engine-jobs.ts")).measureMany,
  heap: async () => (await import("./engine-jobs.ts")).measureHeap,
  drain: async () => (await import("./engine-jobs.ts")).measureDrain,
  lateness: async () => (await import("./engine-lateness.ts")).measureLateness,
  overhead: async () => (await import("./executors-runs.ts")).measureOverhead,
  throughput: async () => (await import("./executors-runs.ts")).measureThroughput
}

const [name, ...args] = argv.slice(2)
const measure = await measurements[name!]!()
process.send!(await measure(args), () => process.exit())
