/** What is done to a cluster while it works: each fault is a row of the table. */
import { BUSY, type Cluster, type Setup, sleep, until } from "./Cluster.ts"
import { type Address, holdSnapshot, type Kind, type Server, type StoreTiming } from "./Database.ts"
import { BOTH, type Proxy } from "./Proxy.ts"

export interface Disturbance {
  readonly cluster: Cluster
  /** The server, where there is one. */
  readonly server: Server | undefined
  readonly address: Address
  /** When the last thing may be done, in epoch milliseconds. */
  readonly until: number
}

export interface FaultPlan {
  readonly name: string
  readonly nodes: ReadonlyArray<Setup>
  /** Whether some jobs need a node of the new version. */
  readonly hasNew?: boolean
  /** How many jobs there are that end their nodes. */
  readonly deadly?: number
  /** How far the clocks of two nodes may be apart, in milliseconds. Default: not at all. */
  readonly skew?: number
  /** How long after the last sign of life of its node a run must have been taken over, in milliseconds. */
  readonly takeOver?: number
  /** Whether each node, and the client that adds jobs, has a proxy before the database. */
  readonly isProxied?: boolean
  /** Whether the server must be ours to restart. */
  readonly needsRestart?: boolean
  readonly timing?: StoreTiming
  readonly databases: ReadonlyArray<Kind>
  /** Disturbs until its time is over, and leaves all nodes there and running. */
  readonly disturb: (disturbance: Disturbance) => Promise<void>
}

const nodes = (count: number, setup: Setup = { isNew: true }): ReadonlyArray<Setup> =>
  Array.from({ length: count }, () => setup)

const ALL = ["sqlite", "postgres", "mariadb"] as const
const SERVERS = ["postgres", "mariadb"] as const

/** Does something to one node after the other until the time is over. */
const inTurn =
  (disturb: (cluster: Cluster, name: string) => Promise<void>): FaultPlan["disturb"] =>
  async ({ cluster, until }) => {
    await cluster.ready(30_000)
    for (let turn = 0; Date.now() < until; turn++) await disturb(cluster, `n${(turn % cluster.names.length) + 1}`)
  }

const wait: FaultPlan["disturb"] = ({ until }) => sleep(until - Date.now())

// ---------------------------------------------------------------------------------------------------------------------
// processes
// ---------------------------------------------------------------------------------------------------------------------

const kill = inTurn(async (cluster, name) => {
  await sleep(1000)
  await cluster.untilBusy(name, 3000)
  await cluster.kill(name)
  await sleep(500)
  cluster.start(name, { isNew: true })
  await cluster.ready(20_000)
})

const freeze = inTurn(async (cluster, name) => {
  await sleep(1000)
  await cluster.untilBusy(name, 3000)
  await cluster.freeze(name, cluster.timing.lease * 1.7)
})

/** A node is killed, and one stands still for as long as it takes to lose what it holds. */
export const shortly: FaultPlan = {
  name: "shortly",
  nodes: nodes(3),
  databases: ["sqlite"],
  disturb: async ({ cluster }) => {
    const { lease } = cluster.timing
    await cluster.ready(60_000)
    const { name } = await cluster.longRun(lease / 2)
    await cluster.kill(name)
    cluster.start(name, { isNew: true })
    const target = await cluster.longRun(lease)
    // One that stands still in the middle of a transaction keeps the others from taking anything over.
    await cluster.freezeWhile(target.name, () => cluster.takenOver(target, 3 * lease))
  }
}

/** Nodes end in order, but not all that they do is done by then. */
const stop = inTurn(async (cluster, name) => {
  await cluster.untilBusy(name, 3000)
  await cluster.leave(name)
  cluster.start(name, { isNew: true, drain: "1 second" })
  await cluster.ready(20_000)
})

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

// ---------------------------------------------------------------------------------------------------------------------
// connections
// ---------------------------------------------------------------------------------------------------------------------

/** Disturbs the connections of one node after the other, for longer than its lease, while it has runs under way. */
const cutInTurn = (disturb: (proxy: Proxy, cluster: Cluster, name: string) => Promise<void>) =>
  inTurn(async (cluster, name) => {
    await sleep(1000)
    await cluster.untilBusy(name, 3000)
    await cluster.cut(name, (proxy) => disturb(proxy, cluster, name))
  })

