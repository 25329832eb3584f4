/**
 * What a cron field means: the two dialects (named fields as in APScheduler, text as in crontab(5) and Quartz), parsed
 * with positions, and the search for the next and the previous local time that matches.
 *
 * @since 0.1.0
 */
import * as CivilTime from "./CivilTime.ts"
import { InvalidTrigger } from "./SchedulerError.ts"

/**
 * The days of a month that a day field or a weekday field selects; bit sets count from 1 for days, 0 (Monday) for weekdays.
 *
 * @since 0.1.0
 * @category models
 */
interface DaySet {
  /** Days of the month, bit `d - 1`. */
  days: number
  /** Days before the last one, bit 0 for the last itself. */
  fromLast: number
  /** Weekdays, bit 0 for Monday. */
  weekdays: number
  /** The nth weekday of the month: `7 * (n - 1) + weekday`. */
  readonly nth: Array<number>
  /** The last such weekday of the month. */
  lastWeekdays: number
  /** Working days (Monday to Friday) nearest to a day of the month; 32 stands for the last day. */
  readonly nearest: Array<number>
}

/**
 * A parsed expression: which years, months, days and times of day it selects.
 *
 * @since 0.1.0
 * @category models
 */
export interface CronExpression {
  readonly years: ReadonlySet<number> | undefined
  readonly months: number
  readonly day: DaySet | undefined
  readonly weekday: DaySet | undefined
  /** crontab(5): a day matches either field when both are restricted; otherwise it must match both. */
  readonly either: boolean
  readonly weeks: ReadonlySet<number> | undefined
  readonly hours: ReadonlyArray<number>
  readonly minutes: ReadonlyArray<number>
  readonly seconds: ReadonlyArray<number>
}

/**
 * The named fields of `Trigger.cron`, from the most to the least significant.
 *
 * @since 0.1.0
 * @category models
 */
export const fieldNames = ["year", "month", "day", "week", "dayOfWeek", "hour", "minute", "second"] as const

/**
 * @since 0.1.0
 * @category models
 */
export type FieldName = (typeof fieldNames)[number]

const MIN_YEAR = 1970
const MAX_YEAR = 9999

// ---------------------------------------------------------------------------------------------------------------------
// parsing
// ---------------------------------------------------------------------------------------------------------------------

