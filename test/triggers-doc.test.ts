import { assert, describe, it } from "@effect/vitest"
import { Cron as Croner } from "croner"
import { Chunk, Cron, DateTime, Effect, Either, Equal, Option, Schedule, Schema } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import * as CronExpression from "../src/CronExpression.ts"
import * as Holidays from "../src/Holidays.ts"
import * as RRule from "../src/RRule.ts"
import { InvalidTrigger } from "../src/SchedulerError.ts"
import * as Solar from "../src/Solar.ts"
import * as Trigger from "../src/Trigger.ts"

/**
 * Keeps docs/triggers.md true. The source of an example is the text on the page itself: it is evaluated, and what stands
 * after its arrow must be what it gives. Tables between `<!-- generated: name -->` and `<!-- /generated -->` are made here.
 *
 * `UPDATE_DOCS=1 npx vitest run --no-file-parallelism test/triggers-doc.test.ts test/Trigger.differential.test.ts`
 * writes the answers and the tables into the page.
 */
const PAGE = new URL("../docs/triggers.md", import.meta.url)

const read = (): string => readFileSync(PAGE, "utf8")

/** The instant that the page names: all its answers lie after it. */
const FROM = /\*\*(\d{4}-\d{2}-\d{2}T[\d:]+Z)\*\*/.exec(read())![1]!

/** The moment that the page calls `added`. */
const ADDED = /`added` is (\d{4}-\d{2}-\d{2}T[\d:]+Z)/.exec(read())![1]!

// ---------------------------------------------------------------------------------------------------------------------
// what an example gives
// ---------------------------------------------------------------------------------------------------------------------

const scope = {
  Cron,
  DateTime,
  Holidays,
  RRule,
  Schema,
  Solar,
  Trigger,
  added: DateTime.unsafeMake(ADDED),
  from: FROM,
  trigger: Trigger.crontab("30 5 * * *")
}

const evaluate = (source: string): unknown =>
  new Function(...Object.keys(scope), `"use strict"; return (${source}\n)`)(...Object.values(scope))

type Json = Trigger.Trigger["json"]

/** The zone on whose clock the instants are shown. */
const zoneOf = (json: Json): string => {
  switch (json._tag) {
    case "Cron":
    case "Crontab":
    case "CalendarInterval":
      return json.timezone
    case "AnyOf":
    case "AllOf":
      return zoneOf(json.triggers[0]!)
    case "Except":
      return zoneOf(json.trigger)
    case "Extension":
      return /TZID=([\w/]+)/.exec(JSON.stringify(json.options))?.[1] ?? "UTC"
    default:
      return "UTC"
  }
}

/** `Sun 2026-03-29 03:00:00 +02:00` */
const show = (instant: DateTime.Utc, zone: string): string => {
  const text = DateTime.formatIsoZoned(DateTime.unsafeMakeZoned(instant, { timeZone: zone }))
  const [, date, time, millis, offset] = /^(\S+)T([\d:]{8})\.(\d{3})(Z|[+-][\d:]+)/.exec(text)!
  const day = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"][new Date(`${date}T00:00:00Z`).getUTCDay()]
  const fraction = millis === "000" ? "" : `.${millis}`
  return `${day} ${date} ${time}${fraction} ${offset === "Z" ? "+00:00" : offset}`
}

const LIMIT = 5
const PER_LINE = 3

const lines = (texts: ReadonlyArray<string>, perLine: number, gap: string): ReadonlyArray<string> =>
  Array.from({ length: Math.ceil(texts.length / perLine) }, (_, i) =>
    texts.slice(i * perLine, (i + 1) * perLine).join(gap)
  )

const showAll = (instants: ReadonlyArray<DateTime.Utc>, zone: string, end: ReadonlyArray<string>) => {
  const texts = instants.map((instant) => show(instant, zone))
  // Seconds only where there are any.
  const short = texts.every((text) => text.includes(":00 ")) ? texts.map((text) => text.replace(":00 ", " ")) : texts
  return lines([...short, ...end], PER_LINE, "   ")
}

const showFive = (instants: ReadonlyArray<DateTime.Utc>, zone: string) =>
  showAll(instants, zone, instants.length === 0 ? ["never"] : instants.length < LIMIT ? ["and no more"] : [])

