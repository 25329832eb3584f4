/**
 * The stored record of a Task on a Trigger, and `advance`: the whole policy of what runs, is missed or is skipped when a
 * job is due.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Occurrences from "./Occurrences.ts"
import * as Policy from "./Policy.ts"
import * as Run from "./Run.ts"
import * as Trigger from "./Trigger.ts"

const Instant = Schema.DateTimeUtcFromNumber
const Text = Schema.OptionFromNullOr(Schema.String)

/**
 * Whether a job runs: `Parked` ones cannot be carried out as they stand, and say why.
 *
 * @since 0.1.0
 * @category models
 */
export const JobState = Schema.Union(
  Schema.TaggedStruct("Active", {}),
  Schema.TaggedStruct("Paused", { at: Instant, note: Text }),
  Schema.TaggedStruct("Parked", { at: Instant, reason: Schema.String })
)

/**
 * @since 0.1.0
 * @category models
 */
export type JobState = typeof JobState.Type

/**
 * A Task on a Trigger, with payload and policy, under an id.
 *
 * @since 0.1.0
 * @category models
 */
export const Job = Schema.Struct({
  id: Schema.String,
  /** Which life of this id it is: a higher number than any before it. The store counts. */
  incarnation: Schema.Int,
  task: Schema.String,
  name: Schema.String,
  /** The group that `reconcile` declares as a whole, if the job belongs to one. */
  group: Text,
  labels: Schema.Record({ key: Schema.String, value: Schema.String }),
  /** The payload in its task's encoded form. */
  payload: Schema.Unknown,
  trigger: Trigger.Trigger,
  /** The moment from which a trigger without a start takes its phase. */
  anchor: Instant,
  policy: Policy.Policy,
  state: JobState,
  nextRunTime: Schema.OptionFromNullOr(Instant)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Job extends Schema.Schema.Type<typeof Job> {}

/**
 * A job of an encoded payload, first due at its trigger's first instant from `now` on. Defaults: `Trigger.now`, no
 * payload, the id as its name, the default policy, active.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly id: string
  readonly task: string
  readonly now: DateTime.Utc
  readonly payload?: unknown
  readonly trigger?: Trigger.Trigger | undefined
  readonly policy?: Policy.Policy | undefined
  readonly name?: string | undefined
  readonly group?: string | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly isPaused?: boolean | undefined
}): Job => {
  const trigger = options.trigger ?? Trigger.now
  return {
    id: options.id,
    incarnation: 1,
    task: options.task,
    name: options.name ?? options.id,
    group: Option.fromNullable(options.group),
    labels: options.labels ?? {},
    payload: options.payload ?? null,
    trigger,
    anchor: options.now,
    policy: options.policy ?? Policy.defaults,
    state: options.isPaused === true ? { _tag: "Paused", at: options.now, note: Option.none() } : { _tag: "Active" },
    nextRunTime: Trigger.first(trigger, options.now)
  }
}

const occurrences = (self: Job): Occurrences.Occurrences => Trigger.anchor(self.trigger, self.anchor).occurrences

/**
 * Due times that were given up without a record of their own: how many, the first and the last. `isExact` is false when
 * there were so many that counting stopped.
 *
 * @since 0.1.0
 * @category models
 */
export const Dropped = Schema.Struct({
  count: Schema.Int,
  isExact: Schema.Boolean,
  first: Instant,
  last: Instant
})

/**
 * @since 0.1.0
 * @category models
 */
export type Dropped = typeof Dropped.Type

/**
 * What becomes of a job that is due: new runs, due times recorded as missed or skipped, due times only counted, and the
 * job moved on.
 *
 * @since 0.1.0
 * @category models
 */
export interface Advance {
  readonly runs: ReadonlyArray<Run.Run>
  readonly missed: ReadonlyArray<Run.Run>
  readonly skipped: ReadonlyArray<Run.Run>
  readonly dropped: Option.Option<Dropped>
  readonly next: Job
}

/**
 * Whether the job has a run to make at `now`.
 *
 * @since 0.1.0
 * @category queries
 */
export const isDue = (self: Job, now: DateTime.Utc): boolean =>
  self.state._tag === "Active" && Option.exists(self.nextRunTime, (due) => DateTime.lessThanOrEqualTo(due, now))

/**
 * Whether the job will never be due again.
 *
 * @since 0.1.0
 * @category queries
 */
export const isFinished = (self: Job): boolean => self.state._tag === "Active" && Option.isNone(self.nextRunTime)

/**
 * The whole policy of a due job, of `running` instances in flight: first `misfireGraceTime` and `coalesce`, then
 * `maxInstances` and `overlap`. Its cost does not grow with the number of due times.
 *
 * @since 0.1.0
 * @category decisions
 */
export const advance = (self: Job, now: DateTime.Utc, running: number): Advance => {
  if (!isDue(self, now) || Option.isNone(self.nextRunTime)) {
    return { runs: [], missed: [], skipped: [], dropped: Option.none(), next: self }
  }
  const times = occurrences(self)
  const due = select(self.policy, times, self.nextRunTime.value.epochMillis, now.epochMillis)
  const chosen = instance(self, due.chosen)
  const isFull = running >= self.policy.maxInstances
  return {
    runs: isFull ? [] : chosen,
    missed: due.late.map((at) => Run.miss(runAt(self, at), now)),
    skipped: isFull ? chosen.map((run) => Run.skip(run, now)) : [],
    dropped: due.dropped,
    next: { ...self, nextRunTime: instant(times.next(now.epochMillis)) }
  }
}

const instant = (millis: number): Option.Option<DateTime.Utc> => DateTime.make(millis)

const runAt = (self: Job, at: number, first = at): Run.Run =>
  Run.make({
    jobId: self.id,
    incarnation: self.incarnation,
    task: self.task,
    policy: self.policy,
    scheduledAt: DateTime.unsafeMake(at),
    instance: DateTime.formatIso(DateTime.unsafeMake(first))
  })

/** Several due times are one instance: the first run is pending, each other one waits for the one before it. */
const instance = (self: Job, times: ReadonlyArray<number>): ReadonlyArray<Run.Run> =>
  times.map((at, index) => {
    const run = runAt(self, at, times[0])
    return index === 0 ? run : { ...run, state: { _tag: "Waiting" } as const }
  })

interface Selection {
  readonly chosen: ReadonlyArray<number>
  readonly late: ReadonlyArray<number>
  readonly dropped: Option.Option<Dropped>
}

const select = (policy: Policy.Policy, times: Occurrences.Occurrences, first: number, now: number): Selection => {
  const oldest = now - Duration.toMillis(policy.misfireGraceTime)
  const last = Math.max(first, times.previous(now))
  const one = (at: number): Selection => ({
    chosen: at >= oldest ? [at] : [],
    late: at >= oldest ? [] : [at],
    dropped: Option.none()
  })
  switch (policy.coalesce) {
    case "latest":
      return one(last)
    case "earliest":
      return one(Math.min(first >= oldest ? first : times.next(oldest - 1), last))
    case "all":
      return selectAll(times, first, last, oldest, policy.catchUpLimit)
  }
}

const selectAll = (
  times: Occurrences.Occurrences,
  first: number,
  last: number,
  oldest: number,
  limit: number
): Selection => {
  const due: Array<number> = []
  let at = last
  for (; at >= first && due.length < limit; at = times.previous(at - 1)) due.unshift(at)
  return {
    chosen: due.filter((time) => time >= oldest),
    late: due.filter((time) => time < oldest),
    dropped: at >= first ? Option.some(countDropped(times, first, at)) : Option.none()
  }
}

const COUNT_LIMIT = 1000

const countDropped = (times: Occurrences.Occurrences, first: number, last: number): Dropped => {
  let count = 1
  let at = first
  for (; at < last && count < COUNT_LIMIT; at = times.next(at)) count++
  return {
    count,
    isExact: at === last,
    first: DateTime.unsafeMake(first),
    last: DateTime.unsafeMake(last)
  }
}

/**
 * The job on another trigger, its phase and next run time taken from `now`.
 *
 * @since 0.1.0
 * @category decisions
 */
export const reschedule = (self: Job, trigger: Trigger.Trigger, now: DateTime.Utc): Job => ({
  ...self,
  trigger,
  anchor: now,
  nextRunTime: Trigger.first(trigger, now)
})

/**
 * A newly declared job in the place of a stored one: an unchanged trigger keeps its phase and next run time, so a
 * 24-hour interval on a service deployed daily still runs; a pause lasts.
 *
 * @since 0.1.0
 * @category decisions
 */
export const replace = (self: Job, declared: Job): Job => {
  const placed = {
    ...declared,
    incarnation: self.incarnation,
    state: self.state._tag === "Paused" ? self.state : declared.state
  }
  const isSame = Equal.equals(self.trigger, declared.trigger) && Option.isSome(self.nextRunTime)
  return isSame ? { ...placed, anchor: self.anchor, nextRunTime: self.nextRunTime } : placed
}

const encode = Schema.encodeSync(Job)

/**
 * Whether two records declare the same job, wherever their cursors stand.
 *
 * @since 0.1.0
 * @category queries
 */
export const isSameDeclaration = (self: Job, that: Job): boolean => declaration(self) === declaration(that)

const declaration = (self: Job): string =>
  JSON.stringify(sortKeys({ ...encode(self), incarnation: 0, anchor: 0, nextRunTime: null, state: null }))

const sortKeys = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sortKeys)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sortKeys(inner)])
  )
}

