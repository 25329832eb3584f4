/**
 * Where jobs and runs live, and the only truth about who holds a run: the port, and the store in memory.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import * as Job from "./Job.ts"
import { defaults, type Policy } from "./Policy.ts"
import { PriorityQueue } from "./PriorityQueue.ts"
import * as Run from "./Run.ts"
import { JobExists, JobNotFound, type StoreError } from "./SchedulerError.ts"

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
 * A run after a step, and its job; `isFinished` when the step was the last one of the job's last run, which removed it.
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
 * What one claim made of the due jobs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Claim {
  readonly advances: ReadonlyArray<Job.Advance & { readonly isFinished: boolean }>
  /** Jobs that could not be read and were parked: id and reason. */
  readonly parked: ReadonlyArray<{ readonly jobId: string; readonly reason: string }>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface JobFilter {
  readonly group?: string | undefined
  readonly task?: string | undefined
}

/**
 * Runs by job and state, newest first; `limit` defaults to 100.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunFilter {
  readonly jobId?: string | undefined
  readonly states?: ReadonlyArray<Run.RunState["_tag"]> | undefined
  readonly limit?: number | undefined
}

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
    /** Stores jobs, all or none, in the order given. */
    readonly add: (
      jobs: ReadonlyArray<Job.Job>,
      onConflict: OnConflict
    ) => Effect.Effect<ReadonlyArray<Change>, JobExists | StoreError>
    readonly get: (id: string) => Effect.Effect<Option.Option<Job.Job>, StoreError>
    /** Jobs in the order of their ids. */
    readonly list: (filter: JobFilter) => Effect.Effect<ReadonlyArray<Job.Job>, StoreError>
    /** Replaces one job by a pure function of it. */
    readonly update: (id: string, change: (job: Job.Job) => Job.Job) => Effect.Effect<Job.Job, JobNotFound | StoreError>
    /** Removes a job and cancels its runs that have not started; those under way go on. */
    readonly remove: (id: string, now: DateTime.Utc) => Effect.Effect<Removal, JobNotFound | StoreError>
    /** Makes the jobs of a group be those declared; unchanged ones are not touched, absent ones removed or reported. */
    readonly reconcile: (options: {
      readonly group: string
      readonly jobs: ReadonlyArray<Job.Job>
      readonly absent: "remove" | "report"
      readonly now: DateTime.Utc
    }) => Effect.Effect<Reconciliation, StoreError>
    readonly runs: (filter: RunFilter) => Effect.Effect<ReadonlyArray<Run.Run>, StoreError>
    /** Inserts a run outside the trigger, under the job's limits; the job's cursor stays. */
    readonly fire: (id: string, now: DateTime.Utc) => Effect.Effect<Run.Run, JobNotFound | StoreError>
    /** The tick: turns due jobs into runs by `Job.advance` and moves them on, the longest due first. */
    readonly claim: (options: {
      readonly now: DateTime.Utc
      readonly limit: number
    }) => Effect.Effect<Claim, StoreError>
    /** Hands out runs that may start, by priority and then by time, each with its next attempt number. */
    readonly start: (options: {
      readonly node: string
      readonly now: DateTime.Utc
      readonly limit: number
      readonly tasks: ReadonlySet<string>
    }) => Effect.Effect<ReadonlyArray<Step>, StoreError>
    /** Records how attempts ended. An attempt that is no longer the holder changes nothing and is left out. */
    readonly settle: (
      settlements: ReadonlyArray<{ readonly run: Run.Running; readonly outcome: Run.Outcome }>,
      now: DateTime.Utc
    ) => Effect.Effect<ReadonlyArray<Step>, StoreError>
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
    /** The next time at which a claim, a start of one of these tasks, or a recovery may find something. */
    readonly nextWake: (options: {
      readonly node: string
      readonly tasks: ReadonlySet<string>
    }) => Effect.Effect<Option.Option<DateTime.Utc>, StoreError>
  }
>() {}

/**
 * The policy that settles a run whose job was removed meanwhile: nothing of it starts again.
 *
 * @since 0.1.0
 * @category policies
 */
export const orphanPolicy: Policy = { ...defaults, onCrash: "abandon" }

// ---------------------------------------------------------------------------------------------------------------------
// in memory
// ---------------------------------------------------------------------------------------------------------------------

/** How many ended runs the store in memory remembers. */
const HISTORY = 10_000

class Memory {
  readonly jobs = new Map<string, Job.Job>()
  readonly runs = new Map<string, Run.Run>()
  readonly nodes = new Map<string, number>()
  /** Active jobs by next run time. */
  readonly due = new PriorityQueue()
  /** Pending runs by task: those whose time has not come, and those that may start. */
  readonly later = new Map<string, PriorityQueue>()
  readonly ready = new Map<string, PriorityQueue>()
  /** Live runs by job. */
  readonly live = new Map<string, Set<string>>()
  lives = 0
  registrations = 0
  readonly ended: Array<string> = []

