/**
 * The command line: `run` a crontab, explain what comes `next`, and show the `history` and the `config`.
 *
 * @since 0.1.0
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import cronstrue from "cronstrue"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import * as ConfigFile from "./ConfigFile.ts"
import * as CronDaemon from "./CronDaemon.ts"
import * as RunTable from "./RunTable.ts"
import { Scheduler } from "./Scheduler.ts"
import * as SchedulerConfig from "./SchedulerConfig.ts"
import type { InvalidTrigger } from "./SchedulerError.ts"
import * as Trigger from "./Trigger.ts"

const VERSION = "0.1.0"

const refuse = (message: string) => ValidationError.invalidValue(HelpDoc.p(message))

const cannotStart = (message: string) => new ConfigFile.CannotStart({ message })

// ---------------------------------------------------------------------------------------------------------------------
// the configuration
// ---------------------------------------------------------------------------------------------------------------------

const database = Options.text("db").pipe(
  Options.optional,
  Options.withDescription(
    "The SQLite file that keeps jobs, cursors and run history; made if it is not there. Default: jobs.sqlite."
  )
)

const configFile = Options.text("config").pipe(
  Options.optional,
  Options.withDescription("A file in JSON or YAML that says all that the other options say, and more.")
)

const prefix = Options.text("env").pipe(
  Options.optional,
  Options.withDescription(
    "Lays the environment over the configuration: with SCHEDULER, what SCHEDULER_DEFAULTS_MAX_INSTANCES and the like say."
  )
)

/** A configuration that is given; no option may contradict it. */
const given = (source: ConfigFile.Source, options: Readonly<Record<string, Option.Option<unknown>>>) =>
  Effect.gen(function* () {
    const [name] = Object.keys(options).filter((name) => Option.isSome(options[name]!))
    if (name !== undefined) return yield* cannotStart(`--${name}: that is for the configuration to say`)
    return yield* ConfigFile.load(source)
  })

const isGiven = ({ file, prefix }: ConfigFile.Source): boolean => Option.isSome(file) || Option.isSome(prefix)

const fileOf = (database: Option.Option<string>): string => Option.getOrElse(database, () => "jobs.sqlite")

const configFileArgument = Args.text({ name: "file" }).pipe(
  Args.optional,
  Args.withDescription("A configuration in JSON or YAML.")
)

const configCommand = Command.make("config", { file: configFileArgument, prefix }, (source) =>
  Effect.gen(function* () {
    if (!isGiven(source)) return yield* cannotStart("config needs a file, or --env, or both")
    const config = yield* ConfigFile.load(source)
    yield* Console.log(JSON.stringify(SchedulerConfig.describe(config), null, 2))
  })
).pipe(
  Command.withDescription("Prints the configuration that holds, with what nobody said filled in and without secrets.")
)

// ---------------------------------------------------------------------------------------------------------------------
// run
// ---------------------------------------------------------------------------------------------------------------------

const file = Args.text({ name: "file" }).pipe(
  Args.withDescription("A crontab(5) file in the form of a user's: no user column.")
)

const coalesce = Options.choice("coalesce", ["latest", "earliest", "all"]).pipe(
  Options.optional,
  Options.withDescription(
    "Which of several missed times to make up for: the last one, the first one, or all of them. Default: latest."
  )
)

const duration = (name: string) =>
  Options.text(name).pipe(
    Options.mapEffect((text) =>
      Option.match(decodeDuration(text), {
        onNone: () =>
          Effect.fail(refuse(`--${name} ${JSON.stringify(text)}: expected a duration such as "90 seconds"`)),
        onSome: Effect.succeed
      })
    ),
    Options.optional
  )

const grace = duration("grace").pipe(
  Options.withDescription(
    'How late a run may start at most, such as "90 seconds"; later ones are recorded as missed. Default: infinity.'
  )
)

const lease = duration("lease").pipe(
  Options.withDescription(
    "How long after the death of a daemon the next one takes over the commands under way. Default: 15 seconds."
  )
)

const decodeDuration = (text: string): Option.Option<Duration.Duration> =>
  text === "infinity"
    ? Option.some(Duration.infinity)
    : Duration.decodeUnknown(/^\d+$/.test(text) ? `${text} seconds` : text)

