import { wordsOf } from './failure-names.ts'
import { readProperty } from './hostile.ts'

/** A longer text is not the name of a reason. */
const MAX_LENGTH = 100

/**
 * Words that mean "not finished yet" at providers that do not send null: the names for nothing in Python,
 * Go and JavaScript in any printed form (`<nil>`, `"null"`; KoboldCpp, DashScope), words for "not set",
 * protocol buffer defaults (`FINISH_REASON_UNSPECIFIED`) and names of intermediate states
 * (`kNOT_FINISHED`). `length`, `incomplete` and all unknown words do end a choice.
 */
const NO_REASON =
  /(?:^| )(?:null|nul|nil|nullptr|none|undefined|undef|unspecified|unknown|n ?a|na ?n|false|empty|nothing|missing|absent|unset|not ?(?:yet|set|finish(?:ed)?|specified|known|available|given|completed?|done|ended|stopped|started)|no|unfinished|in ?(?:progress|flight)|ongoing|started|running|working|thinking|waiting|processing|continue|pending|queued|generating|streaming)(?: yet)?(?: type)?(?: finish| stop)?(?: reason)?$/

const LETTER = /\p{L}/u

/**
 * Why a choice ended, in the provider's own words; undefined while it has not ended. All code that needs
 * to know this, for chunks and for whole completions, asks this function.
 */
export function finishReasonOf(choice: unknown): string | undefined {
  const reason = readProperty(choice, 'finish_reason')
  // The common case first: nearly every chunk has null.
  if (reason === null) return undefined
  if (typeof reason !== 'string' || reason.length > MAX_LENGTH) return undefined
  // An empty string (Ollama, SGLang), or punctuation only.
  if (!LETTER.test(reason) || NO_REASON.test(wordsOf(reason).join(' '))) return undefined
  return reason
}
