/** Numbers of tokens, as counted by the provider. */
export interface TokenCounts {
  readonly inputTokens: number
  readonly outputTokens: number
  /** The part of `inputTokens` read from the provider's prompt cache. Absent if not reported. */
  readonly cachedInputTokens?: number
  /** The part of `outputTokens` spent on reasoning. Absent if not reported. */
  readonly reasoningOutputTokens?: number
}

/** The sum of the counts. An optional count stays absent if no provider reported it. */
export function sumOfTokens(counts: readonly TokenCounts[]): TokenCounts {
  const sum: { -readonly [Name in keyof TokenCounts]: TokenCounts[Name] } = {
    inputTokens: 0,
    outputTokens: 0,
  }
  for (const { inputTokens, outputTokens, cachedInputTokens, reasoningOutputTokens } of counts) {
    sum.inputTokens += inputTokens
    sum.outputTokens += outputTokens
    if (cachedInputTokens !== undefined) {
      sum.cachedInputTokens = (sum.cachedInputTokens ?? 0) + cachedInputTokens
    }
    if (reasoningOutputTokens !== undefined) {
      sum.reasoningOutputTokens = (sum.reasoningOutputTokens ?? 0) + reasoningOutputTokens
    }
  }
  return sum
}
