import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"

const root = new URL("../", import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), "utf8")

const pages = [
  "README.md",
  ...readdirSync(new URL("docs/", root))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`)
]

/** A program on a page: the comment before it names its file. */
const PROGRAM = /<!-- (\S+) -->\n```ts\n([\s\S]*?)\n```/g

describe("the documentation", () => {
  for (const page of pages) {
    it(`${page} shows its programs as they are run`, () => {
      for (const [, file, shown] of read(page).matchAll(PROGRAM)) assert.strictEqual(`${shown}\n`, read(file!))
    })

    it(`${page} shows no program that is not run`, () => {
      const text = read(page)
      const shown = text.match(/^```ts$/gm)?.length ?? 0
      assert.strictEqual([...text.matchAll(PROGRAM)].length, shown)
    })

    it(`${page} links to files that exist`, () => {
      const folder = new URL(page, root)
      for (const [, target] of read(page).matchAll(/\]\((?!https?:)([^)#]+)/g)) {
        assert.doesNotThrow(() => readdirOrFile(new URL(target!, folder)))
      }
    })
  }

  it("has a quick start of at most 30 lines", () => {
    assert.isAtMost(read("docs/examples/quick-start.ts").trimEnd().split("\n").length, 30)
  })
})

const readdirOrFile = (url: URL) => {
  try {
    return readFileSync(url)
  } catch {
    return readdirSync(url)
  }
}
