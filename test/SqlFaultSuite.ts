/** What must hold of the SQL job store when its connection breaks at any statement of any operation. */
import { SqlClient, type SqlError } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Cause, DateTime, Duration, Effect, Exit, Scope } from "effect"
import { at, failed, lease, make, succeeded, work } from "../src/ConformanceWorld.ts"
import * as Job from "../src/Job.ts"
import type * as JobStore from "../src/JobStore.ts"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import { StoreError } from "../src/SchedulerError.ts"
import * as SqlJobStore from "../src/SqlJobStore.ts"
import * as Trigger from "../src/Trigger.ts"
import * as FaultySqlClient from "./FaultySqlClient.ts"
import { audit } from "./SqlAuditSuite.ts"
import type { World } from "./SqlStoreSuite.ts"

type Store = JobStore.JobStore["Type"]

const NOW = at(180)
const tasks = work
const executor = Policy.DEFAULT_EXECUTOR

/** A job for everything that a turn may have to do with one. */
const jobs = [
  make("all", { coalesce: "all" }),
  make("failing", { retry: { times: 1, delay: 0 }, retention: { count: 1 } }),
  make("group-1", { group: "g" }),
  make("group-2", { group: "g", maxInstances: 2, priority: -1 }),
  make("kept", { limit: 1, retention: { finishedJobs: "keep" } }),
  make("last", { limit: 1 }),
  make("late", { maxInstances: 2, misfireGraceTime: "1 second", overlap: "queue", priority: -1 }),
  make("previous", { overlap: "cancelPrevious" }),
  make("queue", { overlap: "queue" }),
  make("spaced", { trigger: Trigger.spaced("1 minute") })
]

// ---------------------------------------------------------------------------------------------------------------------
// the scene
// ---------------------------------------------------------------------------------------------------------------------

/** Three minutes in the life of a store: runs that wait, run here, ran on a node that is dead by now, and have ended. */
const live = (store: Store) =>
  Effect.gen(function* () {
    yield* store.add(jobs, "fail")
    yield* store.claim({ now: at(60), limit: 100 })
    const dead = yield* store.register({ now: at(60), lease })
    yield* store.start({ node: dead, now: at(60), limit: 4, tasks, executor })
    const node = yield* store.register({ now: at(60), lease: Duration.hours(1) })
    const steps = yield* store.start({ node, now: at(60.5), limit: 100, tasks, executor })
    const [first, second] = steps.map(({ run }) => run).filter(Run.isRunning)
    yield* store.settle([{ run: first!, outcome: succeeded }], at(70))
    yield* store.settle([{ run: second!, outcome: failed }], at(70))
    yield* store.claim({ now: at(120), limit: 100 })
    yield* store.start({ node, now: at(120.2), limit: 1, tasks, executor })
    for (const id of ["queue", "late"]) yield* store.fire(id, at(130))
    return node
  })

const TABLES = ["scheduler_jobs", "scheduler_runs", "scheduler_nodes"]

/** Plays the scene once, and puts it on again and again. */
class Stage {
  readonly world: World
  #node: string | undefined

  constructor(world: World) {
    this.world = world
  }

  /** The tables as they are at the end of the scene; gives the node that is alive. */
  get restore() {
    const { sql } = this.world
    const copies = TABLES.flatMap((table) => [
      `DELETE FROM ${table}`,
      `INSERT INTO ${table} SELECT * FROM scene_${table}`
    ])
    return Effect.gen(this, function* () {
      this.#node ??= yield* this.#play
      yield* sql.withTransaction(Effect.forEach(copies, (text) => sql.unsafe(text)))
      return this.#node
    })
  }

  get #play() {
    return Effect.gen(this, function* () {
      const node = yield* live(yield* this.world.store)
      for (const table of TABLES) yield* this.world.sql.unsafe(`CREATE TABLE scene_${table} AS SELECT * FROM ${table}`)
      return node
    })
  }
}

/** All that is stored, to the letter; new lives are counted by the database, and some numbers are lost to what failed. */
const look = ({ sql }: World): Effect.Effect<ReadonlyArray<unknown>, SqlError.SqlError> =>
  Effect.forEach(TABLES, (table) =>
    Effect.map(sql.unsafe<Record<string, unknown>>(`SELECT * FROM ${table} ORDER BY id`), (rows) =>
      rows.map((row) => (String(row.id).startsWith("new") ? { ...row, incarnation: "new" } : row))
    )
  )

