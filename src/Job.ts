/**
 * The stored record of a Task on a Trigger, and `advance`: the whole policy of what runs, is missed or is skipped when a
 * job is due.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Jitter from "./Jitter.ts"
import * as Occurrences from "./Occurrences.ts"
import * as Policy from "./Policy.ts"
import * as Run from "./Run.ts"
import * as Trigger from "./Trigger.ts"

const Instant = Schema.DateTimeUtcFromNumber
const Text = Schema.OptionFromNullOr(Schema.String)

/**
 * Whether a job runs: `Parked` ones cannot be carried out as they stand, and say why; `Finished` ones will never be due
 * again, and are kept as their retention says.
 *
 * @since 0.1.0
 * @category models
 */
export const JobState = Schema.Union(
  Schema.TaggedStruct("Active", {}),
  Schema.TaggedStruct("Paused", { at: Instant, note: Text, by: Text }),
  Schema.TaggedStruct("Parked", { at: Instant, reason: Schema.String }),
  Schema.TaggedStruct("Finished", { at: Instant })
)

/**
 * @since 0.1.0
 * @category models
 */
export type JobState = typeof JobState.Type

/**
 * The last pause of a job that is over.
 *
 * @since 0.1.0
 * @category models
 */
export const Pause = Schema.Struct({ from: Instant, to: Instant, note: Text, by: Text })

/**
 * @since 0.1.0
 * @category models
 */
export type Pause = typeof Pause.Type

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
  addedAt: Instant,
  /** The span in which it was added. */
  origin: Schema.OptionFromNullOr(Run.Origin),
  /** How many runs its trigger has made, for `limit`. */
  fired: Schema.Int,
  lastPause: Schema.OptionFromNullOr(Pause),
  state: JobState,
  /** The nominal time of its next run; jitter is added to it. */
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
  readonly origin?: Run.Origin | undefined
}): Job => {
  const trigger = options.trigger ?? Trigger.now
  return {
    id: options.id,
    incarnation: 1,
    task: options.task,
    name: options.name ?? options.id,
    group: Option.fromNullable(options.group),
    labels: options.labels ?? NO_LABELS,
    payload: options.payload ?? null,
    trigger,
    anchor: options.now,
    policy: options.policy ?? Policy.defaults,
    addedAt: options.now,
    origin: Option.fromNullable(options.origin),
    fired: 0,
    lastPause: Option.none(),
    state: options.isPaused === true ? pausedAt(options.now) : ACTIVE,
    nextRunTime: Trigger.first(trigger, options.now)
  }
}

// A million jobs share them.
const NO_LABELS = {}
const ACTIVE: JobState = { _tag: "Active" }

/**
 * The nominal times of a job's runs, from its anchor on.
 *
 * @since 0.1.0
 * @category queries
 */
export const occurrences = (self: Job): Occurrences.Occurrences =>
  Trigger.occurrencesFrom(self.trigger, self.anchor.epochMillis)

/**
 * What somebody said when a job was paused: why, and who.
 *
 * @since 0.1.0
 * @category models
 */
export interface PauseNote {
  readonly note?: string | undefined
  readonly by?: string | undefined
}

const pausedAt = (at: DateTime.Utc, { by, note }: PauseNote = {}): JobState => ({
  _tag: "Paused",
  at,
  note: Option.fromNullable(note),
  by: Option.fromNullable(by)
})

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
 * What becomes of a job that is due: new runs, due times recorded as missed or skipped, due times only counted, how many
 * of the oldest instances have to go, and the job moved on.
 *
 * @since 0.1.0
 * @category models
 */
export interface Advance {
  readonly runs: ReadonlyArray<Run.Run>
  readonly missed: ReadonlyArray<Run.Run>
  readonly skipped: ReadonlyArray<Run.Run>
  readonly cancels: number
  readonly dropped: Option.Option<Dropped>
  readonly next: Job
}

/**
 * What a job has in flight: instances that are pending or running, how many of them are backfills, and runs in its queue.
 *
 * @since 0.1.0
 * @category models
 */
export interface Load {
  readonly active: number
  readonly backfilling: number
  readonly queued: number
}

/**
 * When the job's next run is due, jitter included, in milliseconds since 1970; `Infinity` if none is.
 *
 * @since 0.1.0
 * @category queries
 */