const concurrency = Options.integer("concurrency").pipe(
  Options.filterMap(
    (n) => (n >= 1 ? Option.some(n) : Option.none()),
    "--concurrency: expected a whole number of at least 1"
  ),
  Options.optional,
  Options.withDescription("How many commands run at the same time. Default: 10.")
)

const own = { db: database, coalesce, grace, concurrency, lease }

/** What the options say that stand for a configuration. */
const toInput = (options: Command.Command.ParseConfig<typeof own>): SchedulerConfig.Input => ({
  stores: { default: { type: "sqlite", filename: fileOf(options.db), lease: millisOf(options.lease) } },
  executors: { default: { type: "fiber", concurrency: Option.getOrUndefined(options.concurrency) } },
  defaults: { coalesce: Option.getOrUndefined(options.coalesce), misfireGraceTime: millisOf(options.grace) },
  drain: "10 seconds"
})

const millisOf = (duration: Option.Option<Duration.Duration>): number | undefined =>
  Option.getOrUndefined(Option.map(duration, Duration.toMillis))

/** What a thread or a process loads is another program, which knows nothing of a crontab. */
const refuseOthersThanFibers = ({ defaults, executors }: SchedulerConfig.SchedulerConfig) => {
  const type = executors[defaults.executor]?.type
  if (type === "fiber") return Effect.void
  const path = `executors.${defaults.executor}.type`
  return cannotStart(`${path}: the commands of a crontab are carried out by "fiber", got ${JSON.stringify(type)}`)
}

const runCommand = Command.make(
  "run",
  { file, configFile, prefix, ...own },
  ({ configFile, file, prefix, ...options }) =>
    Effect.gen(function* () {
      const source = { file: configFile, prefix }
      if (!isGiven(source)) {
        const config = yield* SchedulerConfig.decode(toInput(options))
        return yield* CronDaemon.run({ file, config, keptIn: fileOf(options.db) })
      }
      const config = yield* Effect.tap(given(source, options), refuseOthersThanFibers)
      return yield* CronDaemon.run({ file, config, keptIn: `the default store of ${ConfigFile.nameOf(source)}` })
    })
).pipe(
  Command.withDescription(
    "Runs the commands of a crontab file when they are due, catches up after downtime, and shows what happens. " +
      "Runs until it is interrupted; restarting it goes on where it was, with the lines that have changed. SIGINT and " +
      "SIGTERM wait up to ten seconds for commands under way; a second one kills them."
  )
)

// ---------------------------------------------------------------------------------------------------------------------
// next
// ---------------------------------------------------------------------------------------------------------------------

const expression = Args.text({ name: "expression" }).pipe(
  Args.withDescription('crontab(5) text in quotes, such as "30 5 * * mon-fri", or a macro such as @daily.')
)

const timezone = Options.text("tz").pipe(
  Options.withDefault("local"),
  Options.withDescription("The time zone of the expression: an IANA name, UTC, +05:30 or local.")
)

const from = Options.text("from").pipe(
  Options.optional,
  Options.withDescription('The time to start after, such as "2026-12-01 09:00:00" in that zone. Default: now.')
)

const MOST = 10_000

const count = Options.integer("count").pipe(
  Options.withAlias("n"),
  Options.withDefault(5),
  Options.withDescription("How many fire times to print."),
  Options.filterMap(
    (n) => (n >= 1 && n <= MOST ? Option.some(n) : Option.none()),
    `--count: expected a whole number from 1 to ${MOST}`
  )
)

const nextCommand = Command.make("next", { expression, timezone, from, count }, (options) =>
  Effect.gen(function* () {
    const trigger = yield* explained(options.expression, Trigger.parseCrontab(options.expression, options))
    const zone = Option.getOrElse(DateTime.zoneFromString(zoneOf(trigger)), () => DateTime.zoneUnsafeMakeNamed("UTC"))
    const start = yield* Option.match(options.from, {
      onNone: () => DateTime.now,
      onSome: (text) => explained(text, Trigger.parseInstant(text, options))
    })
    const times = Trigger.upcoming(trigger, { from: start, limit: options.count })
    yield* Console.log(describe(options.expression))
    yield* Effect.forEach(times, (time) => Console.log(timeLine(time, start, zone)))
    if (times.length < options.count) yield* Console.log(times.length === 0 ? "never" : "and never again")
  })
).pipe(Command.withDescription("Explains a crontab expression in words and prints when it fires next."))

