/** What the threads and processes of the tests load. */
import * as ExecutorConformance from "../../src/ExecutorConformance.ts"
import * as WorkerExecutor from "../../src/WorkerExecutor.ts"

WorkerExecutor.runMain(ExecutorConformance.ActLive)
