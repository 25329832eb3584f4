/**
 * Every so many years, months, weeks and days from a date, always at the same time of day: the local times of
 * `Trigger.calendarInterval`.
 *
 * @since 0.1.0
 */
import * as CivilTime from "./CivilTime.ts"

/**
 * Every `months` months and `days` days from the day number `start` to `last`, at `time` seconds into the day.
 *
 * @since 0.1.0
 * @category models
 */
export interface CalendarInterval {
  readonly months: number
  readonly days: number
  readonly start: number
  readonly time: number
  /** The day number after which there is no step. */
  readonly last: number
}

const DAY = 86_400
const DAYS_PER_MONTH = 146_097 / 4800

/**
 * The last day that there is.
 *
 * @since 0.1.0
 * @category models
 */
export const LAST_DAY = CivilTime.toDayNumber(9999, 12, 31)

/**
 * The set of local times, in the form that `CivilTime` walks. The nth step is n times the months from the start, on the
 * same day of the month, and then n times the days; where that month has no such day, the step is left out.
 *
 * @since 0.1.0
 * @category search
 */
export const toCivilSet = (self: CalendarInterval): CivilTime.CivilSet => {
  const start = CivilTime.fromDayNumber(self.start)
  const day = (step: number): number | undefined => dayOfStep(self, start, step)
  return {
    next: (local) => nextStep(self, day, Math.ceil((local - self.time) / DAY)) * DAY + self.time,
    previous: (local) => previousStep(self, day, Math.floor((local - self.time) / DAY)) * DAY + self.time
  }
}

const dayOfStep = (self: CalendarInterval, start: CivilTime.CivilDate, step: number): number | undefined => {
  const months = start.month - 1 + step * self.months
  const [year, month] = [start.year + Math.floor(months / 12), (months % 12) + 1]
  if (start.day > CivilTime.daysInMonth(year, month)) return undefined
  return CivilTime.toDayNumber(year, month, start.day) + step * self.days
}

/** A step at or before the day: never more than two steps too early, for months are within days of their mean length. */
const estimate = (self: CalendarInterval, day: number): number =>
  Math.max(0, Math.floor((day - self.start) / (self.months * DAYS_PER_MONTH + self.days)) - 2)

const nextStep = (self: CalendarInterval, dayOf: (step: number) => number | undefined, day: number): number => {
  if (day > self.last) return Infinity
  for (let step = estimate(self, day); ; step++) {
    const found = dayOf(step)
    if (found === undefined) continue
    if (found > self.last) return Infinity
    if (found >= day) return found
  }
}

const previousStep = (self: CalendarInterval, dayOf: (step: number) => number | undefined, day: number): number => {
  const last = Math.min(day, self.last)
  for (let step = estimate(self, last) + 4; step >= 0; step--) {
    const found = dayOf(step)
    if (found !== undefined && found <= last) return found
  }
  return -Infinity
}
