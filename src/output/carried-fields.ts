import { isRecord } from './json-value.ts'

/**
 * What an answer says beside its text and a provider may want to see again, together with the text:
 * its reasoning in whatever form, and the signatures of that. DeepSeek and Moonshot refuse an
 * assistant's turn without its `reasoning_content`
 * (https://api-docs.deepseek.com/guides/thinking_mode), OpenRouter continues from
 * `reasoning_details`, LiteLLM from `thinking_blocks`, Gemini from `extra_content`. `wanted` are
 * names that a refusal has asked for.
 */
export function carriedFields(
  message: unknown,
  wanted: ReadonlySet<string> = NOTHING_MORE,
): Readonly<Record<string, unknown>> {
  if (!isRecord(message)) return NONE
  const found = Object.entries(message).filter(
    ([name, value]) =>
      (CARRIED.test(name) || wanted.has(name)) && value !== null && value !== undefined,
  )
  return isShort(found) ? Object.fromEntries(found) : NONE
}

/** The parts of an answer's content that are not its text, such as blocks of thinking. */
export function carriedParts(message: unknown): readonly unknown[] {
  const content = isRecord(message) ? message['content'] : undefined
  if (!Array.isArray(content)) return []
  const parts = content.filter((part) => isRecord(part) && CARRIED.test(String(part['type'])))
  return isShort(parts) ? parts : []
}

const NONE: Readonly<Record<string, unknown>> = Object.freeze({})
const NOTHING_MORE: ReadonlySet<string> = new Set()

const CARRIED =
  /^(?:encrypted_|redacted_)?(?:reasoning|thinking|thought)|signature$|^(?:extra_content|provider_specific_fields)$/i

/** What is in the re-ask anyway, or belongs into no request. */
const NOT_CARRIED: ReadonlySet<string> = new Set([
  'role',
  'content',
  'refusal',
  'annotations',
  'audio',
  'tool_calls',
  'function_call',
])

// Longer reasoning than any model's. It is left out as a whole: cut, its signatures would not hold.
const MAX_CARRIED_CHARS = 1024 * 1024

function isShort(found: readonly unknown[]): boolean {
  if (found.length === 0) return true
  try {
    return JSON.stringify(found).length <= MAX_CARRIED_CHARS
  } catch {
    // Nested too deeply to be written: a client that parsed it itself.
    return false
  }
}

/** Does a refusal speak of one of the fields that were sent along? */
export function speaksOfCarried(refusal: string, message: unknown): boolean {
  const parts = carriedParts(message).map((part) => String(isRecord(part) ? part['type'] : ''))
  const names = [...Object.keys(carriedFields(message)), ...parts]
  return names.some((name) => name !== '' && refusal.includes(name))
}

/** The fields of the message that were not sent along and that a refusal speaks of. */
export function missedIn(refusal: string, message: unknown): readonly string[] {
  if (!isRecord(message)) return []
  return Object.keys(message).filter(
    (name) =>
      name !== '' && !CARRIED.test(name) && !NOT_CARRIED.has(name) && refusal.includes(name),
  )
}
