/** Node processes that are started, stopped, killed and buried, and the logs that they leave. */
import { type ChildProcess, spawn } from "node:child_process"
import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { execPath } from "node:process"
import { fileURLToPath } from "node:url"
import { type Address, portOf, type StoreTiming, through } from "./Database.ts"
import type { Entry, Fault, Sign } from "./History.ts"
import { type Line, Log, type Notice } from "./Log.ts"
import type { NodeOptions, Order } from "./Node.ts"
import { Proxy } from "./Proxy.ts"

const PROGRAM = fileURLToPath(new URL("Node.ts", import.meta.url))

export const sleep = (millis: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, millis)))

/** Waits for a condition, for so long at most; says whether it came. */
export const until = async (isDone: () => boolean | Promise<boolean>, millis: number): Promise<boolean> => {
  for (const end = Date.now() + millis; Date.now() < end; await sleep(100)) if (await isDone()) return true
  return isDone()
}

export type Setup = Pick<NodeOptions, "isNew" | "clock" | "drain">

interface Live {
  readonly setup: Setup
  readonly child: ChildProcess
  readonly pid: number
  readonly log: Log
  readonly exit: Promise<void>
}

/** An attempt of a run on a node. */
export interface Target {
  readonly name: string
  readonly runId: string
  readonly attempt: number
}

/** Who has a run with so long to go is busy, in milliseconds. */
export const BUSY = 500

/** How long is waited for what has to come, also on a busy machine, in milliseconds. */
const LONGEST_WAIT = 30_000

export interface ClusterOptions {
  readonly folder: string
  readonly address: Address
  readonly timing: StoreTiming
  readonly concurrency: number
}

export class Cluster {
  readonly faults: Array<Fault> = []
  readonly timing: StoreTiming
  private readonly nodes = new Map<string, Live>()
  private readonly isEnding = new Set<string>()
  private readonly proxies = new Map<string, Proxy>()
  private readonly logs: Array<Log> = []
  private readonly options: ClusterOptions

  constructor(options: ClusterOptions) {
    this.options = options
    this.timing = options.timing
  }

  get names(): ReadonlyArray<string> {
    return [...this.nodes.keys()]
  }

  start(name: string, setup: Setup): void {
    const { concurrency, folder, timing } = this.options
    const log = new Log(join(folder, `${name}-${this.logs.length}.log`))
    const address = this.addressOf(name)
    const options: NodeOptions = { name, address, timing, log: log.file, concurrency, ...setup }
    const child = spawn(execPath, ["--import", "tsx", PROGRAM, JSON.stringify(options)], {
      env: { ...process.env, TZ: "UTC" },
      stdio: ["ignore", "pipe", "pipe", "ipc"]
    })
    const output = (data: Buffer) => appendFileSync(`${log.file}.out`, data)
    child.stdout!.on("data", output)
    child.stderr!.on("data", output)
    const exit = new Promise<void>((resolve) => child.once("exit", () => resolve()))
    this.logs.push(log)
    this.nodes.set(name, { setup, child, pid: child.pid!, log, exit })
    void exit.then(() => this.replace(name, child))
  }

