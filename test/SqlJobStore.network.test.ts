/** What one node's broken connections to a database server do to it and to the others. */
import { SqlClient } from "@effect/sql"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Exit, Fiber, Layer, Schedule, Stream } from "effect"
import * as Executor from "../src/Executor.ts"
import * as Job from "../src/Job.ts"
import type * as JobStore from "../src/JobStore.ts"
import * as Policy from "../src/Policy.ts"
import * as Scheduler from "../src/Scheduler.ts"
import * as SqlJobStore from "../src/SqlJobStore.ts"
import * as Trigger from "../src/Trigger.ts"
import { patientClient, portOf, through } from "./chaos/Database.ts"
import { BOTH, Proxy } from "./chaos/Proxy.ts"
import { findMariadb, mariadbClient, postgresClient, type Server, startPostgres } from "./Servers.ts"

type Store = JobStore.JobStore["Type"]

interface Backend {
  readonly kind: "postgres" | "mariadb"
  readonly start: () => Promise<Server>
  readonly client: (url: string) => Layer.Layer<SqlClient.SqlClient>
}

const T0 = 1_767_225_600_000
const at = (seconds: number) => DateTime.unsafeMake(T0 + seconds * 1000)
const lease = Duration.seconds(3)

/** A renewal is due every second, and what is not done by then nobody waits for. */
const options = { lease, maxClockSkew: Infinity } as const

const job = Job.make({
  id: "job",
  task: "Work",
  now: at(0),
  trigger: Trigger.interval({ minutes: 1 }),
  policy: Policy.override(Policy.defaults, {})
})

const suite = (backend: Backend) =>
  describe(`a node whose connection to ${backend.kind} leads nowhere`, () => {
    let server: Server
    let proxy: Proxy
    let url: string

    beforeAll(async () => {
      server = await backend.start()
      const address = { kind: backend.kind, url: server.url } as const
      proxy = await Proxy.start(portOf(address))
      const proxied = through(address, proxy.port)
      url = proxied.kind === "sqlite" ? "" : proxied.url
    }, 60_000)

    afterAll(async () => {
      await proxy.close()
      await server.stop()
    }, 60_000)

    const open = (url: string, migrate: boolean) =>
      Effect.flatMap(Layer.build(backend.client(url)), (context) =>
        Effect.provide(SqlJobStore.make({ ...options, migrate }), context)
      )

    /** A node that works, and one that the body cuts off. */
    const twoNodes = <E>(body: (here: Store, there: Store) => Effect.Effect<void, E>) =>
      Effect.gen(function* () {
        const here = yield* open(server.url, true)
        const there = yield* open(url, false)
        yield* here.removeAll({}, at(0))
        yield* here.add([job], "fail")
        yield* Effect.ensuring(
          body(here, there),
          Effect.sync(() => proxy.reset())
        )
      }).pipe(Effect.scoped)

    /** Cuts the node off when a statement has reached the server, on MariaDB after its text was prepared. */
    const cutAt = (text: string) =>
      Effect.sync(() => proxy.once(text, () => proxy.hold(BOTH), backend.kind === "mariadb" ? 1 : 0))

    it.live("holds jobs back for no longer than it takes to renew a lease", () =>
      twoNodes((here, there) =>
        Effect.gen(function* () {
          yield* cutAt("FOR UPDATE")
          yield* Effect.fork(Effect.disconnect(there.claim({ now: at(60), limit: 10 })))
          yield* Effect.sleep("200 millis")
          const claim = here.claim({ now: at(60), limit: 10 })
          assert.lengthOf((yield* claim).advances, 0)
          const isFree = { until: ({ advances }: JobStore.Claim) => advances.length > 0 }
          yield* claim.pipe(Effect.repeat({ ...isFree, schedule: Schedule.spaced("50 millis") }), Effect.timeout(lease))
        })
      )
    )

    it.live("has another one as soon as its client loses patience", () =>
      Effect.gen(function* () {
        const context = yield* Layer.build(patientClient({ kind: backend.kind, url }, 1000))
        const sql = yield* Effect.provide(SqlClient.SqlClient, context)
        const ask = Effect.all(
          Array.from({ length: 5 }, () => sql`SELECT 1`),
          { concurrency: "unbounded" }
        )
        yield* ask
        proxy.forget()
        assert.isTrue(Exit.isFailure(yield* Effect.exit(ask)))
        yield* Effect.timeout(ask, "1 second")
      }).pipe(Effect.scoped)
    )

    it.live("keeps nobody from taking its runs over", () =>
      twoNodes((here, there) =>
        Effect.gen(function* () {
          const node = yield* there.register({ now: at(0), lease })
          yield* cutAt("UPDATE")
          yield* Effect.fork(Effect.disconnect(there.renew({ node, now: at(1), lease })))
          yield* Effect.sleep("200 millis")
          yield* Effect.timeout(here.recover({ now: at(60), limit: 10 }), "500 millis")
          assert.isFalse(yield* here.renew({ node, now: at(2), lease }))
        })
      )
    )
  })

