/** The meaning of a piece of text, which a terminal may show as a colour. */
export type Style = 'good' | 'bad' | 'wait' | 'note' | 'dim' | 'bold'

/** Adds markup to a piece of text, or returns it unchanged. */
export type Paint = (style: Style, text: string) => string

/** Without colours. */
export const plainPaint: Paint = (_style, text) => text

/** With ANSI colours. */
export const colourPaint: Paint = (style, text) => {
  if (text === '') return ''
  const [on, off] = COLOURS[style]
  return `\u001B[${on}m${text}\u001B[${off}m`
}

// Green, red, yellow, cyan, faint and bold, each with the code that ends it: ECMA-48, SGR.
const COLOURS: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  good: [32, 39],
  bad: [31, 39],
  wait: [33, 39],
  note: [36, 39],
  dim: [2, 22],
  bold: [1, 22],
}
