/**
 * Pending runs in memory, in a line for each executor and task, so that what one node or one executor cannot carry out is
 * not in the way of others.
 *
 * @since 0.1.0
 */
import { PriorityQueue } from "./PriorityQueue.ts"
import type * as Run from "./Run.ts"

type Place = Pick<Run.Run, "executor" | "task">

/**
 * @since 0.1.0
 * @category models
 */
export class RunLines {
  readonly #lines = new Map<string, Map<string, PriorityQueue>>()

  /** The line of a run, if there is one. */
  of({ executor, task }: Place): PriorityQueue | undefined {
    return this.#lines.get(executor)?.get(task)
  }

  /** The line of a run, made if there is none. */
  for(run: Place): PriorityQueue {
    return this.of(run) ?? this.#make(run)
  }

  /** The lines of some tasks on an executor. */
  on(executor: string, tasks: ReadonlySet<string>): ReadonlyArray<PriorityQueue> {
    const found: Array<PriorityQueue> = []
    for (const [task, line] of this.#lines.get(executor) ?? []) if (tasks.has(task)) found.push(line)
    return found
  }

  get size(): number {
    let size = 0
    for (const lines of this.#lines.values()) for (const line of lines.values()) size += line.size
    return size
  }

  #make({ executor, task }: Place): PriorityQueue {
    const lines = this.#lines.get(executor) ?? new Map<string, PriorityQueue>()
    const line = new PriorityQueue()
    this.#lines.set(executor, lines.set(task, line))
    return line
  }
}

/**
 * The line whose first run comes before those of the others; none if all are empty.
 *
 * @since 0.1.0
 * @category queries
 */
export const first = (lines: ReadonlyArray<PriorityQueue>): PriorityQueue | undefined => {
  let best: PriorityQueue | undefined
  for (const line of lines) {
    const [head, known] = [line.peek(), best?.peek()]
    if (head === undefined) continue
    if (known === undefined || head.rank < known.rank || (head.rank === known.rank && head.time < known.time)) {
      best = line
    }
  }
  return best
}
