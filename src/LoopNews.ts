/**
 * What a loop tells of what it did, as events and as metrics.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import type { Claim, Step } from "./JobStore.ts"
import type { Actor, Settlement } from "./LoopState.ts"
import type * as Run from "./Run.ts"
import * as SchedulerEvent from "./SchedulerEvent.ts"
import * as SchedulerMetrics from "./SchedulerMetrics.ts"

/**
 * @since 0.1.0
 * @category news
 */
export const tellSettled = (
  self: Actor,
  batch: ReadonlyArray<Settlement>,
  settled: ReadonlyArray<Step>,
  now: DateTime.Utc
): void => {
  const settlements = new Map(batch.map((settlement) => [settlement.run.id, settlement]))
  for (const step of settled) {
    const settlement = settlements.get(step.run.id)
    if (settlement !== undefined) SchedulerMetrics.observeAttempt(settlement.run, now)
    tellStep(self, step, settlement?.outcome, now)
  }
}

/**
 * @since 0.1.0
 * @category news
 */
export const tellClaimed = (self: Actor, claimed: Claim["advances"][number], now: DateTime.Utc): void => {
  for (const runs of [claimed.missed, claimed.skipped, claimed.cancelled]) {
    for (const run of runs) SchedulerMetrics.observe(run, undefined)
  }
  if (Option.isSome(claimed.dropped)) SchedulerMetrics.dropped.unsafeUpdate(claimed.dropped.value.count, [])
  if (self.hub.isHeard()) for (const event of SchedulerEvent.ofClaimed(claimed, now)) self.hub.publish(event)
}

/**
 * @since 0.1.0
 * @category news
 */
export const tellStep = (self: Actor, step: Step, outcome: Run.Outcome | undefined, now: DateTime.Utc): void => {
  SchedulerMetrics.observe(step.run, outcome)
  if (self.hub.isHeard()) for (const event of SchedulerEvent.ofStep(step, outcome, now)) self.hub.publish(event)
}
