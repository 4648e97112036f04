import { createHash, randomUUID } from 'node:crypto'
import { readdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { sqliteStore } from '../../../src/stores/sqlite-store.ts'
import { systemClock } from '../../../src/time.ts'

/** Claims keys 0 to `count` - 1, in an order of its own, 20 at a time; says which it owns. */
const [path = '', count = '0', many = '1'] = process.argv.slice(2)
const processes = Number(many)
// Eight processes beside other work may get a lock later than anybody would wait: the test's own limit holds.
const patient = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() / 100 }
const store = sqliteStore(path, { clock: patient })
const keys = Array.from({ length: Number(count) }, (_, index) => index)
  .map((key) => ({ key, at: Math.random() }))
  .sort((one, other) => one.at - other.at)
  .map(({ key }) => key)
const owned: number[] = []
const errors: string[] = []
await Promise.all(Array.from({ length: 20 }, claimOnAndOn))
// A process that is gone has no claims: it stays until the others have ended too.
writeFileSync(`${path}.ended-${process.pid}`, '')
while (readdirSync(dirname(path)).filter((name) => name.includes('.ended-')).length < processes) {
  await new Promise((resolve) => setTimeout(resolve, 10))
}
await store.close()
process.stdout.write(JSON.stringify({ owned, errors }))

async function claimOnAndOn(): Promise<void> {
  for (let key = keys.pop(); key !== undefined; key = keys.pop()) {
    try {
      const { state } = await store.claim({
        key: createHash('sha256').update(String(key)).digest('hex'),
        fingerprint: 'payload',
        owner: randomUUID(),
        leaseMs: 600_000,
        onUncertain: 'fail',
        ttlMs: 600_000,
      })
      if (state === 'owned') owned.push(key)
    } catch (error) {
      errors.push(String(error))
    }
  }
}
