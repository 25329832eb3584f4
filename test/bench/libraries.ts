/** The cron libraries under one interface: an expression and a zone in, one instant after the other out. */
import { CronExpressionParser } from "cron-parser"
import { Cron as Croner } from "croner"
import * as Cron from "effect/Cron"
import * as DateTime from "effect/DateTime"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Trigger from "../../src/Trigger.ts"

/** Goes on for so many instants, each the next one after the last, from `START` to `END` and again; the last of them. */
export type Walk = (calls: number) => number

export interface Library {
  readonly name: string
  readonly lacks?: ReadonlyArray<string>
  readonly parse: (expression: string, timezone: string) => unknown
  readonly walk: (expression: string, timezone: string) => Walk
}

const START = Date.UTC(2026, 0, 1)
const END = Date.UTC(2100, 0, 1)

/** The instant at which every walk begins. */
export const start = DateTime.unsafeMake(START)

const ours: Library = {
  name: "ours",
  parse: (expression, timezone) => Trigger.parseCrontab(expression, { timezone }),
  walk: (expression, timezone) => {
    const trigger = Trigger.crontab(expression, { timezone })
    let last = start
    return (calls) => {
      let at = last
      for (let i = 0; i < calls; i++) {
        const found = Trigger.next(trigger, at)
        at = Option.isSome(found) && found.value.epochMillis < END ? found.value : start
      }
      last = at
      return at.epochMillis
    }
  }
}

/** A library that is asked with a `Date` and answers with one. */
const walkDates = (next: (after: Date) => Date): Walk => {
  let at = new Date(START)
  return (calls) => {
    for (let i = 0; i < calls; i++) {
      const found = next(at)
      at = found.getTime() < END ? found : new Date(START)
    }
    return at.getTime()
  }
}

const effectCron: Library = {
  name: "effect/Cron",
  lacks: ["0 0 * * 5L"],
  parse: (expression, timezone) => Cron.parse(expression, timezone),
  walk: (expression, timezone) => {
    const cron = Either.getOrThrow(Cron.parse(expression, timezone))
    return walkDates((after) => Cron.next(cron, after))
  }
}

const croner: Library = {
  name: "croner",
  parse: (expression, timezone) => new Croner(expression, { timezone, paused: true }),
  walk: (expression, timezone) => {
    const cron = new Croner(expression, { timezone, paused: true })
    return walkDates((after) => cron.nextRun(after)!)
  }
}

/** It keeps its place itself. */
const cronParser: Library = {
  name: "cron-parser",
  parse: (expression, tz) => CronExpressionParser.parse(expression, { tz }),
  walk: (expression, tz) => {
    const cron = CronExpressionParser.parse(expression, { tz, currentDate: new Date(START) })
    return (calls) => {
      let at = START
      for (let i = 0; i < calls; i++) {
        at = cron.next().getTime()
        if (at >= END) cron.reset(new Date(START))
      }
      return at
    }
  }
}

/** Ours first. */
export const libraries: ReadonlyArray<Library> = [ours, effectCron, croner, cronParser]
