/** What must hold of the SQL job store on every database server, for one test file each. */
import { type SqlError as Errors, SqlClient } from "@effect/sql"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Exit, Fiber, Layer, Option, Scope, Stream, Tracer } from "effect"
import * as Job from "../src/Job.ts"
import * as JobStore from "../src/JobStore.ts"
import * as JobStoreConformance from "../src/JobStoreConformance.ts"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import * as SqlJobStore from "../src/SqlJobStore.ts"
import * as Trigger from "../src/Trigger.ts"
import * as SameOperations from "./SameOperations.ts"
import type { Server } from "./Servers.ts"

type Store = JobStore.JobStore["Type"]
type Client = Layer.Layer<SqlClient.SqlClient>

/** A database server as the suite uses it. */
export interface Backend {
  readonly name: string
  readonly start: () => Promise<Server>
  readonly client: (url: string) => Client
}

const T0 = 1_767_225_600_000
const at = (seconds: number) => DateTime.unsafeMake(T0 + seconds * 1000)
const tasks = new Set(["Work"])
const executor = Policy.DEFAULT_EXECUTOR
const lease = Duration.hours(1)
const anyTime = { maxClockSkew: Infinity } as const

const make = (id: string, policy: Policy.PolicyOptions = {}) =>
  Job.make({
    id,
    task: "Work",
    now: at(0),
    trigger: Trigger.interval({ minutes: 1 }),
    policy: Policy.override(Policy.defaults, policy)
  })

const makeMany = (count: number, policy: Policy.PolicyOptions = {}) =>
  Array.from({ length: count }, (_, i) => make(`job-${String(i).padStart(5, "0")}`, policy))

const TABLES = ["scheduler_jobs", "scheduler_runs", "scheduler_nodes"]

/** The first client of a test file, open for as long as the file runs, and what makes further ones. */
export class World {
  server!: Server
  scope = Effect.runSync(Scope.make())
  sql!: SqlClient.SqlClient

  readonly backend: Backend

  constructor(backend: Backend) {
    this.backend = backend
  }

  async open() {
    this.server = await this.backend.start()
    const context = await Effect.runPromise(Layer.buildWithScope(this.another(), this.scope))
    this.sql = Effect.runSync(Effect.provide(SqlClient.SqlClient, context))
    await Effect.runPromise(this.provide(SqlJobStore.make()))
  }

  async close() {
    await Effect.runPromise(Scope.close(this.scope, Exit.void))
    await this.server.stop()
  }

  /** A client with connections of its own. */
  another(): Client {
    return this.backend.client(this.server.url)
  }

  provide<A, E>(effect: Effect.Effect<A, E, SqlClient.SqlClient | Scope.Scope>): Effect.Effect<A, E> {
    return effect.pipe(Effect.provideService(SqlClient.SqlClient, this.sql), Scope.extend(this.scope))
  }

  /** Empties the tables. */
  get clear() {
    const truncate = (name: string, end: string) => this.sql.unsafe(`TRUNCATE ${name}${end}`)
    return this.sql.onDialectOrElse({
      pg: () => truncate("scheduler_jobs, scheduler_runs, scheduler_nodes", " RESTART IDENTITY"),
      sqlite: () => Effect.forEach(TABLES, (name) => this.sql.unsafe(`DELETE FROM ${name}`)),
      orElse: () => Effect.forEach(TABLES, (name) => truncate(name, ""))
    }) as Effect.Effect<unknown, Errors.SqlError>
  }

  /** A store on empty tables. */
  get store(): Effect.Effect<Store, unknown> {
    return Effect.zipRight(this.clear, this.provide(SqlJobStore.make({ migrate: false, ...anyTime })))
  }
}

const open = (backend: Backend): World => {
  const world = new World(backend)
  beforeAll(() => world.open(), 60_000)
  afterAll(() => world.close(), 60_000)
  return world
}

/** What holds of a server that many nodes share. */
export const suite = (backend: Backend, more: (world: World) => void = () => {}) => {
  const world = open(backend)
  conformance(world)
  differential(world)
  costs(world)
  concurrency(world)
  schemas(world)
  clocks(world)
  more(world)
}

/** What holds of a database file besides. */
export const fileSuite = (backend: Backend, more: (world: World) => void) => {
  const world = open(backend)
  costs(world)
  more(world)
}

const conformance = (world: World) =>
  describe(`the store on ${world.backend.name}`, () => {
    for (const { check, name } of JobStoreConformance.checks) {
      it.effect(name, () =>
        Effect.flatMap(world.store, (store) => Effect.provideService(check, JobStore.JobStore, store))
      )
    }
  })