/**
 * The job paused at `now`; its cursor stays.
 *
 * @since 0.1.0
 * @category decisions
 */
export const pause = (self: Job, now: DateTime.Utc, note?: string): Job => ({
  ...self,
  state: { _tag: "Paused", at: now, note: Option.fromNullable(note) }
})

/**
 * The job active again, next due at its trigger's first instant after `now`: what fell into the pause does not run, but
 * for the last instant of a trigger that has no later one.
 *
 * @since 0.1.0
 * @category decisions
 */
export const resume = (self: Job, now: DateTime.Utc): Job => {
  if (self.state._tag === "Active") return self
  const isAhead = Option.exists(self.nextRunTime, (due) => DateTime.greaterThan(due, now))
  const later = isAhead ? Option.none() : instant(occurrences(self).next(now.epochMillis))
  const last = instant(occurrences(self).previous(now.epochMillis))
  const lastDue = Option.map(self.nextRunTime, (due) =>
    DateTime.max(
      due,
      Option.getOrElse(last, () => due)
    )
  )
  return { ...self, state: { _tag: "Active" }, nextRunTime: Option.orElse(later, () => lastDue) }
}

/**
 * The job parked at `now` because it cannot be carried out as it stands; it is kept, and `resume` or `modify` mends it.
 *
 * @since 0.1.0
 * @category decisions
 */
export const park = (self: Job, now: DateTime.Utc, reason: string): Job => ({
  ...self,
  state: { _tag: "Parked", at: now, reason }
})
