import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Either, FastCheck, Option, Schema } from "effect"
import * as Job from "../src/Job.ts"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import * as SqlRows from "../src/SqlRows.ts"
import * as Trigger from "../src/Trigger.ts"

const instant = FastCheck.integer({ min: 0, max: 4_000_000_000_000 }).map((at) => DateTime.unsafeMake(at))
const option = <A>(of: FastCheck.Arbitrary<A>) => FastCheck.option(of, { nil: undefined }).map(Option.fromNullable)
const text = FastCheck.oneof(FastCheck.string({ maxLength: 20 }), FastCheck.constantFrom('"', "\\", "{}", "😀", "'"))
const json = FastCheck.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as unknown)
const count = FastCheck.nat(1000)
const origin = FastCheck.record({ traceId: text, spanId: text })
const failure = FastCheck.record({ kind: FastCheck.constantFrom("Error" as const, "Timeout" as const), message: text })

const state: FastCheck.Arbitrary<Run.RunState> = FastCheck.oneof(
  FastCheck.constantFrom<Run.RunState>({ _tag: "Pending" }, { _tag: "Queued" }, { _tag: "Waiting" }),
  FastCheck.record({ _tag: FastCheck.constant("Running" as const), node: text, startedAt: instant }),
  FastCheck.record({
    _tag: FastCheck.constant("Running" as const),
    node: text,
    startedAt: instant,
    progress: FastCheck.record({ done: count, total: count, note: text })
  }),
  FastCheck.record({
    _tag: FastCheck.constant("Running" as const),
    node: text,
    startedAt: instant,
    cancelled: FastCheck.constantFrom("requested" as const, "overlap" as const)
  }),
  FastCheck.record({ _tag: FastCheck.constant("Succeeded" as const), startedAt: instant, finishedAt: instant }),
  FastCheck.record({
    _tag: FastCheck.constant("Succeeded" as const),
    startedAt: instant,
    finishedAt: instant,
    value: json,
    output: FastCheck.record({ stdout: text, stderr: text, truncated: FastCheck.boolean() })
  }),
  FastCheck.record({ _tag: FastCheck.constant("Failed" as const), startedAt: instant, finishedAt: instant, failure }),
  FastCheck.record({ _tag: FastCheck.constant("Missed" as const), finishedAt: instant }),
  FastCheck.record({
    _tag: FastCheck.constant("Skipped" as const),
    finishedAt: instant,
    reason: FastCheck.constantFrom("maxInstances" as const, "queueLimit" as const)
  }),
  FastCheck.record({
    _tag: FastCheck.constant("Cancelled" as const),
    finishedAt: instant,
    reason: FastCheck.constant("removed" as const)
  }),
  FastCheck.record({ _tag: FastCheck.constant("Abandoned" as const), startedAt: instant, finishedAt: instant }),
  FastCheck.record({
    _tag: FastCheck.constant("Abandoned" as const),
    startedAt: instant,
    finishedAt: instant,
    reason: text
  })
)

const run: FastCheck.Arbitrary<Run.Run> = FastCheck.record({
  id: text,
  jobId: text,
  incarnation: count,
  key: text,
  task: text,
  scheduledAt: instant,
  dueAt: instant,
  runAt: instant,
  startBy: option(instant),
  instance: text,
  priority: FastCheck.integer({ min: Policy.LEAST_PRIORITY, max: 100 }),
  executor: text,
  attempt: count,
  failures: count,
  crashes: count,
  covers: option(FastCheck.record({ first: instant, last: instant, as: FastCheck.constant("coalesced" as const) })),
  origin: option(origin),
  state
})

const policy = FastCheck.record({
  priority: FastCheck.integer({ min: -5, max: 5 }),
  executor: FastCheck.constantFrom("default", "cpu"),
  coalesce: FastCheck.constantFrom("latest" as const, "all" as const),
  retention: FastCheck.constantFrom({}, { age: "1 minute" as const }, { age: Infinity })
}).map((options) => Policy.override(Policy.defaults, options))

const trigger = FastCheck.constantFrom(
  Trigger.now,
  Trigger.at("2026-12-01"),
  Trigger.interval({ minutes: 1 }),
  Trigger.crontab("*/5 * * * *"),
  Trigger.except(Trigger.interval({ hours: 1 }), { weekdays: "sat-sun" })
)

const jobState: FastCheck.Arbitrary<Job.JobState> = FastCheck.oneof(
  FastCheck.constant<Job.JobState>({ _tag: "Active" }),
  FastCheck.record({ _tag: FastCheck.constant("Paused" as const), at: instant, note: option(text), by: option(text) }),
  FastCheck.record({ _tag: FastCheck.constant("Parked" as const), at: instant, reason: text }),
  FastCheck.record({ _tag: FastCheck.constant("Finished" as const), at: instant })
)

