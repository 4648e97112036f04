import type { Ajv } from 'ajv'
import type { CodeGeneration } from './ajv-steps.ts'
import { isEqual } from './equal.ts'
import { isRecord } from './json-value.ts'

/** Of so many members AJV's code compares a value with each, unless one of them is an object or a list. */
export const MAX_INLINE_MEMBERS = 200

/**
 * `enum` in a time that does not grow with the number of members, where AJV would compare a value with
 * each of them by a function: objects and lists, and long lists of anything.
 */
export function addEnum(ajv: Ajv, { _ }: CodeGeneration): void {
  const known = ajv.getKeyword('enum')
  if (typeof known !== 'object' || !('code' in known)) throw new TypeError('AJV has no enum')
  ajv.removeKeyword('enum')
  ajv.addKeyword({
    ...known,
    // In its old place: the order of keywords is that of errors.
    before: 'not',
    code(context, ruleType) {
      const members: unknown = context.schema
      const isInline = !Array.isArray(members) || isShort(members)
      if (isInline) return known.code(context, ruleType)
      const accepts = context.gen.scopeValue('func', { ref: membership(members) })
      context.pass(_`${accepts}(${context.data})`)
    },
  })
}

function isShort(members: readonly unknown[]): boolean {
  return members.length <= MAX_INLINE_MEMBERS && members.every(isScalar)
}

/** Is a value one of these? Compared with those members only whose first level is the same. */
export function membership(members: readonly unknown[]): (value: unknown) => boolean {
  const scalars = new Set(members.filter(isScalar))
  const others = new Map<string, unknown[]>()
  let mostNames = 0
  for (const member of members) {
    if (isScalar(member)) continue
    const alike = others.get(firstLevelOf(member))
    if (alike === undefined) others.set(firstLevelOf(member), [member])
    else alike.push(member)
    mostNames = Math.max(mostNames, sizeOf(member))
  }
  return (value) => {
    if (isScalar(value)) return scalars.has(value)
    if (sizeOf(value) > mostNames) return false
    return others.get(firstLevelOf(value))?.some((member) => isEqual(member, value)) === true
  }
}

function isScalar(value: unknown): boolean {
  return typeof value !== 'object' || value === null
}

function sizeOf(value: unknown): number {
  return Array.isArray(value) ? value.length : Object.keys(Object(value)).length
}

/** The same for equal values. What is nested deeper is not looked at, and would be again at its own place. */
function firstLevelOf(value: unknown): string {
  if (Array.isArray(value)) return JSON.stringify(value.map(scalarOf))
  if (!isRecord(value)) return ''
  const names = Object.keys(value).sort()
  return JSON.stringify([names, names.map((name) => scalarOf(value[name]))])
}

/** -0 is 0, and is written so. */
function scalarOf(value: unknown): unknown {
  return isScalar(value) ? value : {}
}
