/** Installs the peers of the SQL benchmark, in the versions of its lock file and with a Node that they run on. */
import { execFileSync } from "node:child_process"
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const HERE = fileURLToPath(new URL(".", import.meta.url))

/**
 * Apart from this package's own modules, among which the `node` of theirs would take the place of the user's, but below
 * them, so that what is compiled to this directory finds both.
 */
export const PEERS = fileURLToPath(new URL("../../../node_modules/.cache/effect-scheduler-peers", import.meta.url))

const FILES = ["package.json", "package-lock.json"]

const isInstalled = (): boolean =>
  existsSync(`${PEERS}/node_modules`) &&
  FILES.every(
    (file) => existsSync(`${PEERS}/${file}`) && readFileSync(`${PEERS}/${file}`).equals(readFileSync(HERE + file))
  )

export const install = (): void => {
  if (isInstalled()) return
  mkdirSync(PEERS, { recursive: true })
  for (const file of FILES) copyFileSync(HERE + file, `${PEERS}/${file}`)
  execFileSync("npm", ["ci", "--no-fund", "--no-audit", "--loglevel=error"], {
    cwd: PEERS,
    stdio: ["ignore", "ignore", "inherit"]
  })
}

/** The Node that all of them run on, ours too. */
export const node = (): string => `${PEERS}/node_modules/.bin/node`

export const versionOf = (name: string): string =>
  (JSON.parse(readFileSync(`${PEERS}/node_modules/${name}/package.json`, "utf8")) as { version: string }).version
