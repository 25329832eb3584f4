import { SqliteClient } from "@effect/sql-sqlite-node"
import { Console, Effect, Layer, Schema, Stream } from "effect"
import { Executor, Scheduler, Task, Trigger } from "effect-scheduler"
import * as SqlJobStore from "effect-scheduler/SqlJobStore"

const SendDigest = Task.make("SendDigest", { payload: Schema.Struct({ userId: Schema.String }) })
const SendDigestLive = Task.toLayer(SendDigest, ({ userId }) => Console.log("digest for", userId))

const SchedulerLive = Scheduler.layer({
  defaults: { coalesce: "latest", maxInstances: 1, misfireGraceTime: "10 minutes" },
  drain: true
}).pipe(
  Layer.provide(SendDigestLive),
  Layer.provide(Executor.layerFiber()),
  Layer.provide(SqlJobStore.layer()),
  Layer.provide(SqliteClient.layer({ filename: "jobs.sqlite" }))
)

const program = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler
  const alerts = Stream.filter(yield* scheduler.subscribe, ({ _tag }) => _tag === "RunFailed" || _tag === "RunMissed")
  yield* Effect.forkScoped(Stream.runForEach(alerts, (event) => Console.log("look:", event)))

  yield* scheduler.add(SendDigest, {
    id: "digest/42",
    payload: { userId: "42" },
    trigger: Trigger.cron({ dayOfWeek: "mon-fri", hour: 5, minute: 30, timezone: "Europe/Berlin" }),
    onConflict: "replace"
  })
  yield* scheduler.add(SendDigest, { payload: { userId: "7" } }) // at once
  yield* scheduler.pause("digest/42")
  yield* Effect.sleep("200 millis")
}) // the end of the layer waits for runs under way

Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(SchedulerLive)))
