/** The schedulers of the SQL benchmark under one interface, each on the same database and in a process of its own. */
/** What each job carries: when it was added, in microseconds of a clock that all processes of a machine share. */
export interface Payload {
  readonly at: number
}

export const microseconds = (): number => Number(process.hrtime.bigint() / 1000n)

export interface Setting {
  readonly url: string
  /** Whether it is set up as its documentation says for throughput, or as it is by default. */
  readonly isFast: boolean
  /** What every handler does, and all that it does. */
  readonly hit: (payload: Payload) => void
}

/** What a process does with its scheduler. */
export interface Session {
  readonly add: (payload: Payload) => Promise<unknown>
  /** Adds so many jobs in one call, due now or at an instant. */
  readonly addAll: (payloads: ReadonlyArray<Payload>, instant?: Date) => Promise<unknown>
  /** Adds so many jobs that are due every second, or, where there is no such thing, that add themselves anew. */
  readonly recur: (count: number) => Promise<unknown>
  /** Has so many jobs from now on that are due every minute. */
  readonly cron: (count: number) => Promise<unknown>
  /** Starts to carry out jobs. */
  readonly work: () => Promise<unknown>
}

export interface Contestant {
  /** Connects, brings the tables up to date, and loads whatever it needs: `work` begins at once. */
  readonly open: (setting: Setting) => Promise<Session>
}

/** Each process loads only its own. */
export const contestants: Readonly<Record<string, () => Promise<Contestant>>> = {
  ours: async () => (await import("./sql-ours.ts")).ours,
  "graphile-worker": async () => (await import("./peers/graphile-worker.ts")).graphileWorker,
  "pg-boss": async () => (await import("./peers/pg-boss.ts")).pgBoss
}

const SECOND = 1000

/** When a job that adds itself anew is due after it was due at an instant: what it missed is not made up for. */
export const nextSecond = (due: number): number => {
  const missed = Math.max(0, Math.floor((Date.now() - due) / SECOND))
  return due + SECOND * (missed + 1)
}
