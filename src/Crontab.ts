/**
 * A crontab(5) file, read as data: the jobs that its good lines ask for and the problems of its bad ones.
 *
 * It is the format of a user's crontab, as Vixie's and Debian's cron read it: a schedule, then the command. The format
 * of `/etc/crontab` and `/etc/cron.d` is another one: the user's name would be read as the command's first word.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Hash from "effect/Hash"
import * as CivilTime from "./CivilTime.ts"
import * as Trigger from "./Trigger.ts"

/**
 * A job line: when, what, and under which settings.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry {
  /** From 1. */
  readonly line: number
  /** The same for the same command and input, wherever the line stands, whenever it runs; repeats get `#2`, `#3`. */
  readonly id: string
  /** As written: `30 5 * * mon-fri`, `@daily`, `@reboot`. */
  readonly schedule: string
  /** For `@reboot` it is `Trigger.now`. */
  readonly trigger: Trigger.Trigger
  readonly isReboot: boolean
  /** The zone in force at the line, under its canonical name. */
  readonly timezone: string
  /** What the shell gets, with `\%` read as `%`. */
  readonly command: string
  /** Standard input: what follows the first bare `%`, line by line and closed by a line end, as cron writes it. */
  readonly input: string | undefined
  /** The settings in force at the line, `CRON_TZ` left out. */
  readonly environment: Readonly<Record<string, string>>
}

/**
 * A line that cannot be read: where (line and column from 1), its text, what is wrong and what would be valid.
 *
 * @since 0.1.0
 * @category models
 */
export interface Problem {
  readonly line: number
  readonly column: number
  readonly text: string
  readonly message: string
}

/**
 * What a file says, in the order of its lines.
 *
 * @since 0.1.0
 * @category models
 */
export interface Crontab {
  readonly entries: ReadonlyArray<Entry>
  readonly problems: ReadonlyArray<Problem>
}

/**
 * Reads a whole file and never throws: a bad line becomes a problem, the others stay jobs. `timezone` holds until the
 * first `CRON_TZ` (default `"local"`); below a bad `CRON_TZ` every job is a problem, for it would run at wrong hours.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (text: string, options?: { readonly timezone?: string | undefined }): Crontab => {
  const scope = new Scope(options?.timezone ?? "local")
  const entries: Array<Entry> = []
  const problems: Array<Problem> = []
  for (const line of linesOf(text)) {
    const found = read(scope, line)
    if (found === undefined) continue
    if ("message" in found) problems.push(found)
    else entries.push(found)
  }
  return { entries, problems }
}

/**
 * A problem as compilers print one: `FILE:LINE:COLUMN: message`, the line, and a caret under the column.
 *
 * @since 0.1.0
 * @category formatting
 */
export const format = (file: string, { column, line, message, text }: Problem): string => {
  const indent = text.slice(0, column - 1).replace(/[^\t]/gu, " ")
  return `${file}:${line}:${column}: ${message}\n${text}\n${indent}^`
}

// ---------------------------------------------------------------------------------------------------------------------
// lines
// ---------------------------------------------------------------------------------------------------------------------

interface Line {
  readonly number: number
  readonly text: string
}

const linesOf = (text: string): ReadonlyArray<Line> => {
  const lines = text.replace(/^\uFEFF/, "").split("\n")
  return lines.map((line, index) => ({ number: index + 1, text: line.endsWith("\r") ? line.slice(0, -1) : line }))
}

/** What the lines read so far leave in force. */
class Scope {
  /** Canonical, or undefined while there is no valid one. */
  zone: string | undefined
  readonly #settings = new Map<string, string>()
  readonly #repeats = new Map<string, number>()
  #environment: Readonly<Record<string, string>> | undefined

  constructor(timezone: string) {
    this.zone = CivilTime.zone(timezone)?.id
  }

