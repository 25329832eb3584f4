/** What must hold of the SQL job store when many nodes do everything at once. */
import { assert, describe, it } from "@effect/vitest"
import { type DateTime, Duration, Effect, Random } from "effect"
import { at, make, succeeded, work } from "../src/ConformanceWorld.ts"
import * as Job from "../src/Job.ts"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import * as Trigger from "../src/Trigger.ts"
import { audit } from "./SqlAuditSuite.ts"
import { type Node, nodes, type World } from "./SqlStoreSuite.ts"

const tasks = work
const executor = Policy.DEFAULT_EXECUTOR
const NODES = 5

const settlements = (runs: ReadonlyArray<Run.Run>, outcome = succeeded) =>
  runs.filter(Run.isRunning).map((run) => ({ run, outcome }))

// ---------------------------------------------------------------------------------------------------------------------
// everything at once
// ---------------------------------------------------------------------------------------------------------------------

const OVERLAPS = ["skip", "queue", "cancelPrevious"] as const

/** Jobs of all overlaps, half of them in a group; their limits stay as they are, whoever declares them again. */
const declared = (now = at(0)) =>
  Array.from({ length: 24 }, (_, i) =>
    make(`job-${i}`, {
      now,
      group: i % 2 === 0 ? "g" : undefined,
      overlap: OVERLAPS[i % 3]!,
      coalesce: i % 2 === 0 ? "all" : "latest",
      maxInstances: 1 + (i % 2),
      retry: { times: 1, delay: 0 },
      retention: { count: 20 }
    })
  )

/** Everything that somebody may do to a store, by one node at one time. */
const verbs = (
  { node, store }: Node,
  now: DateTime.Utc,
  id: string
): ReadonlyArray<Effect.Effect<unknown, unknown>> => [
  store.claim({ now, limit: 20 }),
  store.claim({ now, limit: 20, start: { node, tasks, room: new Map([[executor, 10]]) } }),
  Effect.flatMap(store.start({ node, now, limit: 10, tasks, executor }), (steps) =>
    store.settle(settlements(steps.map(({ run }) => run)), now, { node, tasks, room: new Map([[executor, 5]]) })
  ),
  Effect.flatMap(store.start({ node, now, limit: 10, tasks, executor }), (steps) =>
    store.settle(settlements(steps.map(({ run }) => run).toReversed(), { _tag: "Interrupted" }), now)
  ),
  store.add(declared(now).toReversed(), "replace"),
  store.add(declared(now).slice(0, 8), "keep"),
  store.update(id, (job) => Job.reschedule(job, Trigger.interval({ seconds: 50 }), now)),
  store.updateAll({ group: "g" }, (job) => ({ ...job, name: `${job.name.slice(0, 20)}!` })),
  store.remove(id, now),
  store.removeAll({ group: "g" }, now),
  store.reconcile({
    group: "g",
    jobs: declared(now).filter((_, i) => i % 2 === 0 && i % 3 !== 0),
    absent: "remove",
    now
  }),
  store.fire(id, now),
  store.backfill(id, (job) => [-180, -120].map((seconds) => Run.backfill(job, at(seconds), now))),
  Effect.flatMap(store.runs({ jobId: id, limit: 1 }), ([run]) => store.cancel(run?.id ?? "", now)),
  store.recover({ now, limit: 20 }),
  store.renew({ node, now, lease: Duration.hours(1) }),
  store.prune(now),
  store.counts,
  store.nextWake({ node, tasks, executors: new Set([executor]) }),
  store.list({})
]

/** What a store may answer to somebody who comes too late. */
const ANSWERS = new Set(["JobNotFound", "RunNotFound"])

const tooLate = <A>(verb: Effect.Effect<A, unknown>) =>
  Effect.catchIf(
    verb,
    (error) => ANSWERS.has((error as { readonly _tag: string })._tag),
    () => Effect.void
  )

/** Does so many things, one after the other, in an order of its own. */
const doAnything = (node: Node, index: number, rounds: number) =>
  Effect.gen(function* () {
    for (let round = 0; round < rounds; round++) {
      const id = `job-${yield* Random.nextIntBetween(0, 24)}`
      const all = verbs(node, at(60 + round * 5), id)
      yield* tooLate(all[yield* Random.nextIntBetween(0, all.length)]!)
    }
  }).pipe(Effect.withRandom(Random.make(`node-${index}`)))

/** How many deadlocks PostgreSQL has broken; MariaDB breaks some, and what it gave up for them is begun anew. */
const deadlocks = ({ sql }: World) =>
  sql.onDialectOrElse({
    pg: () =>
      Effect.map(
        sql<{ n: string }>`SELECT deadlocks AS n FROM pg_stat_database WHERE datname = current_database()`,
        ([row]) => Number(row?.n)
      ),
    orElse: () => Effect.succeed(0)
  })

