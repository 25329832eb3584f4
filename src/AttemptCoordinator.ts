/**
 * What the attempts of one loop ask of their scheduler, and tell it: earlier runs, how far they are, and what they wrote.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Coordinator } from "./Executor.ts"
import type { JobStore } from "./JobStore.ts"
import * as Run from "./Run.ts"
import type { Earlier, Progress } from "./RunContext.ts"
import type { Hub } from "./SchedulerEvent.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface AttemptCoordinator extends Coordinator {
  /** What an attempt wrote that was interrupted; it is not asked twice. */
  readonly takeOutput: (run: Run.Running) => Run.Output | undefined
  /** Writes to the store what is told of progress, for ever. */
  readonly run: Effect.Effect<never>
}

interface Options {
  readonly store: JobStore["Type"]
  readonly hub: Hub
  /** Whether an attempt has not ended yet, as far as anybody has been told. */
  readonly isUnderWay: (run: Run.Running) => boolean
}

interface Report {
  readonly run: Run.Running
  readonly progress: Progress
}

/** How long it is at least from one write of progress to the next, in milliseconds. */
const PAUSE = 1000

/** How long a write may take, in milliseconds. */
const PATIENCE = 5000

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<AttemptCoordinator> =>
  Effect.map(Effect.makeLatch(false), (told) => {
    const reports = new Map<string, Report>()
    const outputs = new Map<string, Run.Output>()
    const write = Effect.suspend(() => {
      told.unsafeClose()
      const batch = [...reports.values()]
      reports.clear()
      return report(options, batch)
    })
    return {
      previous: (run, which) => previous(options.store, run, which),
      progress: (run, progress) => {
        reports.set(run.id, { run, progress })
        told.unsafeOpen()
      },
      wrote: ({ id }, output) => {
        outputs.set(id, output)
      },
      takeOutput: ({ id }) => {
        const output = outputs.get(id)
        outputs.delete(id)
        return output
      },
      run: Effect.forever(Effect.zipRight(told.await, Effect.zipRight(write, Effect.sleep(PAUSE))))
    }
  })

/** Only the last word counts, and what is lost is followed by the next one: a failure is no more than noted. */
const report = ({ hub, isUnderWay, store }: Options, batch: ReadonlyArray<Report>): Effect.Effect<void> =>
  Effect.gen(function* () {
    // Nobody waits for a connection that leads nowhere.
    const runs = yield* Effect.timeout(Effect.disconnect(store.report(batch)), PATIENCE)
    const at = yield* DateTime.now
    // The end of a run is not followed by what it had told before.
    for (const run of runs) if (isUnderWay(run)) hub.publish({ _tag: "RunProgress", at, jobId: run.jobId, run })
  }).pipe(Effect.catchAllCause((cause) => Effect.logDebug("Progress could not be written", cause)))

const previous = (store: JobStore["Type"], { id, jobId, scheduledAt }: Run.Running, which: Earlier) => {
  const states = which === "succeeded" ? (["Succeeded"] as const) : Run.ENDED
  return Effect.map(store.runs({ jobId, after: { id, scheduledAt }, states, limit: 1 }), ([run]) =>
    Option.flatMap(Option.fromNullable(run), Run.toPrevious)
  )
}
