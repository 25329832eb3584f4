/**
 * Triggers in English words.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as CronExpression from "./CronExpression.ts"
import type { TriggerJson } from "./TriggerJson.ts"

/**
 * @since 0.1.0
 * @category words
 */
export const describe = (json: TriggerJson): string => {
  switch (json._tag) {
    case "At":
      return `at ${json.at}`
    case "Now":
      return "once, at once"
    case "Interval":
      return `every ${Duration.format(Duration.millis(json.everyMillis))}${bounds(json)}`
    case "Spaced":
      return `${Duration.format(Duration.millis(json.everyMillis))} after the end of the run before${bounds(json)}`
    case "Cron":
      return `${cronWords(CronExpression.withDefaults(json.fields))}, ${json.timezone}${bounds(json)}`
    case "Crontab":
      return `${crontabWords(json.expression)}, ${json.timezone}${bounds(json)}`
    case "CalendarInterval":
      return `${calendarWords(json)}, ${json.timezone}${bounds(json)}`
    case "Extension":
      return `${json.name} ${JSON.stringify(json.options)}${bounds(json)}`
    case "AnyOf":
      return list(json.triggers.map(describe), "or")
    case "AllOf":
      return `whenever these fall together: ${list(json.triggers.map(describe), "and")}`
    case "Except":
      return `${describe(json.trigger)}, except ${exceptionWords(json)}`
  }
}

const list = (words: ReadonlyArray<string>, conjunction: string): string =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join("; ")}; ${conjunction} ${words.at(-1)}`

const bounds = ({ end, start }: { readonly start?: string; readonly end?: string }): string =>
  `${start === undefined ? "" : `, from ${start}`}${end === undefined ? "" : `, to ${end}`}`

const two = (text: string): string => text.padStart(2, "0")

const isNumber = (text: string): boolean => /^\d{1,2}$/.test(text)

interface Time {
  readonly hour: string
  readonly minute: string
  readonly second: string
}

const timeWords = ({ hour, minute, second }: Time): string => {
  if (isNumber(hour) && isNumber(minute) && isNumber(second)) {
    return `at ${two(hour)}:${two(minute)}${second === "0" ? "" : `:${two(second)}`}`
  }
  const words = [unit("second", second, "0"), unit("minute", minute, undefined), unit("hour", hour, undefined)]
  return words.filter((word) => word !== "").join(" of ")
}

const unit = (name: string, text: string, silent: string | undefined): string => {
  if (text === silent) return ""
  if (text === "*") return `every ${name}`
  const step = /^\*\/(\d+)$/.exec(text)
  return step === null ? `${name} ${text}` : `every ${step[1]} ${name}s`
}

const only = (preposition: string, name: string, text: string): string =>
  text === "*" || text === "?" ? "" : ` ${preposition} ${name}${text}`

const cronWords = (fields: Record<CronExpression.FieldName, string>): string => {
  const { day, dayOfWeek, month, week, year } = fields
  const days = `${only("on", "day ", day)}${only("on", "weekday ", dayOfWeek)}${only("in", "week ", week)}`
  return `${timeWords(fields)}${days}${only("in", "month ", month)}${only("in", "", year)}`
}

const crontabWords = (expression: string): string => {
  const fields = expression.trim().split(/\s+/)
  if (fields.length < 5) return expression.trim()
  const [second, minute, hour, day, month, weekday] = fields.length === 5 ? ["0", ...fields] : fields
  const isEither = [day!, weekday!].every((text) => !text.startsWith("*") && text !== "?")
  const days = `${only("on", "day ", day!)}${isEither ? " or" : ""}${only("on", "weekday ", weekday!)}`
  return `${timeWords({ hour: hour!, minute: minute!, second: second! })}${days}${only("in", "month ", month!)}`
}

const calendarWords = (json: Extract<TriggerJson, { readonly _tag: "CalendarInterval" }>): string => {
  const units = [
    [json.years, "year"],
    [json.months, "month"],
    [json.weeks, "week"],
    [json.days, "day"]
  ] as const
  const period = units.flatMap(([count, name]) => (count ? [`${count} ${name}${count === 1 ? "" : "s"}`] : []))
  const time = timeWords({ hour: String(json.hour), minute: String(json.minute), second: String(json.second) })
  return `every ${period.join(" ")} ${time}`
}

/** Holidays of many years are not read by anybody. */
const SHOWN = 5

const shorten = (dates: ReadonlyArray<string>): ReadonlyArray<string> =>
  dates.length <= SHOWN ? dates : [...dates.slice(0, SHOWN), `${dates.length - SHOWN} days more`]

const exceptionWords = ({ daysOf, exclusion }: Extract<TriggerJson, { readonly _tag: "Except" }>): string => {
  const { dates = [], ranges = [], timezone, weekdays, windows = [] } = exclusion
  const words = [
    ...(weekdays === undefined ? [] : [`weekday ${weekdays}`]),
    ...shorten(dates),
    ...ranges.map(({ from, to }) => `${from} to ${to}`),
    ...windows.map(({ from, to }) => `${from}–${to}`),
    ...daysOf.map((trigger) => `the days of (${describe(trigger)})`)
  ]
  return `${words.join(", ")} (${timezone})`
}
