/**
 * The scheduler: public verbs that write to the store in the caller's fiber, and the actor that carries out what is due.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Executor } from "./Executor.ts"
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
import * as Policy from "./Policy.ts"
import type * as Run from "./Run.ts"
import {
  InvalidOption,
  type InvalidPayload,
  type JobExists,
  JobNotFound,
  type StoreError,
  TaskNotFound,
  TriggerExhausted
} from "./SchedulerError.ts"
import { type Hub, makeHub, type SchedulerEvent } from "./SchedulerEvent.ts"
import * as SchedulerLoop from "./SchedulerLoop.ts"
import * as Task from "./Task.ts"
import * as Trigger from "./Trigger.ts"

/**
 * What a job is made of besides its task. Policy options fall back to the task's, then to the scheduler's.
 *
 * @since 0.1.0
 * @category models
 */
export interface JobSettings extends Policy.PolicyOptions {
  /** Default: a new UUID. */
  readonly id?: string | undefined
  /** For people. Default: the id. */
  readonly name?: string | undefined
  /** When it runs. Default: `Trigger.now`. */
  readonly trigger?: Trigger.Trigger | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  /** Adds the job paused. Default: false. */
  readonly paused?: boolean | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export type PayloadOption<T extends Task.Any> =
  undefined extends Task.Payload<T> ? { readonly payload?: Task.Payload<T> } : { readonly payload: Task.Payload<T> }

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
 * A job as `reconcile` takes it: made by `job`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Declaration {
  readonly task: Task.Any
  readonly payload: unknown
  readonly settings: JobSettings & { readonly id: string }
}

/**
 * Declares a job for `reconcile`, with its payload checked by the compiler.
 *
 * @since 0.1.0
 * @category constructors
 */
export const job = <T extends Task.Any>(
  task: T,
  options: JobSettings & PayloadOption<T> & { readonly id: string }
): Declaration => {
  const { payload, ...settings } = options as JobSettings & { readonly id: string; readonly payload?: unknown }
  return { task, payload, settings }
}

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
 * Why a job is refused.
 *
 * @since 0.1.0
 * @category errors
 */
export type Refusal = InvalidOption | InvalidPayload | TriggerExhausted

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
    readonly get: (id: string) => Effect.Effect<Option.Option<Job.Job>, StoreError>
    /** All jobs, or those of a group or task, in the order of their ids. */
    readonly list: (filter?: JobFilter) => Effect.Effect<ReadonlyArray<Job.Job>, StoreError>
    /** The history: runs with the newest nominal time first, 100 unless `limit` says otherwise. */
    readonly runs: (filter?: RunFilter) => Effect.Effect<ReadonlyArray<Run.Run>, StoreError>
    /** Removes a job and cancels its runs that have not started. */
    readonly remove: (id: string) => Effect.Effect<void, JobNotFound | StoreError>
    readonly modify: (
      id: string,
      changes: Modification
    ) => Effect.Effect<Job.Job, JobNotFound | TaskNotFound | InvalidOption | InvalidPayload | StoreError>
    /** Puts a job on another trigger, in phase from now on. */
    readonly reschedule: (
      id: string,
      trigger: Trigger.Trigger
    ) => Effect.Effect<Job.Job, JobNotFound | TriggerExhausted | StoreError>
    readonly pause: (id: string, note?: string) => Effect.Effect<Job.Job, JobNotFound | StoreError>
    /** What fell into the pause does not run, but for the last instant of a trigger that has no later one. */
    readonly resume: (id: string) => Effect.Effect<Job.Job, JobNotFound | StoreError>
    /** Runs a job now, under its limits; its next run time stays, and it may be paused. */
    readonly runNow: (id: string) => Effect.Effect<Run.Run, JobNotFound | StoreError>
    /**
     * Makes the jobs of a group be exactly those declared, in one transaction: new ones are added, changed ones updated,
     * unchanged ones left alone with their phase, absent ones removed (default) or only reported.
     */
    readonly reconcile: (
      group: string,
      jobs: ReadonlyArray<Declaration>,
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
      hub: yield* makeHub(options.eventBuffer ?? 16_384)
    }
    return Scheduler.of({ ...jobVerbs(engine), ...(yield* makeActor(engine, options)) })
  })

