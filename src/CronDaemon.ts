/**
 * A cron that does not forget: schedules the lines of a crontab(5) file as jobs that run shell commands, keeps them and
 * their history in SQLite, and shows what happens.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/platform/Command"
import type * as CommandExecutor from "@effect/platform/CommandExecutor"
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Terminal from "@effect/platform/Terminal"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Crontab from "./Crontab.ts"
import * as Executor from "./Executor.ts"
import type * as Job from "./Job.ts"
import type { JobStore } from "./JobStore.ts"
import type { Policy } from "./Policy.ts"
import { RunContext } from "./RunContext.ts"
import * as RunTable from "./RunTable.ts"
import * as Scheduler from "./Scheduler.ts"
import type { StoreError } from "./SchedulerError.ts"
import type { SchedulerEvent } from "./SchedulerEvent.ts"
import * as SqlJobStore from "./SqlJobStore.ts"
import * as Task from "./Task.ts"

/**
 * What stands in the way of a start, for the person at the command line.
 *
 * @since 0.1.0
 * @category errors
 */
export class CannotStart extends Data.TaggedError("CannotStart")<{ readonly message: string }> {}

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

const runShell = (
  payload: Task.Payload<typeof Shell>
): Effect.Effect<
  { readonly output: string },
  ShellFailed,
  CommandExecutor.CommandExecutor | RunContext | Scope.Scope
> =>
  Effect.gen(function* () {
    const environment = { ...payload.environment, ...ofRun(yield* RunContext) }
    const process = yield* Command.start(toCommand({ ...payload, environment }))
    const written = Stream.merge(process.stdout, process.stderr).pipe(
      Stream.decodeText(),
      Stream.runFold("", (tail, text) => (tail + text).slice(-OUTPUT))
    )
    const [exitCode, output] = yield* Effect.all([process.exitCode, written], { concurrency: 2 })
    return exitCode === 0 ? { output } : yield* new ShellFailed({ exitCode, output })
  }).pipe(Effect.catchAll(toShellFailed))

const toShellFailed = (error: ShellFailed | PlatformError): Effect.Effect<never, ShellFailed> =>
  Effect.fail(error instanceof ShellFailed ? error : new ShellFailed({ exitCode: 127, output: error.message }))

/**
 * @since 0.1.0
 * @category shell
 */
export const ShellLive = Task.toLayer(Shell, runShell)

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
  /** The SQLite file; made if it is not there. */
  readonly database: string
  readonly coalesce: Policy["coalesce"]
  readonly misfireGraceTime: Duration.Duration
  /** How many commands run at the same time. */
  readonly concurrency: number
  /** How long after the death of a daemon the next one takes over the commands that were under way. */
  readonly lease: Duration.Duration
}

/**
 * The store in a SQLite file, which is made if it is not there unless it `mustExist`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStore = (
  database: string,
  { mustExist = false, ...options }: SqlJobStore.Options & { readonly mustExist?: boolean } = {}
): Layer.Layer<JobStore, StoreError | CannotStart, FileSystem.FileSystem | Path.Path> =>
  Layer.unwrapEffect(
    Effect.gen(function* () {
      const [fs, path] = [yield* FileSystem.FileSystem, yield* Path.Path]
      const needed = mustExist ? path.resolve(database) : path.dirname(path.resolve(database))
      if (!(yield* Effect.orElseSucceed(fs.exists(needed), () => false))) {
        return yield* new CannotStart({ message: `The database cannot be opened: ${needed} does not exist` })
      }
      const client = SqliteClient.layer({ filename: database }).pipe(
        Layer.catchAllCause((cause) =>
          Layer.fail(new CannotStart({ message: `The database ${database} cannot be opened: ${String(cause)}` }))
        )
      )
      return SqlJobStore.layer(options).pipe(Layer.provide(client))
    })
  )

/**
 * Runs a crontab until it is interrupted: its bad lines are reported, its good ones run.
 *
 * @since 0.1.0
 * @category daemon
 */
export const run = (options: Options) =>
  Effect.gen(function* () {
    const { entries, problems } = yield* read(options.file)
    for (const problem of problems) yield* Console.error(Crontab.format(options.file, problem))
    if (entries.length === 0) return yield* new CannotStart({ message: `${options.file}: no line of it can be run` })
    yield* Effect.provide(work(options, entries), layer(options))
  })

const layer = (options: Options) =>
  Scheduler.layer({ autoStart: false, drain: "10 seconds" }).pipe(
    Layer.provide(ShellLive),
    Layer.provide(Executor.layerFiber({ concurrency: options.concurrency })),
    Layer.provide(layerStore(options.database, { lease: options.lease }))
  )

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
    const { absent, added, unchanged, updated } = yield* scheduler.reconcile(
      GROUP,
      entries.map((entry) => declare(options, entry))
    )
    yield* Console.error(
      `${options.file}: ${entries.length} jobs, ${added.length} new, ${updated.length} changed, ` +
        `${unchanged.length} unchanged, ${absent.length} gone; kept in ${options.database}`
    )
    const schedules = new Map(entries.map(({ id, schedule }) => [id, schedule]))
    const jobs = yield* scheduler.list({ group: GROUP })
    yield* scheduler.start
    yield* show(events, jobs, schedules)
  }).pipe(Effect.scoped)

// One group for whatever file: a database holds the jobs of the crontab that was started on it last.
const GROUP = "crontab"

const declare = (options: Options, entry: Crontab.Entry): Scheduler.Declaration =>
  Scheduler.job(Shell, {
    id: entry.id,
    name: entry.command,
    trigger: entry.trigger,
    payload: { command: entry.command, input: entry.input ?? null, environment: entry.environment },
    coalesce: options.coalesce,
    misfireGraceTime: options.misfireGraceTime
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
