/** What the threads and processes of these programs do. */
import { Effect, Schema } from "effect"
import { Task } from "effect-scheduler"

export const Deed = Task.make("Deed", {
  payload: Schema.Struct({ what: Schema.Literal("where", "sleep", "spin", "heap", "buffers") }),
  success: Schema.Number
})

const eat = (bite: () => unknown) =>
  Effect.sync((): number => {
    const eaten: Array<unknown> = []
    for (;;) eaten.push(bite())
  })

const deeds: Record<Task.Payload<typeof Deed>["what"], Effect.Effect<number>> = {
  where: Effect.sync(() => process.pid),
  sleep: Effect.as(Effect.sleep("1 hour"), 0),
  spin: Effect.sync(() => {
    for (;;);
  }),
  heap: eat(() => Array.from({ length: 10_000 }, (_, i) => ({ i }))),
  buffers: eat(() => Buffer.alloc(10 * 2 ** 20, 1))
}

export const DeedLive = Task.toLayer(Deed, ({ what }) => deeds[what])
