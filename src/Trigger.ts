/**
 * When: immutable, serialisable values that denote sets of instants, asked with `next` and `previous`.
 *
 * @since 0.1.0
 */
import type * as Cron from "effect/Cron"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import { Class } from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleInterval from "effect/ScheduleInterval"
import * as Schema from "effect/Schema"
import * as CalendarInterval from "./CalendarInterval.ts"
import * as CivilTime from "./CivilTime.ts"
import * as CronExpression from "./CronExpression.ts"
import * as Exclusion from "./Exclusion.ts"
import * as Occurrences from "./Occurrences.ts"
import { InvalidTrigger } from "./SchedulerError.ts"
import * as TriggerJson from "./TriggerJson.ts"
import * as TriggerWords from "./TriggerWords.ts"

// ---------------------------------------------------------------------------------------------------------------------
// the values
// ---------------------------------------------------------------------------------------------------------------------

/**
 * @since 0.1.0
 * @category symbols
 */
export const TypeId = "~effect-scheduler/Trigger" as const

class Value<Json extends TriggerJson.TriggerJson> extends Class() implements Equal.Equal, Inspectable.Inspectable {
  readonly [TypeId] = TypeId
  readonly json: Json
  /** What a combination is made of; in an exclusion the one that fires comes first. */
  readonly parts: ReadonlyArray<Trigger>
  #text: string | undefined
  #occurrences: Occurrences.Occurrences | undefined

  constructor(json: Json, parts: ReadonlyArray<Trigger>) {
    super()
    this.json = json
    this.parts = parts
  }

  get _tag(): Json["_tag"] {
    return this.json._tag
  }

