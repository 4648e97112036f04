import { classifyThrown, thrownFacts } from '../../call/attempt.ts'
import type { AnswerFacts, Exchange, Job, Sent } from '../../call/job.ts'
import { type Waiting, waitingForOthers } from '../../call/reading.ts'
import type { Failure } from '../../errors/call-error.ts'
import { readEnvelope } from '../../errors/envelope.ts'
import { readProperty, readText } from '../../errors/hostile.ts'
import { foundAtRoot, toldOf } from '../../output/named-path.ts'
import type { Repair } from '../../output/parse-json.ts'
import { type FormatRequest, formatRequest } from '../../output/response-format.ts'
import type { CompiledSchema } from '../../output/schema.ts'
import { refusesReask } from '../../retry/refused-reask.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import { failureInAnswer } from './answer.ts'
import {
  type ChatRequest,
  chatBasics,
  chatIdentity,
  decodeCompletion,
  encodeCompletion,
  lateAnswer,
  saidByGateway,
  sendChat,
} from './chat.ts'
import { type Checked, checkCompletion } from './checked.ts'
import { type Asked, Conversation } from './conversation.ts'
import { learnFormat } from './formats.ts'
import { factsOf } from './shape.ts'

/** An accepted answer: the completion, and the value that its text became. */
export interface Structured {
  readonly completion: unknown
  readonly value: unknown
  readonly repairs: readonly Repair[]
}

/** `json`: each answer is parsed, repaired and checked; a bad one is asked for again. */
export function structuredJob(request: ChatRequest, schema: CompiledSchema): Job<Structured> {
  const { params, options } = request
  const conversation = new Conversation(request, schema)
  const { repair: level, regExp } = options
  const check = (completion: unknown, format: FormatRequest, waiting: Waiting) =>
    checkCompletion(completion, schema, { level, regExp, format }, waiting)
  const basics = chatBasics('json', request)
  return {
    ...basics,
    telemetry: { ...basics.telemetry, outputType: 'json' },
    // Two schemas make two requests, also where the messages are the same.
    payload: () => ({ ...params, schema: schema.jsonSchema }),
    identify: () =>
      chatIdentity(request, {
        ...params,
        schema: schema.jsonSchema,
        responseFormat: options.responseFormat,
      }),
    codec: {
      encode: ({ completion }) => encodeCompletion(completion),
      decode: (result) => ({ completion: decodeCompletion(result), value: undefined, repairs: [] }),
    },
    completionOf: ({ completion }) => completion,
    replayedFacts: ({ completion }) => factsOf(completion, undefined),
    async recheck({ completion }, waiting) {
      // In which format it was asked for is not known here: most probably in the first.
      const checked = await check(completion, formatRequest(schema, 'strict'), waiting)
      if (!checked.ok) return { ok: false, failure: failed(checked, {}) }
      return { ok: true, value: { completion, value: checked.value, repairs: checked.repairs } }
    },
    async late(came, exchange) {
      const answer = lateAnswer(came, exchange)
      if (answer === undefined) return undefined
      const others = waitingForOthers(exchange.clock)
      const checked = await check(answer.data, formatRequest(schema, 'strict'), others)
      if (!checked.ok) return undefined
      const { value, repairs } = checked
      return { late: { completion: answer.data, value, repairs } }
    },
    async send(exchange) {
      const asked = conversation.next(exchange)
      const { body, format } = asked
      const answer = await sendChat(request, exchange, body).catch((error: unknown) => {
        const facts = thrownFacts(request.targets, exchange)
        const refused = answerRefused(error, exchange, asked, conversation)
        if (refused !== undefined) return rejected(undefined, refused.bad, facts, refused.reask)
        const failure = classifyThrown(error, exchange, 'json')
        if (
          !reaskAmended(failure, exchange.wire.errorBody, asked, conversation) &&
          !formatRefused(failure, error, exchange, request, { format, schema })
        ) {
          throw error
        }
        return { ok: false, failure, facts, reask: 'allowed' } as const
      })
      if ('ok' in answer) return answer
      const completion = answer.data
      const facts = {
        ...factsOf(completion, answer.response),
        ...saidByGateway(request, exchange, answer),
      }
      const wrong = failureInAnswer(completion, answer.response, exchange.clock)
      if (wrong !== undefined) {
        const amended = reaskAmended(wrong, completion, asked, conversation)
        const reask = amended ? ('allowed' as const) : undefined
        return withoutUndefined({ ok: false as const, failure: wrong, facts, completion, reask })
      }
      const checked = await check(completion, format, exchange.bounds.waiting)
      if (checked.ok) return accepted(completion, checked, facts)
      conversation.learn(checked, asked)
      const reask = conversation.note(checked, asked)
      return rejected(completion, { ...checked, ...adviceOn(checked, conversation) }, facts, reask)
    },
  }
}

