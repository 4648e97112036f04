// Compiles what is published as projects do, with four TypeScripts and without skipLibCheck.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'

const COMPILERS = ['ts54', 'ts59', 'ts6', 'ts7']
const NODENEXT = ['--module', 'nodenext', '--moduleResolution', 'nodenext']
const RESOLUTIONS = [
  NODENEXT,
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

function compile(compiler: string, options: readonly string[], file: string): Complaint[] {
  const tsc = `node_modules/${compiler}/bin/tsc`
  const { stdout } = spawnSync(process.execPath, [tsc, ...COMMON, ...options, file], {
    encoding: 'utf8',
  })
  const found = [...stdout.matchAll(/^(\S+?)\((\d+),\d+\): (error [^\n]*(?:\n +[^\n]*)*)/gm)]
  const all = found.map(([, at = '', line, text = '']) => ({ file: at, line: Number(line), text }))
  const unread = /error TS\d+/.test(stdout) && all.length === 0
  return unread ? [{ file: 'tsc', line: 0, text: stdout }] : all
}

let failures = 0

function report(what: string, wrong: readonly string[], theirs = 0): void {
  if (wrong.length > 0) failures += 1
  const others = theirs === 0 ? '' : ` (${theirs} errors of other packages' own)`
  console.log(`${wrong.length === 0 ? 'compiles' : 'FAILS'}: ${what}${others}`)
  for (const line of wrong) console.log(`  ${line}`)
}

/** Errors in a package that is not ours are that package's; all others count. */
function check(compiler: string, options: readonly string[], file: string): void {
  const all = compile(compiler, options, file)
  const isTheirs = ({ file: at }: Complaint) =>
    at.includes('node_modules/') && !at.includes('node_modules/steadycall/')
  const ours = all.filter((one) => !isTheirs(one))
  const wrong = ours.map(({ file: at, line, text }) => `${at}:${line} ${text}`)
  report(`${file} by ${compiler} ${options.join(' ')}`, wrong, all.length - ours.length)
}

/** Exactly the lines that are marked are errors, and each tells the way out. */
function checkRefused(compiler: string, options: readonly string[]): void {
  const marked = readFileSync('bad.ts', 'utf8')
    .split('\n')
    .flatMap((line, index) => (line.endsWith('// refused') ? [index + 1] : []))
  const complaints = compile(compiler, options, 'bad.ts').filter(({ file }) => file === 'bad.ts')
  const lines = complaints.map(({ line }) => line)
  const unmarked = lines.filter((line) => !marked.includes(line))
  const accepted = marked.filter((line) => !lines.includes(line))
  const silent = complaints.filter(({ text }) => !/gives no JSON Schema|SchemaInput/.test(text))
  const library = complaints.filter(({ text }) => text.includes('gives no JSON Schema. zod: use'))
  const wrong = [
    ...unmarked.map((line) => `bad.ts:${line} is an error, and should not be`),
    ...accepted.map((line) => `bad.ts:${line} is accepted`),
    ...silent.map(({ line, text }) => `bad.ts:${line} does not say why: ${text}`),
    ...(library.length < marked.length - 1 ? ['the way out is not told for every library'] : []),
  ]
  report(`bad.ts refused by ${compiler} ${options.join(' ')}`, wrong)
}

for (const compiler of COMPILERS) {
  for (const resolution of RESOLUTIONS) check(compiler, [...NODE, ...resolution], 'good.ts')
  check(compiler, [...NODE, ...NODENEXT, '--exactOptionalPropertyTypes', 'true'], 'good.ts')
  checkRefused(compiler, [...NODE, ...NODENEXT])
  check(compiler, [...NODE, ...NODENEXT], 'heavy.ts')
}

// Without @types/node, and without what comes with it: the library of a browser is there by default.
mkdirSync('away', { recursive: true })
for (const name of ['@types', 'undici-types']) {
  if (existsSync(`node_modules/${name}`)) renameSync(`node_modules/${name}`, `away/${name}`)
}
for (const compiler of COMPILERS) {
  for (const resolution of RESOLUTIONS) check(compiler, resolution, 'bare.ts')
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
