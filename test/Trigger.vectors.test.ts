import { assert, describe, it } from "@effect/vitest"
import { DateTime, Option } from "effect"
import { readFileSync } from "node:fs"
import * as Trigger from "../src/Trigger.ts"

/**
 * Test vectors of APScheduler, taken from the tests of its lines 3.x and 4.x or computed by running them. Where its
 * answer is proven wrong by brute force, `ideal` is what a correct scheduler that skips gaps and repeats folds answers.
 */
interface Vector {
  readonly id: string
  readonly kind: string
  readonly impl: ReadonlyArray<"3.x" | "4.x">
  readonly params: Record<string, string | number> & {
    readonly triggers?: ReadonlyArray<Pick<Vector, "kind" | "params">>
  }
  readonly timezone: string | null
  readonly start: string | null
  readonly previous?: string
  readonly now?: string
  readonly expected: ReadonlyArray<string | null | number> | "rejected" | "accepted"
  readonly ideal?: ReadonlyArray<string>
  readonly bug?: boolean
  readonly note: string
}

const vectors: ReadonlyArray<Vector> = JSON.parse(
  readFileSync(new URL("./vectors/apscheduler.json", import.meta.url), "utf8")
)

/** The vectors that cannot hold, each for a reason. */
const byDesign: Record<string, string> = {
  "and-001": "its two dates are a second apart; ours meet to the millisecond, without a threshold",
  "and-014": "meets within a threshold of five seconds; ours meet to the millisecond",
  "calendarinterval-026": "pins a defect: 4.x fires twice on the day after the one that Apia left out",
  "cron-035":
    "the 3.x line goes back when the clock does; ours is asked for what comes after an instant, whatever the clock",
  "cron-055": "its start lies 5 µs after a match; our instants have milliseconds",
  "cron-058": "a cron without any field is an error",
  "cron-059": "a cron without any field is an error",
  "cron-313": "pins a defect: 4.x drops the step of 1-5/2",
  "cron-314": "pins a defect: fri#2 read as fri; ours refuses it here and reads it in crontab",
  "cron-315": "pins a defect: lastfoo read as last; ours refuses it",
  "cron-316": "pins a defect: the milliseconds of the start leak into fire times",
  "cron-validate-027": "sun-tue wraps in ours",
  "crontab-005": "crontab(5): day OR weekday where both are restricted",
  "crontab-006": "crontab(5): day OR weekday where both are restricted",
  "crontab-019": "crontab(5): day OR weekday where both are restricted",
  "crontab-020": "the word `last` belongs to cron fields; crontab has L",
  "date-006": "3.x takes a date for done once anything has fired; ours is an instant and keeps no memory",
  "interval-011": "pins a defect: 4.x counts an interval on the wall clock",
  "interval-013": "pins a defect: 4.x counts an interval on the wall clock",
  "interval-015": "pins a defect: 4.x counts an interval on the wall clock",
  "interval-023": "an interval of nothing is an error"
}

const names4 = ["sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun"]

/** The 4.x line counts weekdays from Sunday, ours from Monday, as the 3.x line does. */
const weekdays = (vector: Vector, text: string): string =>
  vector.impl.includes("3.x") ? text : text.replaceAll(/(?<![/\d])\d/g, (digit) => names4[Number(digit)]!)

const bounds = ({ params }: Vector) => ({
  start: params.start_date ?? params.start_time,
  end: params.end_date ?? params.end_time
})

const UNITS = ["years", "months", "weeks", "days", "hour", "minute", "second"] as const

const make = (vector: Vector): Trigger.Trigger => {
  const { triggers = [], ...params } = vector.params
  const timezone = vector.timezone ?? "UTC"
  switch (vector.kind) {
    case "cron":
    case "cron-validate": {
      const { day_of_week, ...fields } = params
      return Trigger.cron({
        ...fields,
        dayOfWeek: day_of_week === undefined ? undefined : weekdays(vector, String(day_of_week)),
        ...bounds(vector),
        timezone,
        gap: "skip",
        fold: "both"
      })
    }
    case "crontab":
    case "crontab-validate":
      return Trigger.crontab(String(params.expr), { timezone, gap: "skip", fold: "both" })
    case "interval":
    case "interval-validate":
      return Trigger.interval({ ...params, ...bounds(vector) })
    case "calendarinterval":
    case "calendarinterval-validate": {
      const units = Object.fromEntries(UNITS.flatMap((unit) => (params[unit] ? [[unit, Number(params[unit])]] : [])))
      // APScheduler leaves out a time that is skipped, and fires once, at the earlier one, at a time that is repeated.
      return Trigger.calendarInterval({ ...units, ...bounds(vector), timezone, gap: "skip", fold: "first" })
    }
    case "and":
    case "and-error":
      return Trigger.allOf(...triggers.map((part) => make({ ...vector, ...part })))
    case "or":
      return Trigger.anyOf(...triggers.map((part) => make({ ...vector, ...part })))
    case "date":
      return Trigger.at(params.run_date ?? params.run_time!, { timezone })
    default:
      throw new Error(`unknown kind ${vector.kind}`)
  }
}

