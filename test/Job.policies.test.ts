import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, DateTime, Duration, FastCheck, Option } from "effect"
import * as Audit from "../src/Audit.ts"
import * as Job from "../src/Job.ts"
import * as Occurrences from "../src/Occurrences.ts"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import * as Trigger from "../src/Trigger.ts"

/** A time of day of 1 January 2026, UTC. */
const at = (clock: string) => DateTime.unsafeMake(`2026-01-01T${clock}Z`)

const clock = (time: DateTime.Utc) => DateTime.formatIso(time).slice(11, 23).replace(".000", "")

const policyOf = (options: Policy.PolicyOptions) => Policy.override(Policy.defaults, options)

const minutely = Trigger.interval({ minutes: 1 })

/** A job added at midnight that runs every minute, unless told otherwise. */
const jobOf = (options: Policy.PolicyOptions = {}, changes: Partial<Job.Job> = {}): Job.Job => {
  const { trigger = minutely } = changes
  return {
    ...Job.make({ id: "job", task: "Task", now: at("00:00:00"), trigger, policy: policyOf(options) }),
    ...changes
  }
}

const millisOf = (runs: ReadonlyArray<Run.Run>) => runs.map(({ scheduledAt }) => scheduledAt.epochMillis)

const nextOf = (job: Job.Job) => Option.getOrNull(Option.map(job.nextRunTime, clock))

const recordsOf = ({ missed, runs, skipped }: Job.Advance) => [...missed, ...runs, ...skipped]

