import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, DateTime, Duration, FastCheck, Option } from "effect"
import * as Audit from "../src/Audit.ts"
import * as Job from "../src/Job.ts"
import { Ledger } from "../src/Ledger.ts"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"
import { type Claim, soonest } from "../src/StoreAnswer.ts"
import * as Trigger from "../src/Trigger.ts"

/** A time of day of 1 January 2026, UTC. */
const at = (clock: string) => DateTime.unsafeMake(`2026-01-01T${clock}Z`)

const midnight = at("00:00:00")

const minutely = Trigger.interval({ minutes: 1 })

interface Spec extends Policy.PolicyOptions {
  readonly id?: string
  readonly task?: string
  readonly trigger?: Trigger.Trigger
  readonly now?: DateTime.Utc
}

/** A job added at midnight that runs every minute, unless told otherwise. */
const jobOf = ({ id = "job", now = midnight, task = "Task", trigger = minutely, ...options }: Spec = {}): Job.Job =>
  Job.make({ id, task, now, trigger, policy: Policy.override(Policy.defaults, options) })

const tasks = new Set(["Task"])
const executor = Policy.DEFAULT_EXECUTOR
const executors = new Set([executor])

const ledgerOf = (...specs: ReadonlyArray<Spec>) => {
  const ledger = new Ledger()
  for (const spec of specs) ledger.declare(jobOf(spec), "fail")
  return ledger
}

/** The ledger and what is done to it, minute by minute. */
const scene = (...specs: ReadonlyArray<Spec>) => {
  const ledger = ledgerOf(...specs)
  const claim = (clock: string) => ledger.claim(at(clock), Infinity)
  const start = (clock: string, limit = Infinity) =>
    ledger
      .start({ node: "node", now: at(clock), limit, tasks, executor })
      .map(({ run }) => run)
      .filter(Run.isRunning)
  const settle = (run: Run.Running, clock: string, outcome: Run.Outcome = { _tag: "Succeeded" }) =>
    ledger.settle(run, outcome, at(clock))
  const job = (id = "job") => ledger.job(id) ?? assert.fail(`${id} is gone`)
  const tick = (clock: string) => {
    claim(clock)
    return start(clock)
  }
  return { ledger, claim, start, settle, tick, job }
}

const runsOf = (ledger: Ledger) => ledger.runs({ order: "oldest", limit: Infinity })

/** The runs, oldest first: when they were due, and how they stand. */
const states = (ledger: Ledger, jobId?: string) =>
  runsOf(ledger).flatMap((run) =>
    jobId === undefined || run.jobId === jobId
      ? [`${DateTime.formatIso(run.scheduledAt).slice(14, 19)} ${run.state._tag}`]
      : []
  )

describe('overlap: "queue"', () => {
  it("lets a run wait until an instance has ended, in the order in which they were due", () => {
    const { claim, ledger, settle, start, tick } = scene({ overlap: "queue" })
    const [first] = tick("00:01:00")
    claim("00:02:00")
    claim("00:03:00")
    assert.deepStrictEqual(states(ledger), ["01:00 Running", "02:00 Queued", "03:00 Queued"])
    assert.deepStrictEqual(start("00:03:00"), [])
    settle(first!, "00:03:30")
    assert.deepStrictEqual(states(ledger), ["01:00 Succeeded", "02:00 Pending", "03:00 Queued"])
  })

  it("skips what its queue does not hold", () => {
    const { claim, ledger, tick } = scene({ overlap: "queue", queueLimit: 2 })
    tick("00:01:00")
    for (const minute of [2, 3, 4, 5]) claim(`00:0${minute}:00`)
    assert.deepStrictEqual(states(ledger), [
      "01:00 Running",
      "02:00 Queued",
      "03:00 Queued",
      "04:00 Skipped",
      "05:00 Skipped"
    ])
  })

  it("lets in more at once when maxInstances is raised, by an update or by a new declaration", () => {
    const raised = (raise: (ledger: Ledger, job: Job.Job) => void) => {
      const { claim, job, ledger, tick } = scene({ overlap: "queue" })
      tick("00:01:00")
      claim("00:02:00")
      claim("00:03:00")
      raise(ledger, job())
      return states(ledger)
    }
    const expected = ["01:00 Running", "02:00 Pending", "03:00 Queued"]
    const policy = Policy.override(Policy.defaults, { overlap: "queue", maxInstances: 2 })
    assert.deepStrictEqual(
      raised((ledger, job) => ledger.update({ ...job, policy })),
      expected
    )
    assert.deepStrictEqual(
      raised((ledger, job) => ledger.declare({ ...job, policy }, "replace")),
      expected
    )
    assert.deepStrictEqual(
      raised((ledger, job) =>
        ledger.reconcile("group", [{ ...job, group: Option.some("group"), policy }], "remove", at("00:03:00"))
      ),
      expected
    )
  })

  it("lets in none when maxInstances is lowered, until there are fewer", () => {
    const { claim, job, ledger, settle, tick } = scene({ overlap: "queue", maxInstances: 2 })
    const [first] = tick("00:01:00")
    const [second] = tick("00:02:00")
    claim("00:03:00")
    ledger.update({ ...job(), policy: Policy.override(Policy.defaults, { overlap: "queue" }) })
    settle(first!, "00:03:10")
    assert.deepStrictEqual(states(ledger), ["01:00 Succeeded", "02:00 Running", "03:00 Queued"])
    settle(second!, "00:03:20")
    assert.deepStrictEqual(states(ledger), ["01:00 Succeeded", "02:00 Succeeded", "03:00 Pending"])
  })

  it("does not miss a queued run before its grace is over, and does after", () => {
    const queued = (clock: string) => {
      const { claim, ledger, settle, start, tick } = scene({ overlap: "queue", misfireGraceTime: "1 minute" })
      const [first] = tick("00:01:00")
      claim("00:02:00")
      settle(first!, clock)
      start(clock)
      return states(ledger)
    }
    assert.deepStrictEqual(queued("00:03:00"), ["01:00 Succeeded", "02:00 Running"])
    assert.deepStrictEqual(queued("00:03:00.001"), ["01:00 Succeeded", "02:00 Missed"])
  })
})

