import type { Attributes } from '@opentelemetry/api'
import type { EngineEvent, EventOf, EventReader } from '../call/events.ts'
import type { StopReason, Wait } from '../errors/call-error.ts'
import { withoutUndefined } from '../without-undefined.ts'
import * as names from './attributes.ts'
import type { CallInfo, CallOutcome, TargetHealth, TargetInfo } from './call-info.ts'
import { attemptTarget, errorType, failureOf, metricAttributes, outcomeName } from './describe.ts'
import { type Instruments, measure } from './metrics.ts'
import { quietly } from './spans.ts'

/** Measures one call. Attempts are measured in `attempt-span.ts`. */
export class CallMeter implements EventReader {
  readonly #info: CallInfo
  readonly #startedAtMs: number
  /** The instruments that counted this call as active; a provider registered later must not subtract it. */
  #countedBy: Instruments | undefined

  constructor(info: CallInfo) {
    this.#info = info
    this.#startedAtMs = info.clock.monotonicMs()
    measure((measured) => {
      measured.activeCalls.add(1, this.#base(measured))
      this.#countedBy = measured
    })
  }

  /** Records the events that have a metric. */
  read(event: EngineEvent): void {
    measure((measured) => {
      switch (event.type) {
        case 'retry-scheduled':
          return this.#countRetry(measured, event)
        case 'reask-sent':
          return measured.reasks.add(1, { ...this.#base(measured), [names.ERROR_TYPE]: event.kind })
        case 'retries-multiplied': {
          const added = Math.max(event.wireRequests, event.gatewayAttempts ?? 1) - 1
          return this.#countMultiplied(measured, 'below', Math.max(1, added))
        }
        case 'call-repeated':
          return this.#countMultiplied(measured, 'above', 1)
        case 'target-changed':
          return this.#countTransition(measured, event)
        case 'call-stopped':
          return this.#countStop(measured, event)
        default:
          return undefined
      }
    })
  }

  /** Records a wait for this target, with or without a following attempt. */
  waited(target: TargetInfo, waits: readonly Wait[] | undefined): void {
    if (waits === undefined) return
    measure((measured) => this.#recordWaits(measured, target, waits))
  }

  #countRetry(
    measured: Instruments,
    { kind, delayMs, delaySource }: EventOf<'retry-scheduled'>,
  ): void {
    const attributes = { ...this.#base(measured), [names.DELAY_SOURCE]: delaySource }
    measured.retries.add(1, { ...attributes, [names.ERROR_TYPE]: kind })
    measured.retryDelay.record(delayMs / 1_000, attributes)
  }

  #countMultiplied(measured: Instruments, by: 'below' | 'above', count: number): void {
    const attributes = { ...this.#base(measured), [names.MULTIPLIED_BY]: by }
    measured.multipliedRetries.add(count, attributes)
  }

  #countTransition(measured: Instruments, { from, to, traced }: EventOf<'target-changed'>): void {
    const base = this.#base(measured, traced)
    const attributes = { ...base, [names.TARGET_FROM]: from, [names.TARGET_TO]: to }
    measured.targetTransitions.add(1, attributes)
    measured.targetState.record(TARGET_STATES[to], base)
  }

  #countStop(
    measured: Instruments,
    { waits = [], traced: { target, heldBy } }: EventOf<'call-stopped'>,
  ): void {
    this.#recordWaits(measured, target, waits)
    if (heldBy === undefined) return
    measured.waitsInVain.add(1, { ...this.#base(measured, target), [names.WAIT_FOR]: heldBy })
  }

  #recordWaits(measured: Instruments, target: TargetInfo, waits: readonly Wait[]): void {
    for (const { for: what, ms } of waits) {
      const attributes = { ...this.#base(measured, target), [names.WAIT_FOR]: what }
      measured.waitDuration.record(ms / 1_000, attributes)
    }
  }

  ended(outcome: CallOutcome, repairs: number): void {
    measure((measured) => {
      const base = this.#base(measured)
      const source = outcome.source ?? 'provider'
      const attributes = withoutUndefined({
        ...base,
        [names.OUTCOME]: outcomeName(outcome),
        [names.SOURCE]: source,
        [names.ERROR_TYPE]: errorType(failureOf(outcome)),
      })
      const stopReason: StopReason | undefined = outcome.ok ? undefined : outcome.reason
      measured.callAttempts.record(
        outcome.attempts.length,
        withoutUndefined({ ...attributes, [names.STOP_REASON]: stopReason }),
      )
      if (repairs > 0) measured.repairs.add(repairs, base)
      if (this.#info.isStored === true) this.#countLookup(measured, outcome, base)
      if (this.#info.operation === 'chat') this.#measureChat(measured, outcome, attributes)
    })
    const countedBy = this.#countedBy
    if (countedBy !== undefined) {
      quietly(() => countedBy.activeCalls.add(-1, this.#base(countedBy)))
    }
  }

  #measureChat(measured: Instruments, outcome: CallOutcome, attributes: Attributes): void {
    const durationMs = this.#info.clock.monotonicMs() - this.#startedAtMs
    measured.operationDuration.record(durationMs / 1_000, attributes)
    const { firstChunkMs } = outcome
    if (firstChunkMs !== undefined) {
      measured.timeToFirstChunk.record(firstChunkMs / 1_000, this.#base(measured))
    }
  }

  #countLookup(measured: Instruments, outcome: CallOutcome, base: Attributes): void {
    const attributes = { ...base, [names.SOURCE]: outcome.source ?? 'provider' }
    measured.keyLookups.add(1, attributes)
    if (!outcome.ok || outcome.replayedUsage === undefined) return
    const { inputTokens, outputTokens } = outcome.replayedUsage
    measured.savedTokens.add(inputTokens, { ...attributes, [names.GEN_AI_TOKEN_TYPE]: 'input' })
    measured.savedTokens.add(outputTokens, { ...attributes, [names.GEN_AI_TOKEN_TYPE]: 'output' })
  }

  #base({ closed }: Instruments, target: TargetInfo = {}): Attributes {
    return metricAttributes(attemptTarget(this.#info, target), closed)
  }
}

const TARGET_STATES: Readonly<Record<TargetHealth, number>> = { up: 0, recovering: 1, down: 2 }
