import { Console, Effect, Layer } from "effect"
import { Scheduler, Task, Trigger } from "effect-scheduler"
import { Count } from "../executors/tasks.ts"

const Greet = Task.make("Greet")

/** The code of `Count` is in the module of the processes. */
export const TasksLive = Layer.merge(
  Task.remote(Count),
  Task.toLayer(Greet, () => Console.log("hello"))
)

/** What each of the three styles is tried with. */
export const program = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler
  const nightly = yield* scheduler.add(Count, {
    id: "nightly",
    payload: { below: 50_000 },
    trigger: Trigger.cron({ hour: 5, minute: 30 }), // UTC, as it names no other zone
    executor: "cpu",
    onConflict: "replace"
  })
  const hourly = yield* scheduler.add(Greet, { id: "hourly", trigger: Trigger.cron({ minute: 0 }), store: "scratch" })
  const [count, hello] = [yield* scheduler.runNow(nightly.id), yield* scheduler.runNow(hourly.id)]
  yield* Console.log("primes", yield* scheduler.awaitRun(count.id, Count))
  yield* scheduler.awaitRun(hello.id)

  const { executors, stores } = yield* scheduler.health
  yield* Console.log(Object.keys(stores), executors)
  const { coalesce, maxInstances } = nightly.policy
  yield* Console.log({ coalesce, maxInstances, next: nightly.nextRunTime })
})
