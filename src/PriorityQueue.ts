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
  rank: number
  time: number
  sequence: number
  /** Where in the heap it is. */
  place: number
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
  readonly #entries = new Map<string, Entry>()
  #sequence = 0

  get size(): number {
    return this.#heap.length
  }

  /** The id and key of the first item, if there is one. */
  peek(): (Key & { readonly id: string }) | undefined {
    return this.#heap[0]
  }

  /** Puts an item in its place, or moves it there. */
  set(id: string, rank: number, time: number): void {
    const known = this.#entries.get(id)
    if (known === undefined) {
      const entry = { id, rank, time, sequence: this.#sequence++, place: this.#heap.length }
      this.#entries.set(id, entry)
      this.#heap.push(entry)
      this.#rise(entry)
    } else {
      known.rank = rank
      known.time = time
      known.sequence = this.#sequence++
      this.#settle(known)
    }
  }

  delete(id: string): void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    this.#entries.delete(id)
    const last = this.#heap.pop()!
    if (last === entry) return
    this.#put(entry.place, last)
    this.#settle(last)
  }

  /** Takes the first item out. */
  shift(): string | undefined {
    const id = this.#heap[0]?.id
    if (id !== undefined) this.delete(id)
    return id
  }

  /** Moves an entry whose key has changed, up or down. */
  #settle(entry: Entry): void {
    const parent = this.#heap[(entry.place - 1) >> 1]
    if (parent !== undefined && isBefore(entry, parent)) this.#rise(entry)
    else this.#sink(entry)
  }

  #put(place: number, entry: Entry): void {
    this.#heap[place] = entry
    entry.place = place
  }

  #rise(entry: Entry): void {
    let place = entry.place
    while (place > 0) {
      const parent = this.#heap[(place - 1) >> 1]!
      if (!isBefore(entry, parent)) break
      this.#put(place, parent)
      place = (place - 1) >> 1
    }
    this.#put(place, entry)
  }

  #sink(entry: Entry): void {
    const { length } = this.#heap
    let place = entry.place
    for (let child = 2 * place + 1; child < length; child = 2 * place + 1) {
      if (child + 1 < length && isBefore(this.#heap[child + 1]!, this.#heap[child]!)) child++
      if (!isBefore(this.#heap[child]!, entry)) break
      this.#put(place, this.#heap[child]!)
      place = child
    }
    this.#put(place, entry)
  }
}
