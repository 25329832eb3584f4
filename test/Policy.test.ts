import { assert, describe, it } from "@effect/vitest"
import { Duration, FastCheck, Schema } from "effect"
import { inspect } from "node:util"
import * as Policy from "../src/Policy.ts"
import { InvalidOption } from "../src/SchedulerError.ts"

/** A policy that differs from the defaults in every field that can. */
const other: Policy.Policy = {
  misfireGraceTime: Duration.seconds(11),
  coalesce: "earliest",
  catchUpLimit: 12,
  maxInstances: 13,
  overlap: "queue",
  queueLimit: 20,
  jitter: Duration.seconds(21),
  limit: 22,
  onCrash: "abandon",
  crashLimit: 14,
  retry: { times: 15, backoff: "exponential", delay: Duration.seconds(16), cap: Duration.seconds(17), jitter: 0.25 },
  timeout: Duration.seconds(18),
  retention: { age: Duration.seconds(23), count: 24, finishedJobs: "keep" },
  priority: 19,
  executor: "cpu"
}

/** The refusal of an option, whatever its type says. */
const refusal = (options: unknown): InvalidOption => {
  try {
    Policy.override(Policy.defaults, options as Policy.PolicyOptions)
  } catch (error) {
    assert.instanceOf(error, InvalidOption)
    return error
  }
  return assert.fail(`${inspect(options)} is accepted`)
}

const millis = (duration: Duration.Duration) => Duration.toMillis(duration)

describe("Policy.defaults", () => {
  it("are those of the documentation", () => {
    assert.deepStrictEqual(Policy.defaults, {
      misfireGraceTime: Duration.infinity,
      coalesce: "latest",
      catchUpLimit: 100,
      maxInstances: 1,
      overlap: "skip",
      queueLimit: 100,
      jitter: Duration.zero,
      limit: Infinity,
      onCrash: "retry",
      crashLimit: 3,
      retry: { times: 0, backoff: "fixed", delay: Duration.millis(1000), cap: Duration.millis(3_600_000), jitter: 0 },
      timeout: Duration.infinity,
      retention: { age: Duration.millis(604_800_000), count: Infinity, finishedJobs: "remove" },
      priority: 0,
      executor: "default"
    })
  })
})

