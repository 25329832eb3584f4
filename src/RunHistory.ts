/**
 * Which ended runs are remembered, in memory: each for so long, so many of each job, and no more than so many in all.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as MutableList from "effect/MutableList"
import type { Retention } from "./Policy.ts"

interface Entry {
  readonly id: string
  readonly jobId: string
  readonly until: number
  isForgotten: boolean
}

type Queue = MutableList.MutableList<Entry>

/** The runs of one job, some of which may have been forgotten, and how many have not. */
interface OfJob {
  readonly queue: Queue
  size: number
}

const getOrMake = <K, V>(map: Map<K, V>, key: K, make: () => V): V => {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}

/** The first one that is still remembered; what a job's own limit has forgotten is passed over. */
const peek = (queue: Queue): Entry | undefined => {
  let head = MutableList.head(queue)
  for (; head?.isForgotten === true; head = MutableList.head(queue)) MutableList.shift(queue)
  return head
}

/**
 * The ids of ended runs, in the order in which they are forgotten. What an operation costs does not grow with how many
 * there are.
 *
 * @since 0.1.0
 * @category models
 */
export class RunHistory {
  /** By how long they are remembered: in each queue the one that ended first is forgotten first. */
  readonly #byAge = new Map<number, Queue>()
  /** Those of jobs that limit their number. */
  readonly #byJob = new Map<string, OfJob>()
  readonly #capacity: number
  readonly #forget: (id: string) => void
  #size = 0
  #forgotten = 0

  constructor(capacity: number, forget: (id: string) => void) {
    this.#capacity = capacity
    this.#forget = forget
  }

  /** A run of a job has ended at `now`, in milliseconds since 1970; others may be forgotten for it. */
  add(id: string, jobId: string, { age, count }: Retention, now: number): void {
    const millis = Duration.toMillis(age)
    const entry: Entry = { id, jobId, until: now + millis, isForgotten: false }
    MutableList.append(getOrMake(this.#byAge, millis, MutableList.empty<Entry>), entry)
    this.#size++
    if (Number.isFinite(count)) this.#limit(jobId, entry, count)
    if (this.#size > this.#capacity) this.#evict()
  }

  /** Forgets what has been remembered long enough, and says how much was forgotten, for whatever reason, since last. */
  prune(now: number): number {
    for (const queue of this.#byAge.values()) {
      for (let head = peek(queue); head !== undefined && head.until <= now; head = peek(queue)) this.#drop(head)
    }
    const forgotten = this.#forgotten
    this.#forgotten = 0
    return forgotten
  }

  #limit(jobId: string, entry: Entry, count: number): void {
    const ofJob = getOrMake(this.#byJob, jobId, () => ({ queue: MutableList.empty<Entry>(), size: 0 }))
    MutableList.append(ofJob.queue, entry)
    ofJob.size++
    while (ofJob.size > count) this.#drop(peek(ofJob.queue)!)
  }

  #evict(): void {
    let first: Entry | undefined
    for (const queue of this.#byAge.values()) {
      const head = peek(queue)
      if (head !== undefined && (first === undefined || head.until < first.until)) first = head
    }
    if (first !== undefined) this.#drop(first)
  }

  #drop(entry: Entry): void {
    if (entry.isForgotten) return
    entry.isForgotten = true
    this.#size--
    this.#forgotten++
    this.#forget(entry.id)
    const ofJob = this.#byJob.get(entry.jobId)
    if (ofJob !== undefined && --ofJob.size === 0) this.#byJob.delete(entry.jobId)
  }
}
