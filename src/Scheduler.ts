/**
 * The scheduler: public verbs that write to the store in the caller's fiber, and the actor that carries out what is due.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import * as DefaultServices from "effect/DefaultServices"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as Configuration from "./Configuration.ts"
import type { JobSettings, PayloadOption, Refusal } from "./Declaration.ts"
import * as Declaration from "./Declaration.ts"
import { Executor } from "./Executor.ts"
import type * as Explanation from "./Explanation.ts"
import * as Job from "./Job.ts"
import { type JobFilter, JobStore, type OnConflict, type RunFilter } from "./JobStore.ts"
import type { AddOptions, Modification, Reconciled } from "./JobVerbs.ts"
import * as JobVerbs from "./JobVerbs.ts"
import type * as LoopState from "./LoopState.ts"
import { NamedExecutors } from "./NamedExecutors.ts"
import * as NamedService from "./NamedService.ts"
import { NamedStores } from "./NamedStores.ts"
import * as Policy from "./Policy.ts"
import * as Run from "./Run.ts"
import * as RunVerbs from "./RunVerbs.ts"
import * as SchedulerActors from "./SchedulerActors.ts"
import {
  type InvalidArchive,
  type InvalidConfig,
  InvalidOption,
  type InvalidPayload,
  type JobExists,
  type JobNotFound,
  type RunNotFound,
  type RunUnsuccessful,
  type StoreError,
  type TaskNotFound,
  type TriggerExhausted
} from "./SchedulerError.ts"
import { makeHub, type SchedulerEvent } from "./SchedulerEvent.ts"
import * as Task from "./Task.ts"
import type * as Trigger from "./Trigger.ts"

export type { Declaration, JobSettings, PayloadOption, Refusal } from "./Declaration.ts"
export type { AddAllOptions, AddOptions, Modification, Reconciled } from "./JobVerbs.ts"

/**
 * Declares a job for `addAll` and `reconcile`, with its payload checked by the compiler.
 *
 * @since 0.1.0
 * @category constructors
 */
export const job: <T extends Task.Any>(
  task: T,
  options: JobSettings & PayloadOption<T> & { readonly id: string }
) => Declaration.Declaration = Declaration.make

/**
 * A verb for one job, by its id, or for all that match a filter, in one transaction; the filter `{}` means all jobs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Targeted<Args extends ReadonlyArray<unknown>, E = never> {
  (id: string, ...args: Args): Effect.Effect<Job.Job, JobNotFound | StoreError | E>
  (filter: JobFilter, ...args: Args): Effect.Effect<ReadonlyArray<Job.Job>, StoreError | E>
}

/** What a task declares by a Schema, and what there is where it declares none. */
type Declared<A, Otherwise> = unknown extends A ? Otherwise : A

/**
 * Why there is no answer from a run that was waited for.
 *
 * @since 0.1.0
 * @category errors
 */
export type Unanswered = RunUnsuccessful | RunNotFound | StoreError

/**
 * The scheduler. (`effect/Scheduler` is another thing, which applications hardly ever import.)
 *
 * @since 0.1.0
 * @category context
 */