const differential = (world: World) =>
  describe("the same operations", () => {
    it.effect.prop(
      `do the same to the store in memory and to one on ${world.backend.name}`,
      [SameOperations.operations],
      ([operations]) =>
        Effect.all([JobStore.makeMemory(), world.store]).pipe(
          Effect.flatMap((stores) => SameOperations.compare(stores, operations)),
          Effect.orDie
        ),
      { fastCheck: { numRuns: 12 }, timeout: 60_000 }
    )
  })

// ---------------------------------------------------------------------------------------------------------------------
// costs
// ---------------------------------------------------------------------------------------------------------------------

/** The texts of the statements that an effect sends. */
const statementsOf = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const native = yield* Effect.tracer
    const texts: Array<string> = []
    const tracer = Tracer.make({
      context: (f, fiber) => native.context(f, fiber),
      span: (...options) => {
        const span = native.span(...options)
        const attribute = span.attribute.bind(span)
        span.attribute = (key, value) => {
          if (key === "db.query.text") texts.push(String(value))
          attribute(key, value)
        }
        return span
      }
    })
    const answer = yield* Effect.withTracer(effect, tracer)
    return { answer, texts }
  })

/** A turn of the loop with so many jobs: how many statements each operation sends. */
const turn = (world: World, count: number, policy: Policy.PolicyOptions) =>
  Effect.gen(function* () {
    const store = yield* world.store
    const now = at(60)
    yield* store.add(makeMany(count, policy), "fail")
    const node = yield* store.register({ now, lease })
    const claimed = yield* statementsOf(store.claim({ now, limit: count }))
    const begun = yield* statementsOf(store.start({ node, now, limit: count, tasks, executor }))
    const running = begun.answer.map(({ run }) => run).filter(Run.isRunning)
    const settled = yield* statementsOf(
      store.settle(
        running.map((run) => ({ run, outcome: { _tag: "Succeeded" } as const })),
        now
      )
    )
    assert.deepStrictEqual([claimed.answer.advances.length, settled.answer.length], [count, count])
    return [claimed, begun, settled].map(({ texts }) => texts.length)
  })

/** Puts values in the places of a statement's parameters. */
const fill = (text: string, values: ReadonlyArray<string>) => {
  const left = [...values]
  return text.replace(/\$\d+|\?/g, () => left.shift() ?? "1")
}

const explain = (world: World, text: string) =>
  Effect.gen(function* () {
    const explain = world.sql.onDialectOrElse({ sqlite: () => "EXPLAIN QUERY PLAN", orElse: () => "EXPLAIN" })
    return JSON.stringify(yield* world.sql.unsafe(`${explain} ${text}`))
  })

const costs = (world: World) =>
  describe(`the operations of a turn on ${world.backend.name}`, () => {
    for (const [name, policy] of [
      ["recurring jobs", {}],
      ["jobs that end with this run", { limit: 1 }],
      ["jobs that end with this run and are kept", { limit: 1, retention: { finishedJobs: "keep" } }]
    ] as ReadonlyArray<readonly [string, Policy.PolicyOptions]>) {
      it.effect(`send as many statements for many ${name} as for few`, () =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* turn(world, 300, policy), yield* turn(world, 5, policy))
        })
      )
    }

    it.effect(
      "read by index",
      () =>
        Effect.gen(function* () {
          const store = yield* world.store
          yield* store.add(makeMany(3000), "fail")
          yield* store.claim({ now: at(60), limit: 1500 })
          // Most of what is stored is history.
          yield* world.sql`UPDATE scheduler_runs SET state = 'Succeeded', finished_at = 0 WHERE job_id > 'job-00100'`
          yield* world.sql.onDialectOrElse({
            mysql: () => world.sql`ANALYZE TABLE scheduler_jobs, scheduler_runs`,
            orElse: () => world.sql`ANALYZE`
          })
          const node = yield* store.register({ now: at(60), lease })
          const claim = yield* statementsOf(store.claim({ now: at(61), limit: 10 }))
          const start = yield* statementsOf(store.start({ node, now: at(61), limit: 10, tasks, executor }))
          const wake = yield* statementsOf(store.nextWake({ node, tasks, executors: new Set([executor]) }))
          const find = (texts: ReadonlyArray<string>, part: RegExp) => texts.find((text) => part.test(text)) ?? ""
          const now = String(at(61).epochMillis)
          const some = (value: string) =>
            world.sql.onDialectOrElse({ pg: () => `'{"${value}"}'`, orElse: () => `'${value}'` })
          const due = yield* explain(world, fill(find(claim.texts, /ORDER BY due_at/), [now, "10"]))
          const pending = yield* explain(
            world,
            fill(find(start.texts, /ORDER BY r.priority/), ["'default'", now, some("Work"), "10"])
          )
          assert.lengthOf(wake.texts, 1)
          const next = yield* explain(world, fill(wake.texts[0]!, ["'node'", "'node'", some("default"), some("Work")]))
          assert.match(due, /scheduler_jobs_due/)
          assert.match(pending, /scheduler_runs_pending/)
          assert.match(next, /scheduler_jobs_due|optimized away/)
          for (const index of [/scheduler_runs_waiting/, /scheduler_runs_cancel/]) assert.match(next, index)
          for (const plan of [due, pending]) assert.notMatch(plan, /Sort|TEMP B-TREE|filesort/)
        }),
      60_000
    )
  })

