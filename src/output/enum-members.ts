import type { Ajv } from 'ajv'
import { isEqual, isRecord } from './json-value.ts'
import type { CodeGeneration } from './load-ajv.ts'

/** Up to this many scalar members, AJV compares a value with each of them in generated code. */
export const MAX_INLINE_MEMBERS = 200

/**
 * Replaces AJV's `enum` in cases where AJV would call a comparison function for every member: members that
 * are objects or arrays, and long lists. Takes the same time for any number of members.
 */
export function addEnum(ajv: Ajv, { _ }: CodeGeneration): void {
  const known = ajv.getKeyword('enum')
  if (typeof known !== 'object' || !('code' in known)) throw new TypeError('AJV has no enum')
  ajv.removeKeyword('enum')
  ajv.addKeyword({
    ...known,
    // Keeps the keyword's old position, because the order of keywords determines the order of errors.
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

/** Tests whether a value equals a member. Compares objects only with members whose first level is the same. */
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

/** Equal for equal values. Deeper levels are left out, so that nested values are not serialized repeatedly. */
function firstLevelOf(value: unknown): string {
  if (Array.isArray(value)) return JSON.stringify(value.map(scalarOf))
  if (!isRecord(value)) return ''
  const names = Object.keys(value).sort()
  return JSON.stringify([names, names.map((name) => scalarOf(value[name]))])
}

/** Treats all objects alike. JSON writes -0 as 0, which is also the right comparison. */
function scalarOf(value: unknown): unknown {
  return isScalar(value) ? value : {}
}
