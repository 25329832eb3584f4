/**
 * Where the offsets of zones change, read from Intl alone: a second opinion that shares no code with src. All times are
 * seconds since 1970.
 */

export const DAY = 86_400

/** From one offset to another, at an instant. */
export interface Transition {
  readonly at: number
  readonly before: number
  readonly after: number
}

export const memoize = <A>(make: (key: string) => A): ((key: string) => A) => {
  const known = new Map<string, A>()
  return (key) => {
    if (!known.has(key)) known.set(key, make(key))
    return known.get(key)!
  }
}

const formatOf = memoize(
  (timeZone) =>
    new Intl.DateTimeFormat("en-US", {
      timeZone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric"
    })
)

/** What the wall clock shows, minus what UTC's does. */
export const offsetAt = (zone: string, instant: number): number => {
  const [month, day, year, hour, minute, second] = formatOf(zone)
    .format(instant * 1000)
    .match(/\d+/g)!
    .map(Number)
  return Date.UTC(year!, month! - 1, day, hour, minute, second) / 1000 - instant
}

const bisect = (zone: string, from: number, to: number): number => {
  const before = offsetAt(zone, from)
  let [low, high] = [from, to]
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (offsetAt(zone, middle) === before) low = middle
    else high = middle
  }
  return high
}

/** The transitions of `zone year`, at most one a day. */
export const transitionsOfYear = memoize((key): ReadonlyArray<Transition> => {
  const [zone, year] = key.split(" ") as [string, string]
  const found: Array<Transition> = []
  const end = Date.UTC(Number(year) + 1, 0, 1) / 1000
  let at = Date.UTC(Number(year), 0, 1) / 1000
  let before = offsetAt(zone, at)
  while (at < end) {
    const after = offsetAt(zone, at + DAY)
    if (after !== before) found.push({ at: bisect(zone, at, at + DAY), before, after })
    at += DAY
    before = after
  }
  return found
})

const yearOf = (instant: number): number => new Date(instant * 1000).getUTCFullYear()

/** All transitions of a zone between two instants, both included. */
export const transitions = (zone: string, from: number, to: number): ReadonlyArray<Transition> => {
  const years = Array.from({ length: yearOf(to) - yearOf(from) + 1 }, (_, i) => yearOf(from) + i)
  return years.flatMap((year) => transitionsOfYear(`${zone} ${year}`)).filter(({ at }) => from <= at && at <= to)
}
