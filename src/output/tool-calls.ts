import { isRecord, own } from './json-value.ts'
import { NotLoaded } from './load-ajv.ts'
import type { FoundIssue } from './named-path.ts'
import { parseAnswer, type Repair } from './parse-json.ts'
import type { RepairLevel } from './repair-rules.ts'
import { type CompiledSchema, compileSchema } from './schema.ts'
import type { RegExpEngine } from './schema-engine.ts'
import type { Resting } from './work.ts'

/** The functions a model may call, with the schemas of their arguments. */
export type Tools = ReadonlyMap<string, CompiledSchema>

/**
 * The function tools of a request.
 * @throws {TypeError} if a tool has no name, or parameters that are not a schema.
 */
export function toolsOf(tools: readonly unknown[], regExp: RegExpEngine | undefined): Tools {
  const found = new Map<string, CompiledSchema>()
  for (const [index, tool] of tools.entries()) {
    const described = own(tool, 'function')
    // Custom tools take free text, so there is nothing to check.
    if (described === undefined) continue
    const name = own(described, 'name')
    if (typeof name !== 'string' || name === '') {
      throw new TypeError(`tools[${index}].function.name must be a string`)
    }
    found.set(name, compiled(own(described, 'parameters') ?? NO_PARAMETERS, index, regExp))
  }
  return found
}

// OpenAI's meaning of a tool without parameters.
const NO_PARAMETERS = { type: 'object', properties: {} }

function compiled(
  parameters: unknown,
  index: number,
  regExp: RegExpEngine | undefined,
): CompiledSchema {
  try {
    return compileSchema(parameters, regExp)
  } catch (cause) {
    // Not the fault of the parameters.
    if (cause instanceof NotLoaded || cause instanceof RangeError) throw cause
    const said = cause instanceof Error ? cause.message : String(cause)
    throw new TypeError(`tools[${index}].function.parameters: ${said}`, { cause })
  }
}

/** A tool call that was rejected, and its issues. */
export interface BadCall {
  readonly position: number
  /** Name and arguments as the model wrote them. */
  readonly name: string
  readonly text: string
  readonly kind: 'malformed_output' | 'schema_mismatch' | 'truncated'
  readonly issues: readonly FoundIssue[]
  /** The schema of the called tool; undefined if no tool has that name. */
  readonly schema: CompiledSchema | undefined
  /** The model was asked to repeat the call and did not. */
  readonly missed?: true
}

export type CheckedCall =
  | { readonly ok: true; readonly value: unknown; readonly repairs: readonly Repair[] }
  | { readonly ok: false; readonly bad: BadCall }

export interface CallCheck {
  readonly tools: Tools
  readonly level: RepairLevel
  readonly position: number
  readonly finishReason: string | undefined
}

/** True for a function call; the input of a custom tool is free text. */
export function isFunctionCall(call: unknown): boolean {
  return isRecord(own(call, 'function'))
}

/** Checks the arguments of one function call; returns them as accepted by the schema, or their issues. */
export function* checkCall(
  call: unknown,
  { tools, level, position, finishReason }: CallCheck,
): Resting<CheckedCall> {
  const described = own(call, 'function')
  const name = textOf(own(described, 'name'))
  const text = textOf(own(described, 'arguments'))
  const schema = tools.get(name)
  const bad = (kind: BadCall['kind'], found: readonly FoundIssue[]): CheckedCall => {
    const at = placed(position)
    const issues = found.map((issue) => ({ ...at(issue), told: at(issue.told) }))
    return { ok: false, bad: { position, name, text, kind, issues, schema } }
  }
  if (schema === undefined) {
    const names = [...tools.keys()].map((known) => JSON.stringify(known)).join(', ')
    const path = `/tool_calls/${position}/function/name`
    const issue = { path, message: `expected one of ${names}` }
    const issues = [{ ...issue, told: issue }]
    return { ok: false, bad: { position, name, text, kind: 'schema_mismatch', issues, schema } }
  }
  const parsed = yield* parseAnswer(
    text.trim() === '' && takesNothing(schema) ? '{}' : text,
    schema,
    {
      level,
      finishReason,
      undo: new Set(),
    },
  )
  if (!parsed.ok) {
    return bad(parsed.kind === 'refusal' ? 'malformed_output' : parsed.kind, parsed.issues)
  }
  const repairs = parsed.repairs.map(placed(position))
  return { ok: true, value: parsed.value, repairs }
}

/** Some providers send an empty text for a call without arguments. */
function takesNothing(schema: CompiledSchema): boolean {
  return schema.validate({}).length === 0
}

