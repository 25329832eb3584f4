/**
 * Where jobs and runs live, and the only truth about who holds a run: the port, and the store in memory.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import type * as Job from "./Job.ts"
import { Ledger } from "./Ledger.ts"
import * as NamedService from "./NamedService.ts"
import type * as Run from "./Run.ts"
import type { Progress } from "./RunContext.ts"
import { JobExists, JobNotFound, RunNotFound, type StoreError } from "./SchedulerError.ts"
import type {
  Change,
  Claim,
  Counts,
  Fired,
  JobFilter,
  OnConflict,
  Reconciliation,
  Removal,
  RunFilter,
  Start,
  Step,
  Wakes
} from "./StoreAnswer.ts"

export type * from "./StoreAnswer.ts"
export { soonest } from "./StoreAnswer.ts"

/**
 * The times by which the schedulers on a store live: how long they sleep at most, how long a node is trusted after its
 * last sign of life, and how often it gives one. All infinite where only one process can reach the store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Timing {
  readonly poll: Duration.Duration
  readonly lease: Duration.Duration
  readonly renewal: Duration.Duration
}

/**
 * The store. Every operation is one transaction; all time comes from its caller.
 *
 * @since 0.1.0
 * @category context
 */
export class JobStore extends Context.Tag("effect-scheduler/JobStore")<
  JobStore,
  {
    readonly timing: Timing
    /** A hint that something may be due earlier than was said; never the only way to learn of it. */
    readonly changes: Stream.Stream<void>
    /** Stores jobs, all or none, in the order given; tells now and then how many are stored. */
    readonly add: (
      jobs: ReadonlyArray<Job.Job>,
      onConflict: OnConflict,
      onProgress?: (stored: number) => Effect.Effect<void>
    ) => Effect.Effect<ReadonlyArray<Change>, JobExists | StoreError>
    readonly get: (id: string) => Effect.Effect<Option.Option<Job.Job>, StoreError>
    /** Jobs in the order of their ids. */
    readonly list: (filter: JobFilter) => Effect.Effect<ReadonlyArray<Job.Job>, StoreError>
    /** Replaces one job by a pure function of it. */
    readonly update: (id: string, change: (job: Job.Job) => Job.Job) => Effect.Effect<Job.Job, JobNotFound | StoreError>
    /** Replaces all jobs that match by a pure function of each; gives those that it changed. */
    readonly updateAll: (
      filter: JobFilter,
      change: (job: Job.Job) => Job.Job
    ) => Effect.Effect<ReadonlyArray<Job.Job>, StoreError>
    /** Removes a job and cancels its runs that have not started; those under way go on. */
    readonly remove: (id: string, now: DateTime.Utc) => Effect.Effect<Removal, JobNotFound | StoreError>
    /** Removes all jobs that match, each as `remove` does. */
    readonly removeAll: (filter: JobFilter, now: DateTime.Utc) => Effect.Effect<ReadonlyArray<Removal>, StoreError>
    /** Makes the jobs of a group be those declared; unchanged ones are not touched, absent ones removed or reported. */
    readonly reconcile: (options: {
      readonly group: string
      readonly jobs: ReadonlyArray<Job.Job>
      readonly absent: "remove" | "report"
      readonly now: DateTime.Utc
    }) => Effect.Effect<Reconciliation, StoreError>
    readonly run: (runId: string) => Effect.Effect<Option.Option<Run.Run>, StoreError>
    readonly runs: (filter: RunFilter) => Effect.Effect<ReadonlyArray<Run.Run>, StoreError>
    /** Inserts a run outside the trigger, under the job's limits; the job's cursor stays. */
    readonly fire: (
      id: string,
      now: DateTime.Utc,
      origin?: Run.Origin
    ) => Effect.Effect<Fired, JobNotFound | StoreError>
    /** Puts runs behind all others of their job, to be promoted one at a time; leaves out those that exist. */
    readonly backfill: (
      id: string,
      runs: (job: Job.Job) => ReadonlyArray<Run.Run>
    ) => Effect.Effect<ReadonlyArray<Run.Run>, JobNotFound | StoreError>
    /** Calls a run off, or asks its node to; one that has ended stays as it is. */
    readonly cancel: (runId: string, now: DateTime.Utc) => Effect.Effect<Step, RunNotFound | StoreError>
    /**
     * The tick: turns due jobs into runs by `Job.advance` and moves them on, the longest due first. With `start`, for a
     * node that knows of no other runs that may start, it starts at once what it made, as `start` does; but nothing that
     * would come after what is due and beyond the limit.
     */
    readonly claim: (options: {
      readonly now: DateTime.Utc
      readonly limit: number
      readonly start?: Start | undefined
    }) => Effect.Effect<Claim, StoreError>
    /** Hands out runs of one executor that may start, by priority and then by time, each with its next attempt number. */
    readonly start: (options: {
      readonly node: string
      readonly now: DateTime.Utc
      readonly limit: number
      readonly tasks: ReadonlySet<string>
      readonly executor: string
    }) => Effect.Effect<ReadonlyArray<Step>, StoreError>
    /**
     * Records how attempts ended. An attempt that is no longer the holder changes nothing and is left out. With `start`, for
     * a node that knows that others wait for these places, it then starts what may start, as `start` does; those steps are
     * the last ones.
     */
    readonly settle: (
      settlements: ReadonlyArray<{ readonly run: Run.Running; readonly outcome: Run.Outcome }>,
      now: DateTime.Utc,
      start?: Start
    ) => Effect.Effect<ReadonlyArray<Step>, StoreError>
    /** Records how far attempts are. An attempt that is no longer the holder changes nothing and is left out. */
    readonly report: (
      reports: ReadonlyArray<{ readonly run: Run.Running; readonly progress: Progress }>
    ) => Effect.Effect<ReadonlyArray<Run.Running>, StoreError>
    /** Registers a node for the length of a lease, under an id that no other one has had. */
    readonly register: (options: {
      readonly now: DateTime.Utc
      readonly lease: Duration.Duration
    }) => Effect.Effect<string, StoreError>
    /** Prolongs a node's registration; false if it was taken for dead in the meantime. */
    readonly renew: (options: {
      readonly node: string
      readonly now: DateTime.Utc
      readonly lease: Duration.Duration
    }) => Effect.Effect<boolean, StoreError>
    /** Settles, as crashed, the runs of nodes whose time is over or that are not known, and forgets those nodes. */
    readonly recover: (options: {
      readonly now: DateTime.Utc
      readonly limit: number
    }) => Effect.Effect<ReadonlyArray<Step>, StoreError>
    /** Forgets a node that ended in order. */
    readonly release: (node: string) => Effect.Effect<void, StoreError>
    /** Forgets ended runs, and finished jobs, that their retention does not keep any longer; says how many runs. */
    readonly prune: (now: DateTime.Utc) => Effect.Effect<number, StoreError>
    readonly counts: Effect.Effect<Counts, StoreError>
    /** When a claim, a start of these tasks on these executors, and a recovery may find something; and what to interrupt. */
    readonly nextWake: (options: {
      readonly node: string
      readonly tasks: ReadonlySet<string>
      readonly executors: ReadonlySet<string>
    }) => Effect.Effect<Wakes, StoreError>
  }