const recurrences = (schedule: Schedule.Schedule<DateTime.Utc>): ReadonlyArray<DateTime.Utc> =>
  Chunk.toReadonlyArray(Effect.runSync(Schedule.run(schedule, Date.parse(FROM), Array(LIMIT).fill(undefined))))

const isInstant = (u: unknown): u is DateTime.Utc => DateTime.isDateTime(u)

const isString = (u: unknown): u is string => typeof u === "string"

/** Short JSON stands on one line. */
const pretty = (value: unknown, indent = "  "): string => {
  const line = JSON.stringify(value, null, 1).replaceAll(/\n */g, " ")
  if (typeof value !== "object" || value === null || indent.length + line.length < 100) return line
  const inner = `${indent}  `
  const entries = Array.isArray(value)
    ? value.map((entry) => pretty(entry, inner))
    : Object.entries(value).map(([key, entry]) => `${JSON.stringify(key)}: ${pretty(entry, inner)}`)
  const [open, close] = Array.isArray(value) ? "[]" : "{}"
  return `${open}\n${entries.map((entry) => inner + entry).join(",\n")}\n${indent}${close}`
}

const answerTo = (value: unknown): ReadonlyArray<string> => {
  if (Trigger.isTrigger(value))
    return showFive(Trigger.upcoming(value, { from: FROM, limit: LIMIT }), zoneOf(value.json))
  if (Schedule.isSchedule(value)) return showFive(recurrences(value as Schedule.Schedule<DateTime.Utc>), "UTC")
  if (Option.isOption(value)) return Option.isNone(value) ? ["none"] : [show(value.value as DateTime.Utc, "UTC")]
  if (Either.isEither(value)) return answerTo(Either.merge(value))
  if (value instanceof InvalidTrigger) {
    return ["field", "text", "position", "reason", "expected"].map(
      (key) => `${`${key}:`.padEnd(10)}${JSON.stringify(value[key as keyof InvalidTrigger])}`
    )
  }
  if (Array.isArray(value) && value.every(isInstant)) return showAll(value, "UTC", [])
  if (Array.isArray(value) && value.every(isString)) return lines(value, 6, ", ")
  if (isString(value)) return [value]
  return [pretty(value)]
}

const attempt = (source: string): unknown => {
  try {
    return evaluate(source)
  } catch (error) {
    if (error instanceof InvalidTrigger) return error
    throw new Error(`${source}: ${error}`)
  }
}

const answer = (source: string): string =>
  answerTo(attempt(source))
    .map((line, i) => (i === 0 ? `→ ${line}` : `  ${line}`))
    .join("\n")

// ---------------------------------------------------------------------------------------------------------------------
// tables
// ---------------------------------------------------------------------------------------------------------------------

const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const lines = rows.map((cells) => `| ${cells.join(" | ")} |`)
  return [lines[0], `|${"---|".repeat(rows[0]!.length)}`, ...lines.slice(1)].join("\n")
}

const code = (text: string): string => `\`${text}\``

const defaults = (): string => {
  const given = [
    { hour: "5" },
    { day: "1", minute: "20" },
    { month: "6" },
    { dayOfWeek: "mon" },
    { year: "2027", hour: "5" },
    { second: "*/20" }
  ]
  return table([
    ["given", ...CronExpression.fieldNames],
    ...given.map((fields) => {
      const values = Object.entries(fields).map(([name, text]) => `${name}: ${/^\d+$/.test(text) ? text : `"${text}"`}`)
      const all: Record<string, string> = CronExpression.withDefaults(fields)
      const cells = CronExpression.fieldNames.map((name) =>
        name in fields ? `**${code(all[name]!)}**` : code(all[name]!)
      )
      return [code(`{ ${values.join(", ")} }`), ...cells]
    })
  ])
}

