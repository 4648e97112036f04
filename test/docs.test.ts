import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { StopReason } from '../src/errors/call-error.ts'
import { FAILURE_KINDS } from '../src/errors/failure-kinds.ts'
import { type CallEvent, parseJson } from '../src/index.ts'
import { allows, type RepairLevel, type SyntaxRule } from '../src/output/repair-rules.ts'
import * as attributes from '../src/telemetry/attributes.ts'
import * as testing from '../src/testing/index.ts'
import { namesIn, read, root, tableAfter } from './support/pages.ts'

const pages = [
  'README.md',
  'CONTRIBUTING.md',
  'AGENTS.md',
  'CHANGELOG.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => `docs/${path}`)
    .sort(),
]

describe('every page', () => {
  it.each(pages)('%s shows only code that runs', (page) => {
    for (const { language, code, above, line } of blocksOf(page)) {
      if (language !== 'ts') continue
      const [, reference] = /^<!-- (examples\/[^ ]+) -->$/.exec(above) ?? []
      expect(reference, `${page}:${line} has no comment that names its example`).toBeDefined()
      expect(code, `${page}:${line}`).toBe(regionOf(reference ?? ''))
    }
  })

  it.each(pages)('%s links only to what exists', (page) => {
    const broken = linksOf(page).filter((link) => !resolves(page, link))
    expect(broken).toEqual([])
  })

  it.each(pages)('%s names only commands that exist', (page) => {
    const { scripts }: { scripts: object } = JSON.parse(read('package.json'))
    const unknown = blocksOf(page)
      .filter(({ language }) => language === 'sh')
      .flatMap(({ code }) => commandsOf(code))
      .filter(({ script, files }) => !Object.hasOwn(scripts, script) || !files.every(isThere))
    expect(unknown).toEqual([])
  })

  it.each(pages)('%s ends each block that it opens', (page) => {
    const fences = read(page)
      .split('\n')
      .filter((line) => line.startsWith('```'))
    expect(fences.length % 2).toBe(0)
  })
})

describe('docs/reference/failure-kinds.md', () => {
  const page = 'docs/reference/failure-kinds.md'
  const yesNo = (value: boolean) => (value ? 'yes' : 'no')

  it('says of each kind what the code says, and in its order', () => {
    const shown = tableAfter(page, '| kind | typical evidence').map(
      ([kind, , retried = '', fallsBack, kept, ours]) => [
        kind,
        retried.split(',')[0],
        fallsBack,
        kept,
        ours,
      ],
    )
    const meant = Object.entries(FAILURE_KINDS).map(([kind, traits]) => [
      `\`${kind}\``,
      traits.retry === 'reask' ? 're-ask' : traits.retry,
      yesNo(traits.fallsBack),
      yesNo(traits.permanent),
      yesNo(traits.ours),
    ])
    expect(shown).toEqual(meant)
  })

  it('lists every reason to stop', () => {
    // The compiler knows that none is missing.
    const reasons: Readonly<Record<StopReason, true>> = {
      aborted: true,
      delivered: true,
      outcome_unknown: true,
      max_attempts: true,
      deadline: true,
      not_retryable: true,
      repeated_answer: true,
      max_reasks: true,
      reask_refused: true,
      max_requests: true,
      hint_exceeds_wait: true,
      hint_exceeds_deadline: true,
      max_wait: true,
      hopeless_wait: true,
      line_full: true,
    }
    expect(namesIn(page, '| reason | meaning')).toEqual(Object.keys(reasons))
  })
})

describe('docs/guides/testing.md', () => {
  it('lists every export of steadycall/testing, and no other', () => {
    const page = 'docs/guides/testing.md'
    const heads = [
      '| fault | the request gets',
      '| fault | the model says',
      '| fault | the stream',
      '| export | what',
    ]
    const listed = [...namesIn(page, heads[0] ?? '', 1), ...heads.flatMap((h) => namesIn(page, h))]
    expect(listed.sort()).toEqual(Object.keys(testing).sort())
  })
})

