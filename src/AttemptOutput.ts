/**
 * What a child process writes: that of an attempt is kept, within a bound; all else is passed on to this process's own
 * output.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import type { ChildProcess } from "node:child_process"
import { stderr, stdout } from "node:process"
import { StringDecoder } from "node:string_decoder"
import type * as Run from "./Run.ts"

/** The last `limit` characters of a text that grows. */
class Tail {
  readonly #limit: number
  readonly #decoder = new StringDecoder("utf8")
  #text = ""
  isTruncated = false

  constructor(limit: number) {
    this.#limit = limit
  }

  write(chunk: Buffer): void {
    this.#text += this.#decoder.write(chunk)
    // Cut now and then only, so that many small chunks cost no more than a few large ones.
    if (this.#text.length > 2 * this.#limit) this.#cut()
  }

  read(): string {
    this.#cut()
    return this.#text
  }

  #cut(): void {
    const excess = this.#text.length - this.#limit
    if (excess <= 0) return
    this.isTruncated = true
    // Half of a character is none.
    this.#text = this.#text.slice(excess).replace(/^[\uDC00-\uDFFF]/, "")
  }
}

/** How much of the last errors belongs to the reason for which a process ended. */
const COMPLAINT = 2000

/** How much is held back until a process is ready. */
const BEGINNING = 65_536

interface Tails {
  readonly stdout: Tail
  readonly stderr: Tail
}

const tails = (limit: number): Tails => ({ stdout: new Tail(limit), stderr: new Tail(limit) })

/**
 * Listens to a child whose output is piped. What it writes before it is ready is held back: if it never is, that is part
 * of the reason.
 *
 * @since 0.1.0
 * @category models
 */
export class AttemptOutput {
  readonly #limit: number
  #complaint = new Tail(COMPLAINT)
  #held: Tails | undefined = tails(BEGINNING)

  /** Keeps at most so many characters of each stream; 0 passes all on. */
  constructor(child: ChildProcess, limit: number) {
    this.#limit = limit
    child.stdout?.on("data", (chunk: Buffer) => (this.#held?.stdout ?? stdout).write(chunk))
    child.stderr?.on("data", (chunk: Buffer) => {
      this.#complaint.write(chunk)
      ;(this.#held?.stderr ?? stderr).write(chunk)
    })
  }

  /** The last errors of the process. */
  get complaint(): string {
    return this.#complaint.read().trim()
  }

  /** Passes on what was held back, and what follows. */
  release(): void {
    const { stderr: errors, stdout: lines } = this.#take()
    stdout.write(lines)
    stderr.write(errors)
  }

  begin(): void {
    this.#complaint = new Tail(COMPLAINT)
    if (this.#limit > 0) this.#held = tails(this.#limit)
  }

  /** What was written since `begin`, if anything was. */
  end(): Option.Option<Run.Output> {
    const output = this.#take()
    return Option.liftPredicate(output, ({ stderr, stdout, truncated }) => stdout + stderr !== "" || truncated)
  }

  #take(): Run.Output {
    const { stderr, stdout } = this.#held ?? tails(0)
    this.#held = undefined
    const text = { stdout: stdout.read(), stderr: stderr.read() }
    return { ...text, truncated: stdout.isTruncated || stderr.isTruncated }
  }
}
