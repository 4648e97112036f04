import { sqliteStore } from '../../../src/idempotency/sqlite-store.ts'

/** Says how opening the file ends. */
try {
  sqliteStore(process.argv[2] ?? '')
  process.stdout.write('opened')
} catch (error) {
  process.stdout.write(String(error))
}