>() {}

// ---------------------------------------------------------------------------------------------------------------------
// in memory
// ---------------------------------------------------------------------------------------------------------------------

/**
 * @since 0.1.0
 * @category models
 */
export interface MemoryOptions {
  /** How many ended runs are remembered at most, whatever the jobs' retention says. Default: 10 000. */
  readonly history?: number | undefined
}

const find = (ledger: Ledger, id: string): Effect.Effect<Job.Job, JobNotFound> =>
  Effect.suspend(() => {
    const job = ledger.job(id)
    return job === undefined ? new JobNotFound({ jobId: id }) : Effect.succeed(job)
  })

const add = (
  ledger: Ledger,
  jobs: ReadonlyArray<Job.Job>,
  onConflict: OnConflict
): Effect.Effect<ReadonlyArray<Change>, JobExists> =>
  Effect.suspend(() => {
    const taken = onConflict === "fail" ? ledger.firstTaken(jobs) : undefined
    if (taken !== undefined) return new JobExists({ jobId: taken })
    return Effect.succeed(jobs.map((job) => ledger.declare(job, onConflict)))
  })

const cancel = (ledger: Ledger, runId: string, now: DateTime.Utc): Effect.Effect<Step, RunNotFound> =>
  Effect.suspend(() => {
    const run = ledger.run(runId)
    return run === undefined ? new RunNotFound({ runId }) : Effect.succeed(ledger.cancel(run, "requested", now))
  })

/** Waits between two pages, so that others get their turn, and nothing else. */
const tellProgress = (
  changes: ReadonlyArray<Change>,
  onProgress: ((stored: number) => Effect.Effect<void>) | undefined
): Effect.Effect<void> => (onProgress === undefined ? Effect.void : onProgress(changes.length))