export const dueAt = (self: Job): number =>
  self.state._tag === "Active" && Option.isSome(self.nextRunTime)
    ? jittered(self, self.nextRunTime.value.epochMillis)
    : Infinity

/** A nominal time and its jitter: the same on every node, and before the next nominal time. */
const jittered = (self: Job, nominal: number, times?: Occurrences.Occurrences): number => {
  const most = Duration.toMillis(self.policy.jitter)
  if (most === 0) return nominal
  const gap = (times ?? occurrences(self)).next(nominal) - nominal
  return nominal + Math.floor(Math.min(most, gap - 1) * Jitter.fraction(`${self.id}/${nominal}`))
}

/**
 * Whether the job has a run to make at `now`.
 *
 * @since 0.1.0
 * @category queries
 */
export const isDue = (self: Job, now: DateTime.Utc): boolean => dueAt(self) <= now.epochMillis

/**
 * Whether the job will never be due again once its last run has ended.
 *
 * @since 0.1.0
 * @category queries
 */
export const isFinished = (self: Job): boolean => self.state._tag === "Active" && Option.isNone(self.nextRunTime)

/**
 * The whole policy of a due job with so much in flight: first `misfireGraceTime`, `coalesce` and `catchUpLimit`, then
 * `limit`, then `maxInstances` and `overlap`. Its cost does not grow with the number of due times.
 *
 * @since 0.1.0
 * @category decisions
 */
export const advance = (self: Job, now: DateTime.Utc, running: number | Load): Advance => {
  const first = self.nextRunTime
  if (Option.isNone(first) || !isDue(self, now)) return { ...NOTHING, missed: [], dropped: Option.none(), next: self }
  const load = typeof running === "number" ? { active: running, backfilling: 0, queued: 0 } : running
  const times = occurrences(self)
  const after = times.next(first.value.epochMillis)
  const isAlone = Trigger.isSpaced(self.trigger) || (after > now.epochMillis && Duration.isZero(self.policy.jitter))
  return isAlone
    ? advanceOne(self, timely(self, times, first.value), after, load, now)
    : advanceMany(self, times, select(self, times, first.value.epochMillis, now.epochMillis), load, now)
}

/**
 * The same, or why it cannot be said: the trigger of another module may throw, and with a jitter the next time takes part.
 *
 * @since 0.1.0
 * @category decisions
 */
export const tryAdvance = (self: Job, now: DateTime.Utc, running: number | Load): Either.Either<Advance, string> => {
  try {
    const made = advance(self, now, running)
    dueAt(made.next)
    return Either.right(made)
  } catch (error) {
    return Either.left(String(error))
  }
}

/** One time is due and no other, as most often: what the policies say of several does not matter. */
const advanceOne = (self: Job, run: Run.Run, after: number, load: Load, now: DateTime.Utc): Advance => {
  const isLate = Option.exists(run.startBy, DateTime.lessThan(now))
  const mayRun = !isLate && self.fired < self.policy.limit
  const { cancels, runs, skipped } = mayRun ? admit(self.policy, load, [run], now) : NOTHING
  const missed = isLate ? [Run.miss(run, now)] : NONE
  return { runs, missed, skipped, cancels, dropped: Option.none(), next: moveOn(self, after, runs.length, now) }
}

/** A run with its jitter; most have none, and keep the instant as it is. */
const timely = (self: Job, times: Occurrences.Occurrences, at: DateTime.Utc): Run.Run =>
  Duration.isZero(self.policy.jitter) ? Run.make(self, at) : runAt(self, times, at.epochMillis)

const advanceMany = (
  self: Job,
  times: Occurrences.Occurrences,
  due: Selection,
  load: Load,
  now: DateTime.Utc
): Advance => {
  const chosen = due.chosen.slice(0, Math.max(0, self.policy.limit - self.fired))
  const instance = runsAt(self, times, chosen, due)
  const { cancels, runs, skipped } = instance.length === 0 ? NOTHING : admit(self.policy, load, instance, now)
  const missed = due.late.map((at) => Run.miss(runAt(self, times, at, covers(due, at)), now))
  const next = moveOn(self, times.next(due.last), runs.length, now)
  return { runs, missed, skipped, cancels, dropped: due.dropped, next }
}

