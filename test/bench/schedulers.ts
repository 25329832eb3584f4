/** The schedulers under one interface: so many jobs, each of which calls back every second. */
import type * as Trigger from "../../src/Trigger.ts"

/** Counts a firing of a job, by its number. */
export type Hit = (job: number) => void

export interface Scheduler {
  readonly name: string
  /** What it fires by: an expression that means every whole second, or a second after the last time. */
  readonly kind: "nothing" | "cron" | "interval"
  /** Calls back for job 0 whichever it is: one handler serves them all, and what it is told of the job costs extra. */
  readonly isCountedAsOne?: boolean
  /**
   * Starts so many jobs; done when all have been added. They end with the process. Without a zone those by expressions
   * take their default: the zone of the process, which is UTC here.
   */
  readonly start: (jobs: number, hit: Hit, timezone?: string) => Promise<void>
}

const EVERY_SECOND = "* * * * * *"

/** What a process costs that schedules nothing. */
export const idle: Scheduler = { name: "an empty process", kind: "nothing", start: async () => {} }

/** Each job has a trigger of its own, as with the others. */
const startOurs = async (jobs: number, hit: Hit, trigger: () => Trigger.Trigger): Promise<void> => {
  const { Effect, Layer, ManagedRuntime } = await import("effect")
  const { Executor, JobStore, Scheduler, Task } = await import("../../src/index.ts")
  const task = Task.make("bench")
  const live = Scheduler.layer().pipe(
    Layer.provide(Task.toLayer(task, () => Effect.sync(() => hit(0)))),
    Layer.provide(Executor.layerFiber({ concurrency: Infinity })),
    Layer.provide(JobStore.layerMemory)
  )
  const addAll = Effect.gen(function* () {
    const scheduler = yield* Scheduler.Scheduler
    for (let i = 0; i < jobs; i++) yield* scheduler.add(task, { id: `job-${i}`, trigger: trigger() })
  })
  await ManagedRuntime.make(live).runPromise(addAll)
}

const oursCron: Scheduler = {
  name: "ours, crontab",
  kind: "cron",
  isCountedAsOne: true,
  start: async (jobs, hit, timezone) => {
    const { Trigger } = await import("../../src/index.ts")
    await startOurs(jobs, hit, () => Trigger.crontab(EVERY_SECOND, { timezone }))
  }
}

/** In step with the whole second, as timers are that are set within a few milliseconds of it. */
const oursInterval: Scheduler = {
  name: "ours, interval",
  kind: "interval",
  isCountedAsOne: true,
  start: async (jobs, hit) => {
    const { Trigger } = await import("../../src/index.ts")
    const start = new Date(0)
    await startOurs(jobs, hit, () => Trigger.interval({ seconds: 1, start }))
  }
}

const nodeSchedule: Scheduler = {
  name: "node-schedule",
  kind: "cron",
  start: async (jobs, hit, timezone) => {
    const { default: schedule } = await import("node-schedule")
    const rule = timezone === undefined ? EVERY_SECOND : { rule: EVERY_SECOND, tz: timezone }
    for (let i = 0; i < jobs; i++) schedule.scheduleJob(rule, () => hit(i))
  }
}

const croner: Scheduler = {
  name: "croner",
  kind: "cron",
  start: async (jobs, hit, timezone) => {
    const { Cron } = await import("croner")
    const options = timezone === undefined ? {} : { timezone }
    for (let i = 0; i < jobs; i++) new Cron(EVERY_SECOND, options, () => hit(i))
  }
}

/** A firing that it misses it would report on the console, each one by itself. */
const nodeCron: Scheduler = {
  name: "node-cron",
  kind: "cron",
  start: async (jobs, hit, timezone) => {
    const { schedule } = await import("node-cron")
    const options = { suppressMissedWarning: true, ...(timezone === undefined ? {} : { timezone }) }
    for (let i = 0; i < jobs; i++) schedule(EVERY_SECOND, () => hit(i), options)
  }
}

/** A fiber for each job. */
const scheduleCron: Scheduler = {
  name: "effect Schedule.cron",
  kind: "cron",
  start: async (jobs, hit, timezone) => {
    const { Effect, Schedule } = await import("effect")
    for (let i = 0; i < jobs; i++) {
      const handler = Effect.sync(() => hit(i))
      Effect.runFork(Effect.schedule(handler, Schedule.cron(EVERY_SECOND, timezone)))
    }
  }
}

const toad: Scheduler = {
  name: "toad-scheduler, Task",
  kind: "interval",
  start: async (jobs, hit) => {
    const { SimpleIntervalJob, Task, ToadScheduler } = await import("toad-scheduler")
    const scheduler = new ToadScheduler()
    for (let i = 0; i < jobs; i++) {
      const task = new Task(`task-${i}`, () => hit(i))
      scheduler.addSimpleIntervalJob(new SimpleIntervalJob({ seconds: 1 }, task, { id: `job-${i}` }))
    }
  }
}

const toadAsync: Scheduler = {
  name: "toad-scheduler, AsyncTask",
  kind: "interval",
  start: async (jobs, hit) => {
    const { AsyncTask, SimpleIntervalJob, ToadScheduler } = await import("toad-scheduler")
    const scheduler = new ToadScheduler()
    for (let i = 0; i < jobs; i++) {
      const task = new AsyncTask(`task-${i}`, async () => hit(i))
      scheduler.addSimpleIntervalJob(new SimpleIntervalJob({ seconds: 1 }, task, { id: `job-${i}` }))
    }
  }
}

/** Ours first: the one for the cron libraries, and the one for the timers. */
export const schedulers: ReadonlyArray<Scheduler> = [
  oursCron,
  oursInterval,
  nodeSchedule,
  croner,
  nodeCron,
  scheduleCron,
  toad,
  toadAsync
]
