import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Exit, FastCheck, Fiber, Option, Schema, Scope, Stream } from "effect"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import * as SchedulerEvent from "../src/SchedulerEvent.ts"

type Event = SchedulerEvent.SchedulerEvent

const at = DateTime.unsafeMake(0)

const added = (n: number): Event => ({ _tag: "JobAdded", at, jobId: String(n) })

const publish = (hub: SchedulerEvent.Hub, from: number, to = from) => {
  for (let n = from; n <= to; n++) hub.publish(added(n))
}

/** An event in a word: its number, or how many were lost. */
const word = (event: Event): string =>
  event._tag === "EventsDropped" ? `lost ${event.count}` : "jobId" in event ? event.jobId : event._tag

const words = (events: Iterable<Event>): ReadonlyArray<string> => Array.from(events, word)

/** A listener that takes what there is whenever it is asked. */
const listen = (hub: SchedulerEvent.Hub) =>
  Effect.map(Effect.flatMap(hub.subscribe, Stream.toPull), (pull) => Effect.map(Effect.orDie(pull), words))

/** A listener that takes all there is as soon as it can, and the list of what it heard. */
const follow = (events: Stream.Stream<Event>) =>
  Effect.gen(function* () {
    const heard: Array<string> = []
    const fiber = yield* Effect.fork(Stream.runForEach(events, (event) => Effect.sync(() => heard.push(word(event)))))
    yield* settled
    return { heard, fiber }
  })

/** Lets every other fiber go as far as it can. */
const settled = Effect.repeatN(Effect.yieldNow(), 50)

/** A hub that ends when it is told to. */
const endingHub = (capacity: number) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const hub = yield* Scope.extend(SchedulerEvent.makeHub(capacity), scope)
    return { hub, end: Scope.close(scope, Exit.void) }
  })

/** All that a stream gives, which must have ended. */
const collectEnded = (events: Stream.Stream<Event>) =>
  Effect.gen(function* () {
    const { fiber, heard } = yield* follow(events)
    assert.isTrue(Option.isSome(yield* Fiber.poll(fiber)), `it has not ended after ${heard.join()}`)
    return heard
  })

describe("a listener", () => {
  it.scoped("hears all events in the order in which they were published", () =>
    Effect.gen(function* () {
      const hub = yield* SchedulerEvent.makeHub(100)
      const next = yield* listen(hub)
      publish(hub, 1, 3)
      assert.deepStrictEqual(yield* next, ["1", "2", "3"])
      publish(hub, 4, 5)
      assert.deepStrictEqual(yield* next, ["4", "5"])
    })
  )

  it.scoped("hears every event that others hear", () =>
    Effect.gen(function* () {
      const hub = yield* SchedulerEvent.makeHub(100)
      const [first, second] = yield* Effect.all([listen(hub), listen(hub)])
      publish(hub, 1, 2)
      assert.deepStrictEqual(yield* first, ["1", "2"])
      publish(hub, 3)
      assert.deepStrictEqual([yield* first, yield* second], [["3"], ["1", "2", "3"]])
    })
  )

  it.scoped("hears nothing of what was before it", () =>
    Effect.gen(function* () {
      const hub = yield* SchedulerEvent.makeHub(100)
      publish(hub, 1)
      const next = yield* listen(hub)
      publish(hub, 2)
      assert.deepStrictEqual(yield* next, ["2"])
    })
  )

  it.scoped("that subscribes hears from then on, even before its stream runs", () =>
    Effect.gen(function* () {
      const hub = yield* SchedulerEvent.makeHub(100)
      const events = yield* hub.subscribe
      publish(hub, 1, 2)
      assert.deepStrictEqual(words(yield* Stream.runCollect(Stream.take(events, 2))), ["1", "2"])
    })
  )

  it.scoped("of events hears from when its stream runs, each time anew", () =>
    Effect.gen(function* () {
      const hub = yield* SchedulerEvent.makeHub(100)
      publish(hub, 1)
      const first = yield* follow(hub.events)
      publish(hub, 2)
      const second = yield* follow(hub.events)
      publish(hub, 3)
      yield* settled
      assert.deepStrictEqual([first.heard, second.heard], [["2", "3"], ["3"]])
    })
  )
})

