import { defineConfig, type RolldownOptions } from 'rolldown'

/**
 * What `npm run build` makes of `src`: one file for each entry point of package.json, and what they
 * share in chunks. As many files as `src` has would take twice as long to import.
 */
const config: RolldownOptions = defineConfig({
  input: {
    index: 'src/index.ts',
    'cli/main': 'src/cli/main.ts',
    'testing/index': 'src/testing/index.ts',
    'idempotency/sqlite-store': 'src/idempotency/sqlite-store.ts',
    'idempotency/redis-store': 'src/idempotency/redis-store.ts',
    'idempotency/postgres-store': 'src/idempotency/postgres-store.ts',
  },
  platform: 'node',
  // Every package stays one: only our own files are put together.
  external: /^[^./]/,
  output: {
    dir: 'dist',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name].js',
    sourcemap: true,
  },
})

export default config
