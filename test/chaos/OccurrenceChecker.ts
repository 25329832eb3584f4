/** Judges whether every time of a job had its run, or exactly one reason, by its policies, why it had none. */
import {
  type Attempt,
  type Drop,
  type Evidence,
  faultsOf,
  groupBy,
  type JobSpec,
  occurrences,
  type Recorded
} from "./History.ts"
import { type Violation, violation } from "./Violation.ts"

/** Why a time may have no run that ended well. */
type Account = "Skipped" | "Missed" | "Abandoned" | "Coalesced" | "Dropped"

/** One time of a job, what was done about it, and what the store says of it. */
interface Occurrence {
  readonly evidence: Evidence
  readonly job: JobSpec
  readonly time: number
  readonly attempts: ReadonlyArray<Attempt>
  readonly ofJob: ReadonlyArray<Attempt>
  readonly records: ReadonlyArray<Recorded>
  readonly accounts: ReadonlyArray<string>
}

export const checkTimes = (evidence: Evidence, job: JobSpec): ReadonlyArray<Violation> => {
  const ofJob = evidence.byJob.get(job.id) ?? []
  const wanted = new Set(occurrences(job.times).filter((at) => at <= (job.removedAt ?? Infinity)))
  const byTime = groupBy(ofJob, ({ scheduledAt }) => String(scheduledAt))
  const records = evidence.recordsOf.get(job.id) ?? []
  const judge = (time: number) => {
    const attempts = byTime.get(String(time)) ?? []
    return checkTime({ evidence, job, time, attempts, ofJob, records, accounts: accountsOf(records, time) })
  }
  const drops = evidence.drops?.filter((drop) => drop.job === job.id) ?? []
  return [
    ...checkExtra(byTime, wanted),
    ...checkUnwanted(records, wanted),
    ...[...wanted].flatMap(judge),
    ...drops.flatMap((drop) => checkDrop(drop, records, wanted))
  ]
}

/** What was told of dropped times must be what is recorded, to the number. */
const checkDrop = (drop: Drop, records: ReadonlyArray<Recorded>, wanted: ReadonlySet<number>) => {
  const count = [...wanted].filter((time) => drop.first <= time && time <= drop.last).length
  const isRecorded = records.some(
    ({ covers }) => covers?.as === "dropped" && covers.first === drop.first && covers.last === drop.last
  )
  const detail = `told ${drop.count} dropped, ${drop.first} to ${drop.last}; there are ${isRecorded ? count : "none"}`
  return isRecorded && drop.count === count ? [] : [violation("Miscounted", { job: drop.job, runId: "" }, detail)]
}

const checkExtra = (byTime: ReadonlyMap<string, ReadonlyArray<Attempt>>, wanted: ReadonlySet<number>) =>
  [...byTime].flatMap(([time, [first, ...others]]) => {
    const second = others.find(({ runId }) => runId !== first!.runId)
    if (second !== undefined) return [violation("Extra", second, `a second run for ${time}`)]
    return wanted.has(Number(time)) ? [] : [violation("Extra", first!, `${time} is none of its times`)]
  })

const checkUnwanted = (records: ReadonlyArray<Recorded>, wanted: ReadonlySet<number>) =>
  records
    .filter(({ scheduledAt }) => !wanted.has(scheduledAt))
    .map((record) => violation("Extra", record, `the store has a run for ${record.scheduledAt}`))

/** All that the store says of a time: the state of its run, or of a run that stands for it. */
const accountsOf = (records: ReadonlyArray<Recorded>, time: number): ReadonlyArray<string> =>
  records.flatMap(({ covers, scheduledAt, state }) => {
    const isCovered = covers !== undefined && covers.first <= time && time <= covers.last && time !== scheduledAt
    return [
      ...(scheduledAt === time ? [state] : []),
      ...(isCovered ? [covers.as === "dropped" ? "Dropped" : "Coalesced"] : [])
    ]
  })