export class Scheduler extends Context.Tag("effect-scheduler/Scheduler")<
  Scheduler,
  {
    /** Stores a job. The write is part of the transaction that the caller has open, if any. */
    readonly add: <T extends Task.Any>(
      task: T,
      ...options: undefined extends Task.Payload<T> ? [options?: AddOptions<T>] : [options: AddOptions<T>]
    ) => Effect.Effect<Job.Job, Refusal | JobExists | StoreError>
    /** Stores many jobs, all or none of those that go into one store: in one transaction for each store. */
    readonly addAll: (
      jobs: ReadonlyArray<Declaration.Declaration>,
      options?: JobVerbs.AddAllOptions
    ) => Effect.Effect<ReadonlyArray<Job.Job>, Refusal | JobExists | StoreError>
    readonly get: (id: string) => Effect.Effect<Option.Option<Job.Job>, StoreError>
    /** All jobs, or those that match, in the order of their ids; `limit` and `after` give them page by page. */
    readonly list: (filter?: JobFilter) => Effect.Effect<ReadonlyArray<Job.Job>, StoreError>
    /** The history: runs with the newest nominal time first, 100 unless `limit` says otherwise. */
    readonly runs: (filter?: RunFilter) => Effect.Effect<ReadonlyArray<Run.Run>, StoreError>
    /** The name of the store that has a job, `"default"` for the one without a name. */
    readonly storeOf: (id: string) => Effect.Effect<Option.Option<string>, StoreError>
    /**
     * Takes a job from the store that has it to another one, where it goes on where it stood. Its runs that have not started
     * are cancelled. If that is cut off, the job is parked and fires nowhere twice: to move it once more completes it.
     */
    readonly move: (
      id: string,
      store: string
    ) => Effect.Effect<Job.Job, InvalidOption | JobNotFound | JobExists | StoreError>
    /** Removes a job, or all that match, and cancels their runs that have not started; those under way go on. */
    readonly remove: {
      (id: string): Effect.Effect<void, JobNotFound | StoreError>
      (filter: JobFilter): Effect.Effect<ReadonlyArray<Job.Job>, StoreError>
    }
    /** Removes every job there is, and tells so with one event; says how many there were. */
    readonly removeAll: Effect.Effect<number, StoreError>
    /** Changes what is given and nothing else; a payload can only be given to one job. */
    readonly modify: {
      (
        id: string,
        changes: Modification
      ): Effect.Effect<Job.Job, JobNotFound | TaskNotFound | InvalidOption | InvalidPayload | StoreError>
      (
        filter: JobFilter,
        changes: Omit<Modification, "payload">
      ): Effect.Effect<ReadonlyArray<Job.Job>, InvalidOption | StoreError>
    }
    /** Puts a job on another trigger, in phase from now on. */
    readonly reschedule: Targeted<[trigger: Trigger.Trigger], TriggerExhausted>
    /** Makes no more runs of a job until `resume`; a note may say why, and by whom. `runNow` still works. */
    readonly pause: Targeted<[note?: string | Job.PauseNote]>
    /** Goes on from now (default), from where it was, or from an instant; see `Job.resume`. */
    readonly resume: Targeted<[options?: { readonly from?: "now" | "pause" | DateTime.DateTime.Input | undefined }]>
    /** Runs a job now, under its limits; its next run time stays, and it may be paused. */
    readonly runNow: (id: string) => Effect.Effect<Run.Run, JobNotFound | StoreError>
    /** Calls a run off: it never starts, or is interrupted by whichever node carries it out. One that ended stays. */
    readonly cancel: (runId: string) => Effect.Effect<Run.Run, RunNotFound | StoreError>
    /** Waits until a run has ended; with its task, for its typed value or error. */
    readonly awaitRun: {
      (runId: string): Effect.Effect<Run.Run, RunNotFound | StoreError>
      <T extends Task.Any>(
        runId: string,
        task: T
      ): Effect.Effect<Declared<Task.Success<T>, void>, Declared<Task.Failure<T>, never> | Unanswered>
    }
    /**
     * Runs a job for its past times from `from` to `to`, both inclusive: one at a time, whenever no other run waits for
     * the slot. More than `limit` (default 1000, at most 100 000) times are refused.
     */
    readonly backfill: (
      id: string,
      range: {
        readonly from: DateTime.DateTime.Input
        readonly to: DateTime.DateTime.Input
        readonly limit?: number | undefined
      }
    ) => Effect.Effect<ReadonlyArray<Run.Run>, JobNotFound | InvalidOption | StoreError>
    /** The next `count` (default 5, at most 10 000) nominal times of a job as it stands, or of a trigger if it were added now. */
    readonly preview: (
      of: string | Trigger.Trigger,
      count?: number
    ) => Effect.Effect<ReadonlyArray<DateTime.Utc>, JobNotFound | StoreError>
    /** Why a job ran, was late, was skipped or did not run at an instant, from what the store recorded. */
    readonly explain: (id: string, at: DateTime.DateTime.Input) => Effect.Effect<Explanation.Explanation, StoreError>
    /** All jobs, or those that match, as JSON that `importJobs` takes. */
    readonly exportJobs: (filter?: JobFilter) => Effect.Effect<typeof Job.Archive.Encoded, StoreError>
    /** Stores exported jobs, all or none, where their cursors stood: what fell due since is caught up by policy. */
    readonly importJobs: (
      archive: unknown,
      options?: { readonly onConflict?: OnConflict | undefined; readonly store?: string | undefined }
    ) => Effect.Effect<ReadonlyArray<Job.Job>, InvalidArchive | JobExists | StoreError>
    /**
     * Makes the jobs of a group be exactly those declared, in one transaction: new ones are added, changed ones updated,
     * unchanged ones left alone with their phase, absent ones removed (default) or only reported.
     */
    readonly reconcile: (
      group: string,
      jobs: ReadonlyArray<Declaration.Declaration>,
      options?: { readonly absent?: "remove" | "report" | undefined }
    ) => Effect.Effect<Reconciled, Refusal | StoreError>
    /** This scheduler starts no more runs until `resumeAll`; those under way go on. */
    readonly pauseAll: Effect.Effect<void>
    readonly resumeAll: Effect.Effect<void>
    /** Starts the actor where `autoStart` is false; otherwise it has started. */
    readonly start: Effect.Effect<void>
    /**
     * Ends the actor once runs under way have ended (`wait: true`, the default), at once, or after so long; what is
     * interrupted is released to be run again. Verbs on jobs still work afterwards.
     */
    readonly shutdown: (options?: { readonly wait?: LoopState.Wait | undefined }) => Effect.Effect<void>
    /** What happens from the moment on at which the stream begins to run. */
    readonly events: Stream.Stream<SchedulerEvent>
    /** What happens from now on: the subscription stands when the Effect is done. */
    readonly subscribe: Effect.Effect<Stream.Stream<SchedulerEvent>, never, Scope.Scope>
    readonly health: Effect.Effect<SchedulerActors.Health>
    /**
     * Carries out what is due and nothing else, without the loop that waits for more: for functions that are called from
     * time to time (`autoStart: false`). What is under way after `atMost` (default: never) is interrupted and given back.
     * Says how many attempts it made.
     */
    readonly runDue: (options?: { readonly atMost?: Duration.DurationInput | undefined }) => Effect.Effect<number>
    /** Puts a store beside the others, and carries out its jobs from now on; refused if the name is taken. */
    readonly addStore: SchedulerActors.Actors["addStore"]
    /** Leaves a store with its jobs, once runs under way have ended (`wait: true`, the default), at once, or after so long. */
    readonly removeStore: (
      name: string,
      options?: { readonly wait?: LoopState.Wait | undefined }
    ) => Effect.Effect<void, InvalidOption>
    /** Puts an executor beside the others; refused if the name is taken. */
    readonly addExecutor: SchedulerActors.Actors["addExecutor"]
    /** Ends an executor once its attempts have ended (`wait: true`, the default), at once, or after so long. */
    readonly removeExecutor: (
      name: string,
      options?: { readonly wait?: LoopState.Wait | undefined }
    ) => Effect.Effect<void, InvalidOption>
  }
