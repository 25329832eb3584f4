/**
 * The small world in which the conformance of job stores is checked: a clock of seconds, jobs that are due every
 * minute, and the operations of the store in few words.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import assert from "node:assert/strict"
import * as Job from "./Job.ts"
import { type JobFilter, JobStore, soonest, type Wakes } from "./JobStore.ts"
import * as Policy from "./Policy.ts"
import * as Run from "./Run.ts"
import * as Trigger from "./Trigger.ts"

/**
 * A promise of the port, and an Effect that fails or dies where a store breaks it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Check {
  readonly name: string
  readonly check: Effect.Effect<void, unknown, JobStore>
}

const T0 = 1_767_225_600_000

/**
 * So many seconds after the beginning of 2026.
 *
 * @since 0.1.0
 * @category time
 */
export const at = (seconds: number): DateTime.Utc => DateTime.unsafeMake(T0 + seconds * 1000)

/**
 * @since 0.1.0
 * @category time
 */
export const lease = Duration.seconds(15)

/**
 * @since 0.1.0
 * @category jobs
 */
export const work = new Set(["Work"])

/**
 * @since 0.1.0
 * @category jobs
 */
export const executors = new Set([Policy.DEFAULT_EXECUTOR])

/**
 * @since 0.1.0
 * @category jobs
 */
export const everyMinute = Trigger.interval({ minutes: 1 })

/**
 * A job of the task `Work`, every minute from second 0 on.
 *
 * @since 0.1.0
 * @category jobs
 */
export const make = (
  id: string,
  options: Policy.PolicyOptions & Omit<Partial<Parameters<typeof Job.make>[0]>, "policy" | "id"> = {}
): Job.Job => {
  const {
    group,
    isPaused,
    labels,
    name,
    now = at(0),
    origin,
    payload,
    task = "Work",
    trigger = everyMinute,
    ...own
  } = options
  const policy = Policy.override(Policy.defaults, own)
  return Job.make({ id, group, isPaused, labels, name, now, origin, payload, task, trigger, policy })
}

/**
 * @since 0.1.0
 * @category jobs
 */
export const add = (...jobs: ReadonlyArray<Job.Job>) => Effect.flatMap(JobStore, (_) => _.add(jobs, "fail"))

/**
 * @since 0.1.0
 * @category jobs
 */
export const get = (id: string) => Effect.flatMap(JobStore, (_) => _.get(id))

/**
 * @since 0.1.0
 * @category runs
 */
export const claim = (seconds: number, limit = 100) =>
  Effect.flatMap(JobStore, (_) => Effect.map(_.claim({ now: at(seconds), limit }), ({ advances }) => advances))

/**
 * @since 0.1.0
 * @category runs
 */
export const register = (seconds = 0) => Effect.flatMap(JobStore, (_) => _.register({ now: at(seconds), lease }))

/**
 * @since 0.1.0
 * @category runs
 */
export const start = (
  node: string,
  seconds: number,
  limit = 100,
  tasks: ReadonlySet<string> = work,
  executor = Policy.DEFAULT_EXECUTOR
) => Effect.flatMap(JobStore, (_) => _.start({ node, now: at(seconds), limit, tasks, executor }))

/**
 * @since 0.1.0
 * @category runs
 */
export const fire = (id: string, seconds: number) =>
  Effect.flatMap(JobStore, (_) => Effect.map(_.fire(id, at(seconds)), ({ run }) => run))

/**
 * @since 0.1.0
 * @category runs
 */
export const history = (jobId?: string) => Effect.flatMap(JobStore, (_) => _.runs({ jobId }))

/**
 * @since 0.1.0
 * @category runs
 */
export const recover = (seconds: number) => Effect.flatMap(JobStore, (_) => _.recover({ now: at(seconds), limit: 100 }))

/**
 * Starts runs, and gives those that are under way.
 *
 * @since 0.1.0
 * @category runs
 */
export const running = (node: string, seconds: number, limit = 100) =>
  Effect.map(start(node, seconds, limit), (steps) => steps.map(({ run }) => run).filter(Run.isRunning))

/**
 * The only one of some values.
 *
 * @since 0.1.0
 * @category values
 */
export const one = <A>(values: ReadonlyArray<A>): A => {
  assert.equal(values.length, 1)
  return values[0] as A
}

/**
 * @since 0.1.0
 * @category runs
 */
export const succeeded: Run.Outcome = { _tag: "Succeeded" }

/**
 * @since 0.1.0
 * @category runs
 */
export const failed: Run.Outcome = { _tag: "Failed", failure: { kind: "Error", message: "no" } }

/**
 * @since 0.1.0
 * @category runs
 */
export const settle = (run: Run.Running, outcome: Run.Outcome, seconds: number) =>
  Effect.flatMap(JobStore, (_) => _.settle([{ run, outcome }], at(seconds)))

/**
 * Runs as the second of their nominal time and their state.
 *
 * @since 0.1.0
 * @category values
 */
export const states = (runs: ReadonlyArray<Run.Run>) =>
  runs.map(({ scheduledAt, state }) => `${(scheduledAt.epochMillis - T0) / 1000} ${state._tag}`)

/**
 * @since 0.1.0
 * @category values
 */
export const seconds = (time: Option.Option<DateTime.Utc>) =>
  Option.getOrUndefined(Option.map(time, (_) => (_.epochMillis - T0) / 1000))

/**
 * @since 0.1.0
 * @category constructors
 */
export const wakeSeconds = (wakes: Wakes) => seconds(DateTime.make(soonest(wakes)))

/**
 * @since 0.1.0
 * @category constructors
 */
export const check = (name: string, effect: Effect.Effect<void, unknown, JobStore>): Check => ({ name, check: effect })

/**
 * A job that is there.
 *
 * @since 0.1.0
 * @category jobs
 */
export const job = (id: string) => Effect.map(get(id), Option.getOrThrow)

/**
 * The only run of one claim of one job.
 *
 * @since 0.1.0
 * @category runs
 */
export const claimed = (seconds: number) => Effect.map(claim(seconds), (advances) => one(one(advances).runs))

/**
 * @since 0.1.0
 * @category runs
 */
export const cancel = (run: Pick<Run.Run, "id">, seconds: number) =>
  Effect.flatMap(JobStore, (_) => _.cancel(run.id, at(seconds)))

/**
 * @since 0.1.0
 * @category runs
 */
export const cancellations = (node: string) =>
  Effect.map(
    Effect.flatMap(JobStore, (_) => _.nextWake({ node, tasks: new Set(), executors })),
    ({ cancelled }) => cancelled
  )

/**
 * Asks for runs at `now` of a job's past times.
 *
 * @since 0.1.0
 * @category runs
 */
export const backfill = (id: string, times: ReadonlyArray<number>, now: number) =>
  Effect.flatMap(JobStore, (_) => _.backfill(id, (job) => times.map((time) => Run.backfill(job, at(time), at(now)))))

/**
 * @since 0.1.0
 * @category runs
 */
export const cancelled: Run.Outcome = { _tag: "Cancelled" }

/**
 * @since 0.1.0
 * @category values
 */
export const idOf = ({ id }: { readonly id: string }): string => id

/**
 * The ids of the jobs that match.
 *
 * @since 0.1.0
 * @category jobs
 */
export const ids = (filter: JobFilter) =>
  Effect.flatMap(JobStore, (_) => Effect.map(_.list(filter), (jobs) => jobs.map(({ id }) => id)))
