import { assert, describe, it } from "@effect/vitest"
import { CronExpressionParser } from "cron-parser"
import { Cron as Croner } from "croner"
import { Cron, FastCheck, Option, Schema } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import * as Trigger from "../src/Trigger.ts"

/**
 * Our answers next to those of three other libraries: random expressions in the syntax that they share with ours, and
 * every difference that is left, each with its reason. docs/triggers.md shows the tables that are made here.
 *
 * `DIFFERENTIAL_RUNS=20000 DIFFERENTIAL_SEED=1 npx vitest run test/Trigger.differential.test.ts` looks for longer.
 */
const SEED = Number(process.env.DIFFERENTIAL_SEED ?? 20_261_122)
const RUNS = process.env.DIFFERENTIAL_RUNS === undefined ? undefined : Number(process.env.DIFFERENTIAL_RUNS)

const TIMEOUT = RUNS === undefined ? 30_000 : 3_600_000

const DAY = 86_400_000

// ---------------------------------------------------------------------------------------------------------------------
// the libraries
// ---------------------------------------------------------------------------------------------------------------------

/** The first instant strictly after one, and the last one strictly before it, in milliseconds; undefined for none. */
interface Answers {
  readonly next: (after: number) => number | undefined
  readonly previous: (before: number) => number | undefined
}

type Direction = keyof Answers

const answersOf = (trigger: Trigger.Trigger): Answers => ({
  next: (after) => Option.getOrUndefined(Trigger.next(trigger, after))?.epochMillis,
  previous: (before) => Option.getOrUndefined(Trigger.previous(trigger, before - 1))?.epochMillis
})

const ours = (expression: string, timezone?: string): Answers => answersOf(Trigger.crontab(expression, { timezone }))

const croner = (expression: string, timezone?: string): Answers => {
  const cron = new Croner(expression, timezone === undefined ? {} : { timezone })
  return {
    next: (after) => cron.nextRun(new Date(after))?.getTime(),
    previous: (before) => cron.previousRuns(1, new Date(before))[0]?.getTime()
  }
}

const cronParser = (expression: string, timezone?: string): Answers => {
  const cron = CronExpressionParser.parse(expression, timezone === undefined ? {} : { tz: timezone })
  const from = (instant: number) => {
    cron.reset(new Date(instant))
    return cron
  }
  return {
    next: (after) => from(after).next().getTime(),
    previous: (before) => from(before).prev().getTime()
  }
}

const effectCron = (expression: string, timezone?: string): Answers => {
  const cron = Cron.unsafeParse(expression, timezone)
  return {
    next: (after) => Cron.next(cron, after).getTime(),
    previous: (before) => Cron.prev(cron, before).getTime()
  }
}

const libraries = { "effect/Cron": effectCron, croner, "cron-parser": cronParser }

type Library = keyof typeof libraries

// ---------------------------------------------------------------------------------------------------------------------
// zones
// ---------------------------------------------------------------------------------------------------------------------

const ZONES = [
  "UTC",
  "Africa/Cairo",
  "America/New_York",
  "America/Sao_Paulo",
  "America/St_Johns",
  "Asia/Kathmandu",
  "Asia/Tokyo",
  "Australia/Lord_Howe",
  "Europe/Berlin",
  "Pacific/Apia",
  "Pacific/Chatham"
]

const formats = new Map(
  ZONES.map((timeZone) => [timeZone, new Intl.DateTimeFormat("en-US", { timeZone, timeZoneName: "longOffset" })])
)

/** As Intl tells it: `+02:00`. */
const offsetAt = (zone: string, instant: number): string => {
  const text = formats.get(zone)!.format(instant).split("GMT")[1]!
  return text === "" ? "+00:00" : text
}

const isNearTransition = (zone: string, instant: number): boolean =>
  [instant - 3 * DAY, instant + 3 * DAY].some((other) => offsetAt(zone, other) !== offsetAt(zone, instant))

/** `2026-03-29 03:00:00` */
const wallClock = (zone: string, instant: number): string => {
  const offset = offsetAt(zone, instant)
  const minutes = 60 * Number(offset.slice(1, 3)) + Number(offset.slice(4, 6))
  const local = new Date(instant + (offset.startsWith("-") ? -1 : 1) * minutes * 60_000)
  return local.toISOString().slice(0, 19).replace("T", " ")
}

// ---------------------------------------------------------------------------------------------------------------------
// expressions
// ---------------------------------------------------------------------------------------------------------------------

/** What a library reads as we do. */
interface Syntax {
  /** `a/n`, but in the weekday field. */
  readonly openSteps: boolean
  /** A list may name a value twice and hold ranges and steps. */
  readonly overlaps: boolean
  /** A field that starts with a star is no restriction, even with a step: crontab(5)'s exception. */
  readonly starSteps: boolean
  readonly day: ReadonlyArray<FastCheck.Arbitrary<string>>
  readonly weekday: ReadonlyArray<FastCheck.Arbitrary<string>>
}

