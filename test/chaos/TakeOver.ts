/** How long runs that a fault cut off waited for their next attempt. */
import { type Attempt, causes, type Evidence, gather, type History, lastSign } from "./History.ts"

export interface TakeOver {
  /** From the fault to the start of the next attempt, in milliseconds. */
  readonly sinceFault: number
  /** From the last sign of life of the node that had the run. */
  readonly sinceSign: number | undefined
}

/** Every run that was taken over, in the order of its waiting time. */
export const takeOvers = (history: History): ReadonlyArray<TakeOver> => {
  const evidence = gather(history)
  return [...evidence.runs.values()]
    .flatMap((run) => run.slice(1).flatMap((attempt, index) => takeOver(evidence, run[index]!, attempt)))
    .sort((one, other) => one.sinceFault - other.sinceFault)
}

const takeOver = (evidence: Evidence, before: Attempt, after: Attempt): ReadonlyArray<TakeOver> => {
  const [fault] = causes(evidence, before, after.start).filter(
    ({ from }) => from >= before.start && before.until >= from
  )
  if (fault === undefined || after.attempt <= before.attempt) return []
  const sign = lastSign(evidence, before, after.start)
  return [{ sinceFault: after.start - fault.from, sinceSign: sign === undefined ? undefined : after.start - sign.at }]
}
