/**
 * How options are checked: a table of names, each with what it accepts, and one way to refuse the
 * rest. Knows no option itself.
 */

/**
 * One option: its type, what is allowed, and its default where that is one value for every call.
 * `in out`: a row of `'a' | 'b'` that accepts only `'a'` does not compile.
 */
export interface Row<in out Value> extends OptionCheck {
  readonly default?: Value
}

export interface DefaultedRow<in out Value> extends Row<Value> {
  readonly default: Value
}

/** The options that some rows stand for, with the docstrings of the rows. */
export type ValuesOf<Rows> = {
  readonly [Name in keyof Rows]?: Rows[Name] extends Row<infer Value> ? Value : never
}

/** The other way round: a row for each option of an interface that belongs to another room. */
export type RowsOf<Options> = {
  readonly [Name in keyof Options]-?: Row<Exclude<Options[Name], undefined>>
}

/** The options that some rows stand for, with their defaults filled in. */
export type ResolvedOf<Rows> = {
  readonly [Name in keyof Rows]: Rows[Name] extends DefaultedRow<infer Value>
    ? Value
    : Rows[Name] extends Row<infer Value>
      ? Value | undefined
      : never
}

export function checkPresent<Name extends string>(
  where: string,
  options: unknown,
  checks: Readonly<Record<Name, OptionCheck>>,
  names: readonly Name[],
): void {
  for (const name of names) {
    if (Reflect.get(Object(options), name) === undefined) {
      throw new TypeError(`${where}: ${name} is missing; it must be ${checks[name].allowed}`)
    }
  }
}

export type Checks = Readonly<Record<string, OptionCheck>>

export interface OptionCheck {
  readonly allowed: string
  accepts(value: unknown): boolean
  /** What was given instead, where the value must not be shown or says too little. */
  got?(value: unknown): string
  /** The options in an object (or list) of options; undefined where `accepts` has to judge it as a whole. */
  within?(value: object): Checks | undefined
}

/** One of `options`' own names per row of `checks`, and nothing else. */
export function checkOptions(where: string, options: unknown, checks: Checks): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(`${where}: options must be an object, got ${show(options)}`)
  }
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (check === undefined) {
      const others = didYouMean(name, checks) ?? `known ${listed(Object.keys(checks))}`
      throw new TypeError(`${where}: unknown option ${show(name)}; ${others}`)
    }
    if (value !== undefined) checkOption(where, name, value, check)
  }
}

export function checkOption(where: string, name: string, value: unknown, check: OptionCheck): void {
  const wrong = wrongWith(name, value, check)
  if (wrong !== undefined) throw new TypeError(`${where}: ${wrong}`)
}

/** What is wrong with an option, or first within it, in words. */
function wrongWith(path: string, value: unknown, check: OptionCheck): string | undefined {
  const inside =
    typeof value === 'object' && value !== null ? wrongWithin(path, value, check) : undefined
  if (inside !== undefined || check.accepts(value)) return inside
  return `${path} must be ${check.allowed}, got ${check.got?.(value) ?? show(value)}`
}

function wrongWithin(path: string, value: object, { within }: OptionCheck): string | undefined {
  const checks = within?.(value)
  if (checks === undefined) return undefined
  for (const [name, given] of Object.entries(value)) {
    if (!Object.hasOwn(checks, name))
      return unknownWithin(pathOf(path, value, name), name, given, checks)
  }
  // In their own order: some depend on those before them.
  for (const [name, check] of Object.entries(checks)) {
    const given: unknown = Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined
    const wrong =
      given === undefined ? undefined : wrongWith(pathOf(path, value, name), given, check)
    if (wrong !== undefined) return wrong
  }
  return undefined
}

function pathOf(path: string, value: object, name: string): string {
  return Array.isArray(value) ? `${path}[${name}]` : `${path}.${shortened(name)}`
}

function unknownWithin(path: string, name: string, value: unknown, checks: Checks): string {
  // An unknown name may be a secret in the wrong place.
  const got = typeof value === 'string' ? `a string of ${value.length}` : show(value)
  const near = didYouMean(name, checks)
  const known = `known ${listed(Object.keys(checks))}`
  return `unknown option '${path}', got ${got}; ${near === undefined ? known : `${near} (${known})`}`
}

// A key that stands where its name should is not repeated whole.
function shortened(name: string): string {
  return name.length > 40 ? `(a name of ${name.length})` : name
}

