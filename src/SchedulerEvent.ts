/**
 * What happened, as one Schema union, and the hub that tells it to any number of listeners without waiting for them.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Job from "./Job.ts"
import * as Run from "./Run.ts"
import * as SchedulerMetrics from "./SchedulerMetrics.ts"
import type { ClaimedJob, Step } from "./StoreAnswer.ts"

const At = { at: Schema.DateTimeUtcFromNumber }
const OfJob = { ...At, jobId: Schema.String }
const OfRun = { ...OfJob, run: Run.Run }

/**
 * What happened. `at` is when the scheduler noted it; runs are as they stand after the event.
 *
 * @since 0.1.0
 * @category models
 */
export const SchedulerEvent = Schema.Union(
  /** This scheduler has its place, under the id `node`, in one of its stores. */
  Schema.TaggedStruct("SchedulerStarted", { ...At, node: Schema.String, store: Schema.String }),
  Schema.TaggedStruct("SchedulerPaused", At),
  Schema.TaggedStruct("SchedulerResumed", At),
  Schema.TaggedStruct("SchedulerShutdown", At),
  Schema.TaggedStruct("ExecutorAdded", { ...At, executor: Schema.String }),
  Schema.TaggedStruct("ExecutorRemoved", { ...At, executor: Schema.String }),
  Schema.TaggedStruct("JobStoreAdded", { ...At, store: Schema.String }),
  Schema.TaggedStruct("JobStoreRemoved", { ...At, store: Schema.String }),
  Schema.TaggedStruct("JobAdded", OfJob),
  Schema.TaggedStruct("JobModified", OfJob),
  Schema.TaggedStruct("JobPaused", OfJob),
  Schema.TaggedStruct("JobResumed", OfJob),
  /** `finished` when the job had no instant left, false when somebody removed it. */
  Schema.TaggedStruct("JobRemoved", { ...OfJob, finished: Schema.Boolean }),
  /** The job had no instant left, and is kept as its retention says. */
  Schema.TaggedStruct("JobFinished", OfJob),
  Schema.TaggedStruct("AllJobsRemoved", { ...At, count: Schema.Int }),
  /** The job cannot be read or carried out; it is kept, and waits to be mended. */
  Schema.TaggedStruct("JobParked", { ...OfJob, reason: Schema.String }),
  /** Due times beyond `catchUpLimit`, given up without a record of their own. */
  Schema.TaggedStruct("JobMissed", { ...OfJob, dropped: Job.Dropped }),
  Schema.TaggedStruct("RunSubmitted", OfRun),
  Schema.TaggedStruct("RunStarted", OfRun),
  /** Its handler told how far it is (`run.state.progress`); what it tells oftener than once a second is not told. */
  Schema.TaggedStruct("RunProgress", OfRun),
  Schema.TaggedStruct("RunSucceeded", OfRun),
  Schema.TaggedStruct("RunFailed", OfRun),
  /** An attempt failed and another one follows at `run.runAt`. */
  Schema.TaggedStruct("RunRetrying", { ...OfRun, failure: Run.Failure }),
  Schema.TaggedStruct("RunMissed", OfRun),
  Schema.TaggedStruct("RunSkipped", OfRun),
  Schema.TaggedStruct("RunCancelled", OfRun),
  Schema.TaggedStruct("RunAbandoned", OfRun),
  /** The run was cut off by a shutdown or a crash and is pending again. */
  Schema.TaggedStruct("RunReleased", OfRun),
  /** Ended runs that their retention no longer keeps were forgotten. */
  Schema.TaggedStruct("HistoryPruned", { ...At, count: Schema.Int }),
  /** The wall clock was set, or the machine slept: it is so many milliseconds from where it should be. */
  Schema.TaggedStruct("ClockJumped", { ...At, millis: Schema.Number }),
  Schema.TaggedStruct("StoreUnavailable", { ...At, message: Schema.String, store: Schema.String }),
  Schema.TaggedStruct("StoreRecovered", { ...At, store: Schema.String }),
  /** This node was taken for dead, or could not renew its lease in time: it interrupts what it holds. */
  Schema.TaggedStruct("LeaseLost", { ...At, node: Schema.String, store: Schema.String }),
  /** This listener was too slow: so many events before the next one are lost to it. */
  Schema.TaggedStruct("EventsDropped", { count: Schema.Int })
)

/**
 * @since 0.1.0
 * @category models
 */
export type SchedulerEvent = typeof SchedulerEvent.Type

// ---------------------------------------------------------------------------------------------------------------------
// what a step of the store means
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What became of a due job, in the order in which it is told.
 *
 * @since 0.1.0
 * @category conversions
 */
export const ofClaimed = (claimed: ClaimedJob, at: DateTime.Utc): ReadonlyArray<SchedulerEvent> => {
  const { cancelled, dropped, isFinished, missed, next, runs, skipped } = claimed
  const of = { at, jobId: next.id }
  return [
    ...(Option.isSome(dropped) ? [{ _tag: "JobMissed", ...of, dropped: dropped.value } as const] : []),
    ...missed.map((run) => ({ _tag: "RunMissed", ...of, run }) as const),
    ...cancelled.map((run) => ({ _tag: "RunCancelled", ...of, run }) as const),
    ...runs.map((run) => ({ _tag: "RunSubmitted", ...of, run }) as const),
    ...skipped.map((run) => ({ _tag: "RunSkipped", ...of, run }) as const),
    ...(isFinished ? [ofEnd(next, at)] : [])
  ]
}

