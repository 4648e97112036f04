import { wordsOf } from './failure-names.ts'
import { readProperty } from './hostile.ts'

/** The longest that is a reason's name. */
const MAX_LENGTH = 100

/**
 * Words for "not finished yet", where others send null, alone or behind others: the names that Python,
 * Go and JavaScript have for nothing, however they are printed (`<nil>`, `"null"`, KoboldCpp, DashScope),
 * that it is not set, a protocol buffer's default (`FINISH_REASON_UNSPECIFIED`), a state that is not the
 * last (`kNOT_FINISHED`). `length`, `incomplete` and any word that is not known here end a choice.
 */
const NO_REASON =
  /(?:^| )(?:null|nul|nil|nullptr|none|undefined|undef|unspecified|unknown|n ?a|na ?n|false|empty|nothing|missing|absent|unset|not ?(?:yet|set|finish(?:ed)?|specified|known|available|given|completed?|done|ended|stopped|started)|no|unfinished|in ?(?:progress|flight)|ongoing|started|running|working|thinking|waiting|processing|continue|pending|queued|generating|streaming)(?: yet)?(?: type)?(?: finish| stop)?(?: reason)?$/

const LETTER = /\p{L}/u

/**
 * Why a choice ended, as its provider wrote it. Undefined for one that has not: the only place where
 * that is decided, for chunks and for whole completions.
 */
export function finishReasonOf(choice: unknown): string | undefined {
  const reason = readProperty(choice, 'finish_reason')
  // Nearly all chunks.
  if (reason === null) return undefined
  if (typeof reason !== 'string' || reason.length > MAX_LENGTH) return undefined
  // Nothing (Ollama, SGLang) or nothing but signs.
  if (!LETTER.test(reason) || NO_REASON.test(wordsOf(reason).join(' '))) return undefined
  return reason
}
