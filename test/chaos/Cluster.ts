/** Node processes that are started, stopped, killed and buried, and the logs that they leave. */
import { type ChildProcess, spawn } from "node:child_process"
import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { execPath } from "node:process"
import { fileURLToPath } from "node:url"
import type { Address } from "./Database.ts"
import type { Entry, Fault } from "./HistoryChecker.ts"
import type { NodeOptions, Notice } from "./Node.ts"

const PROGRAM = fileURLToPath(new URL("Node.ts", import.meta.url))

export const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

/** Waits for a condition, for so long at most; says whether it came. */
export const until = async (isDone: () => boolean | Promise<boolean>, millis: number): Promise<boolean> => {
  for (const end = Date.now() + millis; Date.now() < end; await sleep(50)) if (await isDone()) return true
  return isDone()
}

export type Setup = Pick<NodeOptions, "isNew" | "clock">

interface Live {
  readonly child: ChildProcess
  readonly pid: number
  readonly exit: Promise<void>
}

export class Cluster {
  readonly faults: Array<Fault> = []
  private readonly nodes = new Map<string, Live>()
  private readonly logs: Array<string> = []
  private readonly folder: string
  private readonly address: Address
  private readonly concurrency: number

  constructor(folder: string, address: Address, concurrency = 20) {
    this.folder = folder
    this.address = address
    this.concurrency = concurrency
  }

  get names(): ReadonlyArray<string> {
    return [...this.nodes.keys()]
  }

  start(name: string, setup: Setup, address = this.address): void {
    const log = join(this.folder, `${name}-${this.logs.length}.log`)
    const options: NodeOptions = { name, address, log, concurrency: this.concurrency, ...setup }
    const child = spawn(execPath, ["--import", "tsx", PROGRAM, JSON.stringify(options)], {
      env: { ...process.env, TZ: "UTC" },
      stdio: ["ignore", "pipe", "pipe"]
    })
    const output = (data: Buffer) => appendFileSync(`${log}.out`, data)
    child.stdout.on("data", output)
    child.stderr.on("data", output)
    const exit = new Promise<void>((resolve) => child.once("exit", () => resolve()))
    this.logs.push(log)
    this.nodes.set(name, { child, pid: child.pid!, exit })
  }

  /** Waits until each node has its place in the store, or was refused one. */
  async ready(millis: number): Promise<boolean> {
    return until(() => this.names.every((name) => this.hasStarted(name)), millis)
  }

  hasStarted(name: string): boolean {
    const { pid } = this.nodes.get(name)!
    return this.notices().some((line) => line.pid === pid && /SchedulerStarted|StoreUnavailable/.test(line.text))
  }

  /** Waits until some node, but not one of these, has runs under way that have just begun; any one in the end. */
  async busy(millis: number, others: ReadonlyArray<string> = []): Promise<string> {
    const names = this.names.filter((name) => !others.includes(name))
    let found = names[0]!
    await until(() => {
      const name = names.find((name) => this.begun(name) >= 2)
      found = name ?? found
      return name !== undefined
    }, millis)
    return found
  }

  private begun(name: string): number {
    const { pid } = this.nodes.get(name)!
    const own = this.entries().filter((entry) => entry.pid === pid)
    const ended = new Set(own.filter(({ event }) => event !== "start").map(({ runId }) => runId))
    return own.filter(({ at, runId }) => !ended.has(runId) && Date.now() - at < 200).length
  }

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
    child.kill(signal)
    await exit
    this.nodes.delete(name)
    this.faults.push({ ...fault, pid, to: Date.now() })
  }

  /** A process stands still for so long, and does not know it. */
  async freeze(name: string, millis: number): Promise<void> {
    const { child, pid } = this.nodes.get(name)!
    const from = Date.now()
    child.kill("SIGSTOP")
    await sleep(millis)
    child.kill("SIGCONT")
    this.faults.push({ kind: "stopped", pid, from, to: Date.now() })
  }

  /** Ends every node, those that do not leave in time by force. */
  async close(millis: number): Promise<void> {
    const late = setTimeout(() => this.destroy(), millis)
    await Promise.all(this.names.map((name) => this.leave(name)))
    clearTimeout(late)
  }

  /** Kills every node at once, also stopped ones. */
  destroy(): void {
    for (const { child } of this.nodes.values()) child.kill("SIGKILL")
  }

  private lines(): ReadonlyArray<Entry | Notice> {
    const texts = this.logs.filter((log) => existsSync(log)).map((log) => readFileSync(log, "utf8"))
    // A process that was killed may have left half a line.
    const whole = texts.flatMap((text) => text.split("\n").slice(0, -1))
    return whole.map((line) => JSON.parse(line) as Entry | Notice)
  }

  entries(): ReadonlyArray<Entry> {
    return this.lines().filter((line) => "runId" in line)
  }

  notices(): ReadonlyArray<Notice> {
    return this.lines().filter((line) => "text" in line)
  }

  /** What the nodes wrote to their terminals. */
  outputs(): string {
    const files = this.logs.map((log) => `${log}.out`).filter((file) => existsSync(file))
    return files.map((file) => readFileSync(file, "utf8")).join("")
  }

  /** What befell the nodes, also what nobody did to them: on a busy machine a process may stand still of itself. */
  allFaults(): ReadonlyArray<Fault> {
    const stalls = this.notices().filter(({ event }) => event === "stalled")
    return [...this.faults, ...stalls.map(({ at, from, pid }): Fault => ({ kind: "stopped", pid, from, to: at }))]
  }
}
