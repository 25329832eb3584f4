/**
 * Threads or processes that are kept ready for attempts: each carries out one at a time, is replaced when it has done
 * enough or has died, and is not tried without end when it cannot be started.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Scope from "effect/Scope"
import { availableParallelism } from "node:os"
import * as AttemptHost from "./AttemptHost.ts"
import type { Attempt, Executor } from "./Executor.ts"
import type * as Run from "./Run.ts"
import type { RunContext } from "./RunContext.ts"
import { ExecutorUnavailable, InvalidOption } from "./SchedulerError.ts"
import * as TypeScriptModule from "./TypeScriptModule.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends AttemptHost.Options {
  /** What its hosts are, for people: `worker thread` or `process`. */
  readonly kind: string
  /** The module that they load. */
  readonly url: URL
  readonly size: number
  /** Whether hosts are started with the pool, or when there is something for them to do. */
  readonly start: "warm" | "lazy"
  /** After how many attempts a host is replaced. */
  readonly recycleAfter: number
}

/**
 * What users may say of a pool.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  /** The module with the handlers: it calls `runMain`. */
  readonly url: URL | string
  /** How many attempts are carried out at the same time. Default: as many as the machine has processors for. */
  readonly size?: number | undefined
  /** Whether all start with the layer (default), or each when there is something for it to do. */
  readonly start?: "warm" | "lazy" | undefined
  /** After how many attempts each is replaced by a new one. Default: never. */
  readonly recycleAfter?: number | undefined
  /** How long one may take to be ready. Default: 30 seconds. */
  readonly startTimeout?: Duration.DurationInput | undefined
  /** How long a handler that is interrupted may take to end, before it is ended by force. Default: 5 seconds. */
  readonly grace?: Duration.DurationInput | undefined
}

/**
 * The settings with their defaults. Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category options
 */
export const check = (settings: Settings): Omit<Options, "kind" | "spawn"> => {
  const { grace = "5 seconds", recycleAfter = Infinity, start = "warm", startTimeout = "30 seconds" } = settings
  return {
    url: TypeScriptModule.find(new URL(settings.url)),
    size: checkCount("size", settings.size ?? availableParallelism()),
    start,
    recycleAfter: recycleAfter === Infinity ? Infinity : checkCount("recycleAfter", recycleAfter),
    startTimeout: Duration.decode(startTimeout),
    grace: Duration.decode(grace)
  }
}

/**
 * A count that an option gives, of at least 1 unless another number is given. Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category options
 */
export const checkCount = (option: string, value: number, least = 1): number => {
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new InvalidOption({ option, value: String(value), expected: `a whole number of at least ${least}` })
}

/** An attempt that waits for a host. */
interface Waiter {
  readonly take: (host: Member) => void
  readonly refuse: (refusal: ExecutorUnavailable) => void
}

/** A host of the pool, and how many attempts ended in order; `retired` is done when it is not to be given any more. */
interface Member {
  readonly host: AttemptHost.Host
  readonly retired: Deferred.Deferred<void>
  attempts: number
}

/** How the life of a host in the pool ended. */
type End = "Unable" | "DiedAtOnce" | "Died" | "Replaced"

interface Pool {
  readonly options: Options
  readonly idle: Array<Member>
  readonly waiters: Array<Waiter>
  readonly demand: Effect.Latch
  /** Done when the first host is ready, or is known not to be able to start. */
  readonly first: Deferred.Deferred<void, ExecutorUnavailable>
  living: number
  starting: number
  isClosed: boolean
}

const SHORTEST_BACKOFF = 100
const LONGEST_BACKOFF = 30_000

/**
 * A pool as an executor. A warm one fails if its first host cannot be started; all hosts end with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Executor["Type"], ExecutorUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const self: Pool = {
      options,
      idle: [],
      waiters: [],
      demand: yield* Effect.makeLatch(false),
      first: yield* Deferred.make<void, ExecutorUnavailable>(),
      living: 0,
      starting: 0,
      isClosed: false
    }
    const slots = Array.from({ length: options.size }, () => keep(self))
    yield* Effect.all(slots, { concurrency: "unbounded", discard: true }).pipe(
      Effect.annotateLogs("executor", options.kind),
      Effect.forkScoped
    )
    yield* Effect.addFinalizer(() => Effect.sync(() => shut(self)))
    if (options.start === "warm") yield* Deferred.await(self.first)
    return { concurrency: options.size, execute: (attempt) => execute(self, attempt) }
  })

// ---------------------------------------------------------------------------------------------------------------------
// hosts
// ---------------------------------------------------------------------------------------------------------------------

/** Keeps one place of the pool filled, for ever. */
const keep = (self: Pool): Effect.Effect<never> => {
  // How often in a row nothing came of it.
  let failures = 0
  return Effect.gen(function* () {
    if (self.options.start === "lazy") yield* awaitDemand(self)
    self.starting++
    yield* Effect.sleep(backoff(failures))
    const end = yield* Effect.scoped(fill(self))
    failures = end === "Replaced" ? 0 : end === "Died" ? 1 : failures + 1
  }).pipe(Effect.forever)
}