describe('overlap: "cancelPrevious"', () => {
  it("asks the node of the oldest instance to interrupt it, and starts when it has", () => {
    const { claim, ledger, settle, start, tick } = scene({ overlap: "cancelPrevious" })
    const [first] = tick("00:01:00")
    claim("00:02:00")
    assert.deepStrictEqual(states(ledger), ["01:00 Running", "02:00 Queued"])
    assert.deepStrictEqual(ledger.cancellations("node"), [first!.id])
    assert.deepStrictEqual(start("00:02:00"), [])
    settle(first!, "00:02:01", { _tag: "Cancelled" })
    assert.deepStrictEqual(states(ledger), ["01:00 Cancelled", "02:00 Pending"])
    assert.deepStrictEqual(ledger.cancellations("node"), [])
    const state = ledger.run(first!.id)?.state
    assert.deepStrictEqual(state, {
      _tag: "Cancelled",
      startedAt: at("00:01:00"),
      finishedAt: at("00:02:01"),
      reason: "overlap"
    })
  })

  it("takes the place of one that has not started, at once", () => {
    const { claim, ledger, start } = scene({ overlap: "cancelPrevious" })
    claim("00:01:00")
    const [advance] = claim("00:02:00").advances
    assert.deepStrictEqual(
      advance!.cancelled.map(({ key, state }) => [key.slice(11, 16), state._tag]),
      [["00:01", "Cancelled"]]
    )
    assert.deepStrictEqual(states(ledger), ["01:00 Cancelled", "02:00 Pending"])
    assert.strictEqual(start("00:02:00").length, 1)
  })

  it("never lets more than one wait, however long the one before takes to end", () => {
    const { claim, ledger, tick } = scene({ overlap: "cancelPrevious" })
    tick("00:01:00")
    for (const minute of [2, 3, 4]) claim(`00:0${minute}:00`)
    assert.deepStrictEqual(states(ledger), ["01:00 Running", "02:00 Cancelled", "03:00 Cancelled", "04:00 Queued"])
  })

  it("makes room for a manual run of a job that has no time left, which does not end with the one before", () => {
    const { claim, job, ledger, start } = scene({ overlap: "cancelPrevious", trigger: Trigger.now })
    claim("00:00:00")
    const { cancelled, run } = ledger.fire(job(), at("00:01:00"))
    assert.strictEqual(cancelled.length, 1)
    assert.isDefined(ledger.job("job"))
    assert.deepStrictEqual(
      start("00:01:00").map(({ id }) => id),
      [run.id]
    )
  })

  it("cancels all runs of an instance that has not started", () => {
    const { claim, ledger, start } = scene({ overlap: "cancelPrevious", coalesce: "all" })
    claim("00:03:00")
    claim("00:04:00")
    assert.deepStrictEqual(states(ledger), ["01:00 Cancelled", "02:00 Cancelled", "03:00 Cancelled", "04:00 Pending"])
    assert.strictEqual(start("00:04:00").length, 1)
  })
})

