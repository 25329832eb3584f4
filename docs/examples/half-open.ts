import { MysqlClient } from "@effect/sql-mysql2"
import { PgClient } from "@effect/sql-pg"
import { Console, Effect, Layer, Redacted } from "effect"
import { type AddressInfo, connect, createServer, Socket } from "node:net"

/** A connection on which nothing has been said or heard for so many milliseconds is closed. */
const closeWhenSilent = (socket: Socket, millis: number) =>
  socket.setTimeout(millis, () => socket.destroy(new Error(`nothing was heard for ${millis} ms`)))

const postgres = (url: string, patience: number) =>
  PgClient.layer({ url: Redacted.make(url), stream: () => closeWhenSilent(new Socket(), patience) })

const mariadb = (host: string, port: number, patience: number) =>
  MysqlClient.layer({
    username: "app",
    database: "app",
    maxConnections: 10,
    poolConfig: { stream: () => closeWhenSilent(connect(port, host), patience), maxIdle: 10 }
  })

// A server that takes connections and never answers.
const silent = createServer(() => {}).listen(0, "127.0.0.1", () => {
  const { port } = silent.address() as AddressInfo
  const clients = [postgres(`postgres://app@127.0.0.1:${port}/app`, 500), mariadb("127.0.0.1", port, 500)]
  const tryAll = Effect.forEach(clients, (client) =>
    Layer.build(client).pipe(
      Effect.scoped,
      Effect.catchTag("SqlError", ({ cause }) => Console.log(String(cause)))
    )
  )
  void Effect.runPromise(
    Effect.ensuring(
      tryAll,
      Effect.sync(() => silent.close())
    )
  )
})
