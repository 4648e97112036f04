import type { Clock, Deadline } from '../time.ts'

/** Why an attempt was cut short by us, not by the provider. */
export type Ended = 'timeout' | 'deadline' | 'aborted'

export interface BoundsRequest {
  readonly clock: Clock
  /** For this attempt. */
  readonly timeoutMs: number
  /** Of the call; may move later while callers join. */
  readonly deadline: Deadline
  readonly signal: AbortSignal | undefined
}

/** One attempt's limits: its timeout, the call's deadline and the caller's signal, as one signal. */
export interface Bounds {
  /** Aborts when the first limit is reached. */
  readonly signal: AbortSignal
  /** Which one it was. */
  readonly ended: Ended | undefined
  /** Settles like the work, or rejects at once when a limit is reached, whatever the work does. */
  race<T>(work: PromiseLike<T>): Promise<T>
  /** Takes the clock off: the rest of a stream has limits of its own. */
  disarm(): void
  /** Frees the timer and the listener. */
  dispose(): void
}

/** Starts the limits of one attempt. Always `dispose()` of it. */
export function boundAttempt({ clock, timeoutMs, deadline, signal }: BoundsRequest): Bounds {
  const controller = new AbortController()
  const timeoutAtMs = clock.monotonicMs() + timeoutMs
  let ended: Ended | undefined
  let cancelTimer: (() => void) | undefined
  // Not one promise that all of them race with: it would keep what each of them came to until the end.
  const racing = new Set<(reason: unknown) => void>()

  const end = (why: Ended, reason: unknown) => {
    if (ended !== undefined) return
    ended = why
    controller.abort(reason)
    for (const cut of racing) cut(reason)
    racing.clear()
  }
  const arm = () => {
    const ownMs = timeoutAtMs - clock.monotonicMs()
    cancelTimer = clock.schedule(Math.min(ownMs, deadline.remainingMs()), () => {
      const timedOut = clock.monotonicMs() >= timeoutAtMs
      if (timedOut) end('timeout', timeoutReason(`no complete answer within ${timeoutMs} ms`))
      else if (deadline.remainingMs() <= 0) end('deadline', timeoutReason('deadline exceeded'))
      // A caller with a later deadline has joined since.
      else arm()
    })
  }
  const onAbort = () => end('aborted', signal?.reason)
  arm()
  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort, { once: true })

  return {
    signal: controller.signal,
    get ended() {
      return ended
    },
    race: (work) =>
      new Promise((resolve, reject) => {
        if (ended === undefined) racing.add(reject)
        else reject(controller.signal.reason)
        const settled =
          <V>(settle: (how: V) => void) =>
          (how: V) => {
            racing.delete(reject)
            settle(how)
          }
        work.then(settled(resolve), settled(reject))
      }),
    disarm: () => cancelTimer?.(),
    dispose() {
      cancelTimer?.()
      signal?.removeEventListener('abort', onAbort)
    },
  }
}

function timeoutReason(message: string): DOMException {
  return new DOMException(message, 'TimeoutError')
}
