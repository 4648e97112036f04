import {
  asksForFailure,
  asksForSuccess,
  isFailureWord,
  isSafeCode,
  namesFailure,
  readClauses,
  readItems,
  readMembers,
  readProperty,
  readText,
  saysFailure,
  saysWork,
  splitAtJson,
  withoutEchoes,
  wordsOf,
} from './hostile.ts'

/** The contents of an error body, independent of its format. */
export interface Envelope {
  /** All texts found, joined and in lower case, for matching. */
  readonly text: string
  /** Sentences and codes split into words, for rules that match by classes of words. */
  readonly clauses: readonly string[]
  /** The texts in their original form, for hints and numbers. */
  readonly message: string
  /** Codes, types and reasons in lower case, the most specific first. */
  readonly codes: readonly string[]
  /** The provider's own code as written, or its type if there is no code. */
  readonly code?: string
  /** Names of the exceeded quotas (`quotaId`), in lower case. */
  readonly quotas: string
  /** An HTTP status given in the body, such as `"code": 429`. */
  readonly status?: number
  /** An HTTP status in JSON inside a text: the status of the provider whose error a relay quotes. */
  readonly innerStatus?: number
  /** Whether a gateway says that a retry may help, such as `availability.retryable`. */
  readonly retryable?: boolean
  /** True for JSON with an `error` member: it comes from an LLM provider, not from a proxy in front of it. */
  readonly fromProvider: boolean
  /** Every JSON object found, the outermost first; hints are fields of one of them. */
  readonly parts: readonly object[]
}

/**
 * Reads an error body: `{error: {…}}`, `{error: '…'}`, a bare object, `{detail}`, `{errors: […]}`,
 * `{message}`, `{base_resp}`, an array of these, JSON inside a string (with or without a prefix), plain
 * text, HTML, or nothing. Reads only the fields listed below, so an echo of the request is ignored. A
 * Python repr is not parsed: its codes are found by their keys.
 */
export function readEnvelope(body: unknown): Envelope {
  const found: FoundError = {
    texts: [],
    codes: [],
    types: [],
    marks: [],
    quotas: [],
    parts: [],
    fromProvider: false,
    isQuoted: false,
    left: MAX_VALUES,
  }
  visit(body, found, 0)
  const message = found.texts.join('\n').slice(0, MAX_TEXT_LENGTH)
  const named = [...found.codes, ...found.types]
  const code = named.find(isSafeCode)
  const told = withoutEchoes(message)
  return {
    text: told.toLowerCase(),
    clauses: readClauses(told, named),
    message,
    codes: [...named, ...found.marks].map((candidate) => candidate.toLowerCase()),
    quotas: found.quotas.join('\n').toLowerCase(),
    fromProvider: found.fromProvider,
    parts: found.parts,
    ...(code !== undefined && { code }),
    ...(found.status !== undefined && { status: found.status }),
    ...(found.innerStatus !== undefined && { innerStatus: found.innerStatus }),
    ...(found.retryable !== undefined && { retryable: found.retryable }),
  }
}

interface FoundError {
  readonly texts: string[]
  readonly codes: string[]
  readonly types: string[]
  /** Facts that are not codes of the provider: used for matching, never reported. */
  readonly marks: string[]
  readonly quotas: string[]
  readonly parts: object[]
  status?: number
  innerStatus?: number
  retryable?: boolean
  fromProvider: boolean
  /** True inside JSON that is part of a text, that is, in an error quoted by a relay. */
  isQuoted: boolean
  /** How many more values may be visited; limits the cost of a deeply nested body. */
  left: number
}

const MAX_VALUES = 96
// Enough for JSON in a message of a relay that is itself quoted by a relay, with all wrappers.
const MAX_DEPTH = 20
const MAX_ITEMS = 10
const MAX_TEXT_LENGTH = 4_096
// Longer than other texts, because a Python repr names its quota at the end.
const MAX_REPR_LENGTH = 16_384
const MAX_CODE_LENGTH = 100

