import { metaSchemasOf, pointersInto, spend, stepsOf } from '../ajv-engine.ts'
import {
  type Draft,
  type ErrorObject,
  parseSchema,
  type RegExpEngine,
  type SchemaEngine,
} from '../schema-engine.ts'
import { explodes, recurs } from '../schema-part.ts'
import {
  ANY_ASSERTIONS,
  ARRAY_ASSERTIONS,
  isOfType,
  NUMBER_ASSERTIONS,
  OBJECT_ASSERTIONS,
  STRING_ASSERTIONS,
  typeCheck,
  typesOf,
  UNIQUE_ITEMS,
} from './assertions.ts'
import {
  DEPENDENT,
  ITEMS_BEFORE_2020,
  ITEMS_OF_2020,
  PROPERTIES,
  UNEVALUATED_ITEMS,
  UNEVALUATED_PROPERTIES,
} from './items.ts'
import { type Formats, formatsOfAjv, References } from './references.ts'
import {
  type Check,
  type Compiler,
  dynamicRef,
  Evaluated,
  fail,
  isObject,
  type Keyword,
  recursiveRef,
  ref,
  type Schema,
  UNIONS,
  type Validation,
} from './unions.ts'

/**
 * Prepares a validator that interprets the schema, for runtimes that forbid code generation and hence AJV.
 * Its verdicts are the same, and its errors have the same shape and wording.
 *
 * @throws TypeError (from the returned function) if the text is not a valid schema of the draft.
 */
export function interpreter(
  text: string,
  draft: Draft,
  regExp: RegExpEngine | undefined,
): () => SchemaEngine {
  return () => {
    const schema = parseSchema(text)
    checkSchema(schema, draft)
    const compiler = new SchemaCompiler(schema, draft, regExp)
    const all = !explodes(schema)
    const isCounted = recurs(schema)
    const whole = compiler.checkAt('')
    let pointers: ReadonlyMap<object, string> | undefined
    return {
      accepts(value, work) {
        // Only a recursive schema can take more steps than linear in the value.
        const run = isCounted ? { ...VERDICT_ONLY, work } : VERDICT_ONLY
        return whole({ value, path: '' }, run, undefined)
      },
      firstErrors(value, work) {
        const errors: ErrorObject[] = []
        whole({ value, path: '' }, { ...VERDICT_ONLY, errors, work }, undefined)
        return errors
      },
      errorsAt(pointer, value, work) {
        const errors: ErrorObject[] = []
        const run: Validation = { errors, all, inUnion: false, scope: undefined, work }
        compiler.checkAt(pointer)({ value, path: '' }, run, undefined)
        return errors
      },
      pointerOf(part) {
        pointers ??= pointersInto(schema)
        return pointers.get(part)
      },
    }
  }
}

const VERDICT_ONLY: Validation = { errors: undefined, all: false, inUnion: false, scope: undefined }

/** Checks the schema against the meta-schema of its draft, without formats, as AJV does. */
function checkSchema(schema: object, draft: Draft): void {
  const errors: ErrorObject[] = []
  const run: Validation = { errors, all: false, inUnion: false, scope: undefined }
  const compiler = new SchemaCompiler({ $ref: META_SCHEMAS[draft] }, draft, undefined, NO_FORMATS)
  if (compiler.checkAt('')({ value: schema, path: '' }, run, undefined)) return
  const said = errors.map(({ instancePath, message }) => `schema${instancePath} ${message}`)
  throw new TypeError(said.join(', '))
}

const NO_FORMATS: Formats = new Map()

const META_SCHEMAS: Readonly<Record<Draft, string>> = {
  'draft-07': 'http://json-schema.org/draft-07/schema',
  '2019-09': 'https://json-schema.org/draft/2019-09/schema',
  '2020-12': 'https://json-schema.org/draft/2020-12/schema',
}

/** Creates the checks of a schema's parts, each once. */
class SchemaCompiler implements Compiler {
  readonly draft: Draft
  readonly references: References
  readonly regExp: RegExpEngine
  readonly formats: Formats
  readonly #checks = new Map<unknown, { check: Check }>()
  readonly #groups: readonly Group[]

  constructor(
    schema: object,
    draft: Draft,
    regExp: RegExpEngine | undefined,
    formats: Formats = formatsOfAjv(),
  ) {
    this.draft = draft
    this.formats = formats
    this.regExp = regExp ?? ((pattern, flags) => new RegExp(pattern, flags))
    this.references = new References(schema, draft, metaSchemasOf)
    this.#groups = groupsOf(draft)
  }

  /** The check of the part that a JSON Pointer names. */
  checkAt(pointer: string): Check {
    const { schema, base } = this.references.at(pointer)
    return this.checkIn(schema, base)
  }

  checkOf(part: unknown, around: Schema): Check {
    return this.checkIn(part, this.references.baseOf(around, ''))
  }

  checkIn(part: unknown, around: string): Check {
    const known = this.#checks.get(part)
    // A recursive schema may still be under construction here, so `check` is read when it runs.
    if (known !== undefined) return (place, run, evaluated) => known.check(place, run, evaluated)
    if (part === true) return () => true
    if (part === false) return nothing
    if (!isObject(part)) throw new TypeError('a part of it is not a schema')
    const made = { check: nothing }
    this.#checks.set(part, made)
    made.check = this.#make(part, this.references.baseOf(part, around))
    return made.check
  }

  isAlwaysValid(part: unknown): boolean {
    return part === true || (isObject(part) && !Object.keys(part).some((key) => KEYWORDS.has(key)))
  }

