/**
 * Civil time: zones as tables of offset transitions, dates as day numbers, and the walk that turns civil times into
 * instants under a named policy for the hours that a zone skips or repeats.
 *
 * Instants and local times are whole seconds since 1970-01-01T00:00:00 (UTC, respectively the zone's wall clock).
 *
 * @since 0.1.0
 */

const DAY = 86_400

// Two lookups this far apart never hide a pair of transitions: since 1970 no zone has had two within six days.
const PROBE = 3 * DAY

const BLOCK = 2 ** 28

/**
 * A stretch of time in which a zone keeps one offset; `before` and `after` are its neighbours' offsets.
 *
 * @since 0.1.0
 * @category models
 */
export interface Segment {
  readonly start: number
  readonly end: number
  readonly offset: number
  readonly before: number
  readonly after: number
}

/**
 * A time zone under its canonical id: an IANA name, `UTC`, or a fixed offset such as `+05:30`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Zone {
  readonly id: string
  readonly segmentAt: (instant: number) => Segment
}

/**
 * What becomes of a civil time that the zone skips: no occurrence, or one at the first instant after the gap.
 *
 * @since 0.1.0
 * @category models
 */
export type Gap = "skip" | "shift"

/**
 * What becomes of a civil time that the zone repeats: an occurrence at the first, the second, or both of its instants.
 *
 * @since 0.1.0
 * @category models
 */
export type Fold = "first" | "second" | "both"

/**
 * A set of local times, asked for its first member at or after a local time, or its last one at or before it;
 * `Infinity` and `-Infinity` say there is none.
 *
 * @since 0.1.0
 * @category models
 */
export interface CivilSet {
  readonly next: (local: number) => number
  readonly previous: (local: number) => number
}

/**
 * A rule for civil times together with the zone and the policies that make instants of them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rule {
  readonly zone: Zone
  readonly gap: Gap
  readonly fold: Fold
  readonly times: CivilSet
}

// ---------------------------------------------------------------------------------------------------------------------
// zones
// ---------------------------------------------------------------------------------------------------------------------

const zones = new Map<string, Zone>()

/**
 * The zone of an IANA name, `"UTC"`, a fixed offset (`"+05:30"`), or `"local"` (this process's own, resolved at once);
 * `undefined` if there is none of that name.
 *
 * @since 0.1.0
 * @category zones
 */
export const zone = (name: string): Zone | undefined => {
  const known = zones.get(name)
  if (known !== undefined) return known
  const made = makeZone(name)
  if (made === undefined) return undefined
  const canonical = zones.get(made.id) ?? made
  zones.set(canonical.id, canonical)
  if (name !== "local") zones.set(name, canonical)
  return canonical
}

const makeZone = (name: string): Zone | undefined => {
  if (name === "local") return makeZone(new Intl.DateTimeFormat().resolvedOptions().timeZone)
  const fixed = parseOffset(name)
  if (fixed !== undefined) return fixedZone(fixed)
  // Node 22 and later read more offsets than this, which must be none where an older node is to read them too.
  if (/^[+-]/.test(name)) return undefined
  try {
    const format = new Intl.DateTimeFormat("en-US", { timeZone: name, timeZoneName: "longOffset", minute: "numeric" })
    return namedZone(spell(name, format.resolvedOptions().timeZone), format)
  } catch {
    return undefined
  }
}

// Names are taken in any case and told in their own; an old name stays what it is, for people know their zone by it.
const spell = (name: string, resolved: string): string => {
  const isName = (known: string) => known.toLowerCase() === name.toLowerCase()
  return isName(resolved) ? resolved : (Intl.supportedValuesOf("timeZone").find(isName) ?? name)
}

const parseOffset = (text: string): number | undefined => {
  if (text === "UTC" || text === "Z" || text === "Etc/UTC") return 0
  const match = /^([+-])(\d{2}):?(\d{2})$/.exec(text)
  if (match === null) return undefined
  const [hours, minutes] = [Number(match[2]), Number(match[3])]
  if (hours > 23 || minutes > 59) return undefined
  return (match[1] === "-" ? -1 : 1) * (hours * 3600 + minutes * 60)
}

const fixedZone = (offset: number): Zone => {
  const segment: Segment = { start: -Infinity, end: Infinity, offset, before: offset, after: offset }
  return { id: formatOffset(offset), segmentAt: () => segment }
}

/**
 * An offset in seconds as `+05:30`, and zero as `UTC`.
 *
 * @since 0.1.0
 * @category zones
 */
export const formatOffset = (offset: number): string => {
  if (offset === 0) return "UTC"
  const minutes = Math.floor(Math.abs(offset) / 60)
  const pad = (n: number) => String(n).padStart(2, "0")
  return `${offset < 0 ? "-" : "+"}${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`
}

const NOWHERE: Segment = { start: Infinity, end: -Infinity, offset: 0, before: 0, after: 0 }

