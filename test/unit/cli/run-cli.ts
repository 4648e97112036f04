import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { builtPackage } from '../../support/built.ts'

const MAIN = join(await builtPackage(), 'dist', 'cli', 'main.js')

/** How a run of the command ended. */
export interface CliRun {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The command as a user starts it, with its output in pipes and no provider's settings around. */
export function startCli(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  input?: string,
): ChildProcess {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  })
  child.stdin?.end(input)
  return child
}

/** Everything a run wrote, once it is over. */
export function ended(child: ChildProcess): Promise<CliRun> {
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exitCode) => resolve({ exitCode, stdout, stderr }))
  })
}

export function runCli(
  args: readonly string[],
  env?: NodeJS.ProcessEnv,
  input?: string,
): Promise<CliRun> {
  return ended(startCli(args, env, input))
}
