import { AsyncLocalStorage } from 'node:async_hooks'
import { processWide } from '../process-wide.ts'

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
  /** The call before it in the same flow, or one before that, whose stream was open. */
  readonly within: FlowCall | undefined
}

const STORAGE = Symbol.for('steadycall.call-flow.v2')

/** One storage for all copies of the package. */
function storage(): AsyncLocalStorage<FlowCall> {
  return processWide(STORAGE, () => new AsyncLocalStorage<FlowCall>())
}

/**
 * To be called in the same turn as the face that the application calls, so that what its code does
 * after the call is known to follow it: a loop around the call goes on in that flow, by `await`. What a
 * timer or an event calls is a flow of its own, and so is what another call of the flow stands before:
 * that is a queue that works through its jobs.
 */
export function beginCall(): void {
  const last = storage().getStore()
  const before = last?.givenUp
  const after = before !== undefined && isContinued() ? before : undefined
  try {
    storage().enterWith({
      after,
      givenUp: undefined,
      open: 0,
      line: undefined,
      within: openOf(last),
    })
  } catch {
    // Workers have no such method, or one that throws: there no loop is told of, rather than each queue.
  }
}

/** A stream of this call, with a place in this line, has been handed out. Returns the function to call at its end. */
export function openInFlow(line: object | undefined): () => void {
  const call = storage().getStore()
  if (call === undefined) return () => {}
  call.open += 1
  call.line = line
  return () => {
    call.open -= 1
  }
}

/** Is a stream open that was made earlier in this flow? Its reader may be waiting for this call. */
export function isWithinOpenStream(): boolean {
  return openOf(storage().getStore()?.within) !== undefined
}

/** Is a stream with a place in this line open that was made earlier in this flow? */
export function isWithinOpenStreamOf(line: object): boolean {
  let call = openOf(storage().getStore()?.within)
  while (call !== undefined && call.line !== line) call = openOf(call.within)
  return call !== undefined
}

function openOf(call: FlowCall | undefined): FlowCall | undefined {
  if (call === undefined || call.open > 0) return call
  return openOf(call.within)
}

/** Had the call before this one, in the same flow, given up a request of this fingerprint? */
export function followsGivenUp(fingerprint: string): boolean {
  return storage().getStore()?.after?.includes(fingerprint) ?? false
}

/** Whoever calls next in this flow follows what this call has given up. */
export function giveUpInFlow(fingerprints: readonly string[]): void {
  const call = storage().getStore()
  if (call !== undefined) call.givenUp = fingerprints
}

/** A call that was refused unsent changes nothing: the next one follows what it followed. */
export function passFlowOn(): void {
  const call = storage().getStore()
  if (call !== undefined) call.givenUp = call.after
}

/**
 * Does the code that runs now go on after an `await`? What runs directly in the callback of a timer or
 * an event has that as its resource. A loop that waits by a timer goes on in a promise's job: those have
 * the promise, or no id where nobody tracks promises.
 */
function isContinued(): boolean {
  const hooks = globalThis.process?.getBuiltinModule?.('node:async_hooks')
  if (hooks === undefined || hooks.executionAsyncId() === 0) return true
  return hooks.executionAsyncResource() instanceof Promise
}