// Types that say nothing: the first occurs on auth, rate, billing and capacity errors alike.
const UNTELLING = ['invalid_request_error', 'error', 'none', 'null']

const CODE_FIELDS = ['code', 'error_code', 'errorCode', 'statusCode', 'status']
const TYPE_FIELDS = ['type', 'error_type', 'reason', '__type', 'limit_source']
const TEXT_FIELDS = [
  'message',
  'msg',
  'detail',
  'error_description',
  'title',
  'error_msg',
  'error_message',
  'errorMessage',
  'status_msg',
  'status_message',
]
const NESTED_FIELDS = [
  'error',
  'errors',
  'innererror',
  'inner_error',
  'details',
  'violations',
  'base_resp',
  // A router quotes the upstream provider's error in `metadata.raw`.
  'metadata',
  'raw',
  'provider_specific_fields',
]

function visit(value: unknown, found: FoundError, depth: number): void {
  if (value === undefined || value === null || depth > MAX_DEPTH || found.left-- <= 0) return
  if (typeof value === 'string') {
    visitText(value, found, depth)
    return
  }
  if (typeof value !== 'object') return
  found.parts.push(value)
  const items = readItems(value, MAX_ITEMS)
  for (const item of items) visit(item, found, depth + 1)
  if (items.length === 0) visitObject(value, found, depth)
}

function visitText(text: string, found: FoundError, depth: number): void {
  const split = splitAtJson(text)
  if (split === undefined) {
    const capped = text.slice(0, MAX_TEXT_LENGTH)
    found.texts.push(capped)
    readQuotedFields(text.slice(0, MAX_REPR_LENGTH), found)
    return
  }
  for (const words of [split.before, split.after]) {
    if (words.trim() !== '') found.texts.push(words.slice(0, MAX_TEXT_LENGTH))
  }
  const outside = found.isQuoted
  // At depth 0 the text is the response body itself, not a quotation.
  found.isQuoted = depth > 0
  visit(split.value, found, depth + 1)
  found.isQuoted = outside
}

// Matches a Python repr, a bytes literal, and JSON that was cut or escaped once too often.
const QUOTED_FIELD =
  /["'](code|type|status|reason|error_type|quotaId)\\{0,3}["']: ?\\{0,3}["']?([\w.:-]{1,100})/g

function readQuotedFields(text: string, found: FoundError): void {
  for (const [, field, word = ''] of text.matchAll(QUOTED_FIELD)) {
    if (field === 'quotaId') found.quotas.push(word)
    else if (field === 'code' || field === 'status') addCode(word, found)
    else addType(word, found)
  }
}

function visitObject(value: object, found: FoundError, depth: number): void {
  for (const field of CODE_FIELDS) addCode(readProperty(value, field), found)
  for (const field of TYPE_FIELDS) addType(readText(value, field, MAX_CODE_LENGTH), found)
  readFacts(value, found)
  for (const field of TEXT_FIELDS) visit(readProperty(value, field), found, depth + 1)
  for (const field of NESTED_FIELDS) {
    const nested = readProperty(value, field)
    if (field === 'error' && isNonEmpty(nested)) found.fromProvider = true
    visit(nested, found, depth + 1)
  }
  for (const [name, member] of readMembers(value, MAX_VALUES))
    visitOther(name, member, found, depth)
}

const READ = [...CODE_FIELDS, ...TYPE_FIELDS, ...TEXT_FIELDS, ...NESTED_FIELDS]
const OTHER_TEXT = /^(?:message|msg|detail|title|reason|status_?text)$/i

/** Visits a member whose name suggests a failure: `fault`, `Message`, `throttlingException`. */
function visitOther(name: string, member: unknown, found: FoundError, depth: number): void {
  if (READ.includes(name)) return
  const isFailure = namesFailure(name)
  if (isFailure && typeof member === 'object' && member !== null) addType(name, found)
  if (isFailure || OTHER_TEXT.test(name)) visit(member, found, depth + 1)
}

