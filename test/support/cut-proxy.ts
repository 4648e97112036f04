import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** Between a client and its server: passes everything on, until it is told to lose an answer. */
export interface CutProxy {
  readonly port: number
  /** How many answers were lost. */
  readonly cuts: number
  /**
   * The next answer of the server to what a client sends from now on is thrown away, and both
   * connections are reset: the work was done, and nobody hears of it.
   */
  cutNextAnswer(): void
  close(): Promise<void>
}

export async function startCutProxy(targetPort: number): Promise<CutProxy> {
  const sockets = new Set<Socket>()
  let armed = false
  let cuts = 0
  const server = createServer((client) => {
    const target = connect(targetPort, '127.0.0.1')
    let asked = false
    const end = () => {
      client.resetAndDestroy()
      target.destroy()
    }
    for (const socket of [client, target]) {
      sockets.add(socket)
      socket.on('error', end)
      socket.on('close', () => {
        sockets.delete(socket)
        end()
      })
    }
    client.on('data', (bytes) => {
      asked ||= armed
      target.write(bytes)
    })
    target.on('data', (bytes) => {
      if (!asked || !armed) {
        client.write(bytes)
        return
      }
      armed = false
      cuts += 1
      end()
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    get cuts() {
      return cuts
    },
    cutNextAnswer() {
      armed = true
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
