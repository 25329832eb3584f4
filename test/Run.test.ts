import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, DateTime, Duration, FastCheck, Option, Schema } from "effect"
import * as Policy from "../src/Policy.ts"
import * as Run from "../src/Run.ts"

const at = (clock: string) => DateTime.unsafeMake(`2026-01-01T${clock}Z`)

const policyOf = (options: Policy.PolicyOptions) => Policy.override(Policy.defaults, options)

const ownerOf = (options: Policy.PolicyOptions) => ({
  id: "job",
  incarnation: 3,
  task: "Task",
  policy: policyOf(options)
})

/** The run of 00:05:00, with this policy. */
const runOf = (options: Policy.PolicyOptions = {}, changes: Partial<Run.Run> = {}): Run.Run => ({
  ...Run.make(ownerOf(options), at("00:05:00")),
  ...changes
})

/** The same run under way since 00:06:00. */
const runningOf = (options: Policy.PolicyOptions = {}, changes: Partial<Run.Run> = {}): Run.Running => {
  const run = Run.start(runOf(options, changes), "node-1", at("00:06:00"))
  return Run.isRunning(run) ? run : assert.fail(`it is ${run.state._tag}`)
}

const failure: Run.Failure = { kind: "Error", message: "it broke", error: { code: 7 } }

describe("Run.make", () => {
  it("is a pending run at its nominal time, under a key made of it", () => {
    assert.deepStrictEqual(runOf({ priority: 4 }), {
      id: "job/3/2026-01-01T00:05:00.000Z",
      jobId: "job",
      incarnation: 3,
      key: "2026-01-01T00:05:00.000Z",
      task: "Task",
      scheduledAt: at("00:05:00"),
      dueAt: at("00:05:00"),
      runAt: at("00:05:00"),
      startBy: Option.none(),
      instance: "2026-01-01T00:05:00.000Z",
      priority: 4,
      executor: "default",
      attempt: 0,
      failures: 0,
      crashes: 0,
      covers: Option.none(),
      origin: Option.none(),
      state: { _tag: "Pending" }
    })
  })

  it("takes its deadline from misfireGraceTime", () => {
    const startBy = (misfireGraceTime: Duration.DurationInput) => runOf({ misfireGraceTime }).startBy
    assert.deepStrictEqual(startBy("90 seconds"), Option.some(at("00:06:30")))
    assert.deepStrictEqual(startBy(0), Option.some(at("00:05:00")))
    assert.deepStrictEqual(startBy(Duration.infinity), Option.none())
  })

  it("has times of whole milliseconds, which is what stores keep", () => {
    const third = Duration.seconds(1 / 3)
    const { startBy } = runOf({ misfireGraceTime: third })
    const options = { retry: { times: 1, delay: third } }
    const again = Run.settle(runningOf(options), policyOf(options), { _tag: "Failed", failure }, at("00:07:00"))
    const millis = [Option.getOrThrow(startBy), again.runAt].map(({ epochMillis }) => epochMillis)
    assert.deepStrictEqual(millis.map(Number.isInteger), [true, true])
  })

  it("can be decoded again whatever its misfireGraceTime is", () => {
    const run = runOf({ misfireGraceTime: "1000000000 days" })
    const json = JSON.parse(JSON.stringify(Schema.encodeSync(Run.Run)(run)))
    assert.deepStrictEqual(Schema.decodeUnknownSync(Run.Run)(json).id, run.id)
  })

  it("takes a key and an instance of its own", () => {
    const owner = { id: "a/b", incarnation: 1, task: "Task", policy: Policy.defaults }
    const run = Run.make(owner, at("00:05:00"), { key: "own", instance: "first" })
    assert.deepStrictEqual([run.id, run.key, run.instance], ["a/b/1/own", "own", "first"])
    assert.strictEqual(Run.makeId("a/b", 1, "own"), run.id)
  })
})