const NONE: ReadonlyArray<Run.Run> = []
const NOTHING: Admission = { runs: NONE, skipped: NONE, cancels: 0 }

const moveOn = (self: Job, after: number, made: number, now: DateTime.Utc): Job => {
  const fired = self.fired + made
  const isOver = fired >= self.policy.limit
  // A spaced job goes on when its run has ended.
  if (!isOver && Trigger.isSpaced(self.trigger)) return made > 0 ? rest(self, fired) : rearm(rest(self, fired), now)
  return { ...self, fired, nextRunTime: isOver ? Option.none() : Occurrences.instantOption(after) }
}

const rest = (self: Job, fired: number): Job => ({ ...self, fired, nextRunTime: Option.none() })

/**
 * The job once nothing of it is in flight any more: one that is spaced counts from now, others are as they were.
 *
 * @since 0.1.0
 * @category decisions
 */
export const rearm = (self: Job, now: DateTime.Utc): Job => {
  const isWaiting = Trigger.isSpaced(self.trigger) && Option.isNone(self.nextRunTime) && self.fired < self.policy.limit
  if (!isWaiting || self.state._tag === "Finished") return self
  const nextRunTime = Occurrences.instantOption(Trigger.following(self.trigger, now.epochMillis))
  return { ...self, anchor: now, nextRunTime }
}

/** What becomes of the runs of one instance, and how many of the oldest instances have to go for them. */
interface Admission {
  readonly runs: ReadonlyArray<Run.Run>
  readonly skipped: ReadonlyArray<Run.Run>
  readonly cancels: number
}

/**
 * Whether an instance starts, waits, or is skipped, by `maxInstances`, `overlap` and `queueLimit`. It is never skipped
 * for the sake of a backfill, but waits for its turn.
 *
 * @since 0.1.0
 * @category decisions
 */
export const admit = (
  { maxInstances, overlap, queueLimit }: Policy.Policy,
  { active, backfilling, queued }: Load,
  runs: ReadonlyArray<Run.Run>,
  now: DateTime.Utc
): Admission => {
  if (active < maxInstances && queued === 0) return { runs, skipped: NONE, cancels: 0 }
  const live = active - backfilling
  const skipped = (reason: "maxInstances" | "queueLimit") => ({
    runs: [],
    skipped: runs.map((run) => Run.skip(run, now, reason)),
    cancels: 0
  })
  const [first, ...others] = runs
  const waiting = first === undefined ? [] : [Run.hold(first, "Queued"), ...others]
  if (overlap === "cancelPrevious") return { runs: waiting, skipped: [], cancels: live + queued + 1 - maxInstances }
  if (overlap === "skip" && live >= maxInstances) return skipped("maxInstances")
  return queued < queueLimit ? { runs: waiting, skipped: [], cancels: 0 } : skipped("queueLimit")
}

const runAt = (
  self: Job,
  times: Occurrences.Occurrences,
  at: number,
  covers?: Run.Covers,
  instance?: string
): Run.Run => {
  const scheduledAt = Occurrences.instant(at)
  const due = jittered(self, at, times)
  const dueAt = due === at ? scheduledAt : Occurrences.instant(due)
  return Run.make(self, scheduledAt, { dueAt, covers, instance })
}

/** Several due times are one instance: the first run is pending, each other one waits for the one before it. */
const runsAt = (
  self: Job,
  times: Occurrences.Occurrences,
  chosen: ReadonlyArray<number>,
  due: Selection
): ReadonlyArray<Run.Run> =>
  chosen.map((at, index) => {
    if (index === 0) return runAt(self, times, at, covers(due, at))
    return Run.hold(runAt(self, times, at, undefined, Run.keyOf(Occurrences.instant(chosen[0]!))), "Waiting")
  })

/** What was due: the times to run for, those that are too late, the last one of all, and what is only counted. */
interface Selection {
  readonly chosen: ReadonlyArray<number>
  readonly late: ReadonlyArray<number>
  readonly last: number
  readonly covers: { readonly first: number; readonly last: number; readonly as: Run.Covers["as"] } | undefined
  readonly dropped: Option.Option<Dropped>
}

/** The oldest record of a selection says what else it stands for. */
const covers = ({ chosen, covers, late }: Selection, at: number): Run.Covers | undefined =>
  covers === undefined || at !== (late[0] ?? chosen[0])
    ? undefined
    : { first: Occurrences.instant(covers.first), last: Occurrences.instant(covers.last), as: covers.as }

