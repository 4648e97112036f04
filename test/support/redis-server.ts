import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from './processes.ts'
import { type Program, pathOf } from './programs.ts'

export const REDIS: Program = {
  name: 'redis-server',
  install: 'apt-get install redis-server, or any Redis from 5 on in PATH',
}

export interface RedisServer {
  readonly port: number
  /** A command through redis-cli; its answer as text. */
  command(...words: string[]): Promise<string>
  /** SIGSTOP and SIGCONT: a server that hangs. */
  freeze(): void
  thaw(): void
  /** SIGKILL: what was not written is lost. */
  kill(): Promise<void>
  start(): Promise<void>
  /** Stops it for good and removes its data. */
  close(): Promise<void>
}

/**
 * A Redis of the test's own, on a free port, with data that is thrown away. It writes each command to
 * its log before it answers, so that what it acknowledged survives `kill`.
 */
export async function startRedis(settings: readonly string[] = []): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'steadycall-redis-'))
  const server = new Server(folder, await freePort(), settings)
  await server.start()
  return server
}

const run = promisify(execFile)
const START_TRIES = 200

class Server implements RedisServer {
  readonly port: number
  readonly #folder: string
  readonly #settings: readonly string[]
  #process: ChildProcess | undefined

  constructor(folder: string, port: number, settings: readonly string[]) {
    this.#folder = folder
    this.port = port
    this.#settings = settings
  }

  async command(...words: string[]): Promise<string> {
    const { stdout } = await run('redis-cli', ['-p', String(this.port), ...words])
    return stdout.trim()
  }

  freeze(): void {
    this.#process?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#process?.kill('SIGCONT')
  }

  async start(): Promise<void> {
    const path = pathOf(REDIS)
    if (path === undefined) throw new Error(`There is no redis-server (${REDIS.install})`)
    const own = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder]
    const durable = ['--save', '', '--appendonly', 'yes', '--appendfsync', 'always']
    this.#process = spawn(path, [...own, ...durable, ...this.#settings], { stdio: 'ignore' })
    process.once('exit', this.#killNow)
    for (let tries = 0; tries < START_TRIES; tries++) {
      if (await answers(this.port)) return
      await pause(50)
    }
    throw new Error('redis-server did not start')
  }

  async kill(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    process.off('exit', this.#killNow)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const closed = once(child, 'exit')
    child.kill('SIGKILL')
    await closed
  }

  async close(): Promise<void> {
    await this.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }

  readonly #killNow = (): void => {
    this.#process?.kill('SIGKILL')
  }
}

/** Whether a server answers PING there, having loaded its data. */
async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    socket.write('PING\r\n')
    const [answer] = await once(socket, 'data')
    return String(answer).startsWith('+PONG')
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