describe("Policy.override", () => {
  const bases = { "the defaults": Policy.defaults, "another policy": other }

  const rows: ReadonlyArray<{
    readonly options: Policy.PolicyOptions
    readonly changes: Partial<Policy.Policy> | ((base: Policy.Policy) => Partial<Policy.Policy>)
  }> = [
    { options: { misfireGraceTime: "30 seconds" }, changes: { misfireGraceTime: Duration.millis(30_000) } },
    { options: { misfireGraceTime: 0 }, changes: { misfireGraceTime: Duration.zero } },
    { options: { misfireGraceTime: Infinity }, changes: { misfireGraceTime: Duration.infinity } },
    { options: { coalesce: "latest" }, changes: { coalesce: "latest" } },
    { options: { coalesce: "earliest" }, changes: { coalesce: "earliest" } },
    { options: { coalesce: "all" }, changes: { coalesce: "all" } },
    { options: { catchUpLimit: 1 }, changes: { catchUpLimit: 1 } },
    { options: { maxInstances: 3 }, changes: { maxInstances: 3 } },
    { options: { maxInstances: 1 }, changes: { maxInstances: 1 } },
    { options: { overlap: "skip" }, changes: { overlap: "skip" } },
    { options: { overlap: "queue" }, changes: { overlap: "queue" } },
    { options: { overlap: "cancelPrevious" }, changes: { overlap: "cancelPrevious" } },
    { options: { queueLimit: 1 }, changes: { queueLimit: 1 } },
    { options: { jitter: "5 minutes" }, changes: { jitter: Duration.millis(300_000) } },
    { options: { jitter: 0 }, changes: { jitter: Duration.zero } },
    { options: { limit: 1 }, changes: { limit: 1 } },
    { options: { limit: Infinity }, changes: { limit: Infinity } },
    {
      options: { retention: { age: "1 hour" } },
      changes: ({ retention }) => ({ retention: { ...retention, age: Duration.millis(3_600_000) } })
    },
    {
      options: { retention: { age: Infinity, count: 0 } },
      changes: ({ retention }) => ({ retention: { ...retention, age: Duration.infinity, count: 0 } })
    },
    {
      options: { retention: { count: Infinity, finishedJobs: "remove" } },
      changes: ({ retention }) => ({ retention: { ...retention, count: Infinity, finishedJobs: "remove" } })
    },
    { options: { onCrash: "retry" }, changes: { onCrash: "retry" } },
    { options: { onCrash: "abandon" }, changes: { onCrash: "abandon" } },
    { options: { crashLimit: 0 }, changes: { crashLimit: 0 } },
    { options: { timeout: "2 minutes" }, changes: { timeout: Duration.millis(120_000) } },
    { options: { priority: -7 }, changes: { priority: -7 } },
    { options: { priority: 7 }, changes: { priority: 7 } },
    { options: { executor: "cpu" }, changes: { executor: "cpu" } },
    { options: { retry: { times: 2 } }, changes: ({ retry }) => ({ retry: { ...retry, times: 2 } }) },
    { options: { retry: { jitter: 1 } }, changes: ({ retry }) => ({ retry: { ...retry, jitter: 1 } }) },
    { options: { retry: { jitter: 0 } }, changes: ({ retry }) => ({ retry: { ...retry, jitter: 0 } }) },
    { options: { retry: { cap: 7 } }, changes: ({ retry }) => ({ retry: { ...retry, cap: Duration.millis(7) } }) },
    {
      options: { retry: { times: 0, backoff: "exponential", delay: 20, cap: "1 minute", jitter: 0.5 } },
      changes: {
        retry: {
          times: 0,
          backoff: "exponential",
          delay: Duration.millis(20),
          cap: Duration.millis(60_000),
          jitter: 0.5
        }
      }
    }
  ]
  for (const { changes, options } of rows) {
    for (const [base, policy] of Object.entries(bases)) {
      it(`lays ${inspect(options)} over ${base} and leaves the other fields`, () => {
        const changed = typeof changes === "function" ? changes(policy) : changes
        assert.deepStrictEqual(Policy.override(policy, options), { ...policy, ...changed })
      })
    }
  }

  it("has a row above for each field", () => {
    assert.deepStrictEqual(
      [...new Set(rows.flatMap(({ options }) => Object.keys(options)))].sort(),
      Object.keys(Policy.defaults).sort()
    )
  })

  it("leaves a policy as it is for no options, and for options that are undefined", () => {
    const nothing = Object.fromEntries(Object.keys(other).map((field) => [field, undefined]))
    assert.deepStrictEqual(Policy.override(other, {}), other)
    assert.deepStrictEqual(Policy.override(other, nothing), other)
    assert.deepStrictEqual(Policy.override(other, { retry: {}, retention: {} }), other)
    assert.deepStrictEqual(
      Policy.override(other, { retry: { times: undefined, jitter: undefined }, retention: { age: undefined } }),
      other
    )
  })

  it("is the same value for no options, so that a million jobs share it", () => {
    assert.strictEqual(Policy.override(other, {}), other)
    assert.strictEqual(Policy.override(other, { priority: undefined, retry: undefined }), other)
  })

  it("merges the options of retry and retention field by field over those before", () => {
    const scheduler = Policy.override(Policy.defaults, {
      retry: { times: 5, jitter: 0.5 },
      retention: { age: "1 day", count: 9 }
    })
    const task = Policy.override(scheduler, { retry: { delay: "3 seconds" }, retention: { finishedJobs: "keep" } })
    const job = Policy.override(task, { retry: { times: 1, backoff: "exponential" }, retention: { count: 2 } })
    assert.deepStrictEqual(job.retry, {
      times: 1,
      backoff: "exponential",
      delay: Duration.millis(3000),
      cap: Duration.millis(3_600_000),
      jitter: 0.5
    })
    assert.deepStrictEqual(job.retention, { age: Duration.millis(86_400_000), count: 2, finishedJobs: "keep" })
  })

  const caps: ReadonlyArray<readonly [name: string, retry: Policy.RetryOptions, cap: number]> = [
    ["shorter than the cap leaves it", { delay: "59 minutes" }, 3_540_000 + 60_000],
    ["longer than the cap lifts it", { delay: "2 hours" }, 7_200_000],
    ["longer than a cap given with it does not", { delay: "2 hours", cap: "1 minute" }, 60_000]
  ]
  for (const [name, retry, cap] of caps) {
    it(`a delay ${name}`, () => {
      assert.strictEqual(millis(Policy.override(Policy.defaults, { retry }).retry.cap), cap)
    })
  }

  const whole = "a whole number of at least"
  const duration = `a duration such as "30 seconds"`
  const refused: ReadonlyArray<readonly [option: string, values: ReadonlyArray<unknown>, expected: string]> = [
    ["misfireGraceTime", ["soon", "30", "30 parsecs", "", "NaN seconds", null, {}, true], duration],
    ["timeout", ["soon", "30", "30 parsecs", "", "NaN seconds", null, {}, true], duration],
    ["coalesce", ["first", "", "LATEST", null, true], "latest, earliest, all"],
    ["overlap", ["wait", "", null], "skip, queue, cancelPrevious"],
    ["queueLimit", [0, -1, 1.5, NaN, Infinity, 2 ** 31, "1", null], `${whole} 1`],
    ["jitter", ["soon", "30", "", "NaN seconds", null, {}, -1, NaN], duration],
    ["jitter", [Infinity, Duration.infinity], `a finite duration such as "30 seconds"`],
    ["retry.delay", [Infinity, Duration.infinity], `a finite duration such as "30 seconds"`],
    ["retry.cap", [Infinity, Duration.infinity], `a finite duration such as "30 seconds"`],
    ["limit", [0, -1, 1.5, NaN, -Infinity, 2 ** 31, "1", null], `${whole} 1`],
    ["retention.age", ["soon", "30", "", null, {}, -1], duration],
    ["retention.count", [-1, 1.5, NaN, -Infinity, 2 ** 31, "1", null], `${whole} 0`],
    ["retention.finishedJobs", ["forget", "", null], "remove, keep"],
    ["onCrash", ["ignore", "", null], "retry, abandon"],
    ["catchUpLimit", [0, -1, 1.5, NaN, Infinity, 2 ** 53, "1", null], `${whole} 1`],
    ["maxInstances", [0, -1, 1.5, NaN, Infinity, 2 ** 53, "1", null], `${whole} 1`],
    ["crashLimit", [-1, 0.5, NaN, Infinity, 2 ** 53, "1", null], `${whole} 0`],
    ["executor", ["", "x".repeat(65)], "a name of 1 to 64 characters"],
    ["priority", [0.5, NaN, Infinity, -Infinity, 2 ** 53, "1", null, -2_147_483_647], `${whole} -2147483646`],
    ["retry.times", [-1, 0.5, NaN, Infinity, 2 ** 53, "1", null], `${whole} 0`],
    ["retry.jitter", [-0.1, 1.1, NaN, Infinity, "much", {}], "a number from 0 to 1"],
    ["retry.backoff", ["linear", "", null], "fixed, exponential"],
    ["retry.delay", ["soon", "30", "30 parsecs", "", "NaN seconds", null, {}], duration],
    ["retry.cap", ["soon", "30", "30 parsecs", "", "NaN seconds", null, {}], duration]
  ]
  const optionsOf = (option: string, value: unknown) =>
    option.startsWith("retry.")
      ? { retry: { times: 1, [option.slice(6)]: value } }
      : option.startsWith("retention.")
        ? { retention: { [option.slice(10)]: value } }
        : { [option]: value }

  for (const [option, values, expected] of refused) {
    for (const value of values) {
      it(`refuses ${option}: ${inspect(value)}`, () => {
        const error = refusal(optionsOf(option, value))
        assert.deepStrictEqual(
          { option: error.option, value: error.value, expected: error.expected },
          { option, value: String(value), expected }
        )
        assert.strictEqual(error.message, `Invalid option ${option}: ${String(value)}; expected ${expected}`)
      })
    }
  }

  it("refuses a duration that is negative or NaN", () => {
    for (const option of ["misfireGraceTime", "timeout", "jitter", "retention.age", "retry.delay", "retry.cap"]) {
      for (const value of [-1, NaN, -Infinity, "-5 seconds"]) {
        assert.strictEqual(refusal(optionsOf(option, value)).option, option)
      }
    }
  })

  it("keeps a crashLimit and a retry.times of 0, and a misfireGraceTime of 0", () => {
    const { crashLimit, misfireGraceTime, retry } = Policy.override(other, {
      crashLimit: 0,
      misfireGraceTime: "0 millis",
      retry: { times: 0 }
    })
    assert.deepStrictEqual([crashLimit, millis(misfireGraceTime), retry.times], [0, 0, 0])
  })
})

