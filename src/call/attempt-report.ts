import type { AttemptReport, Failure } from '../errors/call-error.ts'
import type { AttemptStep } from '../retry/loop.ts'
import type { AnswerFacts } from './job.ts'

/** What is known of an attempt when it has ended. */
export interface EndedAttempt {
  readonly step: AttemptStep
  readonly target: string
  /** Undefined: it succeeded. */
  readonly failure: Failure | undefined
  readonly facts: AnswerFacts
  /** Undefined where nothing could be observed. */
  readonly wireRequests: number | undefined
  readonly startedAtMs: number
  readonly durationMs: number
}

/** The attempt as reports and events have it. What there was none of is absent. */
export function attemptReport(ended: EndedAttempt): AttemptReport {
  const { step, target, failure, facts, wireRequests, startedAtMs, durationMs } = ended
  const { number, cause, delayMs, delaySource, waits } = step
  const { gatewayAttempts, usage } = facts
  const status = failure?.status ?? facts.status
  const requestId = failure?.requestId ?? facts.requestId
  return {
    number,
    cause,
    target,
    outcome: failure?.kind ?? 'success',
    retryable: failure?.retryable ?? false,
    executed: failure?.executed ?? 'yes',
    startedAtMs,
    durationMs,
    delayMs,
    ...(status !== undefined && { status }),
    ...(failure?.code !== undefined && { code: failure.code }),
    ...(requestId !== undefined && { requestId }),
    ...(delaySource !== undefined && { delaySource }),
    ...(waits !== undefined && { waits }),
    ...(failure?.retryAfterMs !== undefined && { retryAfterMs: failure.retryAfterMs }),
    ...(wireRequests !== undefined && { wireRequests }),
    ...(gatewayAttempts !== undefined && { gatewayAttempts }),
    ...(usage !== undefined && { usage }),
  }
}
