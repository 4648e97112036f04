import { type CallError, type Failure, isCallError } from '../errors/call-error.ts'
import { keepingOf } from '../idempotency/kept-result.ts'
import { once } from '../idempotency/once.ts'
import type { OnceResult, WorkOutcome } from '../idempotency/protocol.ts'
import type { FailureNotice } from '../idempotency/store.ts'
import { attachReport, type CallReport } from '../report/call-report.ts'
import { type LoopOutcome, runAttempts } from '../retry/loop.ts'
import { readOrigin, withOrigin } from '../telemetry/telemetry.ts'
import { EndSignal } from '../time.ts'
import { joinedGivenUp } from './key.ts'
import { LogicalCall } from './logical-call.ts'
import { brandExhausted } from './nesting.ts'
import {
  closedError,
  deliveredEnd,
  endOf,
  noticeError,
  recheckedError,
  unexpectedError,
} from './outcome.ts'
import { defaultStore } from './runtime.ts'
import type { Begun, CallContext, Codec, OnceProtocol, Task, WorkBinding } from './task.ts'

interface CallResult<T> {
  readonly value: T
  readonly report: CallReport
  /** For a stream: calls back with the final report when it has ended. */
  onEnd?(listener: (report: CallReport) => void): void
}

/**
 * One logical call, top to bottom: deadline, key and span; then the key is claimed in the store and
 * its stored outcome replayed, a call in flight joined, or the work done here, attempt by attempt;
 * then the report. Only `runAttempts` sends anything: at most `maxRequests` requests in all, of which a
 * model may have worked on `maxAttempts`.
 * @throws {CallError} whatever went wrong.
 * @throws {TypeError} for a payload that has no canonical JSON.
 */
export async function call<T>(task: Task<T>, context: CallContext): Promise<CallResult<T>> {
  const one = new LogicalCall(task, context)
  try {
    if (context.closing?.isClosed) throw closedError(one)
    if (one.isKept && task.once !== undefined) {
      return reported(one, await task.once(protocolOf(one), (flight) => makeAttempts(one, flight)))
    }
    if (one.isKept && task.codec !== undefined) {
      const protocol = protocolOf(one)
      const kept = labelled(task.codec, protocol.label)
      const done = await once({ ...protocol, ...kept, work: (flight) => makeAttempts(one, flight) })
      return finished(one, await checkedAgain(one, done), done)
    }
    const { signal, onUncertain } = task.options
    // As `makeAttempts` does it: one more async function that waits, in every call, costs memory.
    const refused = beginWork(one, { signal, deadline: one.ownDeadline, onUncertain })
    const done = refused ?? workOutcome(one, await runAttempts(one))
    if (!done.ok) throw done.error
    return finished(one, done.value, DONE_HERE)
  } catch (error) {
    throw failed(one, error)
  }
}

/** Done here, and not meant to be kept. */
const DONE_HERE = { source: 'provider', persisted: true } as const

/**
 * The work of one call: its attempts, as the retry loop asks for them, within what an outer call
 * leaves it; and in the end what may be kept under the key.
 */
async function makeAttempts<T>(one: LogicalCall<T>, binding: WorkBinding): Promise<WorkOutcome<T>> {
  return beginWork(one, binding) ?? workOutcome(one, await runAttempts(one))
}

/** Begins the work. Returns its outcome if it is refused. */
function beginWork<T>(one: LogicalCall<T>, binding: WorkBinding): WorkOutcome<T> | undefined {
  const refusal = one.begin(binding)
  return refusal && one.giveUp({ ...refusal, waitedMs: 0, deterministic: false })
}

function workOutcome<T>(one: LogicalCall<T>, outcome: LoopOutcome<T>): WorkOutcome<T> {
  return outcome.ok ? one.settle(outcome) : one.giveUp(outcome)
}

/** The idempotency protocol's view of this call, but for the work and its result. */
function protocolOf<T>(one: LogicalCall<T>): OnceProtocol {
  const { task, key, span, tell } = one
  const { runtime, settings } = one.context
  const { signal, onUncertain, onStoreError, ttlMs } = task.options
  const fingerprint = key.fingerprint ?? ''
  return {
    store: settings.store ?? defaultStore(runtime),
    flights: runtime.shared.flights,
    clock: runtime.clock,
    random: runtime.random,
    key: key.hash,
    idempotencyKey: key.text,
    fingerprint,
    onUncertain,
    onStoreError,
    ttlMs,
    ...(signal !== undefined && { signal }),
    deadline: one.ownDeadline,
    keeping: keepingOf(settings, key.hash, fingerprint),
    origin: span.traceparent,
    showsContent: span.showsContent,
    waiting: (leaseLeftMs) => tell?.({ type: 'claim-awaited', leaseLeftMs }),
    joined: (origin) => tell?.({ type: 'result-found', how: 'joined', origin }),
    label: labelOf(one),
    failure: (notice, source) => othersFailure(one, notice, source),
  }
}

