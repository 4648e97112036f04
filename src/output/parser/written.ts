import { looseEscapes } from '../escapes.ts'
import { childPath } from '../json-value.ts'
import type { RepairRule } from '../repair-rules.ts'
import type { Resting, Work } from '../work.ts'
import type { Configuration, Edit, Frame } from './configuration.ts'
import type { EditName } from './edit-name.ts'
import { EDITS } from './edits.ts'
import { contentOf } from './reach.ts'
import type { Source } from './source.ts'

/** A reading as JSON, and what was changed to get it. */
export interface Written {
  readonly json: string
  readonly changes: readonly Change[]
}

/** One edit: where it was made and what it replaced. */
export interface Change {
  readonly edit: EditName
  readonly rule: RepairRule
  /** A JSON Pointer to the member, with the names of the text. */
  readonly path: string
  readonly from: number
  readonly to: number
  /** What stands there in the JSON. */
  readonly text: string
}

/**
 * Writes a reading as JSON; undefined if a string holds an escape that lost a part. With `isShort`, changes of
 * one rule to one member are listed once.
 */
export function* written(
  { edits, pos }: Pick<Configuration, 'edits' | 'pos'>,
  start: number,
  source: Source,
  work: Work,
  isShort = false,
): Resting<Written | undefined> {
  const { text } = source
  const pieces = new Pieces()
  const changes: Change[] = []
  const paths = new Paths(source)
  let at = start
  let before: Edit | undefined
  for (const edit of inOrder(edits)) {
    pieces.add(text.slice(at, edit.from))
    at = edit.to
    if (work.did(STEPS_AN_EDIT)) yield
    if (edit.name === 'sum' || edit.name === 'adjacent-strings') pieces.join()
    const { json, kept } = isPlain(edit, text)
      ? { json: edit.isString ? `"${edit.text}"` : edit.text, kept: false }
      : yield* quoted(edit, text, work)
    if (json === undefined) return undefined
    pieces.add(json)
    // A string may have been looked at for its escapes, and have none to change.
    if (json === text.slice(edit.from, edit.to)) continue
    // The quotes of a key and of its value, and so on: one change of one member.
    const isSame = before !== undefined && !kept && isOneMember(before, edit)
    before = edit
    if (isSame && isShort) continue
    const rule = kept && edit.name === 'escape' ? 'keep-backslash' : EDITS[edit.name].rule
    const path = paths.of(edit)
    const change = { edit: edit.name, path, from: edit.from, to: edit.to, text: json }
    changes.push({ ...change, rule })
    if (kept && rule !== 'keep-backslash') changes.push({ ...change, rule: 'keep-backslash' })
  }
  pieces.add(text.slice(at, Math.max(at, pos)))
  return { json: pieces.text, changes }
}

const STEPS_AN_EDIT = 15

function inOrder(last: Edit | undefined): readonly Edit[] {
  const edits: Edit[] = []
  for (let edit = last; edit !== undefined; edit = edit.before) edits.push(edit)
  return edits.reverse()
}