/** For how many leases what is said is swallowed. */
const SWALLOWED = 1.7

/** Of so many COMMITs of a node one is not answered. */
const ANSWERED = 10

/** Every tenth commit has no answer, and one node is cut off for as long as it takes to lose what it holds. */
export const cutShortly: FaultPlan = {
  name: "cut shortly",
  nodes: nodes(2),
  isProxied: true,
  databases: ["postgres"],
  disturb: async ({ cluster }) => {
    await cluster.ready(60_000)
    for (const proxy of cluster.allProxies) proxy.cutCommits(ANSWERED)
    const target = await cluster.longRun(cluster.timing.lease)
    await cluster.cut(target.name, (proxy) => swallow(proxy, cluster))
    await cluster.takenOver(target, cluster.timing.lease)
    for (const proxy of cluster.allProxies) proxy.cutCommits(Infinity)
  }
}

/** Nothing comes through in either direction, then both sides learn that the connection is gone. */
const swallow = async (proxy: Proxy, { timing }: Cluster): Promise<void> => {
  proxy.hold(BOTH)
  await sleep(timing.lease * SWALLOWED)
  proxy.reset()
}

const halfOpen = cutInTurn(swallow)

/** What the node asks for reaches the database much later. */
const unheard = cutInTurn(async (proxy, { timing }) => {
  proxy.hold(["toServer"])
  await sleep(timing.lease * SWALLOWED)
  proxy.release()
})

/** What the node asks for takes place, and it hears of it much later. */
const unanswered = cutInTurn(async (proxy, { timing }) => {
  proxy.hold(["toClient"])
  await sleep(timing.lease * SWALLOWED)
  proxy.release()
})

/** Connections that are there lead nowhere for ever, as when a firewall has forgotten them; the node has to find out. */
const forgotten = cutInTurn(async (proxy, cluster, name) => {
  const from = Date.now()
  proxy.forget()
  await until(() => cluster.lastSignOf(name) > from, 60_000)
})

/** Again and again a node, or the client, loses its connection after the database has heard its COMMIT, and before the answer is there. */
const unansweredCommits: FaultPlan["disturb"] = async ({ cluster, until }) => {
  for (const proxy of cluster.allProxies) proxy.cutCommits(ANSWERED)
  await sleep(until - Date.now())
  for (const proxy of cluster.allProxies) proxy.cutCommits(Infinity)
}

// ---------------------------------------------------------------------------------------------------------------------
// the database
// ---------------------------------------------------------------------------------------------------------------------

/** The database goes away for so long, again and again; whatever was under way in it fails. */
const restartDatabase =
  (away: (timing: StoreTiming) => number): FaultPlan["disturb"] =>
  async ({ cluster, server, until }) => {
    while (Date.now() < until) {
      await sleep(cluster.timing.lease)
      const from = Date.now()
      await server?.restart?.(away(cluster.timing))
      cluster.faults.push({ kind: "cut", pid: "all", from, to: Date.now() })
    }
  }

const openTransaction: FaultPlan["disturb"] = ({ address, until }) => holdSnapshot(address, until - Date.now())

// Only where nodes are on machines of their own: on one machine they have one clock.
const HOUR = 3_600_000

/** The clock of the last node goes wrong by two seconds more, backwards, every three seconds. */
const stepBack: FaultPlan["disturb"] = async ({ cluster, until }) => {
  const name = cluster.names.at(-1)!
  for (let clock = cluster.clockOf(name); Date.now() < until; await sleep(3000)) cluster.setClock(name, (clock -= 2000))
}

/** Nodes whose clock is right when they start jump by an hour and back, one after the other, ahead and behind. */
const jump: FaultPlan["disturb"] = async ({ cluster, until }) => {
  for (let turn = 0; Date.now() < until; turn++) {
    const name = `n${(turn % cluster.names.length) + 1}`
    await sleep(1000)
    await cluster.untilBusy(name, 3000)
    await cluster.misset(name, turn % 2 === 0 ? HOUR : -HOUR, cluster.timing.lease * SWALLOWED)
  }
}

/** As far as a clock swings to both sides, within what is allowed, in milliseconds. */
const SWING = 2500

