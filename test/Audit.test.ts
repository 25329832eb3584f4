import { assert, describe, it } from "@effect/vitest"
import { DateTime, Option, Schema } from "effect"
import * as Audit from "../src/Audit.ts"
import * as Job from "../src/Job.ts"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import * as Trigger from "../src/Trigger.ts"

const T0 = 1_767_225_600_000
const at = (seconds: number) => DateTime.unsafeMake(T0 + seconds * 1000)

/** A job of every minute that is due next at second 120, unless told otherwise. */
const make = (policy: Policy.PolicyOptions = {}, next: number | undefined = 120): Job.Job => ({
  ...Job.make({
    id: "a",
    task: "Work",
    now: at(-60),
    trigger: Trigger.interval({ minutes: 1 }),
    policy: Policy.override(Policy.defaults, policy)
  }),
  nextRunTime: Option.some(at(next))
})

const job = make()
const over: Job.Job = { ...job, nextRunTime: Option.none() }
const run = (seconds: number, options: Parameters<typeof Run.make>[2] = {}) => Run.make(job, at(seconds), options)
const queued = (of: Run.Run) => Run.hold(of, "Queued")
const running = (of: Run.Run) => Run.start(of, "node", of.runAt) as Run.Running
const ended = (of: Run.Run) =>
  Run.settle(running(of), Policy.defaults, { _tag: "Succeeded" }, DateTime.add(of.runAt, { seconds: 5 }))
/** A run of the catch-up that begins at second 60. */
const following = (seconds: number) => Run.hold(run(seconds, { instance: run(60).key }), "Waiting")
const runId = (seconds: number) => run(seconds).id

const silent = () => {
  throw new Error("no answer")
}
const broken = Trigger.extension("audit-broken", Schema.Struct({}), () => ({ next: silent, previous: silent }))({})

type Stock = readonly [jobs: ReadonlyArray<Job.Job>, runs: ReadonlyArray<Run.Run>]

/** Audits a store at second 119. */
const audit = ([jobs, runs]: Stock, options: Partial<Audit.Evidence> = {}) =>
  Audit.check({ jobs, runs, now: at(119), nodes: new Set(["node"]), ...options })

const tagsOf = (findings: ReadonlyArray<Audit.Finding>) => findings.map(({ _tag }) => _tag)

interface Row {
  readonly found: Audit.Finding
  readonly wrong: Stock
  /** As near to it as a healthy store comes. */
  readonly sound: ReadonlyArray<Stock>
}

const rows: ReadonlyArray<Row> = [
  {
    found: { _tag: "JobOverdue", jobId: "a", dueAt: at(0) },
    wrong: [[make({}, 0)], []],
    sound: [
      [[make({}, 60)], []],
      [[Job.pause(make({}, 0), at(1))], []]
    ]
  },
  {
    found: { _tag: "RunOverdue", jobId: "a", runId: runId(0), runAt: at(0) },
    wrong: [[job], [run(0)]],
    sound: [
      [[job], [run(60)]],
      [[Job.park(job, at(1), "why")], [run(0)]],
      [[job], [running(run(0))]]
    ]
  },
  {
    found: { _tag: "RunStuck", jobId: "a", runId: runId(0), startedAt: at(0) },
    wrong: [[make({ timeout: "10 seconds" })], [running(run(0))]],
    sound: [
      [[make({ timeout: "1 minute" })], [running(run(0))]],
      [[job], [running(run(0))]]
    ]
  },
  {
    found: { _tag: "RunUnheld", jobId: "a", runId: runId(60), node: "gone" },
    wrong: [[job], [Run.start(run(60), "gone", at(60))]],
    sound: [[[job], [running(run(60))]]]
  },
  {
    found: { _tag: "JobStranded", jobId: "a" },
    wrong: [[over], [ended(run(60))]],
    sound: [
      [[over], [running(run(60))]],
      [[Job.pause(over, at(1))], []]
    ]
  },
  {
    found: { _tag: "TimeOffTrigger", jobId: "a", nextRunTime: at(121) },
    wrong: [[make({}, 121)], []],
    sound: [
      [[make({ jitter: "30 seconds" })], []],
      [[{ ...make({}, 121), trigger: Trigger.spaced("1 minute") }], []]
    ]
  },
  {
    found: { _tag: "TriggerThrows", jobId: "a", reason: "Error: no answer" },
    wrong: [[{ ...job, trigger: broken }], []],
    sound: [[[{ ...over, trigger: broken }], [running(run(60))]]]
  },
  {
    found: { _tag: "TooManyActive", jobId: "a", active: 2, maxInstances: 1 },
    wrong: [[job], [running(run(60)), run(61)]],
    sound: [
      [[job], [running(run(60)), queued(run(61))]],
      [[make({ maxInstances: 2 })], [running(run(60)), run(61)]]
    ]
  },
  {
    found: { _tag: "QueuedInVain", jobId: "a", runId: runId(60) },
    wrong: [[job], [queued(run(60))]],
    sound: [[[job], [run(59), queued(run(60))]]]
  },
  {
    found: { _tag: "WaitingInVain", jobId: "a", runId: runId(61) },
    wrong: [[job], [following(61)]],
    sound: [
      [[job], [run(60), following(61)]],
      [[job], [run(59), queued(run(60)), following(61)]]
    ]
  },
  {
    found: { _tag: "InstanceSplit", jobId: "a", runId: runId(61) },
    wrong: [[make({ maxInstances: 2 })], [run(60), Run.promote(following(61))]],
    sound: [[[make({ maxInstances: 2 })], [run(60), run(61)]]]
  },
  {
    found: { _tag: "RunOrphaned", jobId: "a", runId: runId(60) },
    wrong: [[], [run(60)]],
    sound: [
      [[], [running(run(60))]],
      [[], [ended(run(60))]]
    ]
  },
  {
    found: { _tag: "RunEarly", jobId: "a", runId: runId(60), startedAt: at(60), runAt: at(61) },
    wrong: [[job], [{ ...ended(run(60)), runAt: at(61) }]],
    sound: [
      [[job], [ended(run(60))]],
      [[job], [Run.miss({ ...run(60), runAt: at(61) }, at(60))]]
    ]
  }
]

