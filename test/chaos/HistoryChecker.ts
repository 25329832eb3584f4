/** Judges what the nodes of a cluster did by what they logged, as Jepsen's checker for Chronos does: a pure function. */

/** A recurring job has a time every `period` from `first` to `last`, in epoch milliseconds; a one-off job has one. */
export interface Times {
  readonly first: number
  readonly last: number
  readonly period: number
}

export interface JobSpec {
  readonly id: string
  readonly times: Times
  readonly coalesce: "all" | "latest"
  readonly overlap: "skip" | "queue"
  readonly maxInstances: number
  readonly onCrash: "retry" | "abandon"
  /** What fell due shortly before its removal may run or not, what falls due later must not. */
  readonly removedAt?: number
  /** Its client had no answer: it may be there or not. */
  readonly isUnsure?: boolean
}

/** One line of a node's log. */
export interface Entry {
  readonly event: "start" | "end" | "interrupted"
  readonly job: string
  readonly incarnation: number
  readonly scheduledAt: number
  readonly runId: string
  readonly attempt: number
  readonly node: string
  readonly pid: number
  readonly at: number
}

/** What befell a process, or all of them. `left` is the end of a process that nobody forced. */
export interface Fault {
  readonly kind: "killed" | "stopped" | "cut" | "left"
  readonly pid: number | "all"
  readonly from: number
  readonly to: number
}

export interface Timing {
  readonly lease: number
  readonly renewal: number
  /** How long after its return a node may take to notice that it was taken for dead. */
  readonly notice: number
  /** How much later than a due time a run may be due that stands for it, and an end may be settled. */
  readonly patience: number
}

/** How the store says that a run ended, for comparison only. */
export interface Recorded {
  readonly runId: string
  readonly state: string
  readonly attempt: number
}

export interface History {
  readonly jobs: ReadonlyArray<JobSpec>
  readonly log: ReadonlyArray<Entry>
  readonly faults: ReadonlyArray<Fault>
  readonly timing: Timing
  readonly records?: ReadonlyArray<Recorded>
}

export type Tag =
  /** An occurrence for which nothing ran. */
  | "Missing"
  /** A run that nobody asked for: at a time that is none, or a second one for its time. */
  | "Extra"
  /** A run that ended well twice, though its first holder had not lost it. */
  | "Doubled"
  /** Two attempts of one run at once, though the earlier one had not lost it, or did not notice. */
  | "Overlapping"
  | "AttemptWentBack"
  | "StartedAfterEnd"
  /** Another attempt where there was no cause for one. */
  | "Repeated"
  /** More runs of a job at once than `maxInstances`. */
  | "TooMany"
  /** A run before its time. */
  | "Early"
  /** What the store recorded is not what the nodes did. */
  | "Disagreeing"

export interface Violation {
  readonly tag: Tag
  readonly job: string
  readonly runId: string
  readonly detail: string
}

export interface Attempt extends Omit<Entry, "event" | "at"> {
  readonly start: number
  /** When it ended well. */
  readonly end: number | undefined
  /** When it was over, however it was. */
  readonly until: number
}

/** Clocks of one machine differ by no more, in milliseconds. */
const IMPRECISION = 5

export const occurrences = ({ first, last, period }: Times): ReadonlyArray<number> =>
  Array.from({ length: Math.floor((last - first) / period) + 1 }, (_, index) => first + index * period)

/** Every violation that a history has; a healthy one has none. */
export const check = (history: History): ReadonlyArray<Violation> => {
  const attempts = toAttempts(history)
  const runs = groupBy(attempts, ({ runId }) => runId)
  const byJob = groupBy(attempts, ({ job }) => job)
  return [
    ...checkUnknown(history, attempts),
    ...history.jobs.flatMap((job) => checkTimes(history, job, byJob.get(job.id) ?? [])),
    ...history.jobs.flatMap((job) => checkInstances(history, job, byJob.get(job.id) ?? [])),
    ...[...runs.values()].flatMap((run) => checkRun(history, run)),
    ...checkRecords(history, runs)
  ]
}

/** The attempts of a log in the order of their starts. */
export const toAttempts = ({ faults, log }: Pick<History, "faults" | "log">): ReadonlyArray<Attempt> => {
  const nameOf = ({ attempt, pid, runId }: Entry) => `${pid} ${attempt} ${runId}`
  const ends = groupBy(
    log.filter(({ event }) => event !== "start"),
    nameOf
  )
  const deaths = groupBy(
    faults.filter(({ kind }) => kind === "killed" || kind === "left"),
    ({ pid }) => String(pid)
  )
  return log
    .filter(({ event }) => event === "start")
    .map(({ at, event: _, ...entry }) => {
      const own = ends.get(nameOf({ ...entry, at, event: "start" })) ?? []
      const death = Math.min(...(deaths.get(String(entry.pid)) ?? []).map(({ to }) => to))
      const end = own.find(({ event }) => event === "end")?.at
      return { ...entry, start: at, end, until: Math.min(death, ...own.map((entry) => entry.at)) }
    })
    .sort((one, other) => one.start - other.start || one.attempt - other.attempt)
}

