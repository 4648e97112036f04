import { Session } from 'node:inspector/promises'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Which files of `src/` one call executes, by V8's coverage, in a process of its own: what importing
 * runs does not count, nor what only a first call makes. Prints the files as JSON.
 */
const [name = 'create', root = fileURLToPath(new URL('../../src/', import.meta.url))] =
  process.argv.slice(2)

const { default: OpenAI } = await import('openai')
const { steady, createRuntime } = await import(`${root}/index.ts`)
const { startFaultServer } = await import(`${root}/testing/index.ts`)

const SCHEMA = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
} as const

const server = await startFaultServer({ answer: '{"city":"Oslo"}' })
const client = new OpenAI({ apiKey: 'shape', baseURL: server.baseURL })
const llm = steady(client, { runtime: createRuntime() })
let turn = 0
const asked = () => {
  turn += 1
  return { model: 'gpt-5', messages: [{ role: 'user' as const, content: `turn ${turn}` }] }
}

const FACES: Readonly<Record<string, () => Promise<unknown>>> = {
  create: () => llm.chat.completions.create(asked()),
  json: () => llm.json({ ...asked(), schema: SCHEMA }),
  'keyed json': () => {
    const params = asked()
    return llm.json({ ...params, schema: SCHEMA }, { idempotencyKey: `key ${turn}` })
  },
  async stream() {
    const stream = await llm.chat.completions.create({ ...asked(), stream: true })
    for await (const _ of stream);
  },
}

const call = FACES[name]
if (call === undefined) throw new Error(`'${name}' is none of ${Object.keys(FACES).join(', ')}`)
for (let time = 0; time < 5; time += 1) await call()
const session = new Session()
session.connect()
await session.post('Profiler.enable')
await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
await session.post('Profiler.takePreciseCoverage')
await call()
const { result } = await session.post('Profiler.takePreciseCoverage')
const files = result
  .filter(({ url, functions }) => {
    const ran = functions.some(({ functionName, ranges }) => {
      const [whole] = ranges
      return functionName !== '' && whole !== undefined && whole.count > 0
    })
    return ran && url.startsWith('file:') && fileURLToPath(url).startsWith(root)
  })
  .map(({ url }) => relative(root, fileURLToPath(url)))
  .filter((path) => !path.startsWith('testing/'))
process.stdout.write(JSON.stringify(files.sort()))
process.exit()
