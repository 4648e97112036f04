import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** Stands before a server, and passes on what is said, until told to lose something. */
export interface CutProxy {
  readonly port: number
  /**
   * The next request with this text in it is passed on, and done; the connection is cut when the
   * server answers, before a byte of the answer is passed on.
   */
  loseAnswerTo(text: string): void
  /** The next request with this text in it is cut, and with it the connection. */
  loseRequest(text: string): void
  /** How often it has cut. */
  readonly cuts: number
  close(): Promise<void>
}

/**
 * Starts one before 127.0.0.1:`port`. It knows no protocol: a request is one chunk of bytes as the
 * client wrote it, and the answer is what the server sends next on that connection.
 */
export async function startCutProxy(port: number): Promise<CutProxy> {
  const proxy = new CuttingProxy(port)
  await proxy.listen()
  return proxy
}

type Loss = { readonly what: 'answer' | 'request'; readonly text: string }

class CuttingProxy implements CutProxy {
  cuts = 0
  #port = 0
  #loss: Loss | undefined
  readonly #target: number
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((client) => this.#serve(client))

  constructor(target: number) {
    this.#target = target
  }

  get port(): number {
    return this.#port
  }

  loseAnswerTo(text: string): void {
    this.#loss = { what: 'answer', text }
  }

  loseRequest(text: string): void {
    this.#loss = { what: 'request', text }
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const address = this.#server.address()
    this.#port = typeof address === 'object' ? (address?.port ?? 0) : 0
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #serve(client: Socket): void {
    const server = connect(this.#target, '127.0.0.1')
    const cut = () => {
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.on('error', cut)
      socket.on('close', () => {
        this.#sockets.delete(socket)
        cut()
      })
    }
    let losesAnswer = false
    client.on('data', (request) => {
      const loss = this.#lossOf(request)
      losesAnswer ||= loss === 'answer'
      if (loss === 'request') this.#cut(cut)
      else server.write(request)
    })
    server.on('data', (answer) => {
      if (losesAnswer) this.#cut(cut)
      else client.write(answer)
    })
  }

  #lossOf(request: Buffer): Loss['what'] | undefined {
    if (this.#loss === undefined || !request.includes(this.#loss.text)) return undefined
    const { what } = this.#loss
    this.#loss = undefined
    return what
  }

  #cut(cut: () => void): void {
    this.cuts++
    cut()
  }
}
