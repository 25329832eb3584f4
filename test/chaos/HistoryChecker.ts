/** Judges what the nodes of a cluster did by what they logged, as Jepsen's checker for Chronos does: a pure function. */
import {
  type Attempt,
  causes,
  type Evidence,
  faultsOf,
  gather,
  type History,
  IMPRECISION,
  type JobSpec,
  lastSign,
  type Recorded
} from "./History.ts"
import { checkTimes } from "./OccurrenceChecker.ts"
import { takeOversOf } from "./TakeOver.ts"
import { type Tag, type Violation, violation } from "./Violation.ts"

/** Every violation that a history has; a healthy one has none. */
export const check = (history: History): ReadonlyArray<Violation> => {
  const evidence = gather(history)
  return [
    ...checkUnknown(evidence),
    ...history.jobs.flatMap((job) => checkTimes(evidence, job)),
    ...history.jobs.flatMap((job) => checkInstances(evidence, job)),
    ...[...evidence.runs.values()].flatMap((run) => checkRun(evidence, run)),
    ...checkRecords(evidence)
  ]
}

// ---------------------------------------------------------------------------------------------------------------------
// what excuses what
// ---------------------------------------------------------------------------------------------------------------------

/** Whether its node had given no sign of life for so long before an instant that others may take over what it held. */
const hadLost = (evidence: Evidence, attempt: Attempt, before: number): boolean => {
  const sign = lastSign(evidence, attempt, before)
  const { lease, skew } = evidence.timing
  return sign !== undefined && before >= sign.at + lease - skew - IMPRECISION
}

/** The share of a lease for which a node trusts itself: what it holds is interrupted in the rest of it. */
const TRUST = 0.8

/** Whether a process stood still when it should have interrupted an attempt, and did so as soon as it could. */
const stoodStill = (evidence: Evidence, attempt: Attempt, before: number): boolean => {
  const { lease, notice } = evidence.timing
  const trustedUntil = (lastSign(evidence, attempt, before)?.at ?? Infinity) + TRUST * lease
  return faultsOf(evidence, attempt.pid).some(
    ({ from, kind, to }) => kind === "stopped" && from <= before && to >= trustedUntil && attempt.until <= to + notice
  )
}

/** Whether a process may have begun an attempt late, when it was no longer its own. */
const isStale = (evidence: Evidence, attempt: Attempt): boolean =>
  causes(evidence, attempt, attempt.start).some(({ kind }) => kind === "stopped")

// ---------------------------------------------------------------------------------------------------------------------
// the runs of a job
// ---------------------------------------------------------------------------------------------------------------------

const checkUnknown = ({ attempts, byId }: Evidence): ReadonlyArray<Violation> =>
  attempts
    .filter(({ attempt, job }) => attempt === 1 && !byId.has(job))
    .map((attempt) => violation("Extra", attempt, "no such job"))

const checkInstances = (evidence: Evidence, job: JobSpec): ReadonlyArray<Violation> => {
  const attempts = evidence.byJob.get(job.id) ?? []
  return attempts.flatMap((attempt, index) => {
    // Nobody counts what a process begins that does not know that it was taken for dead.
    if (isStale(evidence, attempt) && hadLost(evidence, attempt, attempt.start)) return []
    const others = attempts
      .slice(0, index)
      .filter((other) => other.runId !== attempt.runId && isHeld(evidence, other, attempt.start))
    const runs = new Set(others.map(({ runId }) => runId))
    const detail = `${describe(attempt)}, beside ${others.map((other) => `${other.runId}: ${describe(other)}`).join("; ")}`
    return runs.size < job.maxInstances ? [] : [violation("TooMany", attempt, detail)]
  })
}

/** Whether an attempt has its place at an instant: one whose node died keeps it until the lease is over. */
const isHeld = (evidence: Evidence, attempt: Attempt, at: number): boolean => {
  const wasKilled = attempt.end === undefined && faultsOf(evidence, attempt.pid).some(({ kind }) => kind === "killed")
  if (wasKilled) return !hadLost(evidence, attempt, at)
  return attempt.until > at && !(hadLost(evidence, attempt, at) && stoodStill(evidence, attempt, at))
}

