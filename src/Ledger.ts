/**
 * Jobs and runs in memory, and every change of them as one synchronous step: what the store in memory and the simulation
 * work on, and the words in which a store answers.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as MutableList from "effect/MutableList"
import * as Option from "effect/Option"
import * as Job from "./Job.ts"
import { defaults, type Policy } from "./Policy.ts"
import { PriorityQueue } from "./PriorityQueue.ts"
import * as Run from "./Run.ts"
import { RunHistory } from "./RunHistory.ts"

// ---------------------------------------------------------------------------------------------------------------------
// what a store is asked and answers
// ---------------------------------------------------------------------------------------------------------------------

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
 * What one claim made of the due jobs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Claim {
  readonly advances: ReadonlyArray<ClaimedJob>
  /** Jobs that could not be read and were parked: id and reason. */
  readonly parked: ReadonlyArray<{ readonly jobId: string; readonly reason: string }>
}

/**
 * Jobs by what they are; every field given must hold. `labels` must all be there with these values. `after` and `limit`
 * page through the jobs in the order of their ids; without `limit` there is one page.
 *
 * @since 0.1.0
 * @category models
 */
export interface JobFilter {
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

const isRunMatch = (filter: RunFilter, run: Run.Run): boolean =>
  (filter.jobId === undefined || run.jobId === filter.jobId) &&
  (filter.task === undefined || run.task === filter.task) &&
  (filter.states === undefined || filter.states.includes(run.state._tag)) &&
  (filter.from === undefined || run.scheduledAt.epochMillis >= filter.from.epochMillis) &&
  (filter.to === undefined || run.scheduledAt.epochMillis <= filter.to.epochMillis) &&
  (filter.after === undefined || inOrder(filter)(filter.after, run) < 0)

type Place = Pick<Run.Run, "id" | "scheduledAt">

const inOrder = ({ order }: RunFilter): ((a: Place, b: Place) => number) =>
  order === "oldest" ? (a, b) => newestFirst(b, a) : newestFirst

const newestFirst = (a: Place, b: Place): number =>
  b.scheduledAt.epochMillis - a.scheduledAt.epochMillis || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0)

const byId = (a: Job.Job, b: Job.Job): number => (a.id < b.id ? -1 : 1)

// ---------------------------------------------------------------------------------------------------------------------
// what a job has in flight
// ---------------------------------------------------------------------------------------------------------------------

/** The live runs of one life of a job, oldest first. */
class Load implements Job.Load {
  readonly incarnation: number
  /** The pending or running one of each instance in flight. */
  readonly held = new Map<string, string>()
  /** The instances that are queued, some of which may be so no longer; backfills come last. */
  readonly queue = MutableList.empty<string>()
  readonly backlog = MutableList.empty<string>()
  /** The queued run of each instance. */
  readonly heads = new Map<string, string>()
  /** Those that wait for the run before them, by instance. */
  readonly waiting = new Map<string, MutableList.MutableList<string>>()
  backfilling = 0
  queued = 0
  backlogged = 0

  constructor(incarnation: number) {
    this.incarnation = incarnation
  }

  get active(): number {
    return this.held.size
  }

