import { type EscapedContent, looseEscapes } from './escapes.ts'
import { withInnerQuotesEscaped } from './inner-quotes.ts'
import { KEYWORDS, type SyntaxRepair, withJsonrepair } from './jsonrepair.ts'
import type { RepairRule } from './repair-rules.ts'
import { insideOf, type Token, tokenAt, valueMayFollow } from './scan.ts'
import type { Resting, Work } from './work.ts'

/**
 * Turns a text with complete brackets but invalid syntax into JSON: first by rules that allow only one
 * reading, then by `jsonrepair`, whose result is accepted only if it keeps every character of the content.
 * Refuses a text in which content was left out.
 */
export function* repairSyntax(text: string, work: Work): Resting<SyntaxRepair> {
  const tokens = yield* tokensOf(text, work)
  const read =
    tokens === undefined
      ? refused('a string or a comment does not end')
      : yield* oneReading(text, tokens, work)
  if (read?.ok === true) return read
  if (tokens !== undefined && (yield* hasSum(text, tokens, work)))
    return refused('a value is an expression')
  const quoted = yield* withInnerQuotesEscaped(text, work)
  if (quoted !== undefined) return { ok: true, text: quoted, rules: ['guess-quotes'] }
  return read ?? withJsonrepair(text, tokens ?? [], work)
}

/** Applies only rules that allow one reading; undefined if these do not suffice. */
function* oneReading(
  text: string,
  tokens: readonly Token[],
  work: Work,
): Resting<SyntaxRepair | undefined> {
  if (yield* someToken(tokens, work, (token) => leavesOut(text, token))) {
    return refused('content is left out with an ellipsis')
  }
  if (yield* hasGap(text, tokens, work)) return refused('a value is left out')
  if (yield* someToken(tokens, work, (token) => hasPlaceholder(text, token))) {
    return refused('a template holds a placeholder')
  }
  for (const token of tokens) {
    if (yield* breaksEscape(text, token, work)) return refused('an escape sequence is broken')
  }
  return yield* written(text, tokens, work)
}

function* written(
  text: string,
  tokens: readonly Token[],
  work: Work,
): Resting<SyntaxRepair | undefined> {
  const writer = new Writer(text)
  for (const token of tokens) {
    const isString = token.kind === 'string'
    const inside = isString ? insideOf(text.slice(token.start, token.end)) : ''
    const content = isString ? yield* looseEscapes(inside, work) : undefined
    if (!writer.take(token, content)) return undefined
    if (work.did(1)) yield
  }
  return writer.done ? { ok: true, text: writer.text, rules: writer.rules } : undefined
}

function* someToken(
  tokens: readonly Token[],
  work: Work,
  isFound: (token: Token) => boolean,
): Resting<boolean> {
  for (const token of tokens) {
    if (isFound(token)) return true
    if (work.did(1)) yield
  }
  return false
}

function refused(message: string): SyntaxRepair {
  return { ok: false, message }
}

function* tokensOf(text: string, work: Work): Resting<readonly Token[] | undefined> {
  const tokens: Token[] = []
  let valueMayStart = true
  for (let at = 0; at < text.length; ) {
    const token = tokenAt(text, at, valueMayStart)
    if (!token.closed) return undefined
    valueMayStart = valueMayFollow(text, at, token.kind, valueMayStart)
    tokens.push(token)
    if (work.did(1 + (token.end - at) / CHARS_A_STEP)) yield
    at = token.end
  }
  return tokens
}

const CHARS_A_STEP = 16

// "// ... 40 more rows", "/* rest omitted */", [1, 2, ...]: the model left something out.
function leavesOut(text: string, { kind, start, end }: Token): boolean {
  if (kind === 'word') return ELLIPSIS.test(text.slice(start, end))
  return kind === 'comment' && OMISSION.test(text.slice(start, end))
}

// [1,,2] and {"a":,}: jsonrepair would close the gap, or fill it with null.
function* hasGap(text: string, tokens: readonly Token[], work: Work): Resting<boolean> {
  let before = ''
  for (const { kind, start, end } of tokens) {
    if (work.did(1)) yield
    if (kind === 'space' || kind === 'comment') continue
    const mark = kind === 'punctuation' ? text.slice(start, end) : ''
    if (mark === ',' && GAP_BEFORE.has(before)) return true
    if (before === ':' && (mark === '}' || mark === ']')) return true
    before = mark
  }
  return false
}

// "Dear " + name: not a string with quotes in it, but a string and a variable of unknown value.
function* hasSum(text: string, tokens: readonly Token[], work: Work): Resting<boolean> {
  let before: Token['kind'] = 'punctuation'
  for (const { kind, start, end } of tokens) {
    if (work.did(1)) yield
    if (kind === 'space' || kind === 'comment') continue
    if (kind === 'word' && before === 'string' && text.slice(start, end) === '+') return true
    before = kind
  }
  return false
}

const GAP_BEFORE: ReadonlySet<string> = new Set([',', ':', '{', '['])

// A line continuation as in a shell, a literal backslash, or a damaged escape.
function* breaksEscape(text: string, { kind, start, end }: Token, work: Work): Resting<boolean> {
  if (work.did(1)) yield
  if (kind !== 'string') return false
  for (const [escaped] of text.slice(start, end).matchAll(ESCAPED)) {
    if (TORN.test(escaped)) return true
    if (work.did(1)) yield
  }
  return false
}

// \u00e lost a digit; \users and \underline have a literal backslash.
const ESCAPED = /\\(?:u\d[0-9a-fA-F]{0,3}|[\s\S])/g
const TORN = /[\r\n]$|^\\u\d[0-9a-fA-F]{0,2}$/

