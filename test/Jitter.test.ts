import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, FastCheck } from "effect"
import * as Jitter from "../src/Jitter.ts"

describe("Jitter.fraction", () => {
  it.prop(
    "is at least 0, below 1, and the same for the same text",
    [FastCheck.string({ unit: "grapheme", maxLength: 200 })],
    ([text]) => {
      const fraction = Jitter.fraction(text)
      assert.isTrue(fraction >= 0 && fraction < 1)
      assert.strictEqual(Jitter.fraction(text), fraction)
    }
  )

  // A store holds what was worked out from them: another value is another due time for a job that waits.
  const known: ReadonlyArray<readonly [text: string, fraction: number]> = [
    ["", 0.6689221884589642],
    ["job/1767225600000", 0.6040020689833909],
    ["nightly/🌙", 0.3344125705771148]
  ]
  for (const [text, fraction] of known) {
    it(`of ${JSON.stringify(text)} is what it has always been`, () => {
      assert.strictEqual(Jitter.fraction(text), fraction)
    })
  }

  const spreads: Record<string, (i: number) => string> = {
    "jobs at one instant": (i) => `job-${i}/1767225600000`,
    "the minutes of one job": (i) => `job/${1767225600000 + i * 60_000}`,
    "the seconds of one job": (i) => `job/${1767225600000 + i * 1000}`
  }
  for (const [name, text] of Object.entries(spreads)) {
    it(`spreads ${name} evenly, neighbours apart`, () => {
      const fractions = Arr.makeBy(10_000, (i) => Jitter.fraction(text(i)))
      const tenths = Arr.makeBy(10, (tenth) => fractions.filter((_) => Math.floor(_ * 10) === tenth).length)
      for (const count of tenths) assert.isTrue(count > 850 && count < 1150, `tenths: ${tenths.join()}`)
      const distances = fractions.slice(1).map((fraction, i) => Math.abs(fraction - fractions[i]!))
      // The mean distance of two independent ones is a third.
      const mean = distances.reduce((sum, distance) => sum + distance, 0) / distances.length
      assert.isTrue(Math.abs(mean - 1 / 3) < 0.02, `mean distance: ${mean}`)
      assert.isAbove(new Set(fractions).size, 9_990)
    })
  }
})
