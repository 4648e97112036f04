import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { person } from '../../support/set-up.ts'
import { runCli } from './run-cli.ts'

const directory = mkdtempSync(join(tmpdir(), 'steadycall-'))
const file = (name: string, content: string) => {
  const path = join(directory, name)
  writeFileSync(path, content)
  return path
}
const schema = file('person.json', JSON.stringify(person))
const repair = (input: string, ...args: string[]) => runCli(['repair', ...args], {}, input)

describe('steadycall repair', () => {
  it('writes the value, and to the other stream what was changed', async () => {
    const text = 'Here you are:\n```json\n{"name": "Ada", "age": "36",}\n```'
    const { exitCode, stdout, stderr } = await repair(text, '--schema', schema)
    expect([exitCode, JSON.parse(stdout)]).toEqual([0, { name: 'Ada', age: 36 }])
    expect(stderr.trim().split('\n')).toEqual([
      '/: strip-fence',
      '/: strip-prose',
      '/: fix-syntax at 49',
      '/age: number-from-string',
    ])
  })

  it('says what is wrong where it cannot be certain, and writes no value', async () => {
    const { exitCode, stdout, stderr } = await repair('{"name":"Ada"}', '--schema', schema)
    expect([exitCode, stdout]).toEqual([1, ''])
    expect(stderr).toBe('steadycall: schema_mismatch\n/: missing required property "age"\n')
  })

  it('needs no schema, and takes the level, the finish reason and the size', async () => {
    expect((await repair("{'a': 1}")).stdout).toBe('{\n  "a": 1\n}\n')
    expect((await repair("{'a': 1}", '--level', 'off')).exitCode).toBe(1)
    expect((await repair('{"a":1}', '--finish-reason', 'length')).stderr).toContain('truncated')
    expect((await repair('{"a":"long"}', '--max-bytes', '4')).stderr).toContain('at most 4 bytes')
  })

  it('shows with --explain the text with each edit of its syntax marked', async () => {
    const text = `Here: {name: 'Ada', "note": "the "best" one", "tags": [1,],}`
    const { exitCode, stderr } = await repair(text, '--explain')
    expect(exitCode).toBe(0)
    expect(stderr.trim().split('\n').at(-1)).toBe(
      `Here: {[-name-]{+"name"+}: [-'Ada'-]{+"Ada"+}, "note": "the [-"best-]{+\\"best\\+}" one", "tags": [1[-,-]][-,-]}`,
    )
    expect((await repair('{"a": 1}', '--explain')).stderr).toBe('')
  })

  it('shows control characters of the text, which a terminal would obey, as pictures', async () => {
    const { stderr } = await repair('x\u001bc{a: "b\u0007"}', '--explain')
    expect(stderr).toContain('x\u241bc{[-a-]{+"a"+}')
    expect(stderr).not.toContain('\u001b')
  })

  it('gives the whole result as JSON', async () => {
    const { stdout } = await repair('{"name":"Ada","age":"36"}', '--schema', schema, '--json')
    expect(JSON.parse(stdout)).toEqual({
      ok: true,
      value: { name: 'Ada', age: 36 },
      repairs: [{ path: '/age', rule: 'number-from-string' }],
    })
  })

  it.each([
    ['a level that is none', ['--level', 'hard'], 'allowed are off, syntax, safe, lenient'],
    ['a schema that is not there', ['--schema', 'nowhere.json'], 'ENOENT'],
    ['a schema that is no JSON', ['--schema', file('no.json', '{')], 'JSON'],
    ['a schema that is none', ['--schema', file('bad.json', '{"type":"nothing"}')], 'schema'],
    ['an unknown option', ['--strict'], 'unknown option'],
    ['a size that is none', ['--max-bytes', 'x'], 'whole number'],
  ])('refuses %s', async (_, args, said) => {
    const { exitCode, stderr } = await repair('{}', ...args)
    expect(exitCode).toBe(2)
    expect(stderr).toContain(said)
  })

  it('has its own help', async () => {
    expect(await runCli(['repair', '--help'])).toMatchObject({ exitCode: 0, stderr: '' })
  })
})
