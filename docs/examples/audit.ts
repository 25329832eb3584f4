import { Console, DateTime, Effect, Layer } from "effect"
import { Audit, Executor, JobStore, Scheduler, Task, Trigger } from "effect-scheduler"

const Sync = Task.make("Sync")
// No node has a handler for this one.
const Forgotten = Task.make("Forgotten")

/** All jobs, and what is in flight of them. */
const audit = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler
  const jobs = yield* scheduler.list()
  const runs = yield* scheduler.runs({ states: ["Waiting", "Queued", "Pending", "Running"], limit: 100_000 })
  return Audit.check({ jobs, runs, now: yield* DateTime.now, patience: "200 millis" })
})

const program = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler
  yield* scheduler.add(Sync, { id: "sync", trigger: Trigger.interval({ seconds: 1 }) })
  yield* scheduler.add(Forgotten, { id: "forgotten" })

  // Twice, for what was only being done is done by then.
  yield* Effect.sleep("300 millis")
  const before = yield* audit
  yield* Effect.sleep("100 millis")
  const found = Audit.lasting(before, yield* audit)
  for (const finding of found) yield* Console.log(finding._tag, Audit.describe(finding))
})

const SchedulerLive = Scheduler.layer().pipe(
  Layer.provide(Task.toLayer(Sync, () => Effect.void)),
  Layer.provide(Executor.layerFiber()),
  Layer.provide(JobStore.layerMemory)
)

Effect.runPromise(Effect.provide(program, SchedulerLive))
