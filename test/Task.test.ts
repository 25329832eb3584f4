import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Context,
  DateTime,
  Deferred,
  Effect,
  Either,
  Exit,
  FastCheck,
  Layer,
  Option,
  Ref,
  Schema,
  Scope
} from "effect"
import { inspect } from "node:util"
import { RunContext } from "../src/RunContext.ts"
import { InvalidOption, type InvalidPayload } from "../src/SchedulerError.ts"
import * as Task from "../src/Task.ts"

const context: RunContext["Type"] = {
  jobId: "job",
  runId: "job/1/key",
  task: "Task",
  scheduledAt: DateTime.unsafeMake(0),
  attempt: 1,
  previous: Effect.succeedNone,
  previousSuccess: Effect.succeedNone,
  progress: () => Effect.void
}

/** An attempt as an executor carries it out: in the context of the handler, with a Scope and a RunContext of its own. */
const inAttempt = (handler: Task.Handler, payload: unknown) =>
  Effect.suspend(() => handler.run(payload)).pipe(
    Effect.scoped,
    Effect.provideService(RunContext, context),
    Effect.provide(handler.context)
  )

/** One attempt of the only handler of a layer. */
const attempt = <Name extends string, E>(layer: Layer.Layer<Task.Handler<Name>, E>, payload: unknown = null) =>
  Effect.scoped(
    Effect.flatMap(Layer.build(layer), (services) => {
      const [handler] = Task.handlers(services).values()
      return inAttempt(handler!, payload)
    })
  )

const defectOf = <A, E>(exit: Exit.Exit<A, E>): unknown =>
  Option.getOrThrow(Option.flatMap(Exit.causeOption(exit), Cause.dieOption))

class Greeter extends Context.Tag("test/Greeter")<Greeter, { readonly greet: (name: string) => string }>() {}

const Greet = Task.make("Greet", { payload: Schema.Struct({ name: Schema.String }), success: Schema.String })

const GreetLive = Task.toLayer(Greet, ({ name }) => Effect.map(Greeter, ({ greet }) => greet(name)))

const polite = Layer.succeed(Greeter, { greet: (name) => `Good evening, ${name}` })

describe("Task.make", () => {
  it("keeps its name, its Schemas and the policy options, and nothing else", () => {
    const options = { payload: Schema.String, success: Schema.Number, error: Schema.Boolean }
    const task = Task.make("Name", { ...options, maxInstances: 2, timeout: "1 minute" })
    const { [Task.TypeId]: _, isRetryable, ...fields } = task
    assert.deepStrictEqual(fields, { name: "Name", ...options, defaults: { maxInstances: 2, timeout: "1 minute" } })
    assert.isTrue(isRetryable(false))
  })

  it("keeps the while of its retry apart from what stores keep", () => {
    const error = Schema.Struct({ code: Schema.Number })
    const task = Task.make("Name", { error, retry: { times: 3, while: ({ code }) => code >= 500 } })
    assert.deepStrictEqual(task.defaults, { retry: { times: 3 } })
    assert.deepStrictEqual([task.isRetryable({ code: 404 }), task.isRetryable({ code: 503 })], [false, true])
  })

  it("retries whatever error there is where it is not told", () => {
    const tasks = [
      Task.make("A", { retry: { times: 1 } }),
      Task.make("B"),
      Task.make("C", { retry: { while: undefined } })
    ]
    assert.deepStrictEqual(
      tasks.map((task) => [task.defaults, task.isRetryable(new Error("x"))]),
      [
        [{ retry: { times: 1 } }, true],
        [{}, true],
        [{ retry: {} }, true]
      ]
    )
  })

  it("checks the while of its retry by the type of its error", () => {
    const error = Schema.Struct({ code: Schema.Number })
    // @ts-expect-error: the error has no status
    assert.isObject(Task.make("Name", { error, retry: { while: ({ status }) => status >= 500 } }))
  })

  it("takes no payload, and any value and error, where it is not told", () => {
    const task = Task.make("Name")
    assert.deepStrictEqual(
      [task.payload, task.success, task.error, task.defaults],
      [Schema.Void, Schema.Unknown, Schema.Unknown, {}]
    )
  })

  it("refuses a policy option outside its domain", () => {
    assert.throws(() => Task.make("Name", { maxInstances: 0 }), InvalidOption)
    assert.throws(() => Task.make("Name", { retry: { times: -1 } }), InvalidOption)
  })
})

