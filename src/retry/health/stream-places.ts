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
  readonly #open = new Set<{ readonly pace: ReadingPace; readonly leave: () => void }>()

  /** Returns the function for the stream's end. `leave` runs once: then, or when the reader is idle. */
  hold(pace: ReadingPace, leave: () => void): () => void {
    const place = { pace, leave }
    this.#open.add(place)
    return () => {
      if (this.#open.delete(place)) leave()
    }
  }

  /** Takes back the places of streams whose readers are idle. */
  takeIdle(): void {
    for (const place of this.#open) {
      if (place.pace.idleForMs() < IDLE_MS) continue
      this.#open.delete(place)
      place.leave()
    }
  }

  /** When to look again while a call waits for a place. */
  nextLookMs(nowMs: number): number {
    return this.#open.size === 0 ? Infinity : nowMs + LOOK_EVERY_MS
  }
}
