import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import {
  type Entry,
  type Fault,
  type History,
  type JobSpec,
  occurrences,
  type Recorded,
  type Sign,
  toAttempts
} from "./chaos/History.ts"
import { check } from "./chaos/HistoryChecker.ts"
import { takeOvers } from "./chaos/TakeOver.ts"
import type { Tag } from "./chaos/Violation.ts"

const timing: History["timing"] = { lease: 3000, skew: 0, notice: 500, takeOver: 5000, patience: 4000 }

const T0 = 1_000_000_000_000

const job = (options: Partial<JobSpec> = {}): JobSpec => ({
  id: "job",
  times: { first: T0, last: T0 + 9000, period: 1000 },
  coalesce: "all",
  overlap: "queue",
  maxInstances: 1,
  onCrash: "retry",
  ...options
})

/** The lines of an attempt that starts and ends at such times after the start of the world. */
const lines = (
  { id, scheduledAt }: { readonly id: string; readonly scheduledAt: number },
  options: { attempt?: number; pid?: number; start: number; end?: number | undefined }
): ReadonlyArray<Entry> => {
  const { attempt = 1, end, pid = 1, start } = options
  const line = { job: id, incarnation: 1, scheduledAt, runId: `${id}/1/${scheduledAt}`, attempt, node: `n${pid}`, pid }
  const begun: Entry = { ...line, event: "start", at: start }
  return end === undefined ? [begun] : [begun, { ...line, event: "end", at: end }]
}

/** Every occurrence runs once, at once, and on time. */
const smooth = (job: JobSpec): ReadonlyArray<Entry> =>
  occurrences(job.times).flatMap((scheduledAt, index) =>
    lines({ id: job.id, scheduledAt }, { pid: 1 + (index % 3), start: scheduledAt + 10, end: scheduledAt + 300 })
  )

/** Every process that works gives a sign of life each second, unless a fault keeps it from doing so. */
const signs = (log: ReadonlyArray<Entry>, faults: ReadonlyArray<Fault>): ReadonlyArray<Sign> =>
  [...new Set(log.map(({ pid }) => pid))].flatMap((pid) => {
    const own = faults.filter((fault) => fault.pid === pid)
    const isAway = (at: number) => own.some(({ from, kind, to }) => from <= at && (at <= to || kind === "killed"))
    const begun = Math.min(...log.filter((entry) => entry.pid === pid).map(({ at }) => at))
    const times = Array.from({ length: 100 }, (_, index) => begun - 500 + 1000 * index).filter((at) => !isAway(at))
    // Whoever was away for too long comes back under another name.
    const idOf = (at: number) => `${pid}/${own.filter(({ from, to }) => to < at && to - from > timing.lease).length}`
    return times.map((at): Sign => ({ event: "sign", pid, id: idOf(at), at }))
  })

const history = (log: ReadonlyArray<Entry>, faults: ReadonlyArray<Fault> = [], one = job()): History => ({
  jobs: [one],
  log,
  signs: signs(log, faults),
  faults,
  timing
})

/** The history with what a store says that knows of all of it, and of these runs besides. */
const recorded = (history: History, ...more: ReadonlyArray<Recorded>): History => {
  const ended = toAttempts(history).filter(({ end }) => end !== undefined)
  const records = ended.map(({ attempt, job, runId, scheduledAt }) => ({
    ...{ runId, job, scheduledAt, attempt },
    state: "Succeeded"
  }))
  return { ...history, records: [...records, ...more] }
}

const record = (index: number, state: string, options: Partial<Recorded> = {}): Recorded => ({
  ...{ runId: `job/1/${at(index).scheduledAt}`, job: "job", scheduledAt: at(index).scheduledAt, attempt: 0, state },
  ...options
})

const tags = (history: History): ReadonlyArray<Tag> => [...new Set(check(history).map(({ tag }) => tag))]

const at = (index: number) => ({ id: "job", scheduledAt: T0 + 1000 * index })

/** A smooth log in which the third occurrence went otherwise. */
const with3rd = (...entries: ReadonlyArray<ReadonlyArray<Entry>>): ReadonlyArray<Entry> => [
  ...smooth(job()).filter(({ scheduledAt }) => scheduledAt !== at(2).scheduledAt),
  ...entries.flat()
]

