import { againAfter } from '../errors/again.ts'
import { CallError, type Failure, isCallError } from '../errors/call-error.ts'
import { FAILURE_KINDS } from '../errors/failure-kinds.ts'
import { keepingOf } from '../idempotency/kept-result.ts'
import { type OnceResult, once } from '../idempotency/once.ts'
import type { FailureNotice } from '../idempotency/store.ts'
import { attachReport, type CallReport } from '../report/call-report.ts'
import { closedFailure } from '../retry/stop-failure.ts'
import {
  isWatched,
  readOrigin,
  startCall,
  UNWATCHED_CALL,
  withOrigin,
} from '../telemetry/telemetry.ts'
import { type Deadline, deadlineAfter } from '../time.ts'
import { Ending } from './ending.ts'
import { explain } from './explain.ts'
import {
  type Begun,
  type Codec,
  isFunction,
  type Job,
  type Label,
  type OnceProtocol,
} from './job.ts'
import { type CallKey, resolveKey } from './key.ts'
import { brandExhausted, currentScope, currentTrace } from './nesting.ts'
import type { Waiting } from './reading.ts'
import { CallRecord, callError } from './record.ts'
import { joinedGivenUp } from './repetition.ts'
import { defaultStore } from './runtime.ts'
import { type CallContext, runWork, type WorkRequest } from './work.ts'

export interface CallResult<T> {
  readonly value: T
  readonly report: CallReport
  /** For a stream: calls back with the final report when it has ended. */
  onEnd?(listener: (report: CallReport) => void): void
}

/**
 * One logical call, top to bottom: deadline, key and span; then the key is claimed in the store and
 * its stored outcome replayed, a call in flight joined, or the work done here, attempt by attempt;
 * then the report. Only `runWork` sends anything, and at most `maxAttempts` times.
 * @throws {CallError} whatever went wrong.
 */
export async function call<T>(job: Job<T>, context: CallContext): Promise<CallResult<T>> {
  const { runtime, settings } = context
  const { clock } = runtime
  const deadline = deadlineAfter(clock, job.options.deadlineMs, currentScope()?.deadline)
  const key = resolveKey(job, settings, runtime)
  const span = startSpan(job, key, context)
  const { onEvent } = settings
  const record = new CallRecord({ operation: job.operation, key: key.text, span, clock, onEvent })
  try {
    if (context.closing?.isClosed) throw closedError(job, key, record)
    const work = (flight: WorkRequest<T>['flight']) =>
      runWork({ job, context, key, record, flight })
    const protocol = isKept(key) ? throughStore(job, context, { key, record, deadline }) : undefined
    if (protocol !== undefined && job.once !== undefined) {
      return reported(job, await job.once(protocol, work), record)
    }
    const { codec, options } = job
    if (protocol === undefined || codec === undefined) {
      const { signal, onUncertain } = options
      const done = await work({ signal, deadline, onUncertain })
      if (!done.ok) throw done.error
      return settle(job, done.value, OWN_WORK, record)
    }
    const done = await once({ ...protocol, ...labelled(codec, protocol.label), work })
    const { signal } = options
    const value = await checkedAgain(job, done, { key, record, clock, signal, deadline })
    return settle(job, value, done, record)
  } catch (error) {
    throw failed(error, key, record)
  }
}

type KeptKey = CallKey & { readonly fingerprint: string }

/** Only a key that the caller gave or had derived is kept. */
function isKept(key: CallKey): key is KeptKey {
  return key.fingerprint !== undefined
}

/** Done here, and not meant to be kept. */
const OWN_WORK = { source: 'provider', persisted: true } as const

/** The idempotency protocol's view of this call, but for the work and its result. */
function throughStore<T>(
  job: Job<T>,
  { runtime, settings }: CallContext,
  { key, record, deadline }: { key: KeptKey; record: CallRecord; deadline: Deadline },
): OnceProtocol {
  const { options } = job
  return {
    store: settings.store ?? defaultStore(runtime),
    flights: runtime.shared.flights,
    clock: runtime.clock,
    random: runtime.random,
    key: key.hash,
    idempotencyKey: key.text,
    fingerprint: key.fingerprint,
    onUncertain: options.onUncertain,
    onStoreError: options.onStoreError,
    ttlMs: options.ttlMs,
    ...(options.signal !== undefined && { signal: options.signal }),
    deadline,
    keeping: keepingOf(settings, key.hash, key.fingerprint),
    origin: record.span.traceparent,
    showsContent: record.span.showsContent,
    waiting: (leaseLeftMs) => record.tell?.({ type: 'claim-awaited', leaseLeftMs }),
    joined: (origin) => record.tell?.({ type: 'result-found', how: 'joined', origin }),
    label: {
      write: (text) => withOrigin(text, record.span.traceparent),
      read(kept, source) {
        const { text, origin } = readOrigin(kept)
        if (source === 'store') record.tell?.({ type: 'result-found', how: 'replayed', origin })
        return text
      },
    },
    failure(notice, source) {
      const how = source === 'store' ? 'replayed' : 'joined'
      record.tell?.({ type: 'result-found', how, origin: notice.origin })
      if (source === 'shared') joinedGivenUp(job, notice.kind)
      return noticeError(job, notice, source, key)
    },
  }
}

/** Results under a label. */
function labelled<T>({ encode, decode }: Codec<T>, label: Label): Codec<T> {
  return {
    encode: (value) => label.write(encode(value)),
    decode: (kept, source) => decode(label.read(kept, source), source),
  }
}

