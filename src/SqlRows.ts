/**
 * Jobs and runs as rows of the tables of the SQL job store: what each column holds, and how it is read and written.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Job from "./Job.ts"
import type { Retention } from "./Policy.ts"
import * as Run from "./Run.ts"
import { StoreError } from "./SchedulerError.ts"
import * as SqlDefinition from "./SqlDefinition.ts"

/** A BIGINT: some drivers give it as text. */
type Bigint = number | string

/**
 * What moves when a job moves on: the nominal time of its next run, when that is due, how many there were, its phase.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cursor {
  readonly next_run_at: Bigint | null
  readonly due_at: Bigint | null
  readonly fired: number
  readonly anchor: Bigint
}

/**
 * The columns of a job that this library writes; all times are epoch milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface JobColumns extends Cursor {
  readonly id: string
  readonly task: string
  readonly job_group: string | null
  readonly priority: number
  readonly labels: string
  readonly state: string
  readonly state_detail: string
  /** When a finished job is given up. */
  readonly keep_until: Bigint | null
  readonly policy: string
  /** All else that only changes when somebody declares the job anew. */
  readonly definition: string
}

/**
 * A stored job; the database counts the incarnations.
 *
 * @since 0.1.0
 * @category models
 */
export interface JobRow extends JobColumns {
  readonly incarnation: Bigint
}

/**
 * The columns of a stored job.
 *
 * @since 0.1.0
 * @category models
 */
export const JOB_COLUMNS = [
  ...(["incarnation", "id", "task", "job_group", "priority", "labels", "state", "state_detail"] as const),
  ...(["next_run_at", "due_at", "fired", "anchor", "keep_until", "policy", "definition"] as const)
] satisfies ReadonlyArray<keyof JobRow>

/**
 * A stored job beside something else in one row.
 *
 * @since 0.1.0
 * @category models
 */
export type JoinedJobRow = { readonly [Column in keyof JobRow as `j_${Column}`]: JobRow[Column] }

/**
 * @since 0.1.0
 * @category reading
 */
export const toJobRow = (row: JoinedJobRow): JobRow => ({
  incarnation: row.j_incarnation,
  id: row.j_id,
  task: row.j_task,
  job_group: row.j_job_group,
  priority: row.j_priority,
  labels: row.j_labels,
  state: row.j_state,
  state_detail: row.j_state_detail,
  next_run_at: row.j_next_run_at,
  due_at: row.j_due_at,
  fired: row.j_fired,
  anchor: row.j_anchor,
  keep_until: row.j_keep_until,
  policy: row.j_policy,
  definition: row.j_definition
})

/**
 * The columns of a run that change with it; all times are epoch milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunColumns {
  readonly id: string
  readonly job_id: string
  readonly incarnation: Bigint
  readonly run_key: string
  readonly task: string
  readonly scheduled_at: Bigint
  readonly due_at: Bigint
  readonly run_at: Bigint
  readonly start_by: Bigint | null
  readonly instance: string
  readonly priority: number
  readonly executor: string
  readonly attempt: number
  readonly failures: number
  readonly crashes: number
  readonly state: string
  readonly node: string | null
  /** The node that has to interrupt it. */
  readonly cancel_node: string | null
  readonly started_at: Bigint | null
  /** Null for as long as the run is live. */
  readonly finished_at: Bigint | null
  /** When an ended run is given up. */
  readonly keep_until: Bigint | null
  /** What has no column of its own, and the state with all that belongs to it. */
  readonly detail: string
}

/**
 * A stored run, and when it was made: those of one instance together.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunRow extends RunColumns {
  readonly made_at: Bigint
}

/**
 * @since 0.1.0
 * @category reading
 */
export const millis = (column: Bigint | null): number | null => (column === null ? null : Number(column))

const decodeJob = Schema.decodeUnknownEither(Job.Job)
const encodeState = Schema.encodeSync(Job.JobState)
const decodeRun = Schema.decodeUnknownEither(Run.Run)
const encodeCovers = Schema.encodeSync(Run.Covers)

