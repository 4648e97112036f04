import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { cyclesIn, longestFunction, readSource, type SourceFile, typesIn } from './source.ts'

/** One number of the table, with where it stood and what it may not exceed. */
export interface Figure {
  readonly what: string
  readonly value: number
  /** On 6b1a497, before the rooms. */
  readonly before: number
  /** Undefined: none was set. */
  readonly goal: number | undefined
  /** It never rises: lowered with what is reached. */
  readonly ceiling: number
}

const FACES = ['create', 'json', 'stream', 'keyed json'] as const
const PAGES = ['call/call.ts', 'retry/loop.ts', 'call/attempt.ts']
/** Rooms that have one door and are read on their own, and leaves. */
const READ_ELSEWHERE = /^(errors|telemetry|options)\//
const LEAVES = new Set(['time.ts', 'without-undefined.ts', 'process-wide.ts'])

export function measure(): readonly Figure[] {
  const files = readSource()
  const paths = FACES.map((face) => executed(face))
  return [
    ...perFace(
      'files that execute',
      paths,
      [50, 58, 52, 70],
      [36, 44, undefined, 55],
      [35, 43, 43, 53],
    ),
    ...perFace(
      'files to open',
      paths.map((path) => toOpen(path, files)),
      [22, 27, 24, 34],
      [16, 22, 20, 30],
      [16, 21, 20, 26],
    ),
    row('longest function of the three pages', longestOf(files), 60, 30, 30),
    row('suspended async functions of a waiting create', suspended(), 11, 6, 6),
    row('import cycles, types included', cyclesIn(files).length, 5, 0, 0),
    row('files in call/', inCall(files).length, 44, 12, 11),
    row('exported types in call/', exportedTypes(inCall(files)), 80, 30, 30),
    row('types named *Attempt*', attemptTypes(files), 15, 6, 5),
    row('type names that stand twice', doubled(files).length, 16, 4, 3),
    row('files that read choices', readersOfChoices(files).length, 6, 2, 2),
    row(
      'lines of src/',
      files.reduce((sum, { lines }) => sum + lines, 0),
      25_900,
      24_000,
      45_600,
    ),
    row('files of src/', files.length, 205, 185, 207),
  ]
}

function row(
  what: string,
  value: number,
  before: number,
  goal: number | undefined,
  ceiling: number,
): Figure {
  return { what, value, before, goal, ceiling }
}

function perFace(
  what: string,
  paths: readonly (readonly string[])[],
  before: readonly number[],
  goal: readonly (number | undefined)[],
  ceiling: readonly number[],
): readonly Figure[] {
  return paths.map(({ length }, at) =>
    row(`${what}: ${FACES[at]}`, length, before[at] ?? 0, goal[at], ceiling[at] ?? 0),
  )
}

/** By V8's coverage, in a process of its own. */
function executed(face: string): readonly string[] {
  const program = fileURLToPath(new URL('call-paths.ts', import.meta.url))
  return JSON.parse(execFileSync(process.execPath, [program, face], { encoding: 'utf8' }))
}

/** Beyond openai's own, in a process of its own. */
function suspended(): number {
  const program = fileURLToPath(new URL('frames.ts', import.meta.url))
  return JSON.parse(execFileSync(process.execPath, [program], { encoding: 'utf8' }))
}

/**
 * Of the files that execute, those that a reader of the way down follows: they call on into others,
 * outside of the rooms that are read on their own.
 */
function toOpen(paths: readonly string[], files: readonly SourceFile[]): readonly string[] {
  const all = new Set(paths)
  const goesOn = (next: string) => all.has(next) && !next.startsWith('errors/') && !LEAVES.has(next)
  return files
    .filter(({ path }) => all.has(path) && !READ_ELSEWHERE.test(path))
    .filter(({ valueImports }) => valueImports.some(goesOn))
    .map(({ path }) => path)
}

function longestOf(files: readonly SourceFile[]): number {
  return Math.max(...files.filter(({ path }) => PAGES.includes(path)).map(longestFunction))
}

function inCall(files: readonly SourceFile[]): readonly SourceFile[] {
  return files.filter(({ path }) => path.startsWith('call/'))
}

function exportedTypes(files: readonly SourceFile[]): number {
  return files.flatMap(typesIn).filter(({ isExported }) => isExported).length
}

function attemptTypes(files: readonly SourceFile[]): number {
  const names = files.flatMap(typesIn).map(({ name }) => name)
  return new Set(names.filter((name) => name.includes('Attempt'))).size
}

function doubled(files: readonly SourceFile[]): readonly string[] {
  const names = files.flatMap(typesIn).map(({ name }) => name)
  return [...new Set(names.filter((name, at) => names.indexOf(name) !== at))]
}

function readersOfChoices(files: readonly SourceFile[]): readonly SourceFile[] {
  return files.filter(
    ({ path, text }) => !/^(errors|testing|cli)\//.test(path) && /\bchoices\b/.test(code(text)),
  )
}

/** Without comments and texts. */
function code(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*|`[^`]*`/g, '')
}
