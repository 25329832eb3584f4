/** The databases that nodes share, and how each process gets to them. */
import { PgClient } from "@effect/sql-pg"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Layer, Redacted } from "effect"
import type * as JobStore from "../../src/JobStore.ts"
import * as SqlJobStore from "../../src/SqlJobStore.ts"

/** Where a database is, as it is passed to a process. */
export type Address =
  | { readonly kind: "sqlite"; readonly filename: string }
  | { readonly kind: "postgres"; readonly url: string }

/** In milliseconds. */
export interface StoreTiming {
  readonly lease: number
  readonly renewal: number
  readonly poll: number
}

export const TIMING: StoreTiming = { lease: 3000, renewal: 1000, poll: 500 }

const client = (address: Address) => {
  switch (address.kind) {
    case "sqlite":
      return Layer.orDie(SqliteClient.layer({ filename: address.filename }))
    case "postgres":
      return Layer.orDie(
        PgClient.layer({ url: Redacted.make(address.url), maxConnections: 5, applicationName: "chaos" })
      )
  }
}

export const store = (address: Address, timing: StoreTiming = TIMING): Layer.Layer<JobStore.JobStore> =>
  Layer.orDie(SqlJobStore.layer(timing)).pipe(Layer.provide(client(address)))
