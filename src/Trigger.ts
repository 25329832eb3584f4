/**
 * When: immutable, serialisable values that denote sets of instants, asked with `next` and `previous`.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import * as Schema from "effect/Schema"
import * as CivilTime from "./CivilTime.ts"
import * as CronExpression from "./CronExpression.ts"
import * as Occurrences from "./Occurrences.ts"
import { InvalidTrigger } from "./SchedulerError.ts"

// ---------------------------------------------------------------------------------------------------------------------
// the stored form
// ---------------------------------------------------------------------------------------------------------------------

const Bounds = {
  start: Schema.optionalWith(Schema.String, { exact: true }),
  end: Schema.optionalWith(Schema.String, { exact: true })
}

const Civil = {
  ...Bounds,
  timezone: Schema.String,
  gap: Schema.Literal("skip", "shift"),
  fold: Schema.Literal("first", "second", "both")
}

const Field = Schema.optionalWith(Schema.String, { exact: true })

const CronFields = Schema.Struct({
  year: Field,
  month: Field,
  day: Field,
  week: Field,
  dayOfWeek: Field,
  hour: Field,
  minute: Field,
  second: Field
})

const AtJson = Schema.TaggedStruct("At", { at: Schema.String })
const NowJson = Schema.TaggedStruct("Now", {})
const IntervalJson = Schema.TaggedStruct("Interval", { everyMillis: Schema.Int.pipe(Schema.positive()), ...Bounds })
const CronJson = Schema.TaggedStruct("Cron", { fields: CronFields, ...Civil })
const CrontabJson = Schema.TaggedStruct("Crontab", { expression: Schema.String, ...Civil })

/**
 * The JSON form of a trigger, as stores, HTTP and configuration carry it: instants as ISO 8601 text, zones by name.
 *
 * @since 0.1.0
 * @category schemas
 */
export const TriggerJson = Schema.Union(AtJson, NowJson, IntervalJson, CronJson, CrontabJson)

/**
 * @since 0.1.0
 * @category schemas
 */
export type TriggerJson = typeof TriggerJson.Type

// ---------------------------------------------------------------------------------------------------------------------
// the values
// ---------------------------------------------------------------------------------------------------------------------

/**
 * @since 0.1.0
 * @category symbols
 */
export const TypeId = "~effect-scheduler/Trigger" as const

abstract class Base<Json extends TriggerJson> implements Equal.Equal, Inspectable.Inspectable, Pipeable {
  readonly [TypeId] = TypeId
  readonly json: Json
  #text: string | undefined
  #occurrences: Occurrences.Occurrences | undefined

  constructor(json: Json) {
    this.json = json
  }

  get _tag(): Json["_tag"] {
    return this.json._tag
  }

  /** The instants, worked out once and kept. */
  get occurrences(): Occurrences.Occurrences {
    return (this.#occurrences ??= this.compile())
  }

  protected abstract compile(): Occurrences.Occurrences

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

  toString(): string {
    return Inspectable.format(this.json)
  }

  [Inspectable.NodeInspectSymbol](): unknown {
    return this.json
  }

  pipe() {
    // biome-ignore lint/complexity/noArguments: Pipeable's own convention
    return pipeArguments(this, arguments)
  }
}

class AtTrigger extends Base<typeof AtJson.Type> {
  protected override compile() {
    return Occurrences.at(Date.parse(this.json.at))
  }
}

class NowTrigger extends Base<typeof NowJson.Type> {
  protected override compile() {
    return Occurrences.never
  }
}

class IntervalTrigger extends Base<typeof IntervalJson.Type> {
  protected override compile() {
    const start = millisOf(this.json.start)
    return Occurrences.within(Occurrences.every(this.json.everyMillis, start ?? 0), start, millisOf(this.json.end))
  }
}

class CronTrigger extends Base<typeof CronJson.Type> {
  protected override compile() {
    return civilOccurrences(this.json, CronExpression.fromFields(this.json.fields))
  }
}

class CrontabTrigger extends Base<typeof CrontabJson.Type> {
  protected override compile() {
    return civilOccurrences(this.json, CronExpression.fromCrontab(this.json.expression))
  }
}

const millisOf = (text: string | undefined): number | undefined => (text === undefined ? undefined : Date.parse(text))

const civilOccurrences = (
  { end, fold, gap, start, timezone }: typeof CronJson.Type | typeof CrontabJson.Type,
  expression: CronExpression.CronExpression
): Occurrences.Occurrences => {
  const rule = { zone: zoneOf(timezone), gap, fold, times: CronExpression.toCivilSet(expression) }
  return Occurrences.within(Occurrences.civil(rule), millisOf(start), millisOf(end))
}

/**
 * When a job runs: a set of instants, the same on every node, for ever.
 *
 * @since 0.1.0
 * @category models
 */
export type Trigger = AtTrigger | NowTrigger | IntervalTrigger | CronTrigger | CrontabTrigger

/**
 * @since 0.1.0
 * @category guards
 */
export const isTrigger = (u: unknown): u is Trigger => typeof u === "object" && u !== null && TypeId in u

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
 * `"both"` where the trigger repeats every hour or faster, and to `"shift"` and `"first"` everywhere else.
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
  new AtTrigger({ _tag: "At", at: instantText("at", instant, zoneName(options?.timezone)) })

/**
 * Once, as soon as the job is added. It has no instant until then.
 *
 * @since 0.1.0
 * @category constructors
 */
export const now: Trigger = new NowTrigger({ _tag: "Now" })

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
  const everyMillis = units.reduce((sum, [unit, millis]) => sum + (options[unit] ?? 0) * millis, 0)
  if (!Number.isSafeInteger(everyMillis) || everyMillis < 1) {
    throw invalid(
      "interval",
      `${everyMillis} ms`,
      0,
      "it is no period",
      "a positive whole number of milliseconds in all"
    )
  }
  return new IntervalTrigger({ _tag: "Interval", everyMillis, ...bounds(options, "UTC") })
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
  return checked(new CronTrigger({ _tag: "Cron", fields, ...civil(options, isHourly) }))
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
  return checked(new CrontabTrigger({ _tag: "Crontab", expression, ...civil(options, isHourly) }))
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

const checked = (trigger: Trigger): Trigger => {
  void trigger.occurrences
  return trigger
}

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

const DATE =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?)?(?: ?(Z|[+-]\d{2}:?\d{2}))?$/i

