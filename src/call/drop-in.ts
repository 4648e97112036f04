import { CallError, type Failure } from '../errors/call-error.ts'
import type { FailureKind } from '../errors/failure-kinds.ts'
import { call } from './call.ts'
import { type Answer, CallPromise } from './call-promise.ts'
import { type ChatRequest, completionJob, responseJob, streamJob } from './chat.ts'
import { explain } from './explain.ts'
import { brandExhausted } from './nesting.ts'
import { attachReport, callReport } from './report.ts'
import type { ErrorClasses } from './targets.ts'
import type { CallContext } from './work.ts'

/**
 * `chat.completions.create` with openai's parameters, results and error classes. What `prepare`
 * throws rejects the call, as openai's own checks do.
 */
export function dropInCreate(
  prepare: () => { readonly request: ChatRequest; readonly context: CallContext },
  classes: ErrorClasses,
): CallPromise<unknown> {
  return CallPromise.of(async (mode) => {
    const { request, context } = prepare()
    try {
      return await answerFor(request, context, mode, classes)
    } catch (error) {
      throw error instanceof CallError ? dropInError(error, classes) : error
    }
  })
}

async function answerFor(
  request: ChatRequest,
  context: CallContext,
  mode: 'data' | 'response',
  classes: ErrorClasses,
): Promise<Answer<unknown>> {
  if (mode === 'response') return (await call(responseJob(request), context)).value
  if (request.params['stream'] !== true) {
    const { value, report } = await call(completionJob(request), context)
    attachReport(value.data, report)
    return value
  }
  const toCallerError = (failure: Failure) => streamError(failure, request.targets[0].host, classes)
  const { value, report, onEnd } = await call(streamJob(request, toCallerError), context)
  attachReport(value.data, report)
  onEnd?.((final) => attachReport(value.data, final))
  return value
}

/**
 * The provider's own error where there is one; else openai's class for what happened. Either way
 * `callReport` knows the attempts, and no outer steadycall layer retries it.
 */
function dropInError(error: CallError, classes: ErrorClasses): unknown {
  const thrown = errorOfClass(error, classes)
  brandExhausted(thrown)
  const report = callReport(error)
  if (report !== undefined) attachReport(thrown, report)
  return thrown
}

function errorOfClass(error: CallError, classes: ErrorClasses): unknown {
  const { kind, cause, message, status } = error
  switch (underlyingKind(error)) {
    case 'aborted':
      return withCause(new classes.APIUserAbortError({ message }), cause)
    case 'timeout':
    case 'deadline':
      // A 408 is the provider's own word, with its status and body.
      if (cause instanceof classes.APIError && Reflect.get(cause, 'status') !== undefined)
        return cause
      return withCause(new classes.APIConnectionTimeoutError({ message }), cause)
    case 'network':
    case 'dns':
    case 'tls':
      if (cause instanceof classes.APIError) return cause
      return withCause(new classes.APIConnectionError({ message }), cause)
    default:
      if (cause instanceof classes.APIError) return cause
  }
  // openai builds its message as `status body`; the code is where its users look first.
  const body = { message, code: kind, type: 'steadycall' }
  return withCause(new classes.APIError(status, body, message, new Headers()), cause)
}

/** What the last attempt met, where it was our budget or breaker that ended the call. */
function underlyingKind({ kind, attempts }: CallError): FailureKind {
  const last = attempts.at(-1)?.outcome
  const isOurs = kind === 'budget_exhausted' || kind === 'circuit_open'
  return isOurs && last !== undefined && last !== 'success' ? last : kind
}

function withCause(error: Error, cause: unknown): Error {
  Object.defineProperty(error, 'cause', { value: cause, configurable: true, writable: true })
  return error
}

/** A stream that broke after its first content, as openai's users catch it. */
function streamError(failure: Failure, where: string, classes: ErrorClasses): unknown {
  const message = explain({
    failure,
    reason: 'delivered',
    where,
    attempts: 1,
    elapsedMs: 0,
    remainingMs: 0,
    maxRetryAfterMs: 0,
    deterministic: false,
  })
  const { kind, cause, status } = failure
  const thrown = errorOfClass(new CallError({ kind, message, cause, status }), classes)
  brandExhausted(thrown)
  return thrown
}
