/** A task that does to its thread or process what a handler should not. */
import { Effect, Schema } from "effect"
import { spawn } from "node:child_process"
import { threadId } from "node:worker_threads"
import * as Task from "../../src/Task.ts"

export const Deed = Schema.Union(
  /** Says where it is carried out. */
  Schema.TaggedStruct("Where", {}),
  Schema.TaggedStruct("Sleep", { millis: Schema.Number }),
  Schema.TaggedStruct("Spin", {}),
  /** Throws where no handler catches it. */
  Schema.TaggedStruct("Throw", { message: Schema.String }),
  /** Writes so many lines to each of its streams, and then fails, sleeps for long, dies, or ends. */
  Schema.TaggedStruct("Write", { lines: Schema.Number, end: Schema.Literal("well", "fail", "sleep", "exit") }),
  /** Takes more and more memory: on the heap, or beside it. */
  Schema.TaggedStruct("Eat", { what: Schema.Literal("heap", "buffers") }),
  /** Starts a process of its own, says its id, and never ends. */
  Schema.TaggedStruct("Breed", {}),
  /** Logs so many entries from a fiber that outlives the attempt. */
  Schema.TaggedStruct("Linger", {})
)

export const Probe = Task.make("Probe", { payload: Deed, success: Schema.Any })

const write = (lines: number) =>
  Effect.sync(() => {
    for (let i = 1; i <= lines; i++) {
      process.stdout.write(`out ${i} ü\n`)
      process.stderr.write(`err ${i}\n`)
    }
  })

const eat = (what: "heap" | "buffers") =>
  Effect.sync(() => {
    const eaten: Array<unknown> = []
    for (;;) {
      eaten.push(what === "heap" ? Array.from({ length: 10_000 }, (_, i) => ({ i })) : Buffer.alloc(10 * 2 ** 20, 1))
    }
  })

const breed = Effect.sync(() => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" })
  process.stdout.write(`${child.pid}\n`)
  for (;;);
})

const ends = {
  well: Effect.void,
  fail: Effect.dieMessage("it broke"),
  sleep: Effect.sleep("1 hour"),
  exit: Effect.sync(() => process.exit(3))
}

const perform = (deed: typeof Deed.Type): Effect.Effect<unknown> => {
  switch (deed._tag) {
    case "Where":
      return Effect.succeed({ pid: process.pid, thread: threadId, execArgv: process.execArgv, told: process.env.TOLD })
    case "Sleep":
      return Effect.as(Effect.sleep(deed.millis), threadId)
    case "Spin":
      return Effect.sync(() => {
        for (;;);
      })
    case "Throw":
      return Effect.async(() => {
        setTimeout(() => {
          throw new Error(deed.message)
        }, 10)
      })
    case "Write":
      return Effect.zipRight(write(deed.lines), ends[deed.end])
    case "Eat":
      return eat(deed.what)
    case "Breed":
      return breed
    case "Linger":
      return Effect.asVoid(Effect.forkDaemon(Effect.delay(Effect.log("still here"), 200)))
  }
}

export const ProbeLive = Task.toLayer(Probe, perform)
