/** What is done to a cluster while it works: each fault is a row of the table. */
import { type Cluster, type Setup, sleep } from "./Cluster.ts"
import { TIMING } from "./Database.ts"
import type { Postgres } from "./Postgres.ts"

export interface Disturbance {
  readonly cluster: Cluster
  /** The server, where there is one. */
  readonly server: Postgres | undefined
  /** When the last thing may be done, in epoch milliseconds. */
  readonly until: number
}

export interface FaultPlan {
  readonly name: string
  readonly nodes: ReadonlyArray<Setup>
  /** Whether some jobs need a node of the new version. */
  readonly hasNew?: boolean
  readonly databases: ReadonlyArray<"sqlite" | "postgres">
  /** Disturbs until its time is over, and leaves all nodes there and running. */
  readonly disturb: (disturbance: Disturbance) => Promise<void>
}

const nodes = (count: number, setup: Setup = { isNew: true }): ReadonlyArray<Setup> =>
  Array.from({ length: count }, () => setup)

const BOTH = ["sqlite", "postgres"] as const

/** Does something to one node after the other until the time is over. */
const inTurn =
  (disturb: (cluster: Cluster, name: string) => Promise<void>): FaultPlan["disturb"] =>
  async ({ cluster, until }) => {
    await cluster.ready(30_000)
    for (let turn = 0; Date.now() < until; turn++) await disturb(cluster, `n${(turn % cluster.names.length) + 1}`)
  }

const wait: FaultPlan["disturb"] = async ({ until }) => {
  await sleep(Math.max(0, until - Date.now()))
}

const kill = inTurn(async (cluster, name) => {
  await sleep(1500)
  await cluster.kill(name)
  await sleep(500)
  cluster.start(name, { isNew: true })
  await cluster.ready(20_000)
})

const freeze = inTurn(async (cluster, name) => {
  await sleep(1500)
  await cluster.freeze(name, TIMING.lease * 1.7)
})

/** One node is killed and another one stands still for as long as it takes to lose what it holds. */
export const shortly: FaultPlan = {
  name: "shortly",
  nodes: nodes(3),
  databases: ["sqlite"],
  disturb: async ({ cluster }) => {
    await cluster.ready(60_000)
    const killed = await cluster.busy(5000)
    await cluster.kill(killed)
    cluster.start(killed, { isNew: true })
    await cluster.freeze(await cluster.busy(3000, [killed]), TIMING.lease * 1.3)
  }
}

const roll = inTurn(async (cluster, name) => {
  await sleep(500)
  await cluster.leave(name)
  cluster.start(name, { isNew: true })
  await cluster.ready(20_000)
})

/** Only the last node is new at first; then the others are replaced, one after the other. */
const deploy: FaultPlan["disturb"] = async ({ cluster }) => {
  await cluster.ready(30_000)
  await sleep(4000)
  for (const name of cluster.names.slice(0, -1)) {
    await cluster.leave(name)
    cluster.start(name, { isNew: true })
    await cluster.ready(20_000)
    await sleep(1000)
  }
}

/** The database goes away for a moment, again and again; whatever was under way in it fails. */
const restartDatabase: FaultPlan["disturb"] = async ({ cluster, server, until }) => {
  while (Date.now() < until) {
    await sleep(2000)
    const from = Date.now()
    await server?.restart(1000)
    cluster.faults.push({ kind: "cut", pid: "all", from, to: Date.now() })
  }
}

const holdSnapshot: FaultPlan["disturb"] = async ({ server, until }) => {
  await server?.holdSnapshot(Math.max(0, until - Date.now()))
}

// Only where nodes are on machines of their own: on one machine they have one clock.
const HOUR = 3_600_000

export const plans: ReadonlyArray<FaultPlan> = [
  { name: "none", nodes: nodes(3), databases: BOTH, disturb: wait },
  { name: "kill", nodes: nodes(4), databases: BOTH, disturb: kill },
  { name: "freeze", nodes: nodes(3), databases: BOTH, disturb: freeze },
  { name: "restart", nodes: nodes(3), databases: BOTH, disturb: roll },
  {
    name: "deploy",
    nodes: [...nodes(2, { isNew: false }), ...nodes(1)],
    hasNew: true,
    databases: BOTH,
    disturb: deploy
  },
  {
    name: "clock-behind",
    nodes: [...nodes(2), { isNew: true, clock: { offset: -HOUR, step: 2000, every: 3000 } }],
    databases: ["postgres"],
    disturb: wait
  },
  {
    name: "clock-ahead",
    nodes: [...nodes(2), { isNew: true, clock: { offset: HOUR, step: 2000, every: 3000 } }],
    databases: ["postgres"],
    disturb: wait
  },
  { name: "database-restart", nodes: nodes(3), databases: ["postgres"], disturb: restartDatabase },
  { name: "long-transaction", nodes: nodes(3), databases: ["postgres"], disturb: holdSnapshot }
]
