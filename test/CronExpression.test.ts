import { assert, describe, it } from "@effect/vitest"
import { Either } from "effect"
import * as CivilTime from "../src/CivilTime.ts"
import * as CronExpression from "../src/CronExpression.ts"
import { InvalidTrigger } from "../src/SchedulerError.ts"

type Fields = Partial<Record<CronExpression.FieldName, string>>

const attempt = (make: () => CronExpression.CronExpression) =>
  Either.try({
    try: make,
    catch: (error) => {
      if (error instanceof InvalidTrigger) return [error.field, error.position, error.reason] as const
      throw error
    }
  })

const fromFields = (fields: Fields) => attempt(() => CronExpression.fromFields(fields))
const fromCrontab = (text: string) => attempt(() => CronExpression.fromCrontab(text))

const isOk = Either.isRight

const DAY = 86_400

const MIN = 0
const MAX = Date.UTC(9999, 11, 31, 23, 59, 59) / 1000

const seconds = (text: string): number => Date.parse(`${text}Z`) / 1000

describe("parsing time", () => {
  const LENGTH = 100_000

  /** Generous to a busy machine; what is quadratic takes minutes. */
  const LIMIT = 5000

  /** A text that repeats a part to a good length. */
  const long = (part: string, end = ""): string => part.repeat(Math.ceil(LENGTH / part.length)) + end

  const SHAPES: ReadonlyArray<readonly [string, string]> = [
    ["digits", long("1")],
    ["letters", long("a")],
    ["blanks", long(" ")],
    ["blanks between", `1${long(" ")}1`],
    ["commas", long(",")],
    ["stars", long("*")],
    ["hyphens", long("-")],
    ["slashes", long("/")],
    ["a-b without end", long("1-")],
    ["a/b without end", long("1/")],
    ["*/ without end", long("*/")],
    ["a list of numbers", long("1,", "1")],
    ["a list of stars", long("*,", "*")],
    ["a list of ranges", long("1-5/2,", "1")],
    ["a list that breaks at its end", long("1,", "x")],
    ["a list of blanks", long(" ,")],
    ["last without end", long("last ")],
    ["a list of weekdays", long("2nd fri,", "last")],
    ["a list of L", long("L,", "LW")],
    ["a list of nW", long("15W,", "1")],
    ["a list of d#n", long("fri#2,", "1")],
    ["#", long("fri#")],
    ["L", long("L")],
    ["W", long("W")],
    ["@", long("@")],
    ["new lines", long("1\n")],
    ["another script", long("\u0663\u0130,")]
  ]

  const elapsed = (run: () => unknown): number => {
    const start = performance.now()
    run()
    return performance.now() - start
  }

  it.each(SHAPES)("100 000 characters of %s are read or refused in no time", (_, text) => {
    const crontabs = [text, `@${text}`, `${text} * * * *`, `* * ${text} * *`, `* * * * ${text}`]
    const times = [
      ...CronExpression.fieldNames.map((name) => elapsed(() => fromFields({ [name]: text }))),
      ...crontabs.map((crontab) => elapsed(() => fromCrontab(crontab)))
    ]
    assert.isBelow(Math.max(...times), LIMIT)
  })
})

