import type { Told } from './worker.ts'

/**
 * Judges what callers of one key were told: is there an order in which one of them did the work and
 * all others got what it stored? Undefined where there is; else what is wrong.
 */
export function faultIn(history: readonly Told[], requests: number): string | undefined {
  const failed = history.filter(({ kind }) => kind !== undefined)
  if (failed.length > 0) return `${failed.length} failed: ${failed[0]?.kind}`
  const owners = history.filter(({ source }) => source === 'provider')
  const [owner] = owners
  if (owner === undefined) return 'nobody did the work'
  if (owners.length > 1) return `${owners.length} did the work`
  if (requests !== 1) return `${requests} requests for one piece of work`
  if (owner.persisted !== true) return 'the outcome was not kept'
  const other = history.find(({ answer }) => answer !== owner.answer)
  if (other !== undefined) return 'two callers were told different things'
  // What is stored cannot be told before it was begun.
  const early = history.find(({ endedAtMs }) => endedAtMs < owner.startedAtMs)
  return early === undefined ? undefined : 'somebody was told before the work had begun'
}