/** `is a`, `are a and b`, `are a, b, c` */
function listed(names: readonly string[]): string {
  if (names.length === 1) return `is ${names[0]}`
  return `are ${names.join(names.length === 2 ? ' and ' : ', ')}`
}

// Longer than any timer of a process: about 31 years.
export const MAX_DURATION_MS = 1e12

export const duration: Row<number> = {
  allowed: 'a positive number of milliseconds',
  accepts: (value) => typeof value === 'number' && value > 0 && value <= MAX_DURATION_MS,
}

export function integer(from: number, to: number = Number.MAX_SAFE_INTEGER): Row<number> {
  return {
    allowed: `an integer from ${from}${to === Number.MAX_SAFE_INTEGER ? '' : ` to ${to}`}`,
    accepts: (value) => Number.isInteger(value) && Number(value) >= from && Number(value) <= to,
  }
}

export function number(from: number, to: number): Row<number> {
  return {
    allowed: to === Infinity ? `a number from ${from}` : `a number from ${from} to ${to}`,
    accepts: (value) => typeof value === 'number' && value >= from && value <= to,
  }
}

export const trueOrFalse: Row<boolean> = {
  allowed: 'true or false',
  accepts: (value) => typeof value === 'boolean',
}

export function oneOf<const Value>(...values: readonly Value[]): Row<Value> {
  const known: readonly unknown[] = values
  return {
    allowed: values.map((value) => show(value)).join(' or '),
    accepts: (value) => known.includes(value),
  }
}

/** A name, a key or a secret: hashed as UTF-8, which has no halves of characters. */
export function text(maxLength: number): Row<string> {
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

export function objectWith(described: string, ...methods: readonly string[]): OptionCheck {
  const isThere = (value: unknown, method: string) =>
    typeof Reflect.get(Object(value), method) === 'function'
  return {
    allowed: described,
    accepts: (value) =>
      typeof value === 'object' &&
      value !== null &&
      methods.every((method) => isThere(value, method)),
    got(value) {
      if (typeof value === 'function') return `${show(value)}: pass what it returns`
      if (typeof value !== 'object' || value === null) return show(value)
      if (isThere(value, 'then')) return 'a promise: await it first'
      return `${show(value)} without ${methods.find((method) => !isThere(value, method))}()`
    },
  }
}

export const aFunction: OptionCheck = {
  allowed: 'a function',
  accepts: (value) => typeof value === 'function',
}

export const clock: OptionCheck = objectWith(
  'a Clock with wallMs, monotonicMs, schedule',
  'wallMs',
  'monotonicMs',
  'schedule',
)

/** An object of options, as against a list or a value. */
export function isGroup(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The same check for each item, or member. */
export function eachOf(value: object, check: OptionCheck): Checks {
  return Object.fromEntries(Object.keys(value).map((name) => [name, check]))
}

export const json: Row<unknown> = { allowed: 'any JSON value', accepts: () => true }

// Values of these options are secrets or content; their type is enough to correct them.
export function show(value: unknown): string {
  if (typeof value === 'string')
    return value.length > 40 ? `a string of ${value.length}` : `'${value}'`
  if (typeof value === 'object' && value !== null)
    return Array.isArray(value) ? 'an array' : 'an object'
  if (typeof value === 'function') return 'a function'
  return String(value)
}

/** `did you mean 'x'?` where a name is near: one of these, or of the options within one of these. */
function didYouMean(name: string, checks: Checks): string | undefined {
  const near = nearestOf(name, Object.keys(checks)) ?? nearestWithin(name, checks)
  return near === undefined ? undefined : `did you mean '${near}'?`
}

function nearestWithin(name: string, checks: Checks): string | undefined {
  for (const [outer, { within }] of Object.entries(checks)) {
    const near = nearestOf(name, Object.keys(within?.({}) ?? {}))
    if (near !== undefined) return `${outer}.${near}`
  }
  return undefined
}

/** The one of some names that another was meant to be; undefined where none is near. */
export function nearestOf(name: string, names: readonly string[]): string | undefined {
  const short = name.slice(0, 40)
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(short.length / 3)) + 1
  for (const known of names) {
    const distance = isBegun(short, known)
      ? 1
      : editDistance(short.toLowerCase(), known.toLowerCase())
    if (distance < bestDistance) {
      best = known
      bestDistance = distance
    }
  }
  return best
}

/** `capture` for `captureContent` */
function isBegun(name: string, known: string): boolean {
  return name.length >= 4 && known.toLowerCase().startsWith(name.toLowerCase())
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
