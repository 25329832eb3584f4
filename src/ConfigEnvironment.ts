/**
 * Reads an object from variables whose names are the path to each value, `SCHEDULER_STORES_ARCHIVE_MAX_CONNECTIONS`, and
 * spells its keys as a Schema does. What the Schema does not know stays in it, to be refused.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Config from "effect/Config"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type * as AST from "effect/SchemaAST"

/** A value, and the parts of its name from a certain object on. */
interface Variable {
  readonly parts: ReadonlyArray<string>
  readonly value: string
}

const nameIn = ({ parts }: Variable): string => parts.join("_")

/** Variables come in no order. */
const byName = (a: Variable, b: Variable): number => (nameIn(a) < nameIn(b) ? -1 : 1)

/** Every variable below the present path. */
const variables: Config.Config<ReadonlyArray<Variable>> = Config.all([
  Config.option(Config.string()),
  Config.hashMap(Config.suspend(() => variables))
]).pipe(
  Config.map(([value, children]) => [
    ...Option.toArray(value).map((value) => ({ parts: [], value })),
    ...HashMap.toEntries(children).flatMap(([part, below]) =>
      below.map(({ parts, value }) => ({ parts: [part, ...parts], value }))
    )
  ])
)

/**
 * What the variables say whose names begin with a prefix and an underscore. `ignored` are names, without the prefix, that
 * are somebody else's.
 *
 * @since 0.1.0
 * @category reading
 */
export const read = (
  schema: Schema.Schema.AnyNoContext,
  prefix: string,
  ignored: ReadonlyArray<string> = []
): Config.Config<unknown> => {
  const nested = prefix.split("_").reduceRight((config, part) => Config.nested(config, part), variables)
  const isOurs = (variable: Variable) => variable.parts.length > 0 && !ignored.includes(nameIn(variable))
  return Config.map(nested, (all) => assemble(shapeOf(schema.ast), all.filter(isOurs).toSorted(byName)))
}

// ---------------------------------------------------------------------------------------------------------------------
// what the Schema knows
// ---------------------------------------------------------------------------------------------------------------------

type Shape =
  | { readonly _tag: "Leaf" }
  /** An object with keys of the author's choice. */
  | { readonly _tag: "Names"; readonly of: AST.AST }
  | { readonly _tag: "Keys"; readonly keys: ReadonlyMap<string, AST.AST> }

const LEAF: Shape = { _tag: "Leaf" }

const shapeOf = (ast: AST.AST): Shape => {
  switch (ast._tag) {
    case "Transformation":
    case "Refinement":
      return shapeOf(ast.from)
    case "Union":
      return ast.types.map(shapeOf).reduce(merge, LEAF)
    case "TypeLiteral": {
      const [names] = ast.indexSignatures
      if (names !== undefined) return { _tag: "Names", of: names.type }
      return { _tag: "Keys", keys: new Map(ast.propertySignatures.map(({ name, type }) => [String(name), type])) }
    }
    default:
      return LEAF
  }
}

const merge = (a: Shape, b: Shape): Shape =>
  a._tag === "Keys" && b._tag === "Keys"
    ? { _tag: "Keys", keys: new Map([...a.keys, ...b.keys]) }
    : b._tag === "Leaf"
      ? a
      : b

// ---------------------------------------------------------------------------------------------------------------------
// what the variables say
// ---------------------------------------------------------------------------------------------------------------------

/** A key of an object, and what a variable says below it. */
interface Located extends Variable {
  readonly key: string
}

const assemble = (shape: Shape, all: ReadonlyArray<Variable>): Readonly<Record<string, unknown>> => {
  const located = all.map((variable) => locate(shape, variable))
  const byKey = Object.entries(Arr.groupBy(located, ({ key }) => key))
  return Object.fromEntries(byKey.map(([key, some]) => [key, valueOf(below(shape, key), some)]))
}

const valueOf = (shape: Shape, all: ReadonlyArray<Variable>): unknown =>
  all.find(({ parts }) => parts.length === 0)?.value ?? assemble(shape, all)

const below = (shape: Shape, key: string): Shape => {
  switch (shape._tag) {
    case "Leaf":
      return LEAF
    case "Names":
      return shapeOf(shape.of)
    case "Keys": {
      const ast = shape.keys.get(key)
      return ast === undefined ? LEAF : shapeOf(ast)
    }
  }
}

const locate = (shape: Shape, { parts, value }: Variable): Located => {
  const [first = "", ...others] = parts
  if (shape._tag === "Names") return { key: nameOf(first), parts: others, value }
  const keys = shape._tag === "Keys" ? [...shape.keys.keys()] : []
  for (let length = parts.length; length > 0; length--) {
    const spelt = plain(parts.slice(0, length).join(""))
    const key = keys.find((key) => plain(key) === spelt)
    const isWhole = length === parts.length
    if (key !== undefined && (isWhole || below(shape, key)._tag !== "Leaf"))
      return { key, parts: parts.slice(length), value }
  }
  return { key: camelCase(parts), parts: [], value }
}

const plain = (text: string): string => text.replaceAll("_", "").toUpperCase()

/** Variables are written in capitals whatever the name that is meant. */
const nameOf = (part: string): string => (part === part.toUpperCase() ? part.toLowerCase() : part)

const camelCase = (parts: ReadonlyArray<string>): string =>
  parts
    .map(nameOf)
    .map((part, i) => (i === 0 ? part : part.charAt(0).toUpperCase() + part.slice(1)))
    .join("")
