import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, DateTime, Equal, FastCheck, Option, Schema } from "effect"
import * as Job from "../src/Job.ts"
import * as Policy from "../src/Policy.ts"
import type * as Run from "../src/Run.ts"
import * as Trigger from "../src/Trigger.ts"

/** A time of day of 1 January 2026, UTC. */
const at = (clock: string) => DateTime.unsafeMake(`2026-01-01T${clock}Z`)

/** The same the other way round, with the milliseconds only where there are some. */
const clock = (time: DateTime.Utc) => DateTime.formatIso(time).slice(11, 23).replace(".000", "")

const clocks = (runs: ReadonlyArray<Run.Run>) => runs.map((run) => clock(run.scheduledAt))

const policyOf = (options: Policy.PolicyOptions) => Policy.override(Policy.defaults, options)

const minutely = Trigger.cron({ minute: "*", timezone: "UTC" })

/** A job added at midnight that runs every minute, unless told otherwise. */
const jobOf = (changes: Partial<Job.Job> = {}): Job.Job => ({
  ...Job.make({ id: "job", task: "Task", now: at("00:00:00"), trigger: changes.trigger ?? minutely }),
  ...changes
})

const paused = {
  _tag: "Paused",
  at: at("00:00:30"),
  note: Option.some("for now"),
  by: Option.some("Ada")
} as const
const finished: Job.JobState = { _tag: "Finished", at: at("00:00:30") }
const parked: Job.JobState = { _tag: "Parked", at: at("00:00:30"), reason: "no such task" }

describe("Job.make", () => {
  it("fills in its defaults", () => {
    assert.deepStrictEqual(Job.make({ id: "job", task: "Task", now: at("00:00:00") }), {
      id: "job",
      incarnation: 1,
      task: "Task",
      name: "job",
      group: Option.none(),
      labels: {},
      payload: null,
      trigger: Trigger.now,
      anchor: at("00:00:00"),
      policy: Policy.defaults,
      addedAt: at("00:00:00"),
      origin: Option.none(),
      fired: 0,
      lastPause: Option.none(),
      state: { _tag: "Active" },
      nextRunTime: Option.some(at("00:00:00"))
    })
  })

  it("takes what it is given", () => {
    const policy = policyOf({ maxInstances: 2 })
    const given = { name: "Name", labels: { a: "b" }, payload: { n: [1] }, trigger: minutely, policy }
    const origin = { traceId: "trace", spanId: "span" }
    assert.deepStrictEqual(
      Job.make({ id: "job", task: "Task", now: at("00:00:10"), group: "group", isPaused: true, origin, ...given }),
      {
        id: "job",
        incarnation: 1,
        task: "Task",
        group: Option.some("group"),
        ...given,
        anchor: at("00:00:10"),
        addedAt: at("00:00:10"),
        origin: Option.some(origin),
        fired: 0,
        lastPause: Option.none(),
        state: { _tag: "Paused", at: at("00:00:10"), note: Option.none(), by: Option.none() },
        nextRunTime: Option.some(at("00:01:00"))
      }
    )
  })

  const rows: ReadonlyArray<readonly [name: string, trigger: Trigger.Trigger, first: string | null]> = [
    ["now", Trigger.now, "12:00:00"],
    ["a past instant", Trigger.at("2026-01-01T03:00:00Z"), "03:00:00"],
    ["a later instant", Trigger.at("2026-01-01T15:00:00Z"), "15:00:00"],
    ["an interval without start", Trigger.interval({ minutes: 7 }), "12:07:00"],
    ["an interval with a start", Trigger.interval({ minutes: 7, start: "2026-01-01T11:59:00Z" }), "12:06:00"],
    ["a cron whose instant is this one", Trigger.cron({ hour: "*/6" }), "18:00:00"],
    ["an interval that has ended", Trigger.interval({ minutes: 7, end: "2026-01-01T12:06:59Z" }), null]
  ]
  for (const [name, trigger, first] of rows) {
    it(`of ${name}, at 12:00:00, is first due at ${first}`, () => {
      const job = Job.make({ id: "job", task: "Task", now: at("12:00:00"), trigger })
      assert.deepStrictEqual(Option.getOrNull(Option.map(job.nextRunTime, clock)), first)
    })
  }
})

interface Row {
  readonly name: string
  readonly policy?: Policy.PolicyOptions
  readonly trigger?: Trigger.Trigger
  /** Default: the trigger's first instant after midnight. */
  readonly nextRunTime?: string
  readonly now: string
  readonly running?: number
  readonly runs?: ReadonlyArray<string>
  readonly missed?: ReadonlyArray<string>
  readonly skipped?: ReadonlyArray<string>
  readonly dropped?: { readonly count: number; readonly first: string; readonly last: string }
  readonly next: string | null
}

const five = ["00:01:00", "00:02:00", "00:03:00", "00:04:00", "00:05:00"]

