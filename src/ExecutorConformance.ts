/**
 * What every executor must do, as named checks for any test runner, each carried out by a whole scheduler. An executor
 * with threads or processes of its own gives them a module with `runMain(ExecutorConformance.ActLive)`.
 *
 * ```ts
 * for (const { check, name } of ExecutorConformance.checks({ layer: MyExecutorLive, isHosted: true })) {
 *   it.live(name, () => check)
 * }
 * ```
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import assert from "node:assert/strict"
import type { Executor } from "./Executor.ts"
import {
  Act,
  type Check,
  carryOut,
  find,
  holding,
  inWorld,
  logged,
  order,
  stateOf,
  Unwilling,
  until,
  type World
} from "./ExecutorWorld.ts"
import type { SchedulerEvent } from "./SchedulerEvent.ts"

export { ActLive, type Check } from "./ExecutorWorld.ts"

interface Case {
  readonly name: string
  readonly body: (world: World) => Effect.Effect<void, unknown, Scope.Scope>
}

const check = (name: string, body: Case["body"]): Case => ({ name, body })

/**
 * What is checked.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E> {
  /** With a concurrency of 2, and no more than a second of grace for what is interrupted. */
  readonly layer: Layer.Layer<Executor, E>
  /** Whether attempts are carried out in threads or processes that may die. */
  readonly isHosted: boolean
}

const SOON = DateTime.unsafeMake("2026-12-01T00:00:00Z")
const NEVER = DateTime.unsafeMake("1969-01-01T00:00:00Z")

// ---------------------------------------------------------------------------------------------------------------------
// outcomes
// ---------------------------------------------------------------------------------------------------------------------

