import { assert, describe, it } from "@effect/vitest"
import { DateTime, Equal, Option } from "effect"
import * as Explanation from "../src/Explanation.ts"
import * as Job from "../src/Job.ts"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import * as Trigger from "../src/Trigger.ts"

/** A time of day of 1 January 2026, UTC. */
const at = (clock: string) => DateTime.unsafeMake(`2026-01-01T${clock}Z`)

const policyOf = (options: Policy.PolicyOptions) => Policy.override(Policy.defaults, options)

/** A job added at 09:00 that is due every hour, and next at 13:00. */
const hourly: Job.Job = {
  ...Job.make({ id: "job", task: "Task", now: at("09:00:00"), trigger: Trigger.cron({ hour: "*" }) }),
  nextRunTime: Option.some(at("13:00:00"))
}

const paused = Job.pause(hourly, at("10:30:00"), { by: "Ada", note: "maintenance" })

const runOf = (state: Run.RunState, changes: Partial<Run.Run> = {}, options: Policy.PolicyOptions = {}): Run.Run => ({
  ...Run.make({ ...hourly, policy: policyOf(options) }, at("11:00:00")),
  attempt: 1,
  ...changes,
  state
})

const covers = (as: Run.Covers["as"]) => Option.some({ first: at("09:00:00"), last: at("12:00:00"), as })

interface Row {
  readonly name: string
  readonly verdict: Explanation.Verdict
  /** What the message says, among other things. */
  readonly says: ReadonlyArray<string>
  /** Default: 11:00. */
  readonly at?: string
  /** Default: 12:30. */
  readonly now?: string
  readonly job?: Job.Job | null
  readonly runs?: ReadonlyArray<Run.Run>
  /** Whether the first of the runs is the one that tells of it. Default: there is one. */
  readonly tells?: boolean
}

const startedAt = at("11:00:00")
const finishedAt = at("11:10:00")

