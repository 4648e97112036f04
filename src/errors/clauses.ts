/** Only this many sentences of a text are read: an error states its reason in the first ones. */
const MAX_CLAUSES = 48

// A dot inside '5.5 MB' or 'api.x.ai' does not end a sentence; Chinese punctuation is followed by no space.
const END_OF_CLAUSE = /[.!?;](?=\s|$)|[。！？；\n]/

/**
 * Sentences that only give advice. 'Create a key with a higher monthly limit' does not say that a
 * monthly limit was reached.
 */
const ADVICE =
  /^\W*(?:please |to |visit |see |for |upgrade |consider |you can |you may |we recommend |learn more|add |try )/

// Values of the request's own fields, in JSON or in a Python repr, then any long quotation.
const ECHOES = [
  /(["'])(?:content|input|text|prompt|arguments|messages)\1\s{0,3}[:=]\s{0,3}(?:"[^"\n]*"|'[^'\n]*')/gi,
  /(?<![\w:]|: |: b|= ?)"[^"\n]{40,}"(?!\w)/g,
  /(?<![\w:]|: |: b|= ?)`[^`\n]{40,}`(?!\w)/g,
  /(?<![\w:]|: |: b|= ?)'[^'\n]{40,}'(?!\w)/g,
]

/** Removes what the text quotes from the request: a prompt about rate limits is not a rate limit. */
export function withoutEchoes(text: string): string {
  return ECHOES.reduce((rest, echo) => rest.replace(echo, '…'), text)
}

/**
 * The codes as words (`FreeUsageLimitError` becomes 'free usage limit error') and the sentences of an
 * error, without sentences that only give advice. Lower case, each with a trailing space.
 */
export function readClauses(text: string, codes: readonly string[]): readonly string[] {
  const sentences = text.toLowerCase().split(END_OF_CLAUSE, MAX_CLAUSES)
  const said = sentences.map((sentence) => sentence.trim()).filter((words) => !ADVICE.test(words))
  return [...codes.slice(0, MAX_CLAUSES).map(wordsOfCode), ...said]
    .filter((words) => words !== '')
    .map((words) => `${words} `)
}

function wordsOfCode(code: string): string {
  const words = code.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replace(/[_\-.:/]+/g, ' ')
  return words.trim().toLowerCase()
}

/** Whether a word of the clause starts with `word`: 'limit' matches 'limited' but not 'unlimited'. */
export function hasWord(clause: string, word: string): boolean {
  for (let at = clause.indexOf(word); at >= 0; at = clause.indexOf(word, at + 1)) {
    if (at === 0 || !isLetter(clause, at) || !isLetter(clause, at - 1)) return true
  }
  return false
}

function isLetter(text: string, at: number): boolean {
  return /[a-z0-9_]/.test(text.charAt(at))
}
