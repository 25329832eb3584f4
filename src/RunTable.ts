/**
 * What a person sees of a scheduler at work: a table of its jobs for a terminal, and a line for each event for a log.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Job from "./Job.ts"
import * as Run from "./Run.ts"
import type { SchedulerEvent } from "./SchedulerEvent.ts"

/**
 * One job as the table shows it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Row {
  readonly name: string
  readonly schedule: string
  readonly next: Option.Option<DateTime.Utc>
  /** The run under way, or the last one that ended. */
  readonly run: Option.Option<Run.Run>
  readonly counts: { readonly succeeded: number; readonly failed: number; readonly notRun: number }
}

/**
 * The row of a job of which nothing has happened yet.
 *
 * @since 0.1.0
 * @category rows
 */
export const makeRow = (job: Job.Job, schedule: string): Row => ({
  name: job.name,
  schedule,
  next: job.nextRunTime,
  run: Option.none(),
  counts: { succeeded: 0, failed: 0, notRun: 0 }
})

/**
 * The row after something happened to its job.
 *
 * @since 0.1.0
 * @category rows
 */
export const update = (self: Row, event: SchedulerEvent, job: Option.Option<Job.Job>): Row => {
  const next = Option.flatMap(job, ({ nextRunTime }) => nextRunTime)
  if (!("run" in event) || event._tag === "RunSubmitted") return { ...self, next }
  return { ...self, next, run: Option.some(event.run), counts: count(self.counts, event._tag) }
}

