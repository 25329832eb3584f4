/** The runtimes that are at hand, or that npm has. */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"

export interface Runtime {
  /** `Node 22.23.3`. */
  readonly name: string
  /** The program, and the words that come before the one that it runs. */
  readonly command: readonly [program: string, ...words: ReadonlyArray<string>]
  readonly readsTypeScript: boolean
  /** Whether it is the one that runs this, for which the packages of the project were installed. */
  readonly isOwn: boolean
}

/** What npm has them as, by the names of their packages: `bun@1.4`. */
const BINARIES: Record<string, string> = {
  node: "node/bin/node",
  bun: ".bin/bun",
  deno: ".bin/deno"
}

export const DEFAULT = ["node@22", "node@24", "node@26", "bun@1.4", "deno@2.9"]

const own = process.versions.node.split(".")[0]!

/** All that are asked for; this one and the newest of each line, if none is. */
export const wanted = (words: ReadonlyArray<string>): ReadonlyArray<string> =>
  words.length > 0 ? words : [process.execPath, ...DEFAULT.filter((name) => name !== `node@${own}`)]

/** One at a path, or one that is installed into a folder; none if there is none. */
export const find = (word: string, folder: string): Runtime | undefined => {
  const path = existsSync(word) ? word : install(word, folder)
  return path === undefined ? undefined : toRuntime(path)
}

const install = (word: string, folder: string): string | undefined => {
  const binary = BINARIES[word.split("@")[0]!]
  if (binary === undefined) return undefined
  const home = join(folder, word)
  mkdirSync(home)
  writeFileSync(join(home, "package.json"), "{}")
  const options = ["--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"]
  const { status } = spawnSync("npm", ["install", ...options, word], { cwd: home, stdio: "ignore" })
  return status === 0 ? join(home, "node_modules", binary) : undefined
}

const toRuntime = (path: string): Runtime | undefined => {
  const { status, stdout } = spawnSync(path, ["--version"], { encoding: "utf8" })
  const version = /\d+\.\d+\.\d+/.exec(stdout ?? "")?.[0]
  if (status !== 0 || version === undefined) return undefined
  if (stdout.startsWith("deno")) return other(`Deno ${version}`, [path, "run", "--allow-all"])
  if (!stdout.startsWith("v")) return other(`Bun ${version}`, [path])
  const [major = 0, minor = 0] = version.split(".").map(Number)
  const readsTypeScript = major > 22 || (major === 22 && minor >= 18)
  return { name: `Node ${version}`, command: [path], readsTypeScript, isOwn: version === process.versions.node }
}

const other = (name: string, command: Runtime["command"]): Runtime => ({
  name,
  command,
  readsTypeScript: true,
  isOwn: false
})