const job: FastCheck.Arbitrary<Job.Job> = FastCheck.record({
  id: text,
  incarnation: count,
  task: text,
  name: text,
  group: option(text),
  labels: FastCheck.oneof(FastCheck.constant({}), FastCheck.dictionary(text, text)),
  payload: json,
  trigger,
  anchor: instant,
  policy,
  addedAt: instant,
  origin: option(origin),
  fired: count,
  lastPause: option(FastCheck.record({ from: instant, to: instant, note: option(text), by: option(text) })),
  state: jobState,
  nextRunTime: option(instant)
})

const encodeRun = Schema.encodeSync(Run.Run)
const encodeJob = Schema.encodeSync(Job.Job)
const retention = { ...Policy.defaults.retention, age: Duration.minutes(1) }

describe("a run as a row", () => {
  it.prop(
    "is read back as it was, in its own words and by numbers that came as text",
    [run],
    ([run]) => {
      const row = SqlRows.toRunRow(run, retention, 7)
      const asText = Object.fromEntries(
        Object.entries(row).map(([key, value]) => [key, key.endsWith("_at") && value !== null ? String(value) : value])
      ) as unknown as SqlRows.RunRow
      for (const stored of [row, asText]) {
        assert.deepStrictEqual(encodeRun(Either.getOrThrow(SqlRows.readRun(stored))), encodeRun(run))
      }
      // What it is, is what its Schema says that it is.
      assert.deepStrictEqual(JSON.parse(row.detail).state, JSON.parse(JSON.stringify(encodeRun(run).state)))
      assert.strictEqual(row.state, run.state._tag)
      assert.strictEqual(row.keep_until === null, row.finished_at === null)
    },
    { fastCheck: { numRuns: 500 } }
  )

  const pending = Run.make(
    { id: "a", incarnation: 1, task: "Work", policy: Policy.defaults },
    DateTime.unsafeMake("2026-01-01T00:01:00Z")
  )

  it("that is damaged is read by its columns, as far as they say what it is", () => {
    const row = SqlRows.toRunRow(pending, retention, 0)
    for (const detail of ["", "{", "{}", '{"state":{"_tag":"Dreaming"},"covers":null,"origin":null}']) {
      assert.deepStrictEqual(encodeRun(Either.getOrThrow(SqlRows.readRun({ ...row, detail }))), encodeRun(pending))
      assert.isTrue(Either.isLeft(SqlRows.readRun({ ...row, detail, state: "Dreaming" })), detail)
    }
  })

  it("whose columns are damaged says what is wrong", () => {
    const row = SqlRows.toRunRow(pending, retention, 0)
    for (const damage of [{ scheduled_at: "soon" }, { run_at: 1e17 }, { due_at: null as never }]) {
      const read = SqlRows.readRun({ ...row, ...damage })
      assert.isTrue(Either.isLeft(read), JSON.stringify(damage))
    }
  })
})

describe("a job as a row", () => {
  it.prop(
    "is read back as it was, once and again",
    [job],
    ([job]) => {
      const row: SqlRows.JobRow = { ...SqlRows.toJobColumns(job), incarnation: String(job.incarnation) }
      for (const _ of [1, 2]) {
        assert.deepStrictEqual(encodeJob(Either.getOrThrow(SqlRows.readJob(row))), encodeJob(job))
      }
    },
    { fastCheck: { numRuns: 500 } }
  )

  it("that is damaged says what is wrong", () => {
    const sound = Job.make({
      id: "a",
      task: "Work",
      now: DateTime.unsafeMake(0),
      trigger: Trigger.interval({ days: 1 })
    })
    const row: SqlRows.JobRow = { ...SqlRows.toJobColumns(sound), incarnation: 1 }
    assert.isTrue(Either.isRight(SqlRows.readJob(row)))
    const damages: ReadonlyArray<Partial<SqlRows.JobRow>> = [
      { definition: "" },
      { definition: "{}" },
      { definition: row.definition.replace('"Interval"', '"Interlude"') },
      { policy: row.policy.replace('"maxInstances":1', '"maxInstances":"many"') },
      { policy: "" },
      { definition: row.definition.replace('"name":"a"', '"name":1') },
      { labels: "[" },
      { state_detail: '{"_tag":"Lost"}' },
      { next_run_at: "soon" },
      { anchor: null as never },
      { fired: 0.5 }
    ]
    for (const damage of damages) {
      assert.isTrue(Either.isLeft(SqlRows.readJob({ ...row, ...damage })), JSON.stringify(damage))
    }
  })
})

describe("the Schemas of records", () => {
  it("have no field that a row leaves out", () => {
    assert.sameMembers(Object.keys(Run.Run.fields), Object.keys(FastCheck.sample(run, 1)[0]!))
    assert.sameMembers(Object.keys(Job.Job.fields), Object.keys(FastCheck.sample(job, 1)[0]!))
  })
})
