import { readdirSync, readFileSync } from 'node:fs'
import { type Classification, classify, classifyErrorBody } from '../../src/errors/classify.ts'
import type { FailureKind } from '../../src/errors/failure-kinds.ts'

/** An answer that a provider really gave, with what it means. */
interface Fixture {
  readonly name: string
  readonly file: string
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: unknown
  readonly expect: Pick<Classification, 'kind' | 'retryable'>
}

const folder = new URL('../../test/fixtures/errors/', import.meta.url)

export function readFixtures(): readonly Fixture[] {
  return readdirSync(folder)
    .sort()
    .map((file) => ({ file, ...JSON.parse(readFileSync(new URL(file, folder), 'utf8')) }))
}

/** What steadycall says of it, with the body as the wire observer saw it. */
export function judge({ status, headers, body }: Fixture): Classification | undefined {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const evidence = { now: 0, status, headers, body: text }
  return status === 200 ? classifyErrorBody(body, { now: 0 }) : classify({ status }, evidence)
}

/** openai-node's rule: `x-should-retry`, then 408, 409, 429 and 5xx; a 200 is a success. */
export function openaiRetries({ status, headers }: Pick<Fixture, 'status' | 'headers'>): boolean {
  const told = new Headers(headers).get('x-should-retry')
  if (told === 'true' || told === 'false') return told === 'true'
  return status === 408 || status === 409 || status === 429 || status >= 500
}

/** The provider, router or server that gave it: how the file's name begins. */
export function providerOf({ file }: Pick<Fixture, 'file'>): string {
  return file.replace(/^ok-/, '').replace(/[-.].*$/, '')
}

interface Share {
  total: number
  kinds: number
  retries: number
  openaiRetries: number
}

export function score(fixtures: readonly Fixture[]) {
  const all: Share = { total: 0, kinds: 0, retries: 0, openaiRetries: 0 }
  const byProvider = new Map<string, Share>()
  const misjudged: { fixture: Fixture; kind: FailureKind | undefined; retryable?: boolean }[] = []
  for (const fixture of fixtures) {
    const found = judge(fixture)
    const kindIsRight = found?.kind === fixture.expect.kind
    const retryIsRight = found?.retryable === fixture.expect.retryable
    const provider = providerOf(fixture)
    const own = byProvider.get(provider) ?? { total: 0, kinds: 0, retries: 0, openaiRetries: 0 }
    byProvider.set(provider, own)
    for (const share of [all, own]) {
      share.total += 1
      share.kinds += Number(kindIsRight)
      share.retries += Number(retryIsRight)
      share.openaiRetries += Number(openaiRetries(fixture) === fixture.expect.retryable)
    }
    if (!kindIsRight || !retryIsRight) {
      misjudged.push({ fixture, kind: found?.kind, ...(found && { retryable: found.retryable }) })
    }
  }
  return { all, byProvider, misjudged }
}

function shareOf(right: number, total: number): string {
  return `${right} (${((100 * right) / total).toFixed(1)} %)`
}

if (import.meta.main) {
  const { all, byProvider, misjudged } = score(readFixtures())
  const rows = [...byProvider].sort(([a], [b]) => (a < b ? -1 : 1))
  const lines = [
    `${all.total} answers of ${byProvider.size} providers, routers and servers`,
    '',
    '| | kind right | retryable right |',
    '|---|---:|---:|',
    `| steadycall | ${shareOf(all.kinds, all.total)} | ${shareOf(all.retries, all.total)} |`,
    `| openai-node | | ${shareOf(all.openaiRetries, all.total)} |`,
    '',
    '| from | answers | kind right | retryable right | by openai-node |',
    '|---|---:|---:|---:|---:|',
    ...rows.map(
      ([provider, { total, kinds, retries, openaiRetries: theirs }]) =>
        `| ${provider} | ${total} | ${kinds} | ${retries} | ${theirs} |`,
    ),
    ...misjudged.map(
      ({ fixture, kind, retryable }) =>
        `misjudged ${fixture.file}: ${kind}, ${retryable}; is ${fixture.expect.kind}, ${fixture.expect.retryable}`,
    ),
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}
