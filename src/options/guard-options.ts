import { type KeepingOptions, KeepingRows } from './keeping-options.ts'
import { json, type OptionCheck, type Row, text, type ValuesOf } from './option-check.ts'
import { CALL_ROWS, type CallOptions, STEADY_ROWS, type SteadyOptions } from './options.ts'

class GuardRows {
  /** Namespace of the key, such as `create-ticket`. */
  readonly operation: Row<string> = text(255)
  /** What the key stands for. JSON. */
  readonly payload: Row<unknown> = json
}

const OF_CALL = [
  'maxAttempts',
  'maxRequests',
  'deadlineMs',
  'attemptTimeoutMs',
  'ttlMs',
  'onUncertain',
  'onStoreError',
  'signal',
] as const

const OF_CLIENT = ['tenant', 'keySecret', 'runtime', 'onEvent'] as const

/** For `runIdempotent`: the guard alone. */
export interface GuardOptions
  extends Required<ValuesOf<GuardRows>>,
    Required<Pick<SteadyOptions, 'store'>>,
    Pick<CallOptions, (typeof OF_CALL)[number]>,
    Pick<SteadyOptions, (typeof OF_CLIENT)[number]>,
    KeepingOptions {
  /** 1–255 characters. @default derived from `operation` and `payload` */
  readonly idempotencyKey?: string
}

/** Names the record of an idempotency key, as `runIdempotent` or a keyed `run` was given it. */
export interface KeyedOperation
  extends Pick<GuardOptions, 'store' | 'tenant' | 'keySecret'>,
    KeepingOptions {
  /** The `operation` of `runIdempotent`, or the name given to `run`. */
  readonly operation: string
  readonly idempotencyKey: string
  /** Life of a result that is settled by hand. @default 86,400,000 (24 hours) */
  readonly ttlMs?: number
}

export const GUARD_ROWS: Readonly<Record<keyof GuardOptions, OptionCheck>> = {
  ...new GuardRows(),
  ...pick(CALL_ROWS, [...OF_CALL, 'idempotencyKey']),
  ...pick(STEADY_ROWS, [...OF_CLIENT, 'store']),
  ...new KeepingRows(),
}

export const KEYED_ROWS: Readonly<Record<keyof KeyedOperation, OptionCheck>> = {
  ...pick(GUARD_ROWS, ['store', 'operation', 'idempotencyKey', 'tenant', 'keySecret', 'ttlMs']),
  ...new KeepingRows(),
}

function pick<Rows extends object, Name extends keyof Rows>(
  rows: Rows,
  names: readonly Name[],
): Pick<Rows, Name> {
  // Exactly these names, each with its own row.
  return Object.fromEntries(names.map((name) => [name, rows[name]])) as Pick<Rows, Name>
}
