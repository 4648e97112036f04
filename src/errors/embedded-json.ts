/** A text split around the JSON object or array it contains. */
interface SplitText {
  readonly before: string
  readonly value: unknown
  readonly after: string
}

// Relays quote errors of a few kilobytes; anything longer is not an error body.
const MAX_JSON_LENGTH = 256 * 1024

// An object, or an array of objects; '[1]' and '{model}' occur in plain text.
const START = /\{\s*"|\[\s*\{\s*"/

/**
 * Finds the first JSON object or array in a text, after a prefix such as
 * `litellm.RateLimitError: OpenAIException - ` and before any trailing text. Undefined if none parses.
 * Runs in linear time: one search for the start, one scan for the end.
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

/** The object or array that this text encodes as JSON, or undefined. */
export function parseObject(text: string): unknown {
  if (text.length > MAX_JSON_LENGTH || !/^\s*[[{]/.test(text)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

// A string up to its closing quote or the end of the text, or a bracket outside strings.
const TOKEN = /"[^"\\]*(?:\\[\s\S][^"\\]*)*(?:"|\\?$)|[{}[\]]/g

/** The index after the bracket that closes the one at `start`; undefined if the text was cut. */
function endOfJson(text: string, start: number): number | undefined {
  let depth = 0
  for (const { 0: token, index } of text.slice(start).matchAll(TOKEN)) {
    if (token === '{' || token === '[') depth++
    else if (token === '}' || token === ']') depth--
    if (depth === 0) return start + index + 1
  }
  return undefined
}
