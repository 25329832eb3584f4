/** What must hold of the SQL job store when some of its rows cannot be read: all others go on. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Option } from "effect"
import { at, failed, make, states, succeeded, work } from "../src/ConformanceWorld.ts"
import type * as JobStore from "../src/JobStore.ts"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import type { World } from "./SqlStoreSuite.ts"

type Store = JobStore.JobStore["Type"]

const executor = Policy.DEFAULT_EXECUTOR
const executors = new Set([executor])
const HOUR = Duration.hours(1)

/** More than are claimed, started, or recovered at a time. */
const MANY = 600

const many = (prefix: string, options: Parameters<typeof make>[1] = {}) =>
  Array.from({ length: MANY }, (_, i) => make(`${prefix}-${i}`, options))

/** Jobs of which nothing is known any more but what has columns. */
const spoilJobs = ({ sql }: World, pattern: string) =>
  sql`UPDATE scheduler_jobs SET definition = '{"half' WHERE id LIKE ${pattern}`

const spoilRuns = ({ sql }: World, pattern: string) =>
  sql`UPDATE scheduler_runs SET detail = '{"half' WHERE job_id LIKE ${pattern}`

const start = (store: Store, node: string, seconds: number) =>
  Effect.map(store.start({ node, now: at(seconds), limit: 500, tasks: work, executor }), (steps) =>
    steps.map(({ run }) => run).filter(Run.isRunning)
  )

const idsOf = (runs: ReadonlyArray<Run.Run>) => runs.map(({ jobId }) => jobId)

/** Turns of a loop, as many as it takes until the store knows of nothing more to do; gives what was started and parked. */
const turns = (store: Store, node: string, seconds: number, most = 10) =>
  Effect.gen(function* () {
    const started: Array<string> = []
    const parked: Array<string> = []
    for (let turn = 0; turn < most; turn++) {
      const claim = yield* store.claim({ now: at(seconds), limit: 500 })
      parked.push(...claim.parked.map(({ jobId }) => jobId))
      started.push(...idsOf(yield* start(store, node, seconds)))
      const wakes = yield* store.nextWake({ node, tasks: work, executors })
      if (Math.min(wakes.claim, wakes.start) > at(seconds).epochMillis) return { started, parked }
    }
    return assert.fail(`there is always something to do after ${most} turns`)
  })

