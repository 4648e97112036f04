import type { Label, Tape } from '../call/job.ts'
import type { Failure } from '../errors/call-error.ts'
import { type Executed, FAILURE_KINDS } from '../errors/failure-kinds.ts'
import type { Keeping } from '../idempotency/kept-result.ts'
import { type Flight, type OnceRequest, once, type WorkOutcome } from '../idempotency/once.ts'
import { TOO_LARGE } from '../idempotency/once-errors.ts'
import type { Deadline } from '../time.ts'
import { withoutUndefined } from '../without-undefined.ts'
import { OwnerReader } from './owner-reader.ts'
import { type Recorded, Recording } from './recording.ts'
import { decodeChunks, type StoredStream } from './stored-stream.ts'

export interface StreamOnceRequest<T> {
  readonly tape: Tape<T>
  readonly protocol: StreamProtocol
  /** Opens the stream, up to its first content. */
  open(flight: Flight): Promise<WorkOutcome<T>>
}

/** The idempotency protocol's view of the call, but for its work. */
export interface StreamProtocol extends Omit<OnceRequest<never>, 'work' | 'encode' | 'decode'> {
  readonly keeping: Keeping
  readonly label: Label
}

/** How a streamed call under a key began. */
export type Begun<T> =
  /** With a stream of its own, which goes on. */
  | { readonly type: 'live'; readonly value: T; readonly over: Promise<StreamOver> }
  /** With a whole stream, from elsewhere. */
  | {
      readonly type: 'kept'
      readonly value: T
      readonly stream: StoredStream
      readonly source: 'store' | 'shared'
      readonly persisted: boolean
    }

/** How the call behind a live stream ended. */
export interface StreamOver {
  /** Undefined: the stream was whole, or its reader left. */
  readonly failure: Failure | undefined
  /** False also for a reader who left before the end. */
  readonly persisted: boolean
}

/**
 * A streamed call under a key. To the protocol the work ends with the stream, so that all it
 * promises of a call holds for a stream: one owner, joiners and waiters who get the whole result, a
 * lease renewed until then, and nothing kept of what did not end well. Only the caller whose call
 * it is gets the stream as it comes: from its first content on, the rest goes on in the background.
 *
 * He stays in the flight while he reads, under no deadline any more. He leaves it with `break`, an
 * abort, or by losing the stream; it goes on for the others, or ends when there are none. Work that
 * has to be run again, after a lost lease, is not for him: he has the beginning of another answer.
 * @throws {CallError} as `once` does, for what happened before the first content.
 */
export async function streamOnce<T>(request: StreamOnceRequest<T>): Promise<Begun<T>> {
  const { tape, protocol } = request
  const place = new Place(protocol)
  let deliver: (begun: Delivered<T>) => void = () => {}
  const delivered = new Promise<Delivered<T>>((resolve) => {
    deliver = resolve
  })
  const done = once<Result>({
    ...protocol,
    signal: place.signal,
    deadline: place.deadline,
    encode: ({ text }) => (text === TOO_LARGE ? text : protocol.label.write(text)),
    decode(told, source) {
      const text = protocol.label.read(told, source)
      return { text, stream: decodeChunks(text) }
    },
    async work(flight) {
      const opened = await request.open(flight)
      if (!opened.ok) {
        // A stream that never came has no text to be kept.
        const { late: _, ...failed } = opened
        return failed
      }
      const { value } = opened
      const recording = recordingOf(request, value, flight)
      if (place.take()) deliver({ value, recording })
      else recording.drop()
      const recorded = await recording.run()
      // It was stopped, and may be run again for the others.
      if (!recorded.ok && flight.signal.aborted) place.leave(flight.signal.reason)
      return outcomeOf(recorded, flight, protocol.origin)
    },
  })
  try {
    const first = await Promise.race([delivered, done])
    return 'recording' in first ? live(request, first, place, done) : await kept(tape, first)
  } catch (error) {
    // The stream may have come in the very moment the caller had to go.
    void delivered.then(({ recording }) => recording.drop())
    throw error
  } finally {
    place.close()
  }
}

/** To the protocol, the result is the text; whoever gets it from elsewhere has it decoded. */
interface Result {
  readonly text: string | typeof TOO_LARGE
  readonly stream?: StoredStream
}

interface Delivered<T> {
  readonly value: T
  readonly recording: Recording
}

type Done = Awaited<ReturnType<typeof once<Result>>>

