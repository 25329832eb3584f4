import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, DateTime, Either, FastCheck, Option } from "effect"
import * as AttemptMessage from "../src/AttemptMessage.ts"
import * as Run from "../src/Run.ts"
import { PreviousRun, Progress } from "../src/RunContext.ts"
import { StoreError } from "../src/SchedulerError.ts"

const throughJson = (message: unknown): unknown => JSON.parse(JSON.stringify(message))

const id = FastCheck.nat()
const json = FastCheck.jsonValue().filter((value) => !JSON.stringify(value).includes("-0"))
const previous = Arbitrary.make(PreviousRun)

describe("a message", () => {
  const commands: FastCheck.Arbitrary<AttemptMessage.Command> = FastCheck.oneof(
    FastCheck.record({
      _tag: FastCheck.constant("Execute" as const),
      id,
      run: FastCheck.record({
        jobId: FastCheck.string(),
        runId: FastCheck.string(),
        task: FastCheck.string(),
        scheduledAt: FastCheck.nat().map((millis) => DateTime.unsafeMake(millis)),
        attempt: FastCheck.nat()
      }),
      payload: json,
      level: Arbitrary.make(AttemptMessage.Level)
    }),
    FastCheck.record({ _tag: FastCheck.constant("Interrupt" as const), id }),
    FastCheck.record({
      _tag: FastCheck.constant("Answer" as const),
      id,
      question: FastCheck.nat(),
      previous: FastCheck.option(previous).map((run) => Either.right(Option.fromNullable(run)))
    }),
    FastCheck.constant({ _tag: "Stop" as const })
  )

  it.prop("to a host arrives as it was sent", [commands], ([command]) => {
    const arrived = AttemptMessage.decodeCommand(throughJson(AttemptMessage.encodeCommand(command)))
    assert.deepStrictEqual(throughJson(arrived), throughJson(command))
  })

  it("that the store has no answer arrives as its error", () => {
    const error = new StoreError({ operation: "list runs", cause: new Error("no connection") })
    const command: AttemptMessage.Command = { _tag: "Answer", id: 1, question: 0, previous: Either.left(error) }
    const arrived = AttemptMessage.decodeCommand(throughJson(AttemptMessage.encodeCommand(command)))
    const answer = arrived._tag === "Answer" ? Option.getOrThrow(Either.getLeft(arrived.previous)) : assert.fail()
    assert.strictEqual(answer.message, error.message)
  })

  const reports: FastCheck.Arbitrary<AttemptMessage.Report> = FastCheck.oneof(
    FastCheck.record({ _tag: FastCheck.constant("Progressed" as const), id, progress: Arbitrary.make(Progress) }),
    FastCheck.record({ _tag: FastCheck.constant("Ended" as const), id, outcome: Arbitrary.make(Run.Outcome) }),
    FastCheck.record({ _tag: FastCheck.constant("Unable" as const), reason: FastCheck.string() })
  )

  it.prop("of a host arrives as it was sent", [reports], ([report]) => {
    const arrived = AttemptMessage.decodeReport(throughJson(AttemptMessage.encodeReport(report)))
    assert.deepStrictEqual(throughJson(arrived), throughJson(report))
  })
})