const backoff = (failures: number): number =>
  failures === 0 ? 0 : Math.min(SHORTEST_BACKOFF * 2 ** (failures - 1), LONGEST_BACKOFF)

/** Waits until more attempts wait than hosts are being started for them. */
const awaitDemand = (self: Pool): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (self.waiters.length > self.starting) return Effect.void
    self.demand.unsafeClose()
    return Effect.zipRight(self.demand.await, awaitDemand(self))
  })

/** The life of one host in the pool. */
const fill = (self: Pool): Effect.Effect<End, never, Scope.Scope> =>
  AttemptHost.start(self.options).pipe(
    Effect.catchAllDefect((defect) => Effect.fail(String(defect))),
    Effect.onExit(() => Effect.sync(() => self.starting--)),
    Effect.matchEffect({
      onFailure: (reason) => fail(self, reason),
      onSuccess: (host) => Effect.acquireUseRelease(admit(self, host), serve(self), dismiss(self))
    })
  )

const unavailable = ({ options: { kind, url } }: Pool, reason: string): ExecutorUnavailable =>
  new ExecutorUnavailable({ kind, url: url.href, reason })

const refuseAll = ({ waiters }: Pool, refusal: ExecutorUnavailable): void => {
  for (const waiter of waiters.splice(0)) waiter.refuse(refusal)
}

const fail = (self: Pool, reason: string): Effect.Effect<End> => {
  const refusal = unavailable(self, reason)
  Deferred.unsafeDone(self.first, Exit.fail(refusal))
  if (self.living === 0) refuseAll(self, refusal)
  return Effect.as(Effect.logError(refusal.message), "Unable")
}

const shut = (self: Pool): void => {
  self.isClosed = true
  refuseAll(self, unavailable(self, ENDED))
}

const ENDED = "its layer has ended"

const admit = (self: Pool, host: AttemptHost.Host): Effect.Effect<Member> =>
  Effect.sync(() => {
    const member: Member = { host, retired: Deferred.unsafeMake(FiberId.none), attempts: 0 }
    self.living++
    Deferred.unsafeDone(self.first, Exit.void)
    offer(self, member)
    return member
  })

/** Until it has done enough, or is gone. */
const serve =
  ({ options: { kind } }: Pool) =>
  (member: Member): Effect.Effect<End> =>
    Effect.raceFirst(Deferred.await(member.retired), member.host.ended).pipe(
      Effect.flatMap(() => {
        const { attempts, host } = member
        if (!host.isGone() || host.isDismissed()) return Effect.succeed<End>("Replaced")
        const end: End = attempts > 0 ? "Died" : "DiedAtOnce"
        return Effect.flatMap(host.ended, (reason) => Effect.as(Effect.logWarning(`A ${kind} died: ${reason}`), end))
      })
    )

const dismiss =
  (self: Pool) =>
  (member: Member): Effect.Effect<void> =>
    Effect.sync(() => {
      self.living--
      const place = self.idle.indexOf(member)
      if (place >= 0) self.idle.splice(place, 1)
    })

// ---------------------------------------------------------------------------------------------------------------------
// attempts
// ---------------------------------------------------------------------------------------------------------------------

const execute = (self: Pool, attempt: Attempt): Effect.Effect<Run.Outcome, never, RunContext> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(restore(enter(self)), (member) =>
      Effect.ensuring(restore(member.host.execute(attempt)), leave(self, member))
    )
  ).pipe(
    Effect.catchAll(({ message }) => Effect.succeed<Run.Outcome>({ _tag: "Refused", reason: message })),
    Effect.onExit((exit) => Scope.close(attempt.scope, exit))
  )

/** Waits for a host, first come first served. */
const enter = (self: Pool): Effect.Effect<Member, ExecutorUnavailable> =>
  Effect.async((resume) => {
    let taken: Member | undefined
    const waiter: Waiter = {
      take: (member) => {
        taken = member
        resume(Effect.succeed(member))
      },
      refuse: (refusal) => resume(refusal)
    }
    if (self.isClosed) return waiter.refuse(unavailable(self, ENDED))
    self.waiters.push(waiter)
    match(self)
    self.demand.unsafeOpen()
    return Effect.sync(() => {
      const place = self.waiters.indexOf(waiter)
      if (place >= 0) self.waiters.splice(place, 1)
      if (taken !== undefined) offer(self, taken)
    })
  })

const leave = (self: Pool, member: Member): Effect.Effect<void> =>
  Effect.sync(() => {
    if (isLeaving(member)) return
    member.attempts++
    if (member.attempts < self.options.recycleAfter) return offer(self, member)
    Deferred.unsafeDone(member.retired, Exit.void)
  })

/** It leaves the pool by itself. */
const isLeaving = ({ host }: Member): boolean => host.isGone() || host.isDismissed()

const offer = (self: Pool, member: Member): void => {
  self.idle.push(member)
  match(self)
}

const match = ({ idle, waiters }: Pool): void => {
  while (idle.length > 0 && waiters.length > 0) {
    const member = idle.shift()!
    if (!isLeaving(member)) waiters.shift()!.take(member)
  }
}
