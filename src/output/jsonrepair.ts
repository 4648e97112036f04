import { jsonrepair } from 'jsonrepair'
import { type EscapedContent, looseEscapes } from './escapes.ts'
import type { RepairRule } from './repair-rules.ts'
import { insideOf, type Token } from './scan.ts'
import { atOnce, type Work } from './work.ts'

/** Valid JSON and the rules that produced it, or why none could be produced. */
export type SyntaxRepair =
  | { readonly ok: true; readonly text: string; readonly rules: readonly RepairRule[] }
  | { readonly ok: false; readonly message: string }

/** JSON's literals, and their Python spellings. */
export const KEYWORDS: ReadonlyMap<string, string> = new Map([
  ['true', 'true'],
  ['false', 'false'],
  ['null', 'null'],
  ['True', 'true'],
  ['False', 'false'],
  ['None', 'null'],
])

// On hostile text, jsonrepair's time grows with the length times the square of the number of quotes
// (version 3.15.0: 29 s for 16 KiB of unclosed strings). These limits keep it below about 40 ms.
const MAX_JSONREPAIR_CHARS = 32_768
const MAX_JSONREPAIR_WORK = 2e8

function affordable(text: string): boolean {
  if (text.length > MAX_JSONREPAIR_CHARS) return false
  const quotes = text.match(/["'`\u2018\u2019\u201c\u201d]/g)?.length ?? 0
  return quotes ** 2 * text.length <= MAX_JSONREPAIR_WORK
}

/** Repairs with jsonrepair; refuses a result that does not keep all content of the text. */
export function withJsonrepair(text: string, tokens: readonly Token[], work: Work): SyntaxRepair {
  const refused = {
    ok: false,
    message: 'expected JSON, and its syntax has no single repair',
  } as const
  if (!affordable(text)) return refused
  if (tokens.some(({ start, end }) => NOT_JSON.has(text.slice(start, end)))) return refused
  if (hasQuotesInList(text, tokens)) return refused
  let backslash = false
  const prepared = tokens.map((token) => {
    const { json, keptBackslash } = preparedFor(text, token, work)
    backslash ||= keptBackslash
    return json
  })
  const before = prepared.join('')
  const after = tryJsonrepair(before)
  if (after === undefined || contentOf(after) !== contentOf(before)) return refused
  return {
    ok: true,
    text: after,
    rules: backslash ? ['guess-quotes', 'keep-backslash'] : ['guess-quotes'],
  }
}

// jsonrepair would turn these into strings or null.
const NOT_JSON: ReadonlySet<string> = new Set(['NaN', 'Infinity', '-Infinity', 'undefined'])

/**
 * Whether an array element contains unescaped quotes: ["say "yes", "no""]. In an object the next key
 * shows where a string ends; in an array nothing does.
 */
function hasQuotesInList(text: string, tokens: readonly Token[]): boolean {
  const open: string[] = []
  let before: Token['kind'] = 'punctuation'
  for (const { kind, start, end } of tokens) {
    if (kind === 'space' || kind === 'comment') continue
    const isTorn = kind !== 'punctuation' && before !== 'punctuation'
    if (isTorn && open.at(-1) === '[' && (kind === 'string' || before === 'string')) return true
    const mark = text.slice(start, end)
    if (mark === '{' || mark === '[') open.push(mark)
    else if (mark === '}' || mark === ']') open.pop()
    before = kind
  }
  return false
}

/** Removes comments, translates Python's literals, and protects escapes that jsonrepair would undo. */
function preparedFor(text: string, { kind, start, end }: Token, work: Work): EscapedContent {
  const raw = text.slice(start, end)
  if (kind === 'comment') return { json: ' ', keptBackslash: false }
  if (kind === 'string') {
    const { json, keptBackslash } = atOnce(looseEscapes(insideOf(raw), work))
    return { json: `"${json}"`, keptBackslash }
  }
  if (kind === 'word' && raw.includes('\\')) return atOnce(looseEscapes(raw, work))
  return { json: KEYWORDS.get(raw) ?? raw, keptBackslash: false }
}

function tryJsonrepair(text: string): string | undefined {
  try {
    return jsonrepair(text)
  } catch {
    return undefined
  }
}

/** The text without separators, quotes and white space; a repair that loses nothing leaves it unchanged. */
function contentOf(text: string): string {
  return text
    .replace(ESCAPE, (found) => ESCAPED_CONTENT.get(found) ?? found)
    .replace(NO_CONTENT, '')
}

const ESCAPED_CONTENT: ReadonlyMap<string, string> = new Map([
  ['\\"', ''],
  ["\\'", ''],
  ['\\/', '/'],
  ['\\b', ''],
  ['\\f', ''],
  ['\\n', ''],
  ['\\r', ''],
  ['\\t', ''],
])
const ESCAPE = /\\[\s\S]/g
const NO_CONTENT = /[\s\p{Cc}\u200b-\u200d\u2060,:"'`\u2018\u2019\u201c\u201d]/gu
