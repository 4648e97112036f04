import { type ChildProcess, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Who a child process runs as; empty for who we are. */
export interface Identity {
  readonly uid?: number
  readonly gid?: number
}

/** For servers that refuse to run as root: as root, this user or else `nobody`. */
export function unprivileged(user: string): Identity {
  if (process.getuid?.() !== 0) return {}
  for (const name of [user, 'nobody']) {
    const uid = idOf('-u', name)
    const gid = idOf('-g', name)
    if (uid !== undefined && gid !== undefined) return { uid, gid }
  }
  throw new Error(`This is root, and there is neither ${user} nor nobody to run a server as`)
}

function idOf(kind: '-u' | '-g', name: string): number | undefined {
  try {
    return Number(execFileSync('id', [kind, name], { encoding: 'utf8', stdio: 'pipe' }))
  } catch {
    return undefined
  }
}

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}

const START_MS = 30_000

/** Resolves once the process has said this on its error output; kills it when that takes too long. */
export async function saying(child: ChildProcess, words: string): Promise<void> {
  let log = ''
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`${child.spawnfile} did not say '${words}' in ${START_MS} ms:\n${log}`))
    }, START_MS)
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-10_000)
      if (!log.includes(words)) return
      clearTimeout(timer)
      resolve()
    })
    child.once('error', reject)
    child.once('close', () => {
      clearTimeout(timer)
      reject(new Error(`${child.spawnfile} ended at its start:\n${log}`))
    })
  })
}
