import { Heap } from './heap.ts'

/** What a call asks of its line: permission to send one attempt. */
export interface Wish {
  /** Rank by arrival: the oldest call goes first, with its retries too. */
  readonly order: number
  /** Requests that the call has sent: the call with the fewest sends the next probe. */
  readonly requests: number
  /** The call's own backoff or hint ends then, on the monotonic clock. */
  readonly notBeforeMs: number
  /** When the call gives up: its patience or its deadline ends. */
  readonly latestMs: number
  /** It repeats an attempt that may have been executed: it needs a token of the retry budget. */
  readonly paying: boolean
  /** An attempt in flight waits for it: no learned limit may hold it. */
  readonly nested: boolean
  /**
   * That attempt has its place in this line: a limit set by hand would have it wait for itself.
   * @default false
   */
  readonly reentrant?: boolean
  /** `maxWaitMs: 0`: neither what is learned nor the retry budget holds it. */
  readonly impatient: boolean
  /** It yields to calls that are not. */
  readonly bulk: boolean
  /** Estimated tokens of the request; read where tokens are counted. */
  readonly tokens: number
}

/** An ordinary new call. */
export const ANYBODY: Wish = {
  order: 0,
  requests: 0,
  notBeforeMs: 0,
  latestMs: 0,
  paying: false,
  nested: false,
  impatient: false,
  bulk: false,
  tokens: 0,
}

/** What holds a call back: `backoff` is its own wait. */
export type HeldBy = 'hint' | 'down' | 'limit' | 'budget' | 'backoff'

/** Permission to send: the attempt's number among all that were sent to this target. */
export type Ticket = number

/** A call got no permission to send. */
export interface NoLeave {
  readonly by: HeldBy
  /**
   * - `patience`: it has waited as long as it can
   * - `hopeless`: the target has been down for minutes, or the line is far too long
   * - `too_long`: a hint ends after its patience
   * - `full`: too many calls wait already
   * - `aborted`: by its caller
   */
  readonly why: 'patience' | 'hopeless' | 'too_long' | 'full' | 'aborted'
}

export type Outcome = Ticket | NoLeave

/** A waiting call. */
export class Waiting {
  readonly wish: Wish
  hasLeft = false
  /** It waits for a moment only: there is no prospect of its turn. */
  readonly isHopeless: boolean
  /** The calls that it stands among: those in their own backoff, or those that are ready. */
  heap: Heap<Waiting> | undefined
  readonly #settle: (outcome: Outcome) => void

  constructor(wish: Wish, isHopeless: boolean, settle: (outcome: Outcome) => void) {
    this.wish = wish
    this.isHopeless = isHopeless
    this.#settle = settle
  }

  leave(outcome: Outcome): void {
    this.hasLeft = true
    this.#settle(outcome)
  }
}

const byOrder = (a: Waiting, b: Waiting) => a.wish.order < b.wish.order
const byRequests = (a: Waiting, b: Waiting) =>
  a.wish.requests === b.wish.requests ? byOrder(a, b) : a.wish.requests < b.wish.requests

/** Bulk calls get at least this share of the places that come free. */
const BULK_EVERY = 20

/** The first goes before the others. */
const LANES = ['reentrant', 'nested', 'normal', 'bulk'] as const
type Lane = (typeof LANES)[number]

/** Whom the limits of calls in flight let through: all, nested calls, or reentrant ones only. */
export type Room = 'all' | 'nested' | 'reentrant'
const LANES_WITH: Record<Room, readonly Lane[]> = {
  all: LANES,
  nested: ['reentrant', 'nested'],
  reentrant: ['reentrant'],
}

/** The waiting calls, in the order in which they are sent. */
export class Queue {
  readonly #free = laneHeaps()
  readonly #paying = laneHeaps()
  readonly #delayed = new Heap<Waiting>((a, b) => a.wish.notBeforeMs < b.wish.notBeforeMs)
  readonly #patience = new Heap<Waiting>((a, b) => a.wish.latestMs < b.wish.latestMs)
  readonly #counts: Record<Lane, number> = { reentrant: 0, nested: 0, normal: 0, bulk: 0 }
  #size = 0
  /** Number of the next call that is sent, counted from 1. */
  #turns = 1

  get size(): number {
    return this.#size
  }

