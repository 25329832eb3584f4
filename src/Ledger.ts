/**
 * Jobs and runs in memory, and every change of them as one synchronous step: what the store in memory and the simulation
 * work on.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Job from "./Job.ts"
import { JobLoad } from "./JobLoad.ts"
import type { Policy } from "./Policy.ts"
import { PriorityQueue } from "./PriorityQueue.ts"
import * as Run from "./Run.ts"
import type { Progress } from "./RunContext.ts"
import { RunHistory } from "./RunHistory.ts"
import { first, RunLines } from "./RunLines.ts"
import {
  type Change,
  type Claim,
  type ClaimedJob,
  type Counts,
  type Fired,
  inOrder,
  isMatch,
  isRunMatch,
  type JobFilter,
  type OnConflict,
  orphanPolicy,
  type Reconciliation,
  type Removal,
  type RunFilter,
  type Start,
  type Step,
  settleOrphan,
  type Wakes
} from "./StoreAnswer.ts"

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
  /** Pending runs: those whose time has not come, and those that may start. */
  readonly #later = new RunLines()
  readonly #ready = new RunLines()
  readonly #loads = new Map<string, JobLoad>()
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
    return this.#cancelling.size === 0 ? NO_IDS : [...this.#cancelling].filter((id) => this.#holder(id) === node)
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
    return { jobs: this.#jobs.size, queued, pending: this.#later.size + this.#ready.size, running: this.#running }
  }

  #holder(id: string): string | undefined {
    const state = this.#runs.get(id)?.state
    return state?._tag === "Running" ? state.node : undefined
  }

  #loadOf(job: { readonly id: string; readonly incarnation: number }): JobLoad {
    const known = this.#loads.get(job.id)
    if (known?.incarnation === job.incarnation) return known
    const made = new JobLoad(job.incarnation)
    this.#loads.set(job.id, made)
    return made
  }

  /** The load that a run belongs to: none if its job is gone, or in another life. */
  #loadOfRun(run: Run.Run): JobLoad | undefined {
    const known = this.#loads.get(run.jobId)
    if (known?.incarnation === run.incarnation) return known
    return this.#jobs.get(run.jobId)?.incarnation === run.incarnation
      ? this.#loadOf({ id: run.jobId, incarnation: run.incarnation })
      : undefined
  }

  #liveRuns(jobId: string): ReadonlyArray<Run.Run> {
    const load = this.#loads.get(jobId)
    if (load === undefined) return []
    return this.#live([...load.instances, ...load.waiting])
  }

  /** Records a run as it now stands, and everything that follows from its state. */
  #putRun<R extends Run.Run>(run: R, policy: Policy = orphanPolicy): R {
    const known = this.#runs.get(run.id)
    const load = this.#loadOfRun(run)
    this.#runs.set(run.id, run)
    if (known !== undefined) {
      load?.leave(known, run)
      this.#leave(known, run)
    }
    load?.enter(run)
    this.#enter(known, run)
    if (!Run.isLive(run)) this.#history.add(run.id, run.jobId, policy.retention, endOf(run))
    return run
  }

  #leave(known: Run.Run, run: Run.Run): void {
    if (known.state._tag === "Pending") {
      this.#later.of(known)?.delete(known.id)
      this.#ready.of(known)?.delete(known.id)
    } else if (known.state._tag === "Running" && run.state._tag !== "Running") {
      this.#running--
      this.#cancelling.delete(known.id)
    }
  }

  #enter(known: Run.Run | undefined, run: Run.Run): void {
    if (run.state._tag === "Pending") this.#line(run)
    else if (run.state._tag === "Running" && known?.state._tag !== "Running") this.#running++
  }

  /** Puts a pending run where those wait whose time has come, or where those do whose time comes later. */
  #line(run: Run.Run): void {
    const time = run.runAt.epochMillis
    if (time <= this.#now) this.#ready.for(run).set(run.id, -run.priority, time)
    else this.#later.for(run).set(run.id, 0, time)
  }

  /** Cancels the oldest instances of a job to make room for newer ones; gives those that had not started. */
  #makeRoom(job: Job.Job, load: JobLoad, count: number, now: DateTime.Utc): ReadonlyArray<Run.Run> {
    if (count <= 0) return []
    const oldest = this.#live(load.instances).filter((run) => !Run.isBackfill(run))
    return oldest
      .slice(0, count)
      .flatMap((run) => [...this.#live(load.disband(run.instance)), run])
      .map((run) => this.#callOff(run, "overlap", now, job.policy))
      .filter((run) => !Run.isLive(run))
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
    this.#succeed(before, load, job.policy)
    this.#promote(job, load)
    const [rested, isFinished] = this.#rest(job, load, now)
    return { run, job: Option.some(rested), isFinished }
  }

  /** The run that waits next takes the place that one of its instance had. */
  #succeed(before: Run.Run, load: JobLoad, policy: Policy): void {
    if (before.state._tag === "Waiting" || !load.hasFollowers(before.instance)) return
    const next = this.#nextOf(before.instance, load)
    if (next === undefined) return
    this.#putRun(before.state._tag === "Queued" ? Run.hold(next, "Queued") : Run.promote(next), policy)
  }

  #nextOf(instance: string, load: JobLoad): Run.Run | undefined {
    for (let id = load.shiftFollower(instance); id !== undefined; id = load.shiftFollower(instance)) {
      const run = this.#runs.get(id)
      if (run?.state._tag === "Waiting") return run
    }
    return undefined
  }

  /** Lets in what is queued while there is room. */
  #promote(job: Job.Job, load: JobLoad): void {
    while (load.active < job.policy.maxInstances) {
      const id = load.shiftQueued()
      if (id === undefined) return
      const run = this.#runs.get(id)
      if (run?.state._tag === "Queued") this.#putRun(Run.promote(run), job.policy)
    }
  }

  /** A job with nothing in flight goes on, or is finished: the job as it then is, and whether that was its end. */
  #rest(job: Job.Job, load: JobLoad, now: DateTime.Utc): readonly [Job.Job, boolean] {
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

  /** Claims what is due; then starts, if it is told to, what may start. */
  claim(now: DateTime.Utc, limit: number, start?: Start): Claim {
    const advances: Array<ClaimedJob> = []
    const parked: Array<Claim["parked"][number]> = []
    this.#now = now.epochMillis
    for (let head = this.#due.peek(); head !== undefined && head.time <= now.epochMillis; head = this.#due.peek()) {
      if (advances.length === limit) break
      const job = this.#jobs.get(head.id)!
      const advance = Job.tryAdvance(job, now, this.#loadOf(job))
      if (Either.isRight(advance)) advances.push(this.#claimOne(job, advance.right, now))
      else parked.push(this.#park(job, advance.left, now))
    }
    // What is due and was not claimed may come before what was.
    const isLeft = (this.#due.peek()?.time ?? Infinity) <= now.epochMillis
    const started = start === undefined || isLeft || advances.length === 0 ? [] : this.startAll(start, now)
    return { advances, parked, started }
  }

  #park(job: Job.Job, reason: string, now: DateTime.Utc): Claim["parked"][number] {
    this.#putJob(Job.park(job, now, reason))
    return { jobId: job.id, reason }
  }

  #claimOne(job: Job.Job, advance: Job.Advance, now: DateTime.Utc): ClaimedJob {
    const load = this.#loadOf(job)
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

  /** Starts at most so many runs of these tasks on an executor; those that are too late are missed. */
  start({ executor, limit, node, now, tasks }: StartOptions): ReadonlyArray<Step> {
    this.#now = now.epochMillis
    this.#ripen(this.#later.on(executor, tasks), now.epochMillis)
    const steps: Array<Step> = []
    let started = 0
    const next = () => first(this.#ready.on(executor, tasks))
    for (let queue = next(); queue !== undefined && started < limit; queue = next()) {
      const step = this.#startOne(this.#runs.get(queue.peek()!.id)!, node, now)
      if (Run.isRunning(step.run)) started++
      steps.push(step)
    }
    return steps
  }

  /** Starts what may start on several executors. */
  startAll({ node, room, tasks }: Start, now: DateTime.Utc): ReadonlyArray<Step> {
    return [...room].flatMap(([executor, limit]) => this.start({ executor, limit, node, now, tasks }))
  }

  #startOne(run: Run.Run, node: string, now: DateTime.Utc): Step {
    return this.#follow(run, this.#putRun(Run.start(run, node, now), this.#jobs.get(run.jobId)?.policy), now)
  }

  /** Moves runs whose time has come to where they are ordered by priority. */
  #ripen(lines: ReadonlyArray<PriorityQueue>, now: number): void {
    for (const later of lines) {
      for (let head = later.peek(); head !== undefined && head.time <= now; head = later.peek()) {
        this.#line(this.#runs.get(later.shift()!)!)
      }
    }
  }

  /** The run of an attempt that still holds it, as it stands. */
  #held({ attempt, id }: Run.Running): Run.Running | undefined {
    const run = this.#runs.get(id)
    return run !== undefined && Run.isRunning(run) && run.attempt === attempt ? run : undefined
  }

  /** Notes how far an attempt is, if it is still the holder. */
  report(held: Run.Running, progress: Progress): Run.Running | undefined {
    const run = this.#held(held)
    if (run === undefined) return undefined
    const reported = Run.report(run, progress)
    // Nothing that runs are found by has changed.
    this.#runs.set(run.id, reported)
    return reported
  }

  /** Ends an attempt, if it is still the holder. */
  settle(held: Run.Running, outcome: Run.Outcome, now: DateTime.Utc): Step | undefined {
    const run = this.#held(held)
    if (run === undefined) return undefined
    const job = this.#jobs.get(run.jobId)
    const policy = job?.incarnation === run.incarnation ? job.policy : undefined
    const settled = policy !== undefined ? Run.settle(run, policy, outcome, now) : settleOrphan(run, outcome, now)
    return this.#follow(run, this.#putRun(settled, policy), now)
  }

  /** When a claim, a start of one of these tasks on one of these executors, and a recovery may find something. */
  nextWake({ executors, node, tasks }: WakeOptions): Wakes {
    let [start, recover] = [Infinity, Infinity]
    for (const executor of executors) {
      for (const lines of [this.#later, this.#ready]) {
        for (const line of lines.on(executor, tasks)) start = Math.min(start, line.peek()?.time ?? Infinity)
      }
    }
    // The lease holds to its last millisecond.
    for (const [other, until] of this.#nodes) if (other !== node) recover = Math.min(recover, until + 1)
    return { claim: this.#due.peek()?.time ?? Infinity, start, recover, cancelled: this.cancellations(node) }
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

const NO_IDS: ReadonlyArray<string> = []

interface WakeOptions {
  readonly node: string
  readonly tasks: ReadonlySet<string>
  readonly executors: ReadonlySet<string>
}

/** Who starts what: at most `limit` runs of these tasks. */
interface StartOptions {
  readonly node: string
  readonly now: DateTime.Utc
  readonly limit: number
  readonly tasks: ReadonlySet<string>
  readonly executor: string
}

const keptUntil = ({ policy, state }: Job.Job): number =>
  state._tag === "Finished" ? state.at.epochMillis + Duration.toMillis(policy.retention.age) : Infinity

const endOf = ({ scheduledAt, state }: Run.Run): number =>
  "finishedAt" in state ? DateTime.toEpochMillis(state.finishedAt) : scheduledAt.epochMillis

const byId = (a: Job.Job, b: Job.Job): number => (a.id < b.id ? -1 : 1)