describe("Task.encodePayload", () => {
  const encode = (payload: Schema.Schema.AnyNoContext, value: unknown) =>
    Task.encodePayload(Task.make("Task", { payload }), value)

  const refusal = (payload: Schema.Schema.AnyNoContext, value: unknown): InvalidPayload =>
    Either.match(encode(payload, value), {
      onLeft: (error) => error,
      onRight: (encoded) => assert.fail(`${inspect(encoded)} is accepted`)
    })

  const paths = (payload: Schema.Schema.AnyNoContext, value: unknown) =>
    refusal(payload, value).issues.map(({ path }) => path)

  const User = Schema.Struct({
    id: Schema.NumberFromString,
    name: Schema.NonEmptyString,
    address: Schema.Struct({ lines: Schema.Array(Schema.String) }),
    tags: Schema.optionalWith(Schema.Array(Schema.Struct({ key: Schema.String })), { exact: true })
  })
  const user = { id: 1, name: "x", address: { lines: ["a", "b"] } }

  const accepted: ReadonlyArray<
    readonly [name: string, payload: Schema.Schema.AnyNoContext, value: unknown, encoded: unknown]
  > = [
    ["nothing", Schema.Void, undefined, null],
    ["null", Schema.Null, null, null],
    ["text", Schema.String, "", ""],
    ["a number", Schema.Number, -1.5, -1.5],
    ["zero and false", Schema.Tuple(Schema.Number, Schema.Boolean), [0, false], [0, false]],
    ["a struct", User, user, { ...user, id: "1" }],
    ["an instant", Schema.Date, new Date(0), "1970-01-01T00:00:00.000Z"],
    ["a big integer as text", Schema.BigInt, 12n, "12"],
    ["a set as a list", Schema.Set(Schema.Number), new Set([1, 2]), [1, 2]],
    ["a class as a struct", Schema.DateTimeUtc, DateTime.unsafeMake(0), "1970-01-01T00:00:00.000Z"],
    ["a plain object without a prototype", Schema.Unknown, Object.create(null), {}]
  ]
  for (const [name, payload, value, encoded] of accepted) {
    it(`gives ${name} in its encoded form`, () => {
      assert.deepStrictEqual(Either.getOrThrow(encode(payload, value)), encoded)
    })
  }

  it("leaves out fields that are undefined", () => {
    const payload = Schema.Struct({
      a: Schema.Number,
      b: Schema.optional(Schema.String),
      c: Schema.UndefinedOr(Schema.String)
    })
    const encoded = Either.getOrThrow(encode(payload, { a: 1, b: undefined, c: undefined }))
    assert.strictEqual(JSON.stringify(encoded), `{"a":1}`)
  })

  const refused: ReadonlyArray<
    readonly [name: string, payload: Schema.Schema.AnyNoContext, value: unknown, path: string]
  > = [
    ["the payload as a whole", Schema.String, 1, ""],
    ["a field", User, { ...user, name: "" }, "name"],
    ["a missing field", User, { id: 1, name: "x" }, "address"],
    ["an index of a nested list", User, { ...user, address: { lines: ["a", 1] } }, "address.lines.1"],
    ["a struct in a list", User, { ...user, tags: [{ key: "a" }, { key: 2 }] }, "tags.1.key"],
    ["a key of a record", Schema.Record({ key: Schema.String, value: Schema.Number }), { a: 1, b: "2" }, "b"]
  ]
  for (const [name, payload, value, path] of refused) {
    it(`refuses ${name} by its path`, () => {
      const error = refusal(payload, value)
      assert.deepStrictEqual(
        [error._tag, error.task, error.issues.map((issue) => issue.path)],
        ["InvalidPayload", "Task", [path]]
      )
      const { message } = error.issues[0]!
      assert.isNotEmpty(message)
      const where = path === "" ? message : `${path}: ${message}`
      assert.strictEqual(error.message, `Invalid payload for task "Task": ${where}`)
    })
  }

  it("names each field at fault", () => {
    assert.deepStrictEqual(paths(User, { id: 1, name: "", address: { lines: [1, "b", 2] } }), [
      "name",
      "address.lines.0",
      "address.lines.2"
    ])
  })

  class Point {
    readonly x = 1
  }

  const notJson: ReadonlyArray<
    readonly [name: string, payload: Schema.Schema.AnyNoContext, value: unknown, path: string]
  > = [
    ["a Date", Schema.DateFromSelf, new Date(0), ""],
    [
      "a Date in a struct",
      Schema.Struct({ a: Schema.Struct({ b: Schema.DateFromSelf }) }),
      { a: { b: new Date(0) } },
      "a.b"
    ],
    ["a Date in a list", Schema.Struct({ a: Schema.Array(Schema.DateFromSelf) }), { a: [new Date(0)] }, "a.0"],
    ["a big integer", Schema.Struct({ a: Schema.BigIntFromSelf }), { a: 1n }, "a"],
    ["an infinite number", Schema.Struct({ a: Schema.Array(Schema.Number) }), { a: [1, Infinity] }, "a.1"],
    ["a number below all others", Schema.Number, -Infinity, ""],
    ["no number", Schema.Struct({ a: Schema.Number }), { a: NaN }, "a"],
    ["a Map", Schema.Struct({ a: Schema.Unknown }), { a: new Map() }, "a"],
    ["a function", Schema.Struct({ a: Schema.Unknown }), { a: () => 1 }, "a"],
    ["a symbol", Schema.Struct({ a: Schema.Unknown }), { a: Symbol.iterator }, "a"],
    ["an instance of a class", Schema.Struct({ a: Schema.Unknown }), { a: new Point() }, "a"]
  ]
  for (const [name, payload, value, path] of notJson) {
    it(`refuses ${name} that would not survive JSON, by its path`, () => {
      assert.deepStrictEqual(refusal(payload, value).issues, [
        { path, message: "its encoded form is not JSON; give the field a Schema that encodes it" }
      ])
    })
  }

  it("names each field that would not survive JSON", () => {
    const payload = Schema.Struct({ a: Schema.Number, b: Schema.Number, c: Schema.DateFromSelf })
    assert.deepStrictEqual(paths(payload, { a: NaN, b: 1, c: new Date(0) }), ["a", "c"])
  })

  it("refuses undefined in a list, which JSON would turn into null", () => {
    assert.deepStrictEqual(paths(Schema.Array(Schema.UndefinedOr(Schema.String)), ["a", undefined]), ["1"])
  })

  it("refuses a value that contains itself", () => {
    const value: Record<string, unknown> = {}
    value.self = { value }
    assert.strictEqual(refusal(Schema.Unknown, value)._tag, "InvalidPayload")
  })

  it.prop("accepts whatever is JSON, as it is", [FastCheck.jsonValue()], ([value]) => {
    assert.deepStrictEqual(Either.getOrThrow(encode(Schema.Unknown, value)), value)
  })

  it.prop("refuses or survives JSON, whatever it is", [FastCheck.anything()], ([value]) => {
    const encoded = encode(Schema.Unknown, value)
    if (Either.isLeft(encoded)) return
    const text = JSON.stringify(encoded.right)
    assert.strictEqual(JSON.stringify(JSON.parse(text)), text)
    assert.notStrictEqual(text, undefined)
  })
})