const third = (options: { attempt?: number; pid?: number; start: number; end?: number }) =>
  lines(at(2), {
    ...options,
    start: at(2).scheduledAt + options.start,
    end: options.end === undefined ? undefined : at(2).scheduledAt + options.end
  })

const fault = (kind: Fault["kind"], from: number, to: number, pid: Fault["pid"] = 7): Fault => ({
  ...{ kind, pid },
  from: at(2).scheduledAt + from,
  to: at(2).scheduledAt + to
})

describe("a healthy history", () => {
  it("has no violation", () => assert.deepStrictEqual(check(history(smooth(job()))), []))

  it("may run again what a kill cut off, and says how long that took", () => {
    const log = with3rd(third({ pid: 7, start: 10 }), third({ attempt: 2, pid: 2, start: 3300, end: 3500 }))
    const killed = history(log, [fault("killed", 100, 110)], job({ maxInstances: 9 }))
    assert.deepStrictEqual(check(killed), [])
    assert.deepStrictEqual(takeOvers(killed), [{ sinceFault: 3200, sinceSign: 3790 }])
  })

  it("may run again what a kill cut off between its last line and its settlement", () => {
    const log = with3rd(third({ pid: 7, start: 10, end: 90 }), third({ attempt: 2, pid: 2, start: 3300, end: 3500 }))
    assert.deepStrictEqual(check(history(log, [fault("killed", 100, 110)], job({ maxInstances: 9 }))), [])
  })

  it("may run again what stood still, and let the old attempt go on until it notices", () => {
    const zombie = { ...third({ pid: 7, start: 10, end: 5300 })[1]!, event: "interrupted" as const }
    const log = with3rd(
      [third({ pid: 7, start: 10 })[0]!, zombie],
      third({ attempt: 2, pid: 2, start: 3300, end: 3500 })
    )
    assert.deepStrictEqual(check(history(log, [fault("stopped", 100, 5100)], job({ maxInstances: 9 }))), [])
  })

  it("may leave out what a later run stands for, what finds no place, and what must not be repeated", () => {
    const without = smooth(job()).filter(({ scheduledAt }) => scheduledAt !== at(2).scheduledAt)
    assert.deepStrictEqual(check(history(without, [], job({ coalesce: "latest" }))), [])
    assert.deepStrictEqual(check(history(without, [], job({ overlap: "skip" }))), [])
    const killed = fault("killed", 5, 10)
    assert.deepStrictEqual(check(history(without, [killed], job({ onCrash: "abandon" }))), [])
    assert.deepStrictEqual(check(history([], [], job({ isUnsure: true }))), [])
  })

  it("may leave out what fell due just before its job was removed", () => {
    const removed = job({ removedAt: at(5).scheduledAt + 500 })
    const log = (last: number) => smooth(job()).filter(({ scheduledAt }) => scheduledAt <= at(last).scheduledAt)
    assert.deepStrictEqual(check(history(log(5), [], removed)), [])
    assert.deepStrictEqual(check(history(log(4), [], removed)), [])
    assert.deepStrictEqual(tags(history(log(6), [], removed)), ["Extra"])
    assert.deepStrictEqual(tags(history(log(0), [], removed)), ["Missing"])
  })
})

/** The third occurrence did not run, at a time when its node was away. */
const withoutThird = (options: Partial<JobSpec>, ...more: ReadonlyArray<Recorded>): History => {
  const away = fault("stopped", -200, 900)
  const kept = more.some(({ runId }) => runId === `job/1/${at(3).scheduledAt}`)
  const log = smooth(job()).filter(({ scheduledAt }) => scheduledAt !== at(2).scheduledAt)
  const one = recorded(history(log, [away], job(options)))
  const records = one.records!.filter(({ scheduledAt }) => !(kept && scheduledAt === at(3).scheduledAt))
  return { ...one, records: [...records, ...more] }
}

/** The same with no fault, but with clocks that are so far apart. */
const skewed = (skew: number, ...args: Parameters<typeof withoutThird>): History => ({
  ...withoutThird(...args),
  faults: [],
  timing: { ...timing, skew }
})

const covering = (as: "coalesced" | "dropped", from: number, to: number): Recorded =>
  record(3, "Succeeded", { attempt: 1, covers: { first: at(from).scheduledAt, last: at(to).scheduledAt, as } })

