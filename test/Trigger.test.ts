import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Either, Equal, FastCheck, Hash, Inspectable, Option, Schema } from "effect"
import { inspect } from "node:util"
import { InvalidTrigger } from "../src/SchedulerError.ts"
import * as Trigger from "../src/Trigger.ts"
import type { TriggerJson } from "../src/TriggerJson.ts"

const utc = (text: string): DateTime.Utc => DateTime.unsafeMake(text)

const isoOf = Option.match({ onNone: () => "none", onSome: DateTime.formatIso })

const next = (trigger: Trigger.Trigger, after: DateTime.DateTime.Input) => isoOf(Trigger.next(trigger, after))

const previous = (trigger: Trigger.Trigger, atOrBefore: DateTime.DateTime.Input) =>
  isoOf(Trigger.previous(trigger, atOrBefore))

const upcoming = (trigger: Trigger.Trigger, from: DateTime.DateTime.Input, limit: number) =>
  Trigger.upcoming(trigger, { from, limit }).map((instant) => DateTime.formatIso(instant).replace(":00.000Z", "Z"))

const refusal = (make: () => Trigger.Trigger): InvalidTrigger => {
  try {
    const made = make()
    throw new Error(`nothing is wrong with ${JSON.stringify(made)}`)
  } catch (error) {
    if (error instanceof InvalidTrigger) return error
    throw error
  }
}

const decode = Schema.decodeUnknownEither(Trigger.Trigger)

/** Through a store and back. */
const stored = (trigger: Trigger.Trigger) =>
  decode(JSON.parse(JSON.stringify(Schema.encodeSync(Trigger.Trigger)(trigger))))

const assertReadBack = (trigger: Trigger.Trigger) => {
  const back = stored(trigger)
  assert.isTrue(Either.isRight(back), `${JSON.stringify(trigger)} is refused`)
  assert.isTrue(Equal.equals(Either.getOrThrow(back), trigger), JSON.stringify(trigger))
  assert.strictEqual(Hash.hash(Either.getOrThrow(back)), Hash.hash(trigger))
}

// ---------------------------------------------------------------------------------------------------------------------
// triggers of all kinds
// ---------------------------------------------------------------------------------------------------------------------

const Instants = FastCheck.integer({ min: Date.UTC(1971, 0, 1), max: Date.UTC(2060, 0, 1) })

const orUndefined = <A>(arbitrary: FastCheck.Arbitrary<A>) => FastCheck.option(arbitrary, { nil: undefined, freq: 3 })

const AnyBounds = FastCheck.tuple(orUndefined(Instants), orUndefined(Instants)).map(([a, b]) => ({
  start: a === undefined || b === undefined ? a : Math.min(a, b),
  end: a === undefined || b === undefined ? b : Math.max(a, b)
}))

const ZONES = [
  "UTC",
  "Africa/Cairo",
  "America/Havana",
  "Antarctica/Troll",
  "Asia/Kathmandu",
  "Australia/Lord_Howe",
  "Europe/Berlin",
  "Pacific/Apia",
  "+05:30",
  "-09:00"
]

const GAPS = ["skip", "shift"] as const
const FOLDS = ["first", "second", "both"] as const

const Civil = FastCheck.record({
  timezone: FastCheck.constantFrom(...ZONES),
  gap: FastCheck.constantFrom(undefined, ...GAPS),
  fold: FastCheck.constantFrom(undefined, ...FOLDS)
})

const FIELDS = {
  year: ["*", "1970", "*/3", "2020-2040/2", "1999,2050"],
  month: ["*", "1", "feb", "nov-feb", "*/5", "JUN,dec"],
  day: ["*", "31", "last", "2nd fri", "last sun", "5th mon, 1", "*/10", "10-20/3", "15/4"],
  week: ["*", "1", "53", "10-20", "*/7"],
  dayOfWeek: ["*", "0", "sat-mon", "mon-fri", "*/2", "TUE,6"],
  hour: ["*", "0", "2", "23", "*/5", "1-3", "22,4"],
  minute: ["*", "0", "30", "59", "*/15", "5-50/7"],
  second: ["*", "0", "59", "*/20", "10,11,12"]
}

const texts = (name: keyof typeof FIELDS) => FastCheck.constantFrom(...FIELDS[name])

const Crons = FastCheck.tuple(
  FastCheck.record(
    {
      year: texts("year"),
      month: texts("month"),
      day: texts("day"),
      week: texts("week"),
      dayOfWeek: texts("dayOfWeek"),
      hour: texts("hour"),
      minute: texts("minute"),
      second: texts("second")
    },
    { requiredKeys: [] }
  ).filter((fields) => Object.keys(fields).length > 0),
  Civil,
  AnyBounds
).map(([fields, civil, bounds]) => Trigger.cron({ ...fields, ...civil, ...bounds }))

const CRONTABS = [
  "* * * * *",
  "*/15 2 * * *",
  "30 2 * * mon-fri",
  "0 0 L * *",
  "0 12 LW * *",
  "45 23 15W 2-4 ?",
  "0 0 13 * fri",
  "5 4 * * 5L",
  "0 9 ? * fri#2",
  "10,20 */6 1-7 */2 7",
  "*/20 30 1 * * *",
  "@hourly",
  "@Weekly",
  "@yearly"
]

const Crontabs = FastCheck.tuple(FastCheck.constantFrom(...CRONTABS), Civil, AnyBounds).map(([text, civil, bounds]) =>
  Trigger.crontab(text, { ...civil, ...bounds })
)

const Intervals = FastCheck.tuple(
  FastCheck.record(
    {
      weeks: FastCheck.nat(3),
      days: FastCheck.nat(40),
      hours: FastCheck.nat(30),
      minutes: FastCheck.nat(100),
      seconds: FastCheck.nat(100),
      millis: FastCheck.nat(2000)
    },
    { requiredKeys: [] }
  ).filter((units) => Object.values(units).some((n) => n > 0)),
  AnyBounds
).map(([units, bounds]) => Trigger.interval({ ...units, ...bounds }))

const Spaced = FastCheck.tuple(FastCheck.integer({ min: 1, max: 3_000_000_000 }), AnyBounds).map(([delay, bounds]) =>
  Trigger.spaced(delay, bounds)
)

const Triggers = FastCheck.oneof(
  { weight: 1, arbitrary: Instants.map((instant) => Trigger.at(instant)) },
  { weight: 1, arbitrary: Spaced },
  { weight: 1, arbitrary: FastCheck.constant(Trigger.now) },
  { weight: 3, arbitrary: Intervals },
  { weight: 6, arbitrary: Crons },
  { weight: 3, arbitrary: Crontabs }
)

/** An instant, often within a second of what the trigger itself speaks of. */
const momentFor = (trigger: Trigger.Trigger): FastCheck.Arbitrary<number> => {
  const { at, end, start } = { at: undefined, end: undefined, start: undefined, ...trigger.json }
  const own = [at, start, end].flatMap((text: string | undefined) => (text === undefined ? [] : [Date.parse(text)]))
  const Any = FastCheck.integer({ min: Date.UTC(1965, 0, 1), max: Date.UTC(2070, 0, 1) })
  if (own.length === 0) return Any
  const Near = FastCheck.tuple(FastCheck.constantFrom(...own), FastCheck.constantFrom(-1000, -1, 0, 1, 999, 1000))
  return FastCheck.oneof(
    Any,
    Near.map(([instant, delta]) => instant + delta)
  )
}

const Questions = Triggers.chain((trigger) => momentFor(trigger).map((moment) => ({ trigger, moment })))

const holdsAlways = (
  law: (question: { readonly trigger: Trigger.Trigger; readonly moment: number }) => void,
  numRuns = 500
) => FastCheck.assert(FastCheck.property(Questions, law), { seed: 4_022_026, numRuns })

const millis = Option.map(DateTime.toEpochMillis)

const nextMillis = (trigger: Trigger.Trigger, after: number) => millis(Trigger.next(trigger, after))
const previousMillis = (trigger: Trigger.Trigger, atOrBefore: number) => millis(Trigger.previous(trigger, atOrBefore))

const isElapsed = (trigger: Trigger.Trigger) => trigger._tag === "Interval" || trigger._tag === "Spaced"

/** No trigger has an instant after this one. */
const END = Date.UTC(10_000, 0, 3)