const tables: Record<string, ReadonlyArray<Row>> = {
  "a run that started": [
    {
      name: "and succeeded ran",
      verdict: "Ran",
      says: ["It ran, and succeeded at 2026-01-01T11:10:00.000Z."],
      runs: [runOf({ _tag: "Succeeded", startedAt, finishedAt })]
    },
    {
      name: "and failed ran, and the reason is told",
      verdict: "Ran",
      says: ["failed", "it broke"],
      runs: [runOf({ _tag: "Failed", startedAt, finishedAt, failure: { kind: "Error", message: "it broke" } })]
    },
    {
      name: "and was abandoned ran",
      verdict: "Ran",
      says: ["abandoned"],
      runs: [runOf({ _tag: "Abandoned", startedAt, finishedAt })]
    },
    {
      name: "is running, and where is told",
      verdict: "Ran",
      says: ["running on node-7"],
      runs: [runOf({ _tag: "Running", node: "node-7", startedAt })]
    },
    {
      name: "more than once says in which attempt",
      verdict: "Ran",
      says: ["attempt 3"],
      runs: [runOf({ _tag: "Succeeded", startedAt, finishedAt }, { attempt: 3 })]
    },
    {
      name: "a second after it was due is late, and by how much is told",
      verdict: "RanLate",
      says: ["it started 1s after it was due"],
      runs: [runOf({ _tag: "Succeeded", startedAt: at("11:00:01"), finishedAt })]
    },
    {
      name: "a millisecond less than that after it was due is not late",
      verdict: "Ran",
      says: [],
      runs: [runOf({ _tag: "Succeeded", startedAt: at("11:00:00.999"), finishedAt })]
    },
    {
      name: "when its jitter was over is not late",
      verdict: "Ran",
      says: [],
      runs: [runOf({ _tag: "Succeeded", startedAt: at("11:05:00"), finishedAt }, { dueAt: at("11:05:00") })]
    },
    {
      name: "is told of even if its job is gone",
      verdict: "Ran",
      says: ["succeeded"],
      job: null,
      runs: [runOf({ _tag: "Succeeded", startedAt, finishedAt })]
    }
  ],
  "a run that has not started": [
    {
      name: "waits for a slot when it is due",
      verdict: "Waiting",
      says: ["free slot"],
      runs: [runOf({ _tag: "Pending" })]
    },
    {
      name: "waits for its time when it is not",
      verdict: "Waiting",
      says: ["due at 2026-01-01T11:05:00.000Z"],
      now: "11:02:00",
      runs: [runOf({ _tag: "Pending" }, { runAt: at("11:05:00") })]
    },
    {
      name: "waits for its retry",
      verdict: "Waiting",
      says: ["attempt 2 failed", "2026-01-01T11:05:00.000Z"],
      now: "11:02:00",
      runs: [runOf({ _tag: "Pending" }, { failures: 2, runAt: at("11:05:00") })]
    },
    { name: "waits in the queue of its job", verdict: "Waiting", says: ["queue"], runs: [runOf({ _tag: "Queued" })] },
    { name: "waits for the one before it", verdict: "Waiting", says: ["before it"], runs: [runOf({ _tag: "Waiting" })] }
  ],
  "a run that did not run": [
    {
      name: "is missed, and by how much and since when is told",
      verdict: "Missed",
      says: ["10m after", "misfireGraceTime", "2026-01-01T11:05:00.000Z"],
      runs: [runOf({ _tag: "Missed", finishedAt }, {}, { misfireGraceTime: "5 minutes" })]
    },
    {
      name: "was skipped for maxInstances",
      verdict: "Skipped",
      says: ["maxInstances"],
      runs: [runOf({ _tag: "Skipped", finishedAt, reason: "maxInstances" })]
    },
    {
      name: "was skipped for queueLimit",
      verdict: "Skipped",
      says: ["queueLimit"],
      runs: [runOf({ _tag: "Skipped", finishedAt, reason: "queueLimit" })]
    },
    {
      name: "was called off",
      verdict: "Cancelled",
      says: ["2026-01-01T11:10:00.000Z", "somebody"],
      runs: [runOf({ _tag: "Cancelled", finishedAt, reason: "requested" })]
    },
    {
      name: "was called off for a later one",
      verdict: "Cancelled",
      says: ["cancelPrevious"],
      runs: [runOf({ _tag: "Cancelled", startedAt, finishedAt, reason: "overlap" })]
    },
    {
      name: "was called off with its job",
      verdict: "Cancelled",
      says: ["removed"],
      job: null,
      runs: [runOf({ _tag: "Cancelled", finishedAt, reason: "removed" })]
    }
  ],
  "a time of another run": [
    {
      name: "was coalesced into it",
      verdict: "Coalesced",
      says: ["2026-01-01T11:00:00.000Z", "coalesce"],
      at: "10:00:00",
      runs: [runOf({ _tag: "Succeeded", startedAt, finishedAt }, { covers: covers("coalesced") })]
    },
    {
      name: "was more than catchUpLimit",
      verdict: "Dropped",
      says: ["catchUpLimit"],
      at: "10:00:00",
      runs: [runOf({ _tag: "Succeeded", startedAt, finishedAt }, { covers: covers("dropped") })]
    },
    {
      name: "is told of both ends of what it covers",
      verdict: "Coalesced",
      says: [],
      at: "12:00:00",
      runs: [runOf({ _tag: "Missed", finishedAt }, { covers: covers("coalesced") })]
    },
    {
      name: "is told even if the job is gone",
      verdict: "Coalesced",
      says: [],
      at: "10:00:00",
      job: null,
      runs: [runOf({ _tag: "Missed", finishedAt }, { covers: covers("coalesced") })]
    },
    {
      name: "is none if it is not due then",
      verdict: "NotDue",
      says: [],
      at: "10:00:01",
      tells: false,
      runs: [runOf({ _tag: "Succeeded", startedAt, finishedAt }, { covers: covers("coalesced") })]
    },
    {
      name: "gives way to its own",
      verdict: "Skipped",
      says: [],
      runs: [
        runOf({ _tag: "Skipped", finishedAt, reason: "maxInstances" }),
        { ...runOf({ _tag: "Missed", finishedAt }, { covers: covers("dropped") }), scheduledAt: at("12:00:00") }
      ]
    }
  ],
  "a job": [
    {
      name: "that is paused says since when, by whom and why",
      verdict: "Paused",
      says: ["since 2026-01-01T10:30:00.000Z", "by Ada", "maintenance"],
      job: paused
    },
    { name: "that is paused said nothing before", verdict: "Unknown", says: [], at: "10:00:00", job: paused },
    {
      name: "that was paused says from when to when, by whom and why",
      verdict: "Paused",
      says: ["from 2026-01-01T10:30:00.000Z to 2026-01-01T11:30:00.000Z", "by Ada", "maintenance"],
      job: Job.resume(paused, at("11:30:00"))
    },
    {
      name: "that was paused is not so any more",
      verdict: "Unknown",
      says: [],
      at: "12:00:00",
      job: Job.resume(paused, at("11:30:00"))
    },
    {
      name: "paused by nobody for no reason says so",
      verdict: "Paused",
      says: ["The job is paused since 2026-01-01T10:30:00.000Z."],
      job: Job.pause(hourly, at("10:30:00"))
    },
    {
      name: "that is parked says since when and why",
      verdict: "Parked",
      says: ["since 2026-01-01T10:30:00.000Z", "no such task"],
      job: Job.park(hourly, at("10:30:00"), "no such task")
    },
    {
      name: "that is not due then says when it is, and by which trigger",
      verdict: "NotDue",
      says: ["2026-01-01T11:00:00.000Z", "2026-01-01T12:00:00.000Z", Trigger.describe(hourly.trigger)],
      at: "11:17:00"
    },
    {
      name: "that was added later says when",
      verdict: "NotYetAdded",
      says: ["2026-01-01T09:00:00.000Z"],
      at: "08:00:00"
    },
    { name: "that is due later lies ahead", verdict: "Ahead", says: ["2026-01-01T13:00:00.000Z"], at: "13:00:00" },
    {
      name: "whose time has come lies ahead as long as its jitter, or its turn, has not",
      verdict: "Ahead",
      says: [],
      job: { ...hourly, nextRunTime: Option.some(at("11:00:00")) }
    },
    {
      name: "that has made all its runs is finished",
      verdict: "Finished",
      says: ["all its runs"],
      at: "13:00:00",
      job: { ...hourly, fired: 3, nextRunTime: Option.none() }
    },
    {
      name: "that had made all its runs by then is finished",
      verdict: "Finished",
      says: [],
      job: {
        ...hourly,
        fired: 1,
        policy: policyOf({ limit: 1 }),
        nextRunTime: Option.none(),
        state: { _tag: "Finished", at: at("10:00:05") }
      }
    },
    { name: "whose run was forgotten is not known of", verdict: "Unknown", says: ["no record"] },
    { name: "that is gone is not known of", verdict: "Unknown", says: ["no such job"], job: null }
  ]
}

