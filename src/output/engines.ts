import { compileText, type Draft, type RegExpEngine, type SchemaEngine } from './ajv-engine.ts'
import { isRecord, own } from './json-value.ts'

/** Validators by schema text, the least recently used first. */
const plainEngines = new Map<string, SchemaEngine>()
const enginesWith = new WeakMap<RegExpEngine, Map<string, SchemaEngine>>()
const MAX_ENGINES = 200

/**
 * The validator of a schema, kept for the next one of the same text.
 * @throws {TypeError} for a schema that AJV cannot compile.
 */
export function engineFor(text: string, regExp: RegExpEngine | undefined): SchemaEngine {
  const engines = regExp === undefined ? plainEngines : (enginesWith.get(regExp) ?? new Map())
  if (regExp !== undefined) enginesWith.set(regExp, engines)
  const engine: SchemaEngine = engines.get(text) ?? compileEngine(text, regExp)
  engines.delete(text)
  engines.set(text, engine)
  for (const oldest of engines.keys()) {
    if (engines.size <= MAX_ENGINES) break
    engines.delete(oldest)
  }
  return engine
}

function compileEngine(text: string, regExp: RegExpEngine | undefined): SchemaEngine {
  const schema: unknown = JSON.parse(text)
  // AJV's validator of such a schema returns a promise, which would pass for "valid".
  if (isRecord(schema) && own(schema, '$async') !== undefined) {
    throw new TypeError('schema: $async is not supported')
  }
  let first: unknown
  for (const draft of draftsOf(own(schema, '$schema'))) {
    try {
      return compileText(text, draft, regExp)
    } catch (error) {
      first ??= error
    }
  }
  const said = first instanceof Error ? first.message : String(first)
  throw new TypeError(`schema: ${said}`, { cause: first })
}

function draftsOf(dialect: unknown): readonly Draft[] {
  if (dialect === undefined) return ['2020-12', 'draft-07']
  const uri = String(dialect)
  if (/draft-0[67]\b/.test(uri)) return ['draft-07']
  if (uri.includes('2019-09')) return ['2019-09']
  if (uri.includes('2020-12')) return ['2020-12']
  throw new TypeError(`schema: $schema ${uri} is not supported; use draft-07, 2019-09 or 2020-12`)
}
