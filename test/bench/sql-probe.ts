/** The process of the SQL benchmark that asks our store itself, with few or many jobs in it: for the next wake, and to claim. */
import { SqlClient } from "@effect/sql/SqlClient"
import { DateTime, Effect, Layer } from "effect"
import { argv } from "node:process"
import { Executor, JobStore, Scheduler, Task, Trigger } from "../../src/index.ts"
import * as SqlJobStore from "../../src/SqlJobStore.ts"
import { clientOf } from "./sql-client.ts"

/** Milliseconds of each call. */
export interface Probe {
  readonly nextWake: ReadonlyArray<number>
  /** Each of a hundred jobs. */
  readonly claim: ReadonlyArray<number>
  /** When a single job is due. */
  readonly claimOne: ReadonlyArray<number>
}

const CLAIMED = 100
const WARM_UP = 10
const ROUNDS = 30

const task = Task.make("bench")

const layerOf = async (url: string) =>
  Scheduler.layer({ autoStart: false }).pipe(
    Layer.provide(Task.toLayer(task, () => Effect.void)),
    Layer.provide(Executor.layerFiber()),
    Layer.provideMerge(SqlJobStore.layer()),
    Layer.provideMerge(await clientOf(url, 2))
  )

/** Copies of one job, each due a second after the one before, from an instant on. */
const fill = (count: number, from: number) =>
  Effect.gen(function* () {
    const [scheduler, sql] = [yield* Scheduler.Scheduler, yield* SqlClient]
    yield* scheduler.add(task, { id: "original", trigger: Trigger.interval({ days: 365 }), limit: 1000 })
    yield* sql`INSERT INTO scheduler_jobs SELECT copied.*
      FROM generate_series(0::bigint, ${count - 1}::bigint) AS i, scheduler_jobs AS original,
      LATERAL (SELECT ${from}::bigint + 1000 * i AS at) AS due,
      LATERAL jsonb_populate_record(original, jsonb_build_object('id', 'copy-' || i, 'anchor', at, 'next_run_at', at,
        'due_at', at, 'incarnation', nextval(pg_get_serial_sequence('scheduler_jobs', 'incarnation')))) AS copied`
    yield* scheduler.remove("original")
    yield* sql`VACUUM ANALYZE scheduler_jobs`
  })

/** Milliseconds of each call once it is warm; `call` is told which one it is. */
const time = <E, R>(call: (round: number) => Effect.Effect<unknown, E, R>) =>
  Effect.gen(function* () {
    const spent: Array<number> = []
    for (let round = 0; round < WARM_UP + ROUNDS; round++) {
      const start = performance.now()
      yield* call(round)
      spent.push(performance.now() - start)
    }
    return spent.slice(WARM_UP)
  })

const probe = (count: number) =>
  Effect.gen(function* () {
    const store = yield* JobStore.JobStore
    const from = Date.UTC(2026, 0, 1)
    yield* fill(count, from)
    let claimed = 0
    const claim = (limit: number) => {
      claimed += limit
      const now = DateTime.unsafeMake(from + 1000 * (claimed - 1))
      return Effect.filterOrDieMessage(
        store.claim({ now, limit }),
        ({ advances }) => advances.length === limit,
        "does not claim what is due"
      )
    }
    const asks = { node: "bench", tasks: new Set([task.name]), executors: new Set(["default"]) }
    return {
      nextWake: yield* time(() => store.nextWake(asks)),
      claimOne: yield* time(() => claim(1)),
      claim: yield* time(() => claim(CLAIMED))
    } satisfies Probe
  })

const [url, count] = argv.slice(2)
process.send!(await Effect.runPromise(Effect.provide(probe(Number(count)), await layerOf(url!))), () => process.exit())
