/**
 * Sunrise, sunset and what lies between as triggers, on the library `suncalc`: an optional peer.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SunCalc from "suncalc"
import * as CivilTime from "./CivilTime.ts"
import type * as Occurrences from "./Occurrences.ts"
import { InvalidTrigger } from "./SchedulerError.ts"
import * as Trigger from "./Trigger.ts"

const SolarEvent = Schema.Literal(
  "nightEnd",
  "nauticalDawn",
  "dawn",
  "sunrise",
  "solarNoon",
  "sunset",
  "dusk",
  "nauticalDusk",
  "night"
)

/**
 * A moment of the sun's day, as `suncalc` names it: `dawn` and `dusk` are the civil ones, `nightEnd` and `night` the
 * astronomical ones.
 *
 * @since 0.1.0
 * @category models
 */
export type SolarEvent = typeof SolarEvent.Type

const Options = Schema.Struct({
  event: SolarEvent,
  latitude: Schema.Number.pipe(Schema.between(-90, 90)),
  longitude: Schema.Number.pipe(Schema.between(-180, 180)),
  offsetMillis: Schema.Int
})

const DAY = 86_400_000

// The years 1 to 9999.
const FIRST = CivilTime.toDayNumber(1, 1, 1) * DAY
const LAST = (CivilTime.toDayNumber(9999, 12, 31) + 1) * DAY - 1

// The longest polar night or day is over within this time.
const LONGEST = 370

const toOccurrences = (options: typeof Options.Type): Occurrences.Occurrences => ({
  next: (after) => search(options, after, 1, (at) => at > after && at >= FIRST) ?? Infinity,
  previous: (atOrBefore) => search(options, atOrBefore, -1, (at) => at <= atOrBefore && at <= LAST) ?? -Infinity
})

/** The first of the days from one before the instant on, in a direction, whose event is wanted. */
const search = (
  options: typeof Options.Type,
  from: number,
  direction: 1 | -1,
  isWanted: (at: number) => boolean
): number | undefined => {
  const near = Math.min(Math.max(from, FIRST), LAST) - options.offsetMillis
  for (let days = -2; days <= LONGEST; days++) {
    const at = eventOf(options, near + direction * days * DAY)
    if (at !== undefined && isWanted(at)) return at
  }
  return undefined
}

// To the second: what the sun does is not known any better.
const eventOf = (
  { event, latitude, longitude, offsetMillis }: typeof Options.Type,
  day: number
): number | undefined => {
  const noon = Math.floor(day / DAY) * DAY + DAY / 2
  const time = SunCalc.getTimes(new Date(noon), latitude, longitude)[event]?.getTime()
  return time === undefined || Number.isNaN(time) ? undefined : Math.round(time / 1000) * 1000 + offsetMillis
}

const make = Trigger.extension("solar", Options, toOccurrences)

/**
 * Every day at a moment of the sun at a place in degrees (north and east are positive), or `offset` milliseconds after it
 * (before it, if negative); on days of polar night or midnight sun that lack the moment there is none. Throws
 * `InvalidTrigger`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const solar = (options: {
  readonly event: SolarEvent
  readonly latitude: number
  readonly longitude: number
  readonly offset?: Duration.DurationInput | undefined
  readonly before?: Duration.DurationInput | undefined
  readonly start?: Trigger.Instant | undefined
  readonly end?: Trigger.Instant | undefined
}): Trigger.Trigger => {
  const { before = 0, end, event, latitude, longitude, offset = 0, start } = options
  const [after, ahead] = [offset, before].map((duration) => Option.getOrUndefined(Duration.decodeUnknown(duration)))
  const offsetMillis = after && ahead ? Math.round(Duration.toMillis(after) - Duration.toMillis(ahead)) : Number.NaN
  const given = { event, latitude, longitude, offsetMillis }
  if (!Schema.is(Options)(given)) {
    throw new InvalidTrigger({
      field: "solar",
      text: JSON.stringify(given),
      position: 0,
      reason: "there is no such event, place or offset",
      expected: `one of ${SolarEvent.literals.join(", ")}, a latitude of ±90 and a longitude of ±180 degrees at most`
    })
  }
  return make(given, { start, end })
}
