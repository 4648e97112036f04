import { membersOf, type SchemaPart } from './schema-part.ts'

/** How a text is compared with the allowed ones. */
export type Fold = (text: string) => string

/** The only allowed string that equals the value after `fold`. */
export function onlyMember(schema: SchemaPart, value: unknown, fold: Fold): string | undefined {
  if (typeof value !== 'string') return undefined
  const only = foldedMembers(schema, fold).get(fold(value))
  return only === value ? undefined : only
}

/** Members by their folded form; undefined where several have the same one. Cached per schema part. */
function foldedMembers(schema: SchemaPart, fold: Fold): ReadonlyMap<string, string | undefined> {
  const byFold = foldedBy.get(schema) ?? new Map<Fold, Map<string, string | undefined>>()
  foldedBy.set(schema, byFold)
  const known = byFold.get(fold)
  if (known !== undefined) return known
  const folded = new Map<string, string | undefined>()
  for (const member of new Set(membersOf(schema))) {
    if (typeof member !== 'string') continue
    const name = fold(member)
    folded.set(name, folded.has(name) ? undefined : member)
  }
  byFold.set(fold, folded)
  return folded
}

const foldedBy = new WeakMap<object, Map<Fold, Map<string, string | undefined>>>()

export function trimmedLowercase(text: string): string {
  return text.trim().toLowerCase()
}

/** A name without the differences between naming conventions. */
export function lettersOf(name: string): string {
  return name.toLowerCase().replace(/[\s_-]/g, '')
}

/**
 * The only allowed string in a text that has no other words than those `around` and a few that say nothing.
 * A text of other words may deny the member that it names.
 */
export function memberAmong(
  schema: SchemaPart,
  value: string,
  around: readonly string[],
): string | undefined {
  if (value.length > MAX_CHARS) return undefined
  const words = wordsIn(value)
  if (words.length > MAX_WORDS) return undefined
  const members = foldedMembers(schema, spacedWords)
  const idle = new Set([...IDLE, ...around.map((word) => word.toLowerCase())])
  const found = new Set<string | undefined>()
  for (const [start, end] of runsOf(words.length)) {
    const run = words.slice(start, end).join(' ')
    const rest = words.toSpliced(start, end - start)
    const saysMore = rest.some((word) => !idle.has(word) || members.has(word))
    if (members.has(run) && !saysMore) found.add(members.get(run))
  }
  const [only, ...others] = found
  return others.length === 0 && only !== value ? only : undefined
}

const MAX_WORDS = 20

/** Start and end of each run of words. */
function* runsOf(count: number): Generator<readonly [start: number, end: number]> {
  for (let start = 0; start < count; start += 1) {
    for (let end = start + 1; end <= count; end += 1) yield [start, end]
  }
}

const MAX_CHARS = 200

/** Words that an answer puts around a member without saying more. */
const IDLE: ReadonlySet<string> = new Set([
  ...['a', 'an', 'the', 'is', 'it', 'its', 'it’s', "it's", 'this', 'answer', 'category', 'choice'],
  ...['class', 'kind', 'label', 'level', 'option', 'priority', 'rating', 'sentiment', 'severity'],
  ...['status', 'type', 'value'],
])

const spacedWords: Fold = (text) => wordsIn(text).join(' ')

function wordsIn(text: string): readonly string[] {
  return text
    .toLowerCase()
    .split(/[\s.,;:!?"“”'‘’`*_()[\]{}<>/-]+/)
    .filter((word) => word !== '')
}
