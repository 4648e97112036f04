import { type AnyLimits, readLimits } from '../../../../src/retry/health/limit-options.ts'
import { Line } from '../../../../src/retry/health/line.ts'
import type { End, Sign } from '../../../../src/retry/health/line-contract.ts'
import type {
  PermitRequest,
  Ticket,
  TicketOrRefusal,
} from '../../../../src/retry/health/waiting.ts'
import { type VirtualClock, virtualClock } from '../../../../src/testing/clock.ts'
import type { Clock } from '../../../../src/time.ts'

/** One that waits, and what it came to. */
export interface Caller {
  readonly order: number
  outcome: TicketOrRefusal | undefined
}

interface DeskOptions {
  readonly limits?: AnyLimits
  /** What every draw gives. */
  readonly drawn?: number
}

/** A line, its clock, and what was sent through it. */
export class Desk {
  readonly clock: VirtualClock = virtualClock()
  readonly line: Line
  /** When each attempt was sent, by ticket. */
  readonly sentAtMs = new Map<Ticket, number>()
  /** Timers that were ever armed. */
  armed = 0
  #suspendedMs = 0

  constructor({ limits, drawn = 0.5 }: DeskOptions = {}) {
    const { clock } = this
    const seen: Clock = {
      wallMs: () => clock.wallMs(),
      monotonicMs: () => this.nowMs,
      schedule: (delayMs, callback) => {
        this.armed += 1
        return clock.schedule(delayMs, callback)
      },
    }
    this.line = new Line(seen, () => drawn, readLimits(limits))
  }

  get nowMs(): number {
    return this.clock.monotonicMs() + this.#suspendedMs
  }

  /** Time passes, and no timer is heard: the process was suspended, or its loop was blocked. */
  suspend(ms: number): void {
    this.#suspendedMs += ms
  }

  request(over: Partial<PermitRequest> = {}): PermitRequest {
    return {
      order: over.order ?? this.line.arrive(),
      requests: 0,
      notBeforeMs: 0,
      latestMs: Infinity,
      paying: false,
      nested: false,
      impatient: false,
      bulk: false,
      tokens: 0,
      ...over,
    }
  }

  /** 0 where the line is not free. */
  enter(over: Partial<PermitRequest> = {}): Ticket | 0 {
    const ticket = this.line.enter(this.request(over))
    if (ticket !== 0) this.sentAtMs.set(ticket, this.nowMs)
    return ticket
  }

  /** As many as are to be in flight. */
  send(count: number, over: Partial<PermitRequest> = {}): Ticket[] {
    return Array.from({ length: count }, () => {
      const ticket = this.enter(over)
      if (ticket === 0) throw new Error('the line is not free')
      return ticket
    })
  }

  wait(over: Partial<PermitRequest> = {}, signal?: AbortSignal): Caller {
    const request = this.request(over)
    const caller: Caller = { order: request.order, outcome: undefined }
    void this.line.wait(request, signal).then((outcome) => {
      caller.outcome = outcome
      if (typeof outcome === 'number') this.sentAtMs.set(outcome, this.nowMs)
    })
    return caller
  }

  /** An attempt has ended so, and is no longer in flight. */
  end(ticket: Ticket, sign: Sign, over: Partial<End> = {}): void {
    const sentAtMs = this.sentAtMs.get(ticket) ?? this.nowMs
    this.line.ended({ ticket, sentAtMs, sign, hintMs: 0, paid: false, ...over })
    this.line.left()
  }

  /** Sends so many, one after the other, and ends each so. */
  play(count: number, sign: Sign): void {
    for (let sent = 0; sent < count; sent += 1) {
      for (const ticket of this.send(1)) this.end(ticket, sign)
    }
  }

  /** Five refusals in a row: from now on the target is down. */
  bringDown(): void {
    this.play(5, 'error')
  }

  /** Lets promises run, without time. */
  settle(): Promise<void> {
    return this.clock.advance(0)
  }

  get status() {
    return this.line.status()
  }
}

export function isSent({ outcome }: Caller): boolean {
  return typeof outcome === 'number'
}

/** The ticket of one that must have got one. */
export function ticketOf(caller: Caller): Ticket {
  if (typeof caller.outcome !== 'number') throw new Error('it has no ticket')
  return caller.outcome
}