const parse = <A>(what: string, read: () => Either.Either<A, Error>): Either.Either<A, StoreError> =>
  Either.mapLeft(
    Either.flatMap(Either.try({ try: read, catch: (error) => error }), (decoded) => decoded),
    (cause) => new StoreError({ operation: `read ${what}`, cause })
  )

/** The time until which something is kept that ended at `end`; null if it is for ever. */
const keepUntil = (end: number, { age }: Retention): number | null =>
  Duration.isFinite(age) ? Math.min(end + Duration.toMillis(age), Number.MAX_SAFE_INTEGER) : null

// ---------------------------------------------------------------------------------------------------------------------
// jobs
// ---------------------------------------------------------------------------------------------------------------------

/**
 * @since 0.1.0
 * @category reading
 */
export const readJob = (row: JobRow): Either.Either<Job.Job, StoreError> => {
  const job = readUsualJob(row)
  return job === undefined ? parse(`job "${row.id}"`, () => decodeJob(toJson(row))) : Either.right(job)
}

const toJson = (row: JobRow): unknown => ({
  ...JSON.parse(row.definition),
  policy: JSON.parse(row.policy),
  id: row.id,
  incarnation: Number(row.incarnation),
  task: row.task,
  group: row.job_group,
  labels: JSON.parse(row.labels),
  state: JSON.parse(row.state_detail),
  nextRunTime: millis(row.next_run_at),
  fired: row.fired,
  anchor: millis(row.anchor)
})

const ACTIVE: Job.JobState = { _tag: "Active" }
const ACTIVE_TEXT = JSON.stringify(ACTIVE)
const NO_LABELS = {}

/** An active job is read by hand, since a claim reads many of them; whatever is out of the ordinary, by its Schema. */
const readUsualJob = (row: JobRow): Job.Job | undefined => {
  if (row.state_detail !== ACTIVE_TEXT || row.labels !== "{}") return undefined
  const definition = SqlDefinition.read(row.definition, row.policy)
  const [incarnation, anchor, next] = [Number(row.incarnation), millis(row.anchor), millis(row.next_run_at)]
  if (definition === undefined || !Number.isSafeInteger(incarnation) || !Number.isSafeInteger(row.fired))
    return undefined
  const [anchoredAt, nextRunTime] = [anchor === null ? Option.none() : DateTime.make(anchor), instant(next)]
  if (Option.isNone(anchoredAt) || nextRunTime === undefined) return undefined
  // One object written out: to spread another one takes several times as long.
  return {
    id: row.id,
    incarnation,
    task: row.task,
    name: definition.name,
    group: Option.fromNullable(row.job_group),
    labels: NO_LABELS,
    payload: definition.payload,
    trigger: definition.trigger,
    anchor: anchoredAt.value,
    policy: definition.policy,
    addedAt: definition.addedAt,
    origin: definition.origin,
    fired: row.fired,
    lastPause: definition.lastPause,
    state: ACTIVE,
    nextRunTime
  }
}

/** An instant or none; undefined if it is out of range. */
const instant = (at: number | null): Option.Option<DateTime.Utc> | undefined => {
  if (at === null) return Option.none()
  const made = DateTime.make(at)
  return Option.isNone(made) ? undefined : made
}

/**
 * Where a job stands.
 *
 * @since 0.1.0
 * @category writing
 */
export const toCursor = (job: Job.Job): Cursor => {
  const dueAt = Job.dueAt(job)
  return {
    next_run_at: Option.getOrNull(Option.map(job.nextRunTime, DateTime.toEpochMillis)),
    due_at: Number.isFinite(dueAt) ? dueAt : null,
    fired: job.fired,
    anchor: job.anchor.epochMillis
  }
}

/**
 * A job as columns, without its incarnation: that one never changes.
 *
 * @since 0.1.0
 * @category writing
 */
