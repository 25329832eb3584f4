/** The trigger benchmark: `next` and parsing side by side with three cron libraries, and what must not depend on size. */
import * as DateTime from "effect/DateTime"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as CivilTime from "../../src/CivilTime.ts"
import * as CronExpression from "../../src/CronExpression.ts"
import * as Job from "../../src/Job.ts"
import * as Trigger from "../../src/Trigger.ts"
import { type Library, libraries, start } from "./libraries.ts"
import {
  calibrate,
  duration,
  heapOf,
  type Measured,
  machine,
  median,
  type Runner,
  race,
  ratio,
  slowness,
  spent,
  table,
  time
} from "./Measure.ts"

const ROUNDS = 25
const MILLIS = 4

const ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"]

const EXPRESSIONS = [
  ["every 5 s", "*/5 * * * * *"],
  ["every 15 min", "*/15 * * * *"],
  ["weekdays 05:30", "30 5 * * 1-5"],
  ["monthly", "0 0 1 * *"],
  ["29 February", "0 0 29 2 *"],
  ["last fri", "0 0 * * 5L"]
] as const

// ---------------------------------------------------------------------------------------------------------------------
// races
// ---------------------------------------------------------------------------------------------------------------------

interface Race {
  readonly what: string
  readonly zone: string
  /** One for each library; none where it lacks the expression. */
  readonly runners: ReadonlyArray<Runner | undefined>
}

interface Result extends Race {
  readonly measured: ReadonlyArray<Measured | undefined>
  /** How often slower than ours each library is; `Infinity` where it lacks the expression. */
  readonly ratios: ReadonlyArray<number>
}

type MakeRunner = (library: Library, expression: string, zone: string) => Runner

const nextRunner: MakeRunner = (library, expression, zone) => library.walk(expression, zone)

/** What was worked out last, so that no compiler can leave it out. */
export let sink: unknown

const parseRunner: MakeRunner = (library, expression, zone) => (calls) => {
  for (let i = 0; i < calls; i++) sink = library.parse(expression, zone)
}

const races = (what: string, make: MakeRunner): ReadonlyArray<Race> =>
  EXPRESSIONS.flatMap(([name, expression]) =>
    ZONES.map((zone) => ({
      what: `${what} ${name}`,
      zone,
      runners: libraries.map((library) =>
        library.lacks?.includes(expression) ? undefined : make(library, expression, zone)
      )
    }))
  )

/** The libraries must mean the same by an expression: its first instants tell. */
const checkMeaning = (expression: string, zone: string): void => {
  const firsts = libraries.flatMap((library) => {
    if (library.lacks?.includes(expression)) return []
    const walk = library.walk(expression, zone)
    return [[walk(1), walk(1), walk(1)].join()]
  })
  if (new Set(firsts).size > 1) throw new Error(`${expression} in ${zone} is not the same to all: ${firsts.join(" ")}`)
}

const measure = (contest: Race): Result => {
  const taking = contest.runners.filter((runner) => runner !== undefined)
  const found = race(taking, { rounds: ROUNDS, millis: MILLIS })
  const measured = contest.runners.map((runner) => (runner === undefined ? undefined : found[taking.indexOf(runner)]))
  const ratios = measured.map((other) => (other === undefined ? Infinity : slowness(other, measured[0]!)))
  return { ...contest, measured, ratios }
}

/** How often slower than ours the fastest of the others is. */
const toFastest = ({ ratios }: Result): number => Math.min(...ratios.slice(1))

const CRONER = libraries.findIndex(({ name }) => name === "croner")

const toCroner = ({ ratios }: Result): number => ratios[CRONER]!

// ---------------------------------------------------------------------------------------------------------------------
// what is measured alone
// ---------------------------------------------------------------------------------------------------------------------

interface Single {
  readonly what: string
  readonly value: string
  readonly goal: string
  readonly isMet: boolean
}

const MILLISECOND = 1e6

const single = (what: string, nanos: number, limit = Infinity): Single => ({
  what,
  value: duration(nanos),
  goal: limit === Infinity ? "-" : `< ${duration(limit)}`,
  isMet: nanos < limit
})

const YEAR = 365 * 86_400_000

/** A job whose next run was due a year ago catches up with one run. */
const advance = (name: string, trigger: Trigger.Trigger): Single => {
  const now = DateTime.addDuration(start, YEAR)
  const job = Job.make({ id: "job", task: "task", trigger, now: start })
  const { nanos } = time(
    (calls) => {
      for (let i = 0; i < calls; i++) sink = Job.advance(job, now, 0)
    },
    { rounds: ROUNDS, millis: MILLIS }
  )
  return single(`a year of missed seconds: ${name}`, nanos, MILLISECOND)
}

/** Compiled anew each time: what a trigger finds out about barren years it keeps. */
const impossible = (): Single => {
  const ask: Runner = (calls) => {
    for (let i = 0; i < calls; i++) {
      if (Option.isSome(Trigger.next(Trigger.cron({ day: 30, month: 2 }), start))) throw new Error("30 February")
    }
  }
  const { nanos } = time(ask, { rounds: ROUNDS, millis: MILLIS })
  return single("impossible: compiled and asked", nanos, MILLISECOND)
}

/** A module of its own, so that no zone is known yet, whatever ran before. */
const coldZones = async (): Promise<ReadonlyArray<Single>> => {
  const url = new URL("../../src/CivilTime.ts?cold", import.meta.url)
  const cold = (await import(url.href)) as typeof CivilTime
  const times = CronExpression.toCivilSet(CronExpression.fromCrontab("0 0 * * *"))
  const zones = Intl.supportedValuesOf("timeZone")
  const nanos = zones.map(
    (name) =>
      1e6 *
      spent(() => cold.next({ zone: cold.zone(name)!, gap: "shift", fold: "first", times }, start.epochMillis / 1000))
  )
  const slowest = zones[nanos.indexOf(Math.max(...nanos))]
  return [
    single(`a zone anew: median of ${zones.length}`, median(nanos)),
    single(`a zone anew: slowest, ${slowest}`, Math.max(...nanos))
  ]
}

