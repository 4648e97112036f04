import type { Failure } from '../errors/call-error.ts'
import type { CallEvent, CallReport } from '../report/call-report.ts'
import type { VerdictEvent } from '../retry/loop.ts'
import type { ResponseInfo, TargetInfo, WaitFor } from '../telemetry/attributes.ts'

/**
 * What happens in a call, in one vocabulary: the events that `onEvent` gets, with what only traces
 * and metrics show of them, and those that are for traces and metrics alone. A new kind is one more
 * member here (or of `CallEvent`, where callers are to see it), the place that tells it, and a case
 * in each reader that shows it.
 */
export type EngineEvent = Traced<PublicEvent> | TraceEvent

/** One kind of event. */
export type EventOf<Type extends EngineEvent['type']> = Extract<
  EngineEvent,
  { readonly type: Type }
>

/** Tells an event to all readers. */
export type Tell = (event: EngineEvent) => void

/** For example the span of a call. */
export interface EventReader {
  read(event: EngineEvent): void
}

/** Events that `onEvent` does not get. */
type TraceEvent =
  /** Another call did what this one asked for. */
  | {
      readonly type: 'result-found'
      readonly how: 'joined' | 'replayed'
      /** W3C `traceparent` of that call, where it had a span. */
      readonly origin: string | undefined
    }
  /** An answer became valid by local repairs; `rules` are our own names, never text of the answer. */
  | {
      readonly type: 'output-repaired'
      readonly rules: readonly string[]
      readonly places?: readonly string[]
    }

/** What `onEvent` does not get of the events that it does get. */
interface TracedFields {
  readonly 'reask-sent': { readonly issueCount: number }
  readonly 'fallback-selected': { readonly from: string }
  readonly 'target-changed': TargetInfo
  readonly 'call-stopped': {
    readonly target: TargetInfo
    /** What held the next attempt back, where a wait for it could not end in time. */
    readonly heldBy?: WaitFor | undefined
  }
  readonly 'call-settled': {
    /** What the provider's answer says about itself. */
    readonly response?: ResponseInfo | undefined
    /** A completion, a streamed one, or an array of messages; read only where content is captured. */
    readonly answer?: unknown
    /** Of a stream: from the start of the call to its first chunk. */
    readonly firstChunkMs?: number | undefined
  }
}

type Traced<Event> = Event extends { readonly type: infer Type extends keyof TracedFields }
  ? Event & { readonly traced: TracedFields[Type] }
  : Event

/** Which call it is about is the same in all of its events: it is added for `onEvent`. */
type PublicEvent = WithoutCall<CallEvent>
type CallFields = Pick<CallEvent, 'operation' | 'idempotencyKey'>
type WithoutCall<Event> = Event extends CallEvent ? Omit<Event, keyof CallFields> : never

/** Tells the events of one call to `onEvent`, less what only traces show. */
class OnEventReader implements EventReader {
  readonly #onEvent: (event: CallEvent) => void
  readonly #call: CallFields

  constructor(onEvent: (event: CallEvent) => void, call: CallFields) {
    this.#onEvent = onEvent
    this.#call = call
  }

  read(event: EngineEvent): void {
    switch (event.type) {
      case 'result-found':
      case 'output-repaired':
        return
      default:
        this.#tell(withoutTraced(event))
    }
  }

  /** What `onEvent` throws must not change the call. */
  #tell(event: PublicEvent): void {
    try {
      // One member of the union, with the two fields that all have.
      const told = Object.freeze({ ...event, ...this.#call }) as CallEvent
      // The user's own function gets no `this` of ours.
      const onEvent = this.#onEvent
      const returned: unknown = onEvent(told)
      // An async callback's rejection is ignored as well; unhandled, it would end the process.
      if (returned instanceof Promise) returned.catch(() => {})
    } catch {
      // Documented: ignored.
    }
  }
}

function withoutTraced(event: Traced<PublicEvent>): PublicEvent {
  if (!('traced' in event)) return event
  const { traced: _, ...shown } = event
  return shown
}

/** Tells each event to `onEvent`, with the call's own fields, and to the span, as far as they exist. */
export function tellAll(
  onEvent: ((event: CallEvent) => void) | undefined,
  call: CallFields,
  span: EventReader | undefined,
): Tell {
  const caller = onEvent && new OnEventReader(onEvent, call)
  return (event) => {
    caller?.read(event)
    span?.read(event)
  }
}

/** What is told of a verdict; nothing of those that are told elsewhere. */
export function eventOf(
  { verdict, requests: number, target: index }: VerdictEvent,
  { kind, issues = [] }: Failure,
  targets: readonly { readonly name: string }[],
): EngineEvent | undefined {
  const { name = '' } = targets[index] ?? {}
  switch (verdict.verdict) {
    case 'retry': {
      const { delayMs, delaySource } = verdict
      return { type: 'retry-scheduled', number, kind, delayMs, delaySource }
    }
    case 'wait': {
      const { by, expectedMs, ahead } = verdict.held
      const known = expectedMs !== Infinity && { expectedMs }
      return { type: 'wait-started', target: name, for: by, ahead, ...known }
    }
    case 'reask':
      return { type: 'reask-sent', number, kind, traced: { issueCount: issues.length } }
    case 'fallback': {
      const target = targets[verdict.target]?.name ?? ''
      return { type: 'fallback-selected', number, kind, target, traced: { from: name } }
    }
    case 'accept':
    case 'stop':
      return undefined
  }
}

/** What is told of a call that has ended well. `answer`: as it is returned, where that is not what came. */
export function tellSuccess(
  tell: Tell,
  report: CallReport,
  {
    id,
    model,
    finishReasons,
    systemFingerprint,
    serviceTier,
    answer: came,
  }: ResponseInfo & { readonly answer?: unknown },
  answer: unknown,
  firstChunkMs: number | undefined,
): void {
  const { repairs = [] } = report
  if (repairs.length > 0) {
    const rules = repairs.map(({ rule }) => rule)
    tell({ type: 'output-repaired', rules, places: placesOf(repairs) })
  }
  const response = { id, model, finishReasons, systemFingerprint, serviceTier }
  tell({ type: 'call-settled', report, traced: { response, answer: answer ?? came, firstChunkMs } })
}

interface PlacedRepair {
  readonly rule: string
  readonly path: string
  readonly offset?: number
}

/** `fix-syntax /tags/0 @17`: the rule, the path if it is not the whole answer, and the offset if there is one. */
function placesOf(repairs: readonly PlacedRepair[]): readonly string[] {
  return repairs.slice(0, MAX_PLACES).map(({ rule, path, offset }) => {
    const at = offset === undefined ? '' : ` @${offset}`
    return `${rule}${path === '' ? '' : ` ${path}`}${at}`
  })
}

const MAX_PLACES = 32