describe("a catch-up of several runs", () => {
  it("goes on to the next one as each ends, however it ends", () => {
    const { claim, ledger, settle, start } = scene({ coalesce: "all" })
    claim("00:04:00")
    const outcomes: ReadonlyArray<Run.Outcome> = [
      { _tag: "Failed", failure: { kind: "Error", message: "it broke" } },
      { _tag: "Cancelled" },
      { _tag: "Succeeded" }
    ]
    for (const outcome of outcomes) {
      const [run, ...others] = start("00:04:00")
      assert.deepStrictEqual(others, [])
      settle(run!, "00:04:00", outcome)
    }
    assert.deepStrictEqual(states(ledger), ["01:00 Failed", "02:00 Cancelled", "03:00 Succeeded", "04:00 Pending"])
  })

  it("is not hurried by the cancellation of one that waits", () => {
    const { claim, ledger, settle, start } = scene({ coalesce: "all" })
    claim("00:04:00")
    ledger.cancel(runsOf(ledger)[1]!, "requested", at("00:04:00"))
    assert.deepStrictEqual(states(ledger), ["01:00 Pending", "02:00 Cancelled", "03:00 Waiting", "04:00 Waiting"])
    settle(start("00:04:00")[0]!, "00:04:00")
    assert.deepStrictEqual(states(ledger), ["01:00 Succeeded", "02:00 Cancelled", "03:00 Pending", "04:00 Waiting"])
  })

  it("keeps its place in the queue when its first run is cancelled", () => {
    const { claim, ledger, settle, tick } = scene({ coalesce: "all", overlap: "queue" })
    const [first] = tick("00:01:00")
    claim("00:04:00")
    claim("00:05:00")
    ledger.cancel(runsOf(ledger)[1]!, "requested", at("00:05:00"))
    const active = () => states(ledger).filter((state) => /Pending|Running/.test(state))
    assert.deepStrictEqual(active(), ["01:00 Running"])
    settle(first!, "00:05:10")
    assert.deepStrictEqual(active(), ["03:00 Pending"])
  })

  it("survives that a cancelled run of it is forgotten", () => {
    const { claim, ledger } = scene({ coalesce: "all", overlap: "cancelPrevious", retention: { count: 0 } })
    claim("00:04:00")
    for (const index of [2, 1]) ledger.cancel(runsOf(ledger)[index]!, "requested", at("00:04:00"))
    claim("00:05:00")
    assert.deepStrictEqual(states(ledger), ["05:00 Pending"])
  })
})

describe("a backfill", () => {
  const past = (job: Job.Job, minutes: ReadonlyArray<string>) =>
    minutes.map((minute) => Run.backfill(job, at(`00:0${minute}:00`), at("00:09:00")))

  it("runs one at a time, behind all others of its job", () => {
    const { claim, job, ledger, settle, start } = scene({ overlap: "queue", maxInstances: 2, now: at("00:08:30") })
    ledger.backfill(job(), past(job(), ["1", "2", "3"]))
    assert.deepStrictEqual(states(ledger), ["01:00 Pending", "02:00 Queued", "03:00 Queued"])
    const [backfill] = start("00:09:00")
    claim("00:09:30")
    claim("00:10:30")
    assert.deepStrictEqual(states(ledger).slice(3), ["09:30 Pending", "10:30 Queued"])
    settle(backfill!, "00:10:40")
    assert.deepStrictEqual(states(ledger), [
      "01:00 Succeeded",
      "02:00 Queued",
      "03:00 Queued",
      "09:30 Pending",
      "10:30 Pending"
    ])
  })

  it("never makes a due run be skipped", () => {
    const { claim, job, ledger, start } = scene({ now: at("00:08:30") })
    ledger.backfill(job(), past(job(), ["1"]))
    start("00:09:00")
    claim("00:09:30")
    claim("00:10:30")
    assert.deepStrictEqual(states(ledger), ["01:00 Running", "09:30 Queued", "10:30 Queued"])
  })

  it("is not called off for a due run", () => {
    const { claim, job, ledger, start } = scene({ overlap: "cancelPrevious", now: at("00:08:30") })
    ledger.backfill(job(), past(job(), ["1"]))
    start("00:09:00")
    claim("00:09:30")
    claim("00:10:30")
    assert.deepStrictEqual(states(ledger), ["01:00 Running", "09:30 Cancelled", "10:30 Queued"])
    assert.deepStrictEqual(ledger.cancellations("node"), [])
  })

  it("asked for twice is made once", () => {
    const { job, ledger } = scene({ now: at("00:08:30") })
    ledger.backfill(job(), past(job(), ["1", "2"]))
    const again = ledger.backfill(job(), past(job(), ["1", "2", "3"]))
    assert.deepStrictEqual(
      again.map(({ scheduledAt }) => scheduledAt),
      [at("00:03:00")]
    )
    assert.deepStrictEqual(states(ledger), ["01:00 Pending", "02:00 Queued", "03:00 Queued"])
  })

  it("keeps a job that has no time left until it has run", () => {
    const { claim, job, ledger, settle, start } = scene({ trigger: Trigger.now, now: at("00:08:30") })
    ledger.backfill(job(), past(job(), ["1", "2"]))
    claim("00:09:00")
    for (const left of [3, 2, 1]) {
      assert.isDefined(ledger.job("job"), `${left} left`)
      settle(start("00:09:00")[0]!, "00:09:00")
    }
    assert.isUndefined(ledger.job("job"))
  })
})