const tables: Record<string, ReadonlyArray<Row>> = {
  coalesce: [
    { name: "one due time runs", now: "00:01:00", runs: ["00:01:00"], next: "00:02:00" },
    {
      name: "latest runs the last of them",
      policy: { coalesce: "latest" },
      now: "00:05:00",
      runs: ["00:05:00"],
      next: "00:06:00"
    },
    {
      name: "earliest runs the first of them",
      policy: { coalesce: "earliest" },
      now: "00:05:00",
      runs: ["00:01:00"],
      next: "00:06:00"
    },
    {
      name: "all runs them all, oldest first",
      policy: { coalesce: "all" },
      now: "00:05:00",
      runs: five,
      next: "00:06:00"
    },
    {
      name: "latest runs what is due, not what is next",
      now: "00:05:59.999",
      runs: ["00:05:00"],
      next: "00:06:00"
    },
    {
      name: "all goes back to the next run time and no further",
      policy: { coalesce: "all" },
      nextRunTime: "00:04:00",
      now: "00:05:00",
      runs: ["00:04:00", "00:05:00"],
      next: "00:06:00"
    },
    {
      name: "earliest goes back to the next run time and no further",
      policy: { coalesce: "earliest" },
      nextRunTime: "00:04:00",
      now: "00:05:00",
      runs: ["00:04:00"],
      next: "00:06:00"
    }
  ],
  "misfireGraceTime with latest": [
    {
      name: "late by exactly the grace runs",
      policy: { misfireGraceTime: "30 seconds" },
      now: "00:05:30",
      runs: ["00:05:00"],
      next: "00:06:00"
    },
    {
      name: "late by a millisecond more is missed",
      policy: { misfireGraceTime: "30 seconds" },
      now: "00:05:30.001",
      missed: ["00:05:00"],
      next: "00:06:00"
    },
    {
      name: "none at all runs what is due to the millisecond",
      policy: { misfireGraceTime: 0 },
      now: "00:05:00",
      runs: ["00:05:00"],
      next: "00:06:00"
    },
    {
      name: "none at all misses what was due a millisecond ago",
      policy: { misfireGraceTime: 0 },
      now: "00:05:00.001",
      missed: ["00:05:00"],
      next: "00:06:00"
    },
    {
      name: "longer than the period changes nothing",
      policy: { misfireGraceTime: "10 minutes" },
      now: "00:05:30",
      runs: ["00:05:00"],
      next: "00:06:00"
    }
  ],
  "misfireGraceTime with earliest": [
    {
      name: "the first late by exactly the grace runs",
      policy: { coalesce: "earliest", misfireGraceTime: "4 minutes" },
      now: "00:05:00",
      runs: ["00:01:00"],
      next: "00:06:00"
    },
    {
      name: "the first late by a millisecond more gives way to the second",
      policy: { coalesce: "earliest", misfireGraceTime: "4 minutes" },
      now: "00:05:00.001",
      runs: ["00:02:00"],
      next: "00:06:00"
    },
    {
      name: "an inner one late by exactly the grace runs",
      policy: { coalesce: "earliest", misfireGraceTime: "2 minutes" },
      now: "00:05:00",
      runs: ["00:03:00"],
      next: "00:06:00"
    },
    {
      name: "an inner one late by a millisecond more gives way to the one after",
      policy: { coalesce: "earliest", misfireGraceTime: "2 minutes" },
      now: "00:05:00.001",
      runs: ["00:04:00"],
      next: "00:06:00"
    },
    {
      name: "all too late are recorded as one, the last",
      policy: { coalesce: "earliest", misfireGraceTime: "30 seconds" },
      now: "00:05:30.001",
      missed: ["00:05:00"],
      next: "00:06:00"
    }
  ],
  "misfireGraceTime with all": [
    {
      name: "late by exactly the grace runs, older ones are missed",
      policy: { coalesce: "all", misfireGraceTime: "2 minutes" },
      now: "00:05:00",
      missed: ["00:01:00", "00:02:00"],
      runs: ["00:03:00", "00:04:00", "00:05:00"],
      next: "00:06:00"
    },
    {
      name: "late by a millisecond more is missed",
      policy: { coalesce: "all", misfireGraceTime: "2 minutes" },
      now: "00:05:00.001",
      missed: ["00:01:00", "00:02:00", "00:03:00"],
      runs: ["00:04:00", "00:05:00"],
      next: "00:06:00"
    },
    {
      name: "all too late are all missed",
      policy: { coalesce: "all", misfireGraceTime: 0 },
      now: "00:05:00.001",
      missed: five,
      next: "00:06:00"
    }
  ],
  catchUpLimit: [
    {
      name: "as many as are due drops none",
      policy: { coalesce: "all", catchUpLimit: 5 },
      now: "00:05:00",
      runs: five,
      next: "00:06:00"
    },
    {
      name: "one less drops the oldest",
      policy: { coalesce: "all", catchUpLimit: 4 },
      now: "00:05:00",
      runs: five.slice(1),
      dropped: { count: 1, first: "00:01:00", last: "00:01:00" },
      next: "00:06:00"
    },
    {
      name: "of one makes up for the last",
      policy: { coalesce: "all", catchUpLimit: 1 },
      now: "00:05:00",
      runs: ["00:05:00"],
      dropped: { count: 4, first: "00:01:00", last: "00:04:00" },
      next: "00:06:00"
    },
    {
      name: "counts missed ones too",
      policy: { coalesce: "all", catchUpLimit: 3, misfireGraceTime: "1 minute" },
      now: "00:05:00",
      runs: ["00:04:00", "00:05:00"],
      missed: ["00:03:00"],
      dropped: { count: 2, first: "00:01:00", last: "00:02:00" },
      next: "00:06:00"
    },
    {
      name: "means nothing to latest",
      policy: { catchUpLimit: 1 },
      now: "00:05:00",
      runs: ["00:05:00"],
      next: "00:06:00"
    },
    {
      name: "means nothing to earliest",
      policy: { coalesce: "earliest", catchUpLimit: 1 },
      now: "00:05:00",
      runs: ["00:01:00"],
      next: "00:06:00"
    }
  ],
  maxInstances: [
    { name: "reached skips", running: 1, now: "00:05:00", skipped: ["00:05:00"], next: "00:06:00" },
    {
      name: "one below runs",
      policy: { maxInstances: 3 },
      running: 2,
      now: "00:05:00",
      runs: ["00:05:00"],
      next: "00:06:00"
    },
    {
      name: "of three reached skips",
      policy: { maxInstances: 3 },
      running: 3,
      now: "00:05:00",
      skipped: ["00:05:00"],
      next: "00:06:00"
    },
    {
      name: "exceeded, since it was lowered, skips",
      policy: { maxInstances: 2 },
      running: 3,
      now: "00:05:00",
      skipped: ["00:05:00"],
      next: "00:06:00"
    },
    {
      name: "reached skips the earliest",
      policy: { coalesce: "earliest" },
      running: 1,
      now: "00:05:00",
      skipped: ["00:01:00"],
      next: "00:06:00"
    },
    {
      name: "reached skips them all",
      policy: { coalesce: "all" },
      running: 1,
      now: "00:05:00",
      skipped: five,
      next: "00:06:00"
    },
    {
      name: "one below runs them all, which are one instance",
      policy: { coalesce: "all", maxInstances: 2 },
      running: 1,
      now: "00:05:00",
      runs: five,
      next: "00:06:00"
    },
    {
      name: "reached leaves the late ones missed and the dropped ones dropped",
      policy: { coalesce: "all", misfireGraceTime: "1 minute", catchUpLimit: 3 },
      running: 1,
      now: "00:05:00",
      skipped: ["00:04:00", "00:05:00"],
      missed: ["00:03:00"],
      dropped: { count: 2, first: "00:01:00", last: "00:02:00" },
      next: "00:06:00"
    },
    {
      name: "reached leaves a late one missed",
      policy: { misfireGraceTime: 0 },
      running: 1,
      now: "00:05:30",
      missed: ["00:05:00"],
      next: "00:06:00"
    }
  ],
  "an interval": [
    {
      name: "without start keeps the phase of its anchor",
      trigger: Trigger.interval({ seconds: 90 }),
      policy: { coalesce: "all" },
      now: "00:05:00",
      runs: ["00:01:30", "00:03:00", "00:04:30"],
      next: "00:06:00"
    },
    {
      name: "with a start keeps the phase of that",
      trigger: Trigger.interval({ seconds: 90, start: "2026-01-01T00:00:10Z" }),
      policy: { coalesce: "all" },
      now: "00:05:00",
      runs: ["00:00:10", "00:01:40", "00:03:10", "00:04:40"],
      next: "00:06:10"
    },
    {
      name: "is late to the millisecond",
      trigger: Trigger.interval({ seconds: 90 }),
      policy: { misfireGraceTime: "30 seconds" },
      now: "00:05:00.001",
      missed: ["00:04:30"],
      next: "00:06:00"
    },
    {
      name: "that has ended runs its last time and is finished",
      trigger: Trigger.interval({ minutes: 1, end: "2026-01-01T00:03:30Z" }),
      now: "00:05:00",
      runs: ["00:03:00"],
      next: null
    },
    {
      name: "that has ended makes up for all of it and is finished",
      trigger: Trigger.interval({ minutes: 1, end: "2026-01-01T00:03:00Z" }),
      policy: { coalesce: "all" },
      now: "00:05:00",
      runs: ["00:01:00", "00:02:00", "00:03:00"],
      next: null
    },
    {
      name: "that ended before its grace is missed and is finished",
      trigger: Trigger.interval({ minutes: 1, end: "2026-01-01T00:03:00Z" }),
      policy: { coalesce: "earliest", misfireGraceTime: "1 minute" },
      now: "00:05:00",
      missed: ["00:03:00"],
      next: null
    },
    {
      name: "whose next time lies beyond the end of time is finished",
      trigger: Trigger.interval({ millis: Number.MAX_SAFE_INTEGER, start: "2026-01-01T00:01:00Z" }),
      now: "00:05:00",
      runs: ["00:01:00"],
      next: null
    }
  ],
  "a cron": [
    {
      name: "in a zone is due by its wall clock",
      trigger: Trigger.cron({ hour: "*/2", timezone: "Asia/Kolkata" }),
      policy: { coalesce: "all" },
      now: "06:00:00",
      runs: ["00:30:00", "02:30:00", "04:30:00"],
      next: "06:30:00"
    },
    {
      name: "that has ended runs its last time and is finished",
      trigger: Trigger.crontab("*/2 * * * *", { end: "2026-01-01T00:03:00Z" }),
      now: "00:05:00",
      runs: ["00:02:00"],
      next: null
    }
  ],
  "a single instant": [
    ...(["latest", "earliest", "all"] as const).flatMap((coalesce): ReadonlyArray<Row> => {
      const once = { trigger: Trigger.at("2026-01-01T00:01:00Z"), next: null }
      return [
        { ...once, name: `runs once (${coalesce})`, policy: { coalesce }, now: "00:05:00", runs: ["00:01:00"] },
        {
          ...once,
          name: `late by exactly the grace runs (${coalesce})`,
          policy: { coalesce, misfireGraceTime: "4 minutes" },
          now: "00:05:00",
          runs: ["00:01:00"]
        },
        {
          ...once,
          name: `late by a millisecond more is missed (${coalesce})`,
          policy: { coalesce, misfireGraceTime: "4 minutes" },
          now: "00:05:00.001",
          missed: ["00:01:00"]
        },
        {
          ...once,
          name: `that finds too many in flight is skipped (${coalesce})`,
          policy: { coalesce },
          running: 1,
          now: "00:05:00",
          skipped: ["00:01:00"]
        }
      ]
    }),
    { name: "now is the moment of the addition", trigger: Trigger.now, now: "00:00:05", runs: ["00:00:00"], next: null }
  ]
}

