/**
 * A store in memory that fails as it is told to, and a clock that goes wrong: what the tests of the actor break.
 */
import { Chunk, Clock, Context, Deferred, Duration, Effect, FiberId, Layer, Ref, type TestClock } from "effect"
import * as JobStore from "../src/JobStore.ts"
import { StoreError } from "../src/SchedulerError.ts"

type Store = JobStore.JobStore["Type"]

export type Operation = Exclude<keyof Store, "timing" | "changes">

/**
 * How an operation goes wrong: with a typed error, with a defect, by never answering, or by answering late; before it
 * takes place or after it has. A `stuck` one does not answer to an interruption either until it heals, as a transaction
 * that cannot be rolled back because the connection leads nowhere. A `late` one never answers, and takes place some time later all the same, as a statement
 * does that a database carries out although nobody waits for it any more.
 */
export interface Fault {
  readonly operation: Operation
  readonly how: "fail" | "die" | "hang" | "stuck" | "delay" | "late"
  readonly when: "before" | "after"
  /** How many calls are answered as they should be first. Default: none. */
  readonly skip?: number
  /** How many calls go wrong. Default: all of them until it heals. */
  readonly calls?: number
  /** For how long calls go wrong, from when the fault was injected. Default: until it heals. */
  readonly during?: Duration.DurationInput
  /** How late the answer is, or the deed. Default: 1 second. */
  readonly by?: Duration.DurationInput
}

interface Injected extends Fault {
  readonly until: number
  skipped: number
  met: number
}

/** What the tests see and do behind the scheduler's back. */
export class Faults extends Context.Tag("test/Faults")<
  Faults,
  {
    /** The store without its faults. */
    readonly sound: Store
    readonly inject: (...faults: ReadonlyArray<Fault>) => Effect.Effect<void>
    readonly heal: Effect.Effect<void>
    /** Every fault that was met, in order: `claim fail before`. */
    readonly met: Array<string>
    /** How often each operation was called. */
    readonly calls: Map<Operation, number>
    /** Nodes that were registered and have not been released. */
    readonly nodes: Set<string>
  }
>() {}

/** Short enough for a loop to lose its patience, in the defaults of a store that several processes share. */
export const timing: JobStore.Timing = {
  poll: Duration.seconds(5),
  lease: Duration.seconds(15),
  renewal: Duration.seconds(5)
}

/** That of a store which only this process can reach. */
export const endless: JobStore.Timing = {
  poll: Duration.infinity,
  lease: Duration.infinity,
  renewal: Duration.infinity
}

/** All operations that the loop calls in its turns. */
export const turnOperations: ReadonlyArray<Operation> = [
  "register",
  "renew",
  "recover",
  "claim",
  "start",
  "settle",
  "prune",
  "counts",
  "nextWake"
]

const spoil = (
  { by = "1 second", how, operation }: Fault,
  healed: Deferred.Deferred<void>
): Effect.Effect<void, StoreError> => {
  switch (how) {
    case "fail":
      return new StoreError({ operation, cause: "connection lost" })
    case "die":
      return Effect.dieMessage(`${operation} is broken`)
    case "hang":
    case "late":
      return Effect.never
    case "stuck":
      return Effect.zipRight(
        Effect.uninterruptible(Deferred.await(healed)),
        new StoreError({ operation, cause: "connection lost" })
      )
    case "delay":
      return Effect.sleep(by)
  }
}

interface Options {
  readonly timing?: JobStore.Timing
  /** Whether it starts nothing with a claim, so that every run is started by itself. */
  readonly isSplit?: boolean
}