type ActorVerb = "pauseAll" | "resumeAll" | "start" | "shutdown" | "events" | "subscribe" | "health"

const makeActor = (
  { handlers, hub, store }: Engine,
  { autoStart = true, drain = false, paused = false }: Options
): Effect.Effect<Pick<Scheduler["Type"], ActorVerb>, never, JobStore | Executor | Scope.Scope> =>
  Effect.gen(function* () {
    const loop = yield* SchedulerLoop.make({ handlers, hub, isPaused: paused })
    const started = yield* Effect.makeLatch(autoStart)
    const fiber = yield* Effect.forkScoped(Effect.zipRight(started.await, loop.run))
    yield* Effect.forkScoped(Stream.runForEach(store.changes, () => Effect.sync(() => loop.send({ _tag: "Wake" }))))
    const end = (wait: SchedulerLoop.Wait) =>
      Effect.suspend(() => {
        loop.send({ _tag: "Shutdown", wait })
        return Effect.zipRight(started.open, Fiber.await(fiber))
      })
    yield* Effect.addFinalizer(() => end(drain))
    return {
      pauseAll: Effect.sync(() => loop.send({ _tag: "Pause" })),
      resumeAll: Effect.sync(() => loop.send({ _tag: "Resume" })),
      start: Effect.asVoid(started.open),
      shutdown: ({ wait = true } = {}) => Effect.asVoid(end(wait)),
      events: hub.events,
      subscribe: hub.subscribe,
      health: loop.health
    }
  })

const jobVerbs = (self: Engine): Omit<Scheduler["Type"], ActorVerb> => ({
  add: (task, ...[options]) => add(self, task, (options ?? {}) as AddOptions<Task.Any>),
  get: self.store.get,
  list: (filter = {}) => self.store.list(filter),
  runs: (filter = {}) => self.store.runs(filter),
  remove: (id) =>
    Effect.flatMap(DateTime.now, (now) =>
      Effect.map(self.store.remove(id, now), (removal) => tellRemoval(self, removal, now))
    ),
  modify: (id, changes) => modify(self, id, changes),
  reschedule: (id, trigger) => reschedule(self, id, trigger),
  pause: (id, note) => update(self, id, "JobPaused", (job, now) => Job.pause(job, now, note)),
  resume: (id) => update(self, id, "JobResumed", Job.resume),
  runNow: (id) => runNow(self, id),
  reconcile: (group, declarations, options = {}) => reconcile(self, group, declarations, options.absent ?? "remove")
})

// ---------------------------------------------------------------------------------------------------------------------
// verbs
// ---------------------------------------------------------------------------------------------------------------------

const add = (self: Engine, task: Task.Any, options: AddOptions<Task.Any>) =>
  Effect.gen(function* () {
    const { onConflict = "fail", payload, ...settings } = options
    const job = yield* buildJob(self, { task, payload, settings })
    const changes = yield* self.store.add([job], onConflict)
    const now = yield* DateTime.now
    for (const change of changes) tellChange(self, change, now)
    return changes[0]?.job ?? job
  })

const update = (
  self: Engine,
  id: string,
  _tag: "JobModified" | "JobPaused" | "JobResumed",
  change: (job: Job.Job, now: DateTime.Utc) => Job.Job
) =>
  Effect.gen(function* () {
    const at = yield* DateTime.now
    const job = yield* self.store.update(id, (job) => change(job, at))
    self.hub.publish({ _tag, at, jobId: id })
    return job
  })

const modify = (self: Engine, id: string, changes: Modification) =>
  Effect.gen(function* () {
    const { labels, name, payload, ...policy } = changes
    yield* override(Policy.defaults, policy)
    const encoded = payload === undefined ? Option.none() : Option.some(yield* encodeFor(self, id, payload))
    return yield* update(self, id, "JobModified", (job) => ({
      ...job,
      name: name ?? job.name,
      labels: labels ?? job.labels,
      payload: Option.getOrElse(encoded, () => job.payload),
      policy: Policy.override(job.policy, policy)
    }))
  })

