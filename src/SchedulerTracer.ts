/**
 * One span for each attempt of a run, linked to what scheduled it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as FiberRefs from "effect/FiberRefs"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import type * as Job from "./Job.ts"
import * as Run from "./Run.ts"

// Effect's own tracer keeps spans for nobody: what each of them costs is worth it only where one is exported.
const silent = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/**
 * Whether spans that begin with these services are exported.
 *
 * @since 0.1.0
 * @category queries
 */
export const isHeard = (refs: FiberRefs.FiberRefs): boolean =>
  Context.get(FiberRefs.getOrDefault(refs, DefaultServices.currentServices), Tracer.Tracer) !== silent

/** What a span of a failed attempt ends with. */
class AttemptFailed extends Error {
  readonly outcome: Run.Outcome
  constructor(outcome: Extract<Run.Outcome, { readonly _tag: "Failed" }>) {
    super(outcome.failure.message)
    this.name = outcome.failure.kind
    this.outcome = outcome
  }
}

/**
 * An attempt in a span of its own, which fails where the attempt has. The span is a root, for a run may take place long
 * after what scheduled it has ended.
 *
 * @since 0.1.0
 * @category combinators
 */
export const spanned = <R>(
  attempt: Effect.Effect<Run.Outcome, never, R>,
  run: Run.Running,
  job: Job.Job
): Effect.Effect<Run.Outcome, never, R> =>
  attempt.pipe(
    Effect.flatMap((outcome) =>
      outcome._tag === "Failed" ? Effect.fail(new AttemptFailed(outcome)) : Effect.succeed(outcome)
    ),
    Effect.withSpan(`run ${run.task}`, spanOptions(run, job)),
    Effect.catchAll(({ outcome }) => Effect.succeed(outcome))
  ) as Effect.Effect<Run.Outcome, never, R>

const spanOptions = (run: Run.Running, job: Job.Job): Tracer.SpanOptions => ({
  root: true,
  kind: "consumer",
  captureStackTrace: false,
  attributes: {
    "job.id": run.jobId,
    "job.name": job.name,
    "run.id": run.id,
    "run.attempt": run.attempt,
    "run.scheduled_at": Run.keyOf(run.scheduledAt),
    task: run.task
  },
  links: Option.match(
    Option.orElse(run.origin, () => job.origin),
    {
      onNone: () => [],
      onSome: (origin): ReadonlyArray<Tracer.SpanLink> => [
        { _tag: "SpanLink", span: Tracer.externalSpan(origin), attributes: {} }
      ]
    }
  )
})

/**
 * The span that the caller is in.
 *
 * @since 0.1.0
 * @category queries
 */
export const origin: Effect.Effect<Run.Origin | undefined> = Effect.contextWith((context: Context.Context<never>) => {
  const span = Context.getOption(context, Tracer.ParentSpan)
  return Option.isSome(span) ? { traceId: span.value.traceId, spanId: span.value.spanId } : undefined
})
