import { isTelling as isGiven, statusIn } from './envelope.ts'
import { readItems, readProperty } from './hostile.ts'

/** Names that only an error gives to what it says, where it has no `error` member for it. */
const ERROR_TEXTS = [
  'error_message',
  'error_msg',
  'errorMessage',
  'error_description',
  'error_type',
]
const ERROR_CODES = ['error_code', 'errorCode']

/** Names that other answers give to their parts, too: an error's where no choices are. */
const TEXTS = ['message', 'msg', 'detail', 'details', 'title']
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
 * `{type: 'error'}`, `{detail}`, `{message, code}`, or nothing but a status. Beside a choice only what
 * no answer would say of itself.
 */
export function flatErrorIn(value: unknown): object | undefined {
  if (typeof value !== 'object' || value === null || saysSuccess(value)) return undefined
  const says = (name: string) => isTelling(readProperty(value, name))
  const choices = readProperty(value, 'choices')
  if (isErrorName(readProperty(value, 'object')) || ERROR_TEXTS.some(says)) return value
  if (readItems(choices, 1).length > 0) return undefined
  const isError =
    isErrorName(readProperty(value, 'type')) ||
    ERROR_CODES.some(says) ||
    statusIn(value) !== undefined ||
    ((choices ?? undefined) === undefined && TEXTS.some(says))
  return isError ? value : undefined
}

/** `error`, `BadRequestError`, `overloaded_error`. */
function isErrorName(name: unknown): boolean {
  return typeof name === 'string' && name.length <= 100 && /error$/i.test(name)
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
