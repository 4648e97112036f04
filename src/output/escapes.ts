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
 * Where a string has such an escape its author did not escape backslashes, so the control
 * characters `\b` and `\f`, which no answer means, are backslashes too, and so are `\n`, `\r` and
 * `\t` that begin a LaTeX command or stand in a Windows path.
 */
export function looseEscapes(content: string): EscapedContent {
  const keptBackslash = [...content.matchAll(ESCAPE)].some(([found]) => isUnknown(found))
  const isPath = /^[A-Za-z]:\\/.test(content)
  const json = content.replace(PIECE, (piece: string, at: number) => {
    if (!piece.startsWith('\\')) return bare(piece)
    if (piece === "\\'") return "'"
    if (isUnknown(piece)) return `\\\\${bare(piece.slice(1))}`
    const literal =
      keptBackslash && isLiteral(piece, content.slice(at, at + LONGEST_COMMAND), isPath)
    return literal ? `\\${piece}` : piece
  })
  return { json, keptBackslash }
}

const ESCAPE = /\\(?:u[0-9a-fA-F]{4}|[\s\S])?/g
const PIECE = /\\(?:u[0-9a-fA-F]{4}|[\s\S])?|"|\p{Cc}/gu
const KNOWN = /^\\(?:["'\\/bfnrt]|u[0-9a-fA-F]{4})$/

function isUnknown(sequence: string): boolean {
  return !KNOWN.test(sequence)
}

function bare(character: string): string {
  return character === '' ? '' : JSON.stringify(character).slice(1, -1)
}

function isLiteral(sequence: string, following: string, isPath: boolean): boolean {
  if (sequence === '\\b' || sequence === '\\f') return true
  if (sequence !== '\\n' && sequence !== '\\r' && sequence !== '\\t') return false
  return isPath || LATEX.test(following)
}

const LONGEST_COMMAND = 24

// The LaTeX commands in common use that begin with n, r or t.
const LATEX =
  /^\\(?:nabla|natural|nearrow|neg|neq|ne|newline|ngeq|ni|nleq|nmid|not|notin|nu|nwarrow|qquad|rangle|rceil|Re|rfloor|rho|rightarrow|right|rightharpoonup|rm|tan|tanh|tau|tbinom|textbf|textit|textrm|text|tfrac|therefore|theta|tilde|times|top|to|triangle|triangleq|triangleleft|triangleright)(?![A-Za-z])/
