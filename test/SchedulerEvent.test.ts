import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Exit, FastCheck, Fiber, Option, Schema, Scope, Stream } from "effect"
import * as Job from "../src/Job.ts"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import * as SchedulerEvent from "../src/SchedulerEvent.ts"
import type { ClaimedJob } from "../src/StoreAnswer.ts"
import * as Trigger from "../src/Trigger.ts"

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

const job = Job.make({ id: "job", task: "Task", now: at })

const kept = { ...job, policy: Policy.override(Policy.defaults, { retention: { finishedJobs: "keep" } }) }

/** The run of this minute of 1970. */
const runOf = (minute: number): Run.Run => Run.make(job, DateTime.unsafeMake(minute * 60_000))

/** What an event tells, without the instant, which is the same for all. */
const gist = (event: Event) => {
  assert.deepInclude(event, { at })
  const { at: _, ...rest } = event as Event & { readonly at: DateTime.Utc }
  return "run" in rest ? [rest._tag, rest.run.key.slice(11, 16)] : rest
}

describe("SchedulerEvent.ofClaimed", () => {
  const none: ClaimedJob = {
    runs: [],
    missed: [],
    skipped: [],
    cancels: 0,
    dropped: Option.none(),
    next: job,
    cancelled: [],
    isFinished: false
  }
  const dropped = { count: 2, isExact: true, first: at, last: at }

  it("tells nothing of a job of which nothing became", () => {
    assert.deepStrictEqual(SchedulerEvent.ofClaimed(none, at), [])
  })

  it("tells all that became of a job: what was missed and what gave way, what runs and what does not, and the end", () => {
    const claimed: ClaimedJob = {
      ...none,
      dropped: Option.some(dropped),
      missed: [1, 2].map(runOf),
      cancelled: [3, 4].map(runOf),
      runs: [5, 6].map(runOf),
      skipped: [7, 8].map(runOf),
      isFinished: true
    }
    assert.deepStrictEqual(SchedulerEvent.ofClaimed(claimed, at).map(gist), [
      { _tag: "JobMissed", jobId: "job", dropped },
      ["RunMissed", "00:01"],
      ["RunMissed", "00:02"],
      ["RunCancelled", "00:03"],
      ["RunCancelled", "00:04"],
      ["RunSubmitted", "00:05"],
      ["RunSubmitted", "00:06"],
      ["RunSkipped", "00:07"],
      ["RunSkipped", "00:08"],
      { _tag: "JobRemoved", jobId: "job", finished: true }
    ])
  })

  it("tells of a job that is kept that it is finished", () => {
    assert.deepStrictEqual(SchedulerEvent.ofClaimed({ ...none, next: kept, isFinished: true }, at).map(gist), [
      { _tag: "JobFinished", jobId: "job" }
    ])
  })

  it.prop(
    "tells one event of each run, whatever the policy made of it",
    [
      FastCheck.record({
        coalesce: FastCheck.constantFrom("latest" as const, "earliest" as const, "all" as const),
        misfireGraceTime: FastCheck.nat(600_000),
        catchUpLimit: FastCheck.integer({ min: 1, max: 9 }),
        overlap: FastCheck.constantFrom("skip" as const, "queue" as const, "cancelPrevious" as const)
      }),
      FastCheck.nat(2)
    ],
    ([options, active]) => {
      const policy = Policy.override(Policy.defaults, options)
      const minutely = Job.make({ id: "job", task: "Task", now: at, policy, trigger: Trigger.interval({ minutes: 1 }) })
      const advance = Job.advance(minutely, DateTime.unsafeMake(620_000), active)
      const events = SchedulerEvent.ofClaimed({ ...advance, cancelled: [], isFinished: false }, at)
      const runs = [...advance.missed, ...advance.runs, ...advance.skipped]
      assert.deepStrictEqual(
        events.flatMap((event) => ("run" in event ? [event.run] : [])),
        runs
      )
      assert.strictEqual(events.length, runs.length + (Option.isSome(advance.dropped) ? 1 : 0))
    }
  )
})

