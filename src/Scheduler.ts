/**
 * The scheduler: public verbs that write to the store in the caller's fiber, and the actor that carries out what is due.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as DefaultServices from "effect/DefaultServices"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { JobSettings, PayloadOption, Refusal } from "./Declaration.ts"
import * as Declaration from "./Declaration.ts"
import type { Executor } from "./Executor.ts"
import * as Explanation from "./Explanation.ts"
import * as Job from "./Job.ts"
import {
  type Change,
  type JobFilter,
  JobStore,
  type OnConflict,
  type Reconciliation,
  type Removal,
  type RunFilter
} from "./JobStore.ts"
import * as Occurrences from "./Occurrences.ts"
import * as Policy from "./Policy.ts"
import * as Run from "./Run.ts"
import {
  InvalidArchive,
  InvalidOption,
  type InvalidPayload,
  issuesOf,
  type JobExists,
  JobNotFound,
  RunNotFound,
  type RunUnsuccessful,
  type StoreError,
  TaskNotFound,
  TriggerExhausted
} from "./SchedulerError.ts"
import { type Hub, makeHub, ofStep, type SchedulerEvent } from "./SchedulerEvent.ts"
import * as SchedulerLoop from "./SchedulerLoop.ts"
import * as SchedulerMetrics from "./SchedulerMetrics.ts"
import * as SchedulerTracer from "./SchedulerTracer.ts"
import * as Task from "./Task.ts"
import * as Trigger from "./Trigger.ts"

export type { Declaration, JobSettings, PayloadOption, Refusal } from "./Declaration.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type AddOptions<T extends Task.Any> = JobSettings &
  PayloadOption<T> & {
    /** What to do if the id is taken. Default: `"fail"`. */
    readonly onConflict?: OnConflict | undefined
  }

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
 * What `modify` may change; a payload is given as its task's Schema has it, and the trigger is changed by `reschedule`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Modification extends Policy.PolicyOptions {
  readonly name?: string | undefined
  readonly payload?: unknown
  readonly labels?: Readonly<Record<string, string>> | undefined
}

/**
 * What `reconcile` did, by job id.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reconciled {
  readonly added: ReadonlyArray<string>
  readonly updated: ReadonlyArray<string>
  readonly unchanged: ReadonlyArray<string>
  /** Removed, or only absent if `absent: "report"` was given. */
  readonly absent: ReadonlyArray<string>
}

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
    /** Stores many jobs in one transaction, all or none; `onProgress` is told how many are stored, now and then. */
    readonly addAll: (
      jobs: ReadonlyArray<Declaration.Declaration>,
      options?: {
        readonly onConflict?: OnConflict | undefined
        readonly onProgress?: ((stored: number, total: number) => Effect.Effect<void>) | undefined
      }
    ) => Effect.Effect<ReadonlyArray<Job.Job>, Refusal | JobExists | StoreError>
    readonly get: (id: string) => Effect.Effect<Option.Option<Job.Job>, StoreError>
    /** All jobs, or those that match, in the order of their ids; `limit` and `after` give them page by page. */
    readonly list: (filter?: JobFilter) => Effect.Effect<ReadonlyArray<Job.Job>, StoreError>
    /** The history: runs with the newest nominal time first, 100 unless `limit` says otherwise. */
    readonly runs: (filter?: RunFilter) => Effect.Effect<ReadonlyArray<Run.Run>, StoreError>
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
      options?: { readonly onConflict?: OnConflict | undefined }
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
    readonly shutdown: (options?: { readonly wait?: SchedulerLoop.Wait | undefined }) => Effect.Effect<void>
    /** What happens from the moment on at which the stream begins to run. */
    readonly events: Stream.Stream<SchedulerEvent>
    /** What happens from now on: the subscription stands when the Effect is done. */
    readonly subscribe: Effect.Effect<Stream.Stream<SchedulerEvent>, never, Scope.Scope>
    readonly health: Effect.Effect<SchedulerLoop.Health>
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
  readonly drain?: SchedulerLoop.Wait | undefined
  /** How many events a listener may be behind before it loses some. Default: 16 384. */
  readonly eventBuffer?: number | undefined
  /**
   * How long the actor sleeps at most before it looks whether the wall clock was set or the machine slept. Default: 10
   * seconds on the live clock; any other one does not jump.
   */
  readonly watch?: Duration.DurationInput | undefined
}

