import { hasWord } from './clauses.ts'
import type { Envelope } from './envelope.ts'
import { readSpokenWait } from './hint-grammar.ts'
import { WORDING_RULES } from './rules.ts'
import type { StatusTest, Wording, WordingRule } from './wordings/wording.ts'

/** The first rule that matches this body. */
export function matchWording(body: Envelope, status: number | undefined): WordingRule | undefined {
  return WORDING_RULES.find(({ when }) => holds(when, body, status))
}

function holds(when: Wording, body: Envelope, status: number | undefined): boolean {
  const texts = typeof when.text === 'string' ? [when.text] : (when.text ?? [])
  return (
    (when.status === undefined || isOneOf(when.status, status)) &&
    (when.notStatus === undefined || !isOneOf(when.notStatus, status)) &&
    (when.code === undefined || body.codes.includes(when.code)) &&
    (when.quota === undefined || body.quotas.includes(when.quota)) &&
    (when.whole === undefined || body.text === when.whole) &&
    texts.every((text) => body.text.includes(text)) &&
    (when.without === undefined || !body.text.includes(when.without)) &&
    (when.exceeds === undefined || exceeds(body.text, when.exceeds)) &&
    (when.clause === undefined || body.clauses.some((clause) => isOfClass(clause, when))) &&
    (when.only === undefined || saysOnly(body.text, when.only)) &&
    (when.waitsAtLeastMs === undefined || waitOf(body) >= when.waitsAtLeastMs)
  )
}

function isOfClass(clause: string, { clause: groups = [], except = [] }: Wording): boolean {
  return (
    groups.every((group) => group.some((word) => hasWord(clause, word))) &&
    !except.some((word) => hasWord(clause, word))
  )
}

function saysOnly(text: string, phrases: readonly string[]): boolean {
  const said = text.replace(RELAY_NAMES, '')
  let rest = said
  for (const phrase of phrases) rest = rest.replaceAll(phrase, '')
  const isSaid = rest.length < said.length
  // What may remain: the provider's name in parentheses, 'error', a status.
  return isSaid && /^(?:\([^()]{0,40}\)|error|null|[\s\d.:,'"_-])*$/.test(rest)
}

// 'litellm.apierror: openaiexception - …'
const RELAY_NAMES = /\b(?:[a-z]{1,40}\.)?[a-z]{1,40}(?:error|exception)\b(?=:| - )/g

function waitOf({ message }: Envelope): number {
  return readSpokenWait(message) ?? 0
}

function isOneOf(tests: readonly StatusTest[], status: number | undefined): boolean {
  const group = status === undefined ? 'none' : `${Math.floor(status / 100)}xx`
  return tests.some((test) => test === status || test === group)
}

/** For 'limit 7000, used 0, requested 12903': whether the requested number is greater than the limit. */
function exceeds(text: string, [limit, requested]: readonly [string, string]): boolean {
  const limitNumber = numberAfter(text, limit)
  const requestedNumber = numberAfter(text, requested)
  return limitNumber !== undefined && requestedNumber !== undefined && requestedNumber > limitNumber
}

function numberAfter(text: string, word: string): number | undefined {
  // `word` comes from the rules and needs no escaping. Matches 'Limit 30,000' and 'Requested ~12903'.
  const digits = new RegExp(`\\b${word}:? ~?(\\d{1,3}(?:,\\d{3}){1,4}|\\d{1,15})\\b`).exec(
    text,
  )?.[1]
  return digits === undefined ? undefined : Number(digits.replaceAll(',', ''))
}