const instantText = (field: string, instant: Instant, timezone: string): string => {
  const millis = typeof instant === "string" ? readInstant(field, instant, timezone) : toMillis(instant)
  // ECMAScript's range of dates, which Invalid Date is outside of.
  if (Math.abs(millis) <= 8.64e15) return new Date(millis).toISOString()
  throw invalid(field, String(instant), 0, "it is no instant", "a valid Date, DateTime, or ISO 8601 text")
}

const toMillis = (instant: DateTime.DateTime.Input): number =>
  typeof instant === "number"
    ? instant
    : instant instanceof Date
      ? instant.getTime()
      : DateTime.toEpochMillis(DateTime.unsafeMake(instant))

const readInstant = (field: string, text: string, timezone: string): number => {
  const expected = `"2026-12-01", "2026-12-01 09:00:00" or ISO 8601 text with an offset`
  const match = DATE.exec(text.trim())
  if (match === null) throw invalid(field, text, 0, "it is not understood", expected)
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0)) as Array<number>
  if (month! < 1 || month! > 12 || day! < 1 || day! > CivilTime.daysInMonth(year!, month!)) {
    throw invalid(field, text, 0, "there is no such date", expected)
  }
  if (hour! > 23 || minute! > 59 || second! > 59)
    throw invalid(field, text, 0, "there is no such time of day", expected)
  const local = CivilTime.toDayNumber(year!, month!, day!) * 86_400 + hour! * 3600 + minute! * 60 + second!
  const zone = zoneOf(match[8]?.toUpperCase() ?? timezone)
  return CivilTime.toInstant(zone, local) * 1000 + Math.floor(Number(`0.${match[7] ?? 0}`) * 1000)
}

// ---------------------------------------------------------------------------------------------------------------------
// queries
// ---------------------------------------------------------------------------------------------------------------------

const instantOption = (millis: number): Option.Option<DateTime.Utc> =>
  Number.isFinite(millis) && Math.abs(millis) <= 8.64e15 ? Option.some(DateTime.unsafeMake(millis)) : Option.none()

/**
 * The first instant strictly after `after`, or none if there is no more.
 *
 * @since 0.1.0
 * @category queries
 */
export const next = (self: Trigger, after: DateTime.DateTime.Input): Option.Option<DateTime.Utc> =>
  instantOption(self.occurrences.next(toMillis(after)))

/**
 * The last instant at or before `atOrBefore`, or none if there was none yet.
 *
 * @since 0.1.0
 * @category queries
 */
export const previous = (self: Trigger, atOrBefore: DateTime.DateTime.Input): Option.Option<DateTime.Utc> =>
  instantOption(self.occurrences.previous(toMillis(atOrBefore)))

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
 * phase from it; everything else stays as it is.
 *
 * @since 0.1.0
 * @category combinators
 */
export const anchor = (self: Trigger, moment: DateTime.Utc): Trigger => {
  switch (self._tag) {
    case "Now":
      return at(moment)
    case "Interval":
      return self.json.start === undefined ? startingAt(self.json, moment) : self
    case "At":
    case "Cron":
    case "Crontab":
      return self
  }
}

const startingAt = ({ end, everyMillis }: typeof IntervalJson.Type, moment: DateTime.Utc): Trigger =>
  new IntervalTrigger({
    _tag: "Interval",
    everyMillis,
    start: DateTime.formatIso(moment),
    ...(end === undefined ? {} : { end })
  })

/**
 * The first instant of a job added at `moment`: for a single instant that one, even if it is past; else the next one.
 *
 * @since 0.1.0
 * @category queries
 */
export const first = (self: Trigger, moment: DateTime.Utc): Option.Option<DateTime.Utc> => {
  const anchored = anchor(self, moment)
  return anchored._tag === "At" ? next(anchored, -Infinity) : next(anchored, moment)
}

// ---------------------------------------------------------------------------------------------------------------------
// schema
// ---------------------------------------------------------------------------------------------------------------------

const fromJson = (json: TriggerJson): Trigger => {
  switch (json._tag) {
    case "At":
      return at(json.at)
    case "Now":
      return now
    case "Interval":
      return interval({ millis: json.everyMillis, start: json.start, end: json.end })
    case "Cron":
      return cron({ ...json, ...json.fields })
    case "Crontab":
      return crontab(json.expression, json)
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
export const Trigger: Schema.Schema<Trigger, TriggerJson> = Schema.transformOrFail(TriggerJson, TriggerFromSelf, {
  strict: true,
  decode: (json, _, ast) =>
    Either.mapLeft(
      attempt(() => fromJson(json)),
      (error) => new ParseResult.Type(ast, json, error.message)
    ),
  encode: (trigger) => ParseResult.succeed(trigger.json)
})
