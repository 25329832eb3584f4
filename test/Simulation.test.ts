import { assert, describe, it } from "@effect/vitest"
import { Chunk, DateTime, Effect, FastCheck, Layer, Schema, Stream, TestClock } from "effect"
import * as Executor from "../src/Executor.ts"
import * as JobStore from "../src/JobStore.ts"
import type * as Run from "../src/Run.ts"
import { RunContext } from "../src/RunContext.ts"
import * as Scheduler from "../src/Scheduler.ts"
import type { SchedulerEvent } from "../src/SchedulerEvent.ts"
import * as Simulation from "../src/Simulation.ts"
import * as Task from "../src/Task.ts"
import * as Trigger from "../src/Trigger.ts"

const FROM = DateTime.unsafeMake("2026-03-01T00:00:00Z")
const second = (seconds: number) => DateTime.unsafeMake(FROM.epochMillis + seconds * 1000)

/** A task whose handler behaves as the simulated job says. */
const Simulated = Task.make("Simulated", { payload: Schema.Void })

const SimulatedLive = (jobs: ReadonlyArray<Simulation.SimulatedJob>) =>
  Task.toLayer(Simulated, () =>
    Effect.flatMap(RunContext, ({ attempt, jobId }) => {
      const job = jobs.find(({ id }) => id === jobId)!
      const run = { attempt } as Run.Running
      const takes = typeof job.takes === "function" ? job.takes(run) : (job.takes ?? 0)
      const fails = typeof job.fails === "function" ? job.fails(run) : job.fails === true
      const end = fails ? Effect.fail("no") : Effect.void
      return takes === 0 ? end : Effect.zipRight(Effect.sleep(takes), end)
    })
  )

/** The same by a scheduler under TestClock, from one outage to the next. */
const real = (options: Simulation.Options) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(FROM.epochMillis)
    const outages = options.outages ?? []
    const events: Array<SchedulerEvent> = []
    const spans = [...outages, undefined]
    for (const [index, outage] of spans.entries()) {
      const to = DateTime.toEpochMillis(DateTime.unsafeMake(outage?.from ?? options.to))
      events.push(...(yield* live(options, index === 0, to)))
      if (outage !== undefined) yield* TestClock.setTime(DateTime.toEpochMillis(DateTime.unsafeMake(outage.to)))
    }
    return events
  }).pipe(Effect.provide(JobStore.layerMemory))

const live = (options: Simulation.Options, isFirst: boolean, to: number) =>
  Effect.gen(function* () {
    const scheduler = yield* Scheduler.Scheduler
    const events = yield* scheduler.subscribe
    if (isFirst) {
      yield* scheduler.addAll(
        options.jobs.map(({ fails: _, takes: __, ...settings }) => Scheduler.job(Simulated, settings))
      )
    }
    yield* scheduler.start
    yield* TestClock.setTime(to)
    yield* TestClock.adjust(0)
    yield* scheduler.shutdown({ wait: false })
    const told = yield* Stream.runCollect(Stream.takeUntil(events, (event) => event._tag === "SchedulerShutdown"))
    return Chunk.toReadonlyArray(told)
  }).pipe(
    Effect.provide(
      Scheduler.layer({ autoStart: false, defaults: options.defaults }).pipe(
        Layer.provide(SimulatedLive(options.jobs)),
        Layer.provide(Executor.layerFiber({ concurrency: options.concurrency ?? 10 }))
      )
    ),
    Effect.scoped
  )

/** An event in so many words, but for the text of a failure. What the end of the test brings about is left out. */
const words = (events: ReadonlyArray<SchedulerEvent>, to: number): ReadonlyArray<string> =>
  events.flatMap((event) => {
    if (!("at" in event) || event.at.epochMillis >= to) return []
    const run = "run" in event ? `${event.run.id} ${JSON.stringify(event.run.state, withoutText)}` : ""
    return [`${DateTime.formatIso(event.at).slice(8, 23)} ${event._tag} ${"jobId" in event ? event.jobId : ""} ${run}`]
  })

