import type { OutputIssue } from '../errors/call-error.ts'
import { isRecord, own, valueAt } from './json-value.ts'
import type { RepairRule } from './repair-rules.ts'
import { type CompiledSchema, compileSchema } from './schema.ts'
import type { RegExpEngine } from './schema-engine.ts'
import { strictSchema } from './strict-schema.ts'
import { Work } from './work.ts'

/**
 * How a provider is asked for JSON, from the most to the least demanding:
 * - `strict`: `json_schema` with `strict: true`, the schema adapted to strict mode
 * - `json_schema`: the unchanged schema, without the guarantee of strict mode
 * - `json_object`: any JSON object; the schema is stated in the messages
 * - `none`: no parameter; the schema is stated in the messages
 */
export type ResponseFormat = 'strict' | 'json_schema' | 'json_object' | 'none'

/** What is added to a request to get an answer that follows a schema. */
export interface FormatRequest {
  readonly format: ResponseFormat
  /** openai's `response_format`. */
  readonly parameter?: object
  /** Added to the messages. */
  readonly instructions?: string
  /** Like `instructions`, for providers that accept the schema in `parameter` but ignore it. */
  readonly reminder?: string
  /** Repairs that only undo what the request asked for: made at every level, and not listed. */
  readonly undo: ReadonlySet<RepairRule>
}

/**
 * Prepares the request in this format, or in the next weaker one if the schema does not fit. OpenAI accepts
 * only objects at the root, so any other schema is wrapped in an object with one property.
 */
export function formatRequest(schema: CompiledSchema, format: ResponseFormat): FormatRequest {
  const made = requests.get(schema) ?? new Map<ResponseFormat, FormatRequest>()
  requests.set(schema, made)
  const request = made.get(format) ?? newRequest(schema, format)
  made.set(format, request)
  return request
}

// Adapting a large schema costs more than checking an answer against it.
const requests = new WeakMap<CompiledSchema, Map<ResponseFormat, FormatRequest>>()

function newRequest({ jsonSchema }: CompiledSchema, format: ResponseFormat): FormatRequest {
  const { $schema: _dialect, ...plain } = { ...jsonSchema } as Record<string, unknown>
  if (format === 'none') {
    return { format, instructions: instructionsFor('JSON value', plain), undo: new Set() }
  }
  const root = isObject(plain) ? plain : underAnswer(plain)
  const undo = new Set<RepairRule>(root === plain ? [] : ['unwrap'])
  if (format === 'json_object') {
    const instructions = instructionsFor('JSON object', root)
    return { format, parameter: { type: 'json_object' }, instructions, undo }
  }
  const name = nameFor(own(jsonSchema, 'title'))
  const parameter = (sent: object, isStrict: boolean) => ({
    type: 'json_schema',
    json_schema: { name, schema: sent, strict: isStrict },
  })
  const said = instructionsFor('JSON object', root)
  const reminder = said.length <= MAX_REMINDER_CHARS ? { reminder: said } : {}
  const strict = format === 'strict' ? strictSchema(root) : undefined
  if (strict === undefined)
    return { format: 'json_schema', parameter: parameter(root, false), ...reminder, undo }
  if (strict.nullMeansAbsent) undo.add('drop-null')
  return { format, parameter: parameter(strict.schema, true), ...reminder, undo }
}

// About 4,000 tokens, which are billed twice if the provider does read the format.
const MAX_REMINDER_CHARS = 16 * 1024

/** False for an answer that a provider honouring the format could not have given. */
export function couldBe(
  text: string,
  request: FormatRequest,
  regExp: RegExpEngine | undefined,
): boolean {
  const value = jsonIn(text)
  return (
    value !== undefined &&
    (request.format !== 'strict' || sentIssues(value, text, request, regExp).length === 0)
  )
}

/**
 * Removes issues about a null that strict mode requires in place of an absent property: told that the null
 * is wrong, a model would invent a value.
 */
export function withoutAskedNulls<I extends OutputIssue>(
  issues: readonly I[],
  text: string,
  request: FormatRequest,
  regExp: RegExpEngine | undefined,
): readonly I[] {
  const value = request.undo.has('drop-null') ? jsonIn(text) : undefined
  const nulls = issues.filter(({ path }) => valueAt(value, path) === null)
  if (value === undefined || nulls.length === 0) return issues
  const wrong = new Set(sentIssues(value, text, request, regExp).map(({ path }) => path))
  const left = issues.filter((issue) => !nulls.includes(issue) || wrong.has(issue.path))
  return left.length === 0 ? issues : left
}

/** The issues of an answer according to the schema that was sent. */
function sentIssues(
  value: unknown,
  text: string,
  { parameter }: FormatRequest,
  regExp: RegExpEngine | undefined,
): readonly OutputIssue[] {
  const sent = compileSchema(own(own(parameter, 'json_schema'), 'schema'), regExp)
  return sent.validate(value, new Work(text))
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** OpenAI's rule for names: letters, digits, `_` and `-`, at most 64 characters. */
function nameFor(title: unknown): string {
  const usable = typeof title === 'string' ? title.replace(/[^\w-]/g, '_').slice(0, 64) : ''
  return usable === '' ? 'answer' : usable
}

function isObject(schema: Readonly<Record<string, unknown>>): boolean {
  const isUnion = schema['anyOf'] !== undefined || schema['oneOf'] !== undefined
  return (schema['type'] === 'object' || schema['properties'] !== undefined) && !isUnion
}

/** The property under which an answer is requested if its schema does not describe an object. */
export const ASKED_WRAPPER = 'answer'

/** Wraps a schema in an object and adjusts its references. */
function underAnswer(schema: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { $defs, definitions, ...rest } = schema
  return {
    type: 'object',
    properties: { [ASKED_WRAPPER]: moved(rest) },
    required: [ASKED_WRAPPER],
    additionalProperties: false,
    ...($defs !== undefined && { $defs: moved($defs) }),
    ...(definitions !== undefined && { definitions: moved(definitions) }),
  }
}

function moved(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(moved)
  if (!isRecord(part)) return part
  return Object.fromEntries(
    Object.entries(part).map(([key, value]) => [
      key,
      key === '$ref' && typeof value === 'string' ? movedRef(value) : moved(value),
    ]),
  )
}

function movedRef(ref: string): string {
  const isLocal = ref === '#' || ref.startsWith('#/')
  const isShared = ref.startsWith('#/$defs/') || ref.startsWith('#/definitions/')
  return isLocal && !isShared ? `#/properties/${ASKED_WRAPPER}${ref.slice(1)}` : ref
}

function instructionsFor(what: string, schema: object): string {
  return [
    `Answer with one ${what} only: no explanation and no Markdown. It must follow this JSON Schema:`,
    JSON.stringify(schema),
  ].join('\n')
}

/**
 * Adds the instructions to the last user message: the chat templates of some models reject two messages of
 * the same role in a row, or a system message that is not the first.
 */
export function withInstructions(messages: unknown, instructions: string): readonly unknown[] {
  const given: readonly unknown[] = Array.isArray(messages) ? messages : []
  const last: unknown = given.at(-1)
  const content = isRecord(last) && last['role'] === 'user' ? last['content'] : undefined
  const before = given.slice(0, -1)
  if (typeof content === 'string') {
    return [...before, { ...Object(last), content: `${content}\n\n${instructions}` }]
  }
  if (Array.isArray(content)) {
    const parts = [...content, { type: 'text', text: instructions }]
    return [...before, { ...Object(last), content: parts }]
  }
  return [...given, { role: 'user', content: instructions }]
}
