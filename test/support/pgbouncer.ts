import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PostgresServer } from './postgres-server.ts'
import { onFreePort, saying, unprivileged } from './processes.ts'
import { type Program, pathOf } from './programs.ts'

export const PGBOUNCER: Program = {
  name: 'pgbouncer',
  folders: ['/usr/sbin'],
  install: 'apt-get install pgbouncer',
}

export interface PgBouncer {
  /** Connection string, through the pooler. */
  url(database: string): string
  close(): Promise<void>
}

/**
 * PgBouncer in transaction mode before a server: each transaction gets whichever of a few server
 * connections is free, so that whatever a statement leaves in its session meets another client.
 */
export function startPgBouncer(server: PostgresServer): Promise<PgBouncer> {
  return onFreePort((port) => startOn(port, server))
}

async function startOn(port: number, server: PostgresServer): Promise<PgBouncer> {
  const identity = unprivileged('postgres')
  const folder = await mkdtemp(join(tmpdir(), 'steadycall-pgbouncer-'))
  const files = { 'users.txt': '"postgres" ""\n', 'pgbouncer.ini': settings(server, port, folder) }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  if (identity.uid !== undefined) {
    for (const each of ['', ...Object.keys(files)]) {
      await chown(join(folder, each), identity.uid, identity.gid ?? identity.uid)
    }
  }
  const path = pathOf(PGBOUNCER)
  if (path === undefined) throw new Error(`There is no pgbouncer (${PGBOUNCER.install})`)
  const child = spawn(path, [join(folder, 'pgbouncer.ini')], {
    ...identity,
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const killNow = () => child.kill('SIGKILL')
  process.once('exit', killNow)
  await saying(child, 'process up')
  return {
    url: (database) => `postgres://postgres@127.0.0.1:${port}/${database}`,
    async close() {
      process.off('exit', killNow)
      const closed = once(child, 'close')
      if (child.exitCode === null && child.kill('SIGKILL')) await closed
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function settings(server: PostgresServer, port: number, folder: string): string {
  return `[databases]
* = host=127.0.0.1 port=${server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${join(folder, 'users.txt')}
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
`
}