const groupBy = <A>(items: ReadonlyArray<A>, keyOf: (item: A) => string): Map<string, Array<A>> => {
  const groups = new Map<string, Array<A>>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group === undefined) groups.set(keyOf(item), [item])
    else group.push(item)
  }
  return groups
}

// ---------------------------------------------------------------------------------------------------------------------
// what excuses what
// ---------------------------------------------------------------------------------------------------------------------

const hits = (fault: Fault, pid: number): boolean => fault.kind !== "left" && (fault.pid === "all" || fault.pid === pid)

/** The faults by which an attempt may have lost its run before an instant, or its end may not have been recorded. */
export const causes = ({ faults, timing }: Pick<History, "faults" | "timing">, attempt: Attempt, before: number) =>
  faults.filter(
    (fault) =>
      hits(fault, attempt.pid) &&
      fault.from <= Math.min(before, attempt.until + timing.patience) &&
      fault.to >= attempt.start - timing.notice
  )

/** Whether its node was away for so long before an instant that others may have taken over what it held. */
const hadLost = (history: History, attempt: Attempt, before: number): boolean =>
  causes(history, attempt, before).some(({ from, kind }) => {
    // The last sign of life came at most one renewal, and its lateness, before the fault.
    const { lease, notice, renewal } = history.timing
    return kind === "killed" || before - from >= Math.max(0, lease - renewal - notice)
  })

/** Whether an attempt went on long after its node had come back. */
const isUnaware = (history: History, attempt: Attempt, before: number): boolean =>
  causes(history, attempt, before).every(({ to }) => attempt.until > to + history.timing.notice)

// ---------------------------------------------------------------------------------------------------------------------
// the times of a job
// ---------------------------------------------------------------------------------------------------------------------

const violation = (
  tag: Tag,
  { job, runId }: { readonly job: string; readonly runId: string },
  detail: string
): Violation => ({ tag, job, runId, detail })

const checkUnknown = ({ jobs }: History, attempts: ReadonlyArray<Attempt>): ReadonlyArray<Violation> => {
  const known = new Set(jobs.map(({ id }) => id))
  return attempts
    .filter(({ attempt, job }) => attempt === 1 && !known.has(job))
    .map((attempt) => violation("Extra", attempt, "no such job"))
}

const checkTimes = (history: History, job: JobSpec, attempts: ReadonlyArray<Attempt>): ReadonlyArray<Violation> => {
  const wanted = new Set(occurrences(job.times).filter((at) => at <= (job.removedAt ?? Infinity)))
  const byTime = groupBy(attempts, ({ scheduledAt }) => String(scheduledAt))
  const extra = [...byTime].flatMap(([time, [first, ...others]]) => {
    const second = others.find(({ runId }) => runId !== first!.runId)
    const isNone = !wanted.has(Number(time))
    if (second !== undefined) return [violation("Extra", second, `a second run for ${time}`)]
    return isNone ? [violation("Extra", first!, `${time} is none of its times`)] : []
  })
  const missing = [...wanted].filter((time) => isMissing(history, job, attempts, byTime, time))
  return [...extra, ...missing.map((time) => violation("Missing", { job: job.id, runId: "" }, `nothing for ${time}`))]
}

const isMissing = (
  history: History,
  job: JobSpec,
  attempts: ReadonlyArray<Attempt>,
  byTime: ReadonlyMap<string, ReadonlyArray<Attempt>>,
  time: number
): boolean => {
  const { faults, timing } = history
  if (job.isUnsure === true || time > (job.removedAt ?? Infinity) - timing.patience) return false
  const own = byTime.get(String(time)) ?? []
  // One that must not be repeated may be cut off anywhere, even before its first line.
  if (
    job.onCrash === "abandon" &&
    (own.length > 0 || faults.some(({ kind, to }) => kind !== "left" && to >= time - timing.patience))
  ) {
    return false
  }
  if (own.some(({ end }) => end !== undefined)) return false
  if (own.length > 0) return true
  const isSkipped = job.overlap === "skip" && isFull(history, job, attempts, time)
  return !isSkipped && !(job.coalesce === "latest" && isCovered(history, attempts, time))
}

/** Whether a later run may stand for a time: whoever started anything in between would have made a run for it. */
const isCovered = ({ log, timing }: History, attempts: ReadonlyArray<Attempt>, time: number): boolean => {
  const later = Math.min(...attempts.map(({ scheduledAt }) => scheduledAt).filter((at) => at > time))
  const isBusy = ({ at, event }: Entry) => event === "start" && at > time + timing.patience && at < later
  return later <= time + timing.patience || (Number.isFinite(later) && !log.some(isBusy))
}

/** Whether earlier runs of the job may have taken all its places at an instant. */
const isFull = ({ timing }: History, job: JobSpec, attempts: ReadonlyArray<Attempt>, time: number): boolean => {
  const earlier = attempts.filter(({ scheduledAt, until }) => scheduledAt < time && until + timing.patience >= time)
  return new Set(earlier.map(({ runId }) => runId)).size >= job.maxInstances
}

