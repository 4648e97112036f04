import type { Attributes } from '@opentelemetry/api'
import type { EngineEvent, EventOf, EventReader } from '../call/events.ts'
import type { Wait } from '../errors/call-error.ts'
import type { CallReport } from '../report/call-report.ts'
import { withoutUndefined } from '../without-undefined.ts'
import type { CallInfo, TargetHealth, TargetInfo } from './attributes.ts'
import * as names from './attributes.ts'
import { attemptTarget, errorType, metricAttributes, outcomeName } from './describe.ts'
import { type Instruments, measure, quietly } from './otel.ts'

/** Measures one call. Attempts are measured in `telemetry.ts`. */
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

  /** Measures the call as a whole. */
  ended(settled: EventOf<'call-settled'>): void {
    const { report } = settled
    measure((measured) => {
      const base = this.#base(measured)
      const attributes = withoutUndefined({
        ...base,
        [names.OUTCOME]: outcomeName(report),
        [names.SOURCE]: report.source,
        [names.ERROR_TYPE]: errorType(report.outcome),
      })
      measured.callAttempts.record(
        report.attempts.length,
        withoutUndefined({ ...attributes, [names.STOP_REASON]: report.reason }),
      )
      const { repairs = [] } = report
      if (repairs.length > 0) measured.repairs.add(repairs.length, base)
      if (this.#info.isStored === true) this.#countLookup(measured, report, base)
      if (this.#info.operation === 'chat') this.#measureChat(measured, settled, attributes)
    })
    const countedBy = this.#countedBy
    if (countedBy !== undefined) {
      quietly(() => countedBy.activeCalls.add(-1, this.#base(countedBy)))
    }
  }

  #measureChat(
    measured: Instruments,
    { traced: { firstChunkMs } }: EventOf<'call-settled'>,
    attributes: Attributes,
  ): void {
    const durationMs = this.#info.clock.monotonicMs() - this.#startedAtMs
    measured.operationDuration.record(durationMs / 1_000, attributes)
    if (firstChunkMs !== undefined) {
      measured.timeToFirstChunk.record(firstChunkMs / 1_000, this.#base(measured))
    }
  }

  #countLookup(measured: Instruments, report: CallReport, base: Attributes): void {
    const attributes = { ...base, [names.SOURCE]: report.source }
    measured.keyLookups.add(1, attributes)
    if (report.outcome !== 'success' || report.replayedUsage === undefined) return
    const { inputTokens, outputTokens } = report.replayedUsage
    measured.savedTokens.add(inputTokens, { ...attributes, [names.GEN_AI_TOKEN_TYPE]: 'input' })
    measured.savedTokens.add(outputTokens, { ...attributes, [names.GEN_AI_TOKEN_TYPE]: 'output' })
  }

  #base({ closed }: Instruments, target: TargetInfo = {}): Attributes {
    return metricAttributes(attemptTarget(this.#info, target), closed)
  }
}

const TARGET_STATES: Readonly<Record<TargetHealth, number>> = { up: 0, recovering: 1, down: 2 }
