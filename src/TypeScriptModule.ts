/**
 * How a thread or a process loads a module that is written in TypeScript: as what a build made of it, or as it is, where
 * Node does not read it by tsx, if that is installed.
 *
 * @since 0.1.0
 */
import { existsSync } from "node:fs"
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"

const ENDING = /\.([cm]?)tsx?$/

/**
 * The module itself, or what a build made of it where only that is there: a build rewrites imports, but no URL.
 *
 * @since 0.1.0
 * @category loading
 */
export const find = (url: URL): URL => {
  if (url.protocol !== "file:" || !ENDING.test(url.pathname) || existsSync(url)) return url
  const built = new URL(url)
  built.pathname = url.pathname.replace(ENDING, ".$1js")
  return existsSync(built) ? built : url
}

/**
 * The module at a path from the working directory, or at a `file:` URL, or what a build made of it, if either is there.
 *
 * @since 0.1.0
 * @category loading
 */
export const locate = (module: string): URL | undefined => {
  const url = find(/^file:/i.test(module) ? new URL(module) : pathToFileURL(module))
  return existsSync(url) ? url : undefined
}

/** Whether the runtime needs help. Node does before 22.18. */
const isForeign = (url: URL): boolean =>
  ENDING.test(url.pathname) &&
  !("bun" in process.versions) &&
  !("deno" in process.versions) &&
  !(process.features as { readonly typescript?: unknown }).typescript

const resolve = (name: string, from: URL): URL | undefined => {
  try {
    const path = createRequire(from).resolve(name)
    // What is found is the twin for `require`.
    return pathToFileURL(path.replace(/\.cjs$/, ".mjs"))
  } catch {
    return undefined
  }
}

/**
 * What a thread loads in the place of a module: the module itself, or one that has tsx read it. (Before Node 22 a loader
 * that was named on the command line does not reach the threads.)
 *
 * @since 0.1.0
 * @category loading
 */
export const forThread = (url: URL): URL => {
  const tsx = isForeign(url) ? resolve("tsx/esm/api", url) : undefined
  if (tsx === undefined) return url
  const [api, module] = [tsx.href, url.href].map((href) => JSON.stringify(href))
  const code = `import { register } from ${api}; register(); await import(${module})`
  return new URL(`data:text/javascript,${encodeURIComponent(code)}`)
}

/**
 * The Node options with which a process loads a module, given those of its parent.
 *
 * @since 0.1.0
 * @category loading
 */
export const forProcess = (url: URL, execArgv: ReadonlyArray<string>): ReadonlyArray<string> => {
  const tsx = isForeign(url) && !execArgv.some((option) => option.includes("tsx")) ? resolve("tsx", url) : undefined
  return tsx === undefined ? execArgv : [...execArgv, "--import", tsx.href]
}
