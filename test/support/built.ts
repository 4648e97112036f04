import { cp, mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import config from '../../rolldown.config.ts'
import { oncePerRun } from './once-per-run.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

/**
 * An application's folder with the examples: in its `node_modules` is the package as `npm run build`
 * makes it, beside links to all packages of the repository. What starts there takes a third of the
 * time that it takes from some two hundred files of TypeScript.
 * @returns its path
 */
export function builtApp(): Promise<string> {
  return oncePerRun('app', async (app) => {
    const packages = join(app, 'node_modules')
    const home = join(packages, 'steadycall')
    await mkdir(home, { recursive: true })
    const build = await rolldown({ ...config, cwd: root, logLevel: 'warn' })
    await build.write({ ...config.output, dir: join(home, 'dist') })
    await build.close()
    await cp(join(root, 'package.json'), join(home, 'package.json'))
    await cp(join(root, 'examples'), join(app, 'examples'), { recursive: true })
    await writeFile(join(app, 'package.json'), '{ "type": "module" }')
    for (const name of await readdir(join(root, 'node_modules'))) {
      await symlink(join(root, 'node_modules', name), join(packages, name))
    }
  })
}

/** Where the package of `builtApp` is: its package.json and `dist`. */
export async function builtPackage(): Promise<string> {
  return join(await builtApp(), 'node_modules', 'steadycall')
}

/**
 * Programs of the tests, each with all that it imports in JavaScript, for those that are started
 * many times.
 *
 * @param folder where they are, from the repository's root
 * @param names without `.ts`
 * @returns a folder with `NAME.js` for each
 */
export function builtPrograms(folder: string, names: readonly string[]): Promise<string> {
  return oncePerRun(folder.replaceAll('/', '-'), async (dir) => {
    const input = Object.fromEntries(names.map((name) => [name, join(folder, `${name}.ts`)]))
    const build = await rolldown({ input, cwd: root, platform: 'node', logLevel: 'silent' })
    await build.write({ dir })
    await build.close()
  })
}
