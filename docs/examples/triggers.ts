import { Console, DateTime, Effect, Either, Schema } from "effect"
import { Trigger } from "effect-scheduler"

const nightly = Trigger.crontab("30 2 * * *", { timezone: "Europe/Berlin" })

const program = Effect.gen(function* () {
  // Pure questions: a trigger and an instant give an instant, or none.
  const now = yield* DateTime.now
  yield* Console.log("last", Trigger.previous(nightly, now))
  yield* Console.log("next", Trigger.next(nightly, now))
  for (const at of Trigger.upcoming(nightly, { from: now, limit: 3 })) yield* Console.log(DateTime.formatIso(at))

  // Text from outside: an Either in place of an exception.
  const typed = Trigger.parseCrontab("30 2 * * fry")
  yield* Either.match(typed, { onLeft: (error) => Console.log(error.message), onRight: Console.log })

  // To JSON and back; what a constructor would refuse is refused here too.
  const json = JSON.stringify(Schema.encodeSync(Trigger.Trigger)(nightly))
  const back = yield* Schema.decodeUnknown(Schema.parseJson(Trigger.Trigger))(json)
  yield* Console.log("read back", back)
})

Effect.runPromise(program)
