/** How long runs that a fault cut off waited for their next attempt. */
import { type Attempt, causes, type Evidence, gather, type History, lastSign } from "./History.ts"

export interface TakeOver {
  /** From the fault to the start of the next attempt, in milliseconds. */
  readonly sinceFault: number
  /** From the last sign of life of the node that had the run. */
  readonly sinceSign: number | undefined
}

/** Every take-over of a history, the shortest first. */
export const takeOvers = (history: History): ReadonlyArray<TakeOver> => {
  const evidence = gather(history)
  return [...evidence.runs.values()]
    .flatMap((run) => takeOversOf(evidence, run))
    .sort((one, other) => one.sinceFault - other.sinceFault)
}

/** The take-overs of one run, whose attempts are in the order of their starts. */
export const takeOversOf = (evidence: Evidence, run: ReadonlyArray<Attempt>): ReadonlyArray<TakeOver> =>
  run.slice(1).flatMap((attempt, index) => takeOver(evidence, run[index]!, attempt))

const takeOver = (evidence: Evidence, before: Attempt, after: Attempt): ReadonlyArray<TakeOver> => {
  const [fault] = causes(evidence, before, after.start).filter(
    ({ from }) => from >= before.start && before.until >= from
  )
  if (fault === undefined || after.attempt <= before.attempt) return []
  const sign = lastSign(evidence, before, after.start)
  return [{ sinceFault: after.start - fault.from, sinceSign: sign === undefined ? undefined : after.start - sign.at }]
}
