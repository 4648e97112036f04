/**
 * A singleton of this process, created by whichever copy of this package asks for it first. It is stored on
 * `globalThis` under a registered symbol, because several copies in one process are common. The name of the
 * symbol contains the version of its contents.
 */
export function processWide<T extends object>(name: symbol, create: () => T): T {
  const existing: unknown = Reflect.get(globalThis, name)
  // Safe: only this module sets the symbol, and each symbol has one type of object.
  if (existing instanceof Object) return existing as T
  const object = create()
  Object.defineProperty(globalThis, name, { value: object })
  return object
}

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