const jobOfRow = ({ nextRunTime, policy = {}, trigger = minutely }: Row): Job.Job => {
  const job = jobOf({ trigger, policy: policyOf(policy) })
  return nextRunTime === undefined ? job : { ...job, nextRunTime: Option.some(at(nextRunTime)) }
}

const nothing = { runs: [], missed: [], skipped: [], cancels: 0, dropped: Option.none() }

describe("Job.advance", () => {
  for (const [table, rows] of Object.entries(tables)) {
    describe(table, () => {
      for (const row of rows) {
        it(row.name, () => {
          const job = jobOfRow(row)
          const advance = Job.advance(job, at(row.now), row.running ?? 0)
          assert.deepStrictEqual(
            {
              runs: clocks(advance.runs),
              missed: clocks(advance.missed),
              skipped: clocks(advance.skipped),
              dropped: Option.getOrNull(advance.dropped)
            },
            {
              runs: row.runs ?? [],
              missed: row.missed ?? [],
              skipped: row.skipped ?? [],
              dropped: row.dropped
                ? { ...row.dropped, isExact: true, first: at(row.dropped.first), last: at(row.dropped.last) }
                : null
            }
          )
          const nextRunTime = Option.map(Option.fromNullable(row.next), at)
          assert.deepStrictEqual(advance.next, { ...job, fired: advance.runs.length, nextRunTime })
          assert.deepStrictEqual(Job.isFinished(advance.next), row.next === null)
        })
      }
    })
  }

  const idle: ReadonlyArray<readonly [name: string, changes: Partial<Job.Job>, now: string]> = [
    ["whose time has not come", {}, "00:00:59.999"],
    ["that is paused", { state: paused }, "00:05:00"],
    ["that is parked", { state: parked }, "00:05:00"],
    ["that is finished", { state: finished }, "00:05:00"],
    ["that has no time left", { nextRunTime: Option.none() }, "00:05:00"]
  ]
  for (const [name, changes, now] of idle) {
    it(`leaves a job ${name}`, () => {
      const job = jobOf(changes)
      assert.isFalse(Job.isDue(job, at(now)))
      assert.deepStrictEqual(Job.advance(job, at(now), 0), { ...nothing, next: job })
    })
  }

  it("has nothing left to do right after it", () => {
    for (const coalesce of ["latest", "earliest", "all"] as const) {
      const { next } = Job.advance(jobOf({ policy: policyOf({ coalesce }) }), at("00:05:00"), 0)
      assert.deepStrictEqual(Job.advance(next, at("00:05:00"), 0), { ...nothing, next })
    }
  })

  it("makes runs of the job, each under its own time", () => {
    const policy = policyOf({ priority: 3, misfireGraceTime: "30 seconds" })
    const [run] = Job.advance(jobOf({ incarnation: 4, policy }), at("00:01:10"), 0).runs
    assert.deepStrictEqual(run, {
      id: "job/4/2026-01-01T00:01:00.000Z",
      jobId: "job",
      incarnation: 4,
      key: "2026-01-01T00:01:00.000Z",
      task: "Task",
      scheduledAt: at("00:01:00"),
      dueAt: at("00:01:00"),
      runAt: at("00:01:00"),
      startBy: Option.some(at("00:01:30")),
      instance: "2026-01-01T00:01:00.000Z",
      priority: 3,
      executor: "default",
      attempt: 0,
      failures: 0,
      crashes: 0,
      covers: Option.none(),
      origin: Option.none(),
      state: { _tag: "Pending" }
    })
  })

  it('chains the runs of "all": the first is pending, each other one waits, and they are one instance', () => {
    const { runs } = Job.advance(jobOf({ policy: policyOf({ coalesce: "all" }) }), at("00:05:00"), 0)
    assert.deepStrictEqual(
      runs.map(({ state }) => state._tag),
      ["Pending", "Waiting", "Waiting", "Waiting", "Waiting"]
    )
    assert.deepStrictEqual(Arr.dedupe(runs.map(({ instance }) => instance)), ["2026-01-01T00:01:00.000Z"])
    assert.deepStrictEqual(
      runs.map(({ key }) => key.slice(11, 19)),
      five
    )
  })

  it("names the instance after its first run, not after a missed one", () => {
    const policy = policyOf({ coalesce: "all", misfireGraceTime: "2 minutes" })
    const { missed, runs } = Job.advance(jobOf({ policy }), at("00:05:00"), 0)
    assert.deepStrictEqual(Arr.dedupe(runs.map(({ instance }) => instance.slice(11, 19))), ["00:03:00"])
    assert.deepStrictEqual(
      runs.map(({ state }) => state._tag),
      ["Pending", "Waiting", "Waiting"]
    )
    assert.deepStrictEqual(
      missed.map(({ instance, key }) => instance === key),
      [true, true]
    )
  })

  it("ends missed and skipped runs at once", () => {
    const policy = policyOf({ coalesce: "all", misfireGraceTime: "1 minute" })
    const { missed, skipped } = Job.advance(jobOf({ policy }), at("00:03:00"), 1)
    assert.deepStrictEqual(
      missed.map(({ state }) => state),
      [{ _tag: "Missed", finishedAt: at("00:03:00") }]
    )
    const state = { _tag: "Skipped", finishedAt: at("00:03:00"), reason: "maxInstances" }
    assert.deepStrictEqual(
      skipped.map((run) => run.state),
      [state, state] as ReadonlyArray<Run.RunState>
    )
  })

  it("with a fraction of a millisecond in the grace does not lose what is within it", () => {
    const policy = policyOf({ coalesce: "earliest", misfireGraceTime: 60_000.5 })
    const { missed, runs } = Job.advance(jobOf({ policy }), at("00:05:00.001"), 0)
    assert.deepStrictEqual([runs.length, missed.length], [1, 0])
  })

  it("counts dropped times exactly up to a thousand, and says when it stopped", () => {
    const dropped = (count: number) => {
      const now = DateTime.addDuration(at("00:00:00"), `${count + 1} minutes`)
      const policy = policyOf({ coalesce: "all", catchUpLimit: 1 })
      const { count: counted, isExact } = Option.getOrThrow(Job.advance(jobOf({ policy }), now, 0).dropped)
      return [counted, isExact]
    }
    assert.deepStrictEqual([999, 1000, 1001, 5000].map(dropped), [
      [999, true],
      [1000, true],
      [1000, false],
      [1000, false]
    ])
  })
})