describe("Job.admit", () => {
  const run = Run.make(jobOf(), at("00:01:00"))
  type Situation = "free" | "full" | "over" | "only a backfill in the way" | "something queued" | "queue full"
  const loads: Record<Situation, Job.Load> = {
    free: { active: 1, backfilling: 0, queued: 0 },
    full: { active: 2, backfilling: 0, queued: 0 },
    over: { active: 3, backfilling: 0, queued: 0 },
    "only a backfill in the way": { active: 2, backfilling: 1, queued: 0 },
    "something queued": { active: 2, backfilling: 0, queued: 1 },
    "queue full": { active: 2, backfilling: 0, queued: 3 }
  }
  type Answer = "Pending" | "Queued" | "maxInstances" | "queueLimit"
  const table: Record<
    Policy.Policy["overlap"],
    Record<Situation, Answer | readonly [answer: Answer, cancels: number]>
  > = {
    skip: {
      free: "Pending",
      full: "maxInstances",
      over: "maxInstances",
      "only a backfill in the way": "Queued",
      "something queued": "maxInstances",
      "queue full": "maxInstances"
    },
    queue: {
      free: "Pending",
      full: "Queued",
      over: "Queued",
      "only a backfill in the way": "Queued",
      "something queued": "Queued",
      "queue full": "queueLimit"
    },
    cancelPrevious: {
      free: "Pending",
      full: ["Queued", 1],
      over: ["Queued", 2],
      "only a backfill in the way": ["Queued", 0],
      "something queued": ["Queued", 2],
      "queue full": ["Queued", 4]
    }
  }
  for (const [overlap, row] of Object.entries(table)) {
    for (const [situation, expected] of Object.entries(row)) {
      const [answer, cancels] = typeof expected === "string" ? [expected, 0] : expected
      it(`${overlap}, ${situation}: ${answer}${cancels === 0 ? "" : `, and ${cancels} have to go`}`, () => {
        const policy = policyOf({ overlap: overlap as Policy.Policy["overlap"], maxInstances: 2, queueLimit: 3 })
        const now = at("00:01:00")
        const isSkipped = answer === "maxInstances" || answer === "queueLimit"
        assert.deepStrictEqual(Job.admit(policy, loads[situation as Situation], [run], now), {
          runs: isSkipped ? [] : [{ ...run, state: { _tag: answer } }],
          skipped: isSkipped ? [Run.skip(run, now, answer)] : [],
          cancels
        })
      })
    }
  }

  it("skip, a backfill in the way, queue full: queueLimit", () => {
    const policy = policyOf({ maxInstances: 1, queueLimit: 3 })
    const load = { active: 1, backfilling: 1, queued: 3 }
    const { skipped } = Job.admit(policy, load, [run], at("00:01:00"))
    assert.deepStrictEqual(skipped, [Run.skip(run, at("00:01:00"), "queueLimit")])
  })

  it("skip, a slot free but something queued before it: Queued", () => {
    const { runs } = Job.admit(
      policyOf({ maxInstances: 2 }),
      { active: 1, backfilling: 0, queued: 1 },
      [run],
      at("00:01:00")
    )
    assert.deepStrictEqual(runs, [Run.hold(run, "Queued")])
  })

  it("lets the first run of an instance wait for others, and each other one for the one before it", () => {
    const { runs } = Job.advance(jobOf({ coalesce: "all", overlap: "queue" }), at("00:03:00"), 1)
    assert.deepStrictEqual(
      runs.map(({ state }) => state._tag),
      ["Queued", "Waiting", "Waiting"]
    )
  })

  it("asks for as many to go as there are in its way, however many runs the instance has", () => {
    const job = jobOf({ coalesce: "all", overlap: "cancelPrevious" })
    assert.strictEqual(Job.advance(job, at("00:03:00"), 1).cancels, 1)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// any job
// ---------------------------------------------------------------------------------------------------------------------

const HOUR = 3_600_000
const start = Date.parse("2026-03-28T00:00:00Z")

/** Even and uneven steps, around the day on which Berlin's clocks change. */
const trigger: FastCheck.Arbitrary<Trigger.Trigger> = FastCheck.oneof(
  FastCheck.integer({ min: 1, max: 4 * HOUR }).map((millis) =>
    Trigger.interval({ millis: Math.max(millis, HOUR / 6) })
  ),
  FastCheck.constantFrom("UTC", "Europe/Berlin").map((timezone) => Trigger.cron({ minute: "5,6,50", timezone })),
  FastCheck.constant(Trigger.cron({ hour: "*/5", timezone: "Europe/Berlin" })),
  FastCheck.constant(Trigger.anyOf(Trigger.interval({ hours: 1 }), Trigger.cron({ minute: "59" }))),
  FastCheck.nat(48 * HOUR).map((millis) => Trigger.interval({ minutes: 45, end: start + HOUR + millis }))
)

const options = FastCheck.record({
  coalesce: FastCheck.constantFrom("latest" as const, "earliest" as const, "all" as const),
  catchUpLimit: FastCheck.integer({ min: 1, max: 20 }),
  misfireGraceTime: FastCheck.oneof(FastCheck.constant(Infinity), FastCheck.nat(3 * HOUR), FastCheck.constant(0)),
  jitter: FastCheck.oneof(FastCheck.constant(0), FastCheck.nat(3 * HOUR), FastCheck.nat(HOUR / 6)),
  limit: FastCheck.oneof(FastCheck.constant(Infinity), FastCheck.integer({ min: 1, max: 9 }))
})

interface Given {
  readonly job: Job.Job
  /** The times at which it is advanced. */
  readonly instants: ReadonlyArray<number>
  /** How much is in flight at each of them. */
  readonly loads: ReadonlyArray<number>
}

const history: FastCheck.Arbitrary<Given> = FastCheck.record({
  id: FastCheck.string(),
  trigger,
  options,
  gaps: FastCheck.array(FastCheck.oneof(FastCheck.nat(HOUR), FastCheck.nat(20 * HOUR)), {
    minLength: 1,
    maxLength: 12
  }),
  loads: FastCheck.array(FastCheck.nat(1), { minLength: 12, maxLength: 12 })
}).map(({ gaps, id, loads, options, trigger }) => ({
  job: Job.make({ id, task: "Task", now: DateTime.unsafeMake(start), trigger, policy: policyOf(options) }),
  instants: gaps.map((_, i) => start + gaps.slice(0, i + 1).reduce((sum, gap) => sum + gap, 0)),
  loads
}))

/** What becomes of a job step by step: each time that something is due, the job before and what came of it. */
const advances = ({ instants, job, loads }: Given, isIdle = false) => {
  let current = job
  return instants.map((instant, i) => {
    const before = current
    const advance = Job.advance(before, DateTime.unsafeMake(instant), isIdle ? 0 : loads[i]!)
    current = advance.next
    return { now: instant, before, advance }
  })
}

/** All times of the trigger up to an instant, one by one. */
const timesUpTo = (job: Job.Job, until: number): ReadonlyArray<number> => {
  const times = Job.occurrences(job)
  return Arr.unfold(times.next(start), (time) =>
    time <= until ? Option.some([time, times.next(time)]) : Option.none()
  )
}

const dueOf = (job: Job.Job, nominal: number) =>
  Job.dueAt({ ...job, state: { _tag: "Active" }, nextRunTime: Option.some(Occurrences.instant(nominal)) })

const unlimited = (given: Given): Given => ({
  ...given,
  job: { ...given.job, policy: { ...given.job.policy, limit: Infinity } }
})

describe("jitter", () => {
  it.prop(
    "is the same for the same job and time, and no more than the policy says",
    [history],
    ([{ job, instants }]) => {
      const most = Duration.toMillis(job.policy.jitter)
      for (const time of timesUpTo(job, instants.at(-1)!)) {
        const jitter = dueOf(job, time) - time
        assert.isTrue(jitter >= 0 && jitter <= most && Number.isInteger(jitter))
        assert.strictEqual(dueOf(structuredJob(job), time) - time, jitter)
      }
    }
  )

  it.prop(
    "never puts a time off to the next one or beyond, so that their order stays",
    [history],
    ([{ job, instants }]) => {
      const nominal = timesUpTo(job, instants.at(-1)!)
      for (const [i, time] of nominal.entries()) {
        if (i > 0) assert.isBelow(dueOf(job, nominal[i - 1]!), time)
      }
    }
  )

  it.prop("keeps a job from being due before, and lets it be due then", [history], ([{ job }]) => {
    const due = Job.dueAt(job)
    if (due === Infinity) return
    const [before, then] = [due - 1, due].map((millis) => Job.advance(job, DateTime.unsafeMake(millis), 0))
    assert.deepStrictEqual([recordsOf(before!), before!.next], [[], job])
    assert.strictEqual(recordsOf(then!).length, 1)
  })

  it.prop(
    "is in the actual time of each run, beside the nominal one, and the grace begins there",
    [history],
    ([given]) => {
      for (const { advance, before } of advances(given)) {
        for (const run of recordsOf(advance)) {
          const due = dueOf(before, run.scheduledAt.epochMillis)
          const grace = Duration.toMillis(before.policy.misfireGraceTime)
          assert.deepStrictEqual([run.dueAt.epochMillis, run.runAt.epochMillis], [due, due])
          assert.strictEqual(
            Option.match(run.startBy, { onNone: () => Infinity, onSome: (time) => time.epochMillis }),
            due + grace
          )
          assert.strictEqual(run.key, DateTime.formatIso(run.scheduledAt))
        }
      }
    }
  )

  it("is a part of the next time for others: they see the nominal one", () => {
    const job = jobOf({ jitter: "30 seconds" })
    assert.strictEqual(nextOf(job), "00:01:00")
    assert.isAbove(Job.dueAt(job), at("00:01:00").epochMillis)
  })

  it("parts jobs that are due at one instant", () => {
    const due = Arr.makeBy(1000, (i) => Job.dueAt({ ...jobOf({ jitter: "50 seconds" }), id: `job-${i}` }))
    assert.isAbove(new Set(due).size, 950)
  })

  for (const coalesce of ["latest", "earliest", "all"] as const) {
    it(`does not make a run late that starts when it is due (${coalesce})`, () => {
      let job = jobOf({ coalesce, jitter: "59 seconds", misfireGraceTime: 0 })
      for (let i = 0; i < 100; i++) {
        const advance = Job.advance(job, DateTime.unsafeMake(Job.dueAt(job)), 0)
        assert.deepStrictEqual([advance.runs.length, advance.missed.length], [1, 0])
        job = advance.next
      }
      assert.strictEqual(nextOf(job), "01:41:00")
    })
  }
})

/** The same job, read again from its store. */
const structuredJob = (job: Job.Job): Job.Job => ({ ...job, fired: job.fired + 1, payload: "another" })

describe("a job that is advanced at any instants", () => {
  it.prop(
    "gives each of its times once: to a run or a record, or to what one of them covers",
    [history],
    ([given]) => {
      const steps = advances(unlimited(given))
      const last = steps.at(-1)!
      const records = steps.flatMap(({ advance }) => recordsOf(advance))
      const own = millisOf(records)
      assert.strictEqual(new Set(own).size, own.length, "no time comes twice")
      const until = Option.match(last.advance.next.nextRunTime, {
        onNone: () => Infinity,
        onSome: (time) => time.epochMillis - 1
      })
      const due = timesUpTo(given.job, Math.min(until, last.now))
      for (const time of own) assert.include(due, time)
      for (const time of due) {
        const covering = records.filter(({ covers }) =>
          Option.exists(covers, ({ first, last }) => first.epochMillis <= time && time <= last.epochMillis)
        )
        assert.isAtMost(covering.length, 1)
        assert.isTrue(own.includes(time) || covering.length === 1, `${new Date(time).toISOString()} is lost`)
      }
    },
    { fastCheck: { numRuns: 300 } }
  )

  it.prop(
    "goes on with the first of its times that is not yet due",
    [history],
    ([given]) => {
      const steps = advances(unlimited(given))
      for (const { advance, before, now } of steps) {
        const times = Job.occurrences(before)
        let next = Option.match(before.nextRunTime, { onNone: () => Infinity, onSome: (time) => time.epochMillis })
        while (next !== Infinity && dueOf(before, next) <= now) next = times.next(next)
        assert.deepStrictEqual(advance.next.nextRunTime, Occurrences.instantOption(next))
      }
    },
    { fastCheck: { numRuns: 300 } }
  )

  it.prop("says how many times were dropped, and which", [history], ([given]) => {
    for (const { advance, before, now } of advances(unlimited(given))) {
      const times = Job.occurrences(before)
      const due: Array<number> = []
      let next = Option.match(before.nextRunTime, { onNone: () => Infinity, onSome: (time) => time.epochMillis })
      for (; next !== Infinity && dueOf(before, next) <= now; next = times.next(next)) due.push(next)
      const expected = before.policy.coalesce === "all" ? due.slice(0, -before.policy.catchUpLimit) : []
      assert.deepStrictEqual(
        Option.getOrNull(advance.dropped),
        expected.length === 0
          ? null
          : {
              count: expected.length,
              isExact: true,
              first: Occurrences.instant(expected[0]!),
              last: Occurrences.instant(expected.at(-1)!)
            }
      )
      const covers = recordsOf(advance).flatMap((run) => Option.toArray(run.covers))
      const dropped = Option.map(advance.dropped, ({ first, last }) => ({ first, last, as: "dropped" as const }))
      if (before.policy.coalesce === "all") assert.deepStrictEqual(covers, Option.toArray(dropped))
      else assert.isTrue(covers.every(({ as }) => as === "coalesced"))
    }
  })

  it.prop("runs as often as its limit allows, and is finished then", [history], ([given]) => {
    const { limit } = given.job.policy
    let made = 0
    for (const { advance, before } of advances(given)) {
      made += advance.runs.length
      assert.isAtMost(made, limit)
      assert.strictEqual(advance.next.fired, made)
      if (made === limit) assert.isTrue(Job.isFinished(advance.next))
      if (Job.isFinished(before)) assert.deepStrictEqual(recordsOf(advance), [])
    }
  })

  it.prop(
    "that may run for ever runs exactly as often as its limit says",
    [options, FastCheck.nat(8)],
    ([given, more]) => {
      const limit = more + 1
      let job = jobOf({ ...given, limit })
      let made = 0
      for (let i = 0; i < 2 * limit && Option.isSome(job.nextRunTime); i++) {
        // Every other time too much is in flight, and counts for nothing.
        const { next, runs } = Job.advance(job, DateTime.unsafeMake(Job.dueAt(job)), i % 2 === 0 ? 1 : 0)
        made += runs.length
        job = next
      }
      assert.deepStrictEqual([made, job.fired, Job.isFinished(job)], [limit, limit, true])
    }
  )
})

describe("limit", () => {
  it('cuts "all" to what is left, and says so in what is made', () => {
    const { next, runs } = Job.advance(jobOf({ coalesce: "all", limit: 3 }, { fired: 1 }), at("00:05:00"), 0)
    assert.deepStrictEqual(
      runs.map(({ scheduledAt, state }) => [clock(scheduledAt), state._tag]),
      [
        ["00:01:00", "Pending"],
        ["00:02:00", "Waiting"]
      ]
    )
    assert.deepStrictEqual([next.fired, nextOf(next), Job.isFinished(next)], [3, null, true])
  })

  it("does not count what is skipped or missed", () => {
    const skipped = Job.advance(jobOf({ limit: 1 }), at("00:01:00"), 1)
    const missed = Job.advance(jobOf({ limit: 1, misfireGraceTime: 0 }), at("00:01:00.001"), 0)
    for (const { next } of [skipped, missed]) assert.deepStrictEqual([next.fired, nextOf(next)], [0, "00:02:00"])
  })

  it("counts what waits in a queue", () => {
    const { next } = Job.advance(jobOf({ limit: 1, overlap: "queue" }), at("00:01:00"), 1)
    assert.deepStrictEqual([next.fired, nextOf(next)], [1, null])
  })

  it("that was lowered to what has been made ends the job when it is due next", () => {
    const advance = Job.advance(jobOf({ limit: 2 }, { fired: 3 }), at("00:05:00"), 0)
    assert.deepStrictEqual([recordsOf(advance), advance.next.fired, nextOf(advance.next)], [[], 3, null])
  })
})

describe("a spaced job", () => {
  const spaced = (
    options: Policy.PolicyOptions = {},
    bounds: Trigger.BoundsOptions = {},
    changes: Partial<Job.Job> = {}
  ) => jobOf(options, { trigger: Trigger.spaced("10 minutes", bounds), ...changes })

  const firsts: ReadonlyArray<readonly [name: string, bounds: Trigger.BoundsOptions, first: string | null]> = [
    ["is first due so long after it was added", {}, "00:10:00"],
    ["with a start is first due then", { start: at("00:03:00") }, "00:03:00"],
    ["with an end may be due then", { end: at("00:10:00") }, "00:10:00"],
    ["with an end before has no time", { end: at("00:09:59.999") }, null]
  ]
  for (const [name, bounds, first] of firsts) {
    it(name, () => {
      assert.strictEqual(nextOf(Job.make({ ...make, trigger: Trigger.spaced("10 minutes", bounds) })), first)
    })
  }

  it("has no next time while its run is in flight, and is due so long after its end", () => {
    const { next, runs } = Job.advance(spaced(), at("00:10:00"), 0)
    assert.deepStrictEqual([runs.length, nextOf(next)], [1, null])
    const armed = Job.rearm(next, at("00:13:30"))
    assert.deepStrictEqual([nextOf(armed), armed.anchor], ["00:23:30", at("00:13:30")])
  })

  it("that is armed is not moved by another end", () => {
    const armed = Job.rearm(Job.advance(spaced(), at("00:10:00"), 0).next, at("00:13:30"))
    assert.strictEqual(Job.rearm(armed, at("00:15:00")), armed)
  })

  it("is armed no more when its limit is reached or its end is past, or once it is finished", () => {
    const rests: ReadonlyArray<Job.Job> = [
      spaced({ limit: 1 }, {}, { fired: 1, nextRunTime: Option.none() }),
      spaced({}, { end: at("00:20:00") }, { nextRunTime: Option.none() }),
      spaced({}, {}, { state: { _tag: "Finished", at: at("00:11:00") }, nextRunTime: Option.none() })
    ]
    for (const job of rests) assert.deepStrictEqual(Job.rearm(job, at("00:10:01")).nextRunTime, Option.none())
  })

  it("is not armed before its start", () => {
    const job = spaced({}, { start: at("01:00:00") }, { nextRunTime: Option.none() })
    assert.strictEqual(nextOf(Job.rearm(job, at("00:10:00"))), "01:00:00")
    assert.strictEqual(nextOf(Job.rearm(job, at("00:55:00"))), "01:05:00")
  })

  it("is no other job's business: what is not spaced is never armed", () => {
    const job = jobOf({}, { nextRunTime: Option.none() })
    assert.strictEqual(Job.rearm(job, at("00:10:00")), job)
  })

  it("goes on from now when its run is skipped or missed", () => {
    const skipped = Job.advance(spaced(), at("00:12:00"), 1)
    const missed = Job.advance(spaced({ misfireGraceTime: "1 minute" }), at("00:12:00"), 0)
    assert.deepStrictEqual([skipped.skipped.length, missed.missed.length], [1, 1])
    for (const { next } of [skipped, missed]) assert.strictEqual(nextOf(next), "00:22:00")
  })

  for (const coalesce of ["latest", "earliest", "all"] as const) {
    for (const bounds of [{}, { start: at("00:03:00") }]) {
      it(`is due once, however late, ${"start" in bounds ? "with" : "without"} a start (${coalesce})`, () => {
        const job = spaced({ coalesce }, bounds, { nextRunTime: Option.some(at("00:17:30")) })
        const advance = Job.advance(job, at("05:00:00"), 0)
        assert.deepStrictEqual(
          recordsOf(advance).map(({ covers, scheduledAt }) => [clock(scheduledAt), covers]),
          [["00:17:30", Option.none()]]
        )
        assert.deepStrictEqual([advance.dropped, nextOf(advance.next)], [Option.none(), null])
      })
    }
  }

  it("has a jitter as others do: nominal and actual time are recorded, and the grace begins with the latter", () => {
    const job = spaced({ jitter: "5 minutes", misfireGraceTime: 0 })
    const due = DateTime.unsafeMake(Job.dueAt(job))
    assert.isTrue(DateTime.greaterThan(due, at("00:10:00")))
    const { missed, runs } = Job.advance(job, due, 0)
    assert.deepStrictEqual(missed, [])
    assert.deepStrictEqual(
      runs.map(({ dueAt, runAt, scheduledAt }) => [clock(scheduledAt), dueAt, runAt]),
      [["00:10:00", due, due]]
    )
  })

  it("runs exactly as often as its limit says", () => {
    let job = spaced({ limit: 3 })
    const made: Array<string> = []
    for (let i = 0; i < 9 && Option.isSome(job.nextRunTime); i++) {
      const { next, runs } = Job.advance(job, job.nextRunTime.value, i % 2)
      made.push(...runs.map(({ scheduledAt }) => clock(scheduledAt)))
      job = Job.rearm(next, DateTime.add(job.nextRunTime.value, { minutes: 1 }))
    }
    assert.deepStrictEqual(made, ["00:10:00", "00:31:00", "00:52:00"])
    assert.isTrue(Job.isFinished(job))
  })

  const resumptions: ReadonlyArray<
    readonly [name: string, from: Job.ResumeFrom, nextRunTime: string | null, after: string | null]
  > = [
    ["from now counts from now if its time is past", "now", "00:10:00", "00:40:00"],
    ["from now keeps a time that has not come", "now", "00:35:00", "00:35:00"],
    ["from the pause keeps its time", "pause", "00:10:00", "00:10:00"],
    ["from an instant is due then", at("01:00:00"), "00:10:00", "01:00:00"],
    ["waits for the end of a run in flight", "now", null, null]
  ]
  for (const [name, from, nextRunTime, after] of resumptions) {
    it(`that goes on ${name}`, () => {
      const job = spaced({}, {}, { nextRunTime: Option.map(Option.fromNullable(nextRunTime), at) })
      const resumed = Job.resume(Job.pause(job, at("00:05:00")), at("00:30:00"), from)
      assert.deepStrictEqual([nextOf(resumed), resumed.state._tag], [after, "Active"])
    })
  }

  it("that goes on after its end is finished, or runs for the last time", () => {
    const job = spaced({}, { end: at("00:20:00") })
    const resumed = Job.resume(Job.pause(job, at("00:05:00")), at("00:30:00"))
    assert.isTrue(resumed.state._tag === "Finished" || nextOf(resumed) === "00:10:00", JSON.stringify(resumed.state))
  })

  it("keeps its place when it is declared again, in flight or not", () => {
    for (const nextRunTime of [Option.none(), Option.some(at("00:10:00"))]) {
      const job = spaced({}, {}, { fired: 4, nextRunTime })
      const declared = Job.make({ ...make, now: at("00:07:00"), trigger: Trigger.spaced("10 minutes") })
      assert.deepStrictEqual(Job.replace(job, declared), { ...job, nextRunTime })
    }
  })
})

const make = { id: "job", task: "Task", now: at("00:00:00") }

describe("going on after a pause", () => {
  const paused = Job.pause(jobOf(), at("00:03:30"), { note: "maintenance", by: "Ada" })

  const rows: ReadonlyArray<readonly [name: string, from: Job.ResumeFrom | undefined, next: string]> = [
    ["leaves out what fell into it", undefined, "00:11:00"],
    ["from now leaves out what fell into it", "now", "00:11:00"],
    ["from the pause leaves it to the policies", "pause", "00:01:00"],
    ["from an instant in it goes on with the first time from then on", at("00:07:30"), "00:08:00"],
    ["from an instant that is a time goes on with that", at("00:07:00"), "00:07:00"],
    ["from an instant before its next time keeps that", at("00:00:10"), "00:01:00"],
    ["from a later instant waits for that", at("00:20:30"), "00:21:00"]
  ]
  for (const [name, from, next] of rows) {
    it(name, () => {
      const resumed = Job.resume(paused, at("00:10:30"), from)
      assert.deepStrictEqual([nextOf(resumed), resumed.state], [next, { _tag: "Active" }])
    })
  }

  it("remembers it: from when to when, why and by whom", () => {
    assert.deepStrictEqual(
      Job.resume(paused, at("00:10:30")).lastPause,
      Option.some({
        from: at("00:03:30"),
        to: at("00:10:30"),
        note: Option.some("maintenance"),
        by: Option.some("Ada")
      })
    )
  })

  it("remembers the last one alone, and none for what was parked", () => {
    const first = Job.resume(paused, at("00:10:30"))
    const second = Job.resume(Job.pause(first, at("00:12:00")), at("00:13:00"))
    assert.deepStrictEqual(
      second.lastPause,
      Option.some({ from: at("00:12:00"), to: at("00:13:00"), note: Option.none(), by: Option.none() })
    )
    const parked = Job.resume(Job.park(second, at("00:14:00"), "no such task"), at("00:15:00"))
    assert.deepStrictEqual(parked.lastPause, second.lastPause)
  })

  it("counts a pause from its beginning, whoever pauses once more", () => {
    const twice = Job.pause(paused, at("00:05:00"), { note: "still", by: "Bob" })
    assert.deepStrictEqual(twice.state, {
      _tag: "Paused",
      at: at("00:03:30"),
      note: Option.some("still"),
      by: Option.some("Bob")
    })
  })

  it("takes a note alone as text", () => {
    const noted = { _tag: "Paused", at: at("00:03:30"), note: Option.some("why"), by: Option.none() } as const
    assert.deepStrictEqual(Job.pause(jobOf(), at("00:03:30"), "why").state, noted)
    assert.deepStrictEqual(Job.pause(jobOf(), at("00:03:30"), { note: "why" }).state, noted)
  })
})

describe("a finished job", () => {
  const over = jobOf({ retention: { finishedJobs: "keep" } }, { fired: 2, nextRunTime: Option.none() })
  const finished = Option.getOrThrow(Job.finish(over, at("00:05:00")))

  it("is kept if its retention says so, and nothing is left of it otherwise", () => {
    assert.deepStrictEqual(finished, { ...over, state: { _tag: "Finished", at: at("00:05:00") } })
    assert.deepStrictEqual(Job.finish({ ...over, policy: Policy.defaults }, at("00:05:00")), Option.none())
  })

  it("neither pauses nor goes on", () => {
    assert.strictEqual(Job.resume(finished, at("00:06:00")), finished)
    assert.strictEqual(Job.pause(finished, at("00:06:00")), finished)
  })

  it("is rescheduled to begin anew", () => {
    const job = Job.reschedule(finished, Trigger.interval({ minutes: 5 }), at("00:06:00"))
    assert.deepStrictEqual(
      [job.state, job.fired, nextOf(job), job.anchor],
      [{ _tag: "Active" }, 0, "00:11:00", at("00:06:00")]
    )
  })

  it("is declared anew to begin anew", () => {
    const job = Job.replace(finished, Job.make({ ...make, now: at("00:06:00"), trigger: minutely }))
    assert.deepStrictEqual([job.state, job.fired, nextOf(job)], [{ _tag: "Active" }, 0, "00:07:00"])
  })

  it("that has made all its runs stays finished when it is declared again with the same limit", () => {
    const policy = policyOf({ limit: 2, retention: { finishedJobs: "keep" } })
    const job = Job.replace(
      { ...finished, policy },
      Job.make({ ...make, now: at("00:06:00"), trigger: minutely, policy })
    )
    assert.deepStrictEqual([job.state._tag, job.fired, nextOf(job)], ["Finished", 2, null])
  })
})

describe("what a job keeps", () => {
  const stored = jobOf(
    { limit: 9 },
    {
      addedAt: at("00:00:00"),
      fired: 4,
      incarnation: 7,
      origin: Option.some({ traceId: "old", spanId: "old" }),
      lastPause: Option.some({ from: at("00:01:00"), to: at("00:02:00"), note: Option.none(), by: Option.none() }),
      nextRunTime: Option.some(at("00:05:00"))
    }
  )

  it("when it is declared again: phase, count, life, last pause, and when and where it was added", () => {
    const origin = { traceId: "new", spanId: "new" }
    const declared = Job.make({
      ...make,
      now: at("00:04:30"),
      trigger: Trigger.interval({ minutes: 1 }),
      origin,
      name: "New"
    })
    assert.deepStrictEqual(Job.replace(stored, declared), { ...stored, policy: Policy.defaults, name: "New" })
  })

  it("when it is declared again on another trigger: all but phase and count", () => {
    const trigger = Trigger.interval({ hours: 1 })
    const replaced = Job.replace(stored, Job.make({ ...make, now: at("00:04:30"), trigger }))
    assert.deepStrictEqual(replaced, {
      ...stored,
      policy: Policy.defaults,
      trigger,
      anchor: at("00:04:30"),
      fired: 0,
      nextRunTime: Option.some(at("01:04:30"))
    })
  })

  it("when it is rescheduled: all but phase and count", () => {
    const trigger = Trigger.interval({ hours: 1 })
    assert.deepStrictEqual(Job.reschedule(stored, trigger, at("00:04:30")), {
      ...stored,
      trigger,
      anchor: at("00:04:30"),
      fired: 0,
      nextRunTime: Option.some(at("01:04:30"))
    })
  })
})

describe("years of missed one-second slots", () => {
  const begin = at("00:00:00")

  /** The same trigger, which counts how often it is asked. */
  const counted = (trigger: Trigger.Trigger) => {
    const calls = { count: 0 }
    const spying =
      (ask: (at: number) => number) =>
      (at: number): number => {
        calls.count++
        return ask(at)
      }
    const { next, previous } = trigger.occurrences
    const occurrences = { next: spying(next), previous: spying(previous) }
    const spy: Trigger.Trigger = Object.create(trigger, { occurrences: { value: occurrences } })
    return { calls, spy }
  }

  const triggers = {
    "an interval": Trigger.interval({ seconds: 1, start: "2026-01-01T00:00:00Z" }),
    "a cron": Trigger.cron({ second: "*" }),
    "a spaced trigger": Trigger.spaced("1 second", { start: "2026-01-01T00:00:00Z" })
  }
  const rows: ReadonlyArray<readonly [options: Policy.PolicyOptions, most: number]> = [
    [{ coalesce: "latest" }, 5],
    [{ coalesce: "latest", jitter: "1 hour", misfireGraceTime: "1 minute" }, 12],
    [{ coalesce: "earliest" }, 5],
    [{ coalesce: "earliest", jitter: "1 hour", misfireGraceTime: "1 minute" }, 15],
    [{ coalesce: "all" }, 1200],
    [{ coalesce: "all", jitter: "1 hour", misfireGraceTime: "1 minute" }, 1600],
    [{ coalesce: "all", catchUpLimit: 1 }, 1010],
    [{ coalesce: "all", limit: 1 }, 1200]
  ]
  for (const [name, trigger] of Object.entries(triggers)) {
    for (const [options, most] of rows) {
      it(`of ${name} with ${JSON.stringify(options)} cost ten times over no more than one`, () => {
        const cost = [1, 10].map((years) => {
          const { calls, spy } = counted(trigger)
          const job = jobOf(options, { trigger: spy, nextRunTime: Option.some(begin) })
          const advance = Job.advance(job, DateTime.add(begin, { years }), 0)
          assert.isAbove(recordsOf(advance).length, 0)
          return calls.count
        })
        assert.strictEqual(cost[1], cost[0])
        assert.isAtMost(cost[0]!, most)
      })
    }
  }

  it("cost no more to leave out after a pause", () => {
    const { calls, spy } = counted(triggers["an interval"])
    const job = Job.pause(jobOf({}, { trigger: spy, nextRunTime: Option.some(begin) }), begin)
    Job.resume(job, DateTime.add(begin, { years: 10 }))
    assert.isAtMost(calls.count, 4)
  })
})

describe("a job whose zone has changed its rules since its next time was worked out", () => {
  const trigger = Trigger.cron({ hour: 9, timezone: "UTC" })
  const advance = (job: Job.Job, now: string) => {
    const { next, runs } = Job.advance(job, at(now), 0)
    return { runs: runs.map(({ scheduledAt }) => clock(scheduledAt)), next: Option.getOrThrow(next.nextRunTime) }
  }

  for (const [name, stored, next] of [
    ["an earlier", "10:00:00", "2026-01-02T09:00:00Z"],
    ["a later", "08:00:00", "2026-01-01T09:00:00Z"]
  ] as const) {
    it(`to ${name} one runs at the time that it had announced, and goes on by the new rules`, () => {
      const job = jobOf({}, { trigger, nextRunTime: Option.some(at(stored)) })
      assert.deepStrictEqual(advance(job, stored), { runs: [stored], next: DateTime.unsafeMake(next) })
      const found = Audit.check({ jobs: [job], runs: [], now: at("00:00:00") })
      assert.deepStrictEqual(found, [{ _tag: "TimeOffTrigger", jobId: "job", nextRunTime: at(stored) }])
    })
  }

  it("takes its next time from the new rules at once when it is rescheduled", () => {
    const job = jobOf({}, { trigger, nextRunTime: Option.some(at("10:00:00")) })
    assert.strictEqual(nextOf(Job.reschedule(job, trigger, at("00:00:00"))), "09:00:00")
  })
})
