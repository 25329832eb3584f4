import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Layer, Metric, Option, Schema, SchemaAST, TestContext } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import * as Job from "../src/Job.ts"
import * as Occurrences from "../src/Occurrences.ts"
import * as Policy from "../src/Policy.ts"
import type * as Run from "../src/Run.ts"
import { RunContext } from "../src/RunContext.ts"
import * as Scheduler from "../src/Scheduler.ts"
import { SchedulerEvent } from "../src/SchedulerEvent.ts"
import * as SchedulerMetrics from "../src/SchedulerMetrics.ts"
import * as Simulation from "../src/Simulation.ts"
import * as Task from "../src/Task.ts"
import * as TestScheduler from "../src/TestScheduler.ts"
import * as Trigger from "../src/Trigger.ts"

/**
 * Keeps docs/jobs.md and docs/operations.md true. A timeline of docs/jobs.md is drawn from the events of its scenario,
 * whose source is the text on the page itself: one job a line, and what is done to it, after the time at which it is done.
 * The comment before it says until when it is drawn, how many seconds a column is, and when no scheduler is there.
 *
 * `UPDATE_DOCS=1 npx vitest run test/jobs-doc.test.ts` draws the timelines into the page.
 */
const PAGE = new URL("../docs/jobs.md", import.meta.url)

const DAY = "2026-03-02T"
const FROM = "12:00"

const instant = (time: string): number => Date.parse(`${DAY}${time.length === 5 ? `${time}:00` : time}Z`)

// ---------------------------------------------------------------------------------------------------------------------
// scenarios
// ---------------------------------------------------------------------------------------------------------------------

interface Act {
  readonly at: number
  readonly text: string
}

interface Scenario {
  readonly jobs: ReadonlyArray<Simulation.SimulatedJob>
  readonly acts: ReadonlyArray<Act>
  readonly from: number
  readonly to: number
  /** How long a column is, in milliseconds. */
  readonly column: number
  readonly concurrency: number
  readonly outages: ReadonlyArray<{ readonly from: number; readonly to: number }>
}

const evaluate = (source: string, scope: object): unknown =>
  new Function(...Object.keys(scope), `"use strict"; return (${source}\n)`)(...Object.values(scope))

const words = { Trigger, everyMinute: Trigger.interval({ minutes: 1 }) }

