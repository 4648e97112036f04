import { hash } from 'node:crypto'
import { type Runtime, targetState } from '../call/runtime.ts'
import type { TaskTarget } from '../call/task.ts'
import type { FailureKind } from '../errors/failure-kinds.ts'
import { readProperty } from '../errors/hostile.ts'
import type { Fallback } from '../options/nested-options.ts'
import { DEFAULT_FALLBACK_ON } from '../options/options.ts'
import type { TargetSettings } from '../retry/health/target-state.ts'
import type { ChatClient } from './chat-client.ts'
import { layersOf } from './facade.ts'
import type { Gateway } from './gateways.ts'

/** A target of a client's requests. */
export interface CallTarget extends TaskTarget {
  readonly host: string
  readonly port: number | undefined
  readonly model: string
  readonly client: ChatClient
  /** The gateway it goes through, where one was named. */
  readonly gateway?: Gateway
}

/** The call's own target, then its fallbacks in order. */
export function chatTargets(
  runtime: Runtime,
  settings: TargetSettings,
  client: ChatClient,
  model: string,
  fallbacks: readonly Fallback[],
  gateway?: Gateway,
): readonly [CallTarget, ...CallTarget[]] {
  const first = withGateway(
    chatTarget(runtime, settings, client, model, DEFAULT_FALLBACK_ON),
    gateway,
  )
  if (fallbacks.length === 0) return [first]
  return [
    first,
    ...fallbacks.map((fallback) => {
      const target = chatTarget(
        runtime,
        settings,
        fallback.client ?? client,
        fallback.model ?? model,
        fallback.on === undefined ? DEFAULT_FALLBACK_ON : new Set(fallback.on),
      )
      // Another host is another gateway, or none: it is not told what it would not understand.
      const isSame = target.host === first.host && target.port === first.port
      return isSame ? withGateway(target, gateway) : target
    }),
  ]
}

function withGateway(target: CallTarget, gateway: Gateway | undefined): CallTarget {
  return gateway === undefined ? target : { ...target, gateway }
}

function chatTarget(
  runtime: Runtime,
  settings: TargetSettings,
  client: ChatClient,
  model: string,
  on: ReadonlySet<FailureKind>,
): CallTarget {
  const endpoint = endpointOf(client)
  const { host, port } = endpoint
  if (endpoint.last.model !== model) endpoint.last = namesOf(host, endpoint.prefix, model)
  const { name } = endpoint.last
  const state = targetState(runtime, endpoint.last, settings)
  return { name, host, port, model, client, state, on }
}

interface Endpoint {
  readonly baseURL: string | undefined
  readonly apiKey: string | undefined
  readonly host: string
  readonly port: number | undefined
  /** Host, credential and layer: what a target's line belongs to, besides the model. */
  readonly prefix: string
  /** Of the model asked for last: most clients have one. */
  last: { readonly model: string; readonly name: string; readonly key: string }
}

const endpoints = new WeakMap<object, Endpoint>()

// Clients that do not say where they send to: each is a target of its own.
let unaddressed = 0

/** Parsed once per client, and again when its URL or key has changed. */
function endpointOf(client: ChatClient): Endpoint {
  const baseURL = textOf(client, 'baseURL')
  const apiKey = textOf(client, 'apiKey')
  const known = endpoints.get(client)
  if (known !== undefined && known.baseURL === baseURL && known.apiKey === apiKey) return known
  const url = baseURL === undefined ? null : URL.parse(baseURL)
  const host = url?.hostname ?? 'unknown'
  const port = url === null ? undefined : Number(url.port) || (url.protocol === 'http:' ? 80 : 443)
  const credential = apiKey === undefined ? 'none' : hash('sha256', apiKey).slice(0, 12)
  // The layers of a client that is wrapped twice meet the same failures, each with a line
  // of its own: the outer one must not hold what the inner one waits for.
  const address = url === null ? `${host}#${++unaddressed}` : `${host}:${port}`
  const prefix = `${address} ${credential} ${layersOf(client)}`
  const last = namesOf(host, prefix, '')
  const endpoint: Endpoint = { baseURL, apiKey, host, port, prefix, last }
  endpoints.set(client, endpoint)
  return endpoint
}

function textOf(client: object, key: string): string | undefined {
  const value = readProperty(client, key)
  return typeof value === 'string' ? value : undefined
}

function namesOf(host: string, prefix: string, model: string): Endpoint['last'] {
  return { model, name: `${host} ${model}`, key: `${prefix} ${model}` }
}
