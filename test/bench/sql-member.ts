/** A process of the SQL benchmark as its parent has it: it is given orders, counts, and is ended. */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { compile } from "./Child.ts"
import { install, PEERS } from "./peers/install.ts"
import type { Order, Report } from "./sql-child.ts"

const BUILD = `${PEERS}/build`

/** The peers, and what all children run. */
export const prepare = (): void => {
  install()
  compile(["sql-child", "sql-probe"], BUILD)
}

/** A compiled program of the benchmark. */
export const programOf = (name: string): string => `${BUILD}/test/bench/${name}.js`

export interface MemberOptions {
  readonly contestant: string
  readonly isFast: boolean
  readonly url: string
  /** The Node that runs it. */
  readonly node: string
}

/** An order that has not been done by then is not waited for, in seconds. */
const PATIENCE = 120

type Done = Extract<Report, { readonly _tag: "Done" }>

interface Waiting {
  readonly resolve: (report: Done) => void
  readonly reject: (error: Error) => void
}

export class Member {
  /** How often its handlers have been called, as far as it has told. */
  hits = 0
  private readonly child: ChildProcess
  private readonly contestant: string
  private readonly waiting: Array<Waiting> = []

  private constructor({ contestant, isFast, node, url }: MemberOptions) {
    this.contestant = contestant
    this.child = fork(programOf("sql-child"), [contestant, url, isFast ? "fast" : "default"], {
      execPath: node,
      execArgv: [],
      env: { ...process.env, TZ: "UTC", NODE_ENV: "production" },
      stdio: ["ignore", "inherit", "inherit", "ipc"]
    })
    this.child.on("message", (report: Report) => this.hear(report))
    this.child.on("exit", (code) => this.refuse(`ended with ${code}`))
  }

  /** One that has connected. */
  static async start(options: MemberOptions): Promise<Member> {
    const member = new Member(options)
    await member.answer()
    return member
  }

  /** Gives an order and waits until it is done: so many milliseconds, by its own clock. */
  async order(order: Order): Promise<number> {
    this.child.send(order)
    return (await this.answer()).millis
  }

  async latencies(): Promise<ReadonlyArray<number>> {
    this.child.send({ _tag: "TellLatencies" } satisfies Order)
    return (await this.answer()).latencies
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const ended = once(this.child, "exit")
    this.child.kill("SIGTERM")
    await Promise.race([ended, sleep(2000)])
    this.child.kill("SIGKILL")
    await ended
  }

  private async answer(): Promise<Done> {
    const timer = setTimeout(() => this.refuse(`gave no answer for ${PATIENCE} s`), 1000 * PATIENCE)
    try {
      return await new Promise((resolve, reject) => this.waiting.push({ resolve, reject }))
    } finally {
      clearTimeout(timer)
    }
  }

  private refuse(reason: string): void {
    for (const { reject } of this.waiting.splice(0)) reject(new Error(`${this.contestant} ${reason}`))
  }

  private hear(report: Report): void {
    if (report._tag === "Hits") this.hits = report.hits
    else if (report._tag === "Failed") this.refuse(`failed: ${report.message}`)
    else this.waiting.shift()?.resolve(report)
  }
}
