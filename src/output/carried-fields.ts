import { isRecord } from './json-value.ts'

/**
 * Fields of an answer, besides its text, that the provider may require when the answer is sent back:
 * reasoning in any form, and its signatures. DeepSeek and Moonshot reject an assistant message without
 * its `reasoning_content` (https://api-docs.deepseek.com/guides/thinking_mode), OpenRouter continues from
 * `reasoning_details`, LiteLLM from `thinking_blocks`, Gemini from `extra_content`. `wanted` names
 * further fields, which an earlier refusal asked for.
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

/** Content parts of an answer that are not text, such as thinking blocks. */
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

/** Fields that the re-ask contains anyway, or that do not belong in a request. */
const NOT_CARRIED: ReadonlySet<string> = new Set([
  'role',
  'content',
  'refusal',
  'annotations',
  'audio',
  'tool_calls',
  'function_call',
])

// More than any model's reasoning. Longer reasoning is dropped entirely, because its signatures cover all of it.
const MAX_CARRIED_CHARS = 1024 * 1024

function isShort(found: readonly unknown[]): boolean {
  if (found.length === 0) return true
  try {
    return JSON.stringify(found).length <= MAX_CARRIED_CHARS
  } catch {
    // JSON.stringify fails on extreme nesting, possible if the client parsed the answer itself.
    return false
  }
}

/** Whether a refusal mentions one of the fields that were sent back. */
export function speaksOfCarried(refusal: string, message: unknown): boolean {
  const parts = carriedParts(message).map((part) => String(isRecord(part) ? part['type'] : ''))
  const names = [...Object.keys(carriedFields(message)), ...parts]
  return names.some((name) => name !== '' && refusal.includes(name))
}

/** Fields of the message that were not sent back although a refusal mentions them. */
export function missedIn(refusal: string, message: unknown): readonly string[] {
  if (!isRecord(message)) return []
  return Object.keys(message).filter(
    (name) =>
      name !== '' && !CARRIED.test(name) && !NOT_CARRIED.has(name) && refusal.includes(name),
  )
}
