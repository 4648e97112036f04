import { isEqual } from './equal.ts'
import { isRecord, own } from './json-value.ts'
import { lettersOf } from './listed-members.ts'
import { membersOf, partsAtTop, type SchemaPart, typeOfValue } from './schema-part.ts'
import { wordsOf } from './units.ts'

/** A value one level inside another, and how to get there. */
export interface Inner {
  readonly holder: object
  readonly key: string
  /** JSON Pointer from the holder; names that are the model's own text are `*`. */
  readonly path: string
  readonly value: unknown
}

/**
 * The value inside a wrapper: `{"result": …}`, an object keyed by the schema's own title or by a plain noun,
 * the arguments of a tool call, the content of a message. Undefined if the schema itself declares such a
 * key, or if anything beside it may say something about the value.
 */
export function wrapped(value: unknown, schema: SchemaPart): Inner | undefined {
  if (Array.isArray(value)) {
    const [only, ...others] = value
    const isEnvelope = isRecord(only) && (callInside(only) ?? messageInside(only)) !== undefined
    return isEnvelope && others.length === 0
      ? { holder: value, key: '0', path: '/0', value: only }
      : undefined
  }
  if (!isRecord(value)) return undefined
  const inner = callInside(value) ?? messageInside(value) ?? onlyMember(value, schema)
  if (inner === undefined || askedBy(schema).names.has(inner.key)) return undefined
  return inner
}

/**
 * Whether the schema says that it takes a value of this kind. Whatever a schema without types accepts
 * vacuously is not therefore its answer.
 */
export function isAsked(value: unknown, schema: SchemaPart): boolean {
  const { types, names } = askedBy(schema)
  if (isRecord(value)) {
    const keys = Object.keys(value)
    if (!types.has('object') && names.size === 0) return false
    return names.size === 0 ? keys.length > 0 : keys.some((key) => names.has(key))
  }
  // A string may still become a value of the type.
  if (typeof value === 'string') return types.size > 0
  const type = typeOfValue(value)
  // A list of one may still become its object.
  if (Array.isArray(value) && !types.has(type) && value.length === 1) {
    return isRecord(value[0]) && isAsked(value[0], schema)
  }
  return types.has(type) || (type === 'number' && types.has('integer')) || isText(type, types)
}

function isText(type: string, types: ReadonlySet<string>): boolean {
  return type === 'number' && types.has('string')
}

interface WhatIsAsked {
  readonly types: ReadonlySet<string>
  /** Of declared properties. */
  readonly names: ReadonlySet<string>
}

const asked = new WeakMap<object, WhatIsAsked>()

/** What the schema, in any of its parts, says of the whole value. */
function askedBy(schema: SchemaPart): WhatIsAsked {
  const known = asked.get(schema)
  if (known !== undefined) return known
  const parts = partsAtTop(schema)
  const types = parts.flatMap((part) => [part.type, ...membersOf(part).map(typeOfValue)].flat())
  const names = parts.flatMap(({ properties }) => Object.keys(Object(properties)))
  const found = {
    types: new Set(types.filter((type) => typeof type === 'string')),
    names: new Set(names),
  }
  asked.set(schema, found)
  return found
}

type Wrapper = Readonly<Record<string, unknown>>

// The tool call formats of OpenAI, Anthropic, Mistral, Cohere and LangChain, which models imitate in text.
const ARGUMENTS: ReadonlySet<string> = new Set([
  ...['action_input', 'args', 'arguments', 'input', 'kwargs', 'parameters', 'params', 'tool_input'],
])
const TOOL_NAMES: ReadonlySet<string> = new Set([
  ...['action', 'function', 'name', 'recipient_name', 'tool', 'tool_name'],
])
const CALL_TYPES: ReadonlySet<unknown> = new Set([
  ...['function', 'function_call', 'tool_call', 'tool_use'],
])
const CALL_IDS: ReadonlySet<string> = new Set(['call_id', 'id', 'index', 'tool_call_id'])
const CALLS: ReadonlySet<string> = new Set(['function', 'function_call', 'tool_call', 'tool_use'])

/** The arguments of a call, or the call inside an object that has nothing else. */
function callInside(value: Wrapper): Inner | undefined {
  const rest = Object.keys(value).filter(
    (name) =>
      !(TOOL_NAMES.has(name) && typeof value[name] === 'string') &&
      !(name === 'type' && CALL_TYPES.has(value[name])) &&
      !isId(name, value[name]),
  )
  const [key, ...others] = rest
  if (key === undefined || others.length > 0) return undefined
  if (ARGUMENTS.has(key)) return memberOf(value, key)
  const inner = value[key]
  if (CALLS.has(key)) return isRecord(inner) ? memberOf(value, key) : undefined
  const isOne = key === 'tool_calls' && Array.isArray(inner) && inner.length === 1
  return isOne ? memberOf(value, key) : undefined
}

function isId(key: string, value: unknown): boolean {
  return CALL_IDS.has(key) && (typeof value === 'string' || typeof value === 'number')
}

const TEXT_TYPES: ReadonlySet<unknown> = new Set(['output_text', 'text'])

