import { parentPort, workerData } from 'node:worker_threads'
import { sqliteStore } from '../../../src/stores/sqlite-store.ts'

/** Opens the file in a thread, claims a key there, closes the store, and says so. */
const store = sqliteStore(String(workerData))
const { state } = await store.claim({
  key: 'of the thread',
  fingerprint: 'payload',
  owner: 'thread',
  leaseMs: 60_000,
  onUncertain: 'rerun',
  ttlMs: 60_000,
})
await store.close()
parentPort?.postMessage(state)
