/**
 * The life of a process that carries out attempts for another one: what ends it, what does not, and who watches it while
 * a handler keeps it too busy to hear anything. In a worker thread there is nothing of this to do.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { isMainThread, parentPort, Worker } from "node:worker_threads"

/**
 * What the scheduling process wants its child to know from the start: how long it may go on without its parent, in
 * milliseconds, and how much memory it may take, in bytes.
 *
 * @since 0.1.0
 * @category models
 */
export const Terms = Schema.parseJson(
  Schema.Struct({ grace: Schema.Number, memory: Schema.optionalWith(Schema.Number, { exact: true }) })
)

/**
 * @since 0.1.0
 * @category codecs
 */
export const encodeTerms: (terms: typeof Terms.Type) => string = Schema.encodeSync(Terms)

/**
 * The environment variable that the terms are in.
 *
 * @since 0.1.0
 * @category constants
 */
export const VARIABLE = "EFFECT_SCHEDULER_PROCESS"

/**
 * The file descriptor to which a child writes why it kills itself.
 *
 * @since 0.1.0
 * @category constants
 */
export const LAST_WORDS = 4

/**
 * Whether this is a thread, or a process with a channel to its parent.
 *
 * @since 0.1.0
 * @category queries
 */
export const isHosted = (): boolean => parentPort !== null || process.send !== undefined

/**
 * Whether there is still somebody to tell things to.
 *
 * @since 0.1.0
 * @category queries
 */
export const hasParent = (): boolean => parentPort !== null || process.connected === true

/**
 * Does something once all that was written so far is on its way, so that it cannot overtake it.
 *
 * @since 0.1.0
 * @category output
 */
export const afterOutput = (then: () => void): void => {
  if (!isMainThread) then()
  else process.stdout.write("", () => void process.stderr.write("", then))
}

/** A process is busy with an attempt that nobody has called off; otherwise it is free to go. */
type Duty = "Busy" | "Free"

let duty: Duty = "Free"

/**
 * Says whether SIGTERM may end this process at once.
 *
 * @since 0.1.0
 * @category lifecycle
 */
export const setDuty = (now: Duty): void => {
  duty = now
}

/**
 * Has the process leave when its parent is gone, and watched. Signals that reach the whole group, such as Ctrl-C or the
 * end of a service, are for the parent, who lets runs end in order: a busy process does not heed them.
 *
 * @since 0.1.0
 * @category lifecycle
 */
export const guard = (leave: () => void): Effect.Effect<void, never, Scope.Scope> => {
  if (!isMainThread) return Effect.void
  const onTerminate = () => {
    if (duty === "Free") process.exit(143)
  }
  const onDisconnect = () => {
    duty = "Free"
    leave()
  }
  return Effect.acquireRelease(
    Effect.sync(() => {
      process.on("SIGINT", ignore).on("SIGTERM", onTerminate).on("disconnect", onDisconnect)
      watch()
    }),
    () => Effect.sync(() => process.off("SIGINT", ignore).off("disconnect", onDisconnect))
  )
}

const ignore = () => {}

// It sees what the main thread is too busy to see. SIGKILL goes to the whole group: what a handler started ends with it.
const WATCHDOG = `
const { workerData: { grace, memory = Infinity, lastWords } } = require("node:worker_threads")
const { writeSync } = require("node:fs")
const parent = process.ppid
const say = (reason) => {
  try { return writeSync(lastWords, reason) } catch {}
  // A thread of Deno has no descriptors of its process but the first three.
  try { writeSync(2, reason) } catch {}
}
const kill = (reason) => {
  say(reason)
  try { process.kill(-process.pid, "SIGKILL") } catch { process.kill(process.pid, "SIGKILL") }
}
let isOrphan = false
setInterval(() => {
  const used = process.memoryUsage.rss()
  if (used > memory) kill("it used " + Math.ceil(used / 2 ** 20) + " MiB of memory, more than the " + memory / 2 ** 20 + " MiB of memoryLimit")
  if (isOrphan || process.ppid === parent) return
  isOrphan = true
  setTimeout(kill, grace, "its parent is gone")
}, 100)
`

const watch = (): void => {
  const terms = Option.flatMap(Option.fromNullable(process.env[VARIABLE]), Schema.decodeOption(Terms))
  // It is not for the processes that a handler starts.
  delete process.env[VARIABLE]
  if (Option.isNone(terms)) return
  const workerData = { ...terms.value, lastWords: LAST_WORDS }
  const watchdog = new Worker(WATCHDOG, { eval: true, execArgv: [], env: {}, workerData })
  watchdog.on("error", () => {}).unref()
}