  get isEmpty(): boolean {
    return this.held.size === 0 && this.queued === 0 && this.backlogged === 0
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// the ledger
// ---------------------------------------------------------------------------------------------------------------------

/**
 * All jobs and runs of one process. It remembers the last `history` ended runs at most.
 *
 * @since 0.1.0
 * @category models
 */
export class Ledger {
  readonly #jobs = new Map<string, Job.Job>()
  readonly #runs = new Map<string, Run.Run>()
  readonly #nodes = new Map<string, number>()
  /** Active jobs by when they are due. */
  readonly #due = new PriorityQueue()
  /** Pending runs by task: those whose time has not come, and those that may start. */
  readonly #later = new Map<string, PriorityQueue>()
  readonly #ready = new Map<string, PriorityQueue>()
  readonly #loads = new Map<string, Load>()
  /** Runs that their nodes have to interrupt. */
  readonly #cancelling = new Set<string>()
  readonly #history: RunHistory
  /** Finished jobs that are kept. */
  readonly #finished = new Set<string>()
  #lives = 0
  #registrations = 0
  #running = 0
  #fires = { at: 0, count: 0 }
  /** The time of the last claim or start. */
  #now = 0

  constructor(history = 10_000) {
    this.#history = new RunHistory(history, (id) => this.#runs.delete(id))
  }

  // -------------------------------------------------------------------------------------------------------------------
  // jobs
  // -------------------------------------------------------------------------------------------------------------------

  job(id: string): Job.Job | undefined {
    return this.#jobs.get(id)
  }

  /** All that match, or the page that was asked for. */
  list(filter: JobFilter): ReadonlyArray<Job.Job> {
    const { after, limit } = filter
    const found = [...this.#jobs.values()].filter(
      (job) => isMatch(filter, job) && (after === undefined || job.id > after)
    )
    return found.sort(byId).slice(0, limit)
  }

  /** The first id that is taken, by a job or by another one of these. */
  firstTaken(jobs: ReadonlyArray<Job.Job>): string | undefined {
    const seen = new Set<string>()
    return jobs.find(({ id }) => this.#jobs.has(id) || seen.size === seen.add(id).size)?.id
  }

  declare(job: Job.Job, onConflict: OnConflict): Change {
    const known = this.#jobs.get(job.id)
    if (known === undefined) return { _tag: "Added", job: this.#putJob({ ...job, incarnation: ++this.#lives }) }
    if (onConflict === "keep") return { _tag: "Kept", job: known }
    return { _tag: "Replaced", job: this.update(Job.replace(known, job)) }
  }

  /** Puts a changed job in its place; what waits in its queue may start if it now admits more. */
  update(job: Job.Job): Job.Job {
    this.#putJob(job)
    const load = this.#loads.get(job.id)
    if (load !== undefined) this.#promote(job, load)
    // One that has nothing left, and nothing in flight, is due at once: the next claim ends it.
    if (Job.isFinished(job) && load?.isEmpty !== false) this.#due.set(job.id, 0, 0)
    return job
  }

  remove(job: Job.Job, now: DateTime.Utc): Removal {
    const idle = this.#liveRuns(job.id).filter((run) => run.state._tag !== "Running")
    this.#dropJob(job.id)
    return { job, cancelled: idle.map((run) => this.#putRun(Run.cancel(run, now, "removed"), job.policy)) }
  }

  reconcile(
    group: string,
    jobs: ReadonlyArray<Job.Job>,
    absent: "remove" | "report",
    now: DateTime.Utc
  ): Reconciliation {
    const declared = new Set(jobs.map(({ id }) => id))
    const changes = jobs.map((job) => this.#reconcileOne(job))
    const gone = this.list({ group }).filter(({ id }) => !declared.has(id))
    return {
      changes,
      absent: gone.map((job) => (absent === "remove" ? this.remove(job, now) : { job, cancelled: [] }))
    }
  }

  #reconcileOne(job: Job.Job): Change {
    const known = this.#jobs.get(job.id)
    return this.declare(job, known !== undefined && Job.isSameDeclaration(known, job) ? "keep" : "replace")
  }

  #putJob(job: Job.Job): Job.Job {
    this.#jobs.set(job.id, job)
    const time = Job.dueAt(job)
    if (time === Infinity) this.#due.delete(job.id)
    else this.#due.set(job.id, 0, time)
    if (job.state._tag === "Finished") this.#finished.add(job.id)
    else this.#finished.delete(job.id)
    return job
  }

  #dropJob(id: string): void {
    this.#jobs.delete(id)
    this.#due.delete(id)
    this.#loads.delete(id)
    this.#finished.delete(id)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // runs
  // -------------------------------------------------------------------------------------------------------------------

  run(id: string): Run.Run | undefined {
    return this.#runs.get(id)
  }

  runs(filter: RunFilter): ReadonlyArray<Run.Run> {
    const found = [...this.#runs.values()].filter((run) => isRunMatch(filter, run))
    return found.sort(inOrder(filter)).slice(0, filter.limit ?? 100)
  }

  /** A run outside the trigger, under the job's limits; what had to go for it comes with it. */
  fire(job: Job.Job, now: DateTime.Utc, origin?: Run.Origin): Fired {
    const load = this.#loadOf(job)
    const admission = Job.admit(job.policy, load, [Run.manual(job, now, this.#countFire(now), origin)], now)
    const cancelled = this.#makeRoom(job, load, admission.cancels, now)
    const [run] = [...admission.runs, ...admission.skipped].map((run) => this.#putRun(run, job.policy))
    this.#promote(job, load)
    return { run: this.#runs.get(run!.id) ?? run!, cancelled }
  }

  /** Runs that are asked for at one instant are counted, even if earlier ones have been forgotten. */
  #countFire({ epochMillis }: DateTime.Utc): number {
    this.#fires = { at: epochMillis, count: this.#fires.at === epochMillis ? this.#fires.count + 1 : 1 }
    return this.#fires.count
  }

  /** Puts runs for past times behind all others of the job; those that are there already stay as they are. */
  backfill(job: Job.Job, runs: ReadonlyArray<Run.Run>): ReadonlyArray<Run.Run> {
    const made = runs.filter((run) => !this.#runs.has(run.id)).map((run) => Run.hold(run, "Queued"))
    for (const run of made) this.#putRun(run, job.policy)
    this.#promote(job, this.#loadOf(job))
    return made.map((run) => this.#runs.get(run.id)!)
  }

  /** Calls a run off: at once, or by a request to its node if it is under way; an ended one stays as it is. */
  cancel(run: Run.Run, reason: Run.CancelReason, now: DateTime.Utc): Step {
    const job = this.#jobs.get(run.jobId)
    const called = this.#callOff(run, reason, now, job?.policy)
    return called === run ? { run, job: Option.fromNullable(job), isFinished: false } : this.#follow(run, called, now)
  }

  #callOff(run: Run.Run, reason: Run.CancelReason, now: DateTime.Utc, policy?: Policy): Run.Run {
    if (!Run.isLive(run)) return run
    if (!Run.isRunning(run)) return this.#putRun(Run.cancel(run, now, reason), policy)
    this.#cancelling.add(run.id)
    return this.#putRun(Run.requestCancel(run, reason), policy)
  }

  /** The runs of a node that it has to interrupt. */
  cancellations(node: string): ReadonlyArray<string> {
    return [...this.#cancelling].filter((id) => this.#holder(id) === node)
  }

  /** Forgets runs, and finished jobs, that have been kept long enough; says how many runs. */
  prune(now: DateTime.Utc): number {
    for (const id of this.#finished) {
      const job = this.#jobs.get(id)
      const isIdle = this.#loads.get(id)?.isEmpty !== false
      if (job !== undefined && isIdle && keptUntil(job) <= now.epochMillis) this.#dropJob(id)
    }
    return this.#history.prune(now.epochMillis)
  }

  counts(): Counts {
    let queued = 0
    for (const load of this.#loads.values()) queued += load.queued + load.backlogged
    const lines = [...this.#later.values(), ...this.#ready.values()]
    const pending = lines.reduce((sum, line) => sum + line.size, 0)
    return { jobs: this.#jobs.size, queued, pending, running: this.#running }
  }

  #holder(id: string): string | undefined {
    const state = this.#runs.get(id)?.state
    return state?._tag === "Running" ? state.node : undefined
  }

  #queue(queues: Map<string, PriorityQueue>, task: string): PriorityQueue {
    const known = queues.get(task)
    if (known !== undefined) return known
    const made = new PriorityQueue()
    queues.set(task, made)
    return made
  }

  #loadOf(job: { readonly id: string; readonly incarnation: number }): Load {
    const known = this.#loads.get(job.id)
    if (known?.incarnation === job.incarnation) return known
    const made = new Load(job.incarnation)
    this.#loads.set(job.id, made)
    return made
  }

  /** The load that a run belongs to: none if its job is gone, or in another life. */
  #loadOfRun(run: Run.Run): Load | undefined {
    const known = this.#loads.get(run.jobId)
    if (known?.incarnation === run.incarnation) return known
    return this.#jobs.get(run.jobId)?.incarnation === run.incarnation
      ? this.#loadOf({ id: run.jobId, incarnation: run.incarnation })
      : undefined
  }

  #liveRuns(jobId: string): ReadonlyArray<Run.Run> {
    const load = this.#loads.get(jobId)
    if (load === undefined) return []
    const waiting = [...load.waiting.values()].flatMap((line) => [...line])
    return this.#live([...load.held.values(), ...load.heads.values(), ...waiting])
  }

  /** Records a run as it now stands, and everything that follows from its state. */
  #putRun<R extends Run.Run>(run: R, policy: Policy = orphanPolicy): R {
    const known = this.#runs.get(run.id)
    const load = this.#loadOfRun(run)
    this.#runs.set(run.id, run)
    if (known !== undefined) this.#leave(known, run, load)
    this.#enter(known, run, load)
    if (!Run.isLive(run)) this.#history.add(run.id, run.jobId, policy.retention, endOf(run))
    return run
  }

  #leave(known: Run.Run, run: Run.Run, load: Load | undefined): void {
    switch (known.state._tag) {
      case "Pending":
        this.#later.get(known.task)?.delete(known.id)
        this.#ready.get(known.task)?.delete(known.id)
        break
      case "Running":
        if (run.state._tag !== "Running") this.#running--
        break
      case "Queued":
        if (load !== undefined && run.state._tag !== "Queued") this.#unqueue(known, load)
        break
      default:
    }
    if (load === undefined || !Run.isActive(known) || Run.isActive(run)) return
    // The next one of its instance takes its place among the others.
    if (!load.waiting.has(run.instance)) load.held.delete(run.instance)
    if (Run.isBackfill(run)) load.backfilling--
  }

  #enter(known: Run.Run | undefined, run: Run.Run, load: Load | undefined): void {
    switch (run.state._tag) {
      case "Pending":
        this.#line(run)
        break
      case "Running":
        if (known?.state._tag !== "Running") this.#running++
        break
      case "Queued":
        if (load !== undefined) this.#enqueue(run, load)
        break
      case "Waiting":
        if (load !== undefined) this.#append(run, load)
        break
      default:
        if (known?.state._tag === "Running") this.#cancelling.delete(run.id)
    }
    if (load === undefined || !Run.isActive(run)) return
    const isNew = load.held.get(run.instance) !== run.id
    load.held.set(run.instance, run.id)
    if (isNew && Run.isBackfill(run)) load.backfilling++
  }

  /** Puts a pending run where those wait whose time has come, or where those do whose time comes later. */
  #line(run: Run.Run): void {
    const time = run.runAt.epochMillis
    if (time <= this.#now) this.#queue(this.#ready, run.task).set(run.id, -run.priority, time)
    else this.#queue(this.#later, run.task).set(run.id, 0, time)
  }

  #append(run: Run.Run, load: Load): void {
    const known = load.waiting.get(run.instance)
    if (known === undefined) load.waiting.set(run.instance, MutableList.make(run.id))
    else MutableList.append(known, run.id)
  }

  #enqueue(run: Run.Run, load: Load): void {
    const isBackfill = Run.isBackfill(run)
    if (isBackfill) load.backlogged++
    else load.queued++
    // What takes over from another run of its instance keeps its place.
    if (!load.heads.has(run.instance)) MutableList.append(isBackfill ? load.backlog : load.queue, run.instance)
    load.heads.set(run.instance, run.id)
  }

  #unqueue(run: Run.Run, load: Load): void {
    if (Run.isBackfill(run)) load.backlogged--
    else load.queued--
    if (load.waiting.get(run.instance) === undefined) load.heads.delete(run.instance)
  }

  /** Cancels the oldest instances of a job to make room for newer ones; gives those that had not started. */
  #makeRoom(job: Job.Job, load: Load, count: number, now: DateTime.Utc): ReadonlyArray<Run.Run> {
    if (count <= 0) return []
    const oldest = this.#live([...load.held.values(), ...load.heads.values()]).filter((run) => !Run.isBackfill(run))
    return oldest
      .slice(0, count)
      .flatMap((run) => [...this.#disband(run.instance, load), run])
      .map((run) => this.#callOff(run, "overlap", now, job.policy))
      .filter((run) => !Run.isLive(run))
  }

  /** The runs that wait in an instance, of which none will follow any more. */
  #disband(instance: string, load: Load): ReadonlyArray<Run.Run> {
    const waiting = this.#live(load.waiting.get(instance) ?? [])
    load.waiting.delete(instance)
    return waiting
  }

  #live(ids: Iterable<string>): ReadonlyArray<Run.Run> {
    return [...ids].flatMap((id) => this.#runs.get(id) ?? []).filter(Run.isLive)
  }

  /** After a run has ended: the next one of its instance may start, or of its job; a job with nothing left ends. */
  #follow<R extends Run.Run>(before: Run.Run, run: R, now: DateTime.Utc): Step<R> {
    const job = this.#jobs.get(run.jobId)
    if (Run.isLive(run) || job === undefined || job.incarnation !== run.incarnation) {
      return { run, job: Option.fromNullable(job), isFinished: false }
    }
    const load = this.#loadOf(job)
    if (load.waiting.size > 0) this.#succeed(before, load, job.policy)
    this.#promote(job, load)
    const [rested, isFinished] = this.#rest(job, load, now)
    return { run, job: Option.some(rested), isFinished }
  }

  /** The run that waits next takes the place that one of its instance had. */
  #succeed(before: Run.Run, load: Load, policy: Policy): void {
    const line = load.waiting.get(before.instance)
    if (line === undefined || before.state._tag === "Waiting") return
    const next = this.#nextIn(line)
    if (MutableList.isEmpty(line)) load.waiting.delete(before.instance)
    if (next === undefined) return void load.held.delete(before.instance)
    if (before.state._tag === "Queued") this.#putRun(Run.hold(next, "Queued"), policy)
    else this.#putRun(Run.promote(next), policy)
  }

  #nextIn(line: MutableList.MutableList<string>): Run.Run | undefined {
    for (let id = MutableList.shift(line); id !== undefined; id = MutableList.shift(line)) {
      const run = this.#runs.get(id)
      if (run?.state._tag === "Waiting") return run
    }
    return undefined
  }

  /** Lets in what is queued, backfills last and one at a time, while there is room. */
  #promote(job: Job.Job, load: Load): void {
    while (load.active < job.policy.maxInstances) {
      const queue = load.queued > 0 ? load.queue : load.backfilling === 0 ? load.backlog : undefined
      const instance = queue === undefined ? undefined : MutableList.shift(queue)
      if (instance === undefined) return
      const run = this.#runs.get(load.heads.get(instance) ?? "")
      load.heads.delete(instance)
      if (run?.state._tag === "Queued") this.#putRun(Run.promote(run), job.policy)
    }
  }

  /** A job with nothing in flight goes on, or is finished: the job as it then is, and whether that was its end. */
  #rest(job: Job.Job, load: Load, now: DateTime.Utc): readonly [Job.Job, boolean] {
    if (!load.isEmpty) return [job, false]
    const armed = Job.rearm(job, now)
    if (armed !== job) this.#putJob(armed)
    if (!Job.isFinished(armed)) return [armed, false]
    const kept = Job.finish(armed, now)
    if (Option.isSome(kept)) this.#putJob(kept.value)
    else this.#dropJob(job.id)
    return [armed, true]
  }