describe("steps", () => {
  /** Field, the longest step that its star takes. */
  const STRICT: ReadonlyArray<readonly [CronExpression.FieldName, number]> = [
    ["year", 8029],
    ["month", 11],
    ["day", 30],
    ["week", 52],
    ["dayOfWeek", 6],
    ["hour", 23],
    ["minute", 59],
    ["second", 59]
  ]

  it.each(STRICT)("of the cron field %s are at most %d", (name, longest) => {
    assert.isTrue(isOk(fromFields({ [name]: `*/${longest}` })))
    assert.deepStrictEqual(
      fromFields({ [name]: `*/${longest + 1}` }),
      Either.left([name, 2, `the step ${longest + 1} is longer than the range`])
    )
  })

  it.each<readonly [Fields, boolean]>([
    [{ day: "*/31" }, false],
    [{ hour: "10-14/4" }, true],
    [{ hour: "10-14/5" }, false],
    [{ hour: "20/3" }, true],
    [{ hour: "20/4" }, false],
    [{ hour: "23/1" }, true],
    [{ hour: "5-5/1" }, true],
    [{ hour: "5-5/2" }, false],
    [{ dayOfWeek: "sat-mon/2" }, true],
    [{ dayOfWeek: "sat-mon/3" }, false],
    [{ month: "nov-feb/3" }, true],
    [{ month: "nov-feb/4" }, false],
    [{ minute: "*/0" }, false],
    [{ minute: "*/01" }, true],
    [{ minute: "*/-1" }, false],
    [{ minute: "*/1/1" }, false]
  ])("%j is valid: %s", (fields, isValid) => {
    assert.strictEqual(isOk(fromFields(fields)), isValid)
  })

  it.each([
    ["*/60 * * * *", true],
    ["*/61 * * * *", false],
    ["5-10/60 * * * *", true],
    ["0 */24 * * *", true],
    ["0 */25 * * *", false],
    ["0 0 */31 * *", true],
    ["0 0 */32 * *", false],
    ["0 0 1 */12 *", true],
    ["0 0 1 */13 *", false],
    ["0 0 * * */7", true],
    ["0 0 * * */9", false],
    ["*/60 * * * * *", true],
    ["*/61 * * * * *", false],
    ["*/0 * * * *", false]
  ])("of crontab(%j) are valid: %s", (text, isValid) => {
    assert.strictEqual(isOk(fromCrontab(text)), isValid)
  })

  it("as long as the whole field leave its first value", () => {
    const { hours, minutes, months, seconds: secs } = CronExpression.fromCrontab("*/60 */60 */24 1 */12 *")
    assert.deepStrictEqual({ hours, minutes, months, secs }, { hours: [0], minutes: [0], months: 1, secs: [0] })
  })

  it.each([
    ["*/20", [0, 20, 40]],
    ["50/4", [50, 54, 58]],
    ["10-20/5", [10, 15, 20]],
    ["10-19/5", [10, 15]],
    ["59,0,30,0-2", [0, 1, 2, 30, 59]],
    ["7,7,7", [7]],
    ["*,5", Array.from({ length: 60 }, (_, i) => i)]
  ])("%j are minutes in order, each once", (minute, expected) => {
    assert.deepStrictEqual(CronExpression.fromFields({ minute }).minutes, expected)
    assert.deepStrictEqual(CronExpression.fromCrontab(`${minute} * * * *`).minutes, expected)
  })
})

describe("positions", () => {
  it.each<readonly [Fields, CronExpression.FieldName, number]>([
    [{ minute: "1, 2,\t99" }, "minute", 6],
    [{ minute: "10-99" }, "minute", 3],
    [{ minute: "99-10" }, "minute", 0],
    [{ minute: "10-20/99" }, "minute", 6],
    [{ minute: " *-5" }, "minute", 2],
    [{ minute: "1,  ,2" }, "minute", 4],
    [{ day: "1, 2nd  foo" }, "day", 8],
    [{ day: "2nd mon, 9th tue" }, "day", 9],
    [{ dayOfWeek: "MON-SUX" }, "dayOfWeek", 4],
    [{ hour: "1", minute: "60" }, "minute", 0]
  ])("in %j is %s at %d", (fields, field, position) => {
    const error = Either.getOrThrow(Either.flip(fromFields(fields)))
    assert.deepStrictEqual(error.slice(0, 2), [field, position])
  })

  it.each([
    ["   60 * * * *", "minute", 3],
    ["0 1,2,24 * * *", "hour", 6],
    ["0 0 1,L-99 * *", "day", 8],
    ["0 0 LW,99W * *", "day", 7],
    ["0 0 1 1-13 *", "month", 8],
    ["0 0 * * 1,8#2", "dayOfWeek", 10],
    ["0 0 * * mon-9", "dayOfWeek", 12],
    ["0 0 0 * * *-1", "dayOfWeek", 11],
    ["a b c d e f g", "crontab", 12],
    [" @nonsense", "crontab", 1]
  ])("in %j is %s at %d", (text, field, position) => {
    const error = Either.getOrThrow(Either.flip(fromCrontab(text)))
    assert.deepStrictEqual(error.slice(0, 2), [field, position])
  })
})