/** The numbers by which a dialect calls the weekdays, found by asking for each. */
const weekdays = (): string => {
  const names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
  const dayOf = (make: () => Trigger.Trigger) =>
    Either.try(() => Trigger.upcoming(make(), { from: FROM, limit: 1 })[0]!).pipe(
      Either.map((at) => names[(DateTime.toPartsUtc(at).weekDay + 6) % 7]!),
      Either.getOrElse(() => "refused")
    )
  const numbers = (make: (number: number) => Trigger.Trigger) =>
    names.map((name) =>
      Array.from({ length: 9 }, (_, n) => n)
        .filter((n) => dayOf(() => make(n)) === name)
        .join(" or ")
    )
  return table([
    ["", ...names.map(code)],
    [code("Trigger.cron"), ...numbers((n) => Trigger.cron({ dayOfWeek: n }))],
    [code("Trigger.crontab"), ...numbers((n) => Trigger.crontab(`0 0 * * ${n}`))]
  ])
}

const QUARTER = 900_000

const ZONE = "Europe/Berlin"

interface Picture {
  readonly title: string
  readonly from: string
  readonly to: string
  readonly options: ReadonlyArray<{
    readonly key: "gap" | "fold"
    readonly values: ReadonlyArray<"skip" | "shift" | "first" | "second" | "both">
  }>
}

const WIDTH = 7
const LABEL = 19

/** A timeline in text: a column is a quarter of an hour, and an x where the trigger fires. */
const picture = ({ from, options, title, to }: Picture): string => {
  const start = Date.parse(from)
  const columns = Array.from({ length: (Date.parse(to) - start) / QUARTER + 1 }, (_, i) => start + i * QUARTER)
  const row = (label: string, cells: ReadonlyArray<string>) =>
    (label.padEnd(LABEL) + cells.map((cell) => cell.padEnd(WIDTH)).join("")).trimEnd()
  const local = columns.map((at) => show(DateTime.unsafeMake(at), ZONE))
  const offset = (i: number) => local[i]?.slice(-6)
  const isNew = (i: number) => i === 0 || offset(i) !== offset(i - 1)
  const clock = local.map((text, i) => (i > 0 && isNew(i) ? "|" : " ") + text.slice(15, 20))
  const utc = columns.map((at) => ` ${new Date(at).toISOString().slice(11, 16)}`)
  const offsets = local.map((text, i) => (isNew(i) ? (i > 0 ? "|" : " ") + text.slice(-6) : ""))
  const marks = ["30 2 * * *", "*/15 * * * *"].flatMap((expression) =>
    options.flatMap(({ key, values }) => {
      const usual = (Trigger.crontab(expression, { timezone: ZONE }).json as { gap: string; fold: string })[key]
      return values.map((value, i) => {
        const trigger = Trigger.crontab(expression, { timezone: ZONE, [key]: value })
        const cells = columns.map((at) => (Option.isSome(onTheDot(trigger, at)) ? "   x" : ""))
        const label = `${value}${value === usual ? " (default)" : ""}`
        return `${i === 0 ? `\n"${expression}", ${key}:\n` : ""}${row(`  ${label}`, cells)}`
      })
    })
  )
  return [
    "```text",
    title,
    "",
    row("UTC", utc),
    row("wall clock", clock),
    row("offset", offsets),
    ...marks,
    "```"
  ].join("\n")
}

const onTheDot = (trigger: Trigger.Trigger, at: number): Option.Option<DateTime.Utc> =>
  Option.filter(Trigger.previous(trigger, at), ({ epochMillis }) => epochMillis === at)

const tables: Record<string, () => string> = {
  defaults,
  weekdays,
  gap: () =>
    picture({
      title: "Europe/Berlin, Sunday 2026-03-29: at 02:00 the clock is put to 03:00",
      from: "2026-03-29T00:15:00Z",
      to: "2026-03-29T02:00:00Z",
      options: [{ key: "gap", values: ["shift", "skip"] }]
    }),
  fold: () =>
    picture({
      title: "Europe/Berlin, Sunday 2026-10-25: at 03:00 the clock is put back to 02:00",
      from: "2026-10-24T23:45:00Z",
      to: "2026-10-25T02:15:00Z",
      options: [{ key: "fold", values: ["first", "second", "both"] }]
    })
}

/** What test/Trigger.differential.test.ts makes. */
const ELSEWHERE = ["compared", "differences"]

// ---------------------------------------------------------------------------------------------------------------------
// what is on the page
// ---------------------------------------------------------------------------------------------------------------------

