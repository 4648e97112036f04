import type { Allowance } from '../../src/errors/hints.ts'
import { exponential } from './random.ts'
import type { VirtualTime } from './virtual-time.ts'

/** What is wrong with a provider for a while. */
export type Fault =
  /** Every request is refused at once with a 503. */
  | { readonly kind: 'unavailable' }
  /** Only this share of the slots works. */
  | { readonly kind: 'slow'; readonly slots: number }
  /** Every request is refused with a 429 that names the end of the fault as the reset. */
  | { readonly kind: 'limited' }
  /** Requests are swallowed: there is never an answer, nor any work. */
  | { readonly kind: 'silent' }
  /** This share of the requests fails at once, whatever the load; with a 500 where nothing is said. */
  | { readonly kind: 'failing'; readonly share: number; readonly status?: 500 | 503 }
  /** The rate limit is so many times what it usually is. */
  | { readonly kind: 'limit'; readonly times: number }

export interface TimedFault {
  readonly fromMs: number
  readonly untilMs: number
  readonly fault: Fault
}

export interface ProviderSettings {
  /** Requests computed at the same time. */
  readonly slots: number
  /** Mean of the exponential service time, milliseconds. */
  readonly serviceMs: number
  /** Requests that wait; one more is refused, without a hint. */
  readonly queue: number
  /** By what it refuses one more than the queue takes. @default 429 */
  readonly full?: 429 | 503
  readonly faults: readonly TimedFault[]
  /** Queued work whose caller is gone: computed all the same, or dropped. */
  readonly abandoned: 'computed' | 'dropped'
  /** A rate limit in tokens or requests. */
  readonly limit?: {
    readonly unit: 'tokens' | 'requests'
    readonly perMinute: number
    /**
     * `window`: counted per minute, refusals name its end. `rolling`: of the last minute, refusals
     * name when the oldest leaves it. `bucket`: refilled all the time and holding at most `burst`;
     * refusals say when this one request would fit, as if nobody else waited.
     */
    readonly style: 'window' | 'rolling' | 'bucket'
    /** What a bucket holds, in seconds of its refill. @default 10 */
    readonly burstS?: number
    /** @default 429 */
    readonly status?: 429 | 503
    /** The hint is so many times the truth; 0: there is none. @default 1 */
    readonly hintTimes?: number
    /** Every answer says what is left of it, as it was when its request came. @default false */
    readonly headers?: boolean
  }
  /** Answers are streams: their first chunk comes after this share of their time. */
  readonly firstChunkShare?: number
  /** Answers that are no JSON of the schema, as a share. */
  readonly malformed?: number
  /** Requests that take so much longer, as a share. */
  readonly slowTail?: { readonly share: number; readonly extraMs: number }
}

export interface Answer {
  readonly status: 200 | 429 | 500 | 503
  readonly retryAfterMs?: number
  /** Under 200: the text is not what the schema wants. */
  readonly malformed?: boolean
  /** What its headers say. */
  readonly allowances?: readonly Allowance[]
  /** Tokens that it was billed for, where its headers speak of limits. */
  readonly tokens?: number
  /** Of a stream, from its first chunk to its end, milliseconds. */
  readonly restMs?: number
}

/** A request under way. */
export interface Ticket {
  /** The caller has gone. What is computed already, or will be, is paid for all the same. */
  abandon(): void
}

interface Request {
  readonly reply: (answer: Answer) => void
  readonly serviceMs: number
  readonly tokens: number
  readonly answer: Answer
  abandoned: boolean
  started: boolean
}

/** A refusal costs no slot, only the way there and back, milliseconds. */
const REFUSAL_MS = 20
/** Tokens of one request and its answer: between these two, evenly. */
const TOKENS = { min: 1_000, max: 2_000 }

/** What a provider has done so far. */
export interface Work {
  attempts: number
  /** Service time of answers, milliseconds, and how much of it was for callers who had gone. */
  busyMs: number
  wastedMs: number
  /** Billed: everything that was computed to its end as a 200. */
  tokens: number
}

