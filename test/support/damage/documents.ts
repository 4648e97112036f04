import type { Random } from './random.ts'

export type SchemaKind = 'none' | 'open' | 'closed'
export const SCHEMA_KINDS: readonly SchemaKind[] = ['none', 'open', 'closed']

/** A JSON value, with a schema that accepts it. */
export interface Document {
  readonly value: unknown
  readonly schema: object | undefined
}

type Shape =
  | { readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'nullable' }
  | { readonly type: 'enum'; readonly members: readonly string[] }
  | { readonly type: 'list'; readonly of: Shape }
  | { readonly type: 'object'; readonly members: Readonly<Record<string, Shape>> }

export function randomDocument(random: Random, kind: SchemaKind): Document {
  const root = randomRoot(random)
  return {
    value: sampleOf(root, random),
    schema: kind === 'none' ? undefined : schemaOf(root, kind, random),
  }
}

const KEYS = [
  ...['name', 'city', 'id', 'note', 'title', 'tags', 'items', 'price', 'url', 'code', 'ok'],
  ...[
    'reason',
    'score',
    'due',
    'kind',
    'first name',
    'type',
    'details',
    'path',
    'next-step',
    '数量',
  ],
]
const ENUMS = [
  ['open', 'closed', 'in progress'],
  ['low', 'high'],
  ['EUR', 'USD', 'CHF'],
]
const SCALARS = ['string', 'string', 'string', 'integer', 'number', 'boolean', 'nullable'] as const
const MAX_DEPTH = 3

function randomRoot(random: Random): Shape {
  if (random.chance(0.8)) return randomObject(random, 1)
  return { type: 'list', of: random.chance(0.7) ? randomObject(random, 2) : { type: 'string' } }
}

function randomObject(random: Random, depth: number): Shape {
  const members: Record<string, Shape> = {}
  const count = 2 + random.below(4)
  for (let index = 0; index < count; index += 1) {
    members[random.pick(KEYS)] = randomShape(random, depth + 1)
  }
  return { type: 'object', members }
}

function randomShape(random: Random, depth: number): Shape {
  if (random.chance(0.08)) return { type: 'enum', members: random.pick(ENUMS) }
  if (depth > MAX_DEPTH || random.chance(0.65)) return { type: random.pick(SCALARS) }
  if (random.chance(0.4)) return randomObject(random, depth)
  return { type: 'list', of: randomElement(random, depth) }
}

function randomElement(random: Random, depth: number): Shape {
  if (random.chance(0.5)) return { type: random.pick(SCALARS) }
  return random.chance(0.8)
    ? randomObject(random, depth)
    : { type: 'list', of: { type: random.pick(SCALARS) } }
}

function sampleOf(shape: Shape, random: Random): unknown {
  switch (shape.type) {
    case 'string':
      return randomString(random)
    case 'integer':
      return random.below(2) * random.below(10) + random.below(4_000) * random.below(3)
    case 'number':
      return (random.below(20_000) - 5_000) / random.pick([1, 4, 10, 100])
    case 'boolean':
      return random.chance(0.5)
    case 'nullable':
      return random.chance(0.4) ? null : randomString(random)
    case 'enum':
      return random.pick(shape.members)
    case 'list':
      return Array.from({ length: random.below(5) }, () => sampleOf(shape.of, random))
    case 'object':
      return Object.fromEntries(
        Object.entries(shape.members).map(([key, member]) => [key, sampleOf(member, random)]),
      )
  }
}

function schemaOf(shape: Shape, kind: SchemaKind, random: Random): object {
  switch (shape.type) {
    case 'nullable':
      return { type: ['string', 'null'] }
    case 'enum':
      return { enum: shape.members }
    case 'list':
      return { type: 'array', items: schemaOf(shape.of, kind, random) }
    case 'object':
      return objectSchema(shape.members, kind, random)
    default:
      return { type: shape.type }
  }
}

/** A closed one names and requires all; an open one may leave out some. */
function objectSchema(
  members: Readonly<Record<string, Shape>>,
  kind: SchemaKind,
  random: Random,
): object {
  const named = Object.entries(members).filter(() => kind === 'closed' || random.chance(0.8))
  return {
    type: 'object',
    properties: Object.fromEntries(
      named.map(([key, member]) => [key, schemaOf(member, kind, random)]),
    ),
    required: named.map(([key]) => key).filter(() => kind === 'closed' || random.chance(0.7)),
    ...(kind === 'closed' ? { additionalProperties: false } : {}),
  }
}

const WORDS = [
  ...['the', 'blue', 'lamp', 'was', 'sold', 'in', 'March', 'for', 'a', 'guest', 'Ada', 'Lovelace'],
  ...['and', 'report', 'Zürich', 'north', 'of', 'Paris', 'left', 'early', 'with', 'two', 'keys'],
]

/** Whatever a scanner could take for structure. */
const NASTY = [
  ...['', ' ', ', ', ',', '}', ']', '{', '[', ':', '":', '", "', '"', "'", '\\', '//', '#', '/*'],
  ...[
    '12',
    '-3.5',
    '007',
    'true',
    'null',
    'None',
    '{"a": 1}',
    '[1, 2]',
    '...',
    'etc.',
    '$5',
    '85%',
  ],
  ...['https://example.com/a?b=1,2&c=#top', 'http://a.b/c // d', 'mailto:ada@example.org'],
  ...['C:\\Data\\My Files', '\\alpha + \\gamma', '^\\d+\\s*$', 'a\tb', '- one\n- two', 'x\ny\n'],
  ...[
    'if (a) { return b; }',
    "print('hi')",
    'SELECT a, b FROM c;',
    '<a href="x">y</a>',
    'key: value',
  ],
  ...[
    '注文は2件、合計は5000円です。',
    '東京',
    '👍🏽 done',
    'naïve café',
    '“quoted” already',
    '‘so’',
  ],
  ...["don't", "it's the boys' room", "rock 'n' roll", 'O’Neill', '12:30', '2026-01-02', 'a, b, c'],
]

function randomString(random: Random): string {
  if (random.chance(0.3)) return random.pick(NASTY)
  const words = Array.from({ length: 1 + random.below(7) }, () => random.pick(WORDS))
  if (random.chance(0.2)) quote(words, random)
  if (words.length > 3 && random.chance(0.2)) words[1] = `${words[1]},`
  return words.join(' ')
}

/** Puts a word or some in double quotes, or an inch mark. */
function quote(words: string[], random: Random): void {
  const first = random.below(words.length)
  if (random.chance(0.15)) {
    words[first] = `${20 + random.below(40)}"`
    return
  }
  const last = Math.min(words.length - 1, first + random.below(3))
  words[first] = `"${words[first]}`
  words[last] = `${words[last]}"`
  if (last < words.length - 1 && random.chance(0.15)) words[last] = `${words[last]},`
}
