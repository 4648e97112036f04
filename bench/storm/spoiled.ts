import { fullJitter } from '../../src/retry/backoff.ts'
import { type LineParts, SHIPPED_PARTS } from '../../src/retry/health/health.ts'
import { Independence } from '../../src/retry/health/independence.ts'
import { Latency, Limit, Tokens } from '../../src/retry/health/limit.ts'
import type { End } from '../../src/retry/health/line-contract.ts'
import { Outage } from '../../src/retry/health/outage.ts'
import type { TargetState } from '../../src/retry/health/target-state.ts'
import type { Policy } from './policies.ts'
import type { ShippedPolicy } from './shipped-client.ts'

const without = (replaced: Partial<LineParts>): ShippedPolicy => ({
  parts: { ...SHIPPED_PARTS, ...replaced },
})

class AllAtOnce extends Limit {
  override letOut(_good: number, lastTicket: number, nowMs: number): void {
    this.set(Infinity, lastTicket, nowMs)
  }
}
class NoProbes extends Outage {
  override failed(): boolean {
    return false
  }
  override limited(): boolean {
    return false
  }
}
class SlowIsAnyFailure extends Outage {
  override failed(
    _weight: number,
    ticket: number,
    lastTicket: number,
    _tookMs: number,
    nowMs: number,
  ): boolean {
    return super.failed(1, ticket, lastTicket, 0, nowMs)
  }
}
class FreeTimeouts extends Tokens {
  override timedOut(): void {}
}
class NobodyIsTiny extends Outage {
  override isTiny(): boolean {
    return false
  }
}
class AnySuccess extends Outage {
  override succeeded(ticket: number, nowMs: number): boolean {
    return super.succeeded(this.isDown ? ticket : Infinity, nowMs)
  }
}
class NeverSlow extends Latency {
  override get isSlow(): boolean {
    return false
  }
}
class NoExperiment extends Independence {
  override get isSign(): boolean {
    return true
  }
  override result(): undefined {
    return undefined
  }
}

/** The last that came goes first. */
function newestFirst(state: TargetState): TargetState {
  const { line } = state
  let arrived = 0
  line.arrive = () => {
    arrived -= 1
    return arrived
  }
  return state
}

/** A success says nothing of a hint that closes the line. */
function believing(state: TargetState): TargetState {
  const { line } = state
  const ended = line.ended.bind(line)
  line.ended = (end: End) =>
    ended(end.sign === 'success' && line.closedForMs > 0 ? { ...end, ticket: 0 } : end)
  return state
}

/** Our policy with one part taken out: what that part is there for has to show. */
const parts: Readonly<Record<string, ShippedPolicy>> = {
  'no limits': { limits: 'off' },
  'no slow start': without({ Limit: AllAtOnce }),
  'no patience': { call: { maxWaitMs: 0 } },
  'newest first': { spoil: newestFirst },
  'no probes': without({ Outage: NoProbes }),
  'no slow-failure rule': {
    ...without({ Outage: SlowIsAnyFailure, Tokens: FreeTimeouts }),
    call: { backoff: fullJitter({ capMs: 5_000 }) },
  },
  'no latency sign': without({ Latency: NeverSlow }),
  'no experiment': without({ Independence: NoExperiment }),
  'no disproof': { spoil: believing },
  'no tiny rule': without({ Outage: NobodyIsTiny }),
  'any success ends a row': without({ Outage: AnySuccess }),
}

export const spoiled: readonly Policy[] = Object.entries(parts).map(([name, shipped]) => ({
  name,
  shipped,
}))
