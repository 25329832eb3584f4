/** Runs the benchmarks that the command line names, or all of them: `npm run bench -- triggers`, `-- sql --quick`. */
import { argv } from "node:process"

interface Benchmark {
  readonly run: (flags: ReadonlySet<string>) => Promise<void>
}

const benchmarks: Record<string, () => Promise<Benchmark>> = {
  triggers: () => import("./triggers.ts"),
  engine: () => import("./engine.ts"),
  sql: () => import("./sql.ts"),
  executors: () => import("./executors.ts")
}

const known = Object.keys(benchmarks)
const isFlag = (arg: string) => arg.startsWith("--")
const args = argv.slice(2)
const flags = new Set(args.filter(isFlag))
const named = args.filter((arg) => !isFlag(arg))
const names = named.length > 0 ? named : known
const unknown = names.filter((name) => !known.includes(name))

if (unknown.length > 0) {
  console.error(`No such benchmark: ${unknown.join(", ")}. There are: ${known.join(", ")}.`)
  process.exitCode = 1
} else {
  for (const name of names) await (await benchmarks[name]!()).run(flags)
}
