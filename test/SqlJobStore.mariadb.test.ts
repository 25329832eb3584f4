import { describe, it } from "@effect/vitest"
import { findMariadb, mariadbClient } from "./Servers.ts"
import { auditChecks } from "./SqlAuditSuite.ts"
import { crowdChecks } from "./SqlCrowdSuite.ts"
import { faultChecks } from "./SqlFaultSuite.ts"
import { poisonChecks } from "./SqlPoisonSuite.ts"
import { raceChecks } from "./SqlRaceSuite.ts"
import { suite } from "./SqlStoreSuite.ts"

const server = await findMariadb()

if (server !== undefined)
  suite({ name: "MariaDB", start: () => Promise.resolve(server), client: mariadbClient }, (world) => {
    raceChecks(world)
    auditChecks(world)
    crowdChecks(world)
    faultChecks(world)
    poisonChecks(world)
  })
else if (process.env.CI === "true") throw new Error("No MariaDB answers on 127.0.0.1:3306 or at MARIADB_URL")
else describe("the store on MariaDB", () => it.skip("no MariaDB answers on 127.0.0.1:3306 or at MARIADB_URL", () => {}))