// ---------------------------------------------------------------------------------------------------------------------
// the operations
// ---------------------------------------------------------------------------------------------------------------------

type Perform = (store: Store, node: string) => Effect.Effect<unknown, unknown>

/** Every operation that writes; done twice, the second time changes nothing. */
const operations: Readonly<Record<string, Perform>> = {
  claim: (store) => store.claim({ now: NOW, limit: 100 }),
  "claim and start": (store, node) =>
    store.claim({ now: NOW, limit: 100, start: { node, tasks, room: new Map([[executor, 100]]) } }),
  start: (store, node) => store.start({ node, now: NOW, limit: 100, tasks, executor }),
  settle: (store) => settleEarlier(store),
  "settle and start": (store, node) => settleEarlier(store, { node, tasks, room: new Map([[executor, 100]]) }),
  report: (store) =>
    Effect.flatMap(store.runs({ states: ["Running"] }), (runs) =>
      store.report(runs.filter(Run.isRunning).map((run) => ({ run, progress: { done: 1 } })))
    ),
  recover: (store) => store.recover({ now: NOW, limit: 100 }),
  add: (store) =>
    store.add([make("new-1", { now: NOW }), make("queue", { overlap: "queue", maxInstances: 3 })], "replace"),
  update: (store) =>
    store.update("queue", (job) => ({ ...job, policy: Policy.override(job.policy, { maxInstances: 3 }) })),
  updateAll: (store) => store.updateAll({}, (job) => Job.pause(job, NOW)),
  remove: (store) => store.remove("queue", NOW),
  removeAll: (store) => store.removeAll({ group: "g" }, NOW),
  reconcile: (store) =>
    store.reconcile({
      group: "g",
      jobs: [make("group-1", { group: "g", priority: 7 }), make("new-2", { group: "g", now: NOW })],
      absent: "remove",
      now: NOW
    }),
  backfill: (store) => store.backfill("all", (job) => [-120, -60].map((time) => Run.backfill(job, at(time), NOW))),
  "cancel (queued)": (store) => cancelAt(store, "queue", 120),
  "cancel (running)": (store) => cancelAt(store, "queue", 60),
  prune: (store) => store.prune(at(1e8)),
  renew: (store, node) => store.renew({ node, now: NOW, lease: Duration.hours(1) }),
  release: (store, node) => store.release(node)
}

/** Ends all runs that had started before, and then starts others if it is told to. */
const settleEarlier = (store: Store, start?: JobStore.Start) =>
  Effect.flatMap(store.runs({ states: ["Running"] }), (runs) => {
    const earlier = runs.filter(Run.isRunning).filter(({ state }) => DateTime.lessThan(state.startedAt, NOW))
    return store.settle(earlier.map(settlement), NOW, start)
  })

const settlement = (run: Run.Running, index: number) => ({
  run,
  outcome: index % 3 === 1 ? failed : succeeded
})

/** Calls off the run of one nominal time, wherever it stands. */
const cancelAt = (store: Store, jobId: string, seconds: number) =>
  Effect.flatMap(store.runs({ jobId, from: at(seconds), to: at(seconds) }), ([run]) => store.cancel(run!.id, NOW))

// ---------------------------------------------------------------------------------------------------------------------
// the checks
// ---------------------------------------------------------------------------------------------------------------------

const anyTime = { maxClockSkew: Infinity } as const

/** A store that works, and one on a client that breaks. */
const makeStores = (world: World) =>
  Effect.gen(function* () {
    const make = Scope.extend(SqlJobStore.make({ migrate: false, ...anyTime }), world.scope)
    const faulty = yield* FaultySqlClient.make(world.sql)
    const broken = yield* Effect.provideService(make, SqlClient.SqlClient, faulty.sql)
    return { sound: yield* world.provide(make), broken, faulty }
  })

