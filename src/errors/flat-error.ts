import { isTelling as isGiven, statusIn } from './envelope.ts'
import {
  asksForFailure,
  asksForSuccess,
  isFailureWord,
  namesFailure,
  saysFailure,
  saysWork,
  wordsOf,
} from './failure-names.ts'
import { readItems, readMembers, readProperty } from './hostile.ts'

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
  const says = (name: string) => isTelling(readProperty(value, name))
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
  const says = (name: string) => isTelling(readProperty(value, name))
  return (
    saysFailure(value) ||
    isFailureWord(readProperty(value, 'object')) ||
    [...ERROR_TEXTS, ...ERROR_CODES].some(says) ||
    statusIn(value) !== undefined ||
    readMembers(value, MAX_MEMBERS).some(([name, said]) => namesFailure(name) && isSaid(said))
  )
}

function isSaid(said: unknown): boolean {
  return (typeof said === 'string' || typeof said === 'object') && isTelling(said)
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
  return name !== 'error' && namesFailure(name) && isTelling(value)
}

function isText([name, value]: Member): boolean {
  return DETAILS.test(name)
    ? isTelling(value)
    : typeof value === 'string' && TEXTS.test(name) && isTelling(value)
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

function isTelling(said: unknown): boolean {
  if (typeof said === 'number') return said !== 0
  if (typeof said !== 'string') return isGiven(said)
  const text = said.trim()
  return text !== '' && !isSuccess(text) && !/^(?:null|none)$/i.test(text)
}
