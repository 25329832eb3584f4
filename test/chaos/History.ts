/** What nodes did and what befell them, as they logged it, put in order for the checker. */

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
  /** How much later than its time a run may start, in milliseconds; by default it may be as late as it likes. */
  readonly grace?: number
  /** How many missed times are made up for at most; by default all of them. */
  readonly catchUpLimit?: number
  /** How often a run may be cut off before it is given up; by default as often as it happens. */
  readonly crashLimit?: number
  /** What fell due shortly before its removal may run or not, what falls due later must not. */
  readonly removedAt?: number
  /** Its client had no answer: it may be there or not. */
  readonly isUnsure?: boolean
}

/** One line of a node's log about an attempt. */
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
  /** How long it has to work, in milliseconds; told by the nodes when it starts. */
  readonly work?: number
}

/** A sign of life that a node gave to the store at an instant: the one that began its lease, or one that prolonged it. */
export interface Sign {
  readonly event: "sign"
  readonly pid: number
  /** Its id in the store. */
  readonly id: string
  readonly at: number
}

/**
 * What befell a process, or all of them: it was `killed`, stood still, was `cut` off from the store, or its clock was set.
 * `left` is the end of a process that nobody forced.
 */
export interface Fault {
  readonly kind: "killed" | "stopped" | "cut" | "clock" | "left"
  readonly pid: number | "all"
  readonly from: number
  readonly to: number
}

export interface Timing {
  readonly lease: number
  /** How far the clocks of two nodes may be apart. */
  readonly skew: number
  /** How long after its return a node may take to notice that it was taken for dead. */
  readonly notice: number
  /** How long after its node's last sign of life a run must have been taken over. */
  readonly takeOver: number
  /** How much later than a due time a run may be due that stands for it, and an end may be settled. */
  readonly patience: number
}

/** How the store says that a run ended, and for which times it stands besides its own; for comparison only. */
export interface Recorded {
  readonly runId: string
  readonly job: string
  readonly scheduledAt: number
  readonly state: string
  readonly attempt: number
  readonly finishedAt?: number
  readonly covers?: { readonly first: number; readonly last: number; readonly as: "coalesced" | "dropped" }
}

/** What a node told of times that it gave up. */
export interface Drop {
  readonly job: string
  readonly first: number
  readonly last: number
  readonly count: number
}

export interface History {
  readonly jobs: ReadonlyArray<JobSpec>
  readonly log: ReadonlyArray<Entry>
  readonly signs: ReadonlyArray<Sign>
  readonly faults: ReadonlyArray<Fault>
  readonly timing: Timing
  readonly records?: ReadonlyArray<Recorded>
  readonly drops?: ReadonlyArray<Drop>
}

export interface Attempt extends Omit<Entry, "event" | "at"> {
  readonly start: number
  /** When it ended well. */
  readonly end: number | undefined
  /** When it was over, however it was. */
  readonly until: number
}

/** A history in the order in which it is judged. */
export interface Evidence extends History {
  readonly attempts: ReadonlyArray<Attempt>
  readonly runs: ReadonlyMap<string, ReadonlyArray<Attempt>>
  readonly byJob: ReadonlyMap<string, ReadonlyArray<Attempt>>
  readonly byId: ReadonlyMap<string, JobSpec>
  readonly recordsOf: ReadonlyMap<string, ReadonlyArray<Recorded>>
  readonly signsOf: ReadonlyMap<string, ReadonlyArray<Sign>>
  readonly faultsOf: ReadonlyMap<string, ReadonlyArray<Fault>>
  /** When attempts started, sorted, but for those soon after all nodes had been cut off: much was to be done then. */
  readonly starts: ReadonlyArray<number>
}

/** Clocks of one machine differ by no more, in milliseconds. */
export const IMPRECISION = 5

export const gather = (history: History): Evidence => {
  const attempts = toAttempts(history)
  return {
    ...history,
    attempts,
    runs: groupBy(attempts, ({ runId }) => runId),
    byJob: groupBy(attempts, ({ job }) => job),
    byId: new Map(history.jobs.map((job) => [job.id, job])),
    recordsOf: groupBy(history.records ?? [], ({ job }) => job),
    signsOf: groupBy(
      history.signs.toSorted((one, other) => one.at - other.at),
      ({ pid }) => String(pid)
    ),
    faultsOf: groupBy(history.faults, ({ pid }) => String(pid)),
    starts: calmStarts(history, attempts)
  }
}

const calmStarts = ({ faults, timing }: History, attempts: ReadonlyArray<Attempt>): ReadonlyArray<number> => {
  const common = faults.filter(({ pid }) => pid === "all")
  const isCalm = (at: number) => !common.some(({ from, to }) => from <= at && at <= to + 2 * timing.patience)
  return attempts.map(({ start }) => start).filter(isCalm)
}

export const occurrences = ({ first, last, period }: Times): ReadonlyArray<number> =>
  Array.from({ length: Math.floor((last - first) / period) + 1 }, (_, index) => first + index * period)

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
    .map(({ at, event: _, work: __, ...entry }) => {
      const own = ends.get(nameOf({ ...entry, at, event: "start" })) ?? []
      const death = Math.min(...(deaths.get(String(entry.pid)) ?? []).map(({ to }) => to))
      const end = own.find(({ event }) => event === "end")?.at
      return { ...entry, start: at, end, until: Math.min(death, ...own.map((entry) => entry.at)) }
    })
    .sort((one, other) => one.start - other.start || one.attempt - other.attempt)
}

export const groupBy = <A>(items: ReadonlyArray<A>, keyOf: (item: A) => string): Map<string, Array<A>> => {
  const groups = new Map<string, Array<A>>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group === undefined) groups.set(keyOf(item), [item])
    else group.push(item)
  }
  return groups
}

/** The faults that befell a process. */
export const faultsOf = ({ faultsOf }: Evidence, pid: number): ReadonlyArray<Fault> => [
  ...(faultsOf.get(String(pid)) ?? []).filter(({ kind }) => kind !== "left"),
  ...(faultsOf.get("all") ?? [])
]

/** The faults by which an attempt may have lost its run before an instant, or its end may not have been recorded. */
export const causes = (evidence: Evidence, attempt: Attempt, before: number): ReadonlyArray<Fault> => {
  const { notice, patience } = evidence.timing
  return faultsOf(evidence, attempt.pid).filter(
    ({ from, to }) => from <= Math.min(before, attempt.until + patience) && to >= attempt.start - notice
  )
}

/** The last sign of life before an instant by which a node held what it had when an attempt started. */
export const lastSign = ({ signsOf }: Evidence, { pid, start }: Attempt, before: number): Sign | undefined => {
  const signs = signsOf.get(String(pid)) ?? []
  const id = signs.findLast(({ at }) => at <= start)?.id
  return signs.findLast((sign) => sign.id === id && sign.at <= before)
}
