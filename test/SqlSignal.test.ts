import type { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Option, Scope, Stream, TestClock } from "effect"
import * as SqlSignal from "../src/SqlSignal.ts"

/** A server that takes so many milliseconds for each answer, as its client sees it, which listens on one connection. */
class Server {
  listens = 0
  probes = 0
  /** How often the connection that listens was asked for something before it had answered. */
  interruptions = 0
  isDeaf = false
  isFull = false
  private busyUntil = 0
  private users = 0
  private readonly listeners = new Set<(sender: string) => void>()
  private readonly latency: number

  constructor(latency: number) {
    this.latency = latency
  }

  tell(sender: string): void {
    if (!this.isDeaf) for (const listener of this.listeners) listener(sender)
  }

  /** The connection is busy until there is an answer, even if nobody waits for it any more. */
  private readonly ask = Effect.map(Clock.currentTimeMillis, (now) => {
    if (now < this.busyUntil) this.interruptions++
    this.busyUntil = now + this.latency
  })

  private readonly listen = (_channel: string): Stream.Stream<string> =>
    Stream.asyncPush<string>((emit) => {
      const listener = (sender: string) => emit.single(sender)
      this.users++
      const stop = Effect.map(this.ask, () => {
        this.listeners.delete(listener)
        // Who uses it last closes the connection.
        if (--this.users === 0) this.busyUntil = 0
      })
      const start = Effect.map(Effect.zipRight(this.ask, Effect.sleep(this.latency)), () => {
        this.listens++
        this.listeners.add(listener)
      })
      return Effect.zipRight(
        Effect.addFinalizer(() => stop),
        start
      )
    })

  private readonly notify = (_: TemplateStringsArray, _channel: string, sender: string) =>
    Effect.suspend(() =>
      Effect.map(this.isFull ? Effect.never : Effect.sleep(this.latency), () => {
        this.probes++
        this.tell(sender)
      })
    )

  get client(): SqlClient.SqlClient {
    return Object.assign(this.notify, { listen: this.listen }) as unknown as SqlClient.SqlClient
  }
}

const hearing = (server: Server) =>
  Effect.gen(function* () {
    const hints: Array<number> = []
    const signal = yield* SqlSignal.make(server.client, "jobs")
    const hear = Stream.runForEach(signal!.received, () =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        hints.push(now)
      })
    )
    return { hints, hearing: yield* Effect.forkScoped(hear) }
  })

describe("a signal", () => {
  for (const latency of [0, 90, 300, 2500]) {
    it.scoped(`on a server that answers in ${latency} ms asks one thing at a time of the connection that listens`, () =>
      Effect.gen(function* () {
        const server = new Server(latency)
        const { hints } = yield* hearing(server)
        yield* TestClock.adjust("1 minute")
        assert.lengthOf(hints, 1)
        server.tell("somebody")
        yield* TestClock.adjust("1 minute")
        assert.lengthOf(hints, 2)
        assert.deepStrictEqual([server.listens, server.interruptions], [1, 0])
      })
    )
  }

  it.scoped("that is heard no more is listened for anew, and there is a hint for what was told meanwhile", () =>
    Effect.gen(function* () {
      const server = new Server(10)
      const { hints } = yield* hearing(server)
      yield* TestClock.adjust("1 minute")
      server.isDeaf = true
      yield* TestClock.adjust("8 seconds")
      server.isDeaf = false
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual([hints.length, server.listens, server.interruptions], [2, 2, 0])
    })
  )

  it.scoped("that cannot ask for a sign of life, since all connections of the pool are in use, is not given up", () =>
    Effect.gen(function* () {
      const server = new Server(10)
      const { hints } = yield* hearing(server)
      yield* TestClock.adjust("1 second")
      server.isFull = true
      yield* TestClock.adjust("1 minute")
      server.isFull = false
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([hints.length, server.listens], [1, 1])
    })
  )

  it.scoped("asks for no sign of life while it hears others", () =>
    Effect.gen(function* () {
      const server = new Server(10)
      const { hints } = yield* hearing(server)
      yield* TestClock.adjust("1 second")
      const [probes, heard] = [server.probes, hints.length]
      for (let i = 0; i < 30; i++) {
        server.tell("somebody")
        yield* TestClock.adjust("2 seconds")
      }
      assert.deepStrictEqual([server.probes, hints.length], [probes, heard + 30])
    })
  )

  it.scoped("does not hear itself", () =>
    Effect.gen(function* () {
      const server = new Server(10)
      const signal = (yield* SqlSignal.make(server.client, "jobs"))!
      const hints: Array<void> = []
      yield* Effect.forkScoped(Stream.runForEach(signal.received, (hint) => Effect.sync(() => hints.push(hint))))
      yield* TestClock.adjust("1 second")
      yield* signal.send
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(hints, 1)
    })
  )

  it.effect("lets nobody wait for what is told, and tells what is wanted meanwhile once", () =>
    Effect.gen(function* () {
      const server = new Server(100)
      const scope = yield* Scope.make()
      const signal = (yield* Scope.extend(SqlSignal.make(server.client, "jobs"), scope))!
      yield* Effect.repeatN(Effect.zipRight(signal.send, Effect.yieldNow()), 9)
      assert.strictEqual(server.probes, 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(server.probes, 2)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(server.probes, 2)
    })
  )

  it.effect("tells the last thing before its scope ends, and waits for no answer for more than a second each", () =>
    Effect.gen(function* () {
      for (const isFull of [false, true]) {
        const server = new Server(100)
        const scope = yield* Scope.make()
        const signal = (yield* Scope.extend(SqlSignal.make(server.client, "jobs"), scope))!
        server.isFull = isFull
        yield* signal.send
        // The first one is under way.
        yield* TestClock.adjust(50)
        yield* signal.send
        const ending = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* TestClock.adjust("1 second")
        yield* TestClock.adjust("1 second")
        assert.isTrue(Option.isSome(yield* Fiber.poll(ending)))
        assert.strictEqual(server.probes, isFull ? 0 : 2)
      }
    })
  )
})
