import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serverError, startFaultServer, wrongTypes } from '../../src/testing/index.ts'
import { builtPackage } from '../support/built.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))
let app: string

/** What the package says it needs: nothing else is there to be found. */
async function declaredDependencies(): Promise<readonly string[]> {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const isOptional = (name: string) => manifest.peerDependenciesMeta[name]?.optional === true
  const peers = Object.keys(manifest.peerDependencies).filter((name) => !isOptional(name))
  return [...Object.keys(manifest.dependencies), ...peers]
}

/** An app of a stranger: the built package, its declared dependencies, and nothing else. */
beforeAll(async () => {
  app = await mkdtemp(join(tmpdir(), 'steadycall-packed-'))
  await cp(await builtPackage(), join(app, 'node_modules', 'steadycall'), { recursive: true })
  for (const name of await declaredDependencies()) {
    const target = join(app, 'node_modules', name)
    await mkdir(dirname(target), { recursive: true })
    await symlink(join(root, 'node_modules', name), target)
  }
  await writeFile(join(app, 'package.json'), '{ "type": "module" }')
})

afterAll(() => rm(app, { recursive: true, force: true }))

async function node(source: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const file = join(app, `${Math.random()}.mjs`)
  await writeFile(file, source)
  const { stdout } = await run(process.execPath, [file], { env: { ...process.env, ...env } })
  return stdout.trim()
}