const heap = (): Single => {
  const bytes = EXPRESSIONS.map(([, expression]) =>
    heapOf(() => Trigger.crontab(expression, { timezone: "Europe/Berlin" }), 5000)
  )
  return {
    what: "heap of a cron trigger, the most",
    value: `${Math.round(Math.max(...bytes))} B`,
    goal: "-",
    isMet: true
  }
}

const LENGTH = 100_000

const longText = (how: string, end: string): Single => {
  const rest = `${end} * * * *`
  const text = "1,".repeat((LENGTH - rest.length) / 2).padStart(LENGTH - rest.length, " ") + rest
  const read: Runner = (calls) => {
    for (let i = 0; i < calls; i++) sink = Either.isRight(Trigger.parseCrontab(text))
  }
  const { nanos } = time(read, { rounds: ROUNDS, millis: MILLIS })
  return single(`${text.length} characters, ${how}`, nanos)
}

// ---------------------------------------------------------------------------------------------------------------------
// the report
// ---------------------------------------------------------------------------------------------------------------------

interface Group {
  readonly name: string
  readonly goal: number | undefined
  readonly ratios: ReadonlyArray<number>
}

const goalOf = ({ what, zone }: Result): string => {
  if (!what.startsWith("next")) return "-"
  return zone === "UTC" ? ">= 3x, croner 100x" : ">= 10x, croner 100x"
}

const raceRow = (result: Result): ReadonlyArray<string> => [
  result.what,
  result.zone,
  duration(result.measured[0]!.nanos),
  ...result.measured.flatMap((other, i) =>
    i === 0 ? [] : other === undefined ? ["-", "-"] : [duration(other.nanos), ratio(result.ratios[i]!)]
  ),
  ratio(toFastest(result)),
  goalOf(result),
  result.measured.map((other) => other?.calls ?? "-").join("/")
]

const HEAD = [
  "",
  "zone",
  ...libraries.flatMap(({ name }, i) => (i === 0 ? [name] : [name, "ratio"])),
  "to the fastest",
  "goal",
  "calls a round"
]

const singleRow = ({ goal, value, what }: Single): ReadonlyArray<string> => {
  const row = HEAD.map(() => "")
  row[0] = what
  row[2] = value
  row[HEAD.indexOf("goal")] = goal
  return row
}

const groups = (nexts: ReadonlyArray<Result>, parses: ReadonlyArray<Result>): ReadonlyArray<Group> => {
  const named = nexts.filter(({ zone }) => zone !== "UTC")
  const utc = nexts.filter(({ zone }) => zone === "UTC")
  return [
    { name: "next in named zones, to the fastest", goal: 10, ratios: named.map(toFastest) },
    { name: "next in named zones, to croner", goal: 100, ratios: named.map(toCroner) },
    { name: "next in UTC, to the fastest", goal: 3, ratios: utc.map(toFastest) },
    { name: "next in UTC, to croner", goal: 100, ratios: utc.map(toCroner) },
    { name: "parsing, to the fastest", goal: undefined, ratios: parses.map(toFastest) }
  ]
}

const groupRow = ({ goal, name, ratios }: Group): ReadonlyArray<string> => {
  const least = Math.min(...ratios)
  const [wanted, verdict] = goal === undefined ? ["-", ""] : [`>= ${goal}x`, least >= goal ? "met" : "MISSED"]
  return [name, ratio(least), ratio(median(ratios)), wanted, verdict]
}

const summary = (groups: ReadonlyArray<Group>, singles: ReadonlyArray<Single>): string => {
  const rows = singles.filter(({ goal }) => goal !== "-")
  return table(
    [
      ["summary", "least", "median", "goal", ""],
      ...groups.map(groupRow),
      ...rows.map(({ goal, isMet, value, what }) => [what, "", value, goal, isMet ? "met" : "MISSED"])
    ],
    1
  )
}

const runSingles = async (): Promise<ReadonlyArray<Single>> => [
  ...(await coldZones()),
  advance("a cron job", Trigger.cron({ second: "*", timezone: "Europe/Berlin" })),
  advance("an interval job", Trigger.interval({ seconds: 1 })),
  impossible(),
  longText("read", "1"),
  longText("refused", "x"),
  heap()
]

const warmUp = (all: ReadonlyArray<Race>): void => {
  for (const { runners } of all) for (const runner of runners) if (runner !== undefined) calibrate(runner, 4 * MILLIS)
}

/** Measures and prints it all. */
export const run = async (): Promise<void> => {
  for (const [, expression] of EXPRESSIONS) for (const zone of ZONES) checkMeaning(expression, zone)
  const [toNext, toParse] = [races("next", nextRunner), races("parse", parseRunner)]
  const singles = await runSingles()
  warmUp([...toNext, ...toParse])
  const [nexts, parses] = [toNext.map(measure), toParse.map(measure)]
  console.log(`triggers: ${machine()}; CPU time of a call, the median of ${ROUNDS} interleaved rounds after a warm-up;`)
  console.log(`ratio: how often slower than ours, the median of the rounds; ${MILLIS} ms of calls a round each\n`)
  console.log(table([HEAD, ...nexts.map(raceRow), ...parses.map(raceRow), ...singles.map(singleRow)], 2))
  console.log(`\n${summary(groups(nexts, parses), singles)}`)
}