const parse = (options: string, source: string): Scenario => {
  const lines = source.split("\n")
  const option = (pattern: RegExp) => pattern.exec(options)?.slice(1)
  return {
    // A line that begins with a space goes on with the one before.
    jobs: [...source.matchAll(/^\{.*(?:\n .*)*$/gm)].map(([job]) => evaluate(job, words) as Simulation.SimulatedJob),
    acts: lines.flatMap((line) => {
      const [, time, text] = /^([\d:]+) (.*)$/.exec(line) ?? []
      return time === undefined ? [] : [{ at: instant(time), text: text! }]
    }),
    from: instant(FROM),
    to: instant(option(/to ([\d:]+)/)![0]!),
    column: Number(option(/column (\d+) s/)?.[0] ?? 5) * 1000,
    concurrency: Number(option(/concurrency (\d+)/)?.[0] ?? 10),
    outages: [...options.matchAll(/outage ([\d:]+)–([\d:]+)/g)].map(([, from, to]) => ({
      from: instant(from!),
      to: instant(to!)
    }))
  }
}

const Simulated = Task.make("Simulated", { payload: Schema.Void })

const SimulatedLive = (jobs: Scenario["jobs"]) =>
  Task.toLayer(Simulated, () =>
    Effect.flatMap(RunContext, ({ jobId }) => Effect.sleep((jobs.find(({ id }) => id === jobId)!.takes ?? 0) as number))
  )

/** What somebody does meanwhile takes a scheduler; the rest is simulated. */
const eventsOf = (scenario: Scenario): Effect.Effect<ReadonlyArray<SchedulerEvent>, unknown> =>
  scenario.acts.length === 0 ? Effect.sync(() => Simulation.run(scenario)) : real(scenario)

const real = ({ acts, concurrency, from, jobs, to }: Scenario) =>
  Effect.gen(function* () {
    const test = yield* TestScheduler.TestScheduler
    const scheduler = yield* Scheduler.Scheduler
    yield* scheduler.addAll(jobs.map(({ fails: _, takes: __, ...settings }) => Scheduler.job(Simulated, settings)))
    for (const { at, text } of acts) {
      yield* test.advanceTo(at)
      yield* evaluate(text, { DateTime, scheduler, today: (time: string) => instant(time) }) as Effect.Effect<unknown>
    }
    yield* test.advanceTo(to)
    return yield* test.events
  }).pipe(Effect.provide(TestScheduler.layer({ startAt: from, concurrency }).pipe(Layer.provide(SimulatedLive(jobs)))))

// ---------------------------------------------------------------------------------------------------------------------
// timelines
// ---------------------------------------------------------------------------------------------------------------------

const LABEL = 12

/** A line of which some columns are filled, and words after the last one. */
class Row {
  readonly #label: string
  readonly #cells: Array<string> = []

  constructor(label: string) {
    this.#label = label
  }

  fill(from: number, to: number, sign: string): this {
    for (let i = from; i < to; i++) if (sign !== "." || this.#cells[i] === undefined) this.#cells[i] = sign
    return this
  }

  write(at: number, text: string): this {
    for (const [i, letter] of [...text].entries()) this.#cells[at + i] = letter
    return this
  }

  /** After what is there, or at a column of an empty row. */
  say(at: number, text: string): this {
    const { length } = this.#cells
    return this.write(length === 0 ? at : Math.max(length + 1, at), text)
  }

  toString(): string {
    return this.#label.padEnd(LABEL) + Array.from(this.#cells, (cell) => cell ?? " ").join("")
  }
}

const clock = (at: number): string => DateTime.formatIso(DateTime.unsafeMake(at)).slice(11, 19).replace(/:00$/, "")

const draw = (scenario: Scenario, events: ReadonlyArray<SchedulerEvent>): string => {
  const { column, from, jobs, outages, to } = scenario
  const columnOf = (at: number) => Math.floor((at - from) / column)
  const header = new Row("")
  const minutes = [1, 2, 5, 10, 15, 30, 60].find((minutes) => (minutes * 60_000) / column >= 8)!
  for (let at = from; at <= to; at += minutes * 60_000) header.write(columnOf(at), clock(at))
  const rows = jobs.flatMap((job) => [
    dueRow(job, events, scenario, columnOf),
    ...rowsOf(
      events.filter((event) => "jobId" in event && event.jobId === job.id),
      scenario.acts.filter(({ text }) => jobs.length === 1 || text.includes(`"${job.id}"`)),
      to,
      columnOf
    )
  ])
  const up = outages.length === 0 ? [] : [schedulerRow(scenario, columnOf)]
  return [header, ...up, ...rows].map((row) => row.toString().trimEnd()).join("\n")
}

const schedulerRow = ({ from, outages, to }: Scenario, columnOf: (at: number) => number): Row => {
  const row = new Row("scheduler").fill(columnOf(from), columnOf(to) + 1, "=")
  for (const { from, to } of outages) row.fill(columnOf(from), columnOf(to), " ").write(columnOf(from) + 2, "down")
  return row
}

const dueRow = (
  { id, trigger }: Simulation.SimulatedJob,
  events: ReadonlyArray<SchedulerEvent>,
  { from, to }: Scenario,
  columnOf: (at: number) => number
): Row => {
  const job = Job.make({ id, task: "", now: Occurrences.instant(from), trigger })
  const made = events.flatMap((event) =>
    "run" in event && event.jobId === id ? [event.run.scheduledAt.epochMillis] : []
  )
  const until = events.some((event) => isEnd(event) && event.jobId === id) ? Math.max(...made) : to
  const row = new Row(id)
  const times = Job.occurrences(job)
  const first = Option.getOrThrow(job.nextRunTime).epochMillis
  if (Trigger.isSpaced(job.trigger)) {
    for (const at of made) row.write(columnOf(at), "|")
  } else {
    for (let at = first; at <= until; at = times.next(at)) row.write(columnOf(at), "|")
  }
  return row
}

const isEnd = (event: SchedulerEvent) => event._tag === "JobRemoved" || event._tag === "JobFinished"

interface Line {
  readonly row: Row
  /** Until when it is drawn, and what it has been doing since. */
  since: number
  sign: string
}

const labelOf = ({ key, scheduledAt }: Run.Run): string => {
  const kind = key.startsWith("manual/") ? " now" : key.startsWith("backfill/") ? " again" : ""
  return `  ${clock(scheduledAt.epochMillis)}${kind}`
}

const rowsOf = (
  events: ReadonlyArray<SchedulerEvent>,
  acts: ReadonlyArray<Act>,
  to: number,
  columnOf: (at: number) => number
): ReadonlyArray<Row> => {
  const rows: Array<Row> = []
  const lines = new Map<string, Line>()
  const left = [...acts]
  let last = new Row("")
  const note = (at: number, text: string) => rows.push(new Row("").write(columnOf(at), text))
  for (const event of events) {
    if (!("at" in event)) continue
    const at = event.at.epochMillis
    last = rows.at(-1) ?? last
    while (left[0] !== undefined && left[0].at <= at) {
      const act = left.shift()!
      note(act.at, verb(act))
    }
    if (event._tag === "JobMissed") {
      const { count, first, last } = event.dropped
      note(at, `dropped: ${count}, from ${clock(first.epochMillis)} to ${clock(last.epochMillis)}`)
    }
    if (isEnd(event)) last.say(columnOf(at), `(job ${event._tag === "JobFinished" ? "finished" : "removed"})`)
    if (!("run" in event)) continue
    const { run } = event
    let line = lines.get(run.id)
    if (line === undefined) {
      line = { row: new Row(labelOf(run)), since: since(run, at), sign: "." }
      lines.set(run.id, line)
      rows.push(line.row)
    }
    line.row.fill(columnOf(line.since), columnOf(at), line.sign)
    line.since = at
    step(line, event, columnOf(at))
  }
  for (const act of left) note(act.at, verb(act))
  for (const { row, sign, since } of lines.values()) if (sign !== "") row.fill(columnOf(since), columnOf(to) + 1, sign)
  return rows
}

const verb = ({ text }: Act): string => `^ ${/\.(\w+)/.exec(text)?.[1]}`

/** What is made for a past time has waited since then, unless somebody asked for it now. */
const since = (run: Run.Run, at: number): number =>
  run.key.startsWith("backfill/") ? at : Math.min(at, run.scheduledAt.epochMillis)

const step = (line: Line, event: RunEvent, at: number): void => {
  const mark = markOf(event)
  if (mark !== undefined) line.row.write(at, mark)
  const end = endOf(event)
  if (end !== undefined) line.row.say(at, end + coveredBy(event.run))
  line.sign = end !== undefined ? "" : event._tag === "RunStarted" ? "#" : "."
}

type RunEvent = SchedulerEvent & { readonly run: Run.Run }

const markOf = ({ _tag, run: { state } }: RunEvent): string | undefined => {
  switch (_tag) {
    case "RunRetrying":
    case "RunFailed":
      return "!"
    case "RunReleased":
    case "RunAbandoned":
      return "/"
    case "RunCancelled":
      return state._tag === "Cancelled" && state.startedAt !== undefined ? "/" : undefined
    default:
      return undefined
  }
}

const endOf = ({ run: { state } }: RunEvent): string | undefined => {
  switch (state._tag) {
    case "Succeeded":
      return "ok"
    case "Failed":
      return state.failure.kind === "Timeout" ? "failed: timeout" : "failed"
    case "Skipped":
      return `skipped: ${state.reason}`
    case "Cancelled":
      return `cancelled: ${state.reason}`
    case "Missed":
      return "missed"
    case "Abandoned":
      return "abandoned"
    default:
      return undefined
  }
}

const coveredBy = ({ covers }: Run.Run): string =>
  Option.match(covers, {
    onNone: () => "",
    onSome: ({ as, first, last }) =>
      as === "coalesced" ? `, for ${clock(first.epochMillis)} to ${clock(last.epochMillis)}` : ""
  })

// ---------------------------------------------------------------------------------------------------------------------
// the page
// ---------------------------------------------------------------------------------------------------------------------

const TIMELINE = /<!-- timeline: (.*) -->\n```text\n([\s\S]*?)\n\n([\s\S]*?)\n```/g

const page = readFileSync(PAGE, "utf8")

const timelines = [...page.matchAll(TIMELINE)].map(([all, options, source, shown]) => ({
  all,
  options: options!,
  source: source!,
  shown: shown!,
  scenario: parse(options!, source!)
}))

const drawn = ({ scenario }: (typeof timelines)[number]) =>
  Effect.map(eventsOf(scenario), (events) => draw(scenario, events))

const isUpdate = process.env.UPDATE_DOCS === "1"

if (isUpdate) {
  let text = page
  for (const timeline of timelines) {
    const now = await Effect.runPromise(Effect.provide(drawn(timeline), TestContext.TestContext))
    const { all, options, source } = timeline
    text = text.replace(all, () => `<!-- timeline: ${options} -->\n\`\`\`text\n${source}\n\n${now}\n\`\`\``)
  }
  writeFileSync(PAGE, text)
}

describe("docs/jobs.md", () => {
  for (const timeline of timelines) {
    it.effect(`draws what happens: ${timeline.source}`, () =>
      Effect.map(drawn(timeline), (now) => {
        if (!isUpdate) assert.strictEqual(timeline.shown, now)
        for (const line of now.split("\n")) assert.isAtMost(line.length, 120, line)
      })
    )
  }

  it("draws a timeline wherever it says so", () => {
    const marked = page.match(/<!-- timeline: /g)?.length ?? 0
    assert.strictEqual(timelines.length, marked)
    assert.isAtLeast(marked, 20)
  })

  it("names every option of a policy, and its default", () => {
    const { retention, retry, ...others } = Policy.defaults
    const options = [
      ...Object.keys(others),
      ...Object.keys(retry).map((option) => `retry.${option}`),
      ...Object.keys(retention).map((option) => `retention.${option}`)
    ]
    for (const option of options) assert.match(page, new RegExp(`^\\| \`${option}\` \\|`, "m"), option)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// docs/operations.md
// ---------------------------------------------------------------------------------------------------------------------

const operations = readFileSync(new URL("../docs/operations.md", import.meta.url), "utf8")

const tagOf = (ast: SchemaAST.AST): string => {
  const literals = SchemaAST.getPropertySignatures(ast).flatMap(({ name, type }) =>
    name === "_tag" && SchemaAST.isLiteral(type) ? [String(type.literal)] : []
  )
  return literals[0]!
}

describe("docs/operations.md", () => {
  it("has every event in its table, with its fields", () => {
    for (const { ast, fields } of SchedulerEvent.members) {
      const tag = tagOf(ast)
      const names = Object.keys(fields).filter((name) => name !== "_tag" && name !== "at")
      const cell = names.length === 0 ? "" : ` ${names.map((name) => `\`${name}\``).join(", ")}`
      assert.include(operations, `| \`${tag}\` |${cell} |`)
    }
  })

  it("has every metric in its table", () => {
    for (const metric of Object.values(SchedulerMetrics))
      if (Metric.MetricTypeId in metric) metric.unsafeUpdate(0 as never, [])
    const names = Metric.unsafeSnapshot().map(({ metricKey }) => metricKey.name)
    const ours = new Set(names.filter((name) => name.startsWith("effect_scheduler_")))
    assert.isAtLeast(ours.size, 10)
    for (const name of ours) assert.include(operations, `| \`${name}\` |`)
  })
})