describe("Run.manual", () => {
  const manual = (count: number, now = at("00:05:00")) =>
    Run.manual(ownerOf({ misfireGraceTime: "1 minute", priority: 2 }), now, count)

  it("is a run of its own, beside the scheduled one of the same instant", () => {
    assert.notStrictEqual(manual(1).id, runOf().id)
    assert.strictEqual(manual(1).id, "job/3/manual/2026-01-01T00:05:00.000Z/1")
    assert.strictEqual(manual(1).instance, manual(1).key)
  })

  it("has another id for each count and each instant", () => {
    const ids = [manual(1), manual(2), manual(1, at("00:05:00.001")), manual(11)].map(({ id }) => id)
    assert.strictEqual(new Set(ids).size, 4)
  })

  it("is due at once, under the policy of its job", () => {
    assert.deepInclude(manual(1), {
      task: "Task",
      scheduledAt: at("00:05:00"),
      runAt: at("00:05:00"),
      startBy: Option.some(at("00:06:00")),
      priority: 2,
      executor: "default",
      attempt: 0,
      state: { _tag: "Pending" }
    })
  })
})

describe("Run.start", () => {
  const rows: ReadonlyArray<{
    readonly grace: Duration.DurationInput
    readonly attempt: number
    readonly now: string
    readonly state: "Running" | "Missed"
  }> = [
    { grace: Duration.infinity, attempt: 0, now: "23:59:59", state: "Running" },
    { grace: "30 seconds", attempt: 0, now: "00:05:00", state: "Running" },
    { grace: "30 seconds", attempt: 0, now: "00:05:30", state: "Running" },
    { grace: "30 seconds", attempt: 0, now: "00:05:30.001", state: "Missed" },
    { grace: "30 seconds", attempt: 1, now: "00:05:30.001", state: "Running" },
    { grace: "30 seconds", attempt: 5, now: "23:59:59", state: "Running" },
    { grace: 0, attempt: 0, now: "00:05:00", state: "Running" },
    { grace: 0, attempt: 0, now: "00:05:00.001", state: "Missed" },
    { grace: 0, attempt: 1, now: "00:05:00.001", state: "Running" }
  ]
  for (const { attempt, grace, now, state } of rows) {
    it(`at ${now}, within ${Duration.format(grace)} of 00:05:00, after ${attempt} attempts, is ${state}`, () => {
      const run = runOf({ misfireGraceTime: grace }, { attempt })
      assert.deepStrictEqual(
        Run.start(run, "node-1", at(now)),
        state === "Missed"
          ? { ...run, state: { _tag: "Missed", finishedAt: at(now) } }
          : { ...run, attempt: attempt + 1, state: { _tag: "Running", node: "node-1", startedAt: at(now) } }
      )
    })
  }
})