interface Field {
  readonly name: string
  readonly min: number
  readonly max: number
  readonly names?: ReadonlyArray<string>
  /** Whether a range may go past the end, as `sat-mon` does. */
  readonly wraps?: boolean
  /** Whether a step may be as long as the whole field, as in crontab's own every-60-minutes, the first value only. */
  readonly isLenient?: boolean
  /** The valid forms, for error messages. */
  readonly forms: string
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
const FROM_MONDAY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
const FROM_SUNDAY = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

const FIELDS: Record<FieldName, Field> = {
  year: { name: "year", min: MIN_YEAR, max: MAX_YEAR, forms: "*, */n, a, a/n, a-b or a-b/n with years 1970-9999" },
  month: { name: "month", min: 1, max: 12, names: MONTHS, wraps: true, forms: "1-12 or jan-dec, ranges, */n" },
  day: { name: "day", min: 1, max: 31, forms: "1-31, ranges, */n, 1st-5th or last with a weekday, or last" },
  week: { name: "week", min: 1, max: 53, forms: "ISO weeks 1-53, ranges, */n" },
  dayOfWeek: {
    name: "dayOfWeek",
    min: 0,
    max: 6,
    names: FROM_MONDAY,
    wraps: true,
    forms: "0-6 from Monday or mon-sun, ranges, */n"
  },
  hour: { name: "hour", min: 0, max: 23, forms: "0-23, ranges, */n" },
  minute: { name: "minute", min: 0, max: 59, forms: "0-59, ranges, */n" },
  second: { name: "second", min: 0, max: 59, forms: "0-59, ranges, */n" }
}

const CRONTAB = {
  second: { ...FIELDS.second, isLenient: true },
  minute: { ...FIELDS.minute, isLenient: true },
  hour: { ...FIELDS.hour, isLenient: true },
  day: { ...FIELDS.day, isLenient: true, forms: "1-31, ranges, */n, L, L-n, LW, nW or ?" },
  month: { ...FIELDS.month, isLenient: true },
  dayOfWeek: {
    name: "dayOfWeek",
    isLenient: true,
    min: 0,
    max: 7,
    names: FROM_SUNDAY,
    wraps: true,
    forms: "0-7 (0 and 7 are Sunday) or sun-sat, ranges, */n, d#n, dL or ?"
  }
} satisfies Record<string, Field>

/** One comma-separated term of a field, with where it stands in the whole text. */
class Term {
  readonly field: Field
  readonly whole: string
  readonly text: string
  readonly at: number
  constructor(field: Field, whole: string, text: string, at: number) {
    this.field = field
    this.whole = whole
    this.text = text
    this.at = at
  }
  fail(reason: string, offset = 0): never {
    throw new InvalidTrigger({
      field: this.field.name,
      text: this.whole,
      position: this.at + offset,
      reason,
      expected: this.field.forms
    })
  }
}

const terms = (field: Field, whole: string, text: string, start: number): ReadonlyArray<Term> => {
  let at = start
  return text.split(",").map((part) => {
    const lead = part.length - part.trimStart().length
    const term = new Term(field, whole, part.trim().toLowerCase(), at + lead)
    at += part.length + 1
    return term.text === "" ? term.fail("a term is empty") : term
  })
}

const value = (term: Term, text: string, offset: number): number => {
  const { max, min, names } = term.field
  const named = names === undefined ? -1 : names.indexOf(text)
  if (named >= 0) return named + (min === 1 ? 1 : 0)
  if (!/^\d{1,4}$/.test(text)) return term.fail(`${JSON.stringify(text)} is not a value`, offset)
  const number = Number(text)
  return number < min || number > max ? term.fail(`${text} is out of range`, offset) : number
}

interface Range {
  readonly first: number
  readonly last: number
  readonly step: number
}

const RANGE = /^(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:\/(\d{1,4}))?$/

const range = (term: Term): Range => {
  const match = RANGE.exec(term.text)
  if (match === null) return term.fail(`${JSON.stringify(term.text)} is not understood`)
  const [, from, to, by] = match
  const { max, min } = term.field
  if (from === "*" && to !== undefined) return term.fail("* takes no range", 1)
  const first = from === "*" ? min : value(term, from!, 0)
  const open = from === "*" || (to === undefined && by !== undefined)
  const last = to !== undefined ? value(term, to, from!.length + 1) : open ? max : first
  return { first, last: checkOrder(term, first, last, from!.length + 1), step: checkStep(term, first, last, by) }
}

const checkOrder = (term: Term, first: number, last: number, offset: number): number =>
  last < first && term.field.wraps !== true ? term.fail("the range ends before it starts", offset) : last

const checkStep = (term: Term, first: number, last: number, by: string | undefined): number => {
  if (by === undefined) return 1
  const step = Number(by)
  const { isLenient, max, min } = term.field
  const whole = max - min + 1
  const size = isLenient === true ? whole : last >= first ? last - first : last - first + whole
  const at = term.text.length - by.length
  if (step === 0) return term.fail("a step must be at least 1", at)
  return step > Math.max(size, 1) ? term.fail(`the step ${step} is longer than the range`, at) : step
}

/** The values of a field's terms in order, or none if they are all that the field has. */
const collect = (field: Field, ranges: ReadonlyArray<Range>): ReadonlyArray<number> | undefined => {
  const { max, min } = field
  const size = max - min + 1
  const marks = new Uint8Array(size)
  for (const { first, last, step } of ranges) {
    const end = last >= first ? last : last + size
    for (let v = first; v <= end; v += step) marks[(v - min) % size] = 1
  }
  const values: Array<number> = []
  for (let v = min; v <= max; v++) if (marks[v - min] === 1) values.push(v)
  return values.length === size ? undefined : values
}

const parseValues = (field: Field, text: string): ReadonlyArray<number> | undefined =>
  collect(field, terms(field, text, text, 0).map(range))

const emptyDays = (): DaySet => ({
  days: 0,
  fromLast: 0,
  weekdays: 0,
  nth: [],
  lastWeekdays: 0,
  nearest: []
})

const bits = (values: ReadonlyArray<number>, base: number): number =>
  values.reduce((set, v) => set | (1 << (v - base)), 0)

const dayBits = (field: Field, term: Term): number => bits(collect(field, [range(term)]) ?? span(field), 1)

const ORDINALS = ["1st", "2nd", "3rd", "4th", "5th"]

const parseDay = (text: string): DaySet | undefined => {
  const set = emptyDays()
  for (const term of terms(FIELDS.day, text, text, 0)) addDay(set, term)
  return set.days === 0x7fffffff ? undefined : set
}

const addDay = (set: DaySet, term: Term): void => {
  const [first, second, ...rest] = term.text.split(/\s+/)
  if (rest.length > 0) term.fail("a term has at most two words")
  else if (second !== undefined) addOrdinal(set, term, first!, second)
  else if (first === "last") set.fromLast |= 1
  else set.days |= dayBits(FIELDS.day, term)
}

const addOrdinal = (set: DaySet, term: Term, ordinal: string, name: string): void => {
  const weekday = FROM_MONDAY.indexOf(name)
  if (weekday < 0) term.fail(`${JSON.stringify(name)} is not a weekday`, term.text.length - name.length)
  const nth = ORDINALS.indexOf(ordinal)
  if (ordinal === "last") set.lastWeekdays |= 1 << weekday
  else if (nth >= 0) set.nth.push(7 * nth + weekday)
  else term.fail(`${JSON.stringify(ordinal)} is not an ordinal`)
}

const parseWeekday = (text: string): DaySet | undefined => {
  const values = parseValues(FIELDS.dayOfWeek, text)
  return values === undefined ? undefined : { ...emptyDays(), weekdays: bits(values, 0) }
}

/**
 * Reads weekdays as `dayOfWeek` has them, 0–6 from Monday, names and ranges; throws `InvalidTrigger`.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parseWeekdays = (text: string): ReadonlySet<number> =>
  new Set(parseValues(FIELDS.dayOfWeek, text) ?? span(FIELDS.dayOfWeek))

const span = ({ max, min }: Field): ReadonlyArray<number> => {
  const values: Array<number> = []
  for (let v = min; v <= max; v++) values.push(v)
  return values
}

/**
 * Fills in the defaults of `Trigger.cron`: fields more significant than the least significant one given are `*`, less
 * significant ones their minimum, `week` and `dayOfWeek` always `*`.
 *
 * @since 0.1.0
 * @category parsing
 */
export const withDefaults = (given: Partial<Record<FieldName, string>>): Record<FieldName, string> => {
  const least = fieldNames.findLastIndex((name) => given[name] !== undefined)
  const byDefault = (name: FieldName, index: number) =>
    index < least || name === "week" || name === "dayOfWeek" ? "*" : String(FIELDS[name].min)
  const entries = fieldNames.map((name, index) => [name, given[name] ?? byDefault(name, index)] as const)
  return Object.fromEntries(entries) as Record<FieldName, string>
}

/**
 * Parses the named fields of `Trigger.cron`; throws `InvalidTrigger`.
 *
 * @since 0.1.0
 * @category parsing
 */
export const fromFields = (given: Partial<Record<FieldName, string>>): CronExpression => {
  const text = withDefaults(given)
  const years = parseValues(FIELDS.year, text.year)
  const weeks = parseValues(FIELDS.week, text.week)
  return {
    years: years === undefined ? undefined : new Set(years),
    months: bits(parseValues(FIELDS.month, text.month) ?? span(FIELDS.month), 1),
    day: parseDay(text.day),
    weekday: parseWeekday(text.dayOfWeek),
    either: false,
    weeks: weeks === undefined ? undefined : new Set(weeks),
    hours: parseValues(FIELDS.hour, text.hour) ?? span(FIELDS.hour),
    minutes: parseValues(FIELDS.minute, text.minute) ?? span(FIELDS.minute),
    seconds: parseValues(FIELDS.second, text.second) ?? span(FIELDS.second)
  }
}

const MACROS: Record<string, string> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *"
}

