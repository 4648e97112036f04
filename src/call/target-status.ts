import { hash } from 'node:crypto'
import type { KnownTarget, Runtime } from './runtime.ts'

/** How one target is doing: host, model and credential, or a named function. */
export interface TargetStatus {
  /** `host model`, or `run name`. */
  readonly target: string
  /** Tells targets of one name apart that differ in credential, settings or layer; no secret. */
  readonly id: string
  /** `'down'`: it gets single probes. `'recovering'`: waiting calls are released step by step. */
  readonly state: 'up' | 'down' | 'recovering'
  /** How long it has been down, milliseconds; 0 when it is not. */
  readonly downForMs: number
  /** Requests that may be in flight at once; absent while no limit is known. */
  readonly limit?: number
  readonly inFlight: number
  /** Calls that wait in its line. */
  readonly waiting: number
  /** How long a hint of the provider still closes it, milliseconds; 0 when none does. */
  readonly closedForMs: number
}

/** The health of every target of a runtime, most recently made last. */
export function targetStatuses({ shared }: Runtime): readonly TargetStatus[] {
  return [...shared.targets].map(([key, target]) => statusOf(key, target))
}

function statusOf(key: string, { name, state }: KnownTarget): TargetStatus {
  const { limit, ...status } = state.line.status()
  return Object.freeze({
    target: name,
    id: idOf(key),
    ...status,
    ...(limit !== Infinity && { limit }),
  })
}

function idOf(key: string): string {
  return hash('sha256', key).slice(0, 8)
}

/**
 * Opens the line of a target, by its name or `id`: no hint closes it, and it counts as up.
 * @returns false where there is no such target.
 */
export function reopenTarget({ shared }: Runtime, which: string): boolean {
  const found = [...shared.targets].filter(
    ([key, { name }]) => which === name || which === idOf(key),
  )
  for (const [, { state }] of found) state.line.reopen()
  return found.length > 0
}