/** Provider-specific fields. */
function readFacts(value: object, found: FoundError): void {
  // google.rpc.QuotaFailure
  const quota = readText(value, 'quotaId', MAX_CODE_LENGTH)
  if (quota !== undefined) found.quotas.push(quota)
  // OpenRouter: why moderation flagged the prompt
  if (readItems(readProperty(value, 'reasons'), 1).length > 0) found.marks.push('reasons')
  // MiniMax uses error numbers that mean something else at other providers, hence the prefix.
  const number = readProperty(value, 'status_code')
  if (typeof number === 'number') found.marks.push(`base_resp.${number}`)
  const status = statusIn(value)
  if (status !== undefined) found.status ??= status
  const retryable = readProperty(readProperty(value, 'availability'), 'retryable')
  if (typeof retryable === 'boolean') found.retryable ??= retryable
}

// Status fields beyond CODE_FIELDS: `status_code`, `httpStatusCode`, `StatusCode`, `http_code`.
const STATUS_NAME = /^(?:error)?(?:http)?(?:response)?(?:status|code|statuscode)$/

/** The HTTP error status among the fields of an object, given as a number or a string. */
export function statusIn(value: unknown): number | undefined {
  const members = typeof value === 'object' && value !== null ? readMembers(value, MAX_VALUES) : []
  const others = members.filter(([name]) => STATUS_NAME.test(wordsOf(name).join('')))
  const said = [
    ...CODE_FIELDS.map((field) => readProperty(value, field)),
    ...others.map(([, own]) => own),
  ]
  return said.map((one) => Number(readStatus(one))).find((status) => status >= 400)
}

function readStatus(code: unknown): string | undefined {
  const text = typeof code === 'number' ? String(code) : code
  return typeof text === 'string' && /^[45]\d\d$/.test(text) ? text : undefined
}

/** False for `error: null`, `''`, `false` and `{}`, which some providers send with a successful response. */
export function isNonEmpty(error: unknown): boolean {
  if (typeof error === 'string') return error !== ''
  if (typeof error !== 'object' || error === null) return error === true
  try {
    return Object.keys(error).length > 0
  } catch {
    // A proxy whose traps throw.
    return false
  }
}

function addCode(code: unknown, found: FoundError): void {
  const text = typeof code === 'number' ? String(code) : code
  if (typeof text !== 'string' || text === '') return
  if (/^[45]\d\d$/.test(text)) {
    found.status ??= Number(text)
    if (found.isQuoted) found.innerStatus = Number(text)
  } else if (text.length <= MAX_CODE_LENGTH && !isUntelling(text)) found.codes.push(text)
}

function addType(type: string | undefined, found: FoundError): void {
  if (type !== undefined && type !== '' && !isUntelling(type)) found.types.push(type)
}

function isUntelling(word: string): boolean {
  return UNTELLING.includes(word.toLowerCase())
}

/** Names of fields that occur only in errors, at providers that do not use an `error` member. */
const ERROR_TEXTS = [
  'error_message',
  'error_msg',
  'errorMessage',
  'error_description',
  'error_type',
]
const ERROR_CODES = ['error_code', 'errorCode']

/** Names that other responses use too: they mark an error only without choices and without a progress word. */
const TEXTS = /^(?:message|msg|title|status_?text|status_?message|status_?msg)$/i
const DETAILS = /^details?$/i
const CODES = [...ERROR_CODES, 'code', 'status_code', 'status']

/** The fields that `hasErrorField` reads. Spelled out for speed, as the check runs on every chunk of a stream. */
export interface ErrorFields {
  readonly object?: unknown
  readonly error_message?: unknown
  readonly error_msg?: unknown
  readonly errorMessage?: unknown
  readonly error_description?: unknown
  readonly error_type?: unknown
}

/** Whether a chunk with choices also has fields that only errors have. */
export function hasErrorField(value: ErrorFields): boolean {
  const said =
    value.error_message ??
    value.error_msg ??
    value.errorMessage ??
    value.error_description ??
    value.error_type
  return (said ?? undefined) !== undefined || value.object === 'error'
}

