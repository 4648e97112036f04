import { randomUUID } from 'node:crypto'
import { sqliteStore } from '../../../src/stores/sqlite-store.ts'

/** Claims and completes keys until it is killed; says each one that the store has acknowledged. */
const [path = ''] = process.argv.slice(2)
const store = sqliteStore(path)
await Promise.all(Array.from({ length: 4 }, goOn))

async function goOn(): Promise<never> {
  for (;;) {
    const key = randomUUID()
    const claimed = await store.claim({
      key,
      fingerprint: 'payload',
      owner: randomUUID(),
      leaseMs: 600_000,
      onUncertain: 'fail',
      ttlMs: 600_000,
    })
    if (claimed.state !== 'owned') throw new Error(claimed.state)
    const result = JSON.stringify(key.repeat(500))
    await store.complete(claimed.claim, { ok: true, result }, 600_000)
    process.stdout.write(`${key}\n`)
  }
}
