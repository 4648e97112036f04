import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startFaultServer, wrongTypes } from 'steadycall/testing'
import { BUNDLERS } from './bundlers.mjs'
import { EXPECTED } from './everything.mjs'

const execute = promisify(execFile)

/** The bundle alone in a folder, where there is no package to be found. */
async function outcomeOf(name, bundle) {
  const folder = await mkdtemp(join(tmpdir(), 'steadycall-bundle-'))
  const server = await startFaultServer({ perCall: [wrongTypes(), wrongTypes()] })
  try {
    await bundle(join(folder, name))
    const load = name.endsWith('.cjs') ? `require('./${name}')` : `await import('./${name}')`
    const start = name.endsWith('.cjs') ? 'start.cjs' : 'start.mjs'
    const program = `const { run } = ${load}
      run(process.argv[2]).then((said) => console.log(JSON.stringify(said)))`
    await writeFile(join(folder, start), program)
    for (const flags of [[], ['--disallow-code-generation-from-strings']]) {
      const { stdout, stderr } = await execute(
        process.execPath,
        [...flags, start, server.baseURL],
        {
          cwd: folder,
        },
      )
      assert.deepEqual(JSON.parse(stdout), EXPECTED)
      const warned = stderr.match(/STEADYCALL_INTERPRETED/g)?.length ?? 0
      assert.equal(warned, flags.length, stderr)
    }
    return 'runs, also without code generation'
  } finally {
    await server.close()
    await rm(folder, { recursive: true, force: true })
  }
}

for (const [name, bundle] of Object.entries(BUNDLERS)) {
  try {
    console.log(`${name}: ${await outcomeOf(name, bundle)}`)
  } catch (error) {
    process.exitCode = 1
    console.log(`${name}: FAILED`, error)
  }
}