describe("a year of missed one-second slots", () => {
  const triggers = {
    "an interval": Trigger.interval({ seconds: 1, start: "2026-01-01T00:00:00Z" }),
    "a cron": Trigger.cron({ second: "*", timezone: "Europe/Berlin" })
  }
  const begin = at("00:00:00")
  const year = DateTime.add(begin, { years: 1 })

  /** The same trigger, which counts how often it is asked. */
  const counted = (trigger: Trigger.Trigger) => {
    const { next, previous } = trigger.occurrences
    const calls = { count: 0 }
    const count = (ask: (at: number) => number) => (at: number) => {
      calls.count++
      return ask(at)
    }
    const occurrences = { next: count(next), previous: count(previous) }
    const spy: Trigger.Trigger = Object.create(trigger, { occurrences: { value: occurrences } })
    return { calls, spy }
  }

  const advanceAt = (trigger: Trigger.Trigger, options: Policy.PolicyOptions, now: DateTime.Utc) => {
    const { calls, spy } = counted(trigger)
    const job = jobOf({ trigger: spy, policy: policyOf(options), nextRunTime: Option.some(begin) })
    return { calls: calls.count, advance: Job.advance(job, now, 0) }
  }

  const policies: ReadonlyArray<{
    readonly options: Policy.PolicyOptions
    readonly runs: number
    readonly missed: number
    readonly dropped: boolean
    readonly most: number
  }> = [
    { options: { coalesce: "latest" }, runs: 1, missed: 0, dropped: false, most: 2 },
    { options: { coalesce: "latest", misfireGraceTime: 0 }, runs: 1, missed: 0, dropped: false, most: 2 },
    { options: { coalesce: "earliest" }, runs: 1, missed: 0, dropped: false, most: 3 },
    { options: { coalesce: "earliest", misfireGraceTime: "1 hour" }, runs: 1, missed: 0, dropped: false, most: 3 },
    { options: { coalesce: "all" }, runs: 100, missed: 0, dropped: true, most: 1200 },
    {
      options: { coalesce: "all", misfireGraceTime: "9 seconds" },
      runs: 10,
      missed: 90,
      dropped: true,
      most: 1200
    }
  ]
  for (const [name, trigger] of Object.entries(triggers)) {
    for (const { dropped, missed, most, options, runs } of policies) {
      it(`of ${name} with ${JSON.stringify(options)} costs what an hour of them costs`, () => {
        const hour = advanceAt(trigger, options, at("01:00:00"))
        const { advance, calls } = advanceAt(trigger, options, year)
        assert.deepStrictEqual(
          [advance.runs.length, advance.missed.length, Option.isSome(advance.dropped)],
          [runs, missed, dropped]
        )
        assert.deepStrictEqual(advance.next.nextRunTime, Option.some(DateTime.add(year, { seconds: 1 })))
        assert.isAbove(calls, 0)
        assert.isAtMost(calls, most)
        assert.strictEqual(calls, hour.calls)
      })
    }

    it(`of ${name} says which of them were dropped`, () => {
      const { advance } = advanceAt(trigger, { coalesce: "all" }, year)
      assert.deepStrictEqual(
        advance.dropped,
        Option.some({ count: 1000, isExact: false, first: begin, last: DateTime.subtract(year, { seconds: 100 }) })
      )
    })
  }
})