const namedZone = (id: string, format: Intl.DateTimeFormat): Zone => {
  const offsetAt = (instant: number): number => readOffset(format.format(instant * 1000))
  const blocks = new Map<number, ReadonlyArray<Segment>>()
  let block: ReadonlyArray<Segment> = []
  let index = NaN
  let last = NOWHERE
  const segmentAt = (instant: number): Segment => {
    if (last.start <= instant && instant < last.end) return last
    if (Math.floor(instant / BLOCK) !== index) {
      index = Math.floor(instant / BLOCK)
      block = blocks.get(index) ?? makeBlock(offsetAt, index)
      blocks.set(index, block)
    }
    last = find(block, instant)
    return last
  }
  return { id, segmentAt }
}

const find = (block: ReadonlyArray<Segment>, instant: number): Segment => {
  let low = 0
  let high = block.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (instant < block[middle]!.end) high = middle
    else low = middle + 1
  }
  return block[low]!
}

// "0 GMT-00:44:30": the only form of Intl that gives seconds of offset, with the least before it.
const readOffset = (text: string): number => {
  const at = text.indexOf("GMT") + 3
  if (at === text.length) return 0
  const [hours, minutes, seconds] = text.slice(at + 1).split(":")
  const size = Number(hours) * 3600 + Number(minutes ?? 0) * 60 + Number(seconds ?? 0)
  return text[at] === "-" || text[at] === "\u2212" ? -size : size
}

// What happens this near to a block's ends belongs to its segments too: an hour that is repeated may reach over an end.
const MARGIN = 2 * DAY

// A block is some eight and a half years of a zone, so a table grows only where it is asked, and costs about a millisecond.
const makeBlock = (offsetAt: (instant: number) => number, index: number): ReadonlyArray<Segment> => {
  const [from, to] = [index * BLOCK, (index + 1) * BLOCK]
  const starts = [from - MARGIN, ...transitions(offsetAt, from - MARGIN, to + MARGIN)]
  const offsets = starts.map(offsetAt)
  const segments = starts.map((start, i) => ({
    start,
    end: starts[i + 1] ?? to + MARGIN,
    offset: offsets[i]!,
    before: i === 0 ? offsetAt(start - 1) : offsets[i - 1]!,
    after: offsets[i + 1] ?? offsetAt(to + MARGIN)
  }))
  return segments.filter(({ end, start }) => end > from && start < to)
}

const transitions = (offsetAt: (instant: number) => number, from: number, to: number): Array<number> => {
  const found: Array<number> = []
  let [at, offset] = [from, offsetAt(from)]
  while (at < to - 1) {
    const probe = Math.min(at + PROBE, to - 1)
    const next = offsetAt(probe)
    if (next !== offset) found.push(bisect(offsetAt, at, probe))
    at = probe
    offset = next
  }
  return found
}

const bisect = (offsetAt: (instant: number) => number, from: number, to: number): number => {
  const offset = offsetAt(from)
  let [low, high] = [from, to]
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (offsetAt(middle) === offset) low = middle
    else high = middle
  }
  return high
}

/**
 * The zone's offset from UTC at an instant, both in seconds.
 *
 * @since 0.1.0
 * @category zones
 */
export const offsetAt = (self: Zone, instant: number): number => self.segmentAt(instant).offset

// ---------------------------------------------------------------------------------------------------------------------
// from civil times to instants
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The first instant of the rule at or after `instant`, or `Infinity`.
 *
 * @since 0.1.0
 * @category rules
 */
export const next = (rule: Rule, instant: number): number => {
  const { fold, gap, times, zone } = rule
  let at = instant
  // What was searched last: no time of the set lies from the one to the other.
  let from = Infinity
  let match = -Infinity
  for (;;) {
    const { after, before, end, offset, start } = zone.segmentAt(at)
    if (gap === "shift" && at <= start && before < offset && times.next(start + before) < start + offset) return start
    const first = fold === "first" ? Math.max(at + offset, start + before) : at + offset
    const bound = end + (fold === "second" ? Math.min(offset, after) : offset)
    if (first < from || first > match) match = times.next((from = first))
    if (match < bound) return match - offset
    if (after >= offset && match === Infinity) return Infinity
    if (end === Infinity) return Infinity
    // Only a fold brings back local times before the match; with none ahead, the walk may go to two days before it.
    at = after < offset ? end : Math.max(end, match - offset - 2 * DAY)
  }
}

/**
 * The last instant of the rule at or before `instant`, or `-Infinity`.
 *
 * @since 0.1.0
 * @category rules
 */
export const previous = (rule: Rule, instant: number): number => {
  const { fold, gap, times, zone } = rule
  let at = instant
  let from = -Infinity
  let match = Infinity
  for (;;) {
    const { after, before, end, offset, start } = zone.segmentAt(at)
    const last = Math.min(at + offset, end + (fold === "second" ? Math.min(offset, after) : offset) - 1)
    const bound = start + (fold === "first" ? Math.max(offset, before) : offset)
    if (last > from || last < match) match = times.previous((from = last))
    if (match >= bound) return match - offset
    if (gap === "shift" && before < offset && match >= start + before) return start
    if (before <= offset && match === -Infinity) return -Infinity
    if (start === -Infinity) return -Infinity
    at = before > offset ? start - 1 : Math.min(start - 1, match - offset + 2 * DAY)
  }
}

