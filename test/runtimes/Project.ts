/** A project such as users have, with the packed library and its peers, and the programs that it runs. */

import ts from "typescript"
import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))
const programs = fileURLToPath(new URL("programs", import.meta.url))

interface Manifest {
  readonly name: string
  readonly devDependencies: Readonly<Record<string, string>>
  readonly overrides: Readonly<Record<string, string>>
}

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest

/** The peers that the programs use, and the peers of those. */
const PEERS = [
  "effect @effect/platform @effect/platform-node @effect/sql @effect/experimental",
  "@effect/sql-sqlite-node @effect/sql-pg @effect/sql-mysql2",
  "@effect/cli @effect/printer @effect/printer-ansi @effect/cluster @effect/workflow @effect/rpc cronstrue"
]
  .join(" ")
  .split(" ")

/** The line that brings its own binaries, for every runtime but Node 20. */
const PORTABLE_SQLITE = "13.2.0"

const must = (what: string, cwd: string, ...words: ReadonlyArray<string>): void => {
  const { status, stderr } = spawnSync("npm", words, { cwd, encoding: "utf8" })
  if (status !== 0) throw new Error(`npm cannot ${what}:\n${stderr}`)
}

/** Builds and packs the library, and gives the path of the archive. */
export const pack = (folder: string): string => {
  must("pack the library", root, "pack", "--silent", "--pack-destination", folder)
  return join(folder, readdirSync(folder).find((name) => name.endsWith(".tgz"))!)
}

export interface Kind {
  /** Whether the addon of the project serves, which is of the Node that installed it. */
  readonly ownSqlite: boolean
  readonly typeScript: boolean
}

/** Makes one in an empty folder. */
export const make = (folder: string, archive: string, { ownSqlite, typeScript }: Kind): void => {
  mkdirSync(folder)
  const versions = Object.fromEntries(PEERS.map((name) => [name, manifest.devDependencies[name]]))
  const sqlite = ownSqlite ? manifest.devDependencies["better-sqlite3"] : PORTABLE_SQLITE
  const contents = {
    private: true,
    type: "module",
    dependencies: { ...versions, [manifest.name]: `file:${archive}` },
    overrides: { ...manifest.overrides, "better-sqlite3": sqlite }
  }
  writeFileSync(join(folder, "package.json"), JSON.stringify(contents))
  const quiet = ["--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"]
  must("install its peers", folder, "install", ...quiet)
  const addon = join("node_modules", "better-sqlite3", "build")
  if (ownSqlite) cpSync(join(root, addon), join(folder, addon), { recursive: true })
  for (const name of readdirSync(programs)) write(folder, name, typeScript)
}

/** A program as it is, or as a build makes it. */
const write = (folder: string, name: string, typeScript: boolean): void => {
  const text = readFileSync(join(programs, name), "utf8")
  const compilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    rewriteRelativeImportExtensions: true
  }
  if (typeScript) writeFileSync(join(folder, name), text)
  else writeFileSync(join(folder, name.replace(/ts$/, "js")), ts.transpileModule(text, { compilerOptions }).outputText)
}
