/**
 * The values that a configuration may have, as Schemas: each takes text too, since an environment variable has no other
 * form, and says what it expected where it refuses.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

/** How much of a value that is refused is shown, in characters. */
const SHOWN = 60

/**
 * A value as a message shows it: as JSON, cut short; of what has parts, which may be secrets, its kind.
 *
 * @since 0.1.0
 * @category formatting
 */
export const show = (value: unknown): string => {
  if (Array.isArray(value)) return "a list"
  if (typeof value === "object" && value !== null) return "an object"
  const text = JSON.stringify(value) ?? String(value)
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text
}

/** In place of whatever a Schema would say of itself. */
const expecting = (expected: string) => ({
  message: ({ actual }: ParseResult.ParseIssue) => ({
    message: `expected ${expected}, got ${show(actual)}`,
    override: true
  })
})

/** The same for what is not to be shown. */
const expectingSecret = (expected: string) => ({
  message: () => ({ message: `expected ${expected}`, override: true })
})

/** A value of type A that is read from what people write, and written so that it is read as the same one again. */
const value = <A, I>(
  from: Schema.Schema<I>,
  to: Schema.Schema<A>,
  read: (input: I) => Option.Option<A>,
  write: (value: A) => I
): Schema.Schema<A, I> =>
  Schema.transformOrFail(from, to, {
    strict: true,
    decode: (input, _, ast) => Option.getOrElse(Option.map(read(input), ParseResult.succeed), () => refuse(ast, input)),
    encode: (value) => ParseResult.succeed(write(value))
  })

const refuse = (ast: ParseResult.Type["ast"], input: unknown) => ParseResult.fail(new ParseResult.Type(ast, input))

const NumberOrText = Schema.Union(Schema.Number, Schema.String)
const BooleanOrText = Schema.Union(Schema.Boolean, Schema.String)

const toNumber = (input: number | string): number => {
  if (typeof input === "number") return input
  if (input.trim() === "") return Number.NaN
  return input === "infinity" ? Infinity : Number(input)
}

// ---------------------------------------------------------------------------------------------------------------------
// numbers
// ---------------------------------------------------------------------------------------------------------------------

/** What a 32-bit column of a database holds. */
const LARGEST = 2_147_483_647

/**
 * A whole number from `least` (default 1) to `most` (default 2 147 483 647).
 *
 * @since 0.1.0
 * @category numbers
 */
export const count = ({
  least = 1,
  most = LARGEST
}: {
  readonly least?: number
  readonly most?: number
} = {}): Schema.Schema<number, number | string> => {
  const read = (input: number | string) => Option.liftPredicate(toNumber(input), (n) => isWhole(n, least, most))
  const range = most === LARGEST ? `of at least ${least}` : `from ${least} to ${most}`
  return value<number, number | string>(NumberOrText, Schema.Number, read, (n) => n).annotations(
    expecting(`a whole number ${range}`)
  )
}

const isWhole = (n: number, least: number, most: number): boolean => Number.isSafeInteger(n) && n >= least && n <= most

/**
 * A whole number from `least` on, or `"infinity"`.
 *
 * @since 0.1.0
 * @category numbers
 */
export const countOrInfinity = (least: number): Schema.Schema<number, number | string> =>
  value<number, number | string>(
    NumberOrText,
    Schema.Number,
    (input) => Option.liftPredicate(toNumber(input), (n) => n === Infinity || isWhole(n, least, LARGEST)),
    (n) => (n === Infinity ? "infinity" : n)
  ).annotations(expecting(`a whole number of at least ${least}, or "infinity"`))

/**
 * A number from 0 to 1.
 *
 * @since 0.1.0
 * @category numbers
 */
export const share: Schema.Schema<number, number | string> = value<number, number | string>(
  NumberOrText,
  Schema.Number,
  (input) => Option.liftPredicate(toNumber(input), (n) => n >= 0 && n <= 1),
  (n) => n
).annotations(expecting("a number from 0 to 1"))

// ---------------------------------------------------------------------------------------------------------------------
// durations
// ---------------------------------------------------------------------------------------------------------------------