/** What another caller met under this key. */
function othersFailure<T>(
  one: LogicalCall<T>,
  notice: FailureNotice,
  source: 'store' | 'shared',
): CallError {
  const how = source === 'store' ? 'replayed' : 'joined'
  one.tell?.({ type: 'result-found', how, origin: notice.origin })
  if (source === 'shared') joinedGivenUp(one.task, notice.kind)
  return noticeError(one, notice, source)
}

/** A kept text names the trace of the call that made it. */
function labelOf<T>({ span, tell }: LogicalCall<T>): OnceProtocol['label'] {
  return {
    write: (text) => withOrigin(text, span.traceparent),
    read(kept, source) {
      const { text, origin } = readOrigin(kept)
      if (source === 'store') tell?.({ type: 'result-found', how: 'replayed', origin })
      return text
    },
  }
}

/** Results under a label. */
function labelled<T>({ encode, decode }: Codec<T>, label: OnceProtocol['label']): Codec<T> {
  return {
    encode: (value) => label.write(encode(value)),
    decode: (kept, source) => decode(label.read(kept, source), source),
  }
}

/** Each caller checks a kept or shared result against its own schema. */
async function checkedAgain<T>(one: LogicalCall<T>, done: OnceResult<T>): Promise<T> {
  const { source, value } = done
  const { task } = one
  if (source === 'provider') return value
  if (task.replayedFacts !== undefined) one.facts = task.replayedFacts(value)
  if (task.recheck === undefined) return value
  const { signal } = task.options
  const checked = await task.recheck(value, { clock: one.clock, signal, deadline: one.ownDeadline })
  if (checked.ok) return checked.value
  throw recheckedError(one, checked.failure, source)
}

function finished<T>(
  one: LogicalCall<T>,
  value: T,
  { source, persisted }: Pick<OnceResult<T>, 'source' | 'persisted'>,
): CallResult<T> {
  if (!one.isStreaming) {
    return { value, report: one.succeed({ source, persisted }, one.task.completionOf?.(value)) }
  }
  const ended = new EndSignal<CallReport>()
  // A stream: the span stays open, and the report is not complete, until it has ended.
  one.whenStreamEnds((cut) => ended.tell(streamReport(one, cut, { source, persisted })))
  return live(one, value, { source, persisted }, ended)
}

/** The result of a streamed call under a key. A whole stream settles the call at once. */
function reported<T>(one: LogicalCall<T>, begun: Begun<T>): CallResult<T> {
  const { value } = begun
  if (begun.type === 'kept') {
    const { source, persisted, facts } = begun
    one.facts = facts
    return { value, report: one.succeed({ source, persisted }) }
  }
  const source = 'provider'
  const ended = new EndSignal<CallReport>()
  void begun.over.then(({ failure, persisted }) =>
    ended.tell(streamReport(one, failure, { source, persisted })),
  )
  return live(one, value, { source, persisted: false }, ended)
}

function live<T>(
  one: LogicalCall<T>,
  value: T,
  how: Pick<CallReport, 'source' | 'persisted'>,
  ended: EndSignal<CallReport>,
): CallResult<T> {
  return { value, report: one.soFar(how), onEnd: (listener) => ended.whenEnded(listener) }
}

function streamReport<T>(
  one: LogicalCall<T>,
  cut: Failure | undefined,
  how: Pick<CallReport, 'source' | 'persisted'>,
): CallReport {
  if (cut === undefined) return one.succeed(how)
  return one.fail(deliveredEnd(cut, how.source, one.task.options))
}

/** Ends the span and the report, and marks the error as given up by a steadycall layer. */
function failed<T>(one: LogicalCall<T>, error: unknown): CallError {
  const known = isCallError(error) ? error : unexpectedError(one, error)
  attachReport(known, one.fail(endOf(known)))
  brandExhausted(known)
  return known
}