// `Dear ${name}`: the value of the name is unknown.
function hasPlaceholder(text: string, { kind, start, end }: Token): boolean {
  return kind === 'string' && text[start] === '`' && text.slice(start, end).includes('${')
}

const ELLIPSIS = /\.\.\.|…/
const OMISSION = /\.\.\.|…|\b(?:omitted|remaining|rest|more|etc|continues?|truncated|similar)\b/i

/** Writes tokens as JSON; gives up at the first one that allows two readings. */
class Writer {
  readonly #source: string
  readonly #out: string[] = []
  readonly #stack: string[] = []
  #expects: 'value' | 'key' | 'colon' | 'separator' | 'nothing' = 'value'
  /** Whether a closing bracket may come: in an empty container, or after a trailing comma. */
  #mayClose = false
  #comma = false
  #lineBreak = false
  #last: Token['kind'] | 'plus' = 'space'
  #backslash = false

  constructor(source: string) {
    this.#source = source
  }

  get done(): boolean {
    return this.#expects === 'nothing'
  }

  get text(): string {
    return this.#out.join('')
  }

  get rules(): readonly RepairRule[] {
    return this.#backslash ? ['fix-syntax', 'keep-backslash'] : ['fix-syntax']
  }

  /** False if the token does not fit. `content` is the content of a string token. */
  take({ kind, start, end }: Token, content: EscapedContent | undefined): boolean {
    const raw = this.#source.slice(start, end)
    if (kind === 'space' || kind === 'comment') {
      this.#lineBreak ||= raw.includes('\n')
      return true
    }
    const string = content === undefined ? undefined : this.#string(content)
    if (this.#last === 'plus') return string !== undefined && this.#add(string)
    if (raw === '+' && this.#last === 'string' && this.#expects === 'separator') {
      this.#last = 'plus'
      return true
    }
    const mark = kind === 'word' ? this.#markFor(raw) : undefined
    const taken =
      kind === 'punctuation' || mark !== undefined
        ? this.#punctuation(mark ?? raw)
        : this.#scalar(string, raw)
    this.#lineBreak = false
    this.#last = mark === undefined ? kind : 'punctuation'
    return taken
  }

  /** "one " + "two": concatenates two string literals. */
  #add(string: string): boolean {
    const before = this.#out.pop() ?? ''
    // Pushed as two pieces, so that a long concatenation does not copy its beginning repeatedly.
    this.#out.push(before.slice(0, -1), string.slice(1))
    this.#last = 'string'
    return true
  }

  /** `name = "Ada"`, `"name" => "Ada"`, `; "age": 36`: signs in places where only a colon or comma can stand. */
  #markFor(word: string): string | undefined {
    if (this.#expects === 'colon' && (word === '=' || word === '=>')) return ':'
    return this.#expects === 'separator' && word === ';' ? ',' : undefined
  }

  #punctuation(mark: string): boolean {
    switch (mark) {
      case '{':
      case '[':
        return this.#open(mark)
      case ',':
        if (this.#expects !== 'separator') return false
        this.#comma = true
        this.#mayClose = true
        this.#expects = this.#inObject ? 'key' : 'value'
        return true
      case ':':
        if (this.#expects !== 'colon') return false
        this.#out.push(':')
        this.#expects = 'value'
        return true
      default:
        return this.#close(mark)
    }
  }

  #open(bracket: string): boolean {
    // [{…} {…}]: between two brackets only a comma can be missing.
    if (this.#expects === 'separator' && !this.#inObject && this.#last !== 'word')
      this.#missingComma()
    if (this.#expects !== 'value') return false
    this.#write(bracket)
    this.#stack.push(bracket)
    this.#expects = bracket === '{' ? 'key' : 'value'
    this.#mayClose = true
    return true
  }

  #close(bracket: string): boolean {
    if (this.#stack.at(-1) !== (bracket === '}' ? '{' : '[')) return false
    if (this.#expects !== 'separator' && !this.#mayClose) return false
    this.#stack.pop()
    this.#comma = false
    this.#out.push(bracket)
    this.#afterValue()
    return true
  }

  #scalar(string: string | undefined, raw: string): boolean {
    // Two strings, not one with quotes in it: shown by a line break, or by the colon that must follow a key.
    if (this.#expects === 'separator' && string !== undefined && this.#last !== 'word') {
      if (this.#inObject || this.#lineBreak) this.#missingComma()
    }
    if (this.#expects !== 'value' && this.#expects !== 'key') return false
    const isKey = this.#expects === 'key'
    const json = string ?? wordAsJson(raw, isKey)
    if (json === undefined) return false
    this.#write(json)
    if (isKey) this.#expects = 'colon'
    else this.#afterValue()
    this.#mayClose = false
    return true
  }

  #string(content: EscapedContent): string {
    this.#backslash ||= content.keptBackslash
    return `"${content.json}"`
  }

  #missingComma(): void {
    this.#comma = true
    this.#expects = this.#inObject ? 'key' : 'value'
  }

  #write(json: string): void {
    if (this.#comma) this.#out.push(',')
    this.#comma = false
    this.#out.push(json)
  }

  #afterValue(): void {
    this.#expects = this.#stack.length === 0 ? 'nothing' : 'separator'
    this.#mayClose = false
  }

  get #inObject(): boolean {
    return this.#stack.at(-1) === '{'
  }
}

function wordAsJson(word: string, isKey: boolean): string | undefined {
  if (isKey) return /^[A-Za-z_$][\w$-]*$/.test(word) ? JSON.stringify(word) : undefined
  return KEYWORDS.get(word) ?? (JSON_NUMBER.test(word) ? word : undefined)
}

/** The grammar of a number in RFC 8259, section 6. */
export const JSON_NUMBER: RegExp = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/
