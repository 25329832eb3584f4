/**
 * What a scheduler would do with some jobs over any span of time, worked out at once: the same policies, the same store
 * and the same events as the scheduler's own, without a clock, a fiber or a timer.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Job from "./Job.ts"
import { Ledger } from "./Ledger.ts"
import { BATCH } from "./LoopState.ts"
import { CLEANING } from "./LoopSteps.ts"
import * as Occurrences from "./Occurrences.ts"
import * as Policy from "./Policy.ts"
import { PriorityQueue } from "./PriorityQueue.ts"
import * as Run from "./Run.ts"
import { ofClaimed, ofStep, type SchedulerEvent } from "./SchedulerEvent.ts"
import { DEFAULT_STORE, type Step, soonest } from "./StoreAnswer.ts"
import type * as Trigger from "./Trigger.ts"

/**
 * A job and how its attempts behave: how long each takes (default: no time at all) and whether it fails (default: never).
 *
 * @since 0.1.0
 * @category models
 */
export interface SimulatedJob extends Policy.PolicyOptions {
  readonly id: string
  /** Default: `Trigger.now`. */
  readonly trigger?: Trigger.Trigger | undefined
  readonly takes?: Duration.DurationInput | ((run: Run.Running) => Duration.DurationInput) | undefined
  readonly fails?: boolean | ((run: Run.Running) => boolean) | undefined
}

/**
 * A span in which no scheduler is there: it is shut down without waiting, after what is due at `from`, and started again
 * on the same store at `to`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outage {
  readonly from: DateTime.DateTime.Input
  readonly to: DateTime.DateTime.Input
}

/**
 * What is simulated: the jobs are added and the scheduler starts at `from`; `to` is inclusive. Defaults: the scheduler's
 * own policy, ten runs at a time, no outages.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly jobs: ReadonlyArray<SimulatedJob>
  readonly from: DateTime.DateTime.Input
  readonly to: DateTime.DateTime.Input
  readonly defaults?: Policy.PolicyOptions | undefined
  readonly concurrency?: number | undefined
  /** In the order of time, apart from each other. */
  readonly outages?: ReadonlyArray<Outage> | undefined
}

/**
 * All events, in their order. Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category simulation
 */
export const run = (options: Options): ReadonlyArray<SchedulerEvent> => [...events(options)]

/**
 * The events one after the other, worked out as they are asked for: what is long past takes no room. Throws
 * `InvalidOption` when the first one is asked for.
 *
 * @since 0.1.0
 * @category simulation
 */
export function* events(options: Options): Generator<SchedulerEvent, void> {
  const world = new World(options)
  world.begin(millisOf(options.from))
  for (const outage of options.outages ?? []) {
    yield* lifeUntil(world, millisOf(outage.from))
    world.shutdown(millisOf(outage.from))
    world.start(millisOf(outage.to))
  }
  yield* lifeUntil(world, millisOf(options.to))
}

function* lifeUntil(world: World, to: number): Generator<SchedulerEvent, void> {
  yield* world.told()
  while (world.goOn(to)) yield* world.told()
}

const millisOf = (instant: DateTime.DateTime.Input): number => DateTime.toEpochMillis(DateTime.unsafeMake(instant))

const TASK = "Simulated"
const TASKS: ReadonlySet<string> = new Set([TASK])

interface Ending {
  readonly run: Run.Running
  readonly outcome: Run.Outcome
}

/** A scheduler, its store and its attempts, in one place. */
class World {
  readonly #ledger = new Ledger()
  readonly #behaviours: ReadonlyMap<string, SimulatedJob>
  readonly #jobs: ReadonlyArray<SimulatedJob>
  readonly #defaults: Policy.Policy
  readonly #concurrency: number
  readonly #attempts = new Map<string, Ending>()
  /** Attempts by when they end, which is their rank; of those that end together the one that began last comes first. */
  readonly #ends = new PriorityQueue()
  /** Attempts that have ended and not been settled. */
  #ended: Array<Ending> = []
  #told: Array<SchedulerEvent> = []
  #started = 0
  #cleanAt = 0
  #node = ""

  constructor({ concurrency, defaults, jobs }: Options) {
    this.#jobs = jobs
    this.#behaviours = new Map(jobs.map((job) => [job.id, job]))
    this.#defaults = Policy.override(Policy.defaults, defaults ?? {})
    this.#concurrency = concurrency ?? 10
  }

  /** What has happened since it was asked last. */
  told(): ReadonlyArray<SchedulerEvent> {
    const told = this.#told
    this.#told = []
    return told
  }