describe("a spaced job", () => {
  const spaced = { trigger: Trigger.spaced("10 minutes") }

  it("is due so long after the end of its run, with its retries", () => {
    const { job, settle, start, tick } = scene({ ...spaced, retry: { times: 1, delay: "1 minute" } })
    const [first] = tick("00:10:00")
    assert.deepStrictEqual(job().nextRunTime, Option.none())
    settle(first!, "00:11:00", { _tag: "Failed", failure: { kind: "Error", message: "it broke" } })
    assert.deepStrictEqual(job().nextRunTime, Option.none())
    settle(start("00:12:00")[0]!, "00:15:00")
    assert.deepStrictEqual(job().nextRunTime, Option.some(at("00:25:00")))
  })

  it("is due so long after a run that was missed when it could start, or called off before", () => {
    const ends: ReadonlyArray<(scene_: ReturnType<typeof scene>) => void> = [
      ({ start }) => start("00:12:00"),
      ({ ledger }) => ledger.cancel(runsOf(ledger)[0]!, "requested", at("00:12:00"))
    ]
    for (const end of ends) {
      const here = scene({ ...spaced, misfireGraceTime: "1 minute" })
      here.claim("00:10:00")
      end(here)
      assert.deepStrictEqual(here.job().nextRunTime, Option.some(at("00:22:00")))
    }
  })

  it("is due so long after the last end of several", () => {
    const { job, ledger, settle, start, tick } = scene({ ...spaced, maxInstances: 2 })
    const [scheduled] = tick("00:10:00")
    ledger.fire(job(), at("00:11:00"))
    const [manual] = start("00:11:00")
    settle(scheduled!, "00:12:00")
    assert.deepStrictEqual(job().nextRunTime, Option.none())
    settle(manual!, "00:14:00")
    assert.deepStrictEqual(job().nextRunTime, Option.some(at("00:24:00")))
  })

  it("is due so long after its node was found dead, if it is not run again", () => {
    const { job, ledger } = scene({ ...spaced, onCrash: "abandon" })
    const node = ledger.register(midnight, Duration.minutes(11))
    ledger.claim(at("00:10:00"), 1)
    ledger.start({ node, now: at("00:10:00"), limit: 1, tasks, executor })
    ledger.recover(at("00:13:00"), 1)
    assert.deepStrictEqual(job().nextRunTime, Option.some(at("00:23:00")))
  })

  it("is finished when the end of its trigger, or its limit, comes first", () => {
    const ends: ReadonlyArray<Spec> = [
      { trigger: Trigger.spaced("10 minutes", { end: at("00:24:59") }) },
      { ...spaced, limit: 1 }
    ]
    for (const spec of ends) {
      const { ledger, settle, tick } = scene(spec)
      const step = settle(tick("00:10:00")[0]!, "00:15:00")
      assert.isTrue(step?.isFinished)
      assert.isUndefined(ledger.job("job"))
    }
  })

  it("that is paused while it runs is due so long after its end, once it goes on", () => {
    const { claim, job, ledger, settle, tick } = scene(spaced)
    const [first] = tick("00:10:00")
    ledger.update(Job.pause(job(), at("00:11:00")))
    settle(first!, "00:12:00")
    assert.deepStrictEqual(claim("00:50:00").advances, [])
    const paused = job()
    for (const [from, next] of [
      ["pause", "00:22:00"],
      ["now", "01:00:00"]
    ] as const) {
      assert.deepStrictEqual(Job.resume(paused, at("00:50:00"), from).nextRunTime, Option.some(at(next)))
    }
    ledger.update(Job.resume(paused, at("00:15:00")))
    assert.deepStrictEqual(job().nextRunTime, Option.some(at("00:22:00")))
  })
})