const DAY = 86_400_000

// Around the days on which Berlin's clocks change.
const anchor = FastCheck.constantFrom("2026-03-27", "2026-10-23", "2026-06-30").chain((day) =>
  FastCheck.nat(2 * DAY).map((millis) => DateTime.unsafeMake(Date.parse(day) + millis))
)

const zone = FastCheck.constantFrom("UTC", "Europe/Berlin", "America/St_Johns", "+05:30")

const bound = FastCheck.option(
  FastCheck.nat(6 * DAY).map((millis) => Date.parse("2026-03-27") + millis),
  { nil: undefined }
)

const trigger: FastCheck.Arbitrary<Trigger.Trigger> = FastCheck.oneof(
  FastCheck.record({ millis: FastCheck.integer({ min: 600_000, max: DAY }), start: bound }).map(Trigger.interval),
  FastCheck.record({ minute: FastCheck.constantFrom("*/20", "5,50"), timezone: zone }).map(Trigger.cron),
  FastCheck.record({ hour: FastCheck.constantFrom("*/5", "2", "1-3"), timezone: zone, end: bound }).map(Trigger.cron),
  FastCheck.record({ timezone: zone }).map((options) => Trigger.crontab("30 2 * * *", options)),
  FastCheck.nat(3 * DAY).map((millis) => Trigger.at(Date.parse("2026-03-27") + millis)),
  FastCheck.constant(Trigger.now)
)

const grace = FastCheck.oneof(FastCheck.constant(Infinity), FastCheck.nat(3 * DAY), FastCheck.constant(0))

const options = FastCheck.record({
  coalesce: FastCheck.constantFrom("latest" as const, "earliest" as const, "all" as const),
  misfireGraceTime: grace,
  catchUpLimit: FastCheck.integer({ min: 1, max: 200 }),
  maxInstances: FastCheck.integer({ min: 1, max: 3 })
})

/** A job that is due, when, and all the times that have come since. */
const due = FastCheck.record({ anchor, trigger, options, age: FastCheck.nat(3 * DAY), running: FastCheck.nat(3) }).map(
  ({ age, anchor, options, running, trigger }) => {
    const job = Job.make({ id: "job", task: "Task", now: anchor, trigger, policy: policyOf(options) })
    const first = Option.getOrElse(job.nextRunTime, () => anchor)
    const now = DateTime.add(first, { millis: age })
    const anchored = Trigger.anchor(trigger, anchor)
    const times: Array<number> = []
    let time = Option.isSome(job.nextRunTime) ? job.nextRunTime : Option.none<DateTime.Utc>()
    for (
      ;
      Option.exists(time, DateTime.lessThanOrEqualTo(now));
      time = Option.flatMap(time, (_) => Trigger.next(anchored, _))
    )
      times.push(Option.getOrThrow(time).epochMillis)
    return { job, now, running, times, oldest: now.epochMillis - options.misfireGraceTime, next: time, options }
  }
)

const millisOf = (runs: ReadonlyArray<Run.Run>) => runs.map(({ scheduledAt }) => scheduledAt.epochMillis)

const isIncreasing = (times: ReadonlyArray<number>) => times.every((time, i) => i === 0 || times[i - 1]! < time)

describe("whatever is due", () => {
  it.prop(
    "runs, missed and skipped are times of the trigger that have come, each once and in order",
    [due],
    ([given]) => {
      const { missed, runs, skipped } = Job.advance(given.job, given.now, given.running)
      for (const group of [runs, missed, skipped]) assert.isTrue(isIncreasing(millisOf(group)))
      const all = millisOf([...missed, ...runs, ...skipped])
      assert.isTrue(isIncreasing(all), "what is missed is older than what is not")
      for (const time of all) assert.include(given.times, time)
    }
  )

  it.prop("a job goes on to the trigger's first time after now, and is otherwise unchanged", [due], ([given]) => {
    const { next, runs } = Job.advance(given.job, given.now, given.running)
    assert.deepStrictEqual(next, { ...given.job, fired: runs.length, nextRunTime: given.next })
  })

  it.prop("what runs is within grace and what is missed is not", [due], ([given]) => {
    const { missed, runs, skipped } = Job.advance(given.job, given.now, given.running)
    for (const time of millisOf([...runs, ...skipped])) assert.isAtLeast(time, given.oldest)
    for (const time of millisOf(missed)) assert.isBelow(time, given.oldest)
  })

  it.prop("nothing runs when maxInstances is reached, and nothing is skipped when it is not", [due], ([given]) => {
    const { runs, skipped } = Job.advance(given.job, given.now, given.running)
    assert.deepStrictEqual(given.running >= given.options.maxInstances ? runs : skipped, [])
  })

  it.prop("latest, earliest and all take from it what their names say", [due], ([given]) => {
    const { dropped, missed, runs, skipped } = Job.advance(given.job, given.now, given.running)
    const recent = given.times.slice(-given.options.catchUpLimit)
    const within = given.times.filter((time) => time >= given.oldest)
    const late = within.length === 0 ? given.times.slice(-1) : []
    const expected = {
      latest: { chosen: within.slice(-1), late, dropped: [] },
      earliest: { chosen: within.slice(0, 1), late, dropped: [] },
      all: {
        chosen: recent.filter((time) => time >= given.oldest),
        late: recent.filter((time) => time < given.oldest),
        dropped: given.times.slice(0, -given.options.catchUpLimit)
      }
    }[given.options.coalesce]
    assert.deepStrictEqual(
      { chosen: millisOf([...runs, ...skipped]), late: millisOf(missed) },
      { chosen: expected.chosen, late: expected.late }
    )
    assert.deepStrictEqual(
      Option.map(dropped, ({ count, first, last }) => [count, first.epochMillis, last.epochMillis]),
      Option.map(Arr.last(expected.dropped), (last) => [expected.dropped.length, expected.dropped[0]!, last])
    )
  })

  it.prop("the earliest is not later than the latest", [due], ([given]) => {
    const chosen = (coalesce: Policy.Policy["coalesce"]) =>
      millisOf(Job.advance({ ...given.job, policy: { ...given.job.policy, coalesce } }, given.now, 0).runs)
    const [earliest, latest] = [chosen("earliest"), chosen("latest")]
    assert.strictEqual(earliest.length, latest.length)
    if (latest.length > 0) assert.isAtMost(earliest[0]!, latest[0]!)
  })
})

