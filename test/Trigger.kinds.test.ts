import { assert, describe, it } from "@effect/vitest"
import {
  Clock,
  Cron,
  DateTime,
  Duration,
  Effect,
  Either,
  Equal,
  FastCheck,
  Fiber,
  Hash,
  Option,
  Schedule,
  Schema,
  TestClock
} from "effect"
import * as Holidays from "../src/Holidays.ts"
import * as Occurrences from "../src/Occurrences.ts"
import { rrule } from "../src/RRule.ts"
import { InvalidTrigger } from "../src/SchedulerError.ts"
import { type SolarEvent, solar } from "../src/Solar.ts"
import * as Trigger from "../src/Trigger.ts"
import { DAY, offsetAt, transitionsOfYear } from "./ZoneOracle.ts"

const SEED = 4_102_026

const utc = (text: string): DateTime.Utc => DateTime.unsafeMake(text)

/** Milliseconds as text, without zeros that say nothing. */
const iso = (millis: number): string => new Date(millis).toISOString().replace(":00.000Z", "Z").replace(".000Z", "Z")

const isoOf = Option.match({ onNone: () => "none", onSome: (at: DateTime.Utc) => iso(at.epochMillis) })

const next = (trigger: Trigger.Trigger, after: DateTime.DateTime.Input) => isoOf(Trigger.next(trigger, after))

const previous = (trigger: Trigger.Trigger, atOrBefore: DateTime.DateTime.Input) =>
  isoOf(Trigger.previous(trigger, atOrBefore))

const upcoming = (trigger: Trigger.Trigger, from: DateTime.DateTime.Input, limit: number) =>
  Trigger.upcoming(trigger, { from, limit }).map(({ epochMillis }) => iso(epochMillis))

const first = (trigger: Trigger.Trigger, moment: string) => isoOf(Trigger.first(trigger, utc(moment)))

const millis = Option.map(DateTime.toEpochMillis)

const nextMillis = (trigger: Trigger.Trigger, after: number) =>
  Option.getOrElse(millis(Trigger.next(trigger, after)), () => Infinity)

const previousMillis = (trigger: Trigger.Trigger, atOrBefore: number) =>
  Option.getOrElse(millis(Trigger.previous(trigger, atOrBefore)), () => -Infinity)

const refusal = (make: () => unknown): InvalidTrigger => {
  try {
    const made = make()
    throw new Error(`nothing is wrong with ${JSON.stringify(made)}`)
  } catch (error) {
    if (error instanceof InvalidTrigger) return error
    throw error
  }
}

const decode = Schema.decodeUnknownEither(Trigger.Trigger)

const assertReadBack = (trigger: Trigger.Trigger) => {
  const back = decode(JSON.parse(JSON.stringify(Schema.encodeSync(Trigger.Trigger)(trigger))))
  assert.isTrue(Either.isRight(back), `${JSON.stringify(trigger)} is refused`)
  assert.isTrue(Equal.equals(Either.getOrThrow(back), trigger), JSON.stringify(trigger))
  assert.strictEqual(Hash.hash(Either.getOrThrow(back)), Hash.hash(trigger))
}

/** The laws of design §4.2, around one moment. */
const assertLaws = (trigger: Trigger.Trigger, moment: number) => {
  const question = `${JSON.stringify(trigger)} at ${iso(moment)}`
  const after = nextMillis(trigger, moment)
  assert.isAbove(after, moment, question)
  if (after !== Infinity) {
    assert.strictEqual(previousMillis(trigger, after), after, `previous of next: ${question}`)
    assert.isAtMost(previousMillis(trigger, after - 1), moment, `between the moment and next: ${question}`)
    assert.isAbove(nextMillis(trigger, after), after, `next of next: ${question}`)
  }
  const before = previousMillis(trigger, moment)
  assert.isAtMost(before, moment, question)
  if (before !== -Infinity) {
    assert.strictEqual(nextMillis(trigger, before - 1), before, `next of previous: ${question}`)
    assert.isAbove(nextMillis(trigger, before), moment, `between previous and the moment: ${question}`)
  }
}

const assertSame = (actual: ReadonlyArray<number>, expected: ReadonlyArray<number>, question: string) => {
  const [isActual, isExpected] = [new Set(actual), new Set(expected)]
  const missing = expected.filter((instant) => !isActual.has(instant)).slice(0, 5)
  const excess = actual.filter((instant) => !isExpected.has(instant)).slice(0, 5)
  assert.deepStrictEqual({ missing: missing.map(iso), excess: excess.map(iso) }, { missing: [], excess: [] }, question)
  assert.strictEqual(actual.length, expected.length, question)
}

/** All instants from `from` to `to`, the same ones in both directions. */
const between = (trigger: Trigger.Trigger, from: number, to: number): ReadonlyArray<number> => {
  const forward: Array<number> = []
  for (let at = nextMillis(trigger, from - 1); at <= to; at = nextMillis(trigger, at)) {
    if (at <= (forward.at(-1) ?? from - 1)) throw new Error(`next stalls at ${iso(at)}: ${JSON.stringify(trigger)}`)
    forward.push(at)
  }
  const backward: Array<number> = []
  for (let at = previousMillis(trigger, to); at >= from; at = previousMillis(trigger, at - 1)) {
    if (at >= (backward.at(-1) ?? to + 1)) throw new Error(`previous stalls at ${iso(at)}: ${JSON.stringify(trigger)}`)
    backward.push(at)
  }
  assertSame(backward.reverse(), forward, `previous and next: ${JSON.stringify(trigger)}`)
  return forward
}

// ---------------------------------------------------------------------------------------------------------------------
// zones, as Intl tells them: no code of src
// ---------------------------------------------------------------------------------------------------------------------

interface Segment {
  readonly start: number
  readonly end: number
  readonly offset: number
}

const segmentsOf = (zone: string, from: number, to: number): ReadonlyArray<Segment> => {
  const [first, last] = [from, to].map((at) => new Date(at * 1000).getUTCFullYear()) as [number, number]
  const years = Array.from({ length: last - first + 1 }, (_, i) => first + i)
  const starts = years.flatMap((year) => transitionsOfYear(`${zone} ${year}`)).map(({ at }) => at)
  return [-Infinity, ...starts].map((start, i) => ({
    start,
    end: starts[i] ?? Infinity,
    offset: offsetAt(zone, start === -Infinity ? Date.UTC(first, 0, 1) / 1000 : start)
  }))
}

const GAPS = ["skip", "shift"] as const
const FOLDS = ["first", "second", "both"] as const

type Gap = (typeof GAPS)[number]
type Fold = (typeof FOLDS)[number]

/** The instants of one local time: tried out on every stretch of the zone. */
const toInstants = (segments: ReadonlyArray<Segment>, local: number, gap: Gap, fold: Fold): ReadonlyArray<number> => {
  const twins = segments
    .filter(({ end, offset, start }) => start <= local - offset && local - offset < end)
    .map(({ offset }) => local - offset)
  if (twins.length > 0) return fold === "both" ? twins : [fold === "first" ? Math.min(...twins) : Math.max(...twins)]
  const before = segments.findIndex(
    ({ end, offset }, i) => end + offset <= local && local < end + (segments[i + 1]?.offset ?? -Infinity)
  )
  return gap === "shift" ? [segments[before]!.end] : []
}

const localAt = (segments: ReadonlyArray<Segment>, instant: number): number =>
  instant + segments.find(({ end, start }) => start <= instant && instant < end)!.offset

const dayOf = (segments: ReadonlyArray<Segment>, instant: number): number =>
  Math.floor(localAt(segments, instant) / DAY)

const dateText = (day: number): string => new Date(day * DAY * 1000).toISOString().slice(0, 10)

const timeText = (time: number): string => new Date(time * 1000).toISOString().slice(11, 19)

const timeOf = (local: number): number => ((local % DAY) + DAY) % DAY

/** A zone and an instant at which it jumps, forward or back, by an hour, two, half of one, or a day; or does not. */
const PLACES: ReadonlyArray<readonly [zone: string, at: string]> = [
  ["Europe/Berlin", "2024-03-31T01:00:00Z"],
  ["Europe/Berlin", "2024-10-27T01:00:00Z"],
  ["America/New_York", "2024-03-10T07:00:00Z"],
  ["America/New_York", "2024-11-03T06:00:00Z"],
  ["America/Havana", "2024-03-10T05:00:00Z"],
  ["America/Havana", "2024-11-03T05:00:00Z"],
  ["America/Sao_Paulo", "2018-11-04T03:00:00Z"],
  ["America/Sao_Paulo", "2019-02-17T02:00:00Z"],
  ["America/Nuuk", "2024-03-31T01:00:00Z"],
  ["America/St_Johns", "2010-11-07T02:31:00Z"],
  ["Antarctica/Troll", "2024-03-31T01:00:00Z"],
  ["Antarctica/Troll", "2024-10-27T01:00:00Z"],
  ["Australia/Lord_Howe", "2024-04-06T15:00:00Z"],
  ["Australia/Lord_Howe", "2024-10-05T15:30:00Z"],
  ["Pacific/Apia", "2011-12-30T10:00:00Z"],
  ["Asia/Kathmandu", "2024-02-29T12:00:00Z"],
  ["UTC", "2024-12-31T12:00:00Z"]
]

interface Place {
  readonly zone: string
  readonly at: number
  readonly before: number
  readonly after: number
}

const placeOf = ([zone, at]: readonly [string, string]): Place => {
  const instant = Date.parse(at) / 1000
  return { zone, at: instant, before: offsetAt(zone, instant - 1), after: offsetAt(zone, instant) }
}

const Places = FastCheck.constantFrom(...PLACES).map(placeOf)

/** A time of day, mostly within an hour of the jump on either side's clock. */
const timesNear = ({ after, at, before }: Place) =>
  FastCheck.oneof(
    {
      weight: 5,
      arbitrary: FastCheck.tuple(FastCheck.constantFrom(before, after), FastCheck.integer({ min: -4, max: 4 })).map(
        ([offset, quarters]) => timeOf(at + offset + quarters * 900)
      )
    },
    { weight: 1, arbitrary: FastCheck.constantFrom(0, DAY - 1, 9 * 3600, 12 * 3600 + 5) }
  )

const always = <A>(arbitrary: FastCheck.Arbitrary<A>, law: (value: A) => void, numRuns = 100) =>
  FastCheck.assert(FastCheck.property(arbitrary, law), { seed: SEED, numRuns })

// ---------------------------------------------------------------------------------------------------------------------
// calendar intervals
// ---------------------------------------------------------------------------------------------------------------------

interface Period {
  readonly years: number
  readonly months: number
  readonly weeks: number
  readonly days: number
}

/** Every step in its turn, from the start on: the day number, or nothing where there is no such date. */
const stepsUntil = (start: number, { days, months, weeks, years }: Period, last: number): ReadonlyArray<number> => {
  const from = new Date(start * DAY * 1000)
  const found: Array<number> = []
  for (let k = 0; ; k++) {
    const month = from.getUTCMonth() + k * (12 * years + months)
    const date = new Date(Date.UTC(from.getUTCFullYear(), month, from.getUTCDate()))
    const day = date.getTime() / 1000 / DAY + k * (7 * weeks + days)
    if (day > last) return found
    if (date.getUTCDate() === from.getUTCDate()) found.push(day)
  }
}

interface CalendarCase {
  readonly place: Place
  readonly period: Period
  readonly start: number
  readonly hasTimeOfDay: boolean
  readonly end: number | undefined
  readonly time: number
}

const Periods = FastCheck.oneof(
  { weight: 3, arbitrary: FastCheck.record({ days: FastCheck.integer({ min: 1, max: 10 }) }) },
  { weight: 1, arbitrary: FastCheck.record({ weeks: FastCheck.integer({ min: 1, max: 2 }), days: FastCheck.nat(2) }) },
  { weight: 3, arbitrary: FastCheck.record({ months: FastCheck.integer({ min: 1, max: 14 }) }) },
  {
    weight: 2,
    arbitrary: FastCheck.record({
      years: FastCheck.nat(1),
      months: FastCheck.integer({ min: 1, max: 5 }),
      weeks: FastCheck.nat(1),
      days: FastCheck.nat(9)
    })
  },
  { weight: 1, arbitrary: FastCheck.record({ years: FastCheck.integer({ min: 1, max: 4 }) }) }
).map((period): Period => ({ years: 0, months: 0, weeks: 0, days: 0, ...period }))

/** So many steps before a day; more or less, for a month may have no such day. */
const back = (day: number, { days, months, weeks, years }: Period, steps: number): number => {
  const date = new Date((day - steps * (7 * weeks + days)) * DAY * 1000)
  return (
    Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - steps * (12 * years + months), date.getUTCDate()) / 1000 / DAY
  )
}

/** Days of which a zone has nothing: what starts on one starts on the next. */
const SKIPPED: Record<string, number> = { "Pacific/Apia": Date.UTC(2011, 11, 30) / 1000 / DAY }