  /**
   * How many go before this call, about: all that yield to it left out, and none where it is a retry
   * that keeps a place at the front.
   */
  before(wish: Wish): number {
    const own = laneOf(wish)
    let before = 0
    for (const lane of LANES) {
      if (lane === own) break
      before += this.#counts[lane]
    }
    const first = this.#first(own, true)
    return first !== undefined && wish.order < first.wish.order
      ? before
      : before + this.#counts[own]
  }

  add(waiting: Waiting, nowMs: number): void {
    this.#size += 1
    this.#counts[laneOf(waiting.wish)] += 1
    this.#patience.add(waiting)
    const isDelayed = waiting.wish.notBeforeMs > nowMs
    this.#put(waiting, isDelayed ? this.#delayed : this.#heapOf(waiting.wish))
  }

  /** It has left, with permission to send. */
  sent(waiting: Waiting): void {
    this.left(waiting)
    this.#turns += 1
  }

  /** It has left, for whatever reason. */
  left(waiting: Waiting): void {
    this.#size -= 1
    this.#counts[laneOf(waiting.wish)] -= 1
    this.#patience.dropped()
    waiting.heap?.dropped()
  }

  /** Calls whose own wait has ended become ready. */
  ripen(nowMs: number): void {
    for (;;) {
      const first = this.#delayed.first()
      if (first === undefined || first.wish.notBeforeMs > nowMs) return
      this.#delayed.takeFirst()
      this.#put(first, this.#heapOf(first.wish))
    }
  }

  /** The call whose patience ends first, if it does so by then. */
  expired(untilMs: number): Waiting | undefined {
    const first = this.#patience.first()
    return first !== undefined && first.wish.latestMs <= untilMs ? first : undefined
  }

  /** When the first patience ends. */
  get latestMs(): number {
    return this.#patience.first()?.wish.latestMs ?? Infinity
  }

  /** When the next call's own wait ends, or its patience. */
  nextMs(): number {
    const ripe = this.#delayed.first()?.wish.notBeforeMs ?? Infinity
    return Math.min(ripe, this.latestMs)
  }

  /** Does any call wait for the target alone? */
  hasReady(withToken: boolean): boolean {
    return LANES.some((lane) => this.#first(lane, withToken) !== undefined)
  }

  /** The next call to be sent. */
  next(room: Room, withToken: boolean): Waiting | undefined {
    const reentrant = this.#first('reentrant', withToken)
    if (reentrant !== undefined || room === 'reentrant') return reentrant
    const nested = this.#first('nested', withToken)
    if (nested !== undefined || room === 'nested') return nested
    const normal = this.#first('normal', withToken)
    const bulk = this.#first('bulk', withToken)
    if (normal === undefined || bulk === undefined) return normal ?? bulk
    return this.#turns % BULK_EVERY === 0 ? bulk : normal
  }

  /** The call that sends the next probe. */
  prober(room: Room): Waiting | undefined {
    let best: Waiting | undefined
    for (const lane of LANES_WITH[room]) {
      for (const heaps of [this.#free, this.#paying]) {
        const first = heaps[lane].first()
        if (first !== undefined && (best === undefined || byRequests(first, best))) best = first
      }
    }
    return best
  }

  /** While the target is down the call with the fewest requests goes first, else the oldest. */
  sortForProbes(probing: boolean): void {
    for (const heaps of [this.#free, this.#paying]) {
      for (const lane of LANES) heaps[lane].sort(probing ? byRequests : byOrder)
    }
  }

  #first(lane: Lane, withToken: boolean): Waiting | undefined {
    const free = this.#free[lane].first()
    const paying = withToken ? this.#paying[lane].first() : undefined
    if (free === undefined || paying === undefined) return free ?? paying
    return byOrder(paying, free) ? paying : free
  }

  #put(waiting: Waiting, heap: Heap<Waiting>): void {
    waiting.heap = heap
    heap.add(waiting)
  }

  #heapOf(wish: Wish): Heap<Waiting> {
    return (wish.paying ? this.#paying : this.#free)[laneOf(wish)]
  }
}

function laneOf({ reentrant, nested, bulk }: Wish): Lane {
  if (reentrant === true) return 'reentrant'
  if (nested) return 'nested'
  return bulk ? 'bulk' : 'normal'
}

function laneHeaps(): Record<Lane, Heap<Waiting>> {
  return {
    reentrant: new Heap(byOrder),
    nested: new Heap(byOrder),
    normal: new Heap(byOrder),
    bulk: new Heap(byOrder),
  }
}
