import assert from "node:assert"
import cluster from "node:cluster"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"

const folder = mkdtempSync(join(tmpdir(), "cluster-"))

// What each worker has done, as its handlers tell.
const done: Array<{ readonly worker: number; readonly run: string }> = []
cluster.on("message", ({ id }, { jobId, scheduledAt }) => {
  done.push({ worker: id, run: `${jobId} ${scheduledAt}` })
})

// Four servers on one port and one database.
cluster.setupPrimary({ exec: fileURLToPath(new URL("./cluster/server.ts", import.meta.url)) })
const workers = Array.from({ length: 4 }, () => cluster.fork({ DATABASE: join(folder, "jobs.sqlite"), PORT: "0" }))
const listening = workers.map((worker) => once(worker, "listening") as Promise<[AddressInfo]>)
const [[{ port }]] = (await Promise.all(listening)) as [[AddressInfo]]

// Eight jobs of three runs each, and time for one too many.
for (let i = 0; i < 200 && done.length < 24; i++) await setTimeout(100)
await setTimeout(500)
const history: unknown = await (await fetch(`http://127.0.0.1:${port}/runs`)).json()

for (const worker of workers) worker.process.kill("SIGTERM")
const ends = await Promise.all(workers.map(async (worker) => (await once(worker, "exit"))[0]))
rmSync(folder, { recursive: true })

for (const { id } of workers) console.log(`worker ${id}: ${done.filter(({ worker }) => worker === id).length} runs`)
assert.strictEqual(new Set(done.map(({ run }) => run)).size, 24, "a run is missing")
assert.strictEqual(done.length, 24, "a run was carried out twice")
assert.strictEqual(Array.isArray(history) && history.length, 24, "the history differs")
assert.deepStrictEqual(ends, [0, 0, 0, 0])
