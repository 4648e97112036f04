import type { TargetState } from '../retry/health/target-state.ts'
import type { TargetHealth, TargetInfo } from '../telemetry/telemetry.ts'
import type { JobTarget } from './job.ts'
import type { CallRecord } from './record.ts'
import { providerName } from './targets.ts'

/** The state of each target that was told last. */
const told = new WeakMap<TargetState, TargetHealth>()

/**
 * Tells of each change of a target's state once: in the call that sees it first, mostly the one that
 * caused it, since every call looks right after its attempt.
 */
export function noticeTarget(record: CallRecord, target: JobTarget): void {
  const { name, state } = target
  const to = state.line.health
  const from = told.get(state) ?? 'up'
  if (from === to) return
  told.set(state, to)
  record.tell({ type: 'target-changed', target: name, from, to })
  record.span.targetChanged({ ...targetInfo(target), target: name, from, to })
}

/** A target as spans and metrics describe it. */
export function targetInfo(target: JobTarget | undefined): TargetInfo {
  const { model, host, port } = target ?? {}
  return { model, host, port, providerName: host && providerName(host) }
}