const invalidCrontab = (text: string, position: number, reason: string): never => {
  const expected = `five fields (minute hour day month dayOfWeek), six with seconds first, or ${Object.keys(MACROS).join(", ")}`
  throw new InvalidTrigger({ field: "crontab", text, position, reason, expected })
}

interface Word {
  readonly text: string
  readonly at: number
}

const words = (text: string): ReadonlyArray<Word> =>
  [...text.matchAll(/\S+/g)].map((match) => ({ text: match[0], at: match.index }))

/**
 * Parses crontab(5) text of five fields, or six with seconds first, or a macro such as `@daily`; throws `InvalidTrigger`.
 *
 * @since 0.1.0
 * @category parsing
 */
export const fromCrontab = (text: string): CronExpression => {
  const trimmed = text.trim()
  if (trimmed.startsWith("@")) {
    const macro = MACROS[trimmed.toLowerCase()]
    return macro === undefined ? invalidCrontab(text, text.indexOf("@"), `${trimmed} is no macro`) : fromCrontab(macro)
  }
  const found = words(text)
  if (found.length < 5 || found.length > 6) {
    return invalidCrontab(text, found[6]?.at ?? 0, `${found.length} fields were given`)
  }
  const [second, minute, hour, day, month, weekday] = found.length === 6 ? found : [undefined, ...found]
  return {
    years: undefined,
    months: bits(crontabValues(CRONTAB.month, text, month!), 1),
    day: isAny(day!) ? undefined : crontabDay(text, day!),
    weekday: isAny(weekday!) ? undefined : crontabWeekday(text, weekday!),
    either: !isOpen(day!) && !isOpen(weekday!),
    weeks: undefined,
    hours: crontabValues(CRONTAB.hour, text, hour!),
    minutes: crontabValues(CRONTAB.minute, text, minute!),
    seconds: second === undefined ? [0] : crontabValues(CRONTAB.second, text, second)
  }
}

