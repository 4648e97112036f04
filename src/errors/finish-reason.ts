import { readProperty } from './hostile.ts'

/** The longest that is a reason's name. */
const MAX_LENGTH = 100

/**
 * Words for "not finished yet", where others send null: nothing (Ollama, SGLang) or nothing but
 * signs, `"null"` (KoboldCpp, DashScope), the names that Python, Go and JavaScript have for it, that
 * it is not set, a protocol buffer's default (`FINISH_REASON_UNSPECIFIED`), a state that is not the
 * last. `length`, `incomplete` and any word that is not known here end a choice.
 */
const NO_REASON =
  /^\P{L}*$|(?:^|[._])(?:null|nil|none|undefined|unspecified|unknown|n\/a|nan|false|empty|unset|not[ _-]set|no[ _-]reason|unfinished|not[ _-]finish(?:ed)?|in[ _-](?:progress|flight)|ongoing|running|processing|continue|pending|queued|generating|streaming)$/iu

/**
 * Why a choice ended, as its provider wrote it. Undefined for one that has not: the only place where
 * that is decided, for chunks and for whole completions.
 */
export function finishReasonOf(choice: unknown): string | undefined {
  const reason = readProperty(choice, 'finish_reason')
  // Nearly all chunks.
  if (reason === null) return undefined
  if (typeof reason !== 'string' || reason.length > MAX_LENGTH) return undefined
  return NO_REASON.test(reason.trim()) ? undefined : reason
}
