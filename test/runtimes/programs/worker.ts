/** What the threads and processes load. */
import { Layer } from "effect"
import * as ExecutorConformance from "effect-scheduler/ExecutorConformance"
import * as WorkerExecutor from "effect-scheduler/WorkerExecutor"
import { DeedLive } from "./tasks.ts"

WorkerExecutor.runMain(Layer.merge(ExecutorConformance.ActLive, DeedLive))
