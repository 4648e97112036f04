import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { explainJson, type ParseOptions, type ParseResult } from '../output/parse-json.ts'
import type { RepairLevel } from '../output/repair-rules.ts'
import { type Command, openTerminal, readOptions, UsageError } from './command.ts'
import { withMarks } from './marked-text.ts'

const HELP = `steadycall repair [options] < text

Reads a model's answer from standard input and writes the JSON value it contains. Each change
that was made is written to standard error, one per line: the path, the rule and, for the
syntax, the offset in the text.

  --schema FILE          a JSON Schema; without one any JSON is valid
  --level LEVEL          off, syntax, safe (default) or lenient
  --finish-reason REASON the provider's finish_reason; 'length' means that the text was cut
  --max-bytes N          the longest text that is read (4194304)
  --explain              writes the text to standard error too, with each edit of its syntax marked:
                         [-what was there-]{+what was read+}; on a terminal in colours
  --json                 prints the whole result as JSON: value and repairs, or kind and issues
  --help                 prints this help

Exit code 0: valid. 1: not valid. 2: wrong usage.
`

const LEVELS: readonly RepairLevel[] = ['off', 'syntax', 'safe', 'lenient']

/** `parseJson` as a shell command. */
export const repair: Command = async (args, { terminal, env }) => {
  const options = readOptions(
    Object.keys(OPTIONS),
    () => parseArgs({ args: [...args], options: OPTIONS }).values,
  )
  if (options.help === true) {
    terminal.write(HELP)
    return 0
  }
  const level = LEVELS.find((known) => known === options.level)
  if (level === undefined) {
    throw new UsageError(`--level is '${options.level}'; allowed are ${LEVELS.join(', ')}`)
  }
  const maxBytes = Number(options['max-bytes'])
  if (!Number.isInteger(maxBytes) || maxBytes < 1) {
    throw new UsageError(`--max-bytes must be a whole number from 1, got '${options['max-bytes']}'`)
  }
  const schema = options.schema === undefined ? undefined : await schemaIn(options.schema)
  const finishReason = options['finish-reason']
  const text = await inputUpTo(maxBytes)
  const settings = { level, maxBytes, ...(finishReason && { finishReason }) }
  const { result, marked } = parsed(text, schema, settings)
  if (options.json === true) process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`)
  else report(result)
  if (options.explain === true && marked !== undefined) {
    const { paint } = openTerminal(process.stderr, env)
    process.stderr.write(`${withMarks(marked, paint)}\n`)
  }
  return result.ok ? 0 : 1
}

const OPTIONS = {
  schema: { type: 'string' },
  level: { type: 'string', default: 'safe' },
  'finish-reason': { type: 'string' },
  'max-bytes': { type: 'string', default: '4194304' },
  explain: { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

function parsed(
  text: string,
  schema: object | undefined,
  options: ParseOptions,
): ReturnType<typeof explainJson> {
  try {
    return explainJson(text, schema, options)
  } catch (error) {
    // It throws only because of the schema.
    if (error instanceof TypeError) throw new UsageError(error.message, { cause: error })
    throw error
  }
}

function report(result: ParseResult<unknown>): void {
  if (result.ok) {
    process.stdout.write(`${JSON.stringify(result.value, undefined, 2)}\n`)
    for (const { path, rule, offset } of result.repairs) {
      const at = offset === undefined ? '' : ` at ${offset}`
      process.stderr.write(`${path || '/'}: ${rule}${at}\n`)
    }
    return
  }
  process.stderr.write(`steadycall: ${result.kind}\n`)
  for (const { path, message } of result.issues) {
    process.stderr.write(`${path || '/'}: ${message}\n`)
  }
}

async function schemaIn(file: string): Promise<object> {
  const schema: unknown = await readFile(file, 'utf8').then(JSON.parse).catch(unreadable(file))
  if (typeof schema === 'object' && schema !== null) return schema
  throw new UsageError(`--schema ${file}: a JSON Schema is an object`)
}

function unreadable(file: string) {
  return (error: unknown): never => {
    const said = error instanceof Error ? error.message : String(error)
    throw new UsageError(`--schema ${file}: ${said}`, { cause: error })
  }
}

/** Reads up to the first chunk beyond the limit, which is enough for `parseJson` to reject the text. */
async function inputUpTo(maxBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of process.stdin) {
    const read = Buffer.from(chunk)
    chunks.push(read)
    bytes += read.length
    if (bytes > maxBytes) break
  }
  return Buffer.concat(chunks).toString('utf8')
}
