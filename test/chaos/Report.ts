/** The table of what became of disturbed clusters. */
import type { Report } from "./Scenario.ts"
import type { TakeOver } from "./TakeOver.ts"
import type { Tag } from "./Violation.ts"

const COLUMNS = [
  ...["fault", "database", "nodes", "occurrences", "runs", "lost", "doubled", "overlapping", "other"],
  ...["take-over p50", "p99", "at most after the last sign"]
]

const LOST: ReadonlyArray<Tag> = ["Missing"]
const DOUBLED: ReadonlyArray<Tag> = ["Extra", "Doubled", "StartedAfterEnd", "Repeated"]
const OVERLAPPING: ReadonlyArray<Tag> = ["Overlapping", "TooMany"]

const row = ({
  database,
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
    isSettled ? String(other) : `${other}, not settled`,
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

export const print = (reports: ReadonlyArray<Report>): void => {
  console.log(line(COLUMNS))
  console.log(line(COLUMNS.map(() => "---")))
  for (const report of reports) console.log(line(row(report)))
}
