/** What is known of a quote inside a string that could be content, or end the string. */
export interface QuotePlace {
  readonly mark: string
  /** The characters before and behind it; `''` at the start of the string and at the end of the text. */
  readonly before: string
  readonly behind: string
  /** The text behind it, white space included: up to 60 characters. */
  readonly rest: string
  /** The content since the quote before it, or since the start of the string. */
  readonly segment: string
  /** The character before the quote that begins the segment, white space aside. */
  readonly opener: string
  /** Whether the only inner quote before it is the first character of the content. */
  readonly start: boolean
  /** 1 inside an inner quotation, otherwise 0. */
  readonly depth: 0 | 1
  /** How many inner quotes came before. */
  readonly inner: number
  /** Whether a brace is open in the content, so that members may follow. */
  readonly inBraces: boolean
  readonly isKey: boolean
  readonly inList: boolean
}

export interface QuoteCost {
  readonly cost: number
  readonly depth: 0 | 1
}

/** A price beyond what a stretch may cost: the reading is out. */
const OUT = 3

/**
 * What it costs to read a quote as content. A quotation opens behind a blank or a bracket and closes before
 * one; a quote behind which the structure goes on is the string's end. A quote by itself says nothing, so
 * these prices are heuristics; they are compared with each other, and the rest of the text decides.
 */
export function contentCost(place: QuotePlace): QuoteCost {
  const { mark, before, behind, rest, depth, inner, isKey, inList, segment, opener } = place
  if (mark === "'" && isLetter(before) && isLetter(behind)) return { cost: 0.02, depth }
  const extra =
    (isKey ? (/[:,]/.test(segment) ? 3 : 1) : 0) +
    (inList && /^\s*,/.test(rest) ? 2.6 : 0) +
    (inList && /,\s*$/.test(segment) ? 1.5 : 0) +
    (MEMBER.test(segment) ? 1.5 : 0) +
    (LAST.test(rest) ? 1.5 : 0) +
    (/^\s*,\s*[\p{L}_$][\p{L}\p{N}_$-]{0,60}\s*:/u.test(rest) ? 2 : 0) +
    (inList && isKeyOf(place) ? OUT : 0) +
    (inner > 0 && /^\s*:/.test(rest) && opener !== '{' && !place.inBraces ? 1.5 : 0)
  const { cost, depth: after } = byOrientation(
    place,
    opensAt(before, behind),
    closesAt(before, behind),
  )
  const isEnd = depth === 0 && /^[\s\]}]*,\s*["'{,]/.test(rest)
  return { cost: (isEnd ? OUT : cost) + extra, depth: after }
}

/** `["5\" disk": 1]`: the quote ends a key, or a string behind which a comma became a colon. */
function isKeyOf({ rest, inner, opener, inBraces }: QuotePlace): boolean {
  return inner === 0 && opener !== '{' && !inBraces && VALUE_BEHIND.test(rest)
}

const VALUE_BEHIND = /^\s*:\s*(?:["'{[]|-?\d|(?:true|false|null|True|False|None)\b)/

// What stands before a value that begins with this quote.
const MEMBER = /,\s*["'`]?[\p{L}\p{N}_$-]{1,60}["'`]?\s*[:=]\s*$/u

// Only closing brackets to the end of the text: the quote is the last string's end.
const LAST = /^\s*[}\]][\s}\]]{0,40}$/

