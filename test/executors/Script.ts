/** Programs of the tests, in processes of their own. */
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { module } from "./Hosts.ts"

export interface Script {
  readonly child: ChildProcess
  /** The lines that it wrote so far, on both streams. */
  readonly lines: () => ReadonlyArray<string>
  readonly ended: Promise<number | null>
}

export const run = (name: string, ...args: ReadonlyArray<string>): Script => {
  const child = spawn(process.execPath, ["--import", "tsx", fileURLToPath(module(name)), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_OPTIONS: "" }
  })
  let text = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (text += chunk))
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve))
  return { child, lines: () => text.split("\n").filter((line) => line !== ""), ended }
}
