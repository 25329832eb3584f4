/** graphile-worker in the SQL benchmark. */
import { Logger, makeWorkerUtils, run, runMigrations } from "graphile-worker"
import type { Contestant, Payload } from "../sql-contestants.ts"

/** By default it prints a line a job. */
const logger = new Logger(() => () => {})

const CONCURRENT_JOBS = 24

/** The settings of its own performance test and of https://worker.graphile.org/docs/performance. */
const FAST = {
  concurrentJobs: CONCURRENT_JOBS,
  maxPoolSize: CONCURRENT_JOBS + 1,
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0
}

const TASK = "bench"

const specify = (payload: Payload) => ({ identifier: TASK, payload })

export const graphileWorker: Contestant = {
  open: async ({ hit, isFast, url }) => {
    const worker = { connectionString: url, logger, ...(isFast ? FAST : {}) }
    const preset = { worker }
    await runMigrations({ preset })
    const utils = await makeWorkerUtils({ preset })
    const taskList = { [TASK]: async (payload: unknown) => hit(payload as Payload) }
    return {
      add: (payload) => utils.addJob(TASK, payload),
      addAll: (payloads) => utils.addJobs(payloads.map(specify)),
      work: () => run({ preset, taskList, noHandleSignals: true })
    }
  }
}
