import { readProperty } from './hostile.ts'

/**
 * What names say of a failure, however a provider writes them: `error_message`, `errorMessage`,
 * `ERROR-MESSAGE`, `throttlingException`. Names are hostile, too: of more than a line nothing is read.
 */

const MAX_LENGTH = 60

const FAILURE = /^(?:errors?|err|errno|fault|exceptions?|failures?)$/
const FAILED = /^(?:errors?|err|errored|fault|faulted|exception|fail|failed|failure|crashed)$/
// What a part of an error is called behind the word itself.
const PART =
  /^(?:code|message|msg|type|text|string|description|detail|details|info|reason|name|status|body|data|response)$/

/** `Error_Message`, `errorMessage` and `error message` as their words. */
export function wordsOf(name: string): readonly string[] {
  if (name.length > MAX_LENGTH) return []
  return name
    .replaceAll(/([a-z\d])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z\d]+/)
    .filter((word) => word !== '')
}

/** Does a member of this name tell of a failure? `fault`, `err`, `internalServerException`, `faultstring`. */
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

/** Is a member of this name true where something failed? `failed`, `is_error`, `hasFailed`. */
export function asksForFailure(name: string): boolean {
  return FAILED.test(wordsOf(name).at(-1) ?? '')
}

/** Is a member of this name false where something failed? `success`, `ok`, `is_successful`. */
export function asksForSuccess(name: string): boolean {
  return /^(?:success|succeeded|successful|ok)$/.test(wordsOf(name).at(-1) ?? '')
}

/** Is this the name or the state of a failure? `BadRequestError`, `overloaded_error`, `failed`. */
export function isFailureWord(word: unknown): boolean {
  return typeof word === 'string' && FAILED.test(wordsOf(word).at(-1) ?? '')
}

/** Where an event says what it is, and words for one that tells of the work, and of no failure. */
const SELF = ['type', 'event', 'status', 'state', 'level', 'kind']
const WORK =
  /^(?:ping|pong|keepalive|alive|heartbeat|info|notice|comment|log|debug|trace|warning|metadata|meta|usage|metrics|stats|progress|processing|thinking|working|running|waiting|pending|queued|queue|started|start|created|completed|complete|finished|finish|done|end|stop|delta|ok|success|succeeded|active)$/

/** `{type: 'ping'}`, `{event: 'heartbeat'}`, `{status: 'processing'}`, `{type: 'message_start'}`. */
export function saysWork(value: unknown): boolean {
  return SELF.some((name) => {
    const said = readProperty(value, name)
    if (typeof said !== 'string' || isFailureWord(said)) return false
    return wordsOf(said).some((word) => WORK.test(word))
  })
}

/** `{status: 'failed'}`, `{result: 'error'}`, `{Type: 'BadRequestError'}`. */
export function saysFailure(value: object): boolean {
  return [...SELF, 'result', 'outcome'].some((name) => isFailureWord(readProperty(value, name)))
}
