import type { RepairRule } from './repair-rules.ts'
import { matchAt, tokenAt, valueMayFollow } from './scan.ts'
import type { Resting, Work } from './work.ts'

/** A piece of the answer that may be the JSON asked for. */
export interface Candidate {
  readonly text: string
  /** False when the text ends before its brackets do. */
  readonly closed: boolean
  /** The text ends inside a string. */
  readonly insideString: boolean
}

export interface Extraction {
  /** In the order of the text, each different text once. Only the last can be unclosed. */
  readonly candidates: readonly Candidate[]
  /** What had to be dropped to get at them. */
  readonly rules: readonly RepairRule[]
  /** What stands around them, white space and invisible characters trimmed. */
  readonly prose: string
  /** A string went on after what seemed to be its end: no candidate can be trusted. */
  readonly torn: boolean
  /** There were more than `MAX_CANDIDATES`. */
  readonly overflow: boolean
}

export const MAX_CANDIDATES = 50

/**
 * Finds what may be JSON in a model's answer: outside reasoning blocks, whatever fences, tags and
 * prose are around it. One pass, linear in the length of the text; a bracket inside a JSON string
 * never counts, nor does a fence or a tag.
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

// What begins at a marker is found by trying several expressions.
const STEPS_A_MARKER = 10

// The characters that anything but prose can begin with.
const MARKER = /[<{[`~◁]/g

/** Consumes whatever begins at a marker; returns where it ends. */
function* stepAt(text: string, at: number, found: Findings, work: Work): Resting<number> {
  const reasoning = reasoningEnd(text, at, found)
  if (reasoning !== undefined) return reasoning
  if (looksLikeJson(text, at)) {
    const candidate = yield* candidateAt(text, at, work)
    found.add(candidate)
    const end = at + candidate.text.length
    // {"a":"x"}"}: the string had a quote and brackets in it, and did not end where it seemed to.
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
// An object cannot begin with another: of several braces only the last may open one.
const RUN = /`+|~+|\{+(?=\{)/y

/** Marks of a reasoning block. A block that never closes holds the rest of the text. */
const REASONING: readonly Block[] = [
  ...['think', 'thinking', 'thought', 'reasoning', 'reflection', 'scratchpad'].map((name) =>
    blockOf(`<${name}(?:\\s[^<>]{0,200})?>`, `</${name}>`),
  ),
  // Mistral's Magistral
  blockOf('\\[THINK\\]', '\\[/THINK\\]'),
  // Moonshot's Kimi
  blockOf('◁think▷', '◁/think▷'),
  // OpenAI's Harmony format; its closing mark closes other blocks too.
  { ...blockOf('<\\|channel\\|>analysis<\\|message\\|>', '<\\|end\\|>'), close: undefined },
]

// What all of them begin with: most markers are none of them.
const ANY_MARK = /<\/?[trs]|<\||\[\/?T|◁/iy

interface Block {
  readonly open: RegExp
  /** Alone it says that all before it is reasoning. */
  readonly close: RegExp | undefined
  /** Either, wherever it stands: the closing one is the first group. */
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
      // The opening mark was part of the prompt: all that came before is reasoning.
      found.forget()
      return after
    }
  }
  return undefined
}

/** Blocks within blocks are counted: what only seems to follow the reasoning is no answer. */
function endOf(marks: RegExp, text: string, from: number): number {
  let depth = 1
  marks.lastIndex = from
  for (let mark = marks.exec(text); mark !== null; mark = marks.exec(text)) {
    depth += mark[1] === undefined ? 1 : -1
    if (depth === 0) return marks.lastIndex
  }
  return text.length
}

// Prose is full of brackets: [see below], [TODO], { x | x > 0 }. What follows the bracket must be
// what JSON, or something close to it, has there.
function looksLikeJson(text: string, at: number): boolean {
  if (text[at] === '{') return OBJECT_START.test(text.slice(at, at + PEEK))
  return text[at] === '[' && ARRAY_START.test(text.slice(at, at + PEEK))
}

const PEEK = 200
const OBJECT_START = /^\{[\s\u200b-\u200d\u2060\ufeff]*(?:["'`“‘}]|\/[/*]|#|[\w$][\w$-]*\s*:|$)/
const ARRAY_START =
  /^\[[\s\u200b-\u200d\u2060\ufeff]*(?:["'`“‘{[\]]|\/[/*]|#|-?\d|(?:true|false|null|True|False|None)\b|$)/

/** Reads on from an opening bracket until its own closing one. */
function* candidateAt(text: string, start: number, work: Work): Resting<Candidate> {
  const open: string[] = []
  let valueMayStart = true
  for (let at = start; at < text.length; ) {
    const { kind, end, closed } = tokenAt(text, at, valueMayStart)
    if (!closed) return unclosed(text.slice(start), kind === 'string')
    // The fence around it closes first.
    if (kind === 'word' && text.startsWith('```', at)) return unclosed(text.slice(start, at), false)
    const state = kind === 'punctuation' ? afterMark(open, text.charAt(at)) : 'open'
    // Where a broken one ends is unknown. An object further on may be a part of it, so nothing
    // after it is looked at.
    if (state === 'broken') return whole(text.slice(start))
    if (state === 'closed') return whole(text.slice(start, end))
    valueMayStart = valueMayFollow(text, at, kind, valueMayStart)
    if (work.did(1 + (end - at) / CHARS_A_STEP)) yield
    at = end
  }
  return unclosed(text.slice(start), false)
}

const CHARS_A_STEP = 16

/** Keeps the stack of closing brackets that are due. */
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
 * Objects that stand one after the other with nothing between them, as the list of them. Undefined
 * where one stood there twice: of those only one was kept, and how many were meant is unknown.
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
    // No brackets at all: a number or a string that stands alone, in a fence or after reasoning.
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
