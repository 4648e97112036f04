import { readdirSync, readFileSync } from 'node:fs'

/** One answer of a model, and what has to come of it: see test/fixtures/outputs/README.md. */
export interface Case {
  /** The file's subject and the case's own name. */
  readonly name: string
  readonly schema: object
  readonly text: string
  readonly finishReason?: string
  readonly expect: { readonly value: unknown } | { readonly refused: true }
  readonly why: string
}

const DIRECTORY = new URL('../../test/fixtures/outputs/', import.meta.url)
const SHARED = 'schemas.json'

/** All cases, in the order of their files. */
export function readCases(): readonly Case[] {
  const schemas: Record<string, object> = read(SHARED)
  return readdirSync(DIRECTORY)
    .filter((file) => file.endsWith('.json') && file !== SHARED)
    .flatMap((file) => {
      const cases: (Case & { readonly schema: unknown })[] = read(file)
      const subject = file.replace('.json', '')
      return cases.map((one) => ({
        ...one,
        name: `${subject}: ${one.name}`,
        schema: typeof one.schema === 'string' ? named(schemas, one.schema) : one.schema,
      }))
    })
}

function read<T>(file: string): T {
  return JSON.parse(readFileSync(new URL(file, DIRECTORY), 'utf8')) as T
}

function named(schemas: Record<string, object>, name: string): object {
  const schema = schemas[name]
  if (schema === undefined) throw new RangeError(`schemas.json has no '${name}'`)
  return schema
}
