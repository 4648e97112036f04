import type { Clock } from '../../time.ts'
import { type HedgeOptions, Hedging, readHedge } from '../hedge.ts'
import type { LineParts } from './health.ts'
import { type AnyLimits, readLimits } from './limit-options.ts'
import { Line } from './line.ts'

/** The state shared by all calls to one target (host, model, credential). */
export interface TargetState {
  readonly line: Line
  /** Absent without hedging. */
  readonly hedging?: Hedging
}

/** The settings of one target; calls with equal settings share a state. */
export interface TargetSettings {
  readonly limits?: AnyLimits | undefined
  readonly hedge?: HedgeOptions | boolean | undefined
}

export interface TargetStateOptions extends TargetSettings {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** @default SHIPPED_PARTS */
  readonly parts?: LineParts | undefined
}

/** @throws TypeError, RangeError for an invalid option. */
export function createTargetState(options: TargetStateOptions): TargetState {
  const { clock, random, limits, hedge = false, parts } = options
  const line = new Line(clock, random, readLimits(limits), parts)
  return hedge === false ? { line } : { line, hedging: new Hedging(limitsOf(hedge)) }
}

/** The same text for equivalent settings, however they are written; '' for the defaults. */
export function settingsKey(settings: TargetSettings): string {
  const text = canonical(settings)
  return text === DEFAULTS ? '' : ` ${text}`
}

function canonical({ limits, hedge = false }: TargetSettings): string {
  // JSON.stringify writes Infinity as null.
  return JSON.stringify([readLimits(limits), hedge !== false && readHedge(limitsOf(hedge) ?? {})])
}

const DEFAULTS = canonical({})

/** `true` means the defaults. */
function limitsOf<Options extends object>(given: Options | true | undefined): Options | undefined {
  return given === true ? undefined : given
}
