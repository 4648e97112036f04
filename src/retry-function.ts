import { call } from './call/call.ts'
import { brandExhausted, currentScope, isExhausted } from './call/nesting.ts'
import { processRuntime } from './call/runtime.ts'
import type { Exchange } from './call/task.ts'
import { type CallError, type Failure, isCallError } from './errors/call-error.ts'
import { FAILURE_KINDS } from './errors/failure-kinds.ts'
import { isSafeCode, readProperty } from './errors/hostile.ts'
import { FunctionTask } from './function-task.ts'
import { show } from './options/option-check.ts'
import { RETRY_ROWS, type RetryPolicy, type RetryVerdict } from './options/options.ts'
import { checkRetryPolicy, resolveCall } from './options/resolve-options.ts'
import { attachReport, callReport } from './report/call-report.ts'
import { createTargetState } from './retry/health/target-state.ts'
import type { Ended } from './time.ts'
import { withoutUndefined } from './without-undefined.ts'

/** The argument of the function given to `retry`. */
export interface RetryContext {
  /** Aborts on the attempt's timeout, the call's deadline or the caller's signal. Pass it on to your requests. */
  readonly signal: AbortSignal
  /** The number of the attempt, counted from 1. */
  readonly attempt: number
}

/**
 * Calls a function until it succeeds, with the same retry loop, deadline, events and spans as any other call.
 * Throws the function's own last error, unchanged; `callReport(error)` returns the attempts.
 * @throws {CallError} `aborted`, `deadline` or `timeout`, if that ended the call rather than an error of the
 * function.
 * @throws {TypeError} for an invalid option, or if `classify` or `delayForAttempt` throws or returns an invalid
 * value; `cause` is then the function's error.
 */
export async function retry<T>(
  fn: (context: RetryContext) => PromiseLike<T> | T,
  policy: RetryPolicy = {},
): Promise<T> {
  checkRetryPolicy(policy)
  if (typeof fn !== 'function') {
    throw new TypeError(`retry(): the first argument must be a function, got ${show(fn)}`)
  }
  const { runtime = processRuntime(), name = RETRY_ROWS.name.default, onEvent } = policy
  const options = resolveOptions(policy)
  const judge = new Judge(policy, options.maxAttempts)
  const { delayForAttempt } = policy
  const task = new FunctionTask<T>({
    name,
    options:
      delayForAttempt === undefined ? options : { ...options, backoff: { delayMs: judge.delayMs } },
    // Not shared, because there is no common target.
    state: createTargetState({ ...runtime, limits: 'none' }),
    work: ({ signal, attempt }) => fn({ signal, attempt }),
    judge: (failure, exchange) => judge.judge(failure, exchange),
  })
  try {
    const settings = withoutUndefined({ onEvent })
    const { value, report } = await call(task, { runtime, settings, multiplied: false })
    // If the value already has the report of a nested call, keep that: it includes the tokens.
    if ((callReport(value)?.operation ?? name) === name) attachReport(value, report)
    return value
  } catch (error) {
    throw isCallError(error) ? judge.errorFor(error) : error
  }
}

function resolveOptions({
  maxAttempts = RETRY_ROWS.maxAttempts.default,
  delayForAttempt,
  maxWaitMs = delayForAttempt === undefined ? undefined : Number.POSITIVE_INFINITY,
  deadlineMs,
  attemptTimeoutMs = Number.POSITIVE_INFINITY,
  signal,
}: RetryPolicy) {
  return resolveCall(
    NO_CLIENT,
    withoutUndefined({ maxAttempts, maxWaitMs, deadlineMs, attemptTimeoutMs, signal }),
    { face: 'run', clientTimeoutMs: Number.POSITIVE_INFINITY },
  )
}

// One object, since resolveCall() remembers what it makes of a client's options.
const NO_CLIENT = {}

/** Applies the policy to each failure of one call, and determines the error that the caller gets. */
class Judge {
  readonly #policy: RetryPolicy
  readonly #maxAttempts: number
  /** The function's own last error, in an object because `undefined` can be thrown too. */
  #thrown: { readonly error: unknown } | undefined
  /** The limit that ended the last attempt. */
  #ended: Ended | undefined
  /** The error about an invalid answer of the policy. */
  #defect: unknown
  #delayMs = 0

  constructor(policy: RetryPolicy, maxAttempts: number) {
    this.#policy = policy
    this.#maxAttempts = maxAttempts
  }

  readonly delayMs = (): number => this.#delayMs

