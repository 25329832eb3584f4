/** Our own scheduler in the SQL benchmark: the store on PostgreSQL, with its history kept. */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, ManagedRuntime, Redacted, Schema } from "effect"
import { Executor, Scheduler, Task, Trigger } from "../../src/index.ts"
import * as SqlJobStore from "../../src/SqlJobStore.ts"
import type { Contestant, Payload, Setting } from "./sql-contestants.ts"

const task = Task.make("bench", { payload: Schema.Struct({ at: Schema.Number }) })

/** What each of the others has by default, too. */
const CONNECTIONS = 10

const layer = ({ hit, isFast, url }: Setting) =>
  Scheduler.layer({ autoStart: false }).pipe(
    Layer.provide(Task.toLayer(task, (payload) => Effect.sync(() => hit(payload)))),
    Layer.provide(Executor.layerFiber(isFast ? { concurrency: 500 } : {})),
    Layer.provide(SqlJobStore.layer()),
    Layer.provide(PgClient.layer({ url: Redacted.make(url), maxConnections: CONNECTIONS }))
  )

const makeNames = () => {
  const prefix = crypto.randomUUID().slice(0, 8)
  let count = 0
  return () => `${prefix}-${count++}`
}

/** Jobs without a trigger: they are due as soon as they are stored. */
export const ours: Contestant = {
  open: async (setting) => {
    const runtime = ManagedRuntime.make(layer(setting))
    const scheduler = await runtime.runPromise(Scheduler.Scheduler)
    const name = makeNames()
    const declare = (payload: Payload) => Scheduler.job(task, { id: name(), payload })
    return {
      add: (payload) => runtime.runPromise(scheduler.add(task, { id: name(), payload })),
      addAll: (payloads) => runtime.runPromise(scheduler.addAll(payloads.map(declare))),
      recur: (count) =>
        runtime.runPromise(
          scheduler.addAll(
            Array.from({ length: count }, () =>
              Scheduler.job(task, { id: name(), payload: { at: 0 }, trigger: Trigger.interval({ seconds: 1 }) })
            )
          )
        ),
      work: () => runtime.runPromise(scheduler.start)
    }
  }
}
