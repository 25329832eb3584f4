/**
 * What happened, as one Schema union, and the hub that tells it to any number of listeners without waiting for them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Job from "./Job.ts"
import * as Run from "./Run.ts"

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
  Schema.TaggedStruct("SchedulerStarted", { ...At, node: Schema.String }),
  Schema.TaggedStruct("SchedulerPaused", At),
  Schema.TaggedStruct("SchedulerResumed", At),
  Schema.TaggedStruct("SchedulerShutdown", At),
  Schema.TaggedStruct("JobAdded", OfJob),
  Schema.TaggedStruct("JobModified", OfJob),
  Schema.TaggedStruct("JobPaused", OfJob),
  Schema.TaggedStruct("JobResumed", OfJob),
  /** `finished` when the job had no instant left, false when somebody removed it. */
  Schema.TaggedStruct("JobRemoved", { ...OfJob, finished: Schema.Boolean }),
  /** The job cannot be read or carried out; it is kept, and waits to be mended. */
  Schema.TaggedStruct("JobParked", { ...OfJob, reason: Schema.String }),
  /** Due times beyond `catchUpLimit`, given up without a record of their own. */
  Schema.TaggedStruct("JobMissed", { ...OfJob, dropped: Job.Dropped }),
  Schema.TaggedStruct("RunSubmitted", OfRun),
  Schema.TaggedStruct("RunStarted", OfRun),
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
  Schema.TaggedStruct("StoreUnavailable", { ...At, message: Schema.String }),
  Schema.TaggedStruct("StoreRecovered", At),
  /** This node was taken for dead, or could not renew its lease in time: it interrupts what it holds. */
  Schema.TaggedStruct("LeaseLost", { ...At, node: Schema.String }),
  /** This listener was too slow: so many events before the next one are lost to it. */
  Schema.TaggedStruct("EventsDropped", { count: Schema.Int })
)

/**
 * @since 0.1.0
 * @category models
 */
export type SchedulerEvent = typeof SchedulerEvent.Type

/**
 * Tells events to listeners. `publish` never waits: a listener that is more than `capacity` events behind loses some, and
 * is told how many.
 *
 * @since 0.1.0
 * @category hub
 */
export interface Hub {
  readonly publish: (event: SchedulerEvent) => void
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
    return
  }
  if (dropped > 0) mailbox.unsafeOffer({ _tag: "EventsDropped", count: dropped })
  listener.dropped = 0
  mailbox.unsafeOffer(event)
}