const select = (self: Job, times: Occurrences.Occurrences, first: number, now: number): Selection => {
  const { catchUpLimit, coalesce, misfireGraceTime } = self.policy
  const due = (at: number) => jittered(self, at, times)
  const isLate = (at: number) => now - due(at) > Duration.toMillis(misfireGraceTime)
  const last = Math.max(first, lastDue(times, due, now))
  switch (coalesce) {
    case "latest":
      return selectOne(last, first, last, isLate(last))
    case "earliest": {
      const earliest = isLate(first) ? firstInTime(self, times, isLate, now) : first
      return selectOne(Math.min(earliest, last), first, last, isLate(Math.min(earliest, last)))
    }
    case "all":
      return selectAll(times, first, last, isLate, catchUpLimit)
  }
}

/** The last time that is due by now: its jitter may put the last nominal one off. */
const lastDue = (times: Occurrences.Occurrences, due: (at: number) => number, now: number): number => {
  const last = times.previous(now)
  return due(last) <= now ? last : times.previous(last - 1)
}

const firstInTime = (
  { policy }: Job,
  times: Occurrences.Occurrences,
  isLate: (at: number) => boolean,
  now: number
): number => {
  const oldest = now - Duration.toMillis(policy.misfireGraceTime)
  const before = times.previous(oldest - 1)
  // Its jitter may have kept the one before in time.
  return isLate(before) ? times.next(oldest - 1) : before
}

const selectOne = (at: number, first: number, last: number, isLate: boolean): Selection => ({
  chosen: isLate ? [] : [at],
  late: isLate ? [at] : [],
  last,
  covers: first === last ? undefined : { first, last, as: "coalesced" },
  dropped: Option.none()
})

