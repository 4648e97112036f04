import type { TargetState } from '../retry/target-state.ts'
import type { TargetInfo } from '../telemetry/telemetry.ts'
import type { JobTarget } from './job.ts'
import type { CallRecord } from './record.ts'
import { providerName } from './targets.ts'

/** The state of a target's breaker that was told last. */
const told = new WeakMap<TargetState, TargetState['breaker']['state']>()

/**
 * Tells once of each change of a breaker: in the call that sees it first, which is the one that
 * caused it, since every call looks right after its attempt. A rest that ends is seen by the probe.
 */
export function noticeBreaker(record: CallRecord, target: JobTarget): void {
  const { name, state } = target
  const to = state.breaker.state
  const from = told.get(state) ?? 'closed'
  if (from === to) return
  told.set(state, to)
  record.tell({ type: 'breaker-changed', target: name, from, to })
  record.span.breakerChanged({ ...targetInfo(target), target: name, from, to })
}

/** A target as spans and metrics describe it. */
export function targetInfo(target: JobTarget | undefined): TargetInfo {
  const { model, host, port } = target ?? {}
  return { model, host, port, providerName: host && providerName(host) }
}
