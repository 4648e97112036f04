/**
 * Reports a problem that concerns the operator of the process rather than a caller: as a process warning, or on
 * the console if the runtime does not show process warnings.
 */
export function emitProcessWarning(message: string, code: string): void {
  const emit = globalThis.process?.emitWarning
  // Workers have a `process`, but nothing receives its events.
  if (typeof emit === 'function' && globalThis.navigator?.userAgent !== 'Cloudflare-Workers') {
    emit(message, { type: 'SteadycallWarning', code })
    return
  }
  // biome-ignore lint/suspicious/noConsole: in Workers the log of the console is all that an operator sees
  globalThis.console?.warn(`${code}: ${message}`)
}