  // -------------------------------------------------------------------------------------------------------------------
  // the tick
  // -------------------------------------------------------------------------------------------------------------------

  claim(now: DateTime.Utc, limit: number): Claim {
    const advances: Array<ClaimedJob> = []
    this.#now = now.epochMillis
    for (let head = this.#due.peek(); head !== undefined && head.time <= now.epochMillis; head = this.#due.peek()) {
      if (advances.length === limit) break
      advances.push(this.#claimOne(this.#jobs.get(head.id)!, now))
    }
    return { advances, parked: [] }
  }

  #claimOne(job: Job.Job, now: DateTime.Utc): ClaimedJob {
    const load = this.#loadOf(job)
    const advance = Job.advance(job, now, load)
    const cancelled = this.#makeRoom(job, load, advance.cancels, now)
    const missed = this.#putNew(advance.missed, job.policy)
    const made = this.#putNew(advance.runs, job.policy)
    const skipped = this.#putNew(advance.skipped, job.policy)
    this.#putJob(advance.next)
    this.#promote(advance.next, load)
    const [next, isFinished] = this.#rest(advance.next, load, now)
    // What had to wait for others to go may have been let in.
    const runs = advance.cancels > 0 ? made.map((run) => this.#runs.get(run.id) ?? run) : made
    return { runs, missed, skipped, cancels: advance.cancels, dropped: advance.dropped, next, cancelled, isFinished }
  }

  /** A run whose key is taken has been made before, and stays as it is. */
  #putNew(runs: ReadonlyArray<Run.Run>, policy: Policy): ReadonlyArray<Run.Run> {
    if (runs.length === 0) return runs
    const made = runs.filter((run) => !this.#runs.has(run.id))
    for (const run of made) this.#putRun(run, policy)
    return made
  }

  /** Starts at most so many runs of these tasks; those that are too late are missed. */
  start(node: string, now: DateTime.Utc, limit: number, tasks: ReadonlySet<string>): ReadonlyArray<Step> {
    this.#now = now.epochMillis
    for (const task of tasks) this.#ripen(task, now.epochMillis)
    const steps: Array<Step> = []
    let started = 0
    for (let queue = this.#first(tasks); queue !== undefined && started < limit; queue = this.#first(tasks)) {
      const step = this.#startOne(this.#runs.get(queue.peek()!.id)!, node, now)
      if (Run.isRunning(step.run)) started++
      steps.push(step)
    }
    return steps
  }

  #startOne(run: Run.Run, node: string, now: DateTime.Utc): Step {
    return this.#follow(run, this.#putRun(Run.start(run, node, now), this.#jobs.get(run.jobId)?.policy), now)
  }

