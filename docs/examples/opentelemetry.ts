import { NodeSdk } from "@effect/opentelemetry"
import { InMemoryLogRecordExporter, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs"
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  PeriodicExportingMetricReader
} from "@opentelemetry/sdk-metrics"
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Console, Effect, Layer } from "effect"
import { Executor, JobStore, Scheduler, Task } from "effect-scheduler"

// In memory, so that this program needs no collector: yours has exporters for OTLP in their place.
const spans = new InMemorySpanExporter()
const logs = new InMemoryLogRecordExporter()
const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)

const TelemetryLive = NodeSdk.layer(() => ({
  resource: { serviceName: "reports" },
  spanProcessor: new SimpleSpanProcessor(spans),
  logRecordProcessor: new SimpleLogRecordProcessor({ exporter: logs }),
  metricReader: new PeriodicExportingMetricReader({ exporter: metrics })
}))

// Fails once.
const Report = Task.make("Report", { retry: { times: 1, delay: "50 millis" } })
let isJammed = true
const print = Effect.suspend(() => (isJammed ? Effect.fail("paper jam") : Effect.log("printed"))).pipe(
  Effect.ensuring(Effect.sync(() => (isJammed = false))),
  Effect.withSpan("print")
)
const ReportLive = Task.toLayer(Report, () => print)

const SchedulerLive = Scheduler.layer().pipe(
  Layer.provide(ReportLive),
  Layer.provide(Executor.layerFiber()),
  Layer.provide(JobStore.layerMemory)
)

const program = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler
  yield* Effect.withSpan(scheduler.add(Report, { id: "report" }), "POST /reports")
  yield* Effect.sleep("300 millis")

  // A trace for each attempt, linked to the one of the request that asked for the job.
  for (const span of spans.getFinishedSpans()) {
    const attempt = span.attributes["run.attempt"] === undefined ? "" : `, attempt ${span.attributes["run.attempt"]}`
    const link = span.links.map(({ context }) => `, linked to ${context.traceId.slice(0, 4)}`)
    yield* Console.log(`trace ${span.spanContext().traceId.slice(0, 4)}: ${span.name}${attempt}${link}`)
  }
  for (const { attributes, body } of logs.getFinishedLogRecords()) {
    yield* Console.log(`log: ${body}, job ${attributes.job}, attempt ${attributes.attempt}`)
  }
})

// The telemetry goes around the scheduler too, for its fibers are the ones to be observed.
await Effect.runPromise(program.pipe(Effect.provide(SchedulerLive), Effect.provide(TelemetryLive)))

// The metrics were read for the last time when the layer ended.
for (const { metrics: read } of metrics.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics)) {
  for (const { dataPoints, descriptor } of read) {
    for (const { attributes, value } of dataPoints) {
      if (typeof value === "number") console.log(`metric: ${descriptor.name} ${JSON.stringify(attributes)} ${value}`)
    }
  }
}
