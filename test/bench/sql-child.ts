/** A process of the SQL benchmark: one scheduler, which does what its parent tells it, and tells how often it was hit. */
import { argv } from "node:process"
import { contestants, microseconds, type Payload } from "./sql-contestants.ts"

/** What the parent asks of a child. */
export type Order =
  | { readonly _tag: "AddEach"; readonly count: number; readonly inFlight: number }
  | { readonly _tag: "AddAll"; readonly count: number; readonly instant?: number }
  | { readonly _tag: "Recur"; readonly count: number }
  | { readonly _tag: "Cron"; readonly count: number }
  | { readonly _tag: "Work" }
  | { readonly _tag: "TellLatencies" }

/**
 * The parent is told how often handlers were called, and of each order that it is done, after how many milliseconds.
 * Latencies are microseconds from before a job was added until its handler was called.
 */
export type Report =
  | { readonly _tag: "Hits"; readonly hits: number }
  | { readonly _tag: "Done"; readonly millis: number; readonly latencies: ReadonlyArray<number> }
  | { readonly _tag: "Failed"; readonly message: string }

const [name, url, setup] = argv.slice(2)

const tell = (report: Report): void => {
  process.send?.(report)
}

/** As many as are measured; where there are more, nobody asks. */
const KEPT = 1000
const latencies: Array<number> = []
let [hits, told] = [0, 0]

const hit = ({ at }: Payload): void => {
  hits++
  if (latencies.length < KEPT) latencies.push(microseconds() - at)
}

const tellHits = (): void => {
  if (hits > told) tell({ _tag: "Hits", hits })
  told = hits
}

const contestant = await contestants[name!]!()
const session = await contestant.open({ url: url!, isFast: setup === "fast", hit })

const makePayload = (): Payload => ({ at: microseconds() })

/** So many one after the other, in each of so many rows. */
const addEach = async (count: number, inFlight: number): Promise<void> => {
  let left = count
  const row = async () => {
    while (left-- > 0) await session.add(makePayload())
  }
  await Promise.all(Array.from({ length: inFlight }, row))
}

const addAll = (count: number, instant: number | undefined): Promise<unknown> => {
  const payloads = Array.from({ length: count }, makePayload)
  return session.addAll(payloads, instant === undefined ? undefined : new Date(instant))
}

const obey = async (order: Order): Promise<unknown> => {
  switch (order._tag) {
    case "AddEach":
      return addEach(order.count, order.inFlight)
    case "AddAll":
      return addAll(order.count, order.instant)
    case "Recur":
      return session.recur(order.count)
    case "Cron":
      return session.cron(order.count)
    case "Work":
      return session.work()
    case "TellLatencies":
      return
  }
}

const report = async (order: Order): Promise<void> => {
  const start = performance.now()
  try {
    await obey(order)
    const told = order._tag === "TellLatencies" ? latencies : []
    tell({ _tag: "Done", millis: performance.now() - start, latencies: told })
  } catch (error) {
    tell({ _tag: "Failed", message: String(error) })
  }
}

process.on("message", report)
// In order, so that Node writes the profile that it may have been told to make.
process.on("SIGTERM", () => process.exit())
process.on("disconnect", () => process.exit())
setInterval(tellHits, 10)
tell({ _tag: "Done", millis: performance.now(), latencies: [] })
