import { Console, DateTime, Effect, Layer, Schema, Stream } from "effect"
import { Executor, type Job, JobStore, Scheduler, Task, Trigger } from "effect-scheduler"

const Sync = Task.make("Sync", { payload: Schema.Struct({ tenant: Schema.String }), success: Schema.Number })
const SyncLive = Task.toLayer(Sync, ({ tenant }) =>
  tenant === "slow" ? Effect.never : Effect.as(Effect.sleep("20 millis"), tenant.length)
)

const program = Effect.gen(function* () {
  const scheduler = yield* Scheduler.Scheduler

  // What somebody should look at, told as it happens.
  const events = yield* scheduler.subscribe
  const alerts = Stream.runForEach(events, (event) => {
    switch (event._tag) {
      case "RunFailed":
      case "RunMissed":
      case "RunAbandoned":
      case "JobParked":
      case "StoreUnavailable":
      case "LeaseLost":
      case "ClockJumped":
        return Effect.logWarning(event._tag, event)
      default:
        return Effect.void
    }
  })
  yield* Effect.forkScoped(alerts)

  // Many jobs in one transaction, and one page of them after the other.
  const hourly = Trigger.crontab("0 * * * *")
  yield* scheduler.addAll(
    ["ada", "bob", "eve", "slow"].map((tenant, i) =>
      Scheduler.job(Sync, {
        id: `sync/${tenant}`,
        payload: { tenant },
        trigger: hourly,
        labels: { tier: i < 2 ? "gold" : "free" }
      })
    )
  )
  let page: ReadonlyArray<Job.Job> = yield* scheduler.list({ task: "Sync", limit: 3 })
  while (page.length > 0) {
    yield* Console.log("a page:", page.map(({ id }) => id).join(" "))
    page = yield* scheduler.list({ task: "Sync", limit: 3, after: page.at(-1)!.id })
  }

  // Paused with a reason, and by whom; what was not due then can be explained.
  yield* scheduler.pause({ labels: { tier: "free" } }, { note: "invoices first", by: "ada" })
  const paused = yield* scheduler.list({ states: ["Paused"] })
  yield* Console.log("paused:", paused.map(({ id }) => id).join(" "))
  const now = yield* DateTime.now
  const { message, verdict } = yield* scheduler.explain("sync/eve", now)
  yield* Console.log(verdict, message)
  const coming = yield* scheduler.preview("sync/ada", 2)
  yield* Console.log("next:", coming.map((at) => DateTime.formatIso(at).slice(14, 19)).join(" "))

  // Run now and wait: for the record of the run, or with the task for its typed value.
  const run = yield* scheduler.runNow("sync/ada")
  yield* Console.log("sync/ada gave", yield* scheduler.awaitRun(run.id, Sync))

  // A run that is under way is interrupted on whichever node carries it out.
  const stuck = yield* scheduler.runNow("sync/slow")
  yield* Effect.sleep("50 millis")
  yield* scheduler.cancel(stuck.id)
  yield* Console.log("sync/slow ended as", (yield* scheduler.awaitRun(stuck.id)).state._tag)

  // Times that were missed before anybody thought of the job.
  const day = { from: DateTime.subtract(now, { hours: 3 }), to: now }
  const runs = yield* scheduler.backfill("sync/bob", day)
  yield* Effect.forEach(runs, ({ id }) => scheduler.awaitRun(id, Sync))
  yield* Console.log("backfilled", runs.length, "hours")

  // Jobs as JSON: for a backup, or for another store. Runs are not part of it.
  const archive = JSON.stringify(yield* scheduler.exportJobs({ labels: { tier: "gold" } }))
  yield* scheduler.remove({ labels: { tier: "gold" } })
  const back = yield* scheduler.importJobs(JSON.parse(archive))
  yield* Console.log("imported:", back.map(({ id }) => id).join(" "))

  // For the endpoint that a load balancer asks.
  const { isStoreAvailable, mode, running } = yield* scheduler.health
  yield* Console.log({ mode, running, isStoreAvailable })
  yield* scheduler.shutdown({ wait: "10 seconds" })
})

const SchedulerLive = Scheduler.layer({ drain: "10 seconds" }).pipe(
  Layer.provide(SyncLive),
  Layer.provide(Executor.layerFiber()),
  Layer.provide(JobStore.layerMemory)
)

Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(SchedulerLive)))