// What a shutdown interrupts ends in any order.
const isInterruption = (line: string | undefined) => /RunReleased|RunAbandoned/.test(line ?? "")

const inOrder = (lines: ReadonlyArray<string>): ReadonlyArray<string> => {
  const sorted = [...lines]
  for (let from = 0; from < sorted.length; from++) {
    let to = from
    while (isInterruption(sorted[to])) to++
    sorted.splice(from, to - from, ...sorted.slice(from, to).sort())
    from = Math.max(from, to)
  }
  return sorted
}

const withoutText = (key: string, value: unknown): unknown =>
  key === "message" || key === "trace" || key === "error" ? undefined : value

const triggers = FastCheck.oneof(
  FastCheck.integer({ min: 5, max: 90 }).map((seconds) => Trigger.interval({ seconds })),
  FastCheck.integer({ min: 5, max: 90 }).map((seconds) => Trigger.spaced(seconds * 1000)),
  FastCheck.integer({ min: 0, max: 400 }).map((seconds) => Trigger.at(second(seconds))),
  FastCheck.constantFrom("*", "*/2", "1,2,5").map((minute) => Trigger.cron({ minute })),
  FastCheck.constant(Trigger.anyOf(Trigger.cron({ second: "10,40" }), Trigger.at(second(61))))
)

const policies = FastCheck.record(
  {
    misfireGraceTime: FastCheck.constantFrom("10 seconds", "1 minute", "5 minutes"),
    coalesce: FastCheck.constantFrom("latest", "earliest", "all"),
    catchUpLimit: FastCheck.integer({ min: 1, max: 4 }),
    maxInstances: FastCheck.integer({ min: 1, max: 3 }),
    overlap: FastCheck.constantFrom("skip", "queue", "cancelPrevious"),
    queueLimit: FastCheck.integer({ min: 1, max: 3 }),
    jitter: FastCheck.constantFrom("3 seconds", "30 seconds"),
    limit: FastCheck.integer({ min: 1, max: 5 }),
    retry: FastCheck.record({
      times: FastCheck.integer({ min: 0, max: 3 }),
      backoff: FastCheck.constantFrom("fixed", "exponential"),
      delay: FastCheck.constantFrom("2 seconds", "20 seconds"),
      jitter: FastCheck.constantFrom(0, 0.5)
    }),
    timeout: FastCheck.constantFrom("15500 millis", "55500 millis"),
    priority: FastCheck.integer({ min: -2, max: 2 }),
    retention: FastCheck.record({
      count: FastCheck.constantFrom(1, 5),
      age: FastCheck.constantFrom("1 minute", "1 day"),
      finishedJobs: FastCheck.constantFrom("remove", "keep")
    })
  } as const,
  { requiredKeys: [] }
)

const jobs = FastCheck.array(
  FastCheck.record({
    trigger: triggers,
    policy: policies,
    takes: FastCheck.constantFrom(0, 1000, 7000, 30_000, 60_000, 100_000),
    fails: FastCheck.constantFrom<SimulatedFailure>(false, true, ({ attempt }) => attempt === 1)
  }),
  { minLength: 1, maxLength: 4 }
).map((specs) =>
  specs.map(
    ({ policy, takes, ...spec }, index): Simulation.SimulatedJob => ({
      id: `job-${index}`,
      ...spec,
      // Which of two attempts that end in the same millisecond is told first is left to chance.
      takes: takes === 0 ? 0 : takes + 7 * index,
      ...(policy as object)
    })
  )
)

type SimulatedFailure = NonNullable<Simulation.SimulatedJob["fails"]>

const outages = FastCheck.constantFrom(
  [],
  [{ from: second(100), to: second(290) }],
  [
    { from: second(61), to: second(62) },
    { from: second(150), to: second(333) }
  ]
)