const jobOperations = (ledger: Ledger, announce: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>) =>
  ({
    add: (jobs, onConflict, onProgress) =>
      Effect.tap(announce(add(ledger, jobs, onConflict)), (changes) => tellProgress(changes, onProgress)),
    get: (id) => Effect.sync(() => Option.fromNullable(ledger.job(id))),
    list: (filter) => Effect.sync(() => ledger.list(filter)),
    update: (id, change) => announce(Effect.map(find(ledger, id), (job) => ledger.update(change(job)))),
    updateAll: (filter, change) =>
      announce(
        Effect.sync(() =>
          ledger.list(filter).flatMap((job) => {
            const changed = change(job)
            return changed === job ? [] : [ledger.update(changed)]
          })
        )
      ),
    remove: (id, now) => Effect.map(find(ledger, id), (job) => ledger.remove(job, now)),
    removeAll: (filter, now) => Effect.sync(() => ledger.list(filter).map((job) => ledger.remove(job, now))),
    reconcile: ({ absent, group, jobs, now }) => announce(Effect.sync(() => ledger.reconcile(group, jobs, absent, now)))
  }) satisfies Partial<JobStore["Type"]>

const runOperations = (ledger: Ledger, announce: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>) =>
  ({
    run: (runId) => Effect.sync(() => Option.fromNullable(ledger.run(runId))),
    runs: (filter) => Effect.sync(() => ledger.runs(filter)),
    fire: (id, now, origin) => announce(Effect.map(find(ledger, id), (job) => ledger.fire(job, now, origin))),
    backfill: (id, runs) => announce(Effect.map(find(ledger, id), (job) => ledger.backfill(job, runs(job)))),
    cancel: (runId, now) => announce(cancel(ledger, runId, now)),
    prune: (now) => Effect.sync(() => ledger.prune(now)),
    counts: Effect.sync(() => ledger.counts())
  }) satisfies Partial<JobStore["Type"]>

const tickOperations = (ledger: Ledger) =>
  ({
    claim: ({ limit, now, start }) => Effect.sync(() => ledger.claim(now, limit, start)),
    start: ({ executor, limit, node, now, tasks }) =>
      Effect.sync(() => ledger.start({ executor, limit, node, now, tasks })),
    settle: (settlements, now, start) =>
      Effect.sync(() => {
        const steps = settlements.flatMap(({ outcome, run }) => ledger.settle(run, outcome, now) ?? [])
        return start === undefined ? steps : [...steps, ...ledger.startAll(start, now)]
      }),
    report: (reports) => Effect.sync(() => reports.flatMap(({ progress, run }) => ledger.report(run, progress) ?? [])),
    register: ({ lease, now }) => Effect.sync(() => ledger.register(now, lease)),
    renew: ({ lease, node, now }) => Effect.sync(() => ledger.renew(node, now, lease)),
    recover: ({ limit, now }) => Effect.sync(() => ledger.recover(now, limit)),
    release: (node) => Effect.sync(() => ledger.release(node)),
    nextWake: (options) => Effect.sync(() => ledger.nextWake(options))
  }) satisfies Partial<JobStore["Type"]>

/**
 * A store that lives and dies with the process, and holds to the same rules as the others.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMemory = (options: MemoryOptions = {}): Effect.Effect<JobStore["Type"]> =>
  Effect.gen(function* () {
    const ledger = new Ledger(options.history)
    const hub = yield* PubSub.sliding<void>(1)
    const announce = <A, E>(effect: Effect.Effect<A, E>) => Effect.tap(effect, () => hub.publish(undefined))
    return JobStore.of({
      timing: { poll: Duration.infinity, lease: Duration.infinity, renewal: Duration.infinity },
      changes: Stream.fromPubSub(hub),
      ...jobOperations(ledger, announce),
      ...runOperations(ledger, announce),
      ...tickOperations(ledger)
    })
  })

/**
 * The store in memory, with 10 000 ended runs.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<JobStore> = Layer.effect(JobStore, makeMemory())

/**
 * Gives a store a name, by which jobs are put into it: `add(task, { store: "archive" })`. A scheduler has any number of
 * such stores beside the one without a name: `JobStore.named("archive", SqlJobStore.layer())`. Each is built anew.
 *
 * @since 0.1.0
 * @category layers
 */
export const named = <Name extends string, E, R>(
  name: Name,
  store: Layer.Layer<JobStore, E, R>
): Layer.Layer<NamedService.Named<JobStore, Name>, E, R> => NamedService.layer(JobStore, name, store)