const GENERATED = /(<!-- generated: (\S+) -->\n)([\s\S]*?)(\n<!-- \/generated -->)/g

const BLOCK = /```text\n([\s\S]*?)\n```/g

interface Example {
  readonly source: string
  readonly answer: string
}

const toExample = (text: string): Example => {
  const at = text.indexOf("\n→")
  return at < 0 ? { source: text, answer: "" } : { source: text.slice(0, at), answer: text.slice(at + 1) }
}

const examplesOf = (block: string): ReadonlyArray<Example> => block.split(/\n\n+/).map(toExample)

const isExamples = (block: string): boolean => /^(Trigger|RRule|Solar|Holidays|Schema)\./.test(block)

const updated = (text: string): string =>
  text
    .replaceAll(GENERATED, (whole, open: string, name: string, _: string, close: string) =>
      name in tables ? `${open}${tables[name]!()}${close}` : whole
    )
    .replaceAll(BLOCK, (whole, block: string) => {
      if (!isExamples(block)) return whole
      const answered = examplesOf(block).map(({ source }) => `${source}\n${answer(source)}`)
      return `\`\`\`text\n${answered.join("\n\n")}\n\`\`\``
    })

if (process.env.UPDATE_DOCS === "1") writeFileSync(PAGE, updated(read()))

const page = read()

/** The page without what is generated and without programs. */
const prose = page.replaceAll(GENERATED, "").replaceAll(/```ts\n[\s\S]*?\n```/g, "")

const examples = [...prose.matchAll(BLOCK)].flatMap(([, block]) => examplesOf(block!))

