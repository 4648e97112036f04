import { readItems, readProperty, readText } from './hostile.ts'

/** What an error body says, whatever shape it came in. */
export interface Envelope {
  /** Every text found, joined and lower-cased for matching. */
  readonly text: string
  /** The texts as they came, for hints and their numbers. */
  readonly message: string
  /** Codes and types, lower-cased, the most telling first. */
  readonly codes: readonly string[]
  /** The provider's own code as it wrote it; its type where there is no code. */
  readonly code?: string
  /** An HTTP status written into the body, as 'code': 429 or "429". */
  readonly status?: number
  /** JSON with an `error` member: an LLM provider speaks, not a proxy before it. */
  readonly fromProvider: boolean
  /** The parsed JSON body, where it was JSON. */
  readonly json?: unknown
}

/**
 * Reads an error body: `{error: {…}}`, `{error: '…'}`, a bare object, `{detail}`, `{errors: […]}`,
 * `{message}`, an array of these, JSON inside a string, plain text, HTML, or nothing. Only the
 * fields named below are read, never an echo of the request beside them.
 */
export function readEnvelope(body: unknown): Envelope {
  const found: Found = { texts: [], codes: [], types: [], fromProvider: false, left: MAX_VALUES }
  visit(body, found, 0)
  const message = found.texts.join('\n').slice(0, MAX_TEXT_LENGTH)
  const code = [...found.codes, ...found.types].find((candidate) => SAFE_CODE.test(candidate))
  return {
    text: message.toLowerCase(),
    message,
    codes: [...found.codes, ...found.types].map((candidate) => candidate.toLowerCase()),
    fromProvider: found.fromProvider,
    ...(code !== undefined && { code }),
    ...(found.status !== undefined && { status: found.status }),
    ...(found.json !== undefined && { json: found.json }),
  }
}

interface Found {
  readonly texts: string[]
  readonly codes: string[]
  readonly types: string[]
  status?: number
  fromProvider: boolean
  json?: unknown
  /** Values that may still be visited: a body nested a thousand times costs no more than others. */
  left: number
}

const MAX_VALUES = 64
const MAX_DEPTH = 6
const MAX_TEXT_LENGTH = 4_096
const MAX_CODE_LENGTH = 100
const MAX_JSON_LENGTH = 256 * 1024

// A code ends up in reports and spans; free text, which may quote a prompt, must not.
const SAFE_CODE = /^[\w.:-]+$/

// The first is seen on auth, rate, billing and capacity errors alike; the second names the envelope.
const UNTELLING_TYPES = ['invalid_request_error', 'error']

const CODE_FIELDS = ['code', 'error_code', 'statusCode', 'status']
const TEXT_FIELDS = ['message', 'msg', 'detail', 'error_description', 'title']
const NESTED_FIELDS = ['error', 'errors', 'innererror', 'inner_error']

function visit(value: unknown, found: Found, depth: number): void {
  if (depth > MAX_DEPTH || found.left-- <= 0) return
  if (typeof value === 'string') {
    visitText(value, found, depth)
    return
  }
  if (typeof value !== 'object' || value === null) return
  found.json ??= value
  const items = readItems(value, 10)
  for (const item of items) visit(item, found, depth + 1)
  if (items.length > 0) return
  visitObject(value, found, depth)
}

function visitText(text: string, found: Found, depth: number): void {
  const parsed = parseObject(text)
  if (parsed === undefined) found.texts.push(text.slice(0, MAX_TEXT_LENGTH))
  else visit(parsed, found, depth + 1)
}

function visitObject(value: object, found: Found, depth: number): void {
  for (const field of CODE_FIELDS) addCode(readProperty(value, field), found)
  const type = readText(value, 'type', MAX_CODE_LENGTH)
  if (type !== undefined && !UNTELLING_TYPES.includes(type)) found.types.push(type)
  for (const field of TEXT_FIELDS) visit(readProperty(value, field), found, depth + 1)
  for (const field of NESTED_FIELDS) {
    const nested = readProperty(value, field)
    if (field === 'error' && isTelling(nested)) found.fromProvider = true
    visit(nested, found, depth + 1)
  }
  // A router quotes the provider behind it here.
  visit(readProperty(readProperty(value, 'metadata'), 'raw'), found, depth + 1)
}

/** False for `error: null`, `''`, `false` and `{}`, which some providers send with a good answer. */
export function isTelling(error: unknown): boolean {
  if (typeof error === 'string') return error !== ''
  if (typeof error !== 'object' || error === null) return error === true
  try {
    return Object.keys(error).length > 0
  } catch {
    // a proxy that refuses to be read
    return false
  }
}

function addCode(code: unknown, found: Found): void {
  const text = typeof code === 'number' ? String(code) : code
  if (typeof text !== 'string' || text === '') return
  if (/^[45]\d\d$/.test(text)) found.status ??= Number(text)
  else if (text.length <= MAX_CODE_LENGTH) found.codes.push(text)
}

/** The object or array that this text is the JSON of, or undefined. */
export function parseObject(text: string): unknown {
  if (text.length > MAX_JSON_LENGTH || !/^\s*[[{]/.test(text)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
