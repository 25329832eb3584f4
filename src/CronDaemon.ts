/**
 * A cron that does not forget: schedules the lines of a crontab(5) file as jobs that run shell commands, keeps them and
 * their history in a store, and shows what happens.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/platform/Command"
import type * as CommandExecutor from "@effect/platform/CommandExecutor"
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Terminal from "@effect/platform/Terminal"
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { constants } from "node:os"
import process from "node:process"
import { CannotStart } from "./ConfigFile.ts"
import * as Crontab from "./Crontab.ts"
import type * as Job from "./Job.ts"
import { RunContext } from "./RunContext.ts"
import * as RunTable from "./RunTable.ts"
import * as Scheduler from "./Scheduler.ts"
import * as SchedulerConfig from "./SchedulerConfig.ts"
import type { SchedulerEvent } from "./SchedulerEvent.ts"
import * as Task from "./Task.ts"

// ---------------------------------------------------------------------------------------------------------------------
// the shell
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A command that ended with another exit code than 0; `output` is the end of what it wrote.
 *
 * @since 0.1.0
 * @category shell
 */
export class ShellFailed extends Schema.TaggedError<ShellFailed>()("ShellFailed", {
  exitCode: Schema.Int,
  output: Schema.String
}) {
  override get message(): string {
    const last = this.output.trimEnd().split("\n").at(-1) ?? ""
    return `exit code ${this.exitCode}${last === "" ? "" : `, ${last}`}`
  }
}

/**
 * Runs a command by the shell that the crontab names (`SHELL=`, else `/bin/sh`), in the directory that it names (`HOME=`,
 * else the daemon's own). The command finds its run in `SCHEDULER_JOB_ID`, `SCHEDULER_RUN_ID`, `SCHEDULER_SCHEDULED_AT`
 * and `SCHEDULER_ATTEMPT`.
 *
 * @since 0.1.0
 * @category shell
 */
export const Shell = Task.make("shell", {
  payload: Schema.Struct({
    command: Schema.String,
    input: Schema.NullOr(Schema.String),
    environment: Schema.Record({ key: Schema.String, value: Schema.String })
  }),
  success: Schema.Struct({ output: Schema.String }),
  error: ShellFailed
})

const toCommand = ({ command, environment, input }: Task.Payload<typeof Shell>): Command.Command => {
  const shell = Command.make(environment.SHELL ?? "/bin/sh", "-c", command).pipe(
    Command.env(environment),
    Command.feed(input ?? "")
  )
  return environment.HOME === undefined ? shell : Command.workingDirectory(shell, environment.HOME)
}

/** How much of what a command writes is kept, in characters: the end of it. */
const OUTPUT = 4000

const ofRun = (run: RunContext["Type"]): Record<string, string> => ({
  SCHEDULER_JOB_ID: run.jobId,
  SCHEDULER_RUN_ID: run.runId,
  SCHEDULER_SCHEDULED_AT: DateTime.formatIso(run.scheduledAt),
  SCHEDULER_ATTEMPT: String(run.attempt)
})

/** The processes of the commands that are under way. */
type Processes = Set<number>

const runShell = (
  processes: Processes,
  payload: Task.Payload<typeof Shell>
): Effect.Effect<
  { readonly output: string },
  ShellFailed,
  CommandExecutor.CommandExecutor | RunContext | Scope.Scope
> =>
  Effect.gen(function* () {
    const environment = { ...payload.environment, ...ofRun(yield* RunContext) }
    const shell = yield* start(processes, toCommand({ ...payload, environment }))
    const written = Stream.merge(shell.stdout, shell.stderr).pipe(
      Stream.decodeText(),
      Stream.runFold("", (tail, text) => (tail + text).slice(-OUTPUT))
    )
    const [exitCode, output] = yield* Effect.all([shell.exitCode, written], { concurrency: 2 })
    return exitCode === 0 ? { output } : yield* new ShellFailed({ exitCode, output })
  }).pipe(Effect.catchAll(toShellFailed))

/** Starts a command that is known among those under way until it has ended. */
const start = (processes: Processes, command: Command.Command) =>
  Effect.suspend(() => {
    let pid = 0
    const forget = Effect.addFinalizer(() => Effect.sync(() => processes.delete(pid)))
    const started = Effect.tap(Command.start(command), (shell) => {
      pid = shell.pid
      processes.add(pid)
    })
    return Effect.zipRight(forget, Effect.uninterruptible(started))
  })

