/** The floors of src, from high to low: a module imports from its own floor or a lower one. The rest are values. */
const floors = {
  faces: ["index", "bin", "CommandLine", "CronDaemon", "ConfigFile", "SchedulerConfig", "ConfigTypes", "RunTable", "TestScheduler", "Simulation", "ExecutorConformance", "ExecutorWorld", "SchedulerServer"],
  engines: ["Scheduler", "SqlJobStore", "WorkerExecutor", "ProcessExecutor", "ClusterExecutor", "SchedulerApi"],
  parts: ["AttemptPool", "AttemptHost", "AttemptRunner", "SqlClaim", "SqlAttempts", "SqlSuccession", "SqlNodes"],
  loops: ["Configuration", "JobVerbs", "RunVerbs", "SchedulerActors", "SchedulerLoop", "LoopState", "LoopLease", "LoopNews", "LoopAttempts", "LoopSteps", "NamedStores", "NamedExecutors", "AttemptFiber", "AttemptCoordinator", "SchedulerTracer"],
  ports: ["JobStore", "JobStoreConformance", "InstanceConformance", "HistoryConformance", "NodeConformance", "ConformanceWorld", "Executor", "SchedulerEvent"],
  records: ["Audit", "Job", "Run", "AttemptMessage", "AttemptOutput", "StoreAnswer", "JobLoad", "RunLines", "Ledger", "Declaration", "Explanation", "SchedulerMetrics", "SqlDefinition", "SqlRows", "SqlRuns", "SqlJobs"]
}

/** The adapters, each with the only port it knows. */
const adapters = {
  SqlJobStore: "JobStore",
  WorkerExecutor: "Executor",
  ProcessExecutor: "Executor",
  ClusterExecutor: "Executor"
}

/** What needs an optional peer, a terminal or a test runner: each has an entry point of its own. */
const apart = [...Object.keys(adapters), "SchedulerServer", "SqlMigrations", "RRule", "Solar", "Holidays", "bin", "CommandLine", "CronDaemon", "ConfigFile", "SchedulerConfig", "ConfigTypes", "RunTable", "TestScheduler", "JobStoreConformance", "InstanceConformance", "HistoryConformance", "NodeConformance", "ConformanceWorld", "SqlDatabase", "SqlClock", "SqlSignal", "SqlRuns", "SqlJobs", "SqlClaim", "SqlAttempts", "SqlSuccession", "SqlNodes", "AttemptPool", "AttemptHost", "AttemptRunner", "AttemptProcess", "AttemptOutput", "TypeScriptModule", "ExecutorConformance", "ExecutorWorld"]

const modules = (names) => `^src/(${names.join("|")})\\.ts$`

/** How package.json names what users have. */
const declared = ["npm", "npm-peer", "npm-optional"]

const forbid = (name, comment, from, to) => ({ name, comment, severity: "error", from, to })

const above = []
const upward = Object.entries(floors).map(([floor, names]) => {
  above.push(...names)
  const comment = `Dependencies point downwards: what lies below the ${floor} is read and tested without them.`
  const from = { path: "^src/", pathNot: modules(above) }
  return forbid(`below-${floor}-no-${floor}`, comment, from, { path: modules(names) })
})

const apartFrom = (name, comment, names) => forbid(name, comment, { path: modules(names) }, { path: modules(names) })

const ownPort = Object.entries(adapters).map(([adapter, port]) =>
  forbid(
    `${adapter}-knows-only-${port}`,
    "An adapter implements one port; one that knows another cannot be replaced on its own.",
    { path: modules([adapter]) },
    { path: modules(floors.ports), pathNot: modules([port]) }
  )
)

module.exports = {
  forbidden: [
    ...upward,
    ...ownPort,
    apartFrom("engines-apart", "The engine and its adapters meet in the ports, never each other.", floors.engines),
    apartFrom("ports-apart", "Where jobs are kept and where they run are separate choices.", ["JobStore", "Executor"]),
    forbid(
      "no-import-of-an-entry",
      "index and bin are for users; a module that imports one drags all the others in.",
      { path: "^src/" },
      { path: modules(["index", "bin"]) }
    ),
    forbid(
      "index-without-optional-peers",
      "The main entry must load where only effect is installed, so nothing it reaches may need more.",
      { path: modules(["index"]) },
      { path: modules(apart), reachable: true }
    ),
    forbid(
      "types-on-demand",
      "A configuration loads what it names: a type whose packages are missing must not be in the way of the others.",
      { path: modules(["ConfigTypes"]) },
      { path: [modules(apart), "node_modules/@effect/"], dynamic: false, dependencyTypesNot: ["type-only"] }
    ),
    forbid(
      "types-without-node",
      "What only Node has is for the type that needs it to load.",
      { path: modules(["Configuration", "ConfigTypes", "ConfigValue"]) },
      { dependencyTypes: ["core"] }
    ),
    forbid("no-circle", "Modules in a circle can only be understood and loaded together.", {}, { circular: true }),
    {
      name: "no-drawer",
      comment: "A module is named for what it is about; these names say nothing.",
      severity: "error",
      from: {},
      // Fewer than the most the rule can count: every module of such a name, used or not.
      module: { path: "^src/(.+/)?(utils?|common|internal|types|helpers?)(/|\\.)", numberOfDependentsLessThan: 100 }
    },
    forbid(
      "no-development-package",
      "Users do not have the packages of development; declare it as a (peer) dependency or do without.",
      { path: "^src/" },
      { dependencyTypes: ["npm-dev"], dependencyTypesNot: declared }
    ),
    forbid(
      "no-undeclared-package",
      "A package that package.json does not declare is there by luck.",
      { path: "^src/" },
      // An optional peer is npm-no-pkg as well, for its entry in peerDependenciesMeta.
      { dependencyTypes: ["npm-no-pkg", "npm-unknown"], dependencyTypesNot: [...declared, "npm-dev"] }
    ),
    forbid("no-dead-import", "It does not resolve.", {}, { couldNotResolve: true })
  ],
  options: {
    // Type imports count: they couple modules just the same.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["types", "import", "node", "default"] }
  }
}