const readDuration = (input: number | string): Option.Option<Duration.Duration> => {
  const millis = toNumber(input)
  if (!Number.isNaN(millis)) return millis >= 0 ? Option.some(wholeMillis(Duration.millis(millis))) : Option.none()
  const isUnsigned = typeof input === "string" && !input.startsWith("-")
  return isUnsigned ? Option.map(Duration.decodeUnknown(input), wholeMillis) : Option.none()
}

const wholeMillis = (duration: Duration.Duration): Duration.Duration =>
  Duration.isFinite(duration) ? Duration.millis(Math.ceil(Duration.toMillis(duration))) : duration

const UNITS = [
  ["days", 86_400_000],
  ["hours", 3_600_000],
  ["minutes", 60_000],
  ["seconds", 1000]
] as const

const writeDuration = (duration: Duration.Duration): string => {
  if (!Duration.isFinite(duration)) return "infinity"
  const millis = Duration.toMillis(duration)
  const [unit, length] = UNITS.find(([, length]) => millis > 0 && millis % length === 0) ?? ["millis", 1]
  const amount = millis / length
  return `${amount} ${amount === 1 ? unit.slice(0, -1) : unit}`
}

/**
 * A duration as text such as `"30 seconds"`, or as milliseconds; or `"infinity"`.
 *
 * @since 0.1.0
 * @category durations
 */
export const duration: Schema.Schema<Duration.Duration, number | string> = value<Duration.Duration, number | string>(
  NumberOrText,
  Schema.DurationFromSelf,
  readDuration,
  writeDuration
).annotations(expecting(`a duration such as "30 seconds", milliseconds, or "infinity"`))

/**
 * A duration that comes to an end.
 *
 * @since 0.1.0
 * @category durations
 */
export const finiteDuration: Schema.Schema<Duration.Duration, number | string> = value<
  Duration.Duration,
  number | string
>(
  NumberOrText,
  Schema.DurationFromSelf,
  (input) => Option.filter(readDuration(input), Duration.isFinite),
  writeDuration
).annotations(expecting(`a duration such as "30 seconds", or milliseconds`))

/**
 * A finite duration that is not nothing.
 *
 * @since 0.1.0
 * @category durations
 */
export const positiveDuration: Schema.Schema<Duration.Duration, number | string> = value<
  Duration.Duration,
  number | string
>(
  NumberOrText,
  Schema.DurationFromSelf,
  (input) => Option.filter(readDuration(input), (_) => Duration.isFinite(_) && Duration.toMillis(_) > 0),
  writeDuration
).annotations(expecting(`a duration such as "30 seconds", or milliseconds, longer than nothing`))

/**
 * Whether to wait, or how long at most: a boolean, or a duration.
 *
 * @since 0.1.0
 * @category durations
 */
export const wait: Schema.Schema<boolean | Duration.Duration, boolean | number | string> = value<
  boolean | Duration.Duration,
  boolean | number | string
>(
  Schema.Union(Schema.Boolean, NumberOrText),
  Schema.Union(Schema.Boolean, Schema.DurationFromSelf),
  (input) => Option.orElse(readWord(input), () => (typeof input === "boolean" ? Option.none() : readDuration(input))),
  (value) => (typeof value === "boolean" ? value : writeDuration(value))
).annotations(expecting(`true, false, or a duration such as "30 seconds"`))

// ---------------------------------------------------------------------------------------------------------------------
// words
// ---------------------------------------------------------------------------------------------------------------------

const readWord = (input: unknown): Option.Option<boolean> => {
  if (typeof input === "boolean") return Option.some(input)
  return input === "true" ? Option.some(true) : input === "false" ? Option.some(false) : Option.none()
}

/**
 * @since 0.1.0
 * @category words
 */
export const flag: Schema.Schema<boolean, boolean | string> = value<boolean, boolean | string>(
  BooleanOrText,
  Schema.Boolean,
  readWord,
  (value) => value
).annotations(expecting("true or false"))

/**
 * One of a few words.
 *
 * @since 0.1.0
 * @category words
 */
