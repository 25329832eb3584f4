import { Effect, Layer } from "effect"
import { runMain } from "../../src/WorkerExecutor.ts"

runMain(Layer.effectDiscard(Effect.fail(new Error("no database"))))