describe('the package as a stranger gets it', () => {
  it('makes a structured call', async () => {
    const server = await startFaultServer({ perCall: [wrongTypes()] })
    const source = `
      import OpenAI from 'openai'
      import { steady } from 'steadycall'
      const { value, repairs } = await steady(new OpenAI()).json({
        model: 'm',
        messages: [{ role: 'user', content: 'how many?' }],
        schema: { type: 'object', properties: { count: { type: 'integer' } }, required: ['count'] },
      })
      console.log(typeof value.count, repairs.length)`
    const output = await node(source, { OPENAI_API_KEY: 'k', OPENAI_BASE_URL: server.baseURL })
    await server.close()
    expect(output).toBe('number 1')
  })

  it('can be required from CommonJS too', async () => {
    const source = `
      import { createRequire } from 'node:module'
      console.log(typeof createRequire(import.meta.url)('steadycall').steady)`
    await expect(node(source)).resolves.toBe('function')
  })

  it('shares scope, runtime and error marks with a second copy, imported or required', async () => {
    const second = join(app, 'node_modules', 'other', 'node_modules', 'steadycall')
    await cp(join(app, 'node_modules', 'steadycall'), second, { recursive: true })
    for (const name of await declaredDependencies()) {
      const target = join(app, 'node_modules', 'other', 'node_modules', name)
      await mkdir(dirname(target), { recursive: true })
      await symlink(join(root, 'node_modules', name), target)
    }
    const server = await startFaultServer({
      perCall: Array.from({ length: 20 }, () => serverError()),
    })
    const source = `
      import { createRequire } from 'node:module'
      import OpenAI from 'openai'
      import * as first from 'steadycall'
      const require = createRequire(import.meta.url)
      const second = require('./node_modules/other/node_modules/steadycall/dist/index.js')
      if (first.steady === second.steady) throw new Error('one copy only')
      const outer = first.steady(new OpenAI(), { limits: 'off' })
      const inner = second.steady(new OpenAI(), { limits: 'off' })
      const messages = [{ role: 'user', content: 'hello' }]
      const error = await outer
        .run('outer', () => inner.json({ model: 'm', messages, schema: {} }))
        .catch((caught) => caught)
      console.log(second.isCallError(error), first.isCallError(error.cause), outer.targets().length)`
    const env = { OPENAI_API_KEY: 'k', OPENAI_BASE_URL: server.baseURL }
    const output = await node(source, env)
    const { count } = server
    await server.close()
    // Three requests, not nine; and both copies' targets in the one runtime.
    expect([output, count]).toEqual(['true true 2', 3])
  })

  it('has the testing kit under its subpath', async () => {
    const source = `
      import { startFaultServer } from 'steadycall/testing'
      const server = await startFaultServer()
      console.log(server.baseURL.startsWith('http://127.0.0.1:'))
      await server.close()`
    await expect(node(source)).resolves.toBe('true')
  })

  it('has the SQLite store under its subpath, and does not load SQLite before it is used', async () => {
    const source = `
      import { sqliteStore } from 'steadycall/sqlite'
      const loaded = () => process.moduleLoadList.includes('NativeModule sqlite')
      const before = loaded()
      const store = sqliteStore(new URL('./packed.db', import.meta.url))
      console.log(store.name, before, loaded())
      await store.close()`
    await expect(node(source)).resolves.toBe('sqlite false true')
  })

  it.each([
    ['redis', 'redisStore'],
    ['postgres', 'postgresStore'],
  ])('has the %s store under its subpath, with no driver installed', async (path, name) => {
    const source = `
      import * as store from 'steadycall/${path}'
      console.log(typeof store.${name})
      try { store.${name}() } catch (error) { console.log(error.name) }`
    await expect(node(source)).resolves.toBe('function\nTypeError')
  })

  it('prints the SQL of the Postgres table for who may not create it', async () => {
    const source = `
      import { schemaSql } from 'steadycall/postgres'
      console.log(schemaSql({ table: 'app.calls' }))`
    await expect(node(source)).resolves.toMatch(/^CREATE TABLE IF NOT EXISTS "app"\."calls" \(/)
  })

  it('brings AJV in its own files, with its licence', async () => {
    const home = join(app, 'node_modules', 'steadycall')
    const { dependencies } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8'))
    expect(Object.keys(dependencies)).toEqual(['json-schema-to-ts', 'p-retry'])
    const licences = await readFile(join(home, 'dist', 'THIRD-PARTY-LICENSES.txt'), 'utf8')
    const names = licences.match(/^[a-z-]+ \d+\.\d+\.\d+$/gm) ?? []
    expect(names.map((line) => line.split(' ')[0])).toEqual([
      'ajv',
      'ajv-formats',
      'fast-deep-equal',
      'fast-uri',
      'json-schema-traverse',
    ])
  })

  it('brings its command', async () => {
    const cli = join(app, 'node_modules', 'steadycall', 'dist', 'cli', 'main.js')
    const { stdout } = await run(process.execPath, [cli, '--help'])
    expect(stdout).toContain('steadycall demo')
  })
})

describe('one file made of a program and of all it imports', () => {
  const program = `
    import OpenAI from 'openai'
    import { parseJson, steady } from 'steadycall'
    export async function run() {
      const count = { type: 'object', properties: { count: { type: 'integer' } }, required: ['count'] }
      const messages = [{ role: 'user', content: 'how many?' }]
      const { value } = await steady(new OpenAI()).json({ model: 'm', messages, schema: count })
      const dated = ['2020-12/schema', '2019-09/schema']
        .map((draft) => ({ $schema: 'https://json-schema.org/draft/' + draft, format: 'date' }))
      const draft7 = { $schema: 'http://json-schema.org/draft-07/schema#', format: 'date' }
      return [
        typeof value.count,
        parseJson('Here: {"count": "36",}', count).value.count,
        parseJson('{"a": "the "only" one"}').ok,
        [draft7, ...dated].map((schema) => parseJson('"no date"', schema).kind),
      ]
    }`
  const said = [
    'number',
    36,
    true,
    ['schema_mismatch', 'schema_mismatch', 'schema_mismatch'],
  ] as const

  /** Alone in a folder, where there is no package to be found. */
  async function bundled(format: 'esm' | 'cjs', flags: readonly string[]) {
    await writeFile(join(app, 'program.mjs'), program)
    const folder = await mkdtemp(join(tmpdir(), 'steadycall-bundle-'))
    const [file, start] =
      format === 'esm' ? ['bundle.mjs', 'start.mjs'] : ['bundle.cjs', 'start.cjs']
    const load = format === 'esm' ? `await import('./${file}')` : `require('./${file}')`
    const source = `const { run } = ${load}
      run().then((said) => console.log(JSON.stringify(said)))`
    await writeFile(join(folder, start), source)
    const into = ['--format', format, '--platform', 'node', '--file', join(folder, file)]
    await run(
      join(root, 'node_modules', '.bin', 'rolldown'),
      [join(app, 'program.mjs'), ...into, '--log-level', 'silent'],
      { cwd: app },
    )
    const server = await startFaultServer({ perCall: [wrongTypes()] })
    const env = { ...process.env, OPENAI_API_KEY: 'k', OPENAI_BASE_URL: server.baseURL }
    const { stdout, stderr } = await run(process.execPath, [...flags, start], { cwd: folder, env })
    await server.close()
    await rm(folder, { recursive: true, force: true })
    return { said: JSON.parse(stdout), warned: stderr.match(/STEADYCALL_\w+/g) }
  }

  it.each(['esm', 'cjs'] as const)(
    'calls and parses as %s',
    async (format) => {
      await expect(bundled(format, [])).resolves.toEqual({ said, warned: null })
    },
    120_000,
  )

  it('calls and parses where code generation is refused, and says so once', async () => {
    const flags = ['--disallow-code-generation-from-strings']
    await expect(bundled('esm', flags)).resolves.toEqual({
      said,
      warned: ['STEADYCALL_INTERPRETED'],
    })
  }, 120_000)
})

describe('its declarations', () => {
  it('compile without skipLibCheck, and without @types/node', { timeout: 300_000 }, async () => {
    const home = join(app, 'node_modules', 'steadycall')
    const tsc = join(root, 'node_modules', '.bin', 'tsc')
    await run(tsc, ['-p', join(root, 'tsconfig.build.json'), '--outDir', join(home, 'dist')])
    const { exports } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    const names = Object.keys(exports).filter((name) => name !== './package.json')
    const imports = names.map((name, index) => {
      const specifier = JSON.stringify(name.replace(/^\./, 'steadycall'))
      return `import * as entry${index} from ${specifier}\nexport const used${index} = entry${index}`
    })
    await writeFile(join(app, 'every-entry.ts'), imports.join('\n'))
    // What json-schema-to-ts needs itself.
    const algebra = join('node_modules', 'ts-algebra')
    await symlink(join(root, algebra), join(app, algebra))
    const settings = ['--noEmit', '--strict', '--skipLibCheck', 'false', '--target', 'es2022']
    // The packages are links into the repository, where @types/node would be found.
    const asInstalled = ['--module', 'nodenext', '--preserveSymlinks']
    const said = await run(tsc, [...settings, ...asInstalled, 'every-entry.ts'], { cwd: app }).then(
      () => 'nothing',
      (error: unknown) => String(Reflect.get(Object(error), 'stdout')),
    )
    expect(said).toBe('nothing')
  })
})
