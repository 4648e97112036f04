import { hash } from 'node:crypto'
import { readEnvelope } from '../../errors/envelope.ts'
import type { FailureKind } from '../../errors/failure-kinds.ts'
import { readItems, readProperty, readText } from '../../errors/hostile.ts'
import { asksLess, formatAfterRefusal } from '../../output/format-refusals.ts'
import type { ResponseFormat } from '../../output/response-format.ts'
import type { CompiledSchema } from '../../output/schema.ts'
import type { TargetState } from '../../retry/health/target-state.ts'

/** What a target has refused is not asked of it again, for as long as it is remembered. */
interface LearnedFormat {
  format: ResponseFormat
  /** It takes the format without a word, and does not follow it. */
  ignoresFormat: boolean
  /** By a schema's signature: what was said of that schema alone. The oldest first. */
  readonly ofSchemas: Map<string, ResponseFormat>
}

const learned = new WeakMap<TargetState, LearnedFormat>()
const MAX_SCHEMAS = 100

/** The format to ask a target in: as given, or under `'auto'` the most that it has not refused. */
export function formatFor(
  target: TargetState | undefined,
  given: ResponseFormat | 'auto',
  schema: CompiledSchema,
): ResponseFormat {
  if (given !== 'auto') return given
  const known = target === undefined ? undefined : learned.get(target)
  if (known === undefined) return 'strict'
  const own = known.ofSchemas.size === 0 ? undefined : known.ofSchemas.get(signatureOf(schema))
  return own !== undefined && asksLess(own, known.format) ? own : known.format
}

export interface RefusedRequest {
  readonly error: unknown
  readonly kind: FailureKind
  readonly status: number | undefined
  readonly body: string | undefined
  readonly asked: ResponseFormat
  readonly schema: CompiledSchema
}

// OpenRouter's 404 says that no endpoint takes the parameters; some gateways answer 500.
const STATUSES: ReadonlySet<unknown> = new Set([400, 404, 422, 500])
// An error that is known to be about something else may still mention the format.
const KINDS: ReadonlySet<FailureKind> = new Set([
  'invalid_request',
  'not_found',
  'server_error',
  'unknown',
])

/** True when the error says that the format was refused, and there is another to ask in. */
export function learnFormat(target: TargetState, refused: RefusedRequest): boolean {
  const { error, kind, status, body, asked, schema } = refused
  if (!STATUSES.has(status) || !KINDS.has(kind)) return false
  const refusal = formatAfterRefusal(saidIn(body ?? readProperty(error, 'message')), asked)
  if (refusal === undefined) return false
  const known = learnedOf(target)
  // Another call may have learned more meanwhile.
  if (refusal.ofSchema === true) remember(known.ofSchemas, signatureOf(schema), refusal.leaves)
  else if (asksLess(refusal.leaves, known.format)) known.format = refusal.leaves
  return true
}

/** The target's answers show that it does not read the format: the messages have to say it all. */
export function learnIgnored(target: TargetState): void {
  learnedOf(target).ignoresFormat = true
}

export function ignoresFormat(target: TargetState | undefined): boolean {
  return target !== undefined && learned.get(target)?.ignoresFormat === true
}

function learnedOf(target: TargetState): LearnedFormat {
  const known = learned.get(target) ?? {
    format: 'strict',
    ignoresFormat: false,
    ofSchemas: new Map(),
  }
  learned.set(target, known)
  return known
}

/** The provider's words, and the names of the parameters that it says they are about. */
function saidIn(body: unknown): string {
  const { message, parts } = readEnvelope(body)
  const about = parts.flatMap((part) => [
    readText(part, 'param', MAX_NAME_CHARS),
    readItems(readProperty(part, 'loc'), MAX_LOC).join('.').slice(0, MAX_NAME_CHARS),
  ])
  return [message, ...about].filter((text) => text !== undefined && text !== '').join('\n')
}

const MAX_NAME_CHARS = 200
const MAX_LOC = 10

function remember(
  formats: Map<string, ResponseFormat>,
  schema: string,
  format: ResponseFormat,
): void {
  const known = formats.get(schema)
  if (known !== undefined && !asksLess(format, known)) return
  formats.set(schema, format)
  for (const oldest of formats.keys()) {
    if (formats.size <= MAX_SCHEMAS) break
    formats.delete(oldest)
  }
}

/** Short, whatever the schema's size. */
function signatureOf({ jsonSchema }: CompiledSchema): string {
  return hash('sha256', JSON.stringify(jsonSchema))
}
