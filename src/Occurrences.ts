/**
 * A set of instants as two questions, the first after and the last at or before: what every kind of trigger denotes.
 *
 * Instants are milliseconds since 1970-01-01T00:00:00Z; `Infinity` and `-Infinity` say there is none.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as CivilTime from "./CivilTime.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Occurrences {
  /** The first instant strictly after `after`. */
  readonly next: (after: number) => number
  /** The last instant at or before `atOrBefore`. */
  readonly previous: (atOrBefore: number) => number
}

// The years 0001 to 9999: those that ISO 8601 text of four digits can say.
const FIRST_MILLIS = -62_135_596_800_000
const LAST_MILLIS = 253_402_300_799_999

const EPOCH = DateTime.unsafeMake(0)

/**
 * An instant as a `DateTime`. There is no Date between, which takes a good part of the time of an answer.
 *
 * @since 0.1.0
 * @category conversions
 */
export const instant = (millis: number): DateTime.Utc => DateTime.mapEpochMillis(EPOCH, () => millis)

/**
 * An instant as a `DateTime`, or none where there is none in the years 1 to 9999.
 *
 * @since 0.1.0
 * @category conversions
 */
export const instantOption = (millis: number): Option.Option<DateTime.Utc> =>
  isInstant(millis) ? Option.some(instant(millis)) : Option.none()

/**
 * Whether a number of milliseconds is in the years 1 to 9999.
 *
 * @since 0.1.0
 * @category guards
 */
export const isInstant = (millis: number): boolean => millis >= FIRST_MILLIS && millis <= LAST_MILLIS

/**
 * No instant at all.
 *
 * @since 0.1.0
 * @category constructors
 */
export const never: Occurrences = { next: () => Infinity, previous: () => -Infinity }

/**
 * One instant.
 *
 * @since 0.1.0
 * @category constructors
 */
export const at = (instant: number): Occurrences => ({
  next: (after) => (after < instant ? instant : Infinity),
  previous: (atOrBefore) => (instant <= atOrBefore ? instant : -Infinity)
})

/**
 * Every `period` milliseconds of elapsed time, in step with `phase`, without beginning or end.
 *
 * @since 0.1.0
 * @category constructors
 */
export const every = (period: number, phase: number): Occurrences => ({
  next: (after) => phase + (Math.floor((after - phase) / period) + 1) * period,
  previous: (atOrBefore) => phase + Math.floor((atOrBefore - phase) / period) * period
})

// The years 0001 to 9999, in seconds: beyond them no civil rule has an instant.
const FIRST = -62_135_596_800
const LAST = 253_402_300_799

/**
 * The instants of a civil rule, in the years 1 to 9999.
 *
 * @since 0.1.0
 * @category constructors
 */
export const civil = (rule: CivilTime.Rule): Occurrences => ({
  next: (after) => {
    const from = Math.max(Math.floor(after / 1000) + 1, FIRST)
    const found = from > LAST ? Infinity : CivilTime.next(rule, from)
    return found > LAST ? Infinity : found * 1000
  },
  previous: (atOrBefore) => {
    const from = Math.min(Math.floor(atOrBefore / 1000), LAST)
    const found = from < FIRST ? -Infinity : CivilTime.previous(rule, from)
    return found < FIRST ? -Infinity : found * 1000
  }
})

/**
 * The instants of a set from `start` to `end`, both inclusive.
 *
 * @since 0.1.0
 * @category combinators
 */
export const within = (self: Occurrences, start = -Infinity, end = Infinity): Occurrences => {
  if (start === -Infinity && end === Infinity) return self
  const next = (after: number) => self.next(after < start ? start - 1 : after)
  const previous = (atOrBefore: number) => self.previous(Math.min(atOrBefore, end))
  return {
    next: (after) => {
      const found = next(after)
      return found > end ? Infinity : found
    },
    previous: (atOrBefore) => {
      const found = previous(atOrBefore)
      return found < start ? -Infinity : found
    }
  }
}

/**
 * How many times a combination looks for an instant before it answers that there is none: some milliseconds of work.
 *
 * @since 0.1.0
 * @category combinators
 */
export const LEAPS = 10_000

/**
 * The instants of any of the sets.
 *
 * @since 0.1.0
 * @category combinators
 */
export const anyOf = (sets: ReadonlyArray<Occurrences>): Occurrences => ({
  next: (after) => sets.reduce((least, set) => Math.min(least, set.next(after)), Infinity),
  previous: (atOrBefore) => sets.reduce((most, set) => Math.max(most, set.previous(atOrBefore)), -Infinity)
})

/**
 * The instants that all of the sets have. Each set leaps to where another one is; after `LEAPS` leaps, or five times as
 * many in a combination of combinations, the answer is that they never meet.
 *
 * @since 0.1.0
 * @category combinators
 */
export const allOf = (sets: ReadonlyArray<Occurrences>): Occurrences => ({
  next: (after) => search(() => meet(sets, sets[0]!.next(after), (set, at) => set.next(at - 1))),
  previous: (atOrBefore) => search(() => meet(sets, sets[0]!.previous(atOrBefore), (set, at) => set.previous(at)))
})

// Combinations of combinations share what they may spend, or nested ones would multiply it.
const ALL_LEAPS = 5 * LEAPS
let spent = 0
let depth = 0

const search = (look: () => number): number => {
  if (depth++ === 0) spent = 0
  try {
    return look()
  } finally {
    depth--
  }
}

const mayLeap = (leaps: number): boolean => leaps < LEAPS && ++spent < ALL_LEAPS

const meet = (
  sets: ReadonlyArray<Occurrences>,
  from: number,
  leap: (set: Occurrences, at: number) => number
): number => {
  let at = from
  let agreeing = 1
  for (let i = 1, leaps = 0; agreeing < sets.length && Number.isFinite(at); i++) {
    const found = leap(sets[i % sets.length]!, at)
    agreeing = found === at ? agreeing + 1 : 1
    if (found !== at && !mayLeap(leaps++)) return from < found ? Infinity : -Infinity
    at = found
  }
  return at
}

/**
 * A stretch of time, its end exclusive.
 *
 * @since 0.1.0
 * @category models
 */
export interface Span {
  readonly start: number
  readonly end: number
}

/**
 * The stretch around an instant that is left out, if the instant is.
 *
 * @since 0.1.0
 * @category models
 */
export type SpanAt = (instant: number) => Span | undefined

/**
 * The instants of a set that lie in no span. After `LEAPS` spans in a row the answer is that there is none.
 *
 * @since 0.1.0
 * @category combinators
 */
export const except = (self: Occurrences, spanAt: SpanAt): Occurrences => ({
  next: (after) => search(() => leave(self.next(after), spanAt, (span) => self.next(span.end - 1), Infinity)),
  previous: (atOrBefore) =>
    search(() => leave(self.previous(atOrBefore), spanAt, (span) => self.previous(span.start - 1), -Infinity))
})

const leave = (from: number, spanAt: SpanAt, leap: (span: Span) => number, none: number): number => {
  let at = from
  for (let leaps = 0; Number.isFinite(at) && mayLeap(leaps); leaps++) {
    const span = spanAt(at)
    // What looked for a span may have spent all that there was: then nobody knows whether there is one.
    if (span === undefined) return spent < ALL_LEAPS ? at : none
    at = leap(span)
  }
  return none
}