describe("defaults", () => {
  const STAR = { year: "*", month: "*", day: "*", week: "*", dayOfWeek: "*", hour: "*", minute: "*", second: "*" }

  it.each<readonly [Fields, Fields]>([
    [{ second: "5" }, { second: "5" }],
    [{ minute: "5" }, { minute: "5", second: "0" }],
    [{ hour: "5" }, { hour: "5", minute: "0", second: "0" }],
    [{ dayOfWeek: "1" }, { dayOfWeek: "1", hour: "0", minute: "0", second: "0" }],
    [{ week: "5" }, { week: "5", hour: "0", minute: "0", second: "0" }],
    [{ day: "5" }, { day: "5", hour: "0", minute: "0", second: "0" }],
    [{ month: "5" }, { month: "5", day: "1", hour: "0", minute: "0", second: "0" }],
    [{ year: "2030" }, { year: "2030", month: "1", day: "1", hour: "0", minute: "0", second: "0" }],
    [
      { day: "1", minute: "20" },
      { day: "1", minute: "20", second: "0" }
    ]
  ])("of %j", (given, expected) => {
    assert.deepStrictEqual(CronExpression.withDefaults(given), { ...STAR, ...expected })
  })
})

describe("the search", () => {
  const always = CronExpression.toCivilSet(CronExpression.fromFields({ second: "*" }))
  const leap = CronExpression.toCivilSet(CronExpression.fromFields({ month: "2", day: "29" }))

  it("begins with 1970 and ends with 9999, on the zone's own clock", () => {
    assert.deepStrictEqual([-1e12, -1, MIN, MAX, MAX + 1, 1e13].map(always.next), [
      MIN,
      MIN,
      MIN,
      MAX,
      Infinity,
      Infinity
    ])
    assert.deepStrictEqual([-1e12, -1, MIN, MAX, MAX + 1, 1e13].map(always.previous), [
      -Infinity,
      -Infinity,
      MIN,
      MAX,
      MAX,
      MAX
    ])
  })

  it("finds the time it is asked at", () => {
    for (const set of [always, leap]) {
      const at = seconds("2024-02-29T00:00:00")
      assert.deepStrictEqual([set.next(at), set.previous(at)], [at, at])
    }
  })

  it.each([
    ["2024-02-29T00:00:01", "2028-02-29", "2024-02-29"],
    ["2024-02-28T23:59:59", "2024-02-29", "2020-02-29"],
    ["2096-03-01T00:00:00", "2104-02-29", "2096-02-29"],
    ["2104-02-28T00:00:00", "2104-02-29", "2096-02-29"],
    ["1971-01-01T00:00:00", "1972-02-29", undefined],
    ["9997-01-01T00:00:00", undefined, "9996-02-29"]
  ])("around %s lie February 29ths", (from, next, previous) => {
    const at = seconds(from)
    assert.strictEqual(leap.next(at), next === undefined ? Infinity : seconds(`${next}T00:00:00`))
    assert.strictEqual(leap.previous(at), previous === undefined ? -Infinity : seconds(`${previous}T00:00:00`))
  })

  /** All days on which a rule holds, looked for day by day. */
  const daysWhere = (is: (date: Date) => boolean): ReadonlyArray<number> => {
    const found: Array<number> = []
    for (let day = 0; day <= Math.floor(MAX / DAY); day++) if (is(new Date(day * DAY * 1000))) found.push(day * DAY)
    return found
  }

  const isFebruary29th = (date: Date) => date.getUTCMonth() === 1 && date.getUTCDate() === 29

  /** Whether the Thursday of its week is the 53rd of its year. */
  const isInWeek53 = (date: Date) => {
    const thursday = new Date(date.getTime() + (3 - ((date.getUTCDay() + 6) % 7)) * DAY * 1000)
    return thursday.getTime() - Date.UTC(thursday.getUTCFullYear(), 0, 1) >= 52 * 7 * DAY * 1000
  }

  it.each<readonly [Fields, (date: Date) => boolean]>([
    [{ month: "2", day: "29", dayOfWeek: "mon" }, (date) => isFebruary29th(date) && date.getUTCDay() === 1],
    [
      { month: "2", day: "29", year: "*/3" },
      (date) => isFebruary29th(date) && (date.getUTCFullYear() - 1970) % 3 === 0
    ],
    [{ month: "1", week: "53" }, (date) => date.getUTCMonth() === 0 && isInWeek53(date)],
    [
      { day: "31", week: "53", dayOfWeek: "thu" },
      (date) => isInWeek53(date) && date.getUTCDate() === 31 && date.getUTCDay() === 4
    ]
  ])("finds every day of %j in eight thousand years, and no other", (fields, is) => {
    const [set, other] = [fields, fields].map((given) => CronExpression.toCivilSet(CronExpression.fromFields(given)))
    const expected = daysWhere(is)
    const forward: Array<number> = []
    for (let at = set!.next(MIN); at !== Infinity; at = set!.next(at + 1)) forward.push(at)
    assert.deepStrictEqual(forward, expected)
    const backward: Array<number> = []
    for (let at = other!.previous(MAX); at !== -Infinity; at = other!.previous(at - 1)) backward.push(at)
    assert.deepStrictEqual(backward.reverse(), expected)
    assert.isAbove(expected.length, 200)
  })

  it.each<readonly [Fields]>([
    [{ month: "2", day: "30" }],
    [{ month: "4,6,9,11", day: "31" }],
    [{ month: "2", day: "5th mon", year: "2025-2027" }],
    [{ week: "53", month: "6" }]
  ])("of %j finds nothing in either direction", (fields) => {
    const set = CronExpression.toCivilSet(CronExpression.fromFields(fields))
    assert.deepStrictEqual([set.next(MIN), set.previous(MAX)], [Infinity, -Infinity])
  })

  it.each<readonly [Fields]>([
    [{ hour: "12" }],
    [{ day: "1,last" }],
    [{ month: "feb", day: "29" }],
    [{ week: "9", dayOfWeek: "fri,mon" }]
  ])("of %j answers whatever it was asked before", (fields) => {
    const fresh = () => CronExpression.toCivilSet(CronExpression.fromFields(fields))
    const used = fresh()
    const noons = Array.from({ length: 36 }, (_, i) => seconds("2024-01-29T12:00:00") + i * DAY)
    const answers = noons.map((noon) => [fresh().next(noon), fresh().previous(noon)])
    for (const before of noons) {
      for (const [i, noon] of noons.entries()) {
        used.next(before)
        const after = used.next(noon)
        used.previous(before)
        used.next(before)
        assert.deepStrictEqual([after, used.previous(noon)], answers[i])
      }
    }
  })

  it("of every last value of the day ends the day", () => {
    const set = CronExpression.toCivilSet(CronExpression.fromCrontab("59 59 23 L * *"))
    const at = seconds("2026-02-28T23:59:59")
    assert.deepStrictEqual([set.next(at), set.previous(at)], [at, at])
    assert.deepStrictEqual(
      [set.next(at + 1), set.previous(at - 1)],
      [seconds("2026-03-31T23:59:59"), seconds("2026-01-31T23:59:59")]
    )
  })

  it("of times walks through every second of a day that its fields select", () => {
    const set = CronExpression.toCivilSet(
      CronExpression.fromFields({ hour: "0,7-9,23", minute: "*/29", second: "0,59", day: "15", month: "6" })
    )
    const day = CivilTime.toDayNumber(2026, 6, 15) * DAY
    const expected: Array<number> = []
    for (let time = 0; time < DAY; time++) {
      const [hour, minute, second] = [Math.floor(time / 3600), Math.floor(time / 60) % 60, time % 60]
      const isDue = [0, 7, 8, 9, 23].includes(hour) && minute % 29 === 0 && second % 59 === 0
      if (isDue) expected.push(day + time)
    }
    for (let time = 0; time < DAY; time++) {
      const at = day + time
      const following = expected.find((due) => due >= at)
      if (following !== undefined) assert.strictEqual(set.next(at), following)
      assert.strictEqual(
        set.previous(at),
        expected.findLast((due) => due <= at)
      )
    }
    assert.strictEqual(expected.length, 30)
  })
})
