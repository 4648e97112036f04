import type { Wait } from '../errors/call-error.ts'
import { type Clock, sleep } from '../time.ts'
import { closedFailure, DEFAULT_LIMITS, type FallbackChoice, type StepFailure } from './decide.ts'
import { type Line, TIMER_SLACK_MS } from './health/line.ts'
import { type End, type Held, signOf } from './health/line-contract.ts'
import type { HeldBy, PermitRefusal, PermitRequest, Ticket } from './health/waiting.ts'
import type {
  AttemptStep,
  GoingOn,
  LoopPolicy,
  LoopRequest,
  LoopTarget,
  StepResult,
} from './loop-contract.ts'

/** Permission to send one attempt, granted by the target's line. */
export interface Permit {
  readonly ticket: Ticket
  /** Whether it repeats an attempt that may have been executed. */
  readonly paying: boolean
  /** Estimated tokens; 0 if tokens are not counted. */
  readonly tokens: number
}

/** The attempt that asks for permission to send. */
export interface PlannedSend {
  /** Index of its target. */
  readonly index: number
  /** Number of requests the call has sent. */
  readonly requests: number
  /** Whether it repeats an attempt that may have been executed. */
  readonly paying: boolean
  /** The reason of the attempt's own wait. */
  readonly own: 'backoff' | 'hint'
  /** When that wait ends, on the monotonic clock. */
  readonly notBeforeMs: number
  /** When the hint given to the call ends, on the monotonic clock; 0 if there is none. */
  readonly hintEndsMs: number
}

/**
 * Gets one call through the lines of its targets: its place among other calls, its waits, and how much longer
 * it may wait. Used only by `Run`.
 */
export class Admission<T> {
  readonly #request: LoopRequest<T>
  readonly #patience: Patience
  #target: LoopTarget
  /** The call's rank among the calls to this target; 0 if it has none yet. */
  #order = 0

  constructor(request: LoopRequest<T>) {
    this.#request = request
    this.#target = targetAt(request, 0)
    this.#patience = new Patience(request.policy, request.clock)
  }

  get target(): LoopTarget {
    return this.#target
  }

  get line(): Line {
    return this.#target.state.line
  }

  /** Total time waited, in milliseconds. */
  get waitedMs(): number {
    return this.#patience.waitedMs
  }

  /** The waits since the last attempt. */
  takeWaits(): readonly Wait[] {
    return this.#patience.takeWaits()
  }

  /** Moves the call to another target. */
  moveTo(index: number): void {
    this.#target = targetAt(this.#request, index)
    this.#order = 0
  }

  /** Permission to send the attempt now, or what holds it. */
  enter(planned: PlannedSend): Permit | Held {
    const { line } = this
    const permitRequest = this.#permitRequest(planned, 0)
    const ticket = line.enter(permitRequest)
    // A call that does not wait (`maxWaitMs: 0`) takes no token of the retry budget.
    const paying = permitRequest.paying && !permitRequest.impatient
    return ticket === 0
      ? line.held(permitRequest)
      : { ticket, paying, tokens: permitRequest.tokens }
  }