describe("Task.toLayer", () => {
  it.effect("attaches a function: decoded payload in, encoded value out", () =>
    Effect.gen(function* () {
      const Wait = Task.make("Wait", {
        payload: Schema.Struct({ until: Schema.DateTimeUtc, times: Schema.NumberFromString }),
        success: Schema.Struct({ at: Schema.DateTimeUtc, times: Schema.NumberFromString })
      })
      const WaitLive = Task.toLayer(Wait, ({ times, until }) =>
        Effect.succeed({ at: DateTime.add(until, { hours: times }), times: times + 1 })
      )
      assert.deepStrictEqual(yield* attempt(WaitLive, { until: "2026-01-01T00:00:00.000Z", times: "3" }), {
        at: "2026-01-01T03:00:00.000Z",
        times: "4"
      })
    })
  )

  it.effect("attaches what an Effect makes, which is made once for all attempts", () =>
    Effect.gen(function* () {
      const built = yield* Ref.make(0)
      const Count = Task.make("Count", { success: Schema.Number })
      const CountLive = Task.toLayer(
        Count,
        Effect.gen(function* () {
          yield* Ref.update(built, (n) => n + 1)
          const calls = yield* Ref.make(0)
          return () => Ref.updateAndGet(calls, (n) => n + 1)
        })
      )
      const services = yield* Layer.build(CountLive)
      const handler = Task.handlers(services).get("Count")!
      const counts = yield* Effect.forEach([1, 2, 3], () => inAttempt(handler, null))
      assert.deepStrictEqual([counts, yield* built], [[1, 2, 3], 1])
    }).pipe(Effect.scoped)
  )

  it.effect("fails to be built as the Effect that makes the handler does", () =>
    Effect.gen(function* () {
      const broken: Layer.Layer<Task.Handler<"Greet">, "no connection"> = Task.toLayer(
        Greet,
        Effect.fail("no connection" as const)
      )
      assert.deepStrictEqual(yield* Effect.exit(attempt(broken, { name: "x" })), Exit.fail("no connection" as const))
    })
  )

  it.effect("requires what the handler requires", () =>
    Effect.gen(function* () {
      const open: Layer.Layer<Task.Handler<"Greet">, never, Greeter> = GreetLive
      // @ts-expect-error: Greeter is still to be provided
      const closed: Layer.Layer<Task.Handler<"Greet">> = GreetLive
      assert.strictEqual(open, closed)
      assert.strictEqual(yield* attempt(Layer.provide(GreetLive, polite), { name: "Ada" }), "Good evening, Ada")
    })
  )

  it.effect("requires what the Effect that makes the handler requires", () =>
    Effect.gen(function* () {
      const make = Effect.map(
        Greeter,
        ({ greet }) =>
          (payload: { readonly name: string }) =>
            Effect.sync(() => greet(payload.name))
      )
      const open: Layer.Layer<Task.Handler<"Greet">, never, Greeter> = Task.toLayer(Greet, make)
      // @ts-expect-error: Greeter is still to be provided
      const closed: Layer.Layer<Task.Handler<"Greet">> = Task.toLayer(Greet, make)
      for (const layer of [open, closed]) {
        assert.strictEqual(yield* attempt(Layer.provide(layer, polite), { name: "Ada" }), "Good evening, Ada")
      }
    })
  )

  it.effect("does not require RunContext and Scope, which are those of the attempt", () =>
    Effect.gen(function* () {
      const closed = yield* Ref.make(false)
      const Look = Task.make("Look", { success: Schema.String })
      const LookLive: Layer.Layer<Task.Handler<"Look">> = Task.toLayer(Look, () =>
        Effect.gen(function* () {
          yield* Effect.addFinalizer(() => Ref.set(closed, true))
          const { attempt, runId } = yield* RunContext
          return `${runId} ${attempt} ${yield* closed}`
        })
      )
      const services = yield* Layer.build(LookLive)
      const value = yield* inAttempt(Task.handlers(services).get("Look")!, null)
      assert.deepStrictEqual([value, yield* closed], ["job/1/key 1 false", true])
    }).pipe(Effect.scoped)
  )

  it.effect("does not let the RunContext in which it was built into an attempt", () =>
    Effect.gen(function* () {
      const Look = Task.make("Look", { success: Schema.String })
      const LookLive = Task.toLayer(Look, () => Effect.map(RunContext, ({ runId }) => runId))
      const services = yield* Layer.build(LookLive).pipe(
        Effect.provideService(RunContext, { ...context, runId: "outer" })
      )
      assert.strictEqual(yield* inAttempt(Task.handlers(services).get("Look")!, null), "job/1/key")
    }).pipe(Effect.scoped)
  )

  it.effect("gives a handler the services of its layer, whatever there are around the attempt", () =>
    Effect.gen(function* () {
      const rude = { greet: (name: string) => `Hey ${name}` }
      const services = yield* Layer.build(Layer.provide(GreetLive, polite))
      const run = inAttempt(Task.handlers(services).get("Greet")!, { name: "Ada" })
      assert.strictEqual(yield* Effect.provideService(run, Greeter, rude), "Good evening, Ada")
    }).pipe(Effect.scoped)
  )

  it("takes no handler of another payload, value or error", () => {
    const Strict = Task.make("Strict", { payload: Schema.String, success: Schema.Number, error: Schema.String })
    const wrong = Effect.succeed((n: number) => Effect.succeed(n))
    const layers = [
      Task.toLayer(Strict, (text) => (text === "" ? Effect.fail("empty") : Effect.succeed(text.length))),
      // @ts-expect-error: the payload is no number
      Task.toLayer(Strict, (n: number) => Effect.succeed(n)),
      // @ts-expect-error: the value is no text
      Task.toLayer(Strict, (text) => Effect.succeed(text)),
      // @ts-expect-error: the error is no number
      Task.toLayer(Strict, () => Effect.fail(1)),
      // @ts-expect-error: the payload of what the Effect makes is no number
      Task.toLayer(Strict, wrong)
    ]
    assert.isTrue(layers.every(Layer.isLayer))
  })
})

