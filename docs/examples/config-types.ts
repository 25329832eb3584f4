import { Console, Effect } from "effect"
import { Configuration, ConfigValue, Executor, Scheduler } from "effect-scheduler"
import * as SchedulerConfig from "effect-scheduler/SchedulerConfig"
import { availableParallelism } from "node:os"

const perProcessor = Configuration.executorType({
  fields: { places: ConfigValue.count({ most: 64 }) },
  layer: ({ places }) => Executor.layerFiber({ concurrency: places * availableParallelism() })
})

const types = {
  stores: SchedulerConfig.types.stores,
  executors: { ...SchedulerConfig.types.executors, perProcessor }
}

const SchedulerLive = Scheduler.fromConfig({ executors: { default: { type: "perProcessor", places: 4 } } }, types)

const program = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler
  yield* Console.log((yield* scheduler.health).executors)

  // Whatever the compiler has not seen is refused with its path.
  const wrong = { executors: { default: { type: "perProcessor", place: 4 } }, drian: "soon" }
  const { message } = yield* Effect.flip(Configuration.decode(types, wrong))
  yield* Console.log(message)
})

Effect.runPromise(Effect.provide(program, SchedulerLive))
