import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  DateTime,
  Effect,
  Exit,
  HashMap,
  Layer,
  Logger,
  Metric,
  Option,
  type Scope,
  Stream,
  TestClock,
  Tracer
} from "effect"
import * as Executor from "../src/Executor.ts"
import * as JobStore from "../src/JobStore.ts"
import type { PolicyOptions } from "../src/Policy.ts"
import { RunContext } from "../src/RunContext.ts"
import * as Scheduler from "../src/Scheduler.ts"
import * as SchedulerMetrics from "../src/SchedulerMetrics.ts"
import * as Task from "../src/Task.ts"
import * as Trigger from "../src/Trigger.ts"

type Service = Scheduler.Scheduler["Type"]

const settled = TestClock.adjust(0)
const everyMinute = Trigger.interval({ minutes: 1 })
const never = Trigger.at("2100-01-01T00:00:00Z")

const layer = (handlers: Layer.Layer<never>, options: Scheduler.Options = {}, concurrency = 10) =>
  Scheduler.layer(options).pipe(
    Layer.provide(handlers),
    Layer.provide(Executor.layerFiber({ concurrency })),
    Layer.provideMerge(JobStore.layerMemory)
  )

const live = (handlers: unknown) => handlers as Layer.Layer<never>

let tasks = 0

