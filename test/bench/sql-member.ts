/** A process of the SQL benchmark as its parent has it: it is given orders, counts, and is killed in the end. */
import { type ChildProcess, fork } from "node:child_process"
import { compile } from "./Child.ts"
import { install, node, PEERS } from "./peers/install.ts"
import type { Order, Report } from "./sql-child.ts"

const BUILD = `${PEERS}/build`

/** The peers, and what all children run. */
export const prepare = (): void => {
  install()
  compile("sql-child", BUILD)
}

export interface MemberOptions {
  readonly contestant: string
  readonly isFast: boolean
  readonly url: string
  readonly flags?: ReadonlyArray<string>
}

export class Member {
  /** How often its handlers have been called, as far as it has told. */
  hits = 0
  private readonly child: ChildProcess
  private readonly waiting: Array<{
    readonly resolve: (millis: number) => void
    readonly reject: (error: Error) => void
  }> = []

  private constructor({ contestant, flags = [], isFast, url }: MemberOptions) {
    this.child = fork(`${BUILD}/test/bench/sql-child.js`, [contestant, url, isFast ? "fast" : "default"], {
      execPath: node(),
      execArgv: [...flags],
      env: { ...process.env, TZ: "UTC", NODE_ENV: "production" },
      stdio: ["ignore", "inherit", "inherit", "ipc"]
    })
    this.child.on("message", (report: Report) => this.hear(report))
    this.child.on("exit", (code) => {
      for (const { reject } of this.waiting.splice(0)) reject(new Error(`${contestant} ended with ${code}`))
    })
  }

  /** One that has connected. */
  static async start(options: MemberOptions): Promise<Member> {
    const member = new Member(options)
    await member.answer()
    return member
  }

  /** Gives an order, and waits until it is done: so many milliseconds, by its own clock. Orders are done in turn. */
  order(order: Order): Promise<number> {
    this.child.send(order)
    return this.answer()
  }

  async end(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (this.child.exitCode !== null) return
    const ended = new Promise((resolve) => this.child.once("exit", resolve))
    this.child.kill(signal)
    await ended
  }

  private answer(): Promise<number> {
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }))
  }

  private hear(report: Report): void {
    if (report._tag === "Hits") this.hits = report.hits
    else this.waiting.shift()?.resolve(report._tag === "Done" ? report.millis : 0)
  }
}
