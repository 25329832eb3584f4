/** A MariaDB server of our own where its programs are installed, which can be restarted; else the one that is there. */
import { SqlClient } from "@effect/sql"
import { Effect } from "effect"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { until } from "./Cluster.ts"
import { type Address, client, type Server } from "./Database.ts"
import { freePort } from "./Postgres.ts"

/** Where servers are installed that are not for users. */
const PATH = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`

/** It refuses to run as root. */
const USER = process.getuid?.() === 0 ? "mysql" : undefined

interface Instance {
  readonly folder: string
  readonly port: number
}

const admin = (url: string, statement: string): Promise<boolean> =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(statement)).pipe(
    Effect.provide(client({ kind: "mariadb", url })),
    Effect.sandbox,
    Effect.isSuccess,
    Effect.runPromise
  )

export class Mariadb implements Server {
  /** Present if the server is ours. */
  readonly restart: Server["restart"]
  private readonly url: string
  private readonly instance: Instance | undefined
  private child: ChildProcess | undefined
  private readonly names: Array<string> = []

  private constructor(url: string, instance?: Instance) {
    this.url = url
    this.instance = instance
    this.restart = instance === undefined ? undefined : (away) => this.comeAndGo(away)
  }

  /** None if there is no server and no program to start one. */
  static async start(): Promise<Mariadb | undefined> {
    const instance = install(await freePort())
    const url = process.env.MARIADB_URL ?? "mysql://root@127.0.0.1:3306"
    if (instance === undefined) return (await admin(url, "SELECT 1")) ? new Mariadb(url) : undefined
    const mariadb = new Mariadb(`mysql://root@127.0.0.1:${instance.port}`, instance)
    await mariadb.run(instance)
    return mariadb
  }

  async database(): Promise<Address> {
    const name = `chaos_${process.pid}_${this.names.length}`
    if (!(await admin(this.url, `CREATE DATABASE ${name}`))) throw new Error(`${this.url} makes no database`)
    this.names.push(name)
    return { kind: "mariadb", url: `${this.url}/${name}` }
  }

  async stop(): Promise<void> {
    if (this.instance === undefined) {
      for (const name of this.names) await admin(this.url, `DROP DATABASE ${name}`)
      return
    }
    await this.end()
    rmSync(this.instance.folder, { recursive: true, force: true })
  }

  private async comeAndGo(away: number): Promise<void> {
    await this.end()
    await new Promise((resolve) => setTimeout(resolve, away))
    await this.run(this.instance!)
  }

  private async run({ folder, port }: Instance): Promise<void> {
    // Where it starts, it deletes the temporary files of others.
    const paths = [`--datadir=${join(folder, "data")}`, `--socket=${join(folder, "socket")}`, `--tmpdir=${folder}`]
    const child = spawn("mariadbd", [...base(), ...paths, `--port=${port}`, "--bind-address=127.0.0.1"], {
      env: { ...process.env, PATH },
      stdio: "ignore"
    })
    this.child = child
    const isUp = await until(() => child.exitCode !== null || admin(this.url, "SELECT 1"), 30_000)
    if (!isUp || child.exitCode !== null) throw new Error("mariadbd does not start")
  }

  private async end(): Promise<void> {
    const { child } = this
    if (child === undefined || child.exitCode !== null) return
    const exit = new Promise((resolve) => child.once("exit", resolve))
    child.kill("SIGTERM")
    await exit
  }
}

const base = () => ["--no-defaults", ...(USER === undefined ? [] : [`--user=${USER}`])]

/** The files of a new server, where it can be made. */
const install = (port: number): Instance | undefined => {
  const folder = mkdtempSync(join(tmpdir(), "effect-scheduler-chaos-mariadb-"))
  const run = (program: string, ...options: ReadonlyArray<string>) =>
    execFileSync(program, options, { env: { ...process.env, PATH }, stdio: "ignore" })
  try {
    run("mariadbd", "--no-defaults", "--version")
    if (USER !== undefined) run("chown", USER, folder)
    run(
      "mariadb-install-db",
      ...base(),
      `--datadir=${join(folder, "data")}`,
      "--auth-root-authentication-method=normal"
    )
    return { folder, port }
  } catch {
    rmSync(folder, { recursive: true, force: true })
    return undefined
  }
}