export const choice = <const Words extends readonly [string, ...Array<string>]>(
  ...words: Words
): Schema.Schema<Words[number]> => {
  const isWord = (text: string): text is Words[number] => words.includes(text)
  const one = value<string, string>(Schema.String, Schema.String, Option.liftPredicate(isWord), (word) => word)
  return one.annotations(expecting(list(words))) as unknown as Schema.Schema<Words[number]>
}

/**
 * Words as a message lists them: `"a", "b" or "c"`.
 *
 * @since 0.1.0
 * @category formatting
 */
export const list = (words: ReadonlyArray<string>): string => {
  const shown = words.map((word) => `"${word}"`)
  return shown.length < 2 ? shown.join("") : `${shown.slice(0, -1).join(", ")} or ${shown.at(-1)}`
}

/**
 * Text that says something.
 *
 * @since 0.1.0
 * @category words
 */
export const text: Schema.Schema<string> = Schema.String.pipe(
  Schema.filter((text) => text !== ""),
  Schema.annotations(expecting("text"))
)

/** A letter alone is a drive. */
const SCHEME = /^[a-z][a-z\d+.-]+:/i

/**
 * A module, as a path from the working directory, or as a `file:` URL.
 *
 * @since 0.1.0
 * @category words
 */
export const module: Schema.Schema<string, string | URL> = value<string, string | URL>(
  Schema.Union(Schema.String, Schema.instanceOf(URL)),
  Schema.String,
  (input) => Option.liftPredicate(String(input), isModule),
  (module) => module
).annotations(expecting("the path of a module, or a file: URL"))

const isModule = (text: string): boolean =>
  SCHEME.test(text) ? /^file:\/\//i.test(text) && URL.canParse(text) : text !== ""

/**
 * Several words, as a list or as one text with spaces between them.
 *
 * @since 0.1.0
 * @category words
 */
export const words: Schema.Schema<ReadonlyArray<string>, ReadonlyArray<string> | string> = value<
  ReadonlyArray<string>,
  ReadonlyArray<string> | string
>(
  Schema.Union(Schema.String, Schema.Array(Schema.String)),
  Schema.Array(Schema.String),
  (input) => Option.some(typeof input === "string" ? input.split(/\s+/).filter((word) => word !== "") : input),
  (words) => words
).annotations(expecting("a list of words"))

// ---------------------------------------------------------------------------------------------------------------------
// secrets
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Text that is never shown.
 *
 * @since 0.1.0
 * @category secrets
 */
export const secret: Schema.Schema<Redacted.Redacted<string>, string> = value<Redacted.Redacted<string>, string>(
  Schema.String,
  Schema.RedactedFromSelf(Schema.String),
  (text) => (text === "" ? Option.none() : Option.some(Redacted.make(text))),
  Redacted.value
).annotations(expectingSecret("text"))

/**
 * The address of a server, in one of some schemes, whose password is never shown.
 *
 * @since 0.1.0
 * @category secrets
 */
export const secretUrl = (...schemes: ReadonlyArray<string>): Schema.Schema<Redacted.Redacted<URL>, string> =>
  value<Redacted.Redacted<URL>, string>(
    Schema.String,
    Schema.RedactedFromSelf(Schema.instanceOf(URL)),
    (text) => {
      const isAddress = URL.canParse(text) && schemes.includes(new URL(text).protocol.slice(0, -1))
      return isAddress ? Option.some(Redacted.make(new URL(text))) : Option.none()
    },
    (url) => Redacted.value(url).href
  ).annotations(expectingSecret(`a URL such as ${schemes[0]}://user@host/database`))

const HIDDEN = "<redacted>"

/**
 * A secret as it may be shown: of a URL all but the password and the values of its query, of anything else nothing.
 *
 * @since 0.1.0
 * @category secrets
 */
export const hide = (secret: Redacted.Redacted<unknown>): string => {
  const url = Redacted.value(secret)
  if (!(url instanceof URL)) return HIDDEN
  const login = url.password === "" ? url.username : `${url.username}:${HIDDEN}`
  const query = [...url.searchParams.keys()].map((name) => `${name}=${HIDDEN}`).join("&")
  const at = login === "" ? "" : `${login}@`
  return `${url.protocol}//${at}${url.host}${url.pathname}${query === "" ? "" : `?${query}`}`
}
