/** The log that one process writes and another one follows. */
import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs"
import type { Entry, Sign } from "./History.ts"

/** Something that befell a process, as it noticed it itself, or as its scheduler told it. */
export interface Notice {
  readonly event: "stalled" | "told"
  readonly pid: number
  readonly node: string
  readonly from: number
  readonly at: number
  readonly text: string
}

export type Line = Entry | Sign | Notice

export class Log {
  readonly file: string
  private readonly known: Array<Line> = []
  private offset = 0
  private rest = ""

  constructor(file: string) {
    this.file = file
  }

  /** All whole lines that are there: a process that is killed may leave half a one. */
  get lines(): ReadonlyArray<Line> {
    const texts = (this.rest + this.more()).split("\n")
    this.rest = texts.pop() ?? ""
    for (const text of texts) this.known.push(JSON.parse(text) as Line)
    return this.known
  }

  private more(): string {
    if (!existsSync(this.file)) return ""
    const file = openSync(this.file, "r")
    try {
      const news = Buffer.alloc(fstatSync(file).size - this.offset)
      this.offset += readSync(file, news, 0, news.length, this.offset)
      return news.toString()
    } finally {
      closeSync(file)
    }
  }
}