suite({ kind: "postgres", start: startPostgres, client: postgresClient })

describe("a client of PostgreSQL", () => {
  let server: Server
  beforeAll(async () => {
    server = await startPostgres()
  }, 60_000)
  afterAll(() => server.stop(), 60_000)

  const onClient = <A, E>(body: Effect.Effect<A, E, SqlClient.SqlClient>) =>
    Effect.provide(body, postgresClient(server.url, 1))

  const connections = Effect.map(
    Effect.flatMap(
      SqlClient.SqlClient,
      (sql) => sql<{ n: string }>`SELECT COUNT(*) AS n FROM pg_stat_activity WHERE backend_type = 'client backend'`
    ),
    ([row]) => Number(row?.n)
  )

  const alone = { until: (count: number) => count === 1, schedule: Schedule.spaced("50 millis") }

  it.live("is told of changes again after the server has closed its connection", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* SqlJobStore.make()
      const told: Array<number> = []
      const listening = yield* Effect.fork(Stream.runForEach(store.changes, () => Effect.sync(() => told.push(1))))
      const untilTold = Effect.gen(function* () {
        told.length = 0
        const isTold = Effect.sync(() => told.length > 0)
        yield* Effect.repeat(isTold, { until: (is) => is, schedule: Schedule.spaced("10 millis") })
      })
      // It has to look by itself for what was told before it listened.
      yield* Effect.timeout(untilTold, "5 seconds")
      for (let i = 0; i < 2; i++) {
        yield* Effect.fork(Effect.delay(sql`SELECT pg_notify('scheduler_jobs', 'anyone')`, "50 millis"))
        yield* Effect.timeout(untilTold, "1 second")
        const killed = yield* sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%LISTEN%'
          AND pid <> pg_backend_pid()`
        assert.lengthOf(killed, 1)
        yield* Effect.timeout(untilTold, "10 seconds")
      }
      yield* Fiber.interrupt(listening)
      yield* Effect.timeout(Effect.repeat(connections, alone), "5 seconds")
    }).pipe(Effect.scoped, onClient)
  )

  it.live("has one statement at a time on the connection that listens, however late the server answers", () =>
    Effect.gen(function* () {
      const proxy = yield* Effect.acquireRelease(
        Effect.promise(() => Proxy.start(Number(new URL(server.url).port))),
        (proxy) => Effect.promise(() => proxy.close())
      )
      const url = new URL(server.url)
      url.port = String(proxy.port)
      const warnings: Array<string> = []
      const note = ({ message }: Error) => warnings.push(message)
      process.on("warning", note)
      yield* Effect.addFinalizer(() => Effect.sync(() => process.off("warning", note)))
      const listening = Effect.gen(function* () {
        const store = yield* SqlJobStore.make()
        proxy.once("LISTEN", () => proxy.hold(["toClient"]))
        const told = yield* Effect.fork(Stream.runHead(store.changes))
        yield* Effect.sleep("500 millis")
        proxy.release()
        yield* Effect.timeout(Fiber.join(told), "5 seconds")
      })
      yield* Effect.provide(listening, postgresClient(url.href))
      assert.deepStrictEqual(warnings, [])
    }).pipe(Effect.scoped)
  )

  it.live("that never starts leaves no connection behind", () =>
    Effect.gen(function* () {
      const client = Scheduler.layer({ autoStart: false }).pipe(
        Layer.provide([Executor.layerFiber(), SqlJobStore.layer()]),
        Layer.provide(postgresClient(server.url))
      )
      for (let i = 0; i < 5; i++) yield* Effect.scoped(Layer.build(client))
      yield* connections.pipe(Effect.repeat(alone), Effect.timeout("5 seconds"), onClient)
    })
  )
})

const mariadb = await findMariadb()
if (mariadb !== undefined) {
  suite({ kind: "mariadb", start: () => Promise.resolve(mariadb), client: mariadbClient })
}
