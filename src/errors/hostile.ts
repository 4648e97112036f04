// Safe reading of untrusted values, thrown errors and provider responses: their properties, JSON that is
// embedded in a text, clauses of a sentence, names that report a failure. Getters and proxies may throw, and
// a body may have any size: nothing here throws, and every read has a limit.

/** Whether it can have properties; a function does not count. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** The property's value, or undefined if it does not exist or its getter throws. */
export function readProperty(value: unknown, key: string | symbol): unknown {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined
  try {
    return Reflect.get(value, key)
  } catch {
    return undefined
  }
}

// More than any real chain of causes has; ends a cyclic chain.
const MAX_CAUSES = 10

/** Whether the predicate holds for the error or for one of its causes. */
export function someCause(error: unknown, holds: (cause: object) => boolean): boolean {
  let current = error
  for (let depth = 0; depth < MAX_CAUSES; depth++) {
    if (typeof current !== 'object' || current === null) return false
    if (holds(current)) return true
    current = readProperty(current, 'cause')
  }
  return false
}

/** The property as text, cut to `maxLength` characters; undefined if it is not a string. */
export function readText(value: unknown, key: string, maxLength: number): string | undefined {
  const text = readProperty(value, key)
  return typeof text === 'string' ? text.slice(0, maxLength) : undefined
}

/** At most `maxItems` items of an array; an empty array for any other value. */
export function readItems(value: unknown, maxItems: number): readonly unknown[] {
  try {
    return Array.isArray(value) ? value.slice(0, maxItems) : []
  } catch {
    // A revoked proxy, or an array whose own `slice` throws.
    return []
  }
}

/** At most `maxMembers` own members of an object as name and value; empty for arrays and if reading throws. */
export function readMembers(
  value: object,
  maxMembers: number,
): readonly (readonly [name: string, value: unknown])[] {
  try {
    const names = Array.isArray(value) ? [] : Object.keys(value)
    return names.slice(0, maxMembers).map((name) => [name, readProperty(value, name)] as const)
  } catch {
    return []
  }
}

/** A `Headers`, anything with its `get` method, or a plain record in any letter case. */
export type HeaderSource = Headers | Readonly<Record<string, string>>

const MAX_HEADERS = 200
const MAX_HEADER_LENGTH = 1024

/**
 * The value of one header by its lower-case name, repeated lines joined as `Headers` does. Undefined if
 * it is absent, not a string, or longer than 1024 characters.
 */
export function readHeader(headers: unknown, name: string): string | undefined {
  const found = lookUp(headers, name)
  const value = typeof found === 'object' ? joined(found) : found
  return typeof value === 'string' && value.length <= MAX_HEADER_LENGTH ? value : undefined
}

/** undici's own request and many clients represent a repeated header as a list. */
function joined(values: unknown): string | undefined {
  try {
    return Array.isArray(values) ? values.slice(0, MAX_HEADERS).join(', ') : undefined
  } catch {
    // A revoked proxy, or a member that is no text.
    return undefined
  }
}

function lookUp(headers: unknown, name: string): unknown {
  if (typeof headers !== 'object' || headers === null) return undefined
  try {
    const get: unknown = Reflect.get(headers, 'get')
    if (typeof get === 'function') return Reflect.apply(get, headers, [name])
    if (Object.hasOwn(headers, name)) return Reflect.get(headers, name)
    const key = Object.keys(headers)
      .slice(0, MAX_HEADERS)
      .find((candidate) => candidate.toLowerCase() === name)
    return key === undefined ? undefined : Reflect.get(headers, key)
  } catch {
    return undefined
  }
}

/** A text split around the JSON object or array it contains. */
interface SplitText {
  readonly before: string
  readonly value: unknown
  readonly after: string
}

// Relays quote errors of a few kilobytes; anything longer is not an error body.
const MAX_JSON_LENGTH = 256 * 1024

