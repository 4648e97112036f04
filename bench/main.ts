import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { installPeers } from './install-peers.ts'
import { machineLine, versionsTable } from './machine.ts'
import { writeResults } from './results.ts'

/** A part of the benchmark: a program that prints its section, and tells its progress on stderr. */
interface Part {
  readonly title: string
  readonly program: string
}

const PARTS: Readonly<Record<string, Part>> = {
  overhead: { title: 'Overhead', program: 'overhead/main.ts' },
  output: { title: 'Output', program: 'output/main.ts' },
  waiting: { title: 'Waiting calls', program: 'waiting/main.ts' },
  stores: { title: 'Stores', program: 'stores/main.ts' },
  correctness: { title: 'Correctness beside peers', program: 'correctness/main.ts' },
  storm: { title: 'A storm on loopback', program: 'loopback-storm/main.ts' },
  soak: { title: 'Soak', program: 'soak/main.ts' },
}

/** `npm run bench [-- part …]`: runs the parts one after the other and rewrites their sections. */
async function main(names: readonly string[]): Promise<void> {
  const unknown = names.filter((name) => !Object.hasOwn(PARTS, name))
  if (unknown.length > 0) {
    throw new RangeError(`${unknown.join(', ')}: allowed are ${Object.keys(PARTS).join(', ')}`)
  }
  await installPeers()
  const startedMs = performance.now()
  const versions = await versionsTable()
  for (const [name, { title, program }] of Object.entries(PARTS)) {
    if (names.length > 0 && !names.includes(name)) continue
    const partStartedMs = performance.now()
    process.stderr.write(`${title}\n`)
    const text = await run(program)
    const tookS = ((performance.now() - partStartedMs) / 1_000).toFixed(0)
    const footer = `*${machineLine()}; \`npm run bench -- ${name}\`, ${tookS} s.*`
    await writeResults({ name, title, body: `${text.trim()}\n\n${footer}` }, versions)
  }
  process.stderr.write(`${((performance.now() - startedMs) / 1_000).toFixed(0)} s in all\n`)
}

/** What it prints. @throws when it fails: half a table is no result. */
async function run(program: string): Promise<string> {
  const file = fileURLToPath(new URL(program, import.meta.url))
  const child = spawn(process.execPath, ['--expose-gc', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece
    process.stdout.write(piece)
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${program} ended with ${code}`)
  return text
}

await main(process.argv.slice(2))
