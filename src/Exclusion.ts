/**
 * What a trigger leaves out: dates, ranges of dates, weekdays, daily windows and the days of other triggers, on the
 * calendar of one zone.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as CivilTime from "./CivilTime.ts"
import * as CronExpression from "./CronExpression.ts"
import type * as Occurrences from "./Occurrences.ts"
import { InvalidTrigger } from "./SchedulerError.ts"

const Texts = Schema.optionalWith(Schema.Array(Schema.String), { exact: true })

/**
 * The stored form: dates as `2026-12-25`, ranges with both ends included, weekdays as in a cron's `dayOfWeek`, windows of
 * the day as `22:00` to `06:00`, whose end is exclusive and which may pass midnight.
 *
 * @since 0.1.0
 * @category models
 */
export const Exclusion = Schema.Struct({
  timezone: Schema.String,
  dates: Texts,
  ranges: Schema.optionalWith(Schema.Array(Schema.Struct({ from: Schema.String, to: Schema.String })), { exact: true }),
  weekdays: Schema.optionalWith(Schema.String, { exact: true }),
  windows: Schema.optionalWith(Schema.Array(Schema.Struct({ from: Schema.String, to: Schema.String })), { exact: true })
})

/**
 * @since 0.1.0
 * @category models
 */
export type Exclusion = typeof Exclusion.Type

/**
 * An exclusion of what is given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  timezone: string,
  { dates, ranges, weekdays, windows }: { readonly [K in keyof Omit<Exclusion, "timezone">]?: Exclusion[K] | undefined }
): Exclusion => ({
  timezone,
  ...(dates === undefined ? {} : { dates }),
  ...(ranges === undefined ? {} : { ranges }),
  ...(weekdays === undefined ? {} : { weekdays }),
  ...(windows === undefined ? {} : { windows })
})

const DAY = 86_400

const invalid = (field: string, text: string, reason: string, expected: string): InvalidTrigger =>
  new InvalidTrigger({ field, text, position: 0, reason, expected })

/** A stretch of local seconds, its end exclusive. */
interface LocalSpan {
  readonly start: number
  readonly end: number
}

type LocalSpanAt = (local: number, instant: number) => LocalSpan | undefined

/**
 * The spans that an exclusion and the days of some triggers leave out. Throws `InvalidTrigger`.
 *
 * @since 0.1.0
 * @category search
 */
export const toSpanAt = (
  self: Exclusion,
  zone: CivilTime.Zone,
  daysOf: ReadonlyArray<Occurrences.Occurrences>
): Occurrences.SpanAt => {
  const rules: ReadonlyArray<LocalSpanAt> = [
    ...(self.dates ?? []).map((text) => days(dayNumber("dates", text), dayNumber("dates", text))),
    ...(self.ranges ?? []).map(({ from, to }) => range(from, to)),
    ...(self.weekdays === undefined ? [] : [weekdays(self.weekdays)]),
    ...(self.windows ?? []).map(({ from, to }) => window(from, to)),
    ...daysOf.map((occurrences) => firingDays(zone, occurrences))
  ]
  return (millis) => {
    const instant = Math.floor(millis / 1000)
    const segment = zone.segmentAt(instant)
    for (const rule of rules) {
      const span = rule(instant + segment.offset, instant)
      if (span !== undefined) return toInstants(span, segment)
    }
    return undefined
  }
}

// Only within one segment does local time go with elapsed time; what lies beyond is asked about anew.
const toInstants = (span: LocalSpan, { end, offset, start }: CivilTime.Segment): Occurrences.Span => ({
  start: Math.max(span.start - offset, start) * 1000,
  end: Math.min(span.end - offset, end) * 1000
})

const days = (first: number, last: number): LocalSpanAt => {
  const span = { start: first * DAY, end: (last + 1) * DAY }
  return (local) => (local >= span.start && local < span.end ? span : undefined)
}

const range = (from: string, to: string): LocalSpanAt => {
  const [first, last] = [dayNumber("ranges.from", from), dayNumber("ranges.to", to)]
  if (last < first) throw invalid("ranges.to", to, `it is before the range's beginning, ${from}`, "a later date")
  return days(first, last)
}

const weekdays = (text: string): LocalSpanAt => {
  const excluded = CronExpression.parseWeekdays(text)
  if (excluded.size === 7) throw invalid("weekdays", text, "it leaves no day", "at most six weekdays")
  return (local) => {
    const day = Math.floor(local / DAY)
    return excluded.has(CivilTime.weekday(day)) ? { start: day * DAY, end: (day + 1) * DAY } : undefined
  }
}

const window = (begin: string, end: string): LocalSpanAt => {
  const [from, to] = [secondOfDay(begin), secondOfDay(end)]
  if (from === to) throw invalid("windows", begin, "it begins where it ends", "a window shorter than a day")
  return (local) => {
    const midnight = Math.floor(local / DAY) * DAY
    const time = local - midnight
    if (from < to) return time >= from && time < to ? { start: midnight + from, end: midnight + to } : undefined
    if (time >= from) return { start: midnight + from, end: midnight + DAY + to }
    return time < to ? { start: midnight - DAY + from, end: midnight + to } : undefined
  }
}

const firingDays =
  (zone: CivilTime.Zone, occurrences: Occurrences.Occurrences): LocalSpanAt =>
  (local) => {
    const day = Math.floor(local / DAY)
    const fires = instantsOf(zone, day).some(({ end, start }) => occurrences.next(start - 1) < end)
    return fires ? { start: day * DAY, end: (day + 1) * DAY } : undefined
  }

// A day is in pieces where the clock is put back over midnight.
const instantsOf = (zone: CivilTime.Zone, day: number): ReadonlyArray<Occurrences.Span> => {
  const pieces: Array<Occurrences.Span> = []
  for (let at = (day - 2) * DAY; at < (day + 3) * DAY; ) {
    const segment = zone.segmentAt(at)
    const piece = toInstants({ start: day * DAY, end: (day + 1) * DAY }, segment)
    if (piece.start < piece.end) pieces.push(piece)
    at = segment.end
  }
  return pieces
}

const dayNumber = (field: string, text: string): number => {
  const parsed = CivilTime.parse(text)
  if (typeof parsed === "string") throw invalid(field, text, parsed, `a date such as "2026-12-25"`)
  if (parsed.hasTime || parsed.offset !== undefined) throw invalid(field, text, "it is no date alone", `"2026-12-25"`)
  return parsed.local / DAY
}

const secondOfDay = (text: string): number => {
  const match = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(text.trim())
  const [hour, minute, second] = (match ?? []).slice(1).map((part) => Number(part ?? 0))
  if (match === null || hour! > 23 || minute! > 59 || second! > 59) {
    throw invalid("windows", text, "it is no time of day", `"22:00" or "22:00:30"`)
  }
  return hour! * 3600 + minute! * 60 + second!
}
