import { withoutUndefined } from '../without-undefined.ts'

/** Tokens, as a provider counted them. */
export interface TokenCounts {
  readonly inputTokens: number
  readonly outputTokens: number
  /** Of the input: read from the provider's prompt cache. Absent where it told nothing. */
  readonly cachedInputTokens?: number
  /** Of the output: spent on reasoning. Absent where it told nothing. */
  readonly reasoningOutputTokens?: number
}

/** All of them together. What nobody told stays absent. */
export function sumOfTokens(counts: readonly TokenCounts[]): TokenCounts {
  return withoutUndefined({
    inputTokens: counts.reduce((sum, { inputTokens }) => sum + inputTokens, 0),
    outputTokens: counts.reduce((sum, { outputTokens }) => sum + outputTokens, 0),
    cachedInputTokens: sumOfTold(counts.map(({ cachedInputTokens }) => cachedInputTokens)),
    reasoningOutputTokens: sumOfTold(
      counts.map(({ reasoningOutputTokens }) => reasoningOutputTokens),
    ),
  })
}

function sumOfTold(counts: readonly (number | undefined)[]): number | undefined {
  const told = counts.filter((count) => count !== undefined)
  return told.length === 0 ? undefined : told.reduce((sum, count) => sum + count, 0)
}
