import { type FailureKind, isFailureKind } from '../errors/failure-kinds.ts'
import { KEY_ID, keyBytes } from '../idempotency/encryption.ts'
import type { EncryptionOptions } from '../idempotency/encryption-options.ts'
import type { ChatClient } from '../openai/chat-client.ts'
import { LIMIT_NUMBERS, type Limits, type LimitsOptions } from '../retry/health/limit-options.ts'
import { HEDGE_NUMBERS, type HedgeOptions } from '../retry/hedge.ts'
import {
  aFunction,
  type Checks,
  type DefaultedRow,
  eachOf,
  integer,
  isGroup,
  number,
  type OptionCheck,
  oneOf,
  type Row,
  type RowsOf,
  show,
  trueOrFalse,
  type ValuesOf,
} from './option-check.ts'

/** The options that are objects or lists of options, and a row for each option in them. */

const LEFT_OUT = 'or left out where there is no limit'

function perMinute(min: number): OptionCheck {
  return {
    allowed: `a finite number from ${min}, ${LEFT_OUT}`,
    accepts: (value) => Number.isFinite(value) && Number(value) >= min,
  }
}

const wholeFrom = integer(LIMIT_NUMBERS.concurrency.min)

const LIMITS: RowsOf<LimitsOptions> = {
  concurrency: { ...wholeFrom, allowed: `${wholeFrom.allowed}, ${LEFT_OUT}` },
  requestsPerMinute: perMinute(LIMIT_NUMBERS.requestsPerMinute.min),
  tokensPerMinute: perMinute(LIMIT_NUMBERS.tokensPerMinute.min),
}

export const limits: Row<Limits> = {
  allowed:
    "'auto', 'off' or { concurrency?, requestsPerMinute?, tokensPerMinute? } with numbers from 1, concurrency whole",
  accepts: (value) => value === 'auto' || value === 'off' || isGroup(value),
  within: (value) => (Array.isArray(value) ? undefined : LIMITS),
}

const HEDGE: RowsOf<HedgeOptions> = {
  delayMs: number(HEDGE_NUMBERS.delayMs.min, HEDGE_NUMBERS.delayMs.max),
  maxExtraLoad: {
    ...number(HEDGE_NUMBERS.maxExtraLoad.min, HEDGE_NUMBERS.maxExtraLoad.max),
    default: HEDGE_NUMBERS.maxExtraLoad.fallback,
  },
}

export const hedge: Row<boolean | HedgeOptions> = {
  allowed:
    'true, false or { delayMs?, maxExtraLoad? } with delayMs from 0, maxExtraLoad from 0 to 1',
  accepts: (value) => typeof value === 'boolean' || isGroup(value),
  within: () => HEDGE,
}

class TelemetryRows {
  /** Puts prompts and answers on spans. @default false */
  readonly captureContent: DefaultedRow<boolean> = { ...trueOrFalse, default: false }
  /** Changes the messages before they are put on spans. */
  readonly redact: Row<(messages: unknown) => unknown> = aFunction
  /** Sends the `traceparent` of each attempt along, for a gateway that continues the trace. @default false */
  readonly propagateTraceparent: DefaultedRow<boolean> = { ...trueOrFalse, default: false }
}

export interface TelemetryOptions extends ValuesOf<TelemetryRows> {}

const TELEMETRY: Checks = { ...new TelemetryRows() }

export const telemetry: Row<TelemetryOptions> = {
  allowed: '{ captureContent?: boolean, redact?: function, propagateTraceparent?: boolean }',
  accepts: isGroup,
  within: () => TELEMETRY,
}

const failureKind: OptionCheck = {
  allowed: "a failure kind, such as 'overloaded'",
  accepts: isFailureKind,
}

class FallbackRows {
  /** The model. @default the request's */
  readonly model: Row<string> = {
    allowed: 'the name of a model',
    accepts: (value) => typeof value === 'string' && value !== '',
  }
  /** The client. @default the wrapped one */
  readonly client: Row<ChatClient> = {
    // prepareClient() says what a client must have.
    allowed: 'an openai client',
    accepts: (value) =>
      (typeof value === 'object' || typeof value === 'function') && value !== null,
  }
  /** The kinds of failure after which it is tried. @default context_length, quota_exhausted, billing, overloaded, server_error, timeout, network, rate_limit, circuit_open */
  readonly on: Row<readonly FailureKind[]> = {
    allowed: "an array of failure kinds, such as ['overloaded']",
    accepts: Array.isArray,
    within: (value) => (Array.isArray(value) ? eachOf(value, failureKind) : undefined),
  }
}

