import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { defineConfig, type Plugin, type RolldownOptions } from 'rolldown'

/**
 * Packages that are put into our files. AJV is a hundred small CommonJS files: on their own they take
 * three times as long to import, and not every bundler of a user's follows them.
 */
const INLINED: ReadonlySet<string> = new Set([
  'ajv',
  'ajv-formats',
  // What these two are made of.
  'fast-deep-equal',
  'fast-uri',
  'json-schema-traverse',
])

/** `ajv` of `ajv/dist/2020.js`, `@opentelemetry/api` of itself; '' of a path. */
function packageOf(id: string): string {
  return /^(?:@[^/]+\/)?[^./@][^/]*/.exec(id)?.[0] ?? ''
}

/**
 * What `npm run build` makes of `src`: one file for each entry point of package.json, and what they
 * share in chunks. As many files as `src` has would take twice as long to import.
 */
const config: RolldownOptions = defineConfig({
  input: {
    index: 'src/index.ts',
    'cli/main': 'src/cli/main.ts',
    'testing/index': 'src/testing/index.ts',
    'transport/direct-fetch': 'src/transport/direct-fetch.ts',
    'stores/sqlite-store': 'src/stores/sqlite-store.ts',
    'stores/redis-store': 'src/stores/redis-store.ts',
    'stores/postgres-store': 'src/stores/postgres-store.ts',
  },
  platform: 'node',
  // Every other package stays one: only our own files are put together.
  external: (id) => packageOf(id) !== '' && !INLINED.has(packageOf(id)),
  plugins: [licencesOfInlined()],
  output: {
    dir: 'dist',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name].js',
    sourcemap: true,
  },
})

/** Their licences ask for a copy beside theirs. */
function licencesOfInlined(): Plugin {
  return {
    name: 'licences-of-inlined',
    async generateBundle() {
      const homes = [...this.getModuleIds()].flatMap(
        (id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? [],
      )
      const texts = [...new Set(homes)].sort().map(licenceIn)
      const source = (await Promise.all(texts)).join('\n')
      this.emitFile({ type: 'asset', fileName: 'THIRD-PARTY-LICENSES.txt', source })
    },
  }
}

async function licenceIn(home: string): Promise<string> {
  const { name, version } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8'))
  const file = (await readdir(home)).find((entry) => /^licen[cs]e/i.test(entry))
  if (file === undefined) throw new Error(`${name} has no licence file to copy`)
  return `${name} ${version}\n\n${await readFile(join(home, file), 'utf8')}`
}

export default config
