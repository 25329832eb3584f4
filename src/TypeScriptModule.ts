/**
 * How a thread or a process loads a module that is written in TypeScript, where Node itself does not read it: by tsx, if
 * that is installed.
 *
 * @since 0.1.0
 */
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"

/** Whether the runtime needs help; Node does not before 22.18, unless a loader reaches its threads and children. */
const isForeign = (url: URL): boolean =>
  /\.[cm]?tsx?$/.test(url.pathname) &&
  !("bun" in process.versions) &&
  !("deno" in process.versions) &&
  !(process.features as { readonly typescript?: unknown }).typescript

const resolve = (name: string, from: URL): URL | undefined => {
  try {
    // Packages are looked for where the module is; what is found is the twin for `require`.
    return pathToFileURL(
      createRequire(from)
        .resolve(name)
        .replace(/\.cjs$/, ".mjs")
    )
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
