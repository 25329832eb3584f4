import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import * as PriorityQueue from "../src/PriorityQueue.ts"

const make = (...items: ReadonlyArray<readonly [id: string, rank: number, time: number]>) => {
  const queue = new PriorityQueue.PriorityQueue()
  for (const [id, rank, time] of items) queue.set(id, rank, time)
  return queue
}

/** Takes everything out, first to last. */
const drain = (queue: PriorityQueue.PriorityQueue): ReadonlyArray<string> => {
  const ids: Array<string> = []
  for (let id = queue.shift(); id !== undefined; id = queue.shift()) ids.push(id)
  return ids
}

interface Item extends PriorityQueue.Key {
  readonly id: string
}

/** The same queue as an array that is sorted anew after every change; the sort is stable, so ties keep their order. */
class Model {
  items: ReadonlyArray<Item> = []

  set(id: string, rank: number, time: number): void {
    this.delete(id)
    this.items = [...this.items, { id, rank, time }].sort((a, b) => a.rank - b.rank || a.time - b.time)
  }

  delete(id: string): void {
    this.items = this.items.filter((item) => item.id !== id)
  }

  shift(): string | undefined {
    const [first, ...rest] = this.items
    this.items = rest
    return first?.id
  }
}

// Few ids and few keys, so that items are often moved, found missing, and tied.
const id = FastCheck.integer({ min: 0, max: 40 }).map(String)
const key = FastCheck.record({ rank: FastCheck.integer({ min: -2, max: 2 }), time: FastCheck.nat(5) })

const operation = FastCheck.oneof(
  { weight: 5, arbitrary: FastCheck.record({ _tag: FastCheck.constant("set" as const), id, key }) },
  { weight: 2, arbitrary: FastCheck.record({ _tag: FastCheck.constant("delete" as const), id }) },
  { weight: 1, arbitrary: FastCheck.record({ _tag: FastCheck.constant("shift" as const) }) }
)

type Operation = typeof operation extends FastCheck.Arbitrary<infer A> ? A : never

const apply = (queue: PriorityQueue.PriorityQueue | Model, operation: Operation): string | undefined => {
  switch (operation._tag) {
    case "set":
      queue.set(operation.id, operation.key.rank, operation.key.time)
      return undefined
    case "delete":
      queue.delete(operation.id)
      return undefined
    case "shift":
      return queue.shift()
  }
}

describe("PriorityQueue", () => {
  it("has nothing to show and nothing to take while it is empty", () => {
    const queue = make()
    assert.deepStrictEqual([queue.size, queue.peek(), queue.shift(), queue.size], [0, undefined, undefined, 0])
  })

  const orders: ReadonlyArray<{
    readonly name: string
    readonly items: ReadonlyArray<readonly [id: string, rank: number, time: number]>
    readonly order: ReadonlyArray<string>
  }> = [
    {
      name: "orders by time within a rank",
      items: [
        ["late", 0, 30],
        ["early", 0, 10],
        ["middle", 0, 20]
      ],
      order: ["early", "middle", "late"]
    },
    {
      name: "orders by rank before time",
      items: [
        ["second", 1, 0],
        ["first", -1, 99],
        ["middle", 0, 50]
      ],
      order: ["first", "middle", "second"]
    },
    {
      name: "keeps the order of insertion among equal keys",
      items: [
        ["d", 0, 1],
        ["b", 0, 1],
        ["e", 0, 1],
        ["a", 0, 1],
        ["c", 0, 1]
      ],
      order: ["d", "b", "e", "a", "c"]
    },
    {
      name: "moves an item that is set again, to the front",
      items: [
        ["a", 0, 1],
        ["b", 0, 2],
        ["c", 0, 3],
        ["c", 0, 0]
      ],
      order: ["c", "a", "b"]
    },
    {
      name: "moves an item that is set again, to the back",
      items: [
        ["a", 0, 1],
        ["b", 0, 2],
        ["c", 0, 3],
        ["a", 0, 4]
      ],
      order: ["b", "c", "a"]
    },
    {
      name: "puts an item that is set again behind its equals",
      items: [
        ["a", 0, 1],
        ["b", 0, 1],
        ["a", 0, 1]
      ],
      order: ["b", "a"]
    }
  ]
  for (const { items, name, order } of orders) {
    it(name, () => {
      const queue = make(...items)
      assert.strictEqual(queue.size, order.length)
      assert.deepInclude(queue.peek(), { id: order[0]! })
      assert.deepStrictEqual(drain(queue), order)
      assert.strictEqual(queue.size, 0)
    })
  }

  it("shows the key of its first item and leaves it where it is", () => {
    const queue = make(["a", 2, 7], ["b", 3, 1])
    assert.deepInclude(queue.peek(), { id: "a", rank: 2, time: 7 })
    assert.deepInclude(queue.peek(), { id: "a", rank: 2, time: 7 })
    assert.strictEqual(queue.size, 2)
  })

  it("is not changed by the deletion of an unknown id", () => {
    const queue = make(["a", 0, 1], ["b", 0, 2])
    queue.delete("c")
    assert.deepStrictEqual([queue.size, drain(queue)], [2, ["a", "b"]])
  })

  it("forgets an item that was deleted or taken, and takes it again", () => {
    const queue = make(["a", 0, 1], ["b", 0, 2])
    queue.delete("b")
    queue.delete("b")
    assert.strictEqual(queue.shift(), "a")
    queue.delete("a")
    assert.strictEqual(queue.size, 0)
    queue.set("b", 0, 3)
    queue.set("a", 0, 4)
    assert.deepStrictEqual(drain(queue), ["b", "a"])
  })

  it("moves up what fills the place of a deleted item in another branch", () => {
    // As a heap: 0, (10, 1), (20, 30), (2, 3); the last item is smaller than the parent of the place of 20.
    const queue = make(["0", 0, 0], ["10", 0, 10], ["1", 0, 1], ["20", 0, 20], ["30", 0, 30], ["2", 0, 2], ["3", 0, 3])
    queue.delete("20")
    assert.deepStrictEqual(drain(queue), ["0", "1", "2", "3", "10", "30"])
  })

  it.prop(
    "does what a sorted array does, step by step",
    [FastCheck.array(operation, { maxLength: 200, size: "max" })],
    ([operations]) => {
      const [queue, model] = [new PriorityQueue.PriorityQueue(), new Model()]
      for (const operation of operations) {
        assert.strictEqual(apply(queue, operation), apply(model, operation))
        assert.strictEqual(queue.size, model.items.length)
        const [first] = model.items
        if (first === undefined) assert.isUndefined(queue.peek())
        else assert.deepInclude(queue.peek(), first)
      }
      assert.deepStrictEqual(
        drain(queue),
        model.items.map((item) => item.id)
      )
    },
    { fastCheck: { numRuns: 300 } }
  )
})
