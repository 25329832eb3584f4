import { Schema } from "effect"
import { Task } from "effect-scheduler"

export class TooLarge extends Schema.TaggedError<TooLarge>()("TooLarge", { most: Schema.Number }) {}

// What both sides know: names and Schemas, no code.
export const Count = Task.make("CountPrimes", {
  payload: Schema.Struct({ below: Schema.Number }),
  success: Schema.Number,
  error: TooLarge
})

export const Loop = Task.make("Loop", { timeout: "1 second" })
