import { type ChildProcess, execFileSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
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

// Below those that systems give to outgoing connections, and to servers that ask for any: a server
// that is down for a while finds its own free again.
const LEAST_PORT = 15_000
const MOST_PORT = 30_000

/** A port of 127.0.0.1 that was free a moment ago. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(LEAST_PORT, MOST_PORT)
    if (await isFree(port)) return port
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening')
  } catch {
    return false
  }
  server.close()
  await once(server, 'close')
  return true
}

const START_TRIES = 5

/**
 * What `start` makes of a free port; with another one where it fails, as it does when somebody else
 * has taken the port meanwhile.
 */
export async function onFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await start(await freePort())
    } catch (error) {
      if (tries === START_TRIES) throw error
    }
  }
}

// A server that hangs ends by this; one that is slow does not.
const START_MS = 150_000

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
