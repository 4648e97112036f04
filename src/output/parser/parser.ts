import type { Resting, Work } from '../work.ts'
import { LIMITS } from './bounds.ts'
import type { Configuration } from './configuration.ts'
import { Guide } from './guide.ts'
import { behindComments } from './members.ts'
import { contentOf, type Reach } from './reach.ts'
import { type Cut, type Finished, NO_CUT, Search, type Stretch } from './search.ts'
import { MAX_LOOK, Source } from './source.ts'
import { Strict } from './strict.ts'
import { successors } from './successors.ts'
import { tailOf } from './tail.ts'

/** What a text turned out to be. */
export type Outcome =
  /** Readings of the value, the cheapest first; whether any stretch had several. */
  | {
      readonly kind: 'readings'
      readonly readings: readonly Finished[]
      readonly isGuessed: boolean
    }
  /** The text ends inside the value. */
  | { readonly kind: 'cut'; readonly insideString: boolean }
  | { readonly kind: 'refused'; readonly message: string }

/**
 * Reads a text that may be damaged JSON, from a given start, and says itself where the value ends. While the
 * text is JSON, or one of its dialects, there is one reading. At an anomaly the parser goes back a few tokens,
 * since the cause is often earlier than where it shows, and compares all readings that the table of edits
 * allows. The text can be fed in pieces; the outcome does not depend on them.
 */
export class TextParser {
  readonly source: Source
  readonly start: number
  #outcome: Outcome | undefined
  readonly #guide: Guide
  readonly #strict: Strict
  readonly #work: Work
  #isGuessed = false
  #cut: Cut = NO_CUT
  /** Whether the plain reading ran into the end. */
  #isPlainlyCut = false
  /** A step that saw the end of the text is not tried again before the text is so long. */
  #retryAt = 0

  /** Pieces of one text share their source. */
  constructor(schema: unknown, work: Work, start = 0, source: Source = new Source()) {
    this.start = start
    this.source = source
    this.#work = work
    this.#guide = new Guide(schema, (from, to) => contentOf(this.source, from, to))
    this.#strict = new Strict(this.source, start)
  }

  /** Adds a piece of the text. */
  feed(piece: string): void {
    this.source.append(piece)
  }

  /** Says that the text is complete. */
  end(): void {
    this.source.ended = true
    this.#retryAt = 0
  }

  /** The state up to which the text is certain: no later character changes how it is read. */
  get certain(): Configuration {
    return this.#strict.before()
  }

  /** Up to where the text was read. */
  get reached(): number {
    return this.#strict.pos
  }

