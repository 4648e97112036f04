import type { Envelope } from './envelope.ts'
import type { FailureKind } from './failure-kinds.ts'
import { readSpokenWait } from './hints.ts'
import { hasWord } from './hostile.ts'
import { CONTEXT_WORDINGS, FILTER_WORDINGS, SIZE_WORDINGS } from './wordings/context.ts'
import { CREDENTIALS_WORDINGS, MONEY_WORDINGS, REGION_WORDINGS } from './wordings/credentials.ts'
import {
  ALLOWANCE_WORDINGS,
  CONCURRENCY_WORDINGS,
  FAR_WORDINGS,
  RATE_WORDINGS,
} from './wordings/limits.ts'
import { BREAKDOWN_WORDINGS, OVERLOAD_WORDINGS, RELAY_WORDINGS } from './wordings/overload.ts'
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

/**
 * Providers' wordings; the first match wins. The groups are ordered by how conclusive they are: region,
 * concurrency, money, allowances, content filter, context length, request size, limits that reset hours
 * later, credentials, rate, overload, breakdowns reported only in a body, and relays' own error names.
 * Within a group, codes and quotas come before texts, and the wording of a single provider before classes
 * of words, unless a comment gives a reason. A body that matches no rule is judged by `STATUS_KINDS`.
 */
export const WORDING_RULES: readonly WordingRule[] = [
  ...REGION_WORDINGS,
  ...CONCURRENCY_WORDINGS,
  ...MONEY_WORDINGS,
  ...ALLOWANCE_WORDINGS,
  ...FILTER_WORDINGS,
  ...CONTEXT_WORDINGS,
  ...SIZE_WORDINGS,
  ...FAR_WORDINGS,
  ...CREDENTIALS_WORDINGS,
  ...RATE_WORDINGS,
  ...OVERLOAD_WORDINGS,
  ...BREAKDOWN_WORDINGS,
  ...RELAY_WORDINGS,
]

/**
 * What a status means if no wording matches: RFC 9110 §15, RFC 6585 (429), RFC 7725 (451), RFC 8470 (425),
 * Cloudflare's 520–524, and the unregistered 498 and 529 of LLM providers.
 */
export const STATUS_KINDS: Readonly<Record<number, FailureKind>> = {
  // Redirects that the client did not or could not follow.
  301: 'invalid_request',
  302: 'invalid_request',
  303: 'invalid_request',
  307: 'invalid_request',
  308: 'invalid_request',
  401: 'auth',
  402: 'billing',
  403: 'permission',
  404: 'not_found',
  407: 'auth',
  408: 'timeout',
  409: 'conflict',
  410: 'not_found',
  413: 'request_too_large',
  425: 'overloaded',
  429: 'rate_limit',
  451: 'region_blocked',
  498: 'overloaded',
  501: 'invalid_request',
  503: 'overloaded',
  505: 'invalid_request',
  529: 'overloaded',
}
