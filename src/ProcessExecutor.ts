/**
 * Attempts in child processes: what a handler does to its memory, or to the whole process, harms nobody else, and one
 * that does not end can be killed.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type ChildProcess, fork } from "node:child_process"
import * as process from "node:process"
import type { Readable } from "node:stream"
import { fileURLToPath } from "node:url"
import type * as AttemptHost from "./AttemptHost.ts"
import { AttemptOutput } from "./AttemptOutput.ts"
import * as AttemptPool from "./AttemptPool.ts"
import * as AttemptProcess from "./AttemptProcess.ts"
import { Executor } from "./Executor.ts"
import type { ExecutorUnavailable } from "./SchedulerError.ts"
import * as TypeScriptModule from "./TypeScriptModule.ts"

/**
 * The main program of the module that the processes load, with the layers of its tasks: `runMain(SendDigestLive)`. The
 * same module may serve `WorkerExecutor`.
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
  /** How much memory a process may take, in MiB, before it is killed; its heap may take three quarters. Default: no limit. */
  readonly memoryLimit?: number | undefined
  /** How many characters of its output, and of its errors, are kept with a run: the last ones. Default: 16 384. */
  readonly outputLimit?: number | undefined
  /** Options of Node for the processes. Default: those of this process. */
  readonly execArgv?: ReadonlyArray<string> | undefined
  /** Default: that of this process, as it is when a process starts. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** The directory that they work in. Default: that of this process. */
  readonly cwd?: string | undefined
}

/**
 * Attempts in child processes, one at a time in each, as many at the same time as `size` says (default: as many as the
 * machine has processors for). The tasks are those of the module at `url`, which calls `runMain`; the scheduler itself
 * gets to know them by `Task.remote`. Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Executor, ExecutorUnavailable> => {
  const settings = AttemptPool.check(options)
  if (options.memoryLimit !== undefined) AttemptPool.checkCount("memoryLimit", options.memoryLimit)
  if (options.outputLimit !== undefined) AttemptPool.checkCount("outputLimit", options.outputLimit, 0)
  const spawn = (onEnd: (reason: string) => void) => start(options, settings, onEnd)
  return Layer.scoped(Executor, AttemptPool.make({ ...settings, kind: "process", spawn }))
}

type Settings = ReturnType<typeof AttemptPool.check>

const start = (options: Options, settings: Settings, onEnd: (reason: string) => void): AttemptHost.Handle => {
  const child = spawn(options, settings)
  const output = new AttemptOutput(child, options.outputLimit ?? 16_384)
  observeEnd(child, output, onEnd)
  return {
    worker: child,
    force: [() => void child.kill("SIGTERM"), () => killGroup(child)],
    onReady: () => output.release(),
    beginOutput: () => output.begin(),
    endOutput: Effect.zipRight(
      untilRead,
      Effect.sync(() => output.end())
    )
  }
}

const spawn = (options: Options, { grace, url }: Settings): ChildProcess => {
  const { cwd, env = process.env, execArgv = process.execArgv, memoryLimit: limit } = options
  const memory = limit === undefined ? {} : { memory: limit * 2 ** 20 }
  const heap = limit === undefined ? [] : [`--max-old-space-size=${Math.ceil(limit * 0.75)}`]
  const terms = AttemptProcess.encodeTerms({ grace: Duration.toMillis(grace), ...memory })
  return fork(fileURLToPath(url), [], {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...env, [AttemptProcess.VARIABLE]: terms },
    execArgv: [...TypeScriptModule.forProcess(url, execArgv), ...heap],
    // A group of its own can be killed with all that a handler started.
    detached: process.platform !== "win32",
    // The last one is for what it has to say when it kills itself.
    stdio: ["ignore", "pipe", "pipe", "ipc", "pipe"]
  })
}

const killGroup = (child: ChildProcess): void => {
  try {
    process.kill(-child.pid!, "SIGKILL")
  } catch {
    child.kill("SIGKILL")
  }
}

/** How long what a dead process has written may take to arrive, in milliseconds: its children may hold the pipes open. */
const LEFTOVER = 500

const observeEnd = (child: ChildProcess, output: AttemptOutput, onEnd: (reason: string) => void): void => {
  let lastWords = ""
  const stream = child.stdio[AttemptProcess.LAST_WORDS] as Readable | null | undefined
  stream?.on("data", (chunk: Buffer) => {
    lastWords += chunk.toString()
  })
  stream?.on("error", () => {})
  child.on("error", ({ message }) => {
    // It was never there.
    if (child.pid === undefined) onEnd(message)
  })
  child.on("exit", (code, signal) => {
    const end = () => onEnd(lastWords || toReason(code, signal, output.complaint))
    const timer = setTimeout(end, LEFTOVER)
    child.on("close", () => {
      clearTimeout(timer)
      end()
    })
  })
}

const toReason = (code: number | null, signal: NodeJS.Signals | null, complaint: string): string => {
  const end = signal === null ? `it exited with code ${code}` : `it was ended by ${signal}`
  if (complaint.includes("JavaScript heap out of memory")) return `it ran out of heap, and ${end}`
  return complaint === "" ? end : `${end}: ${complaint}`
}

/** What was written before a message arrives with it, but on another way: once round the event loop it is read. */
const untilRead: Effect.Effect<void> = Effect.async((resume) => {
  setImmediate(() => setImmediate(() => resume(Effect.void)))
})
