/** What a piece of text means; a terminal may give each a colour. */
export type Style = 'good' | 'bad' | 'wait' | 'note' | 'dim' | 'bold'

/** Marks up a piece of text, or returns it as it is. */
export type Paint = (style: Style, text: string) => string

/** Without colours. */
export const plainPaint: Paint = (_style, text) => text

/** With ANSI colours. */
export const colourPaint: Paint = (style, text) => {
  if (text === '') return ''
  const [on, off] = COLOURS[style]
  return `\u001B[${on}m${text}\u001B[${off}m`
}

// Green, red, yellow, cyan, faint, bold, and what ends each: ECMA-48, SGR.
const COLOURS: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  good: [32, 39],
  bad: [31, 39],
  wait: [33, 39],
  note: [36, 39],
  dim: [2, 22],
  bold: [1, 22],
}