const outcomes: ReadonlyArray<Case> = [
  check("a value is recorded as its task encodes it, and given as it decodes it", (world) =>
    Effect.gen(function* () {
      for (const value of [{ deep: [1, null, "ü"] }, null, 0, "", false, []]) {
        const run = yield* carryOut(world, "a", { _tag: "Give", value })
        assert.deepEqual(stateOf(run, "Succeeded").value, value)
        assert.deepEqual(yield* world.scheduler.awaitRun(run.id, Act), value)
      }
    })
  ),

  check("no value is none", (world) =>
    Effect.gen(function* () {
      const run = yield* carryOut(world, "a", { _tag: "Hold", millis: 0, release: 0 })
      assert.ok(!("value" in stateOf(run, "Succeeded")))
    })
  ),

  check("a typed error is recorded as its task encodes it, and given as it decodes it", (world) =>
    Effect.gen(function* () {
      const run = yield* carryOut(world, "a", { _tag: "Fail", until: SOON })
      const { failure } = stateOf(run, "Failed")
      assert.equal(failure.kind, "Error")
      assert.deepEqual(failure.error, { _tag: "Unwilling", until: "2026-12-01T00:00:00.000Z" })
      assert.deepEqual(yield* Effect.flip(world.scheduler.awaitRun(run.id, Act)), new Unwilling({ until: SOON }))
    })
  ),

  check("a failure is tried again, under the next number", (world) =>
    Effect.gen(function* () {
      const run = yield* carryOut(world, "a", { _tag: "Fail", until: SOON }, { retry: { times: 2, delay: 10 } })
      stateOf(run, "Failed")
      assert.deepEqual([run.attempt, run.failures], [3, 3])
    })
  ),

  check("a failure that its task calls final is not tried again", (world) =>
    Effect.gen(function* () {
      const run = yield* carryOut(world, "a", { _tag: "Fail", until: NEVER }, { retry: { times: 2, delay: 10 } })
      stateOf(run, "Failed")
      assert.equal(run.attempt, 1)
    })
  ),

  check("a defect is recorded with its message and where it came from", (world) =>
    Effect.gen(function* () {
      const { failure } = stateOf(yield* carryOut(world, "a", { _tag: "Die", message: "no such thing" }), "Failed")
      assert.deepEqual([failure.kind, failure.message], ["Defect", "no such thing"])
      assert.match(failure.trace ?? "", /no such thing\n\s+at /)
    })
  ),

  check("a result that is no JSON is a defect", (world) =>
    Effect.gen(function* () {
      const { failure } = stateOf(yield* carryOut(world, "a", { _tag: "GiveUnfit" }), "Failed")
      assert.equal(failure.kind, "Defect")
      assert.match(failure.message, /deep\.0: .*JSON/)
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// what a handler finds around it
// ---------------------------------------------------------------------------------------------------------------------

interface Seen {
  readonly run: Readonly<Record<string, unknown>>
  readonly span: { readonly traceId: string; readonly spanId: string } | null
  readonly earlier: ReadonlyArray<readonly [outcome: string, runId: string] | null>
}

const look = (world: World, id: string) =>
  Effect.map(carryOut(world, id, { _tag: "Look" }), (run) => ({
    run,
    seen: stateOf(run, "Succeeded").value as Seen
  }))

const surroundings: ReadonlyArray<Case> = [
  check("a handler knows its run", (world) =>
    Effect.gen(function* () {
      const { run, seen } = yield* look(world, "a")
      const { attempt, id: runId, jobId, scheduledAt, task } = run
      assert.deepEqual(seen.run, { attempt, jobId, runId, scheduledAt: scheduledAt.epochMillis, task })
    })
  ),

  check("a handler knows how the run before ended, and which one succeeded last", (world) =>
    Effect.gen(function* () {
      const first = yield* look(world, "a")
      assert.deepEqual(first.seen.earlier, [null, null])
      // Each is later than the one before: the nominal time of a manual run is when it was asked for.
      yield* Effect.sleep(2)
      const failed = yield* carryOut(world, "a", { _tag: "Die", message: "no" })
      yield* Effect.sleep(2)
      const { seen } = yield* look(world, "a")
      assert.deepEqual(seen.earlier, [
        ["Failed", failed.id],
        ["Succeeded", first.run.id]
      ])
    })
  ),

  check("a handler is in the span of its attempt", (world) =>
    Effect.gen(function* () {
      const { seen } = yield* look(world, "a")
      const span = world.spans.find(({ name }) => name === "run Act")
      assert.ok(span !== undefined)
      assert.equal(seen.span?.traceId, span.traceId)
      const isInside = seen.span?.spanId === span.spanId || world.spans.some((_) => _.spanId === seen.span?.spanId)
      assert.ok(isInside)
    })
  ),

  check("how far a handler is, is known to the store and told to whoever listens", (world) =>
    Effect.gen(function* () {
      const { id } = yield* order(world, "a", { _tag: "Progress", done: 1000, millis: 60_000 })
      const progress = { done: 1000, total: 1000, note: "step 1000" }
      const isLast = (event: SchedulerEvent) =>
        event._tag === "RunProgress" && stateOf(event.run, "Running").progress?.done === 1000
      yield* until("the last step was told", () => world.events.some(isLast))
      assert.deepEqual(stateOf(yield* find(world, id), "Running").progress, progress)
      yield* world.scheduler.cancel(id)
      assert.ok(!("progress" in stateOf(yield* world.scheduler.awaitRun(id), "Cancelled")))
      // A thousand steps are not a thousand events.
      assert.ok(world.events.filter(({ _tag }) => _tag === "RunProgress").length < 10)
    })
  ),

  check("what a handler logs is logged as that of its attempt", (world) =>
    Effect.gen(function* () {
      const run = yield* carryOut(world, "a", { _tag: "Log" })
      stateOf(run, "Succeeded")
      const [two, cause, ...more] = world.logs.filter(({ annotations }) => annotations.job === "a")
      assert.deepEqual(more, [])
      assert.deepEqual(two, {
        level: "WARN",
        message: ["two", { parts: 2 }],
        cause: "",
        annotations: { of: "a handler", deep: { is: [true] }, job: "a", run: run.id, attempt: 1 },
        spans: ["within"]
      })
      assert.equal(cause?.level, "ERROR")
      assert.match(cause.cause, /^Error: it broke/)
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// interruption
// ---------------------------------------------------------------------------------------------------------------------

const interruption: ReadonlyArray<Case> = [
  check("a timeout interrupts the handler, waits for what it releases, and is recorded as such", (world) =>
    Effect.gen(function* () {
      const run = yield* carryOut(world, "a", { _tag: "Hold", millis: 60_000, release: 0 }, { timeout: "300 millis" })
      const { failure } = stateOf(run, "Failed")
      assert.deepEqual([failure.kind, failure.message], ["Timeout", "timed out after 300ms"])
      assert.deepEqual([logged(world, "a", "began"), logged(world, "a", "released")], [1, 1])
    })
  ),

  check("a handler that is faster than its timeout is not affected by it", (world) =>
    Effect.gen(function* () {
      stateOf(
        yield* carryOut(world, "a", { _tag: "Hold", millis: 1, release: 0 }, { timeout: "10 seconds" }),
        "Succeeded"
      )
      stateOf(yield* carryOut(world, "b", { _tag: "Hold", millis: 1, release: 0 }), "Succeeded")
    })
  ),

  check("a cancellation interrupts the handler, and waits for what it releases", (world) =>
    Effect.gen(function* () {
      const { id } = yield* holding(world, "a")
      yield* world.scheduler.cancel(id)
      assert.equal(stateOf(yield* world.scheduler.awaitRun(id), "Cancelled").reason, "requested")
      assert.equal(logged(world, "a", "released"), 1)
    })
  ),

  check("what was interrupted makes room for what comes next", (world) =>
    Effect.gen(function* () {
      for (const id of ["a", "b", "c", "d", "e"]) {
        const run = yield* holding(world, id)
        yield* world.scheduler.cancel(run.id)
        yield* world.scheduler.awaitRun(run.id)
      }
      stateOf(yield* carryOut(world, "f", { _tag: "Give", value: 1 }), "Succeeded")
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// load
// ---------------------------------------------------------------------------------------------------------------------

const jobsOf = (events: ReadonlyArray<SchedulerEvent>, tag: "RunStarted" | "RunSucceeded") =>
  events.flatMap((event) => (event._tag === tag ? [event.jobId] : []))

/** How many runs were under way at the same time, at most. */
const most = (events: ReadonlyArray<SchedulerEvent>): number => {
  let [running, most] = [0, 0]
  for (const { _tag } of events) {
    if (_tag === "RunStarted") most = Math.max(most, ++running)
    if (_tag === "RunSucceeded") running--
  }
  return most
}

const ids = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}${i}`)

const load: ReadonlyArray<Case> = [
  check(
    "as many attempts as its concurrency run at the same time, and no more, in the order in which they are due",
    (world) =>
      Effect.gen(function* () {
        const jobs = ids("job-", 4 * world.concurrency)
        for (const id of jobs) yield* order(world, id, { _tag: "Hold", millis: 50, release: 0 })
        yield* until("all ended", () => jobsOf(world.events, "RunSucceeded").length === jobs.length)
        assert.equal(most(world.events), world.concurrency)
        assert.deepEqual(jobsOf(world.events, "RunStarted"), jobs)
      })
  ),

  check("what there is no room for stays in the store, and can be cancelled there", (world) =>
    Effect.gen(function* () {
      const held = yield* Effect.forEach(ids("held-", world.concurrency), (id) => holding(world, id))
      const waiting = yield* Effect.forEach(ids("waiting-", 3), (id) => order(world, id, { _tag: "Give", value: id }))
      yield* Effect.sleep(100)
      for (const { id } of waiting) stateOf(yield* find(world, id), "Pending")
      yield* world.scheduler.cancel(waiting[0]!.id)
      for (const { id } of held) yield* world.scheduler.cancel(id)
      const [first, ...rest] = yield* Effect.forEach(waiting, ({ id }) => world.scheduler.awaitRun(id))
      assert.ok(stateOf(first!, "Cancelled").startedAt === undefined)
      for (const run of rest) stateOf(run, "Succeeded")
    })
  ),

  check("many runs in a row leave no trace on each other", (world) =>
    Effect.gen(function* () {
      const jobs = ids("job-", 50)
      yield* Effect.forEach(jobs, (id, value) => order(world, id, { _tag: "Give", value }))
      yield* until("all ended", () => jobsOf(world.events, "RunSucceeded").length === jobs.length)
      for (const [i, jobId] of jobs.entries()) {
        const [run] = yield* world.scheduler.runs({ jobId })
        assert.equal(stateOf(run!, "Succeeded").value, i)
      }
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// shutdown
// ---------------------------------------------------------------------------------------------------------------------

const shutdown: ReadonlyArray<Case> = [
  check("a shutdown while nothing runs is done", ({ scheduler }) => scheduler.shutdown({ wait: true })),

  check("a shutdown that waits lets end what is under way, and starts nothing more", (world) =>
    Effect.gen(function* () {
      const held = yield* Effect.forEach(ids("held-", world.concurrency), (id) =>
        order(world, id, { _tag: "Hold", millis: 500, release: 0 })
      )
      const waiting = yield* order(world, "waiting", { _tag: "Give", value: 1 })
      yield* until("all began", () => held.every(({ jobId }) => logged(world, jobId, "began") === 1))
      yield* world.scheduler.shutdown({ wait: true })
      for (const { id } of held) stateOf(yield* find(world, id), "Succeeded")
      stateOf(yield* find(world, waiting.id), "Pending")
    })
  ),

  check("a shutdown that does not wait interrupts what is under way, which is to run again", (world) =>
    Effect.gen(function* () {
      const held = yield* holding(world, "a")
      yield* world.scheduler.shutdown({ wait: false })
      const run = yield* find(world, held.id)
      stateOf(run, "Pending")
      assert.equal(run.attempt, 1)
      assert.equal(logged(world, "a", "released"), 1)
    })
  ),

  check("a shutdown that waits for a while lets end what does so in time", (world) =>
    Effect.gen(function* () {
      const long = yield* holding(world, "long")
      const short = yield* order(world, "short", { _tag: "Hold", millis: 200, release: 0 })
      yield* until("short began", () => logged(world, "short", "began") === 1)
      yield* world.scheduler.shutdown({ wait: "1 second" })
      stateOf(yield* find(world, short.id), "Succeeded")
      stateOf(yield* find(world, long.id), "Pending")
      assert.equal(logged(world, "long", "released"), 1)
    })
  ),

  check("a shutdown while an attempt is being interrupted waits for it", (world) =>
    Effect.gen(function* () {
      const { id } = yield* holding(world, "a", 500)
      yield* world.scheduler.cancel(id)
      yield* Effect.sleep(100)
      yield* world.scheduler.shutdown({ wait: false })
      stateOf(yield* find(world, id), "Cancelled")
      assert.equal(logged(world, "a", "released"), 1)
    })
  )
]

/** The end of the layer with an attempt under way. */
const end = <E>(layer: Layer.Layer<Executor, E>): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    let seen: World | undefined
    yield* inWorld(layer, (world) => {
      seen = world
      return Effect.asVoid(holding(world, "a"))
    })
    assert.equal(logged(seen!, "a", "released"), 1)
  })

// ---------------------------------------------------------------------------------------------------------------------
// hosts
// ---------------------------------------------------------------------------------------------------------------------

const hosts: ReadonlyArray<Case> = [
  check("a run whose host dies runs again on another one", (world) =>
    Effect.gen(function* () {
      const run = yield* carryOut(world, "a", { _tag: "Exit", times: 2 }, { crashLimit: 2 })
      assert.equal(stateOf(run, "Succeeded").value, 3)
      assert.deepEqual([run.attempt, run.crashes, run.failures], [3, 2, 0])
    })
  ),

  check("a run whose host dies too often is abandoned, and says what it died of", (world) =>
    Effect.gen(function* () {
      const run = yield* carryOut(world, "a", { _tag: "Exit", times: 9 }, { crashLimit: 1 })
      assert.match(stateOf(run, "Abandoned").reason ?? "", /exited with code 7/)
      assert.deepEqual([run.attempt, run.crashes], [2, 2])
    })
  ),

  check('a run whose host dies is abandoned at once with onCrash: "abandon"', (world) =>
    Effect.gen(function* () {
      const run = yield* carryOut(world, "a", { _tag: "Exit", times: 1 }, { onCrash: "abandon" })
      stateOf(run, "Abandoned")
      assert.equal(run.attempt, 1)
    })
  ),

  check("a host that died does not hold up those beside it, nor what comes next", (world) =>
    Effect.gen(function* () {
      const held = yield* order(world, "held", { _tag: "Hold", millis: 1000, release: 0 })
      yield* carryOut(world, "a", { _tag: "Exit", times: 9 }, { crashLimit: 0 })
      stateOf(yield* world.scheduler.awaitRun(held.id), "Succeeded")
      for (const id of ids("b", 2 * world.concurrency)) {
        stateOf(yield* carryOut(world, id, { _tag: "Give", value: 1 }), "Succeeded")
      }
    })
  ),

  check("a handler that does not heed its timeout is ended by force", (world) =>
    Effect.gen(function* () {
      const run = yield* carryOut(world, "a", { _tag: "Spin" }, { timeout: "300 millis" })
      assert.equal(stateOf(run, "Failed").failure.kind, "Timeout")
      stateOf(yield* carryOut(world, "b", { _tag: "Give", value: 1 }), "Succeeded")
    })
  ),

  check("a handler that does not heed its cancellation is ended by force", (world) =>
    Effect.gen(function* () {
      const runs = yield* Effect.forEach(ids("a", world.concurrency), (id) => order(world, id, { _tag: "Spin" }))
      yield* until("all began", () => runs.every(({ jobId }) => logged(world, jobId, "began") === 1))
      for (const { id } of runs) yield* world.scheduler.cancel(id)
      for (const { id } of runs) stateOf(yield* world.scheduler.awaitRun(id), "Cancelled")
      stateOf(yield* carryOut(world, "b", { _tag: "Give", value: 1 }), "Succeeded")
    })
  ),

  check("a shutdown does not wait for ever for a handler that does not heed it", (world) =>
    Effect.gen(function* () {
      const { id } = yield* order(world, "a", { _tag: "Spin" })
      yield* until("it began", () => logged(world, "a", "began") === 1)
      yield* world.scheduler.shutdown({ wait: false })
      stateOf(yield* find(world, id), "Pending")
    })
  )
]

/**
 * Every promise of the port.
 *
 * @since 0.1.0
 * @category conformance
 */
export const checks = <E>({ isHosted, layer }: Options<E>): ReadonlyArray<Check> => {
  const cases = [outcomes, surroundings, interruption, load, shutdown, isHosted ? hosts : []].flat()
  return [
    ...cases.map(({ body, name }) => ({ name, check: inWorld(layer, body) })),
    { name: "the end of its layer interrupts what is under way, and waits for what it releases", check: end(layer) }
  ]
}
