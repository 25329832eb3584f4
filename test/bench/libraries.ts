/** The cron libraries under one interface: an expression and a zone in, one instant after the other out. */
import { CronExpressionParser } from "cron-parser"
import { Cron as Croner } from "croner"
import * as Cron from "effect/Cron"
import * as DateTime from "effect/DateTime"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Trigger from "../../src/Trigger.ts"

/** Successive instants in milliseconds: each step goes on from the last one, after `restart` from `START`. */
export interface Walk {
  readonly restart: () => void
  readonly step: () => number
}

export interface Library {
  readonly name: string
  readonly lacks?: ReadonlyArray<string>
  readonly parse: (expression: string, timezone: string) => unknown
  readonly walk: (expression: string, timezone: string) => Walk
}

export const START = Date.UTC(2026, 0, 1)

const FIRST = DateTime.unsafeMake(START)

const ours: Library = {
  name: "ours",
  parse: (expression, timezone) => Trigger.parseCrontab(expression, { timezone }),
  walk: (expression, timezone) => {
    const trigger = Trigger.crontab(expression, { timezone })
    let at = FIRST
    return {
      restart: () => {
        at = FIRST
      },
      step: () => {
        const found = Trigger.next(trigger, at)
        if (Option.isNone(found)) throw new Error(`${expression} has come to an end`)
        at = found.value
        return at.epochMillis
      }
    }
  }
}

/** A library that is asked with a `Date` and answers with one. */
const walkDates = (next: (after: Date) => Date): Walk => {
  let at = new Date(START)
  return {
    restart: () => {
      at = new Date(START)
    },
    step: () => {
      at = next(at)
      return at.getTime()
    }
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

const cronParser: Library = {
  name: "cron-parser",
  parse: (expression, tz) => CronExpressionParser.parse(expression, { tz }),
  walk: (expression, tz) => {
    const cron = CronExpressionParser.parse(expression, { tz, currentDate: new Date(START) })
    return { restart: () => cron.reset(new Date(START)), step: () => cron.next().getTime() }
  }
}

/** Ours first. */
export const libraries: ReadonlyArray<Library> = [ours, effectCron, croner, cronParser]