const epoch = (text: string | null | number | undefined) => (text == null ? undefined : Date.parse(String(text)))

const BEGINNING = -62_135_596_800_000

/** Both begin with the first instant of all, even if it is past. */
const beginsInThePast = ({ kind }: Vector) => kind === "date" || kind === "calendarinterval"

const answers = (vector: Vector): ReadonlyArray<number | undefined> => {
  const trigger = make(vector)
  const start = epoch(vector.start ?? vector.now) ?? BEGINNING
  const before = beginsInThePast(vector) ? BEGINNING : start - 1
  let after = epoch(vector.previous) ?? before
  return (vector.ideal ?? (vector.expected as Vector["ideal"]))!.map(() => {
    const found = Option.map(Trigger.next(trigger, after), DateTime.toEpochMillis)
    after = Option.getOrElse(found, () => after)
    return Option.getOrUndefined(found)
  })
}

/** Of a cron field: the trigger of that field alone, the period that the field counts in, and its value of an instant. */
const fieldOf = ({ params }: Vector, start: Date) => {
  const expression = String(params.expr)
  const dayOfWeek = (start.getUTCDay() + 6) % 7
  const [year, month, day] = [start.getUTCFullYear(), start.getUTCMonth(), start.getUTCDate()]
  switch (params.field) {
    case "day":
      return {
        trigger: Trigger.cron({ day: expression }),
        end: Date.UTC(year, month + 1),
        value: (at: Date) => at.getUTCDate()
      }
    case "day_of_week":
      return {
        trigger: Trigger.cron({ dayOfWeek: expression }),
        end: Date.UTC(year, month, day - dayOfWeek + 7),
        value: (at: Date) => (at.getUTCDay() + 6) % 7
      }
    case "hour":
      return {
        trigger: Trigger.cron({ hour: expression }),
        end: Date.UTC(year, month, day + 1),
        value: (at: Date) => at.getUTCHours()
      }
    default:
      throw new Error(`unknown field ${params.field}`)
  }
}

const ofKinds = (...kinds: ReadonlyArray<string>) => vectors.filter(({ kind }) => kinds.includes(kind))

describe("APScheduler's vectors", () => {
  it("leaves out only vectors that exist", () => {
    const ids = new Set(vectors.map(({ id }) => id))
    assert.deepStrictEqual(
      Object.keys(byDesign).filter((id) => !ids.has(id)),
      []
    )
  })
  for (const vector of ofKinds("cron", "crontab", "interval", "date", "calendarinterval", "and", "or")) {
    const title = `${vector.id} ${JSON.stringify(vector.params)} ${vector.timezone} ${vector.note}`
    if (byDesign[vector.id] !== undefined) continue
    it(title, () => {
      const expected = (vector.ideal ?? (vector.expected as ReadonlyArray<string>)).map(epoch)
      assert.deepStrictEqual(
        answers(vector).map((t) => t && new Date(t).toISOString()),
        expected.map((t) => t && new Date(t).toISOString())
      )
    })
  }
  for (const vector of ofKinds("cron-validate", "crontab-validate", "interval-validate", "calendarinterval-validate")) {
    if (byDesign[vector.id] !== undefined) continue
    it(`${vector.id} ${JSON.stringify(vector.params)} is ${vector.expected}`, () => {
      if (vector.expected === "rejected") assert.throws(() => make(vector), /Invalid/)
      else make(vector)
    })
  }
  for (const vector of ofKinds("and-error")) {
    it(`${vector.id} ${JSON.stringify(vector.params)} has no instant`, () => {
      assert.isTrue(Option.isNone(Trigger.next(make(vector), BEGINNING)))
    })
  }
  for (const vector of ofKinds("cron-field")) {
    it(`${vector.id} ${JSON.stringify(vector.params)} at or after ${vector.start} is ${vector.expected}`, () => {
      const start = DateTime.toDateUtc(DateTime.unsafeMake(vector.start!))
      const { end, trigger, value } = fieldOf(vector, start)
      const found = Option.getOrNull(Trigger.next(trigger, start.getTime() - 1))
      const isInPeriod = found !== null && found.epochMillis < end
      assert.deepStrictEqual([isInPeriod ? value(new Date(found.epochMillis)) : null], vector.expected)
    })
  }
  it("runs every kind of vector", () => {
    const known = ["cron", "crontab", "interval", "date", "calendarinterval", "and", "or", "and-error", "cron-field"]
    const kinds = new Set(vectors.map(({ kind }) => kind.replace("-validate", "")))
    assert.deepStrictEqual([...kinds].sort(), known.sort())
  })
})
