import type { RepairRule } from './repair-rules.ts'
import { matchAt, tokenAt, valueMayFollow } from './scan.ts'
import type { Resting, Work } from './work.ts'

/** A piece of the answer that may be the requested JSON. */
export interface Candidate {
  readonly text: string
  /** False if the text ends before all brackets are closed. */
  readonly closed: boolean
  /** Whether the text ends inside a string. */
  readonly insideString: boolean
}

export interface Extraction {
  /** In the order of the text, without repetitions. Only the last one can be unclosed. */
  readonly candidates: readonly Candidate[]
  /** What was removed to find them. */
  readonly rules: readonly RepairRule[]
  /** The text around them, trimmed of white space and invisible characters. */
  readonly prose: string
  /** True if a string continued after its apparent end, so that no candidate can be trusted. */
  readonly torn: boolean
  /** True if there were more than `MAX_CANDIDATES`. */
  readonly overflow: boolean
}

export const MAX_CANDIDATES = 50

/**
 * Finds possible JSON in a model's answer, outside reasoning blocks and inside any code fences, tags and
 * prose. One pass in linear time. Brackets, fences and tags inside a JSON string are ignored.
 */
export function* extract(text: string, work: Work): Resting<Extraction> {
  const found = new Findings()
  let at = 0
  while (at < text.length) {
    MARKER.lastIndex = at
    const next = MARKER.exec(text)?.index ?? text.length
    found.prose(text.slice(at, next))
    at = next < text.length ? yield* stepAt(text, next, found, work) : next
    if (work.did(STEPS_A_MARKER)) yield
  }
  return found.result()
}

// Several patterns are tried at each marker.
const STEPS_A_MARKER = 10