describe("a job with nothing left", () => {
  const over = (spec: Spec, end: (here: ReturnType<typeof scene>, run: Run.Running) => void) => {
    const here = scene({ trigger: Trigger.now, ...spec })
    end(here, here.tick("00:01:00")[0]!)
    return here.ledger
  }
  const kept = { retention: { finishedJobs: "keep" } } as const

  it("is gone with its last run", () => {
    assert.isUndefined(over({}, ({ settle }, run) => settle(run, "00:02:00")).job("job"))
  })

  it("is kept as finished if its retention says so, and is never due again", () => {
    const ledger = over(kept, ({ settle }, run) => settle(run, "00:02:00"))
    assert.deepStrictEqual(ledger.job("job")?.state, { _tag: "Finished", at: at("00:02:00") })
    assert.strictEqual(soonest(ledger.nextWake({ node: "node", tasks, executors })), Infinity)
  })

  it("that was paused during its last run is finished by the claim after it goes on", () => {
    const ledger = over({}, ({ job, ledger, settle }, run) => {
      ledger.update(Job.pause(job(), at("00:01:30")))
      settle(run, "00:02:00")
      assert.strictEqual(job().state._tag, "Paused")
      ledger.update(Job.resume(job(), at("00:03:00")))
    })
    const [claimed] = ledger.claim(at("00:03:00"), 1).advances
    assert.isTrue(claimed?.isFinished)
    assert.isUndefined(ledger.job("job"))
  })

  it("that was paused for a part of its last run is gone with it", () => {
    const ledger = over({}, ({ job, ledger, settle }, run) => {
      ledger.update(Job.pause(job(), at("00:01:30")))
      ledger.update(Job.resume(job(), at("00:01:40")))
      assert.isTrue(settle(run, "00:02:00")?.isFinished)
    })
    assert.isUndefined(ledger.job("job"))
  })

  it("that is kept runs when it is asked to, and is finished still", () => {
    const ledger = over(kept, ({ job, ledger, settle, start }, run) => {
      settle(run, "00:02:00")
      ledger.fire(job(), at("00:03:00"))
      settle(start("00:03:00")[0]!, "00:04:00")
    })
    assert.strictEqual(ledger.job("job")?.state._tag, "Finished")
  })

  it("that is kept is forgotten with its age", () => {
    const retention = { ...kept.retention, age: "1 hour" } as const
    const ledger = over({ retention }, ({ settle }, run) => settle(run, "00:02:00"))
    ledger.prune(at("01:01:59"))
    assert.isDefined(ledger.job("job"))
    ledger.prune(at("01:02:00"))
    assert.isUndefined(ledger.job("job"))
  })
})

describe("counts", () => {
  it("leave a run of a removed job out of what another job has pending", () => {
    const { claim, job, ledger, tick } = scene({})
    tick("00:01:00")
    ledger.remove(job(), at("00:01:30"))
    ledger.declare(jobOf({ id: "other" }), "fail")
    claim("00:02:00")
    assert.deepStrictEqual(ledger.counts(), { jobs: 1, queued: 0, pending: 1, running: 1 })
  })
})