const selectAll = (
  times: Occurrences.Occurrences,
  first: number,
  last: number,
  isLate: (at: number) => boolean,
  limit: number
): Selection => {
  const due: Array<number> = []
  let at = last
  for (; at >= first && due.length < limit; at = times.previous(at - 1)) due.push(at)
  due.reverse()
  const isDropped = at >= first
  return {
    chosen: due.filter((time) => !isLate(time)),
    late: due.filter(isLate),
    last,
    covers: isDropped ? { first, last: at, as: "dropped" } : undefined,
    dropped: isDropped ? Option.some(countDropped(times, first, at)) : Option.none()
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
    first: Occurrences.instant(first),
    last: Occurrences.instant(last)
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
  state: self.state._tag === "Finished" ? ACTIVE : self.state,
  trigger,
  anchor: now,
  fired: 0,
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
  const { addedAt, incarnation, lastPause, origin, state } = self
  const isPaused = state._tag === "Paused"
  const placed = { ...declared, addedAt, incarnation, lastPause, origin, state: isPaused ? state : declared.state }
  const isSame = Equal.equals(self.trigger, declared.trigger) && isGoingOn(self, declared.policy.limit)
  if (!isSame) return placed
  const cursor = { anchor: self.anchor, fired: self.fired, nextRunTime: self.nextRunTime }
  return { ...placed, ...cursor, state: state._tag === "Finished" ? state : placed.state }
}

/** Whether there is a phase to be kept, or a limit that has been reached. */
const isGoingOn = (self: Job, limit: number): boolean =>
  Option.isSome(self.nextRunTime) ||
  (self.fired > 0 && self.fired >= limit) ||
  (Trigger.isSpaced(self.trigger) && self.state._tag !== "Finished")

const encode = Schema.encodeSync(Job)

/**
 * Whether two records declare the same job, wherever their cursors stand.
 *
 * @since 0.1.0
 * @category queries
 */
export const isSameDeclaration = (self: Job, that: Job): boolean => declaration(self) === declaration(that)

const declaration = (self: Job): string => {
  const { group, id, labels, name, payload, policy, task, trigger } = encode(self)
  return JSON.stringify(sortKeys({ group, id, labels, name, payload, policy, task, trigger }))
}

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
 * The job paused at `now`, or since it has been; its cursor stays.
 *
 * @since 0.1.0
 * @category decisions
 */
export const pause = (self: Job, now: DateTime.Utc, note?: string | PauseNote): Job => {
  const { state } = self
  if (state._tag === "Finished") return self
  const since = state._tag === "Paused" ? state.at : now
  return { ...self, state: pausedAt(since, typeof note === "string" ? { note } : note) }
}

/**
 * Where a job goes on after a pause: with what comes from now on (default), where it was, so that its policies decide
 * about what fell into the pause, or with the first time at or after an instant.
 *
 * @since 0.1.0
 * @category models
 */
export type ResumeFrom = "now" | "pause" | DateTime.Utc

/**
 * The job active again. From `"now"` it is next due at its trigger's first instant after `now`: what fell into the pause
 * does not run, but for the last instant of a trigger that has no later one.
 *
 * @since 0.1.0
 * @category decisions
 */
export const resume = (self: Job, now: DateTime.Utc, from: ResumeFrom = "now"): Job => {
  if (self.state._tag === "Active" || self.state._tag === "Finished") return self
  const active = { ...self, state: ACTIVE, lastPause: pauseUntil(self, now) }
  if (Option.isNone(self.nextRunTime) || from === "pause") return active
  return { ...active, nextRunTime: fastForward(self, self.nextRunTime.value, now, from) }
}

const MOVING = "it is on its way from another store; move it once more if it stays"

/**
 * The job as it waits in the store it is moved to until it is gone from the one it was in: an active one is parked.
 *
 * @since 0.1.0
 * @category decisions
 */
export const depart = (self: Job, now: DateTime.Utc): Job =>
  self.state._tag === "Active" ? { ...self, state: { _tag: "Parked", at: now, reason: MOVING } } : self

/**
 * The job as it goes on, where it stood, in the store it was moved to.
 *
 * @since 0.1.0
 * @category decisions
 */
export const arrive = (self: Job): Job => (isMoving(self) ? { ...self, state: ACTIVE } : self)

/**
 * @since 0.1.0
 * @category queries
 */
export const isMoving = ({ state }: Job): boolean => state._tag === "Parked" && state.reason === MOVING

const finishedAt = (at: DateTime.Utc): JobState => ({ _tag: "Finished", at })

const pauseUntil = ({ lastPause, state }: Job, to: DateTime.Utc): Job["lastPause"] =>
  state._tag === "Paused" ? Option.some({ from: state.at, to, note: state.note, by: state.by }) : lastPause

const fastForward = (
  self: Job,
  due: DateTime.Utc,
  now: DateTime.Utc,
  from: "now" | DateTime.Utc
): Option.Option<DateTime.Utc> => {
  const after = from === "now" ? now.epochMillis : from.epochMillis - 1
  // What its jitter puts off beyond the pause did not fall into it.
  const isAhead = (at: number) => at > after || (from === "now" && jittered(self, at) > after)
  if (isAhead(due.epochMillis)) return Option.some(due)
  if (Trigger.isSpaced(self.trigger)) {
    const next = from === "now" ? Trigger.following(self.trigger, after) : from.epochMillis
    return Option.orElse(Occurrences.instantOption(next), () => Option.some(due))
  }
  const times = occurrences(self)
  const last = Math.max(due.epochMillis, times.previous(after))
  const next = isAhead(last) ? last : times.next(after)
  return Option.orElse(Occurrences.instantOption(next), () => Occurrences.instantOption(last))
}

/**
 * The job parked at `now` because it cannot be carried out as it stands; it is kept, and `resume` or `modify` mends it.
 *
 * @since 0.1.0
 * @category decisions
 */
export const park = (self: Job, now: DateTime.Utc, reason: string): Job =>
  self.state._tag === "Finished" ? self : { ...self, state: { _tag: "Parked", at: now, reason } }

/**
 * What is left of a job that will never be due again: itself, as finished, if its retention keeps it.
 *
 * @since 0.1.0
 * @category decisions
 */
export const finish = (self: Job, now: DateTime.Utc): Option.Option<Job> =>
  self.policy.retention.finishedJobs === "keep" ? Option.some({ ...self, state: finishedAt(now) }) : Option.none()

/**
 * Jobs as they are exported and imported, payloads in their tasks' encoded form.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Archive = Schema.Struct({ version: Schema.Literal(1), jobs: Schema.Array(Job) })

/**
 * @since 0.1.0
 * @category schemas
 */
export type Archive = typeof Archive.Type
