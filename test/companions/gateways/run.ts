import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** What the runner of the companions takes for "could not run here". */
const SKIPPED = 77

const PIP_WITHIN_MS = Number(process.env['COMPANION_INSTALL_WITHIN_MS'] ?? 600_000)

const own = (name: string) => fileURLToPath(new URL(name, import.meta.url))

const litellm = process.env['LITELLM'] ?? (await installed())
const vitest = own('node_modules/vitest/vitest.mjs')
const code = await run(process.execPath, [vitest, 'run', ...process.argv.slice(2)], {
  LITELLM: litellm ?? '',
})
process.exitCode = code === 0 && litellm === undefined ? SKIPPED : code

/** The command of LiteLLM in an environment of its own, made where there is none yet. */
async function installed(): Promise<string | undefined> {
  const command = own('venv/bin/litellm')
  if (existsSync(command)) return command
  if ((await run('python3', ['-m', 'venv', own('venv')])) !== 0) {
    return leaveOut('python3 cannot make a virtual environment')
  }
  const pip = ['install', '--quiet', '--disable-pip-version-check', '-r', own('requirements.txt')]
  if ((await run(own('venv/bin/pip'), pip, {}, PIP_WITHIN_MS)) !== 0) {
    return leaveOut(`pip cannot install requirements.txt here within ${PIP_WITHIN_MS / 1_000} s`)
  }
  return command
}

function leaveOut(why: string): undefined {
  process.stdout.write(`LiteLLM's proxy is not run: ${why}. See README.md beside this file.\n`)
}

/** The exit code; 1 for a command that is not there, or was ended. */
function run(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  timeout?: number,
): Promise<number> {
  const child = spawn(command, args, {
    stdio: 'inherit',
    env: { ...process.env, ...env },
    ...(timeout !== undefined && { timeout }),
  })
  return new Promise((resolve) => {
    child.once('error', () => resolve(1))
    child.once('exit', (status) => resolve(status ?? 1))
  })
}