const toShellFailed = (error: ShellFailed | PlatformError): Effect.Effect<never, ShellFailed> =>
  Effect.fail(error instanceof ShellFailed ? error : new ShellFailed({ exitCode: 127, output: error.message }))

// ---------------------------------------------------------------------------------------------------------------------
// the daemon
// ---------------------------------------------------------------------------------------------------------------------

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The crontab(5) file, in the form of a user's: no user column. */
  readonly file: string
  /** Where the jobs are kept and how they run. */
  readonly config: SchedulerConfig.SchedulerConfig
  /** What they are kept in, for people. */
  readonly keptIn: string
}

/**
 * Runs a crontab until it is interrupted: its bad lines are reported, its good ones run. A signal lets what is under way
 * end, as long as the configuration waits for it; a second signal kills it, and ends the process at once. The same one
 * within half a second counts once.
 *
 * @since 0.1.0
 * @category daemon
 */
export const run = (options: Options) =>
  Effect.gen(function* () {
    const { entries, problems } = yield* read(options.file)
    for (const problem of problems) yield* Console.error(Crontab.format(options.file, problem))
    if (entries.length === 0) return yield* new CannotStart({ message: `${options.file}: no line of it can be run` })
    const processes: Processes = new Set()
    yield* heedSignals(options.config, processes)
    yield* Effect.provide(work(options, entries), layer(options, processes))
  }).pipe(Effect.scoped)

const layer = ({ config }: Options, processes: Processes) =>
  Layer.provide(
    SchedulerConfig.layer({ ...config, autoStart: false }),
    Task.toLayer(Shell, (payload) => runShell(processes, payload))
  )

const SIGNALS = ["SIGINT", "SIGTERM"] as const

/** A signal, and when it came, in milliseconds of a clock that nobody sets. */
interface Received {
  readonly signal: (typeof SIGNALS)[number]
  readonly at: number
}

/** How long the same signal may be an echo, in milliseconds: npm passes on what a terminal has sent to both of them. */
const ECHO = 500

const isEcho = (first: Received, second: Received): boolean =>
  second.signal === first.signal && second.at - first.at < ECHO

/** That the first signal interrupts the program is up to whoever runs it. */
const heedSignals = (config: SchedulerConfig.SchedulerConfig, processes: Processes) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      let first: Received | undefined
      const onSignal = (signal: Received["signal"]) => {
        const received = { signal, at: performance.now() }
        if (first !== undefined) return isEcho(first, received) ? undefined : endAtOnce(signal, processes)
        first = received
        if (processes.size > 0) console.error(farewell(config, processes.size))
      }
      for (const signal of SIGNALS) process.on(signal, onSignal)
      return onSignal
    }),
    (onSignal) =>
      Effect.sync(() => {
        for (const signal of SIGNALS) process.off(signal, onSignal)
      })
  )

const farewell = ({ drain }: SchedulerConfig.SchedulerConfig, count: number): string => {
  const commands = count === 1 ? "1 command" : `${count} commands`
  const most = typeof drain === "boolean" ? "" : `, at most ${Duration.format(drain)}`
  return `${drain === false ? "ends" : "waits for"} ${commands}${most}; a second signal ends everything at once`
}

/** What is under way here is taken over by the next daemon when the lease is over. */
const endAtOnce = (signal: Received["signal"], processes: Processes): never => {
  for (const pid of processes) {
    try {
      // Each leads a group of its own.
      process.kill(-pid, "SIGKILL")
    } catch {
      // It has just ended.
    }
  }
  process.exit(128 + constants.signals[signal])
}

const read = (file: string): Effect.Effect<Crontab.Crontab, CannotStart, FileSystem.FileSystem> =>
  FileSystem.FileSystem.pipe(
    Effect.flatMap((fs) => fs.readFileString(file)),
    Effect.mapBoth({
      onFailure: (error) => new CannotStart({ message: `${file} cannot be read: ${error.message}` }),
      onSuccess: (text) => Crontab.parse(text)
    })
  )

