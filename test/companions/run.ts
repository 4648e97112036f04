import { readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { freshProject, npm, packSteadycall } from '../package/fresh-project.ts'

// npm run test:companions [-- NAME …] [--install-within SECONDS]
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { 'install-within': { type: 'string' } },
})
const { 'install-within': seconds } = values

/** What automake and others read as "could not run here"; the companion prints the reason. */
const SKIPPED = 77

const here = dirname(fileURLToPath(import.meta.url))
const found = (await readdir(here, { withFileTypes: true })).filter((entry) => entry.isDirectory())
const all = found.map(({ name }) => name).sort()
const unknown = positionals.filter((name) => !all.includes(name))
if (unknown.length > 0) {
  throw new TypeError(`no companion is named ${unknown.join(', ')}; there are ${all.join(', ')}`)
}

const tarball = await packSteadycall()
const withinMs = seconds === undefined ? Number.POSITIVE_INFINITY : Number(seconds) * 1000
// What a companion installs by other means than npm is bound by it too.
if (seconds !== undefined) process.env['COMPANION_INSTALL_WITHIN_MS'] = String(withinMs)
const outcomes: string[] = []
for (const name of positionals.length > 0 ? positionals : all) {
  process.stdout.write(`\n── companion ${name}\n`)
  const startedAtMs = performance.now()
  const outcome = await runCompanion(name)
  if (outcome.startsWith('failed')) process.exitCode = 1
  const tookS = ((performance.now() - startedAtMs) / 1000).toFixed(0)
  outcomes.push(`companion ${name}: ${outcome} (${tookS} s)`)
}
await rm(dirname(tarball), { recursive: true, force: true })
process.stdout.write(`\n${outcomes.join('\n')}\n`)

async function runCompanion(name: string): Promise<string> {
  const project = await freshProject(join(here, name), tarball, withinMs)
  if (!project.ok) return `${project.isTooSlow ? 'left out' : 'failed'}: ${project.why}`
  const code = await npm(['test'], { cwd: project.folder })
  await rm(project.folder, { recursive: true, force: true })
  if (code === SKIPPED) return 'left out: it says why above'
  return code === 0 ? 'passed' : `failed: npm test ended with ${code}`
}
