import { availableParallelism } from 'node:os'
import { jsonrepair } from 'jsonrepair'
import { parseJson } from '../../src/output/parse-json.ts'
import { compileSchema } from '../../src/output/schema.ts'
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

/** Median microseconds of one run of each, in alternating blocks, so that both meet the same noise. */
function compare(text: string, works: readonly ((text: string) => void)[]): number[] {
  const times = works.map((): number[] => [])
  const perBlock = Math.max(1, Math.round(200_000 / text.length))
  const untilMs = performance.now() + 1_500
  // Once for the compiler.
  for (const work of works) for (let run = 0; run < perBlock; run += 1) work(text)
  while (performance.now() < untilMs || (times[0]?.length ?? 0) < 5) {
    for (const [index, work] of works.entries()) {
      const startedMs = performance.now()
      for (let run = 0; run < perBlock; run += 1) work(text)
      times[index]?.push(((performance.now() - startedMs) * 1_000) / perBlock)
    }
  }
  return times.map((list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? NaN)
}

const SIZES = [1_000, 10_000, 100_000, 1_000_000, 5_000_000]
// jsonrepair needs two minutes for a megabyte of these.
const MAX_BESIDE_JSONREPAIR = 100_000
const kB = (bytes: number) => `${Math.round(bytes / 1_000)} kB`
const row = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |\n`
const head = (titles: readonly string[]) => row(titles) + row(titles.map(() => '---:'))
const us = (time: number) => time.toFixed(time < 100 ? 1 : 0)

process.stdout.write(
  `Node ${process.versions.node}, ${availableParallelism()} cores; medians, µs\n`,
)

const valid: Readonly<Record<string, (bytes: number) => object[]>> = {
  'Valid text': (bytes) => records(bytes),
  'Valid text with a fraction of 17 digits in each record': (bytes) =>
    records(bytes, (index) => index / 7),
}
for (const [name, make] of Object.entries(valid)) {
  process.stdout.write(`\n${name}\n\n${head(['size', 'JSON.parse + AJV', 'steadycall', 'ratio'])}`)
  for (const size of SIZES) {
    const text = JSON.stringify(make(size))
    const [peer = NaN, own = NaN] = compare(text, [plain, ours])
    process.stdout.write(row([kB(text.length), us(peer), us(own), (own / peer).toFixed(2)]))
  }
}

const damages: Readonly<Record<string, (text: string) => string>> = {
  'trailing commas': (text) => text.replaceAll('}', ',}'),
  'a fence': (text) => `\`\`\`json\n${text}\n\`\`\``,
  'single quotes': (text) => text.replaceAll('"', "'"),
}
for (const [name, damage] of Object.entries(damages)) {
  process.stdout.write(`\nDamaged text: ${name}\n\n`)
  process.stdout.write(head(['size', 'jsonrepair + AJV', 'steadycall', 'ratio', 'ns per byte']))
  for (const size of SIZES) {
    if (size > MAX_BESIDE_JSONREPAIR) break
    const text = damage(JSON.stringify(records(size)))
    const [peer = NaN, own = NaN] = compare(text, [repairing, ours])
    const perByte = ((own * 1_000) / text.length).toFixed(1)
    process.stdout.write(
      row([kB(text.length), us(peer), us(own), (own / peer).toFixed(2), perByte]),
    )
  }
}

const hostile: Readonly<Record<string, string>> = {
  'open brackets': '[',
  'open objects': '{"a":',
  quotes: '"',
  backslashes: '\\',
  fences: '```',
  'reasoning tags': '<think>',
  'small objects': '{"a":1} ',
}
process.stdout.write(`\nHostile text, refused: ns per byte\n\n`)
process.stdout.write(head(['', ...SIZES.slice(1).map(kB)]))
for (const [name, piece] of Object.entries(hostile)) {
  const cells = SIZES.slice(1).map((size) => {
    const text = piece.repeat(Math.ceil(size / piece.length))
    const [own = NaN] = compare(text, [refusing])
    return ((own * 1_000) / text.length).toFixed(1)
  })
  process.stdout.write(row([name, ...cells]))
}