describe("Explanation.make", () => {
  for (const [table, rows] of Object.entries(tables)) {
    describe(table, () => {
      for (const row of rows) {
        it(`${row.name}: ${row.verdict}`, () => {
          const runs = row.runs ?? []
          const explanation = Explanation.make({
            job: row.job === null ? Option.none() : Option.some(row.job ?? hourly),
            runs,
            at: at(row.at ?? "11:00:00"),
            now: at(row.now ?? "12:30:00")
          })
          assert.strictEqual(explanation.verdict, row.verdict, explanation.message)
          for (const text of row.says) assert.include(explanation.message, text)
          assert.match(explanation.message, /^[A-Z].*\.$/)
          assert.isTrue(
            Equal.equals(explanation.run, row.tells === false ? Option.none() : Option.fromNullable(runs[0]))
          )
        })
      }
    })
  }

  it("has a row above for each verdict", () => {
    const verdicts: { readonly [V in Explanation.Verdict]: true } = {
      Ran: true,
      RanLate: true,
      Waiting: true,
      Missed: true,
      Skipped: true,
      Cancelled: true,
      Coalesced: true,
      Dropped: true,
      Paused: true,
      Parked: true,
      NotDue: true,
      NotYetAdded: true,
      Ahead: true,
      Finished: true,
      Unknown: true
    }
    const told = Object.values(tables).flatMap((rows) => rows.map(({ verdict }) => verdict))
    assert.sameMembers([...new Set(told)], Object.keys(verdicts))
  })

  it("of a job that is spaced tells what lies ahead even while it has no next time", () => {
    const trigger = Trigger.spaced("1 hour")
    const job = { ...Job.make({ id: "job", task: "Task", now: at("09:00:00"), trigger }), nextRunTime: Option.none() }
    const { verdict } = Explanation.make({ job: Option.some(job), runs: [], at: at("13:00:00"), now: at("12:30:00") })
    assert.strictEqual(verdict, "Ahead")
  })
})
