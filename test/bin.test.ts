import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const bin = fileURLToPath(new URL("../src/bin.ts", import.meta.url))
const args = ["--import", "tsx", bin]

const cli = (...rest: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [...args, ...rest], {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1", TZ: "UTC" }
  })
  return { status, stderr, stdout }
}

/** What is wrong is said, and not where in the code that was found out. */
const assertRefused = (words: ReadonlyArray<string>, message: RegExp): void => {
  const { status, stderr, stdout } = cli(...words)
  assert.notStrictEqual(status, 0, words.join(" "))
  assert.match(stderr + stdout, message)
  assert.notInclude(stderr, "    at ", "a stack trace")
}

const inFolder = async <A>(use: (folder: string) => A | Promise<A>): Promise<A> => {
  const folder = mkdtempSync(join(tmpdir(), "effect-scheduler-"))
  try {
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const until = async (isDone: () => boolean, seconds = 60): Promise<void> => {
  for (let i = 0; i < seconds * 20 && !isDone(); i++) await new Promise((resolve) => setTimeout(resolve, 50))
  assert.isTrue(isDone(), `not done within ${seconds} s`)
}

class Daemon {
  readonly child: ChildProcess
  /** Its exit code. */
  readonly ended: Promise<number | null>
  output = ""
  constructor(...words: ReadonlyArray<string>) {
    this.child = spawn(process.execPath, [...args, "run", ...words], { env: { ...process.env, TZ: "UTC" } })
    this.child.stdout!.on("data", (data) => (this.output += data))
    this.child.stderr!.on("data", (data) => (this.output += data))
    this.ended = new Promise((resolve) => this.child.once("exit", resolve))
  }
  end(signal: NodeJS.Signals): Promise<number | null> {
    this.child.kill(signal)
    return this.ended
  }
}

interface Row {
  readonly job_id: string
  readonly scheduled_at: number
  readonly state: string
  readonly attempt: number
}

const query = <A>(database: string, sql: string): ReadonlyArray<A> => {
  const db = new Sqlite(database)
  try {
    return db.prepare(sql).all() as ReadonlyArray<A>
  } finally {
    db.close()
  }
}

const rows = (database: string) =>
  query<Row>(database, "SELECT job_id, scheduled_at, state, attempt FROM scheduler_runs ORDER BY job_id, scheduled_at")

const MINUTE = 60_000

describe("effect-scheduler run", () => {
  const JOBS = 12
  const MISSED = 30

  it("loses and doubles no run when it is killed again and again in the middle of a burst", { timeout: 120_000 }, () =>
    inFolder(async (folder) => {
      const [file, database, log] = [join(folder, "crontab"), join(folder, "jobs.sqlite"), join(folder, "log")]
      const line = (i: number) =>
        `* * * * * echo "job-${i} $SCHEDULER_SCHEDULED_AT $SCHEDULER_ATTEMPT" >> ${log} # ${i}\n`
      writeFileSync(file, Array.from({ length: JOBS }, (_, i) => line(i)).join(""))
      writeFileSync(log, "")

      const first = new Daemon(file, "--db", database)
      await until(() => first.output.includes("next"))
      await first.end("SIGKILL")
      const db = new Sqlite(database)
      const cursor = Math.floor(Date.now() / MINUTE) * MINUTE - (MISSED - 1) * MINUTE
      db.prepare("UPDATE scheduler_jobs SET next_run_at = ?, due_at = ?").run(cursor, cursor)
      db.close()

      const ended = () =>
        query<{ n: number }>(database, "SELECT COUNT(*) n FROM scheduler_runs WHERE state = 'Succeeded'")[0]!.n
      for (const enough of [40, 120, 200]) {
        const daemon = new Daemon(file, "--db", database, "--coalesce", "all", "--lease", "2 seconds")
        await until(() => ended() >= enough)
        await daemon.end("SIGKILL")
      }
      assert.isBelow(ended(), JOBS * MISSED, "the last kill came too late to be in the middle")
      const last = new Daemon(file, "--db", database, "--coalesce", "all", "--lease", "2 seconds")
      await until(() => ended() >= JOBS * MISSED)
      await last.end("SIGTERM")

      const occurrences = rows(database)
      const keys = new Set(occurrences.map(({ job_id, scheduled_at }) => `${job_id} ${scheduled_at}`))
      assert.strictEqual(keys.size, occurrences.length, "an occurrence stands twice in the history")
      const missed = occurrences.filter(({ scheduled_at }) => scheduled_at < cursor + MISSED * MINUTE)
      assert.strictEqual(missed.length, JOBS * MISSED, "an occurrence is not in the history")
      assert.deepStrictEqual(new Set(missed.map(({ state }) => state)), new Set(["Succeeded"]))
      assert.deepStrictEqual(query(database, "SELECT id FROM scheduler_runs WHERE state = 'Running'"), [])

      const done = readFileSync(log, "utf8")
        .trim()
        .split("\n")
        .map((text) => text.split(" "))
      const attempts = new Map<string, Array<number>>()
      for (const [job, time, attempt] of done) {
        attempts.set(`${job} ${time}`, [...(attempts.get(`${job} ${time}`) ?? []), Number(attempt)])
      }
      assert.isAtLeast(attempts.size, JOBS * MISSED, "a command did not run")
      for (const [key, tries] of attempts) {
        assert.strictEqual(new Set(tries).size, tries.length, `${key} ran twice as one attempt: ${tries}`)
      }
      const again = missed.filter(({ attempt }) => attempt > 1)
      assert.isAbove(again.length, 0, "no kill hit a command under way")
    })
  )

  it("runs the good lines of a file and says where the bad ones are", () =>
    inFolder(async (folder) => {
      const [file, database] = [join(folder, "crontab"), join(folder, "jobs.sqlite")]
      writeFileSync(file, "@reboot echo hello; exit 3\n61 * * * * echo never\n* * * * *\n")
      const daemon = new Daemon(file, "--db", database)
      await until(() => daemon.output.includes("FAILED"))
      await daemon.end("SIGTERM")
      assert.include(daemon.output, `${file}:2:1: 61 is out of range; expected 0-59`)
      assert.match(daemon.output, /crontab:3:\d+: /)
      assert.match(daemon.output, /FAILED {3}echo hello; exit 3 {2}\(failed in .*: .*exit code 3, hello\)/)
    }))

  it("keeps the phase of unchanged lines and removes the lines that are gone", () =>
    inFolder(async (folder) => {
      const [file, database] = [join(folder, "crontab"), join(folder, "jobs.sqlite")]
      const cursors = () =>
        query<{ id: string; next_run_at: number }>(database, "SELECT id, next_run_at FROM scheduler_jobs ORDER BY id")
      const runOnce = async (text: string) => {
        writeFileSync(file, text)
        const daemon = new Daemon(file, "--db", database)
        await until(() => daemon.output.includes("next"))
        await daemon.end("SIGTERM")
        return daemon.output
      }
      await runOnce("0 0 1 1 * echo stays\n0 0 1 1 * echo goes\n0 0 1 1 * echo moves\n")
      const before = cursors()
      const marked = before.find(({ id }) => id.startsWith("echo-stays"))!.next_run_at + 1000
      const db = new Sqlite(database)
      db.prepare("UPDATE scheduler_jobs SET next_run_at = ?, due_at = ? WHERE id LIKE 'echo-stays%'").run(
        marked,
        marked
      )
      db.close()
      const output = await runOnce("# a comment more\n0 0 2 1 * echo moves\n0 0 1 1 * echo stays\n")
      assert.include(output, "2 jobs, 0 new, 1 changed, 1 unchanged, 1 gone")
      const after = cursors()
      assert.strictEqual(after.length, 2)
      assert.strictEqual(after.find(({ id }) => id.startsWith("echo-stays"))!.next_run_at, marked)
      assert.notStrictEqual(after.find(({ id }) => id.startsWith("echo-moves"))!.next_run_at, before[1]!.next_run_at)
    }))

  it("refuses what it cannot work with in one line", () =>
    inFolder((folder) => {
      const file = join(folder, "crontab")
      writeFileSync(file, "not a crontab\n")
      const refusals = [
        [["run", join(folder, "nowhere")], /cannot be read/],
        [["run", file, "--db", join(folder, "jobs.sqlite")], /no line of it can be run/],
        [["run", file, "--grace", "soon"], /--grace "soon": expected a duration/],
        [["history", "--db", join(folder, "none.sqlite")], /none\.sqlite does not exist/],
        [["next", "99 * * * *"], /99 is out of range/],
        [["next", "* * * * *", "--tz", "Nowhere"], /no such time zone/],
        [["next", "* * * * *", "--from", "soon"], /it is not understood/]
      ] as const
      for (const [words, message] of refusals) assertRefused(words, message)
    }))
})

/** Whether a process is there. */
const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const states = (database: string) => rows(database).map(({ attempt, state }) => `${state} ${attempt}`)

describe("effect-scheduler run and signals", () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it(`waits for commands under way at a ${signal}, and leaves nothing undone`, () =>
      inFolder(async (folder) => {
        const [file, database, log] = [join(folder, "crontab"), join(folder, "jobs.sqlite"), join(folder, "log")]
        writeFileSync(file, `@reboot echo begun > ${log}; sleep 2; echo done >> ${log}\n`)
        const daemon = new Daemon(file, "--db", database)
        await until(() => existsSync(log))
        assert.strictEqual(await daemon.end(signal), 0)
        assert.include(daemon.output, "waits for 1 command, at most 10s; a second signal ends everything at once")
        assert.strictEqual(readFileSync(log, "utf8"), "begun\ndone\n")
        assert.deepStrictEqual(states(database), ["Succeeded 1"])
        assert.deepStrictEqual(query(database, "SELECT id FROM scheduler_nodes"), [])
      }))
  }

  it("ends at once at a second signal, with every process that it started, and leaves its runs to the next", () =>
    inFolder(async (folder) => {
      const [file, database] = [join(folder, "crontab"), join(folder, "jobs.sqlite")]
      const [pid, again] = [join(folder, "pid"), join(folder, "again")]
      // It heeds no polite request, and has a child of its own.
      const stubborn = `trap "" TERM; echo $$ > ${pid}; sleep 600 & echo $! >> ${pid}; while true; do sleep 1; done`
      writeFileSync(file, `@reboot test $SCHEDULER_ATTEMPT = 2 && echo done > ${again} || { ${stubborn}; }\n`)
      const daemon = new Daemon(file, "--db", database, "--lease", "2 seconds")
      const pids = () => (existsSync(pid) ? readFileSync(pid, "utf8").trim().split("\n").map(Number) : [])
      await until(() => pids().length === 2)
      daemon.child.kill("SIGINT")
      await until(() => daemon.output.includes("waits for 1 command"))
      const asked = performance.now()
      assert.strictEqual(await daemon.end("SIGTERM"), 128 + 15)
      assert.isBelow(performance.now() - asked, 5000)
      await until(() => !pids().some(isAlive), 5)
      assert.deepStrictEqual(states(database), ["Running 1"])
      const next = new Daemon(file, "--db", database, "--lease", "2 seconds")
      await until(() => existsSync(again))
      await next.end("SIGTERM")
      assert.deepStrictEqual(states(database), ["Succeeded 2"])
    }))

  /** Two of the same signal, with so many milliseconds between them. */
  const twice = (gap: number) =>
    inFolder(async (folder) => {
      const [file, database, log] = [join(folder, "crontab"), join(folder, "jobs.sqlite"), join(folder, "log")]
      writeFileSync(file, `@reboot echo begun > ${log}; sleep 3; echo done >> ${log}\n`)
      const daemon = new Daemon(file, "--db", database)
      await until(() => existsSync(log))
      daemon.child.kill("SIGINT")
      await new Promise((resolve) => setTimeout(resolve, gap))
      const code = await daemon.end("SIGINT")
      return { code, log: readFileSync(log, "utf8") }
    })

  it("takes the same signal twice in a moment for one", async () => {
    assert.deepStrictEqual(await twice(50), { code: 0, log: "begun\ndone\n" })
  })

  it("takes the same signal a while later for another one", async () => {
    assert.deepStrictEqual(await twice(1000), { code: 128 + 2, log: "begun\n" })
  })

  it("is told of Ctrl-C by npm once more, and waits for commands under way all the same", () =>
    inFolder(async (folder) => {
      const [file, database, log] = [join(folder, "crontab"), join(folder, "jobs.sqlite"), join(folder, "log")]
      writeFileSync(file, `@reboot echo begun > ${log}; sleep 2; echo done >> ${log}\n`)
      const start = `cd ${process.cwd()} && exec node ${args.join(" ")} run ${file} --db ${database}`
      writeFileSync(join(folder, "package.json"), JSON.stringify({ scripts: { start } }))
      // A terminal signals the whole group of processes.
      const npm = spawn("npm", ["start"], { cwd: folder, detached: true, stdio: "ignore" })
      const ended = new Promise((resolve) => npm.once("exit", resolve))
      await until(() => existsSync(log))
      process.kill(-npm.pid!, "SIGINT")
      await ended
      await until(() => states(database).includes("Succeeded 1"), 10)
      assert.strictEqual(readFileSync(log, "utf8"), "begun\ndone\n")
    }))

  it("interrupts what takes longer than its configuration waits, and gives it back", () =>
    inFolder(async (folder) => {
      const [file, database, pid] = [join(folder, "crontab"), join(folder, "jobs.sqlite"), join(folder, "pid")]
      const config = join(folder, "config.json")
      writeFileSync(config, JSON.stringify({ stores: sqlite(database), drain: "1 second" }))
      writeFileSync(file, `@reboot echo $$ > ${pid}; exec sleep 600\n`)
      const daemon = new Daemon(file, "--config", config)
      await until(() => existsSync(pid) && readFileSync(pid, "utf8") !== "")
      assert.strictEqual(await daemon.end("SIGTERM"), 0)
      assert.include(daemon.output, "at most 1s;")
      assert.isFalse(isAlive(Number(readFileSync(pid, "utf8"))))
      assert.deepStrictEqual(states(database), ["Pending 1"])
    }))
})

