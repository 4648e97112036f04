import { emitProcessWarning, processWide } from '../process-wide.ts'
import { ajvCompiler } from './ajv-engine.ts'
import { interpreter } from './interpreter/interpreter.ts'
import { wrongTypeIn } from './issues.ts'
import { isRecord, own } from './json-value.ts'
import type { Draft, RegExpEngine, SchemaEngine } from './schema-engine.ts'
import { NotLoaded } from './schema-part.ts'
import { OutOfSteps } from './work.ts'

/** Validators by schema text, in order of last use. */
const plainEngines = new Map<string, SchemaEngine>()
const enginesWith = new WeakMap<RegExpEngine, Map<string, SchemaEngine>>()
const MAX_ENGINES = 200

/**
 * The validator of a schema, cached by the schema's text.
 * @throws {TypeError} if the schema cannot be compiled. Also throws `NotLoaded`, and a RangeError if
 * compiling overflows the stack.
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
  // AJV's validator of such a schema returns a promise, which is truthy and would mean "valid".
  if (isRecord(schema) && own(schema, '$async') !== undefined) {
    throw new TypeError('schema: $async is not supported')
  }
  let first: unknown
  for (const draft of draftsOf(own(schema, '$schema'))) {
    try {
      return mayGenerateCode()
        ? compiledByBoth(text, draft, regExp)
        : interpreting(text, draft, regExp)
    } catch (error) {
      if (isNoFaultOfTheSchema(error)) throw error
      first ??= error
    }
  }
  const said = wrongTypeIn(schema) ?? (first instanceof Error ? first.message : String(first))
  throw new TypeError(`schema: ${said}`, { cause: first })
}

/** Errors caused by the runtime: code generation is forbidden, the stack overflowed, or AJV is missing. */
function isNoFaultOfTheSchema(error: unknown): boolean {
  return error instanceof NotLoaded || error instanceof EvalError || error instanceof RangeError
}

/** AJV generates code from a schema, which Workers and strict content security policies forbid. */
function mayGenerateCode(): boolean {
  try {
    return typeof new Function('return 0') === 'function'
  } catch {
    return false
  }
}

/**
 * Uses AJV, and switches to the interpreter once AJV fails. Two cases are known: AJV compiles again when
 * the first answer fails, which Workers may forbid even if they allowed the first compilation; and for a
 * few schemas AJV generates faulty code.
 */
function compiledByBoth(
  text: string,
  draft: Draft,
  regExp: RegExpEngine | undefined,
): SchemaEngine {
  const compile = ajvCompiler(text, draft, regExp)
  const ajv = compiled(compile)
  if (ajv === undefined) return interpreting(text, draft, regExp)
  let engine = ajv
  const asked = <T>(ask: (of: SchemaEngine) => T): T => {
    try {
      return ask(engine)
    } catch (error) {
      // The interpreter would overflow the stack or exceed the step limit as well.
      if (error instanceof RangeError || error instanceof OutOfSteps || engine !== ajv) throw error
      if (error instanceof EvalError) sayOnce()
      engine = interpreter(text, draft, regExp)()
      return ask(engine)
    }
  }
  return {
    accepts: (value, work) => asked((of) => of.accepts(value, work)),
    errorsAt: (pointer, value, work) => asked((of) => of.errorsAt(pointer, value, work)),
    firstErrors: (value, work) => asked((of) => of.firstErrors(value, work)),
    pointerOf: (part) => engine.pointerOf(part),
  }
}

/** Undefined if the runtime forbids code generation although `new Function` could be called. */
function compiled(compile: () => SchemaEngine): SchemaEngine | undefined {
  try {
    return compile()
  } catch (error) {
    if (error instanceof EvalError) return undefined
    throw error
  }
}

function interpreting(text: string, draft: Draft, regExp: RegExpEngine | undefined): SchemaEngine {
  sayOnce()
  return interpreter(text, draft, regExp)()
}

function sayOnce(): void {
  const said = processWide(SAID, () => ({ isInterpreting: false }))
  if (said.isInterpreting) return
  said.isInterpreting = true
  emitProcessWarning(
    'This runtime does not allow AJV to generate code, so an interpreter checks the answers: ' +
      'the verdicts are the same, but it is slower.',
    'STEADYCALL_INTERPRETED',
  )
}

const SAID = Symbol.for('steadycall.said.v1')

function draftsOf(dialect: unknown): readonly Draft[] {
  if (dialect === undefined) return ['2020-12', 'draft-07']
  const uri = String(dialect)
  if (/draft-0[67]\b/.test(uri)) return ['draft-07']
  if (uri.includes('2019-09')) return ['2019-09']
  if (uri.includes('2020-12')) return ['2020-12']
  throw new TypeError(`schema: $schema ${uri} is not supported; use draft-07, 2019-09 or 2020-12`)
}
