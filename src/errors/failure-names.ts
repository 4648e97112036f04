import { readProperty } from './hostile.ts'

/**
 * Recognises names that report a failure, in any spelling: `error_message`, `errorMessage`,
 * `ERROR-MESSAGE`, `throttlingException`. Names come from the provider and are not trusted, so longer
 * ones than `MAX_LENGTH` are not read.
 */

const MAX_LENGTH = 60

const FAILURE = /^(?:errors?|err|errno|fault|exceptions?|failures?)$/
const FAILED = /^(?:errors?|err|errored|fault|faulted|exception|fail|failed|failure|crashed)$/
// Words that may follow `error` in the name of one of its parts.
const PART =
  /^(?:code|message|msg|type|text|string|description|detail|details|info|reason|name|status|body|data|response)$/

/** Splits a name into lower-case words: `Error_Message`, `errorMessage` and `error message` give the same. */
export function wordsOf(name: string): readonly string[] {
  if (name.length > MAX_LENGTH) return []
  return name
    .replaceAll(/([a-z\d])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z\d]+/)
    .filter((word) => word !== '')
}

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
