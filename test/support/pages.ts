import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Of the repository. */
export const root = fileURLToPath(new URL('../../', import.meta.url))

/** A file of the repository. */
export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

/** The rows of the table whose head begins so: the first, or the `nth` of several. */
export function tableAfter(page: string, head: string, nth = 0): readonly (readonly string[])[] {
  const lines = read(page).split('\n')
  const heads = lines.flatMap((line, index) => (line.startsWith(head) ? [index] : []))
  const at = heads[nth]
  if (at === undefined) throw new Error(`${page} has no table ${head}`)
  const body = lines.slice(at + 2)
  const end = body.findIndex((line) => !line.startsWith('|'))
  return body.slice(0, end === -1 ? undefined : end).map(cellsOf)
}

/** The cells of a row of a table. */
export function cellsOf(line: string): string[] {
  return line
    .slice(1, -1)
    .split('|')
    .map((cell) => cell.trim())
}

/** The first column of a table, out of its backticks. */
export function namesIn(page: string, head: string, nth = 0): string[] {
  return tableAfter(page, head, nth).map(([name = '']) => name.replaceAll('`', ''))
}

/** A value as the tables write it. */
export function literal(value: unknown): string {
  if (typeof value === 'number') return value.toLocaleString('en-US').replaceAll(',', '_')
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value)
}

/** What the docstrings of a class or interface say of its members. */
export interface Described {
  /** The first sentence. */
  readonly line: string
  /** What `@default` says. */
  readonly default: string | undefined
  readonly isOptional: boolean
}

/** By the names of the members. Those of a class of rows are optional. */
export function docstringsOf(path: string, owner: string): Readonly<Record<string, Described>> {
  const [, kind, body = ''] =
    new RegExp(`^(?:export )?(class|interface) ${owner}\\b[^\\n]*\\{\\n([^]*?)^\\}`, 'm').exec(
      read(path),
    ) ?? []
  const members = body.matchAll(/\/\*\*([\s\S]*?)\*\/\s+readonly (\w+)(\??):/g)
  return Object.fromEntries(
    [...members].map(([, comment = '', name = '', mark]) => {
      const text = comment.replace(/\n\s*\* ?/g, ' ').replace(/\s+/g, ' ')
      const [said = '', byDefault] = text.split('@default')
      const [sentence = ''] = said.trim().split(/(?<=\.)\s+(?=[A-Z0-9`'(])/)
      return [
        name,
        {
          line: sentence,
          default: byDefault?.trim(),
          isOptional: kind === 'class' || mark === '?',
        },
      ]
    }),
  )
}
