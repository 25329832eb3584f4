/**
 * The verbs on jobs: what the scheduler's callers ask for, written to its stores in their own fibers, and told as events.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type { JobSettings, PayloadOption } from "./Declaration.ts"
import * as Declaration from "./Declaration.ts"
import * as Job from "./Job.ts"
import type { Change, JobFilter, JobStore, OnConflict, Reconciliation, Removal } from "./JobStore.ts"
import type { NamedExecutors } from "./NamedExecutors.ts"
import type { NamedStores } from "./NamedStores.ts"
import * as Policy from "./Policy.ts"
import {
  InvalidArchive,
  InvalidOption,
  issuesOf,
  JobExists,
  JobNotFound,
  type StoreError,
  TaskNotFound,
  TriggerExhausted
} from "./SchedulerError.ts"
import type { Hub, SchedulerEvent } from "./SchedulerEvent.ts"
import * as SchedulerMetrics from "./SchedulerMetrics.ts"
import * as SchedulerTracer from "./SchedulerTracer.ts"
import * as Task from "./Task.ts"
import * as Trigger from "./Trigger.ts"

/**
 * What the verbs work with.
 *
 * @since 0.1.0
 * @category models
 */
export interface Engine {
  readonly stores: NamedStores
  readonly executors: NamedExecutors
  readonly handlers: ReadonlyMap<string, Task.Handler>
  readonly defaults: Policy.Policy
  readonly hub: Hub
}

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
 * @since 0.1.0
 * @category models
 */
