import { type SpawnOptions, spawn } from 'node:child_process'
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** How an attempt to install a project ended. */
export type Installed =
  | { readonly ok: true; readonly folder: string }
  | { readonly ok: false; readonly why: string; readonly isTooSlow: boolean }

/**
 * Builds the package and packs it as `npm publish` would, into a folder of its own.
 * @returns the path of the tarball.
 */
export async function packSteadycall(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'steadycall-tarball-'))
  const packed = await npm(['pack', '--silent', '--pack-destination', folder], { cwd: root })
  const [tarball] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'))
  if (packed !== 0 || tarball === undefined) throw new Error(`npm pack ended with ${packed}`)
  return join(folder, tarball)
}

/**
 * Makes a stranger's project of a folder that has a package.json and a package-lock.json: copied
 * out of the repository, so that nothing resolves to the repository's own packages, with the
 * packages that its lockfile pins, and with the tarball.
 *
 * @param withinMs ends an installation that takes longer. @default Infinity
 */
export async function freshProject(
  source: string,
  tarball: string,
  withinMs: number = Number.POSITIVE_INFINITY,
): Promise<Installed> {
  const folder = await mkdtemp(join(tmpdir(), `steadycall-${basename(source)}-`))
  const isOwn = (path: string) => !path.slice(source.length).includes('node_modules')
  await cp(source, folder, { recursive: true, filter: isOwn })
  const startedAtMs = performance.now()
  for (const step of [['ci'], ['install', '--no-save', tarball]]) {
    const leftMs = withinMs - (performance.now() - startedAtMs)
    const code = await npm([...step, '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: folder,
      ...(Number.isFinite(leftMs)
        ? { timeout: Math.max(1, Math.ceil(leftMs)), killSignal: 'SIGKILL' }
        : {}),
    })
    if (code === 0) continue
    const isTooSlow = performance.now() - startedAtMs >= withinMs
    const why = isTooSlow ? `did not install within ${withinMs / 1000} s` : `npm ${step[0]} failed`
    await rm(folder, { recursive: true, force: true })
    return { ok: false, why, isTooSlow }
  }
  return { ok: true, folder }
}

/**
 * Runs npm as a shell of the user would: what the npm around it says of the script that it runs is
 * left out of the environment.
 * @returns its exit code; undefined when a signal ended it.
 */
export function npm(
  args: readonly string[],
  options: SpawnOptions & { readonly cwd: string },
): Promise<number | undefined> {
  const own = /^npm_(package|lifecycle|command|config_local_prefix|node_execpath|execpath)/
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)))
  const child = spawn('npm', [...args], { stdio: 'inherit', env, ...options })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? undefined))
  })
}