  /** Moves runs whose time has come to where they are ordered by priority. */
  #ripen(task: string, now: number): void {
    const later = this.#later.get(task)
    for (let head = later?.peek(); head !== undefined && head.time <= now; head = later!.peek()) {
      this.#line(this.#runs.get(later!.shift()!)!)
    }
  }

  /** The queue of the task whose first ready run comes before those of the others. */
  #first(tasks: ReadonlySet<string>): PriorityQueue | undefined {
    let best: PriorityQueue | undefined
    for (const task of tasks) {
      const queue = this.#ready.get(task)
      const [head, first] = [queue?.peek(), best?.peek()]
      if (head === undefined) continue
      if (first === undefined || head.rank < first.rank || (head.rank === first.rank && head.time < first.time)) {
        best = queue
      }
    }
    return best
  }

  /** Ends an attempt, if it is still the holder. */
  settle(held: Run.Running, outcome: Run.Outcome, now: DateTime.Utc): Step | undefined {
    const run = this.#runs.get(held.id)
    if (run === undefined || !Run.isRunning(run) || run.attempt !== held.attempt) return undefined
    const job = this.#jobs.get(run.jobId)
    const policy = job?.incarnation === run.incarnation ? job.policy : orphanPolicy
    return this.#follow(run, this.#putRun(Run.settle(run, policy, outcome, now), policy), now)
  }

  /** When a claim, a start of one of these tasks, or a recovery may find something; `Infinity` if never. */
  nextWake(node: string, tasks: ReadonlySet<string>): number {
    let wake = this.#due.peek()?.time ?? Infinity
    for (const task of tasks) {
      wake = Math.min(
        wake,
        this.#later.get(task)?.peek()?.time ?? Infinity,
        this.#ready.get(task)?.peek()?.time ?? Infinity
      )
    }
    // The lease holds to its last millisecond.
    for (const [other, until] of this.#nodes) if (other !== node) wake = Math.min(wake, until + 1)
    return wake
  }

  // -------------------------------------------------------------------------------------------------------------------
  // nodes
  // -------------------------------------------------------------------------------------------------------------------

  register(now: DateTime.Utc, lease: Duration.Duration): string {
    const node = `node-${++this.#registrations}`
    this.#nodes.set(node, now.epochMillis + Duration.toMillis(lease))
    return node
  }

  renew(node: string, now: DateTime.Utc, lease: Duration.Duration): boolean {
    const isAlive = this.#nodes.has(node)
    if (isAlive) this.#nodes.set(node, now.epochMillis + Duration.toMillis(lease))
    return isAlive
  }

  recover(now: DateTime.Utc, limit: number): ReadonlyArray<Step> {
    for (const [node, until] of this.#nodes) if (until < now.epochMillis) this.#nodes.delete(node)
    const lost = [...this.#runs.values()].filter(Run.isRunning).filter((run) => !this.#nodes.has(run.state.node))
    return lost.slice(0, limit).flatMap((run) => this.settle(run, { _tag: "Crashed" }, now) ?? [])
  }

  release(node: string): void {
    this.#nodes.delete(node)
  }
}

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

const keptUntil = ({ policy, state }: Job.Job): number =>
  state._tag === "Finished" ? state.at.epochMillis + Duration.toMillis(policy.retention.age) : Infinity

const endOf = ({ scheduledAt, state }: Run.Run): number =>
  "finishedAt" in state ? DateTime.toEpochMillis(state.finishedAt) : scheduledAt.epochMillis
