/** The module of the tests of threads and processes. */
import { runMain } from "../../src/ProcessExecutor.ts"
import { ProbeLive } from "./Probe.ts"

runMain(ProbeLive)
