import { assert, describe, it } from "@effect/vitest"
import { DateTime, FastCheck, Option } from "effect"
import { setImmediate } from "node:timers/promises"
import * as Trigger from "../src/Trigger.ts"
import { DAY, offsetAt, type Transition, transitions, transitionsOfYear } from "./ZoneOracle.ts"

/**
 * A second opinion on civil time that shares no code with src: zones are read from Intl alone, every instant of a window
 * is looked at, and a generated field carries the values it means next to the text that says so.
 *
 * `ORACLE_RUNS=20000 npx vitest run test/Trigger.oracle.test.ts` looks for longer.
 */
const RUNS = Number(process.env.ORACLE_RUNS ?? 300)
const RUNS_PER_TEST = 100
const SEED = 20_261_122

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString().replace(".000", "")

// ---------------------------------------------------------------------------------------------------------------------
// days and fields
// ---------------------------------------------------------------------------------------------------------------------

interface Day {
  readonly year: number
  readonly month: number
  readonly day: number
  readonly length: number
  /** From Monday. */
  readonly weekday: number
  readonly week: number
}

/** Week 1 is the one with January 4th in it. */
const firstMonday = (year: number): number => {
  const fourth = Date.UTC(year, 0, 4) / 1000 / DAY
  return fourth - ((new Date(fourth * DAY * 1000).getUTCDay() + 6) % 7)
}

const weekOf = (dayNumber: number, year: number): number => {
  const start = [year + 1, year, year - 1].map(firstMonday).find((monday) => monday <= dayNumber)!
  return Math.floor((dayNumber - start) / 7) + 1
}

const dayOf = (dayNumber: number): Day => {
  const date = new Date(dayNumber * DAY * 1000)
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth() + 1]
  return {
    year,
    month,
    day: date.getUTCDate(),
    length: new Date(Date.UTC(year, month, 0)).getUTCDate(),
    weekday: (date.getUTCDay() + 6) % 7,
    week: weekOf(dayNumber, year)
  }
}

/** Every `step`th value from `from` to `to`; a `to` before `from` lies in the next round. */
interface Values {
  readonly text: string
  readonly from: number
  readonly to: number
  readonly step: number
}

type DayTerm =
  | Values
  | { readonly text: string; readonly nth: number; readonly weekday: number }
  | { readonly text: string; readonly lastWeekday: number }
  | { readonly text: string; readonly beforeLast: number }
  | { readonly text: string; readonly nearest: number }

