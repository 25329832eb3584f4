/**
 * Why a job ran, was late, was skipped or did not run at some instant, from what the store recorded.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Job from "./Job.ts"
import * as Occurrences from "./Occurrences.ts"
import * as Run from "./Run.ts"
import * as Trigger from "./Trigger.ts"

/**
 * What is known of a job at an instant. `Ran` and `RanLate` (by a second and more) tell of runs that have started, however
 * they ended; `Dropped` ones were more than `catchUpLimit`; of `Unknown` ones no record is left.
 *
 * @since 0.1.0
 * @category models
 */
export type Verdict =
  | "Ran"
  | "RanLate"
  | "Waiting"
  | "Missed"
  | "Skipped"
  | "Cancelled"
  | "Coalesced"
  | "Dropped"
  | "Paused"
  | "Parked"
  | "NotDue"
  | "NotYetAdded"
  | "Ahead"
  | "Finished"
  | "Unknown"

/**
 * The verdict, the run that tells of it if there is one, and all of it in one sentence.
 *
 * @since 0.1.0
 * @category models
 */
export interface Explanation {
  readonly verdict: Verdict
  readonly run: Option.Option<Run.Run>
  readonly message: string
}

/** What is known: the job as it stands, if it is there, and its runs around the instant. */
interface Evidence {
  readonly job: Option.Option<Job.Job>
  readonly runs: ReadonlyArray<Run.Run>
  readonly at: DateTime.Utc
  readonly now: DateTime.Utc
}

