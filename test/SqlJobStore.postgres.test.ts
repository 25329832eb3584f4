import { postgresClient, startPostgres } from "./Servers.ts"
import { auditChecks } from "./SqlAuditSuite.ts"
import { crowdChecks } from "./SqlCrowdSuite.ts"
import { faultChecks } from "./SqlFaultSuite.ts"
import { poisonChecks } from "./SqlPoisonSuite.ts"
import { raceChecks } from "./SqlRaceSuite.ts"
import { signalChecks, suite } from "./SqlStoreSuite.ts"

suite({ name: "PostgreSQL", start: startPostgres, client: postgresClient }, (world) => {
  raceChecks(world)
  auditChecks(world)
  crowdChecks(world)
  faultChecks(world)
  poisonChecks(world)
  signalChecks(world)
})