interface Domain {
  readonly min: number
  readonly max: number
  /** After how many values a round ends: 7 for weekdays counted from 0 to 7. */
  readonly size: number
  readonly names?: ReadonlyArray<string>
  readonly wraps?: boolean
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
const CRON_WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

const DOMAINS = {
  year: { min: 1970, max: 9999, size: 8030 },
  month: { min: 1, max: 12, size: 12, names: ["", ...MONTHS], wraps: true },
  day: { min: 1, max: 31, size: 31 },
  week: { min: 1, max: 53, size: 53 },
  dayOfWeek: { min: 0, max: 6, size: 7, names: WEEKDAYS, wraps: true },
  hour: { min: 0, max: 23, size: 24 },
  minute: { min: 0, max: 59, size: 60 },
  second: { min: 0, max: 59, size: 60 }
} satisfies Record<string, Domain>

type Name = keyof typeof DOMAINS

const CRONTAB_WEEKDAY: Domain = { min: 0, max: 7, size: 7, names: CRON_WEEKDAYS, wraps: true }

const holds = ({ from, step, to }: Values, { size }: Domain, value: number): boolean => {
  const end = to < from ? to + size : to
  return [value, value + size].some((v) => from <= v && v <= end && (v - from) % step === 0)
}

/** The working day nearest to a date of this month, looked for among all of them. */
const isNearest = (day: Day, wanted: number): boolean => {
  const goal = wanted === 0 ? day.length : wanted
  const weekdayOf = (d: number) => (day.weekday + (d - day.day) + 70) % 7
  const working = Array.from({ length: day.length }, (_, i) => i + 1).filter((d) => weekdayOf(d) < 5)
  const distances = working.map((d) => Math.abs(d - goal))
  return goal <= day.length && working[distances.indexOf(Math.min(...distances))] === day.day
}

const isDay = (term: DayTerm, day: Day): boolean => {
  if ("nth" in term) return day.weekday === term.weekday && Math.ceil(day.day / 7) === term.nth
  if ("lastWeekday" in term) return day.weekday === term.lastWeekday && day.day + 7 > day.length
  if ("beforeLast" in term) return day.day === day.length - term.beforeLast
  if ("nearest" in term) return isNearest(day, term.nearest)
  return holds(term, DOMAINS.day, day.day)
}

/** What is to be found: which days, and which times on them. */
interface Calendar {
  readonly day: (day: Day) => boolean
  readonly hours: ReadonlyArray<boolean>
  readonly minutes: ReadonlyArray<boolean>
  readonly seconds: ReadonlyArray<boolean>
}

// ---------------------------------------------------------------------------------------------------------------------
// the walk
// ---------------------------------------------------------------------------------------------------------------------

/** All local times in `[from, to)` that match, second by second where seconds vary, else minute by minute. */
const matches = (calendar: Calendar, from: number, to: number): Array<number> => {
  const found: Array<number> = []
  const step = calendar.seconds.filter((is) => is).length === 1 && calendar.seconds[0] === true ? 60 : 1
  let local = Math.ceil(from / step) * step
  while (local < to) {
    const dayNumber = Math.floor(local / DAY)
    const end = Math.min(to, (dayNumber + 1) * DAY)
    const isDue = calendar.day(dayOf(dayNumber))
    for (; isDue && local < end; local += step) {
      const time = local - dayNumber * DAY
      if (
        calendar.hours[Math.floor(time / 3600)] === true &&
        calendar.minutes[Math.floor(time / 60) % 60] === true &&
        calendar.seconds[time % 60] === true
      ) {
        found.push(local)
      }
    }
    local = Math.max(local, (dayNumber + 1) * DAY)
  }
  return found
}

interface Window {
  readonly zone: string
  readonly from: number
  readonly to: number
}

interface Found {
  readonly instant: number
  readonly isFirstAfterGap: boolean
  readonly hasEarlierTwin: boolean
  readonly hasLaterTwin: boolean
  readonly isOnTheClock: boolean
}

/** Every instant of the window that matches, or that follows a gap in which a local time matches. */
const walk = (calendar: Calendar, { from, to, zone }: Window): ReadonlyArray<Found> => {
  const around = transitions(zone, from - 2 * DAY, to + 2 * DAY)
  const segments = [from - 2 * DAY, ...around.map(({ at }) => at)].map((start, i) => ({
    start,
    end: around[i]?.at ?? to + 2 * DAY,
    offset: around[i]?.before ?? around[i - 1]?.after ?? offsetAt(zone, from)
  }))
  const twins = (local: number) =>
    segments.map(({ end, offset, start }) =>
      start <= local - offset && local - offset < end ? local - offset : undefined
    )
  const found = new Map<number, Found>()
  for (const { end, offset, start } of segments) {
    for (const local of matches(calendar, Math.max(start, from) + offset, Math.min(end, to + 1) + offset)) {
      const instant = local - offset
      const others = around.length === 0 ? [] : twins(local)
      found.set(instant, {
        instant,
        isOnTheClock: true,
        isFirstAfterGap: false,
        hasEarlierTwin: others.some((other) => other !== undefined && other < instant),
        hasLaterTwin: others.some((other) => other !== undefined && other > instant)
      })
    }
  }
  for (const { after, at, before } of around) {
    if (at < from || at > to || matches(calendar, at + before, at + after).length === 0) continue
    const known = found.get(at) ?? { instant: at, isOnTheClock: false, hasEarlierTwin: false, hasLaterTwin: false }
    found.set(at, { ...known, isFirstAfterGap: true })
  }
  return [...found.values()].sort((a, b) => a.instant - b.instant)
}

const GAPS = ["skip", "shift"] as const
const FOLDS = ["first", "second", "both"] as const

const select = (found: ReadonlyArray<Found>, gap: (typeof GAPS)[number], fold: (typeof FOLDS)[number]) =>
  found
    .filter(
      ({ hasEarlierTwin, hasLaterTwin, isFirstAfterGap, isOnTheClock }) =>
        (gap === "shift" && isFirstAfterGap) ||
        (isOnTheClock && !(fold === "first" && hasEarlierTwin) && !(fold === "second" && hasLaterTwin))
    )
    .map(({ instant }) => instant)

// ---------------------------------------------------------------------------------------------------------------------
// the trigger's answers
// ---------------------------------------------------------------------------------------------------------------------

const seconds = (found: Option.Option<DateTime.Utc>): number | undefined =>
  Option.getOrUndefined(Option.map(found, (instant) => DateTime.toEpochMillis(instant) / 1000))

const forward = (trigger: Trigger.Trigger, { from, to }: Window): ReadonlyArray<number> => {
  const found: Array<number> = []
  let at = seconds(Trigger.next(trigger, from * 1000 - 1))
  while (at !== undefined && at <= to) {
    if (at <= (found.at(-1) ?? from - 1)) throw new Error(`next stalls at ${iso(at)}`)
    found.push(at)
    at = seconds(Trigger.next(trigger, at * 1000))
  }
  return found
}

const backward = (trigger: Trigger.Trigger, { from, to }: Window): ReadonlyArray<number> => {
  const found: Array<number> = []
  let at = seconds(Trigger.previous(trigger, to * 1000))
  while (at !== undefined && at >= from) {
    if (at >= (found.at(-1) ?? to + 1)) throw new Error(`previous stalls at ${iso(at)}`)
    found.push(at)
    at = seconds(Trigger.previous(trigger, at * 1000 - 1))
  }
  return found.reverse()
}

const assertSame = (actual: ReadonlyArray<number>, expected: ReadonlyArray<number>, question: string) => {
  const [isActual, isExpected] = [new Set(actual), new Set(expected)]
  const missing = expected.filter((instant) => !isActual.has(instant)).slice(0, 5)
  const excess = actual.filter((instant) => !isExpected.has(instant)).slice(0, 5)
  assert.deepStrictEqual({ missing: missing.map(iso), excess: excess.map(iso) }, { missing: [], excess: [] }, question)
  assert.strictEqual(actual.length, expected.length, question)
}

type Policies = {
  readonly gap: (typeof GAPS)[number]
  readonly fold: (typeof FOLDS)[number]
  readonly timezone: string
}

/** Compares all policies in both directions, and gives how many different answers they had. */
const compare = (window: Window, calendar: Calendar, make: (policies: Policies) => Trigger.Trigger): number => {
  const found = walk(calendar, window)
  const answers = new Set<string>()
  for (const gap of GAPS) {
    for (const fold of FOLDS) {
      const expected = select(found, gap, fold)
      const trigger = make({ gap, fold, timezone: window.zone })
      const question = `${JSON.stringify(trigger)} from ${iso(window.from)} to ${iso(window.to)}`
      assertSame(forward(trigger, window), expected, `next: ${question}`)
      assertSame(backward(trigger, window), expected, `previous: ${question}`)
      answers.add(expected.join())
    }
  }
  return answers.size
}

// ---------------------------------------------------------------------------------------------------------------------
// places
// ---------------------------------------------------------------------------------------------------------------------

/** Zone, its transition, and the offsets around it. */
const NOTABLE: ReadonlyArray<readonly [zone: string, at: string, before: string, after: string]> = [
  ["Africa/Cairo", "2010-08-10T21:00:00Z", "03:00:00", "02:00:00"],
  ["Africa/Cairo", "2023-04-27T22:00:00Z", "02:00:00", "03:00:00"],
  ["Africa/Casablanca", "2025-02-23T02:00:00Z", "01:00:00", "00:00:00"],
  ["Africa/Monrovia", "1972-01-07T00:44:30Z", "-00:44:30", "00:00:00"],
  ["America/Caracas", "2007-12-09T07:00:00Z", "-04:00:00", "-04:30:00"],
  ["America/Havana", "2024-03-10T05:00:00Z", "-05:00:00", "-04:00:00"],
  ["America/Havana", "2024-11-03T05:00:00Z", "-04:00:00", "-05:00:00"],
  ["America/New_York", "2024-03-10T07:00:00Z", "-05:00:00", "-04:00:00"],
  ["America/Recife", "2000-10-08T03:00:00Z", "-03:00:00", "-02:00:00"],
  ["America/Santiago", "2024-09-08T04:00:00Z", "-04:00:00", "-03:00:00"],
  ["America/Sao_Paulo", "2018-11-04T03:00:00Z", "-03:00:00", "-02:00:00"],
  ["America/Sao_Paulo", "2019-02-17T02:00:00Z", "-02:00:00", "-03:00:00"],
  ["America/St_Johns", "1988-04-03T03:31:00Z", "-03:30:00", "-01:30:00"],
  ["Antarctica/Casey", "2010-03-04T15:00:00Z", "11:00:00", "08:00:00"],
  ["Antarctica/Troll", "2024-03-31T01:00:00Z", "00:00:00", "02:00:00"],
  ["Antarctica/Troll", "2024-10-27T01:00:00Z", "02:00:00", "00:00:00"],
  ["Asia/Beirut", "2024-03-30T22:00:00Z", "02:00:00", "03:00:00"],
  ["Asia/Kathmandu", "1985-12-31T18:30:00Z", "05:30:00", "05:45:00"],
  ["Asia/Pyongyang", "2015-08-14T15:00:00Z", "09:00:00", "08:30:00"],
  ["Asia/Pyongyang", "2018-05-04T15:00:00Z", "08:30:00", "09:00:00"],
  ["Australia/Lord_Howe", "2024-04-06T15:00:00Z", "11:00:00", "10:30:00"],
  ["Australia/Lord_Howe", "2024-10-05T15:30:00Z", "10:30:00", "11:00:00"],
  ["Europe/Berlin", "2024-03-31T01:00:00Z", "01:00:00", "02:00:00"],
  ["Europe/Berlin", "2024-10-27T01:00:00Z", "02:00:00", "01:00:00"],
  ["Europe/Istanbul", "2016-03-27T01:00:00Z", "02:00:00", "03:00:00"],
  ["Pacific/Apia", "2011-12-30T10:00:00Z", "-10:00:00", "14:00:00"],
  ["Pacific/Kwajalein", "1993-08-21T12:00:00Z", "-12:00:00", "12:00:00"]
]

const offsetText = (offset: number): string =>
  (offset < 0 ? "-" : "") + new Date(Math.abs(offset) * 1000).toISOString().slice(11, 19)

interface Place {
  readonly zone: string
  readonly year: number
  readonly pick: number
}

const AnyPlaces: FastCheck.Arbitrary<Place> = FastCheck.record({
  zone: FastCheck.constantFrom(...Intl.supportedValuesOf("timeZone")),
  year: FastCheck.integer({ min: 1970, max: 2037 }),
  pick: FastCheck.nat(11)
})

const Places = FastCheck.oneof(
  {
    weight: 3,
    arbitrary: FastCheck.constantFrom(...NOTABLE).map(
      ([zone, at]): Place => ({
        zone,
        year: Number(at.slice(0, 4)),
        pick: transitionsOfYear(`${zone} ${at.slice(0, 4)}`).findIndex((transition) => iso(transition.at) === at)
      })
    )
  },
  {
    weight: 6,
    arbitrary: AnyPlaces.filter(({ year, zone }) => transitionsOfYear(`${zone} ${year}`).length > 0)
  },
  { weight: 1, arbitrary: AnyPlaces }
)

/** A transition of that year, or its first day where there is none. */
const momentOf = ({ pick, year, zone }: Place): Transition => {
  const found = transitionsOfYear(`${zone} ${year}`)
  const at = Date.UTC(year, 0, 1) / 1000
  return found[pick % found.length] ?? { at, before: offsetAt(zone, at), after: offsetAt(zone, at) }
}

type Scale = "seconds" | "days" | "years"

interface Scene extends Window {
  readonly scale: Scale
  /** Values of every field within an hour of the moment, on either side's clock. */
  readonly near: Record<Name, ReadonlyArray<number>>
}

const nearOf = ({ after, at, before }: Transition): Scene["near"] => {
  const instants = Array.from({ length: 9 }, (_, i) => at + (i - 4) * 900)
  const locals = instants.flatMap((instant) => [instant + before, instant + after])
  const dates = locals.map((local) => dayOf(Math.floor(local / DAY)))
  return {
    year: dates.map(({ year }) => Math.max(year, 1970)),
    month: dates.map(({ month }) => month),
    day: dates.map(({ day }) => day),
    week: dates.map(({ week }) => week),
    dayOfWeek: dates.map(({ weekday }) => weekday),
    hour: locals.map((local) => Math.floor((((local % DAY) + DAY) % DAY) / 3600)),
    minute: [0, 59, ...locals.map((local) => ((Math.floor(local / 60) % 60) + 60) % 60)],
    second: [0, 30, 59]
  }
}

const Scenes = FastCheck.record({
  place: Places,
  scale: FastCheck.oneof(
    { weight: 2, arbitrary: FastCheck.constant<Scale>("seconds") },
    { weight: 6, arbitrary: FastCheck.constant<Scale>("days") },
    { weight: 2, arbitrary: FastCheck.constant<Scale>("years") }
  ),
  before: FastCheck.double({ min: 0.5, max: 1, noNaN: true }),
  after: FastCheck.double({ min: 0.5, max: 1, noNaN: true })
}).map(({ after, before, place, scale }): Scene => {
  const moment = momentOf(place)
  const reach = scale === "seconds" ? 6000 : scale === "days" ? 3 * DAY : 800 * DAY
  return {
    zone: place.zone,
    scale,
    from: moment.at - Math.floor(before * reach),
    to: moment.at + Math.floor(after * reach),
    near: nearOf(moment)
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// texts
// ---------------------------------------------------------------------------------------------------------------------

interface Style extends Domain {
  readonly near: ReadonlyArray<number>
  /** Steps may be longer than the range. */
  readonly isLenient: boolean
  /** What a star, and an open end, run to. */
  readonly last: number
}

const Numbers = ({ max, min, near }: Style) =>
  FastCheck.oneof(
    { weight: 9, arbitrary: FastCheck.constantFrom(...near) },
    { weight: 1, arbitrary: FastCheck.integer({ min, max: Math.min(max, min + 100) }) }
  )

/** A number, or its name in any case; only 7 for Sunday has none, for `sun` is 0. */
const Words = ({ names }: Style, value: number) => {
  const name = names?.[value]
  return FastCheck.constantFrom(String(value), ...(name === undefined ? [] : [name, name.toUpperCase()]))
}

const Steps = (style: Style, span: number) =>
  FastCheck.integer({ min: 1, max: style.isLenient ? style.max - style.min + 1 : Math.max(1, Math.min(span, 100)) })

const Single = (style: Style): FastCheck.Arbitrary<Values> =>
  Numbers(style).chain((from) => Words(style, from).map((text) => ({ text, from, to: from, step: 1 })))

const Starred = (style: Style): FastCheck.Arbitrary<Values> =>
  Steps(style, style.max - style.min).map((step) => ({ text: `*/${step}`, from: style.min, to: style.last, step }))

const Opened = (style: Style): FastCheck.Arbitrary<Values> =>
  Numbers(style).chain((from) =>
    FastCheck.tuple(Words(style, from), Steps(style, style.max - from)).map(([word, step]) => ({
      text: `${word}/${step}`,
      from,
      to: Math.max(from, style.last),
      step
    }))
  )

const Ranged = (style: Style): FastCheck.Arbitrary<Values> =>
  FastCheck.tuple(Numbers(style), Numbers(style), FastCheck.boolean()).chain(([a, b, isStepped]) => {
    const [from, to] = style.wraps === true ? [a, b] : [Math.min(a, b), Math.max(a, b)]
    const span = to < from ? to - from + style.max - style.min + 1 : to - from
    return FastCheck.tuple(Words(style, from), Words(style, to), Steps(style, span)).map(([first, last, step]) => ({
      text: `${first}-${last}${isStepped ? `/${step}` : ""}`,
      from,
      to,
      step: isStepped ? step : 1
    }))
  })

const Terms = (style: Style): FastCheck.Arbitrary<Values> =>
  FastCheck.oneof(
    { weight: 4, arbitrary: Single(style) },
    { weight: 2, arbitrary: Starred(style) },
    { weight: 1, arbitrary: Opened(style) },
    { weight: 2, arbitrary: Ranged(style) }
  )

interface Field<Term> {
  readonly text: string
  readonly terms: ReadonlyArray<Term>
}

const fieldOf =
  (comma: string) =>
  <Term extends { readonly text: string }>(terms: ReadonlyArray<Term>): Field<Term> => ({
    text: terms.map(({ text }) => text).join(comma),
    terms
  })

const listOf = <Term extends { readonly text: string }>(term: FastCheck.Arbitrary<Term>, comma = ",") =>
  FastCheck.array(term, { minLength: 1, maxLength: 3 }).map(fieldOf(comma))

const starOf = ({ last, min }: Style): Field<Values> => fieldOf("")([{ text: "*", from: min, to: last, step: 1 }])

const styleOf = (domain: Domain, near: ReadonlyArray<number>, isLenient: boolean): Style => ({
  ...domain,
  near,
  isLenient,
  last: Math.min(domain.max, domain.min + domain.size - 1)
})

const table = ({ max }: Domain, is: (value: number) => boolean): ReadonlyArray<boolean> =>
  Array.from({ length: max + 1 }, (_, value) => is(value))

interface Case<Fields> {
  readonly window: Window
  readonly fields: Fields
}

const caseOf =
  ({ from, to, zone }: Window) =>
  <Fields>(fields: Fields): Case<Fields> => ({ window: { zone, from, to }, fields })

const anyHolds = (field: Field<Values>, domain: Domain) => (value: number) =>
  field.terms.some((term) => holds(term, domain, value))

// ---------------------------------------------------------------------------------------------------------------------
// cron
// ---------------------------------------------------------------------------------------------------------------------

type CronFields = { readonly day: Field<DayTerm> | undefined } & {
  readonly [K in Exclude<Name, "day">]: Field<Values> | undefined
}

const ORDINALS = ["1st", "2nd", "3rd", "4th", "5th"]

const CronDayTerms = (style: Style): FastCheck.Arbitrary<DayTerm> =>
  FastCheck.oneof(
    { weight: 4, arbitrary: Terms(style) },
    {
      weight: 1,
      arbitrary: FastCheck.constantFrom<DayTerm>({ text: "last", beforeLast: 0 }, { text: "LAST", beforeLast: 0 })
    },
    {
      weight: 1,
      arbitrary: FastCheck.record({ nth: FastCheck.integer({ min: 1, max: 5 }), weekday: FastCheck.nat(6) }).map(
        (of) => ({
          text: `${ORDINALS[of.nth - 1]} ${WEEKDAYS[of.weekday]}`,
          ...of
        })
      )
    },
    {
      weight: 1,
      arbitrary: FastCheck.nat(6).map((weekday) => ({ text: `Last ${WEEKDAYS[weekday]}`, lastWeekday: weekday }))
    }
  )

/** Present in so many cases of ten. */
const sometimes = <A>(tenths: number, arbitrary: FastCheck.Arbitrary<A>): FastCheck.Arbitrary<A | undefined> =>
  FastCheck.oneof({ weight: tenths, arbitrary }, { weight: 10 - tenths, arbitrary: FastCheck.constant(undefined) })

const CronFieldsOf = ({ near, scale }: Scene): FastCheck.Arbitrary<CronFields> => {
  const style = (name: Name) => styleOf(DOMAINS[name], near[name], false)
  const field = (name: Name) =>
    FastCheck.oneof(FastCheck.constant(starOf(style(name))), listOf(Terms(style(name)), ", "))
  const time = (name: Name) =>
    scale === "years" ? Single(style(name)).map((term) => fieldOf("")([term])) : field(name)
  return FastCheck.record({
    year: sometimes(1, field("year")),
    month: sometimes(2, field("month")),
    day: sometimes(3, listOf(CronDayTerms(style("day")), " , ")),
    week: sometimes(1, field("week")),
    dayOfWeek: sometimes(3, field("dayOfWeek")),
    hour: sometimes(scale === "years" ? 10 : 7, time("hour")),
    minute: sometimes(scale === "years" ? 10 : 7, time("minute")),
    second: sometimes(scale === "seconds" ? 7 : 0, field("second"))
  }).filter((fields) => Object.values(fields).some((given) => given !== undefined))
}

const NAMES = Object.keys(DOMAINS) as ReadonlyArray<Name>

const cronCalendar = (given: CronFields): Calendar => {
  const least = NAMES.findLastIndex((name) => given[name] !== undefined)
  /** A field that is not given is every value if a less significant one is, or it is a week's; else its first. */
  const is = (name: Exclude<Name, "day">) => {
    const { [name]: field } = given
    const isOpen = NAMES.indexOf(name) < least || name === "week" || name === "dayOfWeek"
    return field === undefined ? (v: number) => isOpen || v === DOMAINS[name].min : anyHolds(field, DOMAINS[name])
  }
  const [year, month, week, dayOfWeek] = [is("year"), is("month"), is("week"), is("dayOfWeek")]
  const { day: days } = given
  const isDayOpen = NAMES.indexOf("day") < least
  return {
    day: (day) =>
      day.year >= 1970 &&
      year(day.year) &&
      month(day.month) &&
      week(day.week) &&
      dayOfWeek(day.weekday) &&
      (days === undefined ? isDayOpen || day.day === 1 : days.terms.some((term) => isDay(term, day))),
    hours: table(DOMAINS.hour, is("hour")),
    minutes: table(DOMAINS.minute, is("minute")),
    seconds: table(DOMAINS.second, is("second"))
  }
}

const cronTexts = (fields: CronFields): Trigger.CronOptions =>
  Object.fromEntries(NAMES.map((name) => [name, fields[name]?.text] as const))

const CronCases = Scenes.chain((scene) => CronFieldsOf(scene).map(caseOf(scene)))

// ---------------------------------------------------------------------------------------------------------------------
// crontab
// ---------------------------------------------------------------------------------------------------------------------

interface CrontabFields {
  readonly minute: Field<Values>
  readonly hour: Field<Values>
  readonly day: Field<DayTerm>
  readonly month: Field<Values>
  readonly dayOfWeek: Field<Values | DayTerm>
}

const CrontabDayTerms = (style: Style): FastCheck.Arbitrary<DayTerm> =>
  FastCheck.oneof(
    { weight: 5, arbitrary: Terms(style) },
    { weight: 1, arbitrary: FastCheck.constant({ text: "L", beforeLast: 0 }) },
    { weight: 1, arbitrary: FastCheck.integer({ min: 1, max: 30 }).map((n) => ({ text: `L-${n}`, beforeLast: n })) },
    { weight: 1, arbitrary: FastCheck.constant({ text: "LW", nearest: 0 }) },
    { weight: 2, arbitrary: Numbers(style).map((day) => ({ text: `${day}W`, nearest: day })) }
  )

const CrontabWeekdayTerms = (style: Style): FastCheck.Arbitrary<Values | DayTerm> => {
  const fromMonday = (weekday: number) => (weekday + 6) % 7
  const Named = Numbers(style).chain((weekday) =>
    Words(style, weekday).map((word) => ({ word, weekday: fromMonday(weekday) }))
  )
  return FastCheck.oneof<FastCheck.MaybeWeightedArbitrary<Values | DayTerm>[]>(
    { weight: 5, arbitrary: Terms(style) },
    { weight: 1, arbitrary: Named.map(({ weekday, word }) => ({ text: `${word}L`, lastWeekday: weekday })) },
    {
      weight: 1,
      arbitrary: FastCheck.tuple(Named, FastCheck.integer({ min: 1, max: 5 })).map(([{ weekday, word }, nth]) => ({
        text: `${word}#${nth}`,
        nth,
        weekday
      }))
    }
  )
}

const CrontabFieldsOf = ({ near, scale }: Scene): FastCheck.Arbitrary<CrontabFields> => {
  const style = (name: Exclude<Name, "dayOfWeek">) => styleOf(DOMAINS[name], near[name], true)
  const weekday = styleOf(
    CRONTAB_WEEKDAY,
    near.dayOfWeek.map((day) => (day + 1) % 7),
    true
  )
  const time = (name: "hour" | "minute") =>
    scale === "years"
      ? Single(style(name)).map((term) => fieldOf("")([term]))
      : FastCheck.oneof(FastCheck.constant(starOf(style(name))), listOf(Terms(style(name))))
  /** `*`, `?`, and a list that starts with a star but is longer. */
  const open = (of: Style) =>
    FastCheck.oneof(
      { weight: 5, arbitrary: FastCheck.constant(starOf(of)) },
      { weight: 1, arbitrary: FastCheck.constant({ ...starOf(of), text: "?" }) },
      { weight: 1, arbitrary: listOf(Terms(of)).map((list) => fieldOf(",")([...starOf(of).terms, ...list.terms])) }
    )
  return FastCheck.record({
    minute: time("minute"),
    hour: time("hour"),
    day: FastCheck.oneof<FastCheck.Arbitrary<Field<DayTerm>>[]>(
      open(style("day")),
      listOf(CrontabDayTerms(style("day")))
    ),
    month: FastCheck.oneof(
      { weight: 3, arbitrary: FastCheck.constant(starOf(style("month"))) },
      { weight: 1, arbitrary: listOf(Terms(style("month"))) }
    ),
    dayOfWeek: FastCheck.oneof<FastCheck.Arbitrary<Field<Values | DayTerm>>[]>(
      open(weekday),
      listOf(CrontabWeekdayTerms(weekday))
    )
  })
}

const crontabCalendar = ({ day: days, dayOfWeek, hour, minute, month }: CrontabFields): Calendar => {
  const isMonth = anyHolds(month, DOMAINS.month)
  const isWeekday = (day: Day) =>
    dayOfWeek.terms.some((term) =>
      "from" in term ? holds(term, CRONTAB_WEEKDAY, (day.weekday + 1) % 7) : isDay(term, day)
    )
  const isOpen = ({ text }: { readonly text: string }) => text.startsWith("*") || text === "?"
  const isEither = !isOpen(days) && !isOpen(dayOfWeek)
  return {
    day: (day) => {
      if (day.year < 1970 || !isMonth(day.month)) return false
      const isOfMonth = days.terms.some((term) => isDay(term, day))
      return isEither ? isOfMonth || isWeekday(day) : isOfMonth && isWeekday(day)
    },
    hours: table(DOMAINS.hour, anyHolds(hour, DOMAINS.hour)),
    minutes: table(DOMAINS.minute, anyHolds(minute, DOMAINS.minute)),
    seconds: table(DOMAINS.second, (second) => second === 0)
  }
}

const crontabText = ({ day, dayOfWeek, hour, minute, month }: CrontabFields): string =>
  [minute, hour, day, month, dayOfWeek].map(({ text }) => text).join(" ")

const CrontabCases = Scenes.chain((scene) => CrontabFieldsOf(scene).map(caseOf(scene)))

// ---------------------------------------------------------------------------------------------------------------------
// tests
// ---------------------------------------------------------------------------------------------------------------------

/** Tests of a hundred cases each, so that a long run shows where it is. */
const itAgrees = <Fields>(
  name: string,
  cases: FastCheck.Arbitrary<Case<Fields>>,
  compareCase: (given: Case<Fields>) => number
) => {
  for (let block = 0; block * RUNS_PER_TEST < RUNS; block++) {
    it(`${name}, seed ${SEED + block}`, async () => {
      // Lets vitest report in between.
      await setImmediate()
      let distinct = 0
      FastCheck.assert(
        FastCheck.property(cases, (given) => {
          distinct += compareCase(given) - 1
        }),
        { seed: SEED + block, numRuns: RUNS_PER_TEST }
      )
      assert.isAbove(distinct, RUNS_PER_TEST / 4, "the policies hardly ever made a difference")
    })
  }
}

const CENTRE = 2026
const FIRST = Date.UTC(CENTRE - 2, 0, 1) / 1000
const LAST = Date.UTC(CENTRE + 3, 0, 1) / 1000

/** Some hours, or all of them, and some minutes of each day. */
const ofTimes = (hours: ReadonlySet<number> | undefined, minutes: ReadonlyArray<number>): Calendar => ({
  day: () => true,
  hours: table(DOMAINS.hour, (hour) => hours?.has(hour) ?? true),
  minutes: table(DOMAINS.minute, (minute) => minutes.includes(minute)),
  seconds: table(DOMAINS.second, (second) => second === 0)
})

describe("the oracle", () => {
  it.each(NOTABLE)("knows that %s changes at %s", (zone, at, before, after) => {
    const found = transitionsOfYear(`${zone} ${at.slice(0, 4)}`)
    assert.deepInclude(
      found.map((transition) => [iso(transition.at), offsetText(transition.before), offsetText(transition.after)]),
      [at, before, after]
    )
  })

  itAgrees("agrees with cron in both directions under all policies", CronCases, ({ fields, window }) =>
    compare(window, cronCalendar(fields), (policies) => Trigger.cron({ ...cronTexts(fields), ...policies }))
  )

  itAgrees("agrees with crontab in both directions under all policies", CrontabCases, ({ fields, window }) =>
    compare(window, crontabCalendar(fields), (policies) => Trigger.crontab(crontabText(fields), policies))
  )

  it(`agrees with cron at every transition of every zone within two years of ${CENTRE}`, () => {
    let count = 0
    for (const zone of Intl.supportedValuesOf("timeZone")) {
      for (const { after, at, before } of transitions(zone, FIRST, LAST)) {
        count++
        // The hours in which the clock jumps, and the nights on both sides.
        const hours = [at + before, at + after].map((local) => Math.floor((((local % DAY) + DAY) % DAY) / 3600))
        const nightly = { hour: [...new Set([...hours, 0])].join(), minute: "0,30" }
        compare(
          { zone, from: at - 1.2 * DAY, to: at + 1.2 * DAY },
          ofTimes(new Set([...hours, 0]), [0, 30]),
          (policies) => Trigger.cron({ ...nightly, ...policies })
        )
        compare({ zone, from: at - 3 * 3600, to: at + 3 * 3600 }, ofTimes(undefined, [0, 15, 30, 45]), (policies) =>
          Trigger.cron({ minute: "*/15", ...policies })
        )
      }
    }
    assert.isAbove(count, 500)
  }, 120_000)
})
