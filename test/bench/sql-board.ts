/** What the SQL benchmark measures of each contestant, by name: rates in several rounds, a table of them, and who is ahead. */
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
    const best = (isOurs: boolean) =>
      [...this.rates.keys()]
        .filter(({ contestant }) => (contestant === "ours") === isOurs)
        .map((entry) => ({ entry, rate: this.of(entry, what) ?? 0 }))
        .reduce((a, b) => (b.rate > a.rate ? b : a))
    const [ours, other] = [best(true), best(false)]
    const times = ours.rate / other.rate
    return {
      what: `${title}, ${what}: ours to ${other.entry.contestant}`,
      value: ratio(times),
      goal: "> 1.0x",
      isMet: times > 1
    }
  }
}

const rateText = (rate: number | undefined): string => {
  if (rate === undefined) return "-"
  return rate < 9.5 ? rate.toFixed(1) : grouped(rate)
}