  /** What would hold the attempt after this delay in milliseconds. */
  heldAfter(planned: PlannedSend, delayMs: number): Held {
    return this.line.held(this.#permitRequest(planned, delayMs))
  }

  /** Waits for the call's turn, and at least `delayMs`. Returns permission to send, or why there is none. */
  async wait(planned: PlannedSend, delayMs: number): Promise<Permit | PermitRefusal> {
    const { signal, closing } = this.#request
    const { line } = this
    const fromMs = this.#nowMs()
    const permitRequest = this.#permitRequest(planned, delayMs)
    const outcome = await line.wait(permitRequest, signal, closing)
    const { paying, tokens } = permitRequest
    this.#patience.waited({ fromMs, delayMs, own: planned.own, line, paying })
    return typeof outcome === 'number' ? { ticket: outcome, paying, tokens } : outcome
  }

  /** Waits only `delayMs`. For `maxWaitMs: 0`, where the line admits the attempt at once or not at all. */
  async pause(planned: PlannedSend, delayMs: number): Promise<void> {
    const { clock, signal, closing } = this.#request
    const { line } = this
    const fromMs = this.#nowMs()
    const pause = () => closing?.sleep(clock, delayMs, signal) ?? sleep(clock, delayMs, signal)
    if (delayMs > 0) await pause().catch(() => {})
    this.#patience.waited({ fromMs, delayMs, own: planned.own, line })
  }

  /** How long the call may still wait for its next attempt, in milliseconds. */
  leftMs(hintEndsMs: number): number {
    const untilDeadlineMs = Math.max(this.untilDeadlineMs(), 0)
    // The call waits only for its backoff, which counts only against the deadline.
    if (this.#request.policy.maxWaitMs === 0) return untilDeadlineMs
    return Math.min(untilDeadlineMs, this.patienceMs(hintEndsMs))
  }

  /** Milliseconds until the last moment at which an attempt may start; negative if that has passed. */
  untilDeadlineMs(): number {
    const { deadline, policy } = this.#request
    return deadline.remainingMs() - (policy.minAttemptMs ?? DEFAULT_LIMITS.minAttemptMs)
  }

  /** How long the call may still wait regardless of its deadline, in milliseconds. */
  patienceMs(hintEndsMs: number): number {
    const ownHintMs = hintEndsMs === 0 ? 0 : hintEndsMs - this.#nowMs()
    return this.#patience.leftMs(this.line, ownHintMs)
  }

  /** The attempt's request to its line, if its own wait ends in `delayMs`. */
  #permitRequest(
    { index, requests, paying, notBeforeMs, hintEndsMs }: PlannedSend,
    delayMs: number,
  ): PermitRequest {
    const { policy, tokens } = this.#request
    const { line } = this
    if (this.#order === 0) this.#order = line.arrive()
    const nowMs = this.#nowMs()
    return {
      order: this.#order,
      requests,
      notBeforeMs: Math.max(nowMs + delayMs, notBeforeMs),
      latestMs: nowMs + Math.min(this.patienceMs(hintEndsMs), this.untilDeadlineMs()),
      paying,
      nested: policy.nested === true,
      reentrant: policy.holdsPlaceIn?.(line) === true,
      impatient: policy.maxWaitMs === 0,
      bulk: policy.bulk === true,
      tokens: line.countsTokens ? (tokens?.estimate(index) ?? 0) : 0,
    }
  }

  #nowMs(): number {
    return this.#request.clock.monotonicMs()
  }
}

/** A finished wait. */
export interface Waited {
  readonly fromMs: number
  /** The call's own part of the wait: its backoff, or a hint it was given. */
  readonly delayMs: number
  readonly own: 'backoff' | 'hint'
  readonly line: Line
  /** Whether it needed a token of the retry budget. */
  readonly paying?: boolean
}

/** Tracks how long a call has waited, for what reasons, and how much longer it may wait. */
export class Patience {
  readonly #maxWaitMs: number
  /** How much longer it may wait for hints. */
  readonly #hintsMs: number
  readonly #clock: Clock
  #waitedMs = 0
  #forHintsMs = 0
  #waits: Wait[] = []

  constructor({ maxWaitMs, maxHintMs = maxWaitMs }: LoopPolicy, clock: Clock) {
    this.#maxWaitMs = maxWaitMs
    // A call that does not wait does not wait for hints either. Infinity − Infinity would be NaN.
    this.#hintsMs = maxWaitMs > 0 && maxHintMs > maxWaitMs ? maxHintMs - maxWaitMs : 0
    this.#clock = clock
  }

  /** Total time waited, in milliseconds. */
  get waitedMs(): number {
    return this.#waitedMs
  }