describe("an audit", () => {
  for (const { found, sound, wrong } of rows) {
    it(`finds ${found._tag}, and nothing one step away from it`, () => {
      assert.deepStrictEqual(audit(wrong), [found])
      for (const stock of sound) assert.deepStrictEqual(audit(stock), [])
    })
  }

  it("has a row above for each finding", () => {
    assert.strictEqual(new Set(rows.map(({ found }) => found._tag)).size, Audit.Finding.members.length)
  })

  it("takes a run of another life of a job for one whose job is gone", () => {
    assert.deepStrictEqual(tagsOf(audit([[{ ...job, incarnation: 2 }], [run(60)]])), ["RunOrphaned"])
  })

  it("lets a backfill wait for another one whatever room there is, but not for nothing", () => {
    const wide = make({ maxInstances: 3 })
    const [one, other] = [-120, -60].map((seconds) => ({ ...Run.backfill(wide, at(seconds), at(118)), runAt: at(118) }))
    assert.deepStrictEqual(audit([[wide], [one!, queued(other!)]]), [])
    assert.deepStrictEqual(tagsOf(audit([[wide], [queued(other!)]])), ["QueuedInVain"])
  })

  it("says nothing of nodes that it does not know, and is as patient as it is told", () => {
    assert.deepStrictEqual(audit([[job], [Run.start(run(60), "gone", at(60))]], { nodes: undefined }), [])
    const due: Stock = [[make({}, 0)], []]
    assert.deepStrictEqual(audit(due, { patience: "119 seconds" }), [])
    assert.deepStrictEqual(tagsOf(audit(due, { patience: "118 seconds" })), ["JobOverdue"])
  })

  it("and a later one tell together what lasts", () => {
    const [one, two, three] = rows.map(({ found }) => found)
    assert.deepStrictEqual(Audit.lasting([one!, two!], [three!, { ...one! }]), [one!])
    assert.deepStrictEqual(Audit.lasting([], [one!]), [])
  })

  it("describes each finding by its job or its run", () => {
    for (const { found } of rows) {
      assert.include(Audit.describe(found), "runId" in found ? found.runId : `"${found.jobId}"`)
    }
    assert.strictEqual(
      Audit.describe(rows[1]!.found),
      'Run "a/1/2026-01-01T00:00:00.000Z" could have started at 2026-01-01T00:00:00.000Z, and nobody starts it.'
    )
  })

  it("gives findings that come back from JSON as they were", () => {
    for (const { found } of rows) {
      const json = JSON.parse(JSON.stringify(Schema.encodeSync(Audit.Finding)(found)))
      assert.deepStrictEqual(Schema.decodeUnknownSync(Audit.Finding)(json), found)
    }
  })
})