/** The clock of the last node jumps back and forth, while another node is killed now and then. */
const swing: FaultPlan["disturb"] = async (disturbance) => {
  const { cluster, until } = disturbance
  const name = cluster.names.at(-1)!
  const swing = async () => {
    for (let side = 1; Date.now() < until; side = -side, await sleep(1700)) cluster.setClock(name, side * SWING)
    cluster.setClock(name, 0)
  }
  await Promise.all([swing(), killBusy(["n1", "n2"])(disturbance)])
}

/** Kills one of these nodes that is busy, a lease later another one, and so on. */
const killBusy =
  (names: ReadonlyArray<string>): FaultPlan["disturb"] =>
  async ({ cluster, until }) => {
    for (; Date.now() < until; await sleep(cluster.timing.lease)) {
      const name = (await cluster.findLongRun(BUSY, names, 10_000))?.name ?? names[0]!
      await cluster.kill(name)
      cluster.start(name, { isNew: true })
    }
  }

/** The lease and its times as they are by default. */
const DEFAULTS: StoreTiming = { lease: 15_000, renewal: 5000, poll: 5000 }

/** As far off as a clock may be with the lease of these rows. */
const OFF = 150

export const plans: ReadonlyArray<FaultPlan> = [
  { name: "none", nodes: nodes(3), databases: ALL, disturb: wait },
  { name: "kill", nodes: nodes(4), databases: ALL, disturb: kill },
  {
    name: "kill-default-lease",
    nodes: nodes(3),
    timing: DEFAULTS,
    takeOver: DEFAULTS.lease + DEFAULTS.poll,
    databases: ALL,
    disturb: killBusy(["n1", "n2", "n3"])
  },
  { name: "suicide", nodes: nodes(5), deadly: 3, databases: ALL, disturb: wait },
  { name: "freeze", nodes: nodes(3), databases: ALL, disturb: freeze },
  { name: "restart", nodes: nodes(3), databases: ALL, disturb: roll },
  { name: "stop", nodes: nodes(3, { isNew: true, drain: "1 second" }), databases: ALL, disturb: stop },
  {
    name: "deploy",
    nodes: [...nodes(2, { isNew: false }), ...nodes(1)],
    hasNew: true,
    databases: ALL,
    disturb: deploy
  },
  { name: "half-open", nodes: nodes(3), isProxied: true, databases: SERVERS, disturb: halfOpen },
  { name: "unheard", nodes: nodes(3), isProxied: true, databases: SERVERS, disturb: unheard },
  { name: "unanswered", nodes: nodes(3), isProxied: true, databases: SERVERS, disturb: unanswered },
  { name: "forgotten", nodes: nodes(3), isProxied: true, databases: SERVERS, disturb: forgotten },
  { name: "commit-unanswered", nodes: nodes(3), isProxied: true, databases: SERVERS, disturb: unansweredCommits },
  {
    name: "clock-behind",
    nodes: [...nodes(2), { isNew: true, clock: -HOUR }],
    databases: SERVERS,
    disturb: stepBack
  },
  {
    name: "clock-ahead",
    nodes: [...nodes(2), { isNew: true, clock: HOUR }],
    databases: SERVERS,
    disturb: stepBack
  },
  { name: "clock-jump", nodes: nodes(3), databases: SERVERS, disturb: jump },
  {
    name: "clock-swing",
    nodes: nodes(3),
    timing: { ...DEFAULTS, maxClockSkew: SWING + 500 },
    skew: SWING,
    databases: SERVERS,
    disturb: swing
  },
  {
    name: "half-open-skewed",
    nodes: [
      { isNew: true, clock: -OFF },
      { isNew: true, clock: OFF },
      { isNew: true, clock: OFF }
    ],
    skew: 2 * OFF,
    isProxied: true,
    databases: SERVERS,
    disturb: halfOpen
  },
  {
    name: "database-restart",
    nodes: nodes(3),
    needsRestart: true,
    databases: SERVERS,
    disturb: restartDatabase(() => 1000)
  },
  {
    name: "database-away",
    nodes: nodes(3),
    needsRestart: true,
    databases: SERVERS,
    disturb: restartDatabase(({ lease }) => lease * SWALLOWED)
  },
  { name: "long-transaction", nodes: nodes(3), databases: SERVERS, disturb: openTransaction }
]
