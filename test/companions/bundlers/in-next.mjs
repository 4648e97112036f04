import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startFaultServer, wrongTypes } from 'steadycall/testing'
import { EXPECTED } from './program.mjs'

const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' }
execFileSync('npx', ['next', 'build', '--turbopack'], { stdio: 'inherit', env })

const folder = await mkdtemp(join(tmpdir(), 'steadycall-next-'))
await cp('.next/standalone', folder, { recursive: true })
for (const name of ['steadycall', 'openai', 'p-retry']) {
  assert.equal(
    existsSync(join(folder, 'node_modules', name)),
    false,
    `${name} is not in the bundle`,
  )
}

const port = await freePort()
const provider = await startFaultServer({ perCall: [wrongTypes()] })
const server = spawn(process.execPath, ['server.js'], {
  cwd: folder,
  env: { ...env, PORT: String(port), HOSTNAME: '127.0.0.1' },
  stdio: ['ignore', 'pipe', 'inherit'],
})
try {
  await ready(server)
  const url = `http://127.0.0.1:${port}/check?provider=${encodeURIComponent(provider.baseURL)}`
  const response = await fetch(url)
  const text = await response.text()
  assert.equal(response.status, 200, text)
  assert.deepEqual(JSON.parse(text), EXPECTED)
  console.log('Turbopack: runs')
} finally {
  server.kill()
  await provider.close()
  await rm(folder, { recursive: true, force: true })
}

/** Next says so; one that ends before is an error. */
function ready({ stdout }) {
  return new Promise((resolve, reject) => {
    stdout.on('data', (text) => String(text).includes('Ready') && resolve())
    stdout.on('close', () => reject(new Error('the server ended')))
  })
}

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port: free } = probe.address()
      probe.close(() => resolve(free))
    })
  })
}