// ---------------------------------------------------------------------------------------------------------------------
// schemas and clocks
// ---------------------------------------------------------------------------------------------------------------------

const schemas = (world: World) =>
  describe("the tables", () => {
    it.effect("are made once by nodes that start at the same time", () =>
      Effect.gen(function* () {
        const prefix = "together_"
        const made = yield* Effect.forEach([1, 2, 3, 4, 5], () => world.provide(SqlJobStore.make({ prefix })), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(yield* made[4]!.list({}), [])
        assert.lengthOf(yield* world.sql`SELECT * FROM together_migrations`, 1)
      })
    )

    it.effect("are completed if their maker died half-way", () =>
      Effect.gen(function* () {
        yield* world.provide(SqlJobStore.make({ prefix: "half_" }))
        yield* world.sql`DROP TABLE half_nodes`
        yield* world.sql`DELETE FROM half_migrations`
        const store = yield* world.provide(SqlJobStore.make({ prefix: "half_" }))
        yield* store.register({ now: at(0), lease })
      })
    )

    it.effect("are left alone if a newer version made them", () =>
      Effect.gen(function* () {
        yield* world.provide(SqlJobStore.make({ prefix: "newer_" }))
        yield* world.sql`INSERT INTO newer_migrations (migration_id, name) VALUES (9999, 'future')`
        const error = yield* Effect.flip(world.provide(SqlJobStore.make({ prefix: "newer_" })))
        assert.match(error.message, /newer version: migration 9999 in newer_migrations, this version knows \d+/)
      })
    )

    it.effect("lie in a schema of their own if one is named", () =>
      Effect.gen(function* () {
        const schema = `own_${process.pid}`
        const store = yield* world.provide(SqlJobStore.make({ schema, ...anyTime }))
        yield* store.add([make("a")], "fail")
        yield* store.claim({ now: at(60), limit: 10 })
        const node = yield* store.register({ now: at(60), lease })
        assert.lengthOf(yield* store.start({ node, now: at(60), limit: 10, tasks, executor }), 1)
        assert.lengthOf(yield* world.sql`SELECT id FROM ${world.sql(`${schema}.scheduler_runs`)}`, 1)
        yield* world.sql.unsafe(`DROP SCHEMA ${schema}${world.backend.name === "PostgreSQL" ? " CASCADE" : ""}`)
      })
    )

    it.effect("keep ids apart that differ by case or by spaces, and every character", () =>
      Effect.gen(function* () {
        const store = yield* world.store
        const ids = ["A", "a", "a ", "é", "e", "😀", "ß", "ss"]
        yield* store.add(
          ids.map((id) => ({ ...make(id), payload: { text: "😀\u0000\ud800" } })),
          "fail"
        )
        assert.strictEqual((yield* store.list({})).length, ids.length)
        assert.deepStrictEqual(Option.getOrThrow(yield* store.get("😀")).payload, { text: "😀\u0000\ud800" })
        yield* store.remove("a", at(1))
        assert.isTrue(Option.isSome(yield* store.get("A")))
      })
    )
  })

/** How soon one store tells of what another one does. */
export const signalChecks = (world: World) =>
  describe("a node", () => {
    it.live("is told at once of what another one adds, also in a transaction of its user", () =>
      Effect.gen(function* () {
        yield* world.clear
        const [here, there] = yield* nodes(world, 2)
        const told: Array<number> = []
        const listening = yield* Effect.fork(
          Stream.runForEach(there!.store.changes, () => Effect.sync(() => told.push(1)))
        )
        yield* Effect.sleep("500 millis")
        // That it listens now is a hint in itself.
        told.length = 0
        yield* here!.store.add([make("a")], "fail")
        yield* Effect.sleep("200 millis")
        assert.strictEqual(told.length, 1)
        const context = yield* Layer.build(world.another())
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const store = yield* SqlJobStore.make({ migrate: false })
          yield* sql.withTransaction(Effect.zipRight(store.add([make("b")], "fail"), Effect.sleep("200 millis")))
        }).pipe(Effect.provide(context))
        yield* Effect.sleep("200 millis")
        assert.strictEqual(told.length, 2)
        yield* Fiber.interrupt(listening)
      }).pipe(Effect.scoped)
    )
  })

