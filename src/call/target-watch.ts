import type { Failure } from '../errors/call-error.ts'
import { providerName } from '../telemetry/provider-name.ts'
import type { TargetState } from '../retry/health/target-state.ts'
import type { TargetHealth, TargetInfo } from '../telemetry/telemetry.ts'
import type { TaskTarget } from './task.ts'
import type { Tell } from './events.ts'
import { type Runtime, warnOnce } from './runtime.ts'

/** The state of each target that was told last. */
const told = new WeakMap<TargetState, TargetHealth>()

/**
 * Tells of each change of a target's state once: in the call that sees it first, mostly the one that
 * caused it, since every call looks right after its attempt.
 */
export function noticeTarget(
  { tell }: { readonly tell: Tell | undefined },
  target: TaskTarget,
): void {
  const { name, state } = target
  const to = state.line.health
  const from = told.get(state) ?? 'up'
  if (from === to) return
  told.set(state, to)
  tell?.({ type: 'target-changed', target: name, from, to, traced: targetInfo(target) })
}

/** A provider that is only busy asks for less; with a longer hint somebody should know of it. */
const LONG_HINT_MS = 10 * 60_000

/** Warns, once for each target, of a hint that closes its line for long. */
export function noticeLongHint(
  runtime: Runtime,
  { name, state }: TaskTarget,
  { retryAfterMs = 0 }: Failure,
): void {
  if (retryAfterMs <= LONG_HINT_MS || state.line.closedForMs <= LONG_HINT_MS) return
  warnOnce(
    runtime,
    'STEADYCALL_LONG_HINT',
    `${name} asks for ${Math.round(retryAfterMs / 60_000)} minutes without requests: until then its calls wait, or fail where they may not wait as long. If that is wrong, llm.reopen(${JSON.stringify(name)}) opens its line.`,
    name,
  )
}

/** A target as spans and metrics describe it. */
export function targetInfo(target: TaskTarget | undefined): TargetInfo {
  const { model, host, port } = target ?? {}
  return { model, host, port, providerName: host && providerName(host) }
}