/** Breaks one operation at each of its statements in turn; gives how many there are. */
const breakEverywhere = (stage: Stage, perform: Perform, how: FaultySqlClient.How) =>
  Effect.gen(function* () {
    const { broken, faulty, sound } = yield* makeStores(stage.world)
    const node = yield* stage.restore
    const before = yield* look(stage.world)
    yield* perform(sound, node)
    const after = yield* look(stage.world)
    for (let nth = 1, isDone = false; ; nth++) {
      yield* stage.restore
      faulty.arm(nth, how)
      const exit = yield* Effect.exit(perform(broken, node))
      if (!faulty.disarm()) return nth - 1
      const found = yield* look(stage.world)
      const isBefore = JSON.stringify(found) === JSON.stringify(before)
      // Only the answer of a COMMIT can be lost after all has been done; nobody waits for a hint that comes after it.
      assert.isTrue(isBefore ? !isDone : how === "cut off" || Exit.isSuccess(exit), `${how} at statement ${nth}`)
      if (isBefore || Exit.isFailure(exit)) assertRefused(exit)
      assert.deepStrictEqual(found, isBefore ? before : after, `${how} at statement ${nth}`)
      isDone = !isBefore
      yield* Effect.ignore(perform(sound, node))
      assert.deepStrictEqual(yield* look(stage.world), after, `done again after ${how} at statement ${nth}`)
    }
  })

/** What cannot be done fails with the error of the store, which callers can handle, and with no defect. */
const assertRefused = (exit: Exit.Exit<unknown, unknown>): void => {
  const cause = Exit.isFailure(exit) ? exit.cause : assert.fail("it says that it has been done")
  assert.isTrue(Cause.isFailType(cause), `a defect: ${Cause.pretty(cause)}`)
  assert.instanceOf(Cause.squash(cause), StoreError)
}

/** A turn of the loop on a store, each step of which may fail. */
const turn = (store: Store, node: string) => {
  const steps = ["recover", "settle", "claim", "start"].map((name) => operations[name]!(store, node))
  return Effect.forEach(steps, (step) => Effect.ignore(step), { discard: true })
}

/** Lets every node die; another one carries out all that is in flight, and nothing falls due any more. */
const drain = (store: Store, { sql }: World) =>
  Effect.gen(function* () {
    yield* sql`DELETE FROM scheduler_nodes`
    yield* store.updateAll({}, (job) => Job.pause(job, NOW))
    const node = yield* store.register({ now: NOW, lease })
    yield* store.recover({ now: NOW, limit: 100 })
    for (let isIdle = false; !isIdle; ) {
      const steps = yield* store.start({ node, now: NOW, limit: 100, tasks, executor })
      const running = steps.map(({ run }) => run).filter(Run.isRunning)
      yield* store.settle(
        running.map((run) => ({ run, outcome: succeeded })),
        NOW
      )
      isIdle = steps.length === 0
    }
    return yield* store.counts
  })

/** Breaks a turn at one of its statements, and looks whether what is in flight is what its jobs count. */
const breakTurn = (stage: Stage, nth: number) =>
  Effect.gen(function* () {
    const { broken, faulty, sound } = yield* makeStores(stage.world)
    const node = yield* stage.restore
    faulty.arm(nth, "cut off")
    yield* turn(broken, node)
    if (!faulty.disarm()) return false
    assert.deepStrictEqual(yield* stage.world.provide(audit(sound, NOW, Infinity)), [])
    const { jobs: _, ...inFlight } = yield* drain(sound, stage.world)
    assert.deepStrictEqual(inFlight, { queued: 0, pending: 0, running: 0 }, `cut off at statement ${nth}`)
    return true
  })

/** What holds when a connection breaks. */
export const faultChecks = (world: World): void => {
  const stage = new Stage(world)
  describe(`an operation on ${world.backend.name}`, () => {
    for (const [name, perform] of Object.entries(operations)) {
      // Its second statement on MariaDB only reads: a lease that was prolonged without knowing it does no harm.
      if (name === "renew" && world.backend.name === "MariaDB") continue
      it.live(
        `(${name}) is done as a whole or not at all, whichever of its statements breaks, and can be done again`,
        () =>
          Effect.gen(function* () {
            const met = yield* Effect.forEach(FaultySqlClient.HOWS, (how) => breakEverywhere(stage, perform, how))
            assert.isAbove(Math.min(...met), 0)
            assert.strictEqual(new Set(met).size, 1)
          }),
        60_000
      )
    }
  })

  describe(`a turn on ${world.backend.name}`, () => {
    it.live(
      "leaves no slot taken, whichever of its statements breaks: all that is in flight comes to its end elsewhere",
      () =>
        Effect.gen(function* () {
          let nth = 1
          while (yield* breakTurn(stage, nth)) nth += 3
          assert.isAbove(nth, 30)
        }),
      60_000
    )
  })
}
