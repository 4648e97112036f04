import { getHeapSnapshot } from 'node:v8'

/**
 * How many async functions are suspended while one `create` waits for its answer, openai's own not
 * counted: generator objects in the heap, of many waiting calls. Prints the number.
 */
const CALLS = 100

const { default: OpenAI } = await import('openai')
const { steady, createRuntime } = await import('../../src/index.ts')

/** The parts of V8's heap snapshot that are read here. */
interface Snapshot {
  readonly snapshot: {
    readonly meta: { readonly node_fields: string[]; readonly node_types: [string[], ...unknown[]] }
  }
  readonly nodes: number[]
  readonly strings: string[]
}

async function suspended(): Promise<number> {
  const chunks: Buffer[] = []
  for await (const chunk of getHeapSnapshot()) chunks.push(Buffer.from(chunk))
  const { snapshot, nodes, strings }: Snapshot = JSON.parse(Buffer.concat(chunks).toString())
  const { node_fields: fields, node_types: types } = snapshot.meta
  const kind = types[0].indexOf('object')
  const name = strings.indexOf('Generator')
  let count = 0
  for (let at = 0; at < nodes.length; at += fields.length) {
    if (nodes[at] === kind && nodes[at + 1] === name) count += 1
  }
  return count
}

/** Its requests are never answered, and nothing but these promises holds on to what waits for them. */
const unanswered: Promise<Response>[] = []
const neverAnswers = () => {
  const request = new Promise<Response>(() => {})
  unanswered.push(request)
  return request
}

/** Generators of one more waiting call. */
async function perCall(llm: Pick<InstanceType<typeof OpenAI>, 'chat'>): Promise<number> {
  const ask = () =>
    llm.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'wait' }] })
  const waiting = Array.from({ length: CALLS }, ask)
  await new Promise((resolve) => setTimeout(resolve, 100))
  const before = await suspended()
  for (let call = 0; call < CALLS; call += 1) waiting.push(ask())
  await new Promise((resolve) => setTimeout(resolve, 100))
  const after = await suspended()
  return Math.round((after - before) / CALLS)
}

const client = () => new OpenAI({ apiKey: 'shape', fetch: neverAnswers })
const bare = await perCall(client())
const ours = await perCall(steady(client(), { runtime: createRuntime() }))
process.stdout.write(JSON.stringify(ours - bare))
process.exit()
