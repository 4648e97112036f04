import { randomUUID } from 'node:crypto'
import { sqliteStore } from '../../../src/stores/sqlite-store.ts'

/** Claims keys for ten minutes, says so, and does nothing more until it is ended. */
const [path = '', onUncertain, how, ...keys] = process.argv.slice(2)
const store = sqliteStore(path)
for (const key of keys) {
  const claimed = await store.claim({
    key,
    fingerprint: 'payload',
    owner: randomUUID(),
    leaseMs: 600_000,
    onUncertain: onUncertain === 'fail' ? 'fail' : 'rerun',
    ttlMs: 600_000,
  })
  if (claimed.state !== 'owned') throw new Error(`${key} is ${claimed.state}`)
  if (how?.includes('dispatched')) await store.dispatch(claimed.claim)
}
if (how?.includes('closed')) await store.close()
process.stdout.write('held\n')
setInterval(() => {}, 60_000)
