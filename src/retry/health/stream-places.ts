/** How a stream is being read. Apart from the stream, which must be free to become garbage. */
export interface ReadingPace {
  /** How long its reader has not asked for more, milliseconds; 0 while it waits for the provider. */
  idleForMs(): number
}

/** A reader idle for this long may have stopped, or may wait for a call that needs this place. */
const IDLE_MS = 5_000
const LOOK_EVERY_MS = 1_000

/** The places in flight that streams hold, until they end or their readers go idle. */
export class StreamPlaces {
  readonly #open = new Set<Place>()
  /** Found idle by the latest look. */
  #idle: Place[] = []
  #nextLookMs = -Infinity

  /** Returns the function for the stream's end. `leave` runs once: then, or when the reader is idle. */
  hold(pace: ReadingPace, leave: () => void): () => void {
    const place = { pace, leave }
    this.#open.add(place)
    return () => {
      if (this.#open.delete(place)) leave()
    }
  }

  /** Takes back places of streams whose readers are idle, while they are needed. */
  takeIdle(isNeeded: () => boolean, nowMs: number): void {
    if (nowMs >= this.#nextLookMs) {
      this.#nextLookMs = nowMs + LOOK_EVERY_MS
      this.#idle = [...this.#open].filter(isIdle)
    }
    while (this.#idle.length > 0 && isNeeded()) {
      const place = this.#idle.pop()
      // It may have ended since, or be read again.
      if (place !== undefined && isIdle(place) && this.#open.delete(place)) place.leave()
    }
  }

  /** When to look again while a call waits for a place. */
  nextLookMs(nowMs: number): number {
    if (this.#open.size === 0) return Infinity
    return this.#nextLookMs > nowMs ? this.#nextLookMs : nowMs + LOOK_EVERY_MS
  }
}

interface Place {
  readonly pace: ReadingPace
  readonly leave: () => void
}

function isIdle({ pace }: Place): boolean {
  return pace.idleForMs() >= IDLE_MS
}
