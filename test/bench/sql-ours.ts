/** Our own scheduler in the SQL benchmark, with its history kept. */
import { Effect, Layer, ManagedRuntime, Schema } from "effect"
import { Executor, Scheduler, Task, Trigger } from "../../src/index.ts"
import * as SqlJobStore from "../../src/SqlJobStore.ts"
import { clientOf } from "./sql-client.ts"
import type { Contestant, Payload, Setting } from "./sql-contestants.ts"

const task = Task.make("bench", { payload: Schema.Struct({ at: Schema.Number }) })

/** What each of the others has by default, too. */
const CONNECTIONS = 10

/** The only thing that is not as it is by default where it is set up for throughput. */
const FAST = { concurrency: 500 }

const layerOf = async ({ hit, isFast, url }: Setting) =>
  Scheduler.layer({ autoStart: false }).pipe(
    Layer.provide(Task.toLayer(task, (payload) => Effect.sync(() => hit(payload)))),
    Layer.provide(Executor.layerFiber(isFast ? FAST : {})),
    Layer.provide(SqlJobStore.layer()),
    Layer.provide(await clientOf(url, CONNECTIONS))
  )

const makeNames = () => {
  const prefix = crypto.randomUUID().slice(0, 8)
  let count = 0
  return () => `${prefix}-${count++}`
}

const blank = (count: number): ReadonlyArray<Payload> => Array.from({ length: count }, () => ({ at: 0 }))

/** Jobs are due as soon as they are stored unless an instant is given. */
export const ours: Contestant = {
  open: async (setting) => {
    const runtime = ManagedRuntime.make(await layerOf(setting))
    const scheduler = await runtime.runPromise(Scheduler.Scheduler)
    const name = makeNames()
    const addAll = (payloads: ReadonlyArray<Payload>, trigger: Trigger.Trigger) =>
      runtime.runPromise(
        scheduler.addAll(payloads.map((payload) => Scheduler.job(task, { id: name(), payload, trigger })))
      )
    return {
      add: (payload) => runtime.runPromise(scheduler.add(task, { id: name(), payload })),
      addAll: (payloads, instant) => addAll(payloads, instant === undefined ? Trigger.now : Trigger.at(instant)),
      recur: (count) => addAll(blank(count), Trigger.interval({ seconds: 1 })),
      cron: (count) => addAll(blank(count), Trigger.crontab("* * * * *")),
      work: () => runtime.runPromise(scheduler.start)
    }
  }
}