/** Another model, another client, or both, tried in order when the kind of failure is in `on`. */
export interface Fallback extends ValuesOf<FallbackRows> {}

const FALLBACK: Checks = { ...new FallbackRows() }

const fallback: OptionCheck = {
  allowed: '{ model?, client?, on? } with a model or a client',
  accepts: (value) =>
    isGroup(value) && ['model', 'client'].some((name) => Reflect.get(value, name) !== undefined),
  got: (value) => (isGroup(value) ? 'one with neither' : show(value)),
  within: (value) => (Array.isArray(value) ? undefined : FALLBACK),
}

export const fallbacks: Row<readonly Fallback[]> = {
  allowed: 'an array of { model?, client?, on? } with a model or a client in each',
  accepts: Array.isArray,
  within: (value) => (Array.isArray(value) ? eachOf(value, fallback) : undefined),
}

/** A gateway whose own retries can be switched off. */
export type GatewayName = 'litellm' | 'portkey' | 'helicone' | 'cloudflare' | 'openrouter'

interface NamedGateway {
  /** Which gateway it is. */
  readonly name: GatewayName
  /** `'keep'`: the operator's own fallbacks go on; only retries are switched off. @default 'off' */
  readonly fallbacks?: 'keep' | 'off'
}

/** A gateway by its name, or with what is to become of its own fallbacks. */
export type GatewayOption = GatewayName | NamedGateway

const gatewayName: Row<GatewayName> = oneOf(
  'litellm',
  'portkey',
  'helicone',
  'cloudflare',
  'openrouter',
)
const GATEWAY: RowsOf<NamedGateway> = {
  name: gatewayName,
  fallbacks: { ...oneOf('keep', 'off'), default: 'off' },
}

export const gateway: Row<GatewayOption> = {
  allowed: `${gatewayName.allowed}, or { name, fallbacks? } with one of these and 'keep' or 'off'`,
  accepts: (value) =>
    isGroup(value) ? Reflect.get(value, 'name') !== undefined : gatewayName.accepts(value),
  got: (value) => (isGroup(value) ? 'one without a name' : show(value)),
  within: (value) => (Array.isArray(value) ? undefined : GATEWAY),
}

// How results are kept: how large at most, and whether in plain text.

/** Nothing in a message here is a key, or may be one. */
const encryption: Row<EncryptionOptions> = {
  allowed:
    '{ keys: { [id]: 32 bytes or their base64 }, use: one of these ids, acceptPlain?: boolean }',
  accepts: (value) =>
    isGroup(value) && ['keys', 'use'].every((name) => Reflect.get(value, name) !== undefined),
  got: (value) => (isGroup(value) ? 'one without keys or use' : secret(value)),
  within: encryptionRows,
}

function encryptionRows(given: object): RowsOf<EncryptionOptions> {
  return {
    keys: encryptionKeys,
    use: {
      allowed: 'an id in encryption.keys',
      accepts: (use) =>
        typeof use === 'string' && Object.hasOwn(Object(Reflect.get(given, 'keys')), use),
      got: (use) => (typeof use === 'string' ? 'another string' : show(use)),
    },
    acceptPlain: { ...trueOrFalse, default: false },
  }
}

const encryptionKeys: OptionCheck = {
  allowed:
    'an object of keys by their ids, of 1 to 64 letters, digits, _, . or -, with one at least',
  accepts: (value) => isGroup(value) && hasIds(value),
  got: (value) => (isGroup(value) ? 'one with other ids, or none' : secret(value)),
  within: (value) => (Array.isArray(value) || !hasIds(value) ? undefined : eachOf(value, key)),
}

const key: OptionCheck = {
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

/** An answer of some 250,000 tokens. Every store reads and writes a record whole. */
export const MAX_RESULT_BYTES = 1_048_576

// After the checks that its fields are made of.
export class KeepingRows {
  /**
   * The largest result that is kept, in bytes of its JSON. A larger one is returned to its caller with
   * `persisted: false`; later callers of its key get an error, and the work is not done again. @default 1,048,576 (1 MiB)
   */
  readonly maxResultBytes: DefaultedRow<number> = {
    ...integer(1, 2 ** 28),
    default: MAX_RESULT_BYTES,
  }
  /** Encrypts kept results. @default none: who can read the store can read the results */
  readonly encryption: Row<EncryptionOptions> = encryption
}

/** How results are kept: how large at most, and whether in plain text. */
export interface KeepingOptions extends ValuesOf<KeepingRows> {}