function recordingOf<T>(
  { tape, protocol }: StreamOnceRequest<T>,
  value: T,
  { signal, tooLarge }: Flight,
): Recording {
  return new Recording({
    stream: tape.streamOf(value),
    maxBytes: protocol.keeping.maxBytes,
    signal,
    onTooLarge: tooLarge,
    broken: (error) => tape.broken(error, signal),
  })
}

function live<T>(
  { tape, protocol }: StreamOnceRequest<T>,
  { value, recording }: Delivered<T>,
  place: Place,
  done: Promise<Done>,
): Begun<T> {
  const { signal } = protocol
  const over = done.then(
    // `store`: somebody took over, and it is his result that is kept.
    // All of the answer may have come before its reader left, read or not.
    ({ source, persisted }) => ({
      failure: reader.stopped?.failure,
      persisted: persisted && source === 'provider',
    }),
    () => ({ failure: failureOf(reader, recording), persisted: false }),
  )
  const reader: OwnerReader = new OwnerReader({
    recording,
    choices: tape.choices,
    signal,
    leave: (reason) => place.leave(reason),
    over,
    toCallerError: tape.toCallerError,
  })
  return { type: 'live', value: tape.live(value, reader), over }
}

/** What the call failed with: for its caller, whose stream is his own, whatever the protocol says. */
function failureOf({ stopped }: OwnerReader, { end }: Recording): Failure | undefined {
  return stopped === undefined ? end?.broken?.failure : stopped.failure
}

async function kept<T>(tape: Tape<T>, { value, source, persisted }: Done): Promise<Begun<T>> {
  const { stream } = value
  if (stream === undefined || source === 'provider') {
    throw new Error('A stream of this call ended before it began')
  }
  return {
    type: 'kept',
    value: await tape.replay(stream.chunks, source),
    stream,
    source,
    persisted,
  }
}

/** What the protocol is told: as `giveUp` says it of other work, of which something was executed. */
function outcomeOf(
  recorded: Recorded,
  { onUncertain }: Flight,
  origin: string | undefined,
): WorkOutcome<Result> {
  if (recorded.ok) return { ok: true, value: { text: recorded.text } }
  const { failure, error } = recorded
  const { kind, retryAfterMs, status } = failure
  const executed: Executed = failure.executed === 'yes' ? 'yes' : 'maybe'
  const { permanent } = FAILURE_KINDS[kind]
  const doubtful = executed === 'maybe' || !permanent
  const uncertain = onUncertain === 'fail' && doubtful
  const told = uncertain ? 'outcome_unknown' : kind
  return {
    ok: false,
    error,
    disposition: uncertain ? 'uncertain' : permanent ? 'keep' : 'release',
    doubtful,
    notice: withoutUndefined({ kind: told, executed, retryAfterMs, status, origin }),
  }
}

/** The caller's place in the flight: under his own signal and deadline until he has his stream. */
class Place {
  readonly #request: Pick<OnceRequest<never>, 'signal' | 'deadline'>
  readonly #leaving = new AbortController()
  #state: 'waiting' | 'reading' | 'over' = 'waiting'

  constructor(request: Pick<OnceRequest<never>, 'signal' | 'deadline'>) {
    this.#request = request
    const { signal } = request
    if (signal?.aborted) this.leave(signal.reason)
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#leaving.signal
  }

  /** It governs a stream only until its first delivery. */
  readonly deadline: Deadline = {
    remainingMs: () =>
      this.#state === 'reading' ? Number.POSITIVE_INFINITY : this.#request.deadline.remainingMs(),
  }

  /** True once, for a caller who still waits: the stream is his. */
  take(): boolean {
    if (this.#state !== 'waiting' || this.#leaving.signal.aborted) return false
    // He has been told that his time is up, or is about to be: his place would end in mid-stream.
    if (this.deadline.remainingMs() <= 0) return false
    this.#state = 'reading'
    return true
  }

  leave(reason: unknown): void {
    this.#leaving.abort(reason)
  }

  /** He has his stream, which takes care of his signal from now on; or nothing more to wait for. */
  close(): void {
    if (this.#state === 'waiting') this.#state = 'over'
    this.#request.signal?.removeEventListener('abort', this.#onAbort)
  }

  readonly #onAbort = (): void => {
    // From the moment it is his, the stream sees the abort itself.
    if (this.#state !== 'reading') this.leave(this.#request.signal?.reason)
  }
}