  putJob(job: Job.Job): Job.Job {
    this.jobs.set(job.id, job)
    if (job.state._tag === "Active" && Option.isSome(job.nextRunTime)) {
      this.due.set(job.id, { rank: 0, time: job.nextRunTime.value.epochMillis })
    } else {
      this.due.delete(job.id)
    }
    return job
  }

  insertJob(job: Job.Job): Job.Job {
    return this.putJob({ ...job, incarnation: ++this.lives })
  }

  dropJob(id: string): void {
    this.jobs.delete(id)
    this.due.delete(id)
  }

  putRun(run: Run.Run): Run.Run {
    const known = this.runs.get(run.id)
    if (known?.state._tag === "Pending") this.dequeue(known)
    this.runs.set(run.id, run)
    if (run.state._tag === "Pending")
      this.queue(this.later, run.task).set(run.id, { rank: 0, time: run.runAt.epochMillis })
    if (Run.isLive(run)) this.liveOf(run.jobId).add(run.id)
    else this.end(run)
    return run
  }

  private end(run: Run.Run): void {
    const live = this.live.get(run.jobId)
    live?.delete(run.id)
    if (live?.size === 0) this.live.delete(run.jobId)
    this.ended.push(run.id)
    if (this.ended.length > 2 * HISTORY) for (const id of this.ended.splice(0, HISTORY)) this.runs.delete(id)
  }

  queue(queues: Map<string, PriorityQueue>, task: string): PriorityQueue {
    const known = queues.get(task)
    if (known !== undefined) return known
    const made = new PriorityQueue()
    queues.set(task, made)
    return made
  }

  private dequeue(run: Run.Run): void {
    this.later.get(run.task)?.delete(run.id)
    this.ready.get(run.task)?.delete(run.id)
  }

  liveOf(jobId: string): Set<string> {
    const known = this.live.get(jobId)
    if (known !== undefined) return known
    const made = new Set<string>()
    this.live.set(jobId, made)
    return made
  }

  liveRuns(job: Job.Job): ReadonlyArray<Run.Run> {
    const ids = this.live.get(job.id)
    if (ids === undefined) return []
    return [...ids].map((id) => this.runs.get(id)!).filter((run) => run.incarnation === job.incarnation)
  }

  instances(job: Job.Job): number {
    return new Set(this.liveRuns(job).map((run) => run.instance)).size
  }

  /** Moves runs whose time has come to where they are ordered by priority. */
  ripen(task: string, now: number): void {
    const later = this.later.get(task)
    for (let head = later?.peek(); head !== undefined && head.time <= now; head = later!.peek()) {
      const run = this.runs.get(later!.shift()!)!
      this.queue(this.ready, task).set(run.id, { rank: -run.priority, time: run.runAt.epochMillis })
    }
  }

  /** The task whose first ready run comes before those of the others. */
  firstReady(tasks: ReadonlySet<string>): PriorityQueue | undefined {
    let best: PriorityQueue | undefined
    for (const task of tasks) {
      const queue = this.ready.get(task)
      const [head, first] = [queue?.peek(), best?.peek()]
      if (head === undefined) continue
      if (first === undefined || head.rank < first.rank || (head.rank === first.rank && head.time < first.time)) {
        best = queue
      }
    }
    return best
  }

  /** After a run has ended: the next one of its catch-up may start, and a job with nothing left is removed. */
  follow(run: Run.Run): Step {
    const job = this.jobs.get(run.jobId)
    if (Run.isLive(run) || job === undefined || job.incarnation !== run.incarnation) {
      return { run, job: Option.fromNullable(job), isFinished: false }
    }
    const waiting = this.liveRuns(job).find((r) => r.instance === run.instance && r.state._tag === "Waiting")
    if (waiting !== undefined) this.putRun({ ...waiting, state: { _tag: "Pending" } })
    return { run, job: Option.some(job), isFinished: this.finish(job) }
  }

  finish(job: Job.Job): boolean {
    const isFinished = Job.isFinished(job) && !this.live.has(job.id)
    if (isFinished) this.dropJob(job.id)
    return isFinished
  }
}

const declare = (memory: Memory, job: Job.Job, onConflict: OnConflict): Change => {
  const known = memory.jobs.get(job.id)
  if (known === undefined) return { _tag: "Added", job: memory.insertJob(job) }
  if (onConflict === "keep") return { _tag: "Kept", job: known }
  return { _tag: "Replaced", job: memory.putJob(Job.replace(known, job)) }
}