const crontabValues = (field: Field, whole: string, word: Word): ReadonlyArray<number> =>
  (word.text === "*" ? undefined : collect(field, terms(field, whole, word.text, word.at).map(range))) ?? span(field)

const isAny = ({ text }: Word): boolean => text === "*" || text === "?"

// As in Vixie cron, a field that starts with a star is no restriction of its own, even with a step.
const isOpen = (word: Word): boolean => word.text.startsWith("*") || isAny(word)

const crontabDay = (whole: string, word: Word): DaySet => {
  const set = emptyDays()
  for (const term of terms(CRONTAB.day, whole, word.text, word.at)) {
    const last = /^l(?:-(\d{1,2}))?$/.exec(term.text)
    const nearest = /^(l|\d{1,2})w$/.exec(term.text)
    if (last !== null) set.fromLast |= 1 << offsetFromLast(term, last[1])
    else if (nearest !== null) set.nearest.push(nearest[1] === "l" ? 32 : value(term, nearest[1]!, 0))
    else set.days |= dayBits(CRONTAB.day, term)
  }
  return set
}

const offsetFromLast = (term: Term, text: string | undefined): number => {
  const offset = Number(text ?? 0)
  return offset > 30 ? term.fail(`L-${offset} is before every month's first day`, 2) : offset
}

// crontab(5) counts from Sunday, with 7 for Sunday too.
const fromSunday = (weekday: number): number => (weekday + 6) % 7

const crontabWeekday = (whole: string, word: Word): DaySet => {
  const set = emptyDays()
  for (const term of terms(CRONTAB.dayOfWeek, whole, word.text, word.at)) {
    const nth = /^([a-z0-9]+)#([1-5])$/.exec(term.text)
    const last = /^([a-z]{3}|\d)l$/.exec(term.text)
    if (nth !== null) set.nth.push(7 * (Number(nth[2]) - 1) + fromSunday(value(term, nth[1]!, 0)))
    else if (last !== null) set.lastWeekdays |= 1 << fromSunday(value(term, last[1]!, 0))
    else set.weekdays |= bits(weekdayRange(term).map(fromSunday), 0)
  }
  return set
}

const weekdayRange = (term: Term): ReadonlyArray<number> => {
  const { first, last, step } = range(term)
  // `*/2` and `5/2` stop at Saturday: 7 is another name of Sunday, not an eighth day. A range that wraps starts again at 0.
  const end = last < first ? last + 7 : /-/.test(term.text) || first === last ? last : Math.min(last, 6)
  const values: Array<number> = []
  for (let v = first; v <= end; v += step) values.push(v)
  return values
}

