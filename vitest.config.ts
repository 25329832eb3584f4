import { defineConfig } from "vitest/config"

const source = new URL("./src/", import.meta.url).pathname

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "docs/examples/*.test.ts"],
    // The examples read as users write them; in the tests they run on the sources.
    alias: [
      { find: /^effect-scheduler$/, replacement: `${source}index.ts` },
      { find: /^effect-scheduler\/(.+)$/, replacement: `${source}$1.ts` }
    ],
    testTimeout: 30_000
  }
})
