import { hash } from 'node:crypto'
import type { Failure } from '../errors/call-error.ts'
import type { Flights } from '../idempotency/flight.ts'
import type { Store } from '../idempotency/store.ts'
import { clock as aClock, aFunction, checkOptions } from '../options/option-check.ts'
import { emitProcessWarning, processWide } from '../process-wide.ts'
import {
  createTargetState,
  settingsKey,
  type TargetSettings,
  type TargetState,
} from '../retry/health/target-state.ts'
import { memoryStore } from '../stores/memory-store.ts'
import type { TargetHealth, TargetInfo } from '../telemetry/telemetry.ts'
import { type Clock, systemClock } from '../time.ts'
import type { Tell } from './events.ts'

/**
 * What calls share: the line of each target, calls in flight, and the default store. One per process, unless `createRuntime()` made another for a test or a tenant.
 */
export interface Runtime {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** steadycall's own: what is in it is no promise. */
  readonly shared: SharedState
}

interface SharedState {
  readonly targets: Map<string, KnownTarget>
  readonly flights: Flights
  /** Fingerprints of calls that gave up, with the monotonic time: an outer loop sends them again. */
  readonly exhausted: Map<string, number>
  readonly warned: Set<string>
  defaultStore: Store | undefined
}

export interface RuntimeOptions {
  /** @default the system's clock */
  readonly clock?: Clock
  /** Uniform in [0, 1). @default Math.random */
  readonly random?: () => number
}

/** A runtime of its own: shares no line, flight or memory store with any other. */
export function createRuntime(options: RuntimeOptions = {}): Runtime {
  checkOptions('createRuntime()', options, { clock: aClock, random: aFunction })
  const { clock = systemClock, random = Math.random } = options
  const shared: SharedState = {
    targets: new Map(),
    flights: new Map(),
    exhausted: new Map(),
    warned: new Set(),
    defaultStore: undefined,
  }
  return Object.freeze({ clock, random, shared })
}

const PROCESS_RUNTIME = Symbol.for('steadycall.runtime.v2')

/** The process's own runtime, shared by every copy of this package. */
export function processRuntime(): Runtime {
  return processWide(PROCESS_RUNTIME, () => createRuntime())
}

/** The runtime's memory store, made when the first keyed call needs one. */
export function defaultStore({ shared, clock }: Runtime): Store {
  const store = shared.defaultStore ?? memoryStore({ clock })
  shared.defaultStore = store
  return store
}

// Host, model and credential of a process are few; a bound keeps hostile model names from growing it.
const MAX_TARGETS = 1_000
// Only a map that may soon be full needs to know who was used last.
const CROWDED = MAX_TARGETS / 2

/** What was learned of one target, and under which name it is shown. */
interface KnownTarget {
  readonly name: string
  readonly state: TargetState
}

/**
 * What all calls to one target share, under equal settings. `key` tells targets apart, by the
 * credential too; `name` is shown. When there are too many, the one unused for longest is forgotten.
 */
export function targetState(
  runtime: Runtime,
  { key, name }: { readonly key: string; readonly name: string },
  settings: TargetSettings,
): TargetState {
  const { targets } = runtime.shared
  const full = key + settingsKeyOf(settings)
  const existing = targets.get(full)
  if (existing !== undefined) {
    if (targets.size > CROWDED) {
      targets.delete(full)
      targets.set(full, existing)
    }
    return existing.state
  }
  const { clock, random } = runtime
  const state = createTargetState({ clock, random, ...settings })
  targets.set(full, { name, state })
  dropOldest(targets, MAX_TARGETS)
  return state
}

// By the options of a client, which are the same object in all its calls.
const settingsKeys = new WeakMap<TargetSettings, string>()

function settingsKeyOf(settings: TargetSettings): string {
  const known = settingsKeys.get(settings)
  if (known !== undefined) return known
  const key = settingsKey(settings)
  settingsKeys.set(settings, key)
  return key
}

const EXHAUSTION_MEMORY_MS = 60_000
const MAX_EXHAUSTED = 1_000

/** Remembers for a minute that this request has been given up. */
export function rememberExhausted(runtime: Runtime, fingerprint: string): void {
  const { exhausted } = runtime.shared
  exhausted.delete(fingerprint)
  exhausted.set(fingerprint, runtime.clock.monotonicMs())
  dropOldest(exhausted, MAX_EXHAUSTED)
}

/** Was the same request given up within the last minute? Then a loop is around the call. */
export function wasExhausted(runtime: Runtime, fingerprint: string): boolean {
  return runtime.shared.exhausted.has(fingerprint)
}

/** Has any call been given up within the last minute? Only then is a fingerprint worth its price. */
export function anyExhausted({ shared, clock }: Runtime): boolean {
  if (shared.exhausted.size === 0) return false
  const oldestMs = clock.monotonicMs() - EXHAUSTION_MEMORY_MS
  for (const [fingerprint, atMs] of shared.exhausted) {
    if (atMs >= oldestMs) break
    shared.exhausted.delete(fingerprint)
  }
  return shared.exhausted.size > 0
}

/** One process warning per runtime and topic, and per thing that it is about where there are several. */
export function warnOnce(runtime: Runtime, topic: string, message: string, about = ''): void {
  const { warned } = runtime.shared
  const once = `${topic}${about}`
  if (warned.has(once) || warned.size >= MAX_EXHAUSTED) return
  warned.add(once)
  emitProcessWarning(message, topic)
}

function dropOldest(map: Map<string, unknown>, limit: number): void {
  if (map.size <= limit) return
  for (const key of map.keys()) {
    map.delete(key)
    return
  }
}

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

/** A target, as far as it is watched and shown here. */
interface Shown {
  readonly name: string
  readonly model?: string
  readonly host?: string
  readonly port?: number | undefined
  readonly providerName?: string
  readonly state: TargetState
}

/** The state of each target that was told last. */
const told = new WeakMap<TargetState, TargetHealth>()

/**
 * Tells of each change of a target's state once: in the call that sees it first, mostly the one that
 * caused it, since every call looks right after its attempt.
 */
export function noticeTarget({ tell }: { readonly tell: Tell | undefined }, target: Shown): void {
  const { name, state } = target
  const to = state.line.health
  const from = told.get(state) ?? 'up'
  if (from === to) return
  told.set(state, to)
  tell?.({ type: 'target-changed', target: name, from, to, traced: targetInfo(target) })
}

/** A provider that is only busy asks for less; a longer hint is worth a warning. */
const LONG_HINT_MS = 10 * 60_000

/** Warns, once for each target, of a hint that closes its line for long. */
export function noticeLongHint(
  runtime: Runtime,
  { name, state }: Shown,
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
export function targetInfo(target: Shown | undefined): TargetInfo {
  const { model, host, port, providerName } = target ?? {}
  return { model, host, port, providerName }
}
