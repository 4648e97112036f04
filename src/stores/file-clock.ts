/** The time stored in a file: the latest that was written, and how far it is ahead of the wall clock. */
export interface FileClock {
  readonly nowMs: number
  readonly aheadMs: number
}

/**
 * The file's time never goes back. If the machine's clock was set back, the file's time stays ahead of it,
 * running at the same pace, until the wall clock has caught up.
 */
export function advanced({ nowMs, aheadMs }: FileClock, wallMs: number): FileClock {
  if (wallMs >= nowMs) return { nowMs: wallMs, aheadMs: 0 }
  const nextMs = Math.max(nowMs, wallMs + aheadMs)
  return { nowMs: nextMs, aheadMs: nextMs - wallMs }
}
