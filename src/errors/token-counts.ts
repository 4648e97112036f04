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
