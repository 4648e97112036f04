import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { onFreePort } from './processes.ts'
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
  return onFreePort(async (port) => {
    const folder = await mkdtemp(join(tmpdir(), 'steadycall-redis-'))
    const server = new Server(folder, port, settings)
    try {
      await server.start()
    } catch (error) {
      await server.close()
      throw error
    }
    return server
  })
}

const run = promisify(execFile)

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
    while (!(await answers(this.port, this.#process.pid))) {
      const { exitCode, signalCode } = this.#process
      const ended = exitCode ?? signalCode
      if (ended !== null) throw new Error(`redis-server ended at its start (${ended})`)
      await pause(50)
    }
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

/** Whether this process answers PING there, having loaded its data. */
async function answers(port: number, pid: number | undefined): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    socket.write('PING\r\nINFO server\r\nQUIT\r\n')
    let answer = ''
    for await (const piece of socket.setEncoding('utf8')) answer += piece
    return answer.startsWith('+PONG') && answer.includes(`\r\nprocess_id:${pid}\r\n`)
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
