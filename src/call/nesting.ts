import { AsyncLocalStorage } from 'node:async_hooks'
import type { Context } from '@opentelemetry/api'
import type { Failure } from '../errors/call-error.ts'
import { readProperty, someCause } from '../errors/hostile.ts'
import { processWide } from '../process-wide.ts'
import type { Deadline } from '../time.ts'
import type { Wire } from './task.ts'

/**
 * What a call inside another call must know of it. One outer call has one scope; it is inert once
 * that call has settled.
 */
export interface Scope {
  readonly deadline: Deadline
  /**
   * Failed requests by fingerprint, and those among them that a model may have worked on, so that a
   * loop around an inner call cannot multiply them. Kept by the outermost call: a loop may lie around
   * several layers.
   */
  readonly failed: Map<string, Spent & { readonly failure: Failure }>
  settled: boolean
  /** An attempt of this call is sent through this line. */
  enter(line: object): void
  /** That attempt has ended. */
  leave(): void
  /** Is an attempt of this call, or of one around it, in flight in this line? */
  isInFlight(line: object): boolean
}

/** What equal calls have spent. */
export interface Spent {
  readonly attempts: number
  readonly requests: number
}

/** What is carried along the asynchronous context of an attempt. */
interface Frame {
  readonly scope: Scope
  readonly wire: Wire | undefined
  /** The attempt's span: for calls inside it, where the application has no context manager. */
  readonly trace?: Context | undefined
}

const STORAGE = Symbol.for('steadycall.scope.v2')

/** One storage for all copies of the package, so that they see each other's calls. */
function storage(): AsyncLocalStorage<Frame> {
  return processWide(STORAGE, () => new AsyncLocalStorage<Frame>())
}

/** The scope of one call, inside that of another or not. */
export function createScope(deadline: Deadline, outer: Scope | undefined): Scope {
  return new CallScope(deadline, outer)
}

class CallScope implements Scope {
  readonly deadline: Deadline
  settled = false
  readonly #outer: Scope | undefined
  #failed: Scope['failed'] | undefined
  #line: object | undefined
  /** A hedge is sent beside its attempt, through the same line. */
  #inFlight = 0

  constructor(deadline: Deadline, outer: Scope | undefined) {
    this.deadline = deadline
    this.#outer = outer
  }

  enter(line: object): void {
    this.#line = line
    this.#inFlight += 1
  }

  leave(): void {
    this.#inFlight -= 1
  }

  isInFlight(line: object): boolean {
    if (this.#inFlight > 0 && this.#line === line) return true
    return this.#outer?.isInFlight(line) ?? false
  }

  get failed(): Scope['failed'] {
    if (this.#outer !== undefined && !this.#outer.settled) return this.#outer.failed
    // Few calls have others inside.
    this.#failed ??= new Map()
    return this.#failed
  }
}

/** The outer call we are in, unless it has settled. */
export function currentScope(): Scope | undefined {
  const scope = storage().getStore()?.scope
  return scope === undefined || scope.settled ? undefined : scope
}

/** The attempt that a socket opened now belongs to. */
export function currentWire(): Wire | undefined {
  return storage().getStore()?.wire
}

/** The trace of the attempt that we are in. */
export function currentTrace(): Context | undefined {
  return storage().getStore()?.trace
}

/** Runs one attempt's work inside its call's scope. */
export function runInScope<T>(frame: Frame, work: () => T): T {
  return storage().run(frame, work)
}

/** Runs something as if no call were around it. */
export function outsideScopes<T>(work: () => T): T {
  return storage().exit(work)
}

const EXHAUSTED = Symbol.for('steadycall.exhausted.v1')

/** Marks an error as given up by a steadycall layer: no outer layer retries it again. */
export function brandExhausted(error: unknown): void {
  if (typeof error !== 'object' || error === null || !Object.isExtensible(error)) return
  if (Object.hasOwn(error, EXHAUSTED)) return
  Object.defineProperty(error, EXHAUSTED, { value: true })
}

/** Was this error, or one it was caused by, given up by an inner steadycall layer? */
export function isExhausted(error: unknown): boolean {
  return someCause(error, (cause) => readProperty(cause, EXHAUSTED) === true)
}
