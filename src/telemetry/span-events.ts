import type { Attributes } from '@opentelemetry/api'
import type { EngineEvent } from '../call/events.ts'
import * as names from './attributes.ts'

export interface SpanEvent {
  readonly name: string
  readonly attributes: Attributes
}

/** The span event for an event of the call; undefined if the span shows it in another way. */
export function spanEvent(event: EngineEvent): SpanEvent | undefined {
  switch (event.type) {
    case 'retry-scheduled':
      return named(names.EVENT_RETRY_SCHEDULED, {
        [names.ATTEMPT_NUMBER]: event.number,
        [names.ERROR_TYPE]: event.kind,
        [names.DELAY_DURATION]: event.delayMs / 1_000,
        [names.DELAY_SOURCE]: event.delaySource,
      })
    case 'reask-sent':
      return named(names.EVENT_REASK_SENT, {
        [names.ATTEMPT_NUMBER]: event.number,
        [names.ERROR_TYPE]: event.kind,
        [names.REASK_ISSUE_COUNT]: event.traced.issueCount,
      })
    case 'fallback-selected':
      return named(names.EVENT_FALLBACK_SELECTED, {
        [names.ATTEMPT_NUMBER]: event.number,
        [names.FALLBACK_FROM]: event.traced.from,
        [names.FALLBACK_TO]: event.target,
        [names.ERROR_TYPE]: event.kind,
      })
    case 'target-changed':
      return named(names.EVENT_TARGET_CHANGED, {
        [names.TARGET]: event.target,
        [names.TARGET_FROM]: event.from,
        [names.TARGET_TO]: event.to,
      })
    case 'wait-started':
      return named(names.EVENT_WAIT, {
        [names.TARGET]: event.target,
        [names.WAIT_FOR]: event.for,
        [names.WAIT_EXPECTED]:
          event.expectedMs === undefined ? undefined : event.expectedMs / 1_000,
        [names.WAIT_AHEAD]: event.ahead,
      })
    case 'call-stopped':
      return named(names.EVENT_RETRY_STOPPED, {
        [names.STOP_REASON]: event.reason,
        [names.ERROR_TYPE]: event.kind,
        [names.WAIT_FOR]: event.traced.heldBy,
      })
    case 'retries-multiplied':
      return named(names.EVENT_RETRIES_MULTIPLIED, {
        [names.MULTIPLIED_BY]: 'below',
        [names.ATTEMPT_WIRE_REQUESTS]: event.wireRequests,
        [names.ATTEMPT_GATEWAY_ATTEMPTS]: event.gatewayAttempts,
      })
    case 'call-repeated':
      return named(names.EVENT_RETRIES_MULTIPLIED, { [names.MULTIPLIED_BY]: 'above' })
    case 'claim-awaited':
      return named(names.EVENT_CLAIM_AWAITED, { [names.LEASE_LEFT]: event.leaseLeftMs / 1_000 })
    case 'output-repaired':
      return named(names.EVENT_OUTPUT_REPAIRED, {
        [names.REPAIR_COUNT]: event.rules.length,
        [names.REPAIR_RULES]: [...new Set(event.rules)],
        [names.REPAIR_PLACES]: event.places === undefined ? undefined : [...event.places],
      })
    default:
      return undefined
  }
}

function named(name: string, attributes: Attributes): SpanEvent {
  return { name, attributes }
}
