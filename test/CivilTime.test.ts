import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import * as CivilTime from "../src/CivilTime.ts"
import { DAY, offsetAt } from "./ZoneOracle.ts"

const seconds = (text: string): number => Date.parse(text) / 1000

const iso = (instant: number): string => new Date(instant * 1000).toISOString().replace(".000Z", "Z")

const zone = (name: string): CivilTime.Zone => CivilTime.zone(name)!

const always = <A>(numRuns: number, arbitrary: FastCheck.Arbitrary<A>, law: (value: A) => void) =>
  FastCheck.assert(FastCheck.property(arbitrary, law), { seed: 19_700_101, numRuns })

// ---------------------------------------------------------------------------------------------------------------------
// dates
// ---------------------------------------------------------------------------------------------------------------------

/** `Date.UTC` takes the years 0 to 99 for 1900 to 1999. */
const dateOf = (year: number, month: number, day: number): Date => {
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  return date
}

const Years = FastCheck.oneof(
  { weight: 3, arbitrary: FastCheck.integer({ min: 1970, max: 9999 }) },
  { weight: 1, arbitrary: FastCheck.integer({ min: -20_000, max: 1969 }) }
)

const DayNumbers = FastCheck.oneof(
  { weight: 3, arbitrary: FastCheck.integer({ min: 0, max: 2_932_896 }) },
  { weight: 1, arbitrary: FastCheck.integer({ min: -8_000_000, max: 0 }) }
)