/**
 * Returns the value if it is an error without an `error` member: `{error_type, error_message}`,
 * `{object: 'error'}`, `{type: 'error'}`, `{fault}`, `{Message}`, `{success: false}`, `{detail}`,
 * `{message, code}`, or nothing but a status. If there is a choice, only fields count that a good answer
 * never has. Other chunks without choices, such as usage or pings, are not errors.
 */
export function flatErrorIn(value: unknown): object | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const says = (name: string) => statesFailure(readProperty(value, name))
  const isAnswer = readItems(readProperty(value, 'choices'), 1).length > 0
  const members = isAnswer ? [] : readMembers(value, MAX_MEMBERS)
  if (members.some(isDenial)) return value
  if (saysSuccess(value)) return undefined
  if (isFailureWord(readProperty(value, 'object')) || ERROR_TEXTS.some(says)) return value
  if (isAnswer) return undefined
  const isError =
    saysFailure(value) ||
    ERROR_CODES.some(says) ||
    statusIn(value) !== undefined ||
    members.some(tellsOfFailure) ||
    (!saysWork(value) && members.some(isText))
  return isError ? value : undefined
}

/** Names of members that may wrap the actual content of a response that is not a completion. */
const WRAPPERS =
  /^(?:data|body|payload|response|resp|result|output|header|status|message|response meta ?data)$/

/**
 * An error one level further down, if there are no choices: `{data: {error}}`, `{status: {code: 500}}`,
 * `{Response: {Error}}`. It has to identify itself as an error; a text alone proves nothing at this level.
 */
export function wrappedErrorIn(value: unknown): object | undefined {
  const isAnswer = readItems(readProperty(value, 'choices'), 1).length > 0
  if (isAnswer || saysWork(value)) return undefined
  for (const [name, inner] of readMembers(Object(value), MAX_MEMBERS)) {
    if (typeof inner !== 'object' || inner === null) continue
    if (WRAPPERS.test(wordsOf(name).join(' ')) && namesItselfError(inner)) return inner
  }
  return undefined
}

function namesItselfError(value: object): boolean {
  if (saysSuccess(value)) return false
  const says = (name: string) => statesFailure(readProperty(value, name))
  return (
    saysFailure(value) ||
    isFailureWord(readProperty(value, 'object')) ||
    [...ERROR_TEXTS, ...ERROR_CODES].some(says) ||
    statusIn(value) !== undefined ||
    readMembers(value, MAX_MEMBERS).some(([name, said]) => namesFailure(name) && isSaid(said))
  )
}

function isSaid(said: unknown): boolean {
  return (typeof said === 'string' || typeof said === 'object') && statesFailure(said)
}

const MAX_MEMBERS = 50

type Member = readonly [name: string, value: unknown]

/** `success: false`, which overrides all other members. */
function isDenial([name, value]: Member): boolean {
  return (value === false || value === 'false') && asksForSuccess(name)
}

function tellsOfFailure([name, value]: Member): boolean {
  if (value === true) return asksForFailure(name)
  // A member called `error` is handled by the caller.
  return name !== 'error' && namesFailure(name) && statesFailure(value)
}

function isText([name, value]: Member): boolean {
  return DETAILS.test(name)
    ? statesFailure(value)
    : typeof value === 'string' && TEXTS.test(name) && statesFailure(value)
}

/** Some relays send their error fields with every response, set to a success code. */
function saysSuccess(value: object): boolean {
  return CODES.some((name) => {
    const code = readProperty(value, name)
    return code === 0 || code === 200 || (typeof code === 'string' && isSuccess(code))
  })
}

function isSuccess(word: string): boolean {
  return /^(?:0+|200|success|succeeded|ok)$/i.test(word)
}

/** Whether the value of an error's field says that there is one: not 0, a success, `null` or nothing. */
function statesFailure(said: unknown): boolean {
  if (typeof said === 'number') return said !== 0
  if (typeof said !== 'string') return isNonEmpty(said)
  const text = said.trim()
  return text !== '' && !isSuccess(text) && !/^(?:null|none)$/i.test(text)
}