/** The end of a job that will never be due again. */
const ofEnd = (job: Job.Job, at: DateTime.Utc): SchedulerEvent =>
  job.policy.retention.finishedJobs === "keep"
    ? { _tag: "JobFinished", at, jobId: job.id }
    : { _tag: "JobRemoved", at, jobId: job.id, finished: true }

/**
 * What became of a run in one step, after an attempt with this outcome if there was one.
 *
 * @since 0.1.0
 * @category conversions
 */
export const ofStep = (
  { isFinished, job, run }: Step,
  outcome: Run.Outcome | undefined,
  at: DateTime.Utc
): ReadonlyArray<SchedulerEvent> => {
  const event = ofRun({ at, jobId: run.jobId, run }, outcome)
  const end = isFinished && Option.isSome(job) ? [ofEnd(job.value, at)] : []
  return event === undefined ? end : [event, ...end]
}

type OfRunFields = { readonly at: DateTime.Utc; readonly jobId: string; readonly run: Run.Run }

const ofRun = (of: OfRunFields, outcome: Run.Outcome | undefined): SchedulerEvent | undefined => {
  switch (of.run.state._tag) {
    case "Running":
      return { _tag: "RunStarted", ...of }
    case "Succeeded":
      return { _tag: "RunSucceeded", ...of }
    case "Failed":
      return { _tag: "RunFailed", ...of }
    case "Missed":
      return { _tag: "RunMissed", ...of }
    case "Skipped":
      return { _tag: "RunSkipped", ...of }
    case "Cancelled":
      return { _tag: "RunCancelled", ...of }
    case "Abandoned":
      return { _tag: "RunAbandoned", ...of }
    case "Pending":
      return outcome?._tag === "Failed"
        ? { _tag: "RunRetrying", ...of, failure: outcome.failure }
        : { _tag: "RunReleased", ...of }
    case "Waiting":
    case "Queued":
      return undefined
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// the hub
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Tells events to listeners. `publish` never waits: a listener that is more than `capacity` events behind loses some, and
 * is told how many.
 *
 * @since 0.1.0
 * @category hub
 */
export interface Hub {
  readonly publish: (event: SchedulerEvent) => void
  /** Whether anybody listens. */
  readonly isHeard: () => boolean
  /** What is published from now on, until the scope closes. */
  readonly subscribe: Effect.Effect<Stream.Stream<SchedulerEvent>, never, Scope.Scope>
  /** What is published once the stream has begun to run. */
  readonly events: Stream.Stream<SchedulerEvent>
}

interface Listener {
  readonly mailbox: Mailbox.Mailbox<SchedulerEvent>
  readonly capacity: number
  dropped: number
}

/**
 * A hub whose listeners may each be `capacity` events behind; the streams end when the scope closes.
 *
 * @since 0.1.0
 * @category hub
 */
export const makeHub = (capacity: number): Effect.Effect<Hub, never, Scope.Scope> =>
  Effect.gen(function* () {
    const listeners = new Set<Listener>()
    let isOpen = true
    const subscribe = Effect.gen(function* () {
      const mailbox = yield* Mailbox.make<SchedulerEvent>()
      const listener: Listener = { mailbox, capacity, dropped: 0 }
      if (isOpen) listeners.add(listener)
      else yield* mailbox.end
      yield* Effect.addFinalizer(() =>
        Effect.zipRight(
          mailbox.end,
          Effect.sync(() => listeners.delete(listener))
        )
      )
      return Stream.concat(Mailbox.toStream(mailbox), lastLoss(listener))
    })
    yield* Effect.addFinalizer(() => {
      isOpen = false
      return Effect.forEach(listeners, ({ mailbox }) => mailbox.end, { discard: true })
    })
    return {
      publish: (event) => {
        for (const listener of listeners) tell(listener, event)
      },
      isHeard: () => listeners.size > 0,
      subscribe,
      events: Stream.unwrapScoped(subscribe)
    }
  })

const lastLoss = (listener: Listener): Stream.Stream<SchedulerEvent> =>
  Stream.suspend(() =>
    listener.dropped === 0
      ? Stream.empty
      : Stream.succeed<SchedulerEvent>({ _tag: "EventsDropped", count: listener.dropped })
  )

// The mailbox itself has no bound: what is told of a loss takes a place more than the events that fit.
const tell = (listener: Listener, event: SchedulerEvent): void => {
  const { capacity, dropped, mailbox } = listener
  if (Option.exists(mailbox.unsafeSize(), (size) => size >= capacity)) {
    listener.dropped++
    SchedulerMetrics.eventsDropped.unsafeUpdate(1, [])
    return
  }
  if (dropped > 0) mailbox.unsafeOffer({ _tag: "EventsDropped", count: dropped })
  listener.dropped = 0
  mailbox.unsafeOffer(event)
}
