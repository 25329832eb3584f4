import { assert, describe, it } from "@effect/vitest"
import { type FaultPlan, shortly } from "./chaos/Faults.ts"
import * as Scenario from "./chaos/Scenario.ts"

const runShortly = (plan: FaultPlan) => Scenario.run({ plan, server: undefined, jobs: 30, seconds: 6, once: 4 })

const describeAll = ({ outputs, violations }: Scenario.Report): string =>
  [...violations.slice(0, 5).map((violation) => JSON.stringify(violation)), outputs.slice(-2000)].join("\n")

describe("three nodes on one SQLite file", () => {
  it("lose and double no run when one is killed and one stands still", { timeout: 150_000 }, async () => {
    const report = await runShortly(shortly)
    assert.isTrue(report.isSettled, describeAll(report))
    assert.deepStrictEqual(report.violations, [], describeAll(report))
    assert.isAbove(report.runs, 50)
    assert.isAbove(report.takeOvers.length, 0, "no fault hit a run under way")
  })
})