describe("Job.isDue and Job.isFinished", () => {
  const rows: ReadonlyArray<readonly [name: string, changes: Partial<Job.Job>, isDue: boolean, isFinished: boolean]> = [
    ["due at this instant", { nextRunTime: Option.some(at("00:05:00")) }, true, false],
    ["due before", { nextRunTime: Option.some(at("00:04:59.999")) }, true, false],
    ["due later", { nextRunTime: Option.some(at("00:05:00.001")) }, false, false],
    ["with no time left", { nextRunTime: Option.none() }, false, true],
    ["due but paused", { state: paused }, false, false],
    ["due but parked", { state: parked }, false, false],
    ["due but finished", { state: finished }, false, false],
    ["paused with no time left", { state: paused, nextRunTime: Option.none() }, false, false],
    ["finished with no time left", { state: finished, nextRunTime: Option.none() }, false, false],
    ["parked with no time left", { state: parked, nextRunTime: Option.none() }, false, false]
  ]
  for (const [name, changes, isDue, isFinished] of rows) {
    it(`a job ${name} is ${isDue ? "" : "not "}due and ${isFinished ? "" : "not "}finished`, () => {
      const job = jobOf(changes)
      assert.deepStrictEqual([Job.isDue(job, at("00:05:00")), Job.isFinished(job)], [isDue, isFinished])
    })
  }
})

describe("Job.replace", () => {
  const daily = () => Trigger.interval({ hours: 24 })
  const stored = jobOf({
    trigger: daily(),
    incarnation: 7,
    anchor: at("00:00:00"),
    nextRunTime: Option.some(at("23:00:00"))
  })
  const declared = (changes: Partial<Parameters<typeof Job.make>[0]> = {}) =>
    Job.make({ id: "job", task: "Task", now: at("12:00:00"), trigger: daily(), ...changes })

  it("keeps phase and next run time of an unchanged trigger", () => {
    const replaced = Job.replace(
      stored,
      declared({ payload: { n: 2 }, name: "New", labels: { a: "b" }, task: "Other" })
    )
    assert.deepStrictEqual(replaced, {
      ...stored,
      payload: { n: 2 },
      name: "New",
      labels: { a: "b" },
      task: "Other"
    })
  })

  it("takes policy and group from the declaration", () => {
    const policy = policyOf({ maxInstances: 9 })
    const replaced = Job.replace({ ...stored, group: Option.some("old") }, declared({ policy, group: "new" }))
    assert.deepStrictEqual([replaced.policy, replaced.group], [policy, Option.some("new")])
  })

  const others: ReadonlyArray<readonly [name: string, trigger: Trigger.Trigger, next: string]> = [
    ["another period", Trigger.interval({ hours: 1 }), "13:00:00"],
    ["the same period with a start", Trigger.interval({ hours: 24, start: "2026-01-01T14:00:00Z" }), "14:00:00"],
    ["another kind", Trigger.cron({ hour: 18 }), "18:00:00"]
  ]
  for (const [name, trigger, next] of others) {
    it(`starts anew on a trigger of ${name}, in the same life`, () => {
      const replaced = Job.replace(stored, declared({ trigger }))
      assert.deepStrictEqual(
        [replaced.anchor, replaced.nextRunTime, replaced.incarnation, replaced.trigger],
        [at("12:00:00"), Option.some(at(next)), 7, trigger]
      )
    })
  }

  it("starts anew on an unchanged trigger that had no time left", () => {
    const replaced = Job.replace({ ...stored, nextRunTime: Option.none() }, declared({ trigger: daily() }))
    assert.deepStrictEqual(
      [replaced.anchor, replaced.nextRunTime],
      [at("12:00:00"), Option.some(DateTime.add(at("12:00:00"), { hours: 24 }))]
    )
  })

  const pausedAtNoon: Job.JobState = { _tag: "Paused", at: at("12:00:00"), note: Option.none(), by: Option.none() }
  const states: ReadonlyArray<readonly [before: Job.JobState, isPaused: boolean, after: Job.JobState]> = [
    [{ _tag: "Active" }, false, { _tag: "Active" }],
    [{ _tag: "Active" }, true, pausedAtNoon],
    [paused, false, paused],
    [paused, true, paused],
    [parked, false, { _tag: "Active" }],
    [parked, true, pausedAtNoon],
    [finished, false, { _tag: "Active" }],
    [finished, true, pausedAtNoon]
  ]
  for (const [state, isPaused, after] of states) {
    for (const trigger of [daily(), Trigger.interval({ hours: 1 })]) {
      const change = Equal.equals(trigger, stored.trigger) ? "the same trigger" : "another trigger"
      it(`of a job ${state._tag} by one declared ${isPaused ? "paused" : "active"} on ${change} is ${after._tag}`, () => {
        const nextRunTime = state._tag === "Finished" ? Option.none() : stored.nextRunTime
        const replaced = Job.replace({ ...stored, state, nextRunTime }, declared({ isPaused, trigger }))
        assert.deepStrictEqual(replaced.state, after)
      })
    }
  }
})

