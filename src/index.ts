/**
 * A job scheduler for Effect applications.
 *
 * @since 0.1.0
 */
export * as Audit from "./Audit.ts"
export * as CivilTime from "./CivilTime.ts"
export * as Configuration from "./Configuration.ts"
export * as ConfigValue from "./ConfigValue.ts"
export * as CronExpression from "./CronExpression.ts"
export * as Crontab from "./Crontab.ts"
export * as Declaration from "./Declaration.ts"
export * as Exclusion from "./Exclusion.ts"
export * as Executor from "./Executor.ts"
export * as Explanation from "./Explanation.ts"
export * as Job from "./Job.ts"
export * as JobStore from "./JobStore.ts"
export * as Occurrences from "./Occurrences.ts"
export * as Policy from "./Policy.ts"
export * as Run from "./Run.ts"
export * as RunContext from "./RunContext.ts"
export * as Scheduler from "./Scheduler.ts"
export * as SchedulerError from "./SchedulerError.ts"
export * as SchedulerEvent from "./SchedulerEvent.ts"
export * as SchedulerMetrics from "./SchedulerMetrics.ts"
export * as Simulation from "./Simulation.ts"
export * as Task from "./Task.ts"
export * as Trigger from "./Trigger.ts"
export * as TriggerJson from "./TriggerJson.ts"
