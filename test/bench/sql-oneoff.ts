/** One-off jobs in the SQL benchmark: how fast they are added, carried out, and both at once. */
import { setTimeout as sleep } from "node:timers/promises"
import { progress } from "./Child.ts"
import { Member } from "./sql-member.ts"
import type { Database, DatabaseServer } from "./sql-server.ts"

/** A contestant in one of its two setups. */
export interface Entry {
  readonly contestant: string
  readonly isFast: boolean
  readonly label: string
  /** Counts what is not yet recorded as done. */
  readonly left: string
  /** Counts what is kept of what is done. */
  readonly kept: string
}

/** So many in so many milliseconds. */
export interface Rate {
  readonly count: number
  readonly millis: number
}

export const perSecond = ({ count, millis }: Rate): number => (1000 * count) / millis

/** Those that work on one database, and one that adds to it. */
export interface Crew {
  readonly database: Database
  readonly producer: Member
  readonly workers: ReadonlyArray<Member>
}

const hits = ({ workers }: Crew): number => workers.reduce((sum, member) => sum + member.hits, 0)

/** What one crew does on a database of its own. */
export const withCrew = async <A>(
  server: DatabaseServer,
  { contestant, isFast }: Entry,
  processes: number,
  f: (crew: Crew) => Promise<A>,
  flags: ReadonlyArray<string> = []
): Promise<A> => {
  const database = await server.create()
  const options = { contestant, isFast, url: database.url }
  const producer = await Member.start(options)
  const workers = await Promise.all(Array.from({ length: processes }, () => Member.start({ ...options, flags })))
  try {
    return await f({ database, producer, workers })
  } finally {
    await Promise.all([producer, ...workers].map((member) => member.end(flags.length === 0 ? "SIGKILL" : "SIGTERM")))
    await database.drop()
  }
}

/** Until so many have been carried out and recorded, or the time is over. */
const watch = async (crew: Crew, { left }: Entry, count: number, start: number, millis: number): Promise<Rate> => {
  const spent = () => performance.now() - start
  while (hits(crew) < count && spent() < millis) await sleep(5)
  if (hits(crew) < count) return { count: hits(crew), millis: spent() }
  while ((await crew.database.ask(left)) > 0) await sleep(2)
  return { count, millis: spent() }
}

const startWork = (crew: Crew) => Promise.all(crew.workers.map((member) => member.order({ _tag: "Work" })))

export interface Adding {
  readonly each: Rate
  readonly atOnce: Rate
  readonly inBulk: Rate
}

/** Nobody works. */
export const measureAdding = (server: DatabaseServer, entry: Entry, each: number, bulk: number): Promise<Adding> =>
  withCrew(server, entry, 0, async ({ producer }) => {
    const add = async (count: number, inFlight: number): Promise<Rate> => ({
      count,
      millis: await producer.order({ _tag: "AddEach", count, inFlight })
    })
    await add(100, 10)
    const [one, ten] = [await add(each, 1), await add(3 * each, 10)]
    return {
      each: one,
      atOnce: ten,
      inBulk: { count: bulk, millis: await producer.order({ _tag: "AddAll", count: bulk }) }
    }
  })

export interface Draining {
  readonly rate: Rate
  readonly kept: number
}

/** All are there before anybody works. */
export const measureDraining = (
  server: DatabaseServer,
  entry: Entry,
  processes: number,
  count: number,
  millis: number,
  flags: ReadonlyArray<string> = []
) =>
  withCrew(
    server,
    entry,
    processes,
    async (crew): Promise<Draining> => {
      await crew.producer.order({ _tag: "AddAll", count })
      const start = performance.now()
      startWork(crew).catch((error) => progress(String(error)))
      const rate = await watch(crew, entry, count, start, millis)
      return { rate, kept: await crew.database.ask(entry.kept) }
    },
    flags
  )

/** Some work, and another one adds, one by one or in bulk. */
export const measureThrough = (
  server: DatabaseServer,
  entry: Entry,
  processes: number,
  count: number,
  millis: number,
  isBulk: boolean
) =>
  withCrew(server, entry, processes, async (crew): Promise<Rate> => {
    await startWork(crew)
    await sleep(500)
    const start = performance.now()
    crew.producer.order(isBulk ? { _tag: "AddAll", count } : { _tag: "AddEach", count, inFlight: 10 }).catch(() => {})
    return watch(crew, entry, count, start, millis)
  })

const tables = {
  ours: {
    left: "SELECT COUNT(*) FROM scheduler_jobs",
    kept: "SELECT COUNT(*) FROM scheduler_runs WHERE state = 'Succeeded'"
  },
  "graphile-worker": {
    left: "SELECT COUNT(*) FROM graphile_worker._private_jobs",
    kept: "SELECT 0"
  },
  "pg-boss": {
    left: "SELECT COUNT(*) FROM pgboss.job WHERE name = 'bench' AND state < 'completed'",
    kept: "SELECT COUNT(*) FROM pgboss.job WHERE name = 'bench' AND state = 'completed'"
  }
}

export const entries: ReadonlyArray<Entry> = Object.entries(tables).flatMap(([contestant, queries]) =>
  [false, true].map((isFast) => ({ contestant, isFast, label: contestant + (isFast ? ", fast" : ""), ...queries }))
)
