/** How much later than due runs start, in this process, idle or half busy; and Node's own timers beside them. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Executor, JobStore, RunContext, Scheduler, Task, Trigger } from "../../src/index.ts"

export interface Percentiles {
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly count: number
}

/** Milliseconds, ours and those of bare timers; and how busy the process was, from 0 to 1. */
export interface Lateness {
  readonly ours: Percentiles
  readonly timers: Percentiles
  readonly load: number
}

const SECOND = 1000
const WARM_UP = 2 * SECOND
const WINDOW = 10 * SECOND
const JOBS = 200

/** The wall clock with fractions of its milliseconds, which `Date.now` cuts off. */
const makeClock = (): (() => number) => {
  const [start, tick] = [Date.now(), { wall: 0, monotonic: 0 }]
  do {
    tick.wall = Date.now()
    tick.monotonic = performance.now()
  } while (tick.wall === start)
  return () => tick.wall + performance.now() - tick.monotonic
}

const clock = makeClock()

/** Records what is due in the window. */
class Recorder {
  readonly lateness: Array<number> = []
  private readonly from: number
  constructor(from: number) {
    this.from = from
  }

  record(due: number): void {
    if (due >= this.from && due < this.from + WINDOW) this.lateness.push(clock() - due)
  }

  percentiles(): Percentiles {
    const sorted = this.lateness.toSorted((a, b) => a - b)
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!
    return { p50: at(0.5), p99: at(0.99), max: at(1), count: sorted.length }
  }
}

/** Burns 5 ms in every 10 ms. */
const keepBusy = (): void => {
  const start = performance.now()
  while (performance.now() - start < 5);
  setTimeout(keepBusy, 5)
}

const every = (due: number, recorder: Recorder): void => {
  setTimeout(() => {
    if (clock() < due) return every(due, recorder)
    recorder.record(due)
    every(due + SECOND, recorder)
  }, due - clock())
}

const layer = (recorder: Recorder) => {
  const handler = Effect.map(RunContext.RunContext, ({ scheduledAt }) => recorder.record(scheduledAt.epochMillis))
  return Scheduler.layer().pipe(
    Layer.provide(Task.toLayer(Task.make("bench"), () => handler)),
    Layer.provide(Executor.layerFiber({ concurrency: Infinity })),
    Layer.provide(JobStore.layerMemory)
  )
}

/** Jobs of whole milliseconds, and timers at the same ones. */
const start = (phases: ReadonlyArray<number>, timers: Recorder) =>
  Effect.gen(function* () {
    const scheduler = yield* Scheduler.Scheduler
    for (const [i, phase] of phases.entries()) {
      const trigger = Trigger.interval({ seconds: 1, start: DateTime.unsafeMake(phase) })
      yield* scheduler.add(Task.make("bench"), { id: `job-${i}`, trigger })
      every(phase, timers)
    }
  })

const run = (from: number, ours: Recorder, timers: Recorder): Effect.Effect<Lateness, unknown, Scheduler.Scheduler> =>
  Effect.gen(function* () {
    yield* start(
      Array.from({ length: JOBS }, () => from - SECOND + Math.floor(SECOND * Math.random())),
      timers
    )
    yield* Effect.sleep(from - Date.now())
    const [cpu, wall] = [process.cpuUsage(), performance.now()]
    yield* Effect.sleep(WINDOW + SECOND / 2)
    const { system, user } = process.cpuUsage(cpu)
    const load = (system + user) / 1000 / (performance.now() - wall)
    return { ours: ours.percentiles(), timers: timers.percentiles(), load }
  })

/** In an idle process or a busy one. */
export const measureLateness = ([load]: ReadonlyArray<string>): Promise<Lateness> => {
  if (load === "busy") keepBusy()
  const from = Math.ceil((clock() + WARM_UP) / SECOND) * SECOND
  const [ours, timers] = [new Recorder(from), new Recorder(from)]
  return Effect.runPromise(Effect.provide(run(from, ours, timers), layer(ours)))
}
