import type { OutputIssue } from '../errors/call-error.ts'
import { isObject } from '../errors/hostile.ts'
import { MAX_ISSUES } from './issues.ts'
import { childPath, isRecord, LargeNumber, own } from './json-value.ts'
import type { SchemaValidator } from './schema.ts'
import type { Resting, Work } from './work.ts'

/**
 * The issues of a parsed value: those of the schema, plus two that the schema cannot detect: numbers that a
 * double would have rounded (searched only if `mayBeLarge`), and a schema returned as the answer.
 */
export function* issuesWith(
  value: unknown,
  mayBeLarge: boolean,
  validator: SchemaValidator | undefined,
  work: Work,
): Resting<readonly OutputIssue[]> {
  const issues = validator === undefined ? [] : yield* validator.issuesWith(value, work)
  if (work.didAll()) yield
  const large = mayBeLarge ? yield* largeNumbersIn(value, work) : []
  if (large.length > 0) {
    const elsewhere = issues.filter(({ path }) => !large.includes(path))
    return [...large.map((path) => ({ path, message: TOO_LARGE })), ...elsewhere].slice(
      0,
      MAX_ISSUES,
    )
  }
  if (issues.length > 0 || validator === undefined) return issues
  return echoes(value, validator) ? [{ path: '', message: ECHO }] : []
}

interface Spot {
  readonly value: object
  readonly key: string
  readonly holder: Spot | undefined
}

/** JSON Pointers to the first numbers that would have been rounded. */
function* largeNumbersIn(root: unknown, work: Work): Resting<readonly string[]> {
  const found: string[] = []
  const left: Spot[] = isObject(root) ? [{ value: root, key: '', holder: undefined }] : []
  for (let spot = left.pop(); spot !== undefined; spot = left.pop()) {
    const { value } = spot
    if (value instanceof LargeNumber) {
      found.push(pathTo(spot))
      if (found.length === MAX_ISSUES) break
      continue
    }
    const members = Object.entries(value)
    for (const [key, member] of members.toReversed()) {
      if (isObject(member)) left.push({ value: member, key, holder: spot })
    }
    if (work.did(members.length)) yield
  }
  return found
}

function pathTo(spot: Spot): string {
  const keys: string[] = []
  for (let at = spot; at.holder !== undefined; at = at.holder) keys.push(at.key)
  return keys.reduceRight(childPath, '')
}

const TOO_LARGE = 'integer too large to keep exactly; expected it as a string, or smaller'
const ECHO = 'expected data that follows the schema, got the schema'

/** JSON that repeats the schema is not data, even if every property is optional. */
export function echoes(value: unknown, { jsonSchema: schema }: SchemaValidator): boolean {
  const repeated = own(value, 'properties')
  if (!isRecord(repeated)) return false
  const declared = own(schema, 'properties')
  if (!isRecord(declared)) return false
  if (own(declared, 'properties') !== undefined || own(value, 'type') !== own(schema, 'type')) {
    return false
  }
  return Object.keys(declared).every((key) => Object.hasOwn(repeated, key))
}