/**
 * The instant of one local time: after the gap if the zone skips it, the first of the two if the zone repeats it.
 *
 * @since 0.1.0
 * @category rules
 */
export const toInstant = (zone: Zone, local: number): number => {
  const times: CivilSet = {
    next: (from) => (from <= local ? local : Infinity),
    previous: (from) => (from >= local ? local : -Infinity)
  }
  return next({ zone, gap: "shift", fold: "first", times }, local - 2 * DAY)
}

// ---------------------------------------------------------------------------------------------------------------------
// dates
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A date of the proleptic Gregorian calendar; months and days count from 1.
 *
 * @since 0.1.0
 * @category dates
 */
export interface CivilDate {
  readonly year: number
  readonly month: number
  readonly day: number
}

/**
 * The number of days from 1970-01-01 to a date. (The algorithm is Howard Hinnant's `days_from_civil`.)
 *
 * @since 0.1.0
 * @category dates
 */
export const toDayNumber = (year: number, month: number, day: number): number => {
  const y = month <= 2 ? year - 1 : year
  const era = ((y < 0 ? y - 399 : y) / 400) | 0
  const yearOfEra = y - era * 400
  const dayOfYear = (((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) | 0) + day - 1
  const leapDays = (yearOfEra >> 2) - ((yearOfEra / 100) | 0)
  return era * 146_097 + yearOfEra * 365 + leapDays + dayOfYear - 719_468
}

/**
 * The date of a day number.
 *
 * @since 0.1.0
 * @category dates
 */
export const fromDayNumber = (dayNumber: number): CivilDate => {
  const z = dayNumber + 719_468
  const era = ((z < 0 ? z - 146_096 : z) / 146_097) | 0
  const dayOfEra = z - era * 146_097
  const leapDays = ((dayOfEra / 1460) | 0) - ((dayOfEra / 36_524) | 0) + ((dayOfEra / 146_096) | 0)
  const yearOfEra = ((dayOfEra - leapDays) / 365) | 0
  const dayOfYear = dayOfEra - (365 * yearOfEra + (yearOfEra >> 2) - ((yearOfEra / 100) | 0))
  const shifted = ((5 * dayOfYear + 2) / 153) | 0
  const day = dayOfYear - (((153 * shifted + 2) / 5) | 0) + 1
  const month = shifted < 10 ? shifted + 3 : shifted - 9
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day }
}

/**
 * A day number as `2026-12-25`.
 *
 * @since 0.1.0
 * @category dates
 */
export const formatDate = (dayNumber: number): string => {
  const { day, month, year } = fromDayNumber(dayNumber)
  const pad = (n: number, width: number) => String(n).padStart(width, "0")
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}`
}

/**
 * The number of days in a month.
 *
 * @since 0.1.0
 * @category dates
 */
export const daysInMonth = (year: number, month: number): number => {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

/**
 * The weekday of a day number, 0 for Monday to 6 for Sunday.
 *
 * @since 0.1.0
 * @category dates
 */
export const weekday = (dayNumber: number): number => (((dayNumber + 3) % 7) + 7) % 7

/**
 * The ISO 8601 week, 1 to 53, that a day number lies in.
 *
 * @since 0.1.0
 * @category dates
 */
export const isoWeek = (dayNumber: number): number => {
  const thursday = dayNumber - weekday(dayNumber) + 3
  return Math.floor((thursday - toDayNumber(fromDayNumber(thursday).year, 1, 1)) / 7) + 1
}

// ---------------------------------------------------------------------------------------------------------------------
// text
// ---------------------------------------------------------------------------------------------------------------------

const DATE_TIME =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?)?(?: ?(Z|[+-]\d{2}:?\d{2}))?$/i

/**
 * A date, with or without time of day and offset, as it was written.
 *
 * @since 0.1.0
 * @category text
 */
export interface CivilText {
  /** Local time in seconds. */
  readonly local: number
  readonly millis: number
  /** The name of the offset, if one was given. */
  readonly offset: string | undefined
  readonly hasTime: boolean
}

/**
 * Reads `2026-12-01`, `2026-12-01 09:00:00` and ISO 8601 text with or without an offset; or says why not.
 *
 * @since 0.1.0
 * @category text
 */
export const parse = (text: string): CivilText | string => {
  const match = DATE_TIME.exec(text.trim())
  if (match === null) return "it is not understood"
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0))
  const isDate = month! >= 1 && month! <= 12 && day! >= 1 && day! <= daysInMonth(year!, month!)
  if (!isDate) return "there is no such date"
  if (hour! > 23 || minute! > 59 || second! > 59) return "there is no such time of day"
  return {
    local: toDayNumber(year!, month!, day!) * DAY + hour! * 3600 + minute! * 60 + second!,
    millis: Math.floor(Number(`0.${match[7] ?? 0}`) * 1000),
    offset: match[8]?.toUpperCase(),
    hasTime: match[4] !== undefined
  }
}
