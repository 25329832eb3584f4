/**
 * The verbs on runs: asked for, called off, waited for, made up for, foreseen and explained.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Explanation from "./Explanation.ts"
import * as Job from "./Job.ts"
import { type Engine, findJob, tell, utc } from "./JobVerbs.ts"
import * as Occurrences from "./Occurrences.ts"
import * as Run from "./Run.ts"
import { InvalidOption, RunNotFound, type StoreError } from "./SchedulerError.ts"
import { ofStep } from "./SchedulerEvent.ts"
import * as SchedulerTracer from "./SchedulerTracer.ts"
import * as Trigger from "./Trigger.ts"

/**
 * The times of a range that `backfill` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Range {
  readonly from: DateTime.DateTime.Input
  readonly to: DateTime.DateTime.Input
  readonly limit?: number | undefined
}

/**
 * @since 0.1.0
 * @category verbs
 */
export const runNow = (self: Engine, id: string) =>
  Effect.gen(function* () {
    const [at, origin] = yield* Effect.all([DateTime.now, SchedulerTracer.origin])
    const { cancelled, run } = yield* self.stores.ofJob((store) => store.fire(id, at, origin))
    for (const run of cancelled) tell(self, { _tag: "RunCancelled", at, jobId: id, run })
    tell(self, { _tag: run.state._tag === "Skipped" ? "RunSkipped" : "RunSubmitted", at, jobId: id, run })
    return run
  })

/**
 * @since 0.1.0
 * @category verbs
 */
export const cancel = (self: Engine, runId: string) =>
  Effect.gen(function* () {
    const at = yield* DateTime.now
    const isOver = Option.exists(yield* self.stores.run(runId), (run) => !Run.isLive(run))
    const step = yield* self.stores.ofRun((store) => store.cancel(runId, at))
    if (!isOver && !Run.isLive(step.run)) for (const event of ofStep(step, undefined, at)) tell(self, event)
    return step.run
  })

/** How often a run is looked up while it is waited for, in case another node ends it. */
const LOOK = Duration.seconds(1)

/**
 * @since 0.1.0
 * @category verbs
 */
export const awaitRun = (self: Engine, runId: string): Effect.Effect<Run.Run, RunNotFound | StoreError> =>
  Effect.gen(function* () {
    const events = yield* self.hub.subscribe
    const ended = Stream.filter(events, (event) => "run" in event && event.run.id === runId && !Run.isLive(event.run))
    // The events end with the scheduler, the run may do so later.
    const heard = Effect.flatMap(
      Stream.runHead(ended),
      Option.match({ onNone: () => Effect.never, onSome: Effect.succeed })
    )
    const end = yield* Effect.forkScoped(heard)
    for (;;) {
      const run = yield* self.stores.run(runId)
      if (Option.isNone(run)) return yield* new RunNotFound({ runId })
      if (!Run.isLive(run.value)) return run.value
      yield* Effect.raceFirst(Fiber.await(end), Effect.sleep(LOOK))
    }
  }).pipe(Effect.scoped)

const BACKFILL = { usual: 1000, most: 100_000 }

/** A range without a bound would keep the caller busy for as long as the trigger has times. */
const checkLimit = (limit: number): Effect.Effect<number, InvalidOption> => {
  const expected = `a whole number from 1 to ${BACKFILL.most}`
  return Number.isSafeInteger(limit) && limit >= 1 && limit <= BACKFILL.most
    ? Effect.succeed(limit)
    : new InvalidOption({ option: "limit", value: String(limit), expected })
}

/**
 * @since 0.1.0
 * @category verbs
 */
export const backfill = (self: Engine, id: string, range: Range) =>
  Effect.gen(function* () {
    const now = yield* DateTime.now
    const limit = yield* checkLimit(range.limit ?? BACKFILL.usual)
    const times = pastTimes(yield* findJob(self, id), utc(range.from), DateTime.min(utc(range.to), now), limit + 1)
    if (times.length > limit) return yield* tooMany(utc(range.to), limit)
    const origin = yield* SchedulerTracer.origin
    const toRuns = (job: Job.Job) => times.map((at) => Run.backfill(job, at, now, origin))
    const runs = yield* self.stores.ofJob((store) => store.backfill(id, toRuns))
    for (const run of runs) tell(self, { _tag: "RunSubmitted", at: now, jobId: id, run })
    return runs
  })

const tooMany = (to: DateTime.Utc, limit: number): InvalidOption =>
  new InvalidOption({ option: "to", value: Run.keyOf(to), expected: `a range of at most ${limit} times` })

const pastTimes = (job: Job.Job, from: DateTime.Utc, to: DateTime.Utc, limit: number): ReadonlyArray<DateTime.Utc> => {
  const times = Trigger.isSpaced(job.trigger) ? Occurrences.never : Job.occurrences(job)
  const found: Array<DateTime.Utc> = []
  for (let at = times.next(from.epochMillis - 1); at <= to.epochMillis; at = times.next(at)) {
    if (found.push(Occurrences.instant(at)) === limit) break
  }
  return found
}

const PREVIEW = 10_000

/**
 * @since 0.1.0
 * @category verbs
 */
export const preview = (self: Engine, of: string | Trigger.Trigger, count: number) =>
  Effect.gen(function* () {
    const now = yield* DateTime.now
    const job = typeof of === "string" ? yield* findJob(self, of) : Job.make({ id: "", task: "", now, trigger: of })
    const times = Job.occurrences(job)
    const found: Array<DateTime.Utc> = []
    let at = Option.match(job.nextRunTime, { onNone: () => Infinity, onSome: DateTime.toEpochMillis })
    const most = Math.min(count, PREVIEW, job.policy.limit - job.fired)
    for (; found.length < most && Occurrences.isInstant(at); at = times.next(at)) found.push(Occurrences.instant(at))
    return found
  })

/**
 * @since 0.1.0
 * @category verbs
 */
export const explain = (self: Engine, id: string, at: DateTime.Utc) =>
  Effect.gen(function* () {
    const [now, job] = yield* Effect.all([DateTime.now, self.stores.get(id)])
    const before = yield* self.stores.runs({ jobId: id, to: at, limit: 10 })
    const after = yield* self.stores.runs({ jobId: id, from: at, order: "oldest", limit: 10 })
    return Explanation.make({ job, runs: [...before, ...after], at, now })
  })
