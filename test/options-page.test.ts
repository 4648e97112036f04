import { describe, expect, it } from 'vitest'
import { createRuntime, memoryStore, retry, runIdempotent, steady } from '../src/index.ts'
import type { Checks, OptionCheck, Row } from '../src/options/option-check.ts'
import { CALL_ROWS, RETRY_ROWS, STEADY_ROWS } from '../src/options/options.ts'
import { resolveCall } from '../src/options/resolve-options.ts'
import {
  type Described,
  docstringsOf,
  literal,
  namesIn,
  read,
  tableAfter,
} from './support/pages.ts'
import { clientFor, rejection, startServer } from './support/set-up.ts'

const page = 'docs/reference/options.md'
const OPTIONS = '| option | what it is | default | allowed |'
const FIELDS = '| field | what it is | default | allowed |'

const rows = 'src/options/options.ts'
const nested = 'src/options/nested-options.ts'
const settings = docstringsOf(rows, 'SettingRows')
const keeping = docstringsOf('src/options/nested-options.ts', 'KeepingRows')

describe('docs/reference/options.md', () => {
  const forClient = namesIn(page, OPTIONS, 0)
  const forBoth = namesIn(page, OPTIONS, 1)
  const forCall = namesIn(page, OPTIONS, 2)

  it('lists every option of steady()', async () => {
    const client = clientFor(await startServer())
    const known = knownIn(() => steady(client, anUnknownOption))
    expect(known).toEqual([...forClient, ...forBoth].sort())
  })

  it('lists every option of a call', async () => {
    const llm = steady(clientFor(await startServer()), { runtime: createRuntime() })
    const error = await rejection(llm.run('name', () => 1, anUnknownOption))
    expect(namesOf(error)).toEqual([...forBoth, ...forCall].sort())
  })

  it('lists every option of runIdempotent()', async () => {
    const guard = { store: memoryStore(), operation: 'o', payload: 1, ...anUnknownOption }
    const error = await rejection(runIdempotent(guard, () => 1))
    const [, section = ''] = read(page).split('## For runIdempotent')
    const shown = (section.split('\n## ')[0] ?? '').matchAll(/`(\w+)`/g)
    expect([...new Set([...shown].map(([, name]) => name))].sort()).toEqual(namesOf(error))
  })

  it('lists every option of retry()', async () => {
    const error = await rejection(retry(() => 1, anUnknownOption))
    expect(namesIn(page, '| option of retry |').sort()).toEqual(namesOf(error))
  })

  it.each<[string, string, number, object, Readonly<Record<string, Described>>]>([
    [
      'of the client',
      OPTIONS,
      0,
      STEADY_ROWS,
      { ...docstringsOf(rows, 'SteadyRows'), ...keeping, ...settings },
    ],
    ['of both', OPTIONS, 1, CALL_ROWS, settings],
    ['of a call', OPTIONS, 2, CALL_ROWS, docstringsOf(rows, 'CallRows')],
    [
      'of retry()',
      '| option of retry |',
      0,
      RETRY_ROWS,
      docstringsOf('src/options/options.ts', 'RetryRows'),
    ],
    [
      'in encryption',
      FIELDS,
      0,
      within(STEADY_ROWS.encryption),
      docstringsOf('src/idempotency/encryption-options.ts', 'EncryptionOptions'),
    ],
    [
      'in limits',
      FIELDS,
      1,
      within(STEADY_ROWS.limits),
      docstringsOf('src/retry/health/limit-options.ts', 'LimitsOptions'),
    ],
    [
      'in hedge',
      FIELDS,
      2,
      within(STEADY_ROWS.hedge),
      docstringsOf('src/retry/hedge.ts', 'HedgeOptions'),
    ],
    [
      'in fallbacks',
      FIELDS,
      3,
      within(within(CALL_ROWS.fallbacks, [{}])[0]),
      docstringsOf(nested, 'FallbackRows'),
    ],
    ['in gateway', FIELDS, 4, within(STEADY_ROWS.gateway), docstringsOf(nested, 'NamedGateway')],
    [
      'in telemetry',
      FIELDS,
      5,
      within(STEADY_ROWS.telemetry),
      docstringsOf(nested, 'TelemetryRows'),
    ],
  ])('says of each option %s what its row says', (_, head, nth, checks, docstrings) => {
    const shown = tableAfter(page, head, nth)
    if (head !== OPTIONS) expect(shown.map(nameOf).sort()).toEqual(Object.keys(checks).sort())
    for (const cells of shown) {
      const name = nameOf(cells)
      const row: Row<unknown> = Reflect.get(checks, name)
      const { line, default: byDefault, isOptional } = docstrings[name] ?? {}
      const meant = [line, byDefault ?? (isOptional ? 'none' : 'required'), row.allowed]
      const said = cells.slice(1, 4)
      expect([name, ...said.map(plain)]).toEqual([name, ...meant.map(plain)])
      const [, value] = /^`([^`]+)`/.exec(said[1] ?? '') ?? []
      if (row.default !== undefined) expect([name, value]).toEqual([name, literal(row.default)])
    }
  })

  it('gives the defaults that calls are resolved with', () => {
    const resolved = resolveCall({}, {}, { face: 'json', clientTimeoutMs: 600_000 })
    const shown = tableAfter(page, OPTIONS, 1)
      .map((cells) => [
        nameOf(cells),
        /^`((?:[\d_]+|'\w+'|\[\]))`(?: \(|$)/.exec(cells[2] ?? '')?.[1],
      ])
      .filter(([, value]) => value !== undefined)
    expect(shown.length).toBeGreaterThanOrEqual(11)
    for (const [name = '', value] of shown) {
      expect([name, value]).toEqual([name, literal(Reflect.get(resolved, name))])
    }
  })
})

function nameOf([name = '']: readonly string[]): string {
  return name.replaceAll('`', '')
}

/** Without marks of code, links to tables of fields, and marks of thousands. */
function plain(cell: string | undefined): string | undefined {
  return cell
    ?.replace(/ \(\[fields\]\(#\w+\)\)$/, '')
    .replaceAll('`', '')
    .replace(/(?<=\d)[,_](?=\d)/g, '')
}

/** The rows within a row, for a value of it. */
function within(row: OptionCheck | undefined, value: object = {}): Checks {
  return row?.within?.(value) ?? {}
}

// Far from every name, so that all are listed instead of the nearest.
const anUnknownOption: object = { qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq: 1 }

function knownIn(call: () => unknown): readonly string[] {
  try {
    call()
  } catch (error) {
    return namesOf(error)
  }
  throw new Error('expected an error')
}

/** The names that the error for an unknown option lists. */
function namesOf(error: unknown): readonly string[] {
  const [, names = ''] = String(error).split('; known are ')
  return names.split(', ').sort()
}
