import type { Random } from './random.ts'

export type TokenKind = 'open' | 'close' | 'comma' | 'colon' | 'key' | 'string' | 'number' | 'word'

/** A part of a text, with the blanks in front of it. */
export interface Token {
  readonly kind: TokenKind
  readonly gap: string
  readonly text: string
  /** The content of a string or key. */
  readonly content?: string
  /** What it stands in; a bracket is in its own container. */
  readonly inside: 'object' | 'list' | 'root'
}

/** How a value is written down. JSON's own way where nothing else is said. */
export interface Style {
  readonly string?: (content: string) => string
  readonly key?: (content: string) => string
  readonly word?: (value: boolean | null) => string
  readonly trailingComma?: boolean
  readonly layout?: Layout
}

export type Layout = 'compact' | 'spaced' | 'indented'

export function randomLayout(random: Random): Layout {
  return random.pick(['compact', 'spaced', 'indented'])
}

export const asText = (tokens: readonly Token[]): string =>
  tokens.map(({ gap, text }) => gap + text).join('')

export function write(value: unknown, layout: Layout, style: Style = {}): Token[] {
  const tokens: Token[] = []
  new Writer(tokens, layout, style).value(value, '', 0, 'root')
  return tokens
}

class Writer {
  readonly #tokens: Token[]
  readonly #layout: Layout
  readonly #style: Style

  constructor(tokens: Token[], layout: Layout, style: Style) {
    this.#tokens = tokens
    this.#layout = layout
    this.#style = style
  }

  value(value: unknown, gap: string, depth: number, inside: Token['inside']): void {
    if (typeof value === 'string') {
      const text = (this.#style.string ?? JSON.stringify)(value)
      this.#tokens.push({ kind: 'string', gap, text, content: value, inside })
    } else if (typeof value === 'number') {
      this.#tokens.push({ kind: 'number', gap, text: String(value), inside })
    } else if (typeof value === 'boolean' || value === null) {
      this.#tokens.push({ kind: 'word', gap, text: (this.#style.word ?? String)(value), inside })
    } else if (Array.isArray(value)) {
      this.#container(value, gap, depth, 'list', (element, before) =>
        this.value(element, before, depth + 1, 'list'),
      )
    } else {
      const members = Object.entries(value as object)
      this.#container(members, gap, depth, 'object', ([key, member], before) =>
        this.#member(key, member, before, depth + 1),
      )
    }
  }

  #member(key: string, member: unknown, gap: string, depth: number): void {
    const text = (this.#style.key ?? this.#style.string ?? JSON.stringify)(key)
    this.#tokens.push(
      { kind: 'key', gap, text, content: key, inside: 'object' },
      { kind: 'colon', gap: '', text: ':', inside: 'object' },
    )
    this.value(member, this.#layout === 'compact' ? '' : ' ', depth, 'object')
  }

  #container<T>(
    parts: readonly T[],
    gap: string,
    depth: number,
    inside: 'object' | 'list',
    writePart: (part: T, gap: string) => void,
  ): void {
    const [open, close] = inside === 'object' ? ['{', '}'] : ['[', ']']
    this.#tokens.push({ kind: 'open', gap, text: open ?? '', inside })
    for (const [index, part] of parts.entries()) {
      writePart(part, this.#between(index, depth + 1))
      if (index < parts.length - 1 || this.#style.trailingComma === true) {
        this.#tokens.push({ kind: 'comma', gap: '', text: ',', inside })
      }
    }
    const last = this.#layout === 'indented' && parts.length > 0 ? lineBreak(depth) : ''
    this.#tokens.push({ kind: 'close', gap: last, text: close ?? '', inside })
  }

  #between(index: number, depth: number): string {
    if (this.#layout === 'indented') return lineBreak(depth)
    return this.#layout === 'spaced' && index > 0 ? ' ' : ''
  }
}

const lineBreak = (depth: number) => `\n${'  '.repeat(depth)}`