const checkTime = (occurrence: Occurrence): ReadonlyArray<Violation> => {
  const { accounts, evidence, job, time } = occurrence
  const said = (tag: "Extra" | "Missing", detail: string) => [violation(tag, { job: job.id, runId: "" }, detail)]
  if (accounts.length > 1) return said("Extra", `${time} is accounted for more than once: ${accounts.join(", ")}`)
  if (occurrence.attempts.some(({ end }) => end !== undefined)) return []
  if (job.isUnsure === true || time > (job.removedAt ?? Infinity) - evidence.timing.patience) return []
  const excuses = excusesOf(occurrence)
  // Without the store's opinion any excuse will do.
  if (evidence.records === undefined) return excuses.length > 0 ? [] : said("Missing", `nothing for ${time}`)
  const isExcused = accounts.some((account) => excuses.some((excuse) => excuse === account))
  const reasons = `the store says ${accounts[0] ?? "nothing"}, the log allows ${excuses.join(", ") || "nothing"}`
  return isExcused ? [] : said("Missing", `nothing for ${time}: ${reasons}`)
}

/** What the log allows for. */
const excusesOf = (occurrence: Occurrence): ReadonlyArray<Account> => {
  const { attempts, job } = occurrence
  const unbegun: ReadonlyArray<readonly [Account, boolean]> = [
    ["Skipped", job.overlap === "skip" && isFull(occurrence)],
    ["Missed", job.grace !== undefined && (mayBeLate(occurrence, job.grace) || isFull(occurrence))],
    ["Coalesced", job.coalesce === "latest" && isCovered(occurrence)],
    ["Dropped", job.catchUpLimit !== undefined && mayBeLate(occurrence, job.catchUpLimit * job.times.period)]
  ]
  const begun: ReadonlyArray<readonly [Account, boolean]> = [["Abandoned", wasAbandoned(occurrence)]]
  return [...begun, ...(attempts.length === 0 ? unbegun : [])].flatMap(([account, is]) => (is ? [account] : []))
}

/** One that must not be repeated may be cut off anywhere, even before its first line; others only so often. */
const wasAbandoned = (occurrence: Occurrence): boolean => {
  const { attempts, job } = occurrence
  if (job.onCrash === "abandon") return attempts.length > 0 || wasDisturbed(occurrence, 0)
  const died = attempts.filter((attempt) =>
    faultsOf(occurrence.evidence, attempt.pid).some(({ kind }) => kind !== "clock")
  )
  return job.crashLimit !== undefined && died.length > job.crashLimit
}

/** Whether a time may be later than this: after a fault, or by a clock that is ahead of the others. */
const mayBeLate = (occurrence: Occurrence, millis: number): boolean =>
  occurrence.evidence.timing.skew >= millis || wasDisturbed(occurrence, millis)

/** Whether a fault may have kept a time waiting for so long. */
const wasDisturbed = ({ evidence: { faults, timing }, time }: Occurrence, millis: number): boolean =>
  faults.some(
    ({ from, kind, to }) => kind !== "left" && to >= time - timing.patience && from <= time + millis + timing.patience
  )

/** Whether a later run, or one that was skipped, may stand for a time: whoever started anything in between would have
 * made a run for it. */
const isCovered = ({ evidence: { starts, timing }, ofJob, records, time }: Occurrence): boolean => {
  const later = Math.min(...[...ofJob, ...records].map(({ scheduledAt }) => scheduledAt).filter((at) => at > time))
  if (!Number.isFinite(later)) return false
  return later <= time + timing.patience || !isAnyBetween(starts, time + timing.patience, later)
}

const isAnyBetween = (sorted: ReadonlyArray<number>, from: number, to: number): boolean => {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! <= from) low = middle + 1
    else high = middle
  }
  return low < sorted.length && sorted[low]! < to
}

/** Whether earlier runs of the job, also such as never started, may have taken all its places at an instant. */
const isFull = ({ evidence: { timing }, job, ofJob, records, time }: Occurrence): boolean => {
  const since = time - timing.patience
  const held = [
    ...ofJob.filter(({ until }) => until >= since),
    ...records.filter(({ finishedAt = 0, state }) => state !== "Skipped" && finishedAt >= since)
  ]
  const earlier = held.filter(({ scheduledAt }) => scheduledAt < time)
  return new Set(earlier.map(({ runId }) => runId)).size >= job.maxInstances
}
