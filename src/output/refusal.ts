/**
 * Whether a text without JSON is the model declining to answer. Prefers `false` in doubt: a refusal taken
 * for a bad answer only costs a re-ask, but a bad answer taken for a refusal ends the call.
 */
export function isRefusal(text: string): boolean {
  return text.length <= MAX_REFUSAL_CHARS && DECLINES.test(text.trim())
}

const MAX_REFUSAL_CHARS = 1_000

const DECLINES = new RegExp(
  "^(?:(?:i['’]m |i am )?(?:very |so )?sorry,? (?:but )?|i apologi[sz]e,? (?:but )?|unfortunately,? )?" +
    "i(?: can['’]?t| cannot| can not| won['’]t| will not|['’]m unable to| am unable to|['’]m not able to| am not able to) " +
    '(?:help|assist|comply|fulfil|provide|create|generate|produce|write|share|discuss|engage|continue|do that|answer)\\b',
  'i',
)

/**
 * Objections in the text around a piece of JSON: the model declines, or says that the JSON is an example or
 * a template, or that a part is left out; or the JSON did not end where it seemed to. Undefined if there
 * are none. Prefers an objection in doubt, because a re-ask costs less than a wrong value.
 */
export function saidAround(prose: string): string | undefined {
  const words = prose.slice(0, MAX_REFUSAL_CHARS)
  if (LEFT_OVER.test(prose.slice(-MAX_REFUSAL_CHARS))) return 'a string and brackets are left over'
  if (DECLINES_SOMEWHERE.test(words)) return 'declined'
  return OBJECTIONS.find(({ says }) => says.test(words))?.means
}

// At the start of a sentence, where it is the answer rather than part of an explanation.
const DECLINES_SOMEWHERE =
  /(?:^|[.!?\n]\s*)(?:(?:i['’]m |i am )?(?:very |so )?sorry,? (?:but )?|unfortunately,? )?i(?: can['’]?t| cannot|['’]m unable to| am unable to|['’]m not able to) (?:help|assist|comply|fulfil|identify|provide|answer|extract|determine)\b/i

const LEFT_OVER = /"\s{0,20}[}\]][}\]\s]{0,100}$/

const OBJECTIONS: readonly { readonly says: RegExp; readonly means: string }[] = [
  {
    says: /\b(?:omitted|left out|truncated|shortened|abbreviated) (?:here |below |above )?(?:for|due to|because)\b|\b(?:remaining|rest of the|other) [^.\n]{0,60}\b(?:omitted|follow the same|left out|not shown)\b/i,
    means: 'the answer says that a part of it was left out',
  },
  {
    says: /\b(?:blank|empty) template\b|\b(?:like|only|just) (?:this|an|the following) example\b|\bwill look like\b|\bfill (?:it |this )?in yourself\b/i,
    means: 'the answer says that it is an example',
  },
  {
    says: /\bwould be (?:wrong|incorrect|invalid|a mistake)\b|\b(?:wrong|incorrect|bad) (?:answer|output|example|format)\b/i,
    means: 'the answer says that it is wrong',
  },
]
