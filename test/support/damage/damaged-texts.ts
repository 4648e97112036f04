import { type FaultName, GOALS } from '../../../bench/output/goals.ts'
import { type Document, randomDocument, SCHEMA_KINDS, type SchemaKind } from './documents.ts'
import { allInnerQuotesRaw, cut, FAULTS, type Fault } from './faults.ts'
import { type Random, seeded } from './random.ts'
import { STYLES, type WrittenStyle } from './styles.ts'
import { asText, randomLayout, type Token, write } from './writing.ts'

/** A JSON value written down with one fault or two, or in a style that is not JSON. */
export interface DamagedText {
  readonly text: string
  readonly original: unknown
  readonly schema: object | undefined
  readonly schemaKind: SchemaKind
  readonly faults: readonly FaultName[]
}

/** All faults and styles, each by the name that the goals have for it. */
export const FAULT_NAMES = Object.keys(GOALS.damage.readShareOf) as FaultName[]

/**
 * The text of this seed with this fault. The same arguments give the same text. Never one that is
 * JSON after all: a fault that falls into content makes another value, and no damage.
 */
export function damagedText(name: FaultName, seed: number): DamagedText {
  // Another document for each fault, too.
  return firstOf(seed * 64 + FAULT_NAMES.indexOf(name), (random, document) => {
    const text = single(name, random, document.value)
    return text === undefined ? undefined : { text, faults: [name] }
  })
}

/** The text of this seed with two faults, far from each other; one of them may be a style. */
export function doublyDamagedText(seed: number): DamagedText {
  return firstOf(seed * 64 + FAULT_NAMES.length, (random, document) => {
    const [first, second] = pairOf(random)
    const text = both(first, second, random, document.value)
    return text === undefined ? undefined : { text, faults: [first, second] }
  })
}

const faults: Partial<Record<FaultName, Fault>> = FAULTS
const styles: Partial<Record<FaultName, WrittenStyle>> = STYLES
/** With these a fault still is one. With single quotes some would have another meaning. */
const STYLES_OF_PAIRS = [
  'trailing commas',
  'comments',
  'bare keys',
  'fence',
  'prose',
  'Python literals',
] as const
const PAIRED = Object.keys(FAULTS) as FaultName[]
/** So many tokens lie between two faults. */
const APART = 8
const MAX_TRIES = 2_000

type Draft = Pick<DamagedText, 'text' | 'faults'>

function firstOf(
  seed: number,
  draft: (random: Random, document: Document) => Draft | undefined,
): DamagedText {
  const random = seeded(seed)
  const schemaKind = random.pick(SCHEMA_KINDS)
  for (let attempt = 0; attempt < MAX_TRIES; attempt += 1) {
    const document = randomDocument(random, schemaKind)
    const found = draft(random, document)
    if (found !== undefined && !isJson(found.text)) {
      return { ...found, original: document.value, schema: document.schema, schemaKind }
    }
  }
  throw new RangeError(`seed ${seed}: no such damage in ${MAX_TRIES} documents`)
}

function single(name: FaultName, random: Random, value: unknown): string | undefined {
  const style = styles[name]
  if (style !== undefined) {
    const tokens = style(value, random)
    return tokens && asText(tokens)
  }
  const tokens = write(value, randomLayout(random))
  if (name === 'cut anywhere') return cut(tokens, random)
  if (name === 'inner quotes of all strings raw') {
    const damaged = allInnerQuotesRaw(tokens)
    return damaged && asText(damaged)
  }
  const damaged = faults[name]?.(tokens, random, () => true)
  return damaged && asText(damaged.tokens)
}

function pairOf(random: Random): readonly [FaultName, FaultName] {
  const second = random.pick(PAIRED)
  if (random.chance(0.3)) return [random.pick(STYLES_OF_PAIRS), second]
  return [random.pick(PAIRED), second]
}

function both(
  first: FaultName,
  second: FaultName,
  random: Random,
  value: unknown,
): string | undefined {
  const tokens = styles[first]?.(value, random)
  if (tokens !== undefined) return withFault(second, tokens, random, () => true)
  const damaged = faults[first]?.(write(value, randomLayout(random)), random, () => true)
  if (damaged === undefined) return undefined
  return withFault(second, damaged.tokens, random, (at) => Math.abs(at - damaged.at) > APART)
}

function withFault(
  name: FaultName,
  tokens: readonly Token[],
  random: Random,
  far: (index: number) => boolean,
): string | undefined {
  const damaged = faults[name]?.(tokens, random, far)
  return damaged && asText(damaged.tokens)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