describe("dates", () => {
  it("are the day numbers of JavaScript, from the first to the last of every month", () => {
    always(2000, FastCheck.tuple(Years, FastCheck.integer({ min: 1, max: 12 })), ([year, month]) => {
      const length = dateOf(year, month + 1, 0).getUTCDate()
      assert.strictEqual(CivilTime.daysInMonth(year, month), length)
      for (const day of [1, 2, 15, 28, length]) {
        assert.strictEqual(CivilTime.toDayNumber(year, month, day), dateOf(year, month, day).getTime() / 1000 / DAY)
      }
    })
  })

  it("are the dates of JavaScript for a day number", () => {
    always(5000, DayNumbers, (dayNumber) => {
      const date = new Date(dayNumber * DAY * 1000)
      assert.deepStrictEqual(CivilTime.fromDayNumber(dayNumber), {
        year: date.getUTCFullYear(),
        month: date.getUTCMonth() + 1,
        day: date.getUTCDate()
      })
      assert.strictEqual((CivilTime.weekday(dayNumber) + 1) % 7, date.getUTCDay())
    })
  })

  it("follow one another day by day for 800 years", () => {
    for (
      let dayNumber = CivilTime.toDayNumber(1600, 1, 1);
      dayNumber < CivilTime.toDayNumber(2400, 1, 1);
      dayNumber++
    ) {
      const { day, month, year } = CivilTime.fromDayNumber(dayNumber)
      assert.strictEqual(CivilTime.toDayNumber(year, month, day), dayNumber)
    }
  })

  it.each([
    [1900, 28],
    [2000, 29],
    [2023, 28],
    [2024, 29],
    [2100, 28],
    [2400, 29],
    [0, 29],
    [-4, 29],
    [-100, 28]
  ])("February of %d has %d days", (year, days) => {
    assert.strictEqual(CivilTime.daysInMonth(year, 2), days)
  })

  it.each([
    ["1970-01-01", 1],
    ["1977-01-01", 53],
    ["1978-01-01", 52],
    ["1980-12-29", 1],
    ["2004-12-31", 53],
    ["2005-01-02", 53],
    ["2005-01-03", 1],
    ["2008-12-28", 52],
    ["2008-12-29", 1],
    ["2010-01-03", 53],
    ["2010-01-04", 1],
    ["2015-12-31", 53],
    ["2016-01-03", 53],
    ["2020-12-28", 53],
    ["2020-12-31", 53],
    ["2021-01-03", 53],
    ["2021-01-04", 1],
    ["2022-01-02", 52],
    ["2024-12-29", 52],
    ["2024-12-30", 1],
    ["2026-01-01", 1],
    ["2026-12-31", 53],
    ["1969-12-28", 52],
    ["1969-12-29", 1]
  ])("%s lies in week %d", (date, week) => {
    assert.strictEqual(CivilTime.isoWeek(seconds(date) / DAY), week)
  })

  it("week 1 has January 4th in it, and every Monday begins the next week", () => {
    always(2000, DayNumbers, (dayNumber) => {
      const { year } = CivilTime.fromDayNumber(dayNumber)
      assert.strictEqual(CivilTime.isoWeek(dateOf(year, 1, 4).getTime() / 1000 / DAY), 1)
      const [week, following] = [CivilTime.isoWeek(dayNumber), CivilTime.isoWeek(dayNumber + 1)]
      if (CivilTime.weekday(dayNumber) < 6) assert.strictEqual(following, week)
      else assert.strictEqual(following, week < 52 ? week + 1 : following === 53 ? 53 : 1)
    })
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// zones
// ---------------------------------------------------------------------------------------------------------------------

/** What Intl's clock of the zone shows, as if it were UTC. */
const localOf = (name: string, instant: number): number => instant + offsetAt(name, instant)

const Names = FastCheck.constantFrom(...Intl.supportedValuesOf("timeZone"))

const Instants = FastCheck.oneof(
  { weight: 4, arbitrary: FastCheck.integer({ min: seconds("1970-01-01"), max: seconds("2040-01-01") }) },
  { weight: 1, arbitrary: FastCheck.integer({ min: seconds("1800-01-01"), max: seconds("1970-01-01") }) },
  { weight: 1, arbitrary: FastCheck.integer({ min: seconds("2040-01-01"), max: seconds("9999-01-01") }) }
)

describe("zones", () => {
  it("have the offsets of Intl at any instant", () => {
    always(800, FastCheck.tuple(Names, Instants), ([name, instant]) => {
      assert.strictEqual(CivilTime.offsetAt(zone(name), instant), offsetAt(name, instant), iso(instant))
    })
  })

  it("have segments that meet: each knows its neighbours' offsets", () => {
    always(300, FastCheck.tuple(Names, Instants), ([name, instant]) => {
      const self = zone(name)
      const { after, before, end, offset, start } = self.segmentAt(instant)
      assert.isTrue(start <= instant && instant < end)
      const found = [start - 1, start, end - 1, end].map((at) => CivilTime.offsetAt(self, at))
      assert.deepStrictEqual(found, [before, offset, offset, after])
      assert.deepStrictEqual(
        [start, end - 1].map((at) => offsetAt(name, at)),
        [offset, offset]
      )
    })
  })

  it.each([
    ["Europe/Berlin", "2024-03-31T00:59:59Z", 3600],
    ["Europe/Berlin", "2024-03-31T01:00:00Z", 7200],
    ["Africa/Monrovia", "1972-01-07T00:44:29Z", -2670],
    ["Africa/Monrovia", "1972-01-07T00:44:30Z", 0],
    ["Asia/Kathmandu", "1985-12-31T18:29:59Z", 19_800],
    ["Asia/Kathmandu", "1985-12-31T18:30:00Z", 20_700],
    ["Pacific/Apia", "2011-12-30T09:59:59Z", -36_000],
    ["Pacific/Apia", "2011-12-30T10:00:00Z", 50_400]
  ])("%s at %s has an offset of %d seconds", (name, instant, offset) => {
    assert.strictEqual(CivilTime.offsetAt(zone(name), seconds(instant)), offset)
  })

  it.each([
    ["UTC", "UTC", 0],
    ["Z", "UTC", 0],
    ["Etc/UTC", "UTC", 0],
    ["+00:00", "UTC", 0],
    ["-00:00", "UTC", 0],
    ["+05:30", "+05:30", 19_800],
    ["+0530", "+05:30", 19_800],
    ["-03:00", "-03:00", -10_800],
    ["-00:30", "-00:30", -1800],
    ["+23:59", "+23:59", 86_340],
    ["Asia/Kolkata", "Asia/Kolkata", 19_800],
    ["Etc/GMT+5", "Etc/GMT+5", -18_000]
  ])("%s is %s", (name, id, offset) => {
    assert.strictEqual(zone(name).id, id)
    assert.strictEqual(CivilTime.offsetAt(zone(name), 1_800_000_000), offset)
    assert.strictEqual(zone(name), zone(id))
  })

  it.each([
    "",
    " ",
    "Mars/Olympus",
    "+24:00",
    "+05:60",
    "+5:30",
    "05:30",
    "+05",
    "local time",
    "Europe/Berlin ",
    "\u0000"
  ])("%j is none", (name) => {
    assert.isUndefined(CivilTime.zone(name))
  })

  it("a name in another case is the same zone", () => {
    assert.strictEqual(zone("europe/BERLIN").id, "Europe/Berlin")
    assert.strictEqual(zone("europe/BERLIN"), zone("Europe/Berlin"))
    assert.strictEqual(zone("utc").id, "UTC")
  })

  it.each([
    [0, "UTC"],
    [3600, "+01:00"],
    [-3600, "-01:00"],
    [19_800, "+05:30"],
    [-12_600, "-03:30"],
    [-60, "-00:01"],
    [86_340, "+23:59"]
  ])("%d seconds are written %s", (offset, text) => {
    assert.strictEqual(CivilTime.formatOffset(offset), text)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// from civil times to instants
// ---------------------------------------------------------------------------------------------------------------------

describe("toInstant", () => {
  it.each([
    ["UTC", "2026-03-29T02:30:00", "2026-03-29T02:30:00Z"],
    ["+05:30", "2026-03-29T02:30:00", "2026-03-28T21:00:00Z"],
    ["Europe/Berlin", "2024-03-31T01:59:59", "2024-03-31T00:59:59Z"],
    ["Europe/Berlin", "2024-03-31T02:00:00", "2024-03-31T01:00:00Z"],
    ["Europe/Berlin", "2024-03-31T02:59:59", "2024-03-31T01:00:00Z"],
    ["Europe/Berlin", "2024-03-31T03:00:00", "2024-03-31T01:00:00Z"],
    ["Europe/Berlin", "2024-10-27T01:59:59", "2024-10-26T23:59:59Z"],
    ["Europe/Berlin", "2024-10-27T02:00:00", "2024-10-27T00:00:00Z"],
    ["Europe/Berlin", "2024-10-27T02:59:59", "2024-10-27T00:59:59Z"],
    ["Europe/Berlin", "2024-10-27T03:00:00", "2024-10-27T02:00:00Z"],
    ["Australia/Lord_Howe", "2024-10-06T02:15:00", "2024-10-05T15:30:00Z"],
    ["Australia/Lord_Howe", "2024-04-07T01:45:00", "2024-04-06T14:45:00Z"],
    ["Antarctica/Troll", "2024-03-31T02:59:59", "2024-03-31T01:00:00Z"],
    ["Antarctica/Troll", "2024-10-27T01:00:00", "2024-10-26T23:00:00Z"],
    ["Africa/Cairo", "2023-04-28T00:30:00", "2023-04-27T22:00:00Z"],
    ["Africa/Monrovia", "1972-01-07T00:20:00", "1972-01-07T00:44:30Z"],
    ["Asia/Kathmandu", "1986-01-01T00:14:59", "1985-12-31T18:30:00Z"],
    ["Asia/Pyongyang", "2015-08-14T23:45:00", "2015-08-14T14:45:00Z"],
    ["Pacific/Apia", "2011-12-29T23:59:59", "2011-12-30T09:59:59Z"],
    ["Pacific/Apia", "2011-12-30T00:00:00", "2011-12-30T10:00:00Z"],
    ["Pacific/Apia", "2011-12-30T23:59:59", "2011-12-30T10:00:00Z"],
    ["Pacific/Apia", "2011-12-31T00:00:00", "2011-12-30T10:00:00Z"],
    ["Pacific/Kwajalein", "1993-08-21T12:00:00", "1993-08-21T12:00:00Z"]
  ])("in %s %s is %s", (name, local, instant) => {
    assert.strictEqual(iso(CivilTime.toInstant(zone(name), seconds(`${local}Z`))), instant)
  })

  it("is the first instant that shows the local time, or else the first that shows a later one", () => {
    const Locals = FastCheck.integer({ min: seconds("1971-01-01"), max: seconds("2038-01-01") })
    always(500, FastCheck.tuple(Names, Locals), ([name, local]) => {
      const offsets = [-2, -1, 0, 1, 2].map((days) => localOf(name, local + days * DAY) - (local + days * DAY))
      const shown = offsets.map((offset) => local - offset).filter((instant) => localOf(name, instant) === local)
      const found = CivilTime.toInstant(zone(name), local)
      if (shown.length > 0) assert.strictEqual(found, Math.min(...shown))
      else assert.isTrue(localOf(name, found) > local && localOf(name, found - 1) < local)
    })
  })
})

describe("rules", () => {
  /** Every day at a second of the day. */
  const daily = (time: number): CivilTime.CivilSet => ({
    next: (local) => Math.ceil((local - time) / DAY) * DAY + time,
    previous: (local) => Math.floor((local - time) / DAY) * DAY + time
  })
  const never: CivilTime.CivilSet = { next: () => Infinity, previous: () => -Infinity }
  const once = (at: number): CivilTime.CivilSet => ({
    next: (local) => (local <= at ? at : Infinity),
    previous: (local) => (local >= at ? at : -Infinity)
  })

  it.each(["UTC", "Europe/Berlin", "Pacific/Apia"])("in %s an empty set has no instants", (name) => {
    for (const gap of ["skip", "shift"] as const) {
      for (const fold of ["first", "second", "both"] as const) {
        const rule = { zone: zone(name), gap, fold, times: never }
        assert.strictEqual(CivilTime.next(rule, seconds("2026-10-01")), Infinity)
        assert.strictEqual(CivilTime.previous(rule, seconds("2026-10-01")), -Infinity)
      }
    }
  })

  it("one local time that a fold repeats is found from either side", () => {
    const rule = { zone: zone("Europe/Berlin"), gap: "skip", times: once(seconds("2024-10-27T02:30Z")) } as const
    const [first, second] = [seconds("2024-10-27T00:30Z"), seconds("2024-10-27T01:30Z")]
    const [early, late] = [seconds("1990-01-01"), seconds("2200-01-01")]
    const ask = (fold: CivilTime.Fold) => [
      CivilTime.next({ ...rule, fold }, early),
      CivilTime.next({ ...rule, fold }, first + 1),
      CivilTime.next({ ...rule, fold }, second + 1),
      CivilTime.previous({ ...rule, fold }, late),
      CivilTime.previous({ ...rule, fold }, second - 1),
      CivilTime.previous({ ...rule, fold }, first - 1)
    ]
    assert.deepStrictEqual(ask("first"), [first, Infinity, Infinity, first, first, -Infinity])
    assert.deepStrictEqual(ask("second"), [second, second, Infinity, second, -Infinity, -Infinity])
    assert.deepStrictEqual(ask("both"), [first, second, Infinity, second, first, -Infinity])
  })

  it("one local time that a gap skips is found from either side, or not at all", () => {
    const rule = { zone: zone("Europe/Berlin"), fold: "both", times: once(seconds("2024-03-31T02:30Z")) } as const
    const change = seconds("2024-03-31T01:00Z")
    const [early, late] = [seconds("1990-01-01"), seconds("2200-01-01")]
    const ask = (gap: CivilTime.Gap) => [
      CivilTime.next({ ...rule, gap }, early),
      CivilTime.next({ ...rule, gap }, change),
      CivilTime.next({ ...rule, gap }, change + 1),
      CivilTime.previous({ ...rule, gap }, late),
      CivilTime.previous({ ...rule, gap }, change),
      CivilTime.previous({ ...rule, gap }, change - 1)
    ]
    assert.deepStrictEqual(ask("skip"), [Infinity, Infinity, Infinity, -Infinity, -Infinity, -Infinity])
    assert.deepStrictEqual(ask("shift"), [change, change, Infinity, change, change, -Infinity])
  })

  it.each([
    ["Africa/Cairo", "9055-10-25T23:55"],
    ["America/Adak", "9089-11-03T01:45"]
  ])("in %s a local time of the far fold %s is repeated as one of today is", (name, local) => {
    const at = seconds(`${local}Z`)
    const shown = [-2 * DAY, 2 * DAY].map((days) => at - (localOf(name, at + days) - (at + days)))
    assert.deepStrictEqual(
      shown.map((instant) => localOf(name, instant)),
      [at, at]
    )
    const rule = { zone: zone(name), gap: "skip", times: daily(at - Math.floor(at / DAY) * DAY) } as const
    const within = (fold: CivilTime.Fold) =>
      shown.map((instant) => [
        CivilTime.next({ ...rule, fold }, instant),
        CivilTime.previous({ ...rule, fold }, instant)
      ])
    const [first, second] = shown as [number, number]
    const before = first - DAY
    assert.deepStrictEqual(within("both"), [
      [first, first],
      [second, second]
    ])
    assert.deepStrictEqual(within("first"), [
      [first, first],
      [second + DAY, first]
    ])
    assert.deepStrictEqual(within("second"), [
      [second, before],
      [second, second]
    ])
  })
})