// Every construct other than prose starts with one of these characters.
const MARKER = /[<{[`~◁]/g

/** Consumes the construct that starts at a marker; returns its end. */
function* stepAt(text: string, at: number, found: Findings, work: Work): Resting<number> {
  const reasoning = reasoningEnd(text, at, found)
  if (reasoning !== undefined) return reasoning
  if (looksLikeJson(text, at)) {
    const candidate = yield* candidateAt(text, at, work)
    found.add(candidate)
    const end = at + candidate.text.length
    // {"a":"x"}"}: the string contains a quote and a bracket, and did not end where it seemed to.
    if (candidate.closed && text[end] === '"' && text[at - 1] !== '"') found.torn()
    return end
  }
  const fence = matchAt(FENCE, text, at)
  if (fence > at) {
    found.rule('strip-fence')
    return fence
  }
  const tag = matchAt(TAG, text, at)
  if (tag > at) {
    found.rule('strip-tags')
    return tag
  }
  const run = Math.max(matchAt(RUN, text, at), at + 1)
  found.prose(text.slice(at, run))
  return run
}

const FENCE = /(?:`{3,}|~{3,})[\w+-]*/y
const TAG = /<(?:!\[CDATA\[|[/|]?[A-Za-z_][^<>{}[\]]{0,200}>)/y
// An object cannot start with another object, so only the last of several braces may open one.
const RUN = /`+|~+|\{+(?=\{)/y

/** The marks of reasoning blocks. A block that is never closed extends to the end of the text. */
const REASONING: readonly Block[] = [
  ...['think', 'thinking', 'thought', 'reasoning', 'reflection', 'scratchpad'].map((name) =>
    blockOf(`<${name}(?:\\s[^<>]{0,200})?>`, `</${name}>`),
  ),
  // Mistral's Magistral
  blockOf('\\[THINK\\]', '\\[/THINK\\]'),
  // Moonshot's Kimi
  blockOf('◁think▷', '◁/think▷'),
  // OpenAI's Harmony format; its closing mark is also used for other blocks.
  { ...blockOf('<\\|channel\\|>analysis<\\|message\\|>', '<\\|end\\|>'), close: undefined },
]

// The common prefixes of all marks: a cheap test that rejects most positions.
const ANY_MARK = /<\/?[trs]|<\||\[\/?T|◁/iy

interface Block {
  readonly open: RegExp
  /** Without an opening mark, it means that everything before it is reasoning. */
  readonly close: RegExp | undefined
  /** Finds either mark; the first group is the closing one. */
  readonly marks: RegExp
}

function blockOf(open: string, close: string): Block {
  return {
    open: new RegExp(open, 'iy'),
    close: new RegExp(close, 'iy'),
    marks: new RegExp(`(${close})|${open}`, 'gi'),
  }
}

function reasoningEnd(text: string, at: number, found: Findings): number | undefined {
  if (matchAt(ANY_MARK, text, at) === at) return undefined
  for (const { open, close, marks } of REASONING) {
    const inside = matchAt(open, text, at)
    if (inside > at) {
      found.rule('strip-reasoning')
      return endOf(marks, text, inside)
    }
    const after = close === undefined ? at : matchAt(close, text, at)
    if (after > at) {
      // The opening mark was part of the prompt, so everything so far is reasoning.
      found.forget()
      return after
    }
  }
  return undefined
}

/** Counts nested blocks, so that text inside the outer block is not mistaken for the answer. */
function endOf(marks: RegExp, text: string, from: number): number {
  let depth = 1
  marks.lastIndex = from
  for (let mark = marks.exec(text); mark !== null; mark = marks.exec(text)) {
    depth += mark[1] === undefined ? 1 : -1
    if (depth === 0) return marks.lastIndex
  }
  return text.length
}

// Prose is full of brackets: [see below], [TODO], { x | x > 0 }. The text after the bracket has to look
// like JSON, or something close to it.
function looksLikeJson(text: string, at: number): boolean {
  if (text[at] === '{') return OBJECT_START.test(text.slice(at, at + PEEK))
  return text[at] === '[' && ARRAY_START.test(text.slice(at, at + PEEK))
}

const PEEK = 200
const OBJECT_START = /^\{[\s\u200b-\u200d\u2060\ufeff]*(?:["'`“‘}]|\/[/*]|#|[\w$][\w$-]*\s*:|$)/
const ARRAY_START =
  /^\[[\s\u200b-\u200d\u2060\ufeff]*(?:["'`“‘{[\]]|\/[/*]|#|-?\d|(?:true|false|null|True|False|None)\b|$)/

/** Reads from an opening bracket to the matching closing one. */
function* candidateAt(text: string, start: number, work: Work): Resting<Candidate> {
  const open: string[] = []
  let valueMayStart = true
  for (let at = start; at < text.length; ) {
    const { kind, end, closed } = tokenAt(text, at, valueMayStart)
    if (!closed) return unclosed(text.slice(start), kind === 'string')
    // The code fence around the JSON closes before the JSON does.
    if (kind === 'word' && text.startsWith('```', at)) return unclosed(text.slice(start, at), false)
    const state = kind === 'punctuation' ? afterMark(open, text.charAt(at)) : 'open'
    // The end of broken JSON is unknown. A later object may be part of it, so the rest is taken as a whole.
    if (state === 'broken') return whole(text.slice(start))
    if (state === 'closed') return whole(text.slice(start, end))
    valueMayStart = valueMayFollow(text, at, kind, valueMayStart)
    if (work.did(1 + (end - at) / CHARS_A_STEP)) yield
    at = end
  }
  return unclosed(text.slice(start), false)
}

const CHARS_A_STEP = 16

/** Updates the stack of expected closing brackets. */
function afterMark(open: string[], mark: string): 'open' | 'broken' | 'closed' {
  if (mark === '{') open.push('}')
  else if (mark === '[') open.push(']')
  else if (mark === '}' || mark === ']') {
    if (open.pop() !== mark) return 'broken'
    if (open.length === 0) return 'closed'
  }
  return 'open'
}

function whole(text: string): Candidate {
  return { text, closed: true, insideString: false }
}

function unclosed(text: string, insideString: boolean): Candidate {
  return { text: text.replace(TRAILING_FENCE, ''), closed: false, insideString }
}

const TRAILING_FENCE = /\n(?:`{3,}|~{3,})$/

/**
 * Joins consecutive objects, with nothing between them, into an array. Undefined if an object was
 * repeated: only one copy was kept, so it is unknown how many elements were meant.
 */
export function listOf({ candidates, rules, prose }: Extraction): Candidate | undefined {
  const isObjects = candidates.every(({ text, closed }) => closed && text.startsWith('{'))
  if (!isObjects || candidates.length < 2 || prose !== '') return undefined
  if (rules.includes('collapse-duplicates')) return undefined
  return whole(`[${candidates.map(({ text }) => text).join(',')}]`)
}

class Findings {
  readonly #candidates = new Map<string, Candidate>()
  readonly #rules = new Set<RepairRule>()
  #prose: string[] = []
  #overflow = false
  #torn = false

  torn(): void {
    this.#torn = true
  }

  prose(text: string): void {
    if (text !== '') this.#prose.push(text)
  }

  rule(rule: RepairRule): void {
    this.#rules.add(rule)
  }

  add(candidate: Candidate): void {
    const known = this.#candidates.has(candidate.text)
    if (known) this.#rules.add('collapse-duplicates')
    else if (this.#candidates.size < MAX_CANDIDATES) this.#candidates.set(candidate.text, candidate)
    else this.#overflow = true
  }

  forget(): void {
    this.#candidates.clear()
    this.#prose = []
    this.#overflow = false
    this.#torn = false
    this.#rules.clear()
    this.#rules.add('strip-reasoning')
  }

  result(): Extraction {
    const all = this.#prose.join('')
    const visible = all.replace(INVISIBLE, '')
    if (visible.length < all.length) this.#rules.add('strip-invisible')
    const rest = visible.trim()
    const candidates = [...this.#candidates.values()]
    if (candidates.length > 0 && rest !== '') this.#rules.add('strip-prose')
    // No brackets at all: a bare number or string, possibly in a code fence or after reasoning.
    if (candidates.length === 0 && rest !== '') {
      candidates.push({ text: rest, closed: true, insideString: false })
    }
    return {
      candidates,
      rules: [...this.#rules],
      prose: rest,
      torn: this.#torn,
      overflow: this.#overflow,
    }
  }
}

const INVISIBLE = /[\u200b-\u200d\u2060\ufeff]/g
