import { SqliteClient } from "@effect/sql-sqlite-node"
import { Console, Effect, Layer, Schema } from "effect"
import { Executor, RunContext, Scheduler, Task, Trigger } from "effect-scheduler"
import * as SqlJobStore from "effect-scheduler/SqlJobStore"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const Report = Task.make("Report", {
  payload: Schema.Struct({ customer: Schema.Number }),
  success: Schema.Struct({ pages: Schema.Number }),
  retry: { times: 3, backoff: "exponential" }
})

const ReportLive = Task.toLayer(Report, ({ customer }) =>
  Effect.gen(function* () {
    const run = yield* RunContext.RunContext
    yield* Console.log(`report for customer ${customer}, due ${run.scheduledAt}, attempt ${run.attempt}`)
    return { pages: customer * 2 }
  })
)

const SchedulerLive = Scheduler.layer({ defaults: { maxInstances: 1, coalesce: "latest" } }).pipe(
  Layer.provideMerge(ReportLive),
  Layer.provide(Executor.layerFiber({ concurrency: 20 })),
  Layer.provide(SqlJobStore.layer()),
  Layer.provide(SqliteClient.layer({ filename: join(mkdtempSync(join(tmpdir(), "jobs-")), "jobs.sqlite") }))
)

// Two lives of one application: the second one finds what the first one left.
const deploy = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler
  const trigger = Trigger.interval({ seconds: 1 })
  const declared = [1, 2].map((customer) =>
    Scheduler.job(Report, { id: `report/${customer}`, payload: { customer }, trigger })
  )
  const { added, unchanged } = yield* scheduler.reconcile("reports", declared)
  yield* Console.log(`${added.length} jobs added, ${unchanged.length} found as they were`)
  yield* Effect.sleep("1500 millis")
  const runs = yield* scheduler.runs({ limit: 3 })
  for (const { id, state } of runs) yield* Console.log(id, JSON.stringify(state))
})

Effect.runPromise(Effect.zipRight(Effect.provide(deploy, SchedulerLive), Effect.provide(deploy, SchedulerLive)))
