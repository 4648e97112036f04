import { hash } from 'node:crypto'
import type { KnownTarget, Runtime } from './runtime.ts'

/** How one target is doing: host, model and credential, or a named function. */
export interface TargetStatus {
  /** `host model`, or `run name`. */
  readonly target: string
  /** Tells targets of one name apart that differ in credential, settings or layer; no secret. */
  readonly id: string
  readonly breaker: 'closed' | 'open' | 'half-open'
  /** Until an open breaker admits a probe, milliseconds; else 0. */
  readonly breakerOpenForMs: number
  /** Tokens in the retry budget; Infinity without one. */
  readonly retryTokens: number
  readonly retryCapacity: number
  /** How long a rate limit still holds calls back, milliseconds; 0 when it does not. */
  readonly gateClosedForMs: number
  /** Attempts in flight and waiting; absent without a concurrency limit. */
  readonly inFlight?: number
  readonly queued?: number
}

/** The health of every target of a runtime, most recently made last. */
export function targetStatuses({ shared, clock }: Runtime): readonly TargetStatus[] {
  const nowMs = clock.monotonicMs()
  return [...shared.targets].map(([key, target]) => statusOf(key, target, nowMs))
}

function statusOf(key: string, { name, state }: KnownTarget, nowMs: number): TargetStatus {
  const { breaker, budget, gate, slots } = state
  return Object.freeze({
    target: name,
    id: hash('sha256', key).slice(0, 8),
    breaker: breaker.state,
    breakerOpenForMs: Math.max((breaker.retryAtMs ?? nowMs) - nowMs, 0),
    retryTokens: budget.tokens,
    retryCapacity: budget.capacity,
    gateClosedForMs: gate.waitMs(nowMs),
    ...(slots !== undefined && { inFlight: slots.inFlight, queued: slots.queued }),
  })
}
