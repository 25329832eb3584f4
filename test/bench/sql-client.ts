/** How each process of the SQL benchmark gets to a database, by its URL. */
import type { SqlClient } from "@effect/sql/SqlClient"
import { Layer, Redacted } from "effect"

/** A client with so many connections of its own, where it has more than one; only its driver is loaded. */
export const clientOf = async (url: string, maxConnections: number): Promise<Layer.Layer<SqlClient>> => {
  const { pathname, protocol } = new URL(url)
  switch (protocol) {
    case "sqlite:": {
      const { SqliteClient } = await import("@effect/sql-sqlite-node")
      return Layer.orDie(SqliteClient.layer({ filename: pathname }))
    }
    case "mysql:": {
      const { MysqlClient } = await import("@effect/sql-mysql2")
      return Layer.orDie(MysqlClient.layer({ url: Redacted.make(url), maxConnections }))
    }
    default: {
      const { PgClient } = await import("@effect/sql-pg")
      return Layer.orDie(PgClient.layer({ url: Redacted.make(url), maxConnections }))
    }
  }
}
