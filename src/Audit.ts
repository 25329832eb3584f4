/**
 * An audit of a store: which of its jobs and runs nobody sees to, and which stand as they never should.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Job from "./Job.ts"
import * as Run from "./Run.ts"
import * as Trigger from "./Trigger.ts"

const Instant = Schema.DateTimeUtcFromNumber
const ofJob = { jobId: Schema.String }
const ofRun = { jobId: Schema.String, runId: Schema.String }

/**
 * What an audit finds. The first four are of time: nobody has done in time what was to be done. The others are states that
 * a store does not leave behind.
 *
 * @since 0.1.0
 * @category models
 */
export const Finding = Schema.Union(
  /** An active job is due and nobody claims it: no scheduler runs on this store, or its cursor is lost. */
  Schema.TaggedStruct("JobOverdue", { ...ofJob, dueAt: Instant }),
  /** A run could start and nobody starts it: no node has its task, or all slots are taken. */
  Schema.TaggedStruct("RunOverdue", { ...ofRun, runAt: Instant }),
  /** A run goes on though the timeout of its job is over. */
  Schema.TaggedStruct("RunStuck", { ...ofRun, startedAt: Instant }),
  /** A run is held by a node that is none of those alive. */
  Schema.TaggedStruct("RunUnheld", { ...ofRun, node: Schema.String }),
  /** An active job has no next time and nothing in flight: nothing will ever happen to it, not even its end. */
  Schema.TaggedStruct("JobStranded", ofJob),
  /** The next time of a job is none of its trigger by the rules that its zone has today. */
  Schema.TaggedStruct("TimeOffTrigger", { ...ofJob, nextRunTime: Instant }),
  /** The trigger of a job cannot be asked. */
  Schema.TaggedStruct("TriggerThrows", { ...ofJob, reason: Schema.String }),
  /** More instances of a job are in flight than it allows. */
  Schema.TaggedStruct("TooManyActive", { ...ofJob, active: Schema.Int, maxInstances: Schema.Int }),
  /** A run waits in the queue of a job that has room for it. */
  Schema.TaggedStruct("QueuedInVain", ofRun),
  /** A run waits for the one before it in its catch-up, and there is none. */
  Schema.TaggedStruct("WaitingInVain", ofRun),
  /** A run takes a place of its own beside another one of its catch-up. */
  Schema.TaggedStruct("InstanceSplit", ofRun),
  /** A run has not started, and its job is gone, in another life, or cannot be read: as it stands, it never will. */
  Schema.TaggedStruct("RunOrphaned", ofRun),
  /** A run started before it was to. */
  Schema.TaggedStruct("RunEarly", { ...ofRun, startedAt: Instant, runAt: Instant })
)

/**
 * @since 0.1.0
 * @category models
 */
export type Finding = typeof Finding.Type

/**
 * What is known of a store: its jobs, its live runs and whatever history is of interest, and the time at which they were
 * read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Evidence {
  readonly jobs: ReadonlyArray<Job.Job>
  readonly runs: ReadonlyArray<Run.Run>
  readonly now: DateTime.Utc
  /** How late something may be before it counts. Default: 1 minute. */
  readonly patience?: Duration.DurationInput | undefined
  /** The nodes that are alive, if that is known. */
  readonly nodes?: ReadonlySet<string> | undefined
}

/** The evidence, the runs by the life of their job. */
interface Case {
  readonly lives: ReadonlyMap<string, ReadonlyArray<Run.Run>>
  readonly jobs: ReadonlyMap<string, Job.Job>
  /** What was to be done before this is late, in milliseconds since 1970. */
  readonly limit: number
  readonly nodes: ReadonlySet<string> | undefined
}

/**
 * Everything that is wrong with jobs and runs; nothing in a healthy store. What is read while others write may be between
 * two states: see `lasting`. Lowering `maxInstances` leaves more in flight than is allowed, until they have ended.
 *
 * @since 0.1.0
 * @category audits
 */
export const check = (evidence: Evidence): ReadonlyArray<Finding> => {
  const { jobs, nodes, now, patience = "1 minute", runs } = evidence
  const self: Case = {
    lives: groupByLife(runs),
    jobs: new Map(jobs.map((job) => [lifeOf(job.id, job.incarnation), job])),
    limit: now.epochMillis - Duration.toMillis(patience),
    nodes
  }
  return [...jobs.flatMap((job) => checkJob(self, job)), ...runs.flatMap((run) => checkRun(self, run))]
}

