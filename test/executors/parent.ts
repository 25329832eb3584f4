/** A process that has attempts carried out in a process of its own, until it is killed. */
import { Effect } from "effect"
import * as ProcessExecutor from "../../src/ProcessExecutor.ts"
import { module, perform } from "./Hosts.ts"
import type { Deed } from "./Probe.ts"

const program = Effect.gen(function* () {
  const where = yield* perform({ _tag: "Where" })
  console.log(JSON.stringify(where))
  yield* perform(JSON.parse(process.argv[2]!) as typeof Deed.Type)
  yield* Effect.never
})

Effect.runFork(
  Effect.provide(program, ProcessExecutor.layer({ url: module("probe-main"), size: 1, grace: "1 second" }))
)