describe("Run.settle", () => {
  const now = at("00:07:00")
  const ended = { startedAt: at("00:06:00"), finishedAt: now }
  const failed: Run.Outcome = { _tag: "Failed", failure }
  const crashed: Run.Outcome = { _tag: "Crashed" }
  const interrupted: Run.Outcome = { _tag: "Interrupted" }

  const refused: Run.Outcome = { _tag: "Refused", reason: "no worker" }
  const output: Run.Output = { stdout: "so far", stderr: "", truncated: false }

  const rows: ReadonlyArray<{
    readonly name: string
    readonly policy?: Policy.PolicyOptions
    readonly before?: Partial<Run.Run>
    readonly outcome: Run.Outcome
    readonly after: Partial<Run.Run>
  }> = [
    {
      name: "a refusal is pending again a second later, whatever onCrash says",
      policy: { onCrash: "abandon", crashLimit: 0 },
      outcome: refused,
      after: { runAt: at("00:07:01"), state: { _tag: "Pending" } }
    },
    {
      name: "a refusal after the grace is over is Missed",
      before: { startBy: Option.some(at("00:06:59")) },
      outcome: refused,
      after: { state: { _tag: "Missed", finishedAt: now } }
    },
    {
      name: "a refusal of a retry is pending again, however late",
      before: { startBy: Option.some(at("00:06:59")), attempt: 1, failures: 1 },
      outcome: refused,
      after: { runAt: at("00:07:01"), state: { _tag: "Pending" } }
    },
    {
      name: "a success keeps what was written",
      outcome: { _tag: "Succeeded", value: 1, output },
      after: { state: { _tag: "Succeeded", ...ended, value: 1, output } }
    },
    {
      name: "a last failure keeps what was written",
      outcome: { _tag: "Failed", failure, output },
      after: { failures: 1, state: { _tag: "Failed", ...ended, failure, output } }
    },
    {
      name: "a last crash keeps its reason and what was written",
      policy: { crashLimit: 0 },
      outcome: { _tag: "Crashed", reason: "killed by SIGKILL", output },
      after: { crashes: 1, state: { _tag: "Abandoned", ...ended, reason: "killed by SIGKILL", output } }
    },
    {
      name: "a cancellation keeps what was written",
      outcome: { _tag: "Cancelled", output },
      after: { state: { _tag: "Cancelled", ...ended, reason: "requested", output } }
    },
    {
      name: "a success with a value is Succeeded and keeps it",
      outcome: { _tag: "Succeeded", value: { sent: 3 } },
      after: { state: { _tag: "Succeeded", ...ended, value: { sent: 3 } } }
    },
    {
      name: "a success with the value null keeps it",
      outcome: { _tag: "Succeeded", value: null },
      after: { state: { _tag: "Succeeded", ...ended, value: null } }
    },
    {
      name: "a success without a value has none",
      outcome: { _tag: "Succeeded" },
      after: { state: { _tag: "Succeeded", ...ended } }
    },
    {
      name: "a success after failures and crashes keeps their counts",
      before: { failures: 2, crashes: 1 },
      outcome: { _tag: "Succeeded" },
      after: { failures: 2, crashes: 1, state: { _tag: "Succeeded", ...ended } }
    },
    {
      name: "a failure without retries is Failed",
      outcome: failed,
      after: { failures: 1, state: { _tag: "Failed", ...ended, failure } }
    },
    {
      name: "the first of two failures is pending again after the delay",
      policy: { retry: { times: 1, delay: "10 seconds" } },
      outcome: failed,
      after: { failures: 1, runAt: at("00:07:10"), state: { _tag: "Pending" } }
    },
    {
      name: "the failure after the last retry is Failed",
      policy: { retry: { times: 1, delay: "10 seconds" } },
      before: { failures: 1 },
      outcome: failed,
      after: { failures: 2, state: { _tag: "Failed", ...ended, failure } }
    },
    {
      name: "a defect and a timeout are retried as an error is",
      policy: { retry: { times: 1, delay: "10 seconds" } },
      outcome: { _tag: "Failed", failure: { kind: "Timeout", message: "timed out" } },
      after: { failures: 1, runAt: at("00:07:10"), state: { _tag: "Pending" } }
    },
    {
      name: "a fixed delay stays what it is",
      policy: { retry: { times: 9, delay: "10 seconds", backoff: "fixed" } },
      before: { failures: 7 },
      outcome: failed,
      after: { failures: 8, runAt: at("00:07:10"), state: { _tag: "Pending" } }
    },
    {
      name: "an exponential delay is the first one after the first failure",
      policy: { retry: { times: 9, delay: "10 seconds", backoff: "exponential" } },
      outcome: failed,
      after: { failures: 1, runAt: at("00:07:10"), state: { _tag: "Pending" } }
    },
    {
      name: "an exponential delay has doubled twice after the third failure",
      policy: { retry: { times: 9, delay: "10 seconds", backoff: "exponential" } },
      before: { failures: 2 },
      outcome: failed,
      after: { failures: 3, runAt: at("00:07:40"), state: { _tag: "Pending" } }
    },
    {
      name: "an exponential delay ends at its cap",
      policy: { retry: { times: 9, delay: "10 seconds", backoff: "exponential", cap: "30 seconds" } },
      before: { failures: 2 },
      outcome: failed,
      after: { failures: 3, runAt: at("00:07:30"), state: { _tag: "Pending" } }
    },
    {
      name: "crashes and attempts do not use up retries",
      policy: { retry: { times: 1, delay: "10 seconds" } },
      before: { attempt: 8, crashes: 3 },
      outcome: failed,
      after: { attempt: 9, failures: 1, crashes: 3, runAt: at("00:07:10"), state: { _tag: "Pending" } }
    },
    {
      name: "a crash is pending again at once",
      outcome: crashed,
      after: { crashes: 1, runAt: now, state: { _tag: "Pending" } }
    },
    {
      name: "the crash that reaches the limit is pending again",
      policy: { crashLimit: 3 },
      before: { crashes: 2 },
      outcome: crashed,
      after: { crashes: 3, runAt: now, state: { _tag: "Pending" } }
    },
    {
      name: "the crash beyond the limit is Abandoned",
      policy: { crashLimit: 3 },
      before: { crashes: 3 },
      outcome: crashed,
      after: { crashes: 4, state: { _tag: "Abandoned", ...ended } }
    },
    {
      name: "the first crash is Abandoned with a limit of none",
      policy: { crashLimit: 0 },
      outcome: crashed,
      after: { crashes: 1, state: { _tag: "Abandoned", ...ended } }
    },
    {
      name: 'a crash is Abandoned with onCrash: "abandon"',
      policy: { onCrash: "abandon", crashLimit: 9 },
      outcome: crashed,
      after: { crashes: 1, state: { _tag: "Abandoned", ...ended } }
    },
    {
      name: "failures do not use up the crash limit",
      policy: { crashLimit: 1 },
      before: { failures: 9 },
      outcome: crashed,
      after: { failures: 9, crashes: 1, runAt: now, state: { _tag: "Pending" } }
    },
    {
      name: "an interruption is pending again at once and counts for nothing",
      policy: { crashLimit: 0 },
      before: { failures: 2, crashes: 5 },
      outcome: interrupted,
      after: { failures: 2, crashes: 5, runAt: now, state: { _tag: "Pending" } }
    },
    {
      name: 'an interruption is Abandoned with onCrash: "abandon"',
      policy: { onCrash: "abandon" },
      outcome: interrupted,
      after: { state: { _tag: "Abandoned", ...ended } }
    }
  ]
  for (const { after, before = {}, name, outcome, policy = {} } of rows) {
    it(name, () => {
      const run = runningOf(policy, before)
      assert.deepStrictEqual(Run.settle(run, policyOf(policy), outcome, now), { ...run, ...after })
    })
  }

  it("gives back a run that may start, however late it has become", () => {
    const policy = { misfireGraceTime: "2 minutes", retry: { times: 1, delay: "1 hour" } } as const
    const retried = Run.settle(runningOf(policy), policyOf(policy), failed, now)
    const again = Run.start(retried, "node-2", at("01:07:00"))
    assert.deepInclude(again, {
      attempt: 2,
      failures: 1,
      scheduledAt: at("00:05:00"),
      state: { _tag: "Running", node: "node-2", startedAt: at("01:07:00") }
    })
  })
})

