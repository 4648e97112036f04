import { readdirSync, readFileSync } from 'node:fs'

/** One answer of a model, and what has to come of it: see the README of the folder it is from. */
export interface Case {
  /** The file's subject and the case's own name. */
  readonly name: string
  readonly schema: object | undefined
  readonly text: string
  readonly finishReason?: string
  /** The repair level, if it is not 'safe'. */
  readonly level?: 'lenient'
  readonly expect: { readonly value: unknown } | { readonly refused: true }
  readonly why: string
}

const FIXTURES = new URL('../../test/fixtures/outputs/', import.meta.url)
const FURTHER = new URL('../../test/fixtures/outputs-further/', import.meta.url)
const SHARED = 'schemas.json'

/** Those of test/fixtures/outputs, in the order of their files. */
export function readCases(): readonly Case[] {
  const schemas = read<Record<string, object>>(new URL(SHARED, FIXTURES))
  return filesOf(FIXTURES).flatMap((file) => {
    const cases = read<(Case & { readonly schema: unknown })[]>(new URL(file, FIXTURES))
    const subject = file.replace('.json', '')
    return cases.map((one) => ({
      ...one,
      name: `${subject}: ${one.name}`,
      schema: typeof one.schema === 'string' ? named(schemas, one.schema) : one.schema,
    }))
  })
}

interface FurtherCase {
  readonly id: string
  readonly why: string
  readonly text: string
  readonly schema: object | null
  readonly expected: { readonly value: unknown } | 'refuse'
  readonly mode?: 'lenient'
}

/** Those of test/fixtures/outputs-further: of other parsers' suites, and of bug reports. */
export function readFurtherCases(): readonly Case[] {
  return filesOf(FURTHER).flatMap((file) =>
    read<FurtherCase[]>(new URL(file, FURTHER)).map(
      ({ id, why, text, schema, expected, mode }) => ({
        name: id,
        why,
        text,
        schema: schema ?? undefined,
        expect: expected === 'refuse' ? { refused: true } : expected,
        ...(mode === undefined ? {} : { level: mode }),
      }),
    ),
  )
}

/** A file from elsewhere. `expected` is the value itself, or `"refuse"`. */
export function readCaseFile(path: string): readonly Case[] {
  const cases = JSON.parse(readFileSync(path, 'utf8')) as {
    readonly id: string
    readonly text: string
    readonly schema?: object | null
    readonly expected: unknown
    readonly note?: string
  }[]
  return cases.map(({ id, text, schema, expected, note = '' }) => ({
    name: id,
    why: note,
    text,
    schema: schema ?? undefined,
    expect: expected === 'refuse' ? { refused: true } : { value: expected },
  }))
}

function filesOf(directory: URL): string[] {
  return readdirSync(directory).filter((file) => file.endsWith('.json') && file !== SHARED)
}

function read<T>(file: URL): T {
  return JSON.parse(readFileSync(file, 'utf8')) as T
}

function named(schemas: Record<string, object>, name: string): object {
  const schema = schemas[name]
  if (schema === undefined) throw new RangeError(`schemas.json has no '${name}'`)
  return schema
}
