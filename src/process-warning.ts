/**
 * Tells the owner of this process something that no caller can be told: a process warning, or a line
 * on the console where nobody shows those.
 */
export function emitProcessWarning(message: string, code: string): void {
  const emit = globalThis.process?.emitWarning
  // The process that Workers have emits events to nobody.
  if (typeof emit === 'function' && globalThis.navigator?.userAgent !== 'Cloudflare-Workers') {
    emit(message, { type: 'SteadycallWarning', code })
    return
  }
  // biome-ignore lint/suspicious/noConsole: in Workers the log of the console is all that an operator sees
  globalThis.console?.warn(`${code}: ${message}`)
}
