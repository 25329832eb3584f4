/** pg-boss in the SQL benchmark. */
import { type Inserted, PgBoss } from "pg-boss"
import { type Contestant, nextSecond, type Payload } from "../sql-contestants.ts"

const BENCH = "bench"
const RECUR = "recur"

/**
 * Its workers wait between two fetches unless the last one was full, and are woken where they are told to listen; a
 * handler is given a whole batch.
 */
const FAST = {
  batchSize: 500,
  burstWhenBatchFull: true,
  localConcurrency: 4,
  // The least that it takes. It is not told of jobs that fall due later.
  notifyPollingIntervalSeconds: 0.5,
  pollingIntervalSeconds: 0.5
}

/** A second after it was due: its crons know minutes. */
const again = ({ data }: { readonly data: Payload }): Inserted => {
  const at = nextSecond(data.at)
  return { data: { at }, startAfter: new Date(at) }
}

/** How often it looks whether a cron is due, and hands on those that are: the least that it takes. */
const FAST_CRONS = { cronMonitorIntervalSeconds: 1, cronWorkerIntervalSeconds: 1 }

const makeQueues = async (boss: PgBoss, isFast: boolean) => {
  for (const queue of [BENCH, RECUR]) await boss.createQueue(queue, { partition: isFast, notify: isFast })
}

export const pgBoss: Contestant = {
  open: async ({ hit, isFast, url }) => {
    const boss = new PgBoss({ connectionString: url, useListenNotify: isFast, ...(isFast ? FAST_CRONS : {}) })
    boss.on("error", ({ message }) => console.error(`  pg-boss: ${message}`))
    await boss.start()
    await makeQueues(boss, isFast)
    const options = isFast ? FAST : {}
    const at = (startAfter: Date | undefined) => (startAfter === undefined ? {} : { startAfter })
    return {
      add: (payload) => boss.send(BENCH, payload),
      addAll: (payloads, instant) =>
        boss.insert(
          BENCH,
          payloads.map((data) => ({ data, ...at(instant) }))
        ),
      recur: (count) =>
        boss.insert(
          RECUR,
          Array.from({ length: count }, () => ({ data: { at: Date.now() } }))
        ),
      cron: async (count) => {
        for (let i = 0; i < count; i++) await boss.schedule(BENCH, "* * * * *", { at: 0 }, { key: `cron-${i}` })
      },
      work: async () => {
        await boss.work<Payload>(BENCH, options, async (jobs) => {
          for (const { data } of jobs) hit(data)
        })
        await boss.work<Payload>(RECUR, options, async (jobs) => {
          for (const { data } of jobs) hit(data)
          await boss.insert(RECUR, jobs.map(again))
        })
      }
    }
  }
}