describe("a slow listener", () => {
  it.scoped("loses the newest, and is told how many before it hears the next", () =>
    Effect.gen(function* () {
      const hub = yield* SchedulerEvent.makeHub(3)
      const next = yield* listen(hub)
      publish(hub, 1, 10)
      assert.deepStrictEqual(yield* next, ["1", "2", "3"])
      publish(hub, 11, 12)
      assert.deepStrictEqual(yield* next, ["lost 7", "11", "12"])
      publish(hub, 13)
      assert.deepStrictEqual(yield* next, ["13"])
    })
  )

  it.scoped("loses none as long as it is no more than its capacity behind", () =>
    Effect.gen(function* () {
      const hub = yield* SchedulerEvent.makeHub(3)
      const next = yield* listen(hub)
      publish(hub, 1, 3)
      assert.deepStrictEqual(yield* next, ["1", "2", "3"])
      publish(hub, 4, 6)
      assert.deepStrictEqual(yield* next, ["4", "5", "6"])
    })
  )

  it.scoped("is told of each gap on its own", () =>
    Effect.gen(function* () {
      const hub = yield* SchedulerEvent.makeHub(2)
      const next = yield* listen(hub)
      publish(hub, 1, 5)
      assert.deepStrictEqual(yield* next, ["1", "2"])
      // The word of the loss takes one of the two places.
      publish(hub, 6, 8)
      assert.deepStrictEqual(yield* next, ["lost 3", "6"])
      publish(hub, 9)
      assert.deepStrictEqual(yield* next, ["lost 2", "9"])
    })
  )

  it.scoped("does not slow down publish, nor what others hear", () =>
    Effect.gen(function* () {
      const hub = yield* SchedulerEvent.makeHub(2)
      const slow = yield* listen(hub)
      const fast = yield* listen(hub)
      const heard: Array<string> = []
      for (let n = 1; n <= 1000; n++) {
        publish(hub, n)
        heard.push(...(yield* fast))
      }
      assert.deepStrictEqual(
        heard,
        Array.from({ length: 1000 }, (_, i) => String(i + 1))
      )
      assert.deepStrictEqual(yield* slow, ["1", "2"])
      publish(hub, 1001)
      assert.deepStrictEqual(yield* slow, ["lost 998", "1001"])
    })
  )

  it.scoped("hears of events again once it has caught up, even with room for one only", () =>
    Effect.gen(function* () {
      const hub = yield* SchedulerEvent.makeHub(1)
      const next = yield* listen(hub)
      publish(hub, 1, 3)
      const heard = [...(yield* next)]
      for (let n = 4; n <= 9; n++) {
        publish(hub, n)
        heard.push(...(yield* next))
      }
      assert.include(heard, "9")
    })
  )

  it.scoped("is told at the end what it lost last", () =>
    Effect.gen(function* () {
      const { end, hub } = yield* endingHub(3)
      const events = yield* hub.subscribe
      publish(hub, 1, 10)
      yield* end
      assert.deepStrictEqual(yield* collectEnded(events), ["1", "2", "3", "lost 7"])
    })
  )

  it.effect.prop(
    "can tell from what it hears which events it lost, whenever it listens",
    [
      FastCheck.integer({ min: 2, max: 5 }),
      FastCheck.array(FastCheck.record({ published: FastCheck.nat(8), listens: FastCheck.boolean() }))
    ],
    ([capacity, steps]) =>
      Effect.gen(function* () {
        const hub = yield* SchedulerEvent.makeHub(capacity)
        const next = yield* listen(hub)
        const heard: Array<string> = []
        let [published, behind] = [0, 0]
        for (const { listens, published: more } of steps) {
          publish(hub, published + 1, published + more)
          published += more
          behind += more
          if (!listens || behind === 0) continue
          const chunk = yield* next
          assert.isAtMost(chunk.length, capacity + 1)
          heard.push(...chunk)
          behind = 0
        }
        if (behind > 0) heard.push(...(yield* next))
        publish(hub, ++published)
        heard.push(...(yield* next))

        let known = 0
        for (const said of heard) {
          known += said.startsWith("lost ") ? Number(said.slice(5)) : 1
          if (!said.startsWith("lost ")) assert.strictEqual(said, String(known))
        }
        assert.strictEqual(known, published)
      }).pipe(Effect.scoped)
  )
})

