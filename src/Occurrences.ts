/**
 * A set of instants as two questions, the first after and the last at or before: what every kind of trigger denotes.
 *
 * Instants are milliseconds since 1970-01-01T00:00:00Z; `Infinity` and `-Infinity` say there is none.
 *
 * @since 0.1.0
 */
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

/**
 * The instants of a civil rule.
 *
 * @since 0.1.0
 * @category constructors
 */
export const civil = (rule: CivilTime.Rule): Occurrences => ({
  next: (after) => CivilTime.next(rule, Math.floor(after / 1000) + 1) * 1000,
  previous: (atOrBefore) => CivilTime.previous(rule, Math.floor(atOrBefore / 1000)) * 1000
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
