import { createHash } from 'node:crypto'
import { checkNames, checkNumber, describe, type Fault } from './exchange.ts'
import { ok } from './faults.ts'

/** Which requests get which fault. At most one of the three may be given; without any, all answers are good. */
export interface FaultPlan {
  /** One fault per request of any call, in the order of arrival; then good answers. */
  readonly script?: readonly Fault[]
  /**
   * Faults for each call separately: its first request gets the first fault, and so on; then good answers. A
   * function returns the faults of a given call.
   */
  readonly perCall?: readonly Fault[] | ((callId: string) => readonly Fault[])
  /** Reproducible random faults. */
  readonly mixture?: Mixture
}

/**
 * Random faults that are the same on every run: whether and how a request fails depends on the seed, its call
 * and its number within the call, but not on the order of arrival.
 */
export interface Mixture {
  /** An integer. */
  readonly seed: number
  /** The proportion of requests that get a fault, from 0 to 1. */
  readonly rate: number
  /** Chosen from with equal probability; list a fault twice to get it twice as often. */
  readonly faults: readonly Fault[]
}

/** Returns the fault for the next request, the `number`th (from 1) of its call. */
export type NextFault = (callId: string, number: number) => Fault

/** The option names of `FaultPlan`, for checking options that extend it. */
export const PLAN_NAMES: readonly string[] = ['script', 'perCall', 'mixture']

/**
 * Checks a plan and starts it.
 *
 * @throws TypeError or RangeError naming the option, the value and what is allowed.
 */
export function followPlan(plan: FaultPlan): NextFault {
  const { script, perCall, mixture } = plan
  const given = PLAN_NAMES.filter((name) => Reflect.get(plan, name) !== undefined)
  if (given.length > 1) {
    throw new TypeError(`fault plan: ${given.join(' and ')} are given; allowed is one of them`)
  }
  const good = ok()
  if (script !== undefined) {
    const faults = checkFaults('script', script)
    let arrived = 0
    return () => faults[arrived++] ?? good
  }
  if (perCall !== undefined) {
    if (typeof perCall === 'function') {
      return (callId, number) =>
        checkFaults(`perCall(${describe(callId)})`, perCall(callId))[number - 1] ?? good
    }
    const faults = checkFaults('perCall', perCall)
    return (_callId, number) => faults[number - 1] ?? good
  }
  return mixture === undefined ? () => good : followMixture(mixture, good)
}

function followMixture(mixture: Mixture, good: Fault): NextFault {
  checkNames('mixture', mixture, ['seed', 'rate', 'faults'])
  const { seed, rate } = mixture
  checkNumber('mixture.seed', seed, { min: Number.MIN_SAFE_INTEGER, integer: true })
  checkNumber('mixture.rate', rate, { min: 0, max: 1 })
  const faults = checkFaults('mixture.faults', mixture.faults)
  if (faults.length === 0) throw new RangeError('mixture.faults is empty; allowed is one or more')
  return (callId, number) => {
    const [hit, choice] = draws(`${seed} ${number} ${callId}`)
    return hit < rate ? (faults[Math.floor(choice * faults.length)] ?? good) : good
  }
}

/** Two independent numbers in [0, 1), determined by the text. */
function draws(text: string): [number, number] {
  const digest = createHash('sha256').update(text).digest()
  return [digest.readUInt32BE(0) / 2 ** 32, digest.readUInt32BE(4) / 2 ** 32]
}

/** Copies the list, so that later changes by the caller do not affect a running script. */
function checkFaults(label: string, faults: unknown): readonly Fault[] {
  if (!Array.isArray(faults)) {
    throw new TypeError(`${label} is ${describe(faults)}; allowed is a list of faults`)
  }
  for (const [index, fault] of faults.entries()) {
    if (isFault(fault)) continue
    const hint = typeof fault === 'function' ? ' (call it: hangs() is the fault, hangs is not)' : ''
    throw new TypeError(
      `${label}[${index}] is ${describe(fault)}; allowed is a fault: { name, apply }${hint}`,
    )
  }
  return [...faults]
}

function isFault(value: unknown): value is Fault {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof Reflect.get(value, 'name') === 'string' &&
    typeof Reflect.get(value, 'apply') === 'function'
  )
}
