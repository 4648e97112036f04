import { parseArgs } from 'node:util'
import { jsonrepair } from 'jsonrepair'
import { parseJson } from '../../src/output/parse-json.ts'
import { compileSchema } from '../../src/output/schema.ts'
import { table } from '../markdown.ts'
import { loadBuilds } from './builds.ts'
import { compare, MIN_MS } from './compare.ts'
import { HOSTILE_TEXTS, harmless, largeTable } from './large.ts'
import { validatorFor } from './readers.ts'

const SCHEMA = {
  type: 'array',
  items: {
    type: 'object',
    properties: {
      id: { type: 'integer' },
      name: { type: 'string' },
      price: { type: 'number' },
      tags: { type: 'array', items: { type: 'string' } },
    },
    required: ['id', 'name', 'price', 'tags'],
    additionalProperties: false,
  },
}
const compiled = compileSchema(SCHEMA)
const accepts = validatorFor(SCHEMA, {})
const MAX_BYTES = 16 * 1024 * 1024

/** A list of records, of about so many bytes. */
function records(bytes: number, price = (index: number) => (index % 10_000) / 4): object[] {
  return Array.from({ length: Math.max(1, Math.round(bytes / 90)) }, (_, index) => ({
    id: index,
    name: `article number ${index}, “quoted” and plain`,
    price: price(index),
    tags: ['new', 'red'],
  }))
}

const ours = (text: string) => {
  const result = parseJson(text, compiled, { maxBytes: MAX_BYTES })
  if (!result.ok) throw new Error(`refused: ${result.issues[0]?.message}`)
}
const plain = (text: string) => {
  if (!accepts(JSON.parse(text))) throw new Error('refused')
}
const repairing = (text: string) => {
  if (!accepts(JSON.parse(jsonrepair(text)))) throw new Error('refused')
}
const refusing = (text: string) => {
  if (parseJson(text, compiled, { maxBytes: MAX_BYTES }).ok) throw new Error('accepted')
}

const SIZES = [1_000, 10_000, 100_000, 1_000_000, 5_000_000]
// jsonrepair needs two minutes for a megabyte of these.
const MAX_BESIDE_JSONREPAIR = 100_000
const kB = (bytes: number) => `${Math.round(bytes / 1_000)} kB`
const us = (time: number) => time.toFixed(time < 100 ? 1 : 0)
const perByte = (time: number, { length }: string) => ((time * 1_000) / length).toFixed(1)

const VALID: Readonly<Record<string, (bytes: number) => object[]>> = {
  'Valid text': (bytes) => records(bytes),
  'Valid text with a fraction of 17 digits in each record': (bytes) =>
    records(bytes, (index) => index / 7),
}

const DAMAGES: Readonly<Record<string, (text: string) => string>> = {
  'trailing commas': (text) => text.replaceAll('}', ',}'),
  'a fence': (text) => `\`\`\`json\n${text}\n\`\`\``,
  'single quotes': (text) => text.replaceAll('"', "'"),
}

const HOSTILE: Readonly<Record<string, string>> = {
  'open brackets': '[',
  'open objects': '{"a":',
  quotes: '"',
  backslashes: '\\',
  fences: '```',
  'reasoning tags': '<think>',
  'small objects': '{"a":1} ',
}

function validTable(make: (bytes: number) => object[]): string {
  const rows = SIZES.map((size) => {
    const text = JSON.stringify(make(size))
    const [peer = NaN, own = NaN] = compare(text, [plain, ours])
    return [kB(text.length), us(peer), us(own), (own / peer).toFixed(2), perByte(own, text)]
  })
  return table(['', 'JSON.parse + AJV, µs', 'steadycall, µs', 'ratio', 'ns per byte'], rows)
}

function damagedTable(damage: (text: string) => string): string {
  const rows = SIZES.map((size) => {
    const text = damage(JSON.stringify(records(size)))
    const isFair = size <= MAX_BESIDE_JSONREPAIR
    const [own = NaN, peer = NaN] = compare(text, isFair ? [ours, repairing] : [ours])
    const beside = isFair ? [us(peer), us(own), (own / peer).toFixed(2)] : ['', us(own), '']
    return [kB(text.length), ...beside, perByte(own, text)]
  })
  return table(['', 'jsonrepair + AJV, µs', 'steadycall, µs', 'ratio', 'ns per byte'], rows)
}

function hostileTable(): string {
  const sizes = SIZES.slice(1)
  const rows = Object.entries(HOSTILE).map(([name, piece]) => [
    name,
    ...sizes.map((size) => {
      const text = piece.repeat(Math.ceil(size / piece.length))
      const [own = NaN] = compare(text, [refusing])
      return perByte(own, text)
    }),
  ])
  return table(['', ...sizes.map(kB)], rows)
}

/** Reading answers of 1 kB to 5 MB. Prints its section of the results. `--build CHECKOUT` adds a build. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { build: { type: 'string', multiple: true, default: [] } },
  })
  const builds = await loadBuilds(values.build)
  const sections: string[] = []
  const add = (title: string, text: string) => {
    sections.push(`**${title}**\n\n${text}`)
    process.stderr.write(`  ${title}\n`)
  }
  for (const [name, make] of Object.entries(VALID)) add(name, validTable(make))
  for (const [name, damage] of Object.entries(DAMAGES)) {
    add(`Damaged text: ${name}`, damagedTable(damage))
  }
  add('Hostile text, refused: ns per byte', hostileTable())
  const json = JSON.stringify(records(4_000_000))
  add(
    '4 MB of damage that loses nothing',
    largeTable(
      harmless(() => json),
      builds,
      SCHEMA,
    ),
  )
  add(
    'Hostile text of some megabytes, without a schema',
    largeTable(HOSTILE_TEXTS, builds, undefined),
  )
  process.stdout.write(`An array of records against its schema; medians of alternating blocks of at least ${MIN_MS} ms in all.
Growth is linear where the last column is level. Beside jsonrepair up to 100 kB: a megabyte of single quotes
takes it two minutes. What was read rightly, wrongly or not at all is below, under *Correctness*.

${sections.join('\n')}`)
}

await main()