  /** What ended of itself is started again, as by a supervisor. */
  private replace(name: string, child: ChildProcess): void {
    const node = this.nodes.get(name)
    if (node?.child !== child || this.isEnding.has(name)) return
    const at = Date.now()
    this.faults.push({ kind: "killed", pid: node.pid, from: at, to: at })
    this.start(name, node.setup)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // the way to the database
  // -------------------------------------------------------------------------------------------------------------------

  /** From its next start on, a node, or the client, goes to the database through a proxy of its own. */
  async putProxyBefore(name: string): Promise<void> {
    const proxy = await Proxy.start(portOf(this.options.address))
    proxy.onCut = (at) => {
      const pid = this.nodes.get(name)?.pid
      if (pid !== undefined) this.faults.push({ kind: "cut", pid, from: at, to: at })
    }
    this.proxies.set(name, proxy)
  }

  addressOf(name: string): Address {
    const proxy = this.proxies.get(name)
    return proxy === undefined ? this.options.address : through(this.options.address, proxy.port)
  }

  proxyOf(name: string): Proxy {
    return this.proxies.get(name)!
  }

  get allProxies(): ReadonlyArray<Proxy> {
    return [...this.proxies.values()]
  }

  /** What is done to the way of a node to the database until it is mended. */
  async cut(name: string, disturb: (proxy: Proxy) => Promise<void>): Promise<void> {
    const { pid } = this.nodes.get(name)!
    const from = Date.now()
    await disturb(this.proxyOf(name))
    this.faults.push({ kind: "cut", pid, from, to: Date.now() })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // what the nodes do
  // -------------------------------------------------------------------------------------------------------------------

  /** Waits until each node has its place in the store, or was refused one. */
  async ready(millis: number): Promise<boolean> {
    return until(() => this.names.every((name) => this.hasStarted(name)), millis)
  }

  hasStarted(name: string): boolean {
    return this.nodes.get(name)!.log.lines.some((line) => /SchedulerStarted|StoreUnavailable/.test(textOf(line)))
  }

  /** When a node last gave a sign of life to the store. */
  lastSignOf(name: string): number {
    const signs = this.nodes.get(name)!.log.lines.filter((line) => line.event === "sign")
    return signs.at(-1)?.at ?? 0
  }

  /** Waits for a run that has so long still to go: whatever befalls its node meanwhile hits it, without any luck. */
  async longRun(left: number): Promise<Target> {
    const found = await this.findLongRun(left, this.names, LONGEST_WAIT)
    if (found === undefined) throw new Error(`No node had a run with ${left} ms to go for ${LONGEST_WAIT} ms`)
    return found
  }

  async findLongRun(left: number, names: ReadonlyArray<string>, millis: number): Promise<Target | undefined> {
    const find = () => names.flatMap((name) => this.longRunOf(name, left) ?? []).at(0)
    let found: Target | undefined
    await until(() => (found = find()) !== undefined, millis)
    return found
  }

  private longRunOf(name: string, left: number): Target | undefined {
    const now = Date.now()
    const long = this.underWay(name).find(({ at, work = 0 }) => at + work - now >= left)
    return long === undefined ? undefined : { name, runId: long.runId, attempt: long.attempt }
  }

  /** Waits until a later attempt of a run has begun. */
  takenOver({ attempt, runId }: Target, millis: number): Promise<boolean> {
    const isLater = (entry: Entry) => entry.runId === runId && entry.attempt > attempt
    return until(() => this.entries().some(isLater), millis)
  }

  /** Waits until a node has a run under way that does not end at once. */
  async untilBusy(name: string, millis: number): Promise<void> {
    await this.findLongRun(BUSY, [name], millis)
  }

  private underWay(name: string): ReadonlyArray<Entry> {
    const own = this.nodes.get(name)!.log.lines.filter(isEntry)
    const nameOf = ({ attempt, runId }: Entry) => `${attempt} ${runId}`
    const ended = new Set(own.filter(({ event }) => event !== "start").map(nameOf))
    return own.filter((entry) => entry.event === "start" && !ended.has(nameOf(entry)))
  }

  // -------------------------------------------------------------------------------------------------------------------
  // the ends of nodes
  // -------------------------------------------------------------------------------------------------------------------

  async kill(name: string): Promise<void> {
    const from = Date.now()
    await this.end(name, "SIGKILL", { kind: "killed", from })
  }

  /** Ends a node as a deployment does: it drains. */
  async leave(name: string): Promise<void> {
    await this.end(name, "SIGTERM", { kind: "left", from: Date.now() })
  }

  private async end(name: string, signal: NodeJS.Signals, fault: Pick<Fault, "kind" | "from">): Promise<void> {
    const { child, exit, pid } = this.nodes.get(name)!
    this.isEnding.add(name)
    child.kill(signal)
    await exit
    this.nodes.delete(name)
    this.isEnding.delete(name)
    this.faults.push({ ...fault, pid, to: Date.now() })
  }

  /** How far off the wall clock of a node was when it started. */
  clockOf(name: string): number {
    return this.nodes.get(name)!.setup.clock ?? 0
  }

  /** Sets the wall clock of a node, to be so far off. */
  setClock(name: string, clock: number): void {
    const order: Order = { clock }
    this.nodes.get(name)!.child.send(order)
  }

  /** Sets the wall clock of a node wrong for so long, and right again. */
  async misset(name: string, clock: number, millis: number): Promise<void> {
    const { pid } = this.nodes.get(name)!
    const from = Date.now()
    this.setClock(name, clock)
    await sleep(millis)
    this.setClock(name, 0)
    this.faults.push({ kind: "clock", pid, from, to: Date.now() })
  }

  /** A process stands still for so long, and does not know it. */
  freeze(name: string, millis: number): Promise<void> {
    return this.freezeWhile(name, () => sleep(millis))
  }

  /** The same, for as long as something takes. */
  async freezeWhile(name: string, act: () => Promise<unknown>): Promise<void> {
    const { child, pid } = this.nodes.get(name)!
    const from = Date.now()
    child.kill("SIGSTOP")
    await act()
    child.kill("SIGCONT")
    this.faults.push({ kind: "stopped", pid, from, to: Date.now() })
  }

  /** Ends every node, those that do not leave in time by force; says whether there were none. */
  async close(millis: number): Promise<boolean> {
    let areInTime = true
    const late = setTimeout(() => {
      areInTime = false
      this.destroy()
    }, millis)
    await Promise.all(this.names.map((name) => this.leave(name)))
    clearTimeout(late)
    return areInTime
  }

  /** Kills every node at once, also stopped ones. */
  destroy(): void {
    for (const [name, { child }] of this.nodes) {
      this.isEnding.add(name)
      child.kill("SIGKILL")
    }
    for (const proxy of this.proxies.values()) void proxy.close()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // what they leave
  // -------------------------------------------------------------------------------------------------------------------

  private lines(): ReadonlyArray<Line> {
    return this.logs.flatMap((log) => log.lines)
  }

  entries(): ReadonlyArray<Entry> {
    return this.lines().filter(isEntry)
  }

  signs(): ReadonlyArray<Sign> {
    return this.lines().filter((line) => line.event === "sign")
  }

  notices(): ReadonlyArray<Notice> {
    return this.lines().filter((line) => "text" in line)
  }

  /** What the nodes wrote to their terminals. */
  outputs(): string {
    const files = this.logs.map(({ file }) => `${file}.out`).filter((file) => existsSync(file))
    return files.map((file) => readFileSync(file, "utf8")).join("")
  }

  /** What befell the nodes and what they told, in the order of time. */
  story(): ReadonlyArray<string> {
    const told = this.notices().map(({ at, node, pid, text }) => ({
      at,
      text: `${node} (${pid}) ${text.slice(0, 160)}`
    }))
    const done = this.faults.map(({ from, kind, pid, to }) => ({ at: from, text: `${pid} ${kind} until ${to}` }))
    return [...told, ...done].sort((one, other) => one.at - other.at).map(({ at, text }) => `${at} ${text}`)
  }

  /** What befell the nodes, also what nobody did to them: on a busy machine a process may stand still of itself. */
  allFaults(): ReadonlyArray<Fault> {
    const stalls = this.notices().filter(({ event }) => event === "stalled")
    return [...this.faults, ...stalls.map(({ at, from, pid }): Fault => ({ kind: "stopped", pid, from, to: at }))]
  }
}

const isEntry = (line: Line): line is Entry => "runId" in line

const textOf = (line: Line): string => ("text" in line ? line.text : "")
