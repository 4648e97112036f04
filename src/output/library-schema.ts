import type { StandardProps } from './infer.ts'
import { childPath, isRecord } from './json-value.ts'
import { DRAFTS, type Draft } from './schema-engine.ts'

/** The `~standard` member of a library's schema, if it has one. */
export function standardProps(schema: object): StandardProps | undefined {
  const props: unknown = Reflect.get(schema, '~standard')
  if (typeof props !== 'object' || props === null) return undefined
  // The key is reserved for this interface (standardschema.dev); its members are checked before use.
  return props as StandardProps
}

const TARGETS = ['draft-2020-12', 'draft-07'] as const

/** @throws {TypeError} if the library cannot convert schemas, or cannot express this one as JSON Schema. */
export function standardJsonSchema(
  schema: object,
  { jsonSchema, vendor }: StandardProps,
  saysItself: (schema: object) => boolean,
): object {
  if (typeof jsonSchema?.input !== 'function') throw givesNone(schema, vendor)
  const converting = { vendor, jsonSchema }
  const converted = firstConversion(converting)
  if ('error' in converted) {
    if (saysItself(schema)) return schema
    const { error } = converted
    const said = error instanceof Error ? error.message : String(error)
    throw cannotExpress(vendor, said, pathOfMisfit(converting, { alternatives: true }), error)
  }
  // ArkType emits an unconstrained part for something JSON cannot hold, and would then reject every answer.
  const open = vendor === 'arktype' && pathOfMisfit(converting, { alternatives: false })
  if (typeof open === 'string') throw cannotExpress(vendor, 'no JSON fits a part of it', open)
  return converted.given
}

function firstConversion({ jsonSchema, vendor }: ConvertingProps) {
  const failed: unknown[] = []
  for (const target of TARGETS) {
    try {
      return { given: jsonSchema.input({ target, ...LIBRARY_OPTIONS.get(vendor) }) }
    } catch (error) {
      failed.push(error)
    }
  }
  return { error: failed[0] }
}

function cannotExpress(vendor: string, said: string, path: string | undefined, cause?: unknown) {
  const where = path === undefined ? '' : ` (at ${path || '/'})`
  const what = said.replace(/\.$/, '')
  return new TypeError(
    `schema: ${vendor} cannot express it as JSON Schema: ${what}${where}. ${insteadOf(vendor, said)}`,
    cause === undefined ? undefined : { cause },
  )
}

/** Ignores checks that JSON Schema cannot express: the library runs them itself afterwards. */
const LIBRARY_OPTIONS: ReadonlyMap<string, { readonly libraryOptions: Record<string, unknown> }> =
  new Map([
    [
      'valibot',
      {
        libraryOptions: { ignoreActions: ['check', 'check_items', 'partial_check', 'raw_check'] },
      },
    ],
  ])

/** Rejects zod before 3.24 and Valibot before 1.0, whose schemas would pass for a JSON Schema without keywords. */
export function refuseOldLibraries(schema: object): void {
  if (Reflect.has(schema, '_def') || Reflect.has(schema, '_zod')) throw givesNone(schema, 'zod')
  if (Reflect.has(schema, '_run') || Reflect.has(schema, '~run')) {
    throw givesNone(schema, 'valibot')
  }
}

function givesNone(schema: object, vendor: string): TypeError {
  return new TypeError(`schema: ${whoseSchema(schema, vendor)}`)
}

const FROM_MINI =
  "pass z.toJSONSchema(schema), with { io: 'input' } where it transforms or has defaults"

function whoseSchema(schema: object, vendor: string): string {
  if (vendor === 'valibot') {
    return 'this valibot schema gives no JSON Schema by itself. Wrap it: toStandardJsonSchema(schema) of @valibot/to-json-schema.'
  }
  if (vendor !== 'zod') {
    return `this ${vendor} schema gives no JSON Schema (Standard JSON Schema). Use a version of the library whose schemas do, or pass a JSON Schema.`
  }
  if (!Reflect.has(schema, '_zod')) {
    return "this schema is one of zod 3, which gives no JSON Schema. Use zod 4.2 or later (from 'zod', not 'zod/v3'), or pass a JSON Schema."
  }
  // zod's own schemas have had `_def` since version 3.
  return Reflect.has(schema, '_def')
    ? `this schema is one of zod 4.0 or 4.1, which gives no JSON Schema by itself. Use zod 4.2 or later, or ${FROM_MINI}.`
    : `this schema is one of zod/mini, which gives no JSON Schema by itself: ${FROM_MINI}. Or write it with zod, 4.2 or later.`
}

/**
 * A JSON Pointer to the first part that JSON Schema cannot express, if the library reports it. With
 * `alternatives: false`, branches of a union are skipped, because the model may answer with another one.
 */
function pathOfMisfit(
  { jsonSchema, vendor }: ConvertingProps,
  { alternatives }: { readonly alternatives: boolean },
): string | undefined {
  const marking = MARKING.get(vendor)
  if (marking === undefined) return undefined
  try {
    const libraryOptions = { ...LIBRARY_OPTIONS.get(vendor)?.libraryOptions, ...marking }
    return pathOfMark(jsonSchema.input({ target: TARGETS[0], libraryOptions }), alternatives, 0)
  } catch {
    return undefined
  }
}