describe("a saturated job", () => {
  const many = 100_000

  /** A job with so many runs in its queue, and another one that is due. */
  const crowded = () => {
    const here = scene({ overlap: "queue", queueLimit: many }, { id: "other", trigger: Trigger.at(at("00:01:00")) })
    here.ledger.fire(here.job(), midnight)
    const [busy] = here.start("00:00:00")
    const { ledger } = here
    for (let second = 1; second <= many; second++) {
      const now = DateTime.add(midnight, { millis: second })
      assert.strictEqual(ledger.fire(here.job(), now).run.state._tag, "Queued")
    }
    return { ...here, busy: busy! }
  }

  it("delays no other, however many of its runs wait", () => {
    const { claim, ledger, settle, start, busy } = crowded()
    assert.strictEqual(ledger.counts().queued, many)
    claim("00:01:00")
    const [other, ...more] = start("00:01:00")
    assert.deepStrictEqual([other?.jobId, more.length], ["other", 0])
    settle(busy, "00:01:00")
    assert.deepStrictEqual(
      start("00:01:00").map(({ jobId }) => jobId),
      ["job"]
    )
  })

  it("works off its queue in order, one by one", () => {
    const { busy, ledger, settle, start } = crowded()
    let run = busy
    for (let done = 0; done < many; done++) {
      settle(run, "00:10:00")
      const [next, ...more] = start("00:10:00")
      if (next === undefined || more.length > 0) return assert.fail(`after ${done} runs ${more.length + 1} started`)
      if (next.scheduledAt.epochMillis !== midnight.epochMillis + done + 1)
        return assert.fail(`${next.id} is out of turn`)
      run = next
    }
    settle(run, "00:10:00")
    assert.deepStrictEqual([ledger.counts().queued, ledger.counts().running], [0, 0])
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// any program
// ---------------------------------------------------------------------------------------------------------------------

const trigger: FastCheck.Arbitrary<Trigger.Trigger> = FastCheck.constantFrom(
  minutely,
  Trigger.interval({ minutes: 3, end: at("00:10:00") }),
  Trigger.spaced("2 minutes"),
  Trigger.spaced("1 minute", { start: at("00:03:00"), end: at("00:09:00") }),
  Trigger.cron({ minute: "*/2" }),
  Trigger.at(at("00:05:00")),
  Trigger.now
)

const retention = FastCheck.record({
  count: FastCheck.constantFrom(0, 2, Infinity),
  finishedJobs: FastCheck.constantFrom("remove" as const, "keep" as const)
})

const spec: FastCheck.Arbitrary<Spec> = FastCheck.record({
  trigger,
  maxInstances: FastCheck.integer({ min: 1, max: 2 }),
  overlap: FastCheck.constantFrom("skip" as const, "queue" as const, "cancelPrevious" as const),
  queueLimit: FastCheck.integer({ min: 1, max: 3 }),
  coalesce: FastCheck.constantFrom("latest" as const, "earliest" as const, "all" as const),
  catchUpLimit: FastCheck.integer({ min: 1, max: 4 }),
  misfireGraceTime: FastCheck.constantFrom(Infinity, Infinity, 30_000, 150_000),
  jitter: FastCheck.constantFrom(0, 0, 30_000),
  limit: FastCheck.constantFrom(Infinity, Infinity, 1, 4),
  onCrash: FastCheck.constantFrom("retry" as const, "abandon" as const),
  crashLimit: FastCheck.nat(1),
  retry: FastCheck.constantFrom({ times: 0 }, { times: 2, delay: "20 seconds" as const }),
  retention
})

const outcome: FastCheck.Arbitrary<Run.Outcome> = FastCheck.constantFrom<Array<Run.Outcome>>(
  { _tag: "Succeeded" },
  { _tag: "Succeeded", value: 1 },
  { _tag: "Failed", failure: { kind: "Error", message: "it broke" } },
  { _tag: "Failed", failure: { kind: "Error", message: "it broke", isFinal: true } },
  { _tag: "Interrupted" },
  { _tag: "Cancelled" },
  { _tag: "Crashed" }
)

const id = FastCheck.constantFrom("a", "b", "c")
const nth = FastCheck.nat(9)
const tag = <const Tag extends string>(_tag: Tag) => FastCheck.constant(_tag)

const declare = FastCheck.record({
  _tag: tag("declare"),
  id,
  spec,
  onConflict: FastCheck.constantFrom("replace" as const, "keep" as const)
})
const step = FastCheck.oneof(
  { weight: 3, arbitrary: declare },
  { weight: 8, arbitrary: FastCheck.record({ _tag: tag("tick"), seconds: FastCheck.integer({ min: 1, max: 200 }) }) },
  { weight: 4, arbitrary: FastCheck.record({ _tag: tag("start"), limit: FastCheck.integer({ min: 1, max: 3 }) }) },
  { weight: 8, arbitrary: FastCheck.record({ _tag: tag("settle"), nth, outcome }) },
  { weight: 2, arbitrary: FastCheck.record({ _tag: tag("cancel"), nth }) },
  { weight: 3, arbitrary: FastCheck.record({ _tag: tag("fire"), id }) },
  {
    weight: 1,
    arbitrary: FastCheck.record({ _tag: tag("backfill"), id, count: FastCheck.integer({ min: 1, max: 3 }) })
  },
  { weight: 1, arbitrary: FastCheck.record({ _tag: tag("remove"), id }) },
  { weight: 1, arbitrary: FastCheck.record({ _tag: tag("admit"), id, most: FastCheck.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: FastCheck.record({ _tag: tag("pause"), id }) },
  {
    weight: 1,
    arbitrary: FastCheck.record({
      _tag: tag("resume"),
      id,
      from: FastCheck.constantFrom("now" as const, "pause" as const)
    })
  },
  { weight: 1, arbitrary: FastCheck.record({ _tag: tag("die") }) },
  { weight: 1, arbitrary: FastCheck.record({ _tag: tag("prune") }) }
)

type Step = typeof step extends FastCheck.Arbitrary<infer A> ? A : never

const program = FastCheck.tuple(
  FastCheck.array(declare, { minLength: 1, maxLength: 3 }),
  FastCheck.array(step, { maxLength: 60, size: "max" })
).map(([declarations, steps]) => [...declarations, ...steps])

/** A ledger, the time, and what somebody outside remembers of it. */
class World {
  readonly ledger = new Ledger()
  now = midnight
  node = this.ledger.register(midnight, Duration.infinity)
  /** Every attempt that was handed out, those that are over too. */
  readonly held: Array<Run.Running> = []
  /** Runs that have ended, which never live again. */
  readonly ended = new Set<string>()
  readonly claimed = new Set<string>()
  /** What a job may exceed its limits by, since they were lowered. */
  readonly excess = new Map<string, { active: number; queued: number }>()

  do(step: Step): void {
    const { ledger, now } = this
    const job = "id" in step ? ledger.job(step.id) : undefined
    switch (step._tag) {
      case "declare": {
        // What is over and declared once more would be due at its own past instant again.
        const isOnce = step.spec.trigger?._tag === "At" || step.spec.trigger?._tag === "Now"
        const declared = jobOf({ ...step.spec, id: step.id, now })
        if (Option.isNone(declared.nextRunTime)) return
        ledger.declare(declared, isOnce ? "keep" : step.onConflict)
        return
      }
      case "tick":
        this.now = DateTime.add(now, { seconds: step.seconds })
        this.tell(ledger.claim(this.now, Infinity))
        return
      case "start":
        this.start(step.limit)
        return
      case "settle":
        this.settle(step.nth, step.outcome)
        return
      case "cancel": {
        const live = runsOf(ledger).filter(Run.isLive)
        const run = live[step.nth % live.length]
        if (run !== undefined) ledger.cancel(run, "requested", now)
        return
      }
      case "die":
        ledger.release(this.node)
        this.node = ledger.register(now, Duration.infinity)
        ledger.recover(now, Infinity)
        return
      case "prune":
        ledger.prune(now)
        return
    }
    if (job === undefined) return
    switch (step._tag) {
      case "fire":
        // Two at one instant would have one name if the first were forgotten in between.
        this.now = DateTime.add(now, { millis: 1 })
        ledger.fire(job, this.now)
        return
      case "backfill":
        ledger.backfill(
          job,
          Arr.makeBy(step.count, (i) => Run.backfill(job, DateTime.subtract(now, { hours: i + 1 }), now))
        )
        return
      case "remove":
        ledger.remove(job, now)
        this.excess.delete(job.id)
        return
      case "admit":
        ledger.update({ ...job, policy: { ...job.policy, maxInstances: step.most } })
        return
      case "pause":
        ledger.update(Job.pause(job, now))
        return
      case "resume":
        ledger.update(Job.resume(job, now, step.from))
        return
    }
  }

  /** No time of a job comes twice. */
  tell({ advances }: Claim): void {
    for (const { missed, runs, skipped } of advances) {
      for (const { id } of [...missed, ...runs, ...skipped]) {
        assert.isFalse(this.claimed.has(id), `${id} is made twice`)
        this.claimed.add(id)
      }
    }
  }

  start(limit: number): void {
    const steps = this.ledger.start({ node: this.node, now: this.now, limit, tasks, executor })
    const started = steps.map(({ run }) => run).filter(Run.isRunning)
    assert.isAtMost(started.length, limit)
    this.held.push(...started)
  }

  settle(nth: number, outcome: Run.Outcome): void {
    const held = this.held[nth % this.held.length]
    if (held === undefined) return
    const before = this.ledger.run(held.id)
    const isHolder = before?.state._tag === "Running" && before.attempt === held.attempt
    const step = this.ledger.settle(held, outcome, this.now)
    assert.strictEqual(step !== undefined, isHolder, "only the holder settles")
    if (!isHolder) assert.strictEqual(this.ledger.run(held.id), before)
  }

  check(): void {
    const runs = runsOf(this.ledger)
    const jobs = this.ledger.list({})
    for (const job of jobs) {
      this.checkJob(
        job,
        runs.filter(({ incarnation, jobId }) => jobId === job.id && incarnation === job.incarnation)
      )
    }
    this.checkRuns(jobs, runs)
    this.checkWake(jobs, runs)
    this.checkAudit(jobs, runs)
  }

  checkAudit(jobs: ReadonlyArray<Job.Job>, runs: ReadonlyArray<Run.Run>): void {
    const nodes = new Set([this.node])
    const found = Audit.check({ jobs, runs, nodes, now: this.now, patience: Duration.infinity })
    const isDueAtOnce = this.ledger.nextWake({ node: "node", tasks, executors }).claim === 0
    const isTolerated = (finding: Audit.Finding) =>
      (finding._tag === "JobStranded" && isDueAtOnce) ||
      (finding._tag === "TooManyActive" && finding.active <= (this.excess.get(finding.jobId)?.active ?? 0))
    assert.deepStrictEqual(
      found.filter((finding) => !isTolerated(finding)),
      []
    )
  }

  checkJob(job: Job.Job, runs: ReadonlyArray<Run.Run>): void {
    const live = runs.filter(Run.isLive)
    const active = live.filter(Run.isActive)
    const backlog = live.filter(({ state }) => state._tag === "Queued").filter(Run.isBackfill)
    const queued = live.filter(({ state }) => state._tag === "Queued").filter((run) => !Run.isBackfill(run))
    const { maxInstances, overlap, queueLimit } = job.policy

    const excess = this.excess.get(job.id) ?? { active: 0, queued: 0 }
    const places = overlap === "cancelPrevious" ? maxInstances : queueLimit
    assert.isAtMost(active.length, Math.max(maxInstances, excess.active), `too many of ${job.id} in flight`)
    assert.isAtMost(queued.length, Math.max(places, excess.queued), `too many of ${job.id} wait`)

    const isFull = active.length >= maxInstances
    if (queued.length > 0) assert.isTrue(isFull, `${job.id} has a slot for what is queued`)
    if (backlog.length > 0) assert.isTrue(isFull || active.some(Run.isBackfill), `${job.id} has a slot for a backfill`)
    assert.isAtMost(active.filter(Run.isBackfill).length, 1)

    for (const instance of new Set(live.map((run) => run.instance))) {
      const own = live.filter((run) => run.instance === instance && run.state._tag !== "Waiting")
      assert.strictEqual(own.length, 1, `the instance ${instance} of ${job.id}`)
    }

    // A job that has nothing left after a pause is ended by the next claim.
    const isDueAtOnce = this.ledger.nextWake({ node: "node", tasks, executors }).claim === 0
    if (Job.isFinished(job)) assert.isTrue(live.length > 0 || isDueAtOnce, `${job.id} has nothing left, and is there`)
    if (job.state._tag === "Finished") assert.isTrue(Option.isNone(job.nextRunTime))
  }

  checkRuns(jobs: ReadonlyArray<Job.Job>, runs: ReadonlyArray<Run.Run>): void {
    for (const run of runs) {
      assert.strictEqual(this.ledger.run(run.id), run)
      assert.isFalse(Run.isLive(run) && this.ended.has(run.id), `${run.id} lives again`)
      if (!Run.isLive(run)) this.ended.add(run.id)
      const owner = jobs.find(({ id }) => id === run.jobId)
      if (owner?.incarnation === run.incarnation || Run.isRunning(run)) continue
      assert.isFalse(Run.isLive(run), `${run.id} has no job`)
    }
    const counted = (tag: Run.RunState["_tag"]) => runs.filter(({ state }) => state._tag === tag).length
    const [queued, pending, running] = [counted("Queued"), counted("Pending"), counted("Running")]
    assert.deepStrictEqual(this.ledger.counts(), { jobs: jobs.length, queued, pending, running })
    const called = runs.filter((run) => Run.isRunning(run) && run.state.cancelled !== undefined)
    assert.sameMembers(
      [...this.ledger.cancellations(this.node)],
      called.map((run) => run.id)
    )
  }

  checkWake(jobs: ReadonlyArray<Job.Job>, runs: ReadonlyArray<Run.Run>): void {
    const pending = runs.filter(({ state }) => state._tag === "Pending").map(({ runAt }) => runAt.epochMillis)
    const hasLeft = (job: Job.Job) =>
      !Job.isFinished(job) || runs.some((run) => run.jobId === job.id && Run.isLive(run))
    const dueTimes = jobs.map((job) => (hasLeft(job) ? Job.dueAt(job) : 0))
    const expected = Math.min(Infinity, ...pending, ...dueTimes)
    // What could have started already may do so now, whenever that was.
    const sooner = (wake: number) => Math.max(wake, this.now.epochMillis)
    assert.strictEqual(sooner(soonest(this.ledger.nextWake({ node: this.node, tasks, executors }))), sooner(expected))
  }

  /** What exceeds its limits now may do so until it has ended. */
  tolerate(): void {
    const runs = runsOf(this.ledger)
    for (const { id, incarnation } of this.ledger.list({})) {
      const own = runs.filter((run) => run.jobId === id && run.incarnation === incarnation)
      const queued = own.filter((run) => run.state._tag === "Queued" && !Run.isBackfill(run))
      this.excess.set(id, { active: own.filter(Run.isActive).length, queued: queued.length })
    }
  }

  /** Everything in flight comes to its end. */
  drain(): void {
    for (let round = 0; round < 200; round++) {
      this.tolerate()
      const live = runsOf(this.ledger).filter(Run.isLive)
      if (live.length === 0) return
      this.now = DateTime.add(this.now, { seconds: 20 })
      this.start(Infinity)
      for (const run of runsOf(this.ledger).filter(Run.isRunning)) {
        this.ledger.settle(run, { _tag: "Succeeded" }, this.now)
      }
      this.check()
    }
    const stuck = runsOf(this.ledger).filter(Run.isLive)
    assert.fail(`never ended: ${stuck.map(({ id, state }) => `${id} ${state._tag}`).join(", ")}`)
  }
}

describe("whatever is done to a ledger", () => {
  const run = (steps: ReadonlyArray<Step>, after: (world: World) => void): void => {
    const world = new World()
    for (const step of steps) {
      world.do(step)
      after(world)
      world.tolerate()
    }
  }

  it.prop(
    "it keeps to the limits of its jobs, and says the same in all its answers",
    [program],
    ([steps]) => run(steps, (world) => world.check()),
    { fastCheck: { numRuns: 500 } }
  )

  it.prop(
    "every run in flight comes to its end, and with it a job that has nothing left",
    [program],
    ([steps]) => {
      const world = new World()
      for (const step of steps) world.do(step)
      world.drain()
      const isDueAtOnce = world.ledger.nextWake({ node: "node", tasks, executors }).claim === 0
      for (const job of world.ledger.list({}))
        assert.isTrue(!Job.isFinished(job) || isDueAtOnce, `${job.id} has nothing left`)
    },
    { fastCheck: { numRuns: 300 } }
  )

  it.prop(
    "there is nothing to do right after a claim and a start without limits",
    [program],
    ([steps]) =>
      run(steps, (world) => {
        world.tell(world.ledger.claim(world.now, Infinity))
        world.start(Infinity)
        assert.isAbove(soonest(world.ledger.nextWake({ node: world.node, tasks, executors })), world.now.epochMillis)
        assert.deepStrictEqual(world.ledger.claim(world.now, Infinity).advances, [])
        assert.deepStrictEqual(
          world.ledger.start({ node: world.node, now: world.now, limit: Infinity, tasks, executor }),
          []
        )
      }),
    { fastCheck: { numRuns: 200 } }
  )
})
