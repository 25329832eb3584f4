/**
 * The job stores of one scheduler, by name, asked as if they were one: by id in turn until one of them knows it, by filter
 * all together.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Job from "./Job.ts"
import type { JobFilter, JobStore, RunFilter } from "./JobStore.ts"
import type * as Run from "./Run.ts"
import { InvalidOption, type JobNotFound, type RunNotFound, StoreError } from "./SchedulerError.ts"
import { DEFAULT_STORE, inOrder } from "./StoreAnswer.ts"

type Store = JobStore["Type"]

const isJobElsewhere = (error: { readonly _tag: string }): boolean => error._tag === "JobNotFound"
const isRunElsewhere = (error: { readonly _tag: string }): boolean => error._tag === "RunNotFound"

/**
 * The first store is the one without a name; by id it is asked before the others, which follow in the order in which they
 * were added.
 *
 * @since 0.1.0
 * @category models
 */
export class NamedStores {
  readonly #stores: Map<string, Store>

  constructor(first: Store) {
    this.#stores = new Map([[DEFAULT_STORE, first]])
  }

  add(name: string, store: Store): void {
    this.#stores.set(name, store)
  }

  remove(name: string): void {
    this.#stores.delete(name)
  }

  get names(): ReadonlyArray<string> {
    return [...this.#stores.keys()]
  }

  get all(): ReadonlyArray<Store> {
    return [...this.#stores.values()]
  }

  /** The store of a job that is to be added. */
  named(name: string = DEFAULT_STORE): Effect.Effect<Store, InvalidOption> {
    const store = this.#stores.get(name)
    const expected = `a store of this scheduler: ${this.names.join(", ")}`
    return store === undefined ? new InvalidOption({ option: "store", value: name, expected }) : Effect.succeed(store)
  }

  /** The name of the store that has a job. */
  nameOf(jobId: string): Effect.Effect<Option.Option<string>, StoreError> {
    const known = Effect.findFirst(this.#stores, ([, store]) => Effect.map(store.get(jobId), Option.isSome))
    return Effect.map(
      known,
      Option.map(([name]) => name)
    )
  }

  /** Asks for one job: the answer of the first store that has it. */
  ofJob<A>(ask: (store: Store) => Effect.Effect<A, JobNotFound | StoreError>) {
    return inTurn(this.all, isJobElsewhere, ask)
  }

  /** Asks for one run: the answer of the first store that has it. */
  ofRun<A>(ask: (store: Store) => Effect.Effect<A, RunNotFound | StoreError>) {
    return inTurn(this.all, isRunElsewhere, ask)
  }

  get(jobId: string): Effect.Effect<Option.Option<Job.Job>, StoreError> {
    return firstSome(this.all, (store) => store.get(jobId))
  }

  run(runId: string): Effect.Effect<Option.Option<Run.Run>, StoreError> {
    return firstSome(this.all, (store) => store.run(runId))
  }

  /** Asks all stores that a filter means, and gives their answers together. */
  matching<A>(
    filter: { readonly store?: string | undefined },
    ask: (store: Store) => Effect.Effect<ReadonlyArray<A>, StoreError>
  ): Effect.Effect<ReadonlyArray<A>, StoreError> {
    return Effect.flatMap(this.#meant(filter.store), (stores) =>
      Effect.map(Effect.forEach(stores, ask), (answers) => (answers.length === 1 ? answers[0]! : answers.flat()))
    )
  }

  /** The jobs that match, in the order of their ids. */
  list(filter: JobFilter): Effect.Effect<ReadonlyArray<Job.Job>, StoreError> {
    return this.#page(filter, (store) => store.list(filter), byId)
  }

  /** The runs that match, in the order that the filter asks for. */
  runs(filter: RunFilter): Effect.Effect<ReadonlyArray<Run.Run>, StoreError> {
    return this.#page({ limit: 100, ...filter }, (store) => store.runs(filter), inOrder(filter))
  }

  #page<A>(
    { limit, store }: { readonly store?: string | undefined; readonly limit?: number | undefined },
    ask: (store: Store) => Effect.Effect<ReadonlyArray<A>, StoreError>,
    order: (a: A, b: A) => number
  ): Effect.Effect<ReadonlyArray<A>, StoreError> {
    const found = this.matching({ store }, ask)
    return this.#stores.size === 1 ? found : Effect.map(found, (all) => all.toSorted(order).slice(0, limit))
  }

  #meant(name: string | undefined): Effect.Effect<ReadonlyArray<Store>, StoreError> {
    if (name === undefined) return Effect.succeed(this.all)
    return Effect.matchEffect(this.named(name), {
      onFailure: (cause) => new StoreError({ operation: `find store "${name}"`, cause }),
      onSuccess: (store) => Effect.succeed([store])
    })
  }
}

const byId = (a: Job.Job, b: Job.Job): number => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

const firstSome = <A>(
  stores: ReadonlyArray<Store>,
  ask: (store: Store) => Effect.Effect<Option.Option<A>, StoreError>
): Effect.Effect<Option.Option<A>, StoreError> => {
  const [first, ...others] = stores
  if (first === undefined) return Effect.succeed(Option.none())
  return Effect.flatMap(ask(first), (found) =>
    Option.isSome(found) || others.length === 0 ? Effect.succeed(found) : firstSome(others, ask)
  )
}

/** Where none of them knows, the refusal is the one of the first. */
const inTurn = <A, E>(
  [first, ...others]: ReadonlyArray<Store>,
  isElsewhere: (error: E) => boolean,
  ask: (store: Store) => Effect.Effect<A, E>
): Effect.Effect<A, E> => {
  if (first === undefined || others.length === 0) return ask(first!)
  return Effect.catchIf(ask(first), isElsewhere, (refusal) =>
    Effect.catchIf(inTurn(others, isElsewhere, ask), isElsewhere, () => Effect.fail(refusal))
  )
}
