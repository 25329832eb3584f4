/** Measures a thing in a Node process of its own, so that nothing that ran before it disturbs it, and bounds its time. */
import ts from "typescript"
import { fork } from "node:child_process"
import { rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

export interface ChildOptions {
  readonly args: ReadonlyArray<string | number>
  /** A child that takes longer is killed and has no answer. */
  readonly seconds: number
  readonly flags?: ReadonlyArray<string>
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url))
const OUT = `${ROOT}node_modules/.cache/effect-scheduler-bench`

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  rewriteRelativeImportExtensions: true,
  noCheck: true,
  types: [],
  rootDir: ROOT,
  outDir: OUT
}

/**
 * Compiles the library as it is compiled for its package, and the children with it, and what else they load: `tsx` would give closures names at
 * run time, which only ours would pay for, and does things of its own while a process is idle.
 */
export const compile = (...modules: ReadonlyArray<string>): void => {
  rmSync(OUT, { recursive: true, force: true })
  const files = ["engine-child", ...modules].map((name) => `${ROOT}test/bench/${name}.ts`)
  ts.createProgram(files, OPTIONS).emit()
  writeFileSync(`${OUT}/package.json`, `{ "type": "module" }\n`)
}

/** What the child answers; none if it was killed or failed. All children are in UTC, the zone that costs the least. */
export const inChild = <A>({ args, flags = [], seconds }: ChildOptions): Promise<A | undefined> =>
  new Promise((resolve) => {
    const child = fork(`${OUT}/test/bench/engine-child.js`, args.map(String), {
      execArgv: [...flags],
      env: { ...process.env, TZ: "UTC" },
      stdio: ["ignore", "inherit", "inherit", "ipc"]
    })
    let answer: A | undefined
    const timer = setTimeout(() => child.kill("SIGKILL"), 1000 * seconds)
    child.on("message", (message) => {
      answer = message as A
    })
    child.on("exit", () => {
      clearTimeout(timer)
      resolve(answer)
    })
  })

/** Says on stderr how far a long benchmark is. */
export const progress = (text: string): void => console.error(text)
