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
  overlap: "skip",
  onCrash: "abandon",
  crashLimit: 14,
  retry: { times: 15, backoff: "exponential", delay: Duration.seconds(16), cap: Duration.seconds(17) },
  timeout: Duration.seconds(18),
  priority: 19
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
      onCrash: "retry",
      crashLimit: 3,
      retry: { times: 0, backoff: "fixed", delay: Duration.millis(1000), cap: Duration.millis(3_600_000) },
      timeout: Duration.infinity,
      priority: 0
    })
  })
})

describe("Policy.override", () => {
  const bases = { "the defaults": Policy.defaults, "another policy": other }

  const rows: ReadonlyArray<{
    readonly options: Policy.PolicyOptions
    readonly changes: Partial<Policy.Policy>
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
    { options: { onCrash: "retry" }, changes: { onCrash: "retry" } },
    { options: { onCrash: "abandon" }, changes: { onCrash: "abandon" } },
    { options: { crashLimit: 0 }, changes: { crashLimit: 0 } },
    { options: { timeout: "2 minutes" }, changes: { timeout: Duration.millis(120_000) } },
    { options: { priority: -7 }, changes: { priority: -7 } },
    { options: { priority: 7 }, changes: { priority: 7 } },
    {
      options: { retry: { times: 2 } },
      changes: { retry: { times: 2, backoff: "fixed", delay: Duration.millis(1000), cap: Duration.millis(3_600_000) } }
    },
    {
      options: { retry: { times: 0, backoff: "exponential", delay: 20, cap: "1 minute" } },
      changes: {
        retry: { times: 0, backoff: "exponential", delay: Duration.millis(20), cap: Duration.millis(60_000) }
      }
    }
  ]
  for (const { changes, options } of rows) {
    for (const [base, policy] of Object.entries(bases)) {
      it(`lays ${inspect(options)} over ${base} and leaves the other fields`, () => {
        assert.deepStrictEqual(Policy.override(policy, options), { ...policy, ...changes })
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
  })

  const whole = "a whole number of at least"
  const duration = `a duration such as "30 seconds"`
  const refused: ReadonlyArray<readonly [option: string, values: ReadonlyArray<unknown>, expected: string]> = [
    ["misfireGraceTime", ["soon", "30", "30 parsecs", "", "NaN seconds", null, {}, true], duration],
    ["timeout", ["soon", "30", "30 parsecs", "", "NaN seconds", null, {}, true], duration],
    ["coalesce", ["first", "", "LATEST", null, true], "latest, earliest, all"],
    ["overlap", ["queue", "", null], "skip"],
    ["onCrash", ["ignore", "", null], "retry, abandon"],
    ["catchUpLimit", [0, -1, 1.5, NaN, Infinity, 2 ** 53, "1", null], `${whole} 1`],
    ["maxInstances", [0, -1, 1.5, NaN, Infinity, 2 ** 53, "1", null], `${whole} 1`],
    ["crashLimit", [-1, 0.5, NaN, Infinity, 2 ** 53, "1", null], `${whole} 0`],
    ["priority", [0.5, NaN, Infinity, -Infinity, 2 ** 53, "1", null], "a whole number"],
    ["retry.times", [-1, 0.5, NaN, Infinity, 2 ** 53, "1", null], `${whole} 0`],
    ["retry.backoff", ["linear", "", null], "fixed, exponential"],
    ["retry.delay", ["soon", "30", "30 parsecs", "", "NaN seconds", null, {}], duration],
    ["retry.cap", ["soon", "30", "30 parsecs", "", "NaN seconds", null, {}], duration]
  ]
  const optionsOf = (option: string, value: unknown) =>
    option.startsWith("retry.") ? { retry: { times: 1, [option.slice(6)]: value } } : { [option]: value }

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
    for (const option of ["misfireGraceTime", "timeout", "retry.delay", "retry.cap"]) {
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
      onCrash: "retry",
      crashLimit: 3,
      retry: { times: 0, backoff: "fixed", delay: 1000, cap: 3_600_000 },
      timeout: null,
      priority: 0
    })
  })

  const duration = FastCheck.oneof(
    FastCheck.constant(Infinity),
    FastCheck.nat(),
    FastCheck.double({ min: 0, max: 1e6, noNaN: true }).map((value) => Math.round(value * 1e6) / 1e6)
  )

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
          delay: duration,
          cap: duration
        }),
        timeout: duration,
        priority: FastCheck.integer()
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
      { ...encoded, overlap: "queue" },
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
