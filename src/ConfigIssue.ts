/**
 * What is wrong with a configuration, as its author reads it: a path and a sentence for each thing, all at once.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as AST from "effect/SchemaAST"
import * as ConfigValue from "./ConfigValue.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Issue {
  /** The keys that lead to it, with dots between them: `stores.archive.filename`. */
  readonly path: string
  readonly message: string
}

/**
 * Everything that a Schema refuses.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromParseError = ({ issue }: ParseResult.ParseError): ReadonlyArray<Issue> => read(issue, [], [])

type Path = ReadonlyArray<PropertyKey>

/** `known` are the keys that the object around an issue may have. */
const read = (issue: ParseResult.ParseIssue, path: Path, known: ReadonlyArray<string>): ReadonlyArray<Issue> => {
  switch (issue._tag) {
    case "Pointer":
      return read(issue.issue, [...path, ...Arr.ensure(issue.path)], known)
    case "Composite":
      return significant(issue).flatMap((part) => read(part, path, keysOf(issue.ast)))
    case "Refinement":
    case "Transformation":
      return Option.isSome(AST.getMessageAnnotation(issue.ast)) ? [tell(path, issue)] : read(issue.issue, path, known)
    case "Unexpected":
      return [at(path, `unknown key; known: ${known.join(", ")}`)]
    case "Missing":
      return [at(path, "is missing")]
    case "Type":
    case "Forbidden":
      return [tell(path, issue)]
  }
}

/** That a value could have been left out as well helps nobody. */
const significant = ({ issues }: ParseResult.Composite): ReadonlyArray<ParseResult.ParseIssue> => {
  const all = Arr.ensure(issues) as ReadonlyArray<ParseResult.ParseIssue>
  const some = all.filter((issue) => !(issue._tag === "Type" && AST.isUndefinedKeyword(issue.ast)))
  return some.length === 0 ? all : some
}

const keysOf = (ast: AST.AST): ReadonlyArray<string> => {
  if (AST.isTransformation(ast)) return keysOf(ast.from)
  return AST.isTypeLiteral(ast) ? ast.propertySignatures.map(({ name }) => String(name)) : []
}

const at = (path: Path, message: string): Issue => ({ path: path.map(String).join("."), message })

const tell = (path: Path, issue: ParseResult.ParseIssue): Issue => {
  if (issue._tag === "Type" && Option.isNone(AST.getMessageAnnotation(issue.ast))) {
    return at(path, `expected ${expected(issue.ast)}, got ${ConfigValue.show(issue.actual)}`)
  }
  return at(path, ParseResult.ArrayFormatter.formatIssueSync(issue)[0]?.message ?? "it is refused")
}

const expected = (ast: AST.AST): string => {
  const all: ReadonlyArray<AST.AST> = AST.isUnion(ast) ? ast.types : [ast]
  const literals = all.filter(AST.isLiteral)
  return literals.length === 0 ? "an object" : ConfigValue.list(literals.map(({ literal }) => String(literal)))
}
