import { assert, describe, it } from "@effect/vitest"
import { Trigger } from "effect-scheduler"
import * as Simulation from "effect-scheduler/Simulation"

const outcomes = (options: Simulation.Options): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { _tag } of Simulation.events(options)) counts[_tag] = (counts[_tag] ?? 0) + 1
  return counts
}

// A job for every ten minutes of a year, which takes a quarter of an hour at night.
const job: Simulation.SimulatedJob = {
  id: "sync",
  trigger: Trigger.crontab("*/10 * * * *"),
  takes: ({ state }) => (state.startedAt.epochMillis % 86_400_000 < 3_600_000 ? "15 minutes" : "2 minutes")
}

const year = { from: "2026-01-01T00:05:00Z", to: "2027-01-01T00:05:00Z" }

describe("a year of the sync", () => {
  it("skips no more than three runs a night", () => {
    const { RunSkipped, RunStarted } = outcomes({ jobs: [job], ...year })
    assert.strictEqual(RunStarted! + RunSkipped!, 365 * 24 * 6)
    assert.isAtMost(RunSkipped!, 365 * 3)
  })

  it("skips none if they may queue", () => {
    assert.isUndefined(outcomes({ jobs: [{ ...job, overlap: "queue" }], ...year }).RunSkipped)
  })

  it("makes up for a day of downtime with one run", () => {
    const outage = { from: "2026-06-01T12:00:00Z", to: "2026-06-02T12:00:00Z" }
    const whole = outcomes({ jobs: [{ ...job, takes: 0 }], ...year })
    const broken = outcomes({ jobs: [{ ...job, takes: 0 }], ...year, outages: [outage] })
    // The last one before the outage is due as it begins, the last one of it as it ends.
    assert.strictEqual(whole.RunStarted! - broken.RunStarted!, 24 * 6 - 1)
  })
})