describe("Job.reschedule", () => {
  it("takes phase and next run time from now, and leaves the rest", () => {
    for (const state of [{ _tag: "Active" }, paused, parked] satisfies ReadonlyArray<Job.JobState>) {
      const job = jobOf({ state, incarnation: 5, payload: { n: 1 } })
      const trigger = Trigger.interval({ minutes: 7 })
      assert.deepStrictEqual(Job.reschedule(job, trigger, at("12:00:30")), {
        ...job,
        trigger,
        anchor: at("12:00:30"),
        nextRunTime: Option.some(at("12:07:30"))
      })
    }
  })

  it("on a single instant keeps it even if it is past", () => {
    const job = Job.reschedule(jobOf(), Trigger.at("2026-01-01T03:00:00Z"), at("12:00:00"))
    assert.deepStrictEqual(job.nextRunTime, Option.some(at("03:00:00")))
  })

  it("on a trigger that has ended has no time left", () => {
    const job = Job.reschedule(jobOf(), Trigger.cron({ minute: "*", end: "2026-01-01T03:00:00Z" }), at("12:00:00"))
    assert.isTrue(Job.isFinished(job))
  })
})

describe("Job.pause, Job.park and Job.resume", () => {
  it("pausing and parking keep the cursor and say why", () => {
    const job = jobOf()
    assert.deepStrictEqual(Job.pause(job, at("00:05:00"), "why"), {
      ...job,
      state: { _tag: "Paused", at: at("00:05:00"), note: Option.some("why"), by: Option.none() }
    })
    assert.deepStrictEqual(Job.pause(job, at("00:05:00")).state, {
      _tag: "Paused",
      at: at("00:05:00"),
      note: Option.none(),
      by: Option.none()
    })
    assert.deepStrictEqual(Job.park(job, at("00:05:00"), "why"), {
      ...job,
      state: { _tag: "Parked", at: at("00:05:00"), reason: "why" }
    })
  })

  const ended = Trigger.interval({ minutes: 1, end: "2026-01-01T00:03:00Z" })
  const rows: ReadonlyArray<{
    readonly name: string
    readonly trigger: Trigger.Trigger
    readonly nextRunTime: string | null
    readonly now: string
    readonly after: string | null
  }> = [
    {
      name: "goes on with the first time after now",
      trigger: minutely,
      nextRunTime: "00:01:00",
      now: "00:05:30",
      after: "00:06:00"
    },
    {
      name: "does not run at the very instant",
      trigger: minutely,
      nextRunTime: "00:01:00",
      now: "00:05:00",
      after: "00:06:00"
    },
    {
      name: "goes on with the next one if its time is this instant",
      trigger: minutely,
      nextRunTime: "00:05:00",
      now: "00:05:00",
      after: "00:06:00"
    },
    {
      name: "keeps a time that has not come",
      trigger: Trigger.interval({ hours: 24 }),
      nextRunTime: "23:00:00",
      now: "00:05:00",
      after: "23:00:00"
    },
    {
      name: "keeps the phase of its anchor",
      trigger: Trigger.interval({ minutes: 7 }),
      nextRunTime: "00:07:00",
      now: "00:30:00",
      after: "00:35:00"
    },
    {
      name: "of a single instant keeps it",
      trigger: Trigger.at("2026-01-01T00:01:00Z"),
      nextRunTime: "00:01:00",
      now: "00:05:00",
      after: "00:01:00"
    },
    {
      name: "of now keeps its instant",
      trigger: Trigger.now,
      nextRunTime: "00:00:00",
      now: "00:05:00",
      after: "00:00:00"
    },
    {
      name: "of an interval that ended meanwhile keeps its last time",
      trigger: ended,
      nextRunTime: "00:01:00",
      now: "00:05:00",
      after: "00:03:00"
    },
    { name: "of one with no time left has none", trigger: ended, nextRunTime: null, now: "00:05:00", after: null }
  ]
  for (const { after, name, nextRunTime, now, trigger } of rows) {
    for (const state of [paused, parked]) {
      it(`resuming a job ${state._tag} ${name}`, () => {
        const job = jobOf({ trigger, state, nextRunTime: Option.map(Option.fromNullable(nextRunTime), at) })
        assert.deepStrictEqual(Job.resume(job, at(now)), {
          ...job,
          state: { _tag: "Active" },
          lastPause:
            state._tag === "Paused"
              ? Option.some({ from: state.at, to: at(now), note: state.note, by: state.by })
              : Option.none(),
          nextRunTime: Option.map(Option.fromNullable(after), at)
        })
      })
    }
  }

  it("resuming an active job does nothing, even if it is overdue", () => {
    const job = jobOf()
    assert.strictEqual(Job.resume(job, at("00:05:00")), job)
  })
})

