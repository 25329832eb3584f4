import { Console, Duration, Effect, Layer, Schema } from "effect"
import { Executor, JobStore, Scheduler, Task, Trigger } from "effect-scheduler"

class Refused extends Schema.TaggedError<Refused>()("Refused", { status: Schema.Int }) {}

// The task knows its work: how long it may take, and which errors are worth another attempt.
const Charge = Task.make("Charge", {
  payload: Schema.Struct({ invoice: Schema.String }),
  error: Refused,
  timeout: "30 seconds",
  retry: { times: 5, backoff: "exponential", delay: "10 millis", while: ({ status }) => status >= 500 }
})

const ChargeLive = Task.toLayer(Charge, ({ invoice }) =>
  Effect.zipRight(Console.log("charging", invoice), new Refused({ status: invoice === "A-1" ? 503 : 402 }))
)

const program = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler

  // The job knows when it is due, and what that is worth. It says only what is its own.
  const job = yield* scheduler.add(Charge, {
    payload: { invoice: "A-1" },
    trigger: Trigger.interval({ millis: 100 }),
    limit: 1,
    retry: { times: 2 }
  })
  const { maxInstances, misfireGraceTime, retry, timeout } = job.policy
  yield* Console.log("from the scheduler:", Duration.format(misfireGraceTime), "of grace")
  yield* Console.log("from the task:", Duration.format(timeout), "at most,", retry.backoff, "backoff")
  yield* Console.log("from the job:", retry.times, "retries; from nobody:", maxInstances, "instance")

  // 503 is tried again, 402 is not: `while` says that another attempt is of no use.
  yield* scheduler.add(Charge, { payload: { invoice: "B-2" } })
  yield* Effect.sleep("1 second")
  for (const { attempt, jobId, state } of yield* scheduler.runs()) yield* Console.log(jobId, state._tag, attempt)

  // What means nothing is refused, with the option and what it may be.
  const refused = yield* Effect.flip(scheduler.add(Charge, { payload: { invoice: "C-3" }, maxInstances: 0 }))
  yield* Console.log(refused.message)
})

const SchedulerLive = Scheduler.layer({ defaults: { misfireGraceTime: "10 minutes", retention: { count: 50 } } }).pipe(
  Layer.provide(ChargeLive),
  Layer.provide(Executor.layerFiber()),
  Layer.provide(JobStore.layerMemory)
)

Effect.runPromise(Effect.provide(program, SchedulerLive))
