import { SqliteClient } from "@effect/sql-sqlite-node"
import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as JobStoreConformance from "../src/JobStoreConformance.ts"
import * as SqlJobStore from "../src/SqlJobStore.ts"

const SqliteLive = SqlJobStore.layer().pipe(Layer.provide(SqliteClient.layer({ filename: ":memory:" })))

describe("the store on SQLite", () => {
  for (const { check, name } of JobStoreConformance.checks) {
    it.effect(name, () => Effect.provide(check, Layer.orDie(SqliteLive)))
  }
})