describe("an attempt", () => {
  const Any = Task.make("Any")

  it.effect("of a task without Schemas takes any Effect, whose value is not recorded", () =>
    Effect.gen(function* () {
      const values: ReadonlyArray<unknown> = [1, "x", null, undefined, 1n, new Map(), () => 1]
      for (const value of values) {
        const AnyLive: Layer.Layer<Task.Handler<"Any">> = Task.toLayer(Any, () => Effect.succeed(value))
        assert.isUndefined(yield* attempt(AnyLive))
      }
    })
  )

  it.effect("of a task without a payload is called with none, whatever is stored", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const AnyLive = Task.toLayer(Any, (payload) => Effect.sync(() => seen.push(payload)))
      for (const stored of [null, undefined, "left over", { a: 1 }]) yield* attempt(AnyLive, stored)
      assert.deepStrictEqual(seen, [undefined, undefined, undefined, undefined])
    })
  )

  it.effect("sees an absent payload as absent", () =>
    Effect.gen(function* () {
      const Maybe = Task.make("Maybe", { payload: Schema.UndefinedOr(Schema.String), success: Schema.String })
      const MaybeLive = Task.toLayer(Maybe, (payload = "nothing") => Effect.succeed(payload))
      const told = yield* Effect.forEach(["text", undefined], (payload) =>
        attempt(MaybeLive, Either.getOrThrow(Task.encodePayload(Maybe, payload)))
      )
      assert.deepStrictEqual(told, ["text", "nothing"])
    })
  )

  it.effect("sees a payload of null as null", () =>
    Effect.gen(function* () {
      const Maybe = Task.make("Maybe", { payload: Schema.NullishOr(Schema.String), success: Schema.String })
      const MaybeLive = Task.toLayer(Maybe, (payload) => Effect.succeed(String(payload)))
      assert.strictEqual(yield* attempt(MaybeLive, Either.getOrThrow(Task.encodePayload(Maybe, null))), "null")
    })
  )

  const failures: ReadonlyArray<readonly [name: string, error: unknown, message: string]> = [
    ["text", "it broke", "it broke"],
    ["an Error", new TypeError("it broke"), "it broke"],
    ["an object", { code: 7 }, `{"code":7}`],
    ["a number", 42, "42"]
  ]
  for (const [name, error, message] of failures) {
    it.effect(`that fails with ${name} tells it as text alone, for a task without Schemas`, () =>
      Effect.gen(function* () {
        const failure = yield* Effect.flip(attempt(Task.toLayer(Any, () => Effect.fail(error))))
        assert.strictEqual(failure.message, message)
        assert.notProperty(failure, "error")
      })
    )
  }

  class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { left: Schema.NumberFromString }) {
    override get message(): string {
      return `only ${this.left} left`
    }
  }
  const Ship = Task.make("Ship", { success: Schema.NonEmptyString, error: OutOfStock })

  it.effect("that fails with a typed error tells it as text and in its encoded form", () =>
    Effect.gen(function* () {
      const failure = yield* Effect.flip(attempt(Task.toLayer(Ship, () => new OutOfStock({ left: 3 }))))
      assert.deepInclude(failure, { message: "only 3 left", error: { _tag: "OutOfStock", left: "3" } })
    })
  )

  const picky = (error: OutOfStock) => error.left > 0
  const Picky = Task.make("Ship", { error: OutOfStock, retry: { times: 3, while: picky } })

  it.effect("whose typed error its task does not retry says that it is final, in so many words and in its error", () =>
    Effect.gen(function* () {
      const failures = yield* Effect.forEach([0, 3], (left) =>
        Effect.flip(attempt(Task.toLayer(Picky, () => new OutOfStock({ left }))))
      )
      assert.deepInclude(failures[0], {
        isFinal: true,
        message: "only 0 left",
        error: { _tag: "OutOfStock", left: "0" }
      })
      assert.notProperty(failures[1], "isFinal")
    })
  )

  it.effect("whose untyped error its task does not retry says that it is final", () =>
    Effect.gen(function* () {
      const task = Task.make("Any", { retry: { while: (error) => error !== "hopeless" } })
      const fail = (error: string) => Effect.flip(attempt(Task.toLayer(task, () => Effect.fail(error))))
      assert.deepInclude(yield* fail("hopeless"), { message: "hopeless", isFinal: true })
      assert.notProperty(yield* fail("unlucky"), "isFinal")
    })
  )

  it.effect("whose error cannot be encoded says that it is final all the same", () =>
    Effect.gen(function* () {
      const error = Schema.String.pipe(Schema.maxLength(3))
      const task = Task.make("Short", { error, retry: { while: () => false } })
      const failure = yield* Effect.flip(attempt(Task.toLayer(task, () => Effect.fail("too long"))))
      assert.deepInclude(failure, { message: "too long", isFinal: true })
    })
  )

  it.effect("whose while throws is a defect", () =>
    Effect.gen(function* () {
      const throwing = () => {
        throw new Error("no such thing")
      }
      const task = Task.make("Any", { retry: { while: throwing } })
      const exit = yield* Effect.exit(attempt(Task.toLayer(task, () => Effect.fail("x"))))
      assert.include(String(defectOf(exit)), "no such thing")
    })
  )

  it.effect("that dies is not asked whether it is worth another one", () =>
    Effect.gen(function* () {
      let calls = 0
      const task = Task.make("Any", { retry: { while: () => ++calls < 0 } })
      yield* Effect.exit(attempt(Task.toLayer(task, () => Effect.die("x"))))
      assert.strictEqual(calls, 0)
    })
  )

  it.effect("that fails with an error its Schema cannot encode tells it as text alone", () =>
    Effect.gen(function* () {
      const Short = Task.make("Short", { error: Schema.String.pipe(Schema.maxLength(3)) })
      const failure = yield* Effect.flip(attempt(Task.toLayer(Short, () => Effect.fail("too long"))))
      assert.strictEqual(failure.message, "too long")
      assert.notProperty(failure, "error")
    })
  )

  it.effect("whose error would not survive JSON tells it as text alone", () =>
    Effect.gen(function* () {
      const Due = Task.make("Due", { error: Schema.Struct({ at: Schema.DateFromSelf }) })
      const failure = yield* Effect.flip(attempt(Task.toLayer(Due, () => Effect.fail({ at: new Date(0) }))))
      assert.notProperty(failure, "error")
    })
  )

  it.effect("that fails with a value without a text form fails all the same", () =>
    Effect.gen(function* () {
      const failure = yield* Effect.flip(attempt(Task.toLayer(Any, () => Effect.fail({ left: 7n }))))
      assert.isNotEmpty(failure.message)
    })
  )

  it.effect("whose value cannot be encoded is a defect", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(attempt(Task.toLayer(Ship, () => Effect.succeed(""))))
      assert.include(String(defectOf(exit)), "NonEmptyString")
    })
  )

  it.effect("whose value would not survive JSON is a defect", () =>
    Effect.gen(function* () {
      const Big = Task.make("Big", { success: Schema.Struct({ total: Schema.BigIntFromSelf }) })
      const exit = yield* Effect.exit(attempt(Task.toLayer(Big, () => Effect.succeed({ total: 7n }))))
      assert.include(String(defectOf(exit)), "total")
    })
  )

  it.effect("whose payload cannot be decoded is a defect, and its handler is not called", () =>
    Effect.gen(function* () {
      let calls = 0
      const layer = Task.toLayer(Greet, () => Effect.sync(() => String(++calls)))
      const exit = yield* Effect.exit(attempt(layer, { name: 1 }))
      assert.include(String(defectOf(exit)), `["name"]`)
      assert.strictEqual(calls, 0)
    })
  )

  it.effect("whose payload makes its Schema throw is a defect", () =>
    Effect.gen(function* () {
      const Throwing = Schema.transform(Schema.String, Schema.String, {
        decode: () => {
          throw new Error("no such thing")
        },
        encode: (text) => text
      })
      const layer = Task.toLayer(Task.make("Throwing", { payload: Throwing }), () => Effect.void)
      const handler = Task.handlers(yield* Layer.build(layer)).get("Throwing")!
      assert.include(String(defectOf(yield* Effect.exit(inAttempt(handler, "x")))), "no such thing")
    }).pipe(Effect.scoped)
  )

  it.effect("whose handler throws or dies is a defect", () =>
    Effect.gen(function* () {
      const throws = Task.toLayer(Any, (): Effect.Effect<void> => {
        throw new Error("thrown")
      })
      const dies = Task.toLayer(Any, () => Effect.die(new Error("died")))
      assert.include(String(defectOf(yield* Effect.exit(attempt(throws)))), "thrown")
      assert.include(String(defectOf(yield* Effect.exit(attempt(dies)))), "died")
    })
  )

  it.effect("passes an interruption on to its handler", () =>
    Effect.gen(function* () {
      const [started, interrupted] = yield* Effect.all([Deferred.make<void>(), Deferred.make<void>()])
      const layer = Task.toLayer(Any, () =>
        Effect.zipRight(Deferred.succeed(started, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
        )
      )
      const fiber = yield* Effect.fork(attempt(layer))
      yield* Deferred.await(started)
      assert.isTrue(Exit.isInterrupted(yield* fiber.interruptAsFork(fiber.id()).pipe(Effect.zipRight(fiber.await))))
      assert.isTrue(yield* Deferred.isDone(interrupted))
    })
  )
})

