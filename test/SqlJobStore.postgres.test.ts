import { postgresClient, startPostgres } from "./Servers.ts"
import { faultChecks } from "./SqlFaultSuite.ts"
import { signalChecks, suite } from "./SqlStoreSuite.ts"

suite({ name: "PostgreSQL", start: startPostgres, client: postgresClient }, (world) => {
  faultChecks(world)
  signalChecks(world)
})
