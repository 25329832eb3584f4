/** What the SQL benchmark measures of each contestant: rates by name in several rounds, their table, and who is ahead. */
import { type Goal, grouped, median, ratio, table } from "./Measure.ts"
import { type Entry, perSecond, type Rate } from "./sql-crew.ts"

export class Board {
  private readonly rates = new Map<Entry, Map<string, Array<number>>>()

  add(entry: Entry, what: string, rate: Rate): void {
    const own = this.rates.get(entry) ?? new Map<string, Array<number>>()
    this.rates.set(entry, own)
    own.set(what, [...(own.get(what) ?? []), perSecond(rate)])
  }

  /** How many a second, the median of the rounds; none if it was not measured, or failed. */
  of(entry: Entry, what: string): number | undefined {
    const rounds = this.rates.get(entry)?.get(what)
    return rounds === undefined ? undefined : median(rounds)
  }

  /** A row for each entry, a column for each thing that was measured. */
  table(title: string, columns: ReadonlyArray<string>): string {
    const rows = [...this.rates.keys()].map((entry) => [
      entry.label,
      ...columns.map((what) => rateText(this.of(entry, what)))
    ])
    return table([[title, ...columns], ...rows], 1)
  }

  /** The best of our setups has to be ahead of the best of all others. */
  ahead(title: string, what: string): Goal {
    const [ours, other] = [this.best(what, true), this.best(what, false)]
    const times = (ours?.rate ?? 0) / (other?.rate ?? Infinity)
    return {
      what: `${title}, ${what}: ours to ${other?.contestant ?? "nobody"}`,
      value: ratio(times),
      goal: "> 1.0x",
      isMet: times > 1
    }
  }

  private best(what: string, isOurs: boolean) {
    return [...this.rates.keys()]
      .filter(({ contestant }) => (contestant === "ours") === isOurs)
      .map((entry) => ({ contestant: entry.contestant, rate: this.of(entry, what) ?? 0 }))
      .toSorted((a, b) => b.rate - a.rate)[0]
  }
}

const rateText = (rate: number | undefined): string => {
  if (rate === undefined) return "-"
  return rate < 9.5 ? rate.toFixed(1) : grouped(rate)
}