describe("Task.remote", () => {
  it.effect("lets a scheduler know tasks, whose attempts are defects where their code is not", () =>
    Effect.gen(function* () {
      const [A, B] = [Task.make("A", { payload: Schema.Number }), Task.make("B")]
      const live: Layer.Layer<Task.Handler<"A"> | Task.Handler<"B">> = Task.remote(A, B)
      const handlers = Task.handlers(yield* Layer.build(live))
      assert.deepStrictEqual(
        [...handlers].map(([name, { task }]) => [name, task]),
        [
          ["A", A],
          ["B", B]
        ]
      )
      const cause = yield* Effect.flip(Effect.sandbox(inAttempt(handlers.get("A")!, 1)))
      assert.include(Cause.pretty(cause), 'Task "A" was declared by Task.remote')
    }).pipe(Effect.scoped)
  )
})

describe("Task.handlers", () => {
  const layerOf = <Name extends string>(name: Name) =>
    Task.toLayer(Task.make(name, { success: Schema.String }), () => Effect.succeed(`I am ${name}`))

  it.effect("finds those of all layers merged, by name, and nothing else", () =>
    Effect.gen(function* () {
      const live: Layer.Layer<Task.Handler<"A"> | Task.Handler<"B"> | Task.Handler<"with/slash"> | Greeter> =
        Layer.mergeAll(layerOf("A"), polite, layerOf("B"), layerOf("with/slash"))
      const handlers = Task.handlers(yield* Layer.build(live))
      assert.sameMembers([...handlers.keys()], ["A", "B", "with/slash"])
      for (const [name, handler] of handlers) {
        assert.strictEqual(handler.task.name, name)
        assert.strictEqual(yield* inAttempt(handler, null), `I am ${name}`)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("finds the one provided last where two are for one task", () =>
    Effect.gen(function* () {
      const of = (text: string) => Task.toLayer(Task.make("A", { success: Schema.String }), () => Effect.succeed(text))
      const handlers = Task.handlers(yield* Layer.build(Layer.merge(of("first"), of("second"))))
      assert.strictEqual(yield* inAttempt(handlers.get("A")!, null), "second")
      assert.strictEqual(handlers.size, 1)
    }).pipe(Effect.scoped)
  )

  it("finds none in an empty context", () => {
    assert.strictEqual(Task.handlers(Context.empty()).size, 0)
    assert.strictEqual(Task.handlers(Context.make(Scope.Scope, Effect.runSync(Scope.make()))).size, 0)
  })
})