const drop = (from: number, to: number, count: number) => ({
  ...{ job: "job", first: at(from).scheduledAt, last: at(to).scheduledAt, count }
})

describe("an occurrence that did not run", () => {
  const allowed: ReadonlyArray<readonly [name: string, history: History]> = [
    ["skipped", withoutThird({ overlap: "skip" }, record(2, "Skipped"))],
    ["missed", withoutThird({ grace: 500 }, record(2, "Missed"))],
    ["missed by a clock that is ahead", skewed(500, { grace: 500, maxInstances: 9 }, record(2, "Missed"))],
    ["dropped by a clock that is ahead", skewed(1000, { catchUpLimit: 1 }, covering("dropped", 2, 2))],
    ["coalesced into the next one", withoutThird({ coalesce: "latest" }, covering("coalesced", 2, 3))],
    ["dropped", { ...withoutThird({ catchUpLimit: 1 }, covering("dropped", 2, 2)), drops: [drop(2, 2, 1)] }]
  ]
  for (const [name, history] of allowed) {
    it(`may be recorded as ${name}`, () => assert.deepStrictEqual(check(history), []))
  }

  const refused: ReadonlyArray<readonly [name: string, tag: Tag, history: History]> = [
    ["not recorded at all", "Missing", withoutThird({ overlap: "skip", coalesce: "latest", grace: 500 })],
    ["skipped while it may queue", "Missing", withoutThird({}, record(2, "Skipped"))],
    [
      "skipped while there is room",
      "Missing",
      withoutThird({ overlap: "skip", maxInstances: 9 }, record(2, "Skipped"))
    ],
    ["missed though it may be late", "Missing", withoutThird({}, record(2, "Missed"))],
    [
      "missed by a clock that is ahead by less",
      "Missing",
      skewed(499, { grace: 500, maxInstances: 9 }, record(2, "Missed"))
    ],
    ["missed by a clock, though it may be late", "Missing", skewed(500, { maxInstances: 9 }, record(2, "Missed"))],
    ["coalesced though all are wanted", "Missing", withoutThird({}, covering("coalesced", 2, 3))],
    ["dropped though all are made up for", "Missing", withoutThird({}, covering("dropped", 2, 2))],
    ["pending for ever", "Missing", withoutThird({ overlap: "skip" }, record(2, "Pending"))],
    [
      "both skipped and coalesced",
      "Extra",
      withoutThird({ overlap: "skip", coalesce: "latest" }, record(2, "Skipped"), covering("coalesced", 2, 3))
    ],
    ["dropped with one that ran", "Extra", withoutThird({ catchUpLimit: 1 }, covering("dropped", 1, 2))],
    [
      "told as more than were dropped",
      "Miscounted",
      { ...withoutThird({ catchUpLimit: 1 }, covering("dropped", 2, 2)), drops: [drop(2, 2, 2)] }
    ],
    [
      "told as dropped and not recorded so",
      "Miscounted",
      { ...withoutThird({ overlap: "skip" }, record(2, "Skipped")), drops: [drop(2, 2, 1)] }
    ]
  ]
  for (const [name, tag, history] of refused) {
    it(`is found out when it is ${name}`, () => assert.include(tags(history), tag))
  }

  it("is found out when the store has a run for a time that is none", () => {
    const extra = record(2, "Skipped", { runId: "job/1/x", scheduledAt: T0 + 1 })
    assert.deepStrictEqual(tags(recorded(history(smooth(job())), extra)), ["Extra"])
  })
})