describe("the end", () => {
  it.effect("of the hub ends the streams, after what was published before", () =>
    Effect.gen(function* () {
      const { end, hub } = yield* endingHub(100)
      const events = yield* hub.subscribe
      const { fiber, heard } = yield* follow(hub.events)
      publish(hub, 1, 2)
      yield* end
      publish(hub, 3)
      assert.deepStrictEqual(yield* collectEnded(events), ["1", "2"])
      assert.isTrue(Option.isSome(yield* Fiber.poll(fiber)))
      assert.deepStrictEqual(heard, ["1", "2"])
    }).pipe(Effect.scoped)
  )

  it.effect("of the hub is told at once to who comes later", () =>
    Effect.gen(function* () {
      const { end, hub } = yield* endingHub(100)
      yield* end
      assert.deepStrictEqual(yield* collectEnded(yield* hub.subscribe), [])
      assert.deepStrictEqual(yield* collectEnded(hub.events), [])
    }).pipe(Effect.scoped)
  )

  it.scoped("of a subscription's scope leaves no listener", () =>
    Effect.gen(function* () {
      const hub = yield* SchedulerEvent.makeHub(100)
      const scope = yield* Scope.make()
      const events = yield* Scope.extend(hub.subscribe, scope)
      const other = yield* listen(hub)
      const { heard } = yield* follow(events)
      publish(hub, 1)
      yield* settled
      yield* Scope.close(scope, Exit.void)
      publish(hub, 2)
      yield* settled
      assert.deepStrictEqual(heard, ["1"])
      assert.deepStrictEqual(yield* other, ["1", "2"])
    })
  )

  it.scoped("of a subscription's scope ends its stream, after what was published before", () =>
    Effect.gen(function* () {
      const hub = yield* SchedulerEvent.makeHub(100)
      const scope = yield* Scope.make()
      const events = yield* Scope.extend(hub.subscribe, scope)
      publish(hub, 1, 2)
      yield* Scope.close(scope, Exit.void)
      publish(hub, 3)
      assert.deepStrictEqual(yield* collectEnded(events), ["1", "2"])
    })
  )

  it.scoped("of one that listens to events leaves the others", () =>
    Effect.gen(function* () {
      const hub = yield* SchedulerEvent.makeHub(100)
      const stays = yield* follow(hub.events)
      const goes = yield* follow(hub.events)
      const done = yield* follow(Stream.take(hub.events, 1))
      publish(hub, 1)
      yield* settled
      yield* Fiber.interrupt(goes.fiber)
      publish(hub, 2)
      yield* settled
      assert.deepStrictEqual([stays.heard, goes.heard, done.heard], [["1", "2"], ["1"], ["1"]])
      assert.isTrue(Option.isSome(yield* Fiber.poll(done.fiber)))
    })
  )
})

describe("SchedulerEvent.SchedulerEvent", () => {
  const run = Run.make({ jobId: "job", incarnation: 1, task: "Task", policy: Policy.defaults, scheduledAt: at })
  const ofJob = { at, jobId: "job" }
  const ofRun = { ...ofJob, run }
  const failure: Run.Failure = { kind: "Error", message: "it broke", error: { code: 7 } }

  const examples: { readonly [Tag in Event["_tag"]]: Omit<Extract<Event, { readonly _tag: Tag }>, "_tag"> } = {
    SchedulerStarted: { at, node: "node-1" },
    SchedulerPaused: { at },
    SchedulerResumed: { at },
    SchedulerShutdown: { at },
    JobAdded: ofJob,
    JobModified: ofJob,
    JobPaused: ofJob,
    JobResumed: ofJob,
    JobRemoved: { ...ofJob, finished: true },
    JobParked: { ...ofJob, reason: "no such task" },
    JobMissed: { ...ofJob, dropped: { count: 3, isExact: true, first: at, last: at } },
    RunSubmitted: ofRun,
    RunStarted: ofRun,
    RunSucceeded: ofRun,
    RunFailed: ofRun,
    RunRetrying: { ...ofRun, failure },
    RunMissed: ofRun,
    RunSkipped: ofRun,
    RunCancelled: ofRun,
    RunAbandoned: ofRun,
    RunReleased: ofRun,
    StoreUnavailable: { at, message: "no connection" },
    StoreRecovered: { at },
    LeaseLost: { at, node: "node-1" },
    EventsDropped: { count: 7 }
  }
  const encode = Schema.encodeUnknownSync(SchedulerEvent.SchedulerEvent)
  const decode = Schema.decodeUnknownSync(SchedulerEvent.SchedulerEvent)

  for (const [_tag, example] of Object.entries(examples)) {
    it(`${_tag} comes back from JSON as it was`, () => {
      const event = { _tag, ...example }
      assert.deepStrictEqual(decode(JSON.parse(JSON.stringify(encode(event)))), event as Event)
    })
  }

  it("has the tags above and no others", () => {
    assert.strictEqual(SchedulerEvent.SchedulerEvent.members.length, Object.keys(examples).length)
  })
})
