/** How a stream is being read. Apart from the stream, which must be free to become garbage. */
export interface ReadingPace {
  /** How long its reader has not asked for more, milliseconds; 0 while it waits for the provider. */
  idleForMs(): number
}

/** A reader that has not asked for so long may have stopped, or wait for a call that waits for its place. */
const IDLE_MS = 5_000
const LOOK_EVERY_MS = 1_000

/** The places in flight that streams hold: to their ends, or until nobody reads on. */
export class StreamPlaces {
  readonly #open = new Set<{ readonly pace: ReadingPace; readonly leave: () => void }>()

  /** Returns what ends it; only the first time counts, its own end or an idle reader. */
  hold(pace: ReadingPace, leave: () => void): () => void {
    const place = { pace, leave }
    this.#open.add(place)
    return () => {
      if (this.#open.delete(place)) leave()
    }
  }

  /** Takes their places from those that nobody reads on. */
  takeIdle(): void {
    for (const place of this.#open) {
      if (place.pace.idleForMs() < IDLE_MS) continue
      this.#open.delete(place)
      place.leave()
    }
  }

  /** When to look again, where somebody waits for a place. */
  nextLookMs(nowMs: number): number {
    return this.#open.size === 0 ? Infinity : nowMs + LOOK_EVERY_MS
  }
}
