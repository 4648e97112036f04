/** A duration for display: `<1 ms` below half a millisecond, then `12 ms`, `1.2 s`, `120 s`. */
export function formatMs(durationMs: number): string {
  if (durationMs < 0.5) return '<1 ms'
  if (durationMs < 999.5) return `${Math.round(durationMs)} ms`
  if (durationMs < 99_950) return `${(durationMs / 1_000).toFixed(1).replace(/\.0$/, '')} s`
  return `${Math.round(durationMs / 1_000)} s`
}
