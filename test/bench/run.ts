/** Runs the benchmarks that the command line names, or all of them: `npm run bench -- triggers`. */
import { argv } from "node:process"

const benchmarks: Record<string, () => Promise<{ readonly run: () => Promise<void> }>> = {
  triggers: () => import("./triggers.ts"),
  engine: () => import("./engine.ts"),
  executors: () => import("./executors.ts")
}

const known = Object.keys(benchmarks)
const names = argv.length > 2 ? argv.slice(2) : known
const unknown = names.filter((name) => !known.includes(name))

if (unknown.length > 0) {
  console.error(`No such benchmark: ${unknown.join(", ")}. There are: ${known.join(", ")}.`)
  process.exitCode = 1
} else {
  for (const name of names) await (await benchmarks[name]!()).run()
}