>() {}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Policy for jobs whose task and settings say nothing else. */
  readonly defaults?: Policy.PolicyOptions | undefined
  /** Starts paused: nothing runs until `resumeAll`. Default: false. */
  readonly paused?: boolean | undefined
  /** Whether the actor starts with the layer. False makes a client of the store, until `start`. Default: true. */
  readonly autoStart?: boolean | undefined
  /** How long the end of the layer waits for runs under way before it interrupts them. Default: not at all. */
  readonly drain?: LoopState.Wait | undefined
  /** How many events a listener may be behind before it loses some. Default: 16 384. */
  readonly eventBuffer?: number | undefined
  /**
   * How long the actor sleeps at most before it looks whether the wall clock was set or the machine slept. Default: 10
   * seconds on the live clock; any other one does not jump.
   */
  readonly watch?: Duration.DurationInput | undefined
}

/**
 * A scheduler on the store, the executor and the task handlers of its context. Throws `InvalidOption` as a defect.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options = {}
): Effect.Effect<Scheduler["Type"], never, JobStore | Executor | Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const engine: JobVerbs.Engine = {
      stores: yield* makeStores(context),
      executors: yield* makeExecutors(context),
      handlers: Task.handlers(context),
      defaults: Policy.override(Policy.defaults, options.defaults ?? {}),
      hub: yield* makeHub(yield* checkBuffer(options.eventBuffer ?? 16_384))
    }
    const { autoStart = true, drain = false, paused = false, watch } = options
    const actors = yield* SchedulerActors.make(engine, {
      isStarted: autoStart,
      isPaused: paused,
      drain,
      watch: watch === undefined ? yield* defaultWatch : Duration.decode(watch)
    })
    return Scheduler.of({ ...jobVerbs(engine), ...runVerbs(engine), ...actorVerbs(engine, actors) })
  })

const makeStores = (context: Context.Context<never>) =>
  Effect.map(JobStore, (first) => {
    const stores = new NamedStores(first)
    for (const [name, store] of NamedService.collect(JobStore, context)) stores.add(name, store)
    return stores
  })

const makeExecutors = (context: Context.Context<never>) =>
  Effect.map(Executor, (first) => {
    const executors = new NamedExecutors()
    executors.add(Policy.DEFAULT_EXECUTOR, first)
    for (const [name, executor] of NamedService.collect(Executor, context)) executors.add(name, executor)
    return executors
  })

const checkBuffer = (value: number): Effect.Effect<number> => {
  const refusal = { option: "eventBuffer", value: String(value), expected: "a whole number of at least 1" }
  return Number.isSafeInteger(value) && value >= 1 ? Effect.succeed(value) : Effect.die(new InvalidOption(refusal))
}

const WATCH = Duration.seconds(10)

/** A virtual clock does not jump, and a timer every few seconds would slow down whoever travels in it. */
const defaultWatch: Effect.Effect<Duration.Duration> = Effect.map(Effect.clock, (clock) =>
  clock === Context.get(DefaultServices.liveServices, Clock.Clock) ? WATCH : Duration.infinity
)

