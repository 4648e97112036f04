import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { installPeers } from './install-peers.ts'
import { machineLine, versionsTable } from './machine.ts'
import { writeResults } from './results.ts'

/** A part of the benchmark: a program that prints its section, and tells its progress on stderr. */
interface Part {
  readonly title: string
  readonly program: string
  /** It takes `--build`. */
  readonly comparesBuilds?: true
}

const PARTS: Readonly<Record<string, Part>> = {
  overhead: { title: 'Overhead', program: 'overhead/main.ts' },
  output: { title: 'Output', program: 'output/main.ts', comparesBuilds: true },
  waiting: { title: 'Waiting calls', program: 'waiting/main.ts' },
  stores: { title: 'Stores', program: 'stores/main.ts' },
  correctness: { title: 'Correctness beside peers', program: 'correctness/main.ts' },
  storm: { title: 'A storm on loopback', program: 'loopback-storm/main.ts' },
  soak: { title: 'Soak', program: 'soak/main.ts' },
}

/**
 * `npm run bench [-- part …]`: runs the parts one after the other and rewrites their sections. With
 * `--build CHECKOUT`, those parts that can measure that build beside this one.
 */
async function main(): Promise<void> {
  const { positionals: names, values } = parseArgs({
    allowPositionals: true,
    options: { build: { type: 'string', multiple: true, default: [] } },
  })
  const unknown = names.filter((name) => !Object.hasOwn(PARTS, name))
  if (unknown.length > 0) {
    throw new RangeError(`${unknown.join(', ')}: allowed are ${Object.keys(PARTS).join(', ')}`)
  }
  await installPeers()
  const startedMs = performance.now()
  const versions = await versionsTable()
  for (const [name, { title, program, comparesBuilds = false }] of Object.entries(PARTS)) {
    if (names.length > 0 && !names.includes(name)) continue
    const partStartedMs = performance.now()
    process.stderr.write(`${title}\n`)
    const text = await run(program, comparesBuilds ? values.build : [])
    const tookS = ((performance.now() - partStartedMs) / 1_000).toFixed(0)
    const footer = `*${machineLine()}; \`npm run bench -- ${name}\`, ${tookS} s.*`
    await writeResults({ name, title, body: `${text.trim()}\n\n${footer}` }, versions)
  }
  process.stderr.write(`${((performance.now() - startedMs) / 1_000).toFixed(0)} s in all\n`)
}

/** What it prints. @throws when it fails: half a table is no result. */
async function run(program: string, builds: readonly string[]): Promise<string> {
  const file = fileURLToPath(new URL(program, import.meta.url))
  const options = builds.flatMap((build) => ['--build', build])
  const child = spawn(process.execPath, ['--expose-gc', file, ...options], {
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

await main()