  judge(failure: Failure, { number, bounds }: Exchange): Failure {
    this.#ended = bounds.ended
    if (bounds.ended === undefined) this.#thrown = { error: failure.cause }
    try {
      const judged = bounds.ended === undefined ? this.#opinion(failure) : failure
      // Computed here rather than when it is needed, because a backoff cannot end the call.
      const isHinted = (judged.retryAfterMs ?? 0) > 0
      if (judged.retryable && !isHinted && number < this.#maxAttempts)
        this.#draw(number, failure.cause)
      return judged
    } catch (defect) {
      this.#defect = defect
      return { ...failure, kind: 'unknown', retryable: false }
    }
  }

  /** The function's own error, unless the caller, a limit or the policy ended the call. */
  errorFor(error: CallError): unknown {
    const thrown = this.#defect ?? (this.#isOurs(error) ? error : this.#thrown?.error)
    const report = callReport(error)
    // A nested call that gave up did the retrying, and its error already has a report of its attempts.
    const isTold = isExhausted(thrown) && callReport(thrown) !== undefined
    if (report !== undefined && !isTold) attachReport(thrown, report)
    // Only inside another call: an error object that the user throws repeatedly must stay retryable.
    if (currentScope() !== undefined) brandExhausted(thrown)
    return thrown
  }

  #isOurs({ kind, reason }: CallError): boolean {
    if (this.#thrown === undefined || reason === undefined) return true
    if (kind === 'aborted') return this.#policy.signal?.aborted === true
    return kind === 'timeout' && this.#ended === 'timeout'
  }

  #opinion(failure: Failure): Failure {
    const { classify } = this.#policy
    const error = failure.cause
    if (classify === undefined || isExhausted(error)) return inLoop(failure, false)
    const verdict = ask('classify', VERDICT, error, () => classify(error), readVerdict)
    const { reason: code, ...said } = verdict
    return inLoop({ ...failure, ...said, ...(code !== undefined && { code }) }, said.retryable)
  }

  #draw(attempt: number, error: unknown): void {
    const { delayForAttempt } = this.#policy
    if (delayForAttempt === undefined) return
    const where = `delayForAttempt(${attempt})`
    this.#delayMs = ask(where, DELAY, error, () => delayForAttempt(attempt), readDelay)
  }
}

/** Adapts a failure to the loop, which has rules of its own for some kinds, such as re-asks. */
function inLoop(failure: Failure, insists: boolean): Failure {
  const { kind, code = kind } = failure
  const { retry: rule, ours } = FAILURE_KINDS[kind]
  const hasOwnRule = rule === 'reask' || (insists && (ours || rule === 'once'))
  return hasOwnRule ? { ...failure, kind: 'unknown', code } : failure
}

const VERDICT = '{ retryable: boolean, reason?: string, retryAfterMs?: milliseconds from 0 }'
const DELAY = 'a number of milliseconds from 0'

/** Calls the user's own callback. Its mistakes must not be taken for a failure of the call. */
function ask<Answer>(
  name: string,
  allowed: string,
  cause: unknown,
  question: () => unknown,
  read: (answer: unknown) => Answer | undefined,
): Answer {
  let answer: unknown
  try {
    answer = question()
  } catch (thrown) {
    const what = thrown instanceof Error ? thrown.name : show(thrown)
    const message = `retry(): ${name} threw ${what}; it must return ${allowed}`
    throw Object.assign(new TypeError(message, { cause }), { thrown })
  }
  const good = read(answer)
  if (good !== undefined) return good
  // The rejection of an async callback would otherwise end the process as unhandled.
  if (answer instanceof Promise) answer.catch(() => {})
  throw new TypeError(`retry(): ${name} must return ${allowed}, got ${show(answer)}`, { cause })
}

function readVerdict(answer: unknown): RetryVerdict | undefined {
  const retryable = readProperty(answer, 'retryable')
  const reason = readProperty(answer, 'reason')
  const hint = readProperty(answer, 'retryAfterMs')
  const retryAfterMs = readDelay(hint)
  if (typeof retryable !== 'boolean') return undefined
  if (hint !== undefined && retryAfterMs === undefined) return undefined
  return withoutUndefined({
    retryable,
    retryAfterMs,
    reason: isSafeCode(reason) ? reason : undefined,
  })
}

function readDelay(answer: unknown): number | undefined {
  const isDelay = typeof answer === 'number' && answer >= 0 && Number.isFinite(answer)
  return isDelay ? answer : undefined
}
