/** The jobs that the nodes carry out while they are disturbed, as the store gets them and as the checker sees them. */
import { Schema } from "effect"
import * as Scheduler from "../../src/Scheduler.ts"
import * as Task from "../../src/Task.ts"
import * as Trigger from "../../src/Trigger.ts"
import type { JobSpec } from "./History.ts"

/** A handler works for so many slices of 50 ms: what is left of it after its process stood still is still to be done. */
export const SLICE = 50

const payload = Schema.Struct({ slices: Schema.Number })

/** Known to every node. */
export const Work = Task.make("Work", { payload })

/** Known only to nodes of the new version, where there are two. */
export const NewWork = Task.make("NewWork", { payload })

/** Ends the process that carries it out, by force or by an exit. */
export const Deadly = Task.make("Deadly", { payload: Schema.Struct({ isForced: Schema.Boolean }) })

const SECOND = 1000

/** No node outlives so many others, and no queue is so long. */
const PLENTY = 100_000

interface Recurring {
  readonly spec: JobSpec
  readonly declaration: Scheduler.Declaration
}

/** `count` jobs of all kinds, due from `from` for so many seconds. */
export const recurring = (options: {
  readonly count: number
  readonly from: number
  readonly seconds: number
  /** Whether every fourth one needs a node of the new version. */
  readonly hasNew?: boolean
}): ReadonlyArray<Recurring> =>
  Array.from({ length: options.count }, (_, index) => {
    const isNew = options.hasNew === true && index % 4 === 3
    return make(index, isNew ? NewWork : Work, timesOf(index, options))
  })

/** Only so many jobs are due every few seconds; the others are due now and then. */
const FREQUENT = 100

const isLong = (index: number): boolean => index % 10 === 3

const periodOf = (index: number): number => {
  if (index >= FREQUENT) return (1 + (index % 3)) * 20 * SECOND
  return isLong(index) ? 10 * SECOND : (1 + (index % 3)) * SECOND
}

/** At least once, and at most so often as there is time for. */
const timesOf = (index: number, { from, seconds }: { readonly from: number; readonly seconds: number }) => {
  const period = periodOf(index)
  const step = Math.min(period, seconds * SECOND)
  const first = Math.ceil(from / SECOND) * SECOND + (index >= FREQUENT || isLong(index) ? (index * SECOND) % step : 0)
  const aligned = isCron(index) ? Math.ceil(first / period) * period : first
  const last = Math.max(aligned, from + seconds * SECOND)
  return { first: aligned, last: aligned + Math.floor((last - aligned) / period) * period, period }
}

const isCron = (index: number): boolean => index < FREQUENT && !isLong(index) && Math.floor(index / 3) % 2 === 1

/** Those that are long go on while their node loses its lease, and are always begun anew. */
const slicesOf = (index: number): number => (isLong(index) ? 100 + (index % 40) : index % 17)

const make = (index: number, task: typeof Work | typeof NewWork, times: JobSpec["times"]): Recurring => {
  const coalesce = index % 2 === 0 ? "all" : "latest"
  const spec: JobSpec = {
    ...{ id: `job-${index}`, times, coalesce },
    overlap: index % 5 === 0 ? "skip" : "queue",
    maxInstances: 1 + (index % 3),
    onCrash: index % 7 === 0 && !isLong(index) ? "abandon" : "retry",
    ...(index % 13 === 7 ? { grace: 2 * SECOND } : {}),
    ...(coalesce === "all" && index % 11 === 5 ? { catchUpLimit: 3 } : {})
  }
  const payload = { slices: slicesOf(index) }
  return {
    spec,
    declaration: Scheduler.job(task, { id: spec.id, trigger: trigger(index, times), payload, ...policyOf(spec) })
  }
}

const policyOf = ({ catchUpLimit = PLENTY, crashLimit = PLENTY, grace = Infinity, ...spec }: JobSpec) => ({
  ...{ catchUpLimit, crashLimit, misfireGraceTime: grace, queueLimit: PLENTY },
  ...{ coalesce: spec.coalesce, maxInstances: spec.maxInstances, onCrash: spec.onCrash, overlap: spec.overlap }
})

const trigger = (index: number, { first, last, period }: JobSpec["times"]): Trigger.Trigger => {
  const [start, end, seconds] = [new Date(first), new Date(last), period / SECOND]
  return isCron(index)
    ? Trigger.cron({ second: `*/${seconds}`, start, end, timezone: "UTC" })
    : Trigger.interval({ seconds, start, end })
}

/** A job that is due once, a little later, and stays known when it has ended, so that it can be added only once. */
export const oneOff = (index: number, at: number): Recurring => {
  const spec: JobSpec = { id: `once-${index}`, ...once(at) }
  const declaration = Scheduler.job(Work, {
    ...{ id: spec.id, trigger: Trigger.at(new Date(at)), payload: { slices: index % 17 } },
    ...{ ...policyOf(spec), retention: { finishedJobs: "keep" } as const }
  })
  return { spec, declaration }
}

/** How often a deadly job may be tried again. */
const CRASHES = 2

/** `count` jobs, each due once, that end whoever carries them out, until they are given up. */
export const deadly = (count: number, from: number): ReadonlyArray<Recurring> =>
  Array.from({ length: count }, (_, index) => {
    const at = from + index * 10 * SECOND
    const spec: JobSpec = { id: `deadly-${index}`, ...once(at), crashLimit: CRASHES }
    const payload = { isForced: index % 2 === 0 }
    return {
      spec,
      declaration: Scheduler.job(Deadly, { id: spec.id, trigger: Trigger.at(new Date(at)), payload, ...policyOf(spec) })
    }
  })

const once = (at: number): Omit<JobSpec, "id"> => ({
  ...{ times: { first: at, last: at, period: SECOND } },
  ...{ coalesce: "all", overlap: "queue", maxInstances: 1, onCrash: "retry" }
})
