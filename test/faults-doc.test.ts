import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"
import { plans } from "./chaos/Faults.ts"

/** Keeps docs/faults.md true: each test that it names is in the file that it names. */
const root = new URL("../", import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), "utf8")

interface Named {
  readonly file: string
  readonly name: string
}

const ROW = /^\| (\d+) \| .* \| (.*) \|$/gm
const TEST = /`([\w./]+)`: "((?:[^"]|"(?! <br>| \||$))*)"/g

const rows = [...read("docs/faults.md").matchAll(ROW)].map(([, number, cell]) => ({
  number: Number(number),
  cell: cell!,
  tests: [...cell!.matchAll(TEST)].map(([, file, name]): Named => ({ file: file!, name: name! }))
}))

/** Every text of a program, with an ellipsis for what is put into it. */
const textsOf = (source: string): ReadonlySet<string> => {
  const plain = [...source.matchAll(/(["'])((?:\\.|(?!\1)[^\\\n])*)\1/g)].map(([, , text]) => text!)
  const templates = [...source.matchAll(/`((?:\\.|\$\{(?:[^{}]|\{[^{}]*\})*\}|[^`\\])*)`/g)].map(([, text]) =>
    text!.replace(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, "…")
  )
  return new Set([...plain, ...templates])
}

describe("docs/faults.md", () => {
  it("has thirty-four rows, each with a test or with why there is none", () => {
    assert.deepStrictEqual(
      rows.map(({ number }) => number),
      Array.from({ length: 34 }, (_, i) => i + 1)
    )
    for (const { cell, number, tests } of rows) {
      assert.isTrue(tests.length > 0, `row ${number} names no test: ${cell}`)
      // Nothing but tests and words.
      assert.strictEqual(cell.match(/`[\w./]+`:/g)?.length, tests.length, `row ${number}`)
    }
  })

  for (const { number, tests } of rows) {
    it(`names tests in row ${number} that there are`, () => {
      for (const { file, name } of tests) {
        assert.isTrue(existsSync(new URL(file, root)), file)
        assert.isTrue(textsOf(read(file)).has(name), `${file} has no "${name}"`)
      }
    })
  }
})

describe("docs/nodes.md", () => {
  it("says what each fault of chaos does, and has a place for its table", () => {
    const page = read("docs/nodes.md")
    const told = [...page.matchAll(/^\| ((?:`[\w-]+`(?:, )?)+) \|/gm)].flatMap(
      ([, cell]) => cell!.match(/[\w-]+/g) ?? []
    )
    for (const { name } of plans) assert.include(told, name)
    assert.match(page, /^<!-- chaos -->$[\s\S]*^<!-- \/chaos -->$/m)
  })
})