const zoneOf = ({ json }: Trigger.Trigger): string => ("timezone" in json ? json.timezone : "UTC")

const explained = <A>(
  text: string,
  result: Either.Either<A, InvalidTrigger>
): Effect.Effect<A, ConfigFile.CannotStart> =>
  Effect.mapError(result, (error) => {
    const pointer = error.text === text ? `\n  ${text}\n  ${" ".repeat(error.position)}^` : ""
    return cannotStart(`${error.message}${pointer}`)
  })

const MACROS: Record<string, string> = { "@midnight": "@daily" }

// A trigger can be right where its description is not known: the times are what counts.
const describe = (text: string): string =>
  Option.getOrElse(
    Option.liftThrowable(() => cronstrue.toString(MACROS[text.trim()] ?? text.trim(), { use24HourTimeFormat: true }))(),
    () => text
  )

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]

const timeLine = (time: DateTime.Utc, start: DateTime.Utc, zone: DateTime.TimeZone): string => {
  const weekday = WEEKDAYS[DateTime.getPart(DateTime.setZone(time, zone), "weekDay")]!
  const wait = Duration.seconds(Math.round(Duration.toSeconds(DateTime.distanceDuration(start, time))))
  return `${RunTable.formatInstant(time, zone)}  ${weekday}  in ${Duration.format(wait)}`
}

// ---------------------------------------------------------------------------------------------------------------------
// history
// ---------------------------------------------------------------------------------------------------------------------

const job = Options.text("job").pipe(Options.optional, Options.withDescription("Only the runs of the job of this id."))

const historyCommand = Command.make("history", { database, configFile, prefix, job, count }, (options) =>
  Effect.gen(function* () {
    const source = { file: options.configFile, prefix: options.prefix }
    const config = yield* isGiven(source) ? given(source, { db: options.database }) : existing(fileOf(options.database))
    yield* Effect.provide(printRuns(options), SchedulerConfig.layer(toReader(config)))
  })
).pipe(Command.withDescription("Prints the last runs that a store knows of, newest first."))

/** Nobody is started only to read. */
const toReader = (config: SchedulerConfig.SchedulerConfig): SchedulerConfig.SchedulerConfig => ({
  ...config,
  executors: Record.map(config.executors, () => ({ type: "none" as const })),
  autoStart: false
})

/** A database is not made only to be read. */
const existing = (filename: string) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const isThere = yield* Effect.orElseSucceed(fs.exists(filename), () => false)
    if (!isThere) return yield* cannotStart(`The database ${filename} does not exist`)
    return yield* SchedulerConfig.decode({ stores: { default: { type: "sqlite", filename } } })
  })

const printRuns = (options: { readonly job: Option.Option<string>; readonly count: number }) =>
  Effect.gen(function* () {
    const scheduler = yield* Scheduler
    const runs = yield* scheduler.runs({ jobId: Option.getOrUndefined(options.job), limit: options.count })
    const zone = DateTime.zoneMakeLocal()
    if (runs.length === 0) yield* Console.log("no runs")
    yield* Effect.forEach(runs, (run) => Console.log(RunTable.runLine(run, zone)))
  })

// ---------------------------------------------------------------------------------------------------------------------
// main
// ---------------------------------------------------------------------------------------------------------------------

const command = Command.make("effect-scheduler").pipe(
  Command.withDescription("A cron that does not forget."),
  Command.withSubcommands([runCommand, nextCommand, historyCommand, configCommand])
)

/**
 * Runs the command line with the arguments of a process, `process.argv` as it is.
 *
 * @since 0.1.0
 * @category main
 */
export const main = (argv: ReadonlyArray<string>): void =>
  Command.run(command, { name: "effect-scheduler", version: VERSION })(argv).pipe(
    Effect.catchIf(
      (error) => !ValidationError.isValidationError(error),
      (error) => Effect.zipRight(Console.error(`effect-scheduler: ${error.message}`), Effect.fail(error))
    ),
    Effect.tapDefect((cause) => Console.error(Cause.pretty(cause))),
    Effect.provide(NodeContext.layer),
    NodeRuntime.runMain({ disableErrorReporting: true })
  )