describe("a simulation", () => {
  it.effect.prop(
    "tells the same events, in the same order, as the scheduler itself",
    { jobs, outages, concurrency: FastCheck.integer({ min: 1, max: 5 }) },
    ({ concurrency, jobs, outages }) =>
      Effect.gen(function* () {
        // An interruption takes more steps where there is a timeout, and so may come later than another one's.
        const own = outages.length === 0 ? jobs : jobs.map(({ timeout: _, ...job }) => job)
        const options = { jobs: own, outages, concurrency, from: FROM, to: second(480) }
        const expected = words(yield* real(options), second(480).epochMillis)
        const told = words(Simulation.run(options), second(480).epochMillis)
        assert.deepStrictEqual(inOrder(told), inOrder(expected))
      }),
    { fastCheck: { numRuns: 30 }, timeout: 120_000 }
  )

  it("of a year of a job that runs every minute tells of each run", () => {
    const counts = new Map<string, number>()
    const trigger = Trigger.cron({ minute: "*", timezone: "Europe/Berlin" })
    const year = { from: "2026-01-01T00:00:30Z", to: "2027-01-01T00:00:30Z" }
    for (const { _tag } of Simulation.events({ jobs: [{ id: "minutely", trigger, takes: "5 seconds" }], ...year })) {
      counts.set(_tag, (counts.get(_tag) ?? 0) + 1)
    }
    for (const tag of ["RunSubmitted", "RunStarted", "RunSucceeded"]) assert.strictEqual(counts.get(tag), 525_600)
  })

  it("ends where it is told to, what is due then included", () => {
    const jobs = [{ id: "a", trigger: Trigger.interval({ seconds: 10 }), takes: 10_000 }]
    const events = Simulation.run({ jobs, from: FROM, to: second(10) })
    assert.deepStrictEqual(
      events.map(({ _tag }) => _tag),
      ["JobAdded", "SchedulerStarted", "RunSubmitted", "RunStarted"]
    )
  })

  it("claims what is due before what ends at the same instant has ended", () => {
    const jobs = [{ id: "a", trigger: Trigger.interval({ seconds: 10 }), takes: 10_000 }]
    const events = Simulation.run({ jobs, from: FROM, to: second(30) })
    assert.deepStrictEqual(
      events.slice(2).map(({ _tag }) => _tag),
      ["RunSubmitted", "RunStarted", "RunSkipped", "RunSucceeded", "RunSubmitted", "RunStarted"]
    )
  })

  it("of what fails in some attempts tells of the retries, and of timeouts", () => {
    const retry = { times: 2, delay: "1 second" } as const
    const jobs: ReadonlyArray<Simulation.SimulatedJob> = [
      { id: "flaky", fails: ({ attempt }) => attempt < 3, retry },
      { id: "slow", takes: ({ attempt }) => (attempt === 1 ? "1 minute" : "1 second"), timeout: "5 seconds", retry }
    ]
    const events = Simulation.run({ jobs, from: FROM, to: second(60) })
    const tags = (id: string) =>
      events.flatMap((event) => ("run" in event && event.jobId === id ? [`${event._tag} ${event.run.attempt}`] : []))
    assert.deepStrictEqual(tags("flaky"), [
      "RunSubmitted 0",
      "RunStarted 1",
      "RunRetrying 1",
      "RunStarted 2",
      "RunRetrying 2",
      "RunStarted 3",
      "RunSucceeded 3"
    ])
    assert.deepStrictEqual(tags("slow"), [
      "RunSubmitted 0",
      "RunStarted 1",
      "RunRetrying 1",
      "RunStarted 2",
      "RunSucceeded 2"
    ])
  })

  it("refuses options that a scheduler would refuse", () => {
    const jobs = [{ id: "a", maxInstances: 0 }]
    assert.throws(() => Simulation.run({ jobs, from: FROM, to: second(1) }), /maxInstances/)
  })
})
