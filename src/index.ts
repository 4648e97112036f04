/** The public API of steadycall. Stores that need a driver, and the testing kit, have subpaths of their own. */

export type { Runtime, RuntimeOptions, TargetStatus } from './call/runtime.ts'
export { createRuntime } from './call/runtime.ts'
export type {
  AttemptReport,
  OutputIssue,
  StopReason,
  TokenCounts,
  Usage,
  Wait,
} from './errors/call-error.ts'
export { CallError, isCallError } from './errors/call-error.ts'
export { classifyError, notExecuted } from './errors/classify.ts'
export type { Again, Executed, FailureKind } from './errors/failure-kinds.ts'
export type { RunContext } from './function-task.ts'
export { resolveIdempotent, runIdempotent } from './guard.ts'
export type { EncryptionOptions } from './idempotency/encryption-options.ts'
export { canonicalJson, deriveKey } from './idempotency/key.ts'
export type {
  Claim,
  ClaimRequest,
  ClaimResult,
  FailureNotice,
  Outcome,
  Store,
} from './idempotency/store.ts'
export type { ChatClient } from './openai/chat-client.ts'
export type { Fallback, KeepingOptions } from './options/nested-options.ts'
export type {
  CallOptions,
  CallSettings,
  GuardOptions,
  KeyedOperation,
  RetryPolicy,
  RetryVerdict,
  SteadyOptions,
} from './options/options.ts'
export type { InferSchema, SchemaInput } from './output/infer.ts'
export type { ParseOptions, ParseResult, Repair } from './output/parse-json.ts'
export { parseJson } from './output/parse-json.ts'
export type { BadAnswer, ReaskMessage, ReaskWording } from './output/reask.ts'
export type { RepairLevel, RepairRule } from './output/repair-rules.ts'
export type { RegExpEngine } from './output/schema-engine.ts'
export type { CallEvent, CallReport } from './report/call-report.ts'
export { callReport } from './report/call-report.ts'
export type { FormatReportOptions } from './report/format-report.ts'
export { formatReport } from './report/format-report.ts'
export type { Backoff, BackoffOptions, BackoffStep } from './retry/backoff.ts'
export {
  decorrelatedJitter,
  equalJitter,
  exponential,
  fixed,
  fullJitter,
} from './retry/backoff.ts'
export type { Limits, LimitsOptions } from './retry/health/limit-options.ts'
export type { HedgeOptions } from './retry/hedge.ts'
export type { RetryContext } from './retry-function.ts'
export { retry } from './retry-function.ts'
export type {
  JsonOptions,
  JsonParams,
  JsonResult,
  SteadyClient,
  SteadyMethods,
  SteadyRequestOptions,
} from './steady.ts'
export { steady } from './steady.ts'
export { memoryStore } from './stores/memory-store.ts'
export type { Clock } from './time.ts'
