// Compiles what is published as projects do, with four TypeScripts and without skipLibCheck.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { text as textOf } from 'node:stream/consumers'

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

/** One run of a compiler. */
interface Compilation {
  readonly compiler: string
  readonly options: readonly string[]
  readonly files: readonly string[]
}

async function compile({ compiler, options, files }: Compilation): Promise<Complaint[]> {
  const tsc = `node_modules/${compiler}/bin/tsc`
  const child = spawn(process.execPath, [tsc, ...COMMON, ...options, ...files], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [stdout, [status, signal]] = await Promise.all([textOf(child.stdout), once(child, 'close')])
  const found = [...stdout.matchAll(/^(\S+?)\((\d+),\d+\): (error [^\n]*(?:\n +[^\n]*)*)/gm)]
  const all: Complaint[] = found.map(([, file = '', line, said = '']) => {
    return { file, line: Number(line), text: said }
  })
  // A compiler that was ended, or says what is not read here, has judged nothing.
  const unread = status !== 0 && all.length === 0
  return unread ? [{ file: 'tsc', line: 0, text: `${signal ?? status}: ${stdout}` }] : all
}

let failures = 0

/** Errors in a package that is not ours are that package's; all others count. */
async function check(compilation: Compilation): Promise<void> {
  const { compiler, options, files } = compilation
  const all = await compile(compilation)
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

/** As many at once as there are cores. */
async function checkAll(compilations: readonly Compilation[]): Promise<void> {
  const left = [...compilations]
  const work = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await check(next)
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
}

await checkAll(
  COMPILERS.flatMap((compiler) => [
    { compiler, options: [...NODE, ...NODENEXT], files: ['good.ts', 'heavy.ts', REFUSED] },
    {
      compiler,
      options: [...NODE, ...NODENEXT, '--exactOptionalPropertyTypes', 'true'],
      files: ['good.ts'],
    },
    ...BUNDLERS.map((bundler) => ({
      compiler,
      options: [...NODE, ...bundler],
      files: ['good.ts'],
    })),
  ]),
)

// Without @types/node, and without what comes with it: the library of a browser is there by default.
mkdirSync('away', { recursive: true })
for (const name of ['@types', 'undici-types']) {
  if (existsSync(`node_modules/${name}`)) renameSync(`node_modules/${name}`, `away/${name}`)
}
await checkAll(
  COMPILERS.flatMap((compiler) =>
    [NODENEXT, ...BUNDLERS].map((options) => ({ compiler, options, files: ['bare.ts'] })),
  ),
)

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
