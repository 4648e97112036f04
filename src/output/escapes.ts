import type { Resting, Work } from './work.ts'

/** The content of a string literal as valid JSON. */
export interface EscapedContent {
  /** Without the quotes. */
  readonly json: string
  /** Whether a backslash was kept that JSON does not allow in that place. */
  readonly keptBackslash: boolean
}

/**
 * Escapes what a model failed to escape in a string: quotes, line breaks, and the backslashes of LaTeX,
 * regular expressions and Windows paths. An escape that JSON does not know keeps its backslash, except an
 * escaped apostrophe, which is valid in Python and JavaScript.
 *
 * A string with an unknown escape was written without escaping backslashes. In such a string, `\b` and
 * `\f` (control characters that answers never contain) are read as a backslash and a letter, and so are
 * `\n`, `\r` and `\t` at the start of a LaTeX command or in a Windows path. Commands such as `\frac` and
 * `\beta` are recognised in any string.
 */
export function* looseEscapes(content: string, work: Work): Resting<EscapedContent> {
  if (!SPECIAL.test(content)) return { json: content, keptBackslash: false }
  const isRaw = yield* hasUnknown(content, work)
  const isPath = isRaw && /^[A-Za-z]:\\/.test(content)
  let keptBackslash = isRaw
  const written: string[] = []
  let end = 0
  for (const { 0: piece, index } of content.matchAll(PIECE)) {
    const following = content.slice(index, index + LONGEST_COMMAND)
    const isKept = isLiteral(piece, following, isRaw, isPath)
    keptBackslash ||= isKept
    written.push(content.slice(end, index), isKept ? `\\${piece}` : asJson(piece))
    end = index + piece.length
    if (work.did(1)) yield
  }
  written.push(content.slice(end))
  return { json: written.join(''), keptBackslash }
}

function* hasUnknown(content: string, work: Work): Resting<boolean> {
  for (const [found] of content.matchAll(ESCAPE)) {
    if (isUnknown(found)) return true
    if (work.did(1)) yield
  }
  return false
}

function asJson(piece: string): string {
  if (!piece.startsWith('\\')) return bare(piece)
  if (piece === "\\'") return "'"
  return isUnknown(piece) ? `\\\\${bare(piece.slice(1))}` : piece
}

const SPECIAL = /[\\"\p{Cc}]/u
const ESCAPE = /\\(?:u[0-9a-fA-F]{4}|[\s\S])?/g
const PIECE = /\\(?:u[0-9a-fA-F]{4}|[\s\S])?|"|\p{Cc}/gu
const KNOWN = /^\\(?:["'\\/bfnrt]|u[0-9a-fA-F]{4})$/

function isUnknown(sequence: string): boolean {
  return !KNOWN.test(sequence)
}

function bare(character: string): string {
  return character === '' ? '' : JSON.stringify(character).slice(1, -1)
}

function isLiteral(sequence: string, following: string, isRaw: boolean, isPath: boolean): boolean {
  if (sequence === '\\b' || sequence === '\\f') return isRaw || LATEX_BF.test(following)
  if (sequence !== '\\n' && sequence !== '\\r' && sequence !== '\\t') return false
  return isPath || (isRaw && LATEX_NRT.test(following))
}

const LONGEST_COMMAND = 24

// Common LaTeX commands whose first letters look like a JSON escape.
const LATEX_BF =
  /^\\(?:backslash|bar|beta|begin|bf|big|bigcap|bigcup|binom|bmod|boldsymbol|bot|boxed|bullet|fbox|flat|forall|frac|frown)(?![A-Za-z])/
const LATEX_NRT =
  /^\\(?:nabla|natural|ne|nearrow|neg|neq|newline|ngeq|ni|nleq|nmid|not|notin|nu|nwarrow|rangle|rceil|rfloor|rho|right|rightarrow|rightharpoonup|rm|tan|tanh|tau|tbinom|text|textbf|textit|textrm|tfrac|therefore|theta|tilde|times|to|top|triangle|triangleleft|triangleq|triangleright)(?![A-Za-z])/

/**
 * JSON that was escaped once too often, without quotes around it: `{\"a\":1}`. Undefined if the text is no
 * such JSON: each of its quotes has to be escaped.
 */
export function unescapedJson(text: string): string | undefined {
  const trimmed = text.trim()
  if (!/^[{[]\s*\\/.test(trimmed.slice(0, MAX_LOOK)) || BARE_QUOTE.test(trimmed)) return undefined
  if (!trimmed.includes('\\"')) return undefined
  // Inside a string, a quote has two or three backslashes.
  return trimmed.replace(ESCAPED, (found, escaped: string) => {
    if (found.endsWith('"')) return found.length > 2 ? '\\"' : '"'
    return WHITE_SPACE[escaped] ?? (escaped === '\\' ? '\\' : found)
  })
}

const MAX_LOOK = 200
const BARE_QUOTE = /(?:^|[^\\])"/
const ESCAPED = /\\{1,3}"|\\([\\ntr])/g
const WHITE_SPACE: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }

/**
 * JSON whose braces are all doubled, as a template needs them: `{{"a":1}}`. Undefined if the text is no such
 * JSON.
 */
export function undoubledJson(text: string): string | undefined {
  const trimmed = text.trim()
  if (!/^(?:\[\s*)?\{\{/.test(trimmed.slice(0, MAX_LOOK)) || !trimmed.includes('}}'))
    return undefined
  if (/[{}]/.test(trimmed.replace(DOUBLED, ''))) return undefined
  return trimmed.replace(DOUBLED, (braces) => braces.charAt(0))
}

const DOUBLED = /\{\{|\}\}/g

/** The end of a sticky pattern's match at `at`; `at` itself if it does not match. */
export function matchAt(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : at
}