/**
 * What two audits both found: the second one, some minutes later, tells what lasts from what was only being done.
 *
 * @since 0.1.0
 * @category audits
 */
export const lasting = (before: ReadonlyArray<Finding>, after: ReadonlyArray<Finding>): ReadonlyArray<Finding> =>
  after.filter((finding) => before.some((other) => isSame(finding, other)))

const isSame = Schema.equivalence(Finding)

/** Ids are free text, so that the number comes first. */
const lifeOf = (jobId: string, incarnation: number): string => `${incarnation}/${jobId}`

const groupByLife = (runs: ReadonlyArray<Run.Run>): ReadonlyMap<string, ReadonlyArray<Run.Run>> => {
  const lives = new Map<string, Array<Run.Run>>()
  for (const run of runs) {
    if (!Run.isLive(run)) continue
    const life = lifeOf(run.jobId, run.incarnation)
    const known = lives.get(life)
    if (known === undefined) lives.set(life, [run])
    else known.push(run)
  }
  return lives
}

// ---------------------------------------------------------------------------------------------------------------------
// jobs
// ---------------------------------------------------------------------------------------------------------------------

const checkJob = (self: Case, job: Job.Job): ReadonlyArray<Finding> => {
  const live = self.lives.get(lifeOf(job.id, job.incarnation)) ?? []
  return [...checkTime(self, job, live), ...checkPlaces(job, live), ...checkInstances(live)]
}

const checkTime = (self: Case, job: Job.Job, live: ReadonlyArray<Run.Run>): ReadonlyArray<Finding> => {
  const { id: jobId, nextRunTime } = job
  if (Option.isNone(nextRunTime)) {
    return Job.isFinished(job) && live.length === 0 ? [{ _tag: "JobStranded", jobId }] : []
  }
  const asked = Either.try(() => ({ dueAt: Job.dueAt(job), isOwn: isOwnTime(job, nextRunTime.value) }))
  if (Either.isLeft(asked)) return [{ _tag: "TriggerThrows", jobId, reason: String(asked.left) }]
  const { dueAt, isOwn } = asked.right
  const off: ReadonlyArray<Finding> = isOwn ? [] : [{ _tag: "TimeOffTrigger", jobId, nextRunTime: nextRunTime.value }]
  return dueAt < self.limit ? [...off, { _tag: "JobOverdue", jobId, dueAt: DateTime.unsafeMake(dueAt) }] : off
}

/** A job that is spaced counts from the ends of its runs. */
const isOwnTime = (job: Job.Job, { epochMillis }: DateTime.Utc): boolean =>
  Trigger.isSpaced(job.trigger) || Job.occurrences(job).previous(epochMillis) === epochMillis

/** What is in flight of a job, and what waits although there is room. */
const checkPlaces = (job: Job.Job, live: ReadonlyArray<Run.Run>): ReadonlyArray<Finding> => {
  const { maxInstances } = job.policy
  const active = live.filter(Run.isActive)
  if (active.length > maxInstances) {
    return [{ _tag: "TooManyActive", jobId: job.id, active: active.length, maxInstances }]
  }
  if (active.length === maxInstances) return []
  const queued = live.filter(({ state }) => state._tag === "Queued")
  // One backfill runs at a time, whatever room there is.
  const inVain = active.some(Run.isBackfill) ? queued.filter((run) => !Run.isBackfill(run)) : queued
  return inVain.map(({ id, jobId }) => ({ _tag: "QueuedInVain", jobId, runId: id }))
}

/** Of each instance one run leads, whether it is queued, pending or under way, and the others wait for it. */
const checkInstances = (live: ReadonlyArray<Run.Run>): ReadonlyArray<Finding> => {
  const leaders = new Map<string, Run.Run>()
  const split: Array<Finding> = []
  for (const run of live) {
    if (run.state._tag === "Waiting") continue
    if (leaders.has(run.instance)) split.push({ _tag: "InstanceSplit", jobId: run.jobId, runId: run.id })
    else leaders.set(run.instance, run)
  }
  const lost = live.filter(({ instance, state }) => state._tag === "Waiting" && !leaders.has(instance))
  return [...split, ...lost.map(({ id, jobId }): Finding => ({ _tag: "WaitingInVain", jobId, runId: id }))]
}