describe("a history that is not healthy", () => {
  const cases: ReadonlyArray<readonly [name: string, tag: Tag, history: History]> = [
    ["an occurrence for which nothing ran", "Missing", history(with3rd())],
    ["a run that never came to its end", "Missing", history(with3rd(third({ start: 10 })))],
    [
      "a last occurrence for which no later run stands",
      "Missing",
      history(smooth(job()).slice(0, -2), [], job({ coalesce: "latest" }))
    ],
    [
      "a run at a time that is none",
      "Extra",
      history([...smooth(job()), ...lines({ id: "job", scheduledAt: T0 + 500 }, { start: T0 + 500, end: T0 + 600 })])
    ],
    [
      "two runs for one time",
      "Extra",
      history([
        ...smooth(job()),
        ...third({ start: 400, end: 500 }).map((line) => ({ ...line, incarnation: 2, runId: "job/2/x" }))
      ])
    ],
    [
      "a run of a job that nobody added",
      "Extra",
      history([...smooth(job()), ...lines({ id: "other", scheduledAt: T0 }, { start: T0, end: T0 })])
    ],
    [
      "two attempts that both ended well",
      "Doubled",
      history(with3rd(third({ start: 10, end: 500 }), third({ attempt: 2, pid: 2, start: 300, end: 600 })))
    ],
    [
      "two attempts at once",
      "Overlapping",
      history(with3rd(third({ pid: 7, start: 10 }), third({ attempt: 2, pid: 2, start: 300, end: 600 })))
    ],
    [
      "a take-over before the lease was over",
      "Overlapping",
      history(with3rd(third({ pid: 7, start: 10 }), third({ attempt: 2, pid: 2, start: 300, end: 600 })), [
        fault("stopped", 100, 6000)
      ])
    ],
    [
      "a zombie that never notices",
      "Overlapping",
      history(
        with3rd(
          [third({ pid: 7, start: 10 })[0]!, { ...third({ pid: 7, start: 10, end: 9000 })[1]!, event: "interrupted" }],
          third({ attempt: 2, pid: 2, start: 3300, end: 3600 })
        ),
        [fault("stopped", 100, 6000)]
      )
    ],
    [
      "an attempt that comes after a higher one",
      "AttemptWentBack",
      history(with3rd(third({ attempt: 2, start: 10, end: 100 }), third({ attempt: 1, pid: 2, start: 300, end: 600 })))
    ],
    [
      "an attempt that comes twice",
      "AttemptWentBack",
      history(with3rd(third({ start: 10, end: 100 }), third({ pid: 2, start: 300, end: 600 })))
    ],
    [
      "an attempt after the end",
      "StartedAfterEnd",
      history(with3rd(third({ start: 10, end: 100 }), third({ attempt: 2, pid: 2, start: 300 })))
    ],
    [
      "a second attempt where one is one too many",
      "Repeated",
      history(
        with3rd(third({ pid: 7, start: 10 }), third({ attempt: 2, pid: 2, start: 3300, end: 3500 })),
        [fault("killed", 100, 110)],
        job({ onCrash: "abandon", maxInstances: 9 })
      )
    ],
    [
      "a take-over that came too late",
      "Late",
      history(with3rd(third({ pid: 7, start: 10 }), third({ attempt: 2, pid: 2, start: 4600, end: 4800 })), [
        fault("killed", 100, 110)
      ])
    ],
    [
      "more runs at once than there may be, one of which its dead node still holds",
      "TooMany",
      history(
        [
          ...with3rd(third({ pid: 7, start: 10 })).filter(({ scheduledAt }) => scheduledAt <= at(3).scheduledAt),
          ...third({ attempt: 2, pid: 2, start: 3300, end: 3500 })
        ],
        [fault("killed", 100, 110)]
      )
    ],
    ["a second attempt without a first", "Repeated", history(with3rd(third({ attempt: 2, start: 10, end: 100 })))],
    ["more runs at once than there may be", "TooMany", history(with3rd(third({ start: 10, end: 1500 })))],
    ["a run before its time", "Early", history(with3rd(third({ start: -200, end: 100 })))],
    [
      "a record of what never happened",
      "Disagreeing",
      { ...history([]), jobs: [], records: [record(0, "Succeeded", { attempt: 1 })] }
    ],
    ["a run that the store does not know", "Disagreeing", { ...history(smooth(job())), records: [] }]
  ]

  for (const [name, tag, history] of cases) it(`shows ${name}`, () => assert.include(tags(history), tag))
})

// ---------------------------------------------------------------------------------------------------------------------
// properties
// ---------------------------------------------------------------------------------------------------------------------

const specs = fc.record({
  times: fc.record({
    first: fc.constant(T0),
    last: fc.integer({ min: 5, max: 40 }).map((count) => T0 + 1000 * count),
    period: fc.constantFrom(1000, 2000, 3000)
  }),
  coalesce: fc.constantFrom("all", "latest"),
  overlap: fc.constantFrom("skip", "queue"),
  maxInstances: fc.integer({ min: 1, max: 3 })
}) satisfies fc.Arbitrary<Partial<JobSpec>>

