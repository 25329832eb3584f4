/** What jobs cost in the memory store when there are many: the verbs on them, the heap they keep, and to drain them. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Executor, JobStore, Scheduler, Task, Trigger } from "../../src/index.ts"
import { heapInUse } from "./Measure.ts"

const task = Task.make("bench")

const live = (handler: Effect.Effect<void>, options: Scheduler.Options, concurrency: number) =>
  Scheduler.layer(options).pipe(
    Layer.provide(Task.toLayer(task, () => handler)),
    Layer.provide(Executor.layerFiber({ concurrency })),
    Layer.provideMerge(JobStore.layerMemory)
  )

/** Only the verbs and the store: nothing runs. */
const client = live(Effect.void, { autoStart: false }, 1)

const idOf = (job: number): string => `job-${job}`

const addAll = (count: number, trigger: (job: number) => Trigger.Trigger) =>
  Effect.gen(function* () {
    const scheduler = yield* Scheduler.Scheduler
    for (let i = 0; i < count; i++) yield* scheduler.add(task, { id: idOf(i), trigger: trigger(i) })
  })

const microseconds = (): number => {
  const { system, user } = process.cpuUsage()
  return system + user
}

// ---------------------------------------------------------------------------------------------------------------------
// heap
// ---------------------------------------------------------------------------------------------------------------------

export interface Heap {
  readonly bytesPerJob: number
  /** Microseconds of CPU time that it took to add a job. */
  readonly cpuPerJob: number
}

const ownCron = (job: number): Trigger.Trigger => Trigger.crontab(`${job % 60} ${Math.floor(job / 60) % 24} * * *`)

const fill = (count: number, trigger: (job: number) => Trigger.Trigger) =>
  Effect.gen(function* () {
    yield* Scheduler.Scheduler
    const [bytes, cpu] = [heapInUse(), microseconds()]
    yield* addAll(count, trigger)
    const cpuPerJob = (microseconds() - cpu) / count
    return { bytesPerJob: (heapInUse() - bytes) / count, cpuPerJob }
  })

/** Of so many jobs, each on a cron trigger of its own. */
export const measureHeap = ([count]: ReadonlyArray<string>): Promise<Heap> =>
  Effect.runPromise(Effect.provide(fill(Number(count), ownCron), client))

// ---------------------------------------------------------------------------------------------------------------------
// verbs
// ---------------------------------------------------------------------------------------------------------------------

const ROUNDS = 25
const CALLS = 400

export const verbs = ["remove", "add", "pause", "resume", "nextWake"] as const

export type Verb = (typeof verbs)[number]

const HOUR = Trigger.interval({ hours: 1 })

/** Shorter and longer than the others', so that some jobs are the next to run and some the last. */
const PERIODS = Array.from({ length: 100 }, (_, i) => Trigger.interval({ minutes: 1 + i }))

type Calls = Record<Verb, (job: number) => Effect.Effect<unknown, unknown>>

const makeCalls = Effect.gen(function* () {
  const [scheduler, store] = [yield* Scheduler.Scheduler, yield* JobStore.JobStore]
  const wake = store.nextWake({ node: "bench", tasks: new Set([task.name]), executors: new Set(["default"]) })
  return {
    remove: (job) => scheduler.remove(idOf(job)),
    add: (job) => scheduler.add(task, { id: idOf(job), trigger: PERIODS[job % PERIODS.length]! }),
    pause: (job) => scheduler.pause(idOf(job)),
    resume: (job) => scheduler.resume(idOf(job)),
    nextWake: () => wake
  } satisfies Calls as Calls
})

/** Every job of a round is removed, added again, paused and resumed, so that their number stays. */
const round = (calls: Calls, jobs: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const spent: Array<number> = []
    for (const verb of verbs) {
      const start = microseconds()
      for (const job of jobs) yield* calls[verb](job)
      spent.push((microseconds() - start) / jobs.length)
    }
    return spent
  })

const pick = (count: number): ReadonlyArray<number> => {
  const jobs = new Set<number>()
  while (jobs.size < CALLS) jobs.add(Math.floor(Math.random() * count))
  return [...jobs]
}

export interface Many extends Heap {
  /** Microseconds of CPU time a call of each verb, in each round. */
  readonly rounds: ReadonlyArray<ReadonlyArray<number>>
}

const many = (count: number) =>
  Effect.gen(function* () {
    const heap = yield* fill(count, () => HOUR)
    const calls = yield* makeCalls
    const rounds: Array<ReadonlyArray<number>> = []
    for (let i = 0; i < 2 * ROUNDS; i++) rounds.push(yield* round(calls, pick(count)))
    return { ...heap, rounds: rounds.slice(ROUNDS) }
  })

/** The heap of so many jobs on one interval, and then the verbs on them. */
export const measureMany = ([count]: ReadonlyArray<string>): Promise<Many> =>
  Effect.runPromise(Effect.provide(many(Number(count)), client))

// ---------------------------------------------------------------------------------------------------------------------
// draining
// ---------------------------------------------------------------------------------------------------------------------

export interface Drain {
  /** Milliseconds from the instant until the last run has ended and no job is left. */
  readonly wall: number
  /** Milliseconds of CPU time. */
  readonly cpu: number
  readonly runs: number
  readonly left: number
}

const SAMPLE = 1000

/** Milliseconds that it takes to add a job, found out with some that are removed again. */
const pace = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler
  const start = performance.now()
  yield* addAll(SAMPLE, () => HOUR)
  const millis = (performance.now() - start) / SAMPLE
  for (let i = 0; i < SAMPLE; i++) yield* scheduler.remove(idOf(i))
  return millis
})

/** Looks for the end every few milliseconds, and gives up when nothing more happens for a second. */
const settled = (runs: () => number, count: number) =>
  Effect.gen(function* () {
    const scheduler = yield* Scheduler.Scheduler
    for (let [last, still] = [0, 0]; still < 200; still = runs() === last ? still + 1 : 0) {
      last = runs()
      if (last >= count && (yield* scheduler.health).running === 0) return
      yield* Effect.sleep(5)
    }
  })

const sleepUntil = (instant: number) => Effect.suspend(() => Effect.sleep(instant - Date.now()))

const drain = (count: number, runs: () => number) =>
  Effect.gen(function* () {
    const scheduler = yield* Scheduler.Scheduler
    // Far enough ahead to add them all before.
    const instant = Math.ceil(Date.now() + 2000 + 2 * count * (yield* pace))
    const trigger = Trigger.at(DateTime.unsafeMake(instant))
    yield* addAll(count, () => trigger)
    yield* sleepUntil(instant - 10)
    const start = microseconds()
    yield* settled(runs, count)
    const [wall, cpu] = [Date.now() - instant, (microseconds() - start) / 1000]
    return { wall, cpu, runs: runs(), left: (yield* scheduler.list()).length }
  })

/** So many jobs that are due once, all at one instant. */
export const measureDrain = ([count, concurrency]: ReadonlyArray<string>): Promise<Drain> => {
  let runs = 0
  const handler = Effect.sync(() => {
    runs++
  })
  const scheduler = live(handler, {}, Number(concurrency))
  return Effect.runPromise(
    Effect.provide(
      drain(Number(count), () => runs),
      scheduler
    )
  )
}