// ---------------------------------------------------------------------------------------------------------------------
// runs
// ---------------------------------------------------------------------------------------------------------------------

const checkRun = (self: Case, run: Run.Run): ReadonlyArray<Finding> => {
  const job = self.jobs.get(lifeOf(run.jobId, run.incarnation))
  const { id: runId, jobId } = run
  switch (run.state._tag) {
    case "Waiting":
    case "Queued":
      return job === undefined ? [{ _tag: "RunOrphaned", jobId, runId }] : []
    case "Pending":
      return job === undefined ? [{ _tag: "RunOrphaned", jobId, runId }] : checkPending(self, run, job)
    case "Running":
      return [...checkStart(run, run.state.startedAt), ...checkRunning(self, run, run.state, job)]
    case "Succeeded":
    case "Failed":
    case "Abandoned":
    case "Cancelled":
      return run.state.startedAt === undefined ? [] : checkStart(run, run.state.startedAt)
    case "Missed":
    case "Skipped":
      return []
  }
}

const checkPending = (self: Case, { id, jobId, runAt }: Run.Run, job: Job.Job): ReadonlyArray<Finding> =>
  // What a parked job has pending waits for the job to be mended.
  runAt.epochMillis < self.limit && job.state._tag !== "Parked" ? [{ _tag: "RunOverdue", jobId, runId: id, runAt }] : []

const checkStart = ({ id, jobId, runAt }: Run.Run, startedAt: DateTime.Utc): ReadonlyArray<Finding> =>
  DateTime.lessThan(startedAt, runAt) ? [{ _tag: "RunEarly", jobId, runId: id, startedAt, runAt }] : []

const checkRunning = (
  self: Case,
  { id: runId, jobId }: Run.Run,
  { node, startedAt }: Run.Running["state"],
  job: Job.Job | undefined
): ReadonlyArray<Finding> => {
  const timeout = job === undefined ? Infinity : Duration.toMillis(job.policy.timeout)
  const isStuck = startedAt.epochMillis + timeout < self.limit
  const isUnheld = self.nodes !== undefined && !self.nodes.has(node)
  return [
    ...(isStuck ? [{ _tag: "RunStuck", jobId, runId, startedAt } as const] : []),
    ...(isUnheld ? [{ _tag: "RunUnheld", jobId, runId, node } as const] : [])
  ]
}

// ---------------------------------------------------------------------------------------------------------------------
// words
// ---------------------------------------------------------------------------------------------------------------------

const text = (instant: DateTime.Utc): string => DateTime.formatIso(instant)

/**
 * A finding in one sentence.
 *
 * @since 0.1.0
 * @category words
 */
export const describe = (self: Finding): string => {
  switch (self._tag) {
    case "JobOverdue":
      return `Job "${self.jobId}" has been due since ${text(self.dueAt)}, and nobody claims it.`
    case "RunOverdue":
      return `Run "${self.runId}" could have started at ${text(self.runAt)}, and nobody starts it.`
    case "RunStuck":
      return `Run "${self.runId}" goes on since ${text(self.startedAt)}, though its timeout is over.`
    case "RunUnheld":
      return `Run "${self.runId}" is held by ${self.node}, which is not alive.`
    case "JobStranded":
      return `Job "${self.jobId}" is active, but has no next time and nothing in flight.`
    case "TimeOffTrigger":
      return `Job "${self.jobId}" is to run at ${text(self.nextRunTime)}, which is no time of its trigger.`
    case "TriggerThrows":
      return `The trigger of job "${self.jobId}" cannot be asked: ${self.reason}`
    case "TooManyActive":
      return `Job "${self.jobId}" has ${self.active} instances in flight, and allows ${self.maxInstances}.`
    case "QueuedInVain":
      return `Run "${self.runId}" is queued, though its job has room for it.`
    case "WaitingInVain":
      return `Run "${self.runId}" waits for a run before it that is not there.`
    case "InstanceSplit":
      return `Run "${self.runId}" is in flight beside another one of its catch-up.`
    case "RunOrphaned":
      return `Run "${self.runId}" cannot start, for its job is gone or cannot be read.`
    case "RunEarly":
      return `Run "${self.runId}" started at ${text(self.startedAt)}, before ${text(self.runAt)}.`
  }
}