  /** How much longer it may wait, in milliseconds; extended by the hints of the target and of the call. */
  leftMs(line: Line, ownHintMs = 0): number {
    const hintsMs = this.#forHintsMs + Math.max(line.toldForMs, ownHintMs, 0)
    return Math.max(this.#maxWaitMs - this.#waitedMs + Math.min(hintsMs, this.#hintsMs), 0)
  }

  waited({ fromMs, delayMs, own, line, paying = false }: Waited): void {
    const tookMs = this.#clock.monotonicMs() - fromMs
    const ownMs = Math.min(delayMs, tookMs)
    const { hintMs, downMs } = line.reasonsSince(fromMs + ownMs)
    const restMs = tookMs - ownMs - hintMs - downMs
    // A late timer's delay is attributed to what the timer was set for.
    const slackMs = ownMs > 0 && restMs < TIMER_SLACK_MS ? restMs : 0
    this.#add(own, ownMs + slackMs)
    this.#add('hint', hintMs)
    this.#add('down', downMs)
    this.#add(paying ? 'budget' : 'limit', restMs - slackMs)
    // With `maxWaitMs: 0` the backoff counts only against the deadline.
    if (this.#maxWaitMs > 0) this.#waitedMs += tookMs
  }

  /** The waits since the last attempt. */
  takeWaits(): readonly Wait[] {
    const waits = this.#waits
    if (waits.length > 0) this.#waits = []
    return waits
  }

  #add(what: HeldBy, ms: number): void {
    if (ms <= 0) return
    if (what === 'hint') this.#forHintsMs += ms
    const known = this.#waits.findIndex((wait) => wait.for === what)
    const before = this.#waits[known]
    if (before === undefined) this.#waits.push({ for: what, ms })
    else this.#waits[known] = { for: what, ms: before.ms + ms }
  }
}

/** The target with this index. @throws {RangeError} if there is none, which is a bug of ours. */
function targetAt<T>({ targets }: LoopRequest<T>, index: number): LoopTarget {
  const target = targets[index]
  if (target === undefined) throw new RangeError(`There is no target ${index}`)
  return target
}

/** The fallbacks after the target with this index. */
export function fallbacksAfter<T>(
  index: number,
  request: LoopRequest<T>,
): readonly FallbackChoice[] {
  const first = index + 1
  return request.targets.slice(first).map(({ on, state }, offset) => ({
    target: first + offset,
    on,
    available: state.line.isFree && request.spentAt?.(first + offset) === undefined,
  }))
}

/** How an attempt ended. There is no result only if `attempt` rejected, which it must not. */
interface StepOver<T> {
  readonly result: StepResult<T> | undefined
  readonly sentAtMs: number
  readonly isAborted: boolean
}

/** Reports to the line how an attempt ended, and gives its place back. */
export function reportEnd<T>(line: Line, permit: Permit, over: StepOver<T>): void {
  try {
    // May throw, because the line may call the user's `random`.
    line.ended(endOf(permit, over))
  } finally {
    giveBack(line, over.result, permit.tokens)
  }
}

/** Checks again whether the client was closed after the line granted permission. */
export function sendUnlessClosed<T>(
  request: LoopRequest<T>,
  step: AttemptStep,
): Promise<StepResult<T>> | StepFailure {
  if (!request.closing?.isClosed) return request.attempt(step)
  return { ok: false, withheld: true, failure: closedFailure() }
}

function endOf<T>({ ticket, paying }: Permit, { result, sentAtMs, isAborted }: StepOver<T>): End {
  const failure = result?.ok === false ? result.failure : undefined
  const unsent = result?.ok === false && result.withheld === true
  const isLost = result === undefined || unsent || isAborted
  return {
    ticket,
    sentAtMs,
    sign: isLost ? 'nothing' : failure === undefined ? 'success' : signOf(failure),
    hintMs: failure?.retryAfterMs ?? 0,
    paid: paying,
    unsent,
    seen: failure && { kind: failure.kind, status: failure.status },
    tokens: result?.ok === true ? result.tokens : undefined,
    allowances: result?.allowances,
  }
}

function giveBack<T>(line: Line, result: StepResult<T> | undefined, thought: number): void {
  const used = tokensBeyond(thought, result)
  if (result?.ok === true && result.stream !== undefined) keepPlace(line, result.stream, thought)
  else line.left(used)
}

/** A stream keeps its place until it ends or its reader is idle. */
function keepPlace(line: Line, { ended, pace }: GoingOn, thought: number): void {
  let used = thought
  const leave = line.streams(pace, () => (thought === 0 ? 0 : used - thought))
  void ended.then((tokens = thought) => {
    used = tokens
    leave()
  })
}

/** Tokens used beyond the estimate; negative if fewer were used. */
function tokensBeyond<T>(thought: number, result: StepResult<T> | undefined): number {
  if (thought === 0 || result === undefined) return 0
  if (result.ok) return result.tokens === undefined ? 0 : result.tokens - thought
  return result.withheld === true || result.failure.executed === 'no' ? -thought : 0
}
