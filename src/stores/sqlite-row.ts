import type { KeyRecord } from '../idempotency/record.ts'
import { readNotice } from '../idempotency/stored-notice.ts'
import { unreadableRecord } from '../idempotency/unreadable-record.ts'
import { isOwnerId } from './sqlite-owner.ts'

type Column = string | number | null

/** The columns of a record in the order of the table. Times are rounded up to whole milliseconds. */
export function toRow(key: string, record: KeyRecord): Column[] {
  const { state, fence, fingerprint, onUncertain, outcome, left } = record
  return [
    key,
    state,
    ownerColumn(record),
    fence,
    fingerprint,
    onUncertain,
    Math.ceil(record.leaseUntilMs),
    Math.ceil(record.expiresAtMs),
    left === undefined ? null : JSON.stringify(left.notice),
    left?.fence ?? null,
    left === undefined ? null : Math.ceil(left.untilMs),
    outcome?.ok === false ? JSON.stringify(outcome.notice) : null,
    outcome?.ok === true ? outcome.result : null,
  ]
}

/**
 * The record in a row; undefined if there is none. The contents of the file are not trusted.
 * @throws {CallError} if this version cannot have written the record.
 */
export function fromRow(row: unknown, key: string): KeyRecord | undefined {
  const column = (name: string): unknown => Reflect.get(Object(row), name)
  if (column('key') === null) return undefined
  const state = column('state')
  const owner = column('owner')
  const fence = column('fence')
  const fingerprint = column('fingerprint')
  const onUncertain = column('on_uncertain')
  const leaseUntilMs = column('lease_until_ms')
  const expiresAtMs = column('expires_at_ms')
  const outcome = outcomeIn(column, key)
  if (!isState(state)) throw unreadableRecord(key, 'its state')
  if ((state === 'settled') !== (outcome !== undefined)) throw unreadableRecord(key, 'its outcome')
  if (typeof owner !== 'string') throw unreadableRecord(key, 'its owner')
  if (!isCount(fence)) throw unreadableRecord(key, 'its fence')
  if (typeof fingerprint !== 'string') throw unreadableRecord(key, 'its fingerprint')
  if (onUncertain !== 'rerun' && onUncertain !== 'fail') {
    throw unreadableRecord(key, 'its onUncertain')
  }
  if (typeof leaseUntilMs !== 'number' || typeof expiresAtMs !== 'number') {
    throw unreadableRecord(key, 'its times')
  }
  const left = leftIn(column, key)
  return {
    state,
    ...ownerIn(owner),
    fence,
    fingerprint,
    onUncertain,
    leaseUntilMs,
    expiresAtMs,
    ...(outcome !== undefined && { outcome }),
    ...(left !== undefined && { left }),
  }
}

// Stored together with the owner rather than in a column of its own, so that earlier versions of steadycall can
// use the same file: they compare an owner only with their own.
const PROCESS_MARK = '\n@'

function ownerColumn({ owner, process }: KeyRecord): string {
  return process === undefined ? owner : `${owner}${PROCESS_MARK}${process}`
}

function ownerIn(column: string): Pick<KeyRecord, 'owner' | 'process'> {
  const at = column.lastIndexOf(PROCESS_MARK)
  const process = at < 0 ? '' : column.slice(at + PROCESS_MARK.length)
  return isOwnerId(process) ? { owner: column.slice(0, at), process } : { owner: column }
}

type Columns = (name: string) => unknown

function outcomeIn(column: Columns, key: string): KeyRecord['outcome'] {
  const result = column('result')
  const refusal = column('refusal')
  if (result === null && refusal === null) return undefined
  if (typeof result === 'string' && refusal === null) return { ok: true, result }
  const notice = result === null ? readNotice(refusal) : undefined
  if (notice === undefined) throw unreadableRecord(key, 'its outcome')
  return { ok: false, notice }
}

function leftIn(column: Columns, key: string): KeyRecord['left'] {
  const fence = column('left_fence')
  const untilMs = column('left_until_ms')
  const text = column('left_notice')
  if (fence === null && untilMs === null && text === null) return undefined
  const notice = readNotice(text)
  if (notice === undefined || !isCount(fence) || typeof untilMs !== 'number') {
    throw unreadableRecord(key, 'its notice')
  }
  return { fence, notice, untilMs }
}

const STATES: readonly unknown[] = [
  'claimed',
  'dispatched',
  'uncertain',
  'settled',
  'free',
] satisfies readonly KeyRecord['state'][]

function isState(value: unknown): value is KeyRecord['state'] {
  return STATES.includes(value)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 1
}
