/**
 * RFC 5545 recurrence rules as triggers, on the library `rrule-temporal`: an optional peer.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { RRuleTemporal } from "rrule-temporal"
import * as CivilTime from "./CivilTime.ts"
import type * as Occurrences from "./Occurrences.ts"
import { InvalidTrigger } from "./SchedulerError.ts"
import * as Trigger from "./Trigger.ts"

const invalid = (text: string, reason: string): InvalidTrigger =>
  new InvalidTrigger({
    field: "rrule",
    text,
    position: 0,
    reason,
    expected: `RFC 5545 text such as "DTSTART;TZID=Europe/Berlin:20260105T090000\\nRRULE:FREQ=WEEKLY;BYDAY=MO"`
  })

const parse = (text: string): RRuleTemporal => {
  try {
    return new RRuleTemporal({ rruleString: text, strict: true })
  } catch (error) {
    throw invalid(text, error instanceof Error ? error.message : String(error))
  }
}

const toOccurrences = ({ text }: { readonly text: string }): Occurrences.Occurrences => {
  const rule = parse(text)
  if ((rule.options().count ?? 0) > MOST) throw invalid(text, `its COUNT is more than ${MOST}`)
  return {
    next: (after) =>
      after >= LAST ? Infinity : ask(() => rule.next(new Date(Math.max(after, FIRST)), false), Infinity),
    previous: (atOrBefore) =>
      atOrBefore < FIRST ? -Infinity : ask(() => rule.previous(new Date(Math.min(atOrBefore, LAST)), true), -Infinity)
  }
}

// The library gives up on a rule that does not happen by an exception.
const ask = (query: () => { readonly epochMilliseconds: number } | null, none: number): number => {
  try {
    return query()?.epochMilliseconds ?? none
  } catch {
    return none
  }
}

const FIRST = CivilTime.toDayNumber(1, 1, 1) * 86_400_000
const LAST = (CivilTime.toDayNumber(9999, 12, 31) + 1) * 86_400_000 - 1

/** How many periods the library looks through. */
const MOST = 10_000

const make = Trigger.extension("rrule", Schema.Struct({ text: Schema.String }), toOccurrences)

/**
 * A recurrence rule with its `DTSTART`, and `RDATE` and `EXDATE` if need be. As RFC 5545 has it, a time that the zone skips
 * does not occur, and of a repeated one the first does. Throws `InvalidTrigger`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const rrule = (text: string): Trigger.Trigger => {
  if (!/^DTSTART/im.test(text)) throw invalid(text, "it has no DTSTART, from which a rule takes its phase")
  return make({ text })
}