// An object, or an array of objects; '[1]' and '{model}' occur in plain text.
const START = /\{\s*"|\[\s*\{\s*"/

/**
 * Finds the first JSON object or array in a text, after a prefix such as
 * `litellm.RateLimitError: OpenAIException - ` and before any trailing text. Undefined if none parses.
 * Runs in linear time: one search for the start, one scan for the end.
 */
export function splitAtJson(text: string): SplitText | undefined {
  const whole = parseObject(text)
  if (whole !== undefined) return { before: '', value: whole, after: '' }
  const capped = text.slice(0, MAX_JSON_LENGTH)
  const start = capped.search(START)
  if (start < 0) return undefined
  const end = endOfJson(capped, start)
  if (end === undefined) return undefined
  const value = parseObject(capped.slice(start, end))
  if (value === undefined) return undefined
  return { before: capped.slice(0, start), value, after: capped.slice(end) }
}

/** The object or array that this text encodes as JSON, or undefined. */
export function parseObject(text: string): unknown {
  if (text.length > MAX_JSON_LENGTH || !/^\s*[[{]/.test(text)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

// A string up to its closing quote or the end of the text, or a bracket outside strings.
const TOKEN = /"[^"\\]*(?:\\[\s\S][^"\\]*)*(?:"|\\?$)|[{}[\]]/g

/** The index after the bracket that closes the one at `start`; undefined if the text was cut. */
function endOfJson(text: string, start: number): number | undefined {
  let depth = 0
  for (const { 0: token, index } of text.slice(start).matchAll(TOKEN)) {
    if (token === '{' || token === '[') depth++
    else if (token === '}' || token === ']') depth--
    if (depth === 0) return start + index + 1
  }
  return undefined
}

// Free text may quote a prompt or data, so only identifiers are reported.
const SAFE_CODE = /^[\w.:-]{1,100}$/

/** Whether this is an identifier that reports, events and spans may show as a `code`. */
export function isSafeCode(value: unknown): value is string {
  return typeof value === 'string' && SAFE_CODE.test(value)
}

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

// Names that report a failure, in any spelling: `error_message`, `errorMessage`, `ERROR-MESSAGE`,
// `throttlingException`. Names come from the provider and are not trusted: longer ones are not read.
const MAX_NAME_LENGTH = 60

const FAILURE = /^(?:errors?|err|errno|fault|exceptions?|failures?)$/
const FAILED = /^(?:errors?|err|errored|fault|faulted|exception|fail|failed|failure|crashed)$/
// Words that may follow `error` in the name of one of its parts.
const PART =
  /^(?:code|message|msg|type|text|string|description|detail|details|info|reason|name|status|body|data|response)$/

/** Splits a name into lower-case words: `Error_Message`, `errorMessage` and `error message` give the same. */
export function wordsOf(name: string): readonly string[] {
  if (name.length > MAX_NAME_LENGTH) return []
  const known = splitNames.get(name)
  if (known !== undefined) return known
  const words = name
    .replaceAll(/([a-z\d])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z\d]+/)
    .filter((word) => word !== '')
  if (splitNames.size < MAX_SPLIT_NAMES) splitNames.set(name, words)
  return words
}

// Every answer has the same few names (`chat.completion`, `stop`), and splitting one takes microseconds.
const splitNames = new Map<string, readonly string[]>()
const MAX_SPLIT_NAMES = 500

/** Whether a member of this name describes a failure: `fault`, `err`, `internalServerException`, `faultstring`. */
export function namesFailure(name: string): boolean {
  const words = wordsOf(name)
  const last = words.at(-1) ?? ''
  if (FAILURE.test(last)) return true
  const [first = ''] = words
  // Written as one word: `errormessage`, `faultstring`, `errorcode`.
  const [, head = '', rest = ''] =
    /^(error|err|fault|exception|failure)(.+)$/.exec(words.join('')) ?? []
  return (
    (FAILURE.test(first) && words.length === 2 && PART.test(last)) ||
    (head !== '' && PART.test(rest))
  )
}

/** Whether a member of this name is true after a failure: `failed`, `is_error`, `hasFailed`. */
export function asksForFailure(name: string): boolean {
  return FAILED.test(wordsOf(name).at(-1) ?? '')
}

/** Whether a member of this name is false after a failure: `success`, `ok`, `is_successful`. */
export function asksForSuccess(name: string): boolean {
  return /^(?:success|succeeded|successful|ok)$/.test(wordsOf(name).at(-1) ?? '')
}

/** Whether this word names a failure or a failed state: `BadRequestError`, `overloaded_error`, `failed`. */
export function isFailureWord(word: unknown): boolean {
  return typeof word === 'string' && FAILED.test(wordsOf(word).at(-1) ?? '')
}

/** Fields in which an event names its type, and words for types that report progress rather than a failure. */
const SELF = ['type', 'event', 'status', 'state', 'level', 'kind']
const WORK =
  /^(?:ping|pong|keepalive|alive|heartbeat|info|notice|comment|log|debug|trace|warning|metadata|meta|usage|metrics|stats|progress|processing|thinking|working|running|waiting|pending|queued|queue|started|start|created|completed|complete|finished|finish|done|end|stop|delta|ok|success|succeeded|active)$/

/** Whether this reports progress: `{type: 'ping'}`, `{event: 'heartbeat'}`, `{status: 'processing'}`. */
export function saysWork(value: unknown): boolean {
  return SELF.some((name) => {
    const said = readProperty(value, name)
    if (typeof said !== 'string' || isFailureWord(said)) return false
    return wordsOf(said).some((word) => WORK.test(word))
  })
}

/** Whether this reports a failure: `{status: 'failed'}`, `{result: 'error'}`, `{Type: 'BadRequestError'}`. */
export function saysFailure(value: object): boolean {
  return [...SELF, 'result', 'outcome'].some((name) => isFailureWord(readProperty(value, name)))
}

/** A longer text is not the name of a reason. */
const MAX_REASON_LENGTH = 100

/**
 * Words that mean "not finished yet" at providers that do not send null: the names for nothing in Python,
 * Go and JavaScript in any printed form (`<nil>`, `"null"`; KoboldCpp, DashScope), words for "not set",
 * protocol buffer defaults (`FINISH_REASON_UNSPECIFIED`) and names of intermediate states
 * (`kNOT_FINISHED`). `length`, `incomplete` and all unknown words do end a choice.
 */
const NO_REASON =
  /(?:^| )(?:null|nul|nil|nullptr|none|undefined|undef|unspecified|unknown|n ?a|na ?n|false|empty|nothing|missing|absent|unset|not ?(?:yet|set|finish(?:ed)?|specified|known|available|given|completed?|done|ended|stopped|started)|no|unfinished|in ?(?:progress|flight)|ongoing|started|running|working|thinking|waiting|processing|continue|pending|queued|generating|streaming)(?: yet)?(?: type)?(?: finish| stop)?(?: reason)?$/

const LETTER = /\p{L}/u
const OPENAIS_REASONS: ReadonlySet<string> = new Set([
  'stop',
  'length',
  'tool_calls',
  'content_filter',
])

/**
 * Why a choice ended, in the provider's own words; undefined while it has not ended. All code that needs
 * to know this, for chunks and for whole completions, asks this function.
 */
export function finishReasonOf(choice: unknown): string | undefined {
  const reason = readProperty(choice, 'finish_reason')
  // The common cases first: nearly every chunk has null, and nearly every answer one of OpenAI's reasons.
  if (reason === null) return undefined
  if (typeof reason !== 'string' || reason.length > MAX_REASON_LENGTH) return undefined
  if (OPENAIS_REASONS.has(reason)) return reason
  // An empty string (Ollama, SGLang), or punctuation only.
  if (!LETTER.test(reason) || NO_REASON.test(wordsOf(reason).join(' '))) return undefined
  return reason
}
