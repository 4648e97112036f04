import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** What a program prints in a process of its own, with these variables. */
export async function runNode(
  program: string,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const flags = ['--conditions=steadycall:source', '--no-warnings', '--input-type=module']
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, '--eval', program], {
    env: { ...process.env, ...env },
  })
  return stdout
}
