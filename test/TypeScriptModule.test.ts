import { afterAll, assert, describe, it } from "@effect/vitest"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { pathToFileURL } from "node:url"
import * as TypeScriptModule from "../src/TypeScriptModule.ts"

const folder = mkdtempSync(join(tmpdir(), "module-"))
afterAll(() => rmSync(folder, { recursive: true }))
const at = (name: string) => pathToFileURL(join(folder, name))

describe("a module in TypeScript", () => {
  it("is itself where it is there, and what was made of it where only that is", () => {
    for (const name of ["both.ts", "both.js", "built.js", "built-m.mjs", "built-x.js"]) writeFileSync(at(name), "")
    const found = ["both.ts", "built.ts", "built-m.mts", "built-x.tsx", "none.ts", "none.js"].map((name) => [
      name,
      TypeScriptModule.find(at(name)).href
    ])
    assert.deepStrictEqual(Object.fromEntries(found), {
      "both.ts": at("both.ts").href,
      "built.ts": at("built.js").href,
      "built-m.mts": at("built-m.mjs").href,
      "built-x.tsx": at("built-x.js").href,
      "none.ts": at("none.ts").href,
      "none.js": at("none.js").href
    })
  })

  it("is found at a path or at a URL, and not where there is none", () => {
    assert.strictEqual(TypeScriptModule.locate(join(folder, "both.ts"))?.href, at("both.ts").href)
    assert.strictEqual(
      TypeScriptModule.locate(relative(process.cwd(), join(folder, "built.ts")))?.href,
      at("built.js").href
    )
    assert.strictEqual(TypeScriptModule.locate(at("built-m.mts").href)?.href, at("built-m.mjs").href)
    assert.isUndefined(TypeScriptModule.locate("none.ts"))
    assert.isUndefined(TypeScriptModule.locate(at("none.ts").href))
  })

  it("is left to the runtime where nothing has to be done for it", () => {
    const url = at("both.js")
    assert.strictEqual(TypeScriptModule.forThread(url), url)
    const execArgv = ["--enable-source-maps"]
    assert.strictEqual(TypeScriptModule.forProcess(url, execArgv), execArgv)
    // There is no tsx near it.
    assert.strictEqual(TypeScriptModule.forThread(at("both.ts")).href, at("both.ts").href)
    assert.deepStrictEqual(TypeScriptModule.forProcess(at("both.ts"), execArgv), execArgv)
  })

  it("is read by tsx once, also where this process was started with it", () => {
    const execArgv = ["--import", "tsx"]
    assert.strictEqual(TypeScriptModule.forProcess(new URL(import.meta.url), execArgv), execArgv)
  })
})