export interface AddAllOptions {
  readonly onConflict?: OnConflict | undefined
  /** Is told now and then how many are stored. */
  readonly onProgress?: ((stored: number, total: number) => Effect.Effect<void>) | undefined
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

// ---------------------------------------------------------------------------------------------------------------------
// what all verbs need
// ---------------------------------------------------------------------------------------------------------------------

/**
 * @since 0.1.0
 * @category conversions
 */
export const utc = (instant: DateTime.DateTime.Input): DateTime.Utc => DateTime.toUtc(DateTime.unsafeMake(instant))

/**
 * @since 0.1.0
 * @category verbs
 */
export const findJob = (self: Engine, id: string): Effect.Effect<Job.Job, JobNotFound | StoreError> =>
  Effect.flatMap(
    self.stores.get(id),
    Option.match({ onNone: () => Effect.fail(new JobNotFound({ jobId: id })), onSome: Effect.succeed })
  )

const surroundings = (self: Engine) =>
  Effect.map(Effect.all([DateTime.now, SchedulerTracer.origin]), ([now, origin]) => ({
    defaults: self.defaults,
    now,
    origin
  }))

/** A name that nobody has would leave the job where no node looks for it. */
const checkExecutor = (self: Engine, name: string): Effect.Effect<void, InvalidOption> => {
  const expected = `an executor of this scheduler: ${self.executors.names.join(", ")}`
  return self.executors.get(name) === undefined
    ? new InvalidOption({ option: "executor", value: name, expected })
    : Effect.void
}

type Around = Effect.Effect.Success<ReturnType<typeof surroundings>> & { readonly group?: string }

const toJob = (self: Engine, declaration: Declaration.Declaration, around: Around) =>
  Effect.tap(Declaration.toJob(declaration, around), ({ policy }) => checkExecutor(self, policy.executor))

/**
 * @since 0.1.0
 * @category verbs
 */
export const add = (self: Engine, task: Task.Any, options: AddOptions<Task.Any>) =>
  Effect.gen(function* () {
    const { onConflict = "fail", payload, ...settings } = options
    const store = yield* self.stores.named(settings.store)
    const job = yield* toJob(self, { task, payload, settings }, yield* surroundings(self))
    const changes = yield* put(self, store, [job], onConflict)
    return changes[0]?.job ?? job
  })

/** Stores jobs, and tells of it. */
const put = (
  self: Engine,
  store: JobStore["Type"],
  jobs: ReadonlyArray<Job.Job>,
  onConflict: OnConflict,
  onProgress?: (stored: number) => Effect.Effect<void>
) =>
  Effect.gen(function* () {
    const changes = yield* store.add(jobs, onConflict, onProgress)
    const now = yield* DateTime.now
    for (const change of changes) tellChange(self, change, now)
    return changes
  })

/**
 * @since 0.1.0
 * @category verbs
 */
export const addAll = (
  self: Engine,
  declarations: ReadonlyArray<Declaration.Declaration>,
  { onConflict = "fail", onProgress }: AddAllOptions = {}
) =>
  Effect.gen(function* () {
    const parts = yield* byStore(self, declarations, yield* surroundings(self))
    const added = new Map<Declaration.Declaration, Job.Job>()
    for (const { jobs, origins, store } of parts) {
      const before = added.size
      const tell =
        onProgress === undefined ? undefined : (stored: number) => onProgress(before + stored, declarations.length)
      const changes = yield* put(self, store, jobs, onConflict, tell)
      for (const [index, { job }] of changes.entries()) added.set(origins[index]!, job)
    }
    return declarations.map((declaration) => added.get(declaration)!)
  })

/** The jobs that go into one store, and the declarations that they come from. */
interface Part {
  readonly store: JobStore["Type"]
  readonly jobs: Array<Job.Job>
  readonly origins: Array<Declaration.Declaration>
}

/** All are checked before the first one is stored. */
const byStore = (self: Engine, declarations: ReadonlyArray<Declaration.Declaration>, around: Around) =>
  Effect.gen(function* () {
    const parts = new Map<JobStore["Type"], Part>()
    for (const declaration of declarations) {
      const store = yield* self.stores.named(declaration.settings.store)
      const part = parts.get(store) ?? { store, jobs: [], origins: [] }
      part.jobs.push(yield* toJob(self, declaration, around))
      part.origins.push(declaration)
      parts.set(store, part)
    }
    return [...parts.values()]
  })

/**
 * @since 0.1.0
 * @category verbs
 */
export const importJobs = (
  self: Engine,
  archive: unknown,
  {
    onConflict = "fail",
    store: name
  }: { readonly onConflict?: OnConflict | undefined; readonly store?: string | undefined }
) =>
  Effect.gen(function* () {
    const store = yield* Effect.mapError(self.stores.named(name), ({ message }) => unknownStore(message))
    const { jobs } = yield* Effect.mapError(decodeArchive(archive), unreadable)
    return (yield* put(self, store, jobs, onConflict)).map(({ job }) => job)
  })

const unknownStore = (message: string): InvalidArchive => new InvalidArchive({ issues: [{ path: "store", message }] })

/**
 * @since 0.1.0
 * @category verbs
 */
export const exportJobs = (self: Engine, filter: JobFilter) =>
  Effect.map(self.stores.list(filter), (jobs) => encodeArchive({ version: 1, jobs }))

const encodeArchive = Schema.encodeSync(Job.Archive)
const decodeArchive = Schema.decodeUnknown(Job.Archive, { errors: "all" })

const unreadable = (error: ParseResult.ParseError): InvalidArchive => new InvalidArchive({ issues: issuesOf(error) })

/**
 * @since 0.1.0
 * @category verbs
 */
export const remove = (self: Engine, target: string | JobFilter) =>
  Effect.gen(function* () {
    const now = yield* DateTime.now
    if (typeof target === "string") {
      return tellRemoval(self, yield* self.stores.ofJob((store) => store.remove(target, now)), now)
    }
    const removals = yield* self.stores.matching(target, (store) => store.removeAll(target, now))
    for (const removal of removals) tellRemoval(self, removal, now)
    return removals.map(({ job }) => job)
  })

/**
 * @since 0.1.0
 * @category verbs
 */
export const removeAll = (self: Engine) =>
  Effect.gen(function* () {
    const at = yield* DateTime.now
    const removals = yield* self.stores.matching({}, (store) => store.removeAll({}, at))
    for (const { cancelled } of removals) {
      for (const run of cancelled) tell(self, { _tag: "RunCancelled", at, jobId: run.jobId, run })
    }
    tell(self, { _tag: "AllJobsRemoved", at, count: removals.length })
    return removals.length
  })

/**
 * @since 0.1.0
 * @category verbs
 */
export const update = (
  self: Engine,
  target: string | JobFilter,
  _tag: "JobModified" | "JobPaused" | "JobResumed",
  change: (job: Job.Job, now: DateTime.Utc) => Job.Job
) =>
  Effect.gen(function* () {
    const at = yield* DateTime.now
    if (typeof target === "string") {
      let isChanged = false
      const changeOne = (job: Job.Job) => {
        const changed = change(job, at)
        isChanged = changed !== job
        return changed
      }
      const job = yield* self.stores.ofJob((store) => store.update(target, changeOne))
      if (isChanged) tell(self, { _tag, at, jobId: job.id })
      return job
    }
    const jobs = yield* self.stores.matching(target, (store) => store.updateAll(target, (job) => change(job, at)))
    for (const { id } of jobs) tell(self, { _tag, at, jobId: id })
    return jobs
  })

/**
 * @since 0.1.0
 * @category verbs
 */
export const modify = (self: Engine, target: string | JobFilter, changes: Modification) =>
  Effect.gen(function* () {
    const { labels, name, payload, ...policy } = changes
    yield* Declaration.override(Policy.defaults, policy)
    if (policy.executor !== undefined) yield* checkExecutor(self, policy.executor)
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

/**
 * @since 0.1.0
 * @category verbs
 */
export const reschedule = (self: Engine, target: string | JobFilter, trigger: Trigger.Trigger) =>
  Effect.gen(function* () {
    const now = yield* DateTime.now
    if (Option.isNone(Trigger.first(trigger, now))) {
      return yield* new TriggerExhausted({ jobId: typeof target === "string" ? target : JSON.stringify(target) })
    }
    return yield* update(self, target, "JobModified", (job, at) => Job.reschedule(job, trigger, at))
  })

/**
 * @since 0.1.0
 * @category verbs
 */
export const reconcile = (
  self: Engine,
  group: string,
  declarations: ReadonlyArray<Declaration.Declaration>,
  absent: "remove" | "report"
) =>
  Effect.gen(function* () {
    const around = { ...(yield* surroundings(self)), group }
    const { now } = around
    const parts = new Map((yield* byStore(self, declarations, around)).map(({ jobs, store }) => [store, jobs]))
    // What has gone to another store is there before it is removed here.
    const results = yield* Effect.forEach(
      self.stores.all.toSorted((a, b) => (parts.get(b)?.length ?? 0) - (parts.get(a)?.length ?? 0)),
      (store) => store.reconcile({ group, jobs: parts.get(store) ?? [], absent, now })
    )
    const result = { changes: results.flatMap((_) => _.changes), absent: results.flatMap((_) => _.absent) }
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

/**
 * Tells of what a verb did, and counts the runs that it ended.
 *
 * @since 0.1.0
 * @category events
 */
export const tell = ({ hub }: Engine, event: SchedulerEvent): void => {
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
// from one store to another
// ---------------------------------------------------------------------------------------------------------------------

/**
 * No transaction spans two stores: the job is parked in the one it goes to until it is gone from the other, so that
 * whatever dies in between, it neither fires twice nor is lost. To move it once more then completes it.
 *
 * @since 0.1.0
 * @category verbs
 */
export const move = (self: Engine, id: string, to: string) =>
  Effect.gen(function* () {
    const target = yield* self.stores.named(to)
    const at = yield* DateTime.now
    const known = yield* target.get(id)
    const others = self.stores.all.filter((store) => store !== target)
    const source = yield* Effect.findFirst(others, (store) => Effect.map(store.get(id), Option.isSome))
    if (Option.isNone(source)) {
      return yield* Option.isSome(known) ? target.update(id, Job.arrive) : new JobNotFound({ jobId: id })
    }
    if (Option.isSome(known)) yield* forgetCopy(target, known.value, at)
    const { cancelled } = yield* carryOver(source.value, target, id, at)
    for (const run of cancelled) tell(self, { _tag: "RunCancelled", at, jobId: id, run })
    const job = yield* target.update(id, Job.arrive)
    tell(self, { _tag: "JobModified", at, jobId: id })
    return job
  })

/** What an earlier move left behind stands where the job stood then. */
const forgetCopy = (target: JobStore["Type"], job: Job.Job, at: DateTime.Utc) =>
  Job.isMoving(job) ? Effect.asVoid(target.remove(job.id, at)) : new JobExists({ jobId: job.id })

const carryOver = (source: JobStore["Type"], target: JobStore["Type"], id: string, at: DateTime.Utc) =>
  Effect.gen(function* () {
    const job = yield* source.get(id)
    if (Option.isNone(job)) return yield* new JobNotFound({ jobId: id })
    yield* target.add([Job.depart(job.value, at)], "fail")
    return yield* source.remove(id, at)
  })
