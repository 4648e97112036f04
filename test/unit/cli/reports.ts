import type { AttemptReport, CallReport } from '../../../src/index.ts'

/** An attempt that took no time and succeeded, unless said otherwise. */
export function attempt(given: Partial<AttemptReport> = {}): AttemptReport {
  return {
    number: 1,
    cause: 'initial',
    target: '127.0.0.1 gpt-demo',
    outcome: 'success',
    retryable: false,
    executed: 'yes',
    startedAtMs: 0,
    durationMs: 0,
    delayMs: 0,
    ...given,
  }
}

/** A call of these attempts, ended as its last one. */
export function report(
  attempts: readonly AttemptReport[],
  given: Partial<CallReport> = {},
): CallReport {
  return {
    operation: 'chat',
    outcome: attempts.at(-1)?.outcome ?? 'success',
    attempts,
    idempotencyKey: 'key',
    source: 'provider',
    persisted: true,
    usage: { inputTokens: 10, outputTokens: 5, complete: true },
    durationMs: attempts.reduce((sum, one) => sum + one.delayMs + one.durationMs, 0),
    ...given,
  }
}
