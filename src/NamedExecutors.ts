/**
 * The executors of one scheduler, by name, and how many attempts each of them has under way: its places are shared by the
 * loops of all stores.
 *
 * @since 0.1.0
 */
import type { Executor } from "./Executor.ts"

/**
 * The places of one executor. Whoever wants to start attempts reserves places before it asks a store for runs.
 *
 * @since 0.1.0
 * @category models
 */
export class ExecutorSlots {
  readonly name: string
  readonly executor: Executor["Type"]
  readonly #onRoom: () => void
  #taken = 0
  #isClosing = false
  /** Somebody found no place since there was one last. */
  #isMissed = false
  #onEmpty: (() => void) | undefined

  constructor(name: string, executor: Executor["Type"], onRoom: () => void) {
    this.name = name
    this.executor = executor
    this.#onRoom = onRoom
  }

  /** How many attempts are under way, or about to be. */
  get taken(): number {
    return this.#taken
  }

  get room(): number {
    return this.#isClosing ? 0 : this.executor.concurrency - this.#taken
  }

  /** Takes at most so many places; says how many. */
  reserve(most: number): number {
    const count = Math.max(0, Math.min(most, this.room))
    this.#taken += count
    this.#isMissed ||= count === 0
    return count
  }

  release(count: number): void {
    this.#taken -= count
    if (this.#taken === 0) this.#onEmpty?.()
    if (!this.#isMissed || this.room <= 0) return
    this.#isMissed = false
    this.#onRoom()
  }

  /** Gives no more places; `onEmpty` is called when all attempts have ended. */
  close(onEmpty: () => void): void {
    this.#isClosing = true
    this.#onEmpty = onEmpty
    if (this.#taken === 0) onEmpty()
  }
}

/**
 * @since 0.1.0
 * @category models
 */
export class NamedExecutors {
  readonly #slots = new Map<string, ExecutorSlots>()
  readonly #listeners = new Set<() => void>()

  /** Adds an executor in the place of any other one of this name. */
  add(name: string, executor: Executor["Type"]): void {
    this.#slots.set(name, new ExecutorSlots(name, executor, () => this.#tellRoom()))
  }

  get(name: string): ExecutorSlots | undefined {
    return this.#slots.get(name)
  }

  remove(name: string): void {
    this.#slots.delete(name)
  }

  get names(): ReadonlyArray<string> {
    return [...this.#slots.keys()]
  }

  get all(): Iterable<ExecutorSlots> {
    return this.#slots.values()
  }

  /** The names of those that could carry out one more attempt. */
  withRoom(): ReadonlySet<string> {
    const names = new Set<string>()
    for (const { name, room } of this.#slots.values()) if (room > 0) names.add(name)
    return names
  }

  /** Calls a listener whenever an executor has room for which somebody asked in vain; gives what ends that. */
  onRoom(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  // One loop alone hears of the end of its own attempts.
  #tellRoom(): void {
    if (this.#listeners.size > 1) for (const listener of this.#listeners) listener()
  }
}