type ActorVerb = keyof SchedulerActors.Actors | "events" | "subscribe"

type RunVerb = "runs" | "runNow" | "cancel" | "awaitRun" | "backfill" | "preview" | "explain"

const actorVerbs = ({ hub }: JobVerbs.Engine, actors: SchedulerActors.Actors): Pick<Scheduler["Type"], ActorVerb> => ({
  ...actors,
  shutdown: ({ wait = true } = {}) => actors.shutdown(wait),
  runDue: ({ atMost = Duration.infinity } = {}) => actors.runDue(Duration.decode(atMost)),
  removeStore: (name, { wait = true } = {}) => actors.removeStore(name, wait),
  removeExecutor: (name, { wait = true } = {}) => actors.removeExecutor(name, wait),
  events: hub.events,
  subscribe: hub.subscribe
})

const jobVerbs = (self: JobVerbs.Engine): Omit<Scheduler["Type"], ActorVerb | RunVerb> => ({
  add: (task, ...[options]) => JobVerbs.add(self, task, (options ?? {}) as AddOptions<Task.Any>),
  addAll: (declarations, options) => JobVerbs.addAll(self, declarations, options),
  get: (id) => self.stores.get(id),
  list: (filter = {}) => self.stores.list(filter),
  storeOf: (id) => self.stores.nameOf(id),
  move: (id, store) => JobVerbs.move(self, id, store),
  remove: ((target: string | JobFilter) => JobVerbs.remove(self, target)) as Scheduler["Type"]["remove"],
  removeAll: JobVerbs.removeAll(self),
  modify: ((target: string | JobFilter, changes: Modification) =>
    JobVerbs.modify(self, target, changes)) as Scheduler["Type"]["modify"],
  reschedule: ((target: string | JobFilter, trigger: Trigger.Trigger) =>
    JobVerbs.reschedule(self, target, trigger)) as Scheduler["Type"]["reschedule"],
  pause: ((target: string | JobFilter, note?: string | Job.PauseNote) =>
    JobVerbs.update(self, target, "JobPaused", (job, now) => Job.pause(job, now, note))) as Scheduler["Type"]["pause"],
  resume: ((target: string | JobFilter, { from = "now" }: { readonly from?: DateTime.DateTime.Input } = {}) => {
    const moment: Job.ResumeFrom = from === "now" || from === "pause" ? from : JobVerbs.utc(from)
    return JobVerbs.update(self, target, "JobResumed", (job, now) => Job.resume(job, now, moment))
  }) as Scheduler["Type"]["resume"],
  exportJobs: (filter = {}) => JobVerbs.exportJobs(self, filter),
  importJobs: (archive, options = {}) => JobVerbs.importJobs(self, archive, options),
  reconcile: (group, declarations, { absent = "remove" } = {}) => JobVerbs.reconcile(self, group, declarations, absent)
})