const encodeFor = (self: Engine, id: string, payload: unknown) =>
  Effect.gen(function* () {
    const found = yield* self.store.get(id)
    if (Option.isNone(found)) return yield* new JobNotFound({ jobId: id })
    const { task } = found.value
    const handler = self.handlers.get(task)
    return yield* handler === undefined ? new TaskNotFound({ task }) : Task.encodePayload(handler.task, payload)
  })

const reschedule = (self: Engine, id: string, trigger: Trigger.Trigger) =>
  Effect.gen(function* () {
    const now = yield* DateTime.now
    if (Option.isNone(Trigger.first(trigger, now))) return yield* new TriggerExhausted({ jobId: id })
    return yield* update(self, id, "JobModified", (job, at) => Job.reschedule(job, trigger, at))
  })

const runNow = (self: Engine, id: string) =>
  Effect.gen(function* () {
    const at = yield* DateTime.now
    const run = yield* self.store.fire(id, at)
    self.hub.publish({ _tag: run.state._tag === "Skipped" ? "RunSkipped" : "RunSubmitted", at, jobId: id, run })
    return run
  })

const reconcile = (
  self: Engine,
  group: string,
  declarations: ReadonlyArray<Declaration>,
  absent: "remove" | "report"
) =>
  Effect.gen(function* () {
    const jobs = yield* Effect.forEach(declarations, (declaration) => buildJob(self, { ...declaration, group }))
    const now = yield* DateTime.now
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

const tellChange = ({ hub }: Engine, { _tag, job }: Change, at: DateTime.Utc): void => {
  if (_tag !== "Kept") hub.publish({ _tag: _tag === "Added" ? "JobAdded" : "JobModified", at, jobId: job.id })
}

const tellRemoval = ({ hub }: Engine, { cancelled, job }: Removal, at: DateTime.Utc): void => {
  for (const run of cancelled) hub.publish({ _tag: "RunCancelled", at, jobId: job.id, run })
  hub.publish({ _tag: "JobRemoved", at, jobId: job.id, finished: false })
}

// ---------------------------------------------------------------------------------------------------------------------
// building jobs
// ---------------------------------------------------------------------------------------------------------------------

const buildJob = (
  self: Engine,
  {
    group,
    payload,
    settings,
    task
  }: {
    readonly task: Task.Any
    readonly payload: unknown
    readonly settings: JobSettings
    readonly group?: string
  }
): Effect.Effect<Job.Job, Refusal> =>
  Effect.gen(function* () {
    const { id, labels, name, paused, trigger, ...own } = settings
    const policy = yield* Effect.flatMap(override(self.defaults, task.defaults), (_) => override(_, own))
    const job = Job.make({
      id: yield* checkId(id ?? (yield* uuid)),
      task: task.name,
      now: yield* DateTime.now,
      payload: yield* Task.encodePayload(task, payload),
      trigger,
      policy,
      name,
      group,
      labels,
      isPaused: paused
    })
    return Option.isSome(job.nextRunTime) ? job : yield* new TriggerExhausted({ jobId: job.id })
  })

const override = (policy: Policy.Policy, options: Policy.PolicyOptions): Effect.Effect<Policy.Policy, InvalidOption> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(Policy.override(policy, options))
    } catch (error) {
      return error instanceof InvalidOption ? Effect.fail(error) : Effect.die(error)
    }
  })

const MAX_ID = 200

const checkId = (id: string): Effect.Effect<string, InvalidOption> =>
  id.length > 0 && id.length <= MAX_ID
    ? Effect.succeed(id)
    : Effect.fail(new InvalidOption({ option: "id", value: JSON.stringify(id), expected: `1 to ${MAX_ID} characters` }))

// From Effect's own Random, so that a seeded one makes the ids of a test repeatable.
const uuid: Effect.Effect<string> = Effect.gen(function* () {
  const hex = yield* Effect.replicateEffect(Random.nextIntBetween(0, 16), 32)
  const digits = hex.map((digit, i) => (i === 12 ? 4 : i === 16 ? 8 + (digit % 4) : digit).toString(16)).join("")
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
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
