import { fileURLToPath } from 'node:url'

const checkout = process.env['OPENAI_NODE']
const own = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const wrapped = { find: /^openai(\/index)?$/, replacement: own('wrapped.ts') }

// Not through `defineConfig`: vitest is the checkout's, which this folder cannot import.
export default {
  root: checkout,
  resolve: {
    alias: [
      ...(process.env['STEADY'] === '1' ? [wrapped] : []),
      { find: /^openai(-under-test)?$/, replacement: `${checkout}/src/index.ts` },
      { find: /^openai\/(.*)$/, replacement: `${checkout}/src/$1` },
    ],
  },
  test: {
    environment: 'node',
    // The tests of the client are written for Jest.
    globals: true,
    setupFiles: [own('set-up.ts')],
    include: ['tests/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
}
