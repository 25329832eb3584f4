/**
 * The ways to say no: every typed failure of the library, each with the data a caller needs to act on it.
 *
 * @since 0.1.0
 */
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

/**
 * A trigger that means nothing: which field, the text given, the offset into it (from 0) and what would be valid.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidTrigger extends Schema.TaggedError<InvalidTrigger>()("InvalidTrigger", {
  field: Schema.String,
  text: Schema.String,
  position: Schema.Int,
  reason: Schema.String,
  expected: Schema.String
}) {
  override get message(): string {
    const where = this.position > 0 ? ` at position ${this.position}` : ""
    return `Invalid ${this.field} ${JSON.stringify(this.text)}${where}: ${this.reason}; expected ${this.expected}`
  }
}

/**
 * What a Schema refuses: the path of each field at fault, and why.
 *
 * @since 0.1.0
 * @category errors
 */
export const issuesOf = (
  error: ParseResult.ParseError
): ReadonlyArray<{ readonly path: string; readonly message: string }> =>
  ParseResult.ArrayFormatter.formatErrorSync(error).map(({ message, path }) => ({
    path: path.map(String).join("."),
    message
  }))

/**
 * A payload that its task's schema refuses; each issue names the path of the field.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidPayload extends Schema.TaggedError<InvalidPayload>()("InvalidPayload", {
  task: Schema.String,
  issues: Schema.Array(Schema.Struct({ path: Schema.String, message: Schema.String }))
}) {
  override get message(): string {
    const issues = this.issues.map(({ message, path }) => (path === "" ? message : `${path}: ${message}`))
    return `Invalid payload for task "${this.task}": ${issues.join("; ")}`
  }
}

/**
 * An option outside its domain, such as `maxInstances: 0`.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidOption extends Schema.TaggedError<InvalidOption>()("InvalidOption", {
  option: Schema.String,
  value: Schema.String,
  expected: Schema.String
}) {
  override get message(): string {
    return `Invalid option ${this.option}: ${this.value}; expected ${this.expected}`
  }
}

/**
 * A configuration that cannot be used: the path of everything that is wrong with it, and why.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidConfig extends Schema.TaggedError<InvalidConfig>()("InvalidConfig", {
  issues: Schema.Array(Schema.Struct({ path: Schema.String, message: Schema.String }))
}) {
  override get message(): string {
    const issues = this.issues.map(({ message, path }) => (path === "" ? message : `${path}: ${message}`))
    return ["Invalid configuration:", ...issues].join("\n  ")
  }
}

/**
 * A trigger without a single instant left when its job was to be added or rescheduled.
 *
 * @since 0.1.0
 * @category errors
 */
export class TriggerExhausted extends Schema.TaggedError<TriggerExhausted>()("TriggerExhausted", {
  jobId: Schema.String
}) {
  override get message(): string {
    return `The trigger of job "${this.jobId}" has no instant left: the job would never run`
  }
}

/**
 * The id is taken and `onConflict` is `"fail"`.
 *
 * @since 0.1.0
 * @category errors
 */
export class JobExists extends Schema.TaggedError<JobExists>()("JobExists", { jobId: Schema.String }) {
  override get message(): string {
    return `Job "${this.jobId}" exists already; pass onConflict: "replace" or "keep", or another id`
  }
}

/**
 * No job of that id is in the store.
 *
 * @since 0.1.0
 * @category errors
 */
export class JobNotFound extends Schema.TaggedError<JobNotFound>()("JobNotFound", { jobId: Schema.String }) {
  override get message(): string {
    return `Job "${this.jobId}" does not exist`
  }
}

/**
 * No run of that id is in the store: there was none, or its history has been given up.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunNotFound extends Schema.TaggedError<RunNotFound>()("RunNotFound", { runId: Schema.String }) {
  override get message(): string {
    return `Run "${this.runId}" is not known; it never was, or its history is no longer kept`
  }
}

/**
 * A run that was waited for ended without a value: how, and what is known of the reason.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunUnsuccessful extends Schema.TaggedError<RunUnsuccessful>()("RunUnsuccessful", {
  runId: Schema.String,
  outcome: Schema.Literal("Failed", "Missed", "Skipped", "Cancelled", "Abandoned"),
  reason: Schema.String
}) {
  override get message(): string {
    return `Run "${this.runId}" ended as ${this.outcome}: ${this.reason}`
  }
}

/**
 * Exported jobs that cannot be read; each issue names the path of the field.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidArchive extends Schema.TaggedError<InvalidArchive>()("InvalidArchive", {
  issues: Schema.Array(Schema.Struct({ path: Schema.String, message: Schema.String }))
}) {
  override get message(): string {
    const issues = this.issues.map(({ message, path }) => (path === "" ? message : `${path}: ${message}`))
    return `Invalid archive of jobs: ${issues.join("; ")}`
  }
}

/**
 * The operation needs the definition of a task for which this node has no handler.
 *
 * @since 0.1.0
 * @category errors
 */
export class TaskNotFound extends Schema.TaggedError<TaskNotFound>()("TaskNotFound", { task: Schema.String }) {
  override get message(): string {
    return `Task "${this.task}" has no handler on this node; provide the layer that Task.toLayer made`
  }
}

/**
 * A thread or a process that is to carry out attempts cannot be started with the module that it was given.
 *
 * @since 0.1.0
 * @category errors
 */
export class ExecutorUnavailable extends Schema.TaggedError<ExecutorUnavailable>()("ExecutorUnavailable", {
  kind: Schema.String,
  url: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `A ${this.kind} cannot be started with ${this.url}, which has to call runMain: ${this.reason}`
  }
}

/**
 * The store could not answer; the operation may or may not have taken place.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreError extends Schema.TaggedError<StoreError>()("StoreError", {
  operation: Schema.String,
  cause: Schema.Defect
}) {
  override get message(): string {
    const cause = this.cause
    return `The job store failed to ${this.operation}: ${cause instanceof Error ? cause.message : String(cause)}`
  }
}
