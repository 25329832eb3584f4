/** graphile-worker in the SQL benchmark. */
import { Logger, makeWorkerUtils, run, runMigrations, type TaskList } from "graphile-worker"
import { type Contestant, nextSecond, type Payload } from "../sql-contestants.ts"

/** By default it prints a line a job. */
const logger = new Logger(() => () => {})

const CONCURRENT_JOBS = 24

/** The settings of its own performance test, https://worker.graphile.org/docs/performance, and a longer local queue. */
const FAST = {
  concurrentJobs: CONCURRENT_JOBS,
  maxPoolSize: CONCURRENT_JOBS + 1,
  localQueue: { size: 1000 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0
}

const EVERY_MINUTE = "* * * * * bench"

const specify = (runAt: Date | undefined) => (payload: Payload) => ({
  identifier: "bench",
  payload,
  ...(runAt === undefined ? {} : { runAt })
})

const taskList = (hit: (payload: Payload) => void): TaskList => ({
  bench: async (payload) => hit(payload as Payload),
  // Its crontab knows minutes only.
  recur: async (payload, { addJob, job }) => {
    hit(payload as Payload)
    await addJob("recur", payload, { runAt: new Date(nextSecond(job.run_at.getTime())) })
  }
})

export const graphileWorker: Contestant = {
  open: async ({ hit, isFast, url }) => {
    const preset = { worker: { connectionString: url, logger, ...(isFast ? FAST : {}) } }
    await runMigrations({ preset })
    const utils = await makeWorkerUtils({ preset })
    // Its crons are no jobs, but belong to whoever works.
    let crontab = ""
    return {
      add: (payload) => utils.addJob("bench", payload),
      addAll: (payloads, instant) => utils.addJobs(payloads.map(specify(instant))),
      recur: (count) =>
        utils.addJobs(Array.from({ length: count }, () => ({ identifier: "recur", payload: { at: 0 } }))),
      cron: async (count) => {
        crontab = Array.from({ length: count }, (_, i) => `${EVERY_MINUTE} ?id=cron-${i}`).join("\n")
      },
      work: () => run({ preset, taskList: taskList(hit), crontab, noHandleSignals: true })
    }
  }
}
