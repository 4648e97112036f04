/**
 * True when a text without any JSON is a model declining in so many words. Errs towards `false`:
 * a refusal that is taken for a bad answer is asked for again, a bad answer that is taken for a
 * refusal is given up.
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
