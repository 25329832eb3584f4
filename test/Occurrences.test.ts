import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import * as CivilTime from "../src/CivilTime.ts"
import * as Occurrences from "../src/Occurrences.ts"

/** Every instant from `from` to `to`, asked for one after the other, in both directions. */
const between = (self: Occurrences.Occurrences, from: number, to: number) => {
  const forward: Array<number> = []
  for (let at = self.next(from - 1); at <= to; at = self.next(at)) forward.push(at)
  const backward: Array<number> = []
  for (let at = self.previous(to); at >= from; at = self.previous(at - 1)) backward.unshift(at)
  assert.deepStrictEqual(backward, forward)
  return forward
}

const always = <A>(arbitrary: FastCheck.Arbitrary<A>, law: (value: A) => void) =>
  FastCheck.assert(FastCheck.property(arbitrary, law), { seed: 5, numRuns: 1000 })

const Instants = FastCheck.integer({ min: -100, max: 100 })

describe("Occurrences", () => {
  it("never has no instant", () => {
    assert.deepStrictEqual(
      [Occurrences.never.next(-Infinity), Occurrences.never.previous(Infinity)],
      [Infinity, -Infinity]
    )
  })

  it("at has one instant, after what is before it and before what is not", () => {
    const at = Occurrences.at(5)
    assert.deepStrictEqual([-Infinity, 4, 5, 6, Infinity].map(at.next), [5, 5, Infinity, Infinity, Infinity])
    assert.deepStrictEqual([-Infinity, 4, 5, 6, Infinity].map(at.previous), [-Infinity, -Infinity, 5, 5, 5])
  })

  it.each([
    [10, 0, [-20, -10, 0, 10, 20]],
    [10, 3, [-17, -7, 3, 13]],
    [10, -3, [-13, -3, 7, 17]],
    [10, 1003, [-17, -7, 3, 13]],
    [7, 0, [-14, -7, 0, 7, 14]],
    [100, 50, []]
  ])("every %d in step with %d", (period, phase, expected) => {
    assert.deepStrictEqual(between(Occurrences.every(period, phase), -20, 20), expected)
  })

  it("every has an instant in every period, and none but those in step", () => {
    always(FastCheck.tuple(FastCheck.integer({ min: 1, max: 30 }), Instants, Instants), ([period, phase, moment]) => {
      const self = Occurrences.every(period, phase)
      const inStep = Array.from({ length: 600 }, (_, i) => i - 300).filter((at) => (at - phase) % period === 0)
      assert.strictEqual(
        self.next(moment),
        inStep.find((at) => at > moment)
      )
      assert.strictEqual(
        self.previous(moment),
        inStep.findLast((at) => at <= moment)
      )
    })
  })

  it("every counts to the millisecond centuries away from its phase", () => {
    const self = Occurrences.every(7, 0)
    assert.strictEqual(self.next(8.64e15 - 7), 7 * Math.ceil((8.64e15 - 6) / 7))
    assert.strictEqual(self.previous(-8.64e15), -7 * Math.ceil(8.64e15 / 7))
  })

  it.each<readonly [number | undefined, number | undefined, ReadonlyArray<number>]>([
    [undefined, undefined, [-20, -10, 0, 10, 20]],
    [0, undefined, [0, 10, 20]],
    [1, undefined, [10, 20]],
    [undefined, 0, [-20, -10, 0]],
    [undefined, -1, [-20, -10]],
    [-10, 10, [-10, 0, 10]],
    [-9, 9, [0]],
    [0, 0, [0]],
    [1, 9, []]
  ])("within %s and %s, both inclusive", (start, end, expected) => {
    assert.deepStrictEqual(between(Occurrences.within(Occurrences.every(10, 0), start, end), -20, 20), expected)
  })

  it("within keeps just the instants between its bounds", () => {
    always(
      FastCheck.tuple(FastCheck.integer({ min: 1, max: 9 }), Instants, Instants, Instants),
      ([period, a, b, moment]) => {
        const [start, end] = [Math.min(a, b), Math.max(a, b)]
        const kept = between(Occurrences.every(period, 0), start, end)
        const self = Occurrences.within(Occurrences.every(period, 0), start, end)
        assert.strictEqual(self.next(moment), kept.find((at) => at > moment) ?? Infinity)
        assert.strictEqual(self.previous(moment), kept.findLast((at) => at <= moment) ?? -Infinity)
      }
    )
  })

  it("within without bounds is the set itself", () => {
    assert.strictEqual(Occurrences.within(Occurrences.never), Occurrences.never)
  })

  it("civil has whole seconds, asked for in milliseconds", () => {
    const times = { next: (local: number) => local, previous: (local: number) => local }
    const self = Occurrences.civil({ zone: CivilTime.zone("+01:00")!, gap: "skip", fold: "both", times })
    assert.deepStrictEqual(
      [-1001, -1000, -999, -1, 0, 1, 999, 1000].map(self.next),
      [-1000, 0, 0, 0, 1000, 1000, 1000, 2000]
    )
    assert.deepStrictEqual(
      [-1001, -1000, -999, -1, 0, 1, 999, 1000].map((at) => self.previous(at) + 0),
      [-2000, -1000, -1000, -1000, 0, 0, 0, 1000]
    )
  })
})