type ConvertingProps = Pick<StandardProps, 'vendor'> & Required<Pick<StandardProps, 'jsonSchema'>>

/** Marks, in the generated JSON Schema, a part that the library cannot express. */
const MARK = 'x-steadycall-misfit'
const marked = () => ({ [MARK]: true })
const markedBase = ({ base }: { readonly base?: object }) => ({ ...base, [MARK]: true })

/** Library options that add the mark instead of failing. */
const MARKING: ReadonlyMap<string, Record<string, unknown>> = new Map([
  ['zod', { unrepresentable: marked }],
  [
    'valibot',
    {
      errorMode: 'ignore',
      overrideSchema: ({ errors, jsonSchema }: { errors?: unknown; jsonSchema?: object }) =>
        errors === undefined ? undefined : { ...jsonSchema, [MARK]: true },
    },
  ],
  ['arktype', { fallback: { date: markedBase, domain: markedBase, proto: markedBase } }],
])

const MAX_DEPTH = 100

function pathOfMark(part: unknown, alternatives: boolean, depth: number): string | undefined {
  if (typeof part !== 'object' || part === null || depth > MAX_DEPTH) return undefined
  if (Object.hasOwn(part, MARK)) return ''
  for (const [key, inner] of Object.entries(part)) {
    if (!alternatives && (key === 'anyOf' || key === 'oneOf')) continue
    const rest = pathOfMark(inner, alternatives, depth + 1)
    if (rest !== undefined) return `${childPath('', key)}${rest}`
  }
  return undefined
}

/** Advice on how to write a schema that JSON can express. */
function insteadOf(vendor: string, said: string): string {
  const name = Object.keys(INSTEAD).find((one) => new RegExp(`\\b${one}s?\\b`, 'i').test(said))
  const instead = name === undefined ? undefined : INSTEAD[name]?.[vendor]
  return instead ?? GENERAL[vendor] ?? 'Describe what JSON can hold there.'
}

const GENERAL: Readonly<Record<string, string>> = {
  zod: "Describe what JSON holds there and transform it, such as z.string().transform(…), or pass z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }).",
  arktype:
    "Describe what JSON holds there and morph it, such as 'string.date.iso.parse' for a Date, or type('string').pipe(BigInt).",
  valibot:
    'Describe what JSON holds there and transform it, such as v.pipe(v.string(), v.transform(…)).',
}

const INSTEAD: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  date: {
    zod: 'JSON holds a date as text: z.iso.datetime() keeps it as a string, z.iso.datetime().transform((text) => new Date(text)) or a z.codec makes it a Date.',
    valibot:
      'JSON holds a date as text: v.pipe(v.string(), v.isoTimestamp()) keeps it as a string, v.transform((text) => new Date(text)) at its end makes it a Date.',
  },
  bigint: {
    zod: 'JSON holds such a number as text: z.string().regex(/^-?\\d+$/).transform(BigInt).',
    valibot:
      'JSON holds such a number as text: v.pipe(v.string(), v.regex(/^-?\\d+$/), v.transform(BigInt)).',
  },
  map: {
    zod: 'JSON has objects: z.record(…).transform((record) => new Map(Object.entries(record))).',
    valibot:
      'JSON has objects: v.pipe(v.record(…), v.transform((record) => new Map(Object.entries(record)))).',
  },
  set: {
    zod: 'JSON has arrays: z.array(…).transform((items) => new Set(items)).',
    valibot: 'JSON has arrays: v.pipe(v.array(…), v.transform((items) => new Set(items))).',
  },
  undefined: {
    zod: 'JSON has no undefined: leave the property out, or make it optional.',
    valibot: 'JSON has no undefined: leave the property out, or make it optional.',
  },
}

/** The meta-schemas of a draft, by address. */
export type MetaSchemasOf = (draft: Draft) => ReadonlyMap<string, object>

const ADDRESS = /^https?:\/\/json-schema\.org\//

/**
 * The meta-schemas that a schema refers to: those of its draft and of earlier ones, except those that the
 * schema itself contains. Empty for nearly all schemas, which then cost nothing extra.
 */
export function metaSchemasFor(schema: object, draft: Draft, of: MetaSchemasOf): readonly object[] {
  const named: Named = { refers: false, ids: new Set() }
  look(schema, named)
  if (!named.refers) return []
  const drafts = DRAFTS.slice(0, DRAFTS.indexOf(draft) + 1)
  return drafts
    .flatMap((known) => [...of(known)])
    .filter(([address]) => !named.ids.has(address))
    .map(([, metaSchema]) => metaSchema)
}

interface Named {
  refers: boolean
  readonly ids: Set<string>
}

function look(part: unknown, named: Named): void {
  if (Array.isArray(part)) {
    for (const element of part) look(element, named)
  }
  if (!isRecord(part)) return
  const { $ref, $id } = part
  if (typeof $ref === 'string' && ADDRESS.test($ref)) named.refers = true
  if (typeof $id === 'string') {
    // The schema is itself a meta-schema, and these refer to each other.
    if (ADDRESS.test($id)) named.refers = true
    named.ids.add($id.replace(/#$/, ''))
  }
  for (const child of Object.values(part)) look(child, named)
}
