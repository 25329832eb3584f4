import { SqliteClient } from "@effect/sql-sqlite-node"
import { Console, Effect, Layer, ManagedRuntime } from "effect"
import { Executor, RunContext, Scheduler, Task, Trigger } from "effect-scheduler"
import * as SqlJobStore from "effect-scheduler/SqlJobStore"
import assert from "node:assert"
import { setTimeout } from "node:timers/promises"

const Report = Task.make("Report")

const ReportLive = Task.toLayer(Report, () =>
  Effect.flatMap(RunContext.RunContext, ({ scheduledAt }) => Console.log("report of", scheduledAt))
)

// It has no loop, so that nothing goes on between two calls.
const SchedulerLive = Scheduler.layer({ autoStart: false, defaults: { coalesce: "all" } }).pipe(
  Layer.provide(ReportLive),
  Layer.provide(Executor.layerFiber()),
  Layer.provide(SqlJobStore.layer()),
  Layer.provide(SqliteClient.layer({ filename: "jobs.sqlite" })) // where functions run, a server: PgClient
)

// Lives as long as the platform keeps the process.
const runtime = ManagedRuntime.make(SchedulerLive)

const jobs = [Scheduler.job(Report, { id: "report", trigger: Trigger.interval({ seconds: 1 }), limit: 2 })]

const invoke = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler
  yield* scheduler.reconcile("functions", jobs)
  // A bit less than the platform allows: what has not ended by then is interrupted, and left to the next call.
  return { attempts: yield* scheduler.runDue({ atMost: "20 seconds" }) }
})

// What the platform calls, by a timer of its own.
export const handler = () => runtime.runPromise(invoke)

// Here the platform is played: nothing is due yet, then two runs are, and it calls twice at once.
const first = await handler()
await setTimeout(2100)
const both = await Promise.all([handler(), handler()])
await runtime.dispose()

console.log(first, both)
assert.strictEqual(first.attempts + both[0].attempts + both[1].attempts, 2)
