/** The table of what became of disturbed clusters. */
import { cpus } from "node:os"
import { versions } from "node:process"
import type { Report } from "./Scenario.ts"
import type { TakeOver } from "./TakeOver.ts"
import type { Tag } from "./Violation.ts"

const COLUMNS = [
  ...["fault", "database", "nodes", "occurrences", "runs", "lost", "doubled", "overlapping", "other"],
  ...["take-over p50", "p99", "longest after the last sign"]
]

const LOST: ReadonlyArray<Tag> = ["Missing"]
const DOUBLED: ReadonlyArray<Tag> = ["Extra", "Doubled", "StartedAfterEnd", "Repeated"]
const OVERLAPPING: ReadonlyArray<Tag> = ["Overlapping", "TooMany"]

const row = ({
  database,
  hasEnded,
  isSettled,
  occurrences,
  plan,
  runs,
  takeOvers,
  violations
}: Report): ReadonlyArray<string> => {
  const count = (tags: ReadonlyArray<Tag>) => violations.filter(({ tag }) => tags.includes(tag)).length
  const known = [LOST, DOUBLED, OVERLAPPING]
  const other = violations.length - known.reduce((sum, tags) => sum + count(tags), 0)
  return [
    ...[plan.name, database, plan.nodes.length, occurrences, runs, ...known.map(count)].map(String),
    [other, ...(isSettled ? [] : ["not settled"]), ...(hasEnded ? [] : ["not ended"])].join(", "),
    ...[0.5, 0.99].map((share) => seconds(quantile(takeOvers, share)?.sinceFault)),
    seconds(longest(takeOvers))
  ]
}

const quantile = <A>(sorted: ReadonlyArray<A>, share: number): A | undefined =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]

const longest = (takeOvers: ReadonlyArray<TakeOver>): number | undefined => {
  const known = takeOvers.flatMap(({ sinceSign }) => sinceSign ?? [])
  return known.length === 0 ? undefined : Math.max(...known)
}

const seconds = (millis: number | undefined): string => (millis === undefined ? "–" : `${(millis / 1000).toFixed(1)} s`)

const line = (cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`

/** How much there was to do in each row. */
export interface Scale {
  readonly jobs: number
  readonly seconds: number
  readonly once: number
}

const circumstances = ({ jobs, once, seconds }: Scale): string => {
  const date = new Date().toISOString().slice(0, 10)
  const machine = `${cpus().length} cores of ${cpus()[0]?.model ?? "an unknown machine"}`
  const work = `${jobs} recurring jobs due for ${seconds} seconds and up to ${once} one-off jobs in each row`
  return `On ${date}, on ${machine}, Node ${versions.node}: ${work}.`
}

/** The circumstances and the table, as docs/nodes.md shows them. */
export const toText = (reports: ReadonlyArray<Report>, scale: Scale): string =>
  [
    circumstances(scale),
    "",
    line(COLUMNS),
    line(COLUMNS.map(() => "---")),
    ...reports.map((report) => line(row(report)))
  ].join("\n")