describe("Run.settle of a run that was called off", () => {
  const now = at("00:07:00")
  const ended = { startedAt: at("00:06:00"), finishedAt: now }
  const failed: Run.Outcome = { _tag: "Failed", failure }
  const cancelled = (reason: Run.CancelReason): Run.RunState => ({ _tag: "Cancelled", ...ended, reason })
  const retries = { retry: { times: 9, delay: "10 seconds" } } as const
  const rows: ReadonlyArray<{
    readonly name: string
    readonly outcome: Run.Outcome
    readonly policy?: Policy.PolicyOptions
    readonly after: (reason: Run.CancelReason) => Partial<Run.Run>
  }> = [
    {
      name: "its interruption ends it as Cancelled",
      outcome: { _tag: "Cancelled" },
      after: (_) => ({ state: cancelled(_) })
    },
    {
      name: "a success that was faster counts",
      outcome: { _tag: "Succeeded", value: 1 },
      after: () => ({ state: { _tag: "Succeeded", ...ended, value: 1 } })
    },
    {
      name: "its last failure is Failed",
      outcome: failed,
      after: () => ({ failures: 1, state: { _tag: "Failed", ...ended, failure } })
    },
    {
      name: "a failure that would be retried ends it as Cancelled",
      outcome: failed,
      policy: retries,
      after: (_) => ({ state: cancelled(_) })
    },
    {
      name: "a shutdown ends it as Cancelled, and it does not go on elsewhere",
      outcome: { _tag: "Interrupted" },
      after: (_) => ({ state: cancelled(_) })
    },
    {
      name: 'a shutdown with onCrash: "abandon" is Abandoned',
      outcome: { _tag: "Interrupted" },
      policy: { onCrash: "abandon" },
      after: () => ({ state: { _tag: "Abandoned", ...ended } })
    },
    {
      name: "a crash ends it as Cancelled, and it does not run again",
      outcome: { _tag: "Crashed" },
      after: (_) => ({ state: cancelled(_) })
    },
    {
      name: "a crash beyond the limit is Abandoned",
      outcome: { _tag: "Crashed" },
      policy: { crashLimit: 0 },
      after: () => ({ crashes: 1, state: { _tag: "Abandoned", ...ended } })
    }
  ]
  for (const { after, name, outcome, policy = {} } of rows) {
    for (const reason of ["requested", "overlap", "removed"] as const) {
      it(`(${reason}) ${name}`, () => {
        const run = Run.requestCancel(runningOf(policy), reason)
        assert.deepStrictEqual(Run.settle(run, policyOf(policy), outcome, now), { ...run, ...after(reason) })
      })
    }
  }

  it("keeps the first reason", () => {
    const run = Run.requestCancel(Run.requestCancel(runningOf(), "overlap"), "requested")
    assert.deepStrictEqual(run.state, {
      _tag: "Running",
      node: "node-1",
      startedAt: at("00:06:00"),
      cancelled: "overlap"
    })
  })

  it("is Cancelled as requested if its node says so without having been asked", () => {
    const run = Run.settle(runningOf(), Policy.defaults, { _tag: "Cancelled" }, now)
    assert.deepStrictEqual(run.state, cancelled("requested"))
  })
})

