/**
 * What the fiber of a loop owns: the messages it is told, what it knows of its store, and the attempts it has under way.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Runtime from "effect/Runtime"
import type * as AttemptCoordinator from "./AttemptCoordinator.ts"
import type * as AttemptFiber from "./AttemptFiber.ts"
import type { JobStore, Wakes } from "./JobStore.ts"
import type { ExecutorSlots, NamedExecutors } from "./NamedExecutors.ts"
import type * as Run from "./Run.ts"
import type * as SchedulerEvent from "./SchedulerEvent.ts"
import type * as Task from "./Task.ts"

/**
 * How long a shutdown waits for runs under way before it interrupts them: for ever, not at all, or so long.
 *
 * @since 0.1.0
 * @category models
 */
export type Wait = boolean | Duration.DurationInput

/**
 * What the actor is told. `Wake` says only that there may be something new in the store.
 *
 * @since 0.1.0
 * @category models
 */
export type Message =
  | { readonly _tag: "Wake" }
  /** An executor has places again that another loop had taken. */
  | { readonly _tag: "Room" }
  /** With the place that the attempt had, if it had one. */
  | {
      readonly _tag: "RunSettled"
      readonly run: Run.Running
      readonly outcome: Run.Outcome
      readonly slots?: ExecutorSlots
    }
  | { readonly _tag: "Pause" }
  | { readonly _tag: "Resume" }
  | { readonly _tag: "Shutdown"; readonly wait: Wait }
  /** To end by itself as soon as nothing is due or under way. */
  | { readonly _tag: "FinishDue" }
  /** Of one executor, or of all. */
  | { readonly _tag: "InterruptAll"; readonly executor?: string | undefined }

/**
 * What the actor is doing: `Draining` ones start nothing more and wait for what runs.
 *
 * @since 0.1.0
 * @category models
 */
export type Mode = "Running" | "Paused" | "Draining" | "Stopped"

/**
 * @since 0.1.0
 * @category models
 */
export interface Settlement {
  readonly run: Run.Running
  readonly outcome: Run.Outcome
}

/**
 * An attempt under way, whether it was interrupted, and whether somebody called its run off.
 *
 * @since 0.1.0
 * @category models
 */
export interface Attempt extends AttemptFiber.Interruptible {
  readonly run: Run.Running
  isCancelled: boolean
}

/**
 * What the loop's fiber owns; nobody else writes it. All times are epoch milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  mode: Mode
  /** It ends by itself as soon as nothing is due or under way. */
  isFinishing: boolean
  attempted: number
  node: string | undefined
  /** Until when the node may believe that it holds what it holds. */
  trustedUntil: number
  renewAt: number
  /** Until when a node that lost its lease waits for what it held to end, before it comes back. */
  returnAt: number
  /** What the store said last of when there is something to do, and whether that may hold no longer. */
  wakes: Wakes
  isStale: boolean
  /** When the store was asked last, and when it is asked anew, whatever it said. */
  askedAt: number
  pollAt: number
  /** Whether this turn has found something to do, and how many before it have not, although something was due. */
  isBusy: boolean
  vainTurns: number
  /** Whether there was more to claim than one transaction takes, and more to start than there was room for. */
  isFlooded: boolean
  isCrowded: boolean
  wakeAt: number
  cleanAt: number
  /** The wall clock and the elapsed time, when they were last compared. */
  wall: number
  elapsed: number
  lastTurn: Option.Option<DateTime.Utc>
  storeFailures: number
  /** When it was last logged that the store failed, and whether it is yet to be logged that it has recovered. */
  warnedAt: number
  isWarned: boolean
  /** How much is asked of the store at a time: a slow one that answers only small questions in time still gets on. */
  batch: number
  readonly ended: Array<Settlement>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Actor {
  readonly name: string
  readonly store: JobStore["Type"]
  readonly executors: NamedExecutors
  readonly handlers: ReadonlyMap<string, Task.Handler>
  readonly tasks: ReadonlySet<string>
  readonly hub: SchedulerEvent.Hub
  /** How long the loop sleeps at most, so that it notices a clock that was set, in milliseconds. */
  readonly watch: number
  readonly attempts: Map<string, Attempt>
  /** Whether it tells of what concerns the scheduler as a whole. */
  readonly isFirst: boolean
  /** Tasks without a handler here, and executors that are not here, each of which was logged once. */
  readonly unhandled: Set<string>
  readonly inbox: Array<Message>
  readonly bell: Effect.Latch
  /** What the fibers of attempts start with. */
  readonly runtime: Runtime.Runtime<never>
  readonly coordinator: AttemptCoordinator.AttemptCoordinator
  readonly state: State
}

/**
 * At most so many jobs are claimed, or runs started or recovered, in one transaction.
 *
 * @since 0.1.0
 * @category constants
 */
export const BATCH = 500

const NEVER: Wakes = { claim: Infinity, start: Infinity, recover: Infinity, cancelled: [] }

/**
 * @since 0.1.0
 * @category constructors
 */
export const makeState = (isPaused: boolean): Effect.Effect<State> =>
  Effect.map(readClocks, (clocks) => ({
    mode: isPaused ? "Paused" : "Running",
    isFinishing: false,
    attempted: 0,
    node: undefined,
    trustedUntil: Infinity,
    renewAt: Infinity,
    returnAt: 0,
    wakes: NEVER,
    isStale: true,
    askedAt: 0,
    pollAt: 0,
    isBusy: false,
    vainTurns: 0,
    isFlooded: false,
    isCrowded: false,
    wakeAt: 0,
    cleanAt: 0,
    ...clocks,
    lastTurn: Option.none(),
    storeFailures: 0,
    warnedAt: -Infinity,
    isWarned: false,
    batch: BATCH,
    ended: []
  }))

/**
 * Tells the actor something, and wakes it.
 *
 * @since 0.1.0
 * @category messages
 */
export const send = (self: Actor, message: Message): void => {
  // Other news wakes the loop as well, but only a hint says to ask; many do not pile up while the store has no answer.
  if (message._tag !== "Wake" || self.inbox.at(-1)?._tag !== "Wake") self.inbox.push(message)
  self.bell.unsafeOpen()
}

/**
 * @since 0.1.0
 * @category models
 */
export type Clocks = Pick<State, "wall" | "elapsed">

/**
 * The wall clock and the elapsed time, in milliseconds.
 *
 * @since 0.1.0
 * @category clocks
 */
export const readClocks: Effect.Effect<Clocks> = Effect.map(
  Effect.all([Clock.currentTimeMillis, Clock.currentTimeNanos]),
  ([wall, nanos]) => ({
    wall,
    elapsed: Number(nanos / 1_000_000n)
  })
)
