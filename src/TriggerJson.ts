/**
 * The stored form of triggers: JSON with instants as ISO 8601 text and zones by name.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Exclusion from "./Exclusion.ts"

const Text = Schema.optionalWith(Schema.String, { exact: true })
const Count = Schema.optionalWith(Schema.NonNegativeInt, { exact: true })

const Bounds = { start: Text, end: Text }

const Civil = {
  ...Bounds,
  timezone: Schema.String,
  gap: Schema.Literal("skip", "shift"),
  fold: Schema.Literal("first", "second", "both")
}

const CronFields = Schema.Struct({
  year: Text,
  month: Text,
  day: Text,
  week: Text,
  dayOfWeek: Text,
  hour: Text,
  minute: Text,
  second: Text
})

/** @internal */
export const At = Schema.TaggedStruct("At", { at: Schema.String })
/** @internal */
export const Now = Schema.TaggedStruct("Now", {})
/** @internal */
export const Interval = Schema.TaggedStruct("Interval", {
  everyMillis: Schema.Int.pipe(Schema.positive()),
  ...Bounds
})
/** @internal */
export const Spaced = Schema.TaggedStruct("Spaced", {
  everyMillis: Schema.Int.pipe(Schema.positive()),
  ...Bounds
})
/** @internal */
export const Cron = Schema.TaggedStruct("Cron", { fields: CronFields, ...Civil })
/** @internal */
export const Crontab = Schema.TaggedStruct("Crontab", { expression: Schema.String, ...Civil })
/** @internal */
export const CalendarInterval = Schema.TaggedStruct("CalendarInterval", {
  years: Count,
  months: Count,
  weeks: Count,
  days: Count,
  hour: Schema.Int.pipe(Schema.between(0, 23)),
  minute: Schema.Int.pipe(Schema.between(0, 59)),
  second: Schema.Int.pipe(Schema.between(0, 59)),
  ...Civil
})
/** @internal */
export const Extension = Schema.TaggedStruct("Extension", { name: Schema.String, options: Schema.Unknown, ...Bounds })

/** @internal */
export interface AnyOf {
  readonly _tag: "AnyOf"
  readonly triggers: ReadonlyArray<TriggerJson>
}

/** @internal */
export interface AllOf {
  readonly _tag: "AllOf"
  readonly triggers: ReadonlyArray<TriggerJson>
}

/** @internal */
export interface Except {
  readonly _tag: "Except"
  readonly trigger: TriggerJson
  readonly exclusion: Exclusion.Exclusion
  readonly daysOf: ReadonlyArray<TriggerJson>
}

/**
 * The JSON form of a trigger, as stores, HTTP and configuration carry it. It is versioned by its tags: what a tag means
 * never changes, and a kind that changes gets a new one.
 *
 * @since 0.1.0
 * @category schemas
 */
export type TriggerJson =
  | typeof At.Type
  | typeof Now.Type
  | typeof Interval.Type
  | typeof Spaced.Type
  | typeof Cron.Type
  | typeof Crontab.Type
  | typeof CalendarInterval.Type
  | typeof Extension.Type
  | AnyOf
  | AllOf
  | Except

const Several = Schema.Array(Schema.suspend((): Schema.Schema<TriggerJson> => TriggerJson))

/**
 * @since 0.1.0
 * @category schemas
 */
export const TriggerJson: Schema.Schema<TriggerJson> = Schema.Union(
  At,
  Now,
  Interval,
  Spaced,
  Cron,
  Crontab,
  CalendarInterval,
  Extension,
  Schema.TaggedStruct("AnyOf", { triggers: Several }),
  Schema.TaggedStruct("AllOf", { triggers: Several }),
  Schema.TaggedStruct("Except", {
    trigger: Schema.suspend((): Schema.Schema<TriggerJson> => TriggerJson),
    exclusion: Exclusion.Exclusion,
    daysOf: Several
  })
)
