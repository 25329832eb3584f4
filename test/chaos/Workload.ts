/** The jobs that the nodes carry out while they are disturbed, as the store gets them and as the checker sees them. */
import { Schema } from "effect"
import * as Scheduler from "../../src/Scheduler.ts"
import * as Task from "../../src/Task.ts"
import * as Trigger from "../../src/Trigger.ts"
import type { JobSpec } from "./HistoryChecker.ts"

/** A handler works for so many slices of 50 ms: what is left of it after its process stood still is still to be done. */
export const SLICE = 50

const payload = Schema.Struct({ slices: Schema.Number })

/** Known to every node. */
export const Work = Task.make("Work", { payload })

/** Known only to nodes of the new version, where there are two. */
export const NewWork = Task.make("NewWork", { payload })

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
    const period = (1 + (index % 3)) * SECOND
    const first = Math.ceil(options.from / period) * period
    const last = first + Math.floor((options.seconds * SECOND) / period) * period
    return make(index, isNew ? NewWork : Work, { first, last, period })
  })

const make = (index: number, task: typeof Work | typeof NewWork, times: JobSpec["times"]): Recurring => {
  const spec: JobSpec = {
    id: `job-${index}`,
    times,
    coalesce: index % 2 === 0 ? "all" : "latest",
    overlap: index % 5 === 0 ? "skip" : "queue",
    maxInstances: 1 + (index % 3),
    onCrash: index % 7 === 0 ? "abandon" : "retry"
  }
  const { coalesce, id, maxInstances, onCrash, overlap } = spec
  const limits = { catchUpLimit: PLENTY, queueLimit: PLENTY, crashLimit: PLENTY }
  return {
    spec,
    declaration: Scheduler.job(task, {
      ...{ id, trigger: trigger(index, times), coalesce, maxInstances, onCrash, overlap, ...limits },
      payload: { slices: index % 17 }
    })
  }
}

const trigger = (index: number, { first, last, period }: JobSpec["times"]): Trigger.Trigger => {
  const [start, end, seconds] = [new Date(first), new Date(last), period / SECOND]
  return Math.floor(index / 3) % 2 === 0
    ? Trigger.interval({ seconds, start, end })
    : Trigger.cron({ second: `*/${seconds}`, start, end, timezone: "UTC" })
}

/** A job that is due once, a little later. */
export const oneOff = (index: number, at: number): Recurring => ({
  spec: {
    id: `once-${index}`,
    times: { first: at, last: at, period: SECOND },
    coalesce: "all",
    overlap: "queue",
    maxInstances: 1,
    onCrash: "retry"
  },
  declaration: Scheduler.job(Work, {
    id: `once-${index}`,
    trigger: Trigger.at(new Date(at)),
    payload: { slices: index % 17 },
    crashLimit: PLENTY
  })
})