  get environment(): Readonly<Record<string, string>> {
    return (this.#environment ??= Object.fromEntries(this.#settings))
  }

  set(name: string, value: string): void {
    this.#settings.set(name, value)
    this.#environment = undefined
  }

  identify(job: Job): string {
    const id = identity(job)
    const count = (this.#repeats.get(id) ?? 0) + 1
    this.#repeats.set(id, count)
    return count === 1 ? id : `${id}#${count}`
  }
}

const problem = (line: Line, offset: number, message: string): Problem => ({
  line: line.number,
  column: offset + 1,
  text: line.text,
  message
})

const read = (scope: Scope, line: Line): Entry | Problem | undefined => {
  const start = line.text.trimStart()
  if (start === "" || start.startsWith("#")) return undefined
  const setting = SETTING.exec(line.text)
  return setting === null ? readJob(scope, line) : readSetting(scope, line, setting[1]!, setting[0].length)
}

// ---------------------------------------------------------------------------------------------------------------------
// settings
// ---------------------------------------------------------------------------------------------------------------------

// No field of a schedule has a `=`, so a job line can never look like this.
const SETTING = /^\s*("[^"=]+"|'[^'=]+'|[^\s="'][^\s=]*)\s*=\s*/

const isQuote = (char: string | undefined): char is string => char === `"` || char === "'"

const readSetting = (scope: Scope, line: Line, quotedName: string, at: number): Problem | undefined => {
  const name = isQuote(quotedName[0]) ? quotedName.slice(1, -1) : quotedName
  if (name === "CRON_TZ") scope.zone = undefined
  const value = readValue(line, at)
  if (typeof value !== "string") return value
  if (name === "CRON_TZ") return readZone(scope, line, value, at)
  scope.set(name, value)
  return undefined
}

const readValue = (line: Line, at: number): string | Problem => {
  const text = line.text.slice(at).trimEnd()
  const quote = text[0]
  if (!isQuote(quote)) return text
  const end = text.indexOf(quote, 1)
  if (end === -1) return problem(line, at, `the quote is never closed; expected ${quote} at the end of the value`)
  if (end === text.length - 1) return text.slice(1, -1)
  return problem(line, at + end + 1, "there is text after the closing quote; expected one pair of quotes for all of it")
}

const readZone = (scope: Scope, line: Line, name: string, at: number): Problem | undefined => {
  scope.zone = CivilTime.zone(name)?.id
  if (scope.zone !== undefined) return undefined
  const expected = `an IANA name such as "Europe/Berlin", "UTC", "+05:30" or "local"`
  return problem(line, at, `${JSON.stringify(name)} is no time zone; expected ${expected}`)
}

// ---------------------------------------------------------------------------------------------------------------------
// jobs
// ---------------------------------------------------------------------------------------------------------------------

interface Job {
  readonly command: string
  readonly input: string | undefined
}

// Five fields and no more, for a sixth would count as seconds; blanks as in CronExpression, or the fields would differ.
const SCHEDULE = /^(?:@\S+|\S+(?:\s+\S+){4})/

const SCHEDULES =
  "five fields (minute hour day month dayOfWeek) or " +
  "@reboot, @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly"

const readJob = (scope: Scope, line: Line): Entry | Problem => {
  const start = line.text.trimStart()
  const schedule = SCHEDULE.exec(start)?.[0]
  if (schedule === undefined) return tooFewFields(line)
  const rest = start.slice(schedule.length).trimStart()
  const job = splitCommand(rest)
  // Counted even if the line is refused: mending it must not renumber its repeats below.
  const id = scope.identify(job)
  const trigger = readTrigger(line, schedule, scope.zone ?? "UTC")
  if (Either.isLeft(trigger)) return trigger.left
  const [at, commandAt] = [line.text.length - start.length, line.text.length - rest.length]
  if (job.command.trim() === "") return problem(line, commandAt, "there is no command; expected one after the schedule")
  if (scope.zone === undefined) return problem(line, at, "no valid time zone is in force")
  return {
    line: line.number,
    id,
    schedule,
    trigger: trigger.right,
    isReboot: isReboot(schedule),
    timezone: scope.zone,
    ...job,
    environment: scope.environment
  }
}

const tooFewFields = (line: Line): Problem => {
  const text = line.text.trimEnd()
  const count = text.trimStart().split(/\s+/).length
  const expected = `${SCHEDULES}, then a command; or name = value`
  return problem(line, text.length, `the line ends after ${count} of 5 fields; expected ${expected}`)
}

const isReboot = (schedule: string): boolean => schedule.toLowerCase() === "@reboot"

const readTrigger = (line: Line, schedule: string, timezone: string): Either.Either<Trigger.Trigger, Problem> => {
  if (isReboot(schedule)) return Either.right(Trigger.now)
  const at = line.text.length - line.text.trimStart().length
  return Either.mapLeft(Trigger.parseCrontab(schedule, { timezone }), ({ expected, field, position, reason }) =>
    problem(line, at + position, `${reason}; expected ${field === "crontab" ? SCHEDULES : expected}`)
  )
}

// As cron does it: in the command a backslash escapes any character, a backslash too, yet only `\%` is rewritten.
const splitCommand = (text: string): Job => {
  const at = barePercent(text)
  const command = text.slice(0, at).replace(/\\./gs, (pair) => (pair === "\\%" ? "%" : pair))
  return { command, input: at === undefined ? undefined : inputLines(text.slice(at + 1)) }
}

const barePercent = (text: string): number | undefined => {
  for (const match of text.matchAll(/\\.|%/gs)) if (match[0] === "%") return match.index
  return undefined
}

const inputLines = (text: string): string => {
  const lines = text.replace(/\\?%/g, (percent) => (percent === "%" ? "\n" : "%"))
  return lines === "" || lines.endsWith("\n") ? lines : `${lines}\n`
}

const identity = ({ command, input }: Job): string => {
  const words = command.toLowerCase().match(/[a-z0-9]+/g) ?? ["job"]
  const slug = words.join("-").slice(0, 40).replace(/-$/, "")
  const hash = Hash.string(input === undefined ? command.trimEnd() : `${command}\n${input}`) >>> 0
  return `${slug}-${hash.toString(16).padStart(8, "0")}`
}
