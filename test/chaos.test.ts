import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { execPath } from "node:process"
import { fileURLToPath } from "node:url"
import type { Server } from "./chaos/Database.ts"
import { cutShortly, type FaultPlan, shortly } from "./chaos/Faults.ts"
import { Postgres } from "./chaos/Postgres.ts"
import * as Scenario from "./chaos/Scenario.ts"

const runShortly = (plan: FaultPlan, server?: Server) => Scenario.run({ plan, server, jobs: 30, seconds: 6, once: 4 })

const describeAll = ({ outputs, story, violations }: Scenario.Report): string =>
  [...violations.slice(0, 5).map((violation) => JSON.stringify(violation)), ...story, outputs.slice(-2000)].join("\n")

const assertHealthy = (report: Scenario.Report): void => {
  assert.isTrue(report.isSettled, describeAll(report))
  assert.isTrue(report.hasEnded, describeAll(report))
  assert.deepStrictEqual(report.violations, [], describeAll(report))
  assert.isAbove(report.runs, 40)
  assert.isAbove(report.takeOvers.length, 0, "no fault hit a run under way")
}

describe("three nodes on one SQLite file", () => {
  it("lose and double no run when one is killed and one stands still", { timeout: 150_000 }, async () =>
    assertHealthy(await runShortly(shortly))
  )
})

describe("two nodes on one PostgreSQL", () => {
  let server: Postgres
  beforeAll(async () => {
    server = await Postgres.start()
  }, 60_000)
  afterAll(() => server.stop(), 60_000)

  it("lose and double no run when the network swallows what they say", { timeout: 150_000 }, async () =>
    assertHealthy(await runShortly(cutShortly, server))
  )
})

describe("npm run chaos", () => {
  it("fails if it is asked for what it does not know", { timeout: 60_000 }, () => {
    const program = fileURLToPath(new URL("chaos/run.ts", import.meta.url))
    const { status, stderr } = spawnSync(execPath, ["--import", "tsx", program, "kil"], { encoding: "utf8" })
    assert.include(stderr, "Unknown: kil. There are: none, kill,")
    assert.strictEqual(status, 1)
  })
})
