/** A text cut at the JSON object or array inside it. */
interface SplitText {
  readonly before: string
  readonly value: unknown
  readonly after: string
}

// A relay quotes an error of a few kilobytes; what is longer is no error body.
const MAX_JSON_LENGTH = 256 * 1024

// An object, or an array of objects: '[1]' and '{model}' are prose.
const START = /\{\s*"|\[\s*\{\s*"/

/**
 * Finds the first JSON object or array in a text, behind a prefix such as
 * `litellm.RateLimitError: OpenAIException - ` and before whatever follows. Undefined where there
 * is none that parses. Linear: one search for its start, one scan for its end.
 */
export function splitAtJson(text: string): SplitText | undefined {
  const whole = parseObject(text)
  if (whole !== undefined) return { before: '', value: whole, after: '' }
  const capped = text.slice(0, MAX_JSON_LENGTH)
  const start = capped.search(START)
  if (start < 0) return undefined
  const end = endOfJson(capped, start)
  if (end === undefined) return undefined
  const value = parseObject(capped.slice(start, end))
  if (value === undefined) return undefined
  return { before: capped.slice(0, start), value, after: capped.slice(end) }
}

/** The object or array that this text is the JSON of, or undefined. */
export function parseObject(text: string): unknown {
  if (text.length > MAX_JSON_LENGTH || !/^\s*[[{]/.test(text)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

// A string, to its end or the text's, or a bracket outside strings.
const TOKEN = /"[^"\\]*(?:\\[\s\S][^"\\]*)*(?:"|\\?$)|[{}[\]]/g

/** Behind the bracket that closes the one at `start`; undefined when the text was cut. */
function endOfJson(text: string, start: number): number | undefined {
  let depth = 0
  for (const { 0: token, index } of text.slice(start).matchAll(TOKEN)) {
    if (token === '{' || token === '[') depth++
    else if (token === '}' || token === ']') depth--
    if (depth === 0) return start + index + 1
  }
  return undefined
}