const checkInstances = (history: History, job: JobSpec, attempts: ReadonlyArray<Attempt>): ReadonlyArray<Violation> =>
  attempts.flatMap((attempt) => {
    const others = attempts.filter(
      (other) =>
        other.runId !== attempt.runId &&
        other.start < attempt.start &&
        other.until > attempt.start &&
        !hadLost(history, other, attempt.start)
    )
    const runs = new Set(others.map(({ runId }) => runId))
    return runs.size < job.maxInstances ? [] : [violation("TooMany", attempt, `beside ${[...runs].join(", ")}`)]
  })

// ---------------------------------------------------------------------------------------------------------------------
// the attempts of a run
// ---------------------------------------------------------------------------------------------------------------------

const checkRun = (history: History, run: ReadonlyArray<Attempt>): ReadonlyArray<Violation> => {
  const pairs = run.flatMap((later, index) => run.slice(0, index).map((earlier) => [earlier, later] as const))
  return [
    ...run
      .filter(({ scheduledAt, start }) => start < scheduledAt - IMPRECISION)
      .map((attempt) => violation("Early", attempt, `${attempt.scheduledAt - attempt.start} ms before its time`)),
    ...pairs.flatMap(([earlier, later]) => checkPair(history, earlier, later)),
    ...run.flatMap((attempt) => checkCause(history, run, attempt))
  ]
}

const checkPair = (history: History, earlier: Attempt, later: Attempt): ReadonlyArray<Violation> => {
  const said = (tag: Tag) => [violation(tag, later, `${describe(earlier)}, then ${describe(later)}`)]
  const isStale = causes(history, later, later.start).length > 0
  if (later.attempt <= earlier.attempt && !isStale) return said("AttemptWentBack")
  if (earlier.end !== undefined && later.end !== undefined && !mayRepeat(history, earlier, later)) {
    return said("Doubled")
  }
  if (earlier.end !== undefined && later.start >= earlier.end) {
    return mayRepeat(history, earlier, later) ? [] : said("StartedAfterEnd")
  }
  if (later.start >= earlier.until || later.attempt <= earlier.attempt) return []
  const isHeld = !hadLost(history, earlier, later.start) || isUnaware(history, earlier, later.start)
  return isHeld ? said("Overlapping") : []
}

const mayRepeat = (history: History, earlier: Attempt, later: Attempt): boolean => {
  const isZombie = causes(history, later, later.start).length > 0
  return isZombie || causes(history, earlier, later.start).length > 0
}

/** Why there was another attempt: the one before was cut off, or a fault may have cut it off before its first line. */
const checkCause = (history: History, run: ReadonlyArray<Attempt>, attempt: Attempt): ReadonlyArray<Violation> => {
  if (attempt.attempt === 1) return []
  const job = history.jobs.find(({ id }) => id === attempt.job)
  if (job?.onCrash === "abandon") return [violation("Repeated", attempt, "its job wants no second attempt")]
  const before = run.find((other) => other.attempt === attempt.attempt - 1)
  const isCaused =
    before === undefined
      ? history.faults.some(({ from, kind }) => kind !== "left" && from <= attempt.start)
      : before.until !== before.end || causes(history, before, attempt.start).length > 0
  return isCaused ? [] : [violation("Repeated", attempt, "nothing had befallen the attempt before")]
}

const describe = ({ attempt, end, node, pid, start, until }: Attempt): string =>
  `attempt ${attempt} on ${node} (${pid}) ${start}–${end === undefined ? `cut off ${until}` : end}`

// ---------------------------------------------------------------------------------------------------------------------
// the store's opinion
// ---------------------------------------------------------------------------------------------------------------------

const checkRecords = (
  { records }: History,
  runs: ReadonlyMap<string, ReadonlyArray<Attempt>>
): ReadonlyArray<Violation> => {
  if (records === undefined) return []
  const known = new Map(records.map((record) => [record.runId, record]))
  const unrecorded = [...runs].filter(([runId]) => !known.has(runId)).map(([, [attempt]]) => attempt!)
  const wrong = records.filter((record) => !isTrue(record, runs.get(record.runId) ?? []))
  return [
    ...unrecorded.map((attempt) => violation("Disagreeing", attempt, "the store does not know it")),
    ...wrong.map(({ attempt, runId, state }) => {
      const job = runs.get(runId)?.[0]?.job ?? ""
      return violation("Disagreeing", { job, runId }, `the store says ${state} by attempt ${attempt}`)
    })
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

// ---------------------------------------------------------------------------------------------------------------------
// take-over
// ---------------------------------------------------------------------------------------------------------------------

/** How long after the fault that cut them off runs were started again, in milliseconds, sorted. */
export const takeOvers = (history: History): ReadonlyArray<number> => {
  const runs = groupBy(toAttempts(history), ({ runId }) => runId)
  return [...runs.values()]
    .flatMap((run) =>
      run.slice(1).flatMap((attempt, index) => {
        const [first] = causes(history, run[index]!, attempt.start).filter(
          ({ from }) => from >= run[index]!.start && run[index]!.until >= from
        )
        return first === undefined || attempt.attempt <= run[index]!.attempt ? [] : [attempt.start - first.from]
      })
    )
    .sort((one, other) => one - other)
}
