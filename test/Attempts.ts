/** Attempts as a scheduler gives them to an executor, for tests that do without one. */
import { DateTime, Effect, Scope } from "effect"
import type * as Executor from "../src/Executor.ts"
import * as Job from "../src/Job.ts"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import type { Progress } from "../src/RunContext.ts"
import type * as Task from "../src/Task.ts"

export const scheduledAt = DateTime.unsafeMake("2026-01-01T00:05:00Z")

/** What `coordinator` was told. */
export const told: Array<readonly [runId: string, progress: Progress]> = []

/** Knows of one earlier run of each kind, and keeps what it is told. */
export const coordinator: Executor.Coordinator = {
  previous: ({ jobId }, which) =>
    Effect.succeedSome({
      runId: `${jobId}/${which}`,
      scheduledAt,
      finishedAt: scheduledAt,
      outcome: which === "succeeded" ? "Succeeded" : "Failed"
    }),
  progress: ({ id }, progress) => void told.push([id, progress]),
  wrote: () => {}
}

/** The second attempt of a run, ten minutes late, with a Scope that is only the executor's to close. */
export const attemptOf = (
  handler: Task.Handler,
  options: Policy.PolicyOptions = {},
  payload: unknown = null
): Executor.Attempt => {
  const { task } = handler
  const scope = Effect.runSync(Scope.make())
  const policy = Policy.override(Policy.defaults, options)
  const job = Job.make({ id: "job", task: task.name, now: scheduledAt, payload, policy })
  const pending = Run.make({ ...job, incarnation: 3 }, scheduledAt)
  const run = Run.start({ ...pending, attempt: 1 }, "node-1", DateTime.add(scheduledAt, { minutes: 10 }))
  if (!Run.isRunning(run)) throw new Error("it does not run")
  return { job, handler, scope, coordinator, run }
}