/** A failure that another caller met, as this one's error. */
function noticeError<T>(
  { name, targets, options }: Job<T>,
  { kind, executed = 'maybe', retryAfterMs, status }: FailureNotice,
  source: 'store' | 'shared',
  key: CallKey,
): CallError {
  const how = source === 'store' ? 'is kept under this key' : 'ended the call that this one joined'
  return new CallError({
    kind,
    message: `A failure (${kind}) at ${targets[0].host ?? name} ${how}.`,
    retryable: FAILURE_KINDS[kind].retry === 'yes',
    executed,
    status,
    retryAfterMs,
    onUncertain: options.onUncertain,
    idempotencyKey: key.text,
    source,
  })
}

/** A client that is closed makes no calls. */
function closedError<T>({ targets, name }: Job<T>, key: CallKey, record: CallRecord): CallError {
  const failure = closedFailure()
  const reason = 'aborted'
  const message = explain({
    failure,
    reason,
    where: targets[0].host ?? name,
    attempts: 0,
    elapsedMs: record.elapsedMs,
    remainingMs: 0,
    deterministic: false,
  })
  return callError(failure, message, { attempts: [], reason, key: key.text })
}

/** Everybody checks a kept or shared result against his own schema. */
async function checkedAgain<T>(
  job: Job<T>,
  done: OnceResult<T>,
  { key, record, ...waiting }: Waiting & { readonly key: CallKey; readonly record: CallRecord },
): Promise<T> {
  const { source, value } = done
  if (source === 'provider') return value
  if (job.replayedFacts !== undefined) record.replayed(job.replayedFacts(value))
  if (job.recheck === undefined) return value
  const checked = await job.recheck(value, waiting)
  if (checked.ok) return checked.value
  const { failure } = checked
  const message = explain({
    failure,
    reason: 'not_retryable',
    where: source === 'store' ? 'the store' : 'the joined call',
    attempts: 0,
    elapsedMs: record.elapsedMs,
    remainingMs: 0,
    deterministic: false,
  })
  throw callError(failure, message, { attempts: [], key: key.text, source })
}

function settle<T>(
  job: Job<T>,
  value: T,
  { source, persisted }: Pick<OnceResult<T>, 'source' | 'persisted'>,
  record: CallRecord,
): CallResult<T> {
  if (!record.streaming) {
    return { value, report: record.succeed({ source, persisted }, job.completionOf?.(value)) }
  }
  const end = new Ending<CallReport>()
  // A stream: the span stays open, and the report is not complete, until it has ended.
  record.streamEnd.whenEnded((failure) => {
    end.tell(
      failure === undefined
        ? record.succeed({ source, persisted })
        : record.fail(deliveredEnd(failure, source, job.options)),
    )
  })
  return {
    value,
    report: record.soFar({ source, persisted }),
    onEnd: (listener) => end.whenEnded(listener),
  }
}

/** The result of a streamed call under a key. A whole stream settles the call at once. */
function reported<T>(job: Job<T>, begun: Begun<T>, record: CallRecord): CallResult<T> {
  const { value } = begun
  if (begun.type === 'kept') {
    const { source, persisted, facts } = begun
    record.replayed(facts)
    return { value, report: record.succeed({ source, persisted }) }
  }
  const source = 'provider'
  const end = new Ending<CallReport>()
  void begun.over.then(({ failure, persisted }) =>
    end.tell(
      failure === undefined
        ? record.succeed({ source, persisted })
        : record.fail(deliveredEnd(failure, source, job.options)),
    ),
  )
  const report = record.soFar({ source, persisted: false })
  return { value, report, onEnd: (listener) => end.whenEnded(listener) }
}

/** A stream that broke in its caller's hands. */
function deliveredEnd(
  failure: Failure,
  source: CallReport['source'],
  { onUncertain }: Job<unknown>['options'],
) {
  const again = againAfter({ ...failure, onUncertain })
  return { ...failure, reason: 'delivered', source, again } as const
}

/** Ends the span and the report, and marks the error as given up by a steadycall layer. */
function failed(error: unknown, key: CallKey, record: CallRecord): CallError {
  const known = isCallError(error) ? error : unexpected(error, key, record)
  const report = record.fail(known)
  attachReport(known, report)
  brandExhausted(known)
  return known
}

/** A defect of ours, or a callback that broke its promise: never hidden, always with its cause. */
function unexpected(error: unknown, key: CallKey, record: CallRecord): CallError {
  const failure: Failure = {
    kind: 'unknown',
    retryable: false,
    executed: record.attempts.length === 0 ? 'no' : 'maybe',
    message: 'unexpected',
    cause: error,
  }
  const message = 'steadycall itself failed: see the cause, and please report it.'
  return callError(failure, message, { attempts: record.attempts, key: key.text })
}

function startSpan<T>(job: Job<T>, key: CallKey, { runtime, settings }: CallContext) {
  const { telemetry, targets, options } = job
  const { host, port } = targets[0]
  const around = currentTrace()
  if (!isWatched(around)) return UNWATCHED_CALL
  return startCall({
    operation: isFunction(job.face) ? 'run' : 'chat',
    name: job.name,
    clock: runtime.clock,
    key,
    isStored: isKept(key) && (job.codec !== undefined || job.once !== undefined),
    around,
    deadlineMs: options.deadlineMs,
    request: telemetry,
    providerName: telemetry?.providerName,
    host,
    port,
    // Left open, the standard environment variable decides; it is off by default.
    content: {
      capture: settings.telemetry?.captureContent,
      redact: settings.telemetry?.redact,
      messages: telemetry?.messages,
    },
  })
}