/** What the verbs work with. */
interface Engine {
  readonly store: JobStore["Type"]
  readonly handlers: ReadonlyMap<string, Task.Handler>
  readonly defaults: Policy.Policy
  readonly hub: Hub
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
    const engine: Engine = {
      store: yield* JobStore,
      handlers: Task.handlers(yield* Effect.context<never>()),
      defaults: Policy.override(Policy.defaults, options.defaults ?? {}),
      hub: yield* makeHub(yield* checkBuffer(options.eventBuffer ?? 16_384))
    }
    return Scheduler.of({ ...jobVerbs(engine), ...(yield* makeActor(engine, options)) })
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

type ActorVerb = "pauseAll" | "resumeAll" | "start" | "shutdown" | "events" | "subscribe" | "health"

const makeActor = (
  { handlers, hub, store }: Engine,
  { autoStart = true, drain = false, paused = false, watch }: Options
): Effect.Effect<Pick<Scheduler["Type"], ActorVerb>, never, JobStore | Executor | Scope.Scope> =>
  Effect.gen(function* () {
    const loop = yield* SchedulerLoop.make({
      handlers,
      hub,
      isPaused: paused,
      watch: watch === undefined ? yield* defaultWatch : Duration.decode(watch)
    })
    const started = yield* Effect.makeLatch(autoStart)
    const fiber = yield* Effect.forkScoped(Effect.zipRight(started.await, loop.run))
    const wake = Stream.runForEach(store.changes, () => Effect.sync(() => loop.send({ _tag: "Wake" })))
    // A mere client does not listen, not even for its end: to PostgreSQL that would be a connection of its own.
    const listening = yield* Effect.makeLatch(autoStart)
    yield* Effect.forkScoped(Effect.zipRight(listening.await, wake))
    const end = (wait: SchedulerLoop.Wait) =>
      Effect.suspend(() => {
        loop.send({ _tag: "Shutdown", wait })
        return Effect.zipRight(started.open, Fiber.await(fiber))
      })
    yield* Effect.addFinalizer(() => end(drain))
    return {
      pauseAll: Effect.sync(() => loop.send({ _tag: "Pause" })),
      resumeAll: Effect.sync(() => loop.send({ _tag: "Resume" })),
      start: Effect.zipRight(listening.open, Effect.asVoid(started.open)),
      shutdown: ({ wait = true } = {}) => Effect.asVoid(end(wait)),
      events: hub.events,
      subscribe: hub.subscribe,
      health: loop.health
    }
  })

const jobVerbs = (self: Engine): Omit<Scheduler["Type"], ActorVerb> => ({
  add: (task, ...[options]) => add(self, task, (options ?? {}) as AddOptions<Task.Any>),
  addAll: (declarations, options) => addAll(self, declarations, options),
  get: self.store.get,
  list: (filter = {}) => self.store.list(filter),
  runs: (filter = {}) => self.store.runs(filter),
  remove: ((target: string | JobFilter) => remove(self, target)) as Scheduler["Type"]["remove"],
  removeAll: removeAll(self),
  modify: ((target: string | JobFilter, changes: Modification) =>
    modify(self, target, changes)) as Scheduler["Type"]["modify"],
  reschedule: ((target: string | JobFilter, trigger: Trigger.Trigger) =>
    reschedule(self, target, trigger)) as Scheduler["Type"]["reschedule"],
  pause: ((target: string | JobFilter, note?: string | Job.PauseNote) =>
    update(self, target, "JobPaused", (job, now) => Job.pause(job, now, note))) as Scheduler["Type"]["pause"],
  resume: ((target: string | JobFilter, { from = "now" }: { readonly from?: DateTime.DateTime.Input } = {}) => {
    const moment: Job.ResumeFrom = from === "now" || from === "pause" ? from : utc(from)
    return update(self, target, "JobResumed", (job, now) => Job.resume(job, now, moment))
  }) as Scheduler["Type"]["resume"],
  exportJobs: (filter = {}) => Effect.map(self.store.list(filter), (jobs) => encodeArchive({ version: 1, jobs })),
  importJobs: (archive, options = {}) => importJobs(self, archive, options.onConflict ?? "fail"),
  reconcile: (group, declarations, options = {}) => reconcile(self, group, declarations, options.absent ?? "remove"),
  ...runVerbs(self)
})

type RunVerb = "runNow" | "cancel" | "awaitRun" | "backfill" | "preview" | "explain"

const runVerbs = (self: Engine): Pick<Scheduler["Type"], RunVerb> => ({
  runNow: (id) => runNow(self, id),
  cancel: (runId) => cancel(self, runId),
  awaitRun: ((runId: string, task?: Task.Any) =>
    task === undefined
      ? awaitRun(self, runId)
      : Effect.flatMap(awaitRun(self, runId), (run) => Run.toResult(run, task))) as Scheduler["Type"]["awaitRun"],
  backfill: (id, range) => backfill(self, id, range),
  preview: (of, count = 5) => preview(self, of, count),
  explain: (id, at) => explain(self, id, utc(at))
})

// ---------------------------------------------------------------------------------------------------------------------
// verbs on jobs
// ---------------------------------------------------------------------------------------------------------------------

const utc = (instant: DateTime.DateTime.Input): DateTime.Utc => DateTime.toUtc(DateTime.unsafeMake(instant))

const findJob = (self: Engine, id: string): Effect.Effect<Job.Job, JobNotFound | StoreError> =>
  Effect.flatMap(
    self.store.get(id),
    Option.match({ onNone: () => Effect.fail(new JobNotFound({ jobId: id })), onSome: Effect.succeed })
  )

const surroundings = (self: Engine) =>
  Effect.map(Effect.all([DateTime.now, SchedulerTracer.origin]), ([now, origin]) => ({
    defaults: self.defaults,
    now,
    origin
  }))

const add = (self: Engine, task: Task.Any, options: AddOptions<Task.Any>) =>
  Effect.gen(function* () {
    const { onConflict = "fail", payload, ...settings } = options
    const job = yield* Declaration.toJob({ task, payload, settings }, yield* surroundings(self))
    const changes = yield* store(self, [job], onConflict)
    return changes[0]?.job ?? job
  })

const store = (
  self: Engine,
  jobs: ReadonlyArray<Job.Job>,
  onConflict: OnConflict,
  onProgress?: (stored: number) => Effect.Effect<void>
) =>
  Effect.gen(function* () {
    const changes = yield* self.store.add(jobs, onConflict, onProgress)
    const now = yield* DateTime.now
    for (const change of changes) tellChange(self, change, now)
    return changes
  })

const addAll = (
  self: Engine,
  declarations: ReadonlyArray<Declaration.Declaration>,
  { onConflict = "fail", onProgress }: NonNullable<Parameters<Scheduler["Type"]["addAll"]>[1]> = {}
) =>
  Effect.gen(function* () {
    const around = yield* surroundings(self)
    const jobs = yield* Effect.forEach(declarations, (declaration) => Declaration.toJob(declaration, around))
    const tell = onProgress === undefined ? undefined : (stored: number) => onProgress(stored, jobs.length)
    return (yield* store(self, jobs, onConflict, tell)).map(({ job }) => job)
  })

const importJobs = (self: Engine, archive: unknown, onConflict: OnConflict) =>
  Effect.gen(function* () {
    const { jobs } = yield* Effect.mapError(decodeArchive(archive), unreadable)
    return (yield* store(self, jobs, onConflict)).map(({ job }) => job)
  })

const encodeArchive = Schema.encodeSync(Job.Archive)
const decodeArchive = Schema.decodeUnknown(Job.Archive, { errors: "all" })

const unreadable = (error: ParseResult.ParseError): InvalidArchive => new InvalidArchive({ issues: issuesOf(error) })

const remove = (self: Engine, target: string | JobFilter) =>
  Effect.gen(function* () {
    const now = yield* DateTime.now
    if (typeof target === "string") return tellRemoval(self, yield* self.store.remove(target, now), now)
    const removals = yield* self.store.removeAll(target, now)
    for (const removal of removals) tellRemoval(self, removal, now)
    return removals.map(({ job }) => job)
  })

const removeAll = (self: Engine) =>
  Effect.gen(function* () {
    const at = yield* DateTime.now
    const removals = yield* self.store.removeAll({}, at)
    for (const { cancelled } of removals) {
      for (const run of cancelled) tell(self, { _tag: "RunCancelled", at, jobId: run.jobId, run })
    }
    tell(self, { _tag: "AllJobsRemoved", at, count: removals.length })
    return removals.length
  })

const update = (
  self: Engine,
  target: string | JobFilter,
  _tag: "JobModified" | "JobPaused" | "JobResumed",
  change: (job: Job.Job, now: DateTime.Utc) => Job.Job
) =>
  Effect.gen(function* () {
    const at = yield* DateTime.now
    if (typeof target === "string") {
      let isChanged = false
      const job = yield* self.store.update(target, (job) => {
        const changed = change(job, at)
        isChanged = changed !== job
        return changed
      })
      if (isChanged) tell(self, { _tag, at, jobId: job.id })
      return job
    }
    const jobs = yield* self.store.updateAll(target, (job) => change(job, at))
    for (const { id } of jobs) tell(self, { _tag, at, jobId: id })
    return jobs
  })

const modify = (self: Engine, target: string | JobFilter, changes: Modification) =>
  Effect.gen(function* () {
    const { labels, name, payload, ...policy } = changes
    yield* Declaration.override(Policy.defaults, policy)
    const encoded =
      payload === undefined || typeof target !== "string"
        ? Option.none()
        : Option.some(yield* encodeFor(self, target, payload))
    return yield* update(self, target, "JobModified", (job) => ({
      ...job,
      name: name ?? job.name,
      labels: labels ?? job.labels,
      payload: Option.getOrElse(encoded, () => job.payload),
      policy: Policy.override(job.policy, policy)
    }))
  })

const encodeFor = (self: Engine, id: string, payload: unknown) =>
  Effect.gen(function* () {
    const { task } = yield* findJob(self, id)
    const handler = self.handlers.get(task)
    return yield* handler === undefined ? new TaskNotFound({ task }) : Task.encodePayload(handler.task, payload)
  })

const reschedule = (self: Engine, target: string | JobFilter, trigger: Trigger.Trigger) =>
  Effect.gen(function* () {
    const now = yield* DateTime.now
    if (Option.isNone(Trigger.first(trigger, now))) {
      return yield* new TriggerExhausted({ jobId: typeof target === "string" ? target : JSON.stringify(target) })
    }
    return yield* update(self, target, "JobModified", (job, at) => Job.reschedule(job, trigger, at))
  })

const reconcile = (
  self: Engine,
  group: string,
  declarations: ReadonlyArray<Declaration.Declaration>,
  absent: "remove" | "report"
) =>
  Effect.gen(function* () {
    const around = { ...(yield* surroundings(self)), group }
    const jobs = yield* Effect.forEach(declarations, (declaration) => Declaration.toJob(declaration, around))
    const { now } = around
    const result = yield* self.store.reconcile({ group, jobs, absent, now })
    for (const change of result.changes) tellChange(self, change, now)
    if (absent === "remove") for (const removal of result.absent) tellRemoval(self, removal, now)
    return toReconciled(result)
  })

const toReconciled = ({ absent, changes }: Reconciliation): Reconciled => {
  const ids = (tag: Change["_tag"]) => changes.filter(({ _tag }) => _tag === tag).map(({ job }) => job.id)
  return {
    added: ids("Added"),
    updated: ids("Replaced"),
    unchanged: ids("Kept"),
    absent: absent.map(({ job }) => job.id)
  }
}

/** Tells of what a verb did, and counts the runs that it ended. */
const tell = ({ hub }: Engine, event: SchedulerEvent): void => {
  if ("run" in event) SchedulerMetrics.observe(event.run, undefined)
  hub.publish(event)
}

const tellChange = (self: Engine, { _tag, job }: Change, at: DateTime.Utc): void => {
  if (_tag !== "Kept") tell(self, { _tag: _tag === "Added" ? "JobAdded" : "JobModified", at, jobId: job.id })
}

const tellRemoval = (self: Engine, { cancelled, job }: Removal, at: DateTime.Utc): void => {
  for (const run of cancelled) tell(self, { _tag: "RunCancelled", at, jobId: job.id, run })
  tell(self, { _tag: "JobRemoved", at, jobId: job.id, finished: false })
}

// ---------------------------------------------------------------------------------------------------------------------
// verbs on runs
// ---------------------------------------------------------------------------------------------------------------------

const runNow = (self: Engine, id: string) =>
  Effect.gen(function* () {
    const [at, origin] = yield* Effect.all([DateTime.now, SchedulerTracer.origin])
    const { cancelled, run } = yield* self.store.fire(id, at, origin)
    for (const run of cancelled) tell(self, { _tag: "RunCancelled", at, jobId: id, run })
    tell(self, { _tag: run.state._tag === "Skipped" ? "RunSkipped" : "RunSubmitted", at, jobId: id, run })
    return run
  })

const cancel = (self: Engine, runId: string) =>
  Effect.gen(function* () {
    const at = yield* DateTime.now
    const isOver = Option.exists(yield* self.store.run(runId), (run) => !Run.isLive(run))
    const step = yield* self.store.cancel(runId, at)
    if (!isOver && !Run.isLive(step.run)) for (const event of ofStep(step, undefined, at)) tell(self, event)
    return step.run
  })

/** How often a run is looked up while it is waited for, in case another node ends it. */
const LOOK = Duration.seconds(1)

const awaitRun = (self: Engine, runId: string): Effect.Effect<Run.Run, RunNotFound | StoreError> =>
  Effect.gen(function* () {
    const events = yield* self.hub.subscribe
    const ended = Stream.filter(events, (event) => "run" in event && event.run.id === runId && !Run.isLive(event.run))
    // The events end with the scheduler, the run may do so later.
    const heard = Effect.flatMap(
      Stream.runHead(ended),
      Option.match({ onNone: () => Effect.never, onSome: Effect.succeed })
    )
    const end = yield* Effect.forkScoped(heard)
    for (;;) {
      const run = yield* self.store.run(runId)
      if (Option.isNone(run)) return yield* new RunNotFound({ runId })
      if (!Run.isLive(run.value)) return run.value
      yield* Effect.raceFirst(Fiber.await(end), Effect.sleep(LOOK))
    }
  }).pipe(Effect.scoped)

const BACKFILL = { usual: 1000, most: 100_000 }

/** A range without a bound would keep the caller busy for as long as the trigger has times. */
const checkLimit = (limit: number): Effect.Effect<number, InvalidOption> => {
  const expected = `a whole number from 1 to ${BACKFILL.most}`
  return Number.isSafeInteger(limit) && limit >= 1 && limit <= BACKFILL.most
    ? Effect.succeed(limit)
    : new InvalidOption({ option: "limit", value: String(limit), expected })
}

const backfill = (self: Engine, id: string, range: Parameters<Scheduler["Type"]["backfill"]>[1]) =>
  Effect.gen(function* () {
    const now = yield* DateTime.now
    const limit = yield* checkLimit(range.limit ?? BACKFILL.usual)
    const times = pastTimes(yield* findJob(self, id), utc(range.from), DateTime.min(utc(range.to), now), limit + 1)
    if (times.length > limit) return yield* tooMany(utc(range.to), limit)
    const origin = yield* SchedulerTracer.origin
    const runs = yield* self.store.backfill(id, (job) => times.map((at) => Run.backfill(job, at, now, origin)))
    for (const run of runs) tell(self, { _tag: "RunSubmitted", at: now, jobId: id, run })
    return runs
  })

const tooMany = (to: DateTime.Utc, limit: number): InvalidOption =>
  new InvalidOption({ option: "to", value: Run.keyOf(to), expected: `a range of at most ${limit} times` })

const pastTimes = (job: Job.Job, from: DateTime.Utc, to: DateTime.Utc, limit: number): ReadonlyArray<DateTime.Utc> => {
  const times = Trigger.isSpaced(job.trigger) ? Occurrences.never : Job.occurrences(job)
  const found: Array<DateTime.Utc> = []
  for (let at = times.next(from.epochMillis - 1); at <= to.epochMillis; at = times.next(at)) {
    if (found.push(Occurrences.instant(at)) === limit) break
  }
  return found
}

const PREVIEW = 10_000

const preview = (self: Engine, of: string | Trigger.Trigger, count: number) =>
  Effect.gen(function* () {
    const now = yield* DateTime.now
    const job = typeof of === "string" ? yield* findJob(self, of) : Job.make({ id: "", task: "", now, trigger: of })
    const times = Job.occurrences(job)
    const found: Array<DateTime.Utc> = []
    let at = Option.match(job.nextRunTime, { onNone: () => Infinity, onSome: DateTime.toEpochMillis })
    const most = Math.min(count, PREVIEW, job.policy.limit - job.fired)
    for (; found.length < most && Occurrences.isInstant(at); at = times.next(at)) found.push(Occurrences.instant(at))
    return found
  })

const explain = (self: Engine, id: string, at: DateTime.Utc) =>
  Effect.gen(function* () {
    const [now, job] = yield* Effect.all([DateTime.now, self.store.get(id)])
    const before = yield* self.store.runs({ jobId: id, to: at, limit: 10 })
    const after = yield* self.store.runs({ jobId: id, from: at, order: "oldest", limit: 10 })
    return Explanation.make({ job, runs: [...before, ...after], at, now })
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
