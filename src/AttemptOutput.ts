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

/**
 * Listens to a child whose output is piped.
 *
 * @since 0.1.0
 * @category models
 */
export class AttemptOutput {
  readonly #limit: number
  #complaint = new Tail(COMPLAINT)
  #attempt: { readonly stdout: Tail; readonly stderr: Tail } | undefined

  /** Keeps at most so many characters of each stream; 0 passes all on. */
  constructor(child: ChildProcess, limit: number) {
    this.#limit = limit
    child.stdout?.on("data", (chunk: Buffer) => (this.#attempt?.stdout ?? stdout).write(chunk))
    child.stderr?.on("data", (chunk: Buffer) => {
      this.#complaint.write(chunk)
      ;(this.#attempt?.stderr ?? stderr).write(chunk)
    })
  }

  /** The last errors of the process. */
  get complaint(): string {
    return this.#complaint.read().trim()
  }

  begin(): void {
    this.#complaint = new Tail(COMPLAINT)
    if (this.#limit > 0) this.#attempt = { stdout: new Tail(this.#limit), stderr: new Tail(this.#limit) }
  }

  /** What was written since `begin`, if anything was. */
  end(): Option.Option<Run.Output> {
    if (this.#attempt === undefined) return Option.none()
    const { stderr, stdout } = this.#attempt
    this.#attempt = undefined
    const output = { stdout: stdout.read(), stderr: stderr.read() }
    const truncated = stdout.isTruncated || stderr.isTruncated
    return output.stdout === "" && output.stderr === "" ? Option.none() : Option.some({ ...output, truncated })
  }
}
