/**
 * The configuration of the command line: a file in JSON or YAML, and variables of the environment laid over it.
 *
 * @since 0.1.0
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as SchedulerConfig from "./SchedulerConfig.ts"

/**
 * What stands in the way of a start, for the person at the command line.
 *
 * @since 0.1.0
 * @category errors
 */
export class CannotStart extends Data.TaggedError("CannotStart")<{ readonly message: string }> {}

/**
 * Where a configuration comes from.
 *
 * @since 0.1.0
 * @category models
 */
export interface Source {
  /** YAML if its name ends so, else JSON. */
  readonly file: Option.Option<string>
  /** What the names of the variables begin with that are laid over it. */
  readonly prefix: Option.Option<string>
}

/** How long a scheduler waits for what is under way when it is told to end, unless its configuration says. */
const DRAIN = { drain: "10 seconds" }

const withDrain = (written: unknown): unknown =>
  typeof written === "object" && written !== null && !Array.isArray(written) ? { ...DRAIN, ...written } : written

/**
 * Reads the configuration of a scheduler that runs until it is told to end.
 *
 * @since 0.1.0
 * @category reading
 */
export const load = (
  source: Source
): Effect.Effect<SchedulerConfig.SchedulerConfig, CannotStart, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const variables = Option.isSome(source.prefix) ? yield* SchedulerConfig.environment(source.prefix.value) : {}
    const written = Option.isSome(source.file) ? yield* read(source.file.value) : {}
    return yield* SchedulerConfig.decode(SchedulerConfig.overlay(withDrain(written), variables))
  }).pipe(Effect.mapError(({ message }) => new CannotStart({ message: `${nameOf(source)}: ${message}` })))

/**
 * A source as a person calls it.
 *
 * @since 0.1.0
 * @category formatting
 */
export const nameOf = ({ file, prefix }: Source): string =>
  [...Option.toArray(file), ...Option.toArray(Option.map(prefix, (prefix) => `${prefix}_*`))].join(" and ")

const read = (file: string): Effect.Effect<unknown, Unreadable, FileSystem.FileSystem> =>
  FileSystem.FileSystem.pipe(
    Effect.flatMap((fs) => fs.readFileString(file)),
    Effect.flatMap((text) => (/\.ya?ml$/i.test(file) ? parseYaml(text) : parseJson(text))),
    Effect.mapError(({ message }) => ({ message: `it cannot be read: ${message}` }))
  )

interface Unreadable {
  readonly message: string
}

const parseJson = (text: string): Effect.Effect<unknown, Unreadable> =>
  Effect.try({ try: () => JSON.parse(text) as unknown, catch: toUnreadable })

const parseYaml = (text: string): Effect.Effect<unknown, Unreadable> =>
  Effect.tryPromise({
    try: () => import("yaml"),
    catch: () => ({ message: "YAML needs a package: npm install yaml" })
  }).pipe(
    // An empty document is an empty object to its author.
    Effect.flatMap((yaml) => Effect.try({ try: () => (yaml.parse(text) as unknown) ?? {}, catch: toUnreadable }))
  )

const toUnreadable = (error: unknown): Unreadable => ({
  message: error instanceof Error ? error.message : String(error)
})
