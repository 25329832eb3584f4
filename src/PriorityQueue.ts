/**
 * Items under ids, in the order of their keys: a binary heap that can also change and remove what it holds.
 *
 * @since 0.1.0
 */

/**
 * What an item is ordered by, ascending: first its rank, then its time, then the order of insertion.
 *
 * @since 0.1.0
 * @category models
 */
export interface Key {
  readonly rank: number
  readonly time: number
}

interface Entry extends Key {
  readonly id: string
  readonly sequence: number
}

const isBefore = (a: Entry, b: Entry): boolean =>
  a.rank !== b.rank ? a.rank < b.rank : a.time !== b.time ? a.time < b.time : a.sequence < b.sequence

/**
 * `set`, `delete` and `shift` take time logarithmic in the number of items, `peek` none.
 *
 * @since 0.1.0
 * @category models
 */
export class PriorityQueue {
  readonly #heap: Array<Entry> = []
  readonly #places = new Map<string, number>()
  #sequence = 0

  get size(): number {
    return this.#heap.length
  }

  /** The id and key of the first item, if there is one. */
  peek(): (Key & { readonly id: string }) | undefined {
    return this.#heap[0]
  }

  /** Puts an item in its place, or moves it there. */
  set(id: string, key: Key): void {
    this.delete(id)
    this.#rise(this.#heap.length, { id, rank: key.rank, time: key.time, sequence: this.#sequence++ })
  }

  delete(id: string): void {
    const place = this.#places.get(id)
    if (place === undefined) return
    this.#places.delete(id)
    const last = this.#heap.pop()!
    if (place === this.#heap.length) return
    if (place > 0 && isBefore(last, this.#heap[(place - 1) >> 1]!)) this.#rise(place, last)
    else this.#sink(place, last)
  }

  /** Takes the first item out. */
  shift(): string | undefined {
    const id = this.#heap[0]?.id
    if (id !== undefined) this.delete(id)
    return id
  }

  #put(place: number, entry: Entry): void {
    this.#heap[place] = entry
    this.#places.set(entry.id, place)
  }

  #rise(from: number, entry: Entry): void {
    let place = from
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (!isBefore(entry, this.#heap[parent]!)) break
      this.#put(place, this.#heap[parent]!)
      place = parent
    }
    this.#put(place, entry)
  }

  #sink(from: number, entry: Entry): void {
    const { length } = this.#heap
    let place = from
    for (;;) {
      let child = 2 * place + 1
      if (child >= length) break
      if (child + 1 < length && isBefore(this.#heap[child + 1]!, this.#heap[child]!)) child++
      if (!isBefore(this.#heap[child]!, entry)) break
      this.#put(place, this.#heap[child]!)
      place = child
    }
    this.#put(place, entry)
  }
}
