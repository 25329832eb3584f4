/** What an audit must find in the tables of the SQL job store that somebody has tampered with, and nothing otherwise. */
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { type DateTime, Duration, Effect } from "effect"
import * as Audit from "../src/Audit.ts"
import { at, make, succeeded, work } from "../src/ConformanceWorld.ts"
import type * as JobStore from "../src/JobStore.ts"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import * as Trigger from "../src/Trigger.ts"
import type { World } from "./SqlStoreSuite.ts"

type Store = JobStore.JobStore["Type"]

const tasks = work
const executor = Policy.DEFAULT_EXECUTOR

/** Audits all that is stored. */
export const audit = (
  store: Store,
  now: DateTime.Utc,
  patience?: Duration.DurationInput
): Effect.Effect<ReadonlyArray<Audit.Finding>, unknown, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const alive = yield* sql<{ id: string }>`SELECT id FROM scheduler_nodes`
    const [jobs, runs] = [yield* store.list({}), yield* store.runs({ limit: 1_000_000 })]
    return Audit.check({ jobs, runs, now, patience, nodes: new Set(alive.map(({ id }) => id)) })
  })

const jobs = [
  make("all", { coalesce: "all", maxInstances: 3 }),
  make("idle", { trigger: Trigger.interval({ hours: 1 }) }),
  make("queue", { overlap: "queue", timeout: "10 minutes" }),
  make("short", { retention: { finishedJobs: "keep" }, limit: 1 }),
  make("skip")
]

/** Four minutes in the life of a store, at the end of which there is a run in every state that one can be in flight in. */
const live = (store: Store) =>
  Effect.gen(function* () {
    yield* store.add(jobs, "fail")
    const node = yield* store.register({ now: at(0), lease: Duration.hours(1) })
    yield* store.claim({ now: at(60), limit: 100 })
    const steps = yield* store.start({ node, now: at(60), limit: 100, tasks, executor })
    const done = steps.map(({ run }) => run).filter(Run.isRunning)
    yield* store.settle(
      done.filter(({ jobId }) => jobId !== "queue").map((run) => ({ run, outcome: succeeded })),
      at(61)
    )
    yield* store.claim({ now: at(240), limit: 100 })
    return node
  })

/** A minute more, in which nothing ends. */
const goOn = (store: Store, node: string) =>
  Effect.zipRight(
    store.claim({ now: at(300), limit: 100 }),
    store.start({ node, now: at(300), limit: 100, tasks, executor })
  )

/** In which a run is to be as if it were in another state. */
const restate = (id: string, from: string, to: string) =>
  `UPDATE scheduler_runs SET state = '${to}', detail = REPLACE(detail, '"${from}"', '"${to}"') WHERE job_id = '${id}' AND state = '${from}'`

/** What somebody does to the tables, and what an audit says of it when the store has gone on. */
const corruptions: ReadonlyArray<readonly [Audit.Finding["_tag"], string]> = [
  ["JobOverdue", "UPDATE scheduler_jobs SET due_at = NULL WHERE id = 'skip'"],
  ["RunOverdue", "UPDATE scheduler_runs SET task = 'Nobody' WHERE job_id = 'skip' AND state = 'Pending'"],
  ["RunStuck", "UPDATE scheduler_jobs SET policy = REPLACE(policy, '600000', '1000') WHERE id = 'queue'"],
  ["RunUnheld", "DELETE FROM scheduler_nodes"],
  ["JobStranded", "UPDATE scheduler_jobs SET next_run_at = NULL, due_at = NULL WHERE id = 'idle'"],
  ["TimeOffTrigger", "UPDATE scheduler_jobs SET next_run_at = next_run_at + 1 WHERE id = 'idle'"],
  ["TooManyActive", restate("queue", "Queued", "Pending")],
  ["QueuedInVain", "DELETE FROM scheduler_runs WHERE job_id = 'queue' AND state = 'Running'"],
  ["WaitingInVain", "DELETE FROM scheduler_runs WHERE job_id = 'all' AND state = 'Pending'"],
  ["InstanceSplit", restate("all", "Waiting", "Pending")],
  ["RunOrphaned", "DELETE FROM scheduler_jobs WHERE id = 'queue'"],
  ["RunEarly", "UPDATE scheduler_runs SET run_at = run_at + 5000 WHERE job_id = 'queue' AND state = 'Running'"]
]

export const auditChecks = (world: World): void => {
  describe(`an audit of the tables on ${world.backend.name}`, () => {
    it.effect("finds nothing in what the store itself has written", () =>
      Effect.gen(function* () {
        const store = yield* world.store
        const node = yield* live(store)
        assert.deepStrictEqual(yield* world.provide(audit(store, at(240), Duration.infinity)), [])
        yield* goOn(store, node)
        assert.deepStrictEqual(yield* world.provide(audit(store, at(400))), [])
      })
    )

    for (const [tag, statement] of corruptions) {
      it.effect(`finds ${tag} where somebody has tampered with them`, () =>
        Effect.gen(function* () {
          const store = yield* world.store
          const node = yield* live(store)
          yield* world.sql.unsafe(statement)
          yield* goOn(store, node)
          const found = yield* world.provide(audit(store, at(400)))
          assert.deepStrictEqual([...new Set(found.map(({ _tag }) => _tag))], [tag])
        })
      )
    }
  })
}
