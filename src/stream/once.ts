import type { Begun, OnceProtocol } from '../call/task.ts'
import type { Failure } from '../errors/call-error.ts'
import { type Executed, FAILURE_KINDS } from '../errors/failure-kinds.ts'
import { once } from '../idempotency/once.ts'
import { type Flight, TOO_LARGE, type WorkOutcome } from '../idempotency/protocol.ts'
import type { Deadline } from '../time.ts'
import { withoutUndefined } from '../without-undefined.ts'
import type { ChunkSource, ChunkStream, ReaderErrors } from './reader.ts'
import {
  type Broken,
  decodeChunks,
  KeptStream,
  type Recorded,
  RecordedStream,
  StreamRecording,
} from './recording.ts'
import type { Progress } from './watch.ts'

/** A stream as a result that can be kept: how it is taken from an answer, and made one again. */
export interface StreamAnswer<T> extends ReaderErrors {
  /** Of chunks that were judged on their way. */
  progress(): Progress
  /** Of chunks that have not been judged: those of a kept text. */
  judging(): Progress
  streamOf(value: T): ChunkStream
  /** The same answer, with the stream that its caller reads. */
  live(value: T, source: ChunkSource): T
  /** The answer that a kept stream is. */
  replay(kept: ChunkSource, source: 'store' | 'shared'): Promise<T>
  /** What broke it: from what it threw, if anything, and the signal of its flight. */
  broken(error: unknown, signal: AbortSignal): Broken
}

export interface StreamOnceRequest<T> {
  readonly answer: StreamAnswer<T>
  readonly protocol: OnceProtocol
  /** Opens the stream, up to its first content. */
  open(flight: Flight): Promise<WorkOutcome<T>>
}

/**
 * A streamed call under a key. To the protocol the work ends with the stream, so that all it
 * promises of a call holds for a stream: one owner, joiners and waiters that get the whole result, a
 * lease renewed until then, and nothing kept of what did not end well. Only its owner gets the stream
 * as it comes: from its first content on, the rest goes on in the background.
 *
 * The owner stays in the flight while it reads, under no deadline any more. It leaves with `break`,
 * an abort, or by losing the stream; that goes on for the others, or ends when there are none. Work
 * that has to be run again, after a lost lease, is not for the owner, which has the beginning of
 * another answer.
 * @throws {CallError} as `once` does, for what happened before the first content.
 */
export async function streamOnce<T>(request: StreamOnceRequest<T>): Promise<Begun<T>> {
  const { answer, protocol } = request
  const place = new OwnerPlace(protocol)
  let deliver: (begun: Delivered<T>) => void = () => {}
  const delivered = new Promise<Delivered<T>>((resolve) => {
    deliver = resolve
  })
  const done = once<RecordedText>({
    ...protocol,
    signal: place.signal,
    deadline: place.deadline,
    encode: ({ text }) => (text === TOO_LARGE ? text : protocol.label.write(text)),
    decode(told, source) {
      const text = protocol.label.read(told, source)
      const seen = answer.judging()
      return { text, kept: { chunks: decodeChunks(text, seen), seen } }
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
    return 'recording' in first ? live(request, first, place, done) : await kept(request, first)
  } catch (error) {
    // The stream may have come in the very moment the caller had to go.
    void delivered.then(({ recording }) => recording.drop())
    throw error
  } finally {
    place.close()
  }
}

/** To the protocol, the result is the text; a caller that gets it from elsewhere has it decoded. */
interface RecordedText {
  readonly text: string | typeof TOO_LARGE
  readonly kept?: { readonly chunks: readonly unknown[]; readonly seen: Progress }
}

interface Delivered<T> {
  readonly value: T
  readonly recording: StreamRecording
}

type Done = Awaited<ReturnType<typeof once<RecordedText>>>

function recordingOf<T>(
  { answer, protocol }: StreamOnceRequest<T>,
  value: T,
  { signal, tooLarge }: Flight,
): StreamRecording {
  return new StreamRecording({
    stream: answer.streamOf(value),
    progress: answer.progress(),
    maxBytes: protocol.keeping.maxBytes,
    signal,
    onTooLarge: tooLarge,
    broken: (error) => answer.broken(error, signal),
  })
}

function live<T>(
  { answer, protocol }: StreamOnceRequest<T>,
  { value, recording }: Delivered<T>,
  place: OwnerPlace,
  done: Promise<Done>,
): Begun<T> {
  const over = done.then(
    // `store`: another owner took over, and its result is the one that is kept.
    // All of the answer may have come before its reader left, read or not.
    ({ source, persisted }) => ({
      failure: stream.stopped?.failure,
      persisted: persisted && source === 'provider',
    }),
    () => ({ failure: failureOf(stream, recording), persisted: false }),
  )
  const stream: RecordedStream = new RecordedStream({
    recording,
    progress: answer.progress(),
    signal: protocol.signal,
    leave: (reason) => place.leave(reason),
    over,
    errors: answer,
  })
  return { type: 'live', value: answer.live(value, stream), over }
}

/** What the call failed with: for its owner, whose stream counts, whatever the protocol says. */
function failureOf({ stopped }: RecordedStream, { end }: StreamRecording): Failure | undefined {
  return stopped === undefined ? end?.broken?.failure : stopped.failure
}

async function kept<T>(
  { answer, protocol }: StreamOnceRequest<T>,
  { value, source, persisted }: Done,
): Promise<Begun<T>> {
  if (value.kept === undefined || source === 'provider') {
    throw new Error('A stream of this call ended before it began')
  }
  const { chunks, seen } = value.kept
  const { signal } = protocol
  const stream = new KeptStream({ chunks, progress: answer.progress(), signal, errors: answer })
  const replayed = await answer.replay(stream, source)
  return { type: 'kept', value: replayed, facts: seen.facts, source, persisted }
}

/** What the protocol is told: as `giveUp` says it of other work, of which something was executed. */
function outcomeOf(
  recorded: Recorded,
  { onUncertain }: Flight,
  origin: string | undefined,
): WorkOutcome<RecordedText> {
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

/** The owner's place in the flight: under its own signal and deadline until it has its stream. */
class OwnerPlace {
  readonly #request: Pick<OnceProtocol, 'signal' | 'deadline'>
  readonly #leaving = new AbortController()
  #state: 'waiting' | 'reading' | 'over' = 'waiting'

  constructor(request: Pick<OnceProtocol, 'signal' | 'deadline'>) {
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

  /** True once, for a caller that still waits: it owns the stream. */
  take(): boolean {
    if (this.#state !== 'waiting' || this.#leaving.signal.aborted) return false
    // It has been told that its time is up, or is about to be: its place would end in mid-stream.
    if (this.deadline.remainingMs() <= 0) return false
    this.#state = 'reading'
    return true
  }

  leave(reason: unknown): void {
    this.#leaving.abort(reason)
  }

  /** The owner has its stream, which sees to its signal from now on; or nothing more to wait for. */
  close(): void {
    if (this.#state === 'waiting') this.#state = 'over'
    this.#request.signal?.removeEventListener('abort', this.#onAbort)
  }

  readonly #onAbort = (): void => {
    // From the moment it is delivered, the stream sees the abort itself.
    if (this.#state !== 'reading') this.leave(this.#request.signal?.reason)
  }
}
