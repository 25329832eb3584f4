/**
 * Attempts in worker threads: handlers that are busy with the processor hold up neither the scheduler nor each other.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Worker } from "node:worker_threads"
import type * as AttemptHost from "./AttemptHost.ts"
import * as AttemptPool from "./AttemptPool.ts"
import { Executor } from "./Executor.ts"
import { ExecutorUnavailable } from "./SchedulerError.ts"
import * as TypeScriptModule from "./TypeScriptModule.ts"

/**
 * The main program of the module that the threads load, with the layers of its tasks: `runMain(SendDigestLive)`. The same
 * module may serve `ProcessExecutor`.
 *
 * @since 0.1.0
 * @category running
 */
export { runMain } from "./AttemptRunner.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends AttemptPool.Settings {
  /** How much memory the heap of a thread may take before it is ended, in MiB: on Node. Default: what Node allows. */
  readonly memoryLimit?: number | undefined
  /** Options of Node for the threads. Default: those of this process. */
  readonly execArgv?: ReadonlyArray<string> | undefined
  /** Default: that of this process, as it is when a thread starts. */
  readonly env?: Readonly<Record<string, string>> | undefined
}

/**
 * Attempts in worker threads, one at a time in each, as many at the same time as `size` says (default: as many as the
 * machine has processors for). The tasks are those of the module at `url`, which calls `runMain`; the scheduler itself
 * gets to know them by `Task.remote`. Throws `InvalidOption`; fails where a `memoryLimit` would not be heeded.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Executor, ExecutorUnavailable> => {
  const settings = AttemptPool.check(options)
  if (options.memoryLimit !== undefined) {
    AttemptPool.checkCount("memoryLimit", options.memoryLimit)
    if (!HAS_LIMITS)
      return Layer.fail(new ExecutorUnavailable({ kind: KIND, url: settings.url.href, reason: NO_LIMIT }))
  }
  const spawn = (onEnd: (reason: string) => void) => start(options, settings.url, onEnd)
  return Layer.scoped(Executor, AttemptPool.make({ ...settings, kind: KIND, spawn }))
}

const KIND = "worker thread"

/** Bun gives a thread all the memory there is, and Deno does not say when it has stopped one that took too much. */
const HAS_LIMITS = !("bun" in process.versions) && !("deno" in process.versions)

const NO_LIMIT = "only Node can limit the memory of a thread; ProcessExecutor limits that of a process"

const start = (
  { env, execArgv, memoryLimit }: Options,
  url: URL,
  onEnd: (reason: string) => void
): AttemptHost.Handle => {
  const worker = new Worker(TypeScriptModule.forThread(url), {
    ...(execArgv === undefined ? {} : { execArgv: [...execArgv] }),
    ...(env === undefined ? {} : { env }),
    ...(memoryLimit === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: memoryLimit } })
  })
  let fault: string | undefined
  worker.on("error", (error) => {
    fault = error instanceof Error ? (error.stack ?? error.message) : String(error)
  })
  worker.on("exit", (code) => onEnd(fault ?? `it exited with code ${code}`))
  return {
    worker,
    force: [() => void worker.terminate()],
    onReady: () => {},
    beginOutput: () => {},
    endOutput: Effect.succeedNone
  }
}
