#!/usr/bin/env node
/**
 * The program `effect-scheduler`: loads the command line, whose packages are optional for the library's other users.
 *
 * @since 0.1.0
 */

const PACKAGES = "@effect/cli @effect/platform @effect/platform-node @effect/sql @effect/sql-sqlite-node cronstrue"

const isMissingPackage = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND"

import("./CommandLine.ts").then(
  ({ main }) => main(process.argv),
  (error: unknown) => {
    const hint = `The command line needs packages that are not installed: npm install effect ${PACKAGES}`
    console.error(isMissingPackage(error) ? `${hint}\n${String(error)}` : error)
    process.exitCode = 1
  }
)
