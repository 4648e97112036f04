/** `src/telemetry/telemetry.ts` as it would be without telemetry: what the benchmark compares with. */
export function startCall(): object {
  return UNWATCHED_CALL
}

export function isWatched(): boolean {
  return false
}

export function withOrigin(text: string): string {
  return text
}

export function readOrigin(text: string): object {
  return { text }
}

const nothing = () => {}

export const UNWATCHED_ATTEMPT = {
  context: undefined,
  traceparent: undefined,
  run: <T>(work: () => T): T => work(),
  end: nothing,
}

export const UNWATCHED_CALL = {
  context: undefined,
  traceparent: undefined,
  showsContent: false,
  startAttempt: () => UNWATCHED_ATTEMPT,
  read: nothing,
}