  /** The instants, worked out once and kept. */
  get occurrences(): Occurrences.Occurrences {
    return (this.#occurrences ??= compile(this.json, this.parts))
  }

  get #identity(): string {
    return (this.#text ??= JSON.stringify(this.json))
  }

  [Equal.symbol](that: unknown): boolean {
    return isTrigger(that) && JSON.stringify(that.json) === this.#identity
  }

  [Hash.symbol](): number {
    return Hash.string(this.#identity)
  }

  toJSON(): Json {
    return this.json
  }

  override toString(): string {
    return Inspectable.format(this.json)
  }

  [Inspectable.NodeInspectSymbol](): unknown {
    return this.json
  }
}

type Values<Json> = Json extends TriggerJson.TriggerJson ? Value<Json> : never

/**
 * When a job runs: a set of instants, the same on every node, for ever.
 *
 * @since 0.1.0
 * @category models
 */
export type Trigger = Values<TriggerJson.TriggerJson>

/**
 * @since 0.1.0
 * @category guards
 */
export const isTrigger = (u: unknown): u is Trigger => typeof u === "object" && u !== null && TypeId in u

const make = (json: TriggerJson.TriggerJson, parts: ReadonlyArray<Trigger> = []): Trigger =>
  new Value(json, parts) as Trigger

/** A trigger whose instants have been worked out, so that what is wrong with it is known now. */
const makeChecked = (json: TriggerJson.TriggerJson, parts: ReadonlyArray<Trigger> = []): Trigger => {
  const trigger = make(json, parts)
  void trigger.occurrences
  return trigger
}

const compile = (json: TriggerJson.TriggerJson, parts: ReadonlyArray<Trigger>): Occurrences.Occurrences => {
  const sets = parts.map(({ occurrences }) => occurrences)
  switch (json._tag) {
    case "At":
      return Occurrences.at(Date.parse(json.at))
    case "Now":
      return Occurrences.never
    case "Interval":
    case "Spaced":
      return within(json, Occurrences.every(json.everyMillis, millisOf(json.start) ?? 0))
    case "Cron":
      return within(json, civilSet(json, CronExpression.toCivilSet(CronExpression.fromFields(json.fields))))
    case "Crontab":
      return within(json, civilSet(json, CronExpression.toCivilSet(CronExpression.fromCrontab(json.expression))))
    case "CalendarInterval":
      return within(
        { end: dateAlone(json.end) === undefined ? json.end : undefined },
        civilSet(json, calendarSteps(json))
      )
    case "Extension":
      return within(json, extensionOf(json.name).toOccurrences(json.options))
    case "AnyOf":
      return Occurrences.anyOf(sets)
    case "AllOf":
      return Occurrences.allOf(sets)
    case "Except": {
      const spanAt = Exclusion.toSpanAt(json.exclusion, zoneOf(json.exclusion.timezone), sets.slice(1))
      return Occurrences.except(sets[0]!, spanAt)
    }
  }
}

const millisOf = (text: string | undefined): number | undefined => (text === undefined ? undefined : Date.parse(text))

const within = (
  { end, start }: { readonly start?: string | undefined; readonly end?: string | undefined },
  occurrences: Occurrences.Occurrences
): Occurrences.Occurrences => Occurrences.within(occurrences, millisOf(start), millisOf(end))

const civilSet = (
  { fold, gap, timezone }: Pick<typeof TriggerJson.Cron.Type, "fold" | "gap" | "timezone">,
  times: CivilTime.CivilSet
): Occurrences.Occurrences => Occurrences.civil({ zone: zoneOf(timezone), gap, fold, times })

const calendarSteps = (json: typeof TriggerJson.CalendarInterval.Type): CivilTime.CivilSet => {
  const { days = 0, end, hour, minute, months = 0, second, start, timezone, weeks = 0, years = 0 } = json
  return CalendarInterval.toCivilSet({
    months: 12 * years + months,
    days: 7 * weeks + days,
    // A date, whatever the time of day in it; before its first step there is nothing anyway.
    start: dateAt(zoneOf(timezone), millisOf(start) ?? 0),
    last: dateAlone(end) ?? CalendarInterval.LAST_DAY,
    time: hour * 3600 + minute * 60 + second
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// constructors
// ---------------------------------------------------------------------------------------------------------------------

/**
 * An instant as people write it: a `Date`, a `DateTime`, epoch milliseconds, or ISO text. Text without an offset
 * (`"2026-12-01"`, `"2026-12-01 09:00:00"`) is civil time in the trigger's `timezone`.
 *
 * @since 0.1.0
 * @category models
 */
export type Instant = Date | DateTime.DateTime | number | string

/**
 * A time zone: an IANA name, `"UTC"`, a fixed offset such as `"+05:30"`, `"local"`, or Effect's own value.
 *
 * @since 0.1.0
 * @category models
 */
export type TimeZone = string | DateTime.TimeZone

/**
 * The bounds of a trigger, both inclusive.
 *
 * @since 0.1.0
 * @category models
 */
export interface BoundsOptions {
  readonly start?: Instant | undefined
  readonly end?: Instant | undefined
}

/**
 * How a civil trigger reads the wall clock. `timezone` defaults to `"UTC"`. `gap` and `fold` default to `"skip"` and
 * `"both"` where the hour field is `*`, as it is written, and to `"shift"` and `"first"` everywhere else.
 *
 * @since 0.1.0
 * @category models
 */
export interface CivilOptions extends BoundsOptions {
  readonly timezone?: TimeZone | undefined
  readonly gap?: CivilTime.Gap | undefined
  readonly fold?: CivilTime.Fold | undefined
}

/**
 * One instant. Throws `InvalidTrigger`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const at = (instant: Instant, options?: { readonly timezone?: TimeZone | undefined }): Trigger =>
  make({ _tag: "At", at: instantText("at", instant, zoneName(options?.timezone)) })

/**
 * Once, as soon as the job is added. It has no instant until then.
 *
 * @since 0.1.0
 * @category constructors
 */
export const now: Trigger = make({ _tag: "Now" })

/**
 * @since 0.1.0
 * @category models
 */
export interface IntervalOptions extends BoundsOptions {
  readonly weeks?: number | undefined
  readonly days?: number | undefined
  readonly hours?: number | undefined
  readonly minutes?: number | undefined
  readonly seconds?: number | undefined
  readonly millis?: number | undefined
}

const UNITS = { weeks: 604_800_000, days: 86_400_000, hours: 3_600_000, minutes: 60_000, seconds: 1000, millis: 1 }

/**
 * Every so much elapsed time, whatever the wall clock does, in step with `start`. Without `start` the phase is the moment
 * when the job is added (and 1970 as long as there is no job). At least a millisecond in all; throws `InvalidTrigger`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const interval = (options: IntervalOptions): Trigger => {
  const units = Object.entries(UNITS) as ReadonlyArray<[keyof typeof UNITS, number]>
  const sum = units.reduce((sum, [unit, millis]) => sum + (options[unit] ?? 0) * millis, 0)
  return make({ _tag: "Interval", everyMillis: period("interval", sum), ...bounds(options, "UTC") })
}

const period = (field: string, sum: number): number => {
  // A tenth of an hour is not exact in binary; half a millisecond is a mistake.
  const millis = Math.round(sum)
  if (Number.isSafeInteger(millis) && millis >= 1 && Math.abs(sum - millis) <= 1e-3) return millis
  throw invalid(field, `${sum} ms`, 0, "it is no period", "a positive whole number of milliseconds in all")
}

/**
 * So long after the end of the run before, whatever became of it; the first time so long after the job is added, or at
 * `start`. Asked without a job it is an interval from `start` on. Throws `InvalidTrigger`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const spaced = (delay: Duration.DurationInput, options: BoundsOptions = {}): Trigger => {
  const duration = Duration.decodeUnknown(delay)
  const sum = Option.match(duration, { onNone: () => Number.NaN, onSome: Duration.toMillis })
  return make({ _tag: "Spaced", everyMillis: period("spaced", sum), ...bounds(options, "UTC") })
}

/**
 * @since 0.1.0
 * @category models
 */
export interface CronOptions
  extends CivilOptions,
    Partial<Record<CronExpression.FieldName, number | string | undefined>> {}

/**
 * Wall-clock fields, all of which must match. Weekdays count 0–6 **from Monday**. Fields more significant than the least
 * significant one given default to `*`, less significant ones to their minimum. Throws `InvalidTrigger`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const cron = (options: CronOptions): Trigger => {
  const given = CronExpression.fieldNames.flatMap((name) =>
    options[name] === undefined ? [] : [[name, String(options[name])] as const]
  )
  if (given.length === 0) {
    throw invalid("cron", "", 0, "no field was given", `at least one of ${CronExpression.fieldNames.join(", ")}`)
  }
  const fields: Partial<Record<CronExpression.FieldName, string>> = Object.fromEntries(given)
  const isHourly = CronExpression.withDefaults(fields).hour.trim() === "*"
  return makeChecked({ _tag: "Cron", fields, ...civil(options, isHourly) })
}

/**
 * crontab(5) text of five fields, six with seconds first, or a macro such as `@daily`; with Quartz's `L`, `LW`, `nW`,
 * `d#n` and `?`. Weekdays count 0–7 from Sunday. Throws `InvalidTrigger`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const crontab = (expression: string, options: CivilOptions = {}): Trigger => {
  const text = expression.trim().split(/\s+/)
  const isHourly = text.at(-4) === "*" || text[0]?.toLowerCase() === "@hourly"
  return makeChecked({ _tag: "Crontab", expression, ...civil(options, isHourly) })
}

/**
 * @since 0.1.0
 * @category models
 */
export interface CalendarIntervalOptions extends CivilOptions {
  readonly years?: number | undefined
  readonly months?: number | undefined
  readonly weeks?: number | undefined
  readonly days?: number | undefined
  /** The time of day. Default: midnight. */
  readonly hour?: number | undefined
  readonly minute?: number | undefined
  readonly second?: number | undefined
}

const PERIODS = ["years", "months", "weeks", "days"] as const

/**
 * Every so many years, months, weeks and days from the date of `start`, at one time of day on the wall clock; a step to a
 * date that does not exist (31 April) is left out. Without `start` it begins on the day when the job is added. `end` is
 * inclusive, as a date with its whole day. Defaults: midnight, `gap: "shift"`, `fold: "first"`. Throws `InvalidTrigger`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const calendarInterval = (options: CalendarIntervalOptions): Trigger => {
  const { hour = 0, minute = 0, second = 0 } = options
  const period = PERIODS.flatMap((unit) => (options[unit] === undefined ? [] : [[unit, options[unit]] as const]))
  for (const [unit, count] of period) inRange(unit, count, 1_000_000)
  if (period.every(([, count]) => count === 0)) {
    throw invalid("calendarInterval", "", 0, "it is no period", `at least 1 in all of ${PERIODS.join(", ")}`)
  }
  inRange("hour", hour, 23)
  inRange("minute", minute, 59)
  inRange("second", second, 59)
  const time = { hour, minute, second }
  const rest = civilDates(options)
  return makeChecked({ _tag: "CalendarInterval", ...Object.fromEntries(period), ...time, ...rest })
}

const inRange = (field: string, value: number, most: number): void => {
  if (Number.isInteger(value) && value >= 0 && value <= most) return
  throw invalid(field, String(value), 0, "it is out of range", `a whole number from 0 to ${most}`)
}

/** The day number of text that is a date alone. */
const dateAlone = (text: unknown): number | undefined => {
  const parsed = typeof text === "string" ? CivilTime.parse(text) : undefined
  const isDate = typeof parsed === "object" && !parsed.hasTime && parsed.offset === undefined
  return isDate ? parsed.local / 86_400 : undefined
}

/** The local date of an instant, as a day number. */
const dateAt = (zone: CivilTime.Zone, millis: number): number => {
  const instant = Math.floor(millis / 1000)
  return Math.floor((instant + CivilTime.offsetAt(zone, instant)) / 86_400)
}

// A last day is kept as the date that it is: on the wall clock it has no last instant that would hold for every time of day.
const civilDates = (options: CalendarIntervalOptions) => {
  const last = dateAlone(options.end)
  if (last === undefined) return civil(options, false)
  const { start, ...rest } = civil({ ...options, end: undefined }, false)
  const end = CivilTime.formatDate(last)
  if (start !== undefined && dateAt(zoneOf(rest.timezone), Date.parse(start)) > last) {
    throw invalid("end", end, 0, `it is before the start, ${start}`, "an end at or after the start")
  }
  return { ...rest, ...(start === undefined ? {} : { start }), end }
}

/**
 * The instants of any of the triggers. Throws `InvalidTrigger` if none is given.
 *
 * @since 0.1.0
 * @category combinators
 */
export const anyOf = (...triggers: ReadonlyArray<Trigger>): Trigger =>
  make({ _tag: "AnyOf", triggers: jsonOf("anyOf", triggers) }, triggers)

/**
 * The instants that all of the triggers have, to the millisecond; none if they have not met after 10 000 leaps from one to
 * the next. Throws `InvalidTrigger` if none is given.
 *
 * @since 0.1.0
 * @category combinators
 */
export const allOf = (...triggers: ReadonlyArray<Trigger>): Trigger =>
  make({ _tag: "AllOf", triggers: jsonOf("allOf", triggers) }, triggers)

const jsonOf = (field: string, triggers: ReadonlyArray<Trigger>): ReadonlyArray<TriggerJson.TriggerJson> => {
  if (triggers.length > 0) return triggers.map(({ json }) => json)
  throw invalid(field, "", 0, "no trigger was given", "at least one trigger")
}

/**
 * What `except` leaves out.
 *
 * @since 0.1.0
 * @category models
 */
export interface ExclusionOptions {
  /** Whose calendar it is. Default: that of the trigger, if it has one, else UTC. */
  readonly timezone?: TimeZone | undefined
  /** Whole days, such as `"2026-12-25"`. */
  readonly dates?: ReadonlyArray<string> | undefined
  /** Whole days, both ends included. */
  readonly ranges?: ReadonlyArray<{ readonly from: string; readonly to: string }> | undefined
  /** As in a cron's `dayOfWeek`: `"sat-sun"`. */
  readonly weekdays?: string | undefined
  /** Every day from a time to another, which is exclusive and may lie on the next day: `{ from: "22:00", to: "06:00" }`. */
  readonly windows?: ReadonlyArray<{ readonly from: string; readonly to: string }> | undefined
  /** The whole days on which any of these triggers fires. */
  readonly daysOf?: Trigger | ReadonlyArray<Trigger> | undefined
}

/**
 * The instants of a trigger that an exclusion does not cover; a trigger as exclusion stands for its days. Throws
 * `InvalidTrigger`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const except = (self: Trigger, exclusion: ExclusionOptions | Trigger): Trigger => {
  const { daysOf = [], timezone, ...spans } = isTrigger(exclusion) ? { daysOf: exclusion } : exclusion
  const others: ReadonlyArray<Trigger> = isTrigger(daysOf) ? [daysOf] : daysOf
  const name = timezone === undefined ? zoneNameOf(self.json) : zoneName(timezone)
  return makeChecked(
    {
      _tag: "Except",
      trigger: self.json,
      exclusion: Exclusion.make(name, spans),
      daysOf: others.map(({ json }) => json)
    },
    [self, ...others]
  )
}

const zoneNameOf = (json: TriggerJson.TriggerJson): string => {
  switch (json._tag) {
    case "Cron":
    case "Crontab":
    case "CalendarInterval":
      return json.timezone
    case "AnyOf":
    case "AllOf":
      return json.triggers.map(zoneNameOf).find((zone) => zone !== "UTC") ?? "UTC"
    case "Except":
      return json.exclusion.timezone
    case "At":
    case "Now":
    case "Interval":
    case "Spaced":
    case "Extension":
      return "UTC"
  }
}

/**
 * The trigger of a value of `effect/Cron`, in its time zone (UTC if it has none).
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromCron = (self: Cron.Cron, options?: Pick<CivilOptions, "gap" | "fold">): Trigger => {
  const [second, minute, hour, day, month] = [self.seconds, self.minutes, self.hours, self.days, self.months].map(
    fieldOf
  )
  const civil = { ...options, timezone: Option.getOrUndefined(self.tz) }
  if (!Predicate.hasProperty(self, "and") || self.and !== true)
    return crontab([second, minute, hour, day, month, fieldOf(self.weekdays)].join(" "), civil)
  const fromMonday = new Set([...self.weekdays].map((weekday) => (weekday + 6) % 7))
  return cron({ second, minute, hour, day, month, dayOfWeek: fieldOf(fromMonday), ...civil })
}

const fieldOf = (values: ReadonlySet<number>): string =>
  values.size === 0 ? "*" : [...values].sort((a, b) => a - b).join(",")

/** What is known of the triggers of other modules. */
interface Extension {
  /** The options in the form that the constructor gives them. */
  readonly normalize: (options: unknown) => unknown
  readonly toOccurrences: (options: unknown) => Occurrences.Occurrences
}

const extensions = new Map<string, Extension>()

const extensionOf = (name: string): Extension => {
  const known = extensions.get(name)
  if (known !== undefined) return known
  throw invalid("extension", name, 0, "its module is not loaded", `an import such as "effect-scheduler/RRule"`)
}

/**
 * A kind of trigger from a module of its own: `toOccurrences` makes the instants of its options, and must be pure and give
 * the same ones on every node. Each node that reads such a trigger must have loaded the module.
 *
 * @since 0.1.0
 * @category extensions
 */
export const extension = <Options, Encoded>(
  name: string,
  schema: Schema.Schema<Options, Encoded>,
  toOccurrences: (options: Options) => Occurrences.Occurrences
): ((options: Options, bounds?: BoundsOptions) => Trigger) => {
  const decode = Schema.decodeUnknownEither(schema)
  const encode = Schema.encodeSync(schema)
  const refuse = (error: ParseResult.ParseError) => invalid(name, "", 0, error.message, `the options of ${name}`)
  const read = (options: unknown) => Either.getOrThrowWith(decode(options), refuse)
  extensions.set(name, {
    normalize: (options) => encode(read(options)),
    toOccurrences: (options) => toOccurrences(read(options))
  })
  return (options, given = {}) =>
    makeChecked({ _tag: "Extension", name, options: encode(options), ...bounds(given, "UTC") })
}

/**
 * `crontab` for text from outside: an `Either` in place of an exception.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parseCrontab = (expression: string, options?: CivilOptions): Either.Either<Trigger, InvalidTrigger> =>
  attempt(() => crontab(expression, options))

/**
 * `cron` for fields from outside: an `Either` in place of an exception.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parseCron = (options: CronOptions): Either.Either<Trigger, InvalidTrigger> => attempt(() => cron(options))

/**
 * An instant from text, as `at` reads it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parseInstant = (
  text: string,
  options?: { readonly timezone?: TimeZone | undefined }
): Either.Either<DateTime.Utc, InvalidTrigger> =>
  attempt(() => DateTime.unsafeMake(readInstant("instant", text, zoneName(options?.timezone))))

const attempt = <A>(make: () => A): Either.Either<A, InvalidTrigger> =>
  Either.try({
    try: make,
    catch: (error) => {
      if (error instanceof InvalidTrigger) return error
      throw error
    }
  })

const invalid = (field: string, text: string, position: number, reason: string, expected: string): InvalidTrigger =>
  new InvalidTrigger({ field, text, position, reason, expected })

const bounds = (options: BoundsOptions, timezone: string): { start?: string; end?: string } => {
  const start = options.start === undefined ? undefined : instantText("start", options.start, timezone)
  const end = options.end === undefined ? undefined : instantText("end", options.end, timezone)
  if (start !== undefined && end !== undefined && Date.parse(end) < Date.parse(start)) {
    throw invalid("end", end, 0, `it is before the start, ${start}`, "an end at or after the start")
  }
  return { ...(start === undefined ? {} : { start }), ...(end === undefined ? {} : { end }) }
}

const civil = (options: CivilOptions, isHourly: boolean) => {
  const timezone = zoneName(options.timezone)
  return {
    timezone,
    gap: oneOf("gap", options.gap ?? (isHourly ? "skip" : "shift"), ["skip", "shift"]),
    fold: oneOf("fold", options.fold ?? (isHourly ? "both" : "first"), ["first", "second", "both"]),
    ...bounds(options, timezone)
  }
}

const oneOf = <A extends string>(field: string, text: A, allowed: ReadonlyArray<A>): A => {
  if (allowed.includes(text)) return text
  throw invalid(field, String(text), 0, "it is not one of them", allowed.join(", "))
}

const zoneName = (timezone: TimeZone | undefined): string => {
  if (timezone === undefined) return "UTC"
  return zoneOf(typeof timezone === "string" ? timezone : DateTime.zoneToString(timezone)).id
}

const zoneOf = (name: string): CivilTime.Zone => {
  const zone = CivilTime.zone(name)
  if (zone !== undefined) return zone
  throw invalid(
    "timezone",
    name,
    0,
    "no such time zone",
    `an IANA name such as "Europe/Berlin", "UTC", "+05:30" or "local"`
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// instants
// ---------------------------------------------------------------------------------------------------------------------

const instantText = (field: string, instant: Instant, timezone: string): string => {
  const millis = typeof instant === "string" ? readInstant(field, instant, timezone) : toMillis(instant)
  // Invalid Date is in no year.
  if (Occurrences.isInstant(millis)) return DateTime.formatIso(DateTime.unsafeMake(millis))
  throw invalid(field, String(instant), 0, "it is no instant", "a valid Date, DateTime, or ISO 8601 text")
}

const toMillis = (instant: DateTime.DateTime.Input): number => {
  if (typeof instant === "number") return instant
  if (DateTime.isDateTime(instant)) return instant.epochMillis
  return instant instanceof Date ? instant.getTime() : DateTime.toEpochMillis(DateTime.unsafeMake(instant))
}

const readInstant = (field: string, text: string, timezone: string): number => {
  const parsed = CivilTime.parse(text)
  if (typeof parsed === "string") {
    throw invalid(field, text, 0, parsed, `"2026-12-01", "2026-12-01 09:00:00" or ISO 8601 text with an offset`)
  }
  return CivilTime.toInstant(zoneOf(parsed.offset ?? timezone), parsed.local) * 1000 + parsed.millis
}

// ---------------------------------------------------------------------------------------------------------------------
// queries
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The first instant strictly after `after`, or none if there is no more.
 *
 * @since 0.1.0
 * @category queries
 */
export const next = (self: Trigger, after: DateTime.DateTime.Input): Option.Option<DateTime.Utc> =>
  Occurrences.instantOption(self.occurrences.next(toMillis(after)))

/**
 * The last instant at or before `atOrBefore`, or none if there was none yet.
 *
 * @since 0.1.0
 * @category queries
 */
export const previous = (self: Trigger, atOrBefore: DateTime.DateTime.Input): Option.Option<DateTime.Utc> =>
  Occurrences.instantOption(self.occurrences.previous(toMillis(atOrBefore)))

/**
 * The first `limit` (default 5) instants strictly after `from`, oldest first; fewer if the trigger ends.
 *
 * @since 0.1.0
 * @category queries
 */
export const upcoming = (
  self: Trigger,
  options: { readonly from: DateTime.DateTime.Input; readonly limit?: number | undefined }
): ReadonlyArray<DateTime.Utc> => {
  const found: Array<DateTime.Utc> = []
  let at = next(self, options.from)
  while (Option.isSome(at) && found.length < (options.limit ?? 5)) {
    found.push(at.value)
    at = next(self, at.value)
  }
  return found
}

/**
 * Gives what has no place in time yet its own: `now` becomes the instant `moment`, an interval without `start` takes its
 * phase from it, a calendar interval without `start` begins on its day; everything else stays as it is.
 *
 * @since 0.1.0
 * @category combinators
 */
export const anchor = (self: Trigger, moment: DateTime.Utc): Trigger => {
  switch (self._tag) {
    case "Now":
      return at(moment)
    case "Interval":
    case "Spaced":
    case "CalendarInterval":
      return self.json.start === undefined ? startingAt(self, moment) : self
    case "AnyOf":
    case "AllOf":
    case "Except":
      return anchorParts(self, moment)
    case "At":
    case "Cron":
    case "Crontab":
    case "Extension":
      return self
  }
}

// In the order of the constructors' own JSON, for triggers are equal where their JSON is.
const startingAt = (
  self: Values<
    typeof TriggerJson.Interval.Type | typeof TriggerJson.Spaced.Type | typeof TriggerJson.CalendarInterval.Type
  >,
  moment: DateTime.Utc
): Trigger => {
  const { end, ...json } = self.json
  // What is over before it could begin stays as it is.
  if (end !== undefined && isOver(self.json, end, moment.epochMillis)) return self
  return make({ ...json, start: DateTime.formatIso(moment), ...(end === undefined ? {} : { end }) })
}

const isOver = (json: TriggerJson.TriggerJson, end: string, moment: number): boolean => {
  const last = dateAlone(end)
  return last === undefined ? Date.parse(end) < moment : dateAt(zoneOf(zoneNameOf(json)), moment) > last
}

const anchorParts = (self: Trigger, moment: DateTime.Utc): Trigger => {
  const parts = self.parts.map((part) => anchor(part, moment))
  const [first, ...rest] = parts.map(({ json }) => json)
  if (parts.every((part, i) => part === self.parts[i]) || first === undefined) return self
  return make(
    self._tag === "Except"
      ? { ...self.json, trigger: first, daysOf: rest }
      : ({ ...self.json, triggers: [first, ...rest] } as TriggerJson.AnyOf | TriggerJson.AllOf),
    parts
  )
}

/**
 * The instants of a trigger that has its place in time from `moment` (milliseconds since 1970).
 *
 * @since 0.1.0
 * @category queries
 */
export const occurrencesFrom = (self: Trigger, moment: number): Occurrences.Occurrences => {
  switch (self._tag) {
    case "At":
    case "Cron":
    case "Crontab":
    case "Extension":
      return self.occurrences
    case "Interval":
    case "Spaced":
      // What jobs ask most often, without a trigger in between.
      if (self.json.start !== undefined) return self.occurrences
      // The moment itself is none of them.
      return Occurrences.within(Occurrences.every(self.json.everyMillis, moment), moment + 1, millisOf(self.json.end))
    default:
      return anchor(self, Occurrences.instant(moment)).occurrences
  }
}

/**
 * When a run follows the one that ended at `end`, in milliseconds since 1970: `Infinity` if none does, or if the trigger
 * counts from no end at all.
 *
 * @since 0.1.0
 * @category queries
 */
export const following = (self: Trigger, end: number): number => {
  if (self._tag !== "Spaced") return Infinity
  const at = Math.max(end + self.json.everyMillis, millisOf(self.json.start) ?? -Infinity)
  return at > (millisOf(self.json.end) ?? Infinity) ? Infinity : at
}

/**
 * Whether the instants of a trigger depend on when the runs before them end.
 *
 * @since 0.1.0
 * @category guards
 */
export const isSpaced = (self: Trigger): boolean => self._tag === "Spaced"

/**
 * The first instant of a job added at `moment`: for a single instant that one, even if it is past; else the next one.
 *
 * @since 0.1.0
 * @category queries
 */
export const first = (self: Trigger, moment: DateTime.Utc): Option.Option<DateTime.Utc> =>
  Occurrences.instantOption(firstMillis(anchor(self, moment), moment.epochMillis))

const firstMillis = (self: Trigger, moment: number): number => {
  if (self._tag === "At") return self.occurrences.next(-Infinity)
  if (self._tag === "Except") return firstOutside(self, firstMillis(self.parts[0]!, moment), moment)
  if (self._tag === "AnyOf") return Math.min(...self.parts.map((part) => firstMillis(part, moment)))
  return self.occurrences.next(moment)
}

const firstOutside = ({ occurrences }: Trigger, candidate: number, moment: number): number =>
  occurrences.previous(candidate) === candidate ? candidate : occurrences.next(Math.max(candidate, moment))

/**
 * A Schedule that recurs at the trigger's instants, which it gives out: `Effect.repeat(effect, Trigger.toSchedule(t))`.
 * What has no place in time yet gets it from the first recurrence. It ends with the trigger.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toSchedule = (self: Trigger): Schedule.Schedule<DateTime.Utc> =>
  Schedule.makeWithState<Option.Option<Recurrence>, unknown, DateTime.Utc>(Option.none(), (now, _, last) => {
    const moment = DateTime.unsafeMake(now)
    const trigger = Option.match(last, { onNone: () => anchor(self, moment), onSome: (known) => known.trigger })
    const due = Option.isNone(last) ? first(trigger, moment) : next(trigger, moment)
    const at = Option.getOrElse(due, () => Option.match(last, { onNone: () => moment, onSome: (known) => known.at }))
    const decision = Option.isNone(due)
      ? ScheduleDecision.done
      : ScheduleDecision.continueWith(ScheduleInterval.after(at.epochMillis))
    return Effect.succeed([Option.some({ trigger, at }), at, decision])
  })

/** The trigger in its place in time, and the instant that was given out last. */
interface Recurrence {
  readonly trigger: Trigger
  readonly at: DateTime.Utc
}

/**
 * The trigger in English words.
 *
 * @since 0.1.0
 * @category conversions
 */
export const describe = (self: Trigger): string => TriggerWords.describe(self.json)

// ---------------------------------------------------------------------------------------------------------------------
// schema
// ---------------------------------------------------------------------------------------------------------------------

const fromJson = (json: TriggerJson.TriggerJson): Trigger => {
  switch (json._tag) {
    case "At":
      return at(json.at)
    case "Now":
      return now
    case "Interval":
      return interval({ millis: json.everyMillis, start: json.start, end: json.end })
    case "Spaced":
      return spaced(json.everyMillis, json)
    case "Cron":
      return cron({ ...json, ...json.fields })
    case "Crontab":
      return crontab(json.expression, json)
    case "CalendarInterval":
      return calendarInterval(json)
    case "Extension":
      return makeChecked({
        _tag: "Extension",
        name: json.name,
        options: extensionOf(json.name).normalize(json.options),
        ...bounds(json, "UTC")
      })
    case "AnyOf":
      return anyOf(...json.triggers.map(fromJson))
    case "AllOf":
      return allOf(...json.triggers.map(fromJson))
    case "Except":
      return except(fromJson(json.trigger), { ...json.exclusion, daysOf: json.daysOf.map(fromJson) })
  }
}

const TriggerFromSelf: Schema.Schema<Trigger> = Schema.declare(isTrigger, {
  identifier: "Trigger",
  description: "a value that a constructor of the Trigger module made"
})

/**
 * The Schema of triggers: JSON in stores, HTTP and configuration; decoding refuses what a constructor would throw at.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Trigger: Schema.Schema<Trigger, TriggerJson.TriggerJson> = Schema.transformOrFail(
  TriggerJson.TriggerJson,
  TriggerFromSelf,
  {
    strict: true,
    decode: (json, _, ast) =>
      Either.mapLeft(
        attempt(() => fromJson(json)),
        (error) => new ParseResult.Type(ast, json, error.message)
      ),
    encode: (trigger) => ParseResult.succeed(trigger.json)
  }
)