export const poisonChecks = (world: World): void => {
  describe(`a job that cannot be read on ${world.backend.name}`, () => {
    it.effect("is parked by the claim and told of, and however many there are, others go on", () =>
      Effect.gen(function* () {
        const store = yield* world.store
        yield* store.add([...many("bad"), make("good", { now: at(0.5) })], "fail")
        yield* spoilJobs(world, "bad-%")
        const node = yield* store.register({ now: at(60), lease: HOUR })
        const { parked, started } = yield* turns(store, node, 61)
        assert.deepStrictEqual([new Set(parked).size, started], [MANY, ["good"]])
      })
    )

    it.effect("is parked and told of when a run of it could start, and however many there are, others start", () =>
      Effect.gen(function* () {
        const store = yield* world.store
        yield* store.add([...many("bad"), make("good", { priority: -1 })], "fail")
        const node = yield* store.register({ now: at(60), lease: HOUR })
        for (let i = 0; i < 2; i++) yield* store.claim({ now: at(60), limit: 500 })
        yield* spoilJobs(world, "bad-%")
        const { parked, started } = yield* turns(store, node, 61)
        assert.deepStrictEqual([new Set(parked).size, started], [MANY, ["good"]])
      })
    )

    it.effect("does not lose what a dead node held of it: it runs once the job can be read again", () =>
      Effect.gen(function* () {
        const store = yield* world.store
        yield* store.add([make("a")], "fail")
        const dead = yield* store.register({ now: at(60), lease: Duration.seconds(1) })
        yield* store.claim({ now: at(60), limit: 9 })
        assert.lengthOf(yield* start(store, dead, 60), 1)
        yield* spoilJobs(world, "a")
        const node = yield* store.register({ now: at(70), lease: HOUR })
        const steps = yield* store.recover({ now: at(70), limit: 9 })
        assert.deepStrictEqual(states(steps.map(({ run }) => run)), ["60 Pending"])
        assert.deepStrictEqual((yield* turns(store, node, 70)).started, [])
        yield* store.add([make("a")], "replace")
        assert.deepStrictEqual((yield* turns(store, node, 71)).started, ["a"])
      })
    )

    it.effect("has the ends of its runs recorded", () =>
      Effect.gen(function* () {
        const store = yield* world.store
        yield* store.add([make("a"), make("b")], "fail")
        const node = yield* store.register({ now: at(60), lease: HOUR })
        yield* store.claim({ now: at(60), limit: 9 })
        const runs = yield* start(store, node, 60)
        yield* spoilJobs(world, "a")
        yield* store.settle(
          runs.map((run) => ({ run, outcome: succeeded })),
          at(61)
        )
        assert.deepStrictEqual(states(yield* store.runs({})), ["60 Succeeded", "60 Succeeded"])
      })
    )
  })

  describe(`a run that cannot be read on ${world.backend.name}`, () => {
    const crowd = Effect.gen(function* () {
      const store = yield* world.store
      yield* store.add([...many("bad"), make("good", { priority: -1 })], "fail")
      const node = yield* store.register({ now: at(60), lease: HOUR })
      for (let i = 0; i < 2; i++) yield* store.claim({ now: at(60), limit: 500 })
      return { node, store }
    })

    it.effect("keeps no other from starting, however many there are", () =>
      Effect.gen(function* () {
        const { node, store } = yield* crowd
        yield* spoilRuns(world, "bad-%")
        assert.include((yield* turns(store, node, 61)).started, "good")
      })
    )

    it.effect("keeps no other from being taken over, however many there are", () =>
      Effect.gen(function* () {
        const { node, store } = yield* crowd
        for (let i = 0; i < 2; i++) yield* start(store, node, 60)
        yield* spoilRuns(world, "bad-%")
        yield* store.release(node)
        const recovered: Array<string> = []
        for (let i = 0; i < 3; i++) {
          recovered.push(...idsOf((yield* store.recover({ now: at(61), limit: 500 })).map(({ run }) => run)))
        }
        assert.include(recovered, "good")
      })
    )

    it.effect("is what its columns say, and neither holds up what waits behind it nor the list of all", () =>
      Effect.gen(function* () {
        const store = yield* world.store
        const policy = { overlap: "queue", queueLimit: 9 } as const
        yield* store.add([make("a", { ...policy, coalesce: "all" }), make("ended"), make("failed")], "fail")
        const node = yield* store.register({ now: at(60), lease: HOUR })
        yield* store.claim({ now: at(60), limit: 9 })
        const first = yield* start(store, node, 60)
        yield* store.settle(
          first
            .filter(({ jobId }) => jobId !== "a")
            .map((run) => ({ run, outcome: run.jobId === "ended" ? succeeded : failed })),
          at(61)
        )
        yield* store.claim({ now: at(180), limit: 1 })
        yield* store.fire("a", at(181))
        const before = yield* store.runs({ order: "oldest" })
        yield* spoilRuns(world, "%")
        const after = yield* store.runs({ order: "oldest" })
        const tags = (runs: ReadonlyArray<Run.Run>) => runs.map(({ id, state }) => `${id} ${state._tag}`)
        assert.deepStrictEqual(tags(after), tags(before))
        assert.deepStrictEqual(after.find(Run.isRunning), before.find(Run.isRunning))
        for (let time = 182; time < 186; time++) {
          yield* store.settle(
            (yield* store.runs({ jobId: "a", states: ["Running"] }))
              .filter(Run.isRunning)
              .map((run) => ({ run, outcome: succeeded })),
            at(time)
          )
          yield* start(store, node, time)
        }
        const ends = (yield* store.runs({ jobId: "a", order: "oldest" })).map(({ state }) => state._tag)
        assert.deepStrictEqual(ends, ["Succeeded", "Succeeded", "Succeeded", "Succeeded"])
      })
    )

    it.effect("is left out of the list if this version does not know its state, and stays as it is", () =>
      Effect.gen(function* () {
        const store = yield* world.store
        yield* store.add([make("a"), make("b")], "fail")
        const node = yield* store.register({ now: at(60), lease: HOUR })
        yield* store.claim({ now: at(60), limit: 9 })
        yield* world.sql`UPDATE scheduler_runs SET state = 'Postponed', detail = '{}' WHERE job_id = 'a'`
        assert.deepStrictEqual(idsOf(yield* store.runs({})), ["b"])
        assert.deepStrictEqual((yield* turns(store, node, 60)).started, ["b"])
        assert.lengthOf(yield* world.sql`SELECT id FROM scheduler_runs WHERE state = 'Postponed'`, 1)
      })
    )

    it.effect("is removed with its job", () =>
      Effect.gen(function* () {
        const store = yield* world.store
        yield* store.add([make("a")], "fail")
        yield* store.claim({ now: at(60), limit: 9 })
        yield* spoilRuns(world, "a")
        yield* store.remove("a", at(61))
        assert.isTrue(Option.isNone(yield* store.get("a")))
        assert.deepStrictEqual((yield* store.counts).pending, 0)
      })
    )
  })
}