function opensAt(before: string, behind: string): boolean {
  const isBefore = before === '' || /[\s([{<>=:,;/\-—*_`‘“]/.test(before)
  return isBefore && behind !== '' && !/[\s.,;:!?)\]}]/.test(behind)
}

function closesAt(before: string, behind: string): boolean {
  return before !== '' && !/\s/.test(before) && (behind === '' || !/[\p{L}\p{N}]/u.test(behind))
}

function byOrientation(place: QuotePlace, opens: boolean, closes: boolean): QuoteCost {
  const { before, depth, inner } = place
  const again = inner >= 2 ? 0.1 : undefined
  if (opens === closes || before === "'") return { cost: 0.8, depth: depth === 0 ? 1 : 0 }
  if (opens) return depth === 0 ? { cost: again ?? 0.6, depth: 1 } : { cost: 1, depth: 1 }
  if (depth === 1) return { cost: again ?? 0.4, depth: 0 }
  return { cost: unopened(place), depth: 0 }
}

/** A quotation that closes without having been opened: `"x" or "z"` is code. */
function unopened({ mark, before, behind, rest, segment }: QuotePlace): number {
  const isStructure = /^\s*[,:}\]]/.test(rest)
  if (/\d/.test(before) && !/^\s*(?:[:}\]]|,\s*["'{])/.test(rest)) return 1.3
  if (mark === "'" && before === 's' && /\s/.test(behind) && !isStructure) return 1.3
  if (/[„“][^”“"]{0,200}$/.test(segment)) return 0.5
  return OUT
}

/** What it costs to end the string at this quote, with what was read as content before. */
export function endCost(place: QuotePlace): number {
  const { depth, inner, inList, before, segment, start, isKey } = place
  if (isKey && inner > 0 && /[:,{}[\]]/.test(segment)) return OUT
  if (inner === 0 || depth === 0) return 0
  if (inner === 1 && start) return OUT
  const inBlank = inList && /\s/.test(before) ? 2.7 : 0
  return 1 + inBlank + (inner >= 3 ? 1 : 0) + (segment === '' ? 1 : 0)
}

/**
 * `"x""` and `" "x"`: whether one of the two quotes at an end of the string is too many. It is not if the content
 * has another quote that it belongs to, or if it is an inch mark.
 */
export function hasDoubledQuote(content: string, inner: number): boolean {
  const end = content.slice(-MAX_END)
  const isAtEnd = RAW_END.test(end) && !INCHES.test(end)
  if (!isAtEnd && !/^\s*"/.test(content)) return false
  const all = content.match(/"/g)?.length ?? 0
  const isFirst = content.startsWith('"')
  if (isFirst && inner === 1 && ONLY_INCHES.test(content)) return true
  if (!isAtEnd) return (isFirst ? all : inner) % 2 === 1
  return all % 2 === 1 || (inner === 1 && !OPENED.test(content))
}

const MAX_END = 40
const RAW_END = /(?:^|[^\\])(?:\\\\)*"\s*$/
const INCHES = /[\p{L}:,] \d{1,3}(?:\.\d)?"$/u

// `""5\" disk"`: the escaped quote closes nothing.
const ONLY_INCHES = /^"(?:[^"\\]*\d\\")+[^"\\]+$/

// An escaped quote that opens a quotation.
const OPENED = /(?:^|[\s([{<>=:,;/\-—*_`‘“])\\"[^\s.,;:!?)\]}"\\]/

/** Content that looks like what stands between two strings: inside and outside were taken for each other. */
export function phaseCost(content: string): number {
  if (content.trim().length < 2) return 0
  if (/^\s*[,:\]}]/.test(content.slice(0, 40)) || /[,:[{]\s*$/.test(content.slice(-40))) return 1.5
  if (/^(?:""|'')|(?:""|'')$/.test(content)) return 1.5
  if (closesMore(content)) return 1
  if (
    /[}\]]\s{0,40},\s{0,40}(?:[{[]|["'`]?[\p{L}_$][\p{L}\p{N}_$-]{0,60}["'`]?\s{0,9}:)/u.test(
      content.slice(0, 4_000),
    )
  ) {
    return 1.5
  }
  if (LINE_OF_LIST.test(content.slice(0, 4_000))) return 1
  return /\n\s{0,40}[}\]],?\s{0,40}\n/.test(content.slice(0, 4_000)) ? OUT : 0
}

// A comma at the end of a line, a comment behind it aside.
const LINE_OF_LIST = /,[ \t]{0,20}(?:\/\/[^\n]{0,200}|#[^\n]{0,200})?\n/

/** Whether more brackets are closed than opened. */
export function closesMore(content: string): boolean {
  let square = 0
  let curly = 0
  for (const mark of content.slice(0, 4_000)) {
    if (mark === '[') square += 1
    else if (mark === ']') square -= 1
    else if (mark === '{') curly += 1
    else if (mark === '}') curly -= 1
    if (square < 0 || curly < 0) return true
  }
  return false
}

function isLetter(character: string): boolean {
  return /\p{L}/u.test(character)
}
