/** Time as a file keeps it: the latest that anybody has written with, and how far that is ahead of the wall. */
export interface FileClock {
  readonly nowMs: number
  readonly aheadMs: number
}

/**
 * The file's time goes on from the latest it has seen, also when the machine's clock was set back:
 * it then stays ahead of it, at the same pace, until the wall clock has caught up.
 */
export function advanced({ nowMs, aheadMs }: FileClock, wallMs: number): FileClock {
  if (wallMs >= nowMs) return { nowMs: wallMs, aheadMs: 0 }
  const nextMs = Math.max(nowMs, wallMs + aheadMs)
  return { nowMs: nextMs, aheadMs: nextMs - wallMs }
}
