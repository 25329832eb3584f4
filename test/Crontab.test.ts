import { assert, describe, it } from "@effect/vitest"
import { DateTime, Equal, FastCheck } from "effect"
import { readFileSync } from "node:fs"
import * as CivilTime from "../src/CivilTime.ts"
import * as Crontab from "../src/Crontab.ts"
import * as Trigger from "../src/Trigger.ts"

const parse = (...lines: ReadonlyArray<string>) => Crontab.parse(lines.join("\n"), { timezone: "UTC" })

/** The one job of a file without problems. */
const only = (...lines: ReadonlyArray<string>): Crontab.Entry => {
  const { entries, problems } = parse(...lines)
  assert.deepStrictEqual([problems, entries.length], [[], 1])
  return entries[0]!
}

const linesOf = (found: ReadonlyArray<Crontab.Entry | Crontab.Problem>) => found.map(({ line }) => line)

const firstRun = (trigger: Trigger.Trigger, from: string) =>
  Trigger.upcoming(trigger, { from, limit: 1 }).map(DateTime.formatIso)

describe("Crontab", () => {
  describe("a real-world file", () => {
    const text = readFileSync(new URL("./vectors/crontab", import.meta.url), "utf8")
    const { entries, problems } = Crontab.parse(text, { timezone: "Europe/London" })
    const at = (line: number) => entries.find((entry) => entry.line === line)!

    it("loads without a problem", () => {
      assert.strictEqual(text.trimEnd().split("\n").length, 40)
      assert.deepStrictEqual(problems, [])
      assert.strictEqual(entries.length, 24)
    })

    it("gives every job its own id", () => {
      assert.strictEqual(new Set(entries.map(({ id }) => id)).size, entries.length)
    })

    it("gives every job the settings above it and no others", () => {
      const above = {
        SHELL: "/bin/bash",
        PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        MAILTO: "ops@example.org",
        BACKUP_OPTS: "  --quiet  --delete-after "
      }
      assert.deepStrictEqual(at(8).environment, above)
      assert.deepStrictEqual(at(40).environment, { ...above, MAILTO: "" })
    })

    it("runs every job in the zone above it", () => {
      assert.deepStrictEqual(
        [33, 38, 40].map((line) => [at(line).timezone, firstRun(at(line).trigger, "2026-07-01T00:00:00Z")]),
        [
          ["Europe/London", ["2026-07-01T07:02:00.000Z"]],
          ["Europe/Berlin", ["2026-07-01T07:00:00.000Z"]],
          ["America/New_York", ["2026-07-01T13:00:00.000Z"]]
        ]
      )
    })

    it("works the percent signs out", () => {
      assert.strictEqual(at(10).command, `mail -s "It's 10pm" joe`)
      assert.strictEqual(at(10).input, "Joe,\n\nWhere are your kids?\n")
      assert.strictEqual(at(18).command, "pg_dump -Fc shop | gzip > /var/backups/shop-$(date +%Y-%m-%d).sql.gz")
      assert.strictEqual(at(18).input, undefined)
    })

    it("marks the job of each boot", () => {
      assert.deepStrictEqual(
        entries.filter(({ isReboot }) => isReboot).map(({ line, trigger }) => [line, trigger]),
        [[24, Trigger.now]]
      )
    })
  })

  describe("lines", () => {
    it("blank lines and comments ask for nothing", () => {
      const nothing = { entries: [], problems: [] }
      assert.deepStrictEqual(parse("", "   ", "# a comment", "\t # another", "#* * * * * x"), nothing)
      assert.deepStrictEqual(Crontab.parse(""), nothing)
    })

    it("a # later in the line belongs to the command", () => {
      assert.strictEqual(only("* * * * * x # not a comment").command, "x # not a comment")
    })

    it("blanks before the schedule and between the fields do not matter", () => {
      const entry = only("", " \t5  4\t* *   sun \t x  y ")
      assert.deepStrictEqual([entry.line, entry.schedule, entry.command], [2, "5  4\t* *   sun", "x  y "])
      assert.deepStrictEqual(firstRun(entry.trigger, "2026-07-01T00:00:00Z"), ["2026-07-05T04:05:00.000Z"])
    })

    it("the sixth word is the command, even where it could be a field", () => {
      const entry = only("0 5 1 * * 1")
      assert.deepStrictEqual([entry.schedule, entry.command], ["0 5 1 * *", "1"])
    })

    it("a byte order mark and CRLF line ends are tolerated", () => {
      const { entries, problems } = Crontab.parse("\uFEFFA=1\r\n\r\n@daily x%y\r\n", { timezone: "UTC" })
      assert.deepStrictEqual(problems, [])
      assert.deepStrictEqual(
        entries.map(({ command, environment, input, line }) => ({ command, environment, input, line })),
        [{ command: "x", environment: { A: "1" }, input: "y\n", line: 3 }]
      )
    })
  })

  describe("schedules", () => {
    for (const schedule of ["*/15 0-6,22,23 1-31/2 feb-NOV/3 7", "@yearly", "@annually", "@monthly", "@weekly"]) {
      it(`${schedule} is the trigger of the same text in the zone in force`, () => {
        const entry = only("CRON_TZ=Asia/Tokyo", `${schedule} x`)
        assert.isTrue(Equal.equals(entry.trigger, Trigger.crontab(schedule, { timezone: "Asia/Tokyo" })))
        assert.deepStrictEqual([entry.schedule, entry.isReboot], [schedule, false])
      })
    }

    for (const schedule of ["@daily", "@midnight", "@hourly", "@Daily"]) {
      it(`${schedule} runs at midnight at least`, () => {
        const { trigger } = only(`${schedule} x`)
        assert.deepStrictEqual(firstRun(trigger, "2026-07-01T23:30:00Z"), ["2026-07-02T00:00:00.000Z"])
      })
    }

    it("@reboot is now, in any zone", () => {
      const entry = only("@reboot  x -y")
      assert.deepStrictEqual([entry.schedule, entry.isReboot, entry.command], ["@reboot", true, "x -y"])
      assert.isTrue(Equal.equals(entry.trigger, Trigger.now))
    })
  })

  describe("percent signs", () => {
    const forms: ReadonlyArray<[fact: string, text: string, command: string, input: string | undefined]> = [
      ["no percent sign leaves the standard input alone", "x", "x", undefined],
      ["a percent sign starts the standard input", "x%y", "x", "y\n"],
      ["every further one starts a line", "x%a%b%%c", "x", "a\nb\n\nc\n"],
      ["a last one adds no second line end", "x%y%", "x", "y\n"],
      ["a percent sign at the end is an empty input", "x%", "x", ""],
      ["two at the end are an empty line", "x%%", "x", "\n"],
      ["blanks around a percent sign are kept", "x % y ", "x ", " y \n"],
      ["an escaped one is a percent sign", String.raw`date +\%F`, "date +%F", undefined],
      ["an escaped one in the input is a percent sign", String.raw`x%5\%%6\%`, "x", "5%\n6%\n"],
      ["one may be escaped and the next one not", String.raw`date +\%F%y`, "date +%F", "y\n"],
      ["an escaped one may start the command", String.raw`\%x`, "%x", undefined],
      ["an escaped backslash escapes no percent sign", String.raw`x \\%y`, String.raw`x \\`, "y\n"],
      ["three backslashes escape one", String.raw`x \\\%y`, String.raw`x \\%y`, undefined],
      ["any other backslash stays", String.raw`a\ b "\n" \\ c`, String.raw`a\ b "\n" \\ c`, undefined],
      ["any other backslash stays in the input", String.raw`x%\n\\ \\%\ `, "x", `${String.raw`\n\\ \%\ `}\n`],
      ["a backslash at the end stays", "x\\", "x\\", undefined],
      ["quotes protect no percent sign", `x "50%"`, `x "50`, `"\n`]
    ]
    for (const [fact, text, command, input] of forms) {
      it(`${fact}: ${text}`, () => {
        const entry = only(`* * * * * ${text}`)
        assert.deepStrictEqual({ command: entry.command, input: entry.input }, { command, input })
      })
    }
  })

  describe("settings", () => {
    const forms: ReadonlyArray<[text: string, name: string, value: string]> = [
      ["A=b", "A", "b"],
      ["A = b", "A", "b"],
      ["\t A  =\tb \t", "A", "b"],
      ["A=", "A", ""],
      ["A =  ", "A", ""],
      [`A=""`, "A", ""],
      [`A="  b  "  `, "A", "  b  "],
      ["A=' b '", "A", " b "],
      [`A="it's"`, "A", "it's"],
      [`A='say "b"'`, "A", `say "b"`],
      [`A=b"c"`, "A", `b"c"`],
      ["A=b c  d", "A", "b c  d"],
      ["A=b=c", "A", "b=c"],
      ["A=b # c", "A", "b # c"],
      ["A=$HOME/bin:$PATH", "A", "$HOME/bin:$PATH"],
      ["A=100%", "A", "100%"],
      [`"A" = b`, "A", "b"],
      [`'A b'="c"`, "A b", "c"],
      ["TZ=Asia/Tokyo", "TZ", "Asia/Tokyo"],
      ["cron_tz=Asia/Tokyo", "cron_tz", "Asia/Tokyo"],
      ["__proto__=b", "__proto__", "b"]
    ]
    for (const [text, name, value] of forms) {
      it(`${text} sets ${name}`, () => {
        const entry = only(text, "* * * * * x")
        assert.deepStrictEqual(Object.entries(entry.environment), [[name, value]])
        assert.strictEqual(entry.timezone, "UTC")
      })
    }

    it("a setting holds for the lines below it, until the next one of its name", () => {
      const { entries } = parse("@daily a", "A=1", "@daily b", "A=2", "B=3", "@daily c")
      assert.deepStrictEqual(
        entries.map(({ environment }) => environment),
        [{}, { A: "1" }, { A: "2", B: "3" }]
      )
    })

    it("a setting in the command is the command's own", () => {
      assert.strictEqual(only("@daily A=b x").command, "A=b x")
      assert.strictEqual(only("0 5 * * * A=b x").command, "A=b x")
    })

    it("CRON_TZ sets the zone of the lines below it and stays out of the environment", () => {
      const at9 = "0 9 * * * x"
      const { entries, problems } = parse(at9, "CRON_TZ = 'Asia/Tokyo'", at9, "CRON_TZ=+02:00", at9)
      assert.deepStrictEqual(problems, [])
      assert.deepStrictEqual(
        entries.map((entry) => [entry.timezone, entry.environment, ...firstRun(entry.trigger, "2026-07-01")]),
        [
          ["UTC", {}, "2026-07-01T09:00:00.000Z"],
          ["Asia/Tokyo", {}, "2026-07-02T00:00:00.000Z"],
          ["+02:00", {}, "2026-07-01T07:00:00.000Z"]
        ]
      )
    })

    it("the zone is the local one where none is given", () => {
      const { timezone, trigger } = Crontab.parse("@daily x").entries[0]!
      assert.isTrue(Equal.equals(trigger, Trigger.crontab("@daily", { timezone: "local" })))
      assert.strictEqual(timezone, CivilTime.zone("local")!.id)
    })

    it("no job runs below a bad CRON_TZ until the next good one", () => {
      for (const bad of ["CRON_TZ=Mars/Base", "CRON_TZ=", `CRON_TZ="Asia/Tokyo`]) {
        const { entries, problems } = parse("@daily a", bad, "A=1", " @daily b", "@reboot c", "CRON_TZ=UTC", "@daily d")
        assert.deepStrictEqual(linesOf(entries), [1, 7])
        assert.deepStrictEqual(linesOf(problems), [2, 4, 5])
        const message = "no valid time zone is in force"
        assert.deepStrictEqual(problems[1], { line: 4, column: 2, text: " @daily b", message })
      }
    })

    it("no job runs where the option names no zone", () => {
      const { entries, problems } = Crontab.parse("@daily x\nCRON_TZ=UTC\n@daily x", { timezone: "Mars/Base" })
      assert.deepStrictEqual([entries.length, problems.length], [1, 1])
    })
  })

  describe("problems", () => {
    const schedules =
      "five fields (minute hour day month dayOfWeek) or " +
      "@reboot, @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly"
    const then = `${schedules}, then a command; or name = value`
    const weekdays = "0-7 (0 and 7 are Sunday) or sun-sat, ranges, */n, d#n, dL or ?"
    const zones = `an IANA name such as "Europe/Berlin", "UTC", "+05:30" or "local"`
    const noCommand = "there is no command; expected one after the schedule"
    const bad: ReadonlyArray<[text: string, column: number, message: string]> = [
      ["61 * * * * x", 1, "61 is out of range; expected 0-59, ranges, */n"],
      ["  0 5,24 * * * x", 7, "24 is out of range; expected 0-23, ranges, */n"],
      ["\t*/5 *\t* * \t mon-fry\tx", 18, `"fry" is not a value; expected ${weekdays}`],
      ["0 0 * 5- * x", 7, `"5-" is not understood; expected 1-12 or jan-dec, ranges, */n`],
      ["0 5 * * /bin/x -y", 9, `"/bin/x" is not understood; expected ${weekdays}`],
      ["0 30 5 * * 1 x", 3, "30 is out of range; expected 0-23, ranges, */n"],
      [" @every 5m x", 2, `@every is no macro; expected ${schedules}`],
      ["MAILTO root ", 12, `the line ends after 2 of 5 fields; expected ${then}`],
      ["@", 2, `the line ends after 1 of 5 fields; expected ${then}`],
      ["= x", 4, `the line ends after 2 of 5 fields; expected ${then}`],
      [`"A=b"`, 6, `the line ends after 1 of 5 fields; expected ${then}`],
      ["* * * * *", 10, noCommand],
      ["* * * * * ", 11, noCommand],
      ["@daily", 7, noCommand],
      ["@reboot  %x", 10, noCommand],
      [`A="b`, 3, `the quote is never closed; expected " at the end of the value`],
      ["A = 'b\"", 5, "the quote is never closed; expected ' at the end of the value"],
      [`A="b" c`, 6, "there is text after the closing quote; expected one pair of quotes for all of it"],
      ["CRON_TZ = Mars/Base", 11, `"Mars/Base" is no time zone; expected ${zones}`],
      ["CRON_TZ=", 9, `"" is no time zone; expected ${zones}`]
    ]
    for (const [text, column, message] of bad) {
      it(`${JSON.stringify(text)} is refused at column ${column}`, () => {
        assert.deepStrictEqual(parse("# one", text, "").problems, [{ line: 2, column, text, message }])
      })
    }

    it("one bad line takes no other with it", () => {
      const { entries, problems } = parse("61 * * * * a", "0 * * * * b", "c", "@daily d")
      assert.strictEqual(`${linesOf(problems)} and ${linesOf(entries)}`, "1,3 and 2,4")
    })

    it("are printed with the line and a caret under the column", () => {
      const [first, second] = parse("*/5 25 * * * x", "\t0 0 * *\t8 y 🎉").problems
      assert.strictEqual(
        Crontab.format("/etc/jobs", first!),
        "/etc/jobs:1:5: 25 is out of range; expected 0-23, ranges, */n\n*/5 25 * * * x\n    ^"
      )
      assert.strictEqual(
        Crontab.format("jobs", second!),
        `jobs:2:10: 8 is out of range; expected ${weekdays}\n\t0 0 * *\t8 y 🎉\n\t       \t^`
      )
    })

    it("at the end of a line have their caret after it", () => {
      assert.isTrue(Crontab.format("jobs", parse("@daily").problems[0]!).endsWith("\n@daily\n      ^"))
    })
  })

  describe("identities", () => {
    const ids = (...lines: ReadonlyArray<string>) => parse(...lines).entries.map(({ id }) => id)

    it("are the command's words and its hash, the same in every process", () => {
      assert.deepStrictEqual(ids("@daily /usr/bin/certbot renew -q", "@daily x%y", "@daily 🎉"), [
        "usr-bin-certbot-renew-q-19cdfe15",
        "x-3c644244",
        "job-004f7790"
      ])
    })

    it("are cut after 40 characters of the command", () => {
      const [a, b] = ids(`@daily ${"long ".repeat(20)}a`, `@daily ${"long ".repeat(20)}b`)
      assert.match(a!, /^(long-){8}[0-9a-f]{8}$/)
      assert.notStrictEqual(a, b)
    })

    it("stay when lines move and comments, settings or the schedule change", () => {
      const before = ids("@daily a", "5 0 * * * b%input")
      const after = ids("# jobs", "PATH=/bin", "6  0 * * *\tb%input", "", "CRON_TZ=Asia/Tokyo", " @hourly a  ")
      assert.deepStrictEqual(after, before.toReversed())
    })

    it("differ where the input does", () => {
      assert.strictEqual(new Set(ids("@daily a", "@daily a%", "@daily a%b", "@daily a%c", "@daily a b")).size, 5)
    })

    it("are counted where the same job is asked for again", () => {
      const [first, ...more] = ids("@daily a", "@daily a", "@daily b", "@hourly a")
      assert.deepStrictEqual(more, [`${first}#2`, ids("@daily b")[0], `${first}#3`])
    })

    it("are counted past a bad schedule, so that mending it changes no other job", () => {
      assert.deepStrictEqual(ids("61 * * * * a", "@daily a"), ids("1 * * * * a", "@daily a").slice(1))
    })
  })

  describe("any text", () => {
    /** Every piece that the grammar gives a meaning to. */
    const piece = FastCheck.oneof(
      FastCheck.constantFrom(..." \t%\\=#'\"*/-,@\r\n\uFEFF\u00a0"),
      FastCheck.constantFrom("*", "* * * * * ", "@daily ", "@reboot", "CRON_TZ=", "UTC"),
      FastCheck.constantFrom("5 ", "61", "mon", "A=", "*/7 ", "\\%", "__proto__", "Europe/Berlin\n", "x\n"),
      FastCheck.string({ unit: "binary", maxLength: 4 })
    )
    const text = FastCheck.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(""))

    it("is read without an exception, and no line is passed over in silence", () => {
      const check = (text: string) => {
        const { entries, problems } = Crontab.parse(text, { timezone: "UTC" })
        const found = linesOf([...entries, ...problems])
        const silent = text.split("\n").filter((_, index) => !found.includes(index + 1))
        assert.strictEqual(new Set(found).size, found.length)
        assert.strictEqual(found.length + silent.length, text.split("\n").length)
        for (const line of silent) assert.match(line, /^\s*(#|$)|\S\s*=/)
        for (const { column, text } of problems) assert.isTrue(column >= 1 && column <= text.length + 1)
        for (const problem of problems) assert.isString(Crontab.format("f", problem))
      }
      FastCheck.assert(FastCheck.property(text, check), { numRuns: 5000 })
    })

    it("has each line counted once: as a job, as a problem, or as neither", () => {
      const kinds = {
        job: ["@daily a", "5 4 * * sun b%c", "@reboot A=1", "\t0\t0 1 1 *\t# d"],
        problem: ["61 * * * * a", "a", "@daily", `A="b`, "@never a"],
        neither: ["", "  ", "# a", "A=1", "CRON_TZ=Asia/Tokyo", "B = ' '"]
      }
      const kind = FastCheck.constantFrom("job" as const, "problem" as const, "neither" as const)
      const line = kind.chain((kind) => FastCheck.constantFrom(...kinds[kind]).map((text) => ({ kind, text })))
      const check = (lines: ReadonlyArray<{ readonly kind: keyof typeof kinds; readonly text: string }>) => {
        const { entries, problems } = parse(...lines.map(({ text }) => text))
        const numbers = (wanted: keyof typeof kinds) =>
          lines.flatMap(({ kind }, index) => (kind === wanted ? [index + 1] : []))
        assert.deepStrictEqual(linesOf(entries), numbers("job"))
        assert.deepStrictEqual(linesOf(problems), numbers("problem"))
        assert.strictEqual(new Set(entries.map(({ id }) => id)).size, entries.length)
      }
      FastCheck.assert(FastCheck.property(FastCheck.array(line), check))
    })

    it("is read in linear time", () => {
      const units = [..." *%\\='\"a@\r#\n", "* ", "*,", "0-", "*/", "\\%", "a ", "A=b\n"]
      const frames = ["~", "~ * * * * x", "* * * * ~ x", "* * * * * ~", "@daily ~ x", "A=~ x", `"~x`]
      for (const frame of frames) {
        for (const unit of units) {
          const { entries, problems } = Crontab.parse(frame.replace("~", () => unit.repeat(100_000)))
          assert.isAtMost(entries.length + problems.length, 2)
        }
      }
      assert.strictEqual(Crontab.parse("* * * * * x\n".repeat(20_000)).entries.length, 20_000)
    })
  })
})
