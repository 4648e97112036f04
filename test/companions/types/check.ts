// Compiles what is published as projects do, with four TypeScripts and without skipLibCheck.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'

const COMPILERS = ['ts54', 'ts59', 'ts6', 'ts7']
const NODENEXT = ['--module', 'nodenext', '--moduleResolution', 'nodenext']
const BUNDLERS = [
  ['--module', 'esnext', '--moduleResolution', 'bundler'],
  ['--module', 'preserve', '--moduleResolution', 'bundler'],
]
const COMMON = ['--noEmit', '--strict', '--target', 'es2022', '--skipLibCheck', 'false']
const NODE = ['--types', 'node', '--lib', 'es2023']

/** An error: where, and what, with the lines that explain it. */
interface Complaint {
  readonly file: string
  readonly line: number
  readonly text: string
}

function compile(compiler: string, options: readonly string[], files: readonly string[]) {
  const tsc = `node_modules/${compiler}/bin/tsc`
  const run = spawnSync(process.execPath, [tsc, ...COMMON, ...options, ...files], {
    encoding: 'utf8',
  })
  const { stdout, status, signal } = run
  const found = [...stdout.matchAll(/^(\S+?)\((\d+),\d+\): (error [^\n]*(?:\n +[^\n]*)*)/gm)]
  const all: Complaint[] = found.map(([, file = '', line, text = '']) => {
    return { file, line: Number(line), text }
  })
  // A compiler that was ended, or says what is not read here, has judged nothing.
  const unread = status !== 0 && all.length === 0
  return unread ? [{ file: 'tsc', line: 0, text: `${signal ?? status}: ${stdout}` }] : all
}

let failures = 0

/** Errors in a package that is not ours are that package's; all others count. */
function check(compiler: string, options: readonly string[], ...files: readonly string[]): void {
  const all = compile(compiler, options, files)
  const isTheirs = ({ file }: Complaint) =>
    file.includes('node_modules/') && !file.includes('node_modules/steadycall/')
  const ours = all.filter((one) => !isTheirs(one))
  const wrong = [
    ...ours
      .filter(({ file }) => file !== REFUSED)
      .map(({ file, line, text }) => `${file}:${line} ${text}`),
    ...(files.includes(REFUSED) ? refusals(ours.filter(({ file }) => file === REFUSED)) : []),
  ]
  if (wrong.length > 0) failures += 1
  const theirs = all.length - ours.length
  const others = theirs === 0 ? '' : ` (${theirs} errors of other packages' own)`
  const what = `${files.join(', ')} by ${compiler} ${options.join(' ')}`
  console.log(`${wrong.length === 0 ? 'as expected' : 'FAILS'}: ${what}${others}`)
  for (const line of wrong) console.log(`  ${line}`)
}

const REFUSED = 'bad.ts'

/** Exactly the lines that are marked are errors, and each tells the way out. */
function refusals(complaints: readonly Complaint[]): string[] {
  const marked = readFileSync(REFUSED, 'utf8')
    .split('\n')
    .flatMap((line, index) => (line.endsWith('// refused') ? [index + 1] : []))
  const lines = complaints.map(({ line }) => line)
  const silent = complaints.filter(({ text }) => !/gives no JSON Schema|SchemaInput/.test(text))
  const library = complaints.filter(({ text }) => text.includes('gives no JSON Schema. zod: use'))
  return [
    ...lines.filter((line) => !marked.includes(line)).map((line) => `line ${line} is an error`),
    ...marked.filter((line) => !lines.includes(line)).map((line) => `line ${line} is accepted`),
    ...silent.map(({ line, text }) => `line ${line} does not say why: ${text}`),
    ...(library.length < marked.length - 1 ? ['the way out is not told for every library'] : []),
  ]
}

for (const compiler of COMPILERS) {
  check(compiler, [...NODE, ...NODENEXT], 'good.ts', 'heavy.ts', REFUSED)
  check(compiler, [...NODE, ...NODENEXT, '--exactOptionalPropertyTypes', 'true'], 'good.ts')
  for (const bundler of BUNDLERS) check(compiler, [...NODE, ...bundler], 'good.ts')
}

// Without @types/node, and without what comes with it: the library of a browser is there by default.
mkdirSync('away', { recursive: true })
for (const name of ['@types', 'undici-types']) {
  if (existsSync(`node_modules/${name}`)) renameSync(`node_modules/${name}`, `away/${name}`)
}
for (const compiler of COMPILERS) {
  for (const setting of [NODENEXT, ...BUNDLERS]) check(compiler, setting, 'bare.ts')
}

for (const file of ['good.ts', 'heavy.ts', 'bad.ts']) {
  try {
    process.stdout.write(execFileSync(process.execPath, [file], { encoding: 'utf8' }))
  } catch (error) {
    failures += 1
    console.log(error instanceof Error ? error.message : error)
  }
}
if (failures > 0) {
  console.log(`${failures} failed`)
  process.exitCode = 1
}
