/**
 * What every job store must do, as named checks for any test runner: run each on a fresh store.
 *
 * ```ts
 * for (const { check, name } of JobStoreConformance.checks) {
 *   it.effect(name, () => check.pipe(Effect.provide(MyStoreLive)))
 * }
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import assert from "node:assert/strict"
import {
  add,
  at,
  type Check,
  check,
  claim,
  executors,
  failed,
  fire,
  get,
  history,
  idOf,
  ids,
  job,
  make,
  one,
  register,
  running,
  seconds,
  settle,
  start,
  states,
  succeeded,
  work
} from "./ConformanceWorld.ts"
import * as HistoryConformance from "./HistoryConformance.ts"
import * as InstanceConformance from "./InstanceConformance.ts"
import * as Job from "./Job.ts"
import { type JobFilter, JobStore } from "./JobStore.ts"
import * as NodeConformance from "./NodeConformance.ts"
import type * as Run from "./Run.ts"
import * as Trigger from "./Trigger.ts"

export type { Check } from "./ConformanceWorld.ts"

// ---------------------------------------------------------------------------------------------------------------------
// jobs
// ---------------------------------------------------------------------------------------------------------------------

const pagesOf = (filter: JobFilter, limit: number) =>
  Effect.gen(function* () {
    const found: Array<string> = []
    for (let page = yield* ids({ ...filter, limit }); page.length > 0; ) {
      assert.ok(page.length <= limit)
      found.push(...page)
      page = yield* ids({ ...filter, limit, after: page.at(-1) })
    }
    return found
  })

const jobChecks: ReadonlyArray<Check> = [
  check(
    "a job is read back as it was added",
    Effect.gen(function* () {
      const job = make("a", {
        payload: { text: "ü\u0000'\"\\", list: [1, null, { deep: true }] },
        trigger: Trigger.cron({ hour: 5, minute: 30, timezone: "Europe/Berlin" }),
        misfireGraceTime: "30 seconds",
        retry: { times: 3, backoff: "exponential" },
        labels: { team: "mail" },
        name: "A job",
        group: "g"
      })
      const [change] = yield* add(job)
      const { incarnation, ...read } = Option.getOrThrow(yield* get("a"))
      const { incarnation: _, ...written } = job
      assert.equal(change?._tag, "Added")
      assert.ok(Equal.equals(read.trigger, written.trigger))
      assert.deepEqual({ ...read, trigger: 0 }, { ...written, trigger: 0 })
      assert.ok(incarnation >= 1)
    })
  ),

  check(
    "a job that is not there is none",
    Effect.gen(function* () {
      assert.ok(Option.isNone(yield* get("nobody")))
      const store = yield* JobStore
      const missing = [store.remove("nobody", at(0)), store.update("nobody", (_) => _), store.fire("nobody", at(0))]
      for (const effect of missing) {
        const error = yield* Effect.flip(effect as Effect.Effect<unknown, { readonly _tag: string }>)
        assert.equal(error._tag, "JobNotFound")
      }
    })
  ),

  check(
    "jobs are added all or none",
    Effect.gen(function* () {
      yield* add(make("b"))
      const error = yield* Effect.flip(add(make("a"), make("b")))
      assert.equal(error._tag, "JobExists")
      assert.ok(Option.isNone(yield* get("a")))
      const twice = yield* Effect.flip(add(make("c"), make("c")))
      assert.equal(twice._tag, "JobExists")
      assert.ok(Option.isNone(yield* get("c")))
    })
  ),

  check(
    '"replace" with an unchanged trigger keeps phase and next run time',
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a"))
      const [change] = yield* store.add([make("a", { now: at(45), maxInstances: 7 })], "replace")
      assert.equal(change!._tag, "Replaced")
      const job = Option.getOrThrow(yield* get("a"))
      assert.equal(seconds(job.nextRunTime), 60)
      assert.equal(job.policy.maxInstances, 7)
    })
  ),

  check(
    '"replace" with another trigger starts a new phase',
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a"))
      yield* store.add([make("a", { now: at(45), trigger: Trigger.interval({ minutes: 2 }) })], "replace")
      assert.equal(seconds(Option.getOrThrow(yield* get("a")).nextRunTime), 165)
    })
  ),

  check(
    '"keep" leaves the stored job as it is',
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a"))
      const [change] = yield* store.add([make("a", { maxInstances: 7 })], "keep")
      assert.equal(change!._tag, "Kept")
      assert.equal(Option.getOrThrow(yield* get("a")).policy.maxInstances, 1)
    })
  ),

  check(
    "jobs are listed in the order of their ids, by group and task",
    Effect.gen(function* () {
      yield* add(make("c", { group: "g" }), make("a", { group: "g" }), make("b", { task: "Other" }))
      assert.deepEqual(yield* ids({}), ["a", "b", "c"])
      assert.deepEqual(yield* ids({ group: "g" }), ["a", "c"])
      assert.deepEqual(yield* ids({ task: "Other" }), ["b"])
      assert.deepEqual(yield* ids({ group: "g", task: "Other" }), [])
    })
  ),

  check(
    "jobs are found by labels, all of them, to the letter, and by state",
    Effect.gen(function* () {
      const odd = { 'a"b\\%_': "ü'x", team: "mail" }
      yield* add(
        make("a", { labels: odd }),
        make("b", { labels: { team: "mail", tier: "1" }, isPaused: true }),
        make("c", { labels: { team: "mails", note: '"team":"mail"' } }),
        make("d", { labels: { Team: "mail" } })
      )
      assert.deepEqual(yield* ids({ labels: { team: "mail" } }), ["a", "b"])
      assert.deepEqual(yield* ids({ labels: odd }), ["a"])
      assert.deepEqual(yield* ids({ labels: { 'a"b__%': "ü'x" } }), [])
      assert.deepEqual(yield* ids({ labels: { team: "mail", tier: "2" } }), [])
      assert.deepEqual(yield* ids({ states: ["Paused", "Parked"] }), ["b"])
      assert.deepEqual(yield* ids({ states: [] }), [])
    })
  ),

  check(
    "pages of jobs leave none out and give none twice",
    Effect.gen(function* () {
      const labels = { odd: "yes" }
      const names = Array.from({ length: 21 }, (_, i) => `job-${String(i).padStart(2, "0")}`)
      yield* add(...names.map((id, i) => make(id, i % 2 === 1 ? { labels } : {})))
      assert.deepEqual(yield* pagesOf({}, 5), names)
      assert.deepEqual(
        yield* pagesOf({ labels }, 3),
        names.filter((_, i) => i % 2 === 1)
      )
      assert.deepEqual(yield* ids({ limit: 0 }), [])
      assert.deepEqual(yield* ids({ after: "job-19" }), ["job-20"])
    })
  ),

  check(
    "all jobs that match are updated; those that it did not change are left out",
    Effect.gen(function* () {
      const store = yield* JobStore
      const labels = { team: "mail" }
      yield* add(make("a", { labels }), make("b", { labels, isPaused: true }), make("c"))
      const pause = (job: Job.Job) =>
        job.state._tag === "Paused" ? job : Job.pause(job, at(1), { by: "me", note: "tea" })
      const changed = yield* store.updateAll({ labels }, pause)
      assert.deepEqual(changed.map(idOf), ["a"])
      const paused = { _tag: "Paused", at: at(1), note: Option.some("tea"), by: Option.some("me") }
      assert.deepEqual((yield* job("a")).state, paused)
      assert.deepEqual(yield* ids({ states: ["Active"] }), ["c"])
      yield* store.updateAll({}, (job) => Job.resume(job, at(70)))
      const { _tag: _, at: from, ...note } = paused
      assert.deepEqual((yield* job("a")).lastPause, Option.some({ from, to: at(70), ...note }))
      assert.deepEqual(
        (yield* claim(119)).map(({ next }) => next.id),
        ["c"]
      )
    })
  ),

  check(
    "all jobs that match are removed, each with its runs that have not started",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a", { group: "g" }), make("b", { group: "g" }), make("c"))
      yield* claim(60)
      const removals = yield* store.removeAll({ group: "g" }, at(61))
      const found = removals.map(({ cancelled, job }) => [job.id, ...states(cancelled)])
      assert.deepEqual(found, [
        ["a", "60 Cancelled"],
        ["b", "60 Cancelled"]
      ])
      assert.deepEqual(yield* ids({}), ["c"])
      assert.deepEqual(
        (yield* running(yield* register(), 61)).map(({ jobId }) => jobId),
        ["c"]
      )
      assert.deepEqual(yield* store.removeAll({ group: "g" }, at(62)), [])
    })
  ),

  check(
    "many jobs are added all or none, in their order, and with word of how far it has come",
    Effect.gen(function* () {
      const store = yield* JobStore
      const jobs = Array.from({ length: 1200 }, (_, i) => make(`job-${String(i).padStart(4, "0")}`))
      const error = yield* Effect.flip(store.add([...jobs, jobs[0]!], "fail"))
      assert.equal(error._tag, "JobExists")
      assert.deepEqual(yield* ids({}), [])
      const told: Array<number> = []
      const changes = yield* store.add(jobs, "fail", (stored) => Effect.sync(() => told.push(stored)))
      assert.deepEqual(
        changes.map(({ job }) => job.id),
        jobs.map(idOf)
      )
      assert.deepEqual([told.at(-1), told], [1200, told.toSorted((a, b) => a - b)])
      assert.equal(new Set(changes.map(({ job }) => job.incarnation)).size, 1200)
      assert.equal((yield* ids({})).length, 1200)
    })
  ),

  check(
    "a job added twice at once is the first one, replaced or kept",
    Effect.gen(function* () {
      const store = yield* JobStore
      const pair = (id: string) => [make(id), make(id, { priority: 3 })]
      const tags = (changes: ReadonlyArray<{ readonly _tag: string }>) => changes.map(({ _tag }) => _tag)
      assert.deepEqual(tags(yield* store.add(pair("a"), "replace")), ["Added", "Replaced"])
      assert.deepEqual(tags(yield* store.add(pair("b"), "keep")), ["Added", "Kept"])
      assert.deepEqual([(yield* job("a")).policy.priority, (yield* job("b")).policy.priority], [3, 0])
    })
  ),

  check(
    "no life of a job has the incarnation of one before, even if nothing else is left of that",
    Effect.gen(function* () {
      const store = yield* JobStore
      const lives: Array<number> = []
      for (const time of [60, 120, 180]) {
        yield* add(make("a", { trigger: Trigger.at(at(time)), retention: { age: 0, count: 0 } }))
        lives.push((yield* job("a")).incarnation)
        yield* claim(time)
        yield* settle(one(yield* running(yield* register(time), time)), succeeded, time)
        yield* store.prune(at(time))
        assert.deepEqual([yield* history("a"), yield* ids({})], [[], []])
      }
      assert.deepEqual(
        lives,
        [...new Set(lives)].sort((a, b) => a - b)
      )
    })
  ),

  check(
    "a job that is added again by somebody who had no answer is one job with one run",
    Effect.gen(function* () {
      const store = yield* JobStore
      const jobs = [make("a"), make("once", { trigger: Trigger.at(at(60)), retention: { finishedJobs: "keep" } })]
      const addAgain = (time: number) =>
        Effect.map(
          store.add(
            jobs.map((job) => ({ ...job, addedAt: at(time) })),
            "keep"
          ),
          (changes) => new Set(changes.map(({ _tag }) => _tag))
        )
      assert.deepEqual(yield* addAgain(0), new Set(["Added"]))
      assert.deepEqual(yield* addAgain(1), new Set(["Kept"]))
      const node = yield* register()
      yield* claim(60)
      assert.deepEqual(yield* addAgain(61), new Set(["Kept"]))
      for (const run of yield* running(node, 61)) yield* settle(run, succeeded, 62)
      assert.deepEqual(yield* addAgain(63), new Set(["Kept"]))
      assert.deepEqual([yield* claim(64), (yield* history()).length], [[], 2])
    })
  ),

  check(
    "an update is read back, and counts for the next claim",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a"))
      yield* store.update("a", (job) => Job.pause(job, at(1), "tea"))
      assert.deepEqual(yield* claim(60), [])
      yield* store.update("a", (job) => Job.resume(job, at(70)))
      assert.deepEqual(yield* claim(70), [])
      assert.equal((yield* claim(120)).length, 1)
    })
  ),

  check(
    "reconcile adds, updates, keeps and removes, in one go",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(
        make("keep", { group: "g" }),
        make("change", { group: "g" }),
        make("gone", { group: "g" }),
        make("other")
      )
      const jobs = [
        make("keep", { group: "g", now: at(30) }),
        make("change", { group: "g", priority: 3 }),
        make("new", { group: "g" })
      ]
      const result = yield* store.reconcile({ group: "g", jobs, absent: "remove", now: at(30) })
      assert.deepEqual(
        result.changes.map(({ _tag, job }) => `${_tag} ${job.id}`),
        ["Kept keep", "Replaced change", "Added new"]
      )
      assert.deepEqual(
        result.absent.map(({ job }) => job.id),
        ["gone"]
      )
      assert.equal(seconds(Option.getOrThrow(yield* get("keep")).nextRunTime), 60)
      assert.deepEqual(
        (yield* store.list({})).map(({ id }) => id),
        ["change", "keep", "new", "other"]
      )
    })
  ),

  check(
    "reconcile only reports absent jobs if asked to",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("gone", { group: "g" }))
      const result = yield* store.reconcile({ group: "g", jobs: [], absent: "report", now: at(0) })
      assert.deepEqual(
        result.absent.map(({ job }) => job.id),
        ["gone"]
      )
      assert.ok(Option.isSome(yield* get("gone")))
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// the tick
// ---------------------------------------------------------------------------------------------------------------------

/** A trigger of another module, which does not answer for what is after second 120. */
const silent = Trigger.extension("conformance-silent", Schema.Struct({}), () => ({
  next: (after) => {
    const next = [at(60), at(120)].find(({ epochMillis }) => epochMillis > after)
    if (next === undefined) throw new Error("silent")
    return next.epochMillis
  },
  previous: (atOrBefore) => {
    const times = [at(120), at(60)].map(({ epochMillis }) => epochMillis)
    return times.find((time) => time <= atOrBefore) ?? -Infinity
  }
}))({})