const clocks = (world: World) =>
  describe("a node whose clock", () => {
    it.live("differs too much from the database's is refused, with its difference", () =>
      Effect.gen(function* () {
        const store = yield* world.provide(SqlJobStore.make({ migrate: false }))
        const now = yield* DateTime.now
        const node = yield* store.register({ now, lease })
        assert.isTrue(yield* store.renew({ node, now: DateTime.add(now, { millis: 500 }), lease }))
        const ahead = yield* Effect.flip(store.renew({ node, now: DateTime.add(now, { minutes: 5 }), lease }))
        assert.match(ahead.message, /the clock of this node is (4m 59s|5m).* ahead of the database's/)
        const behind = yield* Effect.flip(store.register({ now: DateTime.subtract(now, { minutes: 5 }), lease }))
        assert.match(behind.message, /is 5m.* behind the database's; at most 1s is allowed/)
      })
    )
  })

// ---------------------------------------------------------------------------------------------------------------------
// many nodes
// ---------------------------------------------------------------------------------------------------------------------

/** So many stores with clients of their own. */
export const nodes = (world: World, count: number) =>
  Effect.forEach(
    Array.from({ length: count }),
    () =>
      Effect.gen(function* () {
        const context = yield* Layer.build(world.another())
        const store = yield* Effect.provide(SqlJobStore.make({ migrate: false, ...anyTime }), context)
        return { store, node: yield* store.register({ now: at(0), lease }) }
      }),
    { concurrency: count }
  )

export type Node = Effect.Effect.Success<ReturnType<typeof nodes>>[number]

/** Claims, starts and settles until nothing is left at one time; counts how often each attempt was started. */
const workOff = ({ node, store }: Node, seconds: number, started: Map<string, number>) =>
  Effect.gen(function* () {
    const now = at(seconds)
    for (let idle = 0; idle < 3; ) {
      const { advances } = yield* store.claim({ now, limit: 40 })
      const steps = yield* store.start({ node, now, limit: 25, tasks, executor })
      const running = steps.map(({ run }) => run).filter(Run.isRunning)
      for (const { attempt, id } of running) started.set(`${id}#${attempt}`, (started.get(`${id}#${attempt}`) ?? 0) + 1)
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      const outcome = (index: number): Run.Outcome =>
        index % 7 === 3 ? { _tag: "Failed", failure: { kind: "Error", message: "no" } } : { _tag: "Succeeded" }
      yield* store.settle(
        running.map((run, index) => ({ run, outcome: outcome(index) })),
        now
      )
      idle = advances.length + steps.length === 0 ? idle + 1 : 0
    }
  })

/** What somebody at a desk does meanwhile. */
const meddle = ({ store }: Node, jobs: ReadonlyArray<Job.Job>, seconds: number) =>
  Effect.gen(function* () {
    const now = at(seconds)
    for (const [index, { id }] of jobs.entries()) {
      if (index % 10 === 0) yield* store.fire(id, now)
      if (index % 50 === 0) yield* store.updateAll({}, (job) => ({ ...job, name: `${job.name}!` }))
      if (index % 25 === 0)
        yield* store.cancel((yield* store.runs({ jobId: id, limit: 1 }))[0]?.id ?? "", now).pipe(Effect.ignore)
      if (index % 60 === 0) yield* store.recover({ now, limit: 100 })
    }
  })

const concurrency = (world: World) =>
  describe("five nodes at once", () => {
    it.live(
      "make one run of each occurrence and hold none twice, within the limits of the jobs",
      () =>
        Effect.gen(function* () {
          yield* world.clear
          const all = yield* nodes(world, 5)
          const jobs = makeMany(300, { retry: { times: 1, delay: 0 }, overlap: "queue" })
          yield* all[0]!.store.add(jobs, "fail")
          const started = new Map<string, number>()
          for (const seconds of [60, 120, 180]) {
            const desk = yield* Effect.fork(meddle(all[0]!, jobs, seconds))
            yield* Effect.forEach(all, (node) => workOff(node, seconds, started), { concurrency: "unbounded" })
            yield* Fiber.join(desk)
            yield* workOff(all[0]!, seconds, started)
          }
          const runs = yield* all[0]!.store.runs({ limit: 10_000 })
          const scheduled = runs.filter(({ key }) => !key.startsWith("manual"))
          assert.strictEqual(scheduled.length, 900)
          assert.deepStrictEqual(new Set(scheduled.map(({ id }) => id)).size, 900)
          assert.deepStrictEqual(runs.filter(Run.isLive), [])
          assert.deepStrictEqual(
            [...started].filter(([, count]) => count > 1),
            []
          )
        }).pipe(Effect.scoped),
      60_000
    )

    it.live(
      "never have more of a job in flight than it allows",
      () =>
        Effect.gen(function* () {
          yield* world.clear
          const all = yield* nodes(world, 5)
          yield* all[0]!.store.add(makeMany(20, { maxInstances: 2, overlap: "queue", queueLimit: 1000 }), "fail")
          const fires = Effect.forEach(
            all,
            ({ store }) => Effect.forEach(makeMany(20), ({ id }, index) => store.fire(id, at(index))),
            { concurrency: "unbounded" }
          )
          yield* fires
          for (let round = 0; round < 3; round++) {
            const steps = yield* Effect.forEach(
              all,
              ({ node, store }) => store.start({ node, now: at(30), limit: 100, tasks, executor }),
              { concurrency: "unbounded" }
            )
            const live = yield* all[0]!.store.runs({ states: ["Running", "Pending"], limit: 1000 })
            const counts = new Map<string, number>()
            for (const { jobId } of live) counts.set(jobId, (counts.get(jobId) ?? 0) + 1)
            assert.isAtMost(Math.max(0, ...counts.values()), 2)
            yield* Effect.forEach(
              all,
              ({ store }, index) =>
                store.settle(
                  steps[index]!.flatMap(({ run }) =>
                    Run.isRunning(run) ? [{ run, outcome: { _tag: "Succeeded" } as const }] : []
                  ),
                  at(31)
                ),
              { concurrency: "unbounded" }
            )
          }
        }).pipe(Effect.scoped),
      60_000
    )

    it.live("add one id in transactions of their users: the second one meets the first one's job", () =>
      Effect.gen(function* () {
        yield* world.clear
        const add = (delay: number) =>
          Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            const store = yield* SqlJobStore.make({ migrate: false })
            yield* Effect.sleep(delay)
            return yield* sql.withTransaction(
              Effect.zipLeft(store.add([make("both")], "keep"), Effect.sleep("150 millis"))
            )
          }).pipe(Effect.scoped, Effect.provide(world.another()))
        const changes = yield* Effect.all([add(100), add(150)], { concurrency: "unbounded" })
        assert.sameMembers(
          changes.flat().map(({ _tag }) => _tag),
          ["Added", "Kept"]
        )
      })
    )

    it.live(
      "add one id: one wins, the others are refused, replace or keep",
      () =>
        Effect.gen(function* () {
          yield* world.clear
          const all = yield* nodes(world, 5)
          for (let round = 0; round < 10; round++) {
            const jobs = [make(`b-${round}`), make(`a-${round}`)]
            const answers = yield* Effect.forEach(
              all,
              ({ store }, index) =>
                store.add(index % 2 === 0 ? jobs : jobs.toReversed(), "fail").pipe(
                  Effect.as("Added"),
                  Effect.catchAll(({ _tag }) => Effect.succeed(_tag))
                ),
              { concurrency: "unbounded" }
            )
            assert.deepStrictEqual(answers.toSorted(), ["Added", ...Array.from({ length: 4 }, () => "JobExists")])
          }
          const replaced = yield* Effect.forEach(all, ({ store }) => store.add([make("r")], "replace"), {
            concurrency: "unbounded"
          })
          const kept = yield* Effect.forEach(all, ({ store }) => store.add([make("k")], "keep"), {
            concurrency: "unbounded"
          })
          const tags = (changes: ReadonlyArray<ReadonlyArray<JobStore.Change>>) =>
            changes.flat().map(({ _tag }) => _tag)
          assert.strictEqual(tags(replaced).filter((tag) => tag === "Added").length, 1)
          assert.strictEqual(tags(kept).filter((tag) => tag === "Kept").length, 4)
          const incarnations = kept.flat().map(({ job }) => job.incarnation)
          assert.strictEqual(new Set(incarnations).size, 1)
          assert.isTrue(Option.isSome(yield* all[0]!.store.get("r")))
        }).pipe(Effect.scoped),
      60_000
    )
  })
