import { assert, describe, it } from "@effect/vitest"
import { FastCheck, Option } from "effect"
import type { ChildProcess } from "node:child_process"
import { EventEmitter } from "node:events"
import { AttemptOutput } from "../src/AttemptOutput.ts"

const listen = (limit: number) => {
  const streams = { stdout: new EventEmitter(), stderr: new EventEmitter() }
  const output = new AttemptOutput(streams as unknown as ChildProcess, limit)
  output.release()
  return { ...streams, output }
}

/** A text in chunks that know nothing of its characters. */
const chunked = FastCheck.record({
  text: FastCheck.string({ unit: "binary", maxLength: 200 }),
  size: FastCheck.integer({ min: 1, max: 20 }),
  limit: FastCheck.integer({ min: 1, max: 100 })
}).map(({ limit, size, text }) => {
  const bytes = Buffer.from(text)
  const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size)
  )
  return { chunks, limit, text: bytes.toString() }
})

describe("the output of an attempt", () => {
  it.prop(
    "is the end of what was written, of whole characters, and truncated if that is not all",
    [chunked],
    ([sample]) => {
      const { output, stdout } = listen(sample.limit)
      output.begin()
      for (const chunk of sample.chunks) stdout.emit("data", chunk)
      const kept = Option.getOrElse(output.end(), () => ({ stdout: "", stderr: "", truncated: false }))
      assert.isTrue(sample.text.endsWith(kept.stdout))
      assert.isAtMost(kept.stdout.length, sample.limit)
      assert.isAtLeast(kept.stdout.length, Math.min(sample.text.length, sample.limit - 1))
      assert.strictEqual(kept.truncated, sample.text.length > sample.limit)
      assert.notMatch(kept.stdout, /^[\uDC00-\uDFFF]/)
    }
  )

  it("is none where nothing was written, or nothing is to be kept", () => {
    const silent = listen(10)
    silent.output.begin()
    assert.deepStrictEqual(silent.output.end(), Option.none())
    const loud = listen(0)
    loud.output.begin()
    assert.deepStrictEqual(loud.output.end(), Option.none())
  })

  it("does not reach into the attempt that follows", () => {
    const { output, stderr } = listen(100)
    output.begin()
    stderr.emit("data", Buffer.from("one"))
    output.end()
    output.begin()
    stderr.emit("data", Buffer.from("two"))
    assert.deepStrictEqual(output.end(), Option.some({ stdout: "", stderr: "two", truncated: false }))
  })

  it("has its last errors at hand as the reason for an end", () => {
    const { output, stderr } = listen(10)
    output.begin()
    stderr.emit("data", Buffer.from(`${"x".repeat(5000)}\nout of luck\n`))
    assert.isTrue(output.complaint.endsWith("out of luck"))
    assert.isAtMost(output.complaint.length, 2000)
  })
})
