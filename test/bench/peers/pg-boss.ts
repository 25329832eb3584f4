/** pg-boss in the SQL benchmark. */
import { PgBoss } from "pg-boss"
import type { Contestant, Payload } from "../sql-contestants.ts"

const QUEUE = "bench"

/**
 * Its workers wait between two fetches unless the last one was full, and are woken where they are told to listen; a
 * handler is given a whole batch.
 */
const FAST = { batchSize: 500, burstWhenBatchFull: true, localConcurrency: 4, pollingIntervalSeconds: 0.5 }

export const pgBoss: Contestant = {
  open: async ({ hit, isFast, url }) => {
    const boss = new PgBoss({ connectionString: url, useListenNotify: isFast })
    boss.on("error", console.error)
    await boss.start()
    await boss.createQueue(QUEUE, { partition: isFast, notify: isFast })
    return {
      add: (payload) => boss.send(QUEUE, payload),
      addAll: (payloads) =>
        boss.insert(
          QUEUE,
          payloads.map((data) => ({ data }))
        ),
      work: () =>
        boss.work<Payload>(QUEUE, isFast ? FAST : {}, async (jobs) => {
          for (const { data } of jobs) hit(data)
        })
    }
  }
}
