/** The end of a sticky pattern's match at `at`; `at` itself if it does not match. */
export function matchAt(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : at
}