describe("a retry", () => {
  const now = at("00:07:00")
  const settle = (options: Policy.PolicyOptions, isFinal: boolean, changes: Partial<Run.Run> = {}) => {
    const outcome: Run.Outcome = { _tag: "Failed", failure: { ...failure, isFinal } }
    return Run.settle(runningOf(options, changes), policyOf(options), outcome, now)
  }

  it("does not follow a failure that is final, whatever is left", () => {
    const run = settle({ retry: { times: 9 } }, true)
    assert.deepStrictEqual([run.state._tag, run.failures], ["Failed", 1])
  })

  it("follows one that is not", () => {
    assert.strictEqual(settle({ retry: { times: 9 } }, false).state._tag, "Pending")
  })

  const jittery = FastCheck.record({
    times: FastCheck.constant(9),
    backoff: FastCheck.constantFrom("fixed" as const, "exponential" as const),
    delay: FastCheck.nat(100_000),
    cap: FastCheck.nat(1_000_000),
    jitter: FastCheck.double({ min: 0, max: 1, noNaN: true })
  })
  it.prop(
    "waits no longer than its cap, no less than its jitter leaves, and as long on every node",
    [jittery, FastCheck.nat(8)],
    ([retry, failures]) => {
      const waits = (jitter: number) =>
        settle({ retry: { ...retry, jitter } }, false, { failures }).runAt.epochMillis - now.epochMillis
      const [wait, whole] = [waits(retry.jitter), waits(0)]
      assert.isAtMost(wait, Math.min(whole, retry.cap))
      assert.isAtLeast(wait, Math.floor(whole * (1 - retry.jitter)))
      assert.strictEqual(waits(retry.jitter), wait)
    }
  )
})

describe("Run.backfill", () => {
  const backfill = (now: DateTime.Utc) =>
    Run.backfill(ownerOf({ misfireGraceTime: "1 minute", priority: 2 }), at("00:05:00"), now)

  it("is a run for a past time that may be late and gives way to all others", () => {
    const run = backfill(at("12:00:00"))
    assert.deepInclude(run, {
      id: "job/3/backfill/2026-01-01T12:00:00.000Z/2026-01-01T00:05:00.000Z",
      scheduledAt: at("00:05:00"),
      dueAt: at("00:05:00"),
      startBy: Option.none(),
      priority: Policy.LEAST_PRIORITY
    })
    assert.strictEqual(Run.start(run, "node-1", at("12:00:00")).state._tag, "Running")
  })

  it("has another id each time it is asked for, beside the scheduled run of its time", () => {
    const ids = [backfill(at("12:00:00")), backfill(at("13:00:00")), runOf()].map(({ id }) => id)
    assert.strictEqual(new Set(ids).size, 3)
  })

  it("is told from others by its priority, which nobody else may have", () => {
    assert.deepStrictEqual([Run.isBackfill(backfill(at("12:00:00"))), Run.isBackfill(runOf())], [true, false])
    assert.throws(() => policyOf({ priority: Policy.LEAST_PRIORITY }))
    assert.isFalse(Run.isBackfill(runOf({ priority: Policy.LEAST_PRIORITY + 1 })))
  })
})

