import type { FailureKind } from '../index.ts'
import type { BareAnswer } from './bare-client.ts'
import type { CallEnding } from './explain.ts'
import type { SteadyOutcome } from './steady-client.ts'

/** One finished call of the demo, and the bare client's call if there was one. */
export interface FinishedCall extends SteadyOutcome {
  readonly name: string
  readonly expected: 'success' | FailureKind
  readonly ending: CallEnding
  /** One line for display. */
  readonly explanation: string
  /** HTTP requests that arrived; for a real provider, requests that were sent. */
  readonly requests: number
  readonly bare?: BareResult
}

export interface BareResult extends BareAnswer {
  readonly valid: boolean
  readonly requests: number
  readonly durationMs: number
  readonly explanation: string
}

export interface Totals {
  readonly calls: number
  readonly valid: number
  /** Calls that ended as expected: valid, or with the expected kind of failure. */
  readonly asExpected: number
  readonly requests: number
  readonly attempts: number
  /** Calls whose answer was repaired without another request. */
  readonly repaired: number
  /** Calls that sent the answer's errors back to the model. */
  readonly reasked: number
  /** Calls answered by the store or by another call in flight. */
  readonly replayed: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly bare?: BareTotals
}

export interface BareTotals
  extends Pick<Totals, 'valid' | 'requests' | 'inputTokens' | 'outputTokens'> {
  /** Calls that steadycall made valid with more requests than the bare client sent. */
  readonly givenUp: number
}

/** Whether the call ended as expected. */
export function isAsExpected({ report, valid, expected }: FinishedCall): boolean {
  return report.outcome === expected && valid === (expected === 'success')
}

/** Adds up the results. */
export function totalsOf(results: readonly FinishedCall[]): Totals {
  const count = (holds: (result: FinishedCall) => boolean) => results.filter(holds).length
  const bare = results.flatMap((result) => (result.bare === undefined ? [] : [result.bare]))
  return {
    calls: results.length,
    valid: count(({ valid }) => valid),
    asExpected: count(isAsExpected),
    requests: sum(results, ({ requests }) => requests),
    attempts: sum(results, ({ report }) => report.attempts.length),
    repaired: count(({ repairs }) => repairs.length > 0),
    reasked: count(({ report }) => report.attempts.some(({ cause }) => cause === 'reask')),
    replayed: count(({ report }) => report.source !== 'provider'),
    inputTokens: sum(results, ({ report }) => report.usage.inputTokens),
    outputTokens: sum(results, ({ report }) => report.usage.outputTokens),
    ...(bare.length > 0 && {
      bare: {
        valid: bare.filter(({ valid }) => valid).length,
        requests: sum(bare, ({ requests }) => requests),
        givenUp: count(isGivenUp),
        inputTokens: sum(bare, ({ inputTokens }) => inputTokens),
        outputTokens: sum(bare, ({ outputTokens }) => outputTokens),
      },
    }),
  }
}

function isGivenUp({ valid, requests, bare }: FinishedCall): boolean {
  return valid && bare?.valid === false && bare.requests < requests
}

function sum<T>(items: readonly T[], amount: (item: T) => number): number {
  return items.reduce((total, item) => total + amount(item), 0)
}
