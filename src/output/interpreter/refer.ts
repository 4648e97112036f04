import type { Check, DynamicScope, Schema } from './checks.ts'
import type { Compiler, KeywordArguments } from './keyword.ts'
import type { Located } from './references.ts'

/** `$ref`: applies the schema it names. */
export function ref(...[holds, schema, compiler]: KeywordArguments): Check {
  const { schema: target, base } = targetOf('$ref', holds, schema, compiler)
  return compiler.checkIn(target, base)
}

/**
 * `$dynamicRef` of 2020-12: like `$ref`, unless a schema in the current scope has a dynamic anchor of the
 * same name; then the outermost of these applies.
 */
export function dynamicRef(...[holds, schema, compiler]: KeywordArguments): Check {
  const target = targetOf('$dynamicRef', holds, schema, compiler)
  const name = compiler.references.dynamicName(baseOf(schema, compiler), String(holds))
  const plain = compiler.checkIn(target.schema, target.base)
  if (name === undefined) return plain
  return outermost(compiler, plain, ({ address }) =>
    compiler.references.dynamicAnchor(address, name),
  )
}

/** `$recursiveRef` of 2019-09: its own schema, or the outermost one if both set `$recursiveAnchor`. */
export function recursiveRef(...[holds, schema, compiler]: KeywordArguments): Check {
  const target = targetOf('$recursiveRef', holds, schema, compiler)
  const plain = compiler.checkIn(target.schema, target.base)
  const recurs = (found: Located | undefined) =>
    Reflect.get(Object(found?.schema), '$recursiveAnchor') === true ? found : undefined
  if (recurs(target) === undefined) return plain
  return outermost(compiler, plain, ({ address }) => recurs(compiler.references.resource(address)))
}

function baseOf(schema: Schema, { references }: Compiler): string {
  return references.baseOf(schema, references.root.base)
}

function targetOf(keyword: string, holds: unknown, schema: Schema, compiler: Compiler): Located {
  if (typeof holds !== 'string') throw new TypeError(`${keyword} value must be ["string"]`)
  return compiler.references.resolve({ base: baseOf(schema, compiler), ref: holds })
}

function outermost(
  compiler: Compiler,
  plain: Check,
  find: (scope: DynamicScope) => Located | undefined,
): Check {
  return (place, run, evaluated) => {
    let found: Located | undefined
    for (let scope = run.scope; scope !== undefined; scope = scope.outer)
      found = find(scope) ?? found
    const check = found === undefined ? plain : compiler.checkIn(found.schema, found.base)
    return check(place, run, evaluated)
  }
}