const claimChecks: ReadonlyArray<Check> = [
  check(
    "a claim makes one pending run of a due job and moves it on",
    Effect.gen(function* () {
      yield* add(make("a"))
      assert.deepEqual(yield* claim(59.999), [])
      const advance = one(yield* claim(60))
      assert.deepEqual(states(advance.runs), ["60 Pending"])
      assert.equal(seconds(Option.getOrThrow(yield* get("a")).nextRunTime), 120)
      assert.deepEqual(yield* claim(60), [])
      assert.deepEqual(states(yield* history()), ["60 Pending"])
    })
  ),

  check(
    "a claim takes the longest due first, and no more than its limit",
    Effect.gen(function* () {
      yield* add(
        make("late", { trigger: Trigger.at(at(30)) }),
        make("later", { trigger: Trigger.at(at(40)) }),
        make("first", { trigger: Trigger.at(at(10)) })
      )
      const claimed = Effect.map(claim(60, 2), (advances) => advances.map(({ next }) => next.id))
      assert.deepEqual(yield* claimed, ["first", "late"])
      assert.deepEqual(yield* claimed, ["later"])
    })
  ),

  check(
    "claims at the same time make one run of each occurrence",
    Effect.gen(function* () {
      const ids = Array.from({ length: 100 }, (_, i) => `job-${String(i).padStart(3, "0")}`)
      yield* add(...ids.map((id) => make(id)))
      yield* Effect.all(
        Array.from({ length: 5 }, () => claim(60, 30)),
        { concurrency: "unbounded" }
      )
      while ((yield* claim(60)).length > 0);
      const runs = yield* Effect.flatMap(JobStore, (_) => _.runs({ limit: 1000 }))
      assert.deepEqual(runs.map(({ jobId }) => jobId).sort(), ids)
    })
  ),

  check(
    "a job whose trigger throws is parked and told of, and the others go on",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(
        make("bad", { trigger: silent }),
        make("jittery", { trigger: silent, jitter: "1 second" }),
        make("good")
      )
      const told: Array<string> = []
      for (const time of [61, 121, 181]) {
        const { advances, parked } = yield* store.claim({ now: at(time), limit: 100 })
        assert.ok(advances.some(({ next }) => next.id === "good"))
        told.push(...parked.map(({ jobId, reason }) => `${time} ${jobId}: ${reason}`))
      }
      assert.deepEqual(told, ["61 jittery: Error: silent", "121 bad: Error: silent"])
      assert.deepEqual(yield* ids({ states: ["Parked"] }), ["bad", "jittery"])
      assert.deepEqual(states(yield* history("bad")), ["60 Pending"])
    })
  ),

  check(
    "an occurrence that has become a run never becomes another",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a"))
      const node = yield* register()
      yield* claim(60)
      yield* settle(one(yield* running(node, 60)), succeeded, 61)
      yield* store.update("a", (job) => ({ ...job, nextRunTime: Option.some(at(60)) }))
      assert.deepEqual(one(yield* claim(60)).runs, [])
      assert.deepEqual(states(yield* history()), ["60 Succeeded"])
    })
  ),

  check(
    "a job removed and added again runs the same instant again",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a"))
      const node = yield* register()
      yield* claim(60)
      yield* settle(one(yield* running(node, 60)), succeeded, 60)
      yield* store.remove("a", at(60))
      yield* add(make("a"))
      yield* claim(60)
      assert.deepEqual(states(yield* history()).sort(), ["60 Pending", "60 Succeeded"])
    })
  ),

  check(
    "a year of missed seconds becomes no more runs than catchUpLimit, and one that says how many were dropped",
    Effect.gen(function* () {
      const trigger = Trigger.interval({ seconds: 1 })
      const catchUp = { coalesce: "all", catchUpLimit: 50 } as const
      yield* add(make("all", { trigger, ...catchUp }), make("latest", { trigger, misfireGraceTime: "1 second" }))
      const year = 365 * 86_400
      const [all, latest] = (yield* claim(year)).toSorted((a, b) => (a.next.id < b.next.id ? -1 : 1))
      assert.deepEqual([all!.runs.length, latest!.runs.length], [50, 1])
      assert.equal(seconds(Option.some(Option.getOrThrow(all!.dropped).last)), year - 50)
      assert.equal((yield* Effect.flatMap(JobStore, (_) => _.runs({ limit: 1000 }))).length, 51)
      assert.deepEqual(yield* claim(year), [])
    })
  ),

  check(
    "runs beyond maxInstances are skipped, and counted as such",
    Effect.gen(function* () {
      yield* add(make("a", { maxInstances: 2 }))
      const node = yield* register()
      yield* claim(60)
      yield* running(node, 60)
      yield* claim(120)
      const third = one(yield* claim(180))
      assert.deepEqual(states(third.runs), [])
      assert.deepEqual(states(third.skipped), ["180 Skipped"])
      assert.deepEqual(states(yield* history()), ["180 Skipped", "120 Pending", "60 Running"])
    })
  ),

  check(
    'the runs of coalesce: "all" start one after the other, as one instance',
    Effect.gen(function* () {
      yield* add(make("a", { coalesce: "all" }))
      const node = yield* register()
      yield* claim(180)
      assert.deepEqual(states(yield* history()), ["180 Waiting", "120 Waiting", "60 Pending"])
      for (const time of [60, 120, 180]) {
        const run = one(yield* running(node, 180))
        assert.equal(seconds(Option.some(run.scheduledAt)), time)
        yield* settle(run, time === 120 ? failed : succeeded, 180)
      }
      assert.deepEqual(states(yield* history()), ["180 Succeeded", "120 Failed", "60 Succeeded"])
    })
  ),

  check(
    "a finished job is removed with its last run, and its history stays",
    Effect.gen(function* () {
      yield* add(make("a", { trigger: Trigger.at(at(10)) }))
      const node = yield* register()
      assert.equal(one(yield* claim(10)).isFinished, false)
      assert.ok(Option.isSome(yield* get("a")))
      assert.equal(one(yield* settle(one(yield* running(node, 10)), succeeded, 11)).isFinished, true)
      assert.ok(Option.isNone(yield* get("a")))
      assert.deepEqual(states(yield* history("a")), ["10 Succeeded"])
    })
  ),

  check(
    "a job whose only run was too late is removed at once",
    Effect.gen(function* () {
      yield* add(make("a", { trigger: Trigger.at(at(10)), misfireGraceTime: "5 seconds" }))
      const advance = one(yield* claim(16))
      assert.deepEqual([advance.isFinished, ...states(advance.missed)], [true, "10 Missed"])
      assert.ok(Option.isNone(yield* get("a")))
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// runs
// ---------------------------------------------------------------------------------------------------------------------

const runChecks: ReadonlyArray<Check> = [
  check(
    "runs start by priority, then by time, within the limit",
    Effect.gen(function* () {
      const due = (id: string, time: number, priority: number) => make(id, { trigger: Trigger.at(at(time)), priority })
      yield* add(due("low", 1, -1), due("second", 3, 0), due("first", 2, 0), due("urgent", 4, 9))
      const node = yield* register()
      yield* claim(5)
      const started = (limit: number) => Effect.map(running(node, 5, limit), (runs) => runs.map(({ jobId }) => jobId))
      assert.deepEqual(yield* started(2), ["urgent", "first"])
      assert.deepEqual(yield* started(9), ["second", "low"])
      assert.deepEqual(yield* started(9), [])
    })
  ),

  check(
    "only runs of the tasks asked for start",
    Effect.gen(function* () {
      yield* add(make("a", { task: "Other" }), make("b"))
      const node = yield* register()
      yield* claim(60)
      assert.deepEqual(
        (yield* running(node, 60)).map(({ jobId }) => jobId),
        ["b"]
      )
      assert.deepEqual(yield* start(node, 60, 9, new Set()), [])
      assert.deepEqual(
        (yield* start(node, 60, 9, new Set(["Other"]))).map(({ run }) => run.jobId),
        ["a"]
      )
    })
  ),

  check(
    "a started run has an attempt, a node and a job",
    Effect.gen(function* () {
      yield* add(make("a", { payload: { n: 1 } }))
      const node = yield* register()
      yield* claim(60)
      const { isFinished, job, run } = one(yield* start(node, 61))
      assert.deepEqual(run.state, { _tag: "Running", node, startedAt: at(61) })
      assert.equal(run.attempt, 1)
      assert.equal(isFinished, false)
      assert.deepEqual(Option.getOrThrow(job).payload, { n: 1 })
    })
  ),

  check(
    "a run that waited for a slot beyond its grace is missed",
    Effect.gen(function* () {
      yield* add(make("a", { misfireGraceTime: "30 seconds" }))
      const node = yield* register()
      yield* claim(60)
      assert.deepEqual(states((yield* start(node, 90.001)).map(({ run }) => run)), ["60 Missed"])
      yield* claim(120)
      assert.deepEqual(states((yield* start(node, 150)).map(({ run }) => run)), ["120 Running"])
    })
  ),

  check(
    "value and failure are read back",
    Effect.gen(function* () {
      yield* add(make("a"), make("b"))
      const node = yield* register()
      yield* claim(60)
      const [a, b] = yield* running(node, 60)
      const failure: Run.Failure = { kind: "Error", message: "no", error: { code: 7 } }
      yield* settle(a!, { _tag: "Succeeded", value: { sum: 3 } }, 65)
      yield* settle(b!, { _tag: "Failed", failure }, 66)
      const end = { startedAt: at(60), finishedAt: at(65) }
      assert.deepEqual(one(yield* history("a")).state, { _tag: "Succeeded", ...end, value: { sum: 3 } })
      assert.deepEqual(one(yield* history("b")).state, {
        _tag: "Failed",
        startedAt: at(60),
        finishedAt: at(66),
        failure
      })
    })
  ),

  check(
    "a failed run with retries left is pending again after its delay",
    Effect.gen(function* () {
      yield* add(make("a", { retry: { times: 1, delay: "10 seconds" } }))
      const node = yield* register()
      yield* claim(60)
      yield* settle(one(yield* running(node, 60)), failed, 61)
      assert.deepEqual(yield* running(node, 70.999), [])
      const again = one(yield* running(node, 71))
      assert.equal(again.attempt, 2)
      assert.equal(again.failures, 1)
      yield* settle(again, failed, 72)
      assert.deepEqual(states(yield* history()), ["60 Failed"])
    })
  ),

  check(
    "an attempt that is no longer the holder changes nothing",
    Effect.gen(function* () {
      yield* add(make("a", { retry: { times: 5, delay: 0 } }))
      const node = yield* register()
      yield* claim(60)
      const first = one(yield* running(node, 60))
      yield* settle(first, failed, 60)
      const second = one(yield* running(node, 60))
      assert.deepEqual(yield* settle(first, succeeded, 61), [])
      assert.deepEqual(states(yield* history()), ["60 Running"])
      assert.equal((yield* settle(second, succeeded, 62)).length, 1)
      assert.deepEqual(yield* settle(second, failed, 63), [])
      assert.deepEqual(states(yield* history()), ["60 Succeeded"])
    })
  ),

  check(
    "of two ends of one attempt that are told at once, the first one is recorded",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a"), make("b"))
      const node = yield* register()
      yield* claim(60)
      const runs = yield* running(node, 60)
      const ends = runs.flatMap((run) => [succeeded, failed, succeeded].map((outcome) => ({ run, outcome })))
      assert.deepEqual(states((yield* store.settle(ends, at(61))).map(({ run }) => run)), [
        "60 Succeeded",
        "60 Succeeded"
      ])
      assert.deepEqual(states(yield* history()), ["60 Succeeded", "60 Succeeded"])
    })
  ),

  check(
    "removing a job cancels what has not started and lets the rest end",
    Effect.gen(function* () {
      const store = yield* JobStore
      yield* add(make("a", { maxInstances: 2, retry: { times: 9 } }))
      const node = yield* register()
      yield* claim(60)
      const run = one(yield* running(node, 60))
      yield* claim(120)
      const { cancelled, job } = yield* store.remove("a", at(130))
      assert.equal(job.id, "a")
      assert.deepEqual(states(cancelled), ["120 Cancelled"])
      const step = one(yield* settle(run, { _tag: "Interrupted" }, 140))
      assert.equal(step.isFinished, false)
      assert.deepEqual(states(yield* history("a")), ["120 Cancelled", "60 Abandoned"])
      assert.deepEqual(yield* running(node, 140), [])
    })
  ),

  check(
    "a run that is refused when its job is gone goes with it, in this incarnation or the next",
    Effect.gen(function* () {
      const store = yield* JobStore
      const refused: Run.Outcome = { _tag: "Refused", reason: "no thread" }
      yield* add(make("a"), make("b"))
      const node = yield* register()
      yield* claim(60)
      const runs = yield* running(node, 60)
      yield* store.removeAll({}, at(61))
      yield* add(make("b", { isPaused: true }))
      const steps = yield* Effect.forEach(runs, (run) => Effect.map(settle(run, refused, 62), one))
      for (const { run } of steps) {
        assert.deepEqual(run.state, { _tag: "Cancelled", startedAt: at(60), finishedAt: at(62), reason: "removed" })
      }
      assert.deepEqual(states(yield* history()), ["60 Cancelled", "60 Cancelled"])
      const wakes = yield* store.nextWake({ node, tasks: work, executors })
      assert.deepEqual([wakes.start, yield* running(node, 70)], [Infinity, []])
    })
  ),

  check(
    "a job fired by hand runs under its limits, without moving its cursor",
    Effect.gen(function* () {
      yield* add(make("a", { isPaused: true, maxInstances: 2 }))
      const fired = [yield* fire("a", 5), yield* fire("a", 5), yield* fire("a", 5)]
      assert.deepEqual(states(fired), ["5 Pending", "5 Pending", "5 Skipped"])
      assert.equal(new Set(fired.map(({ id }) => id)).size, 3)
      assert.equal(seconds(Option.getOrThrow(yield* get("a")).nextRunTime), 60)
      assert.equal((yield* running(yield* register(), 5)).length, 2)
    })
  )
]

/**
 * The suite, in the order in which it is best read.
 *
 * @since 0.1.0
 * @category conformance
 */
export const checks: ReadonlyArray<Check> = [
  ...jobChecks,
  ...claimChecks,
  ...runChecks,
  ...InstanceConformance.checks,
  ...HistoryConformance.checks,
  ...NodeConformance.checks
]
