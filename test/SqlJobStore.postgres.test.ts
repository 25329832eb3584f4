import { postgresClient, startPostgres } from "./Servers.ts"
import { signalChecks, suite } from "./SqlStoreSuite.ts"

suite({ name: "PostgreSQL", start: startPostgres, client: postgresClient }, signalChecks)
