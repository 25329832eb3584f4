/**
 * What of a job only changes when somebody declares it anew, as two texts: its policy, which many jobs share, and all else.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Job from "./Job.ts"
import * as Policy from "./Policy.ts"
import * as Trigger from "./Trigger.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type Definition = Pick<Job.Job, "name" | "payload" | "trigger" | "policy" | "addedAt" | "origin" | "lastPause">

/** What it looks like as JSON, if it is one. */
interface DefinitionJson {
  readonly name?: unknown
  readonly payload?: unknown
  readonly trigger?: unknown
  readonly addedAt?: unknown
  readonly origin?: unknown
  readonly lastPause?: unknown
}

/** At most so many characters of texts are remembered with what they mean. */
const CAPACITY = 1_000_000

/** Remembers what texts mean, until there are too many of them. */
class Memory<A> {
  #known = new Map<string, A>()
  #size = 0

  of(text: string, read: (text: string) => A): A {
    const known = this.#known.get(text)
    if (known !== undefined) return known
    const made = read(text)
    if (this.#size > CAPACITY) {
      this.#known = new Map()
      this.#size = 0
    }
    this.#size += text.length
    this.#known.set(text, made)
    return made
  }
}

const policies = new Memory<Policy.Policy>()
const triggers = new Memory<Trigger.Trigger>()

const decodePolicy = Schema.decodeUnknownSync(Policy.Policy)
const decodeTrigger = Schema.decodeUnknownSync(Trigger.Trigger)

/**
 * The definition that two texts hold; undefined if they are not what this library writes as a rule.
 *
 * @since 0.1.0
 * @category reading
 */
export const read = (definition: string, policy: string): Definition | undefined => {
  try {
    return readUsual(definition, policy)
  } catch {
    return undefined
  }
}

const readUsual = (definition: string, policy: string): Definition | undefined => {
  const { addedAt, lastPause, name, origin, payload, trigger } = JSON.parse(definition) as DefinitionJson
  const isUsual = lastPause === null && origin === null && typeof name === "string" && typeof addedAt === "number"
  if (!isUsual || payload === undefined) return undefined
  return {
    name,
    payload,
    trigger: triggers.of(JSON.stringify(trigger), (json) => decodeTrigger(JSON.parse(json))),
    policy: policies.of(policy, (json) => decodePolicy(JSON.parse(json))),
    addedAt: DateTime.unsafeMake(addedAt),
    origin: Option.none(),
    lastPause: Option.none()
  }
}

const encodePolicy = Schema.encodeSync(Policy.Policy)
const encodeTrigger = Schema.encodeSync(Trigger.Trigger)
const encodePause = Schema.encodeSync(Job.Pause)

const policyTexts = new WeakMap<Policy.Policy, string>()

/**
 * A policy as text: jobs for which nobody said anything of their own share one.
 *
 * @since 0.1.0
 * @category writing
 */
export const writePolicy = (policy: Policy.Policy): string => {
  const known = policyTexts.get(policy)
  if (known !== undefined) return known
  const text = JSON.stringify(encodePolicy(policy))
  policyTexts.set(policy, text)
  return text
}

/**
 * All of a definition but its policy as text.
 *
 * @since 0.1.0
 * @category writing
 */
export const write = ({ addedAt, lastPause, name, origin, payload, trigger }: Definition): string =>
  JSON.stringify({
    name,
    payload,
    trigger: encodeTrigger(trigger),
    addedAt: addedAt.epochMillis,
    origin: Option.getOrNull(origin),
    lastPause: Option.getOrNull(Option.map(lastPause, (_) => encodePause(_)))
  })