/** A store of one's own that goes wrong by plan. */
export const make = (sound: Store, options: Options = {}) => {
  let injected: Array<Injected> = []
  let healed = Deferred.unsafeMake<void>(FiberId.none)
  const met: Array<string> = []
  const calls = new Map<Operation, number>()
  const nodes = new Set<string>()

  const next = (operation: Operation, now: number): Injected | undefined => {
    const found = injected.find((fault) => fault.operation === operation && now < fault.until)
    if (found === undefined) return undefined
    if (found.skipped++ < (found.skip ?? 0)) return undefined
    if (found.met++ < (found.calls ?? Infinity)) return found
    injected = injected.filter((fault) => fault !== found)
    return next(operation, now)
  }

  const wrap = <A, E, R>(operation: Operation, effect: Effect.Effect<A, E, R>) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      calls.set(operation, (calls.get(operation) ?? 0) + 1)
      const fault = next(operation, now)
      if (fault === undefined) return effect
      met.push(`${operation} ${fault.how} ${fault.when}`)
      if (fault.how === "late") {
        return Effect.zipRight(Effect.forkDaemon(Effect.delay(effect, fault.by ?? "1 second")), Effect.never)
      }
      const spoiled = spoil(fault, healed)
      return fault.when === "before" ? Effect.zipRight(spoiled, effect) : Effect.zipLeft(effect, spoiled)
    })

  const known: Store = {
    ...sound,
    claim: ({ start, ...claim }) => sound.claim(options.isSplit === true ? claim : { ...claim, start }),
    register: (options) => Effect.tap(sound.register(options), (node) => Effect.sync(() => nodes.add(node))),
    release: (node) => Effect.tap(sound.release(node), () => Effect.sync(() => nodes.delete(node)))
  }
  const faulty = Object.fromEntries(
    Object.entries(known).map(([name, value]) => {
      if (name === "timing" || name === "changes") return [name, value]
      const operation = name as Operation
      if (Effect.isEffect(value)) return [name, wrap(operation, value as Effect.Effect<unknown, StoreError>)]
      const call = value as (...args: ReadonlyArray<unknown>) => Effect.Effect<unknown, StoreError>
      return [name, (...args: ReadonlyArray<unknown>) => Effect.suspend(() => wrap(operation, call(...args)))]
    })
  ) as unknown as Store

  const faults = Faults.of({
    sound,
    inject: (...faults) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        for (const fault of faults) {
          const until = fault.during === undefined ? Infinity : now + Duration.toMillis(fault.during)
          injected.push({ ...fault, until, skipped: 0, met: 0 })
        }
      }),
    heal: Effect.suspend(() => {
      const stuck = healed
      injected = []
      healed = Deferred.unsafeMake<void>(FiberId.none)
      return Effect.asVoid(Deferred.succeed(stuck, undefined))
    }),
    met,
    calls,
    nodes
  })
  return { store: JobStore.JobStore.of({ ...faulty, timing: options.timing ?? timing }), faults }
}

/** The store, and what rules its faults. */
export const layer = (options: Options = {}): Layer.Layer<JobStore.JobStore | Faults> =>
  Layer.effectContext(
    Effect.map(JobStore.makeMemory(), (sound) => {
      const { faults, store } = make(sound, options)
      return Context.make(JobStore.JobStore, store).pipe(Context.add(Faults, faults))
    })
  )

// ---------------------------------------------------------------------------------------------------------------------
// a clock that goes wrong
// ---------------------------------------------------------------------------------------------------------------------

/** What a wall clock shows and how long timers take, apart from the time that passes in the test. */
export interface Dials {
  /** By how much the wall clock is wrong, in milliseconds. */
  offset: number
  /** The wall clock moves in steps of so many milliseconds. */
  step: number
  /** How long it takes to read the wall clock, in milliseconds. */
  reading: number
  /** How long a timer really takes. */
  sleep: (millis: number) => number
}

/** The test clock with its dials; interrupted sleeps leave nothing behind in it. */
const makeClock = Effect.map(Effect.clock, (clock) => {
  const base = clock as TestClock.TestClock & { readonly clockState: Ref.Ref<TestClock.Data> }
  const dials: Dials = { offset: 0, step: 1, reading: 0, sleep: (millis) => millis }
  const elapsed = Effect.map(Ref.get(base.clockState), ({ instant }) => instant)
  const wall = (instant: number) => {
    dials.offset += dials.reading
    return Math.floor((instant + dials.offset) / dials.step) * dials.step
  }
  const sleep = (duration: Duration.Duration) =>
    Effect.flatMap(Deferred.make<void>(), (woken) =>
      Ref.update(base.clockState, ({ instant, sleeps }) => ({
        instant,
        sleeps: Chunk.prepend(sleeps, [instant + dials.sleep(Duration.toMillis(duration)), woken] as const)
      })).pipe(
        Effect.zipRight(Deferred.await(woken)),
        Effect.onInterrupt(() =>
          Ref.update(base.clockState, ({ instant, sleeps }) => ({
            instant,
            sleeps: Chunk.filter(sleeps, ([, deferred]) => deferred !== woken)
          }))
        )
      )
    )
  const made: TestClock.TestClock = Object.create(base, {
    currentTimeMillis: { value: Effect.map(elapsed, wall) },
    unsafeCurrentTimeMillis: { value: () => wall(base.unsafeCurrentTimeMillis()) },
    currentTimeNanos: { value: Effect.map(elapsed, (instant) => BigInt(instant) * 1_000_000n) },
    unsafeCurrentTimeNanos: { value: () => base.unsafeCurrentTimeNanos() },
    sleep: { value: sleep }
  })
  return { clock: made, dials }
})

/** A test on a clock of its own. */
export const onClock = <A, E, R>(body: (dials: Dials) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(makeClock, ({ clock, dials }) => Effect.withClock(body(dials), clock))

/** A test in which interrupted timers leave nothing behind, so that it travels faster. */
export const inOwnTime = <A, E, R>(effect: Effect.Effect<A, E, R>) => onClock(() => effect)
