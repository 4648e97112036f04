/** The options that are objects or lists of options: what each of theirs may be. */

import { isFailureKind } from '../errors/failure-kinds.ts'
import { KEY_ID, keyBytes } from '../idempotency/encryption.ts'
import { GATEWAYS } from '../openai/gateways.ts'
import { LIMIT_NUMBERS } from '../retry/health/limits.ts'
import { HEDGE_NUMBERS } from '../retry/hedge.ts'
import type { NumberOption, NumberOptions } from '../retry/number-options.ts'
import {
  aFunction,
  type Check,
  type Checks,
  number,
  objectWith,
  oneOf,
  show,
  trueOrFalse,
} from './option-check.ts'
import type { SteadyOptions } from './options.ts'

const LEFT_OUT = 'or left out where there is no limit'

const concurrency: Check = {
  allowed: `an integer from ${LIMIT_NUMBERS.concurrency.min}, ${LEFT_OUT}`,
  accepts: (value) => Number.isSafeInteger(value) && Number(value) >= LIMIT_NUMBERS.concurrency.min,
}

function perMinute({ min }: NumberOption): Check {
  return {
    allowed: `a finite number from ${min}, ${LEFT_OUT}`,
    accepts: (value) => Number.isFinite(value) && Number(value) >= min,
  }
}

const LIMITS: Checks = {
  concurrency,
  requestsPerMinute: perMinute(LIMIT_NUMBERS.requestsPerMinute),
  tokensPerMinute: perMinute(LIMIT_NUMBERS.tokensPerMinute),
}

export const limits: Check = {
  allowed:
    "'auto', 'off' or { concurrency?, requestsPerMinute?, tokensPerMinute? } with numbers from 1, concurrency whole",
  accepts: (value) => value === 'auto' || value === 'off' || isGroup(value),
  within: (value) => (Array.isArray(value) ? undefined : LIMITS),
}

export const hedge: Check = {
  allowed:
    'true, false or { delayMs?, maxExtraLoad? } with delayMs from 0, maxExtraLoad from 0 to 1',
  accepts: (value) => typeof value === 'boolean' || isGroup(value),
  within: () => numbersOf(HEDGE_NUMBERS),
}

const TELEMETRY: Readonly<Record<keyof NonNullable<SteadyOptions['telemetry']>, Check>> = {
  captureContent: trueOrFalse,
  redact: aFunction,
  propagateTraceparent: trueOrFalse,
}

export const telemetry: Check = {
  allowed: '{ captureContent?: boolean, redact?: function, propagateTraceparent?: boolean }',
  accepts: isGroup,
  within: () => TELEMETRY,
}

const fallback: Check = {
  allowed: '{ model?, client?, on? } with a model or a client',
  accepts: (value) =>
    isGroup(value) && ['model', 'client'].some((name) => Reflect.get(value, name) !== undefined),
  got: (value) => (isGroup(value) ? 'one with neither' : show(value)),
  within: (value) => (Array.isArray(value) ? undefined : FALLBACK),
}

const FAILURE_KIND: Check = {
  allowed: "a failure kind, such as 'overloaded'",
  accepts: isFailureKind,
}

const FALLBACK: Checks = {
  model: {
    allowed: 'the name of a model',
    accepts: (value) => typeof value === 'string' && value !== '',
  },
  client: {
    // What it has to have, and how it is refused, is said where it is made ready.
    allowed: 'an openai client',
    accepts: (value) =>
      (typeof value === 'object' || typeof value === 'function') && value !== null,
  },
  on: {
    allowed: "an array of failure kinds, such as ['overloaded']",
    accepts: Array.isArray,
    within: (value) => (Array.isArray(value) ? eachOf(value, FAILURE_KIND) : undefined),
  },
}

export const fallbacks: Check = {
  allowed: 'an array of { model?, client?, on? } with a model or a client in each',
  accepts: Array.isArray,
  within: (value) => (Array.isArray(value) ? eachOf(value, fallback) : undefined),
}

const gatewayName = oneOf(...Object.keys(GATEWAYS))
const GATEWAY: Checks = { name: gatewayName, fallbacks: oneOf('keep', 'off') }

export const gateway: Check = {
  allowed: `${gatewayName.allowed}, or { name, fallbacks? } with one of these and 'keep' or 'off'`,
  accepts: (value) =>
    isGroup(value) ? Reflect.get(value, 'name') !== undefined : gatewayName.accepts(value),
  got: (value) => (isGroup(value) ? 'one without a name' : show(value)),
  within: (value) => (Array.isArray(value) ? undefined : GATEWAY),
}

/** Nothing in a message here is a key, or may be one. */
export const encryption: Check = {
  allowed:
    '{ keys: { [id]: 32 bytes or their base64 }, use: one of these ids, acceptPlain?: boolean }',
  accepts: (value) =>
    isGroup(value) && ['keys', 'use'].every((name) => Reflect.get(value, name) !== undefined),
  got: (value) => (isGroup(value) ? 'one without keys or use' : secret(value)),
  within: (value) => ({
    keys: ENCRYPTION_KEYS,
    use: {
      allowed: 'an id in encryption.keys',
      accepts: (use) =>
        typeof use === 'string' && Object.hasOwn(Object(Reflect.get(value, 'keys')), use),
      got: (use) => (typeof use === 'string' ? 'another string' : show(use)),
    },
    acceptPlain: trueOrFalse,
  }),
}

const ENCRYPTION_KEYS: Check = {
  allowed:
    'an object of keys by their ids, of 1 to 64 letters, digits, _, . or -, with one at least',
  accepts: (value) => isGroup(value) && hasIds(value),
  got: (value) => (isGroup(value) ? 'one with other ids, or none' : secret(value)),
  within: (value) => (Array.isArray(value) || !hasIds(value) ? undefined : eachOf(value, KEY)),
}

const KEY: Check = {
  allowed: '32 bytes, or their base64: 44 characters',
  accepts: (value) => keyBytes(value) !== undefined,
  got: (value) => secret(value),
}

function hasIds(value: object): boolean {
  const ids = Object.keys(value)
  return ids.length > 0 && ids.every((id) => KEY_ID.test(id))
}

function secret(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return typeof value === 'string' ? `a string of ${value.length}` : show(value)
}

export const backoff: Check = objectWith('a backoff such as fullJitter()', 'delayMs')

function isGroup(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The same for each item, or member. */
function eachOf(value: object, check: Check): Checks {
  return Object.fromEntries(Object.keys(value).map((name) => [name, check]))
}

function numbersOf(options: NumberOptions<string>): Checks {
  return Object.fromEntries(
    Object.entries(options).map(([name, { min, max }]) => [name, number(min, max)]),
  )
}
