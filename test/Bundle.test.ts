import { assert, describe, it } from "@effect/vitest"
import { build } from "vite"
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const pathOf = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url))

/** Bundles the example of executors, with the library in it, as docs/executors.md says. */
const bundle = (outDir: string) =>
  build({
    configFile: false,
    logLevel: "error",
    root: pathOf("docs/examples"),
    resolve: {
      alias: [
        { find: /^effect-scheduler$/, replacement: pathOf("src/index.ts") },
        { find: /^effect-scheduler\/(.+)$/, replacement: pathOf("src/$1.ts") }
      ]
    },
    build: {
      ssr: true,
      outDir,
      rollupOptions: {
        input: {
          main: pathOf("docs/examples/executors.ts"),
          "executors/worker": pathOf("docs/examples/executors/worker.ts")
        }
      }
    }
  })

describe("a bundle", () => {
  it("finds the module of its threads and processes beside it", { timeout: 120_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "bundle-"))
    try {
      await bundle(folder)
      // Other packages are not in it.
      symlinkSync(pathOf("node_modules"), join(folder, "node_modules"))
      writeFileSync(join(folder, "package.json"), `{ "type": "module" }`)
      assert.isFalse(existsSync(join(folder, "executors/worker.ts")))
      const { status, stderr, stdout } = spawnSync(process.execPath, [join(folder, "main.js")], { encoding: "utf8" })
      assert.strictEqual(status, 0, stderr)
      assert.strictEqual(stdout.match(/below\/200000 17984/g)?.length, 2, stdout)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
