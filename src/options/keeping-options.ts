/** How results are kept: how large at most, and whether in plain text. */

import { KEY_ID, keyBytes } from '../idempotency/encryption.ts'
import type { EncryptionOptions } from '../idempotency/encryption-options.ts'
import {
  type DefaultedRow,
  eachOf,
  integer,
  isGroup,
  type OptionCheck,
  type Row,
  type RowsOf,
  show,
  trueOrFalse,
  type ValuesOf,
} from './option-check.ts'

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
