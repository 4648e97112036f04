import { isCallError } from './call-error.ts'
import { readEnvelope } from './envelope.ts'
import { type Executed, type FailureKind, isFailureKind } from './failure-kinds.ts'
import { readItems, readProperty, readText } from './hostile.ts'
import {
  type Classification,
  type Evidence,
  isErrorStatus,
  judgeResponse,
  mayRetry,
} from './judge-response.ts'
import { matchCause } from './match-cause.ts'
import { isNotExecuted } from './not-executed.ts'
import { readResponse } from './read-response.ts'

export { classifyErrorBody, classifyErrorChunk } from './disguise.ts'
export type { Classification, Evidence } from './judge-response.ts'

/**
 * Classifies an error: its kind, whether the same request may be sent again, and how long the provider
 * asks to wait. Reads errors by their structure: those of any openai version, of fetch and Node, of
 * other SDKs (with a `status`), `CallError`s, and all of their causes. Never throws.
 *
 * @param now Wall-clock time in milliseconds, used when a hint is a date. @default the current time
 */
export function classifyError(error: unknown, now?: number): Classification {
  return classify(error, { now })
}

/** `classifyError`, supplemented by what was observed on the wire. */
export function classify(error: unknown, evidence: Evidence = {}): Classification {
  const found = judge(error, evidence, { left: MAX_ERRORS }, 0) ?? judgeEvidence(error, evidence)
  return isNotExecuted(error) ? { ...found, executed: 'no' } : found
}

// Real chains of causes have up to five links; the limit also ends a cyclic chain.
const MAX_DEPTH = 10
const MAX_ERRORS = 32
const MAX_MESSAGE_LENGTH = 4_096

/** Judges an error, then its causes; undefined if none of them matches. */
function judge(
  error: unknown,
  evidence: Evidence,
  budget: { left: number },
  depth: number,
): Classification | undefined {
  if (depth >= MAX_DEPTH || budget.left-- <= 0) return undefined
  const own = fromCallError(error)
  if (own !== undefined) return own
  const response = readResponse(error, evidence)
  const answered = response && judgeResponse(response, evidence)
  if (answered !== undefined && answered.kind !== 'unknown') return answered
  const cause = matchCause(error)
  if (cause === undefined || cause.rule.vague) {
    const deeper = judgeCauses(error, evidence, budget, depth + 1)
    if (deeper !== undefined) return deeper
  }
  if (cause !== undefined) return describe(cause.rule, cause.code)
  return answered ?? judgeMessage(error, evidence)
}

/** Some clients put the provider's JSON into the message and keep no other part of the response. */
function judgeMessage(error: unknown, evidence: Evidence): Classification | undefined {
  const message = readText(error, 'message', MAX_MESSAGE_LENGTH)
  if (message === undefined || !readEnvelope(message).fromProvider) return undefined
  const judged = judgeResponse({ status: undefined, body: message }, evidence)
  return judged.kind === 'unknown' ? undefined : judged
}

function judgeCauses(
  error: unknown,
  evidence: Evidence,
  budget: { left: number },
  depth: number,
): Classification | undefined {
  const cause = readProperty(error, 'cause')
  const found = cause === undefined ? undefined : judge(cause, evidence, budget, depth)
  if (found !== undefined) return found
  // AggregateError has `errors`; retry errors of other SDKs also have `lastError`, which takes precedence.
  const errors = readItems(readProperty(error, 'errors'), MAX_ERRORS).map((part) =>
    judge(part, evidence, budget, depth),
  )
  const last = readProperty(error, 'lastError')
  const first =
    (last === undefined ? undefined : judge(last, evidence, budget, depth)) ??
    errors.find((part) => part !== undefined)
  const surelyNot = errors.every((part) => part?.executed === 'no')
  return first === undefined || surelyNot ? first : { ...first, executed: 'maybe' }
}

/** The error itself says nothing, so the response observed on the wire decides. */
function judgeEvidence(error: unknown, evidence: Evidence): Classification {
  const { status } = evidence
  if (isErrorStatus(status)) return judgeResponse({ ...evidence, status }, evidence)
  // JSON.parse failed on a good answer that was cut or corrupted in transit.
  const isCut = status !== undefined && readProperty(error, 'name') === 'SyntaxError'
  return describe({ kind: isCut ? 'network' : 'unknown', executed: 'maybe' }, undefined)
}

function describe(
  { kind, executed }: { readonly kind: FailureKind; readonly executed: Executed },
  code: string | undefined,
): Classification {
  const retryable = mayRetry(kind, false, undefined)
  return { kind, retryable, executed, ...(code !== undefined && { code }) }
}

function fromCallError(error: unknown): Classification | undefined {
  try {
    if (!isCallError(error) || !isFailureKind(error.kind)) return undefined
    const { kind, retryable, executed, retryAfterMs, status, code, requestId } = error
    return {
      kind,
      retryable,
      executed,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      ...(status !== undefined && { status }),
      ...(code !== undefined && { code }),
      ...(requestId !== undefined && { requestId }),
    }
  } catch {
    // A proxy whose traps throw.
    return undefined
  }
}