// ---------------------------------------------------------------------------------------------------------------------
// search
// ---------------------------------------------------------------------------------------------------------------------

/** The bit set of a month's days that fall on a set of weekdays (bit 0 is Monday), for the weekday of its first day. */
const weekdayBits = (firstWeekday: number, weekdays: number): number => {
  const week = ((weekdays >> firstWeekday) | (weekdays << (7 - firstWeekday))) & 0b1111111
  return week | (week << 7) | (week << 14) | (week << 21) | (week << 28)
}

interface Month {
  readonly year: number
  readonly month: number
  /** How many days it has. */
  readonly length: number
  readonly firstDayNumber: number
  readonly firstWeekday: number
}

const monthOf = (year: number, month: number): Month => {
  const firstDayNumber = CivilTime.toDayNumber(year, month, 1)
  return {
    year,
    month,
    length: CivilTime.daysInMonth(year, month),
    firstDayNumber,
    firstWeekday: CivilTime.weekday(firstDayNumber)
  }
}

const daysOfSet = (set: DaySet, { firstWeekday, length }: Month): number => {
  let found = set.days
  if (set.weekdays !== 0) found |= weekdayBits(firstWeekday, set.weekdays)
  if (set.lastWeekdays !== 0) found |= weekdayBits(firstWeekday, set.lastWeekdays) & from(length - 7)
  for (let rest = set.fromLast & upTo(length - 1); rest !== 0; rest &= rest - 1)
    found |= 1 << (length - 1 - lowest(rest))
  for (const code of set.nth) {
    found |= weekdayBits(firstWeekday, 1 << (code % 7)) & (0b1111111 << (7 * Math.floor(code / 7)))
  }
  for (const day of set.nearest) found |= nearestWorkingDay(firstWeekday, length, day)
  return found
}

const nearestWorkingDay = (firstWeekday: number, length: number, wanted: number): number => {
  const day = wanted === 32 ? length : wanted
  if (day > length) return 0
  const weekday = (firstWeekday + day - 1) % 7
  if (weekday === 5) return 1 << (day === 1 ? 2 : day - 2)
  if (weekday === 6) return 1 << (day === length ? day - 3 : day)
  return 1 << (day - 1)
}

const daysOfWeeks = (weeks: ReadonlySet<number>, month: Month): number => {
  let found = 0
  let week = 0
  for (let day = 1; day <= month.length; day++) {
    if (day === 1 || (month.firstWeekday + day - 1) % 7 === 0) week = CivilTime.isoWeek(month.firstDayNumber + day - 1)
    if (weeks.has(week)) found |= 1 << (day - 1)
  }
  return found
}

/** What an expression says of dates. */
type Dates = Pick<CronExpression, "years" | "months" | "day" | "weekday" | "either" | "weeks">

const daysOf = (self: Dates, month: Month): number => {
  const isOut = (self.months & (1 << (month.month - 1))) === 0 || self.years?.has(month.year) === false
  if (isOut) return 0
  const whole = upTo(month.length - 1)
  const byDay = self.day === undefined ? whole : daysOfSet(self.day, month)
  const byWeekday = self.weekday === undefined ? whole : daysOfSet(self.weekday, month)
  const days = whole & (self.either ? byDay | byWeekday : byDay & byWeekday)
  return self.weeks === undefined || days === 0 ? days : days & daysOfWeeks(self.weeks, month)
}

const lowest = (set: number): number => 31 - Math.clz32(set & -set)
const highest = (set: number): number => 31 - Math.clz32(set)

/** The bits from one on. */
const from = (bit: number): number => -1 << bit

/** The bits up to one. */
const upTo = (bit: number): number => -1 >>> (31 - bit)

const DAY = 86_400

// The Gregorian calendar, weekdays included, repeats every 400 years: what is not found in one cycle never occurs.
const CYCLE = 400

/**
 * The set of local times that an expression selects, in the form that `CivilTime` walks.
 *
 * @since 0.1.0
 * @category search
 */