  /** Reads as far as the text allows; undefined if there is more to come. */
  *read(): Resting<Outcome | undefined> {
    while (this.#outcome === undefined) {
      if (!this.source.ended && this.source.text.length < this.#retryAt) return undefined
      const from = this.#strict.pos
      const progress = this.#strict.step()
      if (this.#work.did(1 + (this.#strict.pos - from) / CHARS_A_STEP)) yield
      if (progress === 'read' && this.#strict.mode !== 'end') continue
      if (progress === 'end' && !this.source.ended) return undefined
      if (!(yield* this.#slow(progress))) return undefined
    }
    return this.#outcome
  }

  /** What is not plain JSON. False if more of the text is needed. */
  *#slow(progress: 'read' | 'stuck' | 'end'): Resting<boolean> {
    const { source } = this
    source.touchedEnd = false
    const next = this.#oneReading(progress)
    if (this.#work.did(STEPS_A_DIALECT)) yield
    if (source.touchedEnd && !source.ended) return this.#wait()
    if (next !== undefined) {
      if ('kind' in next) this.#outcome = next
      else this.#strict.take(next)
      return true
    }
    if (this.#cut.price < Infinity) {
      // A bracket was corrected, and now one is missing: the text is not cut, but damaged in another way.
      const isDamaged = this.#strict.state().brackets !== '' && this.#closesItself()
      // The last string may have lost a quote.
      const { insideString } = this.#cut
      const isShort = source.text.length - this.#strict.pos < MAX_LOOK
      if (insideString && isShort && !this.#isPlainlyCut && this.#closesItself()) {
        this.#isPlainlyCut = true
        this.#cut = NO_CUT
        return yield* this.#searched()
      }
      if (isDamaged) return this.#refuse('its brackets do not match')
      this.#outcome = { kind: 'cut', insideString: this.#cut.insideString }
      return true
    }
    return yield* this.#searched()
  }

  #wait(): false {
    const { length } = this.source.text
    this.#retryAt = length + Math.floor((length - this.#strict.pos) / WAIT_SHARE)
    this.#cut = NO_CUT
    return false
  }

  /** The only reading of the next token, or of the whole value, if it has one that leaves no doubt. */
  #oneReading(progress: 'read' | 'stuck' | 'end'): Configuration | Outcome | undefined {
    const now = this.#strict.state()
    const isSum = this.source.at(behindComments(this.source, now.pos)) === '+'
    if (now.mode === 'end' && !isSum) {
      const tail = tailOf(now, this.start, this.#reach(now))
      if (tail === undefined || tail.cost > 0) return undefined
      const finished = { configuration: tail.configuration, price: 0, end: tail.end }
      return { kind: 'readings', readings: [finished], isGuessed: this.#isGuessed }
    }
    if (progress === 'end' && now.frame !== undefined) {
      const rest = this.source.text.slice(now.pos).trimStart()
      this.#cut = { price: 0, insideString: rest.startsWith('"') }
      return undefined
    }
    const [only, ...others] = successors(now, this.#reach(now))
    const isOne = only !== undefined && others.length === 0 && only.cost - now.cost <= DIALECT
    return isOne ? only : undefined
  }

  #reach(now: Configuration): Reach {
    const { source } = this
    return {
      source,
      guide: this.#guide,
      isSearching: false,
      limit: now.cost + DIALECT,
      cut: (_, price, insideString) => {
        this.#cut = { price, insideString }
      },
    }
  }

  /** Compares the readings of a damaged stretch. False if more of the text is needed. */
  *#searched(): Resting<boolean> {
    const { source } = this
    const spent = this.#work.reading
    if (spent.stretches >= LIMITS.stretches)
      return this.#refuse(`more than ${LIMITS.stretches} places are damaged`)
    const base = this.#strict.before()
    const search = new Search(base, this.#strict.pos, this.start, source, this.#guide)
    let stretch: Stretch | undefined
    while (stretch === undefined) {
      stretch = search.step()
      if (this.#work.did(STEPS_A_READING)) yield
      if (source.touchedEnd && !source.ended) {
        return this.#wait()
      }
    }
    this.#isGuessed = true
    spent.stretches += 1
    spent.steps += search.steps
    if (spent.steps > LIMITS.steps || stretch.kind === 'too much') {
      return this.#refuse('reading it takes too many steps')
    }
    return this.#settle(stretch)
  }

  #settle(stretch: Stretch): boolean {
    switch (stretch.kind) {
      case 'committed':
        this.#strict.commit(stretch.configuration)
        return true
      case 'ambiguous':
      case 'too much':
        return this.#refuse('its syntax allows several readings')
      case 'finished':
        return this.#finish(stretch.readings, stretch.cut)
    }
  }

  #finish(readings: readonly Finished[], cut: Cut): boolean {
    const sorted = readings.toSorted((a, b) => a.price - b.price)
    const [best] = sorted
    const isCut =
      best === undefined
        ? cut.price <= LIMITS.cutPrice && (this.#isPlainlyCut || !this.#closesItself())
        : cut.price + LIMITS.cutMargin <= best.price
    if (isCut) this.#outcome = { kind: 'cut', insideString: cut.insideString }
    else if (best === undefined) return this.#refuse('its syntax has no single repair')
    else this.#outcome = { kind: 'readings', readings: sorted, isGuessed: true }
    return true
  }

  /** Whether the text ends in the bracket that the value began with. */
  #closesItself(): boolean {
    const { text } = this.source
    return text.trimEnd().endsWith(text.charAt(this.start) === '{' ? '}' : ']')
  }

  #refuse(message: string): boolean {
    this.#outcome = { kind: 'refused', message: `expected JSON, and ${message}` }
    return true
  }
}

/** The highest price of an edit that has one reading. */
const DIALECT = 0.35
const CHARS_A_STEP = 16
const STEPS_A_DIALECT = 10
const STEPS_A_READING = 250
const WAIT_SHARE = 8
