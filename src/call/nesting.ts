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
interface ScopeFrame {
  readonly scope: Scope
  readonly wire: Wire | undefined
  /** The attempt's span: for calls inside it, where the application has no context manager. */
  readonly trace?: Context | undefined
}

const STORAGE = Symbol.for('steadycall.scope.v2')

/** One storage for all copies of the package, so that they see each other's calls. */
const storage = processWide(STORAGE, () => new AsyncLocalStorage<ScopeFrame>())

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
  const scope = storage.getStore()?.scope
  return scope === undefined || scope.settled ? undefined : scope
}

/** The attempt that a socket opened now belongs to. */
export function currentWire(): Wire | undefined {
  return storage.getStore()?.wire
}

/** The trace of the attempt that we are in. */
export function currentTrace(): Context | undefined {
  return storage.getStore()?.trace
}

/** Runs one attempt's work inside its call's scope. */
export function runInScope<T>(frame: ScopeFrame, work: () => T): T {
  return storage.run(frame, work)
}

/** Runs something as if no call were around it. */
export function outsideScopes<T>(work: () => T): T {
  return storage.exit(work)
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

/** A call, as the code that made it goes on from there. */
interface FlowCall {
  /** Fingerprints of what it gave up. */
  givenUp: readonly string[] | undefined
  /** What the call before it in the same flow had given up when this one was made. */
  readonly after: readonly string[] | undefined
  /** Streams of this call that have not ended. */
  open: number
  /** The line that a stream of this call has its place in. */
  line: object | undefined
  /**
   * The call before it in the same flow, or one before that, whose stream was open when it was last
   * looked at.
   */
  within: FlowCall | undefined
}

const FLOW = Symbol.for('steadycall.call-flow.v2')

/** One storage for all copies of the package. */
const flow = processWide(FLOW, () => new AsyncLocalStorage<FlowCall>())

/**
 * To be called in the same turn as the face that the application calls, so that what its code does
 * after the call is known to follow it: a loop around the call goes on in that flow, by `await`. What a
 * timer or an event calls is a flow of its own, and so is what another call of the flow stands before:
 * that is a queue that works through its jobs.
 */
export function beginCall(): void {
  const last = flow.getStore()
  const before = last?.givenUp
  const after = before !== undefined && isContinued() ? before : undefined
  try {
    const within = nearestOpen(last)
    flow.enterWith({ after, givenUp: undefined, open: 0, line: undefined, within })
  } catch {
    // Workers have no such method, or one that throws: there no loop is told of, rather than each queue.
  }
}

/** A stream of this call, with a place in this line, has been handed out. Returns the function to call at its end. */
export function openInFlow(line?: object): () => void {
  const call = flow.getStore()
  if (call === undefined) return () => {}
  call.open += 1
  call.line = line
  return () => {
    call.open -= 1
    // A loop that opens one stream after another would else link all that it ever made.
    if (call.open === 0) call.within = nearestOpen(call.within)
  }
}

/** Is a stream open that was made earlier in this flow? Its reader may be waiting for this call. */
export function isWithinOpenStream(): boolean {
  const call = flow.getStore()
  if (call === undefined) return false
  call.within = nearestOpen(call.within)
  return call.within !== undefined
}

/** Is a stream with a place in this line open that was made earlier in this flow? */
export function isWithinOpenStreamOf(line: object): boolean {
  let call = nearestOpen(flow.getStore()?.within)
  while (call !== undefined && call.line !== line) call = nearestOpen(call.within)
  return call !== undefined
}

/** This call, or the nearest before it, whose stream is open. Those passed on the way remember it. */
function nearestOpen(from: FlowCall | undefined): FlowCall | undefined {
  let open = from
  while (open !== undefined && open.open <= 0) open = open.within
  for (let passed = from; passed !== undefined && passed !== open; ) {
    const { within } = passed
    passed.within = open
    passed = within
  }
  return open
}

/** Had the call before this one, in the same flow, given up a request of this fingerprint? */
export function followsGivenUp(fingerprint: string): boolean {
  return flow.getStore()?.after?.includes(fingerprint) ?? false
}

/** The next call in this flow follows what this call has given up. */
export function giveUpInFlow(fingerprints: readonly string[]): void {
  const call = flow.getStore()
  if (call !== undefined) call.givenUp = fingerprints
}

/** A call that was refused unsent changes nothing: the next one follows what it followed. */
export function passFlowOn(): void {
  const call = flow.getStore()
  if (call !== undefined) call.givenUp = call.after
}

/**
 * Does the code that runs now go on after an `await`? What runs directly in the callback of a timer or
 * an event has that as its resource. A loop that waits by a timer goes on in a promise's job: those have
 * the promise, or no id where promises are not tracked.
 */
function isContinued(): boolean {
  const hooks = globalThis.process?.getBuiltinModule?.('node:async_hooks')
  if (hooks === undefined || hooks.executionAsyncId() === 0) return true
  return hooks.executionAsyncResource() instanceof Promise
}
