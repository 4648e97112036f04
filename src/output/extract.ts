import { matchAt } from './escapes.ts'
import { isSpent } from './parser/bounds.ts'
import { type Outcome, TextParser } from './parser/parser.ts'
import { Source } from './parser/source.ts'
import type { RepairRule } from './repair-rules.ts'
import type { Resting, Work } from './work.ts'

/** A piece of the answer that may be the requested JSON, and what the parser made of it. */
export interface Candidate {
  readonly text: string
  readonly parser: TextParser
  readonly outcome: Outcome
  /** Whether the parser read another text than the answer, in which its offsets mean nothing. */
  readonly isRewritten?: boolean
}

/** What candidates are read for. */
export interface Reading {
  /** The JSON Schema that guides the parser; undefined without one. */
  readonly schema: unknown
  readonly work: Work
  /** Whether lists of words without quotes are looked for too. */
  readonly lists?: boolean
}

export interface Extraction {
  /** In the order of the text, without repetitions. Only the last one can be cut off. */
  readonly candidates: readonly Candidate[]
  /** What was removed to find them. */
  readonly rules: readonly RepairRule[]
  /** The text around them, trimmed of white space and invisible characters. */
  readonly prose: string
  /** The same if nothing was dropped within it, otherwise empty. */
  readonly alone: string
  /** True if there were more than `MAX_CANDIDATES`. */
  readonly overflow: boolean
}

export const MAX_CANDIDATES = 50

/**
 * Finds possible JSON in a model's answer, outside reasoning blocks and inside any code fences, tags and
 * prose. One pass in linear time. Brackets, fences and tags inside a JSON string are ignored.
 */
export function* extract(text: string, reading: Reading): Resting<Extraction> {
  const found = new Findings()
  const source = new Source()
  source.append(text)
  source.ended = true
  const piece = { ...reading, source }
  let at = 0
  while (at < text.length) {
    MARKER.lastIndex = at
    const next = MARKER.exec(text)?.index ?? text.length
    found.prose(text.slice(at, next))
    at = next < text.length ? yield* stepAt(text, next, found, piece) : next
    if (reading.work.did(STEPS_A_MARKER)) yield
  }
  return found.result()
}

// Several patterns are tried at each marker.
const STEPS_A_MARKER = 10

