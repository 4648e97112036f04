import type { Waiting } from '../../call/limits.ts'
import { inTurns, type Resting } from '../../output/work.ts'
import { type Clock, soon } from '../../time.ts'

/** Without a limit: for an answer that came when all callers had left, and is kept for later ones. */
export function waitingForOthers(clock: Clock): Waiting {
  return { clock, signal: undefined, deadline: { remainingMs: () => Number.POSITIVE_INFINITY } }
}

/** No caller waits for the answer any longer. */
export class ReadingEnded extends Error {
  override readonly name = 'ReadingEnded'
  readonly kind: 'aborted' | 'deadline'

  constructor({ signal }: Waiting) {
    super('the answer was not read to its end', { cause: signal?.reason })
    this.kind = signal?.aborted === true ? 'aborted' : 'deadline'
  }
}

function isOver({ signal, deadline }: Waiting): boolean {
  return signal?.aborted === true || deadline.remainingMs() <= 0
}

/**
 * Reads while a caller waits for it. Other code gets its turn of the event loop every few milliseconds, so
 * that signals and deadlines are heard of.
 * @throws {ReadingEnded}
 */
export function readInTurns<T>(work: Resting<T>, waiting: Waiting): Promise<T> {
  return inTurns(work, async () => {
    await new Promise<void>(soon)
    if (isOver(waiting)) throw new ReadingEnded(waiting)
  })
}

/** Settles as the user's own check does, while a caller waits for it. @throws {ReadingEnded} */
export function whileAwaited<T>(work: Promise<T>, waiting: Waiting): Promise<T> {
  const { clock, signal, deadline } = waiting
  return new Promise((resolve, reject) => {
    let cancel = () => {}
    const dispose = () => {
      cancel()
      signal?.removeEventListener('abort', look)
    }
    const look = (): void => {
      if (!isOver(waiting)) {
        // A caller with a later deadline may join meanwhile.
        cancel = clock.schedule(deadline.remainingMs(), look)
        return
      }
      dispose()
      reject(new ReadingEnded(waiting))
    }
    signal?.addEventListener('abort', look, { once: true })
    look()
    work.then(resolve, reject).finally(dispose)
  })
}
