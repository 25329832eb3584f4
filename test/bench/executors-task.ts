/** The task of the work that the executors are measured with. */
import * as Schema from "effect/Schema"
import * as Task from "../../src/Task.ts"

export const Compute = Task.make("Compute", { payload: Schema.Number, success: Schema.Number })
