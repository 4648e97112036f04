import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { type Identity, onFreePort, saying, unprivileged } from './processes.ts'
import { type Program, pathOf } from './programs.ts'

const DEBIAN = '/usr/lib/postgresql'

/** Debian keeps the server's programs out of `PATH`, by version. */
export const POSTGRES: Program = {
  name: 'postgres',
  folders: versions().map((version) => join(DEBIAN, version, 'bin')),
  install: 'apt-get install postgresql, or any Postgres from 12 on with its bin folder in PATH',
}

export interface PostgresServer {
  readonly port: number
  /** Connection string of a superuser, for one of its databases. */
  url(database?: string): string
  /**
   * A new database for connections to have these settings in, such as
   * `default_transaction_isolation`.
   * @returns its name
   */
  createDatabase(settings?: Readonly<Record<string, string>>): Promise<string>
  /** SQL through psql. */
  execute(database: string, sql: string): Promise<string>
  /** All of a database as pg_dump writes it. */
  dump(database: string): Promise<string>
  /**
   * Another server that follows this one. To this one it is known as `standby`, as in
   * `synchronous_standby_names`; to be closed like any other.
   */
  standby(): Promise<PostgresServer>
  /** What `dump` gave, into an empty database. */
  restore(database: string, dump: string): Promise<void>
  /** `immediate` is a crash: no checkpoint, all connections cut, recovery at the next start. */
  stop(mode: 'fast' | 'immediate'): Promise<void>
  start(): Promise<void>
  /** Stops it for good and removes its data. */
  close(): Promise<void>
}

export interface PostgresServerOptions {
  /** No file of the server's may grow beyond this: what it then meets is much like a full disk. */
  readonly maxFileKilobytes?: number
  /** Commits wait for the disk, as they would in production. @default false */
  readonly isSynced?: boolean
}

/**
 * A Postgres of the test's own, on a free port, with data that is thrown away. An acknowledged
 * commit survives the crash of the server, though not that of the machine: nothing is synced unless
 * that is asked for.
 */
export async function startPostgres(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  return newServer(options, (server) => server.initialize())
}

function newServer(
  options: PostgresServerOptions,
  initialize: (server: Server) => Promise<void>,
): Promise<Server> {
  return onFreePort(async (port) => started(await emptyServer(port, options), initialize))
}

async function emptyServer(port: number, options: PostgresServerOptions): Promise<Server> {
  const identity = unprivileged('postgres')
  const folder = await mkdtemp(join(tmpdir(), 'steadycall-postgres-'))
  const data = join(folder, 'data')
  await mkdir(data, { mode: 0o700 })
  if (identity.uid !== undefined) {
    for (const each of [folder, data]) await chown(each, identity.uid, identity.gid ?? identity.uid)
  }
  return new Server(data, port, identity, options)
}

async function started(
  server: Server,
  initialize: (server: Server) => Promise<void>,
): Promise<Server> {
  try {
    await initialize(server)
    await server.start()
  } catch (error) {
    await server.close()
    throw error
  }
  return server
}

const run = promisify(execFile)

class Server implements PostgresServer {
  readonly port: number
  readonly #data: string
  readonly #identity: Identity
  readonly #options: PostgresServerOptions
  #process: ChildProcess | undefined
  #databases = 0

  constructor(data: string, port: number, identity: Identity, options: PostgresServerOptions) {
    this.#options = options
    this.#data = data
    this.port = port
    this.#identity = identity
  }

  url(database = 'postgres'): string {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`
  }

  async initialize(): Promise<void> {
    const options = ['--auth=trust', '--username=postgres', '--encoding=UTF8', '--locale=C']
    await this.#program('initdb', [...options, '--no-sync', this.#data])
  }

  async standby(): Promise<PostgresServer> {
    return newServer({}, async (standby) => {
      const source = `${this.url()}?application_name=standby`
      const options = ['--write-recovery-conf', '--checkpoint=fast', '--no-sync']
      await this.#program('pg_basebackup', [`--dbname=${source}`, ...options, '-D', standby.#data])
    })
  }

  async createDatabase(settings: Readonly<Record<string, string>> = {}): Promise<string> {
    this.#databases += 1
    const name = `test_${this.#databases}`
    await this.execute('postgres', `CREATE DATABASE ${name}`)
    for (const [setting, value] of Object.entries(settings)) {
      await this.execute('postgres', `ALTER DATABASE ${name} SET ${setting} = '${value}'`)
    }
    return name
  }

  execute(database: string, sql: string): Promise<string> {
    return this.#psql(database, '--command', sql)
  }

  dump(database: string): Promise<string> {
    return this.#program('pg_dump', [this.url(database)])
  }

  async restore(database: string, dump: string): Promise<void> {
    const file = join(dirname(this.#data), 'dump.sql')
    await writeFile(file, `${dump}\n`)
    await this.#psql(database, '--file', file)
  }

  async start(): Promise<void> {
    const { maxFileKilobytes, isSynced = false } = this.#options
    const sync = isSynced ? 'on' : 'off'
    const settings = {
      port: this.port,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      max_connections: 200,
      shared_buffers: '32MB',
      fsync: sync,
      full_page_writes: sync,
      log_min_messages: 'log',
    }
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    // bash, since other shells count this limit in other units. The server takes the shell's place.
    const limit = maxFileKilobytes === undefined ? '' : `ulimit -f ${maxFileKilobytes}; `
    const command = [programPath('postgres'), '-D', this.#data, ...options]
    const child = spawn('bash', ['-c', `${limit}exec "$@"`, 'bash', ...command], {
      ...this.#identity,
      cwd: this.#data,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#process = child
    process.once('exit', this.#killNow)
    // Connections, or in a standby read-only connections.
    await saying(child, 'ready to accept')
  }

  async stop(mode: 'fast' | 'immediate'): Promise<void> {
    const child = this.#process
    this.#process = undefined
    process.off('exit', this.#killNow)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const closed = once(child, 'close')
    child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
    await closed
  }

  async close(): Promise<void> {
    await this.stop('immediate')
    await rm(dirname(this.#data), { recursive: true, force: true })
  }

  readonly #killNow = (): void => {
    this.#process?.kill('SIGQUIT')
  }

  #psql(database: string, ...input: readonly string[]): Promise<string> {
    const options = ['--no-psqlrc', '--quiet', '--tuples-only', '--no-align']
    const stopAtErrors = ['--set', 'ON_ERROR_STOP=1']
    return this.#program('psql', [...options, ...stopAtErrors, ...input, this.url(database)])
  }

  async #program(name: string, options: readonly string[]): Promise<string> {
    const { stdout } = await run(programPath(name), options, {
      ...this.#identity,
      cwd: this.#data,
      maxBuffer: 50_000_000,
    })
    return stdout.trim()
  }
}

function programPath(name: string): string {
  const path = pathOf({ ...POSTGRES, name })
  if (path === undefined) throw new Error(`There is no ${name} (${POSTGRES.install})`)
  return path
}

/** Debian's, the newest first. */
function versions(): readonly string[] {
  try {
    return readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a))
  } catch {
    return []
  }
}