/** Code within a line that can be evaluated: a call of one of our modules. */
const inline = [...prose.replaceAll(BLOCK, "").matchAll(/`((?:Trigger|RRule|Solar|Holidays)\.\w+\([^`]*)`/g)].map(
  ([, source]) => source!
)

const triggersIn = (value: unknown): ReadonlyArray<Trigger.Trigger> =>
  Trigger.isTrigger(value) ? [value, ...value.parts.flatMap(triggersIn)] : []

const shown = [...examples.map(({ source }) => source), ...inline].map(attempt)

const triggers = shown.flatMap(triggersIn)

// ---------------------------------------------------------------------------------------------------------------------
// tests
// ---------------------------------------------------------------------------------------------------------------------

describe("docs/triggers.md", () => {
  it.each(examples)("$source", (example) => {
    assert.strictEqual(example.answer, answer(example.source))
  })

  it("has no block but programs, examples and what is generated", () => {
    for (const [, block] of prose.matchAll(BLOCK)) assert.isTrue(isExamples(block!), block)
    assert.deepStrictEqual(prose.replaceAll(BLOCK, "").match(/^ *(```|~~~).*$/gm), null)
  })

  it("has no call in a line that is refused", () => {
    for (const source of inline) assert.notInstanceOf(attempt(source), InvalidTrigger, source)
  })

  it.each(Object.keys(tables))("the table %s is up to date", (name) => {
    const found = [...page.matchAll(GENERATED)].find(([, , found]) => found === name)
    assert.strictEqual(found?.[3], tables[name]!())
  })

  it("has every table, and no other", () => {
    const names = [...page.matchAll(GENERATED)].map(([, , name]) => name!)
    assert.deepStrictEqual(names.sort(), [...Object.keys(tables), ...ELSEWHERE].sort())
  })

  it("has an example of every kind of trigger", () => {
    const tags = [
      "At",
      "Now",
      "Interval",
      "Cron",
      "Crontab",
      "CalendarInterval",
      "Extension",
      "AnyOf",
      "AllOf",
      "Except"
    ]
    for (const tag of tags)
      assert.isTrue(
        triggers.some(({ _tag }) => _tag === tag),
        tag
      )
    const extensions = triggers.flatMap(({ json }) => (json._tag === "Extension" ? [json.name] : []))
    assert.includeMembers(extensions, ["rrule", "solar"])
    assert.isTrue(shown.some(Schedule.isSchedule))
    assert.isTrue(shown.some((value) => value instanceof InvalidTrigger))
    assert.isTrue(examples.some(({ source }) => source.includes("Holidays.dates(")))
    assert.isTrue(examples.some(({ source }) => source.startsWith("Trigger.fromCron(")))
  })

  it("has an example of everything that an exclusion may be", () => {
    const exclusions = triggers.flatMap(({ json }) => (json._tag === "Except" ? [json] : []))
    for (const key of ["dates", "ranges", "weekdays", "windows", "timezone"] as const) {
      assert.isTrue(
        exclusions.some(({ exclusion }) => exclusion[key] !== undefined),
        key
      )
    }
    assert.isTrue(exclusions.some(({ daysOf }) => daysOf.length === 1))
    assert.isTrue(exclusions.some(({ daysOf }) => daysOf.length > 1))
  })

  it("has an example of every cron field and every expression", () => {
    const fields = triggers.flatMap(({ json }) => (json._tag === "Cron" ? [json.fields] : []))
    for (const name of CronExpression.fieldNames)
      assert.isTrue(
        fields.some((given) => given[name] !== undefined),
        name
      )
    const texts = fields.flatMap((given) => Object.values(given) as ReadonlyArray<string>)
    const forms = [/^\*$/, /^\*\/\d+$/, /^\d+$/, /^\d+\/\d+$/, /^\d+-\d+$/, /^\d+-\d+\/\d+$/, /^\d+,\d+/, /^[a-z]{3}$/]
    for (const form of [...forms, /^[a-z]{3}-[a-z]{3}$/, /^\d.. [a-z]{3}$/, /^last [a-z]{3}$/, /^last$/, /^sat-mon$/]) {
      assert.isTrue(
        texts.some((text) => form.test(text)),
        String(form)
      )
    }
  })

  it("has an example of everything that crontab text may hold", () => {
    const texts = triggers.flatMap(({ json }) => (json._tag === "Crontab" ? [json.expression] : []))
    const macros = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"]
    assert.includeMembers(texts, macros)
    const day = (form: string) => new RegExp(`^\\S+ \\S+ ${form} \\S+ \\S+$`)
    const weekday = (form: string) => new RegExp(`^\\S+ \\S+ \\S+ \\S+ ${form}$`)
    const forms = [day("L"), day("LW"), day("\\d+W"), day("L-\\d+"), day("\\?"), weekday("\\S+#\\d"), weekday("\\S+L")]
    for (const form of [...forms, weekday("7"), weekday("0"), /^(\S+ ){5}\S+$/]) {
      assert.isTrue(
        texts.some((text) => form.test(text)),
        String(form)
      )
    }
  })

  it("shows only triggers that are read back as they were", () => {
    const decode = Schema.decodeUnknownSync(Trigger.Trigger)
    for (const trigger of triggers) {
      const json = JSON.parse(JSON.stringify(Schema.encodeSync(Trigger.Trigger)(trigger)))
      assert.isTrue(Equal.equals(decode(json), trigger), JSON.stringify(json))
    }
  })

  it.each<readonly [title: string, alternativeWeekdays: boolean, refused: ReadonlyArray<string>]>([
    ["croner", false, []],
    // What croner does not read, in its own form of Quartz's weekdays.
    ["Quartz", true, ["0 0 12 L-3 * ?", "0 0 22-2 * * ?"]]
  ])("says of %s's patterns what they mean", (title, alternativeWeekdays, refused) => {
    const section = new RegExp(`\n### ${title}\n([\\s\\S]*?)(?=\n##|$)`).exec(page)![1]!
    const rows = [...section.matchAll(/^\| `((?:\S+ ){4,6}\S+)`[^|]* \| `([^`]+)`/gm)]
    assert.isAtLeast(rows.length, 5)
    for (const [, pattern, source] of rows) {
      const theirs = () =>
        new Croner(pattern!, { timezone: "UTC", alternativeWeekdays }).nextRuns(LIMIT, new Date(FROM))
      if (refused.includes(pattern!)) {
        assert.throws(theirs)
        continue
      }
      const ours = Trigger.upcoming(evaluate(source!) as Trigger.Trigger, { from: FROM, limit: LIMIT })
      const shown = ours.map((at) => at.epochMillis)
      assert.deepStrictEqual(
        shown,
        Array.from(theirs(), (at) => at.getTime()),
        pattern
      )
    }
  })
})
