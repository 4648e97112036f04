import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const HERE = fileURLToPath(new URL('.', import.meta.url))
const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** What is measured beside us goes to `bench/node_modules`; ours is built as it would be published. */
export async function installPeers(): Promise<void> {
  if (!existsSync(`${HERE}node_modules/.package-lock.json`)) {
    process.stderr.write('Installing the peers in bench/node_modules\n')
    await run('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts'], { cwd: HERE })
  }
  await run('npm', ['run', 'build'], { cwd: ROOT })
}