describe("the laws of triggers", () => {
  it("the questions have answers, and some have none", () => {
    const sample = FastCheck.sample(Questions, { seed: 4_022_026, numRuns: 500 })
    const answered = sample.filter(({ moment, trigger }) => Option.isSome(Trigger.next(trigger, moment))).length
    assert.isAbove(answered, 200)
    assert.isBelow(answered, 450)
  })

  it("next is after its argument, five times in a row", () => {
    holdsAlways(({ moment, trigger }) => {
      let at = moment
      for (let i = 0; i < 5; i++) {
        const found = nextMillis(trigger, at)
        if (Option.isNone(found)) return
        assert.isAbove(found.value, at)
        at = found.value
      }
    })
  })

  it("previous is at or before its argument, five times in a row", () => {
    holdsAlways(({ moment, trigger }) => {
      let at = moment
      for (let i = 0; i < 5; i++) {
        const found = previousMillis(trigger, at)
        if (Option.isNone(found)) return
        assert.isAtMost(found.value, at)
        at = found.value - 1
      }
    })
  })

  it("previous finds what next found, and next what previous found", () => {
    holdsAlways(({ moment, trigger }) => {
      const after = nextMillis(trigger, moment)
      if (Option.isSome(after)) assert.deepStrictEqual(previousMillis(trigger, after.value), after)
      const before = previousMillis(trigger, moment)
      if (Option.isSome(before)) assert.deepStrictEqual(nextMillis(trigger, before.value - 1), before)
    })
  })

  it("nothing lies between an instant and the next one", () => {
    holdsAlways(({ moment, trigger }) => {
      const end = Option.getOrElse(nextMillis(trigger, moment), () => END)
      assert.isAtMost(
        Option.getOrElse(previousMillis(trigger, end - 1), () => -Infinity),
        moment
      )
    })
  })

  it("nothing lies between the previous instant and its argument", () => {
    holdsAlways(({ moment, trigger }) => {
      const start = Option.getOrElse(previousMillis(trigger, moment), () => Date.UTC(1960, 0, 1))
      if (isElapsed(trigger) && trigger.json.start === undefined && start < 0) return
      assert.isAbove(
        Option.getOrElse(nextMillis(trigger, start), () => Infinity),
        moment
      )
    })
  })

  it("the answers do not depend on what was asked before", () => {
    holdsAlways(({ moment, trigger }) => {
      const fresh = () => Either.getOrThrow(stored(trigger))
      Trigger.next(trigger, moment + 1e12)
      Trigger.previous(trigger, moment - 1e11)
      assert.strictEqual(next(trigger, moment), next(fresh(), moment))
      assert.strictEqual(previous(trigger, moment), previous(fresh(), moment))
    }, 200)
  })

  it("what was encoded is decoded to an equal trigger of the same hash", () => {
    holdsAlways(({ trigger }) => assertReadBack(trigger))
  })

  it("an anchored trigger is decoded to an equal one, unless it ends before it starts", () => {
    holdsAlways(({ moment, trigger }) => {
      if (isElapsed(trigger) && Date.parse(trigger.json.end ?? "9999-01-01") < moment) return
      assertReadBack(Trigger.anchor(trigger, DateTime.unsafeMake(moment)))
    })
  })

  it("an interval that ends before its anchor is decoded to an equal one", () => {
    assertReadBack(Trigger.anchor(Trigger.interval({ hours: 1, end: "2020-01-01" }), utc("2026-01-01T00:00:00Z")))
  })

  it.each([
    ["the first millisecond of the year 10000", Date.UTC(10_000, 0, 1)],
    ["the last instant of ECMAScript", 8.64e15],
    ["the first instant of ECMAScript", -8.64e15]
  ])("%s is refused or read back", (_, instant) => {
    for (const make of [() => Trigger.at(instant), () => Trigger.interval({ days: 1, start: instant })]) {
      const made = Either.try({ try: make, catch: (error) => error })
      if (Either.isRight(made)) assertReadBack(made.right)
      else assert.instanceOf(made.left, InvalidTrigger)
    }
  })

  it("the ends of ECMAScript's time are ordinary arguments, whatever the zone", () => {
    for (const timezone of ["UTC", "Europe/Berlin"]) {
      const nightly = Trigger.cron({ hour: 12, timezone })
      assert.strictEqual(next(nightly, -8.64e15).slice(0, 10), "1970-01-01", timezone)
      assert.strictEqual(next(nightly, 8.64e15), "none", timezone)
      assert.strictEqual(previous(nightly, 8.64e15).slice(0, 10), "9999-12-31", timezone)
      assert.strictEqual(previous(nightly, -8.64e15), "none", timezone)
    }
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// values
// ---------------------------------------------------------------------------------------------------------------------

describe("triggers as values", () => {
  const nightly = Trigger.crontab("30 2 * * *", { timezone: "Europe/Berlin" })

  const FORMS: ReadonlyArray<readonly [Trigger.Trigger, TriggerJson]> = [
    [Trigger.now, { _tag: "Now" }],
    [Trigger.at(0), { _tag: "At", at: "1970-01-01T00:00:00.000Z" }],
    [
      Trigger.interval({ weeks: 1, days: 1, hours: 1, minutes: 1, seconds: 1, millis: 1, end: "2030-01-01" }),
      { _tag: "Interval", everyMillis: 694_861_001, end: "2030-01-01T00:00:00.000Z" }
    ],
    [
      Trigger.spaced("90 seconds", { start: "2026-01-01", end: "2030-01-01" }),
      {
        _tag: "Spaced",
        everyMillis: 90_000,
        start: "2026-01-01T00:00:00.000Z",
        end: "2030-01-01T00:00:00.000Z"
      }
    ],
    [
      Trigger.cron({ minute: 5, day: "2nd FRI", start: "2026-01-01", timezone: "Europe/Berlin" }),
      {
        _tag: "Cron",
        fields: { day: "2nd FRI", minute: "5" },
        timezone: "Europe/Berlin",
        gap: "skip",
        fold: "both",
        start: "2025-12-31T23:00:00.000Z"
      }
    ],
    [nightly, { _tag: "Crontab", expression: "30 2 * * *", timezone: "Europe/Berlin", gap: "shift", fold: "first" }]
  ]

  it.each(FORMS.map(([trigger, json]) => [json._tag, trigger, json] as const))(
    "%s has its stored form",
    (_, trigger, json) => {
      assert.deepStrictEqual(Schema.encodeSync(Trigger.Trigger)(trigger), json)
      assert.isTrue(Equal.equals(Either.getOrThrow(decode(json)), trigger))
      assert.strictEqual(trigger._tag, json._tag)
    }
  )

  it("the same fields in another order, as numbers or as text, are equal", () => {
    const one = Trigger.cron({ hour: 2, minute: "30", timezone: "UTC" })
    const other = Trigger.cron({ minute: 30, hour: "2" })
    assert.isTrue(Equal.equals(one, other))
    assert.strictEqual(Hash.hash(one), Hash.hash(other))
  })

  it.each([
    ["kind", Trigger.cron({ hour: 2, minute: 30 }), Trigger.crontab("30 2 * * *")],
    ["field", Trigger.cron({ hour: 2 }), Trigger.cron({ hour: 3 })],
    ["zone", Trigger.cron({ hour: 2 }), Trigger.cron({ hour: 2, timezone: "Europe/Berlin" })],
    ["gap", Trigger.cron({ hour: 2 }), Trigger.cron({ hour: 2, gap: "skip" })],
    ["fold", Trigger.cron({ hour: 2 }), Trigger.cron({ hour: 2, fold: "both" })],
    ["start", Trigger.interval({ hours: 1 }), Trigger.interval({ hours: 1, start: 0 })],
    ["end", Trigger.interval({ hours: 1, end: 1 }), Trigger.interval({ hours: 1, end: 2 })],
    ["delay", Trigger.spaced("1 hour"), Trigger.spaced("2 hours")],
    ["counting", Trigger.spaced("1 hour"), Trigger.interval({ hours: 1 })],
    ["instant", Trigger.at(0), Trigger.at(1)]
  ])("another %s makes another trigger", (_, one, other) => {
    assert.isFalse(Equal.equals(one, other))
  })

  it("what is no trigger is not equal to one", () => {
    assert.isFalse(nightly[Equal.symbol]({ json: nightly.json }))
    assert.isTrue(nightly[Equal.symbol](Trigger.crontab("30 2 * * *", { timezone: "Europe/Berlin" })))
  })

  it("a trigger shows its stored form, as text, as JSON and in the console", () => {
    const json = { _tag: "Crontab", expression: "30 2 * * *", timezone: "Europe/Berlin", gap: "shift", fold: "first" }
    assert.deepStrictEqual(nightly.toJSON(), json as TriggerJson)
    assert.deepStrictEqual(JSON.parse(JSON.stringify(nightly)), json)
    assert.strictEqual(String(nightly), Inspectable.format(json))
    assert.strictEqual(inspect(nightly), inspect(json))
  })

  it("a trigger can be piped", () => {
    const found = nightly.pipe((trigger) => Trigger.next(trigger, "2026-01-01"), isoOf)
    assert.strictEqual(found, "2026-01-01T01:30:00.000Z")
  })

  it.each([
    ["a trigger", nightly, true],
    ["its stored form", nightly.json, false],
    ["null", null, false],
    ["text", "30 2 * * *", false]
  ])("isTrigger of %s", (_, value, expected) => {
    assert.strictEqual(Trigger.isTrigger(value), expected)
  })

  it("an instant is asked for as a Date, a DateTime, milliseconds or text", () => {
    const moment = Date.UTC(2026, 0, 1)
    const zoned = DateTime.unsafeMakeZoned(moment, { timeZone: "Asia/Tokyo" })
    for (const input of [new Date(moment), utc("2026-01-01"), zoned, moment, "2026-01-01T00:00:00Z"]) {
      assert.strictEqual(next(nightly, input), "2026-01-01T01:30:00.000Z")
      assert.strictEqual(previous(nightly, input), "2025-12-31T01:30:00.000Z")
    }
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// decoding
// ---------------------------------------------------------------------------------------------------------------------

describe("decoding of JSON from outside", () => {
  const Nasty = FastCheck.oneof(
    FastCheck.string(),
    FastCheck.string({ unit: FastCheck.constantFrom(..."0123456789*/-,LW#?@ laswfri\t"), maxLength: 30 }),
    FastCheck.constantFrom("", "*", "0 0 * * *", "@daily", "__proto__", "UTC", "2026-01-01", "-271821-04-20T00:00:00Z")
  )
  const maybe = <A>(arbitrary: FastCheck.Arbitrary<A>) =>
    FastCheck.oneof(arbitrary, FastCheck.jsonValue({ maxDepth: 1 }))
  const NearlyJson = FastCheck.record(
    {
      _tag: FastCheck.constantFrom("At", "Now", "Interval", "Cron", "Crontab", "Other"),
      at: maybe(Nasty),
      everyMillis: maybe(FastCheck.oneof(FastCheck.integer(), FastCheck.double())),
      start: Nasty,
      end: Nasty,
      fields: maybe(
        FastCheck.dictionary(FastCheck.constantFrom(...Object.keys(FIELDS), "toString", "__proto__"), maybe(Nasty))
      ),
      expression: maybe(Nasty),
      timezone: FastCheck.oneof(FastCheck.constantFrom("UTC", "Europe/Berlin", "+01:00"), Nasty),
      gap: FastCheck.constantFrom("skip", "shift", "later"),
      fold: FastCheck.constantFrom("first", "second", "both", "neither")
    },
    { requiredKeys: ["_tag", "timezone", "gap", "fold"] }
  )

  it("never throws, and gives only triggers that are read back", () => {
    let accepted = 0
    FastCheck.assert(
      FastCheck.property(FastCheck.oneof(FastCheck.jsonValue(), NearlyJson), (json) => {
        const decoded = decode(json)
        if (Either.isLeft(decoded)) return
        accepted++
        assertReadBack(decoded.right)
      }),
      { seed: 77, numRuns: 3000 }
    )
    assert.isAbove(accepted, 50)
  })

  const CRONTAB = { _tag: "Crontab", expression: "0 0 * * *", timezone: "UTC", gap: "skip", fold: "both" }

  it.each([
    ["no tag", { at: "2026-01-01" }, "_tag"],
    ["a date that is none", { _tag: "At", at: "2026-02-30" }, `Invalid at "2026-02-30"`],
    ["no period", { _tag: "Interval", everyMillis: 0 }, "positive"],
    ["half a millisecond", { _tag: "Interval", everyMillis: 0.5 }, "integer"],
    ["an end before the start", { _tag: "Interval", everyMillis: 1, start: "2026-01-02", end: "2026-01-01" }, "end"],
    ["a bad field", { ...CRONTAB, _tag: "Cron", fields: { hour: "25" } }, `Invalid hour "25"`],
    ["no field", { ...CRONTAB, _tag: "Cron", fields: {} }, "no field was given"],
    ["a number for a field", { ...CRONTAB, _tag: "Cron", fields: { hour: 2 } }, "Expected string"],
    ["a bad expression", { ...CRONTAB, expression: "0 0 * *" }, "4 fields were given"],
    ["a bad zone", { ...CRONTAB, timezone: "Mars/Olympus" }, `Invalid timezone "Mars/Olympus"`],
    ["a bad gap", { ...CRONTAB, gap: "later" }, `"later"`],
    ["no fold", { _tag: "Crontab", expression: "0 0 * * *", timezone: "UTC", gap: "skip" }, `["fold"]`]
  ])("refuses %s with a reason", (_, json, reason) => {
    const decoded = decode(json)
    assert.isTrue(Either.isLeft(decoded))
    assert.include(String(Option.getOrThrow(Either.getLeft(decoded))), reason)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// at and now
// ---------------------------------------------------------------------------------------------------------------------

describe("Trigger.at", () => {
  it.each([
    ["2026-12-01", "UTC", "2026-12-01T00:00:00.000Z"],
    ["2026-12-01", "Europe/Berlin", "2026-11-30T23:00:00.000Z"],
    ["2026-12-01", "+05:30", "2026-11-30T18:30:00.000Z"],
    ["2026-1-2", "UTC", "2026-01-02T00:00:00.000Z"],
    ["2026-1-2 3:4", "UTC", "2026-01-02T03:04:00.000Z"],
    ["2026-1-2 3:4:5", "UTC", "2026-01-02T03:04:05.000Z"],
    ["  2026-12-01 09:00:00\n", "UTC", "2026-12-01T09:00:00.000Z"],
    ["2026-12-01T09:00", "America/New_York", "2026-12-01T14:00:00.000Z"],
    ["2026-12-01 09:00:00.5", "UTC", "2026-12-01T09:00:00.500Z"],
    ["2026-12-01T09:00:00.001", "UTC", "2026-12-01T09:00:00.001Z"],
    ["2026-12-01T09:00:00.123456789", "UTC", "2026-12-01T09:00:00.123Z"],
    ["2026-12-01T09:00:00.9999Z", "UTC", "2026-12-01T09:00:00.999Z"],
    ["1969-12-31T23:59:59.25Z", "UTC", "1969-12-31T23:59:59.250Z"],
    ["2026-12-01T09:00:00Z", "America/New_York", "2026-12-01T09:00:00.000Z"],
    ["2026-12-01t09:00:00z", "America/New_York", "2026-12-01T09:00:00.000Z"],
    ["2026-12-01T09:00:00+05:30", "America/New_York", "2026-12-01T03:30:00.000Z"],
    ["2026-12-01 09:00:00 -0330", "UTC", "2026-12-01T12:30:00.000Z"],
    ["2024-02-29", "UTC", "2024-02-29T00:00:00.000Z"],
    ["0001-01-01", "UTC", "0001-01-01T00:00:00.000Z"],
    ["9999-12-31 23:59:59", "UTC", "9999-12-31T23:59:59.000Z"],
    ["2026-03-29 02:30", "Europe/Berlin", "2026-03-29T01:00:00.000Z"],
    ["2026-10-25 02:30", "Europe/Berlin", "2026-10-25T00:30:00.000Z"],
    ["2011-12-30 12:00", "Pacific/Apia", "2011-12-30T10:00:00.000Z"]
  ])("reads %j in %s", (text, timezone, expected) => {
    assert.deepStrictEqual(Trigger.at(text, { timezone }).json, { _tag: "At", at: expected })
  })

  it("reads every millisecond as written", () => {
    for (let ms = 0; ms < 1000; ms++) {
      const { json } = Trigger.at(`2026-12-01T09:00:00.${String(ms).padStart(3, "0")}Z`)
      assert.deepStrictEqual(json, { _tag: "At", at: new Date(Date.UTC(2026, 11, 1, 9, 0, 0, ms)).toISOString() })
    }
  })

  it("takes a Date, a DateTime of any zone and milliseconds, whatever the timezone", () => {
    const moment = Date.UTC(2026, 11, 1, 9)
    const zoned = DateTime.unsafeMakeZoned(moment, { timeZone: "Asia/Tokyo" })
    for (const instant of [new Date(moment), moment, utc("2026-12-01T09:00:00Z"), zoned]) {
      const { json } = Trigger.at(instant, { timezone: "Europe/Berlin" })
      assert.deepStrictEqual(json, { _tag: "At", at: "2026-12-01T09:00:00.000Z" })
    }
  })

  it.each([
    ["2026-02-30", "there is no such date"],
    ["2025-02-29", "there is no such date"],
    ["2026-13-01", "there is no such date"],
    ["2026-00-10", "there is no such date"],
    ["2026-01-00", "there is no such date"],
    ["2026-04-31T00:00:00Z", "there is no such date"],
    ["2026-12-01 24:00", "there is no such time of day"],
    ["2026-12-01 09:60", "there is no such time of day"],
    ["2026-12-01 09:00:60", "there is no such time of day"],
    ["", "it is not understood"],
    ["garbage", "it is not understood"],
    ["tomorrow", "it is not understood"],
    ["2026-12", "it is not understood"],
    ["2026-12-01 9", "it is not understood"],
    ["2026-12-01 09:00:00.", "it is not understood"],
    ["2026-12-01x", "it is not understood"],
    ["12/01/2026", "it is not understood"],
    ["2026-12-01T09:00:00+5", "it is not understood"],
    ["26-12-01", "it is not understood"],
    [Number.NaN, "it is no instant"],
    [Number.POSITIVE_INFINITY, "it is no instant"],
    [8.64e15 + 1, "it is no instant"],
    [new Date(Number.NaN), "it is no instant"]
  ])("refuses %j: %s", (instant, reason) => {
    const error = refusal(() => Trigger.at(instant))
    assert.deepStrictEqual([error.field, error.text, error.position, error.reason], ["at", String(instant), 0, reason])
    assert.include(error.expected, "ISO 8601")
  })

  it("has one instant", () => {
    const once = Trigger.at(1000)
    assert.strictEqual(next(once, 999), "1970-01-01T00:00:01.000Z")
    assert.strictEqual(next(once, 1000), "none")
    assert.strictEqual(previous(once, 1000), "1970-01-01T00:00:01.000Z")
    assert.strictEqual(previous(once, 999), "none")
  })
})

describe("anchor and first", () => {
  const moment = utc("2026-06-01T12:34:56.789Z")

  it("now has no instant until it is anchored, and then that one", () => {
    assert.strictEqual(next(Trigger.now, 0), "none")
    assert.strictEqual(previous(Trigger.now, moment), "none")
    assert.isTrue(Equal.equals(Trigger.anchor(Trigger.now, moment), Trigger.at(moment)))
    assert.strictEqual(isoOf(Trigger.first(Trigger.now, moment)), "2026-06-01T12:34:56.789Z")
  })

  it("a spaced trigger without start counts from the moment, and runs first one delay later", () => {
    const spaced = Trigger.spaced("1 hour", { end: "2026-06-02" })
    assert.deepStrictEqual(Trigger.anchor(spaced, moment).json, {
      _tag: "Spaced",
      everyMillis: 3_600_000,
      start: "2026-06-01T12:34:56.789Z",
      end: "2026-06-02T00:00:00.000Z"
    })
    assert.strictEqual(isoOf(Trigger.first(spaced, moment)), "2026-06-01T13:34:56.789Z")
  })

  it("an interval without start takes its phase from the moment, and runs first one period later", () => {
    const hourly = Trigger.interval({ hours: 1, end: "2026-06-02" })
    assert.deepStrictEqual(Trigger.anchor(hourly, moment).json, {
      _tag: "Interval",
      everyMillis: 3_600_000,
      start: "2026-06-01T12:34:56.789Z",
      end: "2026-06-02T00:00:00.000Z"
    })
    assert.strictEqual(isoOf(Trigger.first(hourly, moment)), "2026-06-01T13:34:56.789Z")
    assert.strictEqual(next(hourly, moment), "2026-06-01T13:00:00.000Z")
  })

  it.each([
    ["an interval with start", Trigger.interval({ hours: 1, start: "2026-01-01T00:30" }), "2026-06-01T13:30:00.000Z"],
    ["a past instant", Trigger.at("2020-01-01"), "2020-01-01T00:00:00.000Z"],
    ["an instant before 1970", Trigger.at("1900-01-01"), "1900-01-01T00:00:00.000Z"],
    ["a cron", Trigger.cron({ hour: 1 }), "2026-06-02T01:00:00.000Z"],
    ["a crontab", Trigger.crontab("@monthly"), "2026-07-01T00:00:00.000Z"],
    ["a cron that has ended", Trigger.cron({ hour: 1, end: "2026-06-01" }), "none"]
  ])("%s stays as it is", (_, trigger, first) => {
    assert.strictEqual(Trigger.anchor(trigger, moment), trigger)
    assert.strictEqual(isoOf(Trigger.first(trigger, moment)), first)
  })

  it("an anchor at an instant of the trigger is not its first run", () => {
    assert.strictEqual(
      isoOf(Trigger.first(Trigger.cron({ hour: 1 }), utc("2026-06-01T01:00:00Z"))),
      "2026-06-02T01:00:00.000Z"
    )
  })

  it("an interval that ends before its anchor never runs", () => {
    assert.strictEqual(isoOf(Trigger.first(Trigger.interval({ hours: 1, end: "2026-06-01" }), moment)), "none")
  })
})

describe("upcoming", () => {
  const daily = Trigger.cron({ hour: 0, end: "2026-01-08" })

  it("gives five, strictly after its start, oldest first", () => {
    assert.deepStrictEqual(
      Trigger.upcoming(daily, { from: "2026-01-01" }).map(DateTime.formatIso),
      [2, 3, 4, 5, 6].map((day) => `2026-01-0${day}T00:00:00.000Z`)
    )
  })

  it.each([
    ["2026-01-01", 0, 0],
    ["2026-01-01", 1, 1],
    ["2026-01-01", 7, 7],
    ["2026-01-01", 8, 7],
    ["2026-01-07", 5, 1],
    ["2026-01-08", 5, 0]
  ])("from %s with limit %d gives %d", (from, limit, count) => {
    assert.strictEqual(Trigger.upcoming(daily, { from, limit }).length, count)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// interval and bounds
// ---------------------------------------------------------------------------------------------------------------------

describe("Trigger.interval", () => {
  it.each([
    [{ weeks: 1 }, 604_800_000],
    [{ days: 1 }, 86_400_000],
    [{ hours: 1 }, 3_600_000],
    [{ minutes: 1 }, 60_000],
    [{ seconds: 1 }, 1000],
    [{ millis: 1 }, 1],
    [{ hours: 1, minutes: 30 }, 5_400_000],
    [{ seconds: 0.5 }, 500],
    [{ days: 0, millis: 7 }, 7]
  ])("%j is a period of %d ms", (units, everyMillis) => {
    assert.deepStrictEqual(Trigger.interval(units).json, { _tag: "Interval", everyMillis })
  })

  it.each([
    [{ hours: 1.1 }, 3_960_000],
    [{ seconds: 1.001 }, 1001]
  ])("%j is a period of %d ms, although floating point is not exact", (units, everyMillis) => {
    assert.deepStrictEqual(Trigger.interval(units).json, { _tag: "Interval", everyMillis })
  })

  it.each([
    [{}, "0 ms"],
    [{ hours: 0 }, "0 ms"],
    [{ minutes: -1 }, "-60000 ms"],
    [{ millis: 0.5 }, "0.5 ms"],
    [{ days: Number.NaN }, "NaN ms"],
    [{ weeks: Number.POSITIVE_INFINITY }, "Infinity ms"],
    [{ weeks: 1e12 }, "604800000000000000000 ms"]
  ])("refuses %j", (units, text) => {
    const error = refusal(() => Trigger.interval(units))
    assert.deepStrictEqual([error.field, error.text, error.position], ["interval", text, 0])
    assert.include(error.expected, "positive whole number of milliseconds")
  })

  it("counts elapsed time from its start, whatever the wall clock does", () => {
    const daily = Trigger.interval({ days: 1, start: "2026-03-28T12:00:00+01:00" })
    assert.deepStrictEqual(upcoming(daily, "2026-03-28", 3), [
      "2026-03-28T11:00Z",
      "2026-03-29T11:00Z",
      "2026-03-30T11:00Z"
    ])
  })

  it("counts from 1970 without a start, before it too", () => {
    const weekly = Trigger.interval({ weeks: 1 })
    assert.strictEqual(next(weekly, 0), "1970-01-08T00:00:00.000Z")
    assert.strictEqual(previous(weekly, 0), "1970-01-01T00:00:00.000Z")
    assert.strictEqual(previous(weekly, -1), "1969-12-25T00:00:00.000Z")
  })
})

describe("Trigger.spaced", () => {
  it.each<readonly [Duration.DurationInput, number]>([
    ["1 day", 86_400_000],
    ["90 seconds", 90_000],
    [250, 250],
    [Duration.minutes(1.5), 90_000],
    [[1, 500_000_000], 1500]
  ])("%j is a delay of %d ms", (delay, everyMillis) => {
    assert.deepStrictEqual(Trigger.spaced(delay).json, { _tag: "Spaced", everyMillis })
  })

  it.each<readonly [unknown, string]>([
    [0, "0 ms"],
    [-5, "0 ms"],
    ["0 millis", "0 ms"],
    [0.5, "0.5 ms"],
    [Number.POSITIVE_INFINITY, "Infinity ms"],
    [Duration.infinity, "Infinity ms"],
    ["soon", "NaN ms"],
    [undefined, "NaN ms"]
  ])("refuses %j", (delay, text) => {
    const error = refusal(() => Trigger.spaced(delay as Duration.DurationInput))
    assert.deepStrictEqual([error.field, error.text, error.position], ["spaced", text, 0])
    assert.include(error.expected, "positive whole number of milliseconds")
  })

  it("is an interval where no run has ended", () => {
    holdsAlways(({ moment, trigger }) => {
      if (trigger._tag !== "Spaced") return
      const { everyMillis, ...bounds } = trigger.json
      const interval = Trigger.interval({ millis: everyMillis, ...bounds })
      assert.strictEqual(next(trigger, moment), next(interval, moment))
      assert.strictEqual(previous(trigger, moment), previous(interval, moment))
      const at = DateTime.unsafeMake(moment)
      assert.strictEqual(isoOf(Trigger.first(trigger, at)), isoOf(Trigger.first(interval, at)))
    }, 1000)
  })

  it("is the only one that is spaced, by itself", () => {
    const spaced = Trigger.spaced("1 hour")
    assert.isTrue(Trigger.isSpaced(spaced))
    const others = [Trigger.interval({ hours: 1 }), Trigger.now, Trigger.anyOf(spaced), Trigger.except(spaced, spaced)]
    for (const other of others) {
      assert.isFalse(Trigger.isSpaced(other))
      assert.strictEqual(Trigger.following(other, 0), Infinity)
    }
  })

  const at = (clock: string) => Date.parse(`2026-01-01T${clock}Z`)

  it.each<readonly [string, Trigger.BoundsOptions, string, string | undefined]>([
    ["so long after the end of the one before", {}, "00:20:30", "00:30:30"],
    ["no sooner than its start", { start: at("01:00:00") }, "00:20:30", "01:00:00"],
    ["after its start out of step with it", { start: at("00:00:00") }, "00:20:30", "00:30:30"],
    ["no later than its end", { end: at("00:30:30") }, "00:20:30", "00:30:30"],
    ["not at all once its end is past", { end: at("00:30:29") }, "00:20:30", undefined],
    ["not at all if it starts after its end", { start: at("01:00:00"), end: at("01:00:00") }, "00:50:01", undefined]
  ])("a run follows %s", (_, bounds, end, expected) => {
    const following = Trigger.following(Trigger.spaced("10 minutes", bounds), at(end))
    assert.strictEqual(following, expected === undefined ? Infinity : at(expected))
  })

  it("a run never follows before the end and the delay, nor outside of the bounds", () => {
    holdsAlways(({ moment, trigger }) => {
      if (trigger._tag !== "Spaced") return
      const { end, everyMillis, start } = trigger.json
      const following = Trigger.following(trigger, moment)
      assert.isAtLeast(following, moment + everyMillis)
      if (start !== undefined) assert.isAtLeast(following, Date.parse(start))
      if (end !== undefined && following !== Infinity) assert.isAtMost(following, Date.parse(end))
    }, 1000)
  })

  it("is asked from a moment as what is anchored there, but that the moment of an interval is none of its times", () => {
    holdsAlways(({ moment, trigger }) => {
      const { next, previous } = Trigger.occurrencesFrom(trigger, moment)
      const anchored = Trigger.anchor(trigger, DateTime.unsafeMake(moment)).occurrences
      if (isElapsed(trigger) && Date.parse(trigger.json.end ?? "9999-01-01") < moment) return
      const isUnanchored = isElapsed(trigger) && trigger.json.start === undefined
      const second = anchored.next(moment)
      for (const at of [moment - 1, moment, moment + 1, moment + 3_600_000]) {
        assert.strictEqual(next(at), isUnanchored && at < moment ? second : anchored.next(at))
        assert.strictEqual(previous(at), isUnanchored && at < second ? -Infinity : anchored.previous(at))
      }
    })
  })
})

describe("start and end", () => {
  const [start, end] = ["2026-01-02T00:00:00.000Z", "2026-01-04T00:00:00.000Z"]
  const daily: ReadonlyArray<readonly [string, (bounds: Trigger.BoundsOptions) => Trigger.Trigger]> = [
    ["interval", (bounds) => Trigger.interval({ days: 1, ...bounds })],
    ["spaced", (bounds) => Trigger.spaced("1 day", bounds)],
    ["cron", (bounds) => Trigger.cron({ hour: 0, ...bounds })],
    ["crontab", (bounds) => Trigger.crontab("@daily", bounds)],
    ["cron in a zone", (bounds) => Trigger.cron({ hour: 5, minute: 30, timezone: "+05:30", ...bounds })]
  ]

  it.each(daily)("are both within %s", (_, make) => {
    const trigger = make({ start, end })
    assert.deepStrictEqual(Trigger.upcoming(trigger, { from: 0 }).map(DateTime.formatIso), [
      start,
      "2026-01-03T00:00:00.000Z",
      end
    ])
    assert.strictEqual(previous(trigger, "2030-01-01"), end)
    assert.strictEqual(previous(trigger, start), start)
    assert.strictEqual(previous(trigger, Date.parse(start) - 1), "none")
    assert.strictEqual(next(trigger, end), "none")
    assert.strictEqual(next(trigger, Date.parse(end) - 1), end)
  })

  it.each(daily)("of one instant leave one instant of %s", (_, make) => {
    const trigger = make({ start, end: start })
    assert.deepStrictEqual(Trigger.upcoming(trigger, { from: 0 }).map(DateTime.formatIso), [start])
  })

  it("between two instants of a cron cut to the millisecond", () => {
    const bounds = { start: "2026-01-01T00:00:00.001Z", end: "2026-01-01T00:00:01.999Z" }
    assert.deepStrictEqual(
      Trigger.upcoming(Trigger.cron({ second: "*", ...bounds }), { from: 0 }).map(DateTime.formatIso),
      ["2026-01-01T00:00:01.000Z"]
    )
  })

  it("without an offset are civil times of the trigger's zone, and UTC's for an interval", () => {
    const bounds = { start: "2026-01-02", end: "2026-01-04 12:00" }
    const { json } = Trigger.cron({ hour: 0, timezone: "Europe/Berlin", ...bounds })
    assert.deepInclude(json, { start: "2026-01-01T23:00:00.000Z", end: "2026-01-04T11:00:00.000Z" })
    assert.deepInclude(Trigger.interval({ days: 1, ...bounds }).json, { start, end: "2026-01-04T12:00:00.000Z" })
  })

  it.each(daily)("the other way round are refused by %s", (_, make) => {
    const error = refusal(() => make({ start: end, end: start }))
    assert.deepStrictEqual([error.field, error.text], ["end", start])
    assert.include(error.reason, end)
  })

  it.each(["start", "end"])("a bad %s is named", (bound) => {
    const error = refusal(() => Trigger.cron({ hour: 0, [bound]: "2026-02-30" }))
    assert.deepStrictEqual([error.field, error.text, error.position], [bound, "2026-02-30", 0])
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// cron fields
// ---------------------------------------------------------------------------------------------------------------------

describe("cron fields", () => {
  const FROM = "2026-01-01T00:00:30Z"

  it.each<readonly [Trigger.CronOptions, ReadonlyArray<string>]>([
    [{ year: 2030 }, ["2030-01-01T00:00Z"]],
    [{ year: "2028,2030", day: 3 }, ["2028-01-03T00:00Z", "2028-02-03T00:00Z", "2028-03-03T00:00Z"]],
    [{ month: 5 }, ["2026-05-01T00:00Z", "2027-05-01T00:00Z", "2028-05-01T00:00Z"]],
    [{ day: 15 }, ["2026-01-15T00:00Z", "2026-02-15T00:00Z", "2026-03-15T00:00Z"]],
    [{ week: 10 }, ["2026-03-02T00:00Z", "2026-03-03T00:00Z", "2026-03-04T00:00Z"]],
    [{ week: 10, month: 3, dayOfWeek: "sun" }, ["2026-03-08T00:00Z", "2027-03-14T00:00Z", "2028-03-12T00:00Z"]],
    [{ dayOfWeek: 0 }, ["2026-01-05T00:00Z", "2026-01-12T00:00Z", "2026-01-19T00:00Z"]],
    [{ hour: 5 }, ["2026-01-01T05:00Z", "2026-01-02T05:00Z", "2026-01-03T05:00Z"]],
    [{ minute: 7 }, ["2026-01-01T00:07Z", "2026-01-01T01:07Z", "2026-01-01T02:07Z"]],
    [{ second: 0 }, ["2026-01-01T00:01Z", "2026-01-01T00:02Z", "2026-01-01T00:03Z"]],
    [{ second: 45 }, ["2026-01-01T00:00:45.000Z", "2026-01-01T00:01:45.000Z", "2026-01-01T00:02:45.000Z"]],
    [{ day: 1, minute: 20 }, ["2026-01-01T00:20Z", "2026-01-01T01:20Z", "2026-01-01T02:20Z"]],
    [{ month: 2, hour: 3 }, ["2026-02-01T03:00Z", "2026-02-02T03:00Z", "2026-02-03T03:00Z"]],
    [{ day: 1, dayOfWeek: "fri" }, ["2026-05-01T00:00Z", "2027-01-01T00:00Z", "2027-10-01T00:00Z"]]
  ])("%j fill in what is left out", (options, expected) => {
    assert.deepStrictEqual(upcoming(Trigger.cron(options), FROM, 3), expected)
  })

  it.each<readonly [Trigger.CronOptions, ReadonlyArray<string>]>([
    [{ dayOfWeek: "sat-mon" }, ["2026-01-03", "2026-01-04", "2026-01-05", "2026-01-10"]],
    [{ dayOfWeek: "sun-tue/2" }, ["2026-01-04", "2026-01-06", "2026-01-11", "2026-01-13"]],
    [{ dayOfWeek: "5-0" }, ["2026-01-03", "2026-01-04", "2026-01-05", "2026-01-10"]],
    [{ month: "nov-feb" }, ["2026-02-01", "2026-11-01", "2026-12-01", "2027-01-01"]],
    [{ month: "nov-feb/2" }, ["2026-11-01", "2027-01-01", "2027-11-01", "2028-01-01"]],
    [{ month: "dec-jan", day: "last" }, ["2026-01-31", "2026-12-31", "2027-01-31", "2027-12-31"]],
    [{ day: "last" }, ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]],
    [{ day: "2nd fri" }, ["2026-01-09", "2026-02-13", "2026-03-13", "2026-04-10"]],
    [{ day: "5th thu" }, ["2026-01-29", "2026-04-30", "2026-07-30", "2026-10-29"]],
    [{ day: "LAST Fri" }, ["2026-01-30", "2026-02-27", "2026-03-27", "2026-04-24"]],
    [{ day: "29", month: "feb" }, ["2028-02-29", "2032-02-29", "2036-02-29", "2040-02-29"]],
    [{ week: 53, dayOfWeek: "thu" }, ["2026-12-31", "2032-12-30", "2037-12-31", "2043-12-31"]],
    [{ day: " 30 , 1st  mon " }, ["2026-01-05", "2026-01-30", "2026-02-02", "2026-03-02"]]
  ])("%j are days", (options, expected) => {
    assert.deepStrictEqual(
      upcoming(Trigger.cron(options), FROM, 4),
      expected.map((day) => `${day}T00:00Z`)
    )
  })

  it.each<readonly [Trigger.CronOptions]>([
    [{ day: 30, month: 2 }],
    [{ day: 31, month: "2,4,6,9,11" }],
    [{ day: "5th mon", month: 2, year: "2026-2027" }],
    [{ week: 53, month: 6 }],
    [{ week: 1, month: "2-11" }],
    [{ year: 2020 }],
    [{ year: 2023, month: 2, day: 29 }]
  ])("%j are never due after 2025, in any zone", (options) => {
    for (const timezone of ["UTC", "Europe/Berlin"]) {
      assert.strictEqual(next(Trigger.cron({ ...options, timezone }), "2025-12-31T23:59:59Z"), "none")
    }
  })

  it.each<readonly [Trigger.CronOptions]>([
    [{ day: 30, month: 2 }],
    [{ week: 53, month: 6 }],
    [{ week: 53, month: "3-11" }]
  ])("%j have no instant at all", (options) => {
    for (const timezone of ["UTC", "Europe/Berlin"]) {
      assert.strictEqual(next(Trigger.cron({ ...options, timezone }), 0), "none")
      assert.strictEqual(previous(Trigger.cron({ ...options, timezone }), "9999-12-31T23:59:59Z"), "none")
    }
  })

  /** The best of many, so that a busy machine does not decide. */
  const fastest = (trigger: Trigger.Trigger): number => {
    let best = Infinity
    for (let i = 0; i < 10 && best >= 1; i++) {
      const start = performance.now()
      assert.isTrue(Option.isNone(Trigger.next(trigger, Date.UTC(2026, 0, 1))))
      best = Math.min(best, performance.now() - start)
    }
    return best
  }

  it.each<readonly [Trigger.CronOptions]>([
    [{ day: 30, month: 2 }],
    [{ day: 30, month: 2, timezone: "Europe/Berlin" }],
    [{ day: "5th mon", month: 2, dayOfWeek: "tue" }],
    [{ year: 2020 }]
  ])("%j are known to be impossible within a millisecond", (options) => {
    assert.isBelow(fastest(Trigger.cron(options)), 1)
  })

  it.each<readonly [Trigger.CronOptions]>([
    [{ week: 53, month: "2-11" }],
    [{ week: 53, month: "2-11", year: "1970-9998" }],
    [{ day: 30, month: 2, week: 9, year: "1970-9998" }]
  ])("%j, weeks that miss their months, are known to be impossible within a millisecond", (options) => {
    assert.isBelow(fastest(Trigger.cron(options)), 1)
  })
})

describe("crontab", () => {
  it.each([
    ["30 5 * * mon-fri", ["2026-01-01T05:30Z", "2026-01-02T05:30Z", "2026-01-05T05:30Z"]],
    ["0 0 * * 0", ["2026-01-04T00:00Z", "2026-01-11T00:00Z", "2026-01-18T00:00Z"]],
    ["0 0 * * 7", ["2026-01-04T00:00Z", "2026-01-11T00:00Z", "2026-01-18T00:00Z"]],
    ["0 0 * * 5-7", ["2026-01-02T00:00Z", "2026-01-03T00:00Z", "2026-01-04T00:00Z"]],
    ["0 0 * * sat-mon", ["2026-01-03T00:00Z", "2026-01-04T00:00Z", "2026-01-05T00:00Z"]],
    ["0 0 * * */2", ["2026-01-03T00:00Z", "2026-01-04T00:00Z", "2026-01-06T00:00Z"]],
    ["0 0 * * 5/2", ["2026-01-02T00:00Z", "2026-01-09T00:00Z", "2026-01-16T00:00Z"]],
    ["0 0 * * 0-sun", ["2026-01-04T00:00Z", "2026-01-11T00:00Z", "2026-01-18T00:00Z"]],
    ["0 0 * * sat-sun", ["2026-01-03T00:00Z", "2026-01-04T00:00Z", "2026-01-10T00:00Z"]],
    ["0 0 31W 4,6 *", []],
    ["0 0 13 * fri", ["2026-01-02T00:00Z", "2026-01-09T00:00Z", "2026-01-13T00:00Z"]],
    ["0 0 */13 * fri", ["2026-02-27T00:00Z", "2026-03-27T00:00Z", "2026-05-01T00:00Z"]],
    ["0 0 13 * ?", ["2026-01-13T00:00Z", "2026-02-13T00:00Z", "2026-03-13T00:00Z"]],
    ["0 0 ? * ?", ["2026-01-02T00:00Z", "2026-01-03T00:00Z", "2026-01-04T00:00Z"]],
    ["0 0 L * *", ["2026-01-31T00:00Z", "2026-02-28T00:00Z", "2026-03-31T00:00Z"]],
    ["0 0 L-30 * *", ["2026-03-01T00:00Z", "2026-05-01T00:00Z", "2026-07-01T00:00Z"]],
    ["0 0 LW * *", ["2026-01-30T00:00Z", "2026-02-27T00:00Z", "2026-03-31T00:00Z"]],
    ["0 0 1W * *", ["2026-02-02T00:00Z", "2026-03-02T00:00Z", "2026-04-01T00:00Z"]],
    ["0 0 1W 8 *", ["2026-08-03T00:00Z", "2027-08-02T00:00Z", "2028-08-01T00:00Z"]],
    ["0 0 15W * *", ["2026-01-15T00:00Z", "2026-02-16T00:00Z", "2026-03-16T00:00Z"]],
    ["0 0 31w * *", ["2026-01-30T00:00Z", "2026-03-31T00:00Z", "2026-05-29T00:00Z"]],
    ["0 0 * * fri#2", ["2026-01-09T00:00Z", "2026-02-13T00:00Z", "2026-03-13T00:00Z"]],
    ["0 0 * * 5#5", ["2026-01-30T00:00Z", "2026-05-29T00:00Z", "2026-07-31T00:00Z"]],
    ["0 0 * * 5L", ["2026-01-30T00:00Z", "2026-02-27T00:00Z", "2026-03-27T00:00Z"]],
    ["0 0 * * SUNL", ["2026-01-25T00:00Z", "2026-02-22T00:00Z", "2026-03-29T00:00Z"]],
    ["15 30 10 * * *", ["2026-01-01T10:30:15.000Z", "2026-01-02T10:30:15.000Z", "2026-01-03T10:30:15.000Z"]],
    ["\t0  12\t1 1 * ", ["2026-01-01T12:00Z", "2027-01-01T12:00Z", "2028-01-01T12:00Z"]],
    ["@yearly", ["2027-01-01T00:00Z", "2028-01-01T00:00Z", "2029-01-01T00:00Z"]],
    ["@annually", ["2027-01-01T00:00Z", "2028-01-01T00:00Z", "2029-01-01T00:00Z"]],
    ["@monthly", ["2026-02-01T00:00Z", "2026-03-01T00:00Z", "2026-04-01T00:00Z"]],
    ["@weekly", ["2026-01-04T00:00Z", "2026-01-11T00:00Z", "2026-01-18T00:00Z"]],
    ["@daily", ["2026-01-02T00:00Z", "2026-01-03T00:00Z", "2026-01-04T00:00Z"]],
    [" @Midnight ", ["2026-01-02T00:00Z", "2026-01-03T00:00Z", "2026-01-04T00:00Z"]],
    ["@hourly", ["2026-01-01T01:00Z", "2026-01-01T02:00Z", "2026-01-01T03:00Z"]]
  ])("%j", (text, expected) => {
    assert.deepStrictEqual(upcoming(Trigger.crontab(text), "2026-01-01T00:00:30Z", 3), expected)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// refusals
// ---------------------------------------------------------------------------------------------------------------------

describe("InvalidTrigger", () => {
  it.each<readonly [Trigger.CronOptions, field: string, text: string, position: number, expected: string]>([
    [{}, "cron", "", 0, "at least one of year, month, day, week, dayOfWeek, hour, minute, second"],
    [{ hour: 24 }, "hour", "24", 0, "0-23"],
    [{ hour: "1,24" }, "hour", "1,24", 2, "0-23"],
    [{ hour: " 1,  24" }, "hour", " 1,  24", 5, "0-23"],
    [{ hour: "5-25" }, "hour", "5-25", 2, "0-23"],
    [{ hour: "22-2" }, "hour", "22-2", 3, "0-23"],
    [{ hour: "*/24" }, "hour", "*/24", 2, "*/n"],
    [{ hour: "*/0" }, "hour", "*/0", 2, "*/n"],
    [{ hour: "1-4/4" }, "hour", "1-4/4", 4, "*/n"],
    [{ hour: "0,1-4/9" }, "hour", "0,1-4/9", 6, "*/n"],
    [{ hour: "*/" }, "hour", "*/", 0, "*/n"],
    [{ hour: "1/-2" }, "hour", "1/-2", 0, "*/n"],
    [{ minute: 60 }, "minute", "60", 0, "0-59"],
    [{ minute: -1 }, "minute", "-1", 0, "0-59"],
    [{ minute: "5,*-5" }, "minute", "5,*-5", 3, "0-59"],
    [{ minute: "1,,2" }, "minute", "1,,2", 2, "0-59"],
    [{ minute: "1," }, "minute", "1,", 2, "0-59"],
    [{ minute: "" }, "minute", "", 0, "0-59"],
    [{ minute: "1 2" }, "minute", "1 2", 0, "0-59"],
    [{ minute: "00005" }, "minute", "00005", 0, "0-59"],
    [{ minute: "٣" }, "minute", "٣", 0, "0-59"],
    [{ second: 1.5 }, "second", "1.5", 0, "0-59"],
    [{ second: Number.NaN }, "second", "NaN", 0, "0-59"],
    [{ second: "?" }, "second", "?", 0, "0-59"],
    [{ month: 0 }, "month", "0", 0, "1-12 or jan-dec"],
    [{ month: 13 }, "month", "13", 0, "1-12 or jan-dec"],
    [{ month: "jan-foo" }, "month", "jan-foo", 4, "1-12 or jan-dec"],
    [{ month: "january" }, "month", "january", 0, "1-12 or jan-dec"],
    [{ day: 0 }, "day", "0", 0, "1-31"],
    [{ day: "32" }, "day", "32", 0, "1-31"],
    [{ day: "*/31" }, "day", "*/31", 2, "*/n"],
    [{ day: "6th fri" }, "day", "6th fri", 0, "1st-5th or last with a weekday"],
    [{ day: "1, 2nd foo" }, "day", "1, 2nd foo", 7, "1st-5th or last with a weekday"],
    [{ day: "last foo" }, "day", "last foo", 5, "1st-5th or last with a weekday"],
    [{ day: "1st fri x" }, "day", "1st fri x", 0, "1st-5th or last with a weekday"],
    [{ day: "lastfri" }, "day", "lastfri", 0, "1st-5th or last with a weekday"],
    [{ day: "15W" }, "day", "15W", 0, "1-31"],
    [{ week: 54 }, "week", "54", 0, "ISO weeks 1-53"],
    [{ week: "0" }, "week", "0", 0, "ISO weeks 1-53"],
    [{ year: 1969 }, "year", "1969", 0, "years 1970-9999"],
    [{ year: "2026-10000" }, "year", "2026-10000", 5, "years 1970-9999"],
    [{ year: "2030-2026" }, "year", "2030-2026", 5, "years 1970-9999"],
    [{ dayOfWeek: 7 }, "dayOfWeek", "7", 0, "0-6 from Monday or mon-sun"],
    [{ dayOfWeek: "mon-fri,funday" }, "dayOfWeek", "mon-fri,funday", 8, "0-6 from Monday or mon-sun"],
    [{ dayOfWeek: "fri#2" }, "dayOfWeek", "fri#2", 0, "0-6 from Monday or mon-sun"],
    [{ hour: 1, timezone: "Mars/Olympus" }, "timezone", "Mars/Olympus", 0, "Europe/Berlin"],
    [{ hour: 1, timezone: "" }, "timezone", "", 0, "Europe/Berlin"],
    [{ hour: 1, timezone: "+24:00" }, "timezone", "+24:00", 0, "+05:30"],
    [{ hour: 1, gap: "later" as "skip" }, "gap", "later", 0, "skip, shift"],
    [{ hour: 1, fold: "none" as "both" }, "fold", "none", 0, "first, second, both"],
    [{ hour: 1, start: "2026-02-30" }, "start", "2026-02-30", 0, "2026-12-01"]
  ])("of cron(%j) names %s", (options, field, text, position, expected) => {
    const error = refusal(() => Trigger.cron(options))
    assert.deepStrictEqual([error.field, error.text, error.position], [field, text, position])
    assert.include(error.expected, expected)
    assert.strictEqual(
      error.message,
      `Invalid ${field} ${JSON.stringify(text)}${position > 0 ? ` at position ${position}` : ""}: ${error.reason}; expected ${error.expected}`
    )
    assert.deepStrictEqual(Trigger.parseCron(options), Either.left(error))
  })

  it.each([
    ["", "crontab", 0, "five fields"],
    ["* * * *", "crontab", 0, "five fields"],
    ["* * * * * * *", "crontab", 12, "five fields"],
    ["@often", "crontab", 0, "@hourly"],
    ["  @reboot", "crontab", 2, "@hourly"],
    ["@daily 0", "crontab", 0, "@hourly"],
    ["60 * * * *", "minute", 0, "0-59"],
    ["*/61 * * * *", "minute", 2, "*/n"],
    ["* 24 * * *", "hour", 2, "0-23"],
    ["0 22-2 * * *", "hour", 5, "0-23"],
    ["0\t\t5,x * * *", "hour", 5, "0-23"],
    ["* * 32 * *", "day", 4, "1-31"],
    ["0 0 last * *", "day", 4, "L, L-n, LW, nW or ?"],
    ["0 0 L-31 * *", "day", 6, "L-n"],
    ["0 0 1,32W * *", "day", 6, "nW"],
    ["0 0 0W * *", "day", 4, "nW"],
    ["0 0 1-5W * *", "day", 6, "nW"],
    ["0 0 ?,1 * *", "day", 4, "?"],
    ["0 0 * 13 *", "month", 6, "jan-dec"],
    ["0 0 * foo *", "month", 6, "jan-dec"],
    ["0 0 1 jan-fox *", "month", 10, "jan-dec"],
    ["* * * * 8", "dayOfWeek", 8, "0-7"],
    ["0 0 * * fri#6", "dayOfWeek", 8, "d#n"],
    ["0 0 * * mon,fry#2", "dayOfWeek", 12, "d#n"],
    ["0 0 * * 9L", "dayOfWeek", 8, "dL"],
    ["0 0 * * monday", "dayOfWeek", 8, "sun-sat"],
    ["60 0 0 * * *", "second", 0, "0-59"],
    [" 0 0 0 * * mon,", "dayOfWeek", 15, "0-7"]
  ])("of crontab(%j) names %s at %d", (text, field, position, expected) => {
    const error = refusal(() => Trigger.crontab(text))
    assert.deepStrictEqual([error.field, error.text, error.position], [field, text, position])
    assert.include(error.expected, expected)
    assert.deepStrictEqual(Trigger.parseCrontab(text), Either.left(error))
  })

  it("is no answer to what is valid", () => {
    assert.isTrue(Equal.equals(Either.getOrThrow(Trigger.parseCron({ hour: 1 })), Trigger.cron({ hour: 1 })))
    assert.isTrue(
      Equal.equals(
        Either.getOrThrow(Trigger.parseCrontab("@daily", { timezone: "Asia/Tokyo" })),
        Trigger.crontab("@daily", { timezone: "Asia/Tokyo" })
      )
    )
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// civil time
// ---------------------------------------------------------------------------------------------------------------------

describe("gap and fold", () => {
  const policies = ({ json }: Trigger.Trigger) => ("gap" in json ? [json.gap, json.fold] : [])

  it.each<readonly [Trigger.CronOptions, gap: string, fold: string]>([
    [{ hour: 2 }, "shift", "first"],
    [{ day: 1 }, "shift", "first"],
    [{ year: 2030 }, "shift", "first"],
    [{ hour: "0-23", minute: 0 }, "shift", "first"],
    [{ hour: "*/2" }, "shift", "first"],
    [{ dayOfWeek: "mon" }, "shift", "first"],
    [{ hour: "*" }, "skip", "both"],
    [{ hour: " * ", minute: 5 }, "skip", "both"],
    [{ minute: "*/15" }, "skip", "both"],
    [{ second: 0 }, "skip", "both"],
    [{ day: 1, minute: 20 }, "skip", "both"],
    [{ hour: 2, gap: "skip" }, "skip", "first"],
    [{ minute: 0, fold: "second" }, "skip", "second"]
  ])("of cron(%j) are %s and %s", (options, gap, fold) => {
    assert.deepStrictEqual(policies(Trigger.cron(options)), [gap, fold])
  })

  it.each([
    ["30 2 * * *", "shift", "first"],
    ["0 */1 * * *", "shift", "first"],
    ["0 30 2 * * *", "shift", "first"],
    ["@daily", "shift", "first"],
    ["*/15 * * * *", "skip", "both"],
    [" 0  *\t* * mon ", "skip", "both"],
    ["0 0 * * * *", "skip", "both"],
    ["@hourly", "skip", "both"],
    [" @HOURLY", "skip", "both"]
  ])("of crontab(%j) are %s and %s", (text, gap, fold) => {
    assert.deepStrictEqual(policies(Trigger.crontab(text)), [gap, fold])
  })

  const dates = new Intl.DateTimeFormat("en-CA", { timeZone: "Europe/Berlin", dateStyle: "short" })
  const YEARS = { start: "2024-01-01", end: "2026-12-31 23:59:59", timezone: "Europe/Berlin" }

  const all = (trigger: Trigger.Trigger) =>
    Trigger.upcoming(trigger, { from: 0, limit: 200_000 }).map((instant) => DateTime.toEpochMillis(instant))

  it("a nightly job at 02:30 in Berlin runs once on every calendar day of three years", () => {
    const days = Array.from({ length: 1096 }, (_, i) => new Date(Date.UTC(2024, 0, 1 + i)).toISOString().slice(0, 10))
    for (const nightly of [Trigger.crontab("30 2 * * *", YEARS), Trigger.cron({ hour: 2, minute: 30, ...YEARS })]) {
      assert.deepStrictEqual(
        all(nightly).map((instant) => dates.format(instant)),
        days
      )
    }
  })

  it.each([
    ["2024-03-31", "2024-03-31T01:00:00.000Z"],
    ["2024-10-27", "2024-10-27T00:30:00.000Z"],
    ["2025-03-30", "2025-03-30T01:00:00.000Z"],
    ["2025-10-26", "2025-10-26T00:30:00.000Z"]
  ])("that job runs on %s at %s", (day, expected) => {
    assert.strictEqual(next(Trigger.crontab("30 2 * * *", YEARS), Date.parse(day) - 3_600_000), expected)
  })

  it("a job every 15 minutes in Berlin keeps its elapsed rhythm for three years", () => {
    const instants = all(Trigger.cron({ minute: "*/15", ...YEARS }))
    assert.strictEqual(instants.length, 1096 * 96)
    assert.isTrue(instants.every((instant, i) => i === 0 || instant - instants[i - 1]! === 900_000))
  })

  it("times that shift onto one instant, or onto one that is due anyway, are one run", () => {
    const options = { timezone: "Europe/Berlin", gap: "shift", start: "2026-03-29", end: "2026-03-29 04:00" } as const
    assert.deepStrictEqual(upcoming(Trigger.cron({ hour: "1-3", minute: "*/20", ...options }), 0, 20), [
      "2026-03-29T00:00Z",
      "2026-03-29T00:20Z",
      "2026-03-29T00:40Z",
      "2026-03-29T01:00Z",
      "2026-03-29T01:20Z",
      "2026-03-29T01:40Z"
    ])
    assert.deepStrictEqual(upcoming(Trigger.cron({ hour: 2, minute: "1-59", ...options }), 0, 20), [
      "2026-03-29T01:00Z"
    ])
  })

  it.each<readonly [string, string, string, ReadonlyArray<string>]>([
    ["Africa/Cairo", "0 0 * * *", "2023-04-27", ["2023-04-27T22:00Z", "2023-04-28T21:00Z"]],
    ["Asia/Beirut", "30 0 * * *", "2024-03-30", ["2024-03-30T22:00Z", "2024-03-31T21:30Z"]],
    ["America/Santiago", "15 0 * * *", "2024-09-07T12:00Z", ["2024-09-08T04:00Z", "2024-09-09T03:15Z"]],
    ["America/Havana", "30 0 * * *", "2024-11-02T12:00Z", ["2024-11-03T04:30Z", "2024-11-04T05:30Z"]],
    ["America/Sao_Paulo", "0 0 * * *", "2018-11-03T12:00Z", ["2018-11-04T03:00Z", "2018-11-05T02:00Z"]],
    ["Australia/Lord_Howe", "15 2 * * *", "2024-10-05", ["2024-10-05T15:30Z", "2024-10-06T15:15Z"]],
    [
      "Pacific/Apia",
      "0 12 * * *",
      "2011-12-29T12:00Z",
      ["2011-12-29T22:00Z", "2011-12-30T10:00Z", "2011-12-30T22:00Z"]
    ],
    ["Asia/Kathmandu", "10 0 * * *", "1985-12-31", ["1985-12-31T18:30Z", "1986-01-01T18:25Z"]],
    ["Antarctica/Troll", "30 1 * * *", "2024-03-30T12:00Z", ["2024-03-31T01:00Z", "2024-03-31T23:30Z"]]
  ])("in %s crontab(%j) keeps to the wall clock across %s", (timezone, text, from, expected) => {
    assert.deepStrictEqual(upcoming(Trigger.crontab(text, { timezone }), from, expected.length), expected)
  })
})

describe("timezone", () => {
  const noon = (timezone?: Trigger.TimeZone) => Trigger.cron({ hour: 12, timezone })

  it.each<readonly [string, Trigger.TimeZone | undefined, string, string]>([
    ["nothing", undefined, "UTC", "2026-01-01T12:00:00.000Z"],
    ["UTC", "UTC", "UTC", "2026-01-01T12:00:00.000Z"],
    ["Z", "Z", "UTC", "2026-01-01T12:00:00.000Z"],
    ["+00:00", "+00:00", "UTC", "2026-01-01T12:00:00.000Z"],
    ["+05:30", "+05:30", "+05:30", "2026-01-01T06:30:00.000Z"],
    ["-0930", "-0930", "-09:30", "2026-01-01T21:30:00.000Z"],
    ["a name", "Asia/Kathmandu", "Asia/Kathmandu", "2026-01-01T06:15:00.000Z"],
    ["Effect's named zone", DateTime.zoneUnsafeMakeNamed("Asia/Tokyo"), "Asia/Tokyo", "2026-01-01T03:00:00.000Z"],
    ["Effect's offset", DateTime.zoneMakeOffset(-3.5 * 3_600_000), "-03:30", "2026-01-01T15:30:00.000Z"],
    ["Effect's offset of nothing", DateTime.zoneMakeOffset(0), "UTC", "2026-01-01T12:00:00.000Z"]
  ])("%s", (_, timezone, name, expected) => {
    assert.deepInclude(noon(timezone).json, { timezone: name })
    assert.strictEqual(next(noon(timezone), "2026-01-01"), expected)
  })

  it("local is this process's own zone, by its name", () => {
    const { timeZone } = new Intl.DateTimeFormat().resolvedOptions()
    assert.isTrue(Equal.equals(noon("local"), noon(timeZone)))
    assert.isTrue(Equal.equals(noon(DateTime.zoneMakeLocal()), noon(timeZone)))
    assert.notInclude(JSON.stringify(noon("local")), "local")
  })

  it("local follows the process", () => {
    const before = process.env.TZ
    try {
      process.env.TZ = "Asia/Tokyo"
      assert.deepInclude(noon("local").json, { timezone: "Asia/Tokyo" })
      process.env.TZ = "America/Lima"
      assert.deepInclude(noon("local").json, { timezone: "America/Lima" })
    } finally {
      if (before === undefined) delete process.env.TZ
      else process.env.TZ = before
    }
  })

  it("does not matter to an instant that has an offset, yet an unknown one is refused", () => {
    assert.strictEqual(refusal(() => Trigger.at("2026-01-01T00:00:00Z", { timezone: "Nowhere" })).field, "timezone")
  })
})
