import { readHttpDate } from '../errors/hint-grammar.ts'
import { readHeader } from '../errors/hostile.ts'
import {
  type Allowance,
  HEADER_SCHEMES,
  type HeaderScheme,
  type LimitHeaders,
  readAllowance,
  readCount,
} from '../errors/rate-limit-headers.ts'
import type { TargetState } from '../retry/health/target-state.ts'
import type { Clock } from '../time.ts'
import type { WireRecord } from './wire.ts'

/** While more than this share of a limit is left, the exact number does not matter. */
const PLENTY = 0.1

/** How one target reports its limits. */
interface Reporting {
  scheme: HeaderScheme | undefined
  /** Where none is known: the scheme to look for in the next answer. */
  next: number
  /** The limits, as far as it has named them. */
  readonly limits: Map<LimitHeaders, number>
}

const reportings = new WeakMap<TargetState, Reporting>()

/**
 * The limits that an answer's headers report, where they matter: little is left, or a request was
 * refused a while ago. The first answer and each refusal are searched for the headers of every known
 * provider; all others for those that the target is known to send, or else for one provider's in turn.
 */
export function allowancesIn(
  state: TargetState,
  { headers, status }: Pick<WireRecord, 'headers' | 'status'>,
  clock: Clock,
): readonly Allowance[] | undefined {
  if (headers === undefined) return undefined
  let reporting = reportings.get(state)
  const isNew = reporting === undefined
  if (reporting === undefined) {
    reporting = { scheme: undefined, next: 0, limits: new Map() }
    reportings.set(state, reporting)
  }
  const isRefused = status === 429
  const scheme =
    isNew || isRefused ? (find(headers) ?? reporting.scheme) : likely(reporting, headers)
  if (scheme === undefined) return undefined
  reporting.scheme = scheme
  const told = readScheme(scheme, headers)
  if (told.length === 0) return undefined
  if (!isRefused && !state.line.isRationed && isPlenty(told, reporting)) return undefined
  const nowMs = clock.wallMs()
  // By the target's own clock, where it sent one: ours may be off by minutes.
  const from = readHttpDate(readHeader(headers, 'date') ?? '', nowMs) ?? nowMs
  return told.map(([limit, remaining]) => {
    const allowance = readAllowance(limit, remaining, headers, from)
    // A limit that is never named is at least what was ever left of it.
    reporting.limits.set(
      limit,
      allowance.limit ?? Math.max(reporting.limits.get(limit) ?? 0, remaining),
    )
    return allowance
  })
}

type Told = readonly (readonly [limit: LimitHeaders, remaining: number])[]

function readScheme(scheme: HeaderScheme, headers: Headers): Told {
  const told: (readonly [LimitHeaders, number])[] = []
  for (const limit of scheme) {
    if (limit.onlyEmpty === true) continue
    const remaining = readCount(headers, limit.remaining)
    if (remaining !== undefined) told.push([limit, remaining])
  }
  return told
}

function isPlenty(told: Told, { limits }: Reporting): boolean {
  return told.every(([limit, remaining]) => remaining > (limits.get(limit) ?? Infinity) * PLENTY)
}

function find(headers: Headers): HeaderScheme | undefined {
  return HEADER_SCHEMES.find((scheme) => readScheme(scheme, headers).length > 0)
}

/** Where the scheme is not known, looking for one in turn costs next to nothing. */
function likely(reporting: Reporting, headers: Headers): HeaderScheme | undefined {
  if (reporting.scheme !== undefined) return reporting.scheme
  const scheme = HEADER_SCHEMES[reporting.next]
  reporting.next = (reporting.next + 1) % HEADER_SCHEMES.length
  const first = scheme?.[0]
  if (first === undefined || readCount(headers, first.remaining) === undefined) return undefined
  return scheme
}
