/** A call's request to its line for permission to send one attempt. */
export interface PermitRequest {
  /** Rank by arrival: the oldest call goes first, including its retries. */
  readonly order: number
  /** Number of requests the call has sent: the call with the fewest sends the next probe. */
  readonly requests: number
  /** When the call's own backoff or hint ends, on the monotonic clock. */
  readonly notBeforeMs: number
  /** When the call gives up, because its patience or its deadline ends. */
  readonly latestMs: number
  /** Whether it repeats an attempt that may have been executed, which needs a token of the retry budget. */
  readonly paying: boolean
  /** Whether an attempt in flight waits for this call, so that no learned limit may hold it. */
  readonly nested: boolean
  /**
   * Whether that attempt occupies a place in this line, so that a limit set by hand would make it wait for
   * itself.
   * @default false
   */
  readonly reentrant?: boolean
  /** Whether `maxWaitMs` is 0: then neither learned limits nor the retry budget hold it. */
  readonly impatient: boolean
  /** Whether it yields to calls that are not bulk. */
  readonly bulk: boolean
  /** Estimated tokens of the request; used only if tokens are counted. */
  readonly tokens: number
}

/** An ordinary new call. */
export const PLAIN_REQUEST: PermitRequest = {
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

/** What holds a call back; `backoff` is its own wait. */
export type HeldBy = 'hint' | 'down' | 'limit' | 'budget' | 'backoff'

/** Permission to send: the number of the attempt among all attempts sent to this target. */
export type Ticket = number

/** The call did not get permission to send. */
export interface PermitRefusal {
  readonly by: HeldBy
  /**
   * - `patience`: it has waited as long as it may
   * - `hopeless`: the target has been down for minutes, or the line is far too long
   * - `too_long`: a hint ends after the call's patience
   * - `full`: too many calls are already waiting
   * - `aborted`: by the caller
   */
  readonly why: 'patience' | 'hopeless' | 'too_long' | 'full' | 'aborted'
}

export type TicketOrRefusal = Ticket | PermitRefusal

/** A waiting call. */
export class WaitingCall {
  readonly request: PermitRequest
  hasLeft = false
  /** Whether it waits only briefly, because it has no prospect of its turn. */
  readonly isHopeless: boolean
  /** The heap it is in: that of calls in their own backoff, or one of those that are ready. */
  heap: Heap<WaitingCall> | undefined
  readonly #settle: (outcome: TicketOrRefusal) => void

  constructor(
    request: PermitRequest,
    isHopeless: boolean,
    settle: (outcome: TicketOrRefusal) => void,
  ) {
    this.request = request
    this.isHopeless = isHopeless
    this.#settle = settle
  }

  leave(outcome: TicketOrRefusal): void {
    this.hasLeft = true
    this.#settle(outcome)
  }
}

const byOrder = (a: WaitingCall, b: WaitingCall) => a.request.order < b.request.order
const byRequests = (a: WaitingCall, b: WaitingCall) =>
  a.request.requests === b.request.requests
    ? byOrder(a, b)
    : a.request.requests < b.request.requests

/** At least one of this many freed places goes to a bulk call. */
const BULK_EVERY = 20

/** In order of precedence. */
const LANES = ['reentrant', 'nested', 'normal', 'bulk'] as const
type Lane = (typeof LANES)[number]

/** Which calls the concurrency limits let through: all, nested and reentrant ones, or reentrant ones only. */
export type Room = 'all' | 'nested' | 'reentrant'
const LANES_WITH: Record<Room, readonly Lane[]> = {
  all: LANES,
  nested: ['reentrant', 'nested'],
  reentrant: ['reentrant'],
}

/** The waiting calls, in the order in which they are to be sent. */
export class Queue {
  readonly #free = laneHeaps()
  readonly #paying = laneHeaps()
  readonly #delayed = new Heap<WaitingCall>((a, b) => a.request.notBeforeMs < b.request.notBeforeMs)
  readonly #patience = new Heap<WaitingCall>((a, b) => a.request.latestMs < b.request.latestMs)
  readonly #counts: Record<Lane, number> = { reentrant: 0, nested: 0, normal: 0, bulk: 0 }
  #size = 0
  /** The number of the next call to be sent, counted from 1. */
  #turns = 1

  get size(): number {
    return this.#size
  }

  /**
   * About how many calls go before this one. Calls that yield to it do not count; in its own lane none do if
   * it is a retry that keeps its place at the front.
   */
  before(request: PermitRequest): number {
    const own = laneOf(request)
    let before = 0
    for (const lane of LANES) {
      if (lane === own) break
      before += this.#counts[lane]
    }
    const first = this.#first(own, true)
    return first !== undefined && request.order < first.request.order
      ? before
      : before + this.#counts[own]
  }

  add(waiting: WaitingCall, nowMs: number): void {
    this.#size += 1
    this.#counts[laneOf(waiting.request)] += 1
    this.#patience.add(waiting)
    const isDelayed = waiting.request.notBeforeMs > nowMs
    this.#put(waiting, isDelayed ? this.#delayed : this.#heapOf(waiting.request))
  }

  /** Removes a call that got permission to send. */
  sent(waiting: WaitingCall): void {
    this.left(waiting)
    this.#turns += 1
  }

  /** Removes a call that has left for any reason. */
  left(waiting: WaitingCall): void {
    this.#size -= 1
    this.#counts[laneOf(waiting.request)] -= 1
    this.#patience.dropped()
    waiting.heap?.dropped()
  }

  /** Moves calls whose own wait has ended to the ready ones. */
  ripen(nowMs: number): void {
    for (;;) {
      const first = this.#delayed.first()
      if (first === undefined || first.request.notBeforeMs > nowMs) return
      this.#delayed.takeFirst()
      this.#put(first, this.#heapOf(first.request))
    }
  }

  /** The call whose patience ends first, if it ends by `untilMs`. */
  expired(untilMs: number): WaitingCall | undefined {
    const first = this.#patience.first()
    return first !== undefined && first.request.latestMs <= untilMs ? first : undefined
  }

  /** When the first call's patience ends. */
  get latestMs(): number {
    return this.#patience.first()?.request.latestMs ?? Infinity
  }

  /** When the next call's own wait or patience ends. */
  nextMs(): number {
    const ripe = this.#delayed.first()?.request.notBeforeMs ?? Infinity
    return Math.min(ripe, this.latestMs)
  }

  /** Whether any call waits only for the target, not for its own backoff. */
  hasReady(withToken: boolean): boolean {
    return LANES.some((lane) => this.#first(lane, withToken) !== undefined)
  }

  /** The next call to be sent. */
  next(room: Room, withToken: boolean): WaitingCall | undefined {
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
  prober(room: Room): WaitingCall | undefined {
    let best: WaitingCall | undefined
    for (const lane of LANES_WITH[room]) {
      for (const heaps of [this.#free, this.#paying]) {
        const first = heaps[lane].first()
        if (first !== undefined && (best === undefined || byRequests(first, best))) best = first
      }
    }
    return best
  }

  /** While the target is down, the call with the fewest requests goes first, then the oldest. */
  sortForProbes(probing: boolean): void {
    for (const heaps of [this.#free, this.#paying]) {
      for (const lane of LANES) heaps[lane].sort(probing ? byRequests : byOrder)
    }
  }

  #first(lane: Lane, withToken: boolean): WaitingCall | undefined {
    const free = this.#free[lane].first()
    const paying = withToken ? this.#paying[lane].first() : undefined
    if (free === undefined || paying === undefined) return free ?? paying
    return byOrder(paying, free) ? paying : free
  }

  #put(waiting: WaitingCall, heap: Heap<WaitingCall>): void {
    waiting.heap = heap
    heap.add(waiting)
  }

  #heapOf(request: PermitRequest): Heap<WaitingCall> {
    return (request.paying ? this.#paying : this.#free)[laneOf(request)]
  }
}

function laneOf({ reentrant, nested, bulk }: PermitRequest): Lane {
  if (reentrant === true) return 'reentrant'
  if (nested) return 'nested'
  return bulk ? 'bulk' : 'normal'
}

function laneHeaps(): Record<Lane, Heap<WaitingCall>> {
  return {
    reentrant: new Heap(byOrder),
    nested: new Heap(byOrder),
    normal: new Heap(byOrder),
    bulk: new Heap(byOrder),
  }
}

/** An item of a heap. */
export interface Leaving {
  /** Whether it is no longer wanted; the heap then drops it. */
  readonly hasLeft: boolean
}

/**
 * A binary heap: finds the first item by `isBefore` in O(1), adds or removes one in O(log n). An item that
 * leaves early is only marked, and dropped when it reaches the front or when half of the items have left. So
 * leaving costs O(1) on average and keeps nothing in memory for long.
 */
export class Heap<Item extends Leaving> {
  #isBefore: (a: Item, b: Item) => boolean
  #items: Item[] = []
  #left = 0

  constructor(isBefore: (a: Item, b: Item) => boolean) {
    this.#isBefore = isBefore
  }

  /** The first item that has not left. */
  first(): Item | undefined {
    for (;;) {
      const first = this.#items[0]
      if (first === undefined || !first.hasLeft) return first
      this.#left -= 1
      this.#takeFirst()
    }
  }

  add(item: Item): void {
    this.#items.push(item)
    this.#rise(this.#items.length - 1)
  }

  /** Removes the item that `first` has just returned. */
  takeFirst(): void {
    this.#takeFirst()
  }

  /** To be called when one of the items has left. */
  dropped(): void {
    this.#left += 1
    if (this.#left * 2 <= this.#items.length) return
    this.sort(this.#isBefore)
  }

  /** Changes the order. */
  sort(isBefore: (a: Item, b: Item) => boolean): void {
    const kept = this.#items.filter(({ hasLeft }) => !hasLeft)
    this.#isBefore = isBefore
    this.#items = []
    this.#left = 0
    for (const item of kept) this.add(item)
  }

  #takeFirst(): void {
    const last = this.#items.pop()
    if (last === undefined || this.#items.length === 0) return
    this.#items[0] = last
    this.#sink(0)
  }

  #rise(from: number): void {
    const items = this.#items
    // Safe: `from` is the index of an item, and so are its parents.
    const item = items[from] as Item
    let at = from
    while (at > 0) {
      const up = (at - 1) >> 1
      const parent = items[up] as Item
      if (!this.#isBefore(item, parent)) break
      items[at] = parent
      at = up
    }
    items[at] = item
  }

  #sink(from: number): void {
    const items = this.#items
    const item = items[from] as Item
    let at = from
    for (;;) {
      const left = items[2 * at + 1]
      if (left === undefined) break
      const right = items[2 * at + 2]
      const child = right !== undefined && this.#isBefore(right, left) ? right : left
      if (!this.#isBefore(child, item)) break
      items[at] = child
      at = child === left ? 2 * at + 1 : 2 * at + 2
    }
    items[at] = item
  }
}

/** The waiting calls that share a signal. */
interface SignalGroup {
  readonly calls: Set<WaitingCall>
  readonly listener: () => void
}

/**
 * The signals of the waiting calls. However many calls share a signal, it gets a single listener, because
 * adding one to a signal takes Node time linear in the number of its listeners.
 */
export class AbortSignals {
  readonly #groups = new Map<AbortSignal, SignalGroup>()
  readonly #onAbort: (calls: Iterable<WaitingCall>) => void

  constructor(onAbort: (calls: Iterable<WaitingCall>) => void) {
    this.#onAbort = onAbort
  }

  add(signal: AbortSignal, call: WaitingCall): void {
    const known = this.#groups.get(signal)
    if (known !== undefined) {
      known.calls.add(call)
      return
    }
    const calls = new Set([call])
    const listener = () => {
      this.#groups.delete(signal)
      this.#onAbort(calls)
    }
    signal.addEventListener('abort', listener, { once: true })
    this.#groups.set(signal, { calls, listener })
  }

  delete(signal: AbortSignal, call: WaitingCall): void {
    const group = this.#groups.get(signal)
    if (group === undefined) return
    group.calls.delete(call)
    if (group.calls.size > 0) return
    this.#groups.delete(signal)
    signal.removeEventListener('abort', group.listener)
  }
}
