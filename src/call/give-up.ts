import type { CallError, Failure } from '../errors/call-error.ts'
import { type Executed, FAILURE_KINDS } from '../errors/failure-kinds.ts'
import type { LateEnd, WorkOutcome } from '../idempotency/once.ts'
import type { LoopOutcome } from '../retry/loop.ts'
import { withoutUndefined } from '../without-undefined.ts'
import { explain } from './explain.ts'
import { type CallRecord, callError } from './record.ts'
import type { WorkRequest } from './work.ts'

/** What the provider may have done in the whole call: the worst of its attempts. */
function executedIn({ attempts }: CallRecord, { executed }: Failure): Executed {
  const all = [executed, ...attempts.map((attempt) => attempt.executed)]
  return all.includes('yes') ? 'yes' : all.includes('maybe') ? 'maybe' : 'no'
}

export type GivenUp = Omit<Extract<LoopOutcome<never>, { readonly ok: false }>, 'ok'>

/** The error of a call that is over, and what its key's record becomes. */
export function giveUp<T>(
  { job, key, record, flight }: WorkRequest<T>,
  { failure, reason, deterministic, refused, heldBy, waitedMs, waits }: GivenUp,
  more: { readonly completion?: unknown; readonly late?: Promise<LateEnd<T>> | undefined } = {},
): WorkOutcome<T> {
  const doubtful = [failure, ...record.attempts].some((ended) => ended.executed === 'maybe')
  const uncertain = flight.onUncertain === 'fail' && doubtful
  const told: Failure =
    uncertain && reason === 'outcome_unknown'
      ? { ...failure, kind: 'outcome_unknown', retryable: false }
      : failure
  const message = explain({
    failure: told,
    reason,
    refusal: refused?.refusal,
    deterministic,
    where: job.targets[0].host ?? job.name,
    attempts: record.attempts.length,
    elapsedMs: record.elapsedMs,
    remainingMs: flight.deadline.remainingMs(),
    maxWaitMs: job.options[reason === 'hint_exceeds_wait' ? 'maxHintMs' : 'maxWaitMs'],
    heldBy,
    waitedMs,
  })
  const { attempts } = record
  const executed = executedIn(record, told)
  const error: CallError = callError({ ...told, executed }, message, {
    attempts,
    waits,
    reason,
    deterministic,
    onUncertain: flight.onUncertain,
    completion: more.completion,
    key: key.text,
  })
  const { kind, retryAfterMs, status } = told
  return {
    ok: false,
    error,
    disposition: uncertain ? 'uncertain' : isFinal(told) ? 'keep' : 'release',
    doubtful,
    ...(more.late !== undefined && { late: more.late }),
    notice: withoutUndefined({
      kind,
      executed,
      retryAfterMs,
      status,
      origin: record.span.traceparent,
    }),
  }
}

/** A final refusal by the provider, not a request that never got to it: that may soon be mended. */
function isFinal({ kind, status }: Failure): boolean {
  if (kind === 'invalid_request' && status === undefined) return false
  return FAILURE_KINDS[kind].permanent
}
