import type { FailureKind } from './failure-kinds.ts'
import { BREAKDOWN_WORDINGS } from './wordings/breakdown.ts'
import { CONTEXT_WORDINGS } from './wordings/context.ts'
import { CREDENTIALS_WORDINGS } from './wordings/credentials.ts'
import { FILTER_WORDINGS } from './wordings/filter.ts'
import { ALLOWANCE_WORDINGS, CONCURRENCY_WORDINGS, FAR_WORDINGS } from './wordings/limits.ts'
import { MONEY_WORDINGS } from './wordings/money.ts'
import { OVERLOAD_WORDINGS } from './wordings/overload.ts'
import { RATE_WORDINGS } from './wordings/rate.ts'
import { REGION_WORDINGS } from './wordings/region.ts'
import { RELAY_WORDINGS } from './wordings/relay.ts'
import { SIZE_WORDINGS } from './wordings/size.ts'
import type { WordingRule } from './wordings/wording.ts'

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
