import type { Candidate } from './extract.ts'

/** True when the provider itself says that the answer was cut at a limit. */
export function saysTruncated(finishReason: string | undefined): boolean {
  return finishReason !== undefined && CUT_REASONS.has(finishReason.toLowerCase())
}

// OpenAI and most others `length`; Anthropic `max_tokens` and `model_context_window_exceeded`;
// Gemini `MAX_TOKENS`; Mistral `model_length`; OpenAI's Responses API `max_output_tokens`.
const CUT_REASONS: ReadonlySet<string> = new Set([
  'length',
  'max_tokens',
  'max_output_tokens',
  'model_length',
  'model_context_window_exceeded',
])

/** True where no output limit was reached, but the end of the model's context. */
export function fillsContext(finishReason: string | undefined): boolean {
  return finishReason !== undefined && FULL_REASONS.has(finishReason.toLowerCase())
}

const FULL_REASONS: ReadonlySet<string> = new Set(['model_length', 'model_context_window_exceeded'])

/**
 * True when a text ends inside the JSON it began. A list whose last item is whole is cut too:
 * nobody knows how many items were to follow.
 */
export function looksCut(
  { text, closed, insideString }: Candidate,
  finishReason?: string,
): boolean {
  if (closed) return false
  // A quote that was not escaped opens a string which swallows the rest. Where the provider says
  // the model had finished, and the last bracket is there, that is what happened.
  const closesItself = text.trimEnd().endsWith(text.startsWith('{') ? '}' : ']')
  return !(finishReason === 'stop' && insideString && closesItself)
}