describe("Job.isSameDeclaration", () => {
  const job = jobOf({
    group: Option.some("group"),
    labels: { team: "a", tier: "1" },
    payload: { user: { id: 1, name: "x" }, list: [1, { b: 2, a: 1 }] }
  })

  const same: ReadonlyArray<readonly [name: string, changes: Partial<Job.Job>]> = [
    ["the order of keys in labels", { labels: { tier: "1", team: "a" } }],
    ["the order of keys in the payload", { payload: { list: [1, { a: 1, b: 2 }], user: { name: "x", id: 1 } } }],
    ["fields of the payload that are undefined", { payload: { ...(job.payload as object), more: undefined } }],
    ["the cursor", { nextRunTime: Option.none() }],
    ["the anchor", { anchor: at("05:00:00") }],
    ["the life", { incarnation: 99 }],
    ["a pause", { state: paused }],
    ["a pause that is over", { lastPause: Option.some({ ...paused, from: paused.at, to: at("00:01:00") }) }],
    ["how many runs it has made", { fired: 7 }],
    ["when it was added", { addedAt: at("05:00:00") }],
    ["the span in which it was added", { origin: Option.some({ traceId: "trace", spanId: "span" }) }],
    ["another trigger value that says the same", { trigger: Trigger.cron({ minute: "*" }) }]
  ]
  for (const [name, changes] of same) {
    it(`does not see ${name}`, () => {
      assert.isTrue(Job.isSameDeclaration(job, { ...job, ...changes }))
      assert.isTrue(Job.isSameDeclaration({ ...job, ...changes }, job))
    })
  }

  const different: ReadonlyArray<readonly [name: string, changes: Partial<Job.Job>]> = [
    ["id", { id: "other" }],
    ["task", { task: "Other" }],
    ["name", { name: "Other" }],
    ["group", { group: Option.some("other") }],
    ["no group", { group: Option.none() }],
    ["label", { labels: { team: "b", tier: "1" } }],
    ["missing label", { labels: { team: "a" } }],
    ["value in the payload", { payload: { user: { id: 2, name: "x" }, list: [1, { b: 2, a: 1 }] } }],
    ["order of a list in the payload", { payload: { user: { id: 1, name: "x" }, list: [{ b: 2, a: 1 }, 1] } }],
    ["payload", { payload: null }],
    ["zone", { trigger: Trigger.cron({ minute: "*", timezone: "Europe/Berlin" }) }],
    ["trigger", { trigger: Trigger.interval({ minutes: 1 }) }]
  ]
  for (const [name, changes] of different) {
    it(`sees another ${name}`, () => {
      assert.isFalse(Job.isSameDeclaration(job, { ...job, ...changes }))
    })
  }

  const policies = {
    misfireGraceTime: { misfireGraceTime: "1 second" },
    coalesce: { coalesce: "all" },
    catchUpLimit: { catchUpLimit: 99 },
    maxInstances: { maxInstances: 2 },
    overlap: { overlap: "queue" },
    queueLimit: { queueLimit: 99 },
    jitter: { jitter: "1 second" },
    limit: { limit: 1 },
    onCrash: { onCrash: "abandon" },
    crashLimit: { crashLimit: 2 },
    retry: { retry: { times: 1 } },
    timeout: { timeout: "1 second" },
    retention: { retention: { count: 1 } },
    priority: { priority: 1 },
    executor: { executor: "cpu" }
  } satisfies Partial<Record<keyof Policy.Policy, Policy.PolicyOptions>>
  for (const [field, options] of Object.entries<Policy.PolicyOptions>(policies)) {
    it(`sees another ${field}`, () => {
      assert.isFalse(Job.isSameDeclaration(job, { ...job, policy: policyOf(options) }))
    })
  }

  it("has a row above for each field of a policy", () => {
    assert.sameMembers(Object.keys(policies), Object.keys(Policy.defaults))
  })

  it("sees each field of a retry", () => {
    const retries: ReadonlyArray<Policy.RetryOptions> = [
      { times: 2 },
      { times: 1, backoff: "exponential" },
      { times: 1, delay: 5 },
      { times: 1, cap: 5 },
      { times: 1, jitter: 0.5 }
    ]
    const before = { ...job, policy: policyOf({ retry: { times: 1 } }) }
    for (const retry of retries) {
      assert.isFalse(Job.isSameDeclaration(before, { ...job, policy: policyOf({ retry }) }))
    }
  })
})

describe("Job.Job", () => {
  const encode = Schema.encodeSync(Job.Job)
  const decode = Schema.decodeUnknownSync(Job.Job)
  const throughJson = (job: Job.Job) => decode(JSON.parse(JSON.stringify(encode(job))))

  const triggers: ReadonlyArray<Trigger.Trigger> = [
    Trigger.now,
    Trigger.at("2026-01-01T00:01:00.123Z"),
    Trigger.interval({ hours: 1 }),
    Trigger.interval({ millis: 1, start: "2026-01-01", end: "2027-01-01" }),
    Trigger.spaced("90 seconds", { end: "2027-01-01" }),
    Trigger.cron({ dayOfWeek: "mon-fri", hour: 5, timezone: "Europe/Berlin", gap: "skip", fold: "both" }),
    Trigger.crontab("*/5 * * * *", { timezone: "+05:30", start: "2026-01-01 09:00:00" })
  ]
  const states: ReadonlyArray<Job.JobState> = [
    { _tag: "Active" },
    paused,
    Job.pause(jobOf(), at("00:01:00")).state,
    parked,
    finished
  ]

  for (const trigger of triggers) {
    it(`comes back from JSON as it was, on ${JSON.stringify(trigger)}`, () => {
      for (const state of states) {
        const job = jobOf({ trigger, state })
        assert.deepStrictEqual(throughJson(job), job)
        assert.isTrue(Equal.equals(throughJson(job).trigger, trigger))
      }
    })
  }

  // JSON has no -0.
  const json = FastCheck.jsonValue().map((value): unknown => JSON.parse(JSON.stringify(value)))

  // Schema.Record, as every plain assignment, takes this key for the prototype.
  const label = FastCheck.string().filter((key) => key !== "__proto__")

  it.prop(
    "comes back from JSON as it was, whatever is in it",
    [due, json, FastCheck.dictionary(label, FastCheck.string()), FastCheck.option(FastCheck.string())],
    ([{ job, next }, payload, labels, group]) => {
      const pause = { from: at("00:01:00"), to: at("00:02:00"), note: Option.fromNullable(group), by: Option.none() }
      const origin = { traceId: String(group), spanId: "span" }
      const full: Job.Job = {
        ...job,
        payload,
        labels,
        group: Option.fromNullable(group),
        fired: 7,
        lastPause: Option.some(pause),
        origin: Option.some(origin),
        nextRunTime: next
      }
      assert.deepStrictEqual(throughJson(full), full)
      assert.isTrue(Job.isSameDeclaration(throughJson(full), full))
    }
  )

  it("is times as epoch milliseconds and null for what is absent", () => {
    assert.deepStrictEqual(encode(jobOf({ nextRunTime: Option.none() })), {
      id: "job",
      incarnation: 1,
      task: "Task",
      name: "job",
      group: null,
      labels: {},
      payload: null,
      trigger: { _tag: "Cron", fields: { minute: "*" }, timezone: "UTC", gap: "skip", fold: "both" },
      anchor: Date.UTC(2026, 0, 1),
      policy: Schema.encodeSync(Policy.Policy)(Policy.defaults),
      addedAt: Date.UTC(2026, 0, 1),
      origin: null,
      fired: 0,
      lastPause: null,
      state: { _tag: "Active" },
      nextRunTime: null
    })
  })
})
