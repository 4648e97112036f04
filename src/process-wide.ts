/**
 * A singleton of this process, created on first use. It is stored on `globalThis` under a registered symbol,
 * so that several copies of this package, which are common, share it. The name of the symbol contains the
 * version of its contents.
 */
export function processWide<T extends object>(name: symbol, create: () => T): T {
  // Safe: only this module sets the symbol, and each symbol has one type of object.
  return (found.get(name) ?? find(name, create)) as T
}

// A cache, because this is called several times per call and global properties are slow to look up.
const found = new Map<symbol, object>()

function find(name: symbol, create: () => object): object {
  const existing: unknown = Reflect.get(globalThis, name)
  const object = existing instanceof Object ? existing : create()
  if (object !== existing) Object.defineProperty(globalThis, name, { value: object })
  found.set(name, object)
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