interface Field {
  readonly min: number
  readonly max: number
  readonly names?: ReadonlyArray<string>
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

const FIELDS = {
  second: { min: 0, max: 59 },
  minute: { min: 0, max: 59 },
  hour: { min: 0, max: 23 },
  day: { min: 1, max: 31 },
  month: { min: 1, max: 12, names: ["", ...MONTHS] },
  weekday: { min: 0, max: 7, names: WEEKDAYS }
} satisfies Record<string, Field>

const { constant, constantFrom, integer, oneof, tuple, uniqueArray } = FastCheck

const spellings = ({ names }: Field, value: number): FastCheck.Arbitrary<string> => {
  const name = names?.[value]
  return name === undefined ? constant(String(value)) : constantFrom(String(value), name, name.toUpperCase())
}

const numbers = ({ max, min }: Field) => integer({ min, max })

const steps = ({ max }: Field) => integer({ min: 1, max })

const values = (field: Field) => numbers(field).chain((value) => spellings(field, value))

/** In order, and not from Sunday to Sunday: see the differences. */
const ranges = (field: Field) =>
  tuple(numbers(field), numbers(field))
    .filter(([a, b]) => !(field === FIELDS.weekday && a % 7 === 0 && b % 7 === 0))
    .chain(([a, b]) => tuple(spellings(field, Math.min(a, b)), spellings(field, Math.max(a, b))))
    .map((range) => range.join("-"))

const steppedRanges = (field: Field) => tuple(ranges(field), steps(field)).map((parts) => parts.join("/"))

const starSteps = (field: Field) => steps(field).map((step) => `*/${step}`)

const openSteps = (field: Field) => tuple(numbers(field), steps(field)).map((parts) => parts.join("/"))

const distinct = (field: Field) =>
  uniqueArray(numbers(field), { minLength: 2, maxLength: 4, selector: (v) => (field === FIELDS.weekday ? v % 7 : v) })
    .chain((all) => tuple(...all.map((value) => spellings(field, value))))
    .map((all) => all.join(","))

const terms = (syntax: Syntax, field: Field, withStars: boolean): ReadonlyArray<FastCheck.Arbitrary<string>> => [
  values(field),
  ranges(field),
  steppedRanges(field),
  ...(syntax.openSteps && field !== FIELDS.weekday ? [openSteps(field)] : []),
  ...(withStars ? [starSteps(field)] : [])
]

const texts = (syntax: Syntax, field: Field, withStars = true): FastCheck.Arbitrary<string> => {
  const some = terms(syntax, field, withStars)
  const list = FastCheck.array(oneof(...some), { minLength: 2, maxLength: 3 }).map((all) => all.join(","))
  return oneof(constant("*"), ...some, syntax.overlaps ? list : distinct(field))
}

const days = (syntax: Syntax, withStars: boolean) => oneof(texts(syntax, FIELDS.day, withStars), ...syntax.day)

const weekdays = (syntax: Syntax, withStars: boolean) =>
  oneof(texts(syntax, FIELDS.weekday, withStars), ...syntax.weekday)

const bothDays = (syntax: Syntax): FastCheck.Arbitrary<readonly [string, string]> =>
  syntax.starSteps
    ? tuple(days(syntax, true), weekdays(syntax, true))
    : oneof(
        tuple(days(syntax, false), weekdays(syntax, false)),
        tuple(days(syntax, true), constant("*")),
        tuple(constant("*"), weekdays(syntax, true))
      )

const expressions = (syntax: Syntax): FastCheck.Arbitrary<string> =>
  tuple(
    FastCheck.option(texts(syntax, FIELDS.second), { freq: 1 }),
    texts(syntax, FIELDS.minute),
    texts(syntax, FIELDS.hour),
    bothDays(syntax),
    texts(syntax, FIELDS.month)
  ).map(([second, minute, hour, [day, weekday], month]) =>
    [...(second === null ? [] : [second]), minute, hour, day, month, weekday].join(" ")
  )

const ordinals = tuple(oneof(integer({ min: 0, max: 7 }), constantFrom(...WEEKDAYS)), integer({ min: 1, max: 5 })).map(
  (parts) => parts.join("#")
)

const lastWeekdays = integer({ min: 0, max: 7 }).map((weekday) => `${weekday}L`)

const nearest = numbers(FIELDS.day).map((day) => `${day}W`)

const lastAnd = tuple(numbers(FIELDS.day), constant("L")).map((parts) => parts.join(","))

const shared: Record<Library, Syntax> = {
  "effect/Cron": { openSteps: true, overlaps: true, starSteps: true, day: [], weekday: [] },
  croner: {
    openSteps: false,
    overlaps: true,
    starSteps: false,
    day: [
      constantFrom("?", "L", "LW"),
      lastAnd,
      nearest,
      tuple(nearest, values(FIELDS.day)).map((all) => all.join(","))
    ],
    weekday: [constant("?"), lastWeekdays, ordinals, tuple(ordinals, ordinals).map((all) => all.join(","))]
  },
  "cron-parser": {
    openSteps: true,
    overlaps: false,
    starSteps: false,
    day: [constantFrom("?", "L"), lastAnd],
    weekday: [constant("?"), lastWeekdays, ordinals]
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// the comparison
// ---------------------------------------------------------------------------------------------------------------------

const STEPS = 6

/** How many instants of ours were found to be theirs. */
const compare = (
  expected: Answers,
  actual: Answers,
  direction: Direction,
  { from, zone }: { readonly from: number; readonly zone: string }
): number => {
  const ahead = direction === "next" ? 7 * DAY : -7 * DAY
  let at = from
  let compared = 0
  for (let step = 0; step < STEPS; step++) {
    const answer = expected[direction](at)
    if (answer === undefined) break
    if (isNearTransition(zone, at) || isNearTransition(zone, answer)) {
      at = answer + ahead
      continue
    }
    const theirs = actual[direction](at)
    const message = `${direction} of ${new Date(at).toISOString()} in ${zone}`
    assert.strictEqual(theirs === undefined ? "none" : wallClock(zone, theirs), wallClock(zone, answer), message)
    compared++
    at = answer
  }
  return compared
}

const AnyStart = integer({ min: Date.UTC(2020, 0, 1) / 1000, max: Date.UTC(2035, 0, 1) / 1000 }).map((s) => s * 1000)

describe("random expressions away from clock changes", () => {
  it.each<readonly [Library, number, ReadonlyArray<Direction>]>([
    ["effect/Cron", 500, ["next"]],
    ["croner", 500, ["next", "previous"]],
    ["cron-parser", 150, ["next", "previous"]]
  ])(
    "%s gives the instants that ours gives, in %i cases, %j",
    (library, runs, directions) => {
      let compared = 0
      FastCheck.assert(
        FastCheck.property(expressions(shared[library]), constantFrom(...ZONES), AnyStart, (expression, zone, from) => {
          const expected = ours(expression, zone)
          // What never happens is refused, or ends in an error: see the differences.
          FastCheck.pre(expected.next(Date.UTC(2020, 0, 1)) !== undefined)
          const actual = libraries[library](expression, zone)
          for (const direction of directions) compared += compare(expected, actual, direction, { from, zone })
        }),
        { seed: SEED, numRuns: RUNS ?? runs }
      )
      assert.isAbove(compared, (RUNS ?? runs) * directions.length * (STEPS - 1))
    },
    TIMEOUT
  )

  it("fromCron gives the instants of its value", () => {
    FastCheck.assert(
      FastCheck.property(
        expressions(shared["effect/Cron"]),
        constantFrom(...ZONES),
        AnyStart,
        (expression, zone, from) => {
          const expected = answersOf(Trigger.fromCron(Cron.unsafeParse(expression, zone)))
          FastCheck.pre(expected.next(from) !== undefined)
          compare(expected, effectCron(expression, zone), "next", { from, zone })
        }
      ),
      { seed: SEED, numRuns: RUNS ?? 200 }
    )
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// the differences
// ---------------------------------------------------------------------------------------------------------------------

interface Difference {
  readonly who: ReadonlyArray<Library>
  readonly what: string
  readonly expression: string
  /** UTC if none is given. */
  readonly zone?: string
  readonly after?: string
  readonly direction?: Direction
  readonly ours: string
  readonly theirs: string
  readonly right: string
}

const AFTER = "2026-05-10T12:00:00Z"

const attempt = <A>(make: () => A): A | undefined => {
  try {
    return make()
  } catch {
    return undefined
  }
}

/** So many answers in a row as wall-clock times, or what became of the question. */
const tell = (
  make: (expression: string, timezone?: string) => Answers,
  { after = AFTER, direction = "next", expression, zone = "UTC" }: Difference,
  count: number
): string => {
  const answers = attempt(() => make(expression, zone))
  if (answers === undefined) return "refused"
  const found: Array<string> = []
  let at = Date.parse(after)
  while (found.length < count) {
    const answer = attempt(() => ({ at: answers[direction](at) }))
    if (answer === undefined) return [...found, "an error"].join(", ")
    if (answer.at === undefined) return [...found, "none"].join(", ")
    const offset = zone === "UTC" ? "" : ` ${offsetAt(zone, answer.at)}`
    found.push(`${wallClock(zone, answer.at).replace(/:00$/, "")}${offset}`)
    at = answer.at
  }
  return found.join(", ")
}

const BEFORE_GAP = { zone: "Europe/Berlin", after: "2026-03-28T12:00:00Z" }
const BEFORE_FOLD = { zone: "Europe/Berlin", after: "2026-10-24T12:00:00Z" }

const differences: ReadonlyArray<Difference> = [
  {
    who: ["effect/Cron", "cron-parser"],
    what: "a time in the gap",
    expression: "30 2 * * *",
    ...BEFORE_GAP,
    ours: "2026-03-29 03:00 +02:00",
    theirs: "2026-03-29 03:30 +02:00",
    right: "either: it runs once that day. Ours runs at the first instant after the gap, as Vixie's cron and croner do"
  },
  {
    who: ["effect/Cron", "cron-parser"],
    what: "a time in the gap, and an hour later",
    expression: "30 2,3 * * *",
    ...BEFORE_GAP,
    ours: "2026-03-29 03:00 +02:00, 2026-03-29 03:30 +02:00",
    theirs: "2026-03-29 03:30 +02:00, 2026-03-30 02:30 +02:00",
    right: "ours: both runs of that day take place; theirs fall together"
  },
  {
    who: ["croner"],
    what: "several times a day, one in the gap",
    expression: "30 1,2 * * *",
    ...BEFORE_GAP,
    ours: "2026-03-29 01:30 +01:00, 2026-03-29 03:00 +02:00",
    theirs: "2026-03-29 01:30 +01:00, 2026-03-30 01:30 +02:00",
    right: "ours: the run at 02:30 is not lost. croner skips the gap as soon as a time field has a list, range or step"
  },
  {
    who: ["croner"],
    what: "several times a day, one in the fold",
    expression: "30 1,2 * * *",
    ...BEFORE_FOLD,
    ours: "2026-10-25 01:30 +02:00, 2026-10-25 02:30 +02:00, 2026-10-26 01:30 +01:00",
    theirs: "2026-10-25 01:30 +02:00, 2026-10-25 02:30 +02:00, 2026-10-25 02:30 +01:00",
    right: "ours: two times a day are two runs, that day too"
  },
  {
    who: ["effect/Cron"],
    what: "every so many minutes in the fold",
    expression: "*/30 * * * *",
    zone: "Europe/Berlin",
    after: "2026-10-25T00:00:00Z",
    ours: "2026-10-25 02:30 +02:00, 2026-10-25 02:00 +01:00, 2026-10-25 02:30 +01:00",
    theirs: "2026-10-25 02:30 +02:00, 2026-10-25 03:00 +01:00, 2026-10-25 03:30 +01:00",
    right: "ours: no hole of 90 minutes"
  },
  {
    who: ["cron-parser"],
    what: "a fold of half an hour",
    expression: "0 10 * * *",
    zone: "Australia/Lord_Howe",
    after: "2026-04-03T12:00:00Z",
    ours: "2026-04-04 10:00 +11:00, 2026-04-05 10:00 +10:30",
    theirs: "2026-04-04 10:00 +11:00, an error",
    right: "ours: theirs ends with “loop limit exceeded”"
  },
  {
    who: ["effect/Cron"],
    what: "the previous time, backward over a weekday",
    expression: "0 0 * * fri",
    after: "2026-05-14T00:00:00Z",
    direction: "previous",
    ours: "2026-05-08 00:00",
    theirs: "2026-05-15 00:00",
    right: "ours: the previous Friday is not the next one"
  },
  {
    who: ["effect/Cron"],
    what: "the previous time, backward over a short month",
    expression: "0 0 31 * *",
    after: "2026-07-10T00:00:00Z",
    direction: "previous",
    ours: "2026-05-31 00:00",
    theirs: "2026-07-01 00:00",
    right: "ours: the 1st is not the 31st"
  },
  {
    who: ["effect/Cron"],
    what: "the previous time, backward over the end of a year",
    expression: "0 0 * * sat",
    after: "2026-01-01T00:00:00Z",
    direction: "previous",
    ours: "2025-12-27 00:00",
    theirs: "an error",
    right: "ours: there was a Saturday"
  },
  {
    who: ["effect/Cron"],
    what: "a date that never comes",
    expression: "0 0 30 2 *",
    ours: "none",
    theirs: "an error",
    right: "ours: none is an answer; theirs is an exception after 10 000 steps"
  },
  {
    who: ["cron-parser"],
    what: "a date that never comes",
    expression: "0 0 30 2 *",
    ours: "none",
    theirs: "refused",
    right: "either: theirs says so earlier, for days and months; ours is a value like any other and can be combined"
  },
  {
    who: ["croner", "cron-parser"],
    what: "a step from a star beside a weekday",
    expression: "0 0 */2 * 1",
    ours: "2026-05-11 00:00, 2026-05-25 00:00, 2026-06-01 00:00",
    theirs: "2026-05-11 00:00, 2026-05-13 00:00, 2026-05-15 00:00",
    right:
      "ours, and effect/Cron's: in crontab(5) a field that starts with a star restricts nothing, so both must match"
  },
  {
    who: ["croner"],
    what: "from Sunday to Sunday, by name",
    expression: "0 0 * * sun-sun",
    ours: "2026-05-17 00:00, 2026-05-24 00:00",
    theirs: "2026-05-11 00:00, 2026-05-12 00:00",
    right: "ours: a range from a day to itself is that day, as `0-0` and `mon-mon` are in croner; it reads `0-7`"
  },
  {
    who: ["effect/Cron", "cron-parser"],
    what: "a range of weekdays to Sunday",
    expression: "0 0 * * fri-sun",
    ours: "2026-05-15 00:00, 2026-05-16 00:00, 2026-05-17 00:00",
    theirs: "refused",
    right: "ours, and croner's: `fri-sun` has one meaning"
  },
  {
    who: ["effect/Cron", "croner", "cron-parser"],
    what: "a range of weekdays over the end of the week",
    expression: "0 0 * * sat-mon",
    ours: "2026-05-11 00:00, 2026-05-16 00:00, 2026-05-17 00:00",
    theirs: "refused",
    right: "ours: `sat-mon` has one meaning"
  },
  {
    who: ["effect/Cron", "cron-parser"],
    what: "an open step of weekdays",
    expression: "0 0 * * 5/2",
    ours: "2026-05-15 00:00, 2026-05-22 00:00",
    theirs: "2026-05-15 00:00, 2026-05-17 00:00",
    right:
      "either: crontab(5) does not speak of open steps. Ours ends with Saturday, for 7 is another name of 0; theirs with 7"
  },
  {
    who: ["croner"],
    what: "an open step",
    expression: "5/15 * * * *",
    ours: "2026-05-10 12:05, 2026-05-10 12:20",
    theirs: "refused",
    right: "either: croner reads it with `sloppyRanges`"
  },
  {
    who: ["effect/Cron"],
    what: "a step as long as the field",
    expression: "*/60 * * * *",
    ours: "2026-05-10 13:00, 2026-05-10 14:00",
    theirs: "refused",
    right: "ours: crontab(5) reads it, as the first value only"
  },
  {
    who: ["cron-parser"],
    what: "a step longer than the field",
    expression: "*/90 * * * *",
    ours: "refused",
    theirs: "2026-05-10 13:00, 2026-05-10 14:00",
    right: "ours: who writes it wants every 90 minutes, and would get every 60"
  },
  {
    who: ["cron-parser"],
    what: "a value named twice",
    expression: "0 9-12,10 * * *",
    ours: "2026-05-11 09:00, 2026-05-11 10:00, 2026-05-11 11:00",
    theirs: "refused",
    right: "ours: a list is a set"
  },
  {
    who: ["croner", "cron-parser"],
    what: "? in a field that is no day",
    expression: "? * * * *",
    ours: "refused",
    theirs: "2026-05-10 12:01, 2026-05-10 12:02",
    right: "ours: Quartz has it in the two day fields only"
  },
  {
    who: ["effect/Cron"],
    what: "letters",
    expression: "0 0 L * ?",
    ours: "2026-05-31 00:00, 2026-06-30 00:00",
    theirs: "refused",
    right: "either: it reads crontab(5) alone, without `L`, `W`, `#`, `?` and macros"
  },
  {
    who: ["croner", "cron-parser", "effect/Cron"],
    what: "days before the last",
    expression: "0 0 L-3 * *",
    ours: "2026-05-28 00:00, 2026-06-27 00:00",
    theirs: "refused",
    right: "ours: as in Quartz"
  },
  {
    who: ["cron-parser"],
    what: "working days",
    expression: "0 0 15W * *",
    ours: "2026-05-15 00:00, 2026-06-15 00:00",
    theirs: "refused",
    right: "ours: as in Quartz"
  },
  {
    who: ["croner"],
    what: "the last working day in a list",
    expression: "0 0 LW,1 * *",
    ours: "2026-05-29 00:00, 2026-06-01 00:00",
    theirs: "refused",
    right: "either"
  },
  {
    who: ["cron-parser"],
    what: "ordinals in a list",
    expression: "0 0 * * 1#1,5#2",
    ours: "2026-06-01 00:00, 2026-06-12 00:00",
    theirs: "refused",
    right: "ours: it has one meaning"
  },
  {
    who: ["croner"],
    what: "an ordinal of a range",
    expression: "0 0 * * 1-5#1",
    ours: "refused",
    theirs: "2026-06-01 00:00, 2026-06-02 00:00",
    right: "either: write `1#1,2#1,3#1,4#1,5#1`"
  },
  {
    who: ["cron-parser"],
    what: "macros in capitals, and `@midnight`",
    expression: "@Midnight",
    ours: "2026-05-11 00:00, 2026-05-12 00:00",
    theirs: "refused",
    right: "ours: cron knows it"
  },
  {
    who: ["cron-parser"],
    what: "macros of its own",
    expression: "@weekdays",
    ours: "refused",
    theirs: "2026-05-11 00:00, 2026-05-12 00:00",
    right: "either: write `0 0 * * 1-5`"
  },
  {
    who: ["cron-parser"],
    what: "H, a value drawn by chance",
    expression: "H(7-7) 9 * * *",
    ours: "refused",
    theirs: "2026-05-11 09:07, 2026-05-12 09:07",
    right: "ours: a trigger is the same on every node, without a seed to agree on"
  },
  {
    who: ["croner"],
    what: "a seventh field for years",
    expression: "0 0 0 1 1 * 2028",
    ours: "refused",
    theirs: "2028-01-01 00:00, none",
    right: "either: write `Trigger.cron({ year: 2028 })`"
  },
  {
    who: ["croner"],
    what: "+ for both day fields",
    expression: "0 0 1 * +1",
    ours: "refused",
    theirs: "2026-06-01 00:00, 2027-02-01 00:00",
    right: 'either: write `Trigger.cron({ day: 1, dayOfWeek: "mon" })`'
  }
]

const countOf = ({ ours, theirs }: Difference): number =>
  Math.max(...[ours, theirs].map((text) => text.split(",").length))

describe("where we differ", () => {
  it.each(differences.flatMap((row) => row.who.map((who) => [row.expression, row.what, who, row] as const)))(
    "%s (%s): %s",
    (_expression, _what, who, row) => {
      assert.strictEqual(tell(ours, row, countOf(row)), row.ours)
      assert.strictEqual(tell(libraries[who], row, countOf(row)), row.theirs)
      assert.notStrictEqual(row.ours, row.theirs)
    }
  )

  it("croner reads what it is said to read", () => {
    const thrice = (cron: Croner) => cron.nextRuns(3, new Date(AFTER)).map((at) => at.getTime())
    const timezone = "UTC"
    const open = thrice(new Croner("5/15 * * * *", { timezone, sloppyRanges: true }))
    assert.deepStrictEqual(open, thrice(new Croner("5,20,35,50 * * * *", { timezone })))
    for (const [range, day] of [
      ["0-0", "0"],
      ["mon-mon", "1"],
      ["sun-sun", "0-7"]
    ]) {
      const same = thrice(new Croner(`0 0 * * ${day}`, { timezone }))
      assert.deepStrictEqual(thrice(new Croner(`0 0 * * ${range}`, { timezone })), same)
    }
  })

  it("without a time zone ours is UTC, theirs the machine's", () => {
    const before = process.env.TZ
    try {
      process.env.TZ = "Asia/Tokyo"
      const nine = (make: (expression: string) => Answers) => make("0 9 * * *").next(Date.parse(AFTER))
      assert.strictEqual(nine(ours), Date.parse("2026-05-11T09:00:00Z"))
      for (const theirs of Object.values(libraries)) {
        assert.strictEqual(nine(theirs), Date.parse("2026-05-11T00:00:00Z"))
      }
    } finally {
      if (before === undefined) delete process.env.TZ
      else process.env.TZ = before
    }
  })

  it("previous of an instant of the trigger is that instant in ours, the one before in theirs", () => {
    const nine = Date.parse("2026-05-10T09:00:00Z")
    const previous = Option.map(Trigger.previous(Trigger.crontab("0 9 * * *"), nine), ({ epochMillis }) => epochMillis)
    assert.deepStrictEqual(previous, Option.some(nine))
    for (const theirs of Object.values(libraries))
      assert.strictEqual(theirs("0 9 * * *", "UTC").previous(nine), nine - DAY)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// the comparison of features
// ---------------------------------------------------------------------------------------------------------------------

const BERLIN = "Europe/Berlin"

/** The wall-clock times of an expression in a stretch of time, its end exclusive. */
const timesIn = (
  make: (expression: string, timezone: string) => Answers,
  expression: string,
  from: string,
  to: string
) => {
  const answers = make(expression, BERLIN)
  const found: Array<string> = []
  let at = answers.next(Date.parse(from) - 1)
  while (at !== undefined && at < Date.parse(to)) {
    found.push(wallClock(BERLIN, at).slice(11, 16))
    at = answers.next(at)
  }
  return found.join(" ")
}

const SPRING = ["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"] as const
const AUTUMN = ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"] as const
const GAP = ["2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z"] as const
const FOLD = ["2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"] as const

type Make = (expression: string, timezone?: string) => Answers

/** What the letters select in the month of May 2026, worked out by hand. */
const LETTERS: ReadonlyArray<readonly [letter: string, expression: string, date: string]> = [
  ["L", "0 0 L 5 *", "2026-05-31"],
  ["L-3", "0 0 L-3 5 *", "2026-05-28"],
  ["LW", "0 0 LW 5 *", "2026-05-29"],
  ["16W", "0 0 16W 5 *", "2026-05-15"],
  ["5L", "0 0 * 5 5L", "2026-05-29"],
  ["5#3", "0 0 * 5 5#3", "2026-05-15"]
]

const lettersOf = (make: Make): string => {
  const known = LETTERS.filter(([, expression, date]) => {
    const at = attempt(() => make(expression, "UTC").next(Date.parse(AFTER)))
    return at === Date.parse(date)
  })
  return known.length === 0 ? "none" : known.map(([letter]) => code(letter)).join(" ")
}

const never = (make: Make): string => {
  const answers = attempt(() => make("0 0 30 2 *", "UTC"))
  if (answers === undefined) return "refused"
  const answer = attempt(() => ({ at: answers.next(Date.parse(AFTER)) }))
  return answer === undefined ? "an error" : answer.at === undefined ? "none" : "a wrong date"
}

const monthly = (make: Make): string => wallClock(BERLIN, make("0 0 1 * *", BERLIN).next(Date.parse("2026-03-15"))!)

const yearOf = (make: Make): string => {
  const at = attempt(() => make("0 0 0 1 1 * 2028", "UTC").next(Date.parse(AFTER)))
  return at === Date.UTC(2028, 0, 1) ? "year, as a seventh field" : "no"
}

const BACKWARD = ["0 9 * * *", "0 0 * * fri", "0 0 31 * *", "*/15 9-16 * * 1-5", "0 0 * * sat"]

const backward = (make: Make): string => {
  const wrong = BACKWARD.filter((expression) => {
    const answers = make(expression, "UTC")
    // The same days, found by going forward.
    const all: Array<number> = []
    const end = Date.parse("2026-05-14T00:00:00Z")
    for (let at = answers.next(Date.parse("2026-03-01")); at !== undefined && at < end; at = answers.next(at))
      all.push(at)
    return attempt(() => answers.previous(end)) !== all.at(-1)
  })
  return wrong.length === 0 ? "yes" : "yes, wrong for some days of the month and weekdays"
}

/** All that a value offers by name. */
const namesOf = (...values: ReadonlyArray<object>): string =>
  values.flatMap((value) => Object.getOwnPropertyNames(value)).join(" ")

const offers: Record<Library, string> = {
  "effect/Cron": namesOf(Cron),
  croner: namesOf(Croner, Croner.prototype, new Croner("0 0 * * *", { paused: true }).options),
  "cron-parser": namesOf(
    CronExpressionParser,
    CronExpressionParser.parse("0 0 * * *"),
    Object.getPrototypeOf(CronExpressionParser.parse("0 0 * * *"))
  )
}

const exclusionsOf = (library: Library): string =>
  /exclu|except|holiday|blackout|skip/i.test(offers[library]) ? "?" : "no"

/** The text that a value gives back, if it is read as the same again. */
const storedForms: Record<Library, string> = {
  "effect/Cron": /stringify|encode|fromJSON|Schema|format/i.test(offers["effect/Cron"]) ? "?" : "no way back from it",
  croner: new Croner("0 5 * * 1-5").getPattern() === "0 5 * * 1-5" ? "its text, by `getPattern()`" : "?",
  "cron-parser":
    CronExpressionParser.parse("0 5 * * 1-5").stringify() === "0 5 * * 1-5" ? "its text, by `stringify()`" : "?"
}

const ourStoredForm = (): string => {
  const trigger = Trigger.crontab("0 5 * * 1-5", { timezone: BERLIN, end: "2027-01-01" })
  const json = JSON.parse(JSON.stringify(Schema.encodeSync(Trigger.Trigger)(trigger)))
  assert.deepStrictEqual(Schema.decodeSync(Trigger.Trigger)(json).json, trigger.json)
  assert.containsAllKeys(json, ["expression", "timezone", "gap", "fold", "end"])
  return "a `Schema`, with zone, policies and bounds"
}

const LIBRARIES = Object.keys(libraries) as ReadonlyArray<Library>

const code = (text: string): string => `\`${text}\``

const row = (title: string, of: (make: Make) => string, three: string, four: string): ReadonlyArray<string> => [
  title,
  of(ours),
  ...LIBRARIES.map((library) => of(libraries[library])),
  three,
  four
]

const within =
  (expression: string, [from, to]: readonly [string, string]) =>
  (make: Make): string =>
    timesIn(make, expression, from, to)

const compared = (): string =>
  table([
    ["", "ours", "effect/Cron 3.22", "croner 11", "cron-parser 5.10", "APScheduler 3", "APScheduler 4"],
    row("`30 2 * * *` on 29 March, when 02:00–02:59 is skipped", within("30 2 * * *", SPRING), "03:30", "not at all"),
    row(
      "`30 2 * * *` on 25 October, when 02:00–02:59 comes twice",
      within("30 2 * * *", AUTUMN),
      "02:30 02:30",
      "02:30 02:30"
    ),
    row(
      "`*/30 * * * *` in the two hours from 01:00 on 29 March",
      within("*/30 * * * *", GAP),
      "01:00 01:30 03:00 03:30",
      "01:00 01:30 03:00 03:30"
    ),
    row(
      "`*/30 * * * *` in the two hours from 02:00 on 25 October",
      within("*/30 * * * *", FOLD),
      "02:00 02:30 02:00 02:30",
      "02:00 02:30 02:00 02:30"
    ),
    row("`30 1,2 * * *` on 29 March", within("30 1,2 * * *", SPRING), "01:30 03:30", "01:30"),
    row("`30 1,2 * * *` on 25 October", within("30 1,2 * * *", AUTUMN), "01:30 02:30 02:30", "01:30 02:30 02:30"),
    row("`0 0 30 2 *`", never, "none, after 0.25 s and more", "none, after 0.25 s and more"),
    row("`0 0 1 * *`, next after 15 March", (make) => monthly(make).slice(0, 10), "2026-05-01", "2026-05-01"),
    row(
      "letters",
      lettersOf,
      "words in `day`: `last`, `2nd fri`, `last fri`",
      "words in `day`: `last`, `2nd fri`, `last fri`"
    ),
    [
      "year and week fields",
      "both, in `Trigger.cron`",
      ...LIBRARIES.map((library) => yearOf(libraries[library])),
      "both",
      "both"
    ],
    ["exclusions", "`Trigger.except`", ...LIBRARIES.map(exclusionsOf), "no", "no"],
    row("previous", backward, "no", "no"),
    [
      "JSON",
      ourStoredForm(),
      ...LIBRARIES.map((library) => storedForms[library]),
      "no, pickle only",
      "JSON, CBOR or pickle"
    ]
  ])

// ---------------------------------------------------------------------------------------------------------------------
// docs/triggers.md
// ---------------------------------------------------------------------------------------------------------------------

const PAGE = new URL("../docs/triggers.md", import.meta.url)

const GENERATED = /(<!-- generated: (\S+) -->\n)([\s\S]*?)(\n<!-- \/generated -->)/g

const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const lines = rows.map((cells) => `| ${cells.join(" | ")} |`)
  return [lines[0], `|${"---|".repeat(rows[0]!.length)}`, ...lines.slice(1)].join("\n")
}

const question = ({ after = AFTER, direction = "next", expression, zone }: Difference): string => {
  const where = zone === undefined ? "" : `, ${zone}`
  return `${code(expression)}, ${direction === "next" ? "after" : "before"} ${after.replace(/:00Z$/, "Z")}${where}`
}

const generated: Record<string, () => string> = {
  compared,
  differences: () =>
    table([
      ["what", "question", "ours", "theirs", "who", "right is"],
      ...differences.map((row) => [row.what, question(row), row.ours, row.theirs, row.who.join(", "), row.right]),
      [
        "no time zone",
        "`0 9 * * *` on a machine in Tokyo",
        "09:00 UTC",
        "09:00 in Tokyo",
        LIBRARIES.join(", "),
        'either: ours is the same on every machine, and `"local"` is a word for the other'
      ],
      [
        "previous of an instant of the trigger",
        "`0 9 * * *`, 2026-05-10T09:00Z",
        "2026-05-10 09:00",
        "2026-05-09 09:00",
        LIBRARIES.join(", "),
        "either: ours is the last one at or before, theirs before"
      ]
    ])
}

describe("docs/triggers.md", () => {
  if (process.env.UPDATE_DOCS === "1") {
    const page = readFileSync(PAGE, "utf8").replaceAll(
      GENERATED,
      (whole, open: string, name: string, _: string, close: string) =>
        name in generated ? `${open}${generated[name]!()}${close}` : whole
    )
    writeFileSync(PAGE, page)
  }

  it.each(Object.keys(generated))("the table %s is up to date", (name) => {
    const found = [...readFileSync(PAGE, "utf8").matchAll(GENERATED)].find(([, , found]) => found === name)
    assert.strictEqual(found?.[3], generated[name]!())
  })

  it("names the versions that are compared", () => {
    const version = (library: string) =>
      JSON.parse(readFileSync(new URL(`../node_modules/${library}/package.json`, import.meta.url), "utf8")).version
    assert.match(version("effect"), /^3\.22\./)
    assert.match(version("croner"), /^11\./)
    assert.match(version("cron-parser"), /^5\.10\./)
  })
})
