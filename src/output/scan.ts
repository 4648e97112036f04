/** A piece of a text that resembles JSON. */
export interface Token {
  readonly kind: 'space' | 'comment' | 'punctuation' | 'string' | 'word'
  readonly start: number
  readonly end: number
  /** False for a string or a comment that the text cuts off. */
  readonly closed: boolean
}

/**
 * The token at `start`, read leniently: comments, other quotes and bare words are accepted.
 * `valueMayStart` is true after an opening bracket, a comma or a colon, the only places where an apostrophe
 * opens a string. Reading a whole text token by token takes linear time.
 */
export function tokenAt(text: string, start: number, valueMayStart: boolean): Token {
  const first = text[start] ?? ''
  if (PUNCTUATION.includes(first)) return token('punctuation', start, start + 1)
  const space = matchAt(SPACE, text, start)
  if (space > start) return token('space', start, space)
  if (valueMayStart) {
    const end = tripleEnd(text, start)
    if (end !== undefined) return token('string', start, end)
  }
  if (first === '"') return stringToken(text, start, '"')
  const sign = matchAt(SIGN, text, start)
  if (sign > start) return token('word', start, sign)
  if (first === '/' || first === '#') {
    const comment = commentAt(text, start)
    if (comment !== undefined) return comment
  }
  const closer = valueMayStart && !text.startsWith('```', start) ? CLOSERS[first] : undefined
  if (closer !== undefined) return stringToken(text, start, closer)
  return token('word', start, Math.max(matchAt(WORD, text, start), start + 1))
}

/** `valueMayStart` for the token after this one. */
export function valueMayFollow(
  text: string,
  at: number,
  kind: Token['kind'],
  before: boolean,
): boolean {
  if (kind === 'space' || kind === 'comment') return before
  if (kind === 'word') return matchAt(SIGN, text, at) > at
  return kind === 'punctuation' && !'}]'.includes(text.charAt(at))
}

/** What other languages use in place of a colon or a comma. */
const SIGN = /=>?|;/y

/**
 * The end of a string in Python's triple quotes: the first three quotes that are followed by what may
 * follow a value. Undefined if no such string starts here.
 */
function tripleEnd(text: string, start: number): number | undefined {
  const quotes = text.slice(start, start + 3)
  if (quotes !== '"""' && quotes !== "'''") return undefined
  const end = text.indexOf(quotes, start + 3)
  if (end < 0 || !endsValue(text, end + 3)) return undefined
  // Unescaped quotes can also come in threes; then JSON structure lies between them.
  return STRUCTURE.test(text.slice(start + 2, end + 1)) ? undefined : end + 3
}

const STRUCTURE = /["']\s*[,:}\]]|[{,:[]\s*["']/

/** The content of a string token, without its quotes. */
export function insideOf(literal: string): string {
  const isTriple = literal.length >= 6 && /^(?:"""|''')/.test(literal)
  return isTriple ? literal.slice(3, -3) : literal.slice(1, -1)
}

const PUNCTUATION = '{}[],:'

/** White space, and invisible characters that editors may insert. */
const SPACE = /[\s\u200b-\u200d\u2060]+/y
const WORD = /(?:[^\s\u200b-\u200d\u2060{}[\],:;"/]|\/(?![/*]))+/y

/** The closing quote for each opening quote other than a double quote. */
const CLOSERS: Readonly<Record<string, string>> = {
  "'": "'",
  '`': '`',
  '\u2018': '\u2019',
  '\u201c': '\u201d',
}

function token(kind: Token['kind'], start: number, end: number, closed = true): Token {
  return { kind, start, end, closed }
}

function stringToken(text: string, start: number, closer: string): Token {
  for (let at = start + 1; at < text.length; at++) {
    const character = text[at]
    if (character === '\\') at++
    else if (character === closer && (closer === '"' || endsValue(text, at + 1))) {
      return token('string', start, at + 1)
    }
  }
  return token('string', start, text.length, false)
}

// The apostrophe inside 'it's' does not end the string; one before a comma or a bracket does.
function endsValue(text: string, at: number): boolean {
  const next = text[matchAt(SPACE, text, at)]
  return next === undefined || ',:]}'.includes(next)
}

function commentAt(text: string, start: number): Token | undefined {
  if (text.startsWith('/*', start)) {
    const end = text.indexOf('*/', start + 2)
    return end < 0 ? token('comment', start, text.length, false) : token('comment', start, end + 2)
  }
  if (!text.startsWith('//', start) && text[start] !== '#') return undefined
  const end = text.indexOf('\n', start)
  return token('comment', start, end < 0 ? text.length : end)
}

/** The end of a sticky pattern's match at `at`; `at` itself if it does not match. */
export function matchAt(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : at
}