function isOneMember(a: Edit, b: Edit): boolean {
  const isSamePlace = a.frame === b.frame && a.index === b.index && a.keyFrom === b.keyFrom
  return isSamePlace && EDITS[a.name].rule === EDITS[b.name].rule
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what has to be escaped.
const SPECIAL = /["\\\u0000-\u001f\u007f-\u009f]/

/** Whether there is nothing to escape. */
function isPlain({ isString, text, from }: Edit, source: string): boolean {
  // A template in backticks may hold a placeholder.
  return !isString || (source.charCodeAt(from) !== BACKTICK && !SPECIAL.test(text))
}

const BACKTICK = 96

/** The content of a string as JSON; `json` is undefined if an escape lost a part. */
function* quoted(
  edit: Edit,
  text: string,
  work: Work,
): Resting<{ readonly json: string | undefined; readonly kept: boolean }> {
  const open = text.charAt(edit.from)
  const content = open === '`' ? edit.text.replaceAll('\\`', '`') : edit.text
  if (open === '`' && content.includes('${')) return { json: undefined, kept: false }
  if (open === '"' && hasTornQuote(content)) return { json: undefined, kept: false }
  if (yield* isTorn(content, work)) return { json: undefined, kept: false }
  const { json, keptBackslash } = yield* looseEscapes(content, work)
  return { json: `"${json}"`, kept: keptBackslash }
}

/** `say \"x\ now` and `5\ disk`: a backslash that lost the quote behind it. */
function hasTornQuote(content: string): boolean {
  if (!content.includes('\\')) return false
  if (/^(?:[^\\]*\d\\\s[^\\]*|\\[,;:.])$/.test(content)) return true
  if (!content.includes('\\"') || !UNKNOWN.test(content)) return false
  return (content.match(/"/g)?.length ?? 0) % 2 === 1
}

const UNKNOWN = /(?<!\\)(?:\\\\)*\\[^"'\\/bfnrtu]/

function* isTorn(content: string, work: Work): Resting<boolean> {
  if (!content.includes('\\')) return false
  for (const [escaped, hex, letter] of content.matchAll(ESCAPED)) {
    if (/[\r\n]$/.test(escaped)) return true
    if (hex !== undefined && hex.length < 4 && !isWord(hex + letter)) return true
    if (work.did(1)) yield
  }
  return false
}

// \u00e lost a digit and \u" all of them; \users and \underline have a literal backslash.
const ESCAPED = /\\(?:u([0-9a-fA-F]{0,4})([A-Za-z]*)|[\s\S])/g

/** Whether letters behind a \u are those of a word, such as users or underline. */
function isWord(letters: string): boolean {
  return /^[a-z]{2,}$/.test(letters) && /[aeiouy]/.test(letters) && !/^[a-f]+$/.test(letters)
}

class Pieces {
  readonly #pieces: string[] = []
  #isJoining = false

  get text(): string {
    return this.#pieces.join('')
  }

  add(piece: string): void {
    if (piece === '') return
    this.#pieces.push(this.#isJoining ? piece.slice(1) : piece)
    this.#isJoining = false
  }

  /** Takes off the closing quote of the string before, and the opening one of the next. */
  join(): void {
    let last = this.#pieces.pop() ?? ''
    while (last.trimEnd() === '' && this.#pieces.length > 0) last = this.#pieces.pop() ?? ''
    // Pushed as a piece of its own, so that a long sum does not copy its beginning again and again.
    this.#pieces.push(last.trimEnd().slice(0, -1))
    this.#isJoining = true
  }
}

/** The paths of members, each container's found once. */
class Paths {
  readonly #known = new Map<Frame, string>()
  readonly #source: Source

  constructor(source: Source) {
    this.#source = source
  }

  of({ frame, index, keyFrom, keyTo }: Edit): string {
    if (frame === undefined) return ''
    const path = this.#ofFrame(frame)
    if (frame.kind !== '{') return index < 0 ? path : `${path}/${index}`
    return keyFrom < 0 ? path : childPath(path, contentOf(this.#source, keyFrom, keyTo))
  }

  #ofFrame(frame: Frame): string {
    const known = this.#known.get(frame)
    if (known !== undefined) return known
    // From the outside in, since a text may be nested deeply.
    const open: Frame[] = []
    for (let one: Frame | undefined = frame; one !== undefined && !this.#known.has(one); ) {
      open.push(one)
      one = one.up
    }
    for (const one of open.reverse()) this.#known.set(one, this.#pathOf(one))
    return this.#known.get(frame) ?? ''
  }

  #pathOf({ up, index, keyFrom, keyTo }: Frame): string {
    if (up === undefined) return ''
    const outer = this.#known.get(up) ?? ''
    return up.kind === '{'
      ? childPath(outer, contentOf(this.#source, keyFrom, keyTo))
      : `${outer}/${index}`
  }
}
