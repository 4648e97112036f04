/** A request's headers as Node gives them, under lower-case names. */
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
 * The part of Node's `ServerResponse` that faults are made with, in types that need no
 * `@types/node`. What is given to a fault is Node's own, with all the rest.
 */
export interface RawResponse {
  statusCode: number
  readonly headersSent: boolean
  readonly destroyed: boolean
  readonly writableEnded: boolean
  readonly writableFinished: boolean
  /** Absent once the connection is gone. */
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