// ---------------------------------------------------------------------------------------------------------------------
// the attempts of a run
// ---------------------------------------------------------------------------------------------------------------------

const checkRun = (evidence: Evidence, run: ReadonlyArray<Attempt>): ReadonlyArray<Violation> => {
  const pairs = run.flatMap((later, index) => run.slice(0, index).map((earlier) => [earlier, later] as const))
  const tolerance = evidence.timing.skew + IMPRECISION
  return [
    ...run
      .filter(({ scheduledAt, start }) => start < scheduledAt - tolerance)
      .map((attempt) => violation("Early", attempt, `${attempt.scheduledAt - attempt.start} ms before its time`)),
    ...pairs.flatMap(([earlier, later]) => checkPair(evidence, earlier, later)),
    ...run.flatMap((attempt) => checkCause(evidence, run, attempt)),
    ...takeOversOf(evidence, run)
      .filter(({ sinceSign = 0 }) => sinceSign > evidence.timing.takeOver)
      .map(({ sinceSign }) => violation("Late", run[0]!, `taken over ${sinceSign} ms after the last sign of life`))
  ]
}

const checkPair = (evidence: Evidence, earlier: Attempt, later: Attempt): ReadonlyArray<Violation> => {
  const said = (tag: Tag) => [violation(tag, later, `${describe(earlier)}, then ${describe(later)}`)]
  if (later.attempt <= earlier.attempt) return isStale(evidence, later) ? [] : said("AttemptWentBack")
  const mayRepeat = isStale(evidence, later) || hadLost(evidence, earlier, later.start)
  if (earlier.end !== undefined && !mayRepeat) return said(later.end === undefined ? "StartedAfterEnd" : "Doubled")
  if (later.start >= earlier.until) return []
  const isExcused = hadLost(evidence, earlier, later.start) && stoodStill(evidence, earlier, later.start)
  return isExcused ? [] : said("Overlapping")
}

/** Why there was another attempt: the one before was cut off, or a fault may have cut it off before its first line. */
const checkCause = (evidence: Evidence, run: ReadonlyArray<Attempt>, attempt: Attempt): ReadonlyArray<Violation> => {
  if (attempt.attempt === 1) return []
  if (evidence.byId.get(attempt.job)?.onCrash === "abandon") {
    return [violation("Repeated", attempt, "its job wants no second attempt")]
  }
  const before = run.find((other) => other.attempt === attempt.attempt - 1)
  const isCaused =
    before === undefined
      ? evidence.faults.some(({ from, kind }) => kind !== "left" && from <= attempt.start)
      : before.until !== before.end || hadLost(evidence, before, attempt.start)
  return isCaused ? [] : [violation("Repeated", attempt, "nothing had befallen the attempt before")]
}

const describe = ({ attempt, end, node, pid, start, until }: Attempt): string =>
  `attempt ${attempt} on ${node} (${pid}) ${start}–${end === undefined ? `cut off ${until}` : end}`

// ---------------------------------------------------------------------------------------------------------------------
// the store's opinion
// ---------------------------------------------------------------------------------------------------------------------

const checkRecords = ({ records, runs }: Evidence): ReadonlyArray<Violation> => {
  if (records === undefined) return []
  const known = new Set(records.map(({ runId }) => runId))
  const unrecorded = [...runs].filter(([runId]) => !known.has(runId)).map(([, [attempt]]) => attempt!)
  const wrong = records.filter((record) => !isTrue(record, runs.get(record.runId) ?? []))
  return [
    ...unrecorded.map((attempt) => violation("Disagreeing", attempt, "the store does not know it")),
    ...wrong.map((record) =>
      violation("Disagreeing", record, `the store says ${record.state} by attempt ${record.attempt}`)
    )
  ]
}

const isTrue = ({ attempt, state }: Recorded, attempts: ReadonlyArray<Attempt>): boolean => {
  if (attempts.some((other) => other.attempt > attempt)) return false
  switch (state) {
    case "Succeeded":
      return attempts.some((other) => other.attempt === attempt && other.end !== undefined)
    case "Abandoned":
      return true
    default:
      return attempts.length === 0
  }
}