const CalendarCases = FastCheck.tuple(Places, Periods).chain(([place, period]) =>
  FastCheck.record({
    steps: FastCheck.oneof(
      { weight: 4, arbitrary: FastCheck.nat(6) },
      { weight: 1, arbitrary: FastCheck.nat(period.months + period.years > 0 ? 100 : 3000) }
    ),
    shift: FastCheck.constantFrom(0, 0, 0, -1, 1),
    isMonthEnd: FastCheck.constantFrom(false, false, true),
    hasTimeOfDay: FastCheck.boolean(),
    end: FastCheck.option(FastCheck.nat(20), { nil: undefined, freq: 1 }),
    time: timesNear(place)
  }).map(({ end, hasTimeOfDay, isMonthEnd, shift, steps, time }): CalendarCase => {
    const day = Math.floor((place.at + place.before) / DAY) + shift
    const aimed = back(day, period, steps)
    const date = new Date(aimed * DAY * 1000)
    const monthEnd = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0) / 1000 / DAY
    const start = isMonthEnd && period.months > 0 ? monthEnd : aimed
    const last = end === undefined ? undefined : Math.max(start, day) + end
    return {
      place,
      period,
      start: start === SKIPPED[place.zone] ? start + 1 : start,
      hasTimeOfDay,
      end: last,
      time
    }
  })
)

const calendarOptions = ({ end, hasTimeOfDay, period, place, start, time }: CalendarCase) => ({
  ...period,
  hour: Math.floor(time / 3600),
  minute: Math.floor(time / 60) % 60,
  second: time % 60,
  start: `${dateText(start)}${hasTimeOfDay ? " 12:30" : ""}`,
  ...(end === undefined ? {} : { end: dateText(end) }),
  timezone: place.zone
})