describe("the actual time of a run", () => {
  const dueAt = at("00:05:30")
  const late = (misfireGraceTime: Duration.DurationInput) =>
    Run.make(ownerOf({ misfireGraceTime }), at("00:05:00"), { dueAt })

  it("is recorded beside the nominal one, which names the run", () => {
    const { key, runAt, scheduledAt, ...run } = late(0)
    assert.deepStrictEqual([scheduledAt, run.dueAt, runAt], [at("00:05:00"), dueAt, dueAt])
    assert.strictEqual(key, "2026-01-01T00:05:00.000Z")
  })

  it("is where the grace begins", () => {
    assert.deepStrictEqual(late("10 seconds").startBy, Option.some(at("00:05:40")))
    assert.strictEqual(Run.start(late("10 seconds"), "node-1", at("00:05:40")).state._tag, "Running")
    assert.strictEqual(Run.start(late("10 seconds"), "node-1", at("00:05:40.001")).state._tag, "Missed")
  })

  it("is what lateness is counted from", () => {
    const run = Run.start(late(Infinity), "node-1", at("00:06:00"))
    assert.deepStrictEqual(Run.lateness(run), Option.some(Duration.seconds(30)))
  })
})

describe("waiting", () => {
  it("changes the state of a run alone, there and back", () => {
    const run = runOf({}, { failures: 1 })
    for (const state of ["Queued", "Waiting"] as const) {
      assert.deepStrictEqual(Run.hold(run, state), { ...run, state: { _tag: state } })
      assert.deepStrictEqual(Run.promote(Run.hold(run, state)), run)
    }
  })
})

describe("the other ends of a run", () => {
  for (const reason of ["requested", "overlap", "removed"] as const) {
    it(`cancel says why: ${reason}, and when it had started if it had`, () => {
      const now = at("00:09:00")
      assert.deepStrictEqual(Run.cancel(runOf(), now, reason).state, { _tag: "Cancelled", finishedAt: now, reason })
      const startedAt = at("00:06:00")
      const state = { _tag: "Cancelled", startedAt, finishedAt: now, reason } as const
      assert.deepStrictEqual(Run.cancel(runningOf(), now, reason).state, state)
    })
  }

  for (const reason of ["maxInstances", "queueLimit"] as const) {
    it(`skip says why: ${reason}`, () => {
      const now = at("00:09:00")
      assert.deepStrictEqual(Run.skip(runOf(), now, reason).state, { _tag: "Skipped", finishedAt: now, reason })
    })
  }

  const now = at("00:09:00")
  const rows = [
    { name: "skip", end: Run.skip, state: { _tag: "Skipped", finishedAt: now, reason: "maxInstances" } },
    { name: "miss", end: Run.miss, state: { _tag: "Missed", finishedAt: now } },
    { name: "cancel", end: Run.cancel, state: { _tag: "Cancelled", finishedAt: now, reason: "requested" } }
  ] as const
  for (const { end, name, state } of rows) {
    it(`${name} changes its state alone`, () => {
      const run = runOf({}, { attempt: 2, failures: 1 })
      assert.deepStrictEqual(end(run, now), { ...run, state })
    })
  }
})

const startedAt = at("00:06:30")
const finishedAt = at("00:07:00")

const states: Record<Run.RunState["_tag"], Run.RunState> = {
  Waiting: { _tag: "Waiting" },
  Queued: { _tag: "Queued" },
  Pending: { _tag: "Pending" },
  Running: { _tag: "Running", node: "node-1", startedAt },
  Succeeded: { _tag: "Succeeded", startedAt, finishedAt },
  Failed: { _tag: "Failed", startedAt, finishedAt, failure },
  Missed: { _tag: "Missed", finishedAt },
  Skipped: { _tag: "Skipped", finishedAt, reason: "maxInstances" },
  Cancelled: { _tag: "Cancelled", startedAt, finishedAt, reason: "requested" },
  Abandoned: { _tag: "Abandoned", startedAt, finishedAt }
}

const tagsWhere = (predicate: (run: Run.Run) => boolean) =>
  Object.values(states).flatMap((state) => (predicate(runOf({}, { state })) ? [state._tag] : []))