/** A log in which some runs, far from each other, were cut off by a kill and run again. */
const disturbed = fc.tuple(specs, fc.integer({ min: 0, max: 3 })).map(([options, phase]): History => {
  const spec = job({ ...options, maxInstances: 9 })
  const faults: Array<Fault> = []
  const log = occurrences(spec.times).flatMap((scheduledAt, index) => {
    const own = { id: spec.id, scheduledAt }
    if (index % 4 !== phase) return lines(own, { pid: 1, start: scheduledAt + 5, end: scheduledAt + 400 })
    const pid = 100 + index
    faults.push({ kind: "killed", pid, from: scheduledAt + 100, to: scheduledAt + 110 })
    const again = { attempt: 2, pid: 2, start: scheduledAt + 3200, end: scheduledAt + 3300 }
    return [...lines(own, { pid, start: scheduledAt + 5 }), ...lines(own, again)]
  })
  return history(log, faults, spec)
})

/** The history with one of its runs changed, and what that must be called. */
type Mutation = readonly [name: string, mutate: (history: History, runId: string) => History, tags: ReadonlyArray<Tag>]

const replace = (history: History, runId: string, change: (entries: ReadonlyArray<Entry>) => ReadonlyArray<Entry>) => ({
  ...history,
  log: [
    ...history.log.filter((entry) => entry.runId !== runId),
    ...change(history.log.filter((entry) => entry.runId === runId))
  ]
})

const shift = (entries: ReadonlyArray<Entry>, change: Partial<Entry>, millis = 0) =>
  entries.map((entry) => ({ ...entry, ...change, at: entry.at + millis }))

const last = (entries: ReadonlyArray<Entry>) => entries.slice(-2)

const mutations: ReadonlyArray<Mutation> = [
  [
    "loses a run",
    (one, runId) =>
      replace({ ...one, jobs: [job({ ...one.jobs[0]!, coalesce: "all", overlap: "queue" })] }, runId, () => []),
    ["Missing"]
  ],
  [
    "moves a run",
    (one, runId) => replace(one, runId, (all) => shift(all, { scheduledAt: all[0]!.scheduledAt - 1 })),
    ["Extra"]
  ],
  [
    "runs an occurrence under two names",
    (one, runId) => replace(one, runId, (all) => [...all, ...shift(last(all), { runId: "x", attempt: 1 }, 9)]),
    ["Extra"]
  ],
  [
    "repeats an attempt",
    (one, runId) => replace(one, runId, (all) => [...all, ...shift(last(all), { pid: 55 }, 20_000)]),
    ["AttemptWentBack"]
  ],
  [
    "runs an ended run again",
    (one, runId) => replace(one, runId, (all) => [...all, ...shift(last(all), { pid: 55, attempt: 3 }, 20_000)]),
    ["Doubled"]
  ],
  [
    "starts an ended run again",
    (one, runId) =>
      replace(one, runId, (all) => [...all, ...shift(last(all).slice(0, 1), { pid: 55, attempt: 3 }, 20_000)]),
    ["StartedAfterEnd"]
  ],
  [
    "runs a run twice at once",
    (one, runId) => replace(one, runId, (all) => [...all, ...shift(last(all), { pid: 55, attempt: 3 }, 10)]),
    ["Doubled", "Overlapping"]
  ],
  ["starts too early", (one, runId) => replace(one, runId, (all) => shift(all, {}, -5000)), ["Early"]]
]

describe("a healthy history that is changed", () => {
  it("is healthy before", () =>
    fc.assert(fc.property(disturbed, (history) => assert.deepStrictEqual(check(history), []))))

  for (const [name, mutate, expected] of mutations) {
    it(`is found out when it ${name}`, () =>
      fc.assert(
        fc.property(disturbed, fc.nat(), (history, choice) => {
          const attempts = toAttempts(history)
          const { runId } = attempts[choice % attempts.length]!
          const found = tags(mutate(history, runId))
          assert.isTrue(
            expected.some((tag) => found.includes(tag)),
            `${found}`
          )
        })
      ))
  }
})
