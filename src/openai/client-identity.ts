import { randomUUID } from 'node:crypto'
import { readProperty } from '../errors/hostile.ts'
import { senderOf } from './client.ts'
import { rawClient } from './facade.ts'
import { ownFetch } from './wire.ts'

/**
 * What decides where a client's requests go, and with which credentials: equal for two clients that are built
 * alike, and another for another key, header, path or `fetch`. Has secrets in it: to be hashed,
 * never to be shown.
 */
export function clientIdentity(wrapped: object): unknown {
  // What a tracer's proxy answers is another each time.
  const client = senderOf(innermost(wrapped))
  const given = readProperty(client, '_options')
  // Not openai's own class: what decides there is unknown.
  if (typeof given !== 'object' || given === null) return ownIdentity(client)
  const { apiKey } = Object(given)
  const options = Object.entries(given).filter(
    ([name, value]) => !ELSEWHERE.has(name) && value !== undefined && value !== null,
  )
  return [
    readProperty(client, 'baseURL'),
    // A function's key changes with time; who gives it does not.
    typeof apiKey === 'function' ? apiKey : readProperty(client, 'apiKey'),
    readProperty(client, 'organization'),
    readProperty(client, 'project'),
    // Azure's is not among the options.
    readProperty(client, 'deploymentName'),
    ownFetch(client),
    options.toSorted(([a], [b]) => (a < b ? -1 : 1)),
  ].map((part) => described(part))
}

// Options that are read from the client itself, where they may have been set later, and those that
// decide how long and how loud, not where.
const ELSEWHERE: ReadonlySet<string> = new Set([
  'baseURL',
  'apiKey',
  'organization',
  'project',
  'fetch',
  'maxRetries',
  'timeout',
  'logger',
  'logLevel',
  'dangerouslyAllowBrowser',
  'webhookSecret',
])

function innermost(client: object): object {
  const inside = rawClient(client)
  return inside === client ? client : innermost(inside)
}

// Options hold plain data a few levels deep.
const MAX_DEPTH = 6

/** Data as it is; a function, or an instance of a class, by which one it is. */
export function described(value: unknown, depth = 0): unknown {
  if (value === undefined) return null
  if (typeof value === 'symbol' || typeof value === 'bigint') return String(value)
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return value
  if (depth >= MAX_DEPTH) return ownIdentity(value)
  if (value instanceof Headers) return [...value]
  if (Array.isArray(value)) return value.map((part) => described(part, depth + 1))
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && prototype !== Object.prototype) return ownIdentity(value)
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, described(part, depth + 1)]),
  )
}

const identities = new WeakMap<object, string>()

function ownIdentity(object: object): string {
  const known = identities.get(object) ?? randomUUID()
  identities.set(object, known)
  return known
}