export const toJobColumns = (job: Job.Job): JobColumns => {
  const state = job.state._tag === "Active" ? ACTIVE_TEXT : JSON.stringify(encodeState(job.state))
  return {
    id: job.id,
    task: job.task,
    job_group: Option.getOrNull(job.group),
    priority: job.policy.priority,
    labels: JSON.stringify(job.labels),
    state: job.state._tag,
    state_detail: state,
    ...toCursor(job),
    keep_until: job.state._tag === "Finished" ? keepUntil(job.state.at.epochMillis, job.policy.retention) : null,
    policy: SqlDefinition.writePolicy(job.policy),
    definition: SqlDefinition.write(job)
  }
}

/**
 * Patterns for `LIKE`, all of which match the `labels` of a job that has these labels; some other jobs may match too.
 *
 * @since 0.1.0
 * @category writing
 */
export const labelPatterns = (labels: Readonly<Record<string, string>> = {}): ReadonlyArray<string> =>
  Object.entries(labels).map(([name, value]) => {
    const text = `${JSON.stringify(name)}:${JSON.stringify(value)}`
    // How these are escaped differs from one database to the next; any one character matches them in all.
    return `%${text.replace(/[\\%_]/g, "_")}%`
  })

// ---------------------------------------------------------------------------------------------------------------------
// runs
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A run, by its columns alone if its detail cannot be read: no such row may keep others from being read.
 *
 * @since 0.1.0
 * @category reading
 */
export const readRun = (row: RunColumns): Either.Either<Run.Run, StoreError> => {
  const state = USUAL_STATES.get(row.detail) ?? readRunning(row)
  const isSound = [row.scheduled_at, row.due_at, row.run_at, row.start_by ?? 0].every(isInstant)
  return state === undefined || !isSound ? readUnusualRun(row) : Either.right(readUsualRun(row, state))
}

const readUnusualRun = (row: RunColumns): Either.Either<Run.Run, StoreError> =>
  Either.orElse(
    parse(`run "${row.id}"`, () => decodeRun({ ...JSON.parse(row.detail), ...toRunJson(row) })),
    () =>
      parse(`run "${row.id}"`, () => decodeRun({ state: toState(row), covers: null, origin: null, ...toRunJson(row) }))
  )

const toRunJson = (row: RunColumns) => ({
  id: row.id,
  jobId: row.job_id,
  incarnation: Number(row.incarnation),
  key: row.run_key,
  task: row.task,
  scheduledAt: millis(row.scheduled_at),
  dueAt: millis(row.due_at),
  runAt: millis(row.run_at),
  startBy: millis(row.start_by),
  instance: row.instance,
  priority: row.priority,
  executor: row.executor,
  attempt: row.attempt,
  failures: row.failures,
  crashes: row.crashes
})

type Plain = Extract<Run.RunState["_tag"], "Pending" | "Queued" | "Waiting">

const detailOf = (state: unknown, covers: unknown = null, origin: unknown = null): string =>
  JSON.stringify({ state, covers, origin })

/** Those of runs that wait, stand for nothing but themselves, and come from no span: as most of them. */
const USUAL_STATES: ReadonlyMap<string, Run.RunState> = new Map(
  (["Pending", "Queued", "Waiting"] satisfies ReadonlyArray<Plain>).map((_tag) => [detailOf({ _tag }), { _tag }])
)

/** The furthest instant of JavaScript's dates, in milliseconds from 1970. */
const FURTHEST = 8.64e15

const isInstant = (at: Bigint | null): boolean => at !== null && Math.abs(Number(at)) <= FURTHEST

/** The state of a run under way that nobody has called off, from its columns. */
const readRunning = ({ cancel_node, detail, node, started_at, state }: RunColumns): Run.RunState | undefined => {
  if (state !== "Running" || node === null || started_at === null || cancel_node !== null) return undefined
  const startedAt = Number(started_at)
  if (detail !== detailOf({ _tag: "Running", node, startedAt })) return undefined
  return { _tag: "Running", node, startedAt: DateTime.unsafeMake(startedAt) }
}

