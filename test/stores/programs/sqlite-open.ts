import { sqliteStore } from '../../../src/stores/sqlite-store.ts'

/** Says how opening the file ends; 'as nobody', for a user to whom something is forbidden. */
const [path = '', who] = process.argv.slice(2)
// Nothing is forbidden to root. By now all that has to be read for this program is loaded.
if (who === 'as nobody' && process.getuid?.() === 0) {
  process.setgroups?.([])
  process.setgid?.(65_534)
  process.setuid?.(65_534)
}
try {
  sqliteStore(path)
  process.stdout.write('opened')
} catch (error) {
  process.stdout.write(String(error))
}
