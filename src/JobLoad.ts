/**
 * What one life of a job has in flight, in memory: which run of each instance is pending or running, which ones wait in
 * its queue, and which ones wait for the run before them.
 *
 * @since 0.1.0
 */
import * as MutableList from "effect/MutableList"
import type * as Job from "./Job.ts"
import * as Run from "./Run.ts"

/**
 * Ids of runs, the oldest first. It is told of each change of a run by `leave` and `enter`; none costs more the more there
 * is in flight.
 *
 * @since 0.1.0
 * @category models
 */
export class JobLoad implements Job.Load {
  readonly incarnation: number
  /** The pending or running run of each instance in flight. */
  readonly #held = new Map<string, string>()
  /** The instances that are queued, some of which may be so no longer; backfills wait in a queue of their own. */
  readonly #queue = MutableList.empty<string>()
  readonly #backlog = MutableList.empty<string>()
  /** The queued run of each instance. */
  readonly #heads = new Map<string, string>()
  /** Those that wait for the run before them, by instance. */
  readonly #waiting = new Map<string, MutableList.MutableList<string>>()
  #backfilling = 0
  #queued = 0
  #backlogged = 0

  constructor(incarnation: number) {
    this.incarnation = incarnation
  }

  get active(): number {
    return this.#held.size
  }

  get backfilling(): number {
    return this.#backfilling
  }

  get queued(): number {
    return this.#queued
  }

  /** Queued backfills, which count for themselves. */
  get backlogged(): number {
    return this.#backlogged
  }

  get isEmpty(): boolean {
    return this.#held.size === 0 && this.#queued === 0 && this.#backlogged === 0
  }

  /** One run of each instance: what is in flight, then what is queued. */
  get instances(): ReadonlyArray<string> {
    return [...this.#held.values(), ...this.#heads.values()]
  }

  get waiting(): ReadonlyArray<string> {
    return [...this.#waiting.values()].flatMap((line) => [...line])
  }

  /** A run is about to be something else. */
  leave(known: Run.Run, next: Run.Run): void {
    if (known.state._tag === "Queued" && next.state._tag !== "Queued") this.#unqueue(known)
    if (!Run.isActive(known) || Run.isActive(next)) return
    // The next one of its instance takes its place among the others.
    if (!this.#waiting.has(next.instance)) this.#held.delete(next.instance)
    if (Run.isBackfill(next)) this.#backfilling--
  }

  /** A run is now what it is. */
  enter(run: Run.Run): void {
    if (run.state._tag === "Queued") this.#enqueue(run)
    else if (run.state._tag === "Waiting") this.#append(run)
    else if (Run.isActive(run)) this.#hold(run)
  }

  #hold(run: Run.Run): void {
    const isNew = this.#held.get(run.instance) !== run.id
    this.#held.set(run.instance, run.id)
    if (isNew && Run.isBackfill(run)) this.#backfilling++
  }

  #append(run: Run.Run): void {
    const known = this.#waiting.get(run.instance)
    if (known === undefined) this.#waiting.set(run.instance, MutableList.make(run.id))
    else MutableList.append(known, run.id)
  }

  #enqueue(run: Run.Run): void {
    const isBackfill = Run.isBackfill(run)
    if (isBackfill) this.#backlogged++
    else this.#queued++
    // What takes over from another run of its instance keeps its place.
    if (!this.#heads.has(run.instance)) MutableList.append(isBackfill ? this.#backlog : this.#queue, run.instance)
    this.#heads.set(run.instance, run.id)
  }

  #unqueue(run: Run.Run): void {
    if (Run.isBackfill(run)) this.#backlogged--
    else this.#queued--
    if (!this.#waiting.has(run.instance)) this.#heads.delete(run.instance)
  }

  /** Whether others wait for a run of this instance to end. */
  hasFollowers(instance: string): boolean {
    return this.#waiting.has(instance)
  }

  /** Takes out the first run that waits in an instance; without any left the instance gives up its place. */
  shiftFollower(instance: string): string | undefined {
    const line = this.#waiting.get(instance)
    const id = line === undefined ? undefined : MutableList.shift(line)
    if (line !== undefined && MutableList.isEmpty(line)) this.#waiting.delete(instance)
    if (id === undefined) this.#held.delete(instance)
    return id
  }

  /** Takes out all that wait in an instance. */
  disband(instance: string): ReadonlyArray<string> {
    const line = [...(this.#waiting.get(instance) ?? [])]
    this.#waiting.delete(instance)
    return line
  }

  /** Takes out the queued run that comes next, backfills last and one at a time; `undefined` if none may. */
  shiftQueued(): string | undefined {
    for (;;) {
      const queue = this.#queued > 0 ? this.#queue : this.#backfilling === 0 ? this.#backlog : undefined
      const instance = queue === undefined ? undefined : MutableList.shift(queue)
      if (instance === undefined) return undefined
      const id = this.#heads.get(instance)
      this.#heads.delete(instance)
      if (id !== undefined) return id
    }
  }
}
