import type { CoercionRule } from './coercion-rules.ts'
import { isEqual } from './equal.ts'
import { isRecord, own } from './json-value.ts'
import { saysNothing } from './lenient-rules.ts'
import { lettersOf } from './listed-members.ts'
import { membersOf, type SchemaPart, typesOf } from './schema-part.ts'
import { wordsOf } from './units.ts'

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
