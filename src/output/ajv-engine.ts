import { createRequire } from 'node:module'
import type * as AjvDraft7 from 'ajv'
import type { Ajv, ErrorObject, Options } from 'ajv'
import type * as AjvDraft2019 from 'ajv/dist/2019.js'
import type * as AjvDraft2020 from 'ajv/dist/2020.js'
import type * as AjvFormats from 'ajv-formats'

/** A JSON Schema that AJV has compiled. */
export interface SchemaEngine {
  /** What is wrong with the value; empty when it is valid. */
  errors(value: unknown): readonly ErrorObject[]
  /** The same for one part of the schema, named by a JSON Pointer into it. */
  errorsAt(pointer: string, value: unknown): readonly ErrorObject[]
}

export type Draft = 'draft-07' | '2019-09' | '2020-12'

/**
 * Compiles a schema given as its JSON text.
 *
 * @throws Error as AJV does, when the text is no valid schema of the draft.
 */
export function compileText(text: string, draft: Draft): SchemaEngine {
  const ajv = sharedAjv(draft, mentionsInherited(text))
  const copy = parseSchema(text)
  const validate = ajv.compile(copy)
  // The shared instance keeps every schema it saw unless told otherwise. Without its $id, as that
  // could name, and so remove, somebody else's schema or the meta-schema.
  Reflect.deleteProperty(copy, '$id')
  ajv.removeSchema(copy)
  let parts: Ajv | undefined
  return {
    errors: (value) => (validate(value) ? [] : (validate.errors ?? [])),
    errorsAt(pointer, value) {
      parts ??= newAjv(draft, mentionsInherited(text)).addSchema(parseSchema(text), 'root')
      const part = parts.getSchema(`root#${encodeURI(pointer)}`)
      if (part === undefined) throw new TypeError('schema: a part of it cannot be resolved')
      return part(value) ? [] : (part.errors ?? [])
    },
  }
}

function parseSchema(text: string): object {
  const schema: unknown = JSON.parse(text)
  if (typeof schema !== 'object' || schema === null) throw new TypeError('schema: not an object')
  // Drafts are chosen by us; AJV would look up draft-06 and unknown dialects, and find none.
  Reflect.deleteProperty(schema, '$schema')
  return schema
}

// AJV reads data.constructor where a schema names it, which every object inherits, unless it is
// told to look at own properties, which costs every other schema time.
function mentionsInherited(text: string): boolean {
  return Object.getOwnPropertyNames(Object.prototype).some((name) => text.includes(`"${name}"`))
}

const instances = new Map<string, Ajv>()

/** An instance compiles its meta-schema once, which is dearer than most users' schemas. */
function sharedAjv(draft: Draft, ownProperties: boolean): Ajv {
  const key = `${draft} ${ownProperties}`
  const known = instances.get(key)
  if (known !== undefined) return known
  const created = newAjv(draft, ownProperties)
  instances.set(key, created)
  return created
}

function newAjv(draft: Draft, ownProperties: boolean): Ajv {
  const options: Options = {
    strict: false,
    allErrors: true,
    validateFormats: true,
    addUsedSchema: false,
    logger: false,
    ownProperties,
  }
  const ajv = construct(draft, options)
  // The module is what its declarations say; see `load`.
  const formats = load('ajv-formats') as typeof AjvFormats
  formats.default.default(ajv)
  return ajv
}

function construct(draft: Draft, options: Options): Ajv {
  // Each module is what its declarations say; see `load`.
  switch (draft) {
    case 'draft-07':
      return new (load('ajv') as typeof AjvDraft7).Ajv(options)
    case '2019-09':
      return new (load('ajv/dist/2019.js') as typeof AjvDraft2019).Ajv2019(options)
    case '2020-12':
      return new (load('ajv/dist/2020.js') as typeof AjvDraft2020).Ajv2020(options)
  }
}

/**
 * AJV takes some 45 ms to load, so it loads when the first schema is compiled. `parseJson` is
 * synchronous, which leaves `require`: it is the same CommonJS file that `import` would give.
 */
const load = (specifier: string): unknown => createRequire(import.meta.url)(specifier)
