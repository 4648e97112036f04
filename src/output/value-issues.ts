import type { OutputIssue } from '../errors/call-error.ts'
import { MAX_ISSUES } from './issues.ts'
import { isRecord, largeIntegerPaths, own } from './json-value.ts'
import type { SchemaValidator } from './schema.ts'

/**
 * What is wrong with a parsed value: what the schema says, and what it cannot see, integers that a
 * number has rounded (looked for only where `mayBeLarge`) and a schema given back as its answer.
 */
export function issuesWith(
  value: unknown,
  mayBeLarge: boolean,
  validator: SchemaValidator | undefined,
): readonly OutputIssue[] {
  const issues = validator?.validate(value) ?? []
  const large = mayBeLarge ? largeIntegerPaths(value).slice(0, MAX_ISSUES) : []
  if (large.length > 0) {
    const elsewhere = issues.filter(({ path }) => !large.includes(path))
    return [...large.map((path) => ({ path, message: TOO_LARGE })), ...elsewhere].slice(
      0,
      MAX_ISSUES,
    )
  }
  if (issues.length > 0 || validator === undefined) return issues
  return echoes(value, validator.jsonSchema) ? [{ path: '', message: ECHO }] : []
}

const TOO_LARGE = 'integer too large to keep exactly; expected it as a string, or smaller'
const ECHO = 'expected data that follows the schema, got the schema'

/** JSON that repeats the schema is no data, also where every property is optional. */
function echoes(value: unknown, schema: object): boolean {
  const repeated = own(value, 'properties')
  if (!isRecord(repeated)) return false
  const declared = own(schema, 'properties')
  if (!isRecord(declared)) return false
  if (own(declared, 'properties') !== undefined || own(value, 'type') !== own(schema, 'type')) {
    return false
  }
  return Object.keys(declared).every((key) => Object.hasOwn(repeated, key))
}
