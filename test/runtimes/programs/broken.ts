/** A module with a layer that fails. */
import { Effect, Layer } from "effect"
import * as WorkerExecutor from "effect-scheduler/WorkerExecutor"

WorkerExecutor.runMain(Layer.effectDiscard(Effect.fail(new Error("no database"))))
