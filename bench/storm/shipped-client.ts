import { createRuntime, type Runtime } from '../../src/call/runtime.ts'
import type { Failure } from '../../src/errors/call-error.ts'
import { classify } from '../../src/errors/classify.ts'
import { DEFAULT_FALLBACK_ON, type ResolvedCall } from '../../src/options/options.ts'
import { resolveCall } from '../../src/options/resolve-options.ts'
import {
  createTargetState,
  type TargetSettings,
  type TargetState,
  type TargetStateOptions,
} from '../../src/retry/health/target-state.ts'
import {
  type AttemptStep,
  type LoopTarget,
  runAttempts,
  type StepResult,
} from '../../src/retry/loop.ts'
import type { GoingOn } from '../../src/retry/loop-contract.ts'
import { type Deadline, deadlineAfter } from '../../src/time.ts'
import { type CallEnd, type Client, type ClientRequest, type Ended, send } from './client.ts'
import type { VirtualTime } from './virtual-time.ts'

export interface ShippedPolicy extends TargetSettings {
  /** Options of the call; what is not given is the default of `json`. */
  readonly call?: Parameters<typeof resolveCall>[1]
  /** The second provider is named as a fallback. */
  readonly fallsBack?: boolean
  /** Whose defaults they are. @default 'json' */
  readonly face?: 'json' | 'create'
  /** For negative controls: the state of a target with a part taken out. */
  readonly spoil?: (state: TargetState) => TargetState
  readonly parts?: TargetStateOptions['parts']
}

/** What its calls are made with: the shipped defaults, where it says nothing else. */
export function optionsOf(
  { call = {}, face = 'json' }: ShippedPolicy,
  clientTimeoutMs: number,
): ResolvedCall {
  return resolveCall({}, call, { face, clientTimeoutMs })
}

/**
 * A client of ours: the shipped loop, `decide()` and line, on the virtual clock.
 * Modelled is only what is below an attempt: the provider, and the time an answer takes.
 */
export class ShippedClient implements Client {
  readonly #request: ClientRequest
  readonly #runtime: Runtime
  readonly #policy: ShippedPolicy
  readonly #options: ResolvedCall
  readonly #targets: readonly LoopTarget[]

  /** `options`: of `optionsOf()`, which all clients of a policy share. */
  constructor(request: ClientRequest, policy: ShippedPolicy, options: ResolvedCall) {
    const { time, random, hasSecond } = request
    this.#request = request
    this.#policy = policy
    this.#options = options
    this.#runtime = createRuntime({ clock: time.clock, random })
    const names = policy.fallsBack === true && hasSecond ? ['first', 'second'] : ['first']
    this.#targets = names.map((name) => ({ name, state: this.#state(), on: DEFAULT_FALLBACK_ON }))
  }

  call(done: (end: CallEnd) => void, bulk = false): void {
    const { clock, random } = this.#runtime
    const options = this.#options
    const deadline = deadlineAfter(clock, options.deadlineMs)
    // It never rejects; if it did, the unhandled rejection would end the simulation, rightly.
    void runAttempts<number>({
      policy: { ...options, mayHedge: true, bulk },
      clock,
      random,
      signal: undefined,
      deadline,
      targets: this.#targets,
      tokens: { estimate: () => ESTIMATE },
      attempt: (step) => this.#send(step, deadline),
    }).then((outcome) => {
      const { ok, requests } = outcome
      const end = () => done({ ok, attempts: requests })
      // A call is over when its stream is.
      if (outcome.ok && outcome.value > 0) this.#request.time.after(outcome.value, end)
      else end()
    })
  }

  #state(): TargetState {
    const { clock, random } = this.#runtime
    const { call: _, face: __, fallsBack: ___, spoil, ...settings } = this.#policy
    const state = createTargetState({ clock, random, ...settings })
    return spoil?.(state) ?? state
  }

  /** Its value: how long its stream goes on. */
  #send({ target, signal }: AttemptStep, deadline: Deadline): Promise<StepResult<number>> {
    const { time } = this.#request
    return new Promise((resolve) => {
      const end = (result: StepResult<number>) => {
        time.wake()
        resolve(result)
      }
      const timeoutMs = Math.min(this.#options.attemptTimeoutMs, deadline.remainingMs())
      const ticket = send(time, this.#request.provider(target), timeoutMs, (ended) => {
        const isTooLate = ended === 'timeout' && deadline.remainingMs() <= 0
        end(isTooLate ? { ok: false, failure: TOO_LATE } : resultOf(ended, time))
      })
      signal?.addEventListener(
        'abort',
        () => {
          ticket.abandon()
          end({ ok: false, failure: ABORTED })
        },
        { once: true },
      )
    })
  }
}

/** Tokens that a request is thought to use: the mean of what it does. */
const ESTIMATE = 1_500

const WORDS: Readonly<Record<number, string>> = {
  429: 'Rate limit reached',
  500: 'The server had an error',
  503: 'The server is overloaded',
}

/** As the shipped classification has them, of an error like openai's. */
const REFUSALS = { 429: refusal(429), 500: refusal(500), 503: refusal(503) } as const
const TIMED_OUT = failure('timeout')
const TOO_LATE = failure('deadline')
const ABORTED = failure('aborted')
/** A good answer to another question: the model is asked again with its errors. */
const MALFORMED = failure('schema_mismatch')

function resultOf(ended: Ended, time: VirtualTime): StepResult<number> {
  if (ended === 'timeout') return { ok: false, failure: TIMED_OUT }
  const { status, retryAfterMs, malformed, allowances, tokens, restMs = 0 } = ended
  const told = allowances && { allowances }
  if (status === 200) {
    if (malformed === true) return { ok: false, failure: MALFORMED, reask: 'allowed' }
    const stream = restMs > 0 && { stream: goingOn(time, restMs, tokens) }
    return { ok: true, value: restMs, ...told, ...(tokens !== undefined && { tokens }), ...stream }
  }
  const refused = REFUSALS[status]
  return {
    ok: false,
    failure: retryAfterMs === undefined ? refused : { ...refused, retryAfterMs },
    ...told,
  }
}

/** A stream that is read to its end without a pause. */
function goingOn(time: VirtualTime, restMs: number, tokens: number | undefined): GoingOn {
  const ended = new Promise<number | undefined>((resolve) => {
    time.after(restMs, () => {
      time.wake()
      resolve(tokens)
    })
  })
  return { ended, pace: { idleForMs: () => 0 } }
}

function refusal(status: number): Failure {
  const error = Object.assign(new Error(`status ${status}`), { status, headers: {} })
  // As providers say it: without such a body a 503 may be a proxy's, and the work may have been done.
  const body = JSON.stringify({ error: { message: WORDS[status] } })
  return { ...classify(error, { status, body }), message: `status ${status}`, cause: error }
}

function failure(kind: 'timeout' | 'deadline' | 'aborted' | 'schema_mismatch'): Failure {
  const retryable = kind === 'timeout'
  const executed = kind === 'schema_mismatch' ? 'yes' : 'maybe'
  return { kind, retryable, executed, message: kind, cause: undefined }
}
