/** Attempts of the task `Probe` on an executor that is given no scheduler. */
import { Effect, Layer, Logger, ManagedRuntime } from "effect"
import * as Executor from "../../src/Executor.ts"
import type { PolicyOptions } from "../../src/Policy.ts"
import type * as Run from "../../src/Run.ts"
import type { ExecutorUnavailable } from "../../src/SchedulerError.ts"
import * as Task from "../../src/Task.ts"
import { attemptOf } from "../Attempts.ts"
import { type Deed, Probe } from "./Probe.ts"

export type ExecutorLayer = Layer.Layer<Executor.Executor, ExecutorUnavailable>

export const module = (name: string): URL => new URL(`./${name}.ts`, import.meta.url)

const handler = Effect.runSync(
  Effect.map(Effect.scoped(Layer.build(Task.remote(Probe))), (context) => Task.handlers(context as never).get("Probe")!)
)

/** Carries out one attempt. */
export const perform = (
  deed: typeof Deed.Type,
  policy: PolicyOptions = {},
  coordinator: Partial<Executor.Coordinator> = {},
  task: string = Probe.name
): Effect.Effect<Run.Outcome, never, Executor.Executor> =>
  Effect.flatMap(Executor.Executor, (executor) => {
    const given = attemptOf(handler, policy, deed)
    const run = { ...given.run, task }
    const attempt = { ...given, run, coordinator: { ...given.coordinator, ...coordinator } }
    return Effect.provide(executor.execute(attempt), Executor.context(attempt))
  })

/** What was logged, as text. */
export const record = (logs: Array<string>): Layer.Layer<never> =>
  Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ logLevel, message }) => void logs.push(`${logLevel.label} ${message}`))
  )

/** An executor for several tests. */
export const keep = (layer: ExecutorLayer) =>
  ManagedRuntime.make(Layer.provide(layer, Logger.remove(Logger.defaultLogger)))

export const hasEnded = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return false
  } catch {
    return true
  }
}
