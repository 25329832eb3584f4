/** What bree starts a thread with for each run. */
import { parentPort } from "node:worker_threads"
import { compute } from "./executors-work.ts"

parentPort!.once("message", (units: number) => {
  compute(units)
  parentPort!.postMessage("done")
})
