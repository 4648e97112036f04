/** `src/telemetry/telemetry.ts` as it would be without telemetry: what the benchmark compares with. */
export function startCall(): object {
  return CALL
}

export function withOrigin(text: string): string {
  return text
}

export function readOrigin(text: string): object {
  return { text }
}

const nothing = () => {}

const ATTEMPT = {
  context: undefined,
  traceparent: undefined,
  run: <T>(work: () => T): T => work(),
  end: nothing,
}

const CALL = {
  context: undefined,
  traceparent: undefined,
  showsContent: false,
  startAttempt: () => ATTEMPT,
  linkTo: nothing,
  retryScheduled: nothing,
  stopped: nothing,
  reaskSent: nothing,
  fallbackSelected: nothing,
  breakerChanged: nothing,
  keptBack: nothing,
  multipliedRetries: nothing,
  callRepeated: nothing,
  repaired: nothing,
  end: nothing,
}