const reconcileOne = (memory: Memory, job: Job.Job): Change => {
  const known = memory.jobs.get(job.id)
  return declare(memory, job, known !== undefined && Job.isSameDeclaration(known, job) ? "keep" : "replace")
}

const remove = (memory: Memory, job: Job.Job, now: DateTime.Utc): Removal => {
  memory.dropJob(job.id)
  const idle = memory.liveRuns(job).filter((run) => run.state._tag !== "Running")
  return { job, cancelled: idle.map((run) => memory.putRun(Run.cancel(run, now))) }
}

const claimOne = (memory: Memory, job: Job.Job, now: DateTime.Utc) => {
  const advance = Job.advance(job, now, memory.instances(job))
  const isNew = (run: Run.Run) => !memory.runs.has(run.id)
  for (const run of [...advance.runs, ...advance.missed, ...advance.skipped].filter(isNew)) memory.putRun(run)
  memory.putJob(advance.next)
  return { ...advance, isFinished: memory.finish(advance.next) }
}

const startOne = (memory: Memory, run: Run.Run, node: string, now: DateTime.Utc): Step =>
  memory.follow(memory.putRun(Run.start(run, node, now)))

const settleOne = (memory: Memory, held: Run.Running, outcome: Run.Outcome, now: DateTime.Utc): Option.Option<Step> => {
  const run = memory.runs.get(held.id)
  if (run === undefined || run.state._tag !== "Running" || run.attempt !== held.attempt) return Option.none()
  const job = memory.jobs.get(run.jobId)
  const policy = job?.incarnation === run.incarnation ? job.policy : orphanPolicy
  return Option.some(memory.follow(memory.putRun(Run.settle(held, policy, outcome, now))))
}

const recover = (memory: Memory, now: DateTime.Utc, limit: number): ReadonlyArray<Step> => {
  for (const [node, until] of memory.nodes) if (until < now.epochMillis) memory.nodes.delete(node)
  const lost = [...memory.live.values()]
    .flatMap((ids) => [...ids].map((id) => memory.runs.get(id)!).filter(Run.isRunning))
    .filter((run) => !memory.nodes.has(run.state.node))
  return lost.slice(0, limit).flatMap((run) => Option.toArray(settleOne(memory, run, { _tag: "Crashed" }, now)))
}

const nextWake = (memory: Memory, node: string, tasks: ReadonlySet<string>): number => {
  let wake = memory.due.peek()?.time ?? Infinity
  for (const task of tasks) {
    wake = Math.min(
      wake,
      memory.later.get(task)?.peek()?.time ?? Infinity,
      memory.ready.get(task)?.peek()?.time ?? Infinity
    )
  }
  // The lease holds to its last millisecond.
  for (const [other, until] of memory.nodes) if (other !== node) wake = Math.min(wake, until + 1)
  return wake
}

const fire = (memory: Memory, job: Job.Job, now: DateTime.Utc): Run.Run => {
  let count = 1
  while (memory.runs.has(Run.manual(job, now, count).id)) count++
  const run = Run.manual(job, now, count)
  return memory.putRun(memory.instances(job) >= job.policy.maxInstances ? Run.skip(run, now) : run)
}

const byId = (a: Job.Job, b: Job.Job): number => (a.id < b.id ? -1 : 1)

const matches = (filter: JobFilter) => (job: Job.Job) =>
  (filter.group === undefined || Option.contains(job.group, filter.group)) &&
  (filter.task === undefined || job.task === filter.task)

const listRuns = (memory: Memory, filter: RunFilter): ReadonlyArray<Run.Run> =>
  [...memory.runs.values()]
    .filter(
      (run) =>
        (filter.jobId === undefined || run.jobId === filter.jobId) &&
        (filter.states === undefined || filter.states.includes(run.state._tag))
    )
    .sort((a, b) => b.scheduledAt.epochMillis - a.scheduledAt.epochMillis || (a.id < b.id ? 1 : -1))
    .slice(0, filter.limit ?? 100)

const find = (memory: Memory, id: string): Effect.Effect<Job.Job, JobNotFound> =>
  Effect.suspend(() => {
    const job = memory.jobs.get(id)
    return job === undefined ? Effect.fail(new JobNotFound({ jobId: id })) : Effect.succeed(job)
  })

const firstTaken = (memory: Memory, jobs: ReadonlyArray<Job.Job>): Job.Job | undefined => {
  const seen = new Set<string>()
  return jobs.find(({ id }) => memory.jobs.has(id) || seen.size === seen.add(id).size)
}

const add = (
  memory: Memory,
  jobs: ReadonlyArray<Job.Job>,
  onConflict: OnConflict
): Effect.Effect<ReadonlyArray<Change>, JobExists> =>
  Effect.suspend(() => {
    const taken = onConflict === "fail" ? firstTaken(memory, jobs) : undefined
    if (taken !== undefined) return Effect.fail(new JobExists({ jobId: taken.id }))
    return Effect.succeed(jobs.map((job) => declare(memory, job, onConflict)))
  })

