import type { Cause, CauseRule } from './cause-rule.ts'
import { CAUSE_RULES } from './cause-rules.ts'
import { readProperty, readText } from './hostile.ts'
import { isSafeCode } from './safe-code.ts'

/** The first rule that matches an error without a response, and the code to report. */
export function matchCause(error: unknown): { rule: CauseRule; code?: string } | undefined {
  const seen = observe(error)
  const rule = CAUSE_RULES.find(({ when }) => holds(when, seen))
  if (rule === undefined) return undefined
  const own = readText(error, 'code', MAX_LENGTH)
  const code = isSafeCode(own) ? own : rule.code
  return code === undefined ? { rule } : { rule, code }
}

// Error messages of runtimes are one line long.
const MAX_LENGTH = 500

interface ObservedError {
  readonly code: string
  readonly names: readonly string[]
  readonly causeNames: readonly string[]
  readonly syscall: string
  readonly message: string
  readonly stack: string
}

function observe(error: unknown): ObservedError {
  const text = typeof error === 'string' ? error.slice(0, MAX_LENGTH) : undefined
  const message = text?.toLowerCase() ?? lower(error, 'message')
  return {
    code: lower(error, 'code'),
    names: namesOf(error),
    causeNames: namesOf(readProperty(error, 'cause')),
    syscall: lower(error, 'syscall'),
    message,
    // Reading `stack` formats it, and it is full of file names, so it is read only if there is no message.
    stack: message === '' ? lower(error, 'stack') : '',
  }
}

function holds(when: Cause, seen: ObservedError): boolean {
  return (
    (when.code === undefined || codeHolds(when.code, seen.code)) &&
    (when.name === undefined || seen.names.includes(when.name)) &&
    (when.causeName === undefined || seen.causeNames.includes(when.causeName)) &&
    (when.syscall === undefined || seen.syscall === when.syscall) &&
    (when.message === undefined || seen.message === when.message) &&
    (when.text === undefined || seen.message.includes(when.text)) &&
    (when.stack === undefined || seen.stack.includes(when.stack))
  )
}

function codeHolds(pattern: string, code: string): boolean {
  return pattern.endsWith('*') ? code.startsWith(pattern.slice(0, -1)) : code === pattern
}

/** openai's errors set no `name`, so the class name is read as well. */
function namesOf(error: unknown): readonly string[] {
  return [lower(error, 'name'), lower(readProperty(error, 'constructor'), 'name')]
}

function lower(value: unknown, key: string): string {
  return readText(value, key, MAX_LENGTH)?.toLowerCase() ?? ''
}