describe("Policy.retryDelay", () => {
  const delays = (options: Omit<Policy.RetryOptions, "times">, failures: ReadonlyArray<number>) => {
    const { retry } = Policy.override(Policy.defaults, { retry: { times: 100, ...options } })
    return failures.map((n) => millis(Policy.retryDelay(retry, n)))
  }

  const rows: ReadonlyArray<{
    readonly options: Omit<Policy.RetryOptions, "times">
    readonly failures: ReadonlyArray<number>
    readonly delays: ReadonlyArray<number>
  }> = [
    { options: {}, failures: [1, 2, 3, 1000], delays: [1000, 1000, 1000, 1000] },
    { options: { delay: "5 seconds" }, failures: [1, 2, 50], delays: [5000, 5000, 5000] },
    { options: { delay: "5 seconds", cap: "3 seconds" }, failures: [1, 2], delays: [3000, 3000] },
    {
      options: { backoff: "exponential" },
      failures: [1, 2, 3, 4, 12, 13],
      delays: [1000, 2000, 4000, 8000, 2_048_000, 3_600_000]
    },
    {
      options: { backoff: "exponential", delay: 100, cap: 1000 },
      failures: [1, 2, 3, 4, 5, 6],
      delays: [100, 200, 400, 800, 1000, 1000]
    },
    { options: { backoff: "exponential", delay: 100, cap: 400 }, failures: [2, 3, 4], delays: [200, 400, 400] },
    { options: { backoff: "exponential" }, failures: [64, 1100, 100_000], delays: [3_600_000, 3_600_000, 3_600_000] },
    { options: { backoff: "exponential", delay: 0 }, failures: [1, 5, 2000], delays: [0, 0, 0] }
  ]
  for (const row of rows) {
    it(`of ${inspect(row.options)} after failures ${row.failures} is ${row.delays} ms`, () => {
      assert.deepStrictEqual(delays(row.options, row.failures), row.delays)
    })
  }

  const retry = FastCheck.record({
    times: FastCheck.constant(9),
    backoff: FastCheck.constantFrom("fixed" as const, "exponential" as const),
    delay: FastCheck.nat(100_000),
    cap: FastCheck.nat(1_000_000),
    jitter: FastCheck.double({ min: 0, max: 1, noNaN: true })
  }).map((options) => Policy.override(Policy.defaults, { retry: options }).retry)
  const failures = FastCheck.integer({ min: 1, max: 60 })

  it.prop(
    "with jitter is shortened by no more than its share, is the same for the same run, and whole",
    [retry, failures, FastCheck.string()],
    ([retry, failures, key]) => {
      const whole = millis(Policy.retryDelay({ ...retry, jitter: 0 }, failures, key))
      const delay = Policy.retryDelay(retry, failures, key)
      assert.isAtMost(millis(delay), whole)
      assert.isAtMost(millis(delay), millis(retry.cap))
      assert.isAtLeast(millis(delay), Math.floor(whole * (1 - retry.jitter)))
      assert.isTrue(Number.isInteger(millis(delay)))
      assert.deepStrictEqual(Policy.retryDelay(retry, failures, key), delay)
    }
  )

  it("with jitter parts the runs that failed together, and the failures of one run", () => {
    const { retry } = Policy.override(Policy.defaults, { retry: { times: 9, delay: "1 hour", jitter: 1 } })
    const ofRuns = Array.from({ length: 1000 }, (_, i) => millis(Policy.retryDelay(retry, 1, `run-${i}`)))
    const ofFailures = Array.from({ length: 100 }, (_, i) => millis(Policy.retryDelay(retry, i + 1, "run")))
    assert.isAbove(new Set(ofRuns).size, 990)
    assert.isAbove(new Set(ofFailures).size, 98)
    for (const tenth of Array.from({ length: 10 }, (_, i) => i)) {
      const within = ofRuns.filter((delay) => Math.floor((delay - 1) / 360_000) === tenth)
      assert.isAbove(within.length, 50, `few of them wait ${tenth} tenths of an hour`)
    }
  })
})