export const toCivilSet = (self: CronExpression): CivilTime.CivilSet => {
  const search = new Search(self)
  return { next: (local) => search.next(local), previous: (local) => search.previous(local) }
}

/** What no member of a set is, and no time of a day: the search goes on with the next or the previous day. */
const NONE = -1

const HALF = 30

/** Numbers below 60, as the bits of two words: the first one at or after a number, and the last one at or before it. */
class Steps {
  readonly first: number
  readonly last: number
  readonly #low: number
  readonly #high: number

  constructor(values: ReadonlyArray<number>) {
    this.first = values[0]!
    this.last = values.at(-1)!
    let [low, high] = [0, 0]
    for (const value of values) {
      if (value < HALF) low |= 1 << value
      else high |= 1 << (value - HALF)
    }
    this.#low = low
    this.#high = high
  }

  next(number: number): number {
    const low = number < HALF ? this.#low & from(number) : 0
    if (low !== 0) return lowest(low)
    const high = number < HALF ? this.#high : this.#high & from(number - HALF)
    return high === 0 ? NONE : HALF + lowest(high)
  }

  previous(number: number): number {
    if (number < 0) return NONE
    const high = number < HALF ? 0 : this.#high & upTo(number - HALF)
    if (high !== 0) return HALF + highest(high)
    const low = number < HALF ? this.#low & upTo(number) : this.#low
    return low === 0 ? NONE : highest(low)
  }
}

class Search {
  readonly #dates: Dates
  readonly #hours: Steps
  readonly #minutes: Steps
  readonly #seconds: Steps
  readonly #firstTime: number
  readonly #lastTime: number
  /** Kinds of years, by `kindOfYear`, in which no day matches. */
  #barren = 0
  /** The month that was looked at last, and its days that match. */
  #month: Month = monthOf(1970, 1)
  #days: number

  constructor({ day, either, hours, minutes, months, seconds, weekday, weeks, years }: CronExpression) {
    this.#dates = { years, months, day, weekday, either, weeks }
    this.#hours = new Steps(hours)
    this.#minutes = new Steps(minutes)
    this.#seconds = new Steps(seconds)
    this.#firstTime = time(this.#hours.first, this.#minutes.first, this.#seconds.first)
    this.#lastTime = time(this.#hours.last, this.#minutes.last, this.#seconds.last)
    this.#days = daysOf(this.#dates, this.#month)
  }

