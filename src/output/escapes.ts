import type { Resting, Work } from './work.ts'

/** The inside of a string literal, written as JSON has it. */
export interface EscapedContent {
  /** Without its quotes. */
  readonly json: string
  /** A backslash was kept that JSON would not allow there. */
  readonly keptBackslash: boolean
}

/**
 * Escapes what a model left bare inside a string: quotes, line breaks, and backslashes of LaTeX,
 * regular expressions and Windows paths. An escape JSON does not have keeps its backslash, but for
 * an escaped apostrophe, which Python and JavaScript write.
 *
 * Where a string has such an escape its author did not escape backslashes, so `\b` and `\f`,
 * control characters that no answer means, are backslashes too, and so are `\n`, `\r` and `\t` that
 * begin a LaTeX command or stand in a Windows path. `\frac`, `\beta` and their like need no such
 * company.
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

// The LaTeX commands in common use that begin with what JSON takes for an escape.
const LATEX_BF =
  /^\\(?:backslash|bar|beta|begin|bf|big|bigcap|bigcup|binom|bmod|boldsymbol|bot|boxed|bullet|fbox|flat|forall|frac|frown)(?![A-Za-z])/
const LATEX_NRT =
  /^\\(?:nabla|natural|ne|nearrow|neg|neq|newline|ngeq|ni|nleq|nmid|not|notin|nu|nwarrow|rangle|rceil|rfloor|rho|right|rightarrow|rightharpoonup|rm|tan|tanh|tau|tbinom|text|textbf|textit|textrm|tfrac|therefore|theta|tilde|times|to|top|triangle|triangleleft|triangleq|triangleright)(?![A-Za-z])/
