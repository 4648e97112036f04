import type { Candidate } from './extract.ts'

/** Whether the provider reports that the answer reached a length limit. */
export function saysTruncated(finishReason: string | undefined): boolean {
  return finishReason !== undefined && CUT_REASONS.has(finishReason.toLowerCase())
}

// OpenAI and most others: `length`. Anthropic: `max_tokens`, `model_context_window_exceeded`. Gemini:
// `MAX_TOKENS`. Mistral: `model_length`. OpenAI's Responses API: `max_output_tokens`.
const CUT_REASONS: ReadonlySet<string> = new Set([
  'length',
  'max_tokens',
  'max_output_tokens',
  'model_length',
  'model_context_window_exceeded',
])

/** Whether the answer reached the end of the model's context rather than the output limit. */
export function fillsContext(finishReason: string | undefined): boolean {
  return finishReason !== undefined && FULL_REASONS.has(finishReason.toLowerCase())
}

const FULL_REASONS: ReadonlySet<string> = new Set(['model_length', 'model_context_window_exceeded'])

/**
 * Whether a text ends inside the JSON it started. An array whose last item is complete counts as cut too,
 * because further items may be missing.
 */
export function looksCut(
  { text, closed, insideString }: Candidate,
  finishReason?: string,
): boolean {
  if (closed) return false
  // An unescaped quote opens a string that swallows the rest. If the provider says the model had finished
  // and the last bracket is there, that is the likely cause.
  const closesItself = text.trimEnd().endsWith(text.startsWith('{') ? '}' : ']')
  return !(finishReason === 'stop' && insideString && closesItself)
}