  begin(from: number): void {
    const now = Occurrences.instant(from)
    for (const { fails: _, id, takes: __, trigger, ...own } of this.#jobs) {
      const policy = Policy.override(this.#defaults, { ...own, executor: Policy.DEFAULT_EXECUTOR })
      this.#ledger.declare(Job.make({ id, task: TASK, now, trigger, policy }), "replace")
      this.#told.push({ _tag: "JobAdded", at: now, jobId: id })
    }
    this.start(from)
  }

  start(at: number): void {
    const now = Occurrences.instant(at)
    this.#node = this.#ledger.register(now, Duration.infinity)
    this.#cleanAt = 0
    this.#told.push({ _tag: "SchedulerStarted", at: now, node: this.#node, store: DEFAULT_STORE })
    this.#turns(now)
  }

  shutdown(at: number): void {
    const now = Occurrences.instant(at)
    this.#ended.push(...[...this.#attempts.values()].map(({ run }) => ({ run, outcome: INTERRUPTED })))
    this.#settle(now)
    this.#ledger.release(this.#node)
    this.#told.push({ _tag: "SchedulerShutdown", at: now })
  }

  /**
   * Goes on to the next thing that happens, if that is not after `to`. What is due comes before what ends at the same
   * instant.
   */
  goOn(to: number): boolean {
    const end = this.#ends.peek()
    const wake = this.#nextWake()
    const time = Math.min(wake, end?.rank ?? Infinity)
    if (time > to) return false
    if (end !== undefined && end.rank < wake) this.#end(end.id)
    this.#turns(Occurrences.instant(time))
    return true
  }

  #nextWake(): number {
    const executors = this.#attempts.size < this.#concurrency ? EXECUTORS : NONE
    return soonest(this.#ledger.nextWake({ node: this.#node, tasks: TASKS, executors }))
  }

  /** What the scheduler's actor does in its turns, until nothing is left to be done at this instant. */
  #turns(now: DateTime.Utc): void {
    do {
      this.#settle(now)
      for (const claimed of this.#ledger.claim(now, Infinity).advances) this.#told.push(...ofClaimed(claimed, now))
      this.#startReady(now)
      this.#interruptCancelled()
      this.#clean(now)
    } while (this.#ended.length > 0)
  }

  #settle(now: DateTime.Utc): void {
    const batch = this.#ended
    this.#ended = []
    for (const { outcome, run } of batch) {
      this.#attempts.delete(run.id)
      this.#ends.delete(run.id)
      const step = this.#ledger.settle(run, outcome, now)
      if (step !== undefined) this.#told.push(...ofStep(step, outcome, now))
    }
  }

  #startReady(now: DateTime.Utc): void {
    const limit = Math.min(this.#concurrency - this.#attempts.size, BATCH)
    if (limit <= 0) return
    const steps = this.#ledger.start({ node: this.#node, now, limit, tasks: TASKS, executor: Policy.DEFAULT_EXECUTOR })
    for (const step of steps) {
      this.#told.push(...ofStep(step, undefined, now))
      this.#attempt(step)
    }
    if (steps.length >= limit) this.#startReady(now)
  }

  #attempt({ job, run }: Step): void {
    if (!Run.isRunning(run) || Option.isNone(job)) return
    const behaviour = this.#behaviours.get(run.jobId)!
    const takes = typeof behaviour.takes === "function" ? behaviour.takes(run) : (behaviour.takes ?? 0)
    const fails = typeof behaviour.fails === "function" ? behaviour.fails(run) : behaviour.fails
    const millis = Duration.toMillis(takes)
    const timeout = Duration.toMillis(job.value.policy.timeout)
    const outcome = millis > timeout ? timedOut(timeout) : fails === true ? FAILED : SUCCEEDED
    this.#attempts.set(run.id, { run, outcome })
    if (millis === 0) this.#end(run.id)
    // The queue goes by rank first, so that the time has to be the rank.
    else this.#ends.set(run.id, run.state.startedAt.epochMillis + Math.min(millis, timeout), -this.#started++)
  }

  #end(runId: string): void {
    const ending = this.#attempts.get(runId)
    this.#ends.delete(runId)
    if (ending !== undefined) this.#ended.push(ending)
  }

  #interruptCancelled(): void {
    if (this.#attempts.size === 0) return
    for (const id of this.#ledger.cancellations(this.#node)) {
      const attempt = this.#attempts.get(id)
      if (attempt === undefined || this.#ended.includes(attempt)) continue
      this.#ended.push({ run: attempt.run, outcome: CANCELLED })
      this.#ends.delete(id)
    }
  }

  #clean(now: DateTime.Utc): void {
    if (now.epochMillis < this.#cleanAt) return
    this.#cleanAt = now.epochMillis + CLEANING
    const count = this.#ledger.prune(now)
    if (count > 0) this.#told.push({ _tag: "HistoryPruned", at: now, count })
  }
}

const NONE: ReadonlySet<string> = new Set()
const EXECUTORS: ReadonlySet<string> = new Set([Policy.DEFAULT_EXECUTOR])
const SUCCEEDED: Run.Outcome = { _tag: "Succeeded" }
const INTERRUPTED: Run.Outcome = { _tag: "Interrupted" }
const CANCELLED: Run.Outcome = { _tag: "Cancelled" }
const FAILED: Run.Outcome = { _tag: "Failed", failure: { kind: "Error", message: "It failed, as it was told to" } }

const timedOut = (millis: number): Run.Outcome => ({
  _tag: "Failed",
  failure: { kind: "Timeout", message: `timed out after ${Duration.format(Duration.millis(millis))}` }
})