const work = (options: Options, entries: ReadonlyArray<Crontab.Entry>) =>
  Effect.gen(function* () {
    const scheduler = yield* Scheduler.Scheduler
    const events = yield* scheduler.subscribe
    const { absent, added, unchanged, updated } = yield* scheduler.reconcile(GROUP, entries.map(declare))
    yield* Console.error(
      `${options.file}: ${entries.length} jobs, ${added.length} new, ${updated.length} changed, ` +
        `${unchanged.length} unchanged, ${absent.length} gone; kept in ${options.keptIn}`
    )
    const schedules = new Map(entries.map(({ id, schedule }) => [id, schedule]))
    const jobs = yield* scheduler.list({ group: GROUP })
    yield* scheduler.start
    yield* show(events, jobs, schedules)
  }).pipe(Effect.scoped)

// One group for whatever file: a database holds the jobs of the crontab that was started on it last.
const GROUP = "crontab"

const declare = (entry: Crontab.Entry): Scheduler.Declaration =>
  Scheduler.job(Shell, {
    id: entry.id,
    name: entry.command,
    trigger: entry.trigger,
    payload: { command: entry.command, input: entry.input ?? null, environment: entry.environment }
  })

// ---------------------------------------------------------------------------------------------------------------------
// what is shown
// ---------------------------------------------------------------------------------------------------------------------

const show = (
  events: Stream.Stream<SchedulerEvent>,
  jobs: ReadonlyArray<Job.Job>,
  schedules: ReadonlyMap<string, string>
) =>
  Effect.gen(function* () {
    const terminal = yield* Terminal.Terminal
    const isTerminal = (yield* terminal.isTTY) === true
    const zone = DateTime.zoneMakeLocal()
    return yield* isTerminal ? showTable(events, jobs, schedules, zone) : showLines(events, jobs, zone)
  })

/** How much of a command names it in a line, in characters. */
const NAME = 60

const showLines = (events: Stream.Stream<SchedulerEvent>, jobs: ReadonlyArray<Job.Job>, zone: DateTime.TimeZone) =>
  Effect.gen(function* () {
    const scheduler = yield* Scheduler.Scheduler
    const names = new Map(jobs.map(({ id, name }) => [id, RunTable.shorten(name, NAME)]))
    const next = (job: Job.Job) =>
      Option.match(job.nextRunTime, {
        onNone: () => Effect.void,
        onSome: (at) => Console.log(`${RunTable.formatInstant(at, zone)}  next     ${RunTable.shorten(job.name, NAME)}`)
      })
    yield* Effect.forEach(jobs, next)
    yield* Stream.runForEach(events, (event) =>
      Effect.gen(function* () {
        const id = "jobId" in event ? event.jobId : ""
        const text = RunTable.line(event, names.get(id) ?? id, zone)
        if (Option.isSome(text)) yield* Console.log(text.value)
        if (event._tag !== "RunSucceeded" && event._tag !== "RunFailed") return
        yield* Effect.flatMap(scheduler.get(id), Option.match({ onNone: () => Effect.void, onSome: next }))
      })
    )
  })

const REDRAW = "500 millis"

const showTable = (
  events: Stream.Stream<SchedulerEvent>,
  jobs: ReadonlyArray<Job.Job>,
  schedules: ReadonlyMap<string, string>,
  zone: DateTime.TimeZone
) =>
  Effect.gen(function* () {
    const scheduler = yield* Scheduler.Scheduler
    const terminal = yield* Terminal.Terminal
    const rows = new Map(jobs.map((job) => [job.id, RunTable.makeRow(job, schedules.get(job.id) ?? "")]))
    let drawn = 0
    const draw = Effect.gen(function* () {
      const width = yield* terminal.columns
      const lines = RunTable.render([...rows.values()], { now: yield* DateTime.now, zone, width })
      const back = drawn === 0 ? "" : `\u001b[${drawn}A`
      yield* Effect.ignore(terminal.display(`${back}${lines.map((text) => `\u001b[2K${text}\n`).join("")}\u001b[J`))
      drawn = lines.length
    })
    const note = (event: SchedulerEvent) =>
      Effect.gen(function* () {
        const row = "jobId" in event ? rows.get(event.jobId) : undefined
        if (!("jobId" in event) || row === undefined) return
        rows.set(event.jobId, RunTable.update(row, event, yield* scheduler.get(event.jobId)))
      })
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(draw, Effect.sleep(REDRAW))))
    yield* Effect.zipRight(Stream.runForEach(events, note), draw)
  })