function placed(position: number) {
  return <T extends { readonly path: string }>(found: T): T => ({
    ...found,
    path: `/tool_calls/${position}/function/arguments${found.path}`,
  })
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  // Some providers send the arguments as an object.
  return isRecord(value) ? JSON.stringify(value) : ''
}

/** Asks for a corrected call in a user message, because a request may not contain a tool call without its result. */
export function callAgain(bad: BadCall): { readonly role: 'user'; readonly content: string } {
  const { name, issues, schema, missed } = bad
  const points = issues.map(({ path, message }) => `- ${afterArguments(path)}: ${message}`)
  const content =
    schema === undefined
      ? [
          `You called a tool ${JSON.stringify(name.slice(0, 100))}, which does not exist${shown(bad)}`,
          ...points,
          missed === true
            ? 'You were asked for another one, and called none. Call one of the tools that exist.'
            : 'Call one of the tools that exist instead.',
        ]
      : [
          `You called the tool ${JSON.stringify(name)}${shown(bad)}`,
          'It cannot take that. What is wrong, with JSON Pointers into the arguments:',
          ...points,
          missed === true
            ? 'You were asked to call it again, and did not call it. Call it now, with the corrected arguments.'
            : 'Call it again with the corrected arguments.',
        ]
  return { role: 'user', content: content.join('\n') }
}

const MAX_SHOWN_CHARS = 8 * 1024

function shown({ text }: BadCall): string {
  if (text.trim() === '') return ', without arguments.'
  return `, with:\n${text.length > MAX_SHOWN_CHARS ? `${text.slice(0, MAX_SHOWN_CHARS)} […]` : text}`
}

function afterArguments(path: string): string {
  const inside = path.replace(/^\/tool_calls\/\d+\/function\/(?:arguments)?/, '')
  return inside === '' ? 'the arguments' : inside
}

/**
 * Fields of an answer, besides its text, that the provider may require when the answer is sent back:
 * reasoning in any form, and its signatures. DeepSeek and Moonshot reject an assistant message without
 * its `reasoning_content` (https://api-docs.deepseek.com/guides/thinking_mode), OpenRouter continues from
 * `reasoning_details`, LiteLLM from `thinking_blocks`, Gemini from `extra_content`. `wanted` names
 * further fields, which an earlier refusal asked for.
 */
export function carriedFields(
  message: unknown,
  wanted: ReadonlySet<string> = NOTHING_MORE,
): Readonly<Record<string, unknown>> {
  if (!isRecord(message)) return NONE
  const found = Object.entries(message).filter(
    ([name, value]) =>
      (CARRIED.test(name) || wanted.has(name)) && value !== null && value !== undefined,
  )
  return isShort(found) ? Object.fromEntries(found) : NONE
}

/** Content parts of an answer that are not text, such as thinking blocks. */
export function carriedParts(message: unknown): readonly unknown[] {
  const content = isRecord(message) ? message['content'] : undefined
  if (!Array.isArray(content)) return []
  const parts = content.filter((part) => isRecord(part) && CARRIED.test(String(part['type'])))
  return isShort(parts) ? parts : []
}

const NONE: Readonly<Record<string, unknown>> = Object.freeze({})
const NOTHING_MORE: ReadonlySet<string> = new Set()

const CARRIED =
  /^(?:encrypted_|redacted_)?(?:reasoning|thinking|thought)|signature$|^(?:extra_content|provider_specific_fields)$/i

/** Fields that the re-ask contains anyway, or that do not belong in a request. */
const NOT_CARRIED: ReadonlySet<string> = new Set([
  'role',
  'content',
  'refusal',
  'annotations',
  'audio',
  'tool_calls',
  'function_call',
])

// More than any model's reasoning. Longer reasoning is dropped entirely, because its signatures cover all of it.
const MAX_CARRIED_CHARS = 1024 * 1024

function isShort(found: readonly unknown[]): boolean {
  if (found.length === 0) return true
  try {
    return JSON.stringify(found).length <= MAX_CARRIED_CHARS
  } catch {
    // JSON.stringify fails on extreme nesting, possible if the client parsed the answer itself.
    return false
  }
}

/** Whether a refusal mentions one of the fields that were sent back. */
export function speaksOfCarried(refusal: string, message: unknown): boolean {
  const parts = carriedParts(message).map((part) => String(isRecord(part) ? part['type'] : ''))
  const names = [...Object.keys(carriedFields(message)), ...parts]
  return names.some((name) => name !== '' && refusal.includes(name))
}

/** Fields of the message that were not sent back although a refusal mentions them. */
export function missedIn(refusal: string, message: unknown): readonly string[] {
  if (!isRecord(message)) return []
  return Object.keys(message).filter(
    (name) =>
      name !== '' && !CARRIED.test(name) && !NOT_CARRIED.has(name) && refusal.includes(name),
  )
}
