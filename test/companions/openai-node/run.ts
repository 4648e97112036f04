import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startApi } from './api.ts'
import { differences } from './differences.ts'

// node run.ts [TEST …]: with the path of a checkout in OPENAI_NODE.

/** What the runner of the companions takes for "could not run here". */
const SKIPPED = 77

const USUAL = [
  'tests/index.test.ts',
  'tests/client-behavior.test.ts',
  'tests/sdk-behavior.test.ts',
  'tests/log.test.ts',
  'tests/abort-compatibility.test.ts',
  'tests/responses.test.ts',
  'tests/streaming.test.ts',
  'tests/streaming/',
  'tests/core/',
  'tests/lib/',
  'tests/helpers/',
  'tests/api-resources/chat/',
]

const checkout = process.env['OPENAI_NODE'] ?? ''
const vitest = join(checkout, 'node_modules/vitest/vitest.mjs')
if (checkout === '') leaveOut('OPENAI_NODE names no checkout of openai-node')
if (!existsSync(vitest)) leaveOut(`${vitest} is missing: run npm install in the checkout`)

const { baseURL, server } = await startApi()
const chosen = process.argv.length > 2 ? process.argv.slice(2) : USUAL
const bare = await run(chosen, 'bare')
const wrapped = await run(chosen, 'wrapped')
const suspects = wrapped.failed.filter(({ id }) => !bare.failed.some((other) => other.id === id))
// Once more, alone: a busy machine fails tests with limits of their own.
const files = [...new Set(suspects.map(({ file }) => file))]
const again = files.length === 0 ? wrapped : await run(files, 'wrapped')
const differing = suspects.filter(({ id }) => again.failed.some((other) => other.id === id))
server.closeAllConnections()
server.close()

let unexplained = 0
for (const { id, message } of differing) {
  const known = differences.find(({ tests }) => tests.some((start) => id.startsWith(start)))
  if (known === undefined) unexplained++
  say(`  ${known === undefined ? 'UNEXPLAINED' : known.why}\n    ${id}\n    ${message}`)
}
for (const start of differences.flatMap(({ tests }) => tests)) {
  // Only of files that were run.
  const isSeen = differing.some(({ id }) => id.startsWith(start))
  if (!isSeen && chosen.some((file) => start.startsWith(file))) say(`  does not differ: ${start}`)
}
say(
  `${bare.passed} passed with the bare client, ${wrapped.passed} with the wrapped one; ` +
    `${differing.length} differ, ${unexplained} of them unexplained`,
)
process.exitCode = unexplained > 0 || wrapped.passed === 0 ? 1 : 0

interface Failed {
  readonly id: string
  readonly file: string
  readonly message: string
}

/** What Vitest's JSON reporter writes, as far as it is read here. */
interface Report {
  readonly numPassedTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly message?: string
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly failureMessages?: readonly string[]
    }[]
  }[]
}

async function run(
  tests: readonly string[],
  client: 'bare' | 'wrapped',
): Promise<{ readonly passed: number; readonly failed: readonly Failed[] }> {
  say(`openai-node's tests, ${client} client: ${tests.join(' ')}`)
  const folder = await mkdtemp(join(tmpdir(), 'openai-node-tests-'))
  const output = join(folder, 'report.json')
  const config = fileURLToPath(new URL('vitest.config.ts', import.meta.url))
  const args = ['run', '--config', config, '--reporter=json', `--outputFile=${output}`, ...tests]
  const env = {
    ...process.env,
    STEADY: client === 'wrapped' ? '1' : '0',
    TEST_API_BASE_URL: baseURL,
  }
  const child = spawn(process.execPath, [vitest, ...args], { cwd: checkout, env, stdio: 'ignore' })
  await new Promise((resolve) => child.once('exit', resolve))
  const report: Report = JSON.parse(await readFile(output, 'utf8'))
  await rm(folder, { recursive: true, force: true })
  const failed = report.testResults.flatMap(({ name, message, assertionResults }) => {
    const file = name.slice(checkout.length).replace(/^\//, '')
    // A file that did not load has no tests to fail.
    if (assertionResults.length === 0) return [{ id: file, file, message: oneLine(message) }]
    return assertionResults
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, failureMessages }) => ({
        id: `${file} > ${fullName}`,
        file,
        message: oneLine(failureMessages?.[0]),
      }))
  })
  return { passed: report.numPassedTests, failed }
}

function oneLine(message = ''): string {
  return message.split('\n', 1)[0]?.slice(0, 200) ?? ''
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function leaveOut(why: string): never {
  say(`openai-node's tests were not run: ${why}. See README.md beside this file.`)
  process.exit(SKIPPED)
}