// ---------------------------------------------------------------------------------------------------------------------
// the same at once
// ---------------------------------------------------------------------------------------------------------------------

/** Makes PostgreSQL plan statements without looking at their parameters, as it does with those that it has seen often. */
const withGenericPlans = <A, E, R>({ sql }: World, effect: Effect.Effect<A, E, R>) => {
  const alter = (text: string) =>
    sql.onDialectOrElse({
      pg: () => Effect.orDie(sql.unsafe(`ALTER ROLE CURRENT_USER ${text}`)),
      orElse: () => Effect.void
    })
  return Effect.acquireUseRelease(
    alter("SET plan_cache_mode = force_generic_plan"),
    () => effect,
    () => alter("RESET plan_cache_mode")
  )
}

/** Claims, and then starts, with a limit until nothing is left; gives how many came at a time. */
const takeAll = ({ node, store }: Node, limit: number) =>
  Effect.gen(function* () {
    const claims: Array<number> = []
    const starts: Array<number> = []
    for (let idle = 0; idle < 3; ) {
      claims.push((yield* store.claim({ now: at(60), limit })).advances.length)
      starts.push((yield* store.start({ node, now: at(60), limit, tasks, executor })).length)
      idle = claims.at(-1) === 0 && starts.at(-1) === 0 ? idle + 1 : 0
    }
    return { claims, starts }
  })

const sum = (numbers: ReadonlyArray<number>) => numbers.reduce((total, n) => total + n, 0)

const outcomes: ReadonlyArray<Run.Outcome> = [
  { _tag: "Succeeded", value: 1 },
  { _tag: "Failed", failure: { kind: "Error", message: "no" } },
  { _tag: "Cancelled" },
  { _tag: "Crashed" },
  { _tag: "Interrupted" }
]

export const raceChecks = (world: World): void => {
  describe(`many nodes on ${world.backend.name}`, () => {
    it.live(
      "do everything at once: none of it fails, and an audit finds nothing afterwards",
      () =>
        Effect.gen(function* () {
          yield* world.clear
          const all = yield* nodes(world, NODES)
          yield* all[0]!.store.add(declared(), "fail")
          const before = yield* deadlocks(world)
          yield* Effect.forEach(all, (node, index) => doAnything(node, index, 120), { concurrency: NODES })
          assert.strictEqual(yield* deadlocks(world), before)
          assert.deepStrictEqual(yield* world.provide(audit(all[0]!.store, at(0), Infinity)), [])
        }).pipe(Effect.scoped),
      60_000
    )

    it.live(
      "are given no more than they asked for, and all of it together",
      () =>
        Effect.gen(function* () {
          yield* world.clear
          const all = yield* nodes(world, NODES)
          yield* all[0]!.store.add(
            Array.from({ length: 400 }, (_, i) => make(`job-${i}`)),
            "fail"
          )
          const taken = yield* Effect.forEach(all, (node, index) => takeAll(node, 5 + index), { concurrency: NODES })
          for (const [index, { claims, starts }] of taken.entries()) {
            assert.isAtMost(Math.max(...claims, ...starts), 5 + index)
          }
          assert.strictEqual(sum(taken.flatMap(({ claims }) => claims)), 400)
          assert.strictEqual(sum(taken.flatMap(({ starts }) => starts)), 400)
        }).pipe(Effect.scoped, (test) => withGenericPlans(world, test)),
      60_000
    )

    it.live(
      "that tell different ends of one attempt are heard once, and one end is recorded",
      () =>
        Effect.gen(function* () {
          yield* world.clear
          const all = yield* nodes(world, NODES)
          const [{ node, store }] = all as [Node]
          yield* store.add(
            Array.from({ length: 30 }, (_, i) => make(`job-${i}`, { onCrash: "abandon" })),
            "fail"
          )
          yield* store.claim({ now: at(60), limit: 100 })
          const runs = (yield* store.start({ node, now: at(60), limit: 100, tasks, executor })).map(({ run }) => run)
          const steps = yield* Effect.forEach(
            all,
            ({ store }, index) =>
              Effect.forEach(runs, (run) => store.settle(settlements([run], outcomes[index]), at(61))),
            { concurrency: NODES }
          )
          const heard = steps.flat(2).map(({ run }) => run)
          assert.strictEqual(heard.length, runs.length)
          const recorded = new Map((yield* store.runs({})).map((run) => [run.id, run.state]))
          for (const { id, state } of heard) assert.deepStrictEqual(recorded.get(id), state)
        }).pipe(Effect.scoped),
      60_000
    )
  })
}
