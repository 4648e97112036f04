/** A text is read up to this many of its sentences; an error says what it is in its first ones. */
const MAX_CLAUSES = 48

// A point inside '5.5 MB' or 'api.x.ai' ends no sentence; Chinese marks stand without a space.
const END_OF_CLAUSE = /[.!?;](?=\s|$)|[。！？；\n]/

/**
 * What one could do about it: 'create a key with a higher monthly limit' does not say that a limit
 * of the month is reached.
 */
const ADVICE =
  /^\W*(?:please |to |visit |see |for |upgrade |consider |you can |you may |we recommend |learn more|add |try )/

// Values of the request's own fields, in JSON or in a Python repr; then long quotations.
const ECHOES = [
  /(["'])(?:content|input|text|prompt|arguments|messages)\1\s{0,3}[:=]\s{0,3}(?:"[^"\n]*"|'[^'\n]*')/gi,
  /(?<![\w:]|: |: b|= ?)"[^"\n]{40,}"(?!\w)/g,
  /(?<![\w:]|: |: b|= ?)`[^`\n]{40,}`(?!\w)/g,
  /(?<![\w:]|: |: b|= ?)'[^'\n]{40,}'(?!\w)/g,
]

/** The text without what it quotes of the request: a prompt about rate limits is no rate limit. */
export function withoutEchoes(text: string): string {
  return ECHOES.reduce((rest, echo) => rest.replace(echo, '…'), text)
}

/**
 * The sentences of an error, without those that only advise, and its codes as words
 * (`FreeUsageLimitError` is 'free usage limit error'). Lower case, each with a space at its end.
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

/** Does a word of the clause begin so? 'limit' is in 'limited', not in 'unlimited'. */
export function hasWord(clause: string, word: string): boolean {
  for (let at = clause.indexOf(word); at >= 0; at = clause.indexOf(word, at + 1)) {
    if (at === 0 || !isLetter(clause, at) || !isLetter(clause, at - 1)) return true
  }
  return false
}

function isLetter(text: string, at: number): boolean {
  return /[a-z0-9_]/.test(text.charAt(at))
}