const count = (counts: Row["counts"], tag: SchedulerEvent["_tag"]): Row["counts"] => {
  switch (tag) {
    case "RunSucceeded":
      return { ...counts, succeeded: counts.succeeded + 1 }
    case "RunFailed":
    case "RunAbandoned":
      return { ...counts, failed: counts.failed + 1 }
    case "RunMissed":
    case "RunSkipped":
    case "RunCancelled":
      return { ...counts, notRun: counts.notRun + 1 }
    default:
      return counts
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// words
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A duration to about three digits: `12ms`, `3.4s`, `2m05s`, `3h20m`.
 *
 * @since 0.1.0
 * @category words
 */
export const formatDuration = (duration: Duration.Duration): string => {
  const millis = Math.round(Duration.toMillis(duration))
  if (millis < 1000) return `${millis}ms`
  const seconds = millis / 1000
  if (seconds < 60) return `${seconds.toFixed(1)}s`
  const minutes = Math.floor(seconds / 60)
  const pad = (n: number) => String(n).padStart(2, "0")
  if (minutes < 60) return `${minutes}m${pad(Math.floor(seconds % 60))}s`
  return `${Math.floor(minutes / 60)}h${pad(minutes % 60)}m`
}

/**
 * An instant on the clock of a zone, to the second and with its offset: `2026-11-23 05:30:00+01:00`.
 *
 * @since 0.1.0
 * @category words
 */
export const formatInstant = (instant: DateTime.Utc, zone: DateTime.TimeZone): string => {
  const text = DateTime.formatIsoOffset(DateTime.setZone(instant, zone))
  return text.replace("T", " ").replace(/\.\d+/, "")
}

const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1)?.trim() ?? ""

const outcome = (run: Run.Run): string => {
  const { state } = run
  switch (state._tag) {
    case "Succeeded":
      return `ok in ${took(state)}${output(state.value)}`
    case "Failed":
      return `failed in ${took(state)}: ${lastLine(state.failure.message)}`
    case "Abandoned":
      return `abandoned after ${took(state)}`
    case "Skipped":
      return state.reason === "maxInstances" ? "skipped: the one before still runs" : "skipped: its queue is full"
    case "Running":
      return `running${run.attempt > 1 ? `, attempt ${run.attempt}` : ""}`
    case "Missed":
      return `missed: more than its grace too late at ${DateTime.formatIso(state.finishedAt)}`
    case "Cancelled":
      return "cancelled"
    case "Pending":
    case "Queued":
    case "Waiting":
      return "waiting"
  }
}

/** The last line of what a command wrote, if the value of its run has it. */
const output = (value: unknown): string => {
  const text = Predicate.hasProperty(value, "output") && typeof value.output === "string" ? lastLine(value.output) : ""
  return text === "" ? "" : `: ${text}`
}

const took = ({ finishedAt, startedAt }: { readonly startedAt: DateTime.Utc; readonly finishedAt: DateTime.Utc }) =>
  formatDuration(DateTime.distanceDuration(startedAt, finishedAt))

const late = (run: Run.Run): string =>
  Option.match(Run.lateness(run), { onNone: () => "", onSome: (lateness) => formatDuration(lateness) })

/**
 * A run as one line of a history.
 *
 * @since 0.1.0
 * @category words
 */
export const runLine = (run: Run.Run, zone: DateTime.TimeZone): string => {
  const lateness = Option.match(Run.lateness(run), {
    onNone: () => "",
    onSome: (duration) => `, ${formatDuration(duration)} late`
  })
  const attempts = run.attempt > 1 ? `, attempt ${run.attempt}` : ""
  return `${formatInstant(run.scheduledAt, zone)}  ${run.jobId}  ${outcome(run)}${lateness}${attempts}`
}

/**
 * An event as one line of a log, or none if it says nothing to a person.
 *
 * @since 0.1.0
 * @category words
 */
export const line = (event: SchedulerEvent, name: string, zone: DateTime.TimeZone): Option.Option<string> => {
  const at = "at" in event ? `${formatInstant(event.at, zone)}  ` : ""
  return Option.map(words(event, name, zone), (text) => `${at}${text}`)
}

const words = (event: SchedulerEvent, name: string, zone: DateTime.TimeZone): Option.Option<string> => {
  switch (event._tag) {
    case "RunStarted":
      return Option.some(
        `start    ${name}  (for ${formatInstant(event.run.scheduledAt, zone)}, ${late(event.run)} late${
          event.run.attempt > 1 ? `, attempt ${event.run.attempt}` : ""
        })`
      )
    case "RunSucceeded":
      return Option.some(`ok       ${name}  (${outcome(event.run).slice("ok ".length)})`)
    case "RunFailed":
    case "RunAbandoned":
      return Option.some(`FAILED   ${name}  (${outcome(event.run)})`)
    case "RunRetrying":
      return Option.some(`retry    ${name}  (${lastLine(event.failure.message)})`)
    case "RunMissed":
    case "RunSkipped":
    case "RunCancelled":
    case "RunReleased":
      return Option.some(
        `${event._tag.slice(3).toLowerCase().padEnd(8)} ${name}  (for ${formatInstant(event.run.scheduledAt, zone)})`
      )
    case "JobMissed":
      return Option.some(
        `missed   ${name}  (${event.dropped.isExact ? "" : "more than "}${event.dropped.count} times since ${formatInstant(event.dropped.first, zone)})`
      )
    case "JobParked":
      return Option.some(`PARKED   ${name}  (${event.reason})`)
    case "StoreUnavailable":
      return Option.some(`STORE    ${lastLine(event.message)}`)
    case "StoreRecovered":
      return Option.some("store    answers again")
    case "LeaseLost":
      return Option.some("LEASE    lost: what was under way is interrupted")
    case "EventsDropped":
      return Option.some(`         ${event.count} events are not shown`)
    default:
      return Option.none()
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// the table
// ---------------------------------------------------------------------------------------------------------------------

const HEADINGS = ["JOB", "SCHEDULE", "NEXT", "LATE", "OK", "FAILED", "NOT RUN", "LAST"]

const cells = (row: Row, now: DateTime.Utc, zone: DateTime.TimeZone): ReadonlyArray<string> => [
  row.name,
  row.schedule,
  Option.match(row.next, { onNone: () => "-", onSome: (next) => `${formatInstant(next, zone).slice(5, 19)}` }),
  Option.match(row.run, { onNone: () => "", onSome: late }),
  String(row.counts.succeeded),
  String(row.counts.failed),
  String(row.counts.notRun),
  Option.match(row.run, { onNone: () => "", onSome: (run) => status(run, now) })
]

const status = (run: Run.Run, now: DateTime.Utc): string =>
  Run.isRunning(run)
    ? `${outcome(run)} for ${formatDuration(DateTime.distanceDuration(run.state.startedAt, now))}`
    : outcome(run)

const WIDEST = 40

/**
 * The rows as aligned lines, none longer than `width` columns.
 *
 * @since 0.1.0
 * @category table
 */
export const render = (
  rows: ReadonlyArray<Row>,
  options: { readonly now: DateTime.Utc; readonly zone: DateTime.TimeZone; readonly width: number }
): ReadonlyArray<string> => {
  const table = [HEADINGS, ...rows.map((row) => cells(row, options.now, options.zone))]
  const widths = HEADINGS.map((_, column) => Math.min(WIDEST, Math.max(...table.map((line) => line[column]!.length))))
  return table.map((line) =>
    line
      .map((cell, column) =>
        column === HEADINGS.length - 1 ? cell : shorten(cell, widths[column]!).padEnd(widths[column]!)
      )
      .join("  ")
      .slice(0, options.width)
      .trimEnd()
  )
}

/**
 * A text of at most `width` characters.
 *
 * @since 0.1.0
 * @category words
 */
export const shorten = (text: string, width: number): string =>
  text.length > width ? `${text.slice(0, width - 1)}…` : text
