import assert from 'node:assert/strict'
import { build } from 'esbuild'
import { Miniflare } from 'miniflare'
import { startFaultServer, wrongTypes } from 'steadycall/testing'
import { EXPECTED } from './program.mjs'

/** As wrangler bundles a Worker. */
const { outputFiles } = await build({
  entryPoints: ['worker.mjs'],
  bundle: true,
  write: false,
  format: 'esm',
  platform: 'browser',
  conditions: ['workerd', 'worker', 'browser'],
  external: ['node:*', 'cloudflare:*'],
  logLevel: 'error',
})

const said = []

for (const compatibilityDate of ['2024-09-23', '2026-07-01']) {
  said.length = 0
  const server = await startFaultServer({ perCall: [wrongTypes(), wrongTypes()] })
  const worker = new Miniflare({
    modules: true,
    cf: false,
    script: outputFiles[0].text,
    compatibilityDate,
    compatibilityFlags: ['nodejs_compat'],
    handleRuntimeStdio(stdout, stderr) {
      for (const stream of [stdout, stderr]) stream.on('data', (text) => said.push(String(text)))
    },
  })
  try {
    for (const call of ['first', 'second']) {
      const url = `http://worker/?provider=${encodeURIComponent(server.baseURL)}&call=${call}`
      const response = await worker.dispatchFetch(url)
      const text = await response.text()
      assert.equal(response.status, 200, text)
      assert.deepEqual(JSON.parse(text), EXPECTED)
    }
    // What checks is said once, also in a second request.
    assert.equal(said.join('\n').match(/STEADYCALL_INTERPRETED/g)?.length, 1, said.join('\n'))
    console.log(`workerd of ${compatibilityDate}: json and parseJson, twice`)
  } finally {
    await worker.dispose()
    await server.close()
  }
}