describe("SchedulerEvent.ofStep", () => {
  const instants = { startedAt: at, finishedAt: at }
  const failure: Run.Failure = { kind: "Error", message: "it broke" }
  const failed: Run.Outcome = { _tag: "Failed", failure }
  const rows: ReadonlyArray<
    readonly [state: Run.RunState, outcome: Run.Outcome | undefined, tag: Event["_tag"] | undefined]
  > = [
    [{ _tag: "Running", node: "node-1", startedAt: at }, undefined, "RunStarted"],
    [{ _tag: "Missed", finishedAt: at }, undefined, "RunMissed"],
    [{ _tag: "Succeeded", ...instants }, { _tag: "Succeeded" }, "RunSucceeded"],
    [{ _tag: "Failed", ...instants, failure }, failed, "RunFailed"],
    [{ _tag: "Skipped", finishedAt: at, reason: "maxInstances" }, undefined, "RunSkipped"],
    [{ _tag: "Cancelled", finishedAt: at, reason: "requested" }, undefined, "RunCancelled"],
    [{ _tag: "Cancelled", ...instants, reason: "overlap" }, { _tag: "Cancelled" }, "RunCancelled"],
    [{ _tag: "Cancelled", ...instants, reason: "requested" }, failed, "RunCancelled"],
    [{ _tag: "Abandoned", ...instants }, { _tag: "Crashed" }, "RunAbandoned"],
    [{ _tag: "Pending" }, failed, "RunRetrying"],
    [{ _tag: "Pending" }, { _tag: "Interrupted" }, "RunReleased"],
    [{ _tag: "Pending" }, { _tag: "Crashed" }, "RunReleased"],
    [{ _tag: "Pending" }, { _tag: "Refused", reason: "no thread" }, "RunReleased"],
    [{ _tag: "Waiting" }, undefined, undefined],
    [{ _tag: "Queued" }, undefined, undefined]
  ]
  for (const [state, outcome, tag] of rows) {
    const after = outcome === undefined ? "without an attempt" : `after ${outcome._tag}`
    it(`tells of a run that is ${state._tag} ${after}: ${tag ?? "nothing"}`, () => {
      const run = { ...runOf(1), state }
      const retried = tag === "RunRetrying" ? { failure } : {}
      const expected = tag === undefined ? [] : [{ _tag: tag, at, jobId: "job", run, ...retried }]
      const step = { run, job: Option.some(job), isFinished: false }
      assert.deepStrictEqual(SchedulerEvent.ofStep(step, outcome, at), expected as ReadonlyArray<Event>)
      const end = { _tag: "JobRemoved", at, jobId: "job", finished: true } as const
      assert.deepStrictEqual(SchedulerEvent.ofStep({ ...step, isFinished: true }, outcome, at), [
        ...(expected as ReadonlyArray<Event>),
        end
      ])
    })
  }

  it("has a row above for each state of a run", () => {
    assert.strictEqual(new Set(rows.map(([{ _tag }]) => _tag)).size, Run.RunState.members.length)
  })

  it("tells of the end of a job that is kept after that of its last run", () => {
    const run = Run.miss(runOf(1), at)
    const events = SchedulerEvent.ofStep({ run, job: Option.some(kept), isFinished: true }, undefined, at)
    assert.deepStrictEqual(events.map(gist), [["RunMissed", "00:01"], { _tag: "JobFinished", jobId: "job" }])
  })

  it("tells no end of a job that is gone", () => {
    const run = Run.miss(runOf(1), at)
    const step = { run, job: Option.none(), isFinished: false }
    assert.deepStrictEqual(SchedulerEvent.ofStep(step, undefined, at).map(gist), [["RunMissed", "00:01"]])
  })
})

describe("SchedulerEvent.SchedulerEvent", () => {
  const run = runOf(0)
  const ofJob = { at, jobId: "job" }
  const ofRun = { ...ofJob, run }
  const failure: Run.Failure = { kind: "Error", message: "it broke", error: { code: 7 } }

  const examples: { readonly [Tag in Event["_tag"]]: Omit<Extract<Event, { readonly _tag: Tag }>, "_tag"> } = {
    SchedulerStarted: { at, node: "node-1", store: "default" },
    SchedulerPaused: { at },
    SchedulerResumed: { at },
    SchedulerShutdown: { at },
    ExecutorAdded: { at, executor: "cpu" },
    ExecutorRemoved: { at, executor: "cpu" },
    JobStoreAdded: { at, store: "archive" },
    JobStoreRemoved: { at, store: "archive" },
    JobAdded: ofJob,
    JobModified: ofJob,
    JobPaused: ofJob,
    JobResumed: ofJob,
    JobRemoved: { ...ofJob, finished: true },
    JobFinished: ofJob,
    AllJobsRemoved: { at, count: 12 },
    JobParked: { ...ofJob, reason: "no such task" },
    JobMissed: { ...ofJob, dropped: { count: 3, isExact: true, first: at, last: at } },
    RunSubmitted: ofRun,
    RunStarted: ofRun,
    RunProgress: ofRun,
    RunSucceeded: ofRun,
    RunFailed: ofRun,
    RunRetrying: { ...ofRun, failure },
    RunMissed: ofRun,
    RunSkipped: ofRun,
    RunCancelled: ofRun,
    RunAbandoned: ofRun,
    RunReleased: ofRun,
    HistoryPruned: { at, count: 12 },
    ClockJumped: { at, millis: -3_600_000 },
    StoreUnavailable: { at, message: "no connection", store: "default" },
    StoreRecovered: { at, store: "default" },
    LeaseLost: { at, node: "node-1", store: "default" },
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