/**
 * A provider with slots, a bounded first-in-first-out queue and rate limits. It has no idea who is
 * asking: the same for all policies, with its own randomness.
 */
export class Provider {
  readonly work: Work = { attempts: 0, busyMs: 0, wastedMs: 0, tokens: 0 }
  readonly #time: VirtualTime
  readonly #random: () => number
  readonly #settings: ProviderSettings
  #queue: Request[] = []
  #head = 0
  #dropped = 0
  #busy = 0
  #window = { startMs: 0, used: 0 }
  /** What a rolling limit remembers: when, and how much. */
  readonly #taken: { readonly atMs: number; readonly need: number }[] = []

  constructor(time: VirtualTime, random: () => number, settings: ProviderSettings) {
    this.#time = time
    this.#random = random
    this.#settings = settings
    // Capacity that comes back is used at once, not with the next request.
    for (const { untilMs } of settings.faults) time.after(untilMs, () => this.#serve())
  }

  ask(reply: (answer: Answer) => void): Ticket {
    this.work.attempts += 1
    const random = this.#random
    const { serviceMs, slowTail } = this.#settings
    // Drawn for every request, refused or not, and always as many: the fate of one must not change
    // what the next one draws.
    const service = exponential(random, serviceMs)
    const tokens = TOKENS.min + random() * (TOKENS.max - TOKENS.min)
    const chance = random()
    const malformed = random() < (this.#settings.malformed ?? 0)
    const extraMs = slowTail !== undefined && random() < slowTail.share ? slowTail.extraMs : 0
    if (this.#fault()?.fault.kind === 'silent') return { abandon() {} }
    const refusal = this.#refusal(tokens, chance)
    if (refusal !== undefined) {
      const cancel = this.#time.after(REFUSAL_MS, () => reply(refusal))
      return { abandon: cancel }
    }
    const serviceTimeMs = service + extraMs
    const { firstChunkShare } = this.#settings
    const request: Request = {
      reply,
      serviceMs: serviceTimeMs,
      tokens,
      answer: {
        status: 200,
        ...(malformed && { malformed }),
        ...this.#headers(tokens),
        ...(firstChunkShare !== undefined && { restMs: serviceTimeMs * (1 - firstChunkShare) }),
      },
      abandoned: false,
      started: false,
    }
    this.#queue.push(request)
    this.#serve()
    return { abandon: () => this.#abandon(request) }
  }

  #refusal(tokens: number, chance: number): Answer | undefined {
    const fault = this.#fault()
    const { nowMs } = this.#time
    if (fault?.fault.kind === 'failing' && chance < fault.fault.share) {
      return { status: fault.fault.status ?? 500 }
    }
    if (fault?.fault.kind === 'unavailable') return { status: 503 }
    if (fault?.fault.kind === 'limited') {
      return { status: 429, retryAfterMs: fault.untilMs - nowMs }
    }
    const waiting = this.#queue.length - this.#head - this.#dropped
    const isFull = this.#busy >= this.#slots() && waiting >= this.#settings.queue
    if (isFull) return { status: this.#settings.full ?? 429 }
    const trueMs = this.#overLimit(tokens)
    if (trueMs === undefined) return undefined
    const { status = 429, hintTimes = 1 } = this.#settings.limit ?? {}
    const said = { status, ...this.#headers() }
    return hintTimes === 0 ? said : { ...said, retryAfterMs: trueMs * hintTimes }
  }

  /** What is left of a limit that speaks of itself. */
  #headers(tokens?: number): Pick<Answer, 'allowances' | 'tokens'> {
    const { limit } = this.#settings
    if (limit?.headers !== true) return {}
    const { used, startMs } = this.#window
    const perMinute = this.#perMinute(limit)
    const isWindow = limit.style === 'window'
    const most = isWindow ? perMinute : (perMinute / 60) * (limit.burstS ?? 10)
    const resetMs = isWindow
      ? startMs + MINUTE_MS - this.#time.nowMs
      : (used / perMinute) * MINUTE_MS
    const allowance: Allowance = {
      of: limit.unit,
      limit: most,
      remaining: Math.max(Math.floor(most - used), 0),
      resetMs,
      refill: isWindow ? 'window' : 'continuous',
    }
    return { allowances: [allowance], ...(tokens !== undefined && { tokens }) }
  }

  #perMinute(limit: NonNullable<ProviderSettings['limit']>): number {
    const fault = this.#fault()?.fault
    return limit.perMinute * (fault?.kind === 'limit' ? fault.times : 1)
  }

  /** Until the limit has room, milliseconds; undefined: it has, and the room is taken. */
  #overLimit(tokens: number): number | undefined {
    const { limit } = this.#settings
    if (limit === undefined) return undefined
    const need = limit.unit === 'tokens' ? tokens : 1
    const perMinute = this.#perMinute(limit)
    const { nowMs } = this.#time
    const window = this.#window
    if (limit.style === 'window') {
      const startMs = Math.floor(nowMs / MINUTE_MS) * MINUTE_MS
      if (startMs > window.startMs) this.#window = { startMs, used: 0 }
      if (this.#window.used + need > perMinute) return startMs + MINUTE_MS - nowMs
    } else if (limit.style === 'rolling') {
      this.#forgetBefore(nowMs - MINUTE_MS)
      if (this.#window.used + need > perMinute) {
        return (this.#taken[0]?.atMs ?? nowMs) + MINUTE_MS - nowMs
      }
      this.#taken.push({ atMs: nowMs, need })
    } else {
      const refilled = ((nowMs - window.startMs) / MINUTE_MS) * perMinute
      this.#window = { startMs: nowMs, used: Math.max(window.used - refilled, 0) }
      const over = this.#window.used + need - (perMinute / 60) * (limit.burstS ?? 10)
      if (over > 0) return Math.ceil((over / perMinute) * MINUTE_MS)
    }
    this.#window.used += need
    return undefined
  }

  #forgetBefore(ms: number): void {
    while (this.#taken[0] !== undefined && this.#taken[0].atMs <= ms) {
      this.#window.used -= this.#taken.shift()?.need ?? 0
    }
  }

  #abandon(request: Request): void {
    if (request.abandoned) return
    request.abandoned = true
    if (this.#settings.abandoned === 'dropped' && !request.started) this.#dropped += 1
  }

  #serve(): void {
    const { abandoned } = this.#settings
    while (this.#busy < this.#slots()) {
      const request = this.#queue[this.#head]
      if (request === undefined) break
      this.#head += 1
      if (abandoned === 'dropped' && request.abandoned) {
        this.#dropped -= 1
        continue
      }
      this.#compute(request)
    }
    // Shifting an array costs its length: cut off what has been served only now and then.
    if (this.#head > 1_000) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
  }

  #compute(request: Request): void {
    this.#busy += 1
    request.started = true
    const { restMs = 0 } = request.answer
    if (restMs > 0) {
      this.#time.after(request.serviceMs - restMs, () => {
        if (!request.abandoned) request.reply(request.answer)
      })
    }
    this.#time.after(request.serviceMs, () => {
      this.#busy -= 1
      const { work } = this
      work.busyMs += request.serviceMs
      if (request.answer.status === 200) work.tokens += request.tokens
      if (request.abandoned) {
        work.wastedMs += request.serviceMs
      } else if (restMs === 0) {
        request.reply(request.answer)
      }
      this.#serve()
    })
  }

  #slots(): number {
    const fault = this.#fault()?.fault
    const share = fault?.kind === 'slow' ? fault.slots : 1
    return Math.round(this.#settings.slots * share)
  }

  #fault(): TimedFault | undefined {
    const { nowMs } = this.#time
    return this.#settings.faults.find(({ fromMs, untilMs }) => fromMs <= nowMs && nowMs < untilMs)
  }
}

const MINUTE_MS = 60_000