describe('docs/concepts/output.md', () => {
  it('lists every repair of the text, from the level that applies it', () => {
    // The compiler knows that none is missing.
    const rules: Readonly<Record<SyntaxRule, true>> = {
      'strip-invisible': true,
      'strip-reasoning': true,
      'strip-fence': true,
      'strip-tags': true,
      'strip-prose': true,
      'collapse-duplicates': true,
      'join-lines': true,
      'fix-syntax': true,
      'keep-backslash': true,
      'guess-quotes': true,
      'fix-brackets': true,
    }
    const levels = ['syntax', 'safe', 'lenient'] as const
    const meant = Object.keys(rules)
      // Keys of the record above are its type's members.
      .map((rule) => [`\`${rule}\``, levels.find((level) => allows(level, rule as SyntaxRule))])
      .map(([rule, level]) => [rule, `\`${level}\``])
    const shown = tableAfter('docs/concepts/output.md', '| rule | from level')
    expect(shown.map(([rule, level]) => [rule, level])).toEqual(meant)
  })

  it.each(tableAfter('docs/concepts/output.md', '| rule | from level'))(
    'shows what %s does, from level %s on',
    (rule = '', level = '', _, example = '') => {
      const [, , text = '', value = ''] = /^(`+) ?(.*?) ?\1 → `(.*)`$/.exec(example) ?? []
      const expected = JSON.parse(value)
      const schema = Array.isArray(expected) ? { type: 'array', items: pet } : pet
      const answer = text.replaceAll('⏎', '\n').replace('U+FEFF', '\ufeff')
      const parsed = parseJson(answer, schema, { level: level.replaceAll('`', '') as RepairLevel })
      expect(parsed).toMatchObject({ ok: true, value: expected })
      expect(parsed.ok && parsed.repairs.map(({ rule: name }) => `\`${name}\``)).toContain(rule)
    },
  )
})

const pet = {
  type: 'object',
  properties: {
    age: { type: 'integer' },
    name: { type: 'string' },
    ok: { type: 'boolean' },
    kind: { enum: ['cat', 'big dog'] },
    tags: { type: 'array', items: { type: 'string' } },
  },
  additionalProperties: false,
} as const

describe('docs/concepts/traces.md', () => {
  it('lists every event of onEvent', () => {
    // The compiler knows that none is missing.
    const types: Readonly<Record<CallEvent['type'], true>> = {
      'attempt-started': true,
      'attempt-ended': true,
      'retry-scheduled': true,
      'reask-sent': true,
      'fallback-selected': true,
      'wait-started': true,
      'target-changed': true,
      'call-stopped': true,
      'retries-multiplied': true,
      'claim-awaited': true,
      'call-repeated': true,
      'call-settled': true,
    }
    expect(namesIn('docs/concepts/traces.md', '| event | when')).toEqual(Object.keys(types))
  })

  const defined = new Set<unknown>(Object.values(attributes))
  const mentioned = new Set(
    [...read('docs/concepts/traces.md').matchAll(/`([a-z_]+\.[a-z_.-]+)`/g)].map(
      ([, name]) => name,
    ),
  )
  it('names every attribute, event and metric', () => {
    const names = [...defined].filter((name) => /^[a-z_]+\.[a-z]/.test(String(name)))
    expect(names.filter((name) => !mentioned.has(String(name)))).toEqual([])
  })

  it('names none that does not exist', () => {
    const ours = [...mentioned].filter((name) =>
      /^(?:steadycall|gen_ai|http|server|openai)\./.test(name ?? ''),
    )
    expect(ours.filter((name) => !defined.has(name))).toEqual([])
  })
})

function isThere(path: string): boolean {
  return existsSync(join(root, path))
}

interface Block {
  readonly language: string
  readonly code: string
  /** The line before the block. */
  readonly above: string
  /** Of the opening fence, from 1. */
  readonly line: number
}

function blocksOf(page: string): readonly Block[] {
  const lines = read(page).split('\n')
  const blocks: Block[] = []
  for (let at = 0; at < lines.length; at++) {
    const [, language] = /^```(\w*)$/.exec(lines[at] ?? '') ?? []
    if (language === undefined) continue
    const end = lines.indexOf('```', at + 1)
    const code = lines.slice(at + 1, end).join('\n')
    blocks.push({ language, code, above: lines[at - 1] ?? '', line: at + 1 })
    at = end
  }
  return blocks
}

/** The lines of a region, or of a whole file without the marks of its regions. */
function regionOf(reference: string): string {
  const [path = '', name] = reference.split('#')
  const lines = read(path).trimEnd().split('\n')
  if (name === undefined)
    return lines.filter((line) => !/^\/\/ #(?:end)?region/.test(line)).join('\n')
  const start = lines.indexOf(`// #region ${name}`)
  if (start === -1) throw new Error(`${path} has no region ${name}`)
  return lines.slice(start + 1, lines.indexOf('// #endregion', start)).join('\n')
}

function proseOf(page: string): string {
  return read(page).replace(/^```\w*$[\s\S]*?^```$/gm, '')
}

function linksOf(page: string): readonly string[] {
  return [...proseOf(page).matchAll(/\]\(([^()\s]+)\)/g)]
    .map(([, link = '']) => link)
    .filter((link) => !/^(?:https?|mailto):/.test(link))
}

function resolves(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? page : join(dirname(page), path)
  if (!isThere(target)) return false
  return anchor === undefined || anchorsOf(target).includes(anchor)
}

/** The anchors that GitHub gives to headings. */
function anchorsOf(page: string): readonly string[] {
  return [...proseOf(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  )
}

/** The npm commands of a shell block, with the files of this repository that they name. */
function commandsOf(
  code: string,
): readonly { readonly script: string; readonly files: string[] }[] {
  return code
    .split('\n')
    .map((line) => line.replace(/#.*$/, ''))
    .flatMap((line) => line.split('&&'))
    .map((command) => command.trim().split(/\s+/))
    .flatMap(([program, verb = '', ...rest]) => {
      const files = rest.filter((word) => /^(?:examples|test|src)\//.test(word))
      if (program !== 'npm' || ['ci', 'install', 'pack'].includes(verb)) return []
      return [{ script: verb === 'run' ? (rest[0] ?? '') : verb, files }]
    })
}