/**
 * Groq checks the answer itself, and gives it back under 400 where it is no JSON
 * (console.groq.com/docs/structured-outputs): an answer like another, to be asked for again.
 */
function answerRefused(
  error: unknown,
  exchange: Exchange,
  asked: Asked,
  conversation: Conversation,
) {
  const { status, errorBody } = exchange.wire
  const { parts } = readEnvelope(status === 400 ? errorBody : undefined)
  const refused = parts.find((part) => readProperty(part, 'code') === 'json_validate_failed')
  if (refused === undefined) return undefined
  const text = readText(refused, 'failed_generation', MAX_REFUSED_CHARS) ?? ''
  const issues = [foundAtRoot('the provider could not read it as JSON of the schema')]
  const bad = { ok: false, kind: 'malformed_output', issues, text, cause: error } as const
  return { bad, reask: conversation.note(bad, asked) }
}

/** Was a re-ask refused for what it has, or has not, of the bad answer beside its text? */
function reaskAmended(
  failure: Failure,
  refusal: unknown,
  asked: Asked,
  conversation: Conversation,
): boolean {
  if (!refusesReask(failure)) return false
  const said = typeof refusal === 'string' ? refusal : JSON.stringify(refusal)
  return conversation.amended(said ?? '', asked)
}

// As much as an answer that is parsed at all may have.
const MAX_REFUSED_CHARS = 4 * 1024 * 1024

/**
 * May a target that cannot be asked in this format be asked again in another one? That is remembered
 * for its other calls.
 */
function formatRefused(
  { kind }: Failure,
  error: unknown,
  exchange: Exchange,
  { targets, options }: ChatRequest,
  { format: { format: asked }, schema }: { format: FormatRequest; schema: CompiledSchema },
): boolean {
  const state = targets[exchange.target]?.state
  if (options.responseFormat !== 'auto' || state === undefined) return false
  const { status, errorBody: body } = exchange.wire
  return learnFormat(state, { error, kind, status, body, asked, schema })
}

function accepted(
  completion: unknown,
  checked: Checked & { ok: true },
  facts: AnswerFacts,
): Sent<Structured> {
  const { value, repairs } = checked
  return {
    ok: true,
    value: { completion, value, repairs },
    facts: { ...facts, repairs },
  }
}

/** What the request tells more of than the kind does. */
function adviceOn(
  { kind, advice }: Checked & { ok: false },
  conversation: Conversation,
): { readonly advice?: string } {
  if (kind !== 'truncated' || advice !== undefined) return {}
  return { advice: conversation.adviceOnCut }
}

function rejected(
  completion: unknown,
  checked: Checked & { ok: false },
  facts: AnswerFacts,
  reask: 'allowed' | 'repeated' | undefined,
): Sent<Structured> & { ok: false } {
  return {
    ok: false,
    failure: failed(checked, facts),
    facts,
    completion,
    ...(reask !== undefined && { reask }),
  }
}

function failed(
  { kind, issues, cause, detail, advice }: Checked & { ok: false },
  facts: AnswerFacts,
): Failure {
  return {
    ...(detail !== undefined && { detail }),
    ...(advice !== undefined && { advice }),
    kind,
    retryable: kind === 'empty_response',
    // It was answered; but what, nobody has seen to the end.
    executed: kind === 'aborted' || kind === 'deadline' ? 'maybe' : 'yes',
    message: kind,
    issues: toldOf(issues),
    cause,
    ...(facts.status !== undefined && { status: facts.status }),
    ...(facts.requestId !== undefined && { requestId: facts.requestId }),
  }
}