describe("queries", () => {
  it("live are those that may start or are under way", () => {
    assert.deepStrictEqual(tagsWhere(Run.isLive), ["Waiting", "Queued", "Pending", "Running"])
  })

  it("active are those that may start or are under way, but for those that wait for others", () => {
    assert.deepStrictEqual(tagsWhere(Run.isActive), ["Pending", "Running"])
  })

  it("running are those under way", () => {
    assert.deepStrictEqual(tagsWhere(Run.isRunning), ["Running"])
  })

  it("lateness is told of those that started, from the nominal time on", () => {
    const late = (run: Run.Run) => Option.contains(Run.lateness(run), Duration.seconds(90))
    assert.deepStrictEqual(tagsWhere(late), ["Running", "Succeeded", "Failed", "Cancelled", "Abandoned"])
    assert.deepStrictEqual(
      tagsWhere((run) => Option.isSome(Run.lateness(run))),
      ["Running", "Succeeded", "Failed", "Cancelled", "Abandoned"]
    )
  })

  it("lateness of a retry is that of its own attempt", () => {
    const policy = { retry: { times: 1, delay: "4 minutes" } } as const
    const retried = Run.settle(runningOf(policy), policyOf(policy), { _tag: "Failed", failure }, at("00:07:00"))
    assert.deepStrictEqual(Run.lateness(retried), Option.none())
    assert.deepStrictEqual(
      Run.lateness(Run.start(retried, "node-1", at("00:11:00"))),
      Option.some(Duration.millis(360_000))
    )
  })
})

describe("Run.Run", () => {
  const encode = Schema.encodeSync(Run.Run)
  const decode = Schema.decodeUnknownSync(Run.Run)
  const throughJson = (run: Run.Run) => decode(JSON.parse(JSON.stringify(encode(run))))

  // JSON has no -0.
  const json = FastCheck.jsonValue().map((value): unknown => JSON.parse(JSON.stringify(value)))

  /** What is unknown to the Schema is JSON in a store. */
  const withJson = (state: Run.RunState, value: unknown): Run.RunState => {
    if (state._tag === "Succeeded" && "value" in state) return { ...state, value }
    if (state._tag === "Failed" && "error" in state.failure) {
      return { ...state, failure: { ...state.failure, error: value } }
    }
    return state
  }

  const instant = Arbitrary.make(Schema.DateTimeUtcFromNumber)

  it.prop(
    "comes back from JSON as it was, in every state",
    [
      Arbitrary.make(Run.RunState),
      json,
      FastCheck.record({
        scheduledAt: instant,
        dueAt: instant,
        covers: FastCheck.option(Arbitrary.make(Run.Covers)).map(Option.fromNullable),
        origin: FastCheck.option(Arbitrary.make(Run.Origin)).map(Option.fromNullable),
        runAt: instant,
        startBy: FastCheck.option(instant).map(Option.fromNullable),
        jobId: FastCheck.string({ unit: "grapheme" }),
        attempt: FastCheck.nat(),
        failures: FastCheck.nat(),
        crashes: FastCheck.nat(),
        priority: FastCheck.integer()
      })
    ],
    ([state, value, changes]) => {
      const run = runOf({}, { ...changes, state: withJson(state, value) })
      assert.deepStrictEqual(throughJson(run), run)
    },
    { fastCheck: { numRuns: 500 } }
  )

  it("has the states above and no others", () => {
    assert.strictEqual(Run.RunState.members.length, Object.keys(states).length)
    for (const state of Object.values(states)) assert.deepStrictEqual(throughJson(runOf({}, { state })).state, state)
  })

  it("has failures of three kinds", () => {
    for (const kind of ["Error", "Defect", "Timeout"] as const) {
      const run = runOf(
        {},
        { state: { _tag: "Failed", startedAt, finishedAt, failure: { kind, message: "it broke" } } }
      )
      assert.deepStrictEqual(throughJson(run), run)
    }
  })

  it("is times as epoch milliseconds and null for no deadline", () => {
    assert.deepInclude(encode(runOf()), {
      scheduledAt: Date.UTC(2026, 0, 1, 0, 5),
      dueAt: Date.UTC(2026, 0, 1, 0, 5),
      covers: null,
      origin: null,
      runAt: Date.UTC(2026, 0, 1, 0, 5),
      startBy: null
    })
  })
})