describe("Policy.Policy", () => {
  const decode = Schema.decodeUnknownSync(Policy.Policy)
  const encode = Schema.encodeSync(Policy.Policy)

  it("is JSON, with durations as milliseconds and infinity as null", () => {
    assert.deepStrictEqual(encode(Policy.defaults), {
      misfireGraceTime: null,
      coalesce: "latest",
      catchUpLimit: 100,
      maxInstances: 1,
      overlap: "skip",
      queueLimit: 100,
      jitter: 0,
      limit: null,
      onCrash: "retry",
      crashLimit: 3,
      retry: { times: 0, backoff: "fixed", delay: 1000, cap: 3_600_000, jitter: 0 },
      timeout: null,
      retention: { age: 604_800_000, count: null, finishedJobs: "remove" },
      priority: 0,
      executor: "default"
    })
  })

  const duration = FastCheck.oneof(
    FastCheck.constant(Infinity),
    FastCheck.nat(),
    FastCheck.double({ min: 0, max: 1e6, noNaN: true }).map((value) => Math.round(value * 1e6) / 1e6)
  )

  const count = (min: number) => FastCheck.oneof(FastCheck.constant(Infinity), FastCheck.integer({ min }))

  it.prop(
    "comes back from JSON as it was",
    [
      FastCheck.record({
        misfireGraceTime: duration,
        coalesce: FastCheck.constantFrom("latest" as const, "earliest" as const, "all" as const),
        catchUpLimit: FastCheck.integer({ min: 1 }),
        maxInstances: FastCheck.integer({ min: 1 }),
        onCrash: FastCheck.constantFrom("retry" as const, "abandon" as const),
        crashLimit: FastCheck.nat(),
        retry: FastCheck.record({
          times: FastCheck.nat(),
          backoff: FastCheck.constantFrom("fixed" as const, "exponential" as const),
          delay: FastCheck.nat(),
          cap: FastCheck.nat(),
          jitter: FastCheck.double({ min: 0, max: 1, noNaN: true }).map(Math.abs)
        }),
        timeout: duration,
        overlap: FastCheck.constantFrom("skip" as const, "queue" as const, "cancelPrevious" as const),
        queueLimit: FastCheck.integer({ min: 1 }),
        jitter: FastCheck.nat(),
        limit: count(1),
        retention: FastCheck.record({
          age: duration,
          count: count(0),
          finishedJobs: FastCheck.constantFrom("remove" as const, "keep" as const)
        }),
        priority: FastCheck.integer({ min: Policy.LEAST_PRIORITY + 1 }),
        executor: FastCheck.string({ minLength: 1, maxLength: 64 })
      })
    ],
    ([options]) => {
      const policy = Policy.override(Policy.defaults, options)
      assert.deepStrictEqual(decode(JSON.parse(JSON.stringify(encode(policy)))), policy)
    }
  )

  it("has no unknown literal, no fraction of an instance and no negative duration", () => {
    const encoded = encode(other)
    const broken: ReadonlyArray<unknown> = [
      { ...encoded, coalesce: "first" },
      { ...encoded, overlap: "wait" },
      { ...encoded, limit: -1 },
      { ...encoded, limit: 0.5 },
      { ...encoded, jitter: -1 },
      { ...encoded, retry: { ...encoded.retry, jitter: 1.5 } },
      { ...encoded, retention: { ...encoded.retention, count: -1 } },
      { ...encoded, retention: { ...encoded.retention, finishedJobs: "forget" } },
      { ...encoded, onCrash: "ignore" },
      { ...encoded, misfireGraceTime: -1 },
      { ...encoded, timeout: -1 },
      { ...encoded, maxInstances: 1.5 },
      { ...encoded, retry: { ...encoded.retry, times: -1 } },
      { ...encoded, retry: { ...encoded.retry, backoff: "linear" } },
      { ...encoded, retry: { ...encoded.retry, delay: -1 } }
    ]
    assert.deepStrictEqual(decode(encoded), other)
    for (const json of broken) assert.throws(() => decode(json))
  })
})