// Every construct other than prose starts with one of these characters.
const MARKER = /[<{[`~◁]/g

/** Consumes the construct that starts at a marker; returns its end. */
function* stepAt(text: string, at: number, found: Findings, reading: Piece): Resting<number> {
  const reasoning = reasoningEnd(text, at, found)
  if (reasoning !== undefined) return reasoning
  // With too many candidates the text is refused, unless a reasoning block turns out to end behind them.
  if (isSpent(reading.work.reading, text.length)) found.overflow = true
  if (!found.overflow && looksLikeJson(text, at, reading)) {
    const { candidate, end, isInner } = yield* candidateAt(text, at, reading)
    found.add(candidate, text.slice(Math.max(0, at - MAX_MEMBER), at))
    if (isInner) found.allAreParts()
    return end
  }
  const fence = matchAt(FENCE, text, at)
  if (fence > at) {
    found.dropped('strip-fence')
    return fence
  }
  const tag = matchAt(TAG, text, at)
  if (tag > at) {
    found.dropped('strip-tags')
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
      found.dropped('strip-reasoning')
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
function looksLikeJson(text: string, at: number, { lists }: Reading): boolean {
  const start = text.slice(at, at + PEEK)
  if (text[at] === '{') return OBJECT_START.test(start)
  return text[at] === '[' && (ARRAY_START.test(start) || (lists === true && BARE_START.test(start)))
}

const PEEK = 200
const OBJECT_START =
  /^\{[\s\u180e\u200b-\u200d\u2060\ufeff]*(?:["'`“”‘}]|,\s*["'\w]|\/[/*]|#|[\p{L}\p{N}_$][\p{L}\p{N}_$-]{0,80}["'´]?\s*:|[\w$][\w$ -]{0,80}"\s*:|$)/u
const ARRAY_START =
  /^\[[\s\u180e\u200b-\u200d\u2060\ufeff]*(?:["'`“”‘{[\](]|\/[/*]|#|[-+]?\.?\d|(?:true|false|null|none)\b|[^[\]{}"'\n]{1,80}"\s*[,\]]|$)/i
const BARE_START = /^\[\s*[\p{L}\p{N}]/u

/** Lets the parser read from an opening bracket; it says where the value ends. */
function* candidateAt(text: string, start: number, reading: Piece): Resting<FoundPart> {
  const parser = new TextParser(reading.schema, reading.work, start, reading.source)
  const outcome = (yield* parser.read()) ?? NOT_READ
  const spent = reading.work.reading
  spent.pieces += 1
  spent.chars += parser.reached - start
  const end = outcome.kind === 'readings' ? outcome.readings[0]?.end : undefined
  const behind =
    outcome.kind === 'refused' ? yield* balancedEnd(text, start, reading.work) : text.length
  const until = end ?? behind
  const isInner =
    outcome.kind === 'refused' && (yield* closesMore(text, start, until, reading.work))
  return { candidate: { text: text.slice(start, until), parser, outcome }, end: until, isInner }
}

/** The whole text is looked at in one source, which remembers where its quotes are. */
interface Piece extends Reading {
  readonly source: Source
}

interface FoundPart {
  readonly candidate: Candidate
  readonly end: number
  /** Whether a bracket closes in it that was opened before it, or nowhere. */
  readonly isInner: boolean
}

const NOT_READ: Outcome = { kind: 'refused', message: 'expected JSON' }

/** A whole text as one value, without a search for brackets; it may begin behind something else. */
export function* wholeAsCandidate(
  text: string,
  { schema, work }: Reading,
  start = 0,
): Resting<Candidate> {
  const parser = new TextParser(schema, work, start)
  parser.feed(text)
  parser.end()
  return { text: text.slice(start), parser, outcome: (yield* parser.read()) ?? NOT_READ }
}

/**
 * Where to look for the next candidate behind a text that was refused: behind its last bracket, if they
 * match and nothing shows that it goes on. Otherwise a later object may be a part of it, and nothing is
 * looked for.
 */
function* balancedEnd(text: string, start: number, work: Work): Resting<number> {
  const open: string[] = []
  let end = start
  // Where no string ends on its line, each later quote of the line is escaped, and begins none either.
  let noStringBefore = start
  do {
    BRACKET_OR_QUOTE.lastIndex = end
    const mark = BRACKET_OR_QUOTE.exec(text)?.[0]
    if (mark === undefined) return text.length
    let looked = BRACKET_OR_QUOTE.lastIndex - end
    end = BRACKET_OR_QUOTE.lastIndex
    if (mark === '{' || mark === '[') open.push(mark)
    else if (mark !== '"') {
      if (open.pop() !== (mark === '}' ? '{' : '[')) return text.length
    } else if (end > noStringBefore) {
      const to = stringEnd(text, end)
      looked += to - end
      if (text[to] === '"') end = to + 1
      else noStringBefore = to
    }
    if (work.did(1 + looked / CHARS_A_STEP)) yield
  } while (open.length > 0)
  return /^\s*[,:"\]}]/.test(text.slice(end, end + PEEK)) ? text.length : end
}

/**
 * Whether a text that was refused closes a bracket that it does not open: `[{},] [1] ]`. What came before it then
 * belongs together with it. A fence ends the look, and only a bracket behind a value or a comma counts.
 */
function* closesMore(text: string, from: number, to: number, work: Work): Resting<boolean> {
  let depth = 0
  let at = from
  while (at < to) {
    MARKS.lastIndex = at
    const mark = MARKS.exec(text)?.[0]
    if (mark === undefined || mark === FENCE_MARK || MARKS.lastIndex > to) return false
    at = MARKS.lastIndex
    depth += DEPTH_OF[mark] ?? 0
    if (depth < 0 && BEHIND_VALUE.test(text.slice(Math.max(from, at - PEEK), at - 1))) return true
    depth = Math.max(depth, 0)
    if (work.did(1 + mark.length / CHARS_A_STEP)) yield
  }
  return false
}

const FENCE_MARK = '```'
const DEPTH_OF: Readonly<Record<string, number>> = { '{': 1, '[': 1, '}': -1, ']': -1 }
// An open string ends with its line: without that, each of its quotes would be looked at as a beginning.
const MARKS = /"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*"?|[{}[\]]|```/g
const BEHIND_VALUE = /(?:["'\]},\d]|\b(?:true|false|null|True|False|None))\s*$/

const CHARS_A_STEP = 16

const BRACKET_OR_QUOTE = /["{}[\]]/g

/** The index of the quote that ends a string, or of the end of its line. */
function stringEnd(text: string, from: number): number {
  let at = from
  for (let mark = text[at]; mark !== undefined && mark !== '"' && mark !== '\n'; mark = text[at]) {
    at += mark === '\\' && text[at + 1] !== '\n' ? 2 : 1
  }
  return Math.min(at, text.length)
}

class Findings {
  readonly #candidates = new Map<string, Candidate>()
  readonly #rules = new Set<RepairRule>()
  /** The prose in blocks, between which fences and tags stood. */
  #blocks: string[][] = [[]]
  /** Whether there were too many. */
  overflow = false
  /** The candidates before which so many brackets of the prose are open. */
  readonly #depths = new Map<Candidate, number>()
  #depth = 0

  prose(text: string): void {
    if (text === '') return
    this.#blocks.at(-1)?.push(text)
    for (let at = 0; at < text.length; at += 1) {
      const mark = text.charCodeAt(at)
      if (mark === 123 || mark === 91) this.#depth += 1
      else if (mark === 125) this.#close()
      else if (mark === 93) {
        // The end of CDATA.
        if (text.startsWith(']]>', at)) at += 2
        else this.#close()
      }
    }
  }

  /** A bracket closes that opened before a candidate, or nowhere: what is in it is a part of something. */
  #close(): void {
    const opensNowhere = this.#depth === 0
    this.#depth = Math.max(0, this.#depth - 1)
    for (const [candidate, depth] of this.#depths) {
      if (!opensNowhere && depth <= this.#depth) continue
      this.#candidates.set(candidate.text, { ...candidate, outcome: A_PART })
      this.#depths.delete(candidate)
    }
  }

  /** A fence or a tag, which is dropped. */
  dropped(rule: RepairRule): void {
    this.#rules.add(rule)
    this.#blocks.push([])
  }

  /** `before` is the end of the text before the candidate. */
  add(candidate: Candidate, before: string): void {
    const known = this.#candidates.has(candidate.text)
    if (known) this.#rules.add('collapse-duplicates')
    else if (this.#candidates.size < MAX_CANDIDATES) {
      const isMember = this.#depth > 0 && MEMBER_BEFORE.test(before)
      const outcome = isMember ? A_PART : candidate.outcome
      this.#candidates.set(candidate.text, { ...candidate, outcome })
      this.#depths.set(candidate, this.#depth)
    } else this.overflow = true
  }

  /** A bracket closes that none of the text opened: what was found is a part of something. */
  allAreParts(): void {
    for (const candidate of this.#candidates.values()) {
      if (candidate.outcome.kind === 'readings') {
        this.#candidates.set(candidate.text, { ...candidate, outcome: A_PART })
      }
    }
  }

  forget(): void {
    this.#candidates.clear()
    this.#depths.clear()
    this.#depth = 0
    this.#blocks = [[]]
    this.overflow = false
    this.#rules.clear()
    this.#rules.add('strip-reasoning')
  }

  result(): Extraction {
    const all = this.#blocks.map((block) => block.join(''))
    const visible = all.map((block) => block.replace(INVISIBLE, ''))
    if (visible.some((block, index) => block !== all[index])) this.#rules.add('strip-invisible')
    const rest = visible.join('\n').trim()
    const [alone = '', ...others] = visible
      .map((block) => block.trim())
      .filter((block) => block !== '')
    const candidates = [...this.#candidates.values()]
    if (candidates.length > 0 && rest !== '') this.#rules.add('strip-prose')
    return {
      candidates,
      rules: [...this.#rules],
      prose: rest,
      alone: others.length === 0 ? alone : '',
      overflow: this.overflow,
    }
  }
}

const A_PART: Outcome = {
  kind: 'refused',
  message: 'expected JSON, and found a part of something with brackets of its own',
}
const MAX_MEMBER = 300
// {name 986, items: […]: a bracket opens that the parser could not begin with.
const MEMBER_BEFORE = /[{[][^{}[\]]*[:,][^{}[\]]*$/
const INVISIBLE = /[\u200b-\u200d\u2060\ufeff]/g
