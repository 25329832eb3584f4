import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Duration, FastCheck } from "effect"
import type { Retention } from "../src/Policy.ts"
import { RunHistory } from "../src/RunHistory.ts"

const retentionOf = (age: number, count = Infinity): Retention => ({
  age: Number.isFinite(age) ? Duration.millis(age) : Duration.infinity,
  count,
  finishedJobs: "remove"
})

/** A history and the ids that it still remembers, in the order in which their runs ended. */
const scene = (capacity = Infinity) => {
  const remembered = new Set<string>()
  const forgotten: Array<string> = []
  const history = new RunHistory(capacity, (id) => {
    assert.isTrue(remembered.delete(id), `${id} is forgotten twice`)
    forgotten.push(id)
  })
  const add = (id: string, now: number, retention = retentionOf(100), jobId = "job") => {
    remembered.add(id)
    history.add(id, jobId, retention, now)
  }
  return { history, add, forgotten, ids: () => [...remembered] }
}

describe("an ended run is remembered", () => {
  it("until its age is over, and no longer", () => {
    const { add, forgotten, history, ids } = scene()
    add("a", 0)
    add("b", 10)
    assert.deepStrictEqual([history.prune(99), ids()], [0, ["a", "b"]])
    assert.deepStrictEqual([history.prune(100), ids()], [1, ["b"]])
    assert.deepStrictEqual([history.prune(1000), ids()], [1, []])
    assert.deepStrictEqual([history.prune(1000), forgotten], [0, ["a", "b"]])
  })

  it("for ever, if its age is infinite", () => {
    const { add, history, ids } = scene()
    add("a", 0, retentionOf(Infinity))
    assert.deepStrictEqual([history.prune(Number.MAX_SAFE_INTEGER), ids()], [0, ["a"]])
  })

  it("for as long as its own job says, whatever others say", () => {
    const { add, history, ids } = scene()
    add("long", 0, retentionOf(100), "patient")
    add("short", 50, retentionOf(10), "hasty")
    assert.deepStrictEqual([history.prune(60), ids()], [1, ["long"]])
  })

  it("among so many of its job, the latest", () => {
    const { add, ids } = scene()
    for (const [i, id] of ["a", "b", "c", "d"].entries()) add(id, i, retentionOf(100, 2))
    add("other", 9, retentionOf(100, 2), "other")
    assert.deepStrictEqual(ids(), ["c", "d", "other"])
  })

  it("not at all, if its job keeps none", () => {
    const { add, history, ids } = scene()
    add("a", 0, retentionOf(100, 0))
    assert.deepStrictEqual([ids(), history.prune(1000)], [[], 1])
    assert.strictEqual(history.prune(1000), 0)
  })

  it("among so many in all: the one that would be forgotten first goes first", () => {
    const { add, ids } = scene(2)
    add("long", 0, retentionOf(1000))
    add("short", 10, retentionOf(100))
    add("new", 20, retentionOf(1000))
    assert.deepStrictEqual(ids(), ["long", "new"])
    add("newer", 30, retentionOf(Infinity))
    assert.deepStrictEqual(ids(), ["new", "newer"])
  })

  it("and makes room for another one of its job when it is forgotten for its age", () => {
    const { add, history, ids } = scene()
    // The age of the job was shortened, and lengthened again.
    add("old", 0, retentionOf(1000, 2))
    add("short", 10, retentionOf(10, 2))
    assert.strictEqual(history.prune(20), 1)
    add("new", 30, retentionOf(1000, 2))
    assert.deepStrictEqual(ids(), ["old", "new"])
  })
})

interface Ended {
  readonly id: string
  readonly jobId: string
  readonly until: number
}

/** The same as a list that is searched anew each time. */
class Model {
  ended: ReadonlyArray<Ended> = []
  readonly capacity: number

  constructor(capacity: number) {
    this.capacity = capacity
  }

  add(id: string, jobId: string, age: number, count: number, now: number): void {
    this.ended = [...this.ended, { id, jobId, until: now + age }]
    const own = this.ended.filter((run) => run.jobId === jobId)
    this.forget(Number.isFinite(count) ? own.slice(0, Math.max(0, own.length - count)) : [])
    if (this.ended.length <= this.capacity) return
    const first = Math.min(...this.ended.map(({ until }) => until))
    this.forget(this.ended.filter(({ until }) => until === first).slice(0, 1))
  }

  prune(now: number): void {
    this.forget(this.ended.filter(({ until }) => until <= now))
  }

  private forget(runs: ReadonlyArray<Ended>): void {
    this.ended = this.ended.filter((run) => !runs.includes(run))
  }
}

/** Jobs that say for good what is kept of them. */
const kinds = { brief: { age: 50, count: Infinity }, few: { age: 100, count: 3 }, long: { age: Infinity, count: 5 } }

const step = FastCheck.record({
  jobId: FastCheck.constantFrom(...(Object.keys(kinds) as ReadonlyArray<keyof typeof kinds>)),
  passed: FastCheck.nat(20),
  prunes: FastCheck.boolean()
})

describe("whatever ends", () => {
  it.prop(
    "what is remembered is what a list remembers, never more than fits, and nothing that has its time is forgotten",
    [FastCheck.integer({ min: 1, max: 12 }), FastCheck.array(step, { maxLength: 100, size: "max" })],
    ([capacity, steps]) => {
      const { add, history, ids } = scene(capacity)
      const model = new Model(capacity)
      let now = 0
      let told = 0
      for (const [i, { jobId, passed, prunes }] of steps.entries()) {
        now += passed
        const { age, count } = kinds[jobId]
        add(String(i), now, retentionOf(age, count), jobId)
        model.add(String(i), jobId, age, count, now)
        assert.isAtMost(ids().length, capacity)
        // Among those that are forgotten at one time nobody says which comes first.
        assert.strictEqual(ids().length, model.ended.length)
        if (!prunes) continue
        told += history.prune(now)
        assert.strictEqual(told, i + 1 - ids().length)
        model.prune(now)
        assert.strictEqual(ids().length, model.ended.length)
      }
    },
    { fastCheck: { numRuns: 300 } }
  )

  it.prop(
    "while there is room, the latest of each job within its age are remembered, and no others",
    [FastCheck.array(step, { maxLength: 100, size: "max" })],
    ([steps]) => {
      const { add, history, ids } = scene()
      const ended: Array<{ readonly id: string; readonly jobId: keyof typeof kinds; readonly at: number }> = []
      let now = 0
      for (const [i, { jobId, passed }] of steps.entries()) {
        now += passed
        ended.push({ id: String(i), jobId, at: now })
        const { age, count } = kinds[jobId]
        add(String(i), now, retentionOf(age, count), jobId)
      }
      history.prune(now)
      const expected = ended.filter(({ at, id, jobId }) => {
        const { age, count } = kinds[jobId]
        const later = ended.filter((run) => run.jobId === jobId && Number(run.id) > Number(id))
        return now < at + age && later.length < count
      })
      assert.deepStrictEqual(
        ids(),
        expected.map(({ id }) => id)
      )
    }
  )

  it("a hundred thousand runs are forgotten in order, one for each that ends", () => {
    const { add, forgotten, ids } = scene(1000)
    const names = Arr.makeBy(100_000, String)
    for (const [i, name] of names.entries()) add(name, i, retentionOf(Infinity, 50_000))
    assert.strictEqual(ids().length, 1000)
    assert.deepStrictEqual(forgotten, names.slice(0, -1000))
  })
})
