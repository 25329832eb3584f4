/** A program on a runtime, as a process that is watched. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { setTimeout } from "node:timers/promises"
import type { Runtime } from "./Runtime.ts"

export interface Place {
  readonly runtime: Runtime
  /** The project that the program is in. */
  readonly folder: string
}

const hasEnded = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return false
  } catch {
    return true
  }
}

/** Waits until something is so, for at most so many seconds. */
const comesAbout = async (isSo: () => boolean, seconds: number): Promise<boolean> => {
  for (let i = 0; i < seconds * 50 && !isSo(); i++) await setTimeout(20)
  return isSo()
}

export class Process {
  readonly child: ChildProcess
  output = ""
  end: number | NodeJS.Signals | undefined

  constructor({ folder, runtime }: Place, ...words: ReadonlyArray<string>) {
    const [program, ...before] = runtime.command
    const env = { ...process.env, NO_COLOR: "1", NODE_OPTIONS: "" }
    this.child = spawn(program, [...before, ...words], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] })
    for (const stream of [this.child.stdout!, this.child.stderr!]) stream.on("data", (text) => (this.output += text))
    this.child.on("close", (code, signal) => {
      this.end = signal ?? code ?? 0
    })
  }

  /** Waits until it says something. Throws if it ends before. */
  async says(text: string): Promise<void> {
    await comesAbout(() => this.output.includes(text) || this.end !== undefined, 60)
    if (!this.output.includes(text)) this.fail(`it did not say "${text}"`)
  }

  /** Waits until it has ended by itself, in order, with all processes that it had. */
  async ends(seconds: number, expected: number | NodeJS.Signals = 0): Promise<void> {
    if (!(await comesAbout(() => this.end !== undefined, seconds))) this.fail(`it did not end within ${seconds} s`)
    if (this.end !== expected) this.fail(`it ended with ${this.end}`)
  }

  /** Sends a signal, and waits until it has ended, and all processes that it had. */
  async endsBy(signal: NodeJS.Signals, expected: number | NodeJS.Signals): Promise<void> {
    const children = this.children()
    this.child.kill(signal)
    await this.ends(20, expected)
    if (!(await comesAbout(() => children.every(hasEnded), 10))) this.fail(`processes are left: ${children}`)
  }

  children(): ReadonlyArray<number> {
    const { stdout } = spawnSync("pgrep", ["-P", String(this.child.pid)], { encoding: "utf8" })
    return stdout.split("\n").filter(Boolean).map(Number)
  }

  /** Whatever became of it, it is gone. */
  kill(): void {
    if (this.end === undefined) this.child.kill("SIGKILL")
  }

  private fail(why: string): never {
    throw new Error(`${why}:\n${this.output.trim().slice(-4000)}`)
  }
}
