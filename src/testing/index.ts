export {
  answers,
  callsTool,
  contentFilter,
  damagedJson,
  emptyChoices,
  fencedJson,
  malformedJson,
  refusal,
  schemaInvalid,
  truncatedJson,
  wrongTypes,
} from './answer-faults.ts'
export { type VirtualClock, virtualClock } from './clock.ts'
export type {
  ChatBody,
  ChatMessage,
  CompletionInit,
  FinishReason,
} from './completion.ts'
export { exampleValue } from './example-value.ts'
export type {
  AnswerPieces,
  ChatRequest,
  Exchange,
  Fault,
  RawResponse,
  RawSocket,
  ReceivedHeaders,
} from './exchange.ts'
export type { FaultPlan, Mixture } from './fault-plan.ts'
export {
  type FaultServer,
  type FaultServerOptions,
  type RecordedRequest,
  startFaultServer,
} from './fault-server.ts'
export {
  badRequest,
  contextLength,
  errorBodyUnder200,
  hangs,
  htmlError,
  httpError,
  insufficientQuota,
  invalidApiKey,
  ok,
  openaiError,
  overloaded,
  overloaded529,
  resetBeforeResponse,
  resetInBody,
  serverError,
  shouldRetry,
  slow,
  truncatedBody,
} from './faults.ts'
export { type RateLimit, rateLimited } from './rate-limit.ts'
export { dripping, type Endless, endlessBody, slowFirstByte } from './slow-faults.ts'
export {
  type StoreFixture,
  type StoreSuiteOptions,
  storeSuite,
  type TestFunctions,
} from './store-suite.ts'
export {
  cutStream,
  cutStreamBeforeContent,
  malformedEvent,
  type NoFinishReason,
  type NotAStream,
  noFinishReason,
  notAStream,
  type StreamCut,
  type StreamError,
  stalledStream,
  streamErrorEvent,
} from './stream-faults.ts'
