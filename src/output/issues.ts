import type { OutputIssue } from '../errors/call-error.ts'
import { isRecord, own } from './json-value.ts'
import type { ErrorObject } from './schema-engine.ts'

/** The maximum number of problems reported for an answer; more help neither a model nor a reader. */
export const MAX_ISSUES = 12

/**
 * Turns AJV's errors into issues that a model can act on: at most twelve, one per place and cause. A
 * message says what was expected and never quotes the answer.
 */
export function issuesOf(errors: readonly ErrorObject[]): readonly OutputIssue[] {
  const useful = withoutUnionNoise(errors)
  const issues: OutputIssue[] = []
  const seen = new Set<string>()
  for (const error of useful) {
    if (issues.length === MAX_ISSUES) break
    const { keyword, instancePath: path } = error
    const isType = keyword === 'type'
    const isMember = MEMBERS.has(keyword)
    const said = isType ? 'type' : isMember ? 'member' : capped(wording(error))
    const identity = `${path} ${said}`
    if (seen.has(identity)) continue
    seen.add(identity)
    // Combines all errors at this place, which needs a pass over every error; hence after the duplicate check.
    const message = isType ? typesAt(path, useful) : isMember ? membersAt(path, useful) : said
    issues.push({ path, message: capped(message) })
  }
  return issues
}

const MAX_MESSAGE = 400

// A failed union reports itself and every branch. The errors of the branches say more, if there are any;
// a oneOf that matched twice has none.
function withoutUnionNoise(errors: readonly ErrorObject[]): readonly ErrorObject[] {
  const concrete = errors.filter(({ keyword }) => !UNIONS.has(keyword))
  const explained = new Set<string>()
  for (const { instancePath } of concrete) {
    for (let path = instancePath; !explained.has(path); path = parent(path)) explained.add(path)
  }
  return errors.filter(({ keyword, instancePath, params }) => {
    if (!UNIONS.has(keyword)) return true
    return Array.isArray(own(params, 'passingSchemas')) || !explained.has(instancePath)
  })
}

const UNIONS = new Set(['anyOf', 'oneOf', 'if'])

function parent(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0))
}

/** `expected number or null, got a string`: collects the types of all branches of a union. */
function typesAt(path: string, errors: readonly ErrorObject[]): string {
  const here = errors.filter(
    ({ keyword, instancePath }) => keyword === 'type' && instancePath === path,
  )
  const types = here.flatMap(({ params }) => own(params, 'type'))
  return `expected ${[...new Set(types)].join(' or ')}, got ${typeNameOf(here[0]?.data)}`
}

function typeNameOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

const MEMBERS = new Set(['const', 'enum'])

/** `expected one of "cat", "dog"`: collects the members of all branches of a union. */
function membersAt(path: string, errors: readonly ErrorObject[]): string {
  const here = errors.filter(
    ({ keyword, instancePath }) => MEMBERS.has(keyword) && instancePath === path,
  )
  const members = here.flatMap(({ keyword, params }) =>
    keyword === 'const' ? [own(params, 'allowedValue')] : own(params, 'allowedValues'),
  )
  const [only, ...others] = new Set(members.map((member) => JSON.stringify(member)))
  const isConst = others.length === 0 && here[0]?.keyword === 'const'
  return isConst ? `expected exactly ${only}` : `expected one of ${[only, ...others].join(', ')}`
}

const MOST_NAMES = 20

function declared(schema: unknown): string {
  const properties = own(schema, 'properties')
  const names = isRecord(properties) ? Object.keys(properties) : []
  if (names.length === 0 || names.length > MOST_NAMES) return ''
  return `; declared are ${listed(names)}`
}

/** Examples for formats whose name does not tell how they are written (RFC 3339, appendix A). */
const FORMAT_EXAMPLES: ReadonlyMap<unknown, string> = new Map([
  ['date', '2027-03-01'],
  ['time', '09:30:00Z'],
  ['date-time', '2027-03-01T09:30:00Z'],
  ['duration', 'P3DT12H'],
])

function exampleOf(format: unknown): string {
  const example = FORMAT_EXAMPLES.get(format)
  return example === undefined ? '' : `, such as ${example}`
}

function capped(message: string): string {
  return message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE)}…` : message
}

function wording({ keyword, params, message, parentSchema }: ErrorObject): string {
  switch (keyword) {
    case 'required':
      return `missing required property ${JSON.stringify(own(params, 'missingProperty'))}`
    case 'additionalProperties':
    case 'unevaluatedProperties':
      // The property's own name comes from the model, so it is not quoted.
      return `has a property that the schema does not declare${declared(parentSchema)}`
    case 'format':
      return `${message ?? 'violates format'}${exampleOf(own(params, 'format'))}`
    case 'anyOf':
    case 'oneOf':
      return Array.isArray(own(params, 'passingSchemas'))
        ? 'matches more than one of the alternatives, expected exactly one'
        : 'matches none of the alternatives'
    case 'false schema':
      return 'expected nothing here'
    default:
      return message ?? `violates ${keyword}`
  }
}

function listed(values: unknown): string {
  return Array.isArray(values) ? values.map((value) => JSON.stringify(value)).join(', ') : ''
}