  #make(schema: Schema, base: string): Check {
    const types = typesOf(schema)
    const used = this.#groups.flatMap(({ type, keywords }): readonly Used[] => {
      const own = keywords.filter(([keyword]) => Object.hasOwn(schema, keyword))
      const checks = own.flatMap(([keyword, make]) => make(schema[keyword], schema, this) ?? [])
      return own.length === 0 ? [] : [{ type, checks, otherwise: [] }]
    })
    const ofType = types.length === 0 ? undefined : typeCheck(schema, types)
    const groups = ofType === undefined ? used : withType(used, types, ofType)
    const check = ofGroups(groups)
    return counting(schema, base, hasUnevaluated(schema) ? evaluating(check) : check)
  }
}

/** The checks of a schema for values of one type, or of any type. */
interface Used {
  readonly type: string | undefined
  readonly checks: readonly Check[]
  /** Applied to values of other types. */
  readonly otherwise: readonly Check[]
}

/** AJV checks a single type together with the type's keywords, several types before all keywords. */
function withType(used: readonly Used[], types: readonly string[], ofType: Check): readonly Used[] {
  const [only, ...others] = types
  const at = others.length > 0 ? -1 : used.findIndex(({ type }) => type === only)
  if (at < 0) return [{ type: undefined, checks: [ofType], otherwise: [] }, ...used]
  return used.map((group, index) => (index === at ? { ...group, otherwise: [ofType] } : group))
}

/**
 * Checks the groups in order, and stops at the first failure if one error is enough. A single function,
 * because every stack frame per level reduces the nesting depth that a value may have.
 */
function ofGroups(groups: readonly Used[]): Check {
  const every = groups.map(ofGroup)
  const [only] = every
  if (only !== undefined && every.length === 1) return only
  return (place, run, evaluated) => {
    let valid = true
    for (let at = 0; at < every.length && (valid || run.all); at += 1) {
      valid = every[at]?.(place, run, evaluated) !== false && valid
    }
    return valid
  }
}

function ofGroup({ type, checks, otherwise }: Used): Check {
  const [only] = checks
  if (type === undefined && only !== undefined && checks.length === 1) return only
  return (place, run, evaluated) => {
    const asked = type === undefined || isOfType(place.value, type) ? checks : otherwise
    let valid = true
    for (let at = 0; at < asked.length && (valid || run.all); at += 1) {
      valid = asked[at]?.(place, run, evaluated) !== false && valid
    }
    return valid
  }
}

function hasUnevaluated(schema: Schema): boolean {
  return Object.hasOwn(schema, 'unevaluatedItems') || Object.hasOwn(schema, 'unevaluatedProperties')
}

/** Starts a new record of evaluated members, because a schema may only use its own. */
function evaluating(check: Check): Check {
  return (place, run, outer) => {
    const own = new Evaluated()
    const valid = check(place, run, own)
    outer?.add(own)
    return valid
  }
}

/** Rejects every value. */
const nothing: Check = (place, run) =>
  fail(run, place, {
    keyword: 'false schema',
    params: {},
    message: 'boolean schema is false',
    schema: false,
    parentSchema: false,
  })

/**
 * Counts the steps of a part of the schema before it is applied (see `StepMeter`), and extends the scope
 * with the part's address, which dynamic references depend on.
 */
function counting(schema: Schema, address: string, check: Check): Check {
  const steps = stepsOf(schema)
  return (place, run, evaluated) => {
    if (run.work !== undefined) spend(run.work, steps, run.errors?.length ?? 0)
    const { scope } = run
    const within = scope?.address === address ? run : { ...run, scope: { address, outer: scope } }
    return check(place, within, evaluated)
  }
}

/** Keywords for values of one type, or of any type. In AJV's order, which determines the order of errors. */
export interface Group {
  readonly type?: string
  readonly keywords: readonly (readonly [string, Keyword])[]
}

/** The `id` of older drafts, which AJV rejects. */
const ID: Keyword = (): Check => {
  throw new TypeError('NOT SUPPORTED: keyword "id", use "$id" for schema ID')
}

function groupsOf(draft: Draft): readonly Group[] {
  const isOld = draft === 'draft-07'
  const dynamic = [['$dynamicRef', dynamicRef] as const, ['$recursiveRef', recursiveRef] as const]
  return [
    {
      keywords: [
        ...(isOld ? [] : dynamic),
        ['id', ID],
        ['$ref', ref],
        ...ANY_ASSERTIONS,
        ...UNIONS,
      ],
    },
    { type: 'number', keywords: NUMBER_ASSERTIONS },
    { type: 'string', keywords: STRING_ASSERTIONS },
    {
      type: 'array',
      keywords: [
        ...ARRAY_ASSERTIONS,
        ...(draft === '2020-12' ? ITEMS_OF_2020 : ITEMS_BEFORE_2020),
        UNIQUE_ITEMS,
        ...(isOld ? [] : [UNEVALUATED_ITEMS]),
      ],
    },
    {
      type: 'object',
      keywords: [
        ...OBJECT_ASSERTIONS,
        ...PROPERTIES,
        ...(isOld ? [] : [...DEPENDENT, UNEVALUATED_PROPERTIES]),
      ],
    },
  ]
}

/** All keywords of any draft that can reject a value. */
const KEYWORDS: ReadonlySet<string> = new Set([
  'type',
  ...groupsOf('2019-09').flatMap(({ keywords }) => keywords.map(([keyword]) => keyword)),
  'prefixItems',
])