describe("Trigger.calendarInterval", () => {
  it("agrees with counting all steps from the start, in both directions under all policies", () => {
    let [found, distinct] = [0, 0]
    always(
      CalendarCases,
      (given) => {
        const { end, period, place, start, time } = given
        const reach = (period.months + period.years > 0 ? 700 : 25) * DAY
        const [from, to] = [place.at - reach, place.at + reach]
        const segments = segmentsOf(place.zone, from - 2 * DAY, to + 2 * DAY)
        const steps = stepsUntil(start, period, Math.min(to / DAY + 2, end ?? Infinity))
        const locals = steps.filter((day) => day > from / DAY - 2).map((day) => day * DAY + time)
        const answers = new Set<string>()
        for (const gap of GAPS) {
          for (const fold of FOLDS) {
            const expected = locals
              .flatMap((local) => toInstants(segments, local, gap, fold))
              .filter((at) => from <= at && at <= to)
              .map((at) => at * 1000)
              .sort((a, b) => a - b)
            const trigger = Trigger.calendarInterval({ ...calendarOptions(given), gap, fold })
            const question = `${JSON.stringify(trigger)} around ${iso(place.at * 1000)}`
            // Two steps that shift onto one instant are one.
            assertSame(between(trigger, from * 1000, to * 1000), [...new Set(expected)], question)
            answers.add(expected.join())
            found += expected.length
          }
        }
        distinct += answers.size - 1
      },
      300
    )
    assert.isAbove(found, 5000)
    assert.isAbove(distinct, 50, "the policies hardly ever made a difference")
  })

  it.each<readonly [Trigger.CalendarIntervalOptions, from: string, ReadonlyArray<string>]>([
    [{ months: 1, start: "2026-01-31" }, "2026-01-01", ["2026-01-31", "2026-03-31", "2026-05-31", "2026-07-31"]],
    [{ months: 1, start: "2026-01-30" }, "2026-01-01", ["2026-01-30", "2026-03-30", "2026-04-30"]],
    [{ months: 1, start: "2028-01-29" }, "2028-01-01", ["2028-01-29", "2028-02-29", "2028-03-29"]],
    [{ months: 3, start: "2026-08-31" }, "2026-08-01", ["2026-08-31", "2027-05-31", "2027-08-31", "2028-05-31"]],
    [{ years: 1, start: "2096-02-29" }, "2096-01-01", ["2096-02-29", "2104-02-29", "2108-02-29"]],
    [{ years: 100, start: "2000-02-29" }, "2000-01-01", ["2000-02-29", "2400-02-29", "2800-02-29"]],
    [{ months: 1, days: 1, start: "2026-01-30" }, "2026-01-01", ["2026-01-30", "2026-04-01", "2026-05-03"]],
    [{ weeks: 2, days: 1, start: "2026-02-20" }, "2026-02-01", ["2026-02-20", "2026-03-07", "2026-03-22"]],
    [{ days: 3, start: "2026-02-27" }, "2026-02-28", ["2026-03-02", "2026-03-05"]],
    [{ months: 12, start: "1900-07-15" }, "2026-07-15", ["2027-07-15", "2028-07-15"]]
  ])("%j after %s", (options, from, expected) => {
    const dates = upcoming(Trigger.calendarInterval(options), from === expected[0] ? `${from}T00:00Z` : from, 10)
    assert.deepStrictEqual(
      dates.slice(0, expected.length),
      expected.map((date) => `${date}T00:00Z`)
    )
  })

  it("the same trigger asked before any step has the first step next and none before", () => {
    const trigger = Trigger.calendarInterval({ months: 1, hour: 9, start: "2026-01-31" })
    assert.strictEqual(next(trigger, "1800-01-01"), "2026-01-31T09:00Z")
    assert.strictEqual(previous(trigger, "2026-01-31T08:59:59.999Z"), "none")
    assert.strictEqual(previous(trigger, "2026-01-31T09:00:00Z"), "2026-01-31T09:00Z")
    assert.strictEqual(previous(trigger, "2026-03-30T09:00:00Z"), "2026-01-31T09:00Z")
  })

  it("the time of day of the start is no matter, only its date in the zone", () => {
    const of = (start: string) => Trigger.calendarInterval({ days: 2, hour: 9, timezone: "Asia/Tokyo", start })
    assert.strictEqual(next(of("2026-01-01"), "2025-01-01"), "2026-01-01T00:00Z")
    assert.strictEqual(next(of("2026-01-01 23:59:59"), "2025-01-01"), "2026-01-01T00:00Z")
    assert.strictEqual(next(of("2026-01-01T14:59:59Z"), "2025-01-01"), "2026-01-01T00:00Z")
    assert.strictEqual(next(of("2026-01-01T15:00:00Z"), "2025-01-01"), "2026-01-02T00:00Z")
  })

  it.each<readonly [end: Trigger.Instant, last: string]>([
    ["2026-03-10", "2026-03-10T22:30Z"],
    [" 2026-3-10 ", "2026-03-10T22:30Z"],
    ["2026-03-10 23:30", "2026-03-10T22:30Z"],
    ["2026-03-10 23:29:59", "2026-03-09T22:30Z"],
    ["2026-03-10T22:30:00Z", "2026-03-10T22:30Z"],
    [Date.UTC(2026, 2, 10, 22, 29), "2026-03-09T22:30Z"]
  ])("with end %j its last instant is %s", (end, last) => {
    const trigger = Trigger.calendarInterval({
      days: 1,
      hour: 23,
      minute: 30,
      start: "2026-03-01",
      end,
      timezone: "Europe/Berlin"
    })
    assert.strictEqual(previous(trigger, "2030-01-01"), last)
    assert.strictEqual(next(trigger, last), "none")
  })

  it("ends on the day of its start if that is its end", () => {
    const trigger = Trigger.calendarInterval({ days: 1, hour: 23, start: "2026-03-01", end: "2026-03-01" })
    assert.deepStrictEqual(upcoming(trigger, "2020-01-01", 3), ["2026-03-01T23:00Z"])
  })

  it("does not run on the day after its end, even if the end's last hour is skipped", () => {
    const trigger = Trigger.calendarInterval({
      days: 1,
      start: "2024-03-28",
      end: "2024-03-30",
      timezone: "America/Nuuk"
    })
    // In Nuuk 23:00 on 30 March 2024 was 00:00 on 31 March.
    assert.strictEqual(previous(trigger, "2024-05-01"), "2024-03-30T02:00Z")
  })

  it("runs in the second of the two last hours of its end", () => {
    const trigger = Trigger.calendarInterval({
      days: 1,
      hour: 23,
      minute: 30,
      fold: "second",
      start: "2018-02-15",
      end: "2018-02-17",
      timezone: "America/Sao_Paulo"
    })
    assert.strictEqual(previous(trigger, "2018-05-01"), "2018-02-18T02:30Z")
  })

  it("runs at the end of a gap that reaches over the midnight of its end", () => {
    const trigger = Trigger.calendarInterval({
      days: 1,
      hour: 23,
      minute: 30,
      start: "2024-03-28",
      end: "2024-03-30",
      timezone: "America/Nuuk"
    })
    assert.strictEqual(previous(trigger, "2024-05-01"), "2024-03-31T01:00Z")
  })

  it("fires once on the day after the one that Apia left out, or twice where it shifts", () => {
    const of = (gap: Gap) =>
      Trigger.calendarInterval({
        days: 1,
        hour: 9,
        start: "2011-12-29",
        end: "2012-01-01",
        timezone: "Pacific/Apia",
        gap
      })
    const skipping = ["2011-12-29T19:00Z", "2011-12-30T19:00Z", "2011-12-31T19:00Z"]
    assert.deepStrictEqual(upcoming(of("skip"), "2011-01-01", 9), skipping)
    assert.deepStrictEqual(upcoming(of("shift"), "2011-01-01", 9), [
      skipping[0]!,
      "2011-12-30T10:00Z",
      ...skipping.slice(1)
    ])
  })

  it("without start begins on the local day when it is anchored", () => {
    const open = Trigger.calendarInterval({ months: 1, hour: 9, timezone: "Europe/Berlin", end: "2027-01-01" })
    const moment = utc("2026-01-31T23:30:00Z")
    const anchored = Trigger.anchor(open, moment)
    const made = Trigger.calendarInterval({
      months: 1,
      hour: 9,
      timezone: "Europe/Berlin",
      start: moment,
      end: "2027-01-01"
    })
    assert.isTrue(Equal.equals(anchored, made))
    assert.deepStrictEqual(upcoming(anchored, moment, 3), [
      "2026-02-01T08:00Z",
      "2026-03-01T08:00Z",
      "2026-04-01T07:00Z"
    ])
    assert.isTrue(Equal.equals(Trigger.anchor(anchored, utc("2026-08-08T00:00:00Z")), anchored))
    assertReadBack(anchored)
  })

  it.each([
    ["2026-05-05T08:59:59Z", "2026-05-05T09:00Z"],
    ["2026-05-05T09:00:00Z", "2026-05-07T09:00Z"],
    ["2026-05-05T23:00:00Z", "2026-05-07T09:00Z"]
  ])("added at %s it first runs at %s", (moment, expected) => {
    assert.strictEqual(first(Trigger.calendarInterval({ days: 2, hour: 9 }), moment), expected)
  })

  it("without start counts from 1970 as long as there is no job", () => {
    const trigger = Trigger.calendarInterval({ days: 10 })
    assert.strictEqual(next(trigger, "1900-01-01"), "1970-01-01T00:00Z")
    assert.strictEqual(next(trigger, "1970-01-01T00:00:00Z"), "1970-01-11T00:00Z")
  })

  it("added on the day of its end it runs on this day", () => {
    const trigger = Trigger.calendarInterval({ days: 3, hour: 22, end: "2026-12-31", timezone: "America/New_York" })
    assert.strictEqual(first(trigger, "2026-12-31T12:00:00Z"), "2027-01-01T03:00Z")
    assert.strictEqual(first(trigger, "2027-01-01T02:59:59Z"), "2027-01-01T03:00Z")
    assert.strictEqual(first(trigger, "2027-01-01T03:00:00Z"), "none")
    assertReadBack(Trigger.anchor(trigger, utc("2026-12-31T12:00:00Z")))
    assertReadBack(Trigger.anchor(trigger, utc("2027-01-01T12:00:00Z")))
  })

  it("that ends before its anchor never runs", () => {
    const trigger = Trigger.calendarInterval({ days: 1, end: "2020-01-01" })
    assert.strictEqual(first(trigger, "2026-01-01T00:00:00Z"), "none")
    assertReadBack(Trigger.anchor(trigger, utc("2026-01-01T00:00:00Z")))
  })

  it("costs no more far from its start than near it", () => {
    const daily = Trigger.calendarInterval({ days: 1, hour: 9, start: "1900-01-01", timezone: "Europe/Berlin" })
    const monthly = Trigger.calendarInterval({ months: 1, hour: 9, start: "1900-01-31", timezone: "Europe/Berlin" })
    const begin = performance.now()
    for (let i = 0; i < 20_000; i++) {
      assert.strictEqual(nextMillis(daily, Date.UTC(2026, 0, 1, 8)), Date.UTC(2026, 0, 2, 8))
      assert.strictEqual(previousMillis(monthly, Date.UTC(2026, 2, 1)), Date.UTC(2026, 0, 31, 8))
    }
    // Some 100 ms; to walk 46 000 days each time would take minutes.
    assert.isBelow(performance.now() - begin, 4000)
  })

  it("of a period beyond the year 9999 has one instant", () => {
    for (const period of [{ years: 1_000_000 }, { months: 1_000_000 }, { weeks: 1_000_000 }, { years: 7974 }]) {
      const trigger = Trigger.calendarInterval({ ...period, start: "2026-01-31", hour: 1 })
      assert.deepStrictEqual(upcoming(trigger, "1970-01-01", 3), ["2026-01-31T01:00Z"], JSON.stringify(period))
      assert.strictEqual(previous(trigger, 8.64e15), "2026-01-31T01:00Z")
    }
    assert.strictEqual(
      previous(Trigger.calendarInterval({ days: 1, start: "2026-01-01" }), 8.64e15),
      "9999-12-31T00:00Z"
    )
  })

  it.each<readonly [Trigger.CalendarIntervalOptions, reason: string]>([
    [{}, "it is no period; expected at least 1 in all of years, months, weeks, days"],
    [{ days: 0, months: 0 }, "it is no period"],
    [{ days: -1 }, `Invalid days "-1": it is out of range`],
    [{ months: 1.5 }, `Invalid months "1.5"`],
    [{ weeks: Number.NaN }, `Invalid weeks "NaN"`],
    [{ years: 1_000_001 }, "a whole number from 0 to 1000000"],
    [{ days: 1, hour: 24 }, `Invalid hour "24": it is out of range; expected a whole number from 0 to 23`],
    [{ days: 1, minute: 60 }, `Invalid minute "60"`],
    [{ days: 1, second: -1 }, `Invalid second "-1"`],
    [{ days: 1, timezone: "Mars/Olympus" }, `Invalid timezone "Mars/Olympus"`],
    [{ days: 1, start: "2026-02-30" }, "there is no such date"],
    [{ days: 1, start: "2026-03-02", end: "2026-03-01" }, "it is before the start"]
  ])("refuses %j", (options, reason) => {
    assert.include(refusal(() => Trigger.calendarInterval(options)).message, reason)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// combinations and exclusions
// ---------------------------------------------------------------------------------------------------------------------

/** A trigger, the zone that an exclusion of it has by default, and what it has within some days of a place. */
interface Known {
  readonly trigger: Trigger.Trigger
  readonly zone: string
  readonly instants: ReadonlySet<number>
}

const REACH = 2 * DAY

interface Window {
  readonly place: Place
  readonly from: number
  readonly to: number
}

/** Parts are known for longer than the combination is looked at, for an exclusion takes whole days. */
const windowOf = (place: Place): Window => ({
  place,
  from: (place.at - REACH - 2 * DAY) * 1000,
  to: (place.at + REACH + 2 * DAY) * 1000
})

const knownOf =
  ({ from, to }: Window) =>
  (trigger: Trigger.Trigger): Known => ({
    trigger,
    zone: "timezone" in trigger.json ? trigger.json.timezone : "UTC",
    instants: new Set(between(trigger, from, to))
  })

const Zones = ({ place }: Window) => FastCheck.constantFrom(place.zone, place.zone, "UTC", "America/New_York")

const Leaves = (window: Window): FastCheck.Arbitrary<Known> => {
  const { at } = window.place
  const Aligned = FastCheck.integer({ min: -500, max: 500 }).map((fives) => (at - (at % 300) + fives * 300) * 1000)
  const Policies = FastCheck.record({
    gap: FastCheck.constantFrom(...GAPS),
    fold: FastCheck.constantFrom(...FOLDS),
    timezone: Zones(window)
  })
  return FastCheck.oneof(
    { weight: 1, arbitrary: Aligned.map((instant) => Trigger.at(instant)) },
    {
      weight: 2,
      arbitrary: FastCheck.tuple(FastCheck.constantFrom(5, 15, 20, 60, 90, 725), Aligned).map(([minutes, start]) =>
        Trigger.interval({ minutes, start })
      )
    },
    {
      weight: 4,
      arbitrary: FastCheck.tuple(
        FastCheck.constantFrom("*", "*/2", "0-3", "1,2,23", "22-23", "9"),
        FastCheck.constantFrom("0", "*/15", "30", "*/20"),
        FastCheck.constantFrom("*", "sat-mon", "tue,fri"),
        Policies
      ).map(([hour, minute, dayOfWeek, policies]) => Trigger.cron({ hour, minute, dayOfWeek, ...policies }))
    },
    {
      weight: 1,
      arbitrary: FastCheck.tuple(timesNear(window.place), FastCheck.integer({ min: 1, max: 2 }), Policies).map(
        ([time, days, policies]) =>
          Trigger.calendarInterval({
            days,
            hour: Math.floor(time / 3600),
            minute: Math.floor(time / 300) * 5 - Math.floor(time / 3600) * 60,
            start: "2000-01-01",
            ...policies
          })
      )
    }
  ).map(knownOf(window))
}

const severalOf = <A>(arbitrary: FastCheck.Arbitrary<A>) => FastCheck.array(arbitrary, { minLength: 1, maxLength: 3 })

const zoneOfSeveral = (parts: ReadonlyArray<Known>) =>
  parts.map(({ zone }) => zone).find((zone) => zone !== "UTC") ?? "UTC"

const union = (parts: ReadonlyArray<Known>): Known => ({
  trigger: Trigger.anyOf(...parts.map(({ trigger }) => trigger)),
  zone: zoneOfSeveral(parts),
  instants: new Set(parts.flatMap(({ instants }) => [...instants]))
})

const intersection = (parts: ReadonlyArray<Known>): Known => ({
  trigger: Trigger.allOf(...parts.map(({ trigger }) => trigger)),
  zone: zoneOfSeveral(parts),
  instants: new Set([...parts[0]!.instants].filter((at) => parts.every(({ instants }) => instants.has(at))))
})

const WEEKDAYS: ReadonlyArray<readonly [string, ReadonlyArray<number>]> = [
  ["sat-sun", [5, 6]],
  ["mon", [0]],
  ["fri-mon", [4, 5, 6, 0]],
  ["1-3", [1, 2, 3]],
  ["tue,THU", [1, 3]]
]

interface Left {
  readonly dates: ReadonlyArray<number> | undefined
  readonly ranges: ReadonlyArray<readonly [from: number, to: number]> | undefined
  readonly weekdays: (typeof WEEKDAYS)[number] | undefined
  readonly windows: ReadonlyArray<readonly [from: number, to: number]> | undefined
  readonly daysOf: ReadonlyArray<Known> | undefined
  readonly timezone: string | undefined
}

const rarely = <A>(arbitrary: FastCheck.Arbitrary<A>) => FastCheck.option(arbitrary, { nil: undefined, freq: 1 })

const Lefts = (window: Window): FastCheck.Arbitrary<Left> => {
  const today = Math.floor((window.place.at + window.place.before) / DAY)
  const Days = FastCheck.integer({ min: today - 3, max: today + 3 })
  const Times = timesNear(window.place)
  return FastCheck.record({
    dates: rarely(FastCheck.array(Days, { maxLength: 2 })),
    ranges: rarely(
      severalOf(FastCheck.tuple(Days, FastCheck.nat(1)).map(([from, more]) => [from, from + more] as const))
    ),
    weekdays: rarely(FastCheck.constantFrom(...WEEKDAYS)),
    windows: rarely(severalOf(FastCheck.tuple(Times, Times).filter(([from, to]) => from !== to))),
    // A day that comes back after midnight has a test of its own.
    daysOf:
      window.place.zone === "America/St_Johns" ? FastCheck.constant(undefined) : rarely(severalOf(Leaves(window))),
    timezone: FastCheck.option(Zones(window), { nil: undefined, freq: 1 })
  })
}

const isWithin = (time: number, [from, to]: readonly [number, number]) =>
  from < to ? from <= time && time < to : time >= from || time < to

/** Looks at the wall clock of every instant. */
const without = (window: Window, self: Known, left: Left): Known => {
  const { dates, daysOf, ranges, timezone, weekdays, windows } = left
  const zone = timezone ?? self.zone
  const segments = segmentsOf(zone, window.from / 1000, window.to / 1000)
  const firing = new Set(daysOf?.flatMap(({ instants }) => [...instants].map((at) => dayOf(segments, at / 1000))))
  const isLeft = (at: number) => {
    const local = localAt(segments, at / 1000)
    const day = Math.floor(local / DAY)
    const weekday = (((day + 3) % 7) + 7) % 7
    return !(
      dates?.includes(day) ||
      ranges?.some(([from, to]) => from <= day && day <= to) ||
      weekdays?.[1].includes(weekday) ||
      windows?.some((span) => isWithin(timeOf(local), span)) ||
      firing.has(day)
    )
  }
  return {
    trigger: Trigger.except(self.trigger, {
      timezone,
      dates: dates?.map(dateText),
      ranges: ranges?.map(([from, to]) => ({ from: dateText(from), to: dateText(to) })),
      weekdays: weekdays?.[0],
      windows: windows?.map(([from, to]) => ({ from: timeText(from), to: timeText(to) })),
      daysOf: daysOf?.map(({ trigger }) => trigger)
    }),
    zone,
    instants: new Set([...self.instants].filter(isLeft))
  }
}

const combine = (window: Window, parts: FastCheck.Arbitrary<Known>): FastCheck.Arbitrary<Known> =>
  FastCheck.oneof(
    severalOf(parts).map(union),
    severalOf(parts).map(intersection),
    FastCheck.tuple(parts, Lefts(window)).map(([self, left]) => without(window, self, left))
  )

const assertKnown = ({ place }: Window, { instants, trigger }: Known): number => {
  const [from, to] = [(place.at - REACH) * 1000, (place.at + REACH) * 1000]
  const expected = [...instants].filter((at) => from <= at && at <= to).sort((a, b) => a - b)
  assertSame(between(trigger, from, to), expected, `${JSON.stringify(trigger)} around ${iso(place.at * 1000)}`)
  return expected.length
}

const Windows = Places.map(windowOf)

const Combinations = Windows.chain((window) => {
  const flat = combine(window, Leaves(window))
  const nested = combine(window, FastCheck.oneof(Leaves(window), flat))
  return FastCheck.tuple(FastCheck.oneof(flat, nested), FastCheck.integer({ min: -REACH, max: REACH })).map(
    ([known, delta]) => ({ window, known, moment: (window.place.at + delta) * 1000 })
  )
})

describe("combinations", () => {
  it.each<readonly [string, (parts: ReadonlyArray<Known>) => Known]>([
    ["anyOf has the instants of any of its parts", union],
    ["allOf has the instants of all of its parts", intersection]
  ])("%s, in both directions", (_, combined) => {
    let found = 0
    always(
      Windows.chain((window) => severalOf(Leaves(window)).map((parts) => ({ window, parts }))),
      ({ parts, window }) => {
        found += assertKnown(window, combined(parts))
      }
    )
    assert.isAbove(found, 1000)
  })

  it("except has the instants that the wall clock does not leave out, in both directions", () => {
    let [found, left] = [0, 0]
    always(
      Windows.chain((window) =>
        FastCheck.tuple(Leaves(window), Lefts(window)).map(([self, left]) => ({ window, self, left }))
      ),
      (given) => {
        const known = without(given.window, given.self, given.left)
        found += assertKnown(given.window, known)
        left += known.instants.size < given.self.instants.size ? 1 : 0
      },
      200
    )
    assert.isAbove(found, 2000)
    assert.isAbove(left, 80)
  })

  it("combinations of combinations have what brute force finds, keep the laws, and are read back", () => {
    let found = 0
    always(Combinations, ({ known, moment, window }) => {
      found += assertKnown(window, known)
      assertLaws(known.trigger, moment)
      assertReadBack(known.trigger)
    })
    assert.isAbove(found, 1000)
  })

  it("one part is what it is alone", () => {
    const part = Trigger.cron({ hour: 9, timezone: "Europe/Berlin" })
    for (const combined of [Trigger.anyOf(part), Trigger.allOf(part), Trigger.except(part, {})]) {
      assert.deepStrictEqual(upcoming(combined, "2026-01-01", 20), upcoming(part, "2026-01-01", 20))
      assert.isFalse(Equal.equals(combined, part))
    }
  })

  it("parts at one instant are one instant", () => {
    const trigger = Trigger.anyOf(Trigger.interval({ hours: 4 }), Trigger.interval({ hours: 6 }))
    const hours = upcoming(trigger, "2026-01-01T00:00:00Z", 8).map((at) => at.slice(11, 13))
    assert.deepStrictEqual(hours, ["04", "06", "08", "12", "16", "18", "20", "00"])
  })

  it.each([
    ["anyOf", () => Trigger.anyOf()],
    ["allOf", () => Trigger.allOf()]
  ])("%s of nothing is refused", (name, make) => {
    assert.strictEqual(refusal(make).message, `Invalid ${name} "": no trigger was given; expected at least one trigger`)
  })
})

/** A set that counts how often it is asked. */
const counting = (self: Occurrences.Occurrences) => {
  const counted = { calls: 0, next: self.next, previous: self.previous }
  counted.next = (after) => {
    counted.calls++
    return self.next(after)
  }
  counted.previous = (atOrBefore) => {
    counted.calls++
    return self.previous(atOrBefore)
  }
  return counted
}

const askedOf = (sets: ReadonlyArray<{ readonly calls: number }>) => sets.reduce((sum, { calls }) => sum + calls, 0)

const counted = { calls: 0 }

/** A daily midnight that counts how often it is asked, as a trigger. */
const countedDaily = Trigger.extension("counted", Schema.Struct({ everyMillis: Schema.Int }), ({ everyMillis }) => {
  const self = Occurrences.every(everyMillis, 0)
  return {
    next: (after) => {
      counted.calls++
      return self.next(after)
    },
    previous: (atOrBefore) => {
      counted.calls++
      return self.previous(atOrBefore)
    }
  }
})({ everyMillis: DAY * 1000 })

describe("the horizon", () => {
  const cron = (options: Trigger.CronOptions) => Trigger.cron(options).occurrences

  it.each<readonly [string, ReadonlyArray<Occurrences.Occurrences>]>([
    ["intervals out of step", [Occurrences.every(4000, 0), Occurrences.every(4000, 2000)]],
    ["intervals that would meet in centuries", [Occurrences.every(86_400_000, 0), Occurrences.every(86_399_993, 1)]],
    ["crons of other minutes", [cron({ minute: 0 }), cron({ minute: 30 })]],
    ["crons of other weekdays", [cron({ dayOfWeek: "mon" }), cron({ dayOfWeek: "tue" }), cron({ hour: "*" })]],
    ["a cron and an interval off by a millisecond", [cron({ hour: "*" }), Occurrences.every(1000, 1)]]
  ])("allOf of %s is none after some leaps", (_, parts) => {
    const sets = parts.map(counting)
    const all = Occurrences.allOf(sets)
    assert.strictEqual(all.next(Date.UTC(2026, 0, 1)), Infinity)
    assert.isAtMost(askedOf(sets), 2 * Occurrences.LEAPS)
    const after = askedOf(sets)
    assert.strictEqual(all.previous(Date.UTC(2026, 0, 1)), -Infinity)
    assert.isAtMost(askedOf(sets) - after, 2 * Occurrences.LEAPS)
  })

  it("allOf with a part that has ended asks no more", () => {
    const sets = [Occurrences.at(0), Occurrences.every(1000, 1)].map(counting)
    assert.strictEqual(Occurrences.allOf(sets).next(1), Infinity)
    assert.strictEqual(Occurrences.allOf([...sets].reverse()).next(1), Infinity)
    assert.isAtMost(askedOf(sets), 4)
  })

  it("allOf leaps: it asks for what is there, not for all that lies between", () => {
    const sets = [Occurrences.every(1, 0), Occurrences.every(31_557_600_000, 7)].map(counting)
    assert.strictEqual(Occurrences.allOf(sets).next(0), 7)
    assert.strictEqual(Occurrences.allOf(sets).next(7), 31_557_600_007)
    assert.isAtMost(askedOf(sets), 10)
  })

  it("allOf finds what lies within the horizon", () => {
    const meeting = Occurrences.allOf([Occurrences.every(4001, 0), Occurrences.every(4000, 0)])
    assert.strictEqual(meeting.next(0), 4001 * 4000)
    assert.strictEqual(meeting.previous(-1), -4001 * 4000)
  })

  it.each([
    [9999, "1997-05-18T00:00Z"],
    [10_000, "none"]
  ])("after %d days left out in a row the next is %s", (days, expected) => {
    const daily = Trigger.interval({ days: 1, start: "1970-01-01" })
    const left = Trigger.interval({ days: 1, start: "1970-01-01", end: days * DAY * 1000 - 1 })
    assert.strictEqual(next(Trigger.except(daily, left), "1969-12-31"), expected)
  })

  it.each([
    [9999, "1942-08-17T00:00Z"],
    [10_000, "none"]
  ])("before %d days left out in a row the previous is %s", (days, expected) => {
    const daily = Trigger.interval({ days: 1, start: "1900-01-01" })
    const left = Trigger.interval({ days: 1, start: (1 - days) * DAY * 1000, end: 0 })
    assert.strictEqual(previous(Trigger.except(daily, left), 0), expected)
  })

  it("an exclusion that leaves nothing gives none after so many spans", () => {
    const trigger = Trigger.except(countedDaily, { windows: [{ from: "00:00", to: "00:01" }] })
    counted.calls = 0
    assert.strictEqual(next(trigger, "2026-01-01"), "none")
    assert.strictEqual(previous(trigger, "2026-01-01"), "none")
    assert.isAtMost(counted.calls, 2 * (Occurrences.LEAPS + 1))
    assert.isAtLeast(counted.calls, 2 * Occurrences.LEAPS)
  })

  it("an exclusion whose days take many leaps to find leaves out all of them", () => {
    const hours = ["00:00", "04:00", "08:00", "12:00", "16:00", "20:00", "22:00"]
    const windows = hours.slice(1).map((to, i) => ({ from: hours[i]!, to }))
    // At 22:00 and 23:00 on every day.
    const evenings = Trigger.except(Trigger.interval({ hours: 1 }), { windows })
    assert.strictEqual(next(evenings, "2026-01-01"), "2026-01-01T22:00Z")
    const never = Trigger.except(Trigger.interval({ days: 1 }), evenings)
    assert.strictEqual(next(never, "2026-01-01"), "none")
    assert.strictEqual(previous(never, "2026-01-01"), "none")
  })

  it("one long range is one span, however many instants it leaves out", () => {
    const trigger = Trigger.except(Trigger.interval({ millis: 1 }), {
      ranges: [{ from: "1980-01-01", to: "9000-12-31" }]
    })
    assert.strictEqual(next(trigger, "1980-01-01"), "9001-01-01T00:00Z")
    assert.strictEqual(previous(trigger, "8000-01-01"), "1979-12-31T23:59:59.999Z")
  })

  it("combinations within combinations do not multiply what they ask", () => {
    // Of the days only 1 January is left; the other part has only 2 January.
    const rare = Trigger.except(countedDaily, {
      daysOf: [Trigger.crontab("0 0 2-31 * *"), Trigger.crontab("0 0 1 2-12 *")]
    })
    const never = Trigger.allOf(rare, Trigger.crontab("0 0 2 1 *"))
    counted.calls = 0
    assert.strictEqual(next(never, "9000-01-02"), "none")
    assert.isAtMost(counted.calls, 10 * Occurrences.LEAPS)
  })
})

describe("Trigger.except", () => {
  const hourly = Trigger.interval({ hours: 1 })
  const quarters = (timezone: string) => Trigger.cron({ minute: "*/15", timezone })

  it.each<readonly [string, Trigger.Trigger, Trigger.ExclusionOptions, from: string, ReadonlyArray<string>]>([
    [
      "dates of its own zone",
      Trigger.cron({ hour: 0, timezone: "Asia/Tokyo" }),
      { dates: ["2026-01-03", "2026-1-2"] },
      "2025-12-31T12:00:00Z",
      ["2025-12-31T15:00Z", "2026-01-03T15:00Z"]
    ],
    [
      "dates of another zone",
      Trigger.cron({ hour: 0, timezone: "Asia/Tokyo" }),
      { dates: ["2026-01-02"], timezone: "UTC" },
      "2025-12-31T12:00:00Z",
      ["2025-12-31T15:00Z", "2026-01-01T15:00Z", "2026-01-03T15:00Z"]
    ],
    [
      "a range, both ends included",
      Trigger.cron({ hour: 9 }),
      { ranges: [{ from: "2026-12-24", to: "2027-01-06" }] },
      "2026-12-23T00:00:00Z",
      ["2026-12-23T09:00Z", "2027-01-07T09:00Z"]
    ],
    [
      "a range of one day",
      Trigger.cron({ hour: 9 }),
      { ranges: [{ from: "2026-12-24", to: "2026-12-24" }] },
      "2026-12-23T00:00:00Z",
      ["2026-12-23T09:00Z", "2026-12-25T09:00Z"]
    ],
    [
      "weekdays",
      Trigger.cron({ hour: 9 }),
      { weekdays: "sat-sun" },
      "2026-01-02T00:00:00Z",
      ["2026-01-02T09:00Z", "2026-01-05T09:00Z"]
    ],
    [
      "a window, its end exclusive",
      hourly,
      { windows: [{ from: "01:00", to: "23:00" }] },
      "2026-01-01T00:00:00Z",
      ["2026-01-01T23:00Z", "2026-01-02T00:00Z", "2026-01-02T23:00Z"]
    ],
    [
      "a window across midnight",
      hourly,
      { windows: [{ from: "2:00", to: "00:30" }] },
      "2026-01-01T00:00:00Z",
      ["2026-01-01T01:00Z", "2026-01-02T01:00Z"]
    ],
    [
      "a window to midnight",
      hourly,
      { windows: [{ from: "01:00:00", to: "00:00" }] },
      "2026-01-01T00:00:00Z",
      ["2026-01-02T00:00Z", "2026-01-03T00:00Z"]
    ],
    [
      "windows that touch",
      hourly,
      {
        windows: [
          { from: "12:00", to: "00:00" },
          { from: "00:00", to: "11:59:59" }
        ]
      },
      "2026-01-01T00:00:00Z",
      []
    ],
    [
      "the days of a trigger",
      Trigger.cron({ hour: "9,17" }),
      { daysOf: Trigger.at("2026-01-02T23:59:59.999Z") },
      "2026-01-01T12:00:00Z",
      ["2026-01-01T17:00Z", "2026-01-03T09:00Z"]
    ],
    [
      "the days of several, and a date, and a weekday",
      Trigger.cron({ hour: 9 }),
      {
        daysOf: [Trigger.at("2026-01-02"), Trigger.cron({ day: "last" })],
        dates: ["2026-01-06"],
        weekdays: "sat-mon"
      },
      "2026-01-01T12:00:00Z",
      ["2026-01-07T09:00Z", "2026-01-08T09:00Z"]
    ],
    [
      "times in the hour that is repeated, both times",
      quarters("Europe/Berlin"),
      { windows: [{ from: "02:15", to: "03:00" }] },
      "2026-10-24T23:50:00Z",
      ["2026-10-25T00:00Z", "2026-10-25T01:00Z", "2026-10-25T02:00Z"]
    ],
    [
      "times around the hour that is skipped",
      quarters("Europe/Berlin"),
      { windows: [{ from: "02:15", to: "03:15" }] },
      "2026-03-29T00:50:00Z",
      ["2026-03-29T01:15Z", "2026-03-29T01:30Z"]
    ],
    [
      "times in the hour that is skipped",
      quarters("Europe/Berlin"),
      { windows: [{ from: "02:00", to: "03:00" }] },
      "2026-03-29T00:40:00Z",
      ["2026-03-29T00:45Z", "2026-03-29T01:00Z"]
    ]
  ])("leaves out %s", (_, self, exclusion, from, expected) => {
    const trigger = Trigger.except(self, exclusion)
    assert.deepStrictEqual(upcoming(trigger, from, Math.max(expected.length, 1)), expected)
    assertReadBack(trigger)
  })

  it("a trigger as exclusion stands for its days", () => {
    const nightly = Trigger.cron({ hour: 3, timezone: "Europe/Berlin" })
    const holidays = Trigger.cron({ month: 12, day: "25-26" })
    assert.isTrue(Equal.equals(Trigger.except(nightly, holidays), Trigger.except(nightly, { daysOf: [holidays] })))
  })

  it("leaves out the day on which a trigger fires, also if that day comes back after midnight", () => {
    const timezone = "America/St_Johns"
    // On 7 November 2010 at 00:01 it was 23:01 on the 6th again; at 23:30 for the second time.
    const late = Trigger.crontab("30 23 6 11 *", { timezone, fold: "second" })
    assert.strictEqual(next(late, "2010-01-01"), "2010-11-07T03:00Z")
    const noons = Trigger.except(Trigger.crontab("0 12 * * *", { timezone }), late)
    assert.deepStrictEqual(upcoming(noons, "2010-11-05T00:00:00Z", 3), [
      "2010-11-05T14:30Z",
      "2010-11-07T15:30Z",
      "2010-11-08T15:30Z"
    ])
  })

  const berlin = Trigger.cron({ hour: 9, timezone: "Europe/Berlin" })
  const tokyo = Trigger.calendarInterval({ days: 1, timezone: "Asia/Tokyo" })

  it.each<readonly [string, Trigger.Trigger, zone: string]>([
    ["an interval", hourly, "UTC"],
    ["a cron", berlin, "Europe/Berlin"],
    ["a crontab", Trigger.crontab("0 9 * * *", { timezone: "+05:30" }), "+05:30"],
    ["a calendar interval", tokyo, "Asia/Tokyo"],
    ["an instant", Trigger.at("2026-01-01", { timezone: "Asia/Tokyo" }), "UTC"],
    ["now", Trigger.now, "UTC"],
    ["an anyOf", Trigger.anyOf(hourly, Trigger.cron({ hour: 1 }), tokyo, berlin), "Asia/Tokyo"],
    ["an allOf", Trigger.allOf(berlin, tokyo), "Europe/Berlin"],
    ["an exclusion", Trigger.except(berlin, { weekdays: "sat", timezone: "UTC" }), "UTC"],
    ["an anyOf without zones", Trigger.anyOf(hourly, Trigger.now), "UTC"]
  ])("of %s has its calendar by default", (_, self, zone) => {
    const { json } = Trigger.except(self, { dates: ["2026-01-01"] })
    assert.strictEqual(json._tag === "Except" ? json.exclusion.timezone : json._tag, zone)
    const given = Trigger.except(self, { dates: ["2026-01-01"], timezone: "america/new_york" }).json
    assert.strictEqual(given._tag === "Except" ? given.exclusion.timezone : given._tag, "America/New_York")
  })

  it.each<readonly [Trigger.ExclusionOptions, message: string]>([
    [{ dates: ["2026-02-30"] }, `Invalid dates "2026-02-30": there is no such date`],
    [{ dates: ["Christmas"] }, `Invalid dates "Christmas": it is not understood; expected a date such as "2026-12-25"`],
    [{ dates: ["2026-12-25 09:00"] }, `Invalid dates "2026-12-25 09:00": it is no date alone`],
    [{ dates: ["2026-12-25Z"] }, "it is no date alone"],
    [{ ranges: [{ from: "x", to: "2026-01-01" }] }, `Invalid ranges.from "x"`],
    [{ ranges: [{ from: "2026-01-02", to: "2026-01-01" }] }, `Invalid ranges.to "2026-01-01": it is before`],
    [{ weekdays: "sat-someday" }, `Invalid dayOfWeek "sat-someday" at position 4: "someday" is not a value`],
    [{ weekdays: "*" }, `Invalid weekdays "*": it leaves no day`],
    [{ weekdays: "tue-mon" }, "it leaves no day"],
    [{ weekdays: "" }, "a term is empty"],
    [{ windows: [{ from: "25:00", to: "06:00" }] }, `Invalid windows "25:00": it is no time of day`],
    [{ windows: [{ from: "6", to: "07:00" }] }, "it is no time of day"],
    [{ windows: [{ from: "06:00", to: "24:00" }] }, `Invalid windows "24:00"`],
    [{ windows: [{ from: "06:00", to: "06:00:00" }] }, `Invalid windows "06:00"`],
    [{ timezone: "Mars/Olympus" }, `Invalid timezone "Mars/Olympus"`]
  ])("refuses %j", (exclusion, message) => {
    assert.include(refusal(() => Trigger.except(berlin, exclusion)).message, message)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// anchor and first
// ---------------------------------------------------------------------------------------------------------------------

describe("anchor and first of combinations", () => {
  const MOMENT = "2026-01-05T10:20:30.400Z"
  const everyHour = Trigger.interval({ hours: 1 })

  it("now or every hour runs at once, and then every hour", () => {
    const trigger = Trigger.anyOf(Trigger.now, everyHour)
    assert.strictEqual(first(trigger, MOMENT), "2026-01-05T10:20:30.400Z")
    const anchored = Trigger.anchor(trigger, utc(MOMENT))
    assert.deepStrictEqual(upcoming(anchored, MOMENT, 2), ["2026-01-05T11:20:30.400Z", "2026-01-05T12:20:30.400Z"])
    assert.isTrue(
      Equal.equals(anchored, Trigger.anyOf(Trigger.at(MOMENT), Trigger.interval({ hours: 1, start: MOMENT })))
    )
    assertReadBack(anchored)
  })

  it.each<readonly [string, Trigger.Trigger, expected: string]>([
    ["an instant that is past, or every hour", Trigger.anyOf(Trigger.at("2020-01-01"), everyHour), "2020-01-01T00:00Z"],
    [
      "an instant to come, or every hour",
      Trigger.anyOf(Trigger.at("2030-01-01"), everyHour),
      "2026-01-05T11:20:30.400Z"
    ],
    ["now within two anyOf", Trigger.anyOf(everyHour, Trigger.anyOf(Trigger.now)), "2026-01-05T10:20:30.400Z"],
    [
      "every hour and every 90 minutes at once",
      Trigger.allOf(everyHour, Trigger.interval({ minutes: 90 })),
      "2026-01-05T13:20:30.400Z"
    ],
    [
      "every hour but at night",
      Trigger.except(everyHour, { windows: [{ from: "11:00", to: "06:00" }] }),
      "2026-01-06T06:20:30.400Z"
    ],
    [
      "every night but on the days of an interval",
      Trigger.except(Trigger.cron({ hour: 3 }), Trigger.interval({ days: 2 })),
      "2026-01-06T03:00Z"
    ]
  ])("%s first runs then", (_, trigger, expected) => {
    assert.strictEqual(first(trigger, MOMENT), expected)
  })

  it("now runs at once, also with days left out", () => {
    const trigger = Trigger.except(Trigger.now, { weekdays: "sat-sun" })
    assert.strictEqual(first(trigger, MOMENT), "2026-01-05T10:20:30.400Z")
    assert.strictEqual(first(trigger, "2026-01-04T10:00:00Z"), "none")
  })

  it("now or every hour runs at once, also with days left out", () => {
    const trigger = Trigger.except(Trigger.anyOf(Trigger.now, everyHour), { dates: ["2026-01-06"] })
    assert.strictEqual(first(trigger, MOMENT), "2026-01-05T10:20:30.400Z")
    assert.strictEqual(first(trigger, "2026-01-06T10:00:00Z"), "2026-01-07T00:00Z")
  })

  it("anchors parts and the days left out alike, and is read back", () => {
    const trigger = Trigger.except(Trigger.allOf(everyHour, Trigger.interval({ minutes: 30 })), {
      daysOf: Trigger.calendarInterval({ weeks: 1 }),
      timezone: "Europe/Berlin"
    })
    const anchored = Trigger.anchor(trigger, utc(MOMENT))
    const expected = Trigger.except(
      Trigger.allOf(Trigger.interval({ hours: 1, start: MOMENT }), Trigger.interval({ minutes: 30, start: MOMENT })),
      { daysOf: Trigger.calendarInterval({ weeks: 1, start: MOMENT }), timezone: "Europe/Berlin" }
    )
    assert.isTrue(Equal.equals(anchored, expected))
    assert.isTrue(Equal.equals(Trigger.anchor(anchored, utc("2027-01-01T00:00:00Z")), anchored))
    assertReadBack(anchored)
    // 5 January and then every week are left out.
    assert.strictEqual(next(anchored, MOMENT), "2026-01-05T23:20:30.400Z")
  })

  it("what needs no anchor stays the very same", () => {
    const trigger = Trigger.anyOf(
      Trigger.allOf(Trigger.cron({ hour: 1 })),
      Trigger.except(Trigger.at(0), { weekdays: "mon" })
    )
    assert.strictEqual(Trigger.anchor(trigger, utc(MOMENT)), trigger)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// values and JSON
// ---------------------------------------------------------------------------------------------------------------------

const CRONTAB = { _tag: "Crontab", expression: "0 0 * * *", timezone: "UTC", gap: "shift", fold: "first" }
const CALENDAR = {
  _tag: "CalendarInterval",
  days: 1,
  hour: 0,
  minute: 0,
  second: 0,
  timezone: "UTC",
  gap: "shift",
  fold: "first"
}
const EXCEPT = { _tag: "Except", trigger: CRONTAB, exclusion: { timezone: "UTC" }, daysOf: [] }

describe("triggers of several kinds as values", () => {
  const daily = Trigger.crontab("0 0 * * *")

  it.each<readonly [Trigger.Trigger, unknown]>([
    [Trigger.anyOf(daily, Trigger.now), { _tag: "AnyOf", triggers: [CRONTAB, { _tag: "Now" }] }],
    [Trigger.allOf(daily), { _tag: "AllOf", triggers: [CRONTAB] }],
    [Trigger.except(daily, {}), EXCEPT],
    [
      Trigger.except(daily, {
        windows: [{ from: "22:00", to: "06:00" }],
        weekdays: "sat-sun",
        ranges: [{ from: "2026-12-24", to: "2026-12-26" }],
        dates: ["2026-01-01"],
        daysOf: Trigger.at(0),
        timezone: "Europe/Berlin"
      }),
      {
        _tag: "Except",
        trigger: CRONTAB,
        exclusion: {
          timezone: "Europe/Berlin",
          dates: ["2026-01-01"],
          ranges: [{ from: "2026-12-24", to: "2026-12-26" }],
          weekdays: "sat-sun",
          windows: [{ from: "22:00", to: "06:00" }]
        },
        daysOf: [{ _tag: "At", at: "1970-01-01T00:00:00.000Z" }]
      }
    ],
    [Trigger.calendarInterval({ days: 1 }), CALENDAR],
    [
      Trigger.calendarInterval({ minute: 5, hour: 9, weeks: 1, months: 0, start: "2026-01-01", end: "2026-12-31" }),
      {
        _tag: "CalendarInterval",
        months: 0,
        weeks: 1,
        hour: 9,
        minute: 5,
        second: 0,
        timezone: "UTC",
        gap: "shift",
        fold: "first",
        start: "2026-01-01T00:00:00.000Z",
        end: "2026-12-31"
      }
    ],
    [
      rrule("DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY"),
      { _tag: "Extension", name: "rrule", options: { text: "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY" } }
    ],
    [
      solar({ event: "dawn", latitude: 1, longitude: 2, before: "1 minute", offset: "3 minutes", start: "2026-01-01" }),
      {
        _tag: "Extension",
        name: "solar",
        options: { event: "dawn", latitude: 1, longitude: 2, offsetMillis: 120_000 },
        start: "2026-01-01T00:00:00.000Z"
      }
    ]
  ])("%s has its stored form and is read back", (trigger, json) => {
    assert.deepStrictEqual<unknown>(Schema.encodeSync(Trigger.Trigger)(trigger), json)
    assert.isTrue(Equal.equals(Either.getOrThrow(decode(json)), trigger))
    assertReadBack(trigger)
  })

  it.each<readonly [string, Trigger.Trigger, Trigger.Trigger]>([
    ["combinator", Trigger.anyOf(daily), Trigger.allOf(daily)],
    ["order of parts", Trigger.anyOf(daily, Trigger.now), Trigger.anyOf(Trigger.now, daily)],
    ["number of parts", Trigger.anyOf(daily), Trigger.anyOf(daily, daily)],
    ["nesting", Trigger.anyOf(Trigger.anyOf(daily)), Trigger.anyOf(daily)],
    ["exclusion", Trigger.except(daily, { weekdays: "sat" }), Trigger.except(daily, { weekdays: "sun" })],
    [
      "zone of the exclusion",
      Trigger.except(daily, { timezone: "UTC" }),
      Trigger.except(daily, { timezone: "+01:00" })
    ],
    ["time of day", Trigger.calendarInterval({ days: 1, hour: 1 }), Trigger.calendarInterval({ days: 1, hour: 2 })],
    ["period", Trigger.calendarInterval({ days: 7 }), Trigger.calendarInterval({ weeks: 1 })],
    ["rule", rrule("DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY"), rrule("DTSTART:20260101T000000Z\nRRULE:FREQ=WEEKLY")]
  ])("another %s makes another trigger", (_, one, other) => {
    assert.isFalse(Equal.equals(one, other))
  })

  it("a trigger is piped without further ado", () => {
    const words: string = daily.pipe((trigger) => Trigger.anyOf(trigger, Trigger.now), Trigger.describe)
    assert.strictEqual(words, "at 00:00, UTC; or once, at once")
  })

  it("the options of an extension are equal in any order, and without what they do not have", () => {
    const made = solar({ event: "dawn", latitude: 1, longitude: 2 })
    const options = { offsetMillis: 0, longitude: 2, latitude: 1, event: "dawn", colour: "red" }
    const decoded = Either.getOrThrow(decode({ _tag: "Extension", name: "solar", options }))
    assert.isTrue(Equal.equals(decoded, made), JSON.stringify(decoded))
  })

  it.each<readonly [string, unknown, reason: string]>([
    ["no part", { _tag: "AnyOf", triggers: [] }, "no trigger was given"],
    ["no parts at all", { _tag: "AllOf" }, `["triggers"]`],
    ["a part that is none", { _tag: "AnyOf", triggers: [CRONTAB, 5] }, "actual 5"],
    ["a bad part", { _tag: "AllOf", triggers: [{ ...CRONTAB, expression: "0 0 * *" }] }, "4 fields were given"],
    [
      "a bad part of a part",
      { _tag: "AnyOf", triggers: [{ _tag: "AllOf", triggers: [{ _tag: "At", at: "2026-02-30" }] }] },
      `Invalid at "2026-02-30"`
    ],
    ["a part of an unknown kind", { _tag: "AnyOf", triggers: [{ _tag: "Other" }] }, `"Other"`],
    ["an exclusion of nothing", { ...EXCEPT, trigger: null }, "actual null"],
    ["a bad exclusion", { ...EXCEPT, exclusion: { timezone: "UTC", dates: ["x"] } }, `Invalid dates "x"`],
    ["a bad zone of an exclusion", { ...EXCEPT, exclusion: { timezone: "Mars/X" } }, `Invalid timezone "Mars/X"`],
    ["weekdays that are a list", { ...EXCEPT, exclusion: { timezone: "UTC", weekdays: ["sat"] } }, "Expected string"],
    ["a bad trigger in the days", { ...EXCEPT, daysOf: [{ ...CRONTAB, gap: "later" }] }, `"later"`],
    ["no days", { _tag: "Except", trigger: CRONTAB, exclusion: { timezone: "UTC" } }, `["daysOf"]`],
    ["no period", { ...CALENDAR, days: 0 }, "it is no period"],
    ["half a day", { ...CALENDAR, days: 0.5 }, "NonNegativeInt"],
    ["hour 24", { ...CALENDAR, hour: 24 }, "24"],
    ["a period of ages", { ...CALENDAR, days: 1_000_001 }, "it is out of range"],
    ["an end before the start", { ...CALENDAR, start: "2026-01-02", end: "2026-01-01" }, "it is before the start"],
    [
      "an extension whose module is not loaded",
      { _tag: "Extension", name: "moon", options: {} },
      `Invalid extension "moon": its module is not loaded; expected an import such as "effect-scheduler/RRule"`
    ],
    [
      "such an extension as a part",
      { ...EXCEPT, daysOf: [{ _tag: "Extension", name: "toString", options: {} }] },
      `Invalid extension "toString"`
    ],
    [
      "an extension with a bad end",
      { _tag: "Extension", name: "counted", options: { everyMillis: 1 }, end: "never" },
      `Invalid end "never"`
    ],
    [
      "an extension with bad options",
      { _tag: "Extension", name: "counted", options: { everyMillis: "1" } },
      `Invalid counted ""`
    ]
  ])("refuses %s with a reason", (_, json, reason) => {
    const decoded = decode(json)
    assert.isTrue(Either.isLeft(decoded), JSON.stringify(decoded))
    assert.include(String(Option.getOrThrow(Either.getLeft(decoded))), reason)
  })

  it("never throws at JSON from outside, and gives only triggers that are read back", () => {
    const Nasty = FastCheck.oneof(
      FastCheck.string({ maxLength: 8 }),
      FastCheck.constantFrom("2026-01-01", "22:00", "06:00", "sat-sun", "UTC", "Europe/Berlin", "__proto__", "*")
    )
    const Texts = FastCheck.array(Nasty, { maxLength: 2 })
    const Spans = FastCheck.array(FastCheck.record({ from: Nasty, to: Nasty }), { maxLength: 2 })
    const Counts = FastCheck.oneof(
      { weight: 6, arbitrary: FastCheck.nat(23) },
      { weight: 1, arbitrary: FastCheck.oneof(FastCheck.double(), Nasty) }
    )
    const Simple = FastCheck.constantFrom<unknown>(CRONTAB, CALENDAR, { _tag: "Now" }, { _tag: "At", at: "x" }, null)
    const nearly = (Part: FastCheck.Arbitrary<unknown>) =>
      FastCheck.record(
        {
          _tag: FastCheck.constantFrom("AnyOf", "AllOf", "Except", "Except", "CalendarInterval", "Extension"),
          triggers: FastCheck.array(Part, { maxLength: 2 }),
          trigger: Part,
          daysOf: FastCheck.array(Part, { maxLength: 2 }),
          exclusion: FastCheck.record(
            {
              timezone: FastCheck.constantFrom("UTC", "Europe/Berlin"),
              dates: Texts,
              ranges: Spans,
              weekdays: Nasty,
              windows: Spans
            },
            { requiredKeys: ["timezone"] }
          ),
          days: Counts,
          months: Counts,
          hour: Counts,
          minute: FastCheck.nat(70),
          second: FastCheck.nat(70),
          gap: FastCheck.constantFrom("skip", "shift"),
          fold: FastCheck.constantFrom("first", "both"),
          timezone: FastCheck.oneof(
            { weight: 3, arbitrary: FastCheck.constant("UTC") },
            { weight: 1, arbitrary: Nasty }
          ),
          name: FastCheck.constantFrom("rrule", "solar", "counted", "moon"),
          options: FastCheck.oneof(
            FastCheck.record({
              text: FastCheck.oneof(Nasty, FastCheck.constant("DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY"))
            }),
            FastCheck.record({ everyMillis: Counts }),
            FastCheck.jsonValue({ maxDepth: 1 })
          ),
          start: Nasty
        },
        { requiredKeys: ["_tag", "gap", "fold", "timezone", "daysOf", "exclusion", "hour", "minute", "second"] }
      )
    const accepted = new Map<string, number>()
    always(
      nearly(FastCheck.oneof(Simple, nearly(Simple))),
      (json) => {
        const decoded = decode(json)
        if (Either.isLeft(decoded)) return
        accepted.set(decoded.right._tag, (accepted.get(decoded.right._tag) ?? 0) + 1)
        assertReadBack(decoded.right)
      },
      2000
    )
    assert.sameMembers([...accepted.keys()], ["AnyOf", "AllOf", "Except", "CalendarInterval", "Extension"])
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// effect/Cron and Schedule
// ---------------------------------------------------------------------------------------------------------------------

const subset = (from: number, to: number, maxLength: number) =>
  FastCheck.oneof(
    FastCheck.constant<Array<number>>([]),
    FastCheck.uniqueArray(FastCheck.integer({ min: from, max: to }), { minLength: 1, maxLength })
  )

const CronValues = FastCheck.record({
  seconds: FastCheck.oneof(FastCheck.constant([0]), subset(0, 59, 3)),
  minutes: subset(0, 59, 4),
  hours: subset(0, 23, 4),
  days: subset(1, 31, 4),
  months: subset(1, 12, 5),
  weekdays: subset(0, 6, 3)
})

const cronAnswers = (cron: Cron.Cron, from: number, limit: number) => {
  const found: Array<number> = []
  for (let at = new Date(from); found.length < limit; ) {
    at = Cron.next(cron, at)
    found.push(at.getTime())
  }
  return found
}

describe("Trigger.fromCron", () => {
  it("agrees with Cron.next in UTC, in both directions", () => {
    let compared = 0
    const Moments = FastCheck.integer({ min: Date.UTC(2000, 0, 1), max: Date.UTC(2040, 0, 1) })
    always(
      FastCheck.tuple(CronValues, Moments),
      ([values, moment]) => {
        const cron = Cron.make({ ...values, tz: DateTime.zoneUnsafeMakeNamed("UTC") })
        const trigger = Trigger.fromCron(cron)
        // Cron gives up after 10 000 steps, with an error.
        const expected = Either.try(() => cronAnswers(cron, moment, 4))
        if (Either.isLeft(expected)) return
        compared++
        const question = JSON.stringify(trigger)
        assert.deepStrictEqual(upcoming(trigger, moment, 4), expected.right.map(iso), question)
        assert.strictEqual(previous(trigger, expected.right[3]! - 1), iso(expected.right[2]!), question)
      },
      300
    )
    assert.isAbove(compared, 250)
  })

  it("agrees with Cron.next in zones, away from transitions", () => {
    const Zoned = FastCheck.constantFrom("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Asia/Tokyo")
    const Moments = FastCheck.integer({ min: Date.UTC(2026, 4, 1), max: Date.UTC(2026, 6, 1) })
    let compared = 0
    always(FastCheck.tuple(CronValues, Zoned, Moments), ([values, zone, moment]) => {
      const cron = Cron.make({ ...values, months: [], tz: DateTime.zoneUnsafeMakeNamed(zone) })
      const trigger = Trigger.fromCron(cron)
      const summer = cronAnswers(cron, moment, 5).filter((at) => at < Date.UTC(2026, 8, 1))
      compared += summer.length
      assert.deepStrictEqual(upcoming(trigger, moment, summer.length), summer.map(iso), JSON.stringify(trigger))
    })
    assert.isAbove(compared, 400)
  })

  it("means both the days and the weekdays where the Cron does", () => {
    const cron = Cron.unsafeParse("0 9 */2 * mon", "UTC")
    const expected = cronAnswers(cron, Date.UTC(2026, 0, 1), 4).map(iso)
    assert.deepStrictEqual(expected, [
      "2026-01-05T09:00Z",
      "2026-01-19T09:00Z",
      "2026-02-09T09:00Z",
      "2026-02-23T09:00Z"
    ])
    assert.deepStrictEqual(upcoming(Trigger.fromCron(cron), "2026-01-01", 4), expected)
  })

  it("means the days or the weekdays where the Cron does", () => {
    const cron = Cron.unsafeParse("0 9 1-31 * mon", "UTC")
    assert.deepStrictEqual(upcoming(Trigger.fromCron(cron), "2026-01-01", 2), [
      "2026-01-01T09:00Z",
      "2026-01-02T09:00Z"
    ])
  })

  it.each<readonly [string, Parameters<typeof Trigger.fromCron>[1], unknown]>([
    [
      "30 2 * * 7",
      undefined,
      { _tag: "Crontab", expression: "0 30 2 * * 0", timezone: "Europe/Berlin", gap: "shift", fold: "first" }
    ],
    [
      "5 30 2 1,15 jan *",
      { gap: "skip", fold: "both" },
      { _tag: "Crontab", expression: "5 30 2 1,15 1 *", timezone: "Europe/Berlin", gap: "skip", fold: "both" }
    ],
    [
      "*/30 * * * *",
      { fold: "first" },
      { _tag: "Crontab", expression: "0 0,30 * * * *", timezone: "Europe/Berlin", gap: "skip", fold: "first" }
    ]
  ])("%s with %j is a crontab", (text, options, json) => {
    const trigger = Trigger.fromCron(Cron.unsafeParse(text, "Europe/Berlin"), options)
    assert.deepStrictEqual<unknown>(trigger.json, json)
    assertReadBack(trigger)
  })

  it.each([
    [undefined, "UTC"],
    [DateTime.zoneMakeOffset(19_800_000), "+05:30"]
  ])("of zone %s is of zone %s", (tz, expected) => {
    const { json } = Trigger.fromCron(Cron.make({ minutes: [0], hours: [2], days: [], months: [], weekdays: [], tz }))
    assert.strictEqual(json._tag === "Crontab" ? json.timezone : json._tag, expected)
  })
})

describe("Trigger.toSchedule", () => {
  /** When an effect that takes so long runs, what the schedule gives out, and what it has in the end. */
  const repeat = (
    trigger: Trigger.Trigger,
    start: string,
    span: Duration.DurationInput,
    takes: Duration.DurationInput = 0
  ) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.parse(start))
      const ran: Array<string> = []
      const given: Array<string> = []
      const schedule = Schedule.tapOutput(Trigger.toSchedule(trigger), (at) =>
        Effect.sync(() => given.push(isoOf(Option.some(at))))
      )
      const run = Effect.andThen(
        Effect.map(Clock.currentTimeMillis, (now) => ran.push(iso(now))),
        Effect.sleep(takes)
      )
      const fiber = yield* Effect.fork(Effect.repeat(run, schedule))
      yield* TestClock.adjust(span)
      const exit = yield* Fiber.poll(fiber)
      const result = Option.isNone(exit) ? "running" : isoOf(Option.some(yield* Fiber.join(fiber)))
      yield* Fiber.interrupt(fiber)
      return { ran, given, result }
    })

  const START = "2026-01-05T10:00:00.500Z"
  const START_TEXT = "2026-01-05T10:00:00.500Z"

  it.effect("an interval without start counts from the first run", () =>
    Effect.gen(function* () {
      const { given, ran, result } = yield* repeat(Trigger.interval({ minutes: 20 }), START, "1 hour")
      const instants = ["2026-01-05T10:20:00.500Z", "2026-01-05T10:40:00.500Z", "2026-01-05T11:00:00.500Z"]
      assert.deepStrictEqual(ran, [START_TEXT, ...instants])
      assert.deepStrictEqual(given, [...instants, "2026-01-05T11:20:00.500Z"])
      assert.strictEqual(result, "running")
    })
  )

  it.effect("a cron runs at its instants, across a transition too", () =>
    Effect.gen(function* () {
      const trigger = Trigger.cron({ hour: 2, minute: 30, timezone: "Europe/Berlin" })
      const { ran } = yield* repeat(trigger, "2026-03-28T00:00:00Z", "3 days")
      assert.deepStrictEqual(ran, ["2026-03-28T00:00Z", "2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"])
    })
  )

  it.effect("one instant to come is one run more", () =>
    Effect.gen(function* () {
      const { ran, result } = yield* repeat(Trigger.at("2026-01-05T12:00:00Z"), START, "3 hours")
      assert.deepStrictEqual(ran, [START_TEXT, "2026-01-05T12:00Z"])
      assert.strictEqual(result, "2026-01-05T12:00Z")
    })
  )

  it.effect.each<readonly [string, Trigger.Trigger]>([
    ["an instant that is past", Trigger.at("2020-01-01")],
    ["now", Trigger.now]
  ])("%s is one run more, at once", ([, trigger]) =>
    Effect.gen(function* () {
      const { ran } = yield* repeat(trigger, START, "3 hours")
      assert.deepStrictEqual(ran, [START_TEXT, START_TEXT])
    })
  )

  it.effect("a trigger that ends stops", () =>
    Effect.gen(function* () {
      const trigger = Trigger.interval({ minutes: 1, start: "2026-01-05T10:00:00Z", end: "2026-01-05T10:02:00Z" })
      const { ran, result } = yield* repeat(trigger, START, "1 hour")
      assert.deepStrictEqual(ran, [START_TEXT, "2026-01-05T10:01Z", "2026-01-05T10:02Z"])
      assert.strictEqual(result, "2026-01-05T10:02Z")
    })
  )

  it.effect("a trigger that has ended is no run more", () =>
    Effect.gen(function* () {
      const { ran, result } = yield* repeat(Trigger.cron({ hour: 1, end: "2020-01-01" }), START, "9 days")
      assert.deepStrictEqual(ran, [START_TEXT])
      assert.notStrictEqual(result, "running")
    })
  )

  it.effect("a run that takes long leaves out the instants in between", () =>
    Effect.gen(function* () {
      const { ran } = yield* repeat(Trigger.cron({ minute: "*/10" }), "2026-01-05T10:00:00Z", "1 hour", "25 minutes")
      assert.deepStrictEqual(ran, ["2026-01-05T10:00Z", "2026-01-05T10:30Z", "2026-01-05T11:00Z"])
    })
  )

  it.effect("gives out its instants only, whatever the runs take", () =>
    Effect.gen(function* () {
      const trigger = Trigger.anyOf(Trigger.at("2026-01-05T11:00:00Z"), Trigger.at("2026-01-05T12:00:00Z"))
      const { given, result } = yield* repeat(trigger, START, "3 hours", "5 minutes")
      assert.deepStrictEqual([...new Set(given)], ["2026-01-05T11:00Z", "2026-01-05T12:00Z"])
      assert.strictEqual(result, "2026-01-05T12:00Z")
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// recurrence rules
// ---------------------------------------------------------------------------------------------------------------------

const RULE_DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"] as const

const stamp = (millis: number): string => new Date(millis).toISOString().slice(0, 19).replaceAll(/[-:]/g, "")

const Rules = FastCheck.record({
  freq: FastCheck.constantFrom("DAILY", "WEEKLY", "MONTHLY", "YEARLY"),
  interval: FastCheck.integer({ min: 1, max: 4 }),
  byDay: FastCheck.option(FastCheck.uniqueArray(FastCheck.constantFrom(...RULE_DAYS), { minLength: 1, maxLength: 3 }), {
    nil: undefined
  }),
  bound: FastCheck.constantFrom("", "COUNT=7", "COUNT=40", "UNTIL=20250601T000000Z"),
  zone: FastCheck.constantFrom("", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"),
  start: FastCheck.integer({ min: Date.UTC(2022, 0, 1) / 60_000, max: Date.UTC(2024, 0, 1) / 60_000 })
}).map(({ bound, byDay, freq, interval, start, zone }) => {
  const from = zone === "" ? `DTSTART:${stamp(start * 60_000)}Z` : `DTSTART;TZID=${zone}:${stamp(start * 60_000)}`
  const parts = [`FREQ=${freq}`, `INTERVAL=${interval}`, byDay && `BYDAY=${byDay.join(",")}`, bound]
  return `${from}\nRRULE:${parts.filter((part) => part).join(";")}`
})

describe("RRule", () => {
  it("keeps the laws of triggers", () => {
    let [answered, ended] = [0, 0]
    const Moments = FastCheck.integer({ min: Date.UTC(2021, 0, 1), max: Date.UTC(2027, 0, 1) })
    always(FastCheck.tuple(Rules, Moments), ([text, moment]) => {
      const trigger = rrule(text)
      assertLaws(trigger, moment)
      if (Option.isSome(Trigger.next(trigger, moment))) answered++
      else ended++
    })
    assert.isAbove(answered, 40)
    assert.isAbove(ended, 10)
  })

  it("has the same instants in both directions", () => {
    let found = 0
    always(
      Rules,
      (text) => {
        found += between(rrule(text), Date.UTC(2024, 1, 1), Date.UTC(2024, 10, 20)).length
      },
      40
    )
    assert.isAbove(found, 500)
  })

  it.each([
    ["DAILY", "2024-01-01T09:00", "Europe/Berlin", "*"],
    ["DAILY;BYDAY=MO,TU,WE,TH,FR", "2024-01-01T23:30", "America/New_York", "mon-fri"],
    ["WEEKLY", "2024-01-02T09:00", "UTC", "tue"],
    ["WEEKLY;BYDAY=SA,SU", "2024-01-01T02:30", "Europe/Berlin", "sat-sun"],
    ["WEEKLY;BYDAY=MO,SU", "2024-01-01T01:45", "Australia/Lord_Howe", "mon,sun"]
  ])("FREQ=%s from %s in %s is the cron of its weekdays", (rule, start, timezone, dayOfWeek) => {
    const [hour, minute] = start.slice(11).split(":")
    const text = `DTSTART;TZID=${timezone}:${start.replaceAll(/[-:]/g, "")}00\nRRULE:FREQ=${rule}`
    // Two years, with the transitions: a time that is skipped is left out, and the first of two that are repeated is meant.
    const cron = Trigger.cron({ dayOfWeek, hour, minute, timezone, gap: "skip", fold: "first" })
    const [from, to] = [Date.UTC(2024, 0, 2), Date.UTC(2026, 0, 1)]
    assertSame(between(rrule(text), from, to), between(cron, from, to), text)
  })

  it.each<readonly [string, ReadonlyArray<string>]>([
    [
      "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY;COUNT=5\nRDATE:20260110T120000Z\nEXDATE:20260103T000000Z",
      ["2026-01-01T00:00Z", "2026-01-02T00:00Z", "2026-01-04T00:00Z", "2026-01-05T00:00Z", "2026-01-10T12:00Z"]
    ],
    [
      "DTSTART;TZID=Europe/Berlin:20260131T090000\nRRULE:FREQ=MONTHLY;COUNT=3",
      ["2026-01-31T08:00Z", "2026-03-31T07:00Z", "2026-05-31T07:00Z"]
    ],
    [
      "DTSTART;TZID=Europe/Berlin:20260101T090000\nRRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=2",
      ["2026-01-30T08:00Z", "2026-02-27T08:00Z"]
    ],
    [
      "DTSTART:20260101T000000Z\nRRULE:FREQ=WEEKLY;BYDAY=MO;UNTIL=20260112T000000Z",
      ["2026-01-05T00:00Z", "2026-01-12T00:00Z"]
    ],
    [
      "DTSTART:20260107T090000Z\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;COUNT=2",
      ["2026-01-19T09:00Z", "2026-02-02T09:00Z"]
    ],
    [
      "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY;COUNT=2\nEXDATE:20260101T000000Z,20260102T000000Z\nRDATE:20250101T000000Z",
      ["2025-01-01T00:00Z"]
    ],
    [
      "DTSTART;TZID=Europe/Berlin:20260328T023000\nRRULE:FREQ=DAILY;UNTIL=20260330T220000Z",
      ["2026-03-28T01:30Z", "2026-03-30T00:30Z"]
    ],
    [
      "dtstart;tzid=Europe/Berlin:20261024T023000\nrrule:freq=daily;count=3",
      ["2026-10-24T00:30Z", "2026-10-25T00:30Z", "2026-10-26T01:30Z"]
    ]
  ])("%j has these instants and no more", (text, expected) => {
    const trigger = rrule(text)
    assert.deepStrictEqual(upcoming(trigger, "2020-01-01", 10), expected)
    assert.deepStrictEqual(between(trigger, Date.UTC(2020, 0, 1), Date.UTC(2030, 0, 1)).map(iso), expected)
    assertReadBack(trigger)
  })

  it("is the same on every node: it counts from its DTSTART, not from now", () => {
    const trigger = rrule("DTSTART:19700101T000000Z\nRRULE:FREQ=DAILY;INTERVAL=3")
    assert.strictEqual(
      next(trigger, "2026-01-01"),
      iso(Math.ceil((Date.UTC(2026, 0, 1) + 1) / 259_200_000) * 259_200_000)
    )
    assert.strictEqual(previous(trigger, "1969-12-31"), "none")
  })

  it("goes with other triggers", () => {
    const workdays = rrule("DTSTART;TZID=Europe/Berlin:20260101T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR")
    const trigger = Trigger.except(workdays, { dates: ["2026-01-01", "2026-01-06"], timezone: "Europe/Berlin" })
    assert.deepStrictEqual(upcoming(trigger, "2025-12-31", 3), [
      "2026-01-02T08:00Z",
      "2026-01-05T08:00Z",
      "2026-01-07T08:00Z"
    ])
    assertReadBack(trigger)
  })

  it.each([
    ["", "it has no DTSTART"],
    ["RRULE:FREQ=DAILY", "it has no DTSTART, from which a rule takes its phase"],
    ["DTSTART:20260101T000000Z\nRRULE:FREQ=FORTNIGHTLY", "FORTNIGHTLY"],
    ["DTSTART:20260101T000000Z", "FREQ"],
    ["DTSTART;TZID=Mars/Olympus:20260101T000000\nRRULE:FREQ=DAILY", "Mars/Olympus"],
    ["DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY;INTERVAL=0", "INTERVAL"],
    ["DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY;BYDAY=XX", "XX"],
    ["DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY;COUNT=3;UNTIL=20270101T000000Z", "COUNT"]
  ])("refuses %j with a reason, as text and as JSON", (text, reason) => {
    const { field, message } = refusal(() => rrule(text))
    assert.strictEqual(field, "rrule")
    assert.include(message, reason)
    assert.isTrue(Either.isLeft(decode({ _tag: "Extension", name: "rrule", options: { text } })))
  })

  it("refuses JSON whose options are not text", () => {
    for (const options of [undefined, null, {}, { text: 5 }, "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY"]) {
      assert.isTrue(Either.isLeft(decode({ _tag: "Extension", name: "rrule", options })), JSON.stringify(options))
    }
  })

  it("that never happens has no instant", () => {
    const trigger = rrule("DTSTART:20260101T000000Z\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30")
    assert.strictEqual(next(trigger, "2026-01-01"), "none")
    assert.strictEqual(previous(trigger, "2026-01-01"), "none")
  })

  it("of a great COUNT has its instants, or is refused", () => {
    const text = "DTSTART:20000101T000000Z\nRRULE:FREQ=DAILY;COUNT=20000"
    const made = Either.try({ try: () => rrule(text), catch: (error) => error })
    if (Either.isLeft(made)) assert.instanceOf(made.left, InvalidTrigger)
    else assert.strictEqual(next(made.right, "2030-01-01T00:00:00Z"), "2030-01-02T00:00Z")
    const decoded = decode({ _tag: "Extension", name: "rrule", options: { text } })
    if (Either.isRight(decoded)) assert.strictEqual(next(decoded.right, "2030-01-01T00:00:00Z"), "2030-01-02T00:00Z")
  })

  it("at the ends of ECMAScript's time is asked like any other", () => {
    const trigger = rrule("DTSTART:20260101T120000Z\nRRULE:FREQ=DAILY")
    assert.strictEqual(next(trigger, -8.64e15), "2026-01-01T12:00Z")
    assert.strictEqual(previous(trigger, -8.64e15), "none")
    assert.strictEqual(next(trigger, 8.64e15), "none")
    assert.strictEqual(previous(trigger, 8.64e15), "9999-12-31T12:00Z")
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// the sun
// ---------------------------------------------------------------------------------------------------------------------

const BERLIN = { latitude: 52.52, longitude: 13.405 }
const LONGYEARBYEN = { latitude: 78.22, longitude: 15.65 }

describe("Solar", () => {
  it.each<readonly [string, { latitude: number; longitude: number }, SolarEvent, about: string]>([
    ["Berlin", BERLIN, "sunrise", "2026-06-21T02:43:00Z"],
    ["Berlin", BERLIN, "sunset", "2026-06-21T19:33:00Z"],
    ["Berlin", BERLIN, "sunrise", "2026-12-21T07:15:00Z"],
    ["Berlin", BERLIN, "sunset", "2026-12-21T14:54:00Z"],
    ["Berlin", BERLIN, "dawn", "2026-03-20T04:36:00Z"],
    ["Berlin", BERLIN, "dusk", "2026-03-20T17:53:00Z"],
    ["Greenwich", { latitude: 51.48, longitude: 0 }, "solarNoon", "2026-11-03T11:43:34Z"],
    ["Greenwich", { latitude: 51.48, longitude: 0 }, "solarNoon", "2026-02-11T12:14:13Z"],
    ["London", { latitude: 51.507, longitude: -0.128 }, "sunset", "2026-06-21T20:21:30Z"],
    ["New York", { latitude: 40.713, longitude: -74.006 }, "sunrise", "2026-12-21T12:17:00Z"],
    ["New York", { latitude: 40.713, longitude: -74.006 }, "sunset", "2026-12-21T21:32:00Z"],
    ["Sydney", { latitude: -33.869, longitude: 151.209 }, "sunrise", "2025-12-31T18:48:00Z"],
    ["Sydney", { latitude: -33.869, longitude: 151.209 }, "sunset", "2026-01-01T09:10:00Z"],
    ["Tokyo", { latitude: 35.69, longitude: 139.692 }, "sunrise", "2025-12-31T21:51:00Z"],
    ["Reykjavik", { latitude: 64.147, longitude: -21.94 }, "sunrise", "2026-12-21T11:22:00Z"]
  ])("in %s %j %s is within three minutes of %s", (_, place, event, about) => {
    const expected = Date.parse(about)
    const found = nextMillis(solar({ ...place, event }), expected - 6 * 3_600_000)
    assert.closeTo(found, expected, 180_000, iso(found))
    assert.strictEqual(found % 1000, 0)
  })

  it("the moments of a day come in their order", () => {
    const order: ReadonlyArray<SolarEvent> = [
      "nightEnd",
      "nauticalDawn",
      "dawn",
      "sunrise",
      "solarNoon",
      "sunset",
      "dusk",
      "nauticalDusk",
      "night"
    ]
    const found = order.map((event) => nextMillis(solar({ ...BERLIN, event }), Date.UTC(2026, 2, 20)))
    assert.deepStrictEqual(
      found,
      [...found].sort((a, b) => a - b)
    )
    assert.strictEqual(new Set(found).size, order.length)
    assert.isBelow(found.at(-1)!, Date.UTC(2026, 2, 21))
  })

  it("in Longyearbyen the sun rises on no day from November to January", () => {
    const sunrise = solar({ ...LONGYEARBYEN, event: "sunrise" })
    assert.match(next(sunrise, "2026-12-01"), /^2027-02-1[4-8]/)
    assert.match(previous(sunrise, "2026-12-01"), /^2026-10-2[4-8]/)
    assert.deepStrictEqual(between(sunrise, Date.UTC(2026, 10, 1), Date.UTC(2027, 1, 1)), [])
    assertLaws(sunrise, Date.UTC(2026, 11, 1))
  })

  it("in Longyearbyen the sun sets on no day from May to July", () => {
    const sunset = solar({ ...LONGYEARBYEN, event: "sunset" })
    assert.match(next(sunset, "2026-05-01"), /^2026-08-2/)
    assert.match(previous(sunset, "2026-08-01"), /^2026-04-1/)
  })

  it("at a pole has noons and no sunrise", () => {
    assert.strictEqual(next(solar({ latitude: 90, longitude: 0, event: "sunrise" }), "2026-01-01"), "none")
    assert.strictEqual(previous(solar({ latitude: 90, longitude: 0, event: "sunrise" }), "2026-01-01"), "none")
    assert.match(next(solar({ latitude: 90, longitude: 0, event: "solarNoon" }), "2026-01-01"), /^2026-01-01T12/)
  })

  it.each<readonly [string, Partial<Parameters<typeof solar>[0]>, offset: number]>([
    ["offset of 30 minutes", { offset: "30 minutes" }, 1_800_000],
    ["offset of milliseconds", { offset: 1500 }, 1500],
    ["before of 45 minutes", { before: Duration.minutes(45) }, -2_700_000],
    ["both", { offset: "1 hour", before: "90 minutes" }, -1_800_000],
    ["before of two weeks", { before: "14 days" }, -14 * DAY * 1000]
  ])("an %s moves every instant", (_, moved, offset) => {
    const sunset = solar({ ...BERLIN, event: "sunset" })
    const [from, to] = [Date.UTC(2026, 2, 1), Date.UTC(2026, 3, 1)]
    assertSame(
      between(solar({ ...BERLIN, event: "sunset", ...moved }), from + offset, to + offset),
      between(sunset, from, to).map((at) => at + offset),
      "moved"
    )
  })

  it("has start and end, both inclusive", () => {
    const [day] = upcoming(solar({ ...BERLIN, event: "sunset" }), "2026-06-21", 1)
    const trigger = solar({ ...BERLIN, event: "sunset", start: day, end: day })
    assert.deepStrictEqual(upcoming(trigger, "2020-01-01", 3), [day])
    assert.strictEqual(previous(trigger, "2030-01-01"), day)
  })

  it.each([
    ["Berlin", BERLIN, 0],
    ["the date line", { latitude: -16.8, longitude: 179.99 }, 0],
    ["its other side", { latitude: -16.8, longitude: -180 }, 0],
    ["Longyearbyen", LONGYEARBYEN, 0],
    ["Berlin, days later", BERLIN, 60 * 3_600_000]
  ])("keeps the laws in %s", (_, place, offset) => {
    const Events = FastCheck.constantFrom<SolarEvent>("nightEnd", "dawn", "sunrise", "solarNoon", "sunset", "night")
    const Moments = FastCheck.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2027, 0, 1) })
    always(
      FastCheck.tuple(Events, Moments),
      ([event, moment]) => {
        assertLaws(solar({ ...place, event, offset }), moment)
      },
      60
    )
  })

  it("has one noon on each day of a year, in both directions", () => {
    const noons = between(solar({ ...BERLIN, event: "solarNoon" }), Date.UTC(2026, 0, 1), Date.UTC(2027, 0, 1))
    const days = noons.map((at) => iso(at).slice(0, 10))
    assert.strictEqual(days.length, 365)
    assert.strictEqual(new Set(days).size, 365)
  })

  it("at the ends of ECMAScript's time is asked like any other", () => {
    const noon = solar({ ...BERLIN, event: "solarNoon" })
    assert.match(next(noon, -8.64e15), /^0001-01-0[12]T/)
    assert.strictEqual(previous(noon, -8.64e15), "none")
    assert.strictEqual(next(noon, 8.64e15), "none")
    assert.match(previous(noon, 8.64e15), /^9999-12-3[01]T/)
  })

  it.each<readonly [string, unknown]>([
    ["an event that there is not", { event: "moonrise" }],
    ["a latitude beyond the pole", { latitude: 90.01 }],
    ["a longitude beyond the date line", { longitude: -180.5 }],
    ["a latitude that is no number", { latitude: Number.NaN }],
    ["an endless offset", { offsetMillis: Number.POSITIVE_INFINITY }]
  ])("refuses %s, also as JSON", (_, wrong) => {
    const options = { event: "sunset", ...BERLIN, offsetMillis: 0, ...(wrong as object) } as const
    const given = { event: "sunset", ...BERLIN, ...(wrong as object), offset: options.offsetMillis } as const
    assert.strictEqual(refusal(() => solar(given)).field, "solar")
    assert.isTrue(Either.isLeft(decode({ _tag: "Extension", name: "solar", options })))
  })

  it("refuses an offset that is no duration", () => {
    assert.strictEqual(refusal(() => solar({ event: "sunset", ...BERLIN, offset: "soon" as "1 hour" })).field, "solar")
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// holidays
// ---------------------------------------------------------------------------------------------------------------------

describe("Holidays", () => {
  const in2026 = { from: 2026, to: 2026 }

  it("Epiphany is one in Bavaria, but not in all of Germany", () => {
    const [all, bavaria] = [undefined, "BY"].map((state) => Holidays.dates({ country: "DE", state, ...in2026 }))
    assert.deepStrictEqual(all, [
      "2026-01-01",
      "2026-04-03",
      "2026-04-06",
      "2026-05-01",
      "2026-05-14",
      "2026-05-25",
      "2026-10-03",
      "2026-12-25",
      "2026-12-26"
    ])
    assert.deepStrictEqual(
      bavaria!.filter((date) => !all!.includes(date)),
      ["2026-01-06", "2026-06-04", "2026-11-01"]
    )
  })

  it("a region may have more of them", () => {
    const augsburg = Holidays.dates({ country: "DE", state: "BY", region: "A", ...in2026 })
    assert.include(augsburg, "2026-08-08")
  })

  it("of several years come in order, each once", () => {
    const dates = Holidays.dates({ country: "US", from: 2024, to: 2027 })
    assert.deepStrictEqual([...new Set(dates)].sort(), dates)
    assert.deepStrictEqual([...new Set(dates.map((date) => date.slice(0, 4)))], ["2024", "2025", "2026", "2027"])
  })

  it("of another kind are others", () => {
    const observed = Holidays.dates({ country: "DE", types: ["bank", "observance"], ...in2026 })
    assert.include(observed, "2026-12-24")
    assert.notInclude(observed, "2026-12-25")
    assert.deepStrictEqual(Holidays.dates({ country: "DE", types: [], ...in2026 }), [])
  })

  it("are left out of a trigger, and are part of it", () => {
    const timezone = "Europe/Berlin"
    const nightly = Trigger.cron({ hour: 3, timezone })
    const dates = Holidays.dates({ country: "DE", state: "BY", ...in2026 })
    const trigger = Trigger.except(nightly, { dates, timezone })
    const [from, to] = [Date.UTC(2025, 11, 31), Date.UTC(2026, 11, 31)]
    const left = between(nightly, from, to).filter((at) => !dates.includes(iso(at).slice(0, 10)))
    assertSame(between(trigger, from, to), left, "nights")
    assert.strictEqual(left.length, between(nightly, from, to).length - dates.length)
    assertReadBack(trigger)
  })

  it.each<readonly [string, month: string, ReadonlyArray<string>]>([
    // Three days and four, each after the afternoon before, which the library counts at the end.
    ["TR", "2026-03", ["2026-03-20", "2026-03-21", "2026-03-22"]],
    ["TR", "2026-05", ["2026-05-01", "2026-05-19", "2026-05-27", "2026-05-28", "2026-05-29", "2026-05-30"]],
    ["SA", "2026-05", ["2026-05-26", "2026-05-27", "2026-05-28", "2026-05-29"]],
    ["IL", "2026-04", ["2026-04-02", "2026-04-08", "2026-04-22"]]
  ])("that last for days or begin at sunset are all of their days: in %s in %s", (country, month, expected) => {
    const dates = Holidays.dates({ country, ...in2026 })
    assert.deepStrictEqual(
      dates.filter((date) => date.startsWith(month)),
      expected
    )
  })

  it("two hundred years at most are asked for", () => {
    assert.include(refusal(() => Holidays.dates({ country: "DE", from: 1900, to: 2100 })).message, "at most 200")
    assert.strictEqual(Holidays.dates({ country: "DE", from: 2000, to: 2009 }).length, 89)
  })

  it.each<readonly [string, Partial<Holidays.Options>, message: string]>([
    ["an unknown country", { country: "XX" }, `Invalid holidays "XX": there is no such place`],
    ["a country in small letters", { country: "de" }, `Invalid holidays "de"`],
    ["an unknown state", { state: "XX" }, `Invalid holidays "DE/XX"`],
    ["a state of a country without states", { country: "MC", state: "BY" }, `Invalid holidays "MC/BY"`],
    ["years the other way round", { from: 2027 }, `Invalid holidays "2027–2026": it is no range of years`],
    ["half a year", { from: 2025.5 }, "it is no range of years"],
    ["no year", { to: Number.NaN }, "it is no range of years"],
    ["a name that every object has", { country: "toString" }, `Invalid holidays "toString"`],
    ["such a name as state", { state: "constructor" }, `Invalid holidays "DE/constructor"`],
    ["an unknown region", { state: "BY", region: "QQ" }, `Invalid holidays "DE/BY/QQ"`],
    ["a region without its state", { region: "A" }, `Invalid holidays "DE/A"`],
    ["a year before our era", { from: -5, to: -5 }, "it is no range of years"],
    ["a year of five digits", { from: 12_000, to: 12_000 }, "it is no range of years"]
  ])("refuses %s", (_, options, message) => {
    assert.include(refusal(() => Holidays.dates({ country: "DE", ...in2026, ...options })).message, message)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// words
// ---------------------------------------------------------------------------------------------------------------------

describe("describe", () => {
  const nine = Trigger.cron({ hour: 9, timezone: "Europe/Berlin" })

  it.each<readonly [Trigger.Trigger, string]>([
    [Trigger.at("2026-12-01 09:00:00"), "at 2026-12-01T09:00:00.000Z"],
    [Trigger.now, "once, at once"],
    [Trigger.interval({ minutes: 90 }), "every 1h 30m"],
    [
      Trigger.interval({ hours: 6, start: "2026-01-01", end: "2026-02-01" }),
      "every 6h, from 2026-01-01T00:00:00.000Z, to 2026-02-01T00:00:00.000Z"
    ],
    [Trigger.spaced("90 seconds"), "1m 30s after the end of the run before"],
    [
      Trigger.spaced("1 hour", { start: "2026-01-01", end: "2026-02-01" }),
      "1h after the end of the run before, from 2026-01-01T00:00:00.000Z, to 2026-02-01T00:00:00.000Z"
    ],
    [nine, "at 09:00, Europe/Berlin"],
    [Trigger.cron({ hour: 9, minute: 5, second: 7 }), "at 09:05:07, UTC"],
    [Trigger.cron({ dayOfWeek: "mon-fri", hour: 9 }), "at 09:00 on weekday mon-fri, UTC"],
    [Trigger.cron({ day: 1, minute: 20 }), "minute 20 of every hour on day 1, UTC"],
    [Trigger.cron({ week: 10 }), "at 00:00 in week 10, UTC"],
    [Trigger.crontab("*/5 * * * *"), "every 5 minutes of every hour, UTC"],
    [Trigger.crontab("0 */2 * * *"), "minute 0 of every 2 hours, UTC"],
    [Trigger.crontab("0 0 13 * fri"), "at 00:00 on day 13 or on weekday fri, UTC"],
    [Trigger.crontab("30 5 * 6 mon-fri"), "at 05:30 on weekday mon-fri in month 6, UTC"],
    [Trigger.crontab("@daily", { timezone: "Asia/Tokyo" }), "@daily, Asia/Tokyo"],
    [
      Trigger.calendarInterval({ years: 1, months: 2, weeks: 0, days: 1, hour: 9 }),
      "every 1 year 2 months 1 day at 09:00, UTC"
    ],
    [Trigger.calendarInterval({ weeks: 2, second: 5 }), "every 2 weeks at 00:00:05, UTC"],
    [Trigger.anyOf(nine, Trigger.now), "at 09:00, Europe/Berlin; or once, at once"],
    [
      Trigger.anyOf(nine, Trigger.now, Trigger.interval({ seconds: 5 })),
      "at 09:00, Europe/Berlin; once, at once; or every 5s"
    ],
    [
      Trigger.allOf(nine, Trigger.calendarInterval({ weeks: 2 })),
      "whenever these fall together: at 09:00, Europe/Berlin; and every 2 weeks at 00:00, UTC"
    ],
    [
      Trigger.except(nine, { weekdays: "sat-sun", windows: [{ from: "22:00", to: "06:00" }] }),
      "at 09:00, Europe/Berlin, except weekday sat-sun, 22:00–06:00 (Europe/Berlin)"
    ],
    [
      Trigger.except(nine, {
        dates: ["2026-12-25"],
        ranges: [{ from: "2026-08-01", to: "2026-08-31" }],
        daysOf: Trigger.cron({ day: 1 })
      }),
      "at 09:00, Europe/Berlin, except 2026-12-25, 2026-08-01 to 2026-08-31, the days of (at 00:00 on day 1, UTC) (Europe/Berlin)"
    ]
  ])("%s", (trigger, words) => {
    assert.strictEqual(Trigger.describe(trigger), words)
  })

  it("tells five dates of many", () => {
    const dates = Array.from({ length: 9 }, (_, i) => `2026-12-0${i + 1}`)
    const words = Trigger.describe(Trigger.except(nine, { dates }))
    assert.include(words, "2026-12-05")
    assert.notInclude(words, "2026-12-06")
    assert.include(words, "4 days more")
  })
})
