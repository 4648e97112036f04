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
