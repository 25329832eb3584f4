import { Console, Effect, Either, Layer } from "effect"
import { type Executor, JobStore, Scheduler, type SchedulerError, Task, Trigger } from "effect-scheduler"
import * as ProcessExecutor from "effect-scheduler/ProcessExecutor"
import * as WorkerExecutor from "effect-scheduler/WorkerExecutor"
import { Count, Loop } from "./executors/tasks.ts"

const url = new URL("./executors/worker.ts", import.meta.url)

const nightly = Trigger.cron({ hour: 3, timezone: "Europe/Berlin" })

const program = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler

  // Two at a time, while this process goes on with what else it has to do.
  const runs = yield* Effect.forEach([200_000, 300_000, 400_000, 20_000_000], (below) =>
    Effect.gen(function* () {
      const { id } = yield* scheduler.add(Count, { id: `below/${below}`, payload: { below }, trigger: nightly })
      return yield* scheduler.runNow(id)
    })
  )
  for (const { id, jobId } of runs) {
    const count = yield* Effect.either(scheduler.awaitRun(id, Count))
    yield* Console.log(jobId, Either.isRight(count) ? count.right : count.left._tag)
  }

  // It neither ends nor listens, so that it has to be ended.
  yield* scheduler.add(Loop, { id: "loop", trigger: nightly })
  const loop = yield* scheduler.runNow("loop")
  yield* Console.log("loop", (yield* scheduler.awaitRun(loop.id)).state)
})

const on = (executor: Layer.Layer<Executor.Executor, SchedulerError.ExecutorUnavailable>) =>
  Scheduler.layer().pipe(
    // Their code is in the module of the executor.
    Layer.provide(Task.remote(Count, Loop)),
    Layer.provide(executor),
    Layer.provide(JobStore.layerMemory)
  )

const main = Effect.gen(function* () {
  yield* Console.log("in worker threads")
  yield* Effect.provide(program, on(WorkerExecutor.layer({ url, size: 2, grace: "1 second" })))
  yield* Console.log("in processes")
  yield* Effect.provide(program, on(ProcessExecutor.layer({ url, size: 2, grace: "1 second", memoryLimit: 512 })))
})

Effect.runPromise(main)
