import { undoubledJson, unescapedJson } from './escapes.ts'
import { type Candidate, type Extraction, extract, wholeAsCandidate } from './extract.ts'
import { own } from './json-value.ts'
import type { Against } from './judged.ts'
import type { Resting } from './work.ts'

/** The pieces of the text that may be the answer; without any brackets, the text as a whole. */
export function* candidatesIn(
  text: string,
  { validator, work }: Pick<Against, 'validator' | 'work'>,
): Resting<Extraction> {
  const schema = validator?.jsonSchema
  const unescaped = unescapedJson(text) ?? undoubledJson(text)
  if (unescaped !== undefined) {
    const candidate = yield* wholeAsCandidate(unescaped, { schema, work })
    const candidates = [{ ...candidate, isRewritten: true }]
    return { candidates, rules: ['fix-syntax'], prose: '', alone: '', overflow: false }
  }
  const quoted = unquotedLines(text)
  if (quoted !== undefined) {
    const inside = yield* extract(quoted, { schema, work })
    const candidates = inside.candidates.map((one) => ({ ...one, isRewritten: true }))
    return { ...inside, candidates, rules: ['strip-prose', ...inside.rules] }
  }
  const trimmed = text.trim()
  if (trimmed.startsWith('(') && trimmed.endsWith(')')) {
    const tuple = yield* wholeAsCandidate(text.trimEnd(), { schema, work }, text.indexOf('('))
    if (tuple.outcome.kind === 'readings') {
      return { candidates: [tuple], rules: [], prose: '', alone: '', overflow: false }
    }
  }
  const found = yield* extract(text, { schema, work })
  if (found.candidates.length > 0) return found
  const lists = own(schema, 'type') === 'array'
  const again = lists ? yield* extract(text, { schema, work, lists }) : found
  if (again.candidates.length > 0 || /^[`~]*$/.test(again.alone)) return again
  const { alone } = again
  const start = text.indexOf(alone)
  // Invisible characters may have been dropped within it.
  const candidate: Candidate =
    start < 0
      ? { ...(yield* wholeAsCandidate(alone, { schema, work })), isRewritten: true }
      : yield* wholeAsCandidate(text.slice(0, start + alone.length), { schema, work }, start)
  return { ...again, candidates: [candidate] }
}

/** A text in which each line carries the mark of a Markdown quotation, without the marks. */
function unquotedLines(text: string): string | undefined {
  if (!text.startsWith('>')) return undefined
  const lines = text.trimEnd().split('\n')
  return lines.every((line) => line.startsWith('>'))
    ? lines.map((line) => line.slice(1)).join('\n')
    : undefined
}