const readUsualRun = (row: RunColumns, state: Run.RunState): Run.Run => {
  const scheduledAt = DateTime.unsafeMake(Number(row.scheduled_at))
  const same = (at: Bigint) => (Number(at) === scheduledAt.epochMillis ? scheduledAt : DateTime.unsafeMake(Number(at)))
  return {
    id: row.id,
    jobId: row.job_id,
    incarnation: Number(row.incarnation),
    key: row.run_key,
    task: row.task,
    scheduledAt,
    dueAt: same(row.due_at),
    runAt: same(row.run_at),
    startBy: row.start_by === null ? Option.none() : Option.some(same(row.start_by)),
    instance: row.instance,
    priority: row.priority,
    executor: row.executor,
    attempt: row.attempt,
    failures: row.failures,
    crashes: row.crashes,
    covers: Option.none(),
    origin: Option.none(),
    state
  }
}

/** What only the detail says of some states. */
const UNKNOWN: Readonly<Record<string, object>> = {
  Failed: { failure: { kind: "Defect", message: "The record of the failure cannot be read." } },
  Skipped: { reason: "maxInstances" },
  Cancelled: { reason: "requested" }
}

const toState = ({ cancel_node, finished_at, node, started_at, state }: RunColumns): object => ({
  _tag: state,
  node,
  ...(started_at === null ? {} : { startedAt: millis(started_at) }),
  ...(finished_at === null ? {} : { finishedAt: millis(finished_at) }),
  ...(cancel_node === null ? {} : { cancelled: "requested" }),
  ...UNKNOWN[state]
})

/**
 * A run as a row; once it has ended, it is kept as the retention says. `made_at` is only written with a new one.
 *
 * @since 0.1.0
 * @category writing
 */
export const toRunRow = (run: Run.Run, retention: Retention, madeAt: number): RunRow => {
  const state = toStateJson(run.state)
  const finishedAt = state.finishedAt ?? null
  return {
    id: run.id,
    job_id: run.jobId,
    incarnation: run.incarnation,
    run_key: run.key,
    task: run.task,
    scheduled_at: run.scheduledAt.epochMillis,
    due_at: run.dueAt.epochMillis,
    run_at: run.runAt.epochMillis,
    start_by: Option.isSome(run.startBy) ? run.startBy.value.epochMillis : null,
    instance: run.instance,
    priority: run.priority,
    executor: run.executor,
    attempt: run.attempt,
    failures: run.failures,
    crashes: run.crashes,
    state: run.state._tag,
    node: run.state._tag === "Running" ? run.state.node : null,
    cancel_node: run.state._tag === "Running" && run.state.cancelled !== undefined ? run.state.node : null,
    started_at: state.startedAt ?? null,
    finished_at: finishedAt,
    keep_until: finishedAt === null ? null : keepUntil(finishedAt, retention),
    made_at: madeAt,
    detail: detailOf(
      state,
      Option.getOrNull(Option.map(run.covers, (_) => encodeCovers(_))),
      Option.getOrNull(run.origin)
    )
  }
}

/** A state in its encoded form: instants as milliseconds, all else as it is. */
const toStateJson = (state: Run.RunState): { readonly startedAt?: number; readonly finishedAt?: number } => {
  const [startedAt, finishedAt] = [
    "startedAt" in state ? state.startedAt : undefined,
    "finishedAt" in state ? state.finishedAt : undefined
  ]
  const instants: { startedAt?: number; finishedAt?: number } = {}
  if (startedAt !== undefined) instants.startedAt = startedAt.epochMillis
  if (finishedAt !== undefined) instants.finishedAt = finishedAt.epochMillis
  return startedAt === undefined && finishedAt === undefined
    ? (state as typeof instants)
    : ({ ...state, ...instants } as typeof instants)
}
