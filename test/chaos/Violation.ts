/** What a history can be guilty of. */
export type Tag =
  /** An occurrence for which nothing ran. */
  | "Missing"
  /** A run that nobody asked for: at a time that is none, or a second one for its time. */
  | "Extra"
  /** A run that ended well twice, though its first holder had not lost it. */
  | "Doubled"
  /** Two attempts of one run at once, though the earlier one had not lost it, or did not notice. */
  | "Overlapping"
  | "AttemptWentBack"
  | "StartedAfterEnd"
  /** Another attempt where there was no cause for one. */
  | "Repeated"
  /** More runs of a job at once than `maxInstances`. */
  | "TooMany"
  /** A run that was taken over too late. */
  | "Late"
  /** A run before its time. */
  | "Early"
  /** A node told that it gave up other times than it did. */
  | "Miscounted"
  /** What the store recorded is not what the nodes did. */
  | "Disagreeing"

export interface Violation {
  readonly tag: Tag
  readonly job: string
  readonly runId: string
  readonly detail: string
}

export const violation = (
  tag: Tag,
  { job, runId }: { readonly job: string; readonly runId: string },
  detail: string
): Violation => ({ tag, job, runId, detail })
