import { readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { hangs, invalidApiKey, overloaded } from '../../../src/testing/index.ts'
import { startServer } from '../../support/set-up.ts'
import { type CliRun, ended, runCli, startCli } from './run-cli.ts'

const SEED_3_DELAY_MS = 384

interface Document {
  readonly seed: number
  readonly asExpected: boolean
  readonly totals: Record<string, number> & { readonly bare: Record<string, number> }
  readonly calls: readonly {
    readonly name: string
    readonly outcome: string
    readonly ending: string
    readonly valid: boolean
    readonly requests: number
    readonly report: {
      readonly attempts: readonly {
        readonly delayMs: number
        readonly waits?: readonly { readonly for: string; readonly ms: number }[]
      }[]
    }
    readonly bare: { readonly valid: boolean; readonly requests: number }
  }[]
}

/** Call, ending, requests; then whether the bare client's was valid, and its requests. */
const EXPECTED: readonly (readonly [string, string, number, boolean, number])[] = [
  ['no fault', 'valid', 1, true, 1],
  ['429, asks for 300 ms', 'recovered', 2, true, 2],
  ['429 without a hint', 'recovered', 2, true, 2],
  ['503 overloaded', 'recovered', 2, true, 2],
  ['500, then 503', 'recovered', 3, true, 3],
  ['HTML 502 of a proxy', 'recovered', 2, true, 2],
  ['reset before answer', 'recovered', 2, true, 2],
  ['reset in the body', 'recovered', 2, false, 1],
  ['body cut short', 'recovered', 2, false, 1],
  ['hangs', 'recovered', 2, false, 1],
  ['error body under 200', 'recovered', 2, false, 1],
  ['no choices', 'recovered', 2, false, 1],
  ['stream cut at start', 'recovered', 2, false, 1],
  ['prose and a fence', 'repaired', 1, false, 1],
  ['damaged JSON', 'repaired', 1, false, 1],
  ['wrong types', 'repaired', 1, false, 1],
  ['not the schema', 're-asked', 2, false, 1],
  ['not JSON at all', 're-asked', 2, false, 1],
  ['cut by the limit', 're-asked', 2, false, 1],
  ['context too long', 'fell back', 2, false, 1],
  ['a key, first call', 'valid', 1, true, 1],
  ['same key, same time', 'shared', 0, true, 1],
  ['same key, later', 'replayed', 0, true, 1],
  ['quota spent', 'unrecoverable', 1, false, 3],
  ['wrong API key', 'unrecoverable', 1, false, 1],
  ['model refuses', 'unrecoverable', 1, false, 1],
  ['429, asks for 120 s', 'unrecoverable', 1, false, 3],
]

describe('steadycall demo', () => {
  let text: CliRun
  let json: CliRun

  beforeAll(async () => {
    ;[text, json] = await Promise.all([
      runCli(['demo', '--seed', '3']),
      runCli(['demo', '--seed', '3', '--json']),
    ])
  })

  it('exits with 0 and writes nothing to stderr', () => {
    expect([text.exitCode, text.stderr]).toEqual([0, ''])
    expect([json.exitCode, json.stderr]).toEqual([0, ''])
  })

  it('ends every call as the fault demands, and sends the requests it says', () => {
    const { asExpected, calls } = read(json)
    expect(
      calls.map(({ name, ending, requests, bare }) => [
        name,
        ending,
        requests,
        bare.valid,
        bare.requests,
      ]),
    ).toEqual(EXPECTED)
    expect(asExpected).toBe(true)
  })

  it('gives each unrecoverable call its kind', () => {
    const failed = read(json).calls.filter(({ valid }) => !valid)
    expect(failed.map(({ outcome }) => outcome)).toEqual([
      'quota_exhausted',
      'auth',
      'refusal',
      'rate_limit',
    ])
  })

  it('has totals that agree with the calls and with the requests the server received', () => {
    const { totals, calls } = read(json)
    const { inputTokens, outputTokens, bare, ...counts } = totals
    expect(counts).toEqual({
      calls: 27,
      valid: 23,
      asExpected: 27,
      requests: 42,
      attempts: 42,
      repaired: 3,
      reasked: 3,
      replayed: 2,
    })
    expect([bare['valid'], bare['requests']]).toEqual([10, 38])
    expect([inputTokens, outputTokens]).not.toContain(0)
    for (const { name, requests, report } of calls) {
      expect([name, report.attempts.length]).toEqual([name, requests])
    }
  })

  it('waits in equal measure under an equal seed', () => {
    const [call] = read(json).calls.filter(({ name }) => name === '503 overloaded')
    const [, retry] = call?.report.attempts ?? []
    // What was drawn, with the slack of a timer; what goes beyond that is told apart.
    const [backoff] = retry?.waits?.filter((wait) => wait.for === 'backoff') ?? []
    expect(backoff?.ms).toBeGreaterThanOrEqual(SEED_3_DELAY_MS - 1)
    expect(backoff?.ms).toBeLessThan(SEED_3_DELAY_MS + 51)
    expect(retry?.delayMs).toBeGreaterThanOrEqual(SEED_3_DELAY_MS - 1)
    expect(text.stdout).toMatch(/backed off \d+ ms/)
  })

  it('draws each call, its explanation and the bare client beside it', () => {
    const lines = text.stdout.split('\n')
    for (const [name] of EXPECTED) {
      expect(lines.filter((line) => line.includes(`  ${name}  `))).toHaveLength(2)
    }
    expect(text.stdout).toContain('unrecoverable: quota_exhausted — retrying cannot help')
    expect(text.stdout).toContain('✓ 23 of 27 calls valid; no retry can help the other 4')
  })

  it('writes no escape code into a pipe', () => {
    expect(text.stdout).not.toContain('\u001B')
  })

  it('leaves quietly when its reader has gone', async () => {
    const child = startCli(['demo'])
    const run = ended(child)
    child.stdout?.once('data', () => child.stdout?.destroy())
    expect(await run).toMatchObject({ exitCode: 0, stderr: '' })
  })
})

describe('steadycall demo --live', () => {
  it('ends at Ctrl-C whatever it waits for, with a message and exit code 130', async () => {
    const server = await startServer({ perCall: () => [hangs()] })
    const child = startCli(['demo', '--live'], {
      OPENAI_API_KEY: 'sk-test',
      OPENAI_BASE_URL: server.baseURL,
    })
    const run = ended(child)
    await vi.waitUntil(() => server.count === 5)
    child.kill('SIGINT')
    expect(await run).toMatchObject({ exitCode: 130, stderr: 'steadycall: interrupted\n' })
    expect(server.count).toBe(5)
  })

  it('asks the provider that the environment names', async () => {
    const answer = JSON.stringify({ category: 'bug', priority: 1, summary: 'It crashes.' })
    const server = await startServer({ answer, script: [overloaded()] })
    const run = await runCli(['demo', '--live'], {
      OPENAI_API_KEY: 'sk-test',
      OPENAI_BASE_URL: server.baseURL,
      OPENAI_MODEL: 'some-model',
    })
    expect(run).toMatchObject({ exitCode: 0, stderr: '' })
    expect(run.stdout).toContain('valid answers               5 of 5\n')
    expect(server.count).toBe(6)
    expect(new Set(server.requests.map(({ body }) => body?.model))).toEqual(new Set(['some-model']))
  })

  it('exits with 1 and names the calls that failed', async () => {
    const server = await startServer({ perCall: [invalidApiKey()] })
    const run = await runCli(['demo', '--live'], {
      OPENAI_API_KEY: 'sk-secret',
      OPENAI_BASE_URL: server.baseURL,
    })
    expect(run.exitCode).toBe(1)
    expect(run.stdout).toContain('unexpected: charged twice ended as auth, not as success')
    expect(run.stdout + run.stderr).not.toContain('sk-secret')
  })
})

const LEVEL_SAID = "--level is 'x'; allowed are off, syntax, safe, lenient"

describe('steadycall', () => {
  it.each([
    [['demo', '--nope'], "unknown option '--nope'", 'steadycall demo --help'],
    [
      ['demo', '--sed', '1'],
      "unknown option '--sed'; did you mean '--seed'?",
      'steadycall demo --help',
    ],
    [
      ['repair', '--max-byte', '1'],
      "unknown option '--max-byte'; did you mean '--max-bytes'?",
      'steadycall repair --help',
    ],
    [
      ['demo', '--seed', 'one'],
      "--seed must be a whole number from 0, got 'one'",
      'steadycall demo --help',
    ],
    [['repair', '--level', 'x'], LEVEL_SAID, 'steadycall repair --help'],
    [['constructor'], "unknown command 'constructor'", 'steadycall --help'],
    [['--nope'], "unknown option '--nope'", 'steadycall --help'],
    [[], 'a command is missing', 'steadycall --help'],
    [['help', 'repare'], "unknown command 'repare'", 'steadycall --help'],
    [
      ['demo', '--live'],
      '--live calls a real provider: set OPENAI_API_KEY (and OPENAI_BASE_URL unless it is OpenAI)',
      'steadycall demo --help',
    ],
  ])('answers %j with a message, its help and exit code 2', async (args, said, help) => {
    expect(await runCli(args)).toEqual({
      exitCode: 2,
      stdout: '',
      stderr: `steadycall: ${said}\nRun '${help}' for usage.\n`,
    })
  })

  it.each([
    [['--version']],
    [['-v']],
    [['repair', '--version']],
    [['demo', '--json', '--version']],
    [['--help', '--version']],
  ])('says its version on %j', async (args) => {
    const manifest = await readFile(new URL('../../../package.json', import.meta.url), 'utf8')
    const stdout = `${JSON.parse(manifest).version}\n`
    expect(await runCli(args)).toEqual({ exitCode: 0, stdout, stderr: '' })
  })

  it.each([
    [['--help'], 'steadycall: makes LLM calls dependable.'],
    [['help'], 'steadycall: makes LLM calls dependable.'],
    [['help', '--help'], 'steadycall: makes LLM calls dependable.'],
    [['help', 'repair'], 'steadycall repair [options] < text'],
    [['demo', '--help'], 'steadycall demo: the same faults, with and without steadycall.'],
  ])('explains itself on %j', async (args, said) => {
    const { exitCode, stdout, stderr } = await runCli(args)
    expect([exitCode, stdout.split('\n')[0], stderr]).toEqual([0, said, ''])
  })
})

function read({ stdout }: CliRun): Document {
  // What the command prints; a missing field fails the test that reads it.
  return JSON.parse(stdout) as Document
}
