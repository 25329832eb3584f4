import { Console, Effect, Layer } from "effect"
import { RunContext, Task } from "effect-scheduler"
import * as WorkerExecutor from "effect-scheduler/WorkerExecutor"
import { Count, Loop, TooLarge } from "./tasks.ts"

const isPrime = (n: number): boolean => {
  for (let i = 2; i * i <= n; i++) if (n % i === 0) return false
  return n > 1
}

const CountLive = Task.toLayer(Count, ({ below }) =>
  Effect.gen(function* () {
    if (below > 10_000_000) return yield* new TooLarge({ most: 10_000_000 })
    const run = yield* RunContext.RunContext
    const step = below / 10
    let count = 0
    for (let i = 0; i < 10; i++) {
      for (let n = i * step; n < (i + 1) * step; n++) if (isPrime(n)) count++
      yield* run.progress({ done: i + 1, total: 10 })
      // Lets what comes from outside be heard: that somebody called the run off, for one.
      yield* Effect.yieldNow()
    }
    yield* Effect.logInfo("counted").pipe(Effect.annotateLogs({ below }))
    return count
  })
)

const LoopLive = Task.toLayer(Loop, () =>
  Effect.gen(function* () {
    yield* Console.log("what a process writes is kept with its run")
    for (;;);
  })
)

// The same module serves threads and processes.
WorkerExecutor.runMain(Layer.merge(CountLive, LoopLive))
