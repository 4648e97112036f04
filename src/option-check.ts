/**
 * How options are checked: a table of names, each with what it accepts, and one way to refuse the
 * rest. For the tables beside the faces; knows no option itself.
 */

export function checkPresent<Name extends string>(
  where: string,
  options: unknown,
  checks: Readonly<Record<Name, Check>>,
  names: readonly Name[],
): void {
  for (const name of names) {
    if (Reflect.get(Object(options), name) === undefined) {
      throw new TypeError(`${where}: ${name} is missing; it must be ${checks[name].allowed}`)
    }
  }
}

export interface Check {
  readonly allowed: string
  accepts(value: unknown): boolean
  /** What was given instead, where the value itself is not to be shown. */
  got?(value: unknown): string
}

/** One of `options`' own names per row of `checks`, and nothing else. */
export function checkOptions(
  where: string,
  options: unknown,
  checks: Readonly<Record<string, Check>>,
): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(`${where}: options must be an object, got ${show(options)}`)
  }
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (check === undefined) {
      throw new TypeError(`${where}: unknown option ${show(name)}${nearest(name, checks)}`)
    }
    if (value !== undefined) checkOption(where, name, value, check)
  }
}

export function checkOption(where: string, name: string, value: unknown, check: Check): void {
  if (check.accepts(value)) return
  const got = check.got?.(value) ?? show(value)
  throw new TypeError(`${where}: ${name} must be ${check.allowed}, got ${got}`)
}

// Longer than any timer of a process: about 31 years.
export const MAX_DURATION_MS = 1e12

export const duration: Check = {
  allowed: 'a positive number of milliseconds',
  accepts: (value) => typeof value === 'number' && value > 0 && value <= MAX_DURATION_MS,
}

export function integer(from: number, to: number): Check {
  return {
    allowed: `an integer from ${from} to ${to}`,
    accepts: (value) => Number.isInteger(value) && Number(value) >= from && Number(value) <= to,
  }
}

export function oneOf(...values: readonly unknown[]): Check {
  return {
    allowed: values.map((value) => show(value)).join(' or '),
    accepts: (value) => values.includes(value),
  }
}

/** A name, a key or a secret: hashed as UTF-8, which has no halves of characters. */
export function text(maxLength: number): Check {
  return {
    allowed: `a string of 1 to ${maxLength} characters`,
    accepts: (value) =>
      typeof value === 'string' &&
      value.length > 0 &&
      value.length <= maxLength &&
      isWellFormed(value),
    got(value) {
      if (typeof value !== 'string' || isWellFormed(value)) return show(value)
      return 'one with a lone surrogate: half a character, as a cut through an emoji leaves it'
    },
  }
}

/** No lone surrogate in it. */
function isWellFormed(value: string): boolean {
  return !/\p{Surrogate}/u.test(value)
}

export function objectWith(described: string, ...methods: readonly string[]): Check {
  return {
    allowed: described,
    accepts: (value) =>
      typeof value === 'object' &&
      value !== null &&
      methods.every((method) => typeof Reflect.get(value, method) === 'function'),
  }
}

/** Accepts what the option's own reader accepts. */
export function readable(read: (options: never) => unknown): (value: unknown) => boolean {
  return (value) => {
    try {
      // Readers check what they are given, whatever its type.
      read(value as never)
      return true
    } catch {
      return false
    }
  }
}

export const aFunction: Check = {
  allowed: 'a function',
  accepts: (value) => typeof value === 'function',
}

export const anything: Check = { allowed: 'anything', accepts: () => true }

// Values of these options are secrets or content; their type is enough to correct them.
export function show(value: unknown): string {
  if (typeof value === 'string')
    return value.length > 40 ? `a string of ${value.length}` : `'${value}'`
  if (typeof value === 'object' && value !== null)
    return Array.isArray(value) ? 'an array' : 'an object'
  if (typeof value === 'function') return 'a function'
  return String(value)
}

/** `; did you mean 'x'?` where one of the names is near. */
function nearest(name: string, checks: Readonly<Record<string, Check>>): string {
  const short = name.slice(0, 40)
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(short.length / 3)) + 1
  for (const known of Object.keys(checks)) {
    const distance = editDistance(short.toLowerCase(), known.toLowerCase())
    if (distance < bestDistance) {
      best = known
      bestDistance = distance
    }
  }
  return best === undefined
    ? `; known are ${Object.keys(checks).join(', ')}`
    : `; did you mean '${best}'?`
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substituted))
    }
    row = next
  }
  return row[b.length] ?? 0
}
