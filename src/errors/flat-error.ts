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

/** Names that only an error gives to what it says, where it has no `error` member for it. */
const ERROR_TEXTS = [
  'error_message',
  'error_msg',
  'errorMessage',
  'error_description',
  'error_type',
]
const ERROR_CODES = ['error_code', 'errorCode']

/** Names that other answers give to their parts, too: an error's where no choices are, and no word of work. */
const TEXTS = /^(?:message|msg|title|status_?text|status_?message|status_?msg)$/i
const DETAILS = /^details?$/i
const CODES = [...ERROR_CODES, 'code', 'status_code', 'status']

/** As far as a glance goes; written out, as it is taken at each chunk of a stream. */
export interface ErrorFields {
  readonly object?: unknown
  readonly error_message?: unknown
  readonly error_msg?: unknown
  readonly errorMessage?: unknown
  readonly error_description?: unknown
  readonly error_type?: unknown
}

/** Might this be an error by the names of its fields, beside choices? */
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
 * An error without an `error` member, as it is: `{error_type, error_message}`, `{object: 'error'}`,
 * `{type: 'error'}`, `{fault}`, `{Message}`, `{success: false}`, `{detail}`, `{message, code}`, or nothing but a
 * status. Beside a choice only what no answer would say of itself. What else a chunk without choices
 * may hold, a usage, a ping, whatever somebody adds, is none.
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

/** Names that an answer which is no completion has for what it is about. */
const WRAPPERS =
  /^(?:data|body|payload|response|resp|result|output|header|status|message|response meta ?data)$/

/**
 * The error that stands one level further down, where no choice is: `{data: {error}}`,
 * `{status: {code: 500}}`, `{Response: {Error}}`. Only what names itself one: a text proves nothing there.
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

/** `success: false`, whatever stands beside it. */
function isDenial([name, value]: Member): boolean {
  return (value === false || value === 'false') && asksForSuccess(name)
}

function tellsOfFailure([name, value]: Member): boolean {
  if (value === true) return asksForFailure(name)
  // One by the name of `error` has a rule of its own.
  return name !== 'error' && namesFailure(name) && isTelling(value)
}

function isText([name, value]: Member): boolean {
  return DETAILS.test(name)
    ? isTelling(value)
    : typeof value === 'string' && TEXTS.test(name) && isTelling(value)
}

/** Some relays send their error fields with every answer. */
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
