/** A process of the SQL benchmark: one scheduler, which does what its parent tells it, and tells how often it was hit. */
import { argv } from "node:process"
import { contestants, microseconds, type Payload } from "./sql-contestants.ts"

/** What the parent asks of a child. */
export type Order =
  | { readonly _tag: "AddEach"; readonly count: number; readonly inFlight: number }
  | { readonly _tag: "AddAll"; readonly count: number }
  | { readonly _tag: "Recur"; readonly count: number }
  | { readonly _tag: "Work" }

/** The parent is told that an order is done, and after how many milliseconds; or how often handlers were called. */
export type Report =
  | { readonly _tag: "Ready" }
  | { readonly _tag: "Done"; readonly millis: number }
  | { readonly _tag: "Hits"; readonly hits: number }

const [name, url, setup] = argv.slice(2)

const tell = (report: Report): void => {
  process.send!(report)
}

let [hits, told] = [0, 0]

const tellHits = (): void => {
  if (hits > told) tell({ _tag: "Hits", hits })
  told = hits
}

setInterval(tellHits, 10)

const session = await contestants[name!]!.open({
  url: url!,
  isFast: setup === "fast",
  hit: () => {
    hits++
  }
})

const makePayload = (): Payload => ({ at: microseconds() })

/** So many one after the other, in each of so many rows. */
const addEach = async (count: number, inFlight: number): Promise<void> => {
  let left = count
  const row = async () => {
    while (left-- > 0) await session.add(makePayload())
  }
  await Promise.all(Array.from({ length: inFlight }, row))
}

const obey = (order: Order): Promise<unknown> => {
  switch (order._tag) {
    case "AddEach":
      return addEach(order.count, order.inFlight)
    case "AddAll":
      return session.addAll(Array.from({ length: order.count }, makePayload))
    case "Recur":
      return session.recur(order.count)
    case "Work":
      return session.work()
  }
}

process.on("message", async (order: Order) => {
  const start = performance.now()
  await obey(order)
  tell({ _tag: "Done", millis: performance.now() - start })
})

// An orderly end, after which Node writes its profile.
process.on("SIGTERM", () => process.exit())
// The parent has gone.
process.on("disconnect", () => process.exit())
tell({ _tag: "Ready" })
