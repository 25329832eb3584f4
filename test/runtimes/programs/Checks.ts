/** Checks without a test runner, which not every runtime has. */
import { Cause, Effect, Exit } from "effect"

export interface Check {
  readonly name: string
  readonly check: Effect.Effect<void, unknown>
}

/** Carries them out one after the other, and says how many hold and which do not. */
export const carryOut = async (checks: ReadonlyArray<Check>): Promise<void> => {
  let failed = 0
  for (const { check, name } of checks) {
    const exit = await Effect.runPromiseExit(Effect.timeout(check, "60 seconds"))
    if (Exit.isSuccess(exit)) continue
    failed++
    console.log(`fail ${name}\n${Cause.pretty(exit.cause)}`)
  }
  console.log(`${checks.length - failed} of ${checks.length} hold`)
  if (failed > 0) process.exitCode = 1
}
