/** Those who work on one database of the SQL benchmark: one process that adds jobs, and some that carry them out. */
import { setTimeout as sleep } from "node:timers/promises"
import { progress } from "./Child.ts"
import { Member } from "./sql-member.ts"
import type { Database, DatabaseServer } from "./sql-server.ts"

/** A contestant in one of its setups. */
export interface Entry {
  readonly contestant: string
  /** What it says about itself in a table. */
  readonly label: string
  /** Whether it is set up as its documentation says for throughput, or as it is by default. */
  readonly isFast: boolean
  /** Counts jobs that are not yet recorded as done. */
  readonly left: string
  /** Counts what is kept of jobs that are done; nothing where they are deleted. */
  readonly kept: string | undefined
}

interface Tables {
  readonly setups: readonly [usual: string, fast: string]
  readonly left: string
  readonly kept: string | undefined
}

const TABLES: Readonly<Record<string, Tables>> = {
  ours: {
    setups: ["concurrency 10", "concurrency 500"],
    left: "SELECT COUNT(*) AS n FROM scheduler_jobs",
    kept: "SELECT COUNT(*) AS n FROM scheduler_runs WHERE state = 'Succeeded'"
  },
  "graphile-worker": {
    setups: ["one at a time", "24, batched"],
    left: "SELECT COUNT(*) FROM graphile_worker._private_jobs",
    kept: undefined
  },
  "pg-boss": {
    setups: ["1 per 2 s", "4 x 500, notified"],
    left: "SELECT COUNT(*) FROM pgboss.job WHERE name = 'bench' AND state < 'completed'",
    kept: "SELECT COUNT(*) FROM pgboss.job WHERE name = 'bench' AND state = 'completed'"
  }
}

const entriesOf = (isFast: boolean): ReadonlyArray<Entry> =>
  Object.entries(TABLES).map(([contestant, { setups, ...queries }]) => ({
    contestant,
    isFast,
    label: `${contestant}, ${setups[isFast ? 1 : 0]}`,
    ...queries
  }))

/** Ours first. */
export const usual: ReadonlyArray<Entry> = entriesOf(false)
export const fast: ReadonlyArray<Entry> = entriesOf(true)

export interface Crew {
  readonly database: Database
  readonly producer: Member
  readonly workers: ReadonlyArray<Member>
}

/** Where and with how many processes something is measured. */
export interface Place {
  readonly server: DatabaseServer
  /** The Node that runs the processes. */
  readonly node: string
  readonly processes: number
}

/** What one crew does on a database of its own; nothing if one of them fails. */
export const withCrew = async <A>(
  { node, processes, server }: Place,
  { contestant, isFast, label }: Entry,
  work: (crew: Crew) => Promise<A>
): Promise<A | undefined> => {
  const database = await server.create()
  const members: Array<Member> = []
  const join = async () => {
    const member = await Member.start({ contestant, isFast, url: database.url, node })
    members.push(member)
    return member
  }
  try {
    // The first one makes the tables.
    const producer = await join()
    return await work({ database, producer, workers: await Promise.all(Array.from({ length: processes }, join)) })
  } catch (error) {
    progress(`  ${label}: ${error}`)
    return undefined
  } finally {
    await Promise.all(members.map((member) => member.end()))
    await database.drop()
  }
}

export const startWork = ({ workers }: Crew): Promise<unknown> =>
  Promise.all(workers.map((member) => member.order({ _tag: "Work" })))

export const hitsOf = ({ workers }: Crew): number => workers.reduce((sum, { hits }) => sum + hits, 0)

/** So many in so many milliseconds. */
export interface Rate {
  readonly count: number
  readonly millis: number
}

export const perSecond = ({ count, millis }: Rate): number => (1000 * count) / millis

/** What to wait for, and how long at most, in milliseconds since a start by `performance.now`. */
export interface Wait {
  readonly count: number
  readonly start: number
  readonly most: number
}

/** How long what was carried out may take to be recorded, in milliseconds. */
const PATIENCE = 20_000

/** Until so many have been carried out and are recorded as done; or as many as were carried out in time. */
export const until = async (crew: Crew, { left }: Entry, { count, most, start }: Wait): Promise<Rate> => {
  const spent = () => performance.now() - start
  while (hitsOf(crew) < count) {
    if (spent() > most) return { count: hitsOf(crew), millis: spent() }
    await sleep(2)
  }
  while ((await crew.database.ask(left)) > 0) {
    if (spent() > most + PATIENCE) throw new Error("is not recorded as done")
    await sleep(2)
  }
  return { count, millis: spent() }
}
