import { seeded } from '../../test/support/damage/random.ts'
import { table } from '../markdown.ts'
import type { ParseJson } from './builds.ts'
import { compare } from './compare.ts'

/** Texts of some megabytes, each by a name of one line. */
export type LargeTexts = Readonly<Record<string, () => string>>

const MEGA = 1_000_000
const MAX_BYTES = 16 * 1024 * 1024

/** Damage that loses nothing, in the text of a list of records. */
export function harmless(json: () => string): LargeTexts {
  return {
    'trailing commas': () => json().replaceAll('}', ',}'),
    'single quotes': () => json().replaceAll('"', "'"),
    'bare keys': () => json().replace(/"(\w+)":/g, '$1:'),
    'a comment in each record': () => json().replaceAll('"id"', '/* the key */ "id"'),
    'a fence': () => `\`\`\`json\n${json()}\n\`\`\``,
    'one missing comma': () => json().replace('},{', '}{'),
    'one missing closing quote': () => json().replace('plain",', 'plain,'),
    'one pair of raw quotes': () => json().replace('and plain', 'and "plain"'),
    'a missing comma in each record': () => json().replaceAll(',"price"', '"price"'),
    'a missing closing quote in each record': () => json().replaceAll('plain",', 'plain,'),
    'raw quotes in each record': () => json().replaceAll('and plain', 'and "plain" words'),
  }
}

/** Texts made to keep a reader busy, of 5 MB where the pieces allow it. */
export const HOSTILE_TEXTS: LargeTexts = {
  '`[`, a million times': () => '['.repeat(MEGA),
  '`{"a":`, a million times': () => '{"a":'.repeat(MEGA),
  '`{a `, repeated': () => repeated('{a '),
  '`[x,`, repeated': () => repeated('[x,'),
  '`["a" b `, repeated': () => repeated('["a" b '),
  '`{"a" "a" `, repeated': () => repeated('{"a" "a" '),
  '`"`, 4 MB': () => '"'.repeat(4 * MEGA),
  '`[` and 4 MB of `"`': () => `[${'"'.repeat(4 * MEGA)}`,
  '`[` and two million times `",`': () => `[${'",'.repeat(2 * MEGA)}`,
  "`[` and two million times `',`": () => `[${"',".repeat(2 * MEGA)}`,
  '`"" `, repeated': () => repeated('"" '),
  "`it's `, repeated": () => repeated("it's "),
  '`/*`, repeated': () => repeated('/*'),
  '`\\`, repeated in a string': () => `["${repeated('\\')}`,
  '`<think>`, repeated': () => repeated('<think>'),
  '`{"a":1} `, repeated': () => repeated('{"a":1} '),
  '`[1 `, repeated': () => repeated('[1 '),
  'random punctuation': punctuation,
}

function repeated(piece: string): string {
  return piece.repeat(Math.ceil((5 * MEGA) / piece.length))
}

function punctuation(): string {
  const random = seeded(5)
  const signs = [...'{}[]:,"\'`/\\# \n', ...'a1']
  return `[${Array.from({ length: 5 * MEGA }, () => random.pick(signs)).join('')}`
}

/** Milliseconds for each build, and what became of the text; beside the first build, the factor. */
export function largeTable(
  texts: LargeTexts,
  builds: Readonly<Record<string, ParseJson>>,
  schema: object | undefined,
): string {
  const rows = Object.entries(texts).map(([name, make]) => {
    const text = make()
    const outcomes = Object.keys(builds).map(() => '')
    const works = Object.values(builds).map((parseJson, index) => () => {
      const result = parseJson(text, schema, { maxBytes: MAX_BYTES })
      outcomes[index] = result.ok ? 'read' : result.kind
    })
    const times = compare(text, works, 3)
    process.stderr.write(`    ${name}\n`)
    const cells = outcomes.flatMap((outcome, index) => {
      const [first = NaN, time = NaN] = [times[0], times[index]]
      const factor = index === 0 ? [] : [(first / time).toFixed(2)]
      return [(time / 1_000).toFixed(0), outcome, ...factor]
    })
    return [name, (text.length / MEGA).toFixed(1), ...cells]
  })
  const titles = Object.keys(builds).flatMap((name, index) => [
    `${name}, ms`,
    '',
    ...(index === 0 ? [] : ['this build / that']),
  ])
  return table(['', 'MB', ...titles], rows)
}
