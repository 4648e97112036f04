import { LIMITS } from './bounds.ts'
import type { Configuration } from './configuration.ts'
import type { Guide } from './guide.ts'
import { behindComments } from './members.ts'
import type { Reach } from './reach.ts'
import type { Source } from './source.ts'
import { successors } from './successors.ts'
import { type Tail, tailOf } from './tail.ts'

/** A reading of the whole value, and what its last damaged stretch cost. */
export interface Finished {
  readonly configuration: Configuration
  readonly price: number
  /** Where what belongs to the value ends. */
  readonly end: number
}

/** What a damaged stretch turned out to be. */
export type Stretch =
  | { readonly kind: 'committed'; readonly configuration: Configuration }
  | { readonly kind: 'finished'; readonly readings: readonly Finished[]; readonly cut: Cut }
  | { readonly kind: 'ambiguous' }
  | { readonly kind: 'too much' }

/** The cheapest reading that came to the end of the text inside the value. */
export interface Cut {
  readonly price: number
  readonly insideString: boolean
}

export const NO_CUT: Cut = { price: Infinity, insideString: false }

/** Compares all readings of a damaged stretch, by position: none is extended while another lies behind it. */
export class Search {
  steps = 0
  readonly #live: Configuration[] = []
  readonly #finished: Finished[] = []
  readonly #base: Configuration
  readonly #anomaly: number
  readonly #start: number
  readonly #reach: Reach
  readonly #source: Source
  #cut: Cut = NO_CUT
  #isAmbiguous = false
  /** How many tokens in a row were read in one way, without an edit. */
  #calm = 0

  constructor(base: Configuration, anomaly: number, start: number, source: Source, guide: Guide) {
    this.#base = base
    this.#anomaly = anomaly
    this.#start = start
    this.#source = source
    this.#reach = {
      source,
      guide,
      isSearching: true,
      limit: base.cost + LIMITS.cap,
      cut: (c, cost, insideString) => {
        const price = this.#priceOf(c) + cost
        if (price < this.#cut.price) this.#cut = { price, insideString }
      },
    }
    this.#live.push({ ...base, hash: 0 })
  }

  /** Extends the reading that lies furthest behind; a result once there is one. */
  step(): Stretch | undefined {
    const next = this.#furthestBehind()
    if (next === undefined) return this.#result()
    this.steps += 1
    if (this.steps > LIMITS.stepsPerStretch) return { kind: 'too much' }
    for (const successor of successors(next, this.#reach)) this.#insert(successor)
    this.#prune()
    if (this.#isAmbiguous) return { kind: 'ambiguous' }
    const [only] = this.#live
    const isOnly = this.#live.length === 1 && this.#finished.length === 0
    this.#calm = isOnly && only?.edits === next.edits ? this.#calm + 1 : 0
    if (
      !isOnly ||
      only === undefined ||
      this.#calm < (only.torn ? LIMITS.calm : 0) ||
      only.pos <= this.#anomaly
    )
      return undefined
    // A cut text must not be taken for one that lost a quote near its end.
    if (this.#cut.price + LIMITS.cutMargin <= this.#priceOf(only)) return this.#result([])
    return { kind: 'committed', configuration: { ...only, hash: 0, torn: false } }
  }

  #result(readings: readonly Finished[] = this.#finished): Stretch {
    return { kind: 'finished', readings, cut: this.#cut }
  }

  #priceOf(c: Configuration): number {
    return c.cost - this.#base.cost + c.mis - this.#base.mis
  }

  #furthestBehind(): Configuration | undefined {
    let best = 0
    for (let index = 1; index < this.#live.length; index += 1) {
      const one = this.#live[index]
      const known = this.#live[best]
      if (one === undefined || known === undefined) continue
      const isBehind = one.pos < known.pos
      if (isBehind || (one.pos === known.pos && this.#priceOf(one) < this.#priceOf(known)))
        best = index
    }
    return this.#live.splice(best, 1)[0]
  }

  #insert(c: Configuration): void {
    if (c.cost > this.#reach.limit || (c.frame?.depth ?? 0) > LIMITS.depth) return
    const isSum = c.mode === 'end' && this.#source.at(behindComments(this.#source, c.pos)) === '+'
    if (c.mode === 'end' && !isSum) {
      this.#finish(c)
      return
    }
    let alike = 0
    for (let index = this.#live.length - 1; index >= 0; index -= 1) {
      const other = this.#live[index]
      if (other === undefined || !isAtSamePlace(other, c)) continue
      const difference = this.#priceOf(c) - this.#priceOf(other)
      if (other.hash === c.hash) {
        if (difference >= 0) return
        this.#live.splice(index, 1)
      } else if (difference > LIMITS.margin + 0.6) return
      else if (difference < -LIMITS.margin - 0.6) this.#live.splice(index, 1)
      else alike += 1
    }
    if (alike >= LIMITS.variants) this.#isAmbiguous = true
    else this.#live.push(c)
  }

  #finish(c: Configuration): void {
    const tail: Tail | undefined = tailOf(c, this.#start, this.#reach)
    if (tail === undefined) return
    const price = this.#priceOf(c) + tail.cost
    if (tail.cost > 0 && (c.brackets !== '' || c.cost - this.#base.cost + tail.cost > LIMITS.cap))
      return
    const known = this.#finished.findIndex(
      (one) => one.end === tail.end && one.configuration.hash === c.hash,
    )
    const before = this.#finished[known]
    if (before !== undefined && before.price <= price) return
    if (before !== undefined) this.#finished.splice(known, 1)
    this.#finished.push({ configuration: tail.configuration, price, end: tail.end })
    if (this.#finished.length > LIMITS.finished) this.#isAmbiguous = true
  }

  /** Drops what is dearer than the cheapest reading by more than the beam. */
  #prune(): void {
    let least = Infinity
    for (const one of this.#live) least = Math.min(least, this.#priceOf(one))
    for (const { price } of this.#finished) least = Math.min(least, price)
    for (let index = this.#live.length - 1; index >= 0; index -= 1) {
      const one = this.#live[index]
      if (one !== undefined && this.#priceOf(one) > least + LIMITS.beam) this.#live.splice(index, 1)
    }
  }
}

function isAtSamePlace(a: Configuration, b: Configuration): boolean {
  return (
    a.pos === b.pos &&
    a.mode === b.mode &&
    a.fresh === b.fresh &&
    a.comma < 0 === b.comma < 0 &&
    a.frame?.shape === b.frame?.shape &&
    a.vague === b.vague
  )
}
