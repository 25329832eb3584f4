import { Effect, Layer, Schema } from "effect"
import { Executor, JobStore, Scheduler, Task, Trigger } from "effect-scheduler"

// What: a name, and Schemas for what goes in and comes out.
const Greet = Task.make("Greet", { payload: Schema.Struct({ name: Schema.String }) })

// How: any Effect; what it requires becomes the requirement of the layer.
const GreetLive = Task.toLayer(Greet, ({ name }) => Effect.log(`Good morning, ${name}!`))

const program = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler
  yield* scheduler.add(Greet, { id: "at once", payload: { name: "Ada" } })
  yield* scheduler.add(Greet, { payload: { name: "Grace" }, trigger: Trigger.interval({ seconds: 1 }) })
  const job = yield* scheduler.add(Greet, {
    id: "weekdays",
    payload: { name: "Berlin" },
    trigger: Trigger.cron({ dayOfWeek: "mon-fri", hour: 5, minute: 30, timezone: "Europe/Berlin" }),
    misfireGraceTime: "10 minutes"
  })
  yield* Effect.log("Berlin is greeted next at", job.nextRunTime)
  yield* Effect.sleep("2500 millis")
})

const SchedulerLive = Scheduler.layer().pipe(
  Layer.provideMerge(GreetLive),
  Layer.provide(Executor.layerFiber({ concurrency: 20 })),
  Layer.provide(JobStore.layerMemory) // or SqlJobStore.layer(): nothing else moves
)

Effect.runPromise(Effect.provide(program, SchedulerLive))
