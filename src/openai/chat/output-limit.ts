import type { Params } from '../given-params.ts'

const OUTPUT_LIMITS = ['max_completion_tokens', 'max_tokens'] as const

/** The caller's output limits, twice as high; empty where there are none. */
export function doubledLimits(params: Params): Params {
  const doubled: Record<string, number> = {}
  for (const name of OUTPUT_LIMITS) {
    const limit = params[name]
    if (typeof limit === 'number') doubled[name] = limit * 2
  }
  return doubled
}

/**
 * What to do about an answer that was cut, by what the request says itself.
 * @param doubled what it was sent with instead, once it had been asked for again
 */
export function adviceOnCut(
  params: Params,
  doubled: Params,
  onTruncated: 'fail' | 'extend',
): string {
  const given = OUTPUT_LIMITS.filter((name) => typeof params[name] === 'number')
  if (given.length === 0) {
    return (
      "The request sets no output limit, so the provider's default or the model's context most likely ended it. " +
      'Set max_completion_tokens (max_tokens for servers that know no other), or ask for less.'
    )
  }
  const names = given.join(' and ')
  const limit = given.map((name) => params[name]).join(' and ')
  const are = given.length === 1 ? 'is' : 'are'
  const isDoubled = Object.keys(doubled).length > 0
  if (isDoubled) return `Raise ${names}: twice the request's own ${limit} was not enough either.`
  const other = onTruncated === 'extend' ? 'ask for less' : "set onTruncated: 'extend'"
  return `Raise ${names}, which ${are} ${limit}, or ${other}.`
}