const sqlite = (filename: string) => ({ default: { type: "sqlite", filename } })

describe("effect-scheduler run --config", () => {
  const example = (name: string) => fileURLToPath(new URL(`../docs/examples/${name}`, import.meta.url))

  it("keeps jobs where the file says, with its defaults, and lets the environment say more", () =>
    inFolder(async (folder) => {
      const [file, config, database] = ["crontab", "config.yaml", "jobs.sqlite"].map((name) => join(folder, name))
      writeFileSync(
        config!,
        `stores:\n  default: { type: sqlite, filename: nowhere/jobs.sqlite }\ndefaults: { coalesce: all, maxInstances: 3 }\n`
      )
      writeFileSync(file!, "@reboot echo hello\n0 0 1 1 * echo stays\n")
      process.env.CRON_TEST_STORES_DEFAULT_FILENAME = database
      const daemon = new Daemon(file!, "--config", config!, "--env", "CRON_TEST")
      delete process.env.CRON_TEST_STORES_DEFAULT_FILENAME
      await until(() => daemon.output.includes("ok"))
      await daemon.end("SIGTERM")
      assert.include(daemon.output, `kept in the default store of ${config} and CRON_TEST_*`)
      const [job] = query<{ policy: string }>(database!, "SELECT policy FROM scheduler_jobs")
      assert.deepInclude(JSON.parse(job!.policy), { coalesce: "all", maxInstances: 3 })
    }))

  it("prints what holds without its secrets, and the history of its store", () =>
    inFolder((folder) => {
      const [config, database] = [join(folder, "config.json"), join(folder, "jobs.sqlite")]
      const stores = { ...sqlite(database), archive: { type: "mysql", url: "mysql://app:s3cret@db/jobs" } }
      writeFileSync(config, JSON.stringify({ stores }))
      const { status, stdout } = cli("config", config)
      assert.strictEqual(status, 0)
      const shown = JSON.parse(stdout)
      assert.deepInclude(shown.stores.archive, { url: "mysql://app:<redacted>@db/jobs", lease: "15 seconds" })
      assert.deepInclude(shown, { drain: "10 seconds", eventBuffer: 16_384 })
      const executors = { default: { type: "fiber" }, cpu: { type: "worker", url: "not-here.js" } }
      writeFileSync(config, JSON.stringify({ stores: sqlite(database), executors }))
      assert.strictEqual(cli("history", "--config", config).stdout, "no runs\n")
    }))

  it("shows an example that is right", () => {
    const { status, stderr, stdout } = cli("config", example("scheduler.yaml"))
    assert.strictEqual(status, 0, stderr)
    const { defaults, executors, stores } = JSON.parse(stdout)
    assert.deepStrictEqual(Object.keys(stores), ["default", "archive"])
    assert.deepStrictEqual(Object.keys(executors), ["default", "pool"])
    assert.deepInclude(defaults, { coalesce: "all", maxInstances: 3 })
  })

  it("refuses what is wrong with it in as many lines", { timeout: 60_000 }, () =>
    inFolder((folder) => {
      const [crontab, wrong, threads] = [
        join(folder, "crontab"),
        join(folder, "wrong.yml"),
        join(folder, "threads.yml")
      ]
      writeFileSync(crontab, "* * * * * true\n")
      writeFileSync(wrong, "stores:\n  default: { type: memory, histroy: 1 }\ndrian: true\n")
      writeFileSync(threads, "executors:\n  default: { type: worker, url: worker.js }\n")
      const refusals = [
        [
          ["run", crontab, "--config", threads],
          /executors\.default\.type: the commands of a crontab are carried out by "fiber", got "worker"/
        ],
        [
          ["run", crontab, "--config", wrong],
          /wrong\.yml: .*\n {2}drian: unknown.*\n {2}stores\.default\.histroy: unknown/
        ],
        [["history", "--config", wrong, "--db", "a"], /--db: that is for the configuration to say/],
        [["run", crontab, "--config", threads, "--watch"], /unknown argument: '--watch'/],
        [["config"], /config needs a file, or --env, or both/]
      ] as const
      for (const [words, message] of refusals) assertRefused(words, message)
    })
  )
})

describe("effect-scheduler next", () => {
  it("explains an expression and prints its next fire times with offsets", () => {
    const { status, stdout } = cli("next", "30 2 * * *", "--tz", "Europe/Berlin", "--from", "2026-03-27", "-n", "4")
    assert.strictEqual(status, 0)
    assert.deepStrictEqual(stdout.trimEnd().split("\n"), [
      "At 02:30",
      "2026-03-27 02:30:00+01:00  Fri  in 2h 30m",
      "2026-03-28 02:30:00+01:00  Sat  in 1d 2h 30m",
      "2026-03-29 03:00:00+02:00  Sun  in 2d 2h",
      "2026-03-30 02:30:00+02:00  Mon  in 3d 1h 30m"
    ])
  })

  it("says so when an expression never fires", () => {
    assert.match(cli("next", "0 0 30 2 *").stdout, /\nnever\n$/)
  })
})

describe("effect-scheduler --help", () => {
  it("names every command", () => {
    const { status, stdout } = cli("--help")
    assert.strictEqual(status, 0)
    for (const name of ["run", "next", "history", "config", "--db", "--config", "--env", "--grace", "--lease", "--tz"])
      assert.include(stdout, name)
  })
})
