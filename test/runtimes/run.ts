/**
 * Tries the packed library on other runtimes, which npm has: `npm run runtimes`, or `npm run runtimes -- bun@1.4 /a/node`.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { argv } from "node:process"
import { findMariadb, startPostgres } from "../Servers.ts"
import { type Part, parts } from "./Parts.ts"
import * as Project from "./Project.ts"
import * as Runtime from "./Runtime.ts"

const folder = mkdtempSync(join(tmpdir(), "runtimes-"))

/** One project serves all runtimes that need the same. */
const projectFor = (archive: string) => {
  const made = new Map<string, string>()
  return ({ isOwn: ownSqlite, readsTypeScript: typeScript }: Runtime.Runtime): string => {
    const name = `${ownSqlite ? "own" : "other"}-${typeScript ? "typescript" : "built"}`
    const path = join(folder, name)
    if (!made.has(name)) Project.make(path, archive, { ownSqlite, typeScript })
    made.set(name, path)
    return path
  }
}

const attempt = async (part: Part, runtime: Runtime.Runtime, folder: string): Promise<boolean> => {
  const begun = performance.now()
  const failure = await part.attempt({ folder, runtime }).then(
    () => undefined,
    (error: unknown) => String(error)
  )
  const seconds = ((performance.now() - begun) / 1000).toFixed(1)
  console.log(`${failure === undefined ? "ok  " : "FAIL"}  ${runtime.name}  ${part.name}  (${seconds} s)`)
  if (failure !== undefined) console.log(failure.replace(/^/gm, "      "))
  return failure === undefined
}

const attemptAll = async (words: ReadonlyArray<string>): Promise<void> => {
  const archive = Project.pack(folder)
  const project = projectFor(archive)
  const homes = join(folder, "runtimes")
  mkdirSync(homes)
  const [postgres, mariadb] = await Promise.all([startPostgres(), findMariadb()])
  const said: Array<string> = []
  for (const word of words) {
    const runtime = Runtime.find(word, homes)
    if (runtime === undefined) {
      said.push(`${word}: not tried, since npm cannot install it here`)
      continue
    }
    const all = parts({ postgres: postgres.url, mariadb: mariadb?.url })
    let held = 0
    for (const part of all) if (await attempt(part, runtime, project(runtime))) held++
    said.push(`${runtime.name}: ${held} of ${all.length}`)
    if (held < all.length) process.exitCode = 1
  }
  await Promise.all([postgres.stop(), mariadb?.stop()])
  console.log(`\n${said.join("\n")}`)
  if (mariadb === undefined) console.log("MariaDB: not tried, since none answers")
}

try {
  await attemptAll(Runtime.wanted(argv.slice(2)))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
