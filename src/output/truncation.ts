import type { Outcome } from './parser/parser.ts'

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
 * Whether a candidate's text ends inside the JSON it started. A list whose last item is complete counts as cut
 * too, because further items may be missing.
 */
export function isCut(outcome: Outcome, text: string, finishReason?: string): boolean {
  if (outcome.kind !== 'cut') return false
  if (!outcome.insideString) return true
  // A string that lost its closing quote swallows the rest: the fence behind the JSON, or its last bracket
  // in a text that the provider says is finished.
  if (CLOSING_FENCE.test(text)) return false
  const closesItself = text.trimEnd().endsWith(text.startsWith('{') ? '}' : ']')
  return !(finishReason === 'stop' && closesItself)
}

const CLOSING_FENCE = /[}\]]\s*\n(?:`{3}|~{3})(?:\s|$)/