describe("metrics", () => {
  /** A task of its own for each test, for metrics are shared by the whole process. */
  const test = <E>(
    title: string,
    handler: Effect.Effect<unknown, unknown>,
    body: (
      scheduler: Service,
      task: Task.Task<string, Task.Any["payload"], Task.Any["success"], Task.Any["error"]>
    ) => Effect.Effect<void, E, Scope.Scope | JobStore.JobStore>,
    options: Scheduler.Options & { readonly concurrency?: number } = {}
  ) => {
    const Own = Task.make(`Measured-${++tasks}`) as unknown as Task.Task<
      string,
      Task.Any["payload"],
      Task.Any["success"],
      Task.Any["error"]
    >
    const handlers = live(Task.toLayer(Own, () => handler))
    it.scoped(title, () =>
      Effect.flatMap(Scheduler.Scheduler, (scheduler) => body(scheduler, Own)).pipe(
        Effect.provide(layer(handlers, options, options.concurrency))
      )
    )
  }

  const add = (scheduler: Service, task: Task.Any, id: string, options: Scheduler.JobSettings & PolicyOptions = {}) =>
    scheduler.add(task, { id, ...options } as Scheduler.AddOptions<Task.Any>)

  const outcomes = (task: Task.Any) =>
    Effect.map(Metric.snapshot, (pairs) =>
      Object.fromEntries(
        pairs.flatMap(({ metricKey, metricState }) => {
          const labels = new Map(metricKey.tags.map(({ key, value }) => [key, value]))
          return metricKey.name === "effect_scheduler_runs" && labels.get("task") === task.name
            ? [[labels.get("outcome"), (metricState as unknown as { readonly count: number }).count]]
            : []
        })
      )
    )

  const of = (metric: typeof SchedulerMetrics.lateness, task: Task.Any) =>
    Metric.value(Metric.tagged(metric, "task", task.name))

  test("count runs that succeed, by task and outcome", Effect.void, (scheduler, task) =>
    Effect.gen(function* () {
      yield* add(scheduler, task, "a", { trigger: everyMinute })
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(yield* outcomes(task), { Succeeded: 5 })
    })
  )

  test("count each attempt that is tried again, and the failure in the end", Effect.fail("no"), (scheduler, task) =>
    Effect.gen(function* () {
      yield* add(scheduler, task, "a", { retry: { times: 3 } })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* outcomes(task), { Retrying: 3, Failed: 1 })
    })
  )

  test("count what is skipped, missed and dropped", Effect.sleep("90 seconds"), (scheduler, task) =>
    Effect.gen(function* () {
      const before = yield* Metric.value(SchedulerMetrics.dropped)
      yield* add(scheduler, task, "skip", { trigger: everyMinute })
      yield* TestClock.adjust("2 minutes")
      yield* scheduler.remove("skip")
      yield* scheduler.pauseAll
      yield* add(scheduler, task, "miss", {
        trigger: everyMinute,
        coalesce: "all",
        misfireGraceTime: "1 second",
        catchUpLimit: 2
      })
      yield* TestClock.adjust("330 seconds")
      yield* scheduler.resumeAll
      yield* settled
      assert.deepStrictEqual(yield* outcomes(task), { Skipped: 1, Missed: 2, Succeeded: 1 })
      assert.strictEqual((yield* Metric.value(SchedulerMetrics.dropped)).count - before.count, 3)
    })
  )

  test("count what is cancelled while it runs, and what a shutdown releases", Effect.never, (scheduler, task) =>
    Effect.gen(function* () {
      yield* add(scheduler, task, "a")
      yield* add(scheduler, task, "b")
      yield* settled
      const [run] = yield* scheduler.runs({ jobId: "a" })
      yield* scheduler.cancel(run!.id)
      yield* settled
      yield* scheduler.shutdown({ wait: false })
      assert.deepStrictEqual(yield* outcomes(task), { Cancelled: 1, Released: 1 })
    })
  )

  test(
    "count what a verb calls off or skips, before it has started",
    Effect.never,
    (scheduler, task) =>
      Effect.gen(function* () {
        yield* add(scheduler, task, "busy", { trigger: never })
        yield* scheduler.runNow("busy")
        yield* settled
        assert.strictEqual((yield* scheduler.runNow("busy")).state._tag, "Skipped")
        yield* add(scheduler, task, "pending", { trigger: never })
        const { id } = yield* scheduler.runNow("pending")
        yield* scheduler.cancel(id)
        yield* scheduler.runNow("pending")
        yield* scheduler.remove("pending")
        assert.deepStrictEqual(yield* outcomes(task), { Skipped: 1, Cancelled: 2 })
      }),
    { concurrency: 1 }
  )

  test("measure how late runs start, from when they were due", Effect.void, (scheduler, task) =>
    Effect.gen(function* () {
      yield* add(scheduler, task, "a", { trigger: everyMinute })
      yield* TestClock.adjust("1 minute")
      yield* scheduler.pauseAll
      yield* TestClock.adjust("65 seconds")
      yield* scheduler.resumeAll
      yield* settled
      const { count, max, sum } = yield* of(SchedulerMetrics.lateness, task)
      assert.deepStrictEqual([count, max, sum], [2, 5, 5])
    })
  )

  test("measure how long runs take", Effect.sleep("2500 millis"), (scheduler, task) =>
    Effect.gen(function* () {
      yield* add(scheduler, task, "a", { trigger: everyMinute })
      yield* TestClock.adjust("3 minutes")
      yield* TestClock.adjust("3 seconds")
      const { buckets, count, sum } = yield* of(SchedulerMetrics.duration, task)
      assert.deepStrictEqual([count, sum], [3, 7.5])
      assert.deepStrictEqual(
        buckets.filter(([bound]) => bound === 1 || bound === 5),
        [
          [1, 0],
          [5, 3]
        ]
      )
    })
  )

  test(
    "measure how long every attempt takes, also one that another follows",
    Effect.zipRight(Effect.sleep("1 second"), Effect.fail("no")),
    (scheduler, task) =>
      Effect.gen(function* () {
        yield* add(scheduler, task, "a", { retry: { times: 2 } })
        yield* TestClock.adjust("1 minute")
        const { count, sum } = yield* of(SchedulerMetrics.duration, task)
        assert.deepStrictEqual([count, sum], [3, 3])
      })
  )

  test(
    "show what there is, once a minute",
    Effect.never,
    (scheduler, task) =>
      Effect.gen(function* () {
        for (let i = 0; i < 3; i++) yield* add(scheduler, task, `idle-${i}`, { trigger: never })
        yield* add(scheduler, task, "busy", { trigger: never, overlap: "queue" })
        for (let i = 0; i < 5; i++) yield* scheduler.runNow("busy")
        yield* scheduler.runNow("idle-0")
        yield* add(scheduler, task, "tick", { trigger: Trigger.interval({ minutes: 2 }) })
        yield* TestClock.adjust("2 minutes")
        const [jobs, queued, pending, running] = yield* Effect.all([
          Metric.value(SchedulerMetrics.jobs),
          Metric.value(SchedulerMetrics.queued),
          Metric.value(SchedulerMetrics.pending),
          Metric.value(SchedulerMetrics.running)
        ])
        assert.deepStrictEqual([jobs.value, queued.value, pending.value], [5, 4, 2])
        assert.strictEqual(running.value, 1)
      }),
    { concurrency: 1 }
  )

  test(
    "count the events that slow listeners lose",
    Effect.void,
    (scheduler, task) =>
      Effect.gen(function* () {
        const before = yield* Metric.value(SchedulerMetrics.eventsDropped)
        yield* Effect.forkScoped(Stream.runForEach(scheduler.events, () => Effect.never))
        yield* settled
        for (let i = 0; i < 10; i++) yield* add(scheduler, task, `job-${i}`, { trigger: never })
        const after = yield* Metric.value(SchedulerMetrics.eventsDropped)
        assert.isAtLeast(after.count - before.count, 7)
      }),
    { eventBuffer: 1 }
  )

  test("count the history that is given up", Effect.void, (scheduler, task) =>
    Effect.gen(function* () {
      const before = yield* Metric.value(SchedulerMetrics.pruned)
      yield* add(scheduler, task, "a", { trigger: everyMinute, retention: { age: "30 seconds" } })
      yield* TestClock.adjust("5 minutes")
      const after = yield* Metric.value(SchedulerMetrics.pruned)
      assert.isAtLeast(after.count - before.count, 3)
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// spans
// ---------------------------------------------------------------------------------------------------------------------

interface Recorded {
  readonly name: string
  readonly spanId: string
  readonly traceId: string
  readonly parent: Option.Option<Tracer.AnySpan>
  readonly links: ReadonlyArray<Tracer.SpanLink>
  readonly kind: Tracer.SpanKind
  readonly attributes: Map<string, unknown>
  readonly events: Array<string>
  exit: Exit.Exit<unknown, unknown> | undefined
}

/** A tracer that keeps what it is told. */
const makeTracer = () => {
  const spans: Array<Recorded> = []
  const tracer = Tracer.make({
    span: (name, parent, context, links, startTime, kind) => {
      const span: Recorded = {
        name,
        spanId: `span-${spans.length + 1}`,
        traceId: Option.match(parent, { onNone: () => `trace-${spans.length + 1}`, onSome: ({ traceId }) => traceId }),
        parent,
        links,
        kind,
        attributes: new Map(),
        events: [],
        exit: undefined
      }
      spans.push(span)
      const made: Tracer.Span = {
        _tag: "Span",
        name,
        spanId: span.spanId,
        traceId: span.traceId,
        parent,
        context,
        links: [...links],
        kind,
        sampled: true,
        status: { _tag: "Started", startTime },
        attributes: span.attributes,
        end: (_, exit) => {
          span.exit = exit
        },
        attribute: (key, value) => void span.attributes.set(key, value),
        event: (name) => void span.events.push(name),
        addLinks: () => undefined
      }
      return made
    },
    context: (run) => run()
  })
  return { tracer, spans }
}

const Traced = Task.make("Traced", { retry: { times: 1 } })
const TracedLive = Task.toLayer(Traced, () =>
  Effect.flatMap(RunContext, ({ jobId }) =>
    jobId === "bad" ? Effect.fail("no") : Effect.withSpan(Effect.annotateCurrentSpan("seen", true), "inner")
  )
)

describe("spans", () => {
  const test = <E>(
    title: string,
    body: (scheduler: Service, spans: ReadonlyArray<Recorded>) => Effect.Effect<void, E, Scope.Scope>
  ) =>
    it.scoped(title, () => {
      const { spans, tracer } = makeTracer()
      return Effect.flatMap(Scheduler.Scheduler, (scheduler) => body(scheduler, spans)).pipe(
        Effect.provide(layer(live(TracedLive))),
        Effect.withTracer(tracer)
      )
    })

  const runs = (spans: ReadonlyArray<Recorded>) => spans.filter(({ name }) => name === "run Traced")

  test("there is one for each attempt: a root, named and described", (scheduler, spans) =>
    Effect.gen(function* () {
      yield* scheduler.add(Traced, { id: "good", name: "Good", trigger: everyMinute })
      yield* TestClock.adjust("2 minutes")
      const [first, second, ...more] = runs(spans)
      assert.isEmpty(more)
      assert.isTrue(Option.isNone(first!.parent))
      assert.notStrictEqual(first!.traceId, second!.traceId)
      assert.strictEqual(first!.kind, "consumer")
      assert.deepStrictEqual(Object.fromEntries(first!.attributes), {
        "job.id": "good",
        "job.name": "Good",
        "run.id": "good/1/1970-01-01T00:01:00.000Z",
        "run.attempt": 1,
        "run.scheduled_at": "1970-01-01T00:01:00.000Z",
        task: "Traced"
      })
      assert.isTrue(Exit.isSuccess(first!.exit!))
    }))

  test("there is one for each retry, with its number", (scheduler, spans) =>
    Effect.gen(function* () {
      yield* scheduler.add(Traced, { id: "bad" })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(
        runs(spans).map(({ attributes }) => attributes.get("run.attempt")),
        [1, 2]
      )
    }))

  test("that of an attempt that failed says so", (scheduler, spans) =>
    Effect.gen(function* () {
      yield* scheduler.add(Traced, { id: "bad" })
      yield* TestClock.adjust("1 minute")
      for (const { exit } of runs(spans)) assert.isTrue(Exit.isFailure(exit!))
    }))

  test("a handler's own spans are children of its attempt's", (scheduler, spans) =>
    Effect.gen(function* () {
      yield* scheduler.add(Traced, { id: "good" })
      yield* settled
      const [run] = runs(spans)
      const inner = spans.find(({ name }) => name === "inner")!
      assert.deepInclude(Option.getOrThrow(inner.parent), { spanId: run!.spanId, traceId: run!.traceId })
      assert.strictEqual(inner.attributes.get("seen"), true)
    }))

  test("an attempt is linked to the span in which its job was added", (scheduler, spans) =>
    Effect.gen(function* () {
      yield* Effect.withSpan(scheduler.add(Traced, { id: "good", trigger: everyMinute }), "request")
      yield* TestClock.adjust("2 minutes")
      const request = spans.find(({ name }) => name === "request")!
      for (const { links, parent } of runs(spans)) {
        assert.isTrue(Option.isNone(parent))
        assert.strictEqual(links.length, 1)
        assert.deepInclude(links[0]!.span, { spanId: request.spanId, traceId: request.traceId })
      }
    }))

  test("an attempt is linked to the span in which it was asked for, rather than to that of its job", (scheduler, spans) =>
    Effect.gen(function* () {
      yield* Effect.withSpan(scheduler.add(Traced, { id: "good", trigger: never }), "request")
      yield* Effect.withSpan(scheduler.runNow("good"), "click")
      yield* settled
      const click = spans.find(({ name }) => name === "click")!
      assert.deepInclude(runs(spans)[0]!.links[0]!.span, { spanId: click.spanId })
      yield* scheduler.add(Traced, { id: "alone" })
      yield* settled
      assert.deepStrictEqual(runs(spans)[1]!.links, [])
    }))

  test("the loop itself makes none", (scheduler, spans) =>
    Effect.gen(function* () {
      yield* scheduler.add(Traced, { id: "good", trigger: everyMinute })
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual(spans, [])
    }))

  it.scoped("there is none at all with Effect's own tracer", () => {
    const seen: Array<boolean> = []
    const Plain = Task.make("Plain")
    const PlainLive = Task.toLayer(Plain, () =>
      Effect.map(Effect.option(Effect.currentParentSpan), (span) => seen.push(Option.isSome(span)))
    )
    return Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Plain, { id: "a" })
      yield* settled
      assert.deepStrictEqual(seen, [false])
    }).pipe(Effect.provide(layer(live(PlainLive))))
  })

  it.scoped("an attempt runs, and its run ends, although the tracer is broken", () => {
    const tracer = Tracer.make({
      span: () => {
        throw new Error("tracer is broken")
      },
      context: (run) => run()
    })
    return Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* scheduler.add(Traced, { id: "good", retry: { times: 0 } })
      yield* TestClock.adjust("10 seconds")
      const [run] = yield* scheduler.runs()
      assert.strictEqual(run?.state._tag, "Failed")
      assert.strictEqual((yield* scheduler.health).running, 0)
    }).pipe(Effect.provide(layer(live(TracedLive))), Effect.withTracer(tracer))
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// logs
// ---------------------------------------------------------------------------------------------------------------------

interface Line {
  readonly message: string
  readonly level: string
  readonly annotations: Readonly<Record<string, unknown>>
  readonly cause: string
}

describe("logs", () => {
  const test = <E>(
    title: string,
    handlers: unknown,
    body: (scheduler: Service, lines: ReadonlyArray<Line>) => Effect.Effect<void, E, Scope.Scope | JobStore.JobStore>
  ) =>
    it.scoped(title, () => {
      const lines: Array<Line> = []
      const logger = Logger.make<unknown, void>(({ annotations, cause, logLevel, message }) => {
        const texts = Array.isArray(message) ? message : [message]
        lines.push({
          message: texts.map(String).join(" "),
          level: logLevel.label,
          annotations: Object.fromEntries(HashMap.toEntries(annotations)),
          cause: Cause.isEmpty(cause) ? "" : Cause.pretty(cause)
        })
      })
      return Effect.flatMap(Scheduler.Scheduler, (scheduler) => body(scheduler, lines)).pipe(
        Effect.provide(Layer.provideMerge(layer(live(handlers)), Logger.add(logger)))
      )
    })

  const Chatty = Task.make("Chatty", { retry: { times: 1 } })
  const ChattyLive = Task.toLayer(Chatty, () =>
    Effect.log("hello").pipe(
      Effect.annotateLogs("own", "yes"),
      Effect.zipRight(Effect.forkDaemon(Effect.log("from a child"))),
      Effect.zipRight(Effect.fail("no"))
    )
  )

  test("of a handler, and of its fibers, say job, run and attempt", ChattyLive, (scheduler, lines) =>
    Effect.gen(function* () {
      yield* scheduler.add(Chatty, { id: "a" })
      yield* TestClock.adjust("1 minute")
      const run = "a/1/1970-01-01T00:00:00.000Z"
      const of = (message: string) => lines.filter((line) => line.message === message).map((line) => line.annotations)
      assert.deepStrictEqual(of("hello"), [
        { job: "a", run, attempt: 1, own: "yes" },
        { job: "a", run, attempt: 2, own: "yes" }
      ])
      assert.deepStrictEqual(of("from a child"), [
        { job: "a", run, attempt: 1 },
        { job: "a", run, attempt: 2 }
      ])
    })
  )

  test("tell once of a task that has no handler here", ChattyLive, (scheduler, lines) =>
    Effect.gen(function* () {
      const Elsewhere = Task.make("Elsewhere")
      yield* scheduler.add(Elsewhere, { id: "a", trigger: everyMinute })
      yield* scheduler.add(Elsewhere, { id: "b", trigger: everyMinute })
      yield* TestClock.adjust("5 minutes")
      const own = lines.filter(({ message }) => message.includes('"Elsewhere"'))
      assert.deepStrictEqual(
        own.map(({ level }) => level),
        ["WARN"]
      )
    })
  )

  it.scoped("of a turn that failed say why", () => {
    const lines: Array<string> = []
    const logger = Logger.make<unknown, void>(({ cause, logLevel }) => {
      if (logLevel.label === "WARN") lines.push(Cause.pretty(cause))
    })
    const broken = Layer.effect(
      JobStore.JobStore,
      Effect.map(JobStore.makeMemory(), (store) => {
        let isBroken = true
        const nextWake: typeof store.nextWake = (options) =>
          Effect.suspend(() => {
            if (!isBroken) return store.nextWake(options)
            isBroken = false
            return Effect.dieMessage("the disk is full")
          })
        return JobStore.JobStore.of({ ...store, nextWake })
      })
    )
    return Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* TestClock.adjust("1 second")
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /the disk is full/)
      assert.isTrue((yield* scheduler.health).isStoreAvailable)
    }).pipe(
      Effect.provide(
        Scheduler.layer().pipe(
          Layer.provide(Executor.layerFiber()),
          Layer.provide(broken),
          Layer.provideMerge(Logger.add(logger))
        )
      )
    )
  })
})

describe("health", () => {
  it.scoped("says mode, node, attempts under way and when the loop last looked", () => {
    const Hangs = Task.make("Hangs")
    return Effect.gen(function* () {
      const scheduler = yield* Scheduler.Scheduler
      yield* settled
      const before = yield* scheduler.health
      assert.deepInclude(before, { mode: "Running", running: 0, isStoreAvailable: true })
      assert.isTrue(Option.isSome(before.node))
      yield* TestClock.adjust("10 seconds")
      yield* scheduler.add(Hangs, { id: "a" })
      yield* settled
      const busy = yield* scheduler.health
      assert.deepInclude(busy, { mode: "Running", running: 1 })
      assert.deepStrictEqual(Option.map(busy.lastTurn, DateTime.toEpochMillis), Option.some(10_000))
      yield* scheduler.pauseAll
      yield* settled
      assert.deepInclude(yield* scheduler.health, { mode: "Paused", running: 1 })
      yield* scheduler.shutdown({ wait: false })
      assert.deepInclude(yield* scheduler.health, { mode: "Stopped", running: 0 })
    }).pipe(Effect.provide(layer(live(Task.toLayer(Hangs, () => Effect.never)))))
  })
})
