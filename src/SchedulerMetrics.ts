/**
 * What schedulers measure, through Effect's own `Metric`, so that any exporter takes it: runs by task and outcome, how
 * late they start, how long they take, and how much there is.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import type * as MetricKeyType from "effect/MetricKeyType"
import * as Run from "./Run.ts"
import type { Counts } from "./StoreAnswer.ts"

const counter = (name: string, description: string) =>
  Metric.counter(`effect_scheduler_${name}`, { description, incremental: true })

const gauge = (name: string, description: string) => Metric.gauge(`effect_scheduler_${name}`, { description })

const seconds = (name: string, description: string) =>
  MetricKey.histogram(
    `effect_scheduler_${name}_seconds`,
    MetricBoundaries.fromIterable([0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600]),
    description
  )

const runsKey = MetricKey.counter("effect_scheduler_runs", {
  description: "Runs by task and outcome",
  incremental: true
})
const latenessKey = seconds("run_lateness", "From when a run is due to the start of its first attempt")
const durationKey = seconds("run_duration", "From the start of an attempt to its end")

/**
 * Steps of runs, tagged with `task` and `outcome`: the end of each (`Succeeded`, `Failed`, `Missed`, `Skipped`,
 * `Cancelled`, `Abandoned`), and attempts that are followed by another one (`Retrying`, `Released`).
 *
 * @since 0.1.0
 * @category metrics
 */
export const runs = Metric.fromMetricKey(runsKey)

/**
 * How long after they were due (jitter included) runs start, tagged with `task`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const lateness = Metric.fromMetricKey(latenessKey)

/**
 * How long attempts take, tagged with `task`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const duration = Metric.fromMetricKey(durationKey)

/**
 * Due times given up beyond `catchUpLimit`, without a record of their own.
 *
 * @since 0.1.0
 * @category metrics
 */
export const dropped = counter("dropped_occurrences", "Due times beyond catchUpLimit")

/**
 * Events that slow listeners lost.
 *
 * @since 0.1.0
 * @category metrics
 */
export const eventsDropped = counter("events_dropped", "Events lost to slow listeners")

/**
 * Ended runs that their retention no longer keeps.
 *
 * @since 0.1.0
 * @category metrics
 */
export const pruned = counter("history_pruned", "Ended runs that were forgotten")

/**
 * What the store holds, as each scheduler on it sees it once a minute.
 *
 * @since 0.1.0
 * @category metrics
 */
export const jobs = gauge("jobs", "Jobs in the store")

/**
 * @since 0.1.0
 * @category metrics
 */
export const queued = gauge("runs_queued", "Runs that wait for an instance of their job to end")

/**
 * @since 0.1.0
 * @category metrics
 */
export const pending = gauge("runs_pending", "Runs that wait for their time or for a slot")

/**
 * Runs that this process carries out.
 *
 * @since 0.1.0
 * @category metrics
 */
export const running = gauge("runs_running", "Runs under way in this process")

/** How one task is counted: metrics whose tags are part of their keys, for to tag them anew each time is slow. */
interface OfTask {
  readonly lateness: (seconds: number) => void
  readonly duration: (seconds: number) => void
  readonly outcomes: Map<string, (count: number) => void>
}

const byTask = new Map<string, OfTask>()

const update = <In>(key: MetricKey.MetricKey<MetricKeyType.MetricKeyType<In, unknown>>): ((input: In) => void) => {
  const metric = Metric.fromMetricKey(key)
  return (input) => metric.unsafeUpdate(input, [])
}

const ofTask = (task: string): OfTask => {
  const known = byTask.get(task)
  if (known !== undefined) return known
  const made: OfTask = {
    lateness: update(MetricKey.tagged(latenessKey, "task", task)),
    duration: update(MetricKey.tagged(durationKey, "task", task)),
    outcomes: new Map()
  }
  byTask.set(task, made)
  return made
}

const count = (task: string, outcome: string): void => {
  const { outcomes } = ofTask(task)
  let add = outcomes.get(outcome)
  if (add === undefined) {
    add = update(MetricKey.tagged(MetricKey.tagged(runsKey, "task", task), "outcome", outcome))
    outcomes.set(outcome, add)
  }
  add(1)
}

/**
 * Counts what became of a run in one step: its start, its end, or the end of an attempt that another one follows.
 *
 * @since 0.1.0
 * @category updates
 */
export const observe = (run: Run.Run, outcome: Run.Outcome | undefined): void => {
  const { state, task } = run
  if (state._tag === "Running") {
    if (run.attempt === 1) ofTask(task).lateness(DateTime.distance(run.dueAt, state.startedAt) / 1000)
    return
  }
  if (!Run.isLive(run)) count(task, state._tag)
  else if (outcome !== undefined) count(task, again(outcome))
}

/**
 * Measures an attempt that has ended at `now`.
 *
 * @since 0.1.0
 * @category updates
 */
export const observeAttempt = ({ state, task }: Run.Running, now: DateTime.Utc): void =>
  ofTask(task).duration(DateTime.distance(state.startedAt, now) / 1000)

const again = ({ _tag }: Run.Outcome): string => (_tag === "Failed" ? "Retrying" : "Released")

/**
 * Sets the gauges of what the store holds.
 *
 * @since 0.1.0
 * @category updates
 */
export const sample = (counts: Counts): void => {
  jobs.unsafeUpdate(counts.jobs, [])
  queued.unsafeUpdate(counts.queued, [])
  pending.unsafeUpdate(counts.pending, [])
}