  next(local: number): number {
    const dayNumber = Math.floor(local / DAY)
    const time = this.#nextTime((local - dayNumber * DAY) | 0)
    const day = this.#nextDay(time === NONE ? dayNumber + 1 : dayNumber)
    return day * DAY + (day === dayNumber ? time : this.#firstTime)
  }

  previous(local: number): number {
    const dayNumber = Math.floor(local / DAY)
    const time = this.#previousTime((local - dayNumber * DAY) | 0)
    const day = this.#previousDay(time === NONE ? dayNumber - 1 : dayNumber)
    return day * DAY + (day === dayNumber ? time : this.#lastTime)
  }

  #nextTime(at: number): number {
    const hour = (at / 3600) | 0
    const minute = ((at / 60) | 0) - 60 * hour
    if (this.#hours.next(hour) === hour) {
      const s = this.#minutes.next(minute) === minute ? this.#seconds.next(at % 60) : NONE
      if (s !== NONE) return time(hour, minute, s)
      const m = this.#minutes.next(minute + 1)
      if (m !== NONE) return time(hour, m, this.#seconds.first)
    }
    const h = this.#hours.next(hour + 1)
    return h === NONE ? NONE : time(h, this.#minutes.first, this.#seconds.first)
  }

  #previousTime(at: number): number {
    const hour = (at / 3600) | 0
    const minute = ((at / 60) | 0) - 60 * hour
    if (this.#hours.previous(hour) === hour) {
      const s = this.#minutes.previous(minute) === minute ? this.#seconds.previous(at % 60) : NONE
      if (s !== NONE) return time(hour, minute, s)
      const m = this.#minutes.previous(minute - 1)
      if (m !== NONE) return time(hour, m, this.#seconds.last)
    }
    const h = this.#hours.previous(hour - 1)
    return h === NONE ? NONE : time(h, this.#minutes.last, this.#seconds.last)
  }

  #nextDay(dayNumber: number): number {
    if (dayNumber > LAST_DAY) return Infinity
    if (dayNumber === this.#month.firstDayNumber + this.#month.length) return this.#dayAfterMonth()
    const first = this.#lookAt(Math.max(dayNumber, 0))
    const days = this.#days & from(Math.max(dayNumber, 0) - first)
    return days === 0 ? this.#dayAfterMonth() : first + lowest(days)
  }

  #previousDay(dayNumber: number): number {
    if (dayNumber < 0) return -Infinity
    if (dayNumber === this.#month.firstDayNumber - 1) return this.#dayBeforeMonth()
    const first = this.#lookAt(Math.min(dayNumber, LAST_DAY))
    const days = this.#days & upTo(Math.min(dayNumber, LAST_DAY) - first)
    return days === 0 ? this.#dayBeforeMonth() : first + highest(days)
  }

  #dayAfterMonth(): number {
    const { months, years } = this.#dates
    const { month, year: start } = this.#month
    const day = this.#firstDay(start, months & from(month))
    if (day !== NONE) return day
    const bound = years === undefined ? Math.min(start + CYCLE, MAX_YEAR) : MAX_YEAR
    for (let year = start + 1; year <= bound; year++) {
      if ((years !== undefined && !years.has(year)) || this.#isBarren(year)) continue
      const day = this.#firstDay(year, months)
      if (day !== NONE) return day
      this.#barren |= 1 << kindOfYear(year)
    }
    return Infinity
  }

  #dayBeforeMonth(): number {
    const { months, years } = this.#dates
    const { month, year: start } = this.#month
    const day = this.#lastDay(start, months & ~from(month - 1))
    if (day !== NONE) return day
    const bound = years === undefined ? Math.max(start - CYCLE, MIN_YEAR) : MIN_YEAR
    for (let year = start - 1; year >= bound; year--) {
      if ((years !== undefined && !years.has(year)) || this.#isBarren(year)) continue
      const day = this.#lastDay(year, months)
      if (day !== NONE) return day
      this.#barren |= 1 << kindOfYear(year)
    }
    return -Infinity
  }

  #isBarren(year: number): boolean {
    return (this.#barren & (1 << kindOfYear(year))) !== 0
  }

  #firstDay(year: number, months: number): number {
    for (let rest = months; rest !== 0; rest &= rest - 1) {
      const days = this.#daysIn(year, lowest(rest) + 1)
      if (days !== 0) return this.#month.firstDayNumber + lowest(days)
    }
    return NONE
  }

  #lastDay(year: number, months: number): number {
    for (let rest = months; rest !== 0; rest ^= 1 << highest(rest)) {
      const days = this.#daysIn(year, highest(rest) + 1)
      if (days !== 0) return this.#month.firstDayNumber + highest(days)
    }
    return NONE
  }

  /** Looks at the month of a day; the number of its first day. */
  #lookAt(dayNumber: number): number {
    const { firstDayNumber, length } = this.#month
    if (dayNumber >= firstDayNumber && dayNumber < firstDayNumber + length) return firstDayNumber
    const { month, year } = CivilTime.fromDayNumber(dayNumber)
    this.#daysIn(year, month)
    return this.#month.firstDayNumber
  }

  #daysIn(year: number, month: number): number {
    this.#month = monthOf(year, month)
    this.#days = daysOf(this.#dates, this.#month)
    return this.#days
  }
}

const LAST_DAY = CivilTime.toDayNumber(MAX_YEAR, 12, 31)

const time = (hour: number, minute: number, second: number): number => hour * 3600 + minute * 60 + second

/** Years of one kind have the same weekdays and ISO weeks on the same dates: 28 kinds. */
const kindOfYear = (year: number): number => KINDS[year % CYCLE]!

const KINDS = Uint8Array.from({ length: CYCLE }, (_, year) => {
  const isLeap = CivilTime.daysInMonth(year, 2) === 29
  const followsLeap = CivilTime.daysInMonth(year - 1, 2) === 29
  return 4 * CivilTime.weekday(CivilTime.toDayNumber(year, 1, 1)) + (isLeap ? 2 : 0) + (followsLeap ? 1 : 0)
})
