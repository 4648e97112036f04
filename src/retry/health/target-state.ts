import type { Clock } from '../../time.ts'
import { type HedgeOptions, Hedging, readHedge } from '../hedge.ts'
import type { LineParts } from './health.ts'
import { type AnyLimits, readLimits } from './limits.ts'
import { Line } from './line.ts'

/** What all calls to one target (host, model, credential) share. */
export interface TargetState {
  readonly line: Line
  /** Only with hedging. */
  readonly hedging?: Hedging
}

/** How one target is treated; equal settings share one state. */
export interface TargetSettings {
  readonly limits?: AnyLimits | undefined
  readonly hedge?: HedgeOptions | boolean | undefined
}

export interface TargetStateOptions extends TargetSettings {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** @default those that ship */
  readonly parts?: LineParts | undefined
}

/** @throws TypeError, RangeError for a bad option. */
export function createTargetState(options: TargetStateOptions): TargetState {
  const { clock, random, limits, hedge = false, parts } = options
  const line = new Line(clock, random, readLimits(limits), parts)
  return hedge === false ? { line } : { line, hedging: new Hedging(limitsOf(hedge)) }
}

/** The same text for settings that come to the same, however they are written; '' for the defaults. */
export function settingsKey(settings: TargetSettings): string {
  const text = canonical(settings)
  return text === DEFAULTS ? '' : ` ${text}`
}

function canonical({ limits, hedge = false }: TargetSettings): string {
  // JSON has no Infinity, and says null instead.
  return JSON.stringify([readLimits(limits), hedge !== false && readHedge(limitsOf(hedge) ?? {})])
}

const DEFAULTS = canonical({})

/** `true` stands for the defaults. */
function limitsOf<Options extends object>(given: Options | true | undefined): Options | undefined {
  return given === true ? undefined : given
}
