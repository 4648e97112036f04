import { isDeepStrictEqual } from 'node:util'
import { type Case, readCases } from './cases.ts'
import { type Reader, readers } from './readers.ts'

/** What became of all cases under one reader. */
export interface Score {
  /** Of those that can be read: exactly the expected value, another one, none. */
  readonly exact: readonly Case[]
  readonly wrong: readonly Case[]
  readonly refused: readonly Case[]
  /** Of those that must be refused. */
  readonly rightlyRefused: readonly Case[]
  readonly wronglyAccepted: readonly Case[]
}

export function score(cases: readonly Case[], read: Reader): Score {
  const all = { exact: [], wrong: [], refused: [], rightlyRefused: [], wronglyAccepted: [] }
  const found: Record<keyof Score, Case[]> = all
  for (const one of cases) found[verdict(one, read)].push(one)
  return found
}

function verdict({ text, schema, finishReason, expect }: Case, read: Reader): keyof Score {
  const result = read(text, schema, finishReason)
  if ('refused' in expect) return result === undefined ? 'rightlyRefused' : 'wronglyAccepted'
  if (result === undefined) return 'refused'
  return isDeepStrictEqual(plain(result.value), plain(expect.value)) ? 'exact' : 'wrong'
}

/** As JSON has it: without prototypes, and -0 as 0. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

function table(cases: readonly Case[]): string {
  const rows = Object.entries(readers).map(([name, read]) => {
    const { exact, wrong, refused, rightlyRefused, wronglyAccepted } = score(cases, read)
    const readable = exact.length + wrong.length + refused.length
    const share = ((100 * exact.length) / readable).toFixed(1)
    return [
      name,
      `${exact.length} (${share} %)`,
      wrong.length,
      refused.length,
      rightlyRefused.length,
      wronglyAccepted.length,
    ]
  })
  const titles = ['', 'exact', 'wrong', 'refused', 'rightly refused', 'wrongly accepted']
  return [titles, ['---', ...titles.slice(1).map(() => '---:')], ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}

if (import.meta.main) {
  const cases = readCases()
  process.stdout.write(`${cases.length} answers\n\n${table(cases)}\n`)
  const { wrong, refused, wronglyAccepted } = score(cases, readers['steadycall'] as Reader)
  for (const [what, list] of Object.entries({ wrong, refused, wronglyAccepted })) {
    for (const { name, why } of list) process.stdout.write(`\n${what}: ${name}\n  ${why}\n`)
  }
}
