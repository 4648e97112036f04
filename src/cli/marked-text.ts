import type { MarkedText } from '../output/read-candidate.ts'
import { type Paint, plainPaint } from '../report/timeline.ts'

/**
 * The text with each edit marked: `[-what was there-]{+what was read+}`, or in colours, each edit followed by
 * its name.
 */
export function withMarks({ source, changes }: MarkedText, paint: Paint): string {
  const pieces: string[] = []
  let at = 0
  for (const { edit, from, to, text } of changes) {
    // Two changes of one place: the first shows it.
    if (from < at) continue
    const { start, end, put } = differenceOf(source.slice(from, to), text)
    pieces.push(harmless(source.slice(at, from + start)))
    pieces.push(marked(harmless(source.slice(from + start, to - end)), harmless(put), edit, paint))
    pieces.push(harmless(source.slice(to - end, to)))
    at = to
  }
  pieces.push(harmless(source.slice(at)))
  return pieces.join('')
}

/** A terminal obeys control characters; all but line breaks and tabs are shown as pictures of themselves. */
function harmless(text: string): string {
  return text.replace(CONTROLS, (control) => {
    const code = control.charCodeAt(0)
    return code < 32 ? String.fromCharCode(0x2400 + code) : '\u2421'
  })
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not reach a terminal.
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g

/** What differs: the length of the common start and end, and what stands between them now. */
function differenceOf(was: string, is: string) {
  const least = Math.min(was.length, is.length)
  let start = 0
  while (start < least && was[start] === is[start]) start += 1
  let end = 0
  while (end < least - start && was.at(-1 - end) === is.at(-1 - end)) end += 1
  return { start, end, put: is.slice(start, is.length - end) }
}

function marked(was: string, put: string, edit: string, paint: Paint): string {
  if (paint !== plainPaint)
    return paint('bad', was) + paint('good', put) + paint('dim', `«${edit}»`)
  return `${was === '' ? '' : `[-${was}-]`}${put === '' ? '' : `{+${put}+}`}`
}
