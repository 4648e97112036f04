type Cell = string | number

/** A Markdown table; the first column is text, the others are numbers. */
export function table(titles: readonly Cell[], rows: readonly (readonly Cell[])[]): string {
  const line = (cells: readonly Cell[]) => `| ${cells.join(' | ')} |\n`
  const rule = titles.map((_, index) => (index === 0 ? '---' : '---:'))
  return line(titles) + line(rule) + rows.map(line).join('')
}
