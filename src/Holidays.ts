/**
 * The public holidays of a country as days that a trigger leaves out, on the library `date-holidays`: an optional peer.
 *
 * @since 0.1.0
 */
import DateHolidays from "date-holidays"
import * as CivilTime from "./CivilTime.ts"
import { InvalidTrigger } from "./SchedulerError.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** ISO 3166 code, such as `"DE"`. */
  readonly country: string
  /** Such as `"BY"` for Bavaria. */
  readonly state?: string | undefined
  readonly region?: string | undefined
  /** The first and the last year, both included. */
  readonly from: number
  readonly to: number
  /** Which kinds of holidays. Default: the public ones. */
  readonly types?: ReadonlyArray<"public" | "bank" | "school" | "optional" | "observance"> | undefined
}

const invalid = (text: string, reason: string, expected: string): InvalidTrigger =>
  new InvalidTrigger({ field: "holidays", text, position: 0, reason, expected })

const calendar = ({ country, region, state }: Options): DateHolidays => {
  const place = [country, state, region].filter((part) => part !== undefined)
  const known = new DateHolidays()
  const has = (places: object | undefined, name: string | undefined) => Object.hasOwn(places ?? {}, name ?? "")
  const isKnown =
    has(known.getCountries(), country) &&
    (state === undefined || has(known.getStates(country), state)) &&
    (region === undefined || (state !== undefined && has(known.getRegions(country, state), region)))
  if (!isKnown) throw invalid(place.join("/"), "there is no such place", "a country, state and region of date-holidays")
  return new DateHolidays(country, state ?? "", region ?? "")
}

/**
 * The dates of the holidays, for `Trigger.except(trigger, { dates: Holidays.dates(...), timezone })`: they become part of
 * the trigger, so every node leaves out the same ones. At most 200 years; throws `InvalidTrigger`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const dates = (options: Options): ReadonlyArray<string> => {
  const { from, to, types = ["public"] } = options
  const isYear = (year: number) => Number.isInteger(year) && year >= 1 && year <= 9999
  if (!isYear(from) || !isYear(to) || to < from || to - from >= 200) {
    throw invalid(`${from}–${to}`, "it is no range of years", "at most 200 of the years 1 to 9999, the first one first")
  }
  const holidays = calendar(options)
  const years = Array.from({ length: to - from + 1 }, (_, i) => from + i)
  return years.flatMap((year) => daysOf(holidays, year, types))
}

const daysOf = (holidays: DateHolidays, year: number, types: ReadonlyArray<string>): ReadonlyArray<string> => {
  const wanted = holidays.getHolidays(year).filter(({ type }) => types.includes(type))
  return [...new Set(wanted.flatMap(daysCovered))].sort()
}

/** A holiday is its date, and as many days after it as it lasts in full: what is left of one is an afternoon before. */
const daysCovered = ({ date, end, start }: { readonly date: string; readonly start: Date; readonly end: Date }) => {
  const begin = CivilTime.parse(date.slice(0, 10))
  if (typeof begin === "string") return []
  // A day may lack an hour.
  const days = Math.max(1, Math.floor((end.getTime() - start.getTime()) / 1000 / DAY + 0.1))
  return Array.from({ length: days }, (_, i) => CivilTime.formatDate(begin.local / DAY + i))
}

const DAY = 86_400