const runVerbs = (self: JobVerbs.Engine): Pick<Scheduler["Type"], RunVerb> => ({
  runs: (filter = {}) => self.stores.runs(filter),
  runNow: (id) => RunVerbs.runNow(self, id),
  cancel: (runId) => RunVerbs.cancel(self, runId),
  awaitRun: ((runId: string, task?: Task.Any) =>
    task === undefined
      ? RunVerbs.awaitRun(self, runId)
      : Effect.flatMap(RunVerbs.awaitRun(self, runId), (run) =>
          Run.toResult(run, task)
        )) as Scheduler["Type"]["awaitRun"],
  backfill: (id, range) => RunVerbs.backfill(self, id, range),
  preview: (of, count = 5) => RunVerbs.preview(self, of, count),
  explain: (id, at) => RunVerbs.explain(self, id, JobVerbs.utc(at))
})

/**
 * The scheduler as a Layer. Its handlers are the layers that `Task.toLayer` makes, given to it like any other service:
 * `Scheduler.layer().pipe(Layer.provideMerge(SendDigestLive))`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<Scheduler, never, JobStore | Executor> =>
  Layer.scoped(Scheduler, make(options))

/**
 * The scheduler with its options from `effect/Config`: from environment variables, or wherever the `ConfigProvider` of the
 * application looks. With `types`, what the options say is a whole configuration, as `fromConfig` takes it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig: {
  (options: Config.Config.Wrap<Options>): Layer.Layer<Scheduler, ConfigError.ConfigError, JobStore | Executor>
  <T extends Configuration.ServiceTypes>(
    config: Config.Config.Wrap<Configuration.Input<NoInfer<T>>>,
    types: T
  ): Layer.Layer<Scheduler, ConfigError.ConfigError | InvalidConfig | Configuration.Unbuilt<T>>
} = <T extends Configuration.ServiceTypes>(config: object, types?: T) => {
  const options = Config.unwrap(config as Config.Config.Wrap<Options>)
  const input = Config.unwrap(config as Config.Config.Wrap<Configuration.Input<T>>)
  const either =
    types === undefined
      ? Layer.scoped(Scheduler, Effect.flatMap(options, makeOrRefuse))
      : Layer.unwrapEffect(Effect.map(input, (_) => fromConfig(_, types)))
  // What it requires, and how it fails, is said above.
  return either as Layer.Layer<Scheduler>
}

/** What comes from outside is no defect. */
const makeOrRefuse = (options: Options) =>
  Effect.catchSomeDefect(make(options), (defect) =>
    defect instanceof InvalidOption
      ? Option.some(
          Effect.fail(ConfigError.InvalidData([defect.option], `${defect.value}; expected ${defect.expected}`))
        )
      : Option.none()
  )

/**
 * The scheduler that a plain object describes, with the stores and executors that it names: of the types `memory`,
 * `fiber` and `none`, and of those that are given, such as `SchedulerConfig.types`. Fails with everything that is wrong
 * with the object.
 *
 * @since 0.1.0
 * @category layers
 */
export const fromConfig = <T extends Configuration.ServiceTypes = Configuration.NoTypes>(
  config: Configuration.Input<NoInfer<T>>,
  types?: T
): Layer.Layer<Scheduler, InvalidConfig | Configuration.Unbuilt<T>> => {
  const known = types ?? (Configuration.noTypes as unknown as T)
  return Layer.unwrapEffect(
    Effect.map(Configuration.decode(known, config), (decoded) =>
      Layer.provide(layer(decoded), Configuration.layer(known, decoded))
    )
  )
}
