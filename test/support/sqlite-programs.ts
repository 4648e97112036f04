import { builtPrograms } from './built.ts'

/** Where the programs of `test/stores/programs/` are, ready to be started. */
export const sqlitePrograms = await builtPrograms('test/stores/programs', [
  'sqlite-call',
  'sqlite-claims',
  'sqlite-endless',
  'sqlite-hold',
  'sqlite-open',
])