/**
 * Explains an instant by the record of its run, else by a run that covers it, else by the job itself.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (evidence: Evidence): Explanation => {
  const { at, job, runs } = evidence
  const own = runs.find(({ scheduledAt }) => scheduledAt.epochMillis === at.epochMillis)
  if (own !== undefined) return ofRun(own, evidence.now)
  const isCovered = ({ covers }: Run.Run) =>
    Option.exists(covers, ({ first, last }) => DateTime.between(at, { minimum: first, maximum: last }))
  const isOccurrence = Option.match(job, { onNone: () => true, onSome: (job) => occursAt(job, at) })
  const cover = isOccurrence ? runs.find(isCovered) : undefined
  if (cover !== undefined) return ofCover(cover)
  return Option.match(job, { onNone: () => ofNothing(evidence), onSome: (job) => ofJob(job, evidence) })
}

const occursAt = (job: Job.Job, at: DateTime.Utc): boolean =>
  // Before its anchor the job had another phase, or another trigger.
  DateTime.lessThan(at, job.anchor) || Job.occurrences(job).previous(at.epochMillis) === at.epochMillis

const of = (verdict: Verdict, message: string, run?: Run.Run): Explanation => ({
  verdict,
  run: Option.fromNullable(run),
  message
})

const text = (instant: DateTime.Utc): string => DateTime.formatIso(instant)

// ---------------------------------------------------------------------------------------------------------------------
// by its run
// ---------------------------------------------------------------------------------------------------------------------

const ofRun = (run: Run.Run, now: DateTime.Utc): Explanation => {
  const { state } = run
  switch (state._tag) {
    case "Waiting":
      return of("Waiting", "It waits for the run before it of the same catch-up.", run)
    case "Queued":
      return of("Waiting", "It waits in the queue of its job until an instance in flight has ended.", run)
    case "Pending":
      return of("Waiting", pendingWords(run, now), run)
    case "Running":
      return started(run, `It is running on ${state.node} since ${text(state.startedAt)}`)
    case "Succeeded":
      return started(run, `It ran, and succeeded at ${text(state.finishedAt)}`)
    case "Failed":
      return started(run, `It ran, and failed at ${text(state.finishedAt)}: ${state.failure.message}`)
    case "Abandoned":
      return started(run, `It ran, and was abandoned at ${text(state.finishedAt)}, for its node died or was shut down`)
    case "Missed":
      return of("Missed", missedWords(run, state.finishedAt), run)
    case "Skipped":
      return of("Skipped", skippedWords(state.reason), run)
    case "Cancelled":
      return of("Cancelled", cancelledWords(state.reason, state.finishedAt), run)
  }
}

const LATE = Duration.seconds(1)

const started = (run: Run.Run, words: string): Explanation => {
  const late = Option.filter(Run.lateness(run), Duration.greaterThanOrEqualTo(LATE))
  const attempts = run.attempt > 1 ? `, in attempt ${run.attempt}` : ""
  return Option.match(late, {
    onNone: () => of("Ran", `${words}${attempts}.`, run),
    onSome: (late) => of("RanLate", `${words}${attempts}; it started ${Duration.format(late)} after it was due.`, run)
  })
}

const pendingWords = ({ failures, runAt }: Run.Run, now: DateTime.Utc): string => {
  if (DateTime.lessThanOrEqualTo(runAt, now)) return "It is due, and waits for a free slot of a node that has its task."
  const why = failures > 0 ? `attempt ${failures} failed, and the next one is` : "it is"
  return `It has not started: ${why} due at ${text(runAt)}.`
}

const missedWords = ({ dueAt, startBy }: Run.Run, at: DateTime.Utc): string => {
  const late = Duration.format(DateTime.distanceDuration(dueAt, at))
  const deadline = Option.match(startBy, { onNone: () => "", onSome: (by) => `, which ended at ${text(by)}` })
  return `It did not run: ${late} after it was due it was later than its misfireGraceTime allows${deadline}.`
}

const skippedWords = (reason: "maxInstances" | "queueLimit"): string =>
  reason === "maxInstances"
    ? "It was skipped: as many runs of the job as maxInstances allows were in flight."
    : "It was skipped: as many runs of the job as queueLimit allows were waiting already."

const cancelledWords = (reason: Run.CancelReason, at: DateTime.Utc): string => {
  const why = {
    requested: "somebody called it off",
    overlap: `a later run of the job took its place (overlap: "cancelPrevious")`,
    removed: "its job was removed"
  }
  return `It was cancelled at ${text(at)}: ${why[reason]}.`
}

const ofCover = (run: Run.Run): Explanation => {
  const at = text(run.scheduledAt)
  return Option.exists(run.covers, ({ as }) => as === "dropped")
    ? of("Dropped", `It did not run: with the run of ${at}, more times had been missed than catchUpLimit allows.`, run)
    : of("Coalesced", `It did not run by itself: the run of ${at} stands for it (coalesce).`, run)
}

// ---------------------------------------------------------------------------------------------------------------------
// by its job
// ---------------------------------------------------------------------------------------------------------------------

const ofNothing = ({ runs }: Evidence): Explanation =>
  of("Unknown", `There is no such job${runs.length === 0 ? "" : " any more, and no record of a run at that time"}.`)

const ofJob = (job: Job.Job, evidence: Evidence): Explanation => {
  const { at, now } = evidence
  if (DateTime.lessThanOrEqualTo(at, job.addedAt))
    return of("NotYetAdded", `The job was added at ${text(job.addedAt)}.`)
  const paused = pausedAt(job, at)
  if (paused !== undefined) return paused
  if (job.state._tag === "Parked" && DateTime.lessThanOrEqualTo(job.state.at, at)) {
    return of("Parked", `The job is parked since ${text(job.state.at)}: ${job.state.reason}.`)
  }
  if (!occursAt(job, at)) return ofOtherTime(job, at)
  if (DateTime.greaterThan(at, now) || Option.exists(job.nextRunTime, DateTime.lessThanOrEqualTo(at))) {
    return ofFuture(job, at)
  }
  if (job.state._tag === "Finished") return of("Finished", "The job had made all its runs.")
  return of(
    "Unknown",
    "It was due then, but there is no record of it: its history is no longer kept, or it lies ahead."
  )
}

const pausedAt = (job: Job.Job, at: DateTime.Utc): Explanation | undefined => {
  if (job.state._tag === "Paused" && DateTime.lessThanOrEqualTo(job.state.at, at)) {
    return of("Paused", `The job is paused since ${text(job.state.at)}${byWhom(job.state)}.`)
  }
  const last = Option.filter(job.lastPause, ({ from, to }) => DateTime.between(at, { minimum: from, maximum: to }))
  if (Option.isNone(last)) return undefined
  return of(
    "Paused",
    `The job was paused from ${text(last.value.from)} to ${text(last.value.to)}${byWhom(last.value)}.`
  )
}

const byWhom = ({ by, note }: Pick<Job.Pause, "by" | "note">): string =>
  `${Option.match(by, { onNone: () => "", onSome: (by) => ` by ${by}` })}${Option.match(note, {
    onNone: () => "",
    onSome: (note) => `: ${note}`
  })}`

const ofOtherTime = (job: Job.Job, at: DateTime.Utc): Explanation => {
  const times = Job.occurrences(job)
  const before = Occurrences.instantOption(times.previous(at.epochMillis))
  const after = Occurrences.instantOption(times.next(at.epochMillis))
  const words = [
    ...Option.toArray(Option.map(before, (time) => `the time before is ${text(time)}`)),
    ...Option.toArray(Option.map(after, (time) => `the next one ${text(time)}`))
  ]
  return of(
    "NotDue",
    `It is not due then (${Trigger.describe(job.trigger)})${words.length > 0 ? ": " : ""}${words.join(", ")}.`
  )
}

const ofFuture = (job: Job.Job, at: DateTime.Utc): Explanation => {
  if (Option.isNone(job.nextRunTime) && !Trigger.isSpaced(job.trigger)) {
    return of("Finished", "The job has made all its runs.")
  }
  return of("Ahead", `It lies ahead: the job is due at ${text(at)} and has not come to it yet.`)
}
