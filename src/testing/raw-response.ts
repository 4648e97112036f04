/** A request's headers as Node provides them, with lower-case names. */
export interface ReceivedHeaders {
  readonly [name: string]: string | string[] | undefined
  readonly accept?: string | undefined
  readonly authorization?: string | undefined
  readonly 'content-length'?: string | undefined
  readonly 'content-type'?: string | undefined
  readonly host?: string | undefined
  readonly 'user-agent'?: string | undefined
}

type HeaderValue = number | string | string[]

/**
 * The part of Node's `ServerResponse` that faults use, in types that do not need `@types/node`. Faults receive
 * Node's own response, with all other members as well.
 */
export interface RawResponse {
  statusCode: number
  readonly headersSent: boolean
  readonly destroyed: boolean
  readonly writableEnded: boolean
  readonly writableFinished: boolean
  /** Null once the connection is closed. */
  readonly socket: RawSocket | null
  setHeader(name: string, value: HeaderValue): this
  getHeader(name: string): HeaderValue | undefined
  removeHeader(name: string): void
  writeHead(status: number, headers?: Readonly<Record<string, HeaderValue>>): this
  flushHeaders(): void
  write(chunk: string | Uint8Array, sent?: (error: Error | null | undefined) => void): boolean
  end(sent?: () => void): this
  end(chunk: string | Uint8Array, sent?: () => void): this
  destroy(error?: Error): this
  on(event: 'close' | 'drain' | 'finish', listener: () => void): this
  on(event: 'error', listener: (error: Error) => void): this
  once(event: 'close' | 'drain' | 'finish', listener: () => void): this
  once(event: 'error', listener: (error: Error) => void): this
}

export interface RawSocket {
  write(bytes: string | Uint8Array): boolean
  end(bytes: string | Uint8Array): unknown
  end(): unknown
  destroy(error?: Error): unknown
  /** Sends an RST (RFC 9293). */
  resetAndDestroy(): unknown
}
