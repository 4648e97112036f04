/** How a stream is being read. Separate from the stream, so that the stream can be garbage-collected. */
export interface ReadingPace {
  /** For how long the reader has not asked for more, in milliseconds; 0 while it waits for the provider. */
  idleForMs(): number
}

/** A reader idle for this long may have stopped reading, or may itself wait for a call that needs this place. */
const IDLE_MS = 5_000
const LOOK_EVERY_MS = 1_000

/** The places in flight occupied by streams, until they end or their readers are idle. */
export class StreamPlaces {
  readonly #open = new Set<StreamPlace>()
  /** Streams found idle by the latest check. */
  #idle: StreamPlace[] = []
  #nextLookMs = -Infinity

  /** Call the returned function when the stream ends. `leave` is called once: then, or when the reader is idle. */
  hold(pace: ReadingPace, leave: () => void): () => void {
    const place = { pace, leave }
    this.#open.add(place)
    return () => {
      if (this.#open.delete(place)) leave()
    }
  }

  /** Takes back places of streams with idle readers for as long as places are needed. */
  takeIdle(isNeeded: () => boolean, nowMs: number): void {
    if (nowMs >= this.#nextLookMs) {
      this.#nextLookMs = nowMs + LOOK_EVERY_MS
      this.#idle = [...this.#open].filter(isIdle)
    }
    while (this.#idle.length > 0 && isNeeded()) {
      const place = this.#idle.pop()
      // It may have ended meanwhile, or be read again.
      if (place !== undefined && isIdle(place) && this.#open.delete(place)) place.leave()
    }
  }

  /** When to check again while a call waits for a place. */
  nextLookMs(nowMs: number): number {
    if (this.#open.size === 0) return Infinity
    return this.#nextLookMs > nowMs ? this.#nextLookMs : nowMs + LOOK_EVERY_MS
  }
}

interface StreamPlace {
  readonly pace: ReadingPace
  readonly leave: () => void
}

function isIdle({ pace }: StreamPlace): boolean {
  return pace.idleForMs() >= IDLE_MS
}