/** The content of a message of the assistant, its only tool call, or the text of one of its parts. */
function messageInside(value: Wrapper): Inner | undefined {
  const isEmpty = (found: unknown) => found === null || found === '' || isEqual(found, [])
  const rest = Object.keys(value).filter(
    (name) =>
      !(name === 'role' && value[name] === 'assistant') &&
      !(name === 'type' && (value[name] === 'message' || TEXT_TYPES.has(value[name]))) &&
      !isId(name, value[name]) &&
      !isEmpty(value[name]),
  )
  const [key, ...others] = rest
  if (key === undefined || others.length > 0) return undefined
  const inner = value[key]
  if (value['role'] === 'assistant') {
    const isContent = key === 'content' && (typeof inner === 'string' || Array.isArray(inner))
    const isCall = key === 'tool_calls' && Array.isArray(inner) && inner.length === 1
    return isContent || isCall ? memberOf(value, key) : undefined
  }
  const isPart = TEXT_TYPES.has(value['type']) && key === 'text' && typeof inner === 'string'
  return isPart ? memberOf(value, key) : undefined
}

function memberOf(holder: Wrapper, key: string): Inner {
  return { holder, key, path: `/${key}`, value: holder[key] }
}

/** The value under a key that says nothing about it, with nothing else in the object. */
function onlyMember(value: Wrapper, schema: SchemaPart): Inner | undefined {
  const keys = Object.keys(value).filter(
    (name) => name !== '$schema' || typeof value[name] !== 'string',
  )
  if (keys.includes('properties')) return valuesInLayout(value, keys, schema)
  const [key, ...others] = keys
  if (key === undefined || others.length > 0) return undefined
  const inner = value[key]
  if (isIdle(key)) return memberOf(value, key)
  const isNamed = isTitle(key, schema) || (typeof inner === 'object' && isNoun(key, schema))
  // The key is the model's own text and is not shown.
  return isNamed ? { holder: value, key, path: '/*', value: inner } : undefined
}

/** The values in the layout of the schema itself, whose other keywords are repeated at most. */
function valuesInLayout(
  value: Wrapper,
  keys: readonly string[],
  schema: SchemaPart,
): Inner | undefined {
  const isRepeated = keys.every(
    (key) => key === 'properties' || isEqual(value[key], own(schema, key)),
  )
  const inner = value['properties']
  if (!isRepeated || !isRecord(inner) || isSchemaLike(inner)) return undefined
  return memberOf(value, 'properties')
}

const SCHEMA_WORDS = [
  '$ref',
  'allOf',
  'anyOf',
  'const',
  'enum',
  'items',
  'oneOf',
  'properties',
  'type',
]

/** Whether these are the properties of a schema again, in place of values. */
function isSchemaLike(properties: Wrapper): boolean {
  return Object.values(properties).every(
    (part) => isRecord(part) && SCHEMA_WORDS.some((word) => Object.hasOwn(part, word)),
  )
}

// Words that say nothing about the value, unlike "error" or "reason".
const IDLE_WORDS: ReadonlySet<string> = new Set([
  ...['answer', 'content', 'data', 'extracted', 'final', 'items', 'json', 'list', 'object'],
  ...['output', 'payload', 'response', 'result', 'results', 'return', 'returned', 'structured'],
  ...['value', 'values'],
])

function isIdle(key: string): boolean {
  const words = wordsOf(key)
  return (
    words.length > 0 && words.length <= 3 && words.every((w) => IDLE_WORDS.has(w.toLowerCase()))
  )
}

function isTitle(key: string, { title }: SchemaPart): boolean {
  return typeof title === 'string' && lettersOf(title) === lettersOf(key)
}

// Kinds of things, without a part that they play: a spouse, a candidate or a reject may be somebody else.
const NOUNS: ReadonlySet<string> = new Set([
  ...['account', 'address', 'analysis', 'animal', 'appointment', 'article'],
  ...['assessment', 'bill', 'book', 'bug', 'car', 'character', 'city', 'class'],
  ...['classification', 'company', 'contact', 'conversation', 'country', 'course', 'device'],
  ...['document', 'element', 'email', 'entity', 'entry', 'evaluation', 'event', 'expense'],
  ...['extraction', 'feature', 'film', 'flight', 'game', 'goal', 'hotel', 'incident', 'intent'],
  ...['invoice', 'issue', 'item', 'itinerary', 'job', 'lesson', 'location', 'meeting'],
  ...['message', 'movie', 'order', 'payment', 'person', 'pet', 'place', 'plan', 'post'],
  ...['product', 'profile', 'project', 'property', 'quiz', 'receipt', 'recipe', 'record'],
  ...['reminder', 'report', 'restaurant', 'review', 'row', 'school', 'sentiment', 'song'],
  ...['step', 'story', 'subscription', 'summary', 'task', 'team', 'ticket', 'todo'],
  ...['transaction', 'translation', 'trip', 'user', 'vehicle', 'weather'],
])

// A name that was never filled in, such as `$PARAMETER_NAME`.
const PLACEHOLDER = /^\$[A-Z][A-Z_]*$/

/** Whether the key names what the schema describes: by a plain noun, or as its own properties do. */
function isNoun(key: string, schema: SchemaPart): boolean {
  if (PLACEHOLDER.test(key)) return true
  const words = wordsOf(key).map((word) => word.toLowerCase())
  const nouns = words.filter((word) => !IDLE_WORDS.has(word))
  const [noun = '', ...others] = nouns
  if (others.length > 0 || words.length > 3) return false
  return isPlain(noun) || isPrefix(noun, schema)
}

function isPlain(noun: string): boolean {
  const singular = noun.endsWith('ies') ? `${noun.slice(0, -3)}y` : noun.replace(/s$/, '')
  return NOUNS.has(noun) || NOUNS.has(singular)
}

/** Whether declared properties begin with the noun, as `ticket_id` does. */
function isPrefix(noun: string, schema: SchemaPart): boolean {
  return [...askedBy(schema).names].some((name) => {
    const [first, ...others] = wordsOf(name)
    return others.length > 0 && first?.toLowerCase() === noun
  })
}
