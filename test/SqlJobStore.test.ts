import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream, TestClock } from "effect"
import * as Executor from "../src/Executor.ts"
import * as JobStore from "../src/JobStore.ts"
import * as JobStoreConformance from "../src/JobStoreConformance.ts"
import * as Scheduler from "../src/Scheduler.ts"
import * as SqlJobStore from "../src/SqlJobStore.ts"
import * as Task from "../src/Task.ts"
import * as Trigger from "../src/Trigger.ts"
import * as SameOperations from "./SameOperations.ts"
import { auditChecks } from "./SqlAuditSuite.ts"
import { faultChecks } from "./SqlFaultSuite.ts"
import { poisonChecks } from "./SqlPoisonSuite.ts"
import { fileSuite } from "./SqlStoreSuite.ts"

const SqliteLive = SqlJobStore.layer().pipe(Layer.provide(SqliteClient.layer({ filename: ":memory:" })))

describe("the store on SQLite", () => {
  for (const { check, name } of JobStoreConformance.checks) {
    it.effect(name, () => Effect.provide(check, Layer.orDie(SqliteLive)))
  }
})

describe("a job added in the caller's transaction", () => {
  const Note = Task.make("Note")
  const Live = Scheduler.layer({ autoStart: false }).pipe(
    Layer.provide(Executor.layerFiber()),
    Layer.provide(SqlJobStore.layer()),
    Layer.provideMerge(SqliteClient.layer({ filename: ":memory:", transformQueryNames: (name) => name.toUpperCase() })),
    Layer.orDie
  )

  it.effect("is kept or lost with the caller's own writes, whatever the client does to names", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const scheduler = yield* Scheduler.Scheduler
      const add = (id: string) => scheduler.add(Note, { id, trigger: Trigger.interval({ hours: 1 }) })
      yield* sql.withTransaction(Effect.zipRight(add("lost"), Effect.fail("rolled back"))).pipe(Effect.ignore)
      yield* sql.withTransaction(add("kept"))
      assert.deepStrictEqual(
        (yield* scheduler.list()).map(({ id }) => id),
        ["kept"]
      )
    }).pipe(Effect.provide(Live))
  )
})

describe("a store that keeps out of its callers' transactions", () => {
  const Note = Task.make("Note")

  /** The caller's database, without a table of the store's, and the store's own. */
  const worlds = (options: SqlJobStore.Options) =>
    Layer.mergeAll(
      SqliteClient.layer({ filename: ":memory:" }),
      Scheduler.layer({ autoStart: false }).pipe(
        Layer.provide(Executor.layerFiber()),
        Layer.provide(SqlJobStore.layer(options)),
        Layer.provide(Layer.fresh(SqliteClient.layer({ filename: ":memory:" })))
      )
    ).pipe(Layer.orDie)

  const addWithin = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const scheduler = yield* Scheduler.Scheduler
    const trigger = Trigger.interval({ hours: 1 })
    const all = Effect.gen(function* () {
      yield* scheduler.add(Note, { id: "one", trigger })
      yield* scheduler.add(Note, { id: "two", trigger, onConflict: "replace" })
      yield* scheduler.runNow("two")
      return yield* scheduler.remove("one")
    })
    yield* Effect.ignore(sql.withTransaction(Effect.zipRight(all, Effect.fail("rolled back"))))
    const [jobs, runs] = [yield* scheduler.list(), yield* scheduler.runs()]
    return [...jobs.map(({ id }) => id), ...runs.map(({ jobId }) => `run of ${jobId}`)]
  })

  it.effect("writes to its own database what is called for in a transaction on another one", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* addWithin, ["two", "run of two"])
    }).pipe(Effect.provide(worlds({ joinTransactions: false })))
  )

  it.effect("can be built in a transaction on another database, with its tables in its own", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = SqlJobStore.layer({ joinTransactions: false }).pipe(
        Layer.provide(Layer.fresh(SqliteClient.layer({ filename: ":memory:" })))
      )
      const scheduler = yield* Scheduler.Scheduler
      yield* sql.withTransaction(scheduler.addStore("late", store))
      yield* scheduler.add(Note, { id: "one", store: "late", trigger: Trigger.interval({ hours: 1 }) })
      assert.deepStrictEqual(yield* sql`SELECT name FROM sqlite_master WHERE name LIKE 'scheduler%'`, [])
      assert.strictEqual((yield* scheduler.list({ store: "late" })).length, 1)
    }).pipe(Effect.scoped, Effect.provide(worlds({ joinTransactions: false })))
  )

  it.effect("sends everything to the database of the transaction if it is not told to", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* addWithin, [])
    }).pipe(Effect.provide(worlds({})))
  )
})

describe("a job that cannot be read", () => {
  const Note = Task.make("Note")
  const NoteLive = Task.toLayer(Note, () => Effect.void)
  const Live = Scheduler.layer().pipe(
    Layer.provide(NoteLive),
    Layer.provide(Executor.layerFiber()),
    Layer.provide(SqlJobStore.layer()),
    Layer.provideMerge(SqliteClient.layer({ filename: ":memory:" })),
    Layer.orDie
  )

  it.scoped("is parked with an event and kept, the others run, and it can be replaced", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const scheduler = yield* Scheduler.Scheduler
      const parked: Array<string> = []
      const events = yield* scheduler.subscribe
      yield* Effect.forkScoped(
        Stream.runForEach(events, (event) => Effect.sync(() => event._tag === "JobParked" && parked.push(event.jobId)))
      )
      const trigger = Trigger.interval({ minutes: 1 })
      yield* scheduler.add(Note, { id: "bad", trigger })
      yield* scheduler.add(Note, { id: "good", trigger })
      yield* sql`UPDATE scheduler_jobs SET definition = '{"half' WHERE id = 'bad'`
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(parked, ["bad"])
      assert.deepStrictEqual(
        (yield* scheduler.runs()).map(({ jobId }) => jobId),
        ["good", "good"]
      )
      assert.lengthOf(yield* sql`SELECT id FROM scheduler_jobs WHERE id = 'bad'`, 1)
      yield* scheduler.add(Note, { id: "bad", trigger, onConflict: "replace" })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* scheduler.runs({ jobId: "bad" })).length, 1)
    }).pipe(Effect.provide(Live))
  )
})

describe("the same operations", () => {
  it.effect.prop(
    "do the same to the store in memory and to one on SQLite",
    [SameOperations.operations],
    ([operations]) =>
      Effect.all([JobStore.makeMemory(), SqlJobStore.make()]).pipe(
        Effect.flatMap((stores) => SameOperations.compare(stores, operations)),
        Effect.scoped,
        Effect.provide(SqliteClient.layer({ filename: ":memory:" })),
        Effect.orDie
      ),
    { fastCheck: { numRuns: 100 }, timeout: 60_000 }
  )
})

fileSuite(
  {
    name: "SQLite",
    start: () => Promise.resolve({ url: ":memory:", stop: () => Promise.resolve() }),
    client: (filename) => Layer.orDie(SqliteClient.layer({ filename }))
  },
  (world) => {
    auditChecks(world)
    faultChecks(world)
    poisonChecks(world)
  }
)