const reconcile = (
  memory: Memory,
  { absent, group, jobs, now }: Parameters<JobStore["Type"]["reconcile"]>[0]
): Reconciliation => {
  const declared = new Set(jobs.map(({ id }) => id))
  const changes = jobs.map((job) => reconcileOne(memory, job))
  const gone = [...memory.jobs.values()].filter(matches({ group })).filter(({ id }) => !declared.has(id))
  const end = (job: Job.Job): Removal => (absent === "remove" ? remove(memory, job, now) : { job, cancelled: [] })
  return { changes, absent: gone.sort(byId).map(end) }
}

const claim = (memory: Memory, now: DateTime.Utc, limit: number): Claim => {
  const advances: Array<Claim["advances"][number]> = []
  for (let head = memory.due.peek(); head !== undefined && head.time <= now.epochMillis; head = memory.due.peek()) {
    if (advances.length === limit) break
    advances.push(claimOne(memory, memory.jobs.get(head.id)!, now))
  }
  return { advances, parked: [] }
}

const start = (
  memory: Memory,
  { limit, node, now, tasks }: Parameters<JobStore["Type"]["start"]>[0]
): ReadonlyArray<Step> => {
  for (const task of tasks) memory.ripen(task, now.epochMillis)
  const steps: Array<Step> = []
  let started = 0
  for (let queue = memory.firstReady(tasks); queue !== undefined && started < limit; queue = memory.firstReady(tasks)) {
    const step = startOne(memory, memory.runs.get(queue.peek()!.id)!, node, now)
    if (Run.isRunning(step.run)) started++
    steps.push(step)
  }
  return steps
}

const register = (memory: Memory, now: DateTime.Utc, lease: Duration.Duration): string => {
  const node = `node-${++memory.registrations}`
  memory.nodes.set(node, now.epochMillis + Duration.toMillis(lease))
  return node
}

const renew = (memory: Memory, node: string, now: DateTime.Utc, lease: Duration.Duration): boolean => {
  const isAlive = memory.nodes.has(node)
  if (isAlive) memory.nodes.set(node, now.epochMillis + Duration.toMillis(lease))
  return isAlive
}

/**
 * A store that lives and dies with the process, and holds to the same rules as the others. It remembers the last
 * 10 000 ended runs at least.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMemory: Effect.Effect<JobStore["Type"]> = Effect.gen(function* () {
  const memory = new Memory()
  const hub = yield* PubSub.sliding<void>(1)
  const announce = <A, E>(effect: Effect.Effect<A, E>) => Effect.tap(effect, () => hub.publish(undefined))
  return JobStore.of({
    timing: { poll: Duration.infinity, lease: Duration.infinity, renewal: Duration.infinity },
    changes: Stream.fromPubSub(hub),
    add: (jobs, onConflict) => announce(add(memory, jobs, onConflict)),
    get: (id) => Effect.sync(() => Option.fromNullable(memory.jobs.get(id))),
    list: (filter) => Effect.sync(() => [...memory.jobs.values()].filter(matches(filter)).sort(byId)),
    update: (id, change) => announce(Effect.map(find(memory, id), (job) => memory.putJob(change(job)))),
    remove: (id, now) => Effect.map(find(memory, id), (job) => remove(memory, job, now)),
    reconcile: (options) => announce(Effect.sync(() => reconcile(memory, options))),
    runs: (filter) => Effect.sync(() => listRuns(memory, filter)),
    fire: (id, now) => announce(Effect.map(find(memory, id), (job) => fire(memory, job, now))),
    claim: ({ limit, now }) => Effect.sync(() => claim(memory, now, limit)),
    start: (options) => Effect.sync(() => start(memory, options)),
    settle: (settlements, now) =>
      Effect.sync(() =>
        settlements.flatMap(({ outcome, run }) => Option.toArray(settleOne(memory, run, outcome, now)))
      ),
    register: ({ lease, now }) => Effect.sync(() => register(memory, now, lease)),
    renew: ({ lease, node, now }) => Effect.sync(() => renew(memory, node, now, lease)),
    recover: ({ limit, now }) => Effect.sync(() => recover(memory, now, limit)),
    release: (node) => Effect.sync(() => void memory.nodes.delete(node)),
    nextWake: ({ node, tasks }) => Effect.sync(() => instantOption(nextWake(memory, node, tasks)))
  })
})

const instantOption = (millis: number): Option.Option<DateTime.Utc> =>
  Number.isFinite(millis) ? Option.some(DateTime.unsafeMake(millis)) : Option.none()

/**
 * The store in memory.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<JobStore> = Layer.effect(JobStore, makeMemory)
