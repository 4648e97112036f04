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
import type { WireRecord } from './wire-observer.ts'

/** As long as more than this share of a limit is left, nobody needs to know how much. */
const PLENTY = 0.1

/** How one target speaks of its limits. */
interface Speech {
  scheme: HeaderScheme | undefined
  /** Where none is known: the one to look for in the next answer. */
  next: number
  /** The limits, as far as it has named them. */
  readonly limits: Map<LimitHeaders, number>
}

const speeches = new WeakMap<TargetState, Speech>()

/**
 * What an answer's headers say of its target's limits, where that matters: little is left, or a
 * request was refused a while ago. The first answer and each refusal are searched for the headers of
 * every provider that is known; all others for those that the target is known to send, or else for one
 * provider's.
 */
export function allowancesIn(
  state: TargetState,
  { headers, status }: Pick<WireRecord, 'headers' | 'status'>,
  clock: Clock,
): readonly Allowance[] | undefined {
  if (headers === undefined) return undefined
  let speech = speeches.get(state)
  const isNew = speech === undefined
  if (speech === undefined) {
    speech = { scheme: undefined, next: 0, limits: new Map() }
    speeches.set(state, speech)
  }
  const isRefused = status === 429
  const scheme = isNew || isRefused ? (find(headers) ?? speech.scheme) : likely(speech, headers)
  if (scheme === undefined) return undefined
  speech.scheme = scheme
  const told = readScheme(scheme, headers)
  if (told.length === 0) return undefined
  if (!isRefused && !state.line.isRationed && isPlenty(told, speech)) return undefined
  const nowMs = clock.wallMs()
  // The target's own clock where it told it: ours may be off by minutes.
  const from = readHttpDate(readHeader(headers, 'date') ?? '', nowMs) ?? nowMs
  return told.map(([limit, remaining]) => {
    const allowance = readAllowance(limit, remaining, headers, from)
    // A limit that is never named is at least what was ever left of it.
    speech.limits.set(limit, allowance.limit ?? Math.max(speech.limits.get(limit) ?? 0, remaining))
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

function isPlenty(told: Told, { limits }: Speech): boolean {
  return told.every(([limit, remaining]) => remaining > (limits.get(limit) ?? Infinity) * PLENTY)
}

function find(headers: Headers): HeaderScheme | undefined {
  return HEADER_SCHEMES.find((scheme) => readScheme(scheme, headers).length > 0)
}

/** Of a target whose scheme is not known, one header in turn costs next to nothing. */
function likely(speech: Speech, headers: Headers): HeaderScheme | undefined {
  if (speech.scheme !== undefined) return speech.scheme
  const scheme = HEADER_SCHEMES[speech.next]
  speech.next = (speech.next + 1) % HEADER_SCHEMES.length
  const first = scheme?.[0]
  if (first === undefined || readCount(headers, first.remaining) === undefined) return undefined
  return scheme
}
