/** What the SQL benchmark uses of the peers, which are not among this package's own: see `install.ts`. */
declare module "graphile-worker" {
  export class Logger {
    constructor(factory: (scope: object) => (level: string, message: string) => void)
  }
  export interface WorkerOptions {
    readonly connectionString: string
    readonly logger: Logger
    readonly concurrentJobs?: number
    readonly maxPoolSize?: number
    readonly localQueue?: { readonly size: number }
    readonly completeJobBatchDelay?: number
    readonly failJobBatchDelay?: number
  }
  export interface SharedOptions {
    readonly preset: { readonly worker: WorkerOptions }
  }
  export interface JobSpec {
    readonly identifier: string
    readonly payload: unknown
    readonly runAt?: Date
  }
  export type AddJob = (identifier: string, payload: unknown, spec?: { readonly runAt: Date }) => Promise<unknown>
  export interface WorkerUtils {
    readonly addJob: AddJob
    readonly addJobs: (specs: ReadonlyArray<JobSpec>) => Promise<unknown>
  }
  export interface Helpers {
    readonly addJob: AddJob
    readonly job: { readonly run_at: Date }
  }
  export type TaskList = Readonly<Record<string, (payload: unknown, helpers: Helpers) => Promise<void>>>
  export interface RunnerOptions extends SharedOptions {
    readonly taskList: TaskList
    readonly crontab: string
    readonly noHandleSignals: boolean
  }
  export const runMigrations: (options: SharedOptions) => Promise<void>
  export const makeWorkerUtils: (options: SharedOptions) => Promise<WorkerUtils>
  export const run: (options: RunnerOptions) => Promise<unknown>
}

declare module "pg-boss" {
  export interface WorkOptions {
    readonly batchSize?: number
    readonly burstWhenBatchFull?: boolean
    readonly localConcurrency?: number
    readonly notifyPollingIntervalSeconds?: number
    readonly pollingIntervalSeconds?: number
  }
  export interface Inserted {
    readonly data: object
    readonly startAfter?: Date
  }
  export class PgBoss {
    constructor(options: {
      readonly connectionString: string
      readonly useListenNotify: boolean
      readonly cronMonitorIntervalSeconds?: number
      readonly cronWorkerIntervalSeconds?: number
    })
    on(event: "error", listener: (error: Error) => void): void
    start(): Promise<unknown>
    createQueue(name: string, options: { readonly partition: boolean; readonly notify: boolean }): Promise<void>
    send(name: string, data: object): Promise<string | null>
    insert(name: string, jobs: ReadonlyArray<Inserted>): Promise<unknown>
    schedule(name: string, cron: string, data: object, options: { readonly key: string }): Promise<void>
    work<A>(
      name: string,
      options: WorkOptions,
      handler: (jobs: ReadonlyArray<{ readonly data: A }>) => Promise<void>
    ): Promise<string>
  }
}
