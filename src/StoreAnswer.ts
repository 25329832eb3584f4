/**
 * The words in which a job store is asked and answers: filters, changes, steps, claims.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import type * as Job from "./Job.ts"
import { defaults, type Policy } from "./Policy.ts"
import * as Run from "./Run.ts"

/**
 * The name of the store of jobs for which nobody named another one.
 *
 * @since 0.1.0
 * @category constants
 */
export const DEFAULT_STORE = "default"

/**
 * What `add` does with an id that is taken: refuse, put the new job in the place of the old one, or leave the old one.
 *
 * @since 0.1.0
 * @category models
 */
export type OnConflict = "fail" | "replace" | "keep"

/**
 * What became of a job that was declared.
 *
 * @since 0.1.0
 * @category models
 */
export interface Change {
  readonly _tag: "Added" | "Replaced" | "Kept"
  readonly job: Job.Job
}

/**
 * What `reconcile` did to each job of a group.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reconciliation {
  readonly changes: ReadonlyArray<Change>
  /** The jobs of the group that were not declared: removed, or only reported if that was asked for. */
  readonly absent: ReadonlyArray<Removal>
}

/**
 * A job that is gone, with its runs that had not started.
 *
 * @since 0.1.0
 * @category models
 */
export interface Removal {
  readonly job: Job.Job
  readonly cancelled: ReadonlyArray<Run.Run>
}

/**
 * A run after a step, and its job; `isFinished` when the step was the last one of the job's last run, which ended the
 * job.
 *
 * @since 0.1.0
 * @category models
 */
export interface Step<R extends Run.Run = Run.Run> {
  readonly run: R
  readonly job: Option.Option<Job.Job>
  readonly isFinished: boolean
}

/**
 * What one claim made of a due job; `cancelled` are the runs that gave way to newer ones before they had started.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClaimedJob extends Job.Advance {
  readonly cancelled: ReadonlyArray<Run.Run>
  readonly isFinished: boolean
}

/**
 * Who starts what it claims: a node, of these tasks, with so much room on its executors by their names.
 *
 * @since 0.1.0
 * @category models
 */
export interface Start {
  readonly node: string
  readonly tasks: ReadonlySet<string>
  readonly room: ReadonlyMap<string, number>
}

/**
 * What one claim made of the due jobs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Claim {
  readonly advances: ReadonlyArray<ClaimedJob>
  /** Jobs that could not be read and were parked: id and reason. */
  readonly parked: ReadonlyArray<{ readonly jobId: string; readonly reason: string }>
  /** What was started at once; the runs of `advances` are as they were before. */
  readonly started: ReadonlyArray<Step>
}

/**
 * Jobs by what they are; every field given must hold. `labels` must all be there with these values. `after` and `limit`
 * page through the jobs in the order of their ids; without `limit` there is one page.
 *
 * @since 0.1.0
 * @category models
 */
export interface JobFilter {
  /** One of the stores of a scheduler; without it, all of them. A store itself does not look at it. */
  readonly store?: string | undefined
  readonly group?: string | undefined
  readonly task?: string | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly states?: ReadonlyArray<Job.JobState["_tag"]> | undefined
  /** The last id of the page before. */
  readonly after?: string | undefined
  readonly limit?: number | undefined
}

/**
 * Runs by job, task, state and nominal time (`from` and `to`, both inclusive), newest first unless `order` says otherwise.
 * `limit` defaults to 100; `after` is the last run of the page before.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunFilter {
  /** One of the stores of a scheduler; without it, all of them. A store itself does not look at it. */
  readonly store?: string | undefined
  readonly jobId?: string | undefined
  readonly task?: string | undefined
  readonly states?: ReadonlyArray<Run.RunState["_tag"]> | undefined
  readonly from?: DateTime.Utc | undefined
  readonly to?: DateTime.Utc | undefined
  readonly after?: Pick<Run.Run, "id" | "scheduledAt"> | undefined
  readonly order?: "newest" | "oldest" | undefined
  readonly limit?: number | undefined
}

/**
 * When the next claim, start and recovery may find something, in milliseconds since 1970 and `Infinity` if never; and the
 * runs of the node that somebody has called off: it has to interrupt them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wakes {
  readonly claim: number
  readonly start: number
  readonly recover: number
  readonly cancelled: ReadonlyArray<string>
}

/**
 * The first time at which there may be something to do.
 *
 * @since 0.1.0
 * @category queries
 */
export const soonest = ({ claim, recover, start }: Wakes): number => Math.min(claim, start, recover)

/**
 * How much a store holds: jobs, and runs that wait for their job, for a slot, or are under way.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counts {
  readonly jobs: number
  readonly queued: number
  readonly pending: number
  readonly running: number
}

/**
 * The policy that settles a run whose job was removed meanwhile: nothing of it starts again.
 *
 * @since 0.1.0
 * @category policies
 */
export const orphanPolicy: Policy = { ...defaults, onCrash: "abandon" }

/**
 * What a run whose job was removed meanwhile is after an attempt: ended, even where the attempt did not begin.
 *
 * @since 0.1.0
 * @category policies
 */
export const settleOrphan = (run: Run.Running, outcome: Run.Outcome, now: DateTime.Utc): Run.Run => {
  const { cancelled = "removed" } = run.state
  return Run.settle({ ...run, state: { ...run.state, cancelled } }, orphanPolicy, outcome, now)
}

/**
 * Whether a job is one of those that a filter means, wherever its page begins.
 *
 * @since 0.1.0
 * @category queries
 */
export const isMatch = (filter: JobFilter, job: Job.Job): boolean =>
  (filter.group === undefined || Option.contains(job.group, filter.group)) &&
  (filter.task === undefined || job.task === filter.task) &&
  (filter.states === undefined || filter.states.includes(job.state._tag)) &&
  Object.entries(filter.labels ?? {}).every(([name, value]) => job.labels[name] === value)

/**
 * Whether a run is one of those that a filter means, `after` included.
 *
 * @since 0.1.0
 * @category queries
 */
export const isRunMatch = (filter: RunFilter, run: Run.Run): boolean =>
  (filter.jobId === undefined || run.jobId === filter.jobId) &&
  (filter.task === undefined || run.task === filter.task) &&
  (filter.states === undefined || filter.states.includes(run.state._tag)) &&
  (filter.from === undefined || run.scheduledAt.epochMillis >= filter.from.epochMillis) &&
  (filter.to === undefined || run.scheduledAt.epochMillis <= filter.to.epochMillis) &&
  (filter.after === undefined || inOrder(filter)(filter.after, run) < 0)

type Place = Pick<Run.Run, "id" | "scheduledAt">

/**
 * The order in which a filter lists runs.
 *
 * @since 0.1.0
 * @category queries
 */
export const inOrder = ({ order }: RunFilter): ((a: Place, b: Place) => number) =>
  order === "oldest" ? (a, b) => newestFirst(b, a) : newestFirst

const newestFirst = (a: Place, b: Place): number =>
  b.scheduledAt.epochMillis - a.scheduledAt.epochMillis || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0)

/**
 * A run that somebody asked for, and those that gave way to it before they had started.
 *
 * @since 0.1.0
 * @category models
 */
export interface Fired {
  readonly run: Run.Run
  readonly cancelled: ReadonlyArray<Run.Run>
}
