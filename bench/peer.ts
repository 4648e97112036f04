/** A client as an application would set it up, behind one face for all that is measured. */
export interface Peer {
  /** As the tables name it. */
  readonly name: string
  /** How it was set up, in one sentence, for the reader of the tables. */
  readonly setUp: string
  /** The packages whose versions the results name. */
  readonly packages: readonly string[]
  create(options: PeerOptions): PeerClient | Promise<PeerClient>
}

export interface PeerOptions {
  readonly baseURL: string
  /** Of one request, as far as the client has such a limit. @default the client's own */
  readonly timeoutMs?: number
}

export interface PeerClient {
  /** The answer's text. */
  readonly plain: (question: string) => Promise<string>
  /** A ticket, checked against its schema where the client checks. */
  readonly structured?: (question: string) => Promise<unknown>
  /** The whole text of a streamed answer. */
  readonly stream?: (question: string) => Promise<string>
}

/** The base that all others are compared with. */
export const BARE = 'openai, maxRetries: 0'

const FILES = [
  'fetch',
  'openai-single',
  'openai-default',
  'openai-p-retry',
  'openai-cockatiel',
  'ai',
  'langchain',
  'instructor',
  'steadycall',
] as const

// Measured for their overhead only: they fail and recover as those without the transport do.
export const TRANSPORT_FILES = ['openai-transport', 'steadycall-transport'] as const

export type PeerFile =
  | (typeof FILES)[number]
  | (typeof TRANSPORT_FILES)[number]
  | 'openai-jsonrepair'
  | 'steadycall-traced'

/**
 * All of them, the bare client before those around it and ours last. Loaded when asked for: their
 * packages are installed by the benchmark, not with the project.
 */
export function loadPeers(files: readonly PeerFile[] = FILES): Promise<readonly Peer[]> {
  return Promise.all(files.map(loadPeer))
}

export async function loadPeer(file: PeerFile): Promise<Peer> {
  const module: { readonly peer: Peer } = await import(
    new URL(`./peers/${file}.ts`, import.meta.url).href
  )
  return module.peer
}

export const PEER_FILES: readonly PeerFile[] = FILES
