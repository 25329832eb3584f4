/** What is tried on a runtime. */
import { mkdtempSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Place, Process } from "./Process.ts"

export interface Part {
  readonly name: string
  /** Throws if it is not as it should be. */
  readonly attempt: (place: Place) => Promise<void>
}

/** The servers, as far as there are any. */
export interface Servers {
  readonly postgres: string
  readonly mariadb: string | undefined
}

const BIN = "node_modules/effect-scheduler/dist/bin.js"

const use = async (process: Process, body: (process: Process) => Promise<void>): Promise<void> => {
  try {
    await body(process)
  } finally {
    process.kill()
  }
}

const fileOf = ({ runtime }: Place, program: string): string => `${program}.${runtime.readsTypeScript ? "ts" : "js"}`

/** A program that says itself what does not hold, and ends when nothing of it is left. */
const program = (name: string, file: string, ...words: ReadonlyArray<string>): Part => ({
  name,
  attempt: (place) => use(new Process(place, fileOf(place, file), ...words), (process) => process.ends(240))
})

const SIGNALS = { SIGINT: 0, SIGTERM: 0, SIGKILL: "SIGKILL" } as const

/** Three lives of a daemon on one file, each ended by a signal in the middle of its work. */
const daemon: Part = {
  name: "a daemon with threads and processes, on SIGINT, SIGTERM and SIGKILL",
  attempt: async (place) => {
    const database = join(mkdtempSync(join(place.folder, "part-")), "jobs.sqlite")
    for (const [signal, expected] of Object.entries(SIGNALS)) {
      await use(new Process(place, fileOf(place, "daemon"), database), async (process) => {
        await process.says("ready")
        await process.endsBy(signal as keyof typeof SIGNALS, expected)
      })
    }
  }
}

/** The command line: a crontab that is interrupted, and its history. */
const commandLine: Part = {
  name: "the command line",
  attempt: async (place) => {
    const folder = mkdtempSync(join(place.folder, "part-"))
    const [crontab, database] = [join(folder, "crontab"), join(folder, "jobs.sqlite")]
    writeFileSync(crontab, "@reboot echo hello\n@reboot sleep 2; echo late\n")
    await use(new Process(place, BIN, "run", crontab, "--db", database), async (process) => {
      await process.says("ok       echo hello")
      await process.endsBy("SIGINT", 0)
    })
    await use(new Process(place, BIN, "history", "--db", database), async (process) => {
      await process.says("late")
      await process.ends(10)
    })
  }
}

export const parts = ({ mariadb, postgres }: Servers): ReadonlyArray<Part> => [
  program("a year under a TestClock, and TestScheduler", "time"),
  program("the store in memory", "stores", "memory"),
  program("the store on SQLite", "stores", "sqlite", ":memory:"),
  program("the store on PostgreSQL", "stores", "postgres", postgres),
  ...(mariadb === undefined ? [] : [program("the store on MariaDB", "stores", "mariadb", mariadb)]),
  program("the executor with fibers", "executors", "fiber"),
  program("the executor with threads", "executors", "thread"),
  program("the executor with processes", "executors", "process"),
  program("limits of memory, and modules that cannot begin", "limits"),
  daemon,
  commandLine
]
