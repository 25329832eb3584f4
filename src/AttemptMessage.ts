/**
 * What a scheduling process and a thread or process that carries out attempts for it tell each other, as JSON.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Run from "./Run.ts"
import { Earlier, PreviousRun, Progress } from "./RunContext.ts"
import { StoreError } from "./SchedulerError.ts"

/** Which attempt of those that one host was given; what is told of an earlier one comes too late. */
const Of = { id: Schema.Int }

/**
 * The span that the attempt is in, whose children the handler's spans are.
 *
 * @since 0.1.0
 * @category models
 */
export const Parent = Schema.Struct({ traceId: Schema.String, spanId: Schema.String, sampled: Schema.Boolean })

/**
 * @since 0.1.0
 * @category models
 */
export type Parent = typeof Parent.Type

/**
 * The names of Effect's log levels.
 *
 * @since 0.1.0
 * @category models
 */
export const Level = Schema.Literal("All", "Fatal", "Error", "Warning", "Info", "Debug", "Trace", "None")

/**
 * What a host is told: to carry out an attempt, to interrupt it, what it asked for, or to end itself.
 *
 * @since 0.1.0
 * @category models
 */
export const Command = Schema.Union(
  Schema.TaggedStruct("Execute", {
    ...Of,
    run: Schema.Struct({
      jobId: Schema.String,
      runId: Schema.String,
      task: Schema.String,
      scheduledAt: Schema.DateTimeUtcFromNumber,
      attempt: Schema.Int
    }),
    payload: Schema.Unknown,
    parent: Schema.optionalWith(Parent, { exact: true }),
    /** What is logged below it is not worth the way. */
    level: Level
  }),
  Schema.TaggedStruct("Interrupt", Of),
  Schema.TaggedStruct("Answer", {
    ...Of,
    question: Schema.Int,
    previous: Schema.Either({ left: StoreError, right: Schema.OptionFromNullOr(PreviousRun) })
  }),
  Schema.TaggedStruct("Stop", {})
)

/**
 * @since 0.1.0
 * @category models
 */
export type Command = typeof Command.Type

/**
 * What a handler logged: its message in parts, each of them text or other JSON, and its cause as text.
 *
 * @since 0.1.0
 * @category models
 */
export const Entry = Schema.Struct({
  level: Level,
  message: Schema.Array(Schema.Unknown),
  cause: Schema.optionalWith(Schema.String, { exact: true }),
  annotations: Schema.Record({ key: Schema.String, value: Schema.Unknown }),
  spans: Schema.Array(Schema.Struct({ label: Schema.String, startTime: Schema.Number }))
})

/**
 * @since 0.1.0
 * @category models
 */
export type Entry = typeof Entry.Type

/**
 * What a host tells: what happens in an attempt, how it ended, or why the host itself is of no use.
 *
 * @since 0.1.0
 * @category models
 */
export const Report = Schema.Union(
  Schema.TaggedStruct("Logged", { ...Of, entry: Entry }),
  Schema.TaggedStruct("Progressed", { ...Of, progress: Progress }),
  Schema.TaggedStruct("Asked", { ...Of, question: Schema.Int, which: Earlier }),
  Schema.TaggedStruct("Ended", { ...Of, outcome: Run.Outcome }),
  Schema.TaggedStruct("Unable", { reason: Schema.String })
)

/**
 * @since 0.1.0
 * @category models
 */
export type Report = typeof Report.Type

/**
 * @since 0.1.0
 * @category codecs
 */
export const encodeCommand: (command: Command) => typeof Command.Encoded = Schema.encodeSync(Command)

/**
 * @since 0.1.0
 * @category codecs
 */
export const decodeCommand: (message: unknown) => Command = Schema.decodeUnknownSync(Command)

/**
 * @since 0.1.0
 * @category codecs
 */
export const encodeReport: (report: Report) => typeof Report.Encoded = Schema.encodeSync(Report)

/**
 * @since 0.1.0
 * @category codecs
 */
export const decodeReport: (message: unknown) => Report = Schema.decodeUnknownSync(Report)
