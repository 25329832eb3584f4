/** Measures a thing in a Node process of its own, so that nothing that ran before it disturbs it, and bounds its time. */
import ts from "typescript"
import { fork } from "node:child_process"
import { rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

export interface ChildOptions {
  readonly args: ReadonlyArray<string | number>
  /** What it runs. Default: the child of the engine benchmark. */
  readonly program?: string
  /** The Node that runs it. Default: this one. */
  readonly node?: string
  /** A child that takes longer is killed and has no answer. */
  readonly seconds: number
  readonly flags?: ReadonlyArray<string>
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url))
const OUT = `${ROOT}node_modules/.cache/effect-scheduler-bench`
const ENGINE = `${OUT}/test/bench/engine-child.js`

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  rewriteRelativeImportExtensions: true,
  noCheck: true,
  types: [],
  rootDir: ROOT
}

/**
 * Compiles the library as it is compiled for its package, and children with it: `tsx` would give closures names at run
 * time, which only ours would pay for, and does things of its own while a process is idle.
 */
export const compile = (children = ["engine-child"], outDir = OUT): void => {
  rmSync(outDir, { recursive: true, force: true })
  const files = children.map((child) => `${ROOT}test/bench/${child}.ts`)
  ts.createProgram(files, { ...OPTIONS, outDir }).emit()
  writeFileSync(`${outDir}/package.json`, `{ "type": "module" }\n`)
}

/** What the child answers; none if it was killed or failed. All children are in UTC, the zone that costs the least. */
export const inChild = <A>(options: ChildOptions): Promise<A | undefined> =>
  new Promise((resolve) => {
    const { args, flags = [], node = process.execPath, program = ENGINE, seconds } = options
    const child = fork(program, args.map(String), {
      execPath: node,
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
