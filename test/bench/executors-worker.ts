/** What our threads and processes load. */
import * as Effect from "effect/Effect"
import * as Task from "../../src/Task.ts"
import { runMain } from "../../src/WorkerExecutor.ts"
import { Compute } from "./executors-task.ts"
import { compute } from "./executors-work.ts"

runMain(Task.toLayer(Compute, (units) => Effect.sync(() => compute(units))))
