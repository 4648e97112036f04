import { isEqual, isRecord, own } from './json-value.ts'
import { saysNothing } from './lenient-rules.ts'
import { lettersOf } from './listed-members.ts'
import { membersOf, partsAtTop, type SchemaPart, typeOfValue, typesOf } from './schema-part.ts'
import { wordsOf } from './units.ts'
import type { CoercionRule } from './value-rules.ts'

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

/** A property of an object that the schema refuses. */
export interface ObjectMember {
  readonly key: string
  readonly record: Readonly<Record<string, unknown>>
  /** The part of the schema that applies to the object. */
  readonly schema: SchemaPart
  /** JSON Pointer to that part. */
  readonly at: string
  /** The whole schema. */
  readonly root: object
  /** Whether the schema refuses the value of the property. */
  readonly isFailing: boolean
  /** Whether a pattern for names of properties matches this one. */
  readonly isPatterned: boolean
}

/** The rules that may drop a property, the safe ones first. */
export const DROP_RULES: readonly {
  readonly name: CoercionRule
  readonly applies: (member: ObjectMember) => boolean
}[] = [
  {
    name: 'drop-null',
    applies: (member) => isOptional(member) && member.record[member.key] === null,
  },
  { name: 'drop-marker', applies: (member) => isSurplus(member) && isMarker(member) },
  {
    name: 'drop-empty',
    applies: (member) =>
      isOptional(member) && saysNothing(member.record[member.key]) && takesNoWord(member),
  },
  { name: 'drop-unknown', applies: (member) => isSurplus(member) && isDispensable(member) },
]

/** Declared, not required, and refused as it is. */
function isOptional({ key, schema, isFailing }: ObjectMember): boolean {
  const isRequired = Array.isArray(schema.required) && schema.required.includes(key)
  return isFailing && own(schema.properties, key) !== undefined && !isRequired
}

/** Neither declared nor allowed. */
function isSurplus({ key, schema, isPatterned }: ObjectMember): boolean {
  const isDeclared = own(schema.properties, key) !== undefined || isPatterned
  return schema.additionalProperties === false && !isDeclared
}

/** Whether the property takes neither null nor any string. */
function takesNoWord({ key, schema, root }: ObjectMember): boolean {
  const part = own(schema.properties, key)
  if (!isRecord(part)) return false
  const types = typesOf(part, root)
  if (types === undefined || types.includes('null')) return false
  return !types.includes('string') || membersOf(part).length > 0
}

// Names that GraphQL, JSON-LD and serializers of classes give to the type of an object.
const TYPE_TAGS: ReadonlySet<string> = new Set(['__typename', '@type', '_type', '$type'])
const KEYWORDS: ReadonlySet<string> = new Set([
  ...['$id', '$schema', 'additionalProperties', 'description', 'required', 'title', 'type'],
])
const MAX_MARKER_CHARS = 300

/** Whether the property only says which schema the object has. */
function isMarker({ key, record, schema, at }: ObjectMember): boolean {
  const value = record[key]
  if (KEYWORDS.has(key) && isEqual(value, own(schema, key))) return true
  if (typeof value !== 'string' || value === '' || value.length > MAX_MARKER_CHARS) return false
  if (key === '$schema') return true
  const name = nameOf(schema, at)
  if (TYPE_TAGS.has(key)) return name === undefined || lettersOf(name) === lettersOf(value)
  return key === 'type' && name !== undefined && lettersOf(name) === lettersOf(value)
}

/** The title of a part, or its name among the definitions. */
function nameOf({ title }: SchemaPart, at: string): string | undefined {
  if (typeof title === 'string') return title
  return /\/(?:\$defs|definitions)\/([^/]+)$/.exec(at)?.[1]
}

/** Whether the object is the same answer without the property. */
function isDispensable({ key, record, schema }: ObjectMember): boolean {
  const properties = Object(schema.properties)
  const declared = Object.keys(properties)
  const isGiven = (name: string) => Object.hasOwn(record, name) && record[name] !== null
  if (!declared.some(isGiven)) return false
  const absent = declared.filter((name) => !isGiven(name))
  const value = record[key]
  if (isRecord(value) && absent.some((name) => Object.hasOwn(value, name))) return false
  return !absent.some((name) => isAlike(name, key)) && !(isSaying(value) && isDoubtful(key))
}

function isSaying(value: unknown): boolean {
  return value !== null && value !== false && value !== 0 && !saysNothing(value)
}

// Words of properties that take an answer back.
const DOUBTS =
  /^(?:error|fail|warn|refus|reject|invalid|incorrect|wrong|uncertain|unsure|partial|truncat|incomplete|missing|example|sample|placeholder|draft|dummy|fake|not$|previous|old$)/i

function isDoubtful(key: string): boolean {
  return wordsOf(key).some((word) => DOUBTS.test(word))
}

/** Whether one name may be the other misspelled, in another convention, or with a word more. */
function isAlike(a: string, b: string): boolean {
  const [one, other] = [lettersOf(a), lettersOf(b)]
  if (one.includes(other) || other.includes(one)) return true
  const words = new Set(wordsOf(a).map((word) => word.toLowerCase()))
  return wordsOf(b).some((word) => words.has(word.toLowerCase())) || isTypo(one, other)
}

// Names above this length are not compared letter by letter.
const MAX_TYPO_CHARS = 64

/** Whether the names have the same letters but for two, in any order. */
function isTypo(a: string, b: string): boolean {
  if (a.length > MAX_TYPO_CHARS || b.length > MAX_TYPO_CHARS || a.length < 3) return false
  const rest = [...b]
  let extra = 0
  for (const letter of a) {
    const at = rest.indexOf(letter)
    if (at === -1) extra += 1
    else rest.splice(at, 1)
  }
  return Math.max(extra, rest.length) <= Math.min(2, Math.floor(a.length / 3))
}
